//go:build linux && (amd64 || arm64)

package namespaces

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// What a program sees of itself when it was warmed: its variables where /proc has
// them, three descriptors and the socket, no file in /tmp, and nothing but its
// function's code.
func TestAWarmProgramLooksLikeAnyOther(t *testing.T) {
	d := open(t)
	task := t.TempDir()
	for _, dir := range []string{task, filepath.Dir(task)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const look = `
import os, resource, sys
with open("/proc/self/environ", "rb") as f: print(f.read().rstrip(b"\0"))
print(sys.argv, os.getcwd(), os.getuid() == os.stat("/proc/self").st_uid, os.umask(0), os.getpid(), os.getppid(), os.getsid(0))
print([fd for fd in range(64) if os.path.exists("/proc/self/fd/%d" % fd)], os.listdir("/tmp"), os.listdir("/var/task"))
print([resource.getrlimit(getattr(resource, n)) for n in sorted(dir(resource)) if n.startswith("RLIMIT_")], os.nice(0), os.sched_getaffinity(0))
with open("/proc/self/status") as f: print([l for l in f if l.split(":")[0] in ("Name", "Umask", "State", "TracerPid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Seccomp_filters")])
with open("/proc/self/mountinfo") as f: print(sorted(l.split(None, 4)[4] for l in f))
`
	spec := func(env ...string) *sandbox.Spec {
		return &sandbox.Spec{
			Name: "test", Argv: []string{"/usr/bin/python3", "-I", "-S", "-c", `import os, _socket
if "WAITS" in os.environ:
    s = _socket.socket(fileno=3)
    s.send(b"R")
    told = s.recv(int.from_bytes(s.recv(4), "big")).split(b"\0")
    os.chdir(told[0])
    s.detach()
` + look}, Env: env, Dir: "/var/task", Task: task, Memory: 128 << 20, Storage: 16 << 20, Pids: 64, Socket: true,
		}
	}
	run := func(warm bool) string {
		b, err := d.Prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if warm {
			first := spec("WAITS=1")
			first.Dir = "/"
			if err := b.Warm(t.Context(), first); err != nil {
				t.Fatal(err)
			}
		}
		s, err := b.Start(t.Context(), spec("A=1", "SECRET="+strings.Repeat("x", 4000)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Kill(0)
		<-s.Done()
		out, err := io.ReadAll(s.Output())
		if err != nil {
			t.Fatal(err)
		}
		s.Output().Close()
		s.Socket().Close()
		return string(out)
	}
	cold, warm := run(false), run(true)
	if !strings.HasPrefix(cold, "b'A=1") || cold != warm {
		t.Errorf("started for its function, a program sees\n%s\nwarmed, it sees\n%s", cold, warm)
	}
}

// A function with more variables than there is room for is an error, and another
// sandbox will do.
func TestTooManyVariablesForAWarmProgram(t *testing.T) {
	d := open(t)
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spec := &sandbox.Spec{Name: "test", Argv: []string{"/bin/sh", "-c", "echo -n R >&3; read x <&3"}, Dir: "/", Task: t.TempDir(), Socket: true}
	if err := b.Warm(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	spec.Env = []string{"A=" + strings.Repeat("x", 2*room)}
	if s, err := b.Start(t.Context(), spec); err == nil {
		s.Kill(0)
		t.Error("it started")
	}
	if err := b.Discard(); err == nil {
		t.Error("the blank is still there")
	}
}
