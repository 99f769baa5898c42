// Package runtimes knows which interpreter of this host serves which runtime of
// Lambda, and brings the runtime clients that run on them.
//
// The worker asks it how to start a function, package control whether a runtime
// can be had here. Our own clients for Python and Node are embedded in the
// binary and written, once for their content, under the directory given to New,
// from where sandboxes mount them read-only at /var/runtime. They speak the
// Runtime API over the inherited socket. For provided.* the package brings its
// own client.
//
// Interpreters are looked for when a Set is first asked, each asked once for its
// version, and not watched after. The client for Python is then compiled by each,
// into a file beside it: an interpreter would otherwise do so at every start, for
// as long as it takes to start.
//
// Both clients can be started before it is known for whom (worker.Command.Warm).
// They then wait with what most functions need loaded, and a function finds what it
// would have found, but that the process is older and, with Python, that its peak
// of memory has the library in it. The package starts no goroutine.
package runtimes

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lambent-run/lambent/worker"
	"github.com/lambent-run/lambent/worker/sandbox"
)

//go:embed files
var files embed.FS

// Set is the runtimes of this host. Make one with New.
type Set struct {
	dir string // our clients' files

	once    sync.Once
	pythons []interpreter
	nodes   []interpreter
}

// interpreter is a program of this host that runs functions.
type interpreter struct {
	path         string // resolved
	major, minor int
	version      string
	client       string // name of our client's file, compiled if it could be
}

// Mapping says what serves a runtime here.
type Mapping struct {
	Runtime     string
	Interpreter string // its path; "" if there is none, or none is needed
	Version     string
	Missing     error // why functions of this runtime cannot run here
}

// String is the mapping as a line for people.
func (m Mapping) String() string {
	switch {
	case m.Missing != nil:
		return fmt.Sprintf("%-16s missing: %v", m.Runtime, m.Missing)
	case m.Interpreter == "":
		return fmt.Sprintf("%-16s the package's own bootstrap", m.Runtime)
	}
	return fmt.Sprintf("%-16s %s (%s)", m.Runtime, m.Interpreter, m.Version)
}

// Identifiers of the runtimes that can be served, in AWS's spelling.
var identifiers = []string{
	"provided.al2023", "provided.al2", "provided",
	"python3.15", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python3.8",
	"nodejs26.x", "nodejs24.x", "nodejs22.x", "nodejs20.x", "nodejs18.x", "nodejs16.x", "nodejs14.x", "nodejs12.x",
}

// New writes the embedded files under dir, if they are not there, and returns
// the runtimes of this host.
func New(dir string) (*Set, error) {
	entries, err := files.ReadDir("files")
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	for _, e := range entries {
		b, err := files.ReadFile("files/" + e.Name())
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(b), b)
	}
	s := &Set{dir: filepath.Join(dir, hex.EncodeToString(h.Sum(nil))[:16])}
	if _, err := os.Stat(s.dir); err == nil {
		return s, nil
	}
	if err := s.write(dir, entries); err != nil {
		return nil, fmt.Errorf("write the runtime clients: %w", err)
	}
	return s, nil
}

// write puts the files in place in one step.
func (s *Set) write(dir string, entries []fs.DirEntry) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // gone already if all went well
	for _, e := range entries {
		b, err := files.ReadFile("files/" + e.Name())
		if err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(temp, e.Name()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		// Readable for the sandbox's user, whatever the umask. Synced, since the
		// directory's name vouches for its content.
		if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(temp, s.dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Find says how functions of a runtime are started. The error of a runtime that
// this host cannot serve says what is missing.
func (s *Set) Find(runtime string) (worker.Command, error) {
	c, _, err := s.find(runtime)
	return c, err
}

func (s *Set) find(runtime string) (worker.Command, *interpreter, error) {
	s.once.Do(s.look)
	if runtime == "provided" || strings.HasPrefix(runtime, "provided.") {
		return worker.Command{Entrypoints: []string{"/var/task/bootstrap", "/opt/bootstrap"}}, nil, nil
	}
	if v, ok := strings.CutPrefix(runtime, "python3."); ok {
		if minor, err := strconv.Atoi(v); err == nil {
			i := nearest(s.pythons, func(i *interpreter) int { return i.minor - minor })
			if i == nil {
				return worker.Command{}, nil, errors.New("no CPython 3.8 or later is installed in /usr/bin or /usr/local/bin (Debian: apt-get install python3-minimal)")
			}
			return s.python(i), i, nil
		}
	}
	if v, ok := strings.CutSuffix(runtime, ".x"); ok {
		if major, err := strconv.Atoi(strings.TrimPrefix(v, "nodejs")); err == nil && strings.HasPrefix(v, "nodejs") {
			i := nearest(s.nodes, func(i *interpreter) int { return i.major - major })
			if i == nil {
				return worker.Command{}, nil, errors.New("no Node.js 12 or later is installed in /usr/bin or /usr/local/bin (Debian: apt-get install nodejs)")
			}
			return s.node(i, major), i, nil
		}
	}
	return worker.Command{}, nil, fmt.Errorf("the runtime %s is not served by this version of Lambent", runtime)
}

// nearest picks the interpreter at the smallest distance, the newer of two.
func nearest(all []interpreter, distance func(*interpreter) int) *interpreter {
	var best *interpreter
	for i := range all {
		d := distance(&all[i])
		if best == nil || abs(d) < abs(distance(best)) || abs(d) == abs(distance(best)) && d > distance(best) {
			best = &all[i]
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// python starts without site: it would bring the host's packages into the
// function, and costs time. The client does for functions what they need of it.
func (s *Set) python(i *interpreter) worker.Command {
	return worker.Command{
		Argv:   []string{i.path, "-S", "-X", "utf8", "/var/runtime/" + i.client},
		Env:    []string{"_LAMBENT_SOCKET=3", "_LAMBENT_OPT=/opt"},
		Binds:  append(prefix(i.path), sandbox.Bind{Host: s.dir, Inside: "/var/runtime"}),
		Socket: true,
		Warm:   waiting,
		Early:  append([]string{"PYTHON"}, early...),
	}
}

// compile has an interpreter compile the client for itself and returns the name
// of the file that it is to run: the source if that cannot be, which only costs
// time. The paths in the code are those inside a sandbox.
func (s *Set) compile(i *interpreter) string {
	const source = "bootstrap.py"
	name := "bootstrap-" + strings.ReplaceAll(strings.TrimPrefix(i.version, "Python "), " ", "_") + ".pyc"
	target := filepath.Join(s.dir, name)
	if _, err := os.Stat(target); err == nil {
		return name
	}
	temp, err := os.MkdirTemp(s.dir, "new-")
	if err != nil {
		return source
	}
	defer os.RemoveAll(temp)
	const script = `import sys, py_compile as p
p.compile(sys.argv[1], sys.argv[2], sys.argv[3], doraise=True, invalidation_mode=p.PycInvalidationMode.UNCHECKED_HASH)`
	made := filepath.Join(temp, name)
	if _, err := run(i.path, "-I", "-S", "-c", script, filepath.Join(s.dir, source), made, "/var/runtime/"+source); err != nil {
		return source
	}
	// Made elsewhere first, so that no sandbox sees half of it or may not read it.
	if os.Chmod(made, 0o644) != nil || os.Rename(made, target) != nil {
		return source
	}
	return name
}

func (s *Set) node(i *interpreter, major int) worker.Command {
	return worker.Command{
		Argv: []string{i.path, "/var/runtime/bootstrap.cjs"},
		Env: []string{
			fmt.Sprintf("NODE_PATH=/opt/nodejs/node%d/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task", major),
			"_LAMBENT_SOCKET=3",
		},
		Binds:  append(prefix(i.path), sandbox.Bind{Host: s.dir, Inside: "/var/runtime"}),
		Socket: true,
		Warm:   waiting,
		Early:  append([]string{"NODE_", "UV_", "ICU_", "NO_COLOR", "FORCE_COLOR"}, early...),
	}
}

// waiting has a client wait for its function.
var waiting = []string{"_LAMBENT_WARM=1"}

// early are prefixes of variables that any interpreter, or what it is linked
// with, reads as it starts: the loader, the C library, OpenSSL.
var early = []string{
	"LD_", "LANG", "LC_", "LOCPATH", "NLSPATH", "GCONV_PATH", "CHARSET", "TZ", "MALLOC_", "GLIBC_", "RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES",
	"OPENSSL_", "SSL_", "SSLKEYLOGFILE",
}

// prefix is what an interpreter outside /usr needs shown: the directory that
// holds its bin and lib.
func prefix(path string) []sandbox.Bind {
	if strings.HasPrefix(path, "/usr/") || strings.HasPrefix(path, "/bin/") {
		return nil
	}
	dir := filepath.Dir(filepath.Dir(path))
	return []sandbox.Bind{{Host: dir, Inside: dir}}
}

// List returns every runtime with what serves it here.
func (s *Set) List() []Mapping {
	var list []Mapping
	for _, id := range identifiers {
		m := Mapping{Runtime: id}
		_, i, err := s.find(id)
		if m.Missing = err; i != nil {
			m.Interpreter, m.Version = i.path, i.version
		}
		list = append(list, m)
	}
	return list
}

// places are where interpreters are looked for: those of the system and of its
// administrator. A user's own are often shell scripts that choose one, and lie
// where a sandbox must not see.
var places = []string{"/usr/local/bin", "/usr/bin"}

var (
	pythonName = regexp.MustCompile(`^python3(\.\d+)?$`)
	nodeName   = regexp.MustCompile(`^node(js)?(\d+)?$`)
	number     = regexp.MustCompile(`(\d+)\.(\d+)\.\d+`)
)

func (s *Set) look() {
	s.pythons = lookFor(pythonName, func(i *interpreter) bool { return i.major == 3 && i.minor >= 8 })
	for i := range s.pythons {
		s.pythons[i].client = s.compile(&s.pythons[i])
	}
	s.nodes = lookFor(nodeName, func(i *interpreter) bool { return i.major >= 12 })
}

func lookFor(name *regexp.Regexp, usable func(*interpreter) bool) []interpreter {
	var found []interpreter
	for _, place := range places {
		entries, err := os.ReadDir(place)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if !name.MatchString(e.Name()) {
				continue
			}
			path, err := filepath.EvalSymlinks(filepath.Join(place, e.Name()))
			if err != nil || !binary(path) || slices.ContainsFunc(found, func(i interpreter) bool { return i.path == path }) {
				continue
			}
			if i, ok := ask(path); ok && usable(&i) {
				found = append(found, i)
			}
		}
	}
	return found
}

// binary tells programs from scripts.
func binary(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = f.Read(magic[:])
	return err == nil && string(magic[:]) != "" && !strings.HasPrefix(string(magic[:]), "#!")
}

// ask runs an interpreter for its version.
func ask(path string) (interpreter, bool) {
	out, err := run(path, "--version")
	m := number.FindStringSubmatch(string(out))
	if err != nil || m == nil {
		return interpreter{}, false
	}
	i := interpreter{path: path, version: strings.TrimSpace(string(out))}
	i.major, _ = strconv.Atoi(m[1])
	i.minor, _ = strconv.Atoi(m[2])
	return i, true
}

// run runs an interpreter to its end and returns what it printed.
func run(path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.WaitDelay = time.Second
	return cmd.Output()
}
