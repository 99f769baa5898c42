package worker

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/fake"
)

// One program is kept while a runtime is in use, more while many are started, and
// none when it has not been for a while.
func TestHowManyProgramsAreExpected(t *testing.T) {
	now := time.Now()
	ago := func(all ...time.Duration) (starts []time.Time) {
		for _, d := range all {
			starts = append(starts, now.Add(-d))
		}
		return starts
	}
	for _, c := range []struct {
		starts []time.Time
		want   int
	}{
		{nil, 0},
		{ago(0), 2},
		{ago(recent), 2},
		{ago(recent + 1), 1},
		{ago(warmFor), 1},
		{ago(warmFor + 1), 0},
		{ago(time.Minute, time.Second, 0), 3},
		{ago(3, 2, 1, 0), 4},
	} {
		if got := expected(now, c.starts, 4); got != c.want {
			t.Errorf("after starts %v ago: %d, want %d", c.starts, got, c.want)
		}
	}
}

// A function that is started by variables its program would have read before, or
// by a wrapper, is started the long way.
func TestWhichFunctionsDoWithAWarmProgram(t *testing.T) {
	cmd := Command{Argv: []string{"node"}, Env: []string{"NODE_PATH=/opt"}, Socket: true, Warm: []string{"W=1"}, Early: []string{"NODE_", "LD_"}}
	for _, c := range []struct {
		cmd               Command
		vars              map[string]string
		provisioned, want bool
	}{
		{cmd, nil, false, true},
		{cmd, map[string]string{"A": "1", "MY_NODE_OPTIONS": ""}, false, true},
		{cmd, map[string]string{"NODE_PATH": "/opt"}, false, true}, // as the runtime's
		{cmd, map[string]string{"NODE_PATH": "/var/task/lib"}, false, false},
		{cmd, map[string]string{"NODE_OPTIONS": "--trace-gc"}, false, false},
		{cmd, map[string]string{"A": "1", "LD_PRELOAD": "/opt/x.so"}, false, false},
		{cmd, map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"}, false, false},
		{cmd, nil, true, false},
		{Command{Argv: []string{"node"}, Socket: true}, nil, false, false},
	} {
		e := &Environment{host: &Host{}, provisioned: c.provisioned, version: &lambda.Version{
			Config: lambda.Config{Runtime: "nodejs22.x", Env: &lambda.Environment{Variables: c.vars}}}}
		if got := e.warmable(c.cmd, e.variables(c.cmd)); got != c.want {
			t.Errorf("with %v, provisioned %t: %t", c.vars, e.provisioned, got)
		}
	}
}

// seen tells what the programs of a test have been started with and told.
type seen struct {
	mu    sync.Mutex
	lives []string

	waiting, ended chan struct{}
}

// program is a runtime that can be warmed: it serves nothing, but waits.
func (s *seen) program(ctx context.Context, spec *sandbox.Spec, p *fake.Process) sandbox.Exit {
	defer func() { s.ended <- struct{}{} }()
	how, vars := "cold", spec.Env
	if slices.Contains(spec.Env, "WARM=1") {
		how = "warm"
		if text := fmt.Sprint(*spec); strings.Contains(text, "secret") || strings.Contains(text, "fn") || spec.Task != "" {
			s.note("knows " + text)
		}
		p.Socket.Write([]byte{sandbox.Ready})
		s.waiting <- struct{}{}
		var size [4]byte
		if _, err := io.ReadFull(p.Socket, size[:]); err != nil {
			return sandbox.Exit{Code: 1}
		}
		b := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(p.Socket, b); err != nil {
			return sandbox.Exit{Code: 1}
		}
		vars = strings.Split(string(b), "\x00")
	}
	for _, v := range vars {
		if strings.HasPrefix(v, "SECRET=") || strings.HasPrefix(v, "WARM=") && how == "cold" {
			how += " " + v
		}
	}
	s.note(how)
	<-ctx.Done()
	return sandbox.Exit{}
}

func (s *seen) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives = append(s.lives, line)
}

// The first start of a runtime goes the long way and has programs warmed; the next
// find them, each its own; what is left is killed at the end.
func TestWarmProgramsServeOneFunctionEach(t *testing.T) {
	s := &seen{waiting: make(chan struct{}, 100), ended: make(chan struct{}, 100)}
	d := fake.New(s.program)
	cmd := Command{Argv: []string{"node"}, Socket: true, Warm: []string{"WARM=1"}, Early: []string{"NODE_"}}
	b := &book{idle: make(chan *Environment, 100), gone: make(chan *Environment, 100)}
	h := New(Config{
		Driver: d, Runtimes: commands{cmd}, Logs: b, Warm: 3,
		Unpack: func(context.Context, lambda.Code256) (string, error) { return "/code", nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	start := func(secret string, more ...string) {
		t.Helper()
		vars := map[string]string{"SECRET": secret}
		for _, name := range more {
			vars[name] = "1"
		}
		v := &lambda.Version{
			ID: lambda.FunctionID{Account: "123456789012", Region: "us-east-1", Name: "fn"}, Number: lambda.Latest,
			Config: lambda.Config{Runtime: "nodejs22.x", Handler: "m.f", Timeout: 3, Memory: 128, Storage: 512, Env: &lambda.Environment{Variables: vars}},
		}
		if _, err := h.Start(context.Background(), v, b, false); err != nil {
			t.Fatal(err)
		}
	}
	// A program that waits is surely in the pool when the next one waits.
	start("secret-1")
	await(t, s.waiting, "a program waits")
	await(t, s.waiting, "another waits")
	start("secret-2")
	await(t, s.waiting, "the first is replaced")
	await(t, s.waiting, "there is one more, since two have been started")
	start("secret-3")
	await(t, s.waiting, "the second is replaced")
	start("secret-4", "NODE_OPTIONS")
	cancel()
	await(t, done, "the host has stopped")
	for range 7 {
		await(t, s.ended, "all programs have ended")
	}
	slices.Sort(s.lives)
	got := strings.Join(s.lives, "\n")
	const want = "cold SECRET=secret-1\ncold SECRET=secret-4\nwarm SECRET=secret-2\nwarm SECRET=secret-3"
	if got != want {
		t.Errorf("lives:\n%s\nwant:\n%s", got, want)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// A program that died while it waited costs its function a start the long way, and
// no error; one that cannot be warmed is not tried for ever.
func TestAWarmProgramThatIsDeadIsPassedOver(t *testing.T) {
	s := &seen{waiting: make(chan struct{}, 100), ended: make(chan struct{}, 100)}
	die := make(chan struct{})
	d := fake.New(func(ctx context.Context, spec *sandbox.Spec, p *fake.Process) sandbox.Exit {
		if slices.Contains(spec.Env, "WARM=1") {
			p.Socket.Write([]byte{sandbox.Ready})
			<-die
			p.Socket.Close()
			s.ended <- struct{}{}
			return sandbox.Exit{Code: 1}
		}
		return s.program(ctx, spec, p)
	})
	cmd := Command{Argv: []string{"node"}, Socket: true, Warm: []string{"WARM=1"}}
	r := newRig(t, echo)
	h := New(Config{Driver: d, Runtimes: commands{cmd}, Logs: r.b, Unpack: r.h.cfg.Unpack, Warm: 1})
	b, err := h.warmed(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	h.pool.take(cmd, time.Now())
	k, _, _ := h.pool.due(time.Now())
	h.pool.fail(k, time.Now())
	if again, _, wait := h.pool.due(time.Now()); again != nil || wait > coolOff {
		t.Errorf("after a failure: warm %v, or look again in %v", again, wait)
	}
	h.pool.add(k, b)
	close(die)
	await(t, s.ended, "the program has died")
	r.run(h)
	if _, err := h.Start(context.Background(), r.v, r.b, false); err != nil {
		t.Errorf("start: %v", err)
	}
}
