package process

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// What a function may have of the host's files, and of its processes.
func TestLandlockKeepsFunctionsFromTheHost(t *testing.T) {
	if !findLandlock().any() {
		t.Skip("this kernel has no Landlock")
	}
	// Not below /tmp, which functions may use.
	home, err := os.MkdirTemp("/var/tmp", "lambent-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	for _, dir := range []string{"task", "other", "layer", "runtime"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, dir, dir+".txt"), []byte(dir), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d, err := New(Options{Dir: filepath.Join(home, "sandbox")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const try = `
import errno, os, sys, tempfile
home, server = sys.argv[1], int(sys.argv[2])
def attempt(name, f):
    try: f(); print(name, 'ok')
    except OSError as e: print(name, errno.errorcode[e.errno])
def move():
    d = tempfile.mkdtemp()
    os.mkdir(d + '/a'); open(d + '/f', 'w').close(); os.rename(d + '/f', d + '/a/f')
attempt('own code', lambda: open('task.txt').read())
attempt('layer', lambda: open(os.environ['OPT'] + '/layer.txt').read())
attempt('bind', lambda: open(os.environ['RUNTIME'] + '/runtime.txt').read())
attempt('temporary files', move)
attempt('/tmp', lambda: os.rmdir(tempfile.mkdtemp(dir='/tmp')))
attempt('/dev/null', lambda: open('/dev/null', 'w').write('x'))
attempt('/dev/stdout', lambda: open('/dev/stdout', 'w').close())
attempt('subprocess', lambda: __import__('subprocess').run(['/bin/true'], check=True))
attempt('thread', lambda: __import__('threading').Thread(target=print).start())
attempt('write own code', lambda: open('x', 'w'))
attempt('other code', lambda: open(home + '/other/other.txt').read())
attempt('list', lambda: os.listdir(home))
attempt('link out', lambda: (os.symlink(home + '/other/other.txt', os.environ['TMPDIR'] + '/l'), open(os.environ['TMPDIR'] + '/l').read()))
attempt('passwords', lambda: open('/etc/shadow').read())
attempt('server variables', lambda: open('/proc/%d/environ' % server).read())
attempt('server memory', lambda: open('/proc/%d/mem' % server))
attempt('server files', lambda: os.listdir('/proc/%d/fd/0' % server))
attempt('server root', lambda: os.listdir('/proc/%d/root' % server))
capabilities = [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')][0]
print('capabilities', int(capabilities, 16))
attempt('server signal', lambda: os.kill(server, 0))
`
	s, err := b.Start(t.Context(), &sandbox.Spec{
		Name: "test", Argv: []string{"/usr/bin/python3", "-I", "-c", try, home, fmt.Sprint(os.Getpid())},
		Env: []string{"PATH=/usr/bin:/bin", "OPT=/opt", "RUNTIME=/var/runtime"}, Dir: "/var/task",
		Task: filepath.Join(home, "task"), Layers: []string{filepath.Join(home, "layer"), t.TempDir()},
		Binds: []sandbox.Bind{{Host: filepath.Join(home, "runtime"), Inside: "/var/runtime"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Output().Close()
	defer s.Kill(0)
	s.Output().SetReadDeadline(time.Now().Add(30 * time.Second))
	out, err := io.ReadAll(s.Output())
	if err != nil {
		t.Fatalf("%q, %v", out, err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			got[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	for name, want := range map[string]string{
		"own code": "ok", "layer": "ok", "bind": "ok", "temporary files": "ok", "/tmp": "ok", "/dev/null": "ok",
		"/dev/stdout": "ok", "subprocess": "ok", "thread": "ok",
		"write own code": "EACCES", "other code": "EACCES", "list": "EACCES", "link out": "EACCES",
		"passwords": "EACCES", "server variables": "EACCES", "server memory": "EACCES", "server files": "EACCES", "server root": "EACCES",
		"capabilities": "0",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %s", name, got[name], want)
		}
	}
	if v := findLandlock().version; v >= 6 && got["server signal"] != "EPERM" {
		t.Errorf("server signal: %q, want EPERM", got["server signal"])
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
	// The server itself is as free as before.
	if _, err := os.ReadFile(filepath.Join(home, "other", "other.txt")); err != nil {
		t.Error(err)
	}
}
