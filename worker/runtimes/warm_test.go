//go:build linux && (amd64 || arm64)

package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker"
	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/namespaces"
)

// counted tells when blanks have been warmed, and when such are started.
type counted struct {
	sandbox.Driver
	warmed, started chan struct{}
}

type countedBlank struct {
	sandbox.Blank
	d    counted
	warm bool
}

func (d counted) Prepare(ctx context.Context) (sandbox.Blank, error) {
	b, err := d.Driver.Prepare(ctx)
	if err != nil {
		return nil, err
	}
	return &countedBlank{Blank: b, d: d}, nil
}

func (b *countedBlank) Warm(ctx context.Context, spec *sandbox.Spec) error {
	err := b.Blank.Warm(ctx, spec)
	if err == nil {
		b.warm = true
		b.d.warmed <- struct{}{}
	}
	return err
}

func (b *countedBlank) Start(ctx context.Context, spec *sandbox.Spec) (sandbox.Sandbox, error) {
	s, err := b.Blank.Start(ctx, spec)
	if err == nil && b.warm {
		b.d.started <- struct{}{}
	}
	return s, err
}

type owner struct{ idle, gone chan *worker.Environment }

func (o owner) Idle(e *worker.Environment) { o.idle <- e }
func (o owner) Gone(e *worker.Environment) { o.gone <- e }

type recorder struct{ bytes.Buffer }

func (*recorder) Begin(lambda.Head) {}

func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain until %s", what)
		panic("unreachable")
	}
}

// Functions that tell what they find, leave traces everywhere, and look through
// the memory of their process for another's secret, which is never there in one
// piece for their looking.
var tellers = map[string]map[string]string{
	"python3.13": {"m.py": `import os, sys, builtins, resource
def handler(event, context):
    hits = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as mem:
        for line in maps:
            if " rw" not in line or "[v" in line: continue
            start, end = (int(x, 16) for x in line.split(" ")[0].split("-"))
            mem.seek(start)
            b, at = mem.read(end - start), -1
            while (at := b.find(b"canary-", at + 1)) >= 0:
                hits += b[at + 7 : at + 8] == event["other"].encode()
    with open("/proc/self/environ", "rb") as f: environ = f.read().rstrip(b"\0").decode()
    marks = [hasattr(builtins, "mark"), "MARK" in os.environ, os.path.exists("/tmp/mark")]
    out = {"env": dict(os.environ), "environ": environ, "marks": marks, "hits": hits, "tmp": os.listdir("/tmp"),
        "cwd": os.getcwd(), "argv": sys.argv, "path": sys.path, "flags": repr(sys.flags), "task": os.listdir("/var/task"),
        "fds": [fd for fd in range(64) if os.path.exists("/proc/self/fd/%d" % fd)][:4], "cmdline": open("/proc/self/cmdline").read(),
        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "umask": os.umask(0o22), "pid": os.getpid(), "own": event["own"]}
    builtins.mark = os.environ["MARK"] = "x"
    open("/tmp/mark", "w").close()
    return out
`},
	"nodejs22.x": {"m.js": `const fs = require('fs');
exports.handler = async (event) => {
  let hits = 0;
  const mem = fs.openSync('/proc/self/mem', 'r');
  for (const line of fs.readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    if (!/ rw/.test(line) || /\[v/.test(line)) continue;
    const [start, end] = line.split(' ')[0].split('-').map((x) => BigInt('0x' + x));
    for (let at = start; at < end; at += 1n << 20n) {
      const b = Buffer.alloc(Math.min(1 << 20, Number(end - at)));
      try { fs.readSync(mem, b, 0, b.length, at); } catch { continue; }
      for (let i = -1; (i = b.indexOf('canary-', i + 1)) >= 0; ) hits += b[i + 7] === event.other.charCodeAt(0);
    }
  }
  fs.closeSync(mem);
  const environ = fs.readFileSync('/proc/self/environ', 'latin1').replace(/\0+$/, '');
  const marks = [globalThis.mark !== undefined, 'MARK' in process.env, fs.existsSync('/tmp/mark')];
  const out = { env: { ...process.env }, environ, marks, hits, tmp: fs.readdirSync('/tmp'), cwd: process.cwd(), argv: process.argv,
    execArgv: process.execArgv, title: process.title, main: require.main.filename, cache: Object.keys(require.cache), children: require.main.children.length,
    globals: Object.getOwnPropertyNames(globalThis).sort(), paths: module.paths, task: fs.readdirSync('/var/task'),
    cmdline: fs.readFileSync('/proc/self/cmdline', 'latin1'), umask: process.umask(), pid: process.pid, own: event.own,
    heap: require('v8').getHeapStatistics().heap_size_limit, zone: new Date(0).toString(), handles: process._getActiveHandles().length };
  globalThis.mark = process.env.MARK = 'x';
  fs.writeFileSync('/tmp/mark', '');
  return out;
};
`},
}

// What a function finds is the same whether its process was started for it or
// before; nothing of a function before it is among that.
func TestAPoolShowsNothingOfOneFunctionToAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: isolation takes root")
	}
	all, err := set()
	if err != nil {
		t.Fatal(err)
	}
	for runtime, files := range tellers {
		t.Run(runtime, func(t *testing.T) {
			if _, err := all.Find(runtime); err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			for _, d := range []string{dir, filepath.Dir(dir)} {
				if err := os.Chmod(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			inner, err := namespaces.New(namespaces.Options{Dir: filepath.Join(t.TempDir(), "sandbox")})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := inner.Close(); err != nil {
					t.Error(err)
				}
			}()
			d := counted{inner, make(chan struct{}, 100), make(chan struct{}, 100)}
			h := worker.New(worker.Config{
				Driver: d, Runtimes: all, Warm: 2,
				Unpack: func(context.Context, lambda.Code256) (string, error) { return dir, nil },
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); h.Run(ctx) }()
			defer func() { cancel(); <-done }()

			o := owner{make(chan *worker.Environment, 10), make(chan *worker.Environment, 10)}
			// tell has a function whose secret is of a letter tell, with that of another to
			// look for.
			tell := func(own, other string) map[string]any {
				t.Helper()
				v := &lambda.Version{
					ID: lambda.FunctionID{Account: "123456789012", Region: "us-east-1", Name: "fn"}, Number: lambda.Latest,
					Config: lambda.Config{Runtime: runtime, Handler: "m.handler", Timeout: 60, Memory: 512, Storage: 512,
						Env: &lambda.Environment{Variables: map[string]string{"SECRET": "canary-" + own}}},
				}
				e, err := h.Start(t.Context(), v, o, false)
				if err != nil {
					t.Fatal(err)
				}
				receive(t, o.idle, "it is initialised")
				var w recorder
				out, err := e.Invoke(&lambda.Invocation{
					Ref: lambda.Ref{FunctionID: v.ID}, RequestID: "id", Payload: []byte(`{"own": "` + own + `", "other": "` + other + `"}`),
				}, &w)
				if err != nil || out.Fault != nil {
					t.Fatalf("%v, %+v: %s", err, out.Fault, w.String())
				}
				var found map[string]any
				if err := json.Unmarshal(w.Bytes(), &found); err != nil {
					t.Fatal(err)
				}
				return found
			}
			cold := tell("A", "B")
			receive(t, d.warmed, "a program is warm")
			receive(t, d.warmed, "another is, and the first in the pool")
			if len(d.started) != 0 {
				t.Fatal("the first start was warm")
			}
			warm := tell("B", "A")
			if len(d.started) != 1 {
				t.Fatal("the second start was not warm")
			}
			if warm["hits"] != 0. {
				t.Errorf("its memory has %v secrets of the other", warm["hits"])
			}
			stream := regexp.MustCompile(`\[\$LATEST\][0-9a-f]{32}`)
			for name := range cold {
				if name == "own" {
					continue
				}
				a, _ := json.Marshal(cold[name])
				b, _ := json.Marshal(warm[name])
				want := stream.ReplaceAllString(strings.ReplaceAll(string(a), "canary-A", "canary-B"), "")
				if got := stream.ReplaceAllString(string(b), ""); got != want {
					t.Errorf("%s: a process of a pool finds\n%s\nand one started for its function\n%s", name, got, want)
				}
			}
		})
	}
}
