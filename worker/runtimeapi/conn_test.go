package runtimeapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// stream is a connection that only reads.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s stream) Write(p []byte) (int, error) { return len(p), nil }

// requests reads every request of input and describes each on a line.
func requests(input io.Reader) (string, error) {
	c := newConn(stream{Reader: input})
	var out strings.Builder
	for {
		if err := c.readHead(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return out.String(), err
		}
		out.WriteString(string(c.head.method) + " " + string(c.head.path))
		body, err := io.ReadAll(readerFunc(c.readBody))
		if err != nil {
			return out.String(), err
		}
		out.WriteString(" " + string(body))
		if len(c.trailer) > 0 {
			out.WriteString(" | " + string(c.trailer))
		}
		out.WriteString("\n")
		if err := c.done(); err != nil {
			return out.String(), err
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Requests are read in every framing, alone or several in one buffer, however
// the bytes are cut.
func TestRequestsAreReadInEveryFraming(t *testing.T) {
	long := strings.Repeat("x", 3*bufferSize)
	for _, c := range []struct{ name, in, want string }{
		{"no body", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a \n"},
		{"query", "GET /a?b=c HTTP/1.1\r\n\r\n", "GET /a \n"},
		{"length", "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "POST /a abc\n"},
		{"pipelined", "POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n", "POST /a abc\nGET /b \n"},
		{"chunked", "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;ext=1\r\nbc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
			"POST /a abc\nGET /b \n"},
		{"trailers", "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", "POST /a a | X: y\n\n"},
		{"bare line feeds", "GET /a HTTP/1.1\nHost: h\n\n", "GET /a \n"},
		{"empty line first", "\r\nGET /a HTTP/1.1\r\n\r\n", "GET /a \n"},
		{"long body", "POST /a HTTP/1.1\r\nContent-Length: 12288\r\n\r\n" + long + "GET /b HTTP/1.1\r\n\r\n", "POST /a " + long + "\nGET /b \n"},
		{"long head", "POST /a HTTP/1.1\r\nX: " + long + "\r\nContent-Length: 3\r\n\r\nabc", "POST /a abc\n"},
		{"long chunk", "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3000\r\n" + long + "\r\n0\r\n\r\n", "POST /a " + long + "\n"},
	} {
		for _, r := range []struct {
			how string
			io.Reader
		}{
			{"at once", strings.NewReader(c.in)},
			{"byte by byte", iotest.OneByteReader(strings.NewReader(c.in))},
			{"by halves", iotest.HalfReader(strings.NewReader(c.in))},
		} {
			if got, err := requests(r); got != c.want || err != nil {
				t.Errorf("%s, %s: %.200q, %v, want %.200q", c.name, r.how, got, err, c.want)
			}
		}
	}
}

// What is malformed, ambiguous or too large is refused.
func TestMalformedRequestsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"no version", "GET /\r\n\r\n", errMalformed},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", errMalformed},
		{"garbage", "\x16\x03\x01\x02\x00\x01\x00\n\n", errMalformed},
		{"two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", errMalformed},
		{"length and chunks", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", errMalformed},
		{"signed length", "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\na", errMalformed},
		{"length past any", "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\na", errMalformed},
		{"folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", errMalformed},
		{"space before colon", "GET / HTTP/1.1\r\nContent-Length : 1\r\n\r\na", errMalformed},
		{"gzip", "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", errMalformed},
		{"bad chunk", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", errMalformed},
		{"chunk not closed", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", errMalformed},
		{"head without end", "GET / HTTP/1.1\r\nA: " + strings.Repeat("x", MaxHead), errTooLarge},
		{"head cut short", "GET / HTTP/1.1\r\nA: b\r\n", io.ErrUnexpectedEOF},
		{"body cut short", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", io.ErrUnexpectedEOF},
		{"chunks cut short", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", io.ErrUnexpectedEOF},
		{"last chunk missing", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", io.ErrUnexpectedEOF},
	} {
		if _, err := requests(strings.NewReader(c.in)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// Every request that this parser takes, net/http takes too, and reads the same
// path and body from it: nothing can be smuggled between the two.
func FuzzHeadAgainstNetHTTP(f *testing.F) {
	for _, s := range []string{
		"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /a?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\n",
		"POST /%41 HTTP/1.0\nHost: h\nConnection: close, x\n\n",
		"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := newConn(stream{Reader: bytes.NewReader(in)})
		if c.readHead() != nil {
			return
		}
		method, path := string(c.head.method), string(c.head.path)
		body, err := io.ReadAll(readerFunc(c.readBody))
		req, err2 := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimLeft(in, "\r\n"))))
		if err2 != nil {
			t.Fatalf("net/http refuses it: %v", err2)
		}
		theirPath, _, _ := strings.Cut(req.RequestURI, "?")
		if req.Method != method || theirPath != path {
			t.Fatalf("%s %s, net/http reads %s %s", method, path, req.Method, theirPath)
		}
		theirs, err2 := io.ReadAll(req.Body)
		if err == nil && (err2 != nil || !bytes.Equal(theirs, body)) {
			t.Fatalf("body %q, net/http reads %q, %v", body, theirs, err2)
		}
	})
}
