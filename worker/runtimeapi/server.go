package runtimeapi

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/environment"
)

// ErrGone is the error of an invocation whose event was not delivered, because
// the environment had ended. Another environment may run it.
var ErrGone = errors.New("the environment ended before it took the event")

const (
	// maxConns bounds the connections of one environment; more are closed at once.
	maxConns = 128
	// exitGrace is how long what a process sent before it exited may take to be
	// read. Descendants that inherited its connection would keep it open longer.
	exitGrace = 100 * time.Millisecond
)

// Server is the Runtime API of one environment's processes.
type Server struct {
	perform func(environment.Action)
	prefix  string // of this server's invocation ids
	closed  chan struct{}
	wg      sync.WaitGroup
	wake    chan struct{} // buffered 1: for a caller without a connection
	nudge   chan struct{} // buffered 1: Watch is to look at the deadline again

	mu        sync.Mutex // guards what follows
	m         environment.Machine
	why       End // how the machine came to Gone
	shut      bool
	listeners []net.Listener
	conns     map[*conn]struct{}
	poller    *conn  // holds the poll that waits for an event
	reading   *conn  // held by the caller of the invocation under way
	handed    *conn  // to be taken over by that caller,
	handedFor step   // to do this
	last      string // request id of the latest event
	delivery  uint64 // counts events
	exited    bool
	grace     time.Time // after an exit: when its invocation is given up
	fault     *lambda.Fault

	// Owned by the caller of the invocation under way.
	ref   lambda.Ref
	arn   string // ref's
	spare *conn  // to be parked or given back by Finish,
	ended bool   // because it is of no more use
}

// New returns a server for the processes whose life m is. It starts nothing.
// Perform carries out actions; it is called without a lock held, on whichever
// goroutine caused them, and must not wait for the server.
func New(m environment.Machine, perform func(environment.Action)) *Server {
	var b [8]byte
	rand.Read(b[:])
	return &Server{
		m: m, perform: perform, prefix: hex.EncodeToString(b[:]) + "-",
		closed: make(chan struct{}), wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1),
		conns: map[*conn]struct{}{},
	}
}

// Serve accepts connections from l, in a goroutine, until Close.
func (s *Server) Serve(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		l.Close()
		return
	}
	s.listeners = append(s.listeners, l)
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err == nil {
				s.Attach(c)
				continue
			}
			select {
			case <-s.closed:
				return
			case <-time.After(10 * time.Millisecond): // out of descriptors: let some be freed
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
		}
	})
}

// Attach serves one connection.
func (s *Server) Attach(nc net.Conn) {
	c := newConn(nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || len(s.conns) >= maxConns {
		nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.wg.Go(func() { s.keep(c) })
}

// Close ends every connection. Invocations under way end as killed, unless they
// have ended otherwise. Wait waits for the server's goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	act := s.step(environment.Kill)
	first := !s.shut
	s.shut = true
	if first {
		close(s.closed)
	}
	for _, l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.do(act)
}

// Wait returns when every goroutine of the server has ended after Close.
func (s *Server) Wait() { s.wg.Wait() }

// State returns where the environment is in its life.
func (s *Server) State() environment.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.State()
}

// End returns how the environment ended; it is Answered while it has not.
func (s *Server) End() End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// InitFault returns what the runtime reported when it could not initialise.
func (s *Server) InitFault() *lambda.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// Freeze asks for the processes to be stopped if the environment is idle.
func (s *Server) Freeze() { s.happen(environment.Freeze) }

// Kill ends the environment.
func (s *Server) Kill() { s.happen(environment.Kill) }

func (s *Server) happen(e environment.Event) {
	s.mu.Lock()
	act := s.step(e)
	s.mu.Unlock()
	s.do(act)
}

// Watch ends the environment when initialisation, or work after an answer,
// overruns, and tells the server when the processes have exited. It returns
// after that, or after Close.
func (s *Server) Watch(exited <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-exited:
			s.exit()
			return
		case <-s.closed:
			return
		case <-timer.C:
			s.happen(environment.Tick)
		case <-s.nudge:
		}
		s.mu.Lock()
		state, deadline := s.m.State(), s.m.Deadline()
		s.mu.Unlock()
		// While the environment is busy its caller watches the deadline.
		if state == environment.Starting || state == environment.Answered {
			timer.Reset(time.Until(deadline))
		}
	}
}

// exit records that the processes have ended. An invocation under way may still
// find its answer among what they sent before.
func (s *Server) exit() {
	s.mu.Lock()
	s.exited = true
	s.grace = time.Now().Add(exitGrace)
	var act environment.Action
	switch s.m.State() {
	case environment.Busy, environment.Answering:
		if s.reading != nil && !s.m.Overdue(s.grace) {
			s.reading.SetReadDeadline(s.grace)
		}
		s.signal()
	default:
		act = s.step(environment.Exit)
	}
	s.mu.Unlock()
	s.do(act)
}

// step moves the machine, with mu held, for events that are never refused.
func (s *Server) step(e environment.Event) environment.Action {
	act, _ := s.try(e)
	return act
}

// try moves the machine, with mu held. The actions are to be performed even if
// the event was refused: a refusal may be the end of what is overdue.
func (s *Server) try(e environment.Event) (environment.Action, error) {
	act, err := s.m.Step(time.Now(), e)
	if act.Has(environment.DoKill) {
		switch {
		case err != nil || e == environment.Tick:
			s.why = TimedOut
		case e == environment.Exit:
			s.why = Exited
		case e == environment.Truncated:
			s.why = Truncated
		default:
			s.why = Killed
		}
		s.poke()
	}
	return act, err
}

// poke wakes the caller of the invocation under way, with mu held.
func (s *Server) poke() {
	if s.reading != nil {
		s.reading.SetReadDeadline(past)
	}
	s.signal()
}

func (s *Server) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Server) do(act environment.Action) {
	if act != 0 {
		s.perform(act)
	}
}

// step of an invocation or a keeper: what to do with a connection.
type step uint8

const (
	read    step = iota // read its next request
	parked              // a poll waits on it: let it be
	deliver             // write the event to it
	answer              // read the answer's body from it
	closing             // close it
	over                // nothing: the invocation has ended without it
)

// keep reads a connection while no caller does.
func (s *Server) keep(c *conn) {
	defer s.drop(c)
	for {
		if err := c.readHead(); err != nil {
			if isTimeout(err) { // left from an invocation that was answered here
				c.SetDeadline(time.Time{})
				s.happen(environment.Tick)
				continue
			}
			c.reject(err)
			return
		}
		switch s.handle(c) {
		case read:
			continue
		case closing:
			return
		}
		select {
		case <-c.back:
		case <-s.closed:
			return
		}
	}
}

// drop forgets a connection that has ended.
func (s *Server) drop(c *conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.poller == c {
		s.poller = nil
	}
	switch s.m.State() {
	case environment.Answered: // the connection may have been the one whose deadline was set
		select {
		case s.nudge <- struct{}{}:
		default:
		}
	case environment.Busy:
		if s.exited {
			s.signal()
		}
	}
}

// giveBack lets the keeper go on with a connection. Of one that is of no more
// use, nothing is read again.
func (s *Server) giveBack(c *conn, usable bool) {
	if !usable {
		c.Close()
		c.parsed, c.r, c.w, c.scanned = false, 0, 0, 0
	}
	c.back <- struct{}{}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// reject answers a request that cannot be read, before the connection ends.
func (c *conn) reject(err error) {
	c.head = head{close: true}
	switch {
	case errors.Is(err, errMalformed):
		c.failure("400 Bad Request", "InvalidRequest", "Malformed HTTP request")
	case errors.Is(err, errTooLarge):
		c.failure("431 Request Header Fields Too Large", "InvalidRequest", "Request head too large")
	default:
		return
	}
	c.SetWriteDeadline(time.Now().Add(time.Second))
	c.flush()
}

// failure appends an error of the Runtime API to out.
func (c *conn) failure(status, kind, message string) {
	body, _ := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType"`
	}{message, kind})
	c.answer(status, "application/json", string(body))
}

// refuse answers the current request with an error, past its body.
func (c *conn) refuse(status, kind, message string) step {
	if c.body && c.head.expect && c.r == c.w { // its sender waits for this very answer
		c.head.close = true
	} else if c.done() != nil {
		c.head.close = true
	}
	c.failure(status, kind, message)
	return c.sent()
}

// reply answers the current request, past its body.
func (c *conn) reply(status, contentType, body string) step {
	if c.done() != nil {
		return closing
	}
	c.answer(status, contentType, body)
	return c.sent()
}

// sent writes what is in out and says what becomes of the connection.
func (c *conn) sent() step {
	if c.flush() != nil || c.head.close {
		return closing
	}
	return read
}

// maxInitError bounds the report of a failed initialisation.
const maxInitError = lambda.MaxSyncPayload

// readAll reads the current request's body up to limit bytes.
func (c *conn) readAll(limit int64) ([]byte, error) {
	if err := c.proceed(); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(bodyReader{c}, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = errTooLarge
	}
	return b, err
}

type bodyReader struct{ c *conn }

func (b bodyReader) Read(p []byte) (int, error) { return b.c.readBody(p) }

// invocationID is what the runtime may echo, unique to one delivery of an event.
func (s *Server) appendInvocationID(b []byte) []byte {
	return strconv.AppendUint(append(b, s.prefix...), s.delivery, 10)
}
