//go:build unix

// Package sandboxtest is the suite that every driver of package sandbox passes,
// as far as its Capabilities claim. Only tests import it. The programs it runs
// are one-liners for the shell and for Python; a driver that runs no real
// programs has Play do in Go what they do.
package sandboxtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
)

const (
	mib  = 1 << 20
	wait = 30 * time.Second // for what must happen; only a failure takes that long
)

// suite is the driver under test and what it claims.
type suite struct {
	open func(*testing.T) sandbox.Driver
}

// Run runs the suite. open makes a driver and has t close it.
func Run(t *testing.T, open func(t *testing.T) sandbox.Driver) {
	s := suite{open}
	t.Run("TheProcessHasExactlyTheVariablesOfTheSpec", s.variables)
	t.Run("TheCodeIsTheWorkingDirectory", s.code)
	t.Run("OfTwoLayersTheLaterWins", s.layers)
	t.Run("BindsAreSeenInside", s.binds)
	t.Run("StdoutAndStderrArriveAsWritten", s.output)
	t.Run("TheListenerAcceptsTheProcess", s.listener)
	t.Run("DescriptorThreeIsTheSocket", s.socket)
	t.Run("AnExitStatusAndASignalAreTold", s.exits)
	t.Run("AProgramThatIsMissingIsAnErrorOfStart", s.missing)
	t.Run("KillLeavesNoDaemonBehind", s.daemon)
	t.Run("WithAGraceTheProcessIsAskedFirst", s.grace)
	t.Run("KillMayBeCalledOftenAndAtOnce", s.kills)
	t.Run("ABlankIsUsedOnce", s.once)
	t.Run("AFrozenProcessStandsStillUntilThawed", s.freeze)
	t.Run("AFrozenProcessCanBeKilled", s.frozenKill)
	t.Run("TmpHasTheSizeOfTheSpec", s.tmp)
	t.Run("WhatIsInTmpIsNotMemory", s.tmpIsNotMemory)
	t.Run("MemoryPastTheLimitEndsInAnOOMKill", s.memory)
	t.Run("ProcessesPastTheLimitAreRefused", s.pids)
	t.Run("StatsAreMeasured", s.stats)
	t.Run("ThirtyStartAtOnceAndAreApart", s.many)
	t.Run("AWarmProgramLearnsWhoseItIs", s.warm)
	t.Run("AWarmProgramHasTheLimitsOfItsFunction", s.warmLimits)
	t.Run("AProgramThatCannotBeWarmedUsesTheBlankUp", s.warmFails)
	t.Run("CloseKillsWhatThereIs", s.closes)
	t.Run("NothingLeaks", s.leaks)
}

func (s suite) spec(t *testing.T, program string) *sandbox.Spec {
	t.Helper()
	task := t.TempDir()
	if err := os.WriteFile(filepath.Join(task, "hello"), []byte("from the code\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{task, filepath.Dir(task)} {
		if err := os.Chmod(dir, 0o755); err != nil { // functions are another user
			t.Fatal(err)
		}
	}
	argv := []string{"/bin/sh", "-c", program}
	if strings.Contains(program, "import ") {
		argv = []string{"/usr/bin/python3", "-I", "-S", "-c", program}
	}
	return &sandbox.Spec{
		Name: "test", Argv: argv, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/var/task",
		Task: task, Memory: 256 * mib, Storage: 16 * mib, Pids: 64,
	}
}

func start(t *testing.T, d sandbox.Driver, spec *sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spec.Env = append(spec.Env, "AWS_LAMBDA_RUNTIME_API="+b.API())
	box, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, box) })
	return box
}

// end kills the sandbox and gives back what is the caller's.
func end(t *testing.T, box sandbox.Sandbox) {
	t.Helper()
	if err := box.Kill(0); err != nil {
		t.Errorf("kill: %v", err)
	}
	box.Output().Close()
	if c := box.Socket(); c != nil {
		c.Close()
	}
}

func exit(t *testing.T, box sandbox.Sandbox) sandbox.Exit {
	t.Helper()
	select {
	case <-box.Done():
		return box.Exit()
	case <-time.After(wait):
		t.Fatal("the process does not end")
		panic("unreachable")
	}
}

// run runs a program to its end and returns what it wrote.
func (s suite) run(t *testing.T, d sandbox.Driver, spec *sandbox.Spec) (string, sandbox.Exit) {
	t.Helper()
	box := start(t, d, spec)
	box.Output().SetReadDeadline(time.Now().Add(wait))
	out, err := io.ReadAll(box.Output())
	if err != nil {
		t.Fatalf("output %q: %v", out, err)
	}
	return string(out), exit(t, box)
}

// Programs. Play knows what each does.
const (
	printAll   = "echo out; echo err >&2; echo out again"
	readCode   = "cat hello"
	exitSeven  = "exit 7"
	crash      = "kill -SEGV $$"
	forever    = "echo up; while :; do sleep 1000; done"
	onTerm     = "import os, signal, time\ndef asked(*_):\n  os.write(1, b'asked\\n')\n  os._exit(3)\nsignal.signal(signal.SIGTERM, asked)\nprint('up', flush=True)\nwhile True: time.sleep(1000)"
	count      = "while :; do echo x; sleep 0.002; done"
	greetAPI   = "import os, _socket\nh, p = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')\nc = _socket.socket()\nc.connect((h, int(p)))\nc.send(b'hello from ' + os.environ['WHO'].encode() + b'\\n')\nprint(c.recv(100).decode())"
	greetOn3   = "import _socket\nc = _socket.socket(fileno=3)\nc.send(b'hello\\n')\nprint(c.recv(100).decode())"
	daemonise  = "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    os.write(1, b'daemon\\n')\n    while True: time.sleep(1000)\n  os._exit(0)\ntime.sleep(1000)"
	fillTmp    = "import os\nn = 0\nf = open('/tmp/fill', 'wb', 0)\ntry:\n  while True: n += f.write(b'x' * 65536)\nexcept OSError as e: print(e.errno, n)"
	keepTmp    = "import os\nwith open('/tmp/keep', 'wb', 0) as f:\n  for i in range(96): f.write(b'x' * (1 << 20))\nprint(os.stat('/tmp/keep').st_size)"
	eatMemory  = "import os\nkeep = []\nprint('up', flush=True)\nwhile True: keep.append(b'x' * (1 << 20))"
	forkMany   = "import os, time\nn = 0\ntry:\n  while n < 1000:\n    if os.fork() == 0: time.sleep(1000)\n    n += 1\nexcept OSError as e: print(e.errno, n, flush=True)"
	work       = "import os, time\nkeep = b'x' * (32 << 20)\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass\nprint('worked', flush=True)\ntime.sleep(1000)"
	await      = "import os, sys, _socket\ns = _socket.socket(fileno=3)\ns.send(b'R')\nn = int.from_bytes(s.recv(4), 'big')\ntold = s.recv(n).split(b'\\0')\nif not n: sys.exit()\nos.chdir(told[0])\n"
	beTold     = await + "print(*(v.decode() for v in told[1:-1]), open('hello').read().strip(), *sorted(os.listdir('/opt')), os.getcwd(), flush=True)"
	enoSpc     = 28
	eAgain     = 11
	greeting   = "hello back"
	variableOf = "AWS_LAMBDA_RUNTIME_API="
)

func (s suite) variables(t *testing.T) {
	d := s.open(t)
	spec := s.spec(t, "")
	spec.Argv = []string{"/usr/bin/env"}
	spec.Env = []string{"A=1", "EMPTY=", "B=two words"}
	out, _ := s.run(t, d, spec)
	got := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if !d.Capabilities().Isolated { // the way to a temporary directory, where /tmp is the host's
		got = slices.DeleteFunc(got, func(v string) bool { return strings.HasPrefix(v, "TMPDIR=") })
	}
	if !slices.Equal(got, spec.Env) {
		t.Errorf("variables %q, want %q", got, spec.Env)
	}
}

func (s suite) code(t *testing.T) {
	if out, _ := s.run(t, s.open(t), s.spec(t, readCode)); out != "from the code\n" {
		t.Errorf("the code reads %q", out)
	}
}

func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s suite) layers(t *testing.T) {
	d := s.open(t)
	if d.Level() == sandbox.Fake {
		t.Skip("it has no files")
	}
	spec := s.spec(t, "")
	spec.Argv = []string{"/bin/cat", "/opt/both", "/opt/lib/one", "/opt/lib/two"}
	spec.Layers = []string{
		files(t, map[string]string{"both": "1", "lib/one": "one"}),
		files(t, map[string]string{"both": "2", "lib/two": "two"}),
	}
	if out, _ := s.run(t, d, spec); out != "2onetwo" {
		t.Errorf("two layers read %q, want 2onetwo", out)
	}
	spec = s.spec(t, "")
	spec.Argv = []string{"/bin/cat", "/opt/alone"}
	spec.Layers = []string{files(t, map[string]string{"alone": "1"})}
	if out, _ := s.run(t, d, spec); out != "1" {
		t.Errorf("one layer reads %q, want 1", out)
	}
}

func (s suite) binds(t *testing.T) {
	d := s.open(t)
	if d.Level() == sandbox.Fake {
		t.Skip("it has no files")
	}
	spec := s.spec(t, "")
	spec.Argv = []string{"/bin/cat", "/var/runtime/client", "/somewhere/deep/file"}
	spec.Binds = []sandbox.Bind{
		{Host: files(t, map[string]string{"client": "client "}), Inside: "/var/runtime"},
		{Host: filepath.Join(files(t, map[string]string{"x": "file"}), "x"), Inside: "/somewhere/deep/file"},
	}
	if out, _ := s.run(t, d, spec); out != "client file" {
		t.Errorf("binds read %q", out)
	}
}

func (s suite) output(t *testing.T) {
	out, e := s.run(t, s.open(t), s.spec(t, printAll))
	if out != "out\nerr\nout again\n" || e != (sandbox.Exit{}) {
		t.Errorf("output %q, exit %+v", out, e)
	}
}

// greet accepts one connection, reads a line and answers.
func greet(c net.Conn) (string, error) {
	c.SetDeadline(time.Now().Add(wait))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "", err
	}
	_, err = io.WriteString(c, greeting)
	return strings.TrimSuffix(line, "\n"), err
}

func (s suite) listener(t *testing.T) {
	spec := s.spec(t, greetAPI)
	spec.Env = append(spec.Env, "WHO=one")
	box := start(t, s.open(t), spec)
	c, err := box.Listener().Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line, err := greet(c); line != "hello from one" || err != nil {
		t.Errorf("it said %q, %v", line, err)
	}
	box.Output().SetReadDeadline(time.Now().Add(wait))
	if out, err := io.ReadAll(box.Output()); string(out) != greeting+"\n" {
		t.Errorf("it heard %q, %v", out, err)
	}
}

func (s suite) socket(t *testing.T) {
	d := s.open(t)
	spec := s.spec(t, greetOn3)
	spec.Socket = true
	box := start(t, d, spec)
	if line, err := greet(box.Socket()); line != "hello" || err != nil {
		t.Errorf("it said %q, %v", line, err)
	}
	box.Output().SetReadDeadline(time.Now().Add(wait))
	if out, err := io.ReadAll(box.Output()); string(out) != greeting+"\n" {
		t.Errorf("it heard %q, %v", out, err)
	}
	if other := start(t, d, s.spec(t, exitSeven)); other.Socket() != nil {
		t.Error("there is a socket that nobody asked for")
	}
}

func (s suite) exits(t *testing.T) {
	d := s.open(t)
	if _, e := s.run(t, d, s.spec(t, exitSeven)); e != (sandbox.Exit{Code: 7}) {
		t.Errorf("exit 7 is told as %+v", e)
	}
	if _, e := s.run(t, d, s.spec(t, crash)); e != (sandbox.Exit{Signal: "segmentation fault"}) {
		t.Errorf("a crash is told as %+v", e)
	}
}

func (s suite) missing(t *testing.T) {
	d := s.open(t)
	if d.Level() == sandbox.Fake {
		t.Skip("it has no programs")
	}
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spec := s.spec(t, "")
	spec.Argv = []string{"/var/task/no-such-program"}
	if _, err := b.Start(t.Context(), spec); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing program: %v", err)
	}
}

func line(t *testing.T, box sandbox.Sandbox, want string) {
	t.Helper()
	box.Output().SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, len(want)+1)
	if _, err := io.ReadFull(box.Output(), b); err != nil || string(b) != want+"\n" {
		t.Fatalf("output %q, %v; want %q", b, err, want)
	}
}

func (s suite) daemon(t *testing.T) {
	d := s.open(t)
	box := start(t, d, s.spec(t, daemonise))
	line(t, box, "daemon")
	if err := box.Kill(0); err != nil {
		t.Error(err)
	}
	if !d.Capabilities().KillTree {
		t.Skip("it does not claim to find them all")
	}
	// The daemon has the pipe, which so is at its end only when the daemon is.
	raw, err := box.Output().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	var n int
	raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), b[:])
		return true
	})
	if n != 0 || err != nil {
		t.Errorf("after Kill the output is not at its end: %d, %v", n, err)
	}
	if e := box.Exit(); e != (sandbox.Exit{Signal: "killed"}) {
		t.Errorf("killed is told as %+v", e)
	}
}

func (s suite) grace(t *testing.T) {
	box := start(t, s.open(t), s.spec(t, onTerm))
	line(t, box, "up")
	if err := box.Kill(wait); err != nil {
		t.Error(err)
	}
	if e := box.Exit(); e != (sandbox.Exit{Code: 3}) {
		t.Errorf("it ended with %+v, want its own status 3", e)
	}
	line(t, box, "asked")
}

func (s suite) kills(t *testing.T) {
	box := start(t, s.open(t), s.spec(t, forever))
	line(t, box, "up")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := box.Kill(0); err != nil {
				t.Error(err)
			}
			select {
			case <-box.Done():
			default:
				t.Error("a Kill returned before the process had ended")
			}
		})
	}
	wg.Wait()
	if _, err := box.Listener().Accept(); err == nil {
		t.Error("the listener still accepts")
	}
}

func (s suite) once(t *testing.T) {
	d := s.open(t)
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(); err != nil {
		t.Error(err)
	}
	if box, err := b.Start(t.Context(), s.spec(t, exitSeven)); err == nil {
		end(t, box)
		t.Error("a blank started after it was discarded")
	}
	b, err = d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	box, err := b.Start(t.Context(), s.spec(t, exitSeven))
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, box)
	if again, err := b.Start(t.Context(), s.spec(t, exitSeven)); err == nil {
		end(t, again)
		t.Error("a blank started twice")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Prepare(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Prepare for nobody: %v", err)
	}
}

// drain reads what has been written so far.
func drain(box sandbox.Sandbox, within time.Duration) (n int) {
	b := make([]byte, 4096)
	for {
		box.Output().SetReadDeadline(time.Now().Add(within))
		k, err := box.Output().Read(b)
		n += k
		if err != nil {
			return n
		}
	}
}

func (s suite) freeze(t *testing.T) {
	d := s.open(t)
	if !d.Capabilities().Freeze {
		t.Skip("it does not freeze")
	}
	box := start(t, d, s.spec(t, count))
	for range 3 {
		line(t, box, "x")
		if err := box.Freeze(); err != nil {
			t.Fatal(err)
		}
		drain(box, time.Millisecond)
		if n := drain(box, 50*time.Millisecond); n > 0 {
			t.Errorf("frozen, it wrote %d bytes", n)
		}
		if err := box.Thaw(); err != nil {
			t.Fatal(err)
		}
	}
	line(t, box, "x")
}

func (s suite) frozenKill(t *testing.T) {
	d := s.open(t)
	if !d.Capabilities().Freeze {
		t.Skip("it does not freeze")
	}
	box := start(t, d, s.spec(t, onTerm))
	line(t, box, "up")
	if err := box.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := box.Kill(wait); err != nil {
		t.Error(err)
	}
	if e := box.Exit(); e.Code != 3 {
		t.Errorf("frozen and asked to end, it ended with %+v", e)
	}
	box = start(t, d, s.spec(t, forever))
	line(t, box, "up")
	if err := box.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := box.Kill(0); err != nil {
		t.Error(err)
	}
}

func (s suite) tmp(t *testing.T) {
	d := s.open(t)
	if !d.Capabilities().TmpLimit {
		t.Skip("it does not limit /tmp")
	}
	if out, e := s.run(t, d, s.spec(t, fillTmp)); out != fmt.Sprintln(enoSpc, 16*mib) || e != (sandbox.Exit{}) {
		t.Errorf("filling /tmp of %d bytes: error and bytes %q, exit %+v", 16*mib, out, e)
	}
}

func (s suite) tmpIsNotMemory(t *testing.T) {
	d := s.open(t)
	if !d.Capabilities().TmpLimit || !d.Capabilities().MemoryLimit {
		t.Skip("it does not limit both")
	}
	spec := s.spec(t, keepTmp)
	spec.Memory, spec.Storage = 64*mib, 128*mib
	if out, e := s.run(t, d, spec); out != fmt.Sprintln(96*mib) || e != (sandbox.Exit{}) {
		t.Errorf("96 MiB in /tmp with 64 MiB of memory: %q, exit %+v", out, e)
	}
	spec = s.spec(t, keepTmp+"\n"+eatMemory) // and then the limit is where it was
	spec.Memory, spec.Storage = 64*mib, 512*mib
	box := start(t, d, spec)
	if e := exit(t, box); !e.OOM {
		t.Errorf("past the limit with a full /tmp: exit %+v", e)
	}
	if st, err := box.Stats(); err != nil || st.MemoryPeak > 64*mib {
		t.Errorf("peak %d of %d, %v", st.MemoryPeak, 64*mib, err)
	}
}

func (s suite) memory(t *testing.T) {
	d := s.open(t)
	if !d.Capabilities().MemoryLimit {
		t.Skip("it does not limit memory")
	}
	for _, storage := range []int64{0, 512 * mib} {
		spec := s.spec(t, eatMemory)
		spec.Memory, spec.Storage = 64*mib, storage
		box := start(t, d, spec)
		if e := exit(t, box); e != (sandbox.Exit{Signal: "killed", OOM: true}) {
			t.Errorf("out of memory with %d bytes of /tmp is told as %+v", storage, e)
		}
		if st, err := box.Stats(); err != nil || st.MemoryPeak < 32*mib {
			t.Errorf("peak %d, %v", st.MemoryPeak, err)
		}
	}
}

func (s suite) pids(t *testing.T) {
	d := s.open(t)
	if !d.Capabilities().PidsLimit {
		t.Skip("it does not limit processes")
	}
	spec := s.spec(t, forkMany)
	spec.Pids = 20
	box := start(t, d, spec)
	var errno, n int
	box.Output().SetReadDeadline(time.Now().Add(wait))
	if _, err := fmt.Fscan(box.Output(), &errno, &n); err != nil || errno != eAgain || n != 19 {
		t.Errorf("of 20 processes, %d more could be started; errno %d, %v", n, errno, err)
	}
}

func (s suite) stats(t *testing.T) {
	d := s.open(t)
	if !d.Capabilities().MemoryLimit {
		t.Skip("it does not measure")
	}
	box := start(t, d, s.spec(t, work))
	line(t, box, "worked")
	st, err := box.Stats()
	if err != nil || st.MemoryPeak < 32*mib || st.CPU < 100*time.Millisecond || st.Pids != 1 {
		t.Errorf("one process that held 32 MiB and worked 100 ms: %+v, %v", st, err)
	}
}

func (s suite) many(t *testing.T) {
	d := s.open(t)
	var wg sync.WaitGroup
	for i := range 30 {
		who := fmt.Sprint("number ", i)
		spec := s.spec(t, greetAPI)
		spec.Env = append(spec.Env, "WHO="+who)
		wg.Go(func() {
			b, err := d.Prepare(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			spec.Env = append(spec.Env, variableOf+b.API())
			box, err := b.Start(t.Context(), spec)
			if err != nil {
				t.Error(err)
				return
			}
			defer end(t, box)
			c, err := box.Listener().Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if line, err := greet(c); line != "hello from "+who || err != nil {
				t.Errorf("%s is heard as %q, %v", who, line, err)
			}
		})
	}
	wg.Wait()
}

// warmed makes a blank with a program that waits.
func (s suite) warmed(t *testing.T, d sandbox.Driver, program string) (sandbox.Blank, *sandbox.Spec) {
	t.Helper()
	if !d.Capabilities().Warm {
		t.Skip("it starts nothing ahead of need")
	}
	spec := s.spec(t, program)
	spec.Socket = true
	blind := *spec
	blind.Task, blind.Dir, blind.Env = "", "/", []string{"WAITS=1"}
	blind.Memory, blind.Storage = 0, 0
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Warm(t.Context(), &blind); err != nil {
		t.Fatal(err)
	}
	return b, spec
}

func (s suite) warm(t *testing.T) {
	b, spec := s.warmed(t, s.open(t), beTold)
	spec.Env = []string{"A=1", "EMPTY="}
	spec.Layers = []string{files(t, map[string]string{"one": ""})}
	box, err := b.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer end(t, box)
	line(t, box, "A=1 EMPTY= from the code one /var/task")
	if e := exit(t, box); e != (sandbox.Exit{}) {
		t.Errorf("it ended with %+v", e)
	}
	if again, err := b.Start(t.Context(), spec); err == nil {
		end(t, again)
		t.Error("a warm blank started twice")
	}
}

func (s suite) warmLimits(t *testing.T) {
	d := s.open(t)
	if c := d.Capabilities(); !c.TmpLimit || !c.MemoryLimit || !c.PidsLimit {
		t.Skip("it does not limit")
	}
	run := func(program string) (sandbox.Sandbox, string) {
		b, spec := s.warmed(t, d, await+program)
		spec.Memory, spec.Pids = 64*mib, 20
		box, err := b.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end(t, box) })
		box.Output().SetReadDeadline(time.Now().Add(wait))
		text, _ := bufio.NewReader(box.Output()).ReadString('\n')
		return box, text
	}
	if _, out := run(fillTmp); out != fmt.Sprintln(enoSpc, 16*mib) {
		t.Errorf("filling /tmp of %d bytes: %q", 16*mib, out)
	}
	if _, out := run(forkMany); out != fmt.Sprintln(eAgain, 19) {
		t.Errorf("of 20 processes, this many more could be started: %q", out)
	}
	box, _ := run(eatMemory)
	if e := exit(t, box); e != (sandbox.Exit{Signal: "killed", OOM: true}) {
		t.Errorf("out of memory is told as %+v", e)
	}
}

func (s suite) warmFails(t *testing.T) {
	d := s.open(t)
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spec := s.spec(t, exitSeven)
	spec.Socket = true
	if err := b.Warm(t.Context(), spec); err == nil || d.Capabilities().Warm == errors.Is(err, sandbox.ErrCold) {
		t.Errorf("a program that ends instead of waiting: %v", err)
	}
	if err := b.Discard(); err == nil {
		t.Error("the blank is still there")
	}
}

func (s suite) closes(t *testing.T) {
	d := s.open(t)
	box := start(t, d, s.spec(t, daemonise))
	line(t, box, "daemon")
	if _, err := d.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-box.Done():
	default:
		t.Error("a process outlives its driver")
	}
}

func (s suite) leaks(t *testing.T) {
	cycle := func() {
		d := s.open(t)
		b, err := d.Prepare(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Discard(); err != nil {
			t.Error(err)
		}
		if d.Capabilities().Warm {
			b, _ := s.warmed(t, d, beTold)
			if err := b.Discard(); err != nil {
				t.Error(err)
			}
			b, spec := s.warmed(t, d, beTold)
			box, err := b.Start(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			end(t, box)
			s.warmed(t, d, beTold) // for Close
		}
		for _, program := range []string{exitSeven, forever, daemonise} {
			spec := s.spec(t, program)
			spec.Socket = true
			end(t, start(t, d, spec))
		}
		if d.Level() != sandbox.Fake {
			b, err = d.Prepare(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			spec := s.spec(t, "")
			spec.Argv = []string{"/no-such-program"}
			if _, err := b.Start(t.Context(), spec); err == nil {
				t.Error("a missing program started")
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	cycle() // what is opened once, such as the poller, is open now
	before := held()
	for range 3 { // more than what may be on its way out before
		cycle()
	}
	// The last references to what has ended are dropped by the kernel in its time.
	after, until := held(), time.Now().Add(wait)
	for after.moreThan(before) && time.Now().Before(until) {
		time.Sleep(10 * time.Millisecond)
		after = held()
	}
	if after.moreThan(before) {
		t.Errorf("before drivers came and went, this process had %+v; after, %+v", before, after)
	}
}

// holdings is what this process has of the host.
type holdings struct{ descriptors, mounts, children int }

func (h holdings) moreThan(before holdings) bool {
	return h.descriptors > before.descriptors || h.mounts > before.mounts || h.children > before.children
}

func held() (h holdings) {
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		h.descriptors = len(fds)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		h.mounts = bytes.Count(mounts, []byte("\n"))
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		h.children += len(strings.Fields(string(b)))
	}
	return h
}
