//go:build linux && (amd64 || arm64)

package namespaces

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
)

//go:embed testdata/attack.py
var attack string

const mib = 1 << 20

// start starts a Python program.
func start(t testing.TB, d *Driver, program string, change func(*sandbox.Spec)) sandbox.Sandbox {
	t.Helper()
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spec := &sandbox.Spec{
		Name: "test", Argv: []string{"/usr/bin/python3", "-I", "-c", program}, Env: []string{"PATH=/usr/bin:/bin"},
		Dir: "/var/task", Task: t.TempDir(), Memory: 256 * mib, Storage: 16 * mib, Pids: 64,
	}
	for _, dir := range []string{spec.Task, filepath.Dir(spec.Task)} {
		os.Chmod(dir, 0o755)
	}
	if change != nil {
		change(spec)
	}
	s, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(0); err != nil {
			t.Error(err)
		}
		s.Output().Close()
	})
	return s
}

func output(t testing.TB, s sandbox.Sandbox) string {
	t.Helper()
	s.Output().SetReadDeadline(time.Now().Add(time.Minute))
	out, err := io.ReadAll(s.Output())
	if err != nil {
		t.Fatalf("output %q: %v", out, err)
	}
	return string(out)
}

// A function that attacks gets nowhere, and an ordinary one is not in the way.
func TestAttacks(t *testing.T) {
	d := open(t)
	host, err := net.Listen("tcp", ":0") // every address of the host
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	abstract := fmt.Sprintf("lambent-test-%d", os.Getpid())
	local, err := net.Listen("unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()

	// A file and a socket that somebody forgot to mark close-on-exec, some with low
	// numbers and some with high.
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{3, 10, 251, 900} {
		fd, err := unix.Open(secret, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, at)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(high)
	}

	// Another function, with secrets in its code and its variables.
	victim := start(t, d, "import time; print('up', flush=True); time.sleep(1000)", func(s *sandbox.Spec) {
		s.Env = append(s.Env, "SECRET=canary")
		os.WriteFile(filepath.Join(s.Task, "code"), []byte("canary"), 0o644)
	})
	up := make([]byte, 3)
	if _, err := io.ReadFull(victim.Output(), up); err != nil {
		t.Fatal(err)
	}
	theirs := victim.(*box)

	address := "192.0.2.1"
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
				address = n.IP.String()
			}
		}
	}
	target, err := json.Marshal(map[string]any{
		"paths": []string{secret, theirs.spec.Task, d.root.dir, filepath.Dir(d.root.dir), fmt.Sprintf("/proc/%d", theirs.child.pid), fmt.Sprintf("/proc/%d", os.Getpid())},
		"port":  host.Addr().(*net.TCPAddr).Port, "address": address, "abstract": abstract,
	})
	if err != nil {
		t.Fatal(err)
	}
	umask := unix.Umask(0o077) // a server's need not be a function's
	s := start(t, d, attack, func(s *sandbox.Spec) { s.Env = append(s.Env, "TARGET="+string(target)) })
	unix.Umask(umask)
	out := strings.TrimSpace(output(t, s))
	var got map[string]string
	if err := json.Unmarshal([]byte(out[strings.LastIndexByte(out, '\n')+1:]), &got); err != nil {
		t.Fatalf("%v in %q", err, out)
	}

	// What is expected of each try: the first prefix of a name that fits counts.
	expect := []struct {
		prefix string
		want   []string
	}{
		{"see /proc/1/", []string{"EACCES", "EPERM"}},
		{"see ", []string{"ENOENT"}},
		{"climb out", []string{"ENOENT"}},
		{"link out", []string{"ENOENT"}},
		{"write /tmp/x", []string{"ok"}},
		{"write /dev/shm/x", []string{"ok"}},
		{"write /proc/", []string{"EACCES", "EPERM", "EROFS", "ENOENT"}},
		{"write ", []string{"EROFS", "EACCES"}},
		{"mknod", []string{"EPERM"}},
		{"chown", []string{"EPERM"}},
		{"open /dev/null for writing", []string{"ok"}},
		{"other processes", []string{"ok"}}, // there are none
		{"read /proc/kcore", []string{"EACCES", "EPERM", "ENOENT"}},
		{"read /proc/kmsg", []string{"EACCES", "EPERM"}},
		{"spare itself", []string{"EACCES", "EPERM"}},
		{"descriptors", []string{"[0, 1, 2]"}},
		{"interfaces", []string{`["lo"]`}},
		{"host loopback", []string{"ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH"}},
		{"host address", []string{"ENETUNREACH"}},
		{"metadata service", []string{"ENETUNREACH"}},
		{"abstract socket", []string{"ECONNREFUSED"}},
		{"own listener", []string{"ok"}},
		{"socket ", []string{"EPERM"}},
		{"ordinary ", []string{"ok"}},
		{"raw socket", []string{"EPERM"}},
		{"listen on another port", []string{"ok"}},
		{"Cap", []string{"0"}},
		{"NoNewPrivs", []string{"1"}},
		{"Seccomp", []string{"2"}},
		{"groups", []string{"[]", fmt.Sprintf("[%d]", group)}},
		{"become root", []string{"EPERM"}},
		{"setuid program", []string{"nothing"}},
		{"kill holder", []string{"EPERM"}},
		{"signal all", []string{"EPERM", "ESRCH"}}, // nobody else is there
		{"raise limit", []string{"ValueError: not allowed to raise maximum limit", "EPERM"}},
		{"limits", []string{"[[1024, 1024], [0, 0], [8388608, 8388608]]"}},
		{"umask", []string{"22"}},
		{"clone ", []string{"EPERM"}},
		{"call clone3", []string{"ENOSYS"}},
		{"call of the x32 kind", []string{"ENOSYS"}},
		{"call of the 32-bit kind", []string{"signal -31", "signal -11"}}, // or the kernel has none
		{"call ", []string{"EPERM"}},
		{"thread", []string{"ok"}},
		{"subprocess", []string{"ok"}},
		{"user name", []string{userName}},
		{"stdout by name", []string{"ok"}},
		{"certificates", []string{"ok"}},
	}
	used := map[string]bool{}
	for name, result := range got {
		i := slices.IndexFunc(expect, func(e struct {
			prefix string
			want   []string
		}) bool {
			return strings.HasPrefix(name, e.prefix)
		})
		if i < 0 {
			t.Errorf("%s: %s; nothing is expected of it", name, result)
			continue
		}
		used[expect[i].prefix] = true
		if !slices.Contains(expect[i].want, result) {
			t.Errorf("%s: %s, want one of %v", name, result, expect[i].want)
		}
	}
	for _, e := range expect {
		if !used[e.prefix] && (runtime.GOARCH == "amd64" || !strings.Contains(e.prefix, "kind")) {
			t.Errorf("%s was not tried", e.prefix)
		}
	}
	select {
	case <-victim.Done():
		t.Errorf("the other function has ended: %+v", victim.Exit())
	default:
	}
}

// With the socket asked for there are four descriptors and no more.
func TestDescriptorsWithTheSocket(t *testing.T) {
	s := start(t, open(t), "import os\nprint(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])", func(s *sandbox.Spec) { s.Socket = true })
	defer s.Socket().Close()
	if out := output(t, s); out != "[0, 1, 2, 3]\n" {
		t.Errorf("descriptors %s", out)
	}
}

// Nothing of a secret is found in any file that a function can read.
func TestNoSecretIsInAnyReadableFile(t *testing.T) {
	d := open(t)
	victim := start(t, d, "import time; print('up', flush=True); time.sleep(1000)", func(s *sandbox.Spec) {
		s.Env = append(s.Env, "SECRET=canary-5f1d3a")
	})
	if _, err := io.ReadFull(victim.Output(), make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAMBENT_TEST_SECRET", "canary-5f1d3a") // the server's
	const search = `
import os
needle = b'canary-' + b'5f1d3a'
for top in ['/proc', '/tmp', '/dev/shm', '/etc', '/var', '/opt', '/mnt']:
    for dir, dirs, files in os.walk(top):
        for name in files:
            path = os.path.join(dir, name)
            if not os.path.isfile(path) or os.path.basename(path) in ('kmsg', 'kcore', 'mem', 'pagemap', 'clear_refs'): continue
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                found = needle in os.read(fd, 1 << 20)
                os.close(fd)
            except OSError: continue
            if found: print('found in', path)
print('searched')
`
	if out := output(t, start(t, d, search, nil)); out != "searched\n" {
		t.Error(out)
	}
}

// A fork bomb stops at its limit; others go on.
func TestForkBombStaysInside(t *testing.T) {
	d := open(t)
	const bomb = "import os\nprint('up', flush=True)\nwhile True:\n  try: os.fork()\n  except OSError: pass"
	s := start(t, d, bomb, func(s *sandbox.Spec) { s.Pids, s.CPU = 50, 0.5 })
	if _, err := io.ReadFull(s.Output(), make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if out := output(t, start(t, d, "print('well')", nil)); out != "well\n" {
			t.Errorf("beside a fork bomb: %q", out)
		}
	}
	if st, err := s.Stats(); err != nil || st.Pids > 50 || st.Pids < 2 {
		t.Errorf("%d processes of at most 50, %v", st.Pids, err)
	}
	if err := s.Kill(0); err != nil {
		t.Error(err)
	}
}

// Files without content are bounded as well.
func TestFilesInTmpAreBounded(t *testing.T) {
	const fill = "import os\nn = 0\ntry:\n  while n < 1000000:\n    os.close(os.open('/tmp/%d' % n, os.O_CREAT)); n += 1\nexcept OSError as e: print(e.errno, n < 70000)"
	s := start(t, open(t), fill, func(s *sandbox.Spec) { s.Memory = 1024 * mib })
	if out := output(t, s); out != "28 True\n" {
		t.Errorf("files in /tmp end with %q, exit %+v", out, s.Exit())
	}
}

// Three processes that spin get no more CPU than one environment may.
func TestCPUIsThatOfTheEnvironment(t *testing.T) {
	d := open(t)
	if !d.Capabilities().CPULimit {
		t.Skip("there is no cpu controller")
	}
	const spin = "import os, time\nfor _ in range(2): os.fork()\nprint('up', flush=True)\nwhile True: pass"
	s := start(t, d, spin, func(s *sandbox.Spec) { s.CPU = 0.25 })
	if _, err := io.ReadFull(s.Output(), make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	before, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	time.Sleep(500 * time.Millisecond) // what is measured takes its time
	after, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	share := float64(after.CPU-before.CPU) / float64(time.Since(began))
	if share > 0.5 { // a period more or less
		t.Errorf("it used %.2f CPUs of 0.25", share)
	}
}

// When a sandbox is gone, the next one in its place finds nothing of it.
func TestNothingIsLeftForTheNext(t *testing.T) {
	d := open(t)
	s := start(t, d, "open('/tmp/left','w').write('x'); open('/dev/shm/left','w').write('x'); import os; print(os.getuid())", nil)
	first := output(t, s)
	if err := s.Kill(0); err != nil {
		t.Fatal(err)
	}
	next := output(t, start(t, d, "import os; print(os.getuid()); print(os.listdir('/tmp'), os.listdir('/dev/shm'))", nil))
	if next != first+"[] []\n" {
		t.Errorf("user %q, then %q: want the same user and no files", first, next)
	}
	a := start(t, d, "import os, time; print(os.getuid(), flush=True); time.sleep(1000)", nil)
	b := start(t, d, "import os, time; print(os.getuid(), flush=True); time.sleep(1000)", nil)
	x, y := make([]byte, 7), make([]byte, 7)
	if _, err := io.ReadFull(a.Output(), x); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b.Output(), y); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(x, y) {
		t.Errorf("two sandboxes at once have user %s", x)
	}
}
