package runtimes

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The clients lie under a name made of their content, readable for the user of
// any sandbox whatever the server's umask, and are written once.
func TestFilesAreWrittenOnce(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "a", "b")
	first, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.List()) != len(identifiers) {
		t.Errorf("List has %d runtimes; want %d", len(first.List()), len(identifiers))
	}
	times := map[string]int64{}
	err = filepath.Walk(first.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o444 != 0o444 || info.Mode().Perm()&0o022 != 0 || info.IsDir() && info.Mode().Perm()&0o111 != 0o111 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		times[path] = info.ModTime().UnixNano()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if second.dir != first.dir {
		t.Errorf("the same files are in %s and %s", first.dir, second.dir)
	}
	second.List()
	for path, want := range times {
		if info, err := os.Stat(path); err != nil || info.ModTime().UnixNano() != want {
			t.Errorf("%s was written again (%v)", path, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestTheNearestInterpreterServes(t *testing.T) {
	minors := []int{8, 11, 13}
	for want, served := range map[int]int{8: 8, 9: 8, 10: 11, 11: 11, 12: 13, 13: 13, 15: 13} {
		var all []interpreter
		for _, m := range minors {
			all = append(all, interpreter{minor: m})
		}
		if got := nearest(all, func(i *interpreter) int { return i.minor - want }); got.minor != served {
			t.Errorf("3.%d is served by 3.%d; want 3.%d", want, got.minor, served)
		}
	}
}

// With other places to look in.
func looking(t *testing.T, in ...string) *Set {
	t.Helper()
	before := places
	places = in
	t.Cleanup(func() { places = before })
	s, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Without an interpreter, the error says what is missing and how to install it.
// A script is no interpreter: what it would choose is not known.
func TestAMissingInterpreterIsAnError(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"python3", "python3.12", "node"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho Python 3.12.1 v20.1.1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := looking(t, dir, filepath.Join(dir, "absent"))
	for runtime, want := range map[string]string{
		"python3.12":  "no CPython 3.8 or later is installed in /usr/bin or /usr/local/bin (Debian: apt-get install python3-minimal)",
		"nodejs22.x":  "no Node.js 12 or later is installed in /usr/bin or /usr/local/bin (Debian: apt-get install nodejs)",
		"java21":      "the runtime java21 is not served by this version of Lambent",
		"python3.x":   "the runtime python3.x is not served by this version of Lambent",
		"nodejs.x":    "the runtime nodejs.x is not served by this version of Lambent",
		"dotnet8.x":   "the runtime dotnet8.x is not served by this version of Lambent",
		"providedal2": "the runtime providedal2 is not served by this version of Lambent",
	} {
		if _, err := s.Find(runtime); err == nil || err.Error() != want {
			t.Errorf("%s: %v; want %s", runtime, err, want)
		}
	}
	for _, m := range s.List() {
		if missing := !strings.HasPrefix(m.Runtime, "provided"); missing != (m.Missing != nil) {
			t.Errorf("%s: %v", m.Runtime, m)
		}
	}
}

// One program under several names is asked once; one outside /usr is shown to
// the sandbox with what belongs to it.
func TestInterpretersOutsideTheBaseSystem(t *testing.T) {
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip(err)
	}
	if python, err = filepath.EvalSymlinks(python); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	bin := filepath.Join(home, "bin")
	os.Mkdir(bin, 0o755)
	b, err := os.ReadFile(python)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "python3.8"), b, 0o755); err != nil { // whatever its name says
		t.Fatal(err)
	}
	os.Symlink("python3.8", filepath.Join(bin, "python3"))
	s := looking(t, bin)
	c, err := s.Find("python3.12")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.pythons) != 1 || c.Argv[0] != filepath.Join(bin, "python3.8") || !c.Socket {
		t.Errorf("got %v of %v", c, s.pythons)
	}
	if len(c.Binds) != 2 || c.Binds[0].Host != home || c.Binds[0].Inside != home || c.Binds[1].Host != s.dir || c.Binds[1].Inside != "/var/runtime" {
		t.Errorf("shown are %v", c.Binds)
	}
	if !strings.HasSuffix(c.Argv[len(c.Argv)-1], ".pyc") {
		t.Errorf("the client is not compiled: %q", c.Argv)
	}
}

// A package brings the client of a provided runtime, as bootstrap.
func TestProvidedRuntimesBringTheirOwn(t *testing.T) {
	s, err := set()
	if err != nil {
		t.Fatal(err)
	}
	for _, runtime := range []string{"provided", "provided.al2", "provided.al2023"} {
		c, err := s.Find(runtime)
		if err != nil || !slices.Equal(c.Entrypoints, []string{"/var/task/bootstrap", "/opt/bootstrap"}) || c.Argv != nil || c.Socket {
			t.Errorf("%s: %v, %v", runtime, c, err)
		}
	}
}

// The client runs from its source as well, should an interpreter not compile it.
func TestPythonRunsFromSource(t *testing.T) {
	s := python("def handler(event, context):\n    return 1\n")
	s.argv = func(argv []string, _ string) []string {
		last := argv[len(argv)-1]
		return append(argv[:len(argv)-1:len(argv)-1], filepath.Join(filepath.Dir(last), "bootstrap.py"))
	}
	f := start(t, s)
	f.polls()
	if got := f.result(`{}`); got != "1" {
		t.Errorf("got %s", got)
	}
}
