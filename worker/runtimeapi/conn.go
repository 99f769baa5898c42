package runtimeapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// bufferSize is what an idle connection keeps: room for a head and a small body.
const bufferSize = 4 << 10

// conn is one connection of a process to its Runtime API. Exactly one goroutine
// uses it at a time: its keeper, which reads requests between invocations, or
// the caller of an invocation, who gives it back through back.
type conn struct {
	net.Conn
	back chan struct{} // buffered 1: the keeper may go on

	buf     []byte // buf[r:w] has been received and not consumed
	r, w    int
	scanned int  // bytes of buf[r:w] already searched for the end of a head
	parsed  bool // head describes the request whose body starts at r
	head    head

	left    int64 // of the body, or of the current chunk
	chunked bool
	first   bool // no chunk has been read yet
	body    bool // the request's body has not been read to its end
	trailer []byte

	out []byte // what is to be written, starting with answers withheld so far
}

func newConn(c net.Conn) *conn {
	return &conn{Conn: c, back: make(chan struct{}, 1), buf: make([]byte, bufferSize)}
}

// fill reads more input. It keeps what is unconsumed and grows the buffer up to
// limit bytes of it.
func (c *conn) fill(limit int) error {
	if c.r > 0 && c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.buf) {
		switch {
		case c.r > 0:
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		case len(c.buf) >= limit:
			return errTooLarge
		default:
			c.buf = append(c.buf, make([]byte, min(len(c.buf), limit-len(c.buf)))...)
		}
	}
	n, err := c.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// buffered parses the next request's head if it has been received completely.
func (c *conn) buffered() (bool, error) {
	if c.parsed {
		return true, nil
	}
	for c.r < c.w && (c.buf[c.r] == '\r' || c.buf[c.r] == '\n') {
		c.r++ // empty lines before a request are allowed (RFC 9112, 2.2)
		c.scanned = 0
	}
	b := c.buf[c.r:c.w]
	n := findEnd(b, c.scanned-2)
	if n == 0 {
		c.scanned = len(b)
		if len(b) >= MaxHead {
			return false, errTooLarge
		}
		return false, nil
	}
	c.scanned = 0
	if err := c.head.parse(b[:n]); err != nil {
		return false, err
	}
	c.r += n
	c.parsed = true
	c.chunked, c.first = c.head.length < 0, true
	c.left = max(c.head.length, 0)
	c.body = c.chunked || c.left > 0
	c.trailer = nil
	return true, nil
}

// readHead waits for the next request's head. After an error that is a time-out
// it may be called again.
func (c *conn) readHead() error {
	for {
		ok, err := c.buffered()
		if ok || err != nil {
			return err
		}
		if err := c.fill(MaxHead); err != nil {
			if err == io.EOF && c.r < c.w {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// proceed tells a client that waits for it to send its body.
func (c *conn) proceed() error {
	if !c.head.expect || !c.body || c.r < c.w {
		return nil
	}
	c.head.expect = false
	c.out = append(c.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
	return c.flush()
}

// readBody reads from the current request's body. At its end it returns io.EOF,
// with the trailers, if any, in c.trailer. A body that breaks off is
// io.ErrUnexpectedEOF.
func (c *conn) readBody(p []byte) (int, error) {
	n, err := c.readSome(p)
	if err == io.EOF && c.body {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *conn) readSome(p []byte) (int, error) {
	if c.chunked && c.left == 0 && c.body {
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
	}
	if c.left == 0 {
		c.body = false
	}
	if !c.body {
		return 0, io.EOF
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	var n int
	if c.r < c.w {
		n = copy(p, c.buf[c.r:c.w])
		c.r += n
	} else {
		var err error
		if n, err = c.Read(p); n == 0 && err != nil {
			return 0, err
		}
	}
	c.left -= int64(n)
	return n, nil
}

// nextChunk reads the line that announces a chunk and, after the last one, the
// trailers. The line end that closes a chunk is read with the next line.
func (c *conn) nextChunk() error {
	if !c.first {
		line, err := c.line(maxLine)
		if err != nil {
			return err
		}
		if len(line) != 0 {
			return errMalformed
		}
	}
	c.first = false
	line, err := c.line(maxLine)
	if err != nil {
		return err
	}
	size, extension, _ := bytes.Cut(line, []byte(";"))
	for _, b := range extension {
		if b < ' ' && b != '\t' {
			return errMalformed
		}
	}
	n, ok := hexadecimal(bytes.TrimRight(size, " \t"))
	if !ok {
		return errMalformed
	}
	c.left = n
	if n > 0 {
		return nil
	}
	for {
		line, err := c.line(maxTrailer)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			c.body = false
			return nil
		}
		if len(c.trailer)+len(line) > maxTrailer {
			return errTooLarge
		}
		if !fieldLike(line) {
			return errMalformed
		}
		c.trailer = append(append(c.trailer, line...), '\n')
	}
}

// line consumes one line, which must end in CR LF: what frames a body is read
// strictly, so that no two readers see different bodies.
func (c *conn) line(limit int) ([]byte, error) {
	from := 0
	for {
		b := c.buf[c.r:c.w]
		if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
			n := from + i
			c.r += n + 1
			if n == 0 || b[n-1] != '\r' {
				return nil, errMalformed
			}
			return b[:n-1], nil
		}
		if from = len(b); from >= limit {
			return nil, errTooLarge
		}
		if err := c.fill(limit); err != nil {
			return nil, err
		}
	}
}

// trailerValue returns the value of a trailer; name is lower case.
func (c *conn) trailerValue(name string) []byte {
	for rest := c.trailer; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && is(k, name) {
			return bytes.Trim(v, " \t")
		}
	}
	return nil
}

// done ends the current request: the next readHead reads another. A body that
// nobody read is skipped up to a bound; past it the connection is of no more use.
func (c *conn) done() error {
	if c.body {
		if err := c.skip(maxSkip); err != nil {
			return err
		}
	}
	c.parsed = false
	if c.r == c.w {
		c.r, c.w = 0, 0
		if len(c.buf) > 4*bufferSize { // a large head came this way; do not keep its room
			c.buf = make([]byte, bufferSize)
		}
	}
	return nil
}

// maxSkip bounds what is read of a body only to get to the request behind it.
const maxSkip = 64 << 20

var errSkip = errors.New("request body too large to skip")

func (c *conn) skip(limit int64) error {
	if !c.chunked && c.left > limit {
		return errSkip
	}
	if err := c.proceed(); err != nil {
		return err
	}
	b := getBuffer(32 << 10)
	defer b.free()
	scratch := b.b[:cap(b.b)]
	for {
		n, err := c.readBody(scratch)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if limit -= int64(n); limit < 0 {
			return errSkip
		}
	}
}

// flush writes what is in out.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > 4*bufferSize {
		c.out = nil
	}
	return err
}

// answer appends a complete response to out.
func (c *conn) answer(status, contentType, body string) {
	c.out = append(c.out, "HTTP/1.1 "...)
	c.out = append(c.out, status...)
	if contentType != "" {
		c.out = append(c.out, "\r\nContent-Type: "...)
		c.out = append(c.out, contentType...)
	}
	if c.head.close {
		c.out = append(c.out, "\r\nConnection: close"...)
	}
	c.out = append(c.out, "\r\nContent-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, body...)
}

// accepted appends the answer to an accepted post.
func (c *conn) accepted() {
	if !c.head.close {
		c.out = append(c.out, "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"+
			"Content-Length: 15\r\n\r\n{\"status\":\"OK\"}"...)
		return
	}
	c.answer("202 Accepted", "application/json", `{"status":"OK"}`)
}

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// buffer is a pooled byte slice for bodies.
type buffer struct{ b []byte }

// Small and large buffers are pooled apart, so that a small body does not pin
// the room of a large one.
var small, large = sync.Pool{New: newBuffer}, sync.Pool{New: newBuffer}

func newBuffer() any { return new(buffer) }

const smallBuffer = 32 << 10

// getBuffer returns an empty buffer with room for n bytes.
func getBuffer(n int) *buffer {
	pool := &small
	if n > smallBuffer {
		pool = &large
	} else {
		n = smallBuffer
	}
	b := pool.Get().(*buffer)
	if cap(b.b) < n {
		b.b = make([]byte, 0, n)
	}
	b.b = b.b[:0]
	return b
}

// free gives the buffer back; nil is allowed.
func (b *buffer) free() {
	if b == nil {
		return
	}
	if cap(b.b) > smallBuffer {
		large.Put(b)
	} else {
		small.Put(b)
	}
}
