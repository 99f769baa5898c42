package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/lambent-run/lambent/frontend"
	"github.com/lambent-run/lambent/frontend/wire"
	"github.com/lambent-run/lambent/internal/ids"
	"github.com/lambent-run/lambent/lambda"
)

// direct is a connection on the direct path. It belongs to the goroutine that
// serves it; only busy and hurry are for others.
type direct struct {
	g    *Gateway
	conn net.Conn
	in   *bufio.Reader
	busy atomic.Bool // a request is under way

	call frontend.Call
	body []byte          // reused from request to request
	buf  frontend.Buffer // the answer, reused
	out  []byte          // the response's head, reused

	// What the last request was signed for. A connection is nearly always one
	// caller's, and reading the same credential again would cost allocations.
	credential []byte
	who        identity
	scope      lambda.Scope

	until time.Time // the idle deadline that is set on conn; zero for another one
}

// keep bounds the memory a connection holds on to between requests.
const keep = 64 << 10

// serve runs a connection until it ends or moves to net/http.
func (g *Gateway) serve(c net.Conn) {
	d := &direct{g: g, conn: c, in: bufio.NewReaderSize(c, maxHead)}
	g.mu.Lock()
	g.conns[d] = struct{}{}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		delete(g.conns, d)
		g.mu.Unlock()
	}()
	for {
		head, ok := d.head()
		if !ok {
			c.Close()
			return
		}
		h, hot := parse(head)
		if !hot {
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				c.Close()
				return
			}
			select {
			case g.moved <- newMoved(c, d.in):
			case <-g.closed:
				c.Close()
			}
			return
		}
		d.busy.Store(true)
		again := d.invoke(h, len(head))
		d.busy.Store(false)
		select {
		case <-g.closed:
			again = false
		default:
		}
		if !again {
			c.Close()
			return
		}
	}
}

// hurry ends a connection that waits for its next request. One in the middle of
// a request closes by itself after it.
func (d *direct) hurry() {
	if !d.busy.Load() {
		d.conn.SetReadDeadline(time.Now())
	}
}

// head waits for a request's head and returns it without consuming it. A head
// that does not fit comes back as far as it goes: net/http will judge it.
func (d *direct) head() (head []byte, ok bool) {
	if d.in.Buffered() == 0 {
		// The idle deadline is moved on only when half of it has gone: setting it
		// for every request would show in the profile.
		if now := time.Now(); d.until.Sub(now) < idleTimeout/2 && !d.deadline(now, idleTimeout) {
			return nil, false
		}
		if _, err := d.in.Peek(1); err != nil {
			return nil, false
		}
	}
	for n, late := 1, false; ; {
		b, _ := d.in.Peek(max(n, d.in.Buffered()))
		if i := bytes.Index(b, crlf2); i >= 0 {
			return b[:i+4], true
		}
		if len(b) == maxHead {
			return b, true
		}
		if !late {
			late = true
			if !d.deadline(time.Now(), headTimeout) {
				return nil, false
			}
		}
		n = len(b) + 1
		if _, err := d.in.Peek(n); err != nil {
			return nil, false
		}
	}
}

// deadline bounds the reads that follow.
func (d *direct) deadline(now time.Time, wait time.Duration) bool {
	at := now.Add(wait)
	d.until = time.Time{}
	if wait == idleTimeout {
		d.until = at
	}
	return d.conn.SetReadDeadline(at) == nil
}

var crlf2 = []byte("\r\n\r\n")

// hot is a plain synchronous Invoke, as parse finds it. Its slices point into
// the connection's buffer.
type hot struct {
	function, qualifier, authorization []byte
	logType, clientContext, trace, id  []byte
	length                             int64
}

const prefix = "POST /2015-03-31/functions/"

// parse recognises the one kind of request that is served directly: HTTP/1.1,
// POST …/{bare name}/invocations with at most a Qualifier, a body of known
// length, and no header that would need more than the direct path does. It
// refuses whatever it is not sure of: net/http takes that, and answers it in
// the same way but for the speed.
func parse(head []byte) (h hot, ok bool) {
	if len(head) < len(prefix) || string(head[:len(prefix)]) != prefix {
		return h, false
	}
	line, rest, found := bytes.Cut(head, crlf2[:2])
	if !found {
		return h, false
	}
	target, version, _ := bytes.Cut(line[len(prefix):], []byte(" "))
	if string(version) != "HTTP/1.1" {
		return h, false
	}
	path, query, _ := bytes.Cut(target, []byte("?"))
	if h.function, found = bytes.CutSuffix(path, []byte("/invocations")); !found || !plain(h.function, 64, false) {
		return h, false
	}
	if len(query) > 0 {
		if h.qualifier, found = bytes.CutPrefix(query, []byte("Qualifier=")); !found || !plain(h.qualifier, 128, true) {
			return h, false
		}
	}
	h.length = -1
	for len(rest) > 2 {
		line, rest, found = bytes.Cut(rest, crlf2[:2])
		if !found {
			return h, false
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return h, false
		}
		value := bytes.Trim(line[colon+1:], " \t")
		switch name := line[:colon]; {
		case is(name, "content-length"):
			if h.length >= 0 {
				return h, false
			}
			n, err := strconv.ParseUint(string(value), 10, 31)
			if err != nil {
				return h, false
			}
			h.length = int64(n)
		case is(name, "host"):
			if _, ok := urlHost(value); ok {
				return h, false // a function may have such paths, too
			}
		case is(name, "authorization"):
			h.authorization = value
		case is(name, "x-amz-invocation-type"):
			if string(value) != "RequestResponse" {
				return h, false
			}
		case is(name, "x-amz-log-type"):
			if string(value) != "Tail" && string(value) != "None" {
				return h, false
			}
			h.logType = value
		case is(name, "x-amz-client-context"):
			h.clientContext = value
		case is(name, "x-amzn-trace-id"):
			h.trace = value
		case is(name, "x-amzn-requestid"):
			if !ids.IsUUID(string(value)) {
				return h, false
			}
			h.id = value
		case is(name, "transfer-encoding"), is(name, "expect"), is(name, "connection"), is(name, "upgrade"),
			is(name, "content-encoding"), is(name, "x-amz-tenant-id"), is(name, "x-amz-durable-execution-name"):
			if is(name, "connection") && is(value, "keep-alive") {
				continue
			}
			return h, false
		case line[0] == ' ' || line[0] == '\t' || bytes.IndexByte(name, ' ') >= 0:
			return h, false // a folded or malformed header
		}
	}
	return h, h.length >= 0
}

// is compares a header's name (or a token) to a lower-case word.
func is(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range len(b) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// plain tells whether b is a bare function name, or a qualifier, that needs no
// decoding and no further check.
func plain(b []byte, most int, dollar bool) bool {
	if len(b) == 0 || len(b) > most {
		return false
	}
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && (c != '$' || !dollar) {
			return false
		}
	}
	return true
}

// invoke serves one request and tells whether the connection can take another.
func (d *direct) invoke(h hot, head int) bool {
	d.identify(h.authorization)
	c := &d.call
	c.Scope = d.scope
	if c.Function != string(h.function) {
		c.Function = string(h.function)
	}
	if c.Qualifier != string(h.qualifier) {
		c.Qualifier = string(h.qualifier)
	}
	c.LogType = string(h.logType)
	c.ClientContext = string(h.clientContext)
	c.Trace = string(h.trace)
	if c.RequestID = string(h.id); c.RequestID == "" {
		c.RequestID = ids.UUID()
	}
	if d.who.service != "" && d.who.service != "lambda" {
		return d.refuse(&lambda.Error{Code: lambda.NotImplemented,
			Message: "The service " + d.who.service + " is not implemented by this version of Lambent."}, false)
	}
	if _, err := d.in.Discard(head); err != nil {
		return false
	}
	if h.length > lambda.MaxSyncPayload {
		// The rest is not read: after such an answer the connection is closed.
		return d.refuse(&lambda.Error{Code: lambda.RequestEntityTooLarge, Bare: true, Message: fmt.Sprintf(
			"Request must be smaller than %d bytes for the InvokeFunction operation", lambda.MaxSyncPayload)}, false)
	}
	n := int(h.length)
	if cap(d.body) < n {
		d.body = make([]byte, n)
	}
	c.Body = d.body[:n]
	if n > d.in.Buffered() && !d.deadline(time.Now(), bodyTimeout) {
		return false
	}
	if _, err := io.ReadFull(d.in, c.Body); err != nil {
		return false
	}
	d.buf.Reset()
	out, err := d.g.cfg.Frontend.Invoke(context.Background(), c, &d.buf)
	if err != nil {
		return d.refuse(err, true)
	}
	answer := d.buf.Bytes
	o := append(d.out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Amzn-Requestid: "...)
	o = append(o, c.RequestID...)
	o = append(o, "\r\nX-Amz-Executed-Version: "...)
	o = append(o, out.ExecutedVersion...)
	if out.Fault != nil {
		o = append(o, "\r\nX-Amz-Function-Error: Unhandled"...)
		answer = out.Fault.Payload
	}
	if c.LogType == "Tail" {
		o = append(o, "\r\nX-Amz-Log-Result: "...)
		o = base64.StdEncoding.AppendEncode(o, out.LogTail)
	}
	return d.send(o, answer)
}

// send writes a response whose head lacks only its last lines. It keeps the
// memory of small ones for the next.
func (d *direct) send(head, body []byte) bool {
	head = append(head, "\r\nDate: "...)
	head = time.Now().UTC().AppendFormat(head, "Mon, 02 Jan 2006 15:04:05 GMT")
	head = append(head, "\r\nContent-Length: "...)
	head = strconv.AppendInt(head, int64(len(body)), 10)
	head = append(head, "\r\n\r\n"...)
	var err error
	if len(head)+len(body) <= keep {
		head = append(head, body...)
		_, err = d.conn.Write(head)
	} else {
		// More than the kernel takes at once: a caller that does not read is given up.
		err = d.conn.SetWriteDeadline(time.Now().Add(bodyTimeout))
		if err == nil {
			both := net.Buffers{head, body}
			_, err = both.WriteTo(d.conn)
		}
		err = errors.Join(err, d.conn.SetWriteDeadline(time.Time{}))
	}
	d.out = head
	if cap(d.out) > 2*keep {
		d.out = nil
	}
	if cap(d.body) > keep {
		d.body = nil
	}
	if cap(d.buf.Bytes) > keep {
		d.buf.Bytes = nil
	}
	return err == nil
}

// identify sets who calls from an Authorization header.
func (d *direct) identify(authorization []byte) {
	credential := authorization
	if i := bytes.IndexByte(credential, ','); i >= 0 {
		credential = credential[:i]
	}
	if d.scope.Account != "" && bytes.Equal(credential, d.credential) {
		return
	}
	d.credential = append(d.credential[:0], credential...)
	d.who = caller(string(credential), "")
	d.scope = d.who.scope(d.g.cfg.Default)
}

// refuse answers with an error, in the words that the other path would use.
func (d *direct) refuse(err error, again bool) bool {
	r := &refusal{header: http.Header{"X-Amzn-Requestid": {d.call.RequestID}}}
	wire.WriteError(r, d.g.cfg.Frontend.Refusal(err, "Invoke "+d.call.Function))
	o := append(d.out[:0], "HTTP/1.1 "...)
	o = strconv.AppendInt(o, int64(r.status), 10)
	o = append(append(o, ' '), http.StatusText(r.status)...)
	r.header.Del("Content-Length")
	for name, values := range r.header {
		for _, v := range values {
			o = append(append(append(append(o, "\r\n"...), name...), ": "...), v...)
		}
	}
	if !again {
		o = append(o, "\r\nConnection: close"...)
	}
	return d.send(o, r.body) && again
}

// refusal is a response being written by wire.
type refusal struct {
	header http.Header
	status int
	body   []byte
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) WriteHeader(status int)      { r.status = status }
func (r *refusal) Write(p []byte) (int, error) { r.body = append(r.body, p...); return len(p), nil }
