package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/sandbox"
)

// stand is a driver whose processes are goroutines of the test.
type stand struct {
	t    testing.TB
	main func(*process) sandbox.Exit
	fail error // of Start

	mu    sync.Mutex
	specs []*sandbox.Spec
	blank int // blanks that exist
	made  chan struct{}
}

func (d *stand) Level() sandbox.Level               { return sandbox.Fake }
func (d *stand) Capabilities() sandbox.Capabilities { return sandbox.Capabilities{Freeze: true} }
func (d *stand) Close() error                       { return nil }

func (d *stand) Prepare(context.Context) (sandbox.Blank, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.blank++
	d.mu.Unlock()
	select {
	case d.made <- struct{}{}:
	default:
	}
	return &standBlank{d, l}, nil
}

type standBlank struct {
	d *stand
	l net.Listener
}

func (b *standBlank) API() string { return b.l.Addr().String() }
func (b *standBlank) used() {
	b.d.mu.Lock()
	b.d.blank--
	b.d.mu.Unlock()
}
func (b *standBlank) Discard() error { b.used(); return b.l.Close() }

func (b *standBlank) Warm(context.Context, *sandbox.Spec) error {
	return errors.Join(sandbox.ErrCold, b.Discard())
}

func (b *standBlank) Start(_ context.Context, spec *sandbox.Spec) (sandbox.Sandbox, error) {
	b.used()
	if b.d.fail != nil {
		b.l.Close()
		return nil, b.d.fail
	}
	b.d.mu.Lock()
	b.d.specs = append(b.d.specs, spec)
	b.d.mu.Unlock()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &standBox{l: b.l, out: r, done: make(chan struct{}), thawed: make(chan struct{})}
	close(s.thawed)
	p := &process{t: b.d.t, addr: b.API(), spec: spec, out: w, killed: make(chan struct{}), box: s}
	s.p = p
	go func() {
		exit := b.d.main(p)
		p.hangUp()
		w.Close()
		s.exit = exit
		close(s.done)
	}()
	return s, nil
}

type standBox struct {
	l    net.Listener
	out  *os.File
	p    *process
	done chan struct{}
	exit sandbox.Exit
	once sync.Once

	mu     sync.Mutex
	thawed chan struct{} // closed while it runs
	frozen int
}

func (s *standBox) Listener() net.Listener { return s.l }
func (s *standBox) Socket() net.Conn       { return nil }
func (s *standBox) Output() *os.File       { return s.out }
func (s *standBox) Freeze() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thawed = make(chan struct{})
	s.frozen++
	return nil
}
func (s *standBox) Thaw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.thawed)
	return nil
}
func (s *standBox) Stats() (sandbox.Stats, error) { return sandbox.Stats{MemoryPeak: 36 << 20}, nil }
func (s *standBox) Kill(time.Duration) error {
	s.once.Do(func() { close(s.p.killed); s.p.hangUp() })
	<-s.done
	return nil
}
func (s *standBox) Done() <-chan struct{} { return s.done }
func (s *standBox) Exit() sandbox.Exit    { return s.exit }

// process is what a function's process can do.
type process struct {
	t      testing.TB
	addr   string
	spec   *sandbox.Spec
	out    *os.File
	killed chan struct{}
	box    *standBox

	mu    sync.Mutex
	conns []net.Conn
	r     *bufio.Reader
}

func (p *process) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}

// dial opens the process's connection.
func (p *process) dial() {
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	p.r = bufio.NewReader(c)
}

// call makes one request; "" means that the connection ended.
func (p *process) call(method, path, headers, body string) (id, answer string) {
	if p.r == nil {
		p.dial()
	}
	if p.r == nil {
		return "", ""
	}
	p.mu.Lock()
	c := p.conns[len(p.conns)-1]
	p.mu.Unlock()
	fmt.Fprintf(c, "%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s", method, path, headers, len(body), body)
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return "", ""
	}
	b, _ := io.ReadAll(res.Body)
	return res.Header.Get("Lambda-Runtime-Aws-Request-Id"), string(b)
}

func (p *process) next() (id, event string) { return p.call("GET", "invocation/next", "", "") }
func (p *process) respond(id, body string)  { p.call("POST", "invocation/"+id+"/response", "", body) }
func (p *process) print(s string)           { io.WriteString(p.out, s) }

// serve answers events until the process is killed.
func (p *process) serve(handle func(id, event string) string) sandbox.Exit {
	for {
		id, event := p.next()
		if id == "" {
			return sandbox.Exit{Signal: "killed"}
		}
		p.respond(id, handle(id, event))
	}
}

// book is a log and an owner that keep what they are told.
type book struct {
	mu    sync.Mutex
	lines []string
	idle  chan *Environment
	gone  chan *Environment
}

func (b *book) Open(id lambda.FunctionID, group, stream string) LogWriter { return b }
func (b *book) Append(_ time.Time, id string, line []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, id+": "+string(line))
}
func (b *book) Idle(e *Environment) { b.idle <- e }
func (b *book) Gone(e *Environment) { b.gone <- e }

func (b *book) log() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

// rig is a host on a stand.
type rig struct {
	t testing.TB
	d *stand
	h *Host
	b *book
	v *lambda.Version
}

type commands struct{ Command }

func (c commands) Find(string) (Command, error) { return c.Command, nil }

func newRig(t testing.TB, main func(*process) sandbox.Exit) *rig {
	t.Helper()
	r := &rig{t: t, d: &stand{t: t, main: main, made: make(chan struct{}, 100)},
		b: &book{idle: make(chan *Environment, 1000), gone: make(chan *Environment, 10)}}
	r.v = &lambda.Version{
		ID: lambda.FunctionID{Account: "123456789012", Region: "us-east-1", Name: "fn"}, Number: lambda.Latest,
		Config: lambda.Config{Runtime: "python3.13", Handler: "m.f", Timeout: 3, Memory: 128, Storage: 512,
			Logging: lambda.Logging{Format: "Text", Group: "/aws/lambda/fn"}},
	}
	r.h = New(Config{
		Driver: r.d, Runtimes: commands{Command{Argv: []string{"python3"}}}, Logs: r.b,
		Unpack: func(context.Context, lambda.Code256) (string, error) { return "/code", nil },
	})
	r.run(r.h)
	return r
}

func (r *rig) run(h *Host) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-done })
}

func (r *rig) start() *Environment {
	r.t.Helper()
	e, err := r.h.Start(context.Background(), r.v, r.b, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func await[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("waited in vain until %s", what)
		panic("unreachable")
	}
}

// answerTo runs one invocation.
func (r *rig) answerTo(e *Environment, id, event string) (string, lambda.Outcome) {
	r.t.Helper()
	var w recorder
	out, err := e.Invoke(r.invocation(id, event), &w)
	if err != nil {
		r.t.Fatal(err)
	}
	return w.String(), out
}

func (r *rig) invocation(id, event string) *lambda.Invocation {
	return &lambda.Invocation{Ref: lambda.Ref{FunctionID: r.v.ID}, RequestID: id, Payload: []byte(event), Trace: "Root=1", LogTail: true}
}

type recorder struct{ bytes.Buffer }

func (*recorder) Begin(lambda.Head) {}

// shape hides what differs from run to run in a log.
func shape(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(numbers.ReplaceAllString(l, "N ms") + "\n")
	}
	return b.String()
}

var errDriver = errors.New("no room")
