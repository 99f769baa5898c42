package worker

import (
	"bytes"
	"context"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/sandbox"
	"golang.org/x/sys/unix"
)

// lean is a driver whose one process is a goroutine that echoes events over an
// inherited socket and allocates nothing, so that what is measured is the host.
type lean struct{ pipelined bool }

func (lean) Level() sandbox.Level                             { return sandbox.Fake }
func (lean) Capabilities() sandbox.Capabilities               { return sandbox.Capabilities{} }
func (lean) Close() error                                     { return nil }
func (d lean) Prepare(context.Context) (sandbox.Blank, error) { return d, nil }
func (lean) API() string                                      { return "127.0.0.1:9001" }
func (lean) Discard() error                                   { return nil }
func (lean) Warm(context.Context, *sandbox.Spec) error        { return sandbox.ErrCold }
func (d lean) Start(context.Context, *sandbox.Spec) (sandbox.Sandbox, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if ends[i], err = net.FileConn(f); err != nil {
			return nil, err
		}
		f.Close()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	b := &leanBox{l: l, ours: ends[0], theirs: ends[1], out: r, w: w, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		echoLoop(b.theirs, d.pipelined)
		w.Close()
	}()
	return b, nil
}

type leanBox struct {
	l            net.Listener
	ours, theirs net.Conn
	out, w       *os.File
	done         chan struct{}
}

func (b *leanBox) Listener() net.Listener        { return b.l }
func (b *leanBox) Socket() net.Conn              { return b.ours }
func (b *leanBox) Output() *os.File              { return b.out }
func (b *leanBox) Freeze() error                 { return nil }
func (b *leanBox) Thaw() error                   { return nil }
func (b *leanBox) Stats() (sandbox.Stats, error) { return sandbox.Stats{MemoryPeak: 1 << 20}, nil }
func (b *leanBox) Kill(time.Duration) error      { b.theirs.Close(); <-b.done; return nil }
func (b *leanBox) Done() <-chan struct{}         { return b.done }
func (b *leanBox) Exit() sandbox.Exit            { return sandbox.Exit{} }

// echoLoop answers events with themselves.
func echoLoop(c net.Conn, pipelined bool) {
	next := []byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
	buf, out := make([]byte, 0, 64<<10), make([]byte, 0, 64<<10)
	var head, body []byte
	message := func() bool { // the first message of buf
		for {
			if i := bytes.Index(buf, []byte("\r\n\r\n")); i >= 0 {
				head = buf[:i]
				n := 0
				for _, d := range head[bytes.Index(head, []byte("Content-Length: "))+16:] {
					if d < '0' || d > '9' {
						break
					}
					n = n*10 + int(d-'0')
				}
				if len(buf) >= i+4+n {
					body = buf[i+4 : i+4+n]
					return true
				}
			}
			n, err := c.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return false
			}
			buf = buf[:len(buf)+n]
		}
	}
	consume := func() { buf = buf[:copy(buf, buf[len(head)+4+len(body):])] }
	c.Write(next)
	for first := true; ; first = false {
		if pipelined && !first {
			if !message() { // the 202
				return
			}
			consume()
		}
		if !message() {
			return
		}
		i := bytes.Index(head, []byte("Request-Id: ")) + 12
		id := head[i : i+bytes.IndexByte(head[i:], '\r')]
		out = append(append(append(out[:0], "POST /2018-06-01/runtime/invocation/"...), id...), "/response HTTP/1.1\r\nHost: x\r\nContent-Length: "...)
		out = append(append(strconv.AppendInt(out, int64(len(body)), 10), "\r\n\r\n"...), body...)
		if pipelined {
			out = append(out, next...)
		}
		consume()
		c.Write(out)
		if !pipelined {
			if !message() {
				return
			}
			consume()
			c.Write(next)
		}
	}
}

type signal chan *Environment

func (s signal) Idle(e *Environment) { s <- e }
func (s signal) Gone(*Environment)   {}

type discard struct{}

func (discard) Begin(lambda.Head)           {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// leanEnvironment starts an environment and returns what runs one invocation.
func leanEnvironment(tb testing.TB, pipelined bool) (invoke func()) {
	ctx, cancel := context.WithCancel(context.Background())
	h := New(Config{Driver: lean{pipelined}, Runtimes: commands{Command{Socket: true}},
		Unpack: func(context.Context, lambda.Code256) (string, error) { return "/code", nil }})
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	tb.Cleanup(func() { cancel(); <-done })
	v := &lambda.Version{ID: lambda.FunctionID{Account: "123456789012", Region: "us-east-1", Name: "fn"},
		Number: lambda.Latest, Config: lambda.Config{Runtime: "python3.13", Timeout: 60, Memory: 128}}
	idle := make(signal, 1)
	if _, err := h.Start(ctx, v, idle, false); err != nil {
		tb.Fatal(err)
	}
	inv := &lambda.Invocation{Ref: lambda.Ref{FunctionID: v.ID}, RequestID: "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
		Payload: []byte(`{"message":"hello world"}`), Trace: "Root=1-5759e988-bd862e3fe1be46a994272793"}
	return func() {
		e := <-idle
		if out, err := e.Invoke(inv, discard{}); err != nil || out.Fault != nil {
			tb.Fatal(out, err)
		}
	}
}

func benchmark(b *testing.B, pipelined bool) {
	invoke := leanEnvironment(b, pipelined)
	b.ReportAllocs()
	for b.Loop() {
		invoke()
	}
}

// One invocation from event to idle, log lines included, over an inherited
// socket: with a client that sends its next poll behind its answer, and with
// one that waits for the 202.
func BenchmarkInvoke(b *testing.B) {
	b.Run("pipelined", func(b *testing.B) { benchmark(b, true) })
	b.Run("waiting", func(b *testing.B) { benchmark(b, false) })
}

// A warm invocation with a pipelining client allocates nothing.
func TestAWarmInvocationAllocatesNothing(t *testing.T) {
	invoke := leanEnvironment(t, true)
	if n := testing.AllocsPerRun(500, invoke); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
