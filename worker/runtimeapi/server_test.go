package runtimeapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/environment"
)

// TestMain lets the test binary be a function, on AWS's own client library.
func TestMain(m *testing.M) {
	if os.Getenv("RUNTIMEAPI_TEST_FUNCTION") != "" {
		awslambda.Start(func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
			if string(in) == `"fail"` {
				return nil, errors.New("as asked")
			}
			return in, nil
		})
	}
	os.Exit(m.Run())
}

// rig is a server with a listener, whose actions the test can await.
type rig struct {
	t    *testing.T
	s    *Server
	addr string
	idle chan struct{} // one for each DoOffer
	gone chan struct{} // closed at DoKill

	players sync.WaitGroup
}

// play runs what the function does; the test waits for its end.
func (r *rig) play(f func()) { r.players.Go(f) }

func newRig(t *testing.T, timeout time.Duration) *rig {
	t.Helper()
	r := &rig{t: t, idle: make(chan struct{}, 1000), gone: make(chan struct{})}
	r.s = New(environment.New(time.Now(), time.Minute, timeout), func(act environment.Action) {
		if act.Has(environment.DoOffer) {
			r.idle <- struct{}{}
		}
		if act.Has(environment.DoKill) {
			close(r.gone)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.s.Serve(l)
	t.Cleanup(func() { r.s.Close(); r.s.Wait() })
	return r
}

func (r *rig) await(c <-chan struct{}, what string) {
	r.t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		r.t.Fatalf("waited in vain until %s", what)
	}
}

// recorder is a caller's ResponseWriter.
type recorder struct {
	head   lambda.Head
	begun  int
	body   bytes.Buffer
	writes int
}

func (r *recorder) Begin(h lambda.Head) { r.head = h; r.begun++ }
func (r *recorder) Write(p []byte) (int, error) {
	r.writes++
	return r.body.Write(p)
}

var ref = lambda.Ref{FunctionID: lambda.FunctionID{Account: "123456789012", Region: "us-east-1", Name: "fn"}, Qualifier: "live"}

func invocation(id, payload string) *lambda.Invocation {
	return &lambda.Invocation{Ref: ref, RequestID: id, Payload: []byte(payload), Trace: "Root=1-2-3"}
}

// invoke waits until the environment is idle and runs one invocation.
func (r *rig) invoke(id, payload string) (*recorder, Answer) {
	r.t.Helper()
	r.await(r.idle, "the environment is idle")
	w, a := new(recorder), Answer{}
	if err := r.s.Invoke(invocation(id, payload), w, &a); err != nil {
		r.t.Fatal(err)
	}
	r.s.Finish()
	a.Pass(w)
	return w, a
}

// client is a runtime that speaks HTTP by hand.
type client struct {
	t *testing.T
	net.Conn
	*bufio.Reader
}

func (r *rig) dial() *client {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r.t.Cleanup(func() { r.players.Wait(); c.Close() })
	return &client{r.t, c, bufio.NewReader(c)}
}

func (c *client) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func (c *client) send(s string) {
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Error(err)
	}
}

// receive reads one response; its body is read whole.
func (c *client) receive() (*http.Response, string) {
	res, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		c.t.Error(err)
		return &http.Response{Header: http.Header{}}, ""
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Error(err)
	}
	return res, string(b)
}

// expect reads one response and compares its status and body.
func (c *client) expect(status int, body string) *http.Response {
	c.t.Helper()
	res, got := c.receive()
	if res.StatusCode != status || body != "" && got != body {
		c.t.Errorf("answered %d %s, want %d %s", res.StatusCode, got, status, body)
	}
	return res
}

const next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: h\r\n\r\n"

func post(id, verb, headers, body string) string {
	return fmt.Sprintf("POST /2018-06-01/runtime/invocation/%s/%s HTTP/1.1\r\nHost: h\r\n%sContent-Length: %d\r\n\r\n%s",
		id, verb, headers, len(body), body)
}

const ok = `{"status":"OK"}`

// The event carries the headers of the Runtime API, and the answer reaches the caller.
func TestAnEventIsDeliveredAndAnswered(t *testing.T) {
	r := newRig(t, 3*time.Second)
	c := r.dial()
	c.send(next)
	done := make(chan struct{})
	r.play(func() {
		defer close(done)
		res := c.expect(200, `{"a":1}`)
		for k, want := range map[string]string{
			"Content-Type":                        "application/json",
			"Lambda-Runtime-Aws-Request-Id":       "id-1",
			"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:fn:live",
			"Lambda-Runtime-Trace-Id":             "Root=1-2-3",
			"Lambda-Runtime-Client-Context":       `{ "x":1}`,
		} {
			if got := res.Header.Get(k); got != want {
				t.Errorf("%s: %q, want %q", k, got, want)
			}
		}
		c.send(post("id-1", "response", "Content-Type: text/plain\r\nLambda-Runtime-Invocation-Id: "+
			res.Header.Get("Lambda-Runtime-Invocation-Id")+"\r\n", "hello"))
		c.expect(202, ok)
		c.send(next)
	})
	r.await(r.idle, "the environment is idle")
	inv := invocation("id-1", `{"a":1}`)
	inv.ClientContext = []byte("{\n\"x\":1}")
	w, a := new(recorder), Answer{}
	if err := r.s.Invoke(inv, w, &a); err != nil {
		t.Fatal(err)
	}
	r.s.Finish()
	a.Pass(w)
	<-done
	if w.body.String() != "hello" || w.head != (lambda.Head{ContentType: "text/plain", Length: 5}) || w.begun != 1 {
		t.Errorf("the caller got %q %+v", w.body.String(), w.head)
	}
	if a.End != Answered || a.Fault != nil || a.Bytes != 5 {
		t.Errorf("%+v", a)
	}
	r.await(r.idle, "the environment is idle again")
}

// A client that sends its next poll behind its answer is idle before Invoke's
// caller is done, and finds its 202 in front of the next event.
func TestAPipeliningClientIsIdleAtOnce(t *testing.T) {
	r := newRig(t, 3*time.Second)
	c := r.dial()
	c.send(next)
	r.play(func() {
		for i := range 3 {
			if i > 0 {
				c.expect(202, ok)
			}
			res, body := c.receive()
			c.send(post(res.Header.Get("Lambda-Runtime-Aws-Request-Id"), "response", "", body) + next)
		}
	})
	r.await(r.idle, "the environment is idle")
	for i := range 3 {
		id := fmt.Sprint("id-", i)
		w, a := new(recorder), Answer{}
		if err := r.s.Invoke(invocation(id, id), w, &a); err != nil {
			t.Fatal(err)
		}
		r.s.Finish()
		a.Pass(w)
		a.Pass(w)
		if w.body.String() != id {
			t.Errorf("answer %q to %s", w.body.String(), id)
		}
		if len(r.idle) != 1 {
			t.Fatalf("not idle after %s", id)
		}
		<-r.idle
	}
}

// An empty payload is an empty object to the function.
func TestAnEmptyPayloadIsAnEmptyObject(t *testing.T) {
	r := newRig(t, 3*time.Second)
	c := r.dial()
	r.play(func() {
		c.send(next)
		c.expect(200, "{}")
		c.send(post("id", "response", "", "x"))
	})
	r.invoke("id", "")
}

// Answers come in whatever framing HTTP allows.
func TestAnswersComeInEveryFraming(t *testing.T) {
	for name, answer := range map[string]func(*client){
		"expect 100": func(c *client) {
			c.send("POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n")
			if line, err := c.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
				c.t.Errorf("%q, %v", line, err)
			}
			c.ReadString('\n')
			c.send("answer")
			c.expect(202, ok)
		},
		"chunked": func(c *client) {
			c.send("POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nans\r\n")
			c.send("3\r\nwer\r\n0\r\n\r\n")
			c.expect(202, ok)
		},
		"close": func(c *client) {
			c.send(post("id", "response", "Connection: close\r\n", "answer"))
			c.expect(202, ok)
			if _, err := c.ReadByte(); err != io.EOF {
				c.t.Errorf("the connection goes on: %v", err)
			}
		},
		"in pieces": func(c *client) {
			for _, b := range post("id", "response", "", "answer") {
				c.send(string(b))
			}
			c.expect(202, ok)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 10*time.Second)
			c := r.dial()
			done := make(chan struct{})
			r.play(func() {
				defer close(done)
				c.send(next)
				c.receive()
				answer(c)
			})
			if w, a := r.invoke("id", "x"); w.body.String() != "answer" || a.Fault != nil {
				t.Errorf("the caller got %q, %+v", w.body.String(), a)
			}
			<-done
		})
	}
}

// An answer may come on another connection than the poll: the request id decides.
func TestAnAnswerOnAnotherConnectionIsTheAnswer(t *testing.T) {
	r := newRig(t, 10*time.Second)
	poll, other := r.dial(), r.dial()
	done := make(chan struct{})
	r.play(func() {
		defer close(done)
		for i := range 20 {
			poll.send(next)
			_, body := poll.receive()
			other.send(post(fmt.Sprint("id-", i), "response", "", body))
			other.expect(202, ok)
		}
	})
	for i := range 20 {
		id := fmt.Sprint("id-", i)
		if w, a := r.invoke(id, id); w.body.String() != id || a.End != Answered {
			t.Fatalf("%s: %q, %+v", id, w.body.String(), a)
		}
	}
	<-done
}

// A client that uses a connection for each request is served as well.
func TestAConnectionForEachRequest(t *testing.T) {
	r := newRig(t, 10*time.Second)
	r.play(func() {
		for i := range 5 {
			c := r.dial()
			c.send(strings.Replace(next, "Host", "Connection: close\r\nHost", 1))
			_, body := c.receive()
			c = r.dial()
			c.send(post(fmt.Sprint("id-", i), "response", "Connection: close\r\n", body))
			c.expect(202, ok)
		}
	})
	for i := range 5 {
		id := fmt.Sprint("id-", i)
		if w, _ := r.invoke(id, id); w.body.String() != id {
			t.Fatalf("%s: %q", id, w.body.String())
		}
	}
}

// A runtime whose connection broke gets the same event on its next poll.
func TestABrokenPollIsDeliveredAgain(t *testing.T) {
	r := newRig(t, 10*time.Second)
	r.play(func() {
		c := r.dial()
		c.send(next)
		c.receive()
		c.Close()
		for { // refused while the server has not seen the end of the connection
			c = r.dial()
			c.send(next)
			if res, body := c.receive(); res.StatusCode == 200 {
				c.send(post("id", "response", "", body))
				return
			}
		}
	})
	if w, a := r.invoke("id", "event"); w.body.String() != "event" {
		t.Errorf("%q, %+v", w.body.String(), a)
	}
}

// A newer poll replaces an older one.
func TestTheNewestPollGetsTheEvent(t *testing.T) {
	r := newRig(t, 10*time.Second)
	old, young := r.dial(), r.dial()
	old.send(next)
	r.await(r.idle, "the first poll waits")
	young.send(next)
	if _, err := old.ReadByte(); err != io.EOF {
		t.Fatalf("the old poll goes on: %v", err)
	}
	r.play(func() {
		young.receive()
		young.send(post("id", "response", "", "young"))
	})
	w, a := new(recorder), Answer{}
	if err := r.s.Invoke(invocation("id", ""), w, &a); err != nil {
		t.Fatal(err)
	}
	r.s.Finish()
	if a.Pass(w); w.body.String() != "young" {
		t.Errorf("%q", w.body.String())
	}
}

// What a runtime may not do is refused with the status and text of the Runtime
// API, and does not disturb the invocation.
func TestMisuseIsRefused(t *testing.T) {
	r := newRig(t, 10*time.Second)
	c := r.dial()
	transition := func(from, to string) string {
		return `{"errorMessage":"State transition from ` + from + ` to ` + to +
			` failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
	}
	const wrongID = `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`
	done := make(chan struct{})
	r.play(func() {
		defer close(done)
		c.send(post("", "response", "", "x"))
		c.expect(400, wrongID)
		c.send(next)
		c.receive()
		c.send(next)
		c.expect(403, transition("Running", "Ready"))
		c.send(post("other", "response", "", "x"))
		c.expect(400, wrongID)
		c.send(post("id", "response", "Lambda-Runtime-Invocation-Id: stale\r\n", "x"))
		c.expect(400, `{"errorMessage":"Invalid invocation ID","errorType":"InvalidInvocationId"}`)
		c.send(post("id", "response", "Lambda-Runtime-Function-Response-Mode: odd\r\n", "x"))
		c.expect(400, `{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}`)
		c.send("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
		c.expect(403, transition("Running", "InitError"))
		c.send("GET /2018-06-01/runtime/restore/next HTTP/1.1\r\n\r\n")
		c.expect(404, "")
		c.send("POST /2018-06-01/runtime/restore/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
		c.expect(404, "")
		c.send("POST /2018-06-01/runtime/invocation/next HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
		c.expect(405, "")
		c.send("GET /2018-06-01/ping HTTP/1.1\r\n\r\n")
		c.expect(200, "pong")
		c.send("GET /2021-04-23/credentials HTTP/1.1\r\nAuthorization: x\r\n\r\n")
		c.expect(404, "")
		c.send("POST /2020-01-01/extension/register HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
		c.expect(501, "")
		c.send("PUT /2022-07-01/telemetry HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
		c.expect(501, "")
		c.send("GET /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\n\r\n")
		c.expect(405, "")
		c.send("GET / HTTP/1.1\r\n\r\n")
		c.expect(404, "")
		bad := r.dial()
		bad.send("\x16\x03\x01 nonsense\r\n\r\n")
		bad.expect(400, "")
		c.send(post("id", "response", "", "fine"))
		c.expect(202, ok)
		c.send(post("id", "response", "", "again"))
		c.expect(403, transition("ResponseSent", "InvocationResponse"))
		c.send(post("id", "error", "", "again"))
		c.expect(403, transition("ResponseSent", "InvocationErrorResponse"))
		c.send(next)
	})
	if w, a := r.invoke("id", "x"); w.body.String() != "fine" || a.End != Answered {
		t.Errorf("%q, %+v", w.body.String(), a)
	}
	r.await(r.idle, "the environment is idle again")
	<-done
}

// A function's error is its fault, passed through unchanged.
func TestAReportedErrorIsTheFault(t *testing.T) {
	r := newRig(t, 10*time.Second)
	c := r.dial()
	const object = `{"errorMessage":"m","errorType":"Function.Oops","stackTrace":[]}`
	r.play(func() {
		c.send(next)
		c.receive()
		c.send(post("1", "error", "Lambda-Runtime-Function-Error-Type: Runtime.Named\r\n", object))
		c.expect(202, ok)
		c.send(next)
		c.receive()
		c.send(post("2", "error", "", object))
		c.expect(202, ok)
	})
	for i, kind := range []string{"Runtime.Named", "Function.Oops"} {
		w, a := r.invoke(fmt.Sprint(i+1), "x")
		if a.Fault == nil || a.Fault.Type != kind || string(a.Fault.Payload) != object || w.begun != 0 {
			t.Errorf("%+v, begun %d", a.Fault, w.begun)
		}
	}
}

// An answer past the limit is refused with 413, and none of it reaches the
// caller; one at the limit passes.
func TestAnAnswerPastTheLimitIsRefused(t *testing.T) {
	r := newRig(t, 30*time.Second)
	c := r.dial()
	exact := strings.Repeat("x", lambda.MaxResponse)
	r.play(func() {
		c.send(next)
		c.receive()
		c.send(post("1", "response", "", exact))
		c.expect(202, ok)
		c.send(next)
		c.receive()
		c.send(post("2", "response", "", exact+"x"))
		c.expect(413, `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`)
		c.send(next)
		c.receive()
		c.send("POST /2018-06-01/runtime/invocation/3/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range 7 {
			c.send("100000\r\n" + exact[:1<<20] + "\r\n")
		}
		c.send("0\r\n\r\n")
		c.expect(413, "")
		c.send(next)
	})
	if w, a := r.invoke("1", "x"); w.body.Len() != len(exact) || a.Fault != nil {
		t.Errorf("%d bytes, %+v", w.body.Len(), a.Fault)
	}
	for _, id := range []string{"2", "3"} {
		w, a := r.invoke(id, "x")
		if w.begun != 0 || a.Fault == nil || a.Fault.Type != "Function.ResponseSizeTooLarge" {
			t.Errorf("%s: begun %d, %+v", id, w.begun, a.Fault)
		}
	}
	r.await(r.idle, "the environment goes on")
}

// A streamed answer is passed on as it comes, and an error behind it is the fault. It is one that the runtime says it
// streams, or one in chunks for a caller that takes it so.
func TestAStreamedAnswerIsPassedOnAsItComes(t *testing.T) {
	for _, declared := range []bool{true, false} {
		r := newRig(t, 10*time.Second)
		c := r.dial()
		seen := make(chan string)
		mode := ""
		if declared {
			mode = "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
		}
		r.play(func() {
			c.send(next)
			c.receive()
			c.send("POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" +
				mode + "Content-Type: text/event-stream\r\n\r\n")
			for _, s := range []string{"one", "two"} {
				c.send(fmt.Sprintf("%x\r\n%s\r\n", len(s), s))
				if got := <-seen; got != s {
					t.Errorf("the caller saw %q, want %q", got, s)
				}
			}
			c.send("0\r\nLambda-Runtime-Function-Error-Type: Function.Late\r\nLambda-Runtime-Function-Error-Body: " +
				base64.StdEncoding.EncodeToString([]byte(`{"errorType":"Function.Late"}`)) + "\r\n\r\n")
			c.expect(202, ok)
		})
		r.await(r.idle, "the environment is idle")
		w, a, inv := &watcher{seen: seen}, Answer{}, invocation("1", "x")
		inv.Stream = !declared
		if err := r.s.Invoke(inv, w, &a); err != nil {
			t.Fatal(err)
		}
		r.s.Finish()
		a.Pass(w)
		if want := (lambda.Head{ContentType: "text/event-stream", Streaming: true, Length: -1}); w.head != want {
			t.Errorf("%+v", w.head)
		}
		if a.Fault == nil || a.Fault.Type != "Function.Late" || string(a.Fault.Payload) != `{"errorType":"Function.Late"}` || a.Bytes != 6 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
	}
}

type watcher struct {
	head lambda.Head
	seen chan string
}

func (w *watcher) Begin(h lambda.Head)         { w.head = h }
func (w *watcher) Write(p []byte) (int, error) { w.seen <- string(p); return len(p), nil }

// A caller who reads a streamed answer too slowly does not hold the deadline up.
func TestASlowCallerDoesNotHoldTheDeadlineUp(t *testing.T) {
	r := newRig(t, 200*time.Millisecond)
	c := r.dial()
	r.play(func() {
		c.send(next)
		c.receive()
		c.send("POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" +
			"Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n1\r\nx\r\n")
	})
	w := &watcher{seen: make(chan string)}
	r.play(func() {
		r.await(r.gone, "the environment is killed")
		<-w.seen
	})
	r.await(r.idle, "the environment is idle")
	var a Answer
	if err := r.s.Invoke(invocation("1", "x"), w, &a); err != nil || a.End != TimedOut {
		t.Errorf("%v, %+v", err, a)
	}
	r.s.Finish()
}

// A function that does not answer in time is a timeout, however it is late, and
// what it sends afterwards reaches nobody.
func TestATimeoutIsATimeout(t *testing.T) {
	for name, late := range map[string]func(*client){
		"silent":    func(*client) {},
		"slow head": func(c *client) { c.send("POST /2018-06-01/runtime/invocation/id/resp") },
		"slow body": func(c *client) {
			c.send(post("id", "response", "", "body")[:len(post("id", "response", "", "body"))-1])
		},
		"slow chunks": func(c *client) {
			c.send("POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		},
		"closed": func(c *client) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 100*time.Millisecond)
			c := r.dial()
			r.play(func() {
				c.send(next)
				c.receive()
				late(c)
			})
			w, a := r.invoke("id", "x")
			if a.End != TimedOut || w.begun != 0 {
				t.Errorf("%+v, begun %d", a, w.begun)
			}
			r.await(r.gone, "the environment is killed")
			if err := r.s.Invoke(invocation("2", "x"), w, &a); !errors.Is(err, ErrGone) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Work after the answer is bounded by the same timeout.
func TestARuntimeThatDoesNotPollAgainIsEnded(t *testing.T) {
	for _, headers := range []string{"", "Connection: close\r\n"} {
		r := newRig(t, 100*time.Millisecond)
		go r.s.Watch(nil)
		c := r.dial()
		r.play(func() {
			c.send(next)
			c.receive()
			c.send(post("id", "response", headers, "x"))
		})
		if _, a := r.invoke("id", "x"); a.End != Answered {
			t.Fatalf("%+v", a)
		}
		r.await(r.gone, "the environment is killed")
	}
}

// Initialisation that overruns its limit is ended.
func TestInitialisationHasALimit(t *testing.T) {
	gone := make(chan struct{})
	s := New(environment.New(time.Now(), 50*time.Millisecond, time.Second), func(act environment.Action) {
		if act.Has(environment.DoKill | environment.DoReady) {
			close(gone)
		}
	})
	done := make(chan struct{})
	go func() { s.Watch(nil); close(done) }()
	<-gone
	s.Close()
	<-done
}

// A process that exits fails its invocation, but what it answered before counts.
func TestAnExitFailsTheInvocation(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		want   End
	}{
		"silent":       {"", Exited},
		"half":         {post("id", "response", "", "body")[:80], Exited},
		"half a body":  {post("id", "response", "", "body")[:len(post("id", "response", "", "body"))-1], Exited},
		"whole answer": {post("id", "response", "", "body"), Answered},
	} {
		for _, hold := range []bool{false, true} { // whether a descendant keeps the connection open
			t.Run(fmt.Sprint(name, hold), func(t *testing.T) {
				r := newRig(t, 10*time.Second)
				exited := make(chan struct{})
				watched := make(chan struct{})
				go func() { r.s.Watch(exited); close(watched) }()
				cl := r.dial()
				r.play(func() {
					cl.send(next)
					cl.receive()
					cl.send(c.before)
					if !hold {
						cl.Close()
					}
					close(exited)
				})
				if _, a := r.invoke("id", "x"); a.End != c.want {
					t.Errorf("%+v", a)
				}
				<-watched
				r.await(r.gone, "the environment is ended")
			})
		}
	}
}

// An answer that breaks off while the process lives on is truncated.
func TestAnAnswerThatBreaksOffIsTruncated(t *testing.T) {
	r := newRig(t, 10*time.Second)
	c := r.dial()
	r.play(func() {
		c.send(next)
		c.receive()
		c.send("POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
		c.Conn.(*net.TCPConn).CloseWrite()
		c.expect(400, `{"errorMessage":"HTTP request detected as truncated","errorType":"TruncatedHTTPRequest"}`)
	})
	if w, a := r.invoke("id", "x"); a.End != Truncated || w.begun != 0 {
		t.Errorf("%+v", a)
	}
}

// A runtime may report that it cannot initialise.
func TestAnInitErrorIsKept(t *testing.T) {
	r := newRig(t, time.Second)
	c := r.dial()
	c.send("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\nContent-Length: 17\r\n\r\n{\"errorType\":\"X\"}")
	c.expect(202, ok)
	r.await(r.gone, "the environment is ended")
	if f := r.s.InitFault(); f == nil || f.Type != "Runtime.ImportModuleError" || string(f.Payload) != `{"errorType":"X"}` {
		t.Errorf("%+v", f)
	}
}

// Killed while busy, the caller hears of it at once.
func TestAKillEndsTheInvocation(t *testing.T) {
	r := newRig(t, time.Minute)
	c := r.dial()
	r.play(func() {
		c.send(next)
		c.receive()
		r.s.Kill()
	})
	if _, a := r.invoke("id", "x"); a.End != Killed {
		t.Errorf("%+v", a)
	}
}

// The answer that comes at the deadline is either delivered or late, never both
// and never to another invocation.
func TestAnAnswerAtTheDeadlineIsDeliveredOrLate(t *testing.T) {
	const timeout = 10 * time.Millisecond
	var answered, late int
	for i := range 60 {
		r := newRig(t, timeout)
		poll, c := r.dial(), r.dial()
		if i%2 == 0 {
			c = poll
		}
		r.play(func() {
			poll.send(next)
			poll.receive()
			time.Sleep(timeout - time.Duration(i%10)*100*time.Microsecond) // around the deadline
			io.WriteString(c.Conn, post("id", "response", "", "x"))
		})
		w, a := r.invoke("id", "x")
		switch {
		case a.End == Answered && w.body.String() == "x":
			answered++
		case a.End == TimedOut && w.begun == 0:
			late++
		default:
			t.Fatalf("%+v, %q", a, w.body.String())
		}
		r.s.Close()
	}
	t.Logf("%d in time, %d late", answered, late)
}

// A client library in general use: net/http, with keep-alive and a retry of its own.
func TestNetHTTPAsARuntime(t *testing.T) {
	r := newRig(t, 10*time.Second)
	var wg sync.WaitGroup
	wg.Go(func() {
		hc := &http.Client{Transport: &http.Transport{}}
		defer hc.CloseIdleConnections()
		base := "http://" + r.addr + "/2018-06-01/runtime/invocation/"
		for range 50 {
			res, err := hc.Get(base + "next")
			if err != nil {
				t.Error(err)
				return
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			res, err = hc.Post(base+res.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", "application/json", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	for i := range 50 {
		id, payload := fmt.Sprint("id-", i), strings.Repeat("x", i*i*i)
		if i == 0 {
			payload = "y"
		}
		if w, a := r.invoke(id, payload); w.body.String() != payload || a.End != Answered {
			t.Fatalf("%s: %d bytes, %+v", id, w.body.Len(), a)
		}
	}
	wg.Wait()
}

// AWS's own client library for Go works unchanged.
func TestTheOfficialGoClient(t *testing.T) {
	r := newRig(t, 10*time.Second)
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"RUNTIMEAPI_TEST_FUNCTION=1", "AWS_LAMBDA_RUNTIME_API=" + r.addr, "AWS_LAMBDA_FUNCTION_NAME=fn"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for i := range 50 {
		payload := fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, strings.Repeat("x", i*1000))
		if w, a := r.invoke(fmt.Sprint("id-", i), payload); w.body.String() != payload || a.Fault != nil {
			t.Fatalf("%d bytes, %+v", w.body.Len(), a)
		}
	}
	if _, a := r.invoke("fail", `"fail"`); a.Fault == nil || a.Fault.Type != "errorString" || !strings.Contains(string(a.Fault.Payload), "as asked") {
		t.Errorf("%+v", a.Fault)
	}
}

// However a client spreads its requests over connections, breaking some of them
// off, each event gets its own answer.
func TestAnyMixOfConnectionsAnswersEveryEvent(t *testing.T) {
	const events = 400
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := newRig(t, 20*time.Second)
	rng := rand.New(rand.NewPCG(seed, 0))
	r.play(func() {
		c := r.dial()
		for range events {
			var id, body string
			for polls := 0; ; polls++ { // a poll may be refused while a broken one still seems to stand
				if rng.IntN(8) == 0 {
					c.Close()
					c = r.dial()
				}
				c.send(next)
				res, got := c.receive()
				if res.StatusCode == 403 {
					c = r.dial()
					continue
				}
				if id, body = res.Header.Get("Lambda-Runtime-Aws-Request-Id"), got; res.StatusCode != 200 {
					t.Errorf("a poll got %d %s", res.StatusCode, got)
					return
				}
				if polls > 0 || rng.IntN(8) > 0 {
					break
				}
				c.Close() // the event was received, and its connection is lost
				c = r.dial()
			}
			to, headers, end := c, "", "response"
			switch rng.IntN(4) {
			case 0:
				to = r.dial()
			case 1:
				to, headers = r.dial(), "Connection: close\r\n"
			case 2:
				c.Close()
				c = r.dial()
				to = c
			}
			if rng.IntN(4) == 0 {
				end = "error"
			}
			to.send(post(id, end, headers, body))
			to.expect(202, ok)
			if to != c {
				to.Close()
			}
		}
		c.Close()
	})
	for i := range events {
		id := fmt.Sprint("id-", i)
		w, a := r.invoke(id, id)
		got := w.body.String()
		if a.Fault != nil {
			got = string(a.Fault.Payload)
		}
		if a.End != Answered || got != id {
			t.Fatalf("%s got %q, %+v", id, got, a)
		}
	}
}

// The bootstrap of the developer guide's tutorial, a shell script around curl,
// works: a connection for each request, and Expect: 100-continue for large bodies.
func TestAShellBootstrapWithCurl(t *testing.T) {
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs ", tool)
		}
	}
	r := newRig(t, 20*time.Second)
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", `
		while :; do
			curl -sS -o event -D headers "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" || exit
			id=$(sed -n 's/^Lambda-Runtime-Aws-Request-Id: \([^[:space:]]*\).*/\1/p' headers)
			curl -sS -o answer --data-binary @event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" || exit
		done`)
	cmd.Dir = dir
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + r.addr, "PATH=" + os.Getenv("PATH")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() // it ends when the server does
	defer r.s.Close()
	for i, size := range []int{10, 3 << 20, 10} {
		payload := strings.Repeat("x", size)
		if w, a := r.invoke(fmt.Sprint("id-", i), payload); w.body.String() != payload || a.Fault != nil {
			t.Fatalf("%d of %d bytes, %+v", w.body.Len(), size, a)
		}
	}
}

// socketpair returns the server's end of a Unix socket and the runtime's.
func socketpair(tb testing.TB) (net.Conn, net.Conn) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var conns [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if conns[i], err = net.FileConn(f); err != nil {
			tb.Fatal(err)
		}
		f.Close()
	}
	return conns[0], conns[1]
}

// echo is a runtime that answers events with themselves, allocating nothing.
func echo(c net.Conn, pipelined bool) {
	buf, out := make([]byte, 0, 64<<10), make([]byte, 0, 64<<10)
	message := func() (head, body []byte) {
		for {
			if i := bytes.Index(buf, []byte("\r\n\r\n")); i >= 0 {
				head := buf[:i]
				j := bytes.Index(head, []byte("Content-Length: ")) + 16
				n := 0
				for j < len(head) && head[j] >= '0' && head[j] <= '9' {
					n = n*10 + int(head[j]-'0')
					j++
				}
				if len(buf) >= i+4+n {
					return head, buf[i+4 : i+4+n]
				}
			}
			n, err := c.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return nil, nil
			}
			buf = buf[:len(buf)+n]
		}
	}
	consume := func(body []byte, head []byte) {
		n := len(head) + 4 + len(body)
		buf = buf[:copy(buf, buf[n:])]
	}
	c.Write([]byte(next))
	for first := true; ; first = false {
		if pipelined && !first {
			head, body := message() // the 202
			if head == nil {
				return
			}
			consume(body, head)
		}
		head, body := message()
		if head == nil {
			return
		}
		i := bytes.Index(head, []byte("Request-Id: ")) + 12
		id := head[i : i+bytes.IndexByte(head[i:], '\r')]
		out = append(out[:0], "POST /2018-06-01/runtime/invocation/"...)
		out = append(out, id...)
		out = append(out, "/response HTTP/1.1\r\nHost: x\r\nContent-Length: "...)
		out = strconv.AppendInt(out, int64(len(body)), 10)
		out = append(append(out, "\r\n\r\n"...), body...)
		if pipelined {
			out = append(out, next...)
		}
		consume(body, head)
		if _, err := c.Write(out); err != nil {
			return
		}
		if !pipelined {
			head, body := message()
			if head == nil {
				return
			}
			consume(body, head)
			c.Write([]byte(next))
		}
	}
}

// Whatever a runtime sends, on two connections, the server neither breaks nor
// hangs, and the caller gets an end: an answer only if one was posted for its id.
func FuzzServer(f *testing.F) {
	f.Add([]byte(post("id", "response", "", "x")+next), []byte(""))
	f.Add([]byte(post("id", "error", "Expect: 100-continue\r\n", "{}")), []byte(post("id", "response", "", "y")))
	f.Add([]byte(next+next), []byte(next))
	f.Add([]byte("POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"+
		"Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n1\r\na\r\n0\r\nLambda-Runtime-Function-Error-Type: X\r\n\r\n"), []byte("\r\n"))
	f.Add([]byte(post("other", "response", "Connection: close\r\n", "x")), []byte("POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		idle := make(chan struct{}, 100)
		s := New(environment.New(time.Now(), time.Minute, 20*time.Millisecond), func(act environment.Action) {
			if act.Has(environment.DoOffer) {
				idle <- struct{}{}
			}
		})
		ours, theirs := socketpair(t)
		ours2, theirs2 := socketpair(t)
		s.Attach(ours)
		s.Attach(ours2)
		for _, c := range []net.Conn{theirs, theirs2} {
			go io.Copy(io.Discard, c)
		}
		io.WriteString(theirs, next)
		<-idle
		go func() { theirs.Write(first) }()
		go func() { theirs2.Write(second) }()
		w, a := new(recorder), Answer{}
		err := s.Invoke(invocation("id", "x"), w, &a)
		if err == nil {
			s.Finish()
			a.Pass(w)
			a.Pass(discard{})
		}
		if posted := bytes.Contains(append(first, second...), []byte("/id/")); w.begun > 0 && !posted || w.begun > 1 {
			t.Errorf("begun %d times, answer %q, %+v", w.begun, w.body.String(), a)
		}
		s.Close()
		s.Wait()
		theirs.Close()
		theirs2.Close()
	})
}

type discard struct{}

func (discard) Begin(lambda.Head)           {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }

func benchmark(b *testing.B, pipelined bool) {
	idle := make(chan struct{}, 1)
	s := New(environment.New(time.Now(), time.Minute, time.Minute), func(act environment.Action) {
		if act.Has(environment.DoOffer) {
			idle <- struct{}{}
		}
	})
	ours, theirs := socketpair(b)
	s.Attach(ours)
	done := make(chan struct{})
	go func() { defer close(done); echo(theirs, pipelined) }()
	inv := invocation("8476a536-e9f4-11e8-9739-2dfe598c3fcd", `{"message":"hello world"}`)
	var a Answer
	b.ReportAllocs()
	for b.Loop() {
		<-idle
		if err := s.Invoke(inv, discard{}, &a); err != nil {
			b.Fatal(err)
		}
		s.Finish()
		a.Pass(discard{})
	}
	s.Close()
	s.Wait()
	<-done
	theirs.Close()
}

// One invocation over a Unix socket, with a client that pipelines and one that waits.
func BenchmarkInvoke(b *testing.B) {
	b.Run("pipelined", func(b *testing.B) { benchmark(b, true) })
	b.Run("waiting", func(b *testing.B) { benchmark(b, false) })
}
