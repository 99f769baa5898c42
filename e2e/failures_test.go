package e2e

import (
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// failure is one way in which a function fails, and what its caller is told.
// In want, <id> stands for the request id. A string that ends in an ellipsis is
// compared up to there.
type failure struct {
	name string
	function
	event string
	want  string
}

// pythonFailures: texts of the platform as recorded from AWS, texts of the
// runtime from awslambdaric 4.2.2, which AWS's managed runtime is.
var pythonFailures = []failure{
	{"an exception", py("def handler(e, c):\n    raise Exception('msg')\n"), `1`,
		`{"errorMessage":"msg","errorType":"Exception","requestId":"<id>",
		"stackTrace":["  File \"/var/task/handler.py\", line 2, in handler\n    raise Exception('msg')\n"]}`},
	{"a missing module", py("import nowhere\n"), `1`,
		`{"errorMessage":"Unable to import module 'handler': No module named 'nowhere'","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}`},
	{"a missing handler file", function{runtime: python, handler: "other.handler", files: map[string]string{"handler.py": ""}}, `1`,
		`{"errorMessage":"Unable to import module 'other': No module named 'other'","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}`},
	{"a missing handler", py("x = 1\n"), `1`,
		`{"errorMessage":"Handler 'handler' missing on module 'handler'","errorType":"Runtime.HandlerNotFound","requestId":"","stackTrace":[]}`},
	{"a malformed handler", function{runtime: python, handler: "handler", files: map[string]string{"handler.py": ""}}, `1`,
		`{"errorMessage":"Bad handler 'handler': not enough values to unpack (expected 2, got 1)","errorType":"Runtime.MalformedHandlerName","requestId":"","stackTrace":[]}`},
	{"a built-in module as handler", function{runtime: python, handler: "sys.handler", files: map[string]string{"sys.py": ""}}, `1`,
		`{"errorMessage":"Cannot use built-in module sys as a handler module","errorType":"Runtime.BuiltInModuleConflict","requestId":"","stackTrace":[]}`},
	{"a syntax error", py("def handler(e, c)\n"), `1`,
		`{"errorMessage":"Syntax error in module 'handler': expected ':' (handler.py, line 1)","errorType":"Runtime.UserCodeSyntaxError","requestId":"",
		"stackTrace":["  File \"/var/task/handler.py\" Line 1\n    def handler(e, c)\n"]}`},
	{"an exception while importing", py("raise ValueError('boom')\n"), `1`,
		`{"errorMessage":"boom","errorType":"ValueError","requestId":"","stackTrace":"…"}`},
	{"a result that is no JSON", py("def handler(e, c):\n    return {1, 2}\n"), `1`,
		`{"errorMessage":"Unable to marshal response: Object of type set is not JSON serializable","errorType":"Runtime.MarshalError","requestId":"<id>","stackTrace":[]}`},
	{"exit 0", py("import os\ndef handler(e, c):\n    os._exit(0)\n"), `1`, exited("Runtime exited without providing a reason")},
	{"exit 3", py("import os\ndef handler(e, c):\n    os._exit(3)\n"), `1`, exited("Runtime exited with error: exit status 3")},
	{"sys.exit", py("import sys\ndef handler(e, c):\n    sys.exit(4)\n"), `1`, exited("Runtime exited with error: exit status 4")},
	{"exit while importing", py("import os\nos._exit(5)\n"), `1`, exited("Runtime exited with error: exit status 5")},
	{"killed by a signal", py("import os\ndef handler(e, c):\n    os.kill(os.getpid(), 9)\n    import time; time.sleep(60)\n"), `1`,
		exited("Runtime exited with error: signal: killed")},
	{"a segmentation fault", py("import ctypes\ndef handler(e, c):\n    ctypes.string_at(0)\n"), `1`,
		exited("Runtime exited with error: signal: segmentation fault…")},
	{"no memory left", small(py("def handler(e, c):\n    b = [bytearray(1 << 20) for _ in range(1024)]\n    return len(b)\n")), `1`,
		`{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: <id> Error: Runtime exited with error: signal: killed"}`},
	{"a timeout", with(py("import time\ndef handler(e, c):\n    time.sleep(60)\n"), 1), `1`, timedOut("1.00")},
	{"a timeout of two seconds", with(py("def handler(e, c):\n    while True: pass\n"), 2), `1`, timedOut("2.00")},
	{"a response that is too large", with(py("def handler(e, c):\n    return 'x' * (6291557 - 2)\n"), 20), `1`,
		`{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`},
}

// nodeFailures: texts of the runtime from aws-lambda-ric 4.0.2.
var nodeFailures = []failure{
	{"an exception", js("exports.handler = async () => { throw new TypeError('msg'); };"), `1`,
		`{"errorType":"TypeError","errorMessage":"msg","trace":["TypeError: msg","    at exports.handler (/var/task/index.js:1:39)…"]}`},
	{"a callback with an error", js("exports.handler = (e, c, cb) => cb(new Error('msg'));"), `1`,
		`{"errorType":"Error","errorMessage":"msg","trace":"…"}`},
	{"a rejection that is no error", js("exports.handler = () => Promise.reject('why');"), `1`,
		`{"errorType":"string","errorMessage":"why","trace":[]}`},
	{"a missing module", js("require('nowhere'); exports.handler = async () => 1;"), `1`,
		`{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module 'nowhere'\nRequire stack:\n- /var/task/index.js…","trace":"…"}`},
	{"a missing handler", js("exports.other = 1;"), `1`,
		`{"errorType":"Runtime.HandlerNotFound","errorMessage":"index.handler is undefined or not exported","trace":"…"}`},
	{"a malformed handler", function{runtime: node, handler: "index", files: map[string]string{"index.js": ""}}, `1`,
		`{"errorType":"Runtime.MalformedHandlerName","errorMessage":"Bad handler","trace":"…"}`},
	{"a syntax error", js("exports.handler = async () => {"), `1`,
		`{"errorType":"Runtime.UserCodeSyntaxError","errorMessage":"SyntaxError: Unexpected end of input","trace":"…"}`},
	{"an exception while loading", js("throw new Error('boom');"), `1`,
		`{"errorType":"Error","errorMessage":"boom","trace":"…"}`},
	{"a result that is no JSON", js("exports.handler = async () => { const a = {}; a.a = a; return a; };"), `1`,
		`{"errorType":"…","errorMessage":"Unable to stringify response body","trace":"…"}`},
	{"an unhandled rejection", js("exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 5000)); };"), `1`,
		`{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: lost","trace":"…"}`},
	{"exit 0", js("exports.handler = async () => { process.exit(0); };"), `1`, exited("Runtime exited without providing a reason")},
	{"exit 3", js("exports.handler = async () => { process.exit(3); };"), `1`, exited("Runtime exited with error: exit status 3")},
	{"aborted", js("exports.handler = async () => { process.abort(); };"), `1`, exited("Runtime exited with error: signal: aborted…")},
	{"no memory left", small(js("exports.handler = async () => { const b = []; for (;;) b.push(Buffer.alloc(1 << 20, 1)); };")), `1`,
		`{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: <id> Error: Runtime exited with error: signal: killed"}`},
	{"a timeout", with(js("exports.handler = async () => { for (;;); };"), 1), `1`, timedOut("1.00")},
	{"a response that is too large", with(js("exports.handler = async () => 'x'.repeat(6291557 - 2);"), 20), `1`,
		`{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}`},
}

func py(code string) function {
	return function{runtime: python, files: map[string]string{"handler.py": code}}
}

func js(code string) function {
	return function{runtime: node, files: map[string]string{"index.js": code}}
}

func with(f function, timeout int32) function {
	f.timeout = timeout
	return f
}

func small(f function) function {
	f.memory = 256
	return f
}

func exited(how string) string {
	return `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: <id> Error: ` + how + `"}`
}

func timedOut(seconds string) string {
	return `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: <id> Error: Task timed out after ` + seconds + ` seconds"}`
}

// Whatever way a Python function fails, its caller is told what AWS tells.
func TestFailuresOfPython(t *testing.T) { fail(t, isolated(t), pythonFailures) }

// Whatever way a Node function fails, its caller is told what AWS tells.
func TestFailuresOfNode(t *testing.T) { fail(t, isolated(t), nodeFailures) }

// Whatever way a custom runtime fails, its caller is told what AWS tells.
func TestFailuresOfCustomRuntimes(t *testing.T) {
	fail(t, isolated(t), customFailures(t))
}

func customFailures(t *testing.T) []failure {
	t.Helper()
	bootstrap, err := os.ReadFile(build(t, "./testdata/provided"))
	if err != nil {
		t.Fatal(err)
	}
	own := func(env map[string]string) function {
		return function{runtime: custom, files: map[string]string{"bootstrap": string(bootstrap)}, env: env}
	}
	script := func(text string) function {
		return function{runtime: custom, files: map[string]string{"bootstrap": text}}
	}
	return []failure{
		{"a reported error", own(nil), `"report"`, `{"errorMessage":"no luck","errorType":"Function.NoLuck"}`},
		{"exit 0", own(nil), `"exit 0"`, exited("Runtime exited without providing a reason")},
		{"exit 3", own(nil), `"exit 3"`, exited("Runtime exited with error: exit status 3")},
		{"no memory left", small(own(nil)), `"memory"`,
			`{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: <id> Error: Runtime exited with error: signal: killed"}`},
		{"a timeout", with(own(nil), 1), `"hang"`, timedOut("1.00")},
		{"a reported failure to initialise", own(map[string]string{"INIT": "report"}), `1`,
			`{"errorMessage":"no database","errorType":"Function.NoDatabase","stackTrace":[]}`},
		{"exit while initialising", own(map[string]string{"INIT": "exit 3"}), `1`, exited("Runtime exited with error: exit status 3")},
		{"no bootstrap", function{runtime: custom, files: map[string]string{"README": "nothing here"}}, `1`,
			`{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: <id> Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}`},
		{"a script that exits", script("#!/bin/sh\nexit 7\n"), `1`, exited("Runtime exited with error: exit status 7")},
		{"a script whose program is missing", script("#!/bin/sh\nexec nowhere\n"), `1`, exited("Runtime exited with error: exit status 127")},
	}
}

// Without isolation, what does not depend on paths or limits fails alike.
func TestFailuresInPlainProcesses(t *testing.T) {
	s := serve(t, "--sandbox", "process")
	var some []failure
	for _, f := range append(append(pythonFailures[:len(pythonFailures):len(pythonFailures)], nodeFailures...), customFailures(t)...) {
		if !strings.Contains(f.want, "/var/task") && !strings.Contains(f.want, "OutOfMemory") {
			some = append(some, f)
		}
	}
	fail(t, s, some)
}

func fail(t *testing.T, s *server, failures []failure) {
	for i, f := range failures {
		t.Run(f.runtime+"/"+f.name, func(t *testing.T) {
			fn := f.function
			fn.name = "fails-" + strconv.Itoa(i)
			s.create(t, fn)
			// Twice: a failed environment must not spoil the next invocation.
			for range 2 {
				a := s.invoke(t, fn.name, f.event)
				if a.fault != "Unhandled" {
					t.Errorf("X-Amz-Function-Error is %q, want Unhandled", a.fault)
				}
				same(t, a.payload, f.want, a.id)
			}
		})
	}
}

// same compares a payload with what a failure wants.
func same(t *testing.T, payload, want, id string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(payload), &g); err != nil {
		t.Errorf("the payload %q is no JSON: %v", payload, err)
		return
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(strings.ReplaceAll(want, "\n", ""), "<id>", id)), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if !matches(g, w) {
		t.Errorf("payload\n  got  %s\n  want %s", payload, want)
	}
}

// matches is equality, but for the ellipsis: as a string's end it stands for any
// rest, as a whole value for any value, and in a list's last string for the rest
// of the list as well.
func matches(got, want any) bool {
	switch w := want.(type) {
	case string:
		if w == "…" {
			return got != nil
		}
		g, ok := got.(string)
		if rest, open := strings.CutSuffix(w, "…"); open {
			return ok && strings.HasPrefix(g, rest)
		}
		return ok && g == w
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k, v := range w {
			if have, ok := g[k]; !ok || !matches(have, v) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		open := false // the last element stands for those that follow, too
		if len(w) > 0 {
			last, _ := w[len(w)-1].(string)
			open = strings.HasSuffix(last, "…")
		}
		if !ok || len(g) < len(w) || len(g) > len(w) && !open {
			return false
		}
		for i, v := range w {
			if !matches(g[i], v) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(got, want)
	}
}

// A function that failed in any way answers the next event rightly.
func TestEnvironmentsAreReplacedAfterAFailure(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "moody", runtime: python, timeout: 1, files: map[string]string{"handler.py": `
import os, time
count = 0
def handler(event, context):
    global count
    count += 1
    if event == "exit": os._exit(1)
    if event == "hang": time.sleep(60)
    if event == "raise": raise Exception("no")
    return count
`}})
	for _, step := range []struct{ event, want string }{
		{"ok", "1"}, {"ok", "2"},
		{"raise", ""}, {"ok", "4"}, // an exception does not cost the environment
		{"exit", ""}, {"ok", "1"},
		{"hang", ""}, {"ok", "1"}, {"ok", "2"},
	} {
		a := s.invoke(t, "moody", `"`+step.event+`"`)
		if step.want == "" {
			if a.fault == "" {
				t.Errorf("%s answered %s, want a fault", step.event, a.payload)
			}
		} else if a.payload != step.want || a.fault != "" {
			t.Errorf("%s answered %s %s, want %s", step.event, a.payload, a.fault, step.want)
		}
	}
}

// The largest response passes, and the largest request.
func TestTheLargestPayloadsPass(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "big", runtime: python, timeout: 30, memory: 512, files: map[string]string{
		"handler.py": "def handler(e, c):\n    return 'x' * (6291556 - 2) if e == 'big' else len(e)\n"}})
	if a := s.invoke(t, "big", `"big"`); len(a.payload) != 6291556 || a.fault != "" {
		t.Errorf("a response of the largest size: %d bytes, fault %q", len(a.payload), a.fault)
	}
	if a := s.invoke(t, "big", `"`+strings.Repeat("x", 6291456-2)+`"`); a.payload != "6291454" || a.fault != "" {
		t.Errorf("a request of the largest size answered %s %s", a.payload, a.fault)
	}
}

// A failure that AWS counts as the caller's is an error of the API, not of the function.
func TestBadRequestsDoNotReachTheFunction(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "count", runtime: python, files: map[string]string{
		"handler.py": "n = 0\ndef handler(e, c):\n    global n\n    n += 1\n    return n\n"}})
	s.invoke(t, "count", `{}`)
	for _, event := range []string{"{not json", "\x99", `{"a":1} trailing`, `"` + strings.Repeat("x", 6291456) + `"`} {
		name := "count"
		if _, err := s.try(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(event)}); err == nil {
			t.Errorf("an event that begins with %.10q was accepted", event)
		}
	}
	if a := s.invoke(t, "count", `{}`); a.payload != "2" {
		t.Errorf("the function had seen %s invocations before this one, want 1", a.payload)
	}
}
