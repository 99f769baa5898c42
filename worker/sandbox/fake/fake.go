// Package fake is a driver in memory: a function's process is a Go function of
// the test, and its connections are pipes. Only tests import it. It suits the
// bubbles of testing/synctest, but for the output, which the contract wants to
// be a file.
//
// One goroutine per sandbox runs the program; Kill waits for it.
package fake

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// Program is what runs in a sandbox. It returns when ctx ends, which is how it is
// killed; what it returns then does not count.
type Program func(ctx context.Context, spec *sandbox.Spec, p *Process) sandbox.Exit

// Process is what a Program has of the world. While the sandbox is frozen, none
// of it moves: what is used blocks.
type Process struct {
	Output io.Writer
	Socket net.Conn        // nil unless Spec.Socket
	Term   <-chan struct{} // closed when the process is asked to end

	box *box
}

// Dial connects to the sandbox's listener.
func (p *Process) Dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	s := p.box
	if err := s.hold(); err != nil {
		return nil, err
	}
	select {
	case s.l.conns <- theirs:
		return s.own(ours), nil
	case <-s.l.closed:
		return nil, net.ErrClosed
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}

// Driver makes sandboxes. Make one with New.
type Driver struct {
	program Program

	mu    sync.Mutex // guards boxes
	boxes map[*box]struct{}
}

// New makes a driver whose sandboxes run program.
func New(program Program) *Driver { return &Driver{program: program, boxes: map[*box]struct{}{}} }

// Level is sandbox.Fake.
func (d *Driver) Level() sandbox.Level { return sandbox.Fake }

// Capabilities are those that a program cannot get around.
func (d *Driver) Capabilities() sandbox.Capabilities {
	return sandbox.Capabilities{Isolated: true, Freeze: true, KillTree: true, Warm: true}
}

// Prepare makes a listener.
func (d *Driver) Prepare(ctx context.Context) (sandbox.Blank, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return &blank{d: d, l: &listener{conns: make(chan net.Conn), closed: make(chan struct{})}}, nil
}

// Close kills what there is.
func (d *Driver) Close() error {
	d.mu.Lock()
	var all []*box
	for s := range d.boxes {
		all = append(all, s)
	}
	d.mu.Unlock()
	for _, s := range all {
		s.Kill(0)
	}
	return nil
}

type blank struct {
	d    *Driver
	l    *listener
	used sync.Once
	warm *box // a program that waits to be told whose it is
}

const api = "127.0.0.1:9001"

func (b *blank) API() string { return api }

var errUsed = errors.New("the blank has been used")

func (b *blank) use() error {
	err := errUsed
	b.used.Do(func() { err = nil })
	return err
}

func (b *blank) Discard() error {
	if err := b.use(); err != nil {
		return err
	}
	if b.warm != nil {
		return b.warm.end()
	}
	return b.l.Close()
}

// end removes a box that nobody has.
func (s *box) end() error {
	err := s.Kill(0)
	s.socket.Close()
	s.output.Close()
	return err
}

// Warm runs the program with the spec it is warmed with, which is the only one it
// sees: the rest it hears by its socket.
func (b *blank) Warm(ctx context.Context, spec *sandbox.Spec) error {
	s, err := b.begin(ctx, spec)
	if err == nil {
		b.warm = s
		stop := context.AfterFunc(ctx, func() { s.socket.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
		var ready [1]byte
		if _, err = s.socket.Read(ready[:]); err == nil && ready[0] != sandbox.Ready {
			err = errors.New("the program does not say that it is ready")
		}
	}
	if err != nil {
		return errors.Join(err, b.Discard())
	}
	return nil
}

func (b *blank) Start(ctx context.Context, spec *sandbox.Spec) (sandbox.Sandbox, error) {
	if err := b.use(); err != nil {
		return nil, err
	}
	if s := b.warm; s != nil {
		s.socket.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if _, err := s.socket.Write(sandbox.Assignment(spec.Dir, spec.Env)); err != nil {
			return nil, errors.Join(err, s.end())
		}
		s.socket.SetWriteDeadline(time.Time{})
		return s, nil
	}
	s, err := b.begin(ctx, spec)
	if err != nil {
		b.l.Close()
		return nil, err
	}
	return s, nil
}

func (b *blank) begin(ctx context.Context, spec *sandbox.Spec) (*box, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &box{d: b.d, l: b.l, output: r, done: make(chan struct{}), term: make(chan struct{}), thawed: make(chan struct{})}
	close(s.thawed)
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it outlives its start
	p := &Process{Output: gate{s, w}, Term: s.term, box: s}
	if spec.Socket {
		ours, theirs := net.Pipe()
		s.socket, p.Socket = ours, s.own(theirs)
	}
	b.d.mu.Lock()
	b.d.boxes[s] = struct{}{}
	b.d.mu.Unlock()
	go func() {
		s.exit = b.d.program(s.ctx, spec, p)
		if s.ctx.Err() != nil {
			s.exit = sandbox.Exit{Signal: "killed"}
		}
		s.mu.Lock()
		s.ended = true
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		w.Close()
		close(s.done)
	}()
	return s, nil
}

type box struct {
	d      *Driver
	l      *listener
	output *os.File
	socket net.Conn
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	exit   sandbox.Exit // written before done is closed

	mu     sync.Mutex // guards what follows
	conns  []net.Conn // of the program
	ended  bool
	term   chan struct{}
	asked  bool
	thawed chan struct{} // closed while it runs
	frozen bool
}

func (s *box) Listener() net.Listener { return s.l }
func (s *box) Socket() net.Conn       { return s.socket }
func (s *box) Output() *os.File       { return s.output }
func (s *box) Done() <-chan struct{}  { return s.done }

func (s *box) Exit() sandbox.Exit {
	<-s.done
	return s.exit
}

// Stats knows nothing: the process is a part of this one.
func (s *box) Stats() (sandbox.Stats, error) { return sandbox.Stats{}, nil }

func (s *box) Freeze() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		s.frozen, s.thawed = true, make(chan struct{})
	}
	return nil
}

func (s *box) Thaw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen {
		s.frozen = false
		close(s.thawed)
	}
	return nil
}

func (s *box) Kill(grace time.Duration) error {
	if grace > 0 {
		s.Thaw()
		s.mu.Lock()
		if !s.asked {
			s.asked = true
			close(s.term)
		}
		s.mu.Unlock()
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-s.done:
		case <-timer.C:
		}
	}
	s.cancel()
	s.l.Close()
	s.mu.Lock()
	for _, c := range s.conns { // a program blocked in one of them hears of it
		c.Close()
	}
	s.mu.Unlock()
	<-s.done
	s.d.mu.Lock()
	delete(s.d.boxes, s)
	s.d.mu.Unlock()
	return nil
}

// hold waits while the sandbox is frozen.
func (s *box) hold() error {
	s.mu.Lock()
	thawed := s.thawed
	s.mu.Unlock()
	select {
	case <-thawed:
		return s.ctx.Err()
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// own makes a connection the program's: it ends with it.
func (s *box) own(c net.Conn) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		c.Close()
	}
	s.conns = append(s.conns, c)
	return conn{c, s}
}

// gate is a writer that does not write while the sandbox is frozen.
type gate struct {
	s *box
	w io.Writer
}

func (g gate) Write(b []byte) (int, error) {
	if err := g.s.hold(); err != nil {
		return 0, err
	}
	return g.w.Write(b)
}

// conn is a connection that does not move while the sandbox is frozen.
type conn struct {
	net.Conn
	s *box
}

func (c conn) Write(b []byte) (int, error) { return gate{c.s, c.Conn}.Write(b) }

func (c conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if held := c.s.hold(); held != nil && err == nil {
		err = held
	}
	return n, err
}

// listener accepts pipes.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return api }
