package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// Percent signs that begin no escape are escaped in the path, and nowhere else.
func TestMendEscapesWhatIsNoEscape(t *testing.T) {
	for _, c := range []struct{ in, want, path string }{
		{"GET /pa2%Fth/1?q=%zz HTTP/1.1\r\nA: /%\r\n", "GET /pa2%25Fth/1?q=%zz HTTP/1.1\r\nA: /%\r\n", "/pa2%Fth/1"},
		{"GET /%%%41% HTTP/1.1\n", "GET /%25%25%41%25 HTTP/1.1\n", "/%%%41%"},
		{"GET /a%2 HTTP/1.1\r\n", "GET /a%252 HTTP/1.1\r\n", "/a%2"},
		{"GET /a%20b?% HTTP/1.1\r\n\r\n%", "", ""},
		{"GET /% HTTP/1.1", "", ""}, // who knows where it ends
		{"GET /%\n", "", ""},
		{"GET http://x/% HTTP/1.1\r\n", "", ""},
		{"\r\nGET /% HTTP/1.1\r\n", "", ""},
		{"x\n", "", ""},
		{" \n", "", ""},
		{"", "", ""},
	} {
		mended, path := mend([]byte(c.in))
		if string(mended) != c.want || path != c.path {
			t.Errorf("%q: %q %q, want %q %q", c.in, mended, path, c.want, c.path)
		}
	}
}

// On one connection, each request has the path that was sent, in whatever pieces net/http reads it, and bodies are left alone.
func TestRequestsKeepTheirPaths(t *testing.T) {
	ours, theirs := net.Pipe()
	type seen struct {
		path, body string
		mended     bool
	}
	requests := make(chan seen)
	l := make(listener, 1)
	l <- newMoved(theirs, bufio.NewReader(iotest.OneByteReader(strings.NewReader(""))))
	server := &http.Server{ConnContext: knowConnection, ConnState: awaitHead, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		path, mended := sentPath(r)
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- seen{path, string(b), mended}
	})}
	served := make(chan struct{})
	go func() { server.Serve(l); close(served) }()
	in := bufio.NewReader(ours)
	const body = "GET /% HTTP/1.1\r\n"
	long := "/" + strings.Repeat("%", 1000)
	for _, c := range []struct {
		text string
		want seen
	}{
		{"GET /a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n", seen{"/a%2Fb", "", false}},
		{"POST /pa2%Fth HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n" + body, seen{"/pa2%Fth", body, true}},
		{"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n" + body, seen{"/x", body, false}},
		{"GET " + long + " HTTP/1.1\r\nHost: x\r\n\r\n", seen{long, "", true}},
	} {
		written := make(chan error, 1)
		go func() { _, err := io.WriteString(ours, c.text); written <- err }()
		if got := <-requests; got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	ours.Close()
	close(l) // for which Close waits
	server.Close()
	<-served
}

// listener gives out the connections that are put into it.
type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (listener) Close() error   { return nil }
func (listener) Addr() net.Addr { return &net.TCPAddr{} }

func FuzzMend(f *testing.F) {
	f.Add([]byte("GET /pa2%Fth?q HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		mended, path := mend(b)
		if path == "" {
			return
		}
		if again, more := mend(mended); more != "" {
			t.Errorf("%q is mended to %q and again to %q", b, mended, again)
		}
		if len(mended) <= len(b) || !strings.Contains(string(b), " "+path) {
			t.Errorf("%q is mended to %q, path %q", b, mended, path)
		}
	})
}
