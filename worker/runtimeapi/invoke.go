package runtimeapi

import (
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/environment"
)

// End tells how an invocation ended.
type End uint8

// The ways an invocation ends.
const (
	Answered  End = iota // with an answer, or an error the runtime reported
	TimedOut             // past the deadline
	Exited               // the process ended without an answer
	Truncated            // the answer broke off
	Killed               // the owner ended the environment
)

// Answer is how an invocation went.
type Answer struct {
	End     End
	Fault   *lambda.Fault // what the function reported, or what was wrong with its answer
	Started time.Time     // when the event was dispatched
	Ended   time.Time     // when the answer was complete, or given up
	Bytes   int64         // of the answer
	Head    lambda.Head   // of the answer
	body    *buffer       // what Pass is to write; nil if there is nothing
}

// Pass writes a buffered answer to w, once. A streamed one has been written
// already. It may follow Finish, so that a caller who reads slowly does not
// keep the environment from its next invocation.
func (a *Answer) Pass(w lambda.ResponseWriter) {
	if a.body == nil {
		return
	}
	w.Begin(a.Head)
	w.Write(a.body.b)
	a.body.free()
	a.body = nil
}

// Texts of the Runtime API and of Invoke for an answer that is too large.
const (
	tooLarge              = "Exceeded maximum allowed payload size (6291556 bytes)."
	tooLargeFault         = `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`
	streamedTooLarge      = "Exceeded maximum allowed payload size (209715200 bytes)."
	streamedTooLargeFault = `{"errorMessage":"Response payload size exceeded maximum allowed payload size (209715200 bytes).","errorType":"Function.ResponseSizeTooLarge"}`
)

// Invoke delivers inv to the poll that waits and reads the answer. A streamed
// one is written to w as it comes, a buffered one is left to Answer.Pass. One
// invocation runs at a time, and Finish must follow before the next. The error
// is ErrGone if the event was not delivered; then no Finish is needed.
func (s *Server) Invoke(inv *lambda.Invocation, w lambda.ResponseWriter, a *Answer) error {
	*a = Answer{Started: time.Now()}
	if inv.Ref != s.ref || s.arn == "" {
		s.ref, s.arn = inv.Ref, inv.Ref.ARN()
	}
	s.mu.Lock()
	act, err := s.m.Step(a.Started, environment.Invoke)
	c := s.poller
	if err != nil {
		gone := s.m.State() == environment.Gone
		s.mu.Unlock()
		if gone {
			return ErrGone
		}
		return err
	}
	s.poller, s.reading, s.handed = nil, c, nil
	s.last = inv.RequestID
	s.delivery++
	deadline := s.m.Deadline()
	c.SetDeadline(deadline)
	s.mu.Unlock()
	s.do(act)

	delivered := false
	for do := deliver; ; {
		switch do {
		case deliver:
			err := s.deliver(c, inv, deadline)
			if err == nil {
				delivered = true
				do = read
				if !c.head.close {
					continue
				}
				err = io.EOF // the connection ends here, as its client asked
			}
			c, do = s.interrupted(c, err)
		case read:
			if err := c.readHead(); err != nil {
				if !isTimeout(err) {
					c.reject(err)
				}
				c, do = s.interrupted(c, err)
				continue
			}
			if do = s.handle(c); do == closing {
				c, do = s.interrupted(c, io.EOF)
			}
		case answer:
			s.receive(c, inv, w, a)
			return nil
		default:
			a.Ended = time.Now()
			s.mu.Lock()
			a.End = s.why
			s.reading = nil
			s.mu.Unlock()
			if !delivered {
				return ErrGone
			}
			return nil
		}
	}
}

// deliver writes the event to c, behind whatever was withheld.
func (s *Server) deliver(c *conn, inv *lambda.Invocation, deadline time.Time) error {
	payload := inv.Payload
	if len(payload) == 0 {
		payload = emptyEvent
	}
	o := append(c.out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "...)
	o = append(o, inv.RequestID...)
	o = append(o, "\r\nLambda-Runtime-Deadline-Ms: "...)
	o = strconv.AppendInt(o, deadline.UnixMilli(), 10)
	o = append(o, "\r\nLambda-Runtime-Invoked-Function-Arn: "...)
	o = append(o, s.arn...)
	o = append(o, "\r\nLambda-Runtime-Trace-Id: "...)
	o = appendValue(o, inv.Trace)
	if len(inv.ClientContext) > 0 {
		o = append(o, "\r\nLambda-Runtime-Client-Context: "...)
		o = appendValue(o, inv.ClientContext)
	}
	o = append(o, "\r\nLambda-Runtime-Invocation-Id: "...)
	o = s.appendInvocationID(o)
	if c.head.close {
		o = append(o, "\r\nConnection: close"...)
	}
	o = append(o, "\r\nContent-Length: "...)
	o = strconv.AppendInt(o, int64(len(payload)), 10)
	o = append(o, "\r\n\r\n"...)
	if len(payload) <= 2*bufferSize {
		c.out = append(o, payload...)
		return c.flush()
	}
	c.out = o[:0]
	parts := net.Buffers{o, payload}
	_, err := parts.WriteTo(c.Conn)
	return err
}

var emptyEvent = []byte("{}") // what a function sees of an empty payload

// appendValue appends a header's value. Line ends would end the header; in the
// JSON of a client context they stand between tokens only, where a space does.
func appendValue[T string | []byte](o []byte, v T) []byte {
	for i := range len(v) {
		b := v[i]
		if b < ' ' || b == 0x7f {
			b = ' '
		}
		o = append(o, b)
	}
	return o
}

// interrupted finds out why the caller's connection ended or a read of it was
// cut short, and what the caller does next, waiting if need be.
func (s *Server) interrupted(c *conn, err error) (*conn, step) {
	usable := isTimeout(err)
	for {
		now := time.Now()
		s.mu.Lock()
		if s.handed != nil && s.m.State() != environment.Gone {
			next, do := s.handed, s.handedFor
			s.reading, s.handed = next, nil
			next.SetDeadline(s.m.Deadline())
			s.mu.Unlock()
			if c != nil {
				s.giveBack(c, usable)
			}
			return next, do
		}
		event := environment.Tick
		if s.exited && (now.After(s.grace) || !usable && (len(s.conns) == 0 || len(s.conns) == 1 && c != nil)) {
			event = environment.Exit
		}
		act := s.step(event)
		if s.m.State() == environment.Gone {
			if s.handed != nil {
				s.giveBack(s.handed, false)
				s.handed = nil
			}
			s.reading = nil
			s.mu.Unlock()
			if c != nil {
				s.giveBack(c, usable)
			}
			s.do(act)
			return nil, over
		}
		until := s.m.Deadline()
		if s.exited && s.grace.Before(until) {
			until = s.grace
		}
		if usable { // a wake-up for something that is over
			c.SetReadDeadline(until)
			s.mu.Unlock()
			return c, read
		}
		if c != nil {
			s.step(environment.Lost)
			s.reading = nil
		}
		s.mu.Unlock()
		if c != nil {
			s.giveBack(c, false)
			c = nil
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// receive reads the answer whose head c holds and answers it.
func (s *Server) receive(c *conn, inv *lambda.Invocation, w lambda.ResponseWriter, a *Answer) {
	h := &c.head
	failed := h.path[len(h.path)-1] == 'r' // …/error, not …/response
	kind := string(h.errorType)
	head := lambda.Head{ContentType: contentType(h.contentType), Length: h.length}
	// Not every runtime client declares that it streams: AWS's own for Go only
	// posts in chunks, and AWS goes by what the caller asked for.
	asked := inv.Stream && (h.length < 0 || h.length > lambda.MaxResponse)
	head.Streaming = !failed && (asked || is(h.mode, "streaming"))

	s.spare, s.ended = c, h.close
	var body *buffer
	var err error
	if err = c.proceed(); err == nil {
		if head.Streaming {
			err = s.stream(c, w, a, head)
		} else {
			body, err = s.collect(c)
		}
	}
	defer func() { body.free() }()
	oversize := errors.Is(err, errTooLarge)
	if oversize {
		payload := tooLargeFault
		if head.Streaming {
			payload = streamedTooLargeFault
		}
		a.Fault = &lambda.Fault{Type: "Function.ResponseSizeTooLarge", Payload: []byte(payload)}
		err = c.skip(maxSkip)
	}
	if errors.Is(err, errSkip) {
		h.close, s.ended = true, true
	} else if err != nil {
		s.broken(c, err, a)
		return
	}
	if a.Fault == nil {
		a.Fault = c.trailerFault()
	}
	if failed && !oversize {
		payload := append([]byte(nil), body.b...)
		a.Fault = &lambda.Fault{Type: errorType(kind, payload), Payload: payload}
	}

	s.mu.Lock()
	act, late := s.try(environment.Sent)
	s.mu.Unlock()
	a.Ended = time.Now()
	if late != nil {
		s.do(act)
		s.end(a)
		return
	}
	c.body = false
	c.done()
	switch {
	case oversize && head.Streaming:
		c.failure("413 Payload Too Large", "RequestEntityTooLarge", streamedTooLarge)
	case oversize:
		c.failure("413 Payload Too Large", "RequestEntityTooLarge", tooLarge)
	default:
		c.accepted()
	}
	// A client that has sent its next poll already does not wait for this answer:
	// it may travel with the next event.
	if s.ended || !c.nextBuffered() {
		if c.flush() != nil {
			s.ended = true
		}
	}
	if a.Fault == nil && !head.Streaming {
		a.Bytes = int64(len(body.b))
		head.Length = a.Bytes
		a.body, body = body, nil
	}
	a.Head = head
}

// nextBuffered tells whether the next request has been received and is a poll.
func (c *conn) nextBuffered() bool {
	ok, _ := c.buffered()
	return ok && c.head.isNext() && !c.body
}

// contentType copies the value of the header; the usual ones cost nothing.
func contentType(b []byte) string {
	switch string(b) {
	case "application/json":
		return "application/json"
	case "application/octet-stream":
		return "application/octet-stream"
	}
	return string(b)
}

// collect reads a whole answer, so that none reaches the caller in part. One
// past the limit is errTooLarge.
func (s *Server) collect(c *conn) (*buffer, error) {
	if c.head.length > lambda.MaxResponse {
		return nil, errTooLarge
	}
	b := getBuffer(int(max(c.head.length, 0)) + 1)
	for {
		if len(b.b) == cap(b.b) {
			b.b = append(b.b, 0)[:len(b.b)]
		}
		n, err := s.read(c, b.b[len(b.b):cap(b.b)])
		b.b = b.b[:len(b.b)+n]
		switch {
		case err == io.EOF:
			return b, nil
		case err != nil:
			return b, err
		case len(b.b) > lambda.MaxResponse:
			return b, errTooLarge
		}
	}
}

// stream passes an answer on as it comes. A caller that is gone does not stop
// the function; the rest is read and dropped.
func (s *Server) stream(c *conn, w lambda.ResponseWriter, a *Answer, head lambda.Head) error {
	// The caller may read so slowly that the deadline passes in a write.
	s.mu.Lock()
	late := time.AfterFunc(time.Until(s.m.Deadline()), func() { s.happen(environment.Tick) })
	s.mu.Unlock()
	defer late.Stop()
	b := getBuffer(smallBuffer)
	defer b.free()
	chunk := b.b[:cap(b.b)]
	begun, listening := false, true
	for {
		n, err := s.read(c, chunk)
		if err != nil && err != io.EOF {
			return err
		}
		over := a.Bytes+int64(n) > lambda.MaxStreamed
		if over { // what is within the limit is delivered
			n = int(lambda.MaxStreamed - a.Bytes)
		}
		a.Bytes += int64(n)
		if !begun && (n > 0 || c.trailerFault() == nil) {
			w.Begin(head)
			begun = true
		}
		if n > 0 && listening {
			_, werr := w.Write(chunk[:n])
			listening = werr == nil
		}
		if over {
			return errTooLarge
		}
		if err == io.EOF {
			return nil
		}
	}
}

// trailerFault is the error that a runtime reports behind an answer it had begun.
func (c *conn) trailerFault() *lambda.Fault {
	kind := c.trailerValue("lambda-runtime-function-error-type")
	encoded := c.trailerValue("lambda-runtime-function-error-body")
	if kind == nil && encoded == nil {
		return nil
	}
	payload := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Decode(payload, encoded)
	if err != nil {
		payload, n = append([]byte(nil), encoded...), len(encoded)
	}
	return &lambda.Fault{Type: errorType(string(kind), payload[:n]), Payload: payload[:n]}
}

// read reads from the answer's body, through wake-ups that concern others.
func (s *Server) read(c *conn, p []byte) (int, error) {
	for {
		n, err := c.readBody(p)
		if err == nil || err == io.EOF || !isTimeout(err) {
			return n, err
		}
		s.mu.Lock()
		now := time.Now()
		if s.m.State() != environment.Answering || s.m.Overdue(now) || s.exited && now.After(s.grace) {
			s.mu.Unlock()
			return n, err
		}
		until := s.m.Deadline()
		if s.exited && s.grace.Before(until) {
			until = s.grace
		}
		c.SetReadDeadline(until)
		s.mu.Unlock()
		if n > 0 {
			return n, nil
		}
	}
}

// broken ends an invocation whose answer did not come to its end.
func (s *Server) broken(c *conn, err error, a *Answer) {
	if !isTimeout(err) {
		// The process may be ending: if so, how it does is the better account.
		timer := time.NewTimer(exitGrace)
		for waiting := true; waiting; {
			s.mu.Lock()
			waiting = !s.exited && s.m.State() == environment.Answering
			s.mu.Unlock()
			if !waiting {
				break
			}
			select {
			case <-s.wake:
			case <-timer.C:
				waiting = false
			}
		}
		timer.Stop()
	}
	s.mu.Lock()
	event := environment.Tick
	if s.exited {
		event = environment.Exit
	} else if !isTimeout(err) {
		event = environment.Truncated
	}
	act := s.step(event)
	s.mu.Unlock()
	a.Ended = time.Now()
	c.head, s.ended = head{close: true}, true
	if !isTimeout(err) {
		c.failure("400 Bad Request", "TruncatedHTTPRequest", "HTTP request detected as truncated")
		c.flush()
	}
	s.do(act)
	s.end(a)
}

// end takes over how the environment ended.
func (s *Server) end(a *Answer) {
	s.mu.Lock()
	a.End = s.why
	s.mu.Unlock()
}

// Finish ends what Invoke began, once its caller has recorded it: the
// environment is idle when it returns if the next poll has come already. Other
// invocations may run from then on.
func (s *Server) Finish() {
	c := s.spare
	if c == nil { // it ended without an answer
		return
	}
	s.spare = nil
	again := !s.ended && c.nextBuffered() && c.done() == nil
	s.mu.Lock()
	s.reading = nil
	var act environment.Action
	var err error
	if again {
		if act, err = s.try(environment.Next); err == nil {
			s.park(c)
		}
	}
	if s.exited {
		act |= s.step(environment.Exit)
		act &^= environment.DoOffer
	}
	s.mu.Unlock()
	if again && err != nil {
		c.failure("403 Forbidden", "InvalidStateTransition", err.Error())
		s.giveBack(c, c.flush() == nil)
	} else if !again {
		s.giveBack(c, !s.ended)
	}
	s.do(act)
}
