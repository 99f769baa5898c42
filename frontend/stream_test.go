package frontend

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go/eventstream"

	"github.com/lambent-run/lambent/lambda"
)

// flushes is a response that counts how often it is sent.
type flushes struct {
	*httptest.ResponseRecorder
	n int
}

func (f *flushes) Flush() { f.n++ }

// decode reads a whole event stream as the SDKs do, checksums included.
func decode(t *testing.T, body io.Reader) []eventstream.Message {
	t.Helper()
	var all []eventstream.Message
	d := eventstream.NewDecoder()
	for {
		m, err := d.Decode(body, nil)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
}

// Every write of the function is one event, sent at once, and the answer ends in one InvokeComplete.
func TestEveryWriteIsAnEvent(t *testing.T) {
	w := &flushes{ResponseRecorder: httptest.NewRecorder()}
	e := events{paced: pace(w), version: "7"}
	chunks := []string{"a", strings.Repeat("b", piece), strings.Repeat("c", 5*piece+3), "\x00\xff"}
	e.Begin(lambda.Head{ContentType: "text/html"})
	for i, c := range chunks {
		if n, err := e.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatalf("Write gave %d, %v", n, err)
		}
		if w.n != i+1 {
			t.Errorf("%d events have been sent after %d writes", w.n, i+1)
		}
	}
	e.complete("", nil, nil)
	if err := e.end(); err != nil {
		t.Error(err)
	}
	if h := w.Header(); w.Code != 200 || h.Get("Content-Type") != "application/vnd.amazon.eventstream" || h.Get("X-Amz-Executed-Version") != "7" {
		t.Errorf("%d %v", w.Code, h)
	}
	all := decode(t, w.Body)
	if len(all) != len(chunks)+1 {
		t.Fatalf("%d events, want %d", len(all), len(chunks)+1)
	}
	for i, m := range all {
		event, contentType, payload := "PayloadChunk", "application/octet-stream", ""
		if i < len(chunks) {
			payload = chunks[i]
		} else {
			event, contentType, payload = "InvokeComplete", "application/json", "{}"
		}
		for name, want := range map[string]string{":message-type": "event", ":event-type": event, ":content-type": contentType} {
			if got := m.Headers.Get(name); got == nil || got.String() != want {
				t.Errorf("event %d: %s is %v, want %s", i, name, got, want)
			}
		}
		if string(m.Payload) != payload {
			t.Errorf("event %d has %d bytes, want %d", i, len(m.Payload), len(payload))
		}
	}
}

// The last event says how the invocation ended, and has only the members that have something to say.
func TestInvokeCompleteSaysHowItEnded(t *testing.T) {
	for _, c := range []struct {
		code         string
		details, log []byte
		want         string
	}{
		{"", nil, nil, `{}`},
		{"", nil, []byte("START\n"), `{"LogResult":"U1RBUlQK"}`},
		{"Unhandled", []byte(`{"errorType":"Error"}`), nil, `{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorType\":\"Error\"}"}`},
		{"Function.Late", nil, []byte{}, `{"ErrorCode":"Function.Late","ErrorDetails":"","LogResult":""}`},
		{"Unhandled", []byte("\xff\n"), nil, `{"ErrorCode":"Unhandled","ErrorDetails":"` + "\ufffd" + `\n"}`},
	} {
		w := httptest.NewRecorder()
		e := events{paced: pace(w), version: "$LATEST"}
		e.complete(c.code, c.details, c.log)
		all := decode(t, w.Body)
		if len(all) != 1 || w.Code != 200 || w.Header().Get("X-Amz-Executed-Version") != "$LATEST" {
			t.Fatalf("%d events in a response %d %v", len(all), w.Code, w.Header())
		}
		if got := string(all[0].Payload); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// A chunk costs no memory of its own.
func TestEventsDoNotAllocate(t *testing.T) {
	e := events{paced: pace(nowhere{}), version: "1"}
	e.Begin(lambda.Head{})
	chunk := bytes.Repeat([]byte("x"), 4<<10)
	if n := testing.AllocsPerRun(100, func() { e.Write(chunk) }); n > 0 {
		t.Errorf("%v allocations for a chunk", n)
	}
}

// nowhere is a response that nobody reads.
type nowhere struct{}

var noHeader = http.Header{}

func (nowhere) Header() http.Header               { return noHeader }
func (nowhere) WriteHeader(int)                   {}
func (nowhere) Write(p []byte) (int, error)       { return len(p), nil }
func (nowhere) Flush()                            {}
func (nowhere) SetWriteDeadline(time.Time) error  { return nil }
func (nowhere) SetReadDeadline(t time.Time) error { return nil }

// A caller that stops reading is given up a minute later, and a quarter of an hour between two chunks is no reason to.
func TestACallerThatStopsReadingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		l := &once{c: theirs, closed: make(chan struct{})}
		gaveUp := make(chan time.Duration, 1)
		server := &http.Server{ReadTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e := events{paced: pace(w)}
			e.Begin(lambda.Head{})
			time.Sleep(15 * time.Minute) // the function's pause, in the bubble's time
			if err := r.Context().Err(); err != nil {
				t.Errorf("the caller, who waits, is taken to have gone: %v", err)
			}
			if _, err := e.Write([]byte("first")); err != nil {
				t.Errorf("after a pause: %v", err)
			}
			start := time.Now()
			for {
				if _, err := e.Write(make([]byte, 32<<10)); err != nil {
					gaveUp <- time.Since(start)
					return
				}
			}
		})}
		served := make(chan struct{})
		go func() { server.Serve(l); close(served) }()
		if _, err := io.WriteString(ours, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 10)
		if _, err := io.ReadFull(ours, first); err != nil {
			t.Fatal(err)
		}
		for seen := ""; !strings.Contains(seen, "first"); {
			n, err := ours.Read(first)
			if err != nil {
				t.Fatal(err)
			}
			seen += string(first[:n])
		}
		if after := <-gaveUp; after != stall {
			t.Errorf("given up after %v, want %v", after, stall)
		}
		ours.Close()
		server.Close()
		<-served
	})
}

// once is a listener for one connection.
type once struct {
	c      net.Conn
	closed chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	if c := o.c; c != nil {
		o.c = nil
		return c, nil
	}
	<-o.closed
	return nil, net.ErrClosed
}
func (o *once) Close() error   { close(o.closed); return nil }
func (o *once) Addr() net.Addr { return &net.TCPAddr{} }
