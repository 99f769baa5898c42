package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// gate is where a function waits in the middle of its answer until the test has
// seen the beginning: it asks for a path, and the test says when that answers.
type gate struct {
	url    string
	came   chan string // the paths that were asked for
	passes chan struct{}
	left   chan string // the paths whose function went away without an answer
}

// newGate opens a gate, which functions on the network of the host can reach.
func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{came: make(chan string, 16), passes: make(chan struct{}), left: make(chan string, 16)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.came <- r.URL.Path
		select {
		case <-g.passes:
		case <-r.Context().Done():
			g.left <- r.URL.Path
		}
	}))
	t.Cleanup(func() { close(g.passes); server.Close() })
	g.url = server.URL
	return g
}

// open lets one function go on.
func (g *gate) open(t *testing.T) {
	t.Helper()
	select {
	case g.passes <- struct{}{}:
	case <-time.After(30 * time.Second):
		t.Fatal("no function has come to the gate")
	}
}

// await waits until a function asks for the path, or leaves.
func await(t *testing.T, c <-chan string, path string) {
	t.Helper()
	select {
	case got := <-c:
		if got != path {
			t.Fatalf("a function is at %s of the gate, want %s", got, path)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("no function at %s of the gate", path)
	}
}

// reading is an answer that is being streamed.
type reading struct {
	t       *testing.T
	version string
	events  *lambda.InvokeWithResponseStreamEventStream
}

// stream begins a streamed invocation. It ends with the test.
func (s *server) stream(t *testing.T, in *lambda.InvokeWithResponseStreamInput) *reading {
	t.Helper()
	out, err := s.api().InvokeWithResponseStream(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.StatusCode != http.StatusOK || aws.ToString(out.ResponseStreamContentType) != "application/vnd.amazon.eventstream" {
		t.Errorf("status %d, content type %v", out.StatusCode, aws.ToString(out.ResponseStreamContentType))
	}
	r := &reading{t, aws.ToString(out.ExecutedVersion), out.GetStream()}
	t.Cleanup(func() { r.events.Close() })
	return r
}

func streamed(name, event string) *lambda.InvokeWithResponseStreamInput {
	return &lambda.InvokeWithResponseStreamInput{FunctionName: &name, Payload: []byte(event)}
}

// next waits for the next chunk.
func (r *reading) next() string {
	r.t.Helper()
	e := <-r.events.Events()
	chunk, ok := e.(*types.InvokeWithResponseStreamResponseEventMemberPayloadChunk)
	if !ok {
		r.t.Fatalf("%+v (%v), want a chunk", e, r.events.Err())
	}
	return string(chunk.Value.Payload)
}

// rest reads to the end: how many bytes there were, and how the invocation ended.
// Nothing follows that.
func (r *reading) rest() (n int, end types.InvokeWithResponseStreamCompleteEvent) {
	r.t.Helper()
	ended := false
	for e := range r.events.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			n += len(e.Value.Payload)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			if ended {
				r.t.Error("the invocation is complete twice")
			}
			end, ended = e.Value, true
			continue
		}
		if ended {
			r.t.Errorf("%T after the end", e)
		}
	}
	if err := r.events.Err(); err != nil || !ended {
		r.t.Errorf("the stream ended with %v, complete: %v", err, ended)
	}
	return n, end
}

// Functions that stream: two chunks, with the gate in between.
const (
	streamingNode = `
let n = 0;
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  n++;
  if (event.Fail && !event.First) throw new RangeError(event.Fail);
  stream.write(event.First === 'n' ? String(n) : event.First);
  if (event.Gate) await fetch(event.Gate);
  if (event.Exit) process.exit(3);
  if (event.Fail) throw new RangeError(event.Fail);
  stream.write(event.Second);
  stream.end();
  if (event.Done) fetch(event.Done).catch(() => {});
});
`
	streamingPython = `#!/usr/bin/python3
import http.client, json, os, urllib.request
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    r = api.getresponse()
    event = json.loads(r.read())
    def answer():
        yield event["First"].encode()
        urllib.request.urlopen(event["Gate"]).read()
        yield event["Second"].encode()
    api.request("POST", "/2018-06-01/runtime/invocation/" + r.headers["Lambda-Runtime-Aws-Request-Id"] + "/response", answer(),
        {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}, encode_chunked=True)
    api.getresponse().read()
`
)

// streamers creates a function that streams in each way there is: on the managed
// Node, on AWS's client library for Go, and on the Runtime API by hand.
func (s *server) streamers(t *testing.T) []string {
	t.Helper()
	goFunction, err := os.ReadFile(build(t, "./testdata/streaming"))
	if err != nil {
		t.Fatal(err)
	}
	s.create(t, function{name: "node", runtime: node, files: map[string]string{"index.js": streamingNode}})
	s.create(t, function{name: "go", runtime: custom, files: map[string]string{"bootstrap": string(goFunction)}})
	s.create(t, function{name: "python", runtime: custom, files: map[string]string{"bootstrap": streamingPython}})
	return []string{"node", "go", "python"}
}

// The caller has the first chunk while the function still runs: it waits for the caller to say so.
func TestChunksArriveWhileTheFunctionRuns(t *testing.T) {
	s := serve(t, "--sandbox", "process") // whose functions reach the gate
	g := newGate(t)
	for _, name := range s.streamers(t) {
		for range 2 { // cold and warm
			r := s.stream(t, streamed(name, fmt.Sprintf(`{"First":"one","Second":"two","Gate":%q}`, g.url)))
			if got := r.next(); got != "one" || r.version != "$LATEST" {
				t.Errorf("%s: the first chunk of version %s is %q", name, r.version, got)
			}
			await(t, g.came, "/")
			g.open(t)
			if got := r.next(); got != "two" {
				t.Errorf("%s: the second chunk is %q", name, got)
			}
			if n, end := r.rest(); n != 0 || end.ErrorCode != nil || end.ErrorDetails != nil || end.LogResult != nil {
				t.Errorf("%s: %d more bytes, ended with %+v", name, n, end)
			}
		}
	}
}

// The AWS SDK for JavaScript reads a stream chunk by chunk. It releases the function itself, after the first chunk.
func TestStreamingWithJavaScript(t *testing.T) {
	s := serve(t, "--sandbox", "process")
	s.create(t, function{name: "node", runtime: node, files: map[string]string{"index.js": streamingNode}})
	cmd := exec.CommandContext(t.Context(), "node", "--no-warnings", "testdata/stream.cjs")
	cmd.Env = append(append(plainEnv(), "SDK="+javaScriptSDK(t)), s.clientEnv()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("stream.cjs: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// A handler that does not stream answers in one chunk; the prelude of an HTTP answer is part of the answer.
func TestStreamsOfOtherAnswers(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "buffered", runtime: python, files: map[string]string{
		"handler.py": "def handler(event, context):\n    return 'x' * event\n"}})
	in := streamed("buffered", "5000000")
	in.LogType = types.LogTypeTail
	r := s.stream(t, in)
	if got := r.next(); len(got) != 5000002 {
		t.Errorf("a chunk of %d bytes", len(got))
	}
	n, end := r.rest()
	if n != 0 || end.ErrorCode != nil || end.LogResult == nil {
		t.Errorf("%d more bytes, %+v", n, end)
	}

	s.create(t, function{name: "http", runtime: node, files: map[string]string{"index.js": `
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
  stream.write('body');
  stream.end();
});`}})
	r = s.stream(t, streamed("http", "{}"))
	var got strings.Builder
	for want := "{\"statusCode\":201}\x00\x00\x00\x00\x00\x00\x00\x00body"; got.String() != want; {
		if got.WriteString(r.next()); !strings.HasPrefix(want, got.String()) {
			t.Fatalf("%q", got.String())
		}
	}
	if n, end := r.rest(); n != 0 || end.ErrorCode != nil {
		t.Errorf("%d more bytes, %+v", n, end)
	}

	// Invoke waits for the end of a stream and has all of it.
	if a := s.invoke(t, "http", "{}"); a.fault != "" || !strings.HasSuffix(a.payload, "\x00body") {
		t.Errorf("Invoke answered %q %s", a.payload, a.fault)
	}
	// DryRun runs nothing.
	dry := streamed("http", "{}")
	dry.InvocationType = types.ResponseStreamingInvocationTypeDryRun
	out, err := s.api().InvokeWithResponseStream(t.Context(), dry)
	if err != nil || out.StatusCode != http.StatusNoContent {
		t.Errorf("DryRun: %v, %v", out, err)
	}
	if out != nil {
		out.GetStream().Close()
	}
}

// What is refused before anything ran is an ordinary error.
func TestStreamsThatDoNotBegin(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "fn", runtime: python, files: map[string]string{"handler.py": "def handler(event, context): return event\n"}})
	large := streamed("fn", `"`+strings.Repeat("x", 6<<20)+`"`)
	event := streamed("fn", "{}")
	event.InvocationType = "Event"
	missing := streamed("fn", "{}")
	missing.Qualifier = aws.String("nope")
	for _, c := range []struct {
		name string
		in   *lambda.InvokeWithResponseStreamInput
		code string
		text string
	}{
		{"no function", streamed("nope", "{}"), "ResourceNotFoundException", "Function not found: " + arn + "nope:$LATEST"},
		{"no alias", missing, "ResourceNotFoundException", "Function not found: " + arn + "fn:nope"},
		{"no JSON", streamed("fn", "x"), "InvalidRequestContentException", "Could not parse request body into json"},
		{"too large", large, "RequestEntityTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeWithResponseStream operation"},
		{"Event", event, "ValidationException", "Value 'Event' at 'invocationType' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [RequestResponse, DryRun]"},
	} {
		out, err := s.api().InvokeWithResponseStream(t.Context(), c.in)
		if err == nil {
			out.GetStream().Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.code) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A function that fails ends its stream with what happened, whether or not it had begun to answer.
func TestStreamsThatFail(t *testing.T) {
	s := serve(t, "--sandbox", "process")
	g := newGate(t)
	s.streamers(t)
	end := func(name, event, chunk string) (code, details string) {
		t.Helper()
		r := s.stream(t, streamed(name, event))
		if chunk != "" {
			if got := r.next(); got != chunk {
				t.Errorf("%s: the chunk is %q", name, got)
			}
			await(t, g.came, "/")
			g.open(t)
		}
		n, e := r.rest()
		if n > 0 {
			t.Errorf("%s: %d more bytes", name, n)
		}
		return aws.ToString(e.ErrorCode), aws.ToString(e.ErrorDetails)
	}
	for _, c := range []struct{ name, event, chunk, code, details string }{
		{"node", `{"Fail":"msg"}`, "", "Unhandled", `{"errorType":"RangeError","errorMessage":"msg","trace":"…"}`},
		{"go", `{"Fail":"msg"}`, "", "Unhandled", `{"errorMessage":"msg","errorType":"errorString"}`},
		{"node", `{"First":"one","Gate":"GATE","Fail":"msg"}`, "one", "RangeError", `{"errorType":"RangeError","errorMessage":"msg","trace":"…"}`},
		{"go", `{"First":"one","Gate":"GATE","Fail":"msg"}`, "one", "errorString", `{"errorMessage":"msg","errorType":"errorString"}`},
		{"node", `{"First":"one","Gate":"GATE","Exit":true}`, "one", "Runtime.ExitError",
			`{"errorType":"Runtime.ExitError","errorMessage":"RequestId: <id> Error: Runtime exited with error: exit status 3"}`},
	} {
		code, details := end(c.name, strings.ReplaceAll(c.event, "GATE", g.url), c.chunk)
		if code != c.code {
			t.Errorf("%s %s: the code is %q, want %q", c.name, c.event, code, c.code)
		}
		id := ""
		if _, rest, ok := strings.Cut(details, "RequestId: "); ok {
			id, _, _ = strings.Cut(rest, " ")
		}
		same(t, details, c.details, id)
	}

	// Past its time-out, in the middle of its answer.
	s.create(t, function{name: "late", runtime: node, timeout: 1, files: map[string]string{"index.js": streamingNode}})
	r := s.stream(t, streamed("late", fmt.Sprintf(`{"First":"one","Gate":%q}`, g.url)))
	if got := r.next(); got != "one" {
		t.Errorf("the chunk is %q", got)
	}
	_, e := r.rest()
	if details := aws.ToString(e.ErrorDetails); aws.ToString(e.ErrorCode) != "Sandbox.Timedout" || !strings.Contains(details, "Task timed out after 1.00 seconds") {
		t.Errorf("past the time-out: %v %s", aws.ToString(e.ErrorCode), details)
	}
}

// A caller that goes away stops neither the function nor its environment.
func TestACallerMayLeaveAStream(t *testing.T) {
	s := serve(t, "--sandbox", "process")
	g := newGate(t)
	s.create(t, function{name: "node", runtime: node, files: map[string]string{"index.js": streamingNode}})
	ctx, leave := context.WithCancel(t.Context())
	second := strings.Repeat("x", 4<<20) // more than the sockets hold
	out, err := s.api().InvokeWithResponseStream(ctx, streamed("node",
		fmt.Sprintf(`{"First":"n","Second":%q,"Gate":%q,"Done":%q}`, second, g.url+"/middle", g.url+"/done")))
	if err != nil {
		t.Fatal(err)
	}
	r := &reading{t, "", out.GetStream()}
	if got := r.next(); got != "1" {
		t.Errorf("the first chunk is %q", got)
	}
	await(t, g.came, "/middle")
	leave()
	r.events.Close()
	g.open(t)
	await(t, g.came, "/done") // the function has come to its end
	g.open(t)
	again := s.stream(t, streamed("node", `{"First":"n","Second":"two"}`))
	if got := again.next(); got != "2" {
		t.Errorf("the next invocation is number %s of its environment, want 2", got)
	}
	if _, end := again.rest(); end.ErrorCode != nil {
		t.Errorf("%+v", end)
	}
}

// A stream ends at 200 MiB, and the function is told.
func TestStreamsEndAt200MiB(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT TESTED with -short: 400 MiB through the server take seconds")
	}
	const limit = 200 << 20
	s := serve(t)
	s.streamers(t)
	n, end := s.stream(t, streamed("go", fmt.Sprintf(`{"Bytes":%d}`, limit))).rest()
	if n != limit || end.ErrorCode != nil {
		t.Errorf("%d bytes, %v", n, aws.ToString(end.ErrorCode))
	}
	n, end = s.stream(t, streamed("go", fmt.Sprintf(`{"Bytes":%d}`, limit+1))).rest()
	if n != limit || aws.ToString(end.ErrorCode) != "Function.ResponseSizeTooLarge" || !strings.Contains(aws.ToString(end.ErrorDetails), "(209715200 bytes)") {
		t.Errorf("%d bytes, %v %s", n, aws.ToString(end.ErrorCode), aws.ToString(end.ErrorDetails))
	}
}

// A stream that is longer than Invoke may answer is an error for it, not a part of an answer.
func TestStreamsTooLongForInvoke(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "fn", runtime: node, files: map[string]string{"index.js": `
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.end(Buffer.alloc(event, 'x'));
});`}})
	if a := s.invoke(t, "fn", "6291556"); len(a.payload) != 6291556 || a.fault != "" {
		t.Errorf("%d bytes, %q", len(a.payload), a.fault)
	}
	a := s.invoke(t, "fn", "6291557")
	same(t, a.payload, `{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`, a.id)
	if a.fault != "Unhandled" {
		t.Errorf("X-Amz-Function-Error is %q", a.fault)
	}
}

// A caller that does not read costs no memory: its function waits, until its own time-out.
func TestASlowReaderHoldsUpItsFunction(t *testing.T) {
	s := serve(t, "--sandbox", "process")
	g := newGate(t)
	s.create(t, function{name: "flood", runtime: node, timeout: 2, files: map[string]string{"index.js": `
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event.Gate) fetch(event.Gate).catch(() => {});
  const chunk = Buffer.alloc(1 << 20);
  for (let i = 0; i < event.MiB; i++) {
    if (!stream.write(chunk)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  stream.end();
});`}})
	if n, end := s.stream(t, streamed("flood", `{"MiB":1}`)).rest(); n != 1<<20 || end.ErrorCode != nil {
		t.Fatalf("%d bytes, %+v", n, end)
	}
	before := s.peak(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/2021-11-15/functions/flood/response-streaming-invocations"),
		strings.NewReader(fmt.Sprintf(`{"MiB":180,"Gate":%q}`, g.url+"/flood")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	await(t, g.came, "/flood")
	await(t, g.left, "/flood") // its time-out has killed it
	if grown := s.peak(t) - before; grown > 32<<10 {
		t.Errorf("the server has grown by %d KiB for an answer of 180 MiB that nobody reads", grown)
	}
	resp.Body.Close()
	if n, end := s.stream(t, streamed("flood", `{"MiB":1}`)).rest(); n != 1<<20 || end.ErrorCode != nil {
		t.Errorf("%d bytes, %+v", n, end)
	}
}

// peak is the most memory that the server has had, in KiB.
func (s *server) peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("NOT TESTED: there is no /proc")
	}
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	if _, err := fmt.Sscanf(rest, "%d kB", &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
