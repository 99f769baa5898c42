package gateway

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

// moved is a connection that net/http serves. What has been read of it before it
// moved comes first.
//
// net/http refuses a path whose percent-encoding is wrong before anyone has seen
// it, but such a path is the function's where the request is to a function URL.
// So the first line of each request is mended on its way in, and what was sent
// is kept beside it. A line that does not arrive in one piece, or behind another
// request that is not answered yet, is not: it is refused as ever.
type moved struct {
	net.Conn
	in   *bufio.Reader
	rest []byte // mended, and not read yet

	fresh atomic.Bool // the next read begins a request
	sent  string      // the path as it was sent, of a request that was mended; "" for others
}

func newMoved(c net.Conn, in *bufio.Reader) *moved {
	m := &moved{Conn: c, in: in}
	m.fresh.Store(true)
	return m
}

func (m *moved) Read(p []byte) (int, error) {
	if len(m.rest) > 0 {
		n := copy(p, m.rest)
		m.rest = m.rest[n:]
		return n, nil
	}
	n, err := m.receive(p)
	if n > 0 && m.fresh.CompareAndSwap(true, false) {
		if b, path := mend(p[:n]); path != "" {
			m.sent = path
			n = copy(p, b)
			m.rest = b[n:]
		}
	}
	return n, err
}

func (m *moved) receive(p []byte) (int, error) {
	if m.in != nil {
		if m.in.Buffered() > 0 {
			return m.in.Read(p)
		}
		m.in = nil // nothing is left in it, and its memory is not needed
	}
	return m.Conn.Read(p)
}

// mend escapes the percent signs in a request's path that begin no escape. If
// there are any it returns the request, as far as b goes, and the path before.
func mend(b []byte) (mended []byte, path string) {
	end := bytes.IndexByte(b, '\n')
	start := bytes.IndexByte(b, ' ') + 1
	if end < 0 || start <= 0 || start >= end || b[start] != '/' {
		return nil, ""
	}
	stop := start + bytes.IndexAny(b[start:end], " ?\r")
	if stop < start {
		return nil, ""
	}
	for i := start; i < stop; i++ {
		if b[i] == '%' && (i+2 >= stop || !isHex(b[i+1]) || !isHex(b[i+2])) {
			if mended == nil {
				mended = append(make([]byte, 0, len(b)+16), b[:i]...)
			}
			mended = append(mended, "%25"...)
			continue
		}
		if mended != nil {
			mended = append(mended, b[i])
		}
	}
	if mended == nil {
		return nil, ""
	}
	return append(mended, b[stop:]...), string(b[start:stop])
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// awaitHead is told of what net/http does with a connection. It waits for the
// next request when the one before has been answered.
func awaitHead(c net.Conn, state http.ConnState) {
	if m, ok := c.(*moved); ok && state == http.StateIdle {
		m.sent = ""
		m.fresh.Store(true)
	}
}

type connectionKey struct{}

// knowConnection puts a connection where its requests find it.
func knowConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// sentPath is the path of a request as it was sent, and whether net/http would
// have refused it. It comes before anything reads the request's body.
func sentPath(r *http.Request) (path string, mended bool) {
	if m, ok := r.Context().Value(connectionKey{}).(*moved); ok {
		m.fresh.Store(false)
		if m.sent != "" {
			return m.sent, true
		}
	}
	return r.URL.EscapedPath(), false
}
