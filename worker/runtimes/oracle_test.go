package runtimes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The tests of this file run functions on AWS's own runtime clients and on ours
// and compare what both post and print. They need the clients in a directory
// that LAMBENT_ORACLES names:
//
//	python3 -m venv $LAMBENT_ORACLES/python
//	$LAMBENT_ORACLES/python/bin/pip install awslambdaric
//	npm install --prefix $LAMBENT_ORACLES/node aws-lambda-ric@3
//
// The last compiles C++ and wants cmake, g++, autoconf, automake and libtool.

// platform is a Runtime API for clients that use several connections.
type platform struct {
	*httptest.Server
	events chan string
	posts  chan message
	idle   chan struct{} // closed when a client polls for more than there is
}

func newPlatform(t *testing.T) *platform {
	p := &platform{events: make(chan string, 2), posts: make(chan message, 8), idle: make(chan struct{})}
	p.events <- `{"key":"välue"}`
	p.events <- `{"key":"välue"}`
	n := 0
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			if len(p.events) == 0 {
				close(p.idle) // that poll, which is the last
			}
			select {
			case event := <-p.events:
				n++
				h := w.Header()
				h.Set("Content-Type", "application/json")
				h.Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
				h.Set("Lambda-Runtime-Deadline-Ms", "4102444800000")
				h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:fn:live")
				h.Set("Lambda-Runtime-Trace-Id", "Root=1-2")
				h.Set("Lambda-Runtime-Client-Context", `{"custom":{"a":"b"},"client":{"app_title":"t"}}`)
				h.Set("Lambda-Runtime-Cognito-Identity", `{"cognitoIdentityId":"ci","cognitoIdentityPoolId":"cp"}`)
				io.WriteString(w, event)
			case <-r.Context().Done():
			}
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p.posts <- message{path: r.URL.Path, header: r.Header, body: string(body), trailer: r.Trailer}
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"status":"OK"}`)
	}))
	t.Cleanup(p.Close)
	return p
}

// told is what a function on some client shows of itself.
type told struct{ posts, printed, status string }

// observe runs a function on a client for two events, or until it ends.
func observe(t *testing.T, argv []string, dir string, s setup) told {
	t.Helper()
	p := newPlatform(t)
	task := filepath.Join(dir, "task")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = task
	cmd.Env = append([]string{
		"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=:UTC", "AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(p.URL, "http://"),
		"LAMBDA_TASK_ROOT=" + task, "_HANDLER=" + s.handler, "AWS_EXECUTION_ENV=AWS_Lambda_" + s.runtime,
		"AWS_LAMBDA_FUNCTION_NAME=fn", "AWS_LAMBDA_FUNCTION_VERSION=7", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_LOG_GROUP_NAME=group", "AWS_LAMBDA_LOG_STREAM_NAME=stream",
	}, s.env...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	var r told
	var posts []string
	post := func(m message) {
		var kind string
		if strings.HasSuffix(m.path, "init/error") { // clients in C leave the header out otherwise
			kind = m.header.Get("Lambda-Runtime-Function-Error-Type")
		}
		posts = append(posts, fmt.Sprintf("%s %s %s %s", m.path, kind, m.header.Get("Lambda-Runtime-Function-Response-Mode"), userOnly(m.body, task)))
		if e := m.trailer.Get("Lambda-Runtime-Function-Error-Type"); e != "" {
			posts = append(posts, "trailer "+e)
		}
	}
	// A client that polls again has printed all that it will.
	for waiting := true; waiting; {
		select {
		case m := <-p.posts:
			post(m)
		case <-p.idle:
			waiting = false
		case <-ended:
			waiting = false
		case <-time.After(patience):
			t.Errorf("%q does nothing", argv)
			waiting = false
		}
	}
	cmd.Process.Kill()
	<-ended
	for len(p.posts) > 0 {
		post(<-p.posts)
	}
	r.posts = strings.Join(posts, "\n")
	r.status = fmt.Sprint(cmd.ProcessState.ExitCode())
	r.printed = userOnly(still(strings.ReplaceAll(out.String(), "\r", "\n")), task)
	return r
}

var (
	traces = regexp.MustCompile(`"(stackTrace|trace|stack)": ?\[`)
	frames = regexp.MustCompile(`(?m)^[\x{a0} ]+(File .*(\n[\x{a0} ]{4}.*)?|at .*)\n?`)
	inners = regexp.MustCompile(`- /\S*(index.mjs|bootstrap.cjs)(\\n)?`)
	noise  = regexp.MustCompile(`(?m)^(Executing '|.*LAMBDA_WARNING).*\n+`)
)

// userOnly leaves out what lies in a client's own files.
func userOnly(s, task string) string {
	s = strings.ReplaceAll(s, task, "/var/task")
	var out strings.Builder
	for {
		at := traces.FindStringIndex(s)
		if at == nil {
			break
		}
		list := s[at[1]-1:]
		d := json.NewDecoder(strings.NewReader(list))
		var lines, kept []string
		if d.Decode(&lines) != nil {
			out.WriteString(s[:at[1]])
			s = s[at[1]:]
			continue
		}
		for _, l := range lines {
			bare := strings.TrimSpace(l)
			if strings.Contains(l, "/var/task/") || !strings.HasPrefix(bare, "File ") && !strings.HasPrefix(bare, "at ") && !inners.MatchString(l) {
				kept = append(kept, l)
			}
		}
		fmt.Fprintf(&out, "%s%q", s[:at[1]-1], kept)
		s = list[d.InputOffset():]
	}
	out.WriteString(s)
	s = frames.ReplaceAllStringFunc(out.String(), func(f string) string {
		if strings.Contains(f, "/var/task/") {
			return f
		}
		return ""
	})
	return noise.ReplaceAllString(inners.ReplaceAllString(s, "- CLIENT"), "")
}

func compare(t *testing.T, theirs func(dir, handler string) []string, cases map[string]setup) {
	for name, s := range cases {
		t.Run(name, func(t *testing.T) {
			all, err := set()
			if err != nil {
				t.Fatal(err)
			}
			c, err := all.Find(s.runtime)
			if err != nil {
				t.Skip(err)
			}
			dir := t.TempDir()
			for name, text := range s.files {
				path := filepath.Join(dir, "task", name)
				os.MkdirAll(filepath.Dir(path), 0o755)
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := observe(t, theirs(dir, s.handler), dir, s)
			for i := range c.Argv {
				c.Argv[i] = strings.Replace(c.Argv[i], "/var/runtime", all.dir, 1)
			}
			got := observe(t, c.Argv, dir, s)
			for _, c := range []struct{ what, got, want string }{
				{"posts", got.posts, want.posts}, {"prints", got.printed, want.printed}, {"exits with", got.status, want.status},
			} {
				// Where AWS's client writes lines to standard output it ends some of them
				// in other ways than in the channel it has on AWS.
				if strings.ReplaceAll(c.got, "\n", "") != strings.ReplaceAll(c.want, "\n", "") {
					t.Errorf("our client %s\n%s\nAWS's\n%s", c.what, c.got, c.want)
				}
			}
		})
	}
}

func oracle(t *testing.T, path string) string {
	t.Helper()
	dir := os.Getenv("LAMBENT_ORACLES")
	if dir == "" {
		t.Skip("LAMBENT_ORACLES names no directory with AWS's runtime clients")
	}
	path = filepath.Join(dir, path)
	if _, err := os.Stat(path); err != nil {
		t.Skip(err)
	}
	return path
}

func TestPythonAgainstAWS(t *testing.T) {
	client := oracle(t, "python/bin/python")
	cases := map[string]setup{}
	add := func(name, code string, change ...func(*setup)) {
		s := python(code)
		for _, c := range change {
			c(&s)
		}
		cases[name] = s
	}
	env := func(e ...string) func(*setup) { return func(s *setup) { s.env = e } }
	handler := func(h string) func(*setup) { return func(s *setup) { s.handler = h } }
	for i, value := range []string{
		"event", "None", "'ü\\u2028\\x7f\\x00\"\\\\/'", "[1, 1.0, 1e100, -0.0, 10**30, True]", "{1: 2, 1.5: 3, None: 4, True: 5}", "(1, [2, ()])",
		"D('1.10')", "[D('NaN'), D('-1E+3'), D('Infinity')]", "{'k': D('0.1')}", "b'raw'", "{'b': b'raw'}", "float('nan')", "[float('-inf')]",
		"{1}", "object()", "{'a': {(1, 2): 3}}", "E.ONE", "[E.ONE]", "S('x')", "(x for x in [1])", "[b'\\xff']", "__import__('datetime').date(2026, 1, 2)",
		"P(1, (P(2, 3),))", "{'p': [P(1, {'q': P(D('1.0'), None)})]}",
	} {
		code := "from decimal import Decimal as D\nimport enum\nclass E(enum.IntEnum):\n    ONE = 1\nimport collections\nclass S(str): pass\nclass P(collections.namedtuple('P', 'x y')): pass\ndef handler(event, context):\n    return " + value + "\n"
		add(fmt.Sprintf("result %d of 3.12: %s", i, value), code)
		add(fmt.Sprintf("result %d of 3.11: %s", i, value), code, func(s *setup) { s.runtime = "python3.11" })
	}
	add("exception", "def handler(event, context):\n    raise ValueError('ü')\n")
	add("exception without text", "def handler(event, context):\n    raise ValueError\n")
	add("exception of many lines", "def handler(event, context):\n    raise ValueError('a\\n  b')\n")
	add("chained", "def inner():\n    raise KeyError('k')\ndef handler(event, context):\n    try:\n        inner()\n    except KeyError as e:\n        raise RuntimeError('r') from e\n")
	add("assert", "def handler(event, context):\n    assert event == 1, 'no'\n")
	add("recursion", "def handler(event, context):\n    r = []\n    r.append(r)\n    return r\n")
	add("too few parameters", "def handler(event):\n    return 1\n")
	add("exit", "import sys\ndef handler(event, context):\n    sys.exit(3)\n")
	add("exit with text", "import sys\ndef handler(event, context):\n    sys.exit('text')\n")
	add("exit at import", "import sys\nsys.exit(4)\n")
	add("exception at import", "raise Exception('x')\n")
	add("missing import", "import nope\n")
	add("missing name", "from os import nope\n")
	add("missing module", "", handler("nope.handler"))
	add("missing module in a package", "", handler("nope/deep.handler"))
	add("missing handler", "", handler("handler.nope"))
	add("malformed", "", handler("handler"))
	add("empty name", "", handler("handler."))
	add("built in", "", handler("time.sleep"))
	add("syntax", "def handler(:\n")
	add("indentation", "def handler(event, context):\nreturn 1\n")
	add("context", "def handler(event, context):\n    print(context)\n    return [context.client_context.custom, context.client_context.client.app_title, context.identity.cognito_identity_id, context.w3c()]\n")
	add("trace", "import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n")
	for _, format := range []string{"Text", "JSON"} {
		for _, level := range []string{"", "TRACE", "INFO", "ERROR"} {
			add("logging "+format+" "+level, `
import logging
root = logging.getLogger()
log = logging.getLogger("a.b")
root.warning("at init")
def handler(event, context):
    root.debug("debug"); log.info("info %s", 1); log.warning({"a": 1}); log.error("ü", extra={"x": [1], "y": object})
    log.log(35, "between")
    try:
        {}["k"]
    except KeyError:
        log.exception("caught")
        root.error("with info", exc_info=True)
    print("plain"); print("two\nlines")
    return [root.level, len(root.handlers)]
`, env("AWS_LAMBDA_LOG_FORMAT="+format, "AWS_LAMBDA_LOG_LEVEL="+cmp.Or(level, "")))
		}
		add("errors in "+format, "def handler(event, context):\n    raise ValueError('ü')\n", env("AWS_LAMBDA_LOG_FORMAT="+format))
		add("marshal error in "+format, "def handler(event, context):\n    return object\n", env("AWS_LAMBDA_LOG_FORMAT="+format))
		add("init errors in "+format, "import nope", env("AWS_LAMBDA_LOG_FORMAT="+format))
	}
	compare(t, func(_, handler string) []string { return []string{client, "-m", "awslambdaric", handler} }, cases)
}

func TestNodeAgainstAWS(t *testing.T) {
	client := oracle(t, "node/node_modules/aws-lambda-ric/bin/index.mjs")
	cases := map[string]setup{}
	add := func(name, code string, change ...func(*setup)) {
		s := node(code)
		for _, c := range change {
			c(&s)
		}
		cases[name] = s
	}
	env := func(e ...string) func(*setup) { return func(s *setup) { s.env = e } }
	handler := func(h string) func(*setup) { return func(s *setup) { s.handler = h } }
	file := func(name, text string) func(*setup) {
		return func(s *setup) { s.files = map[string]string{name: text} }
	}
	for _, value := range []string{"event", "null", "undefined", "1.50", "'ü\\u2028\\x7f'", "new Date(0)", "new Map()", "NaN", "{toJSON() { return 5 }}", "[undefined, () => 1]", "Buffer.from('a')"} {
		add("result "+value, "exports.handler = async (event) => ("+value+");")
		add("callback "+value, "exports.handler = (event, context, callback) => callback(null, "+value+");")
	}
	for _, e := range []string{
		"new Error('ü')", "new TypeError('')", "Object.assign(new Error('m'), {code: 'C', extra: {a: 1}})", "'text'", "5", "{a: 1}", "Object.assign(new Error('m'), {name: 'Named'})",
		"new AggregateError([new Error('x')], 'all')", "new Error('m', {cause: new Error('c')})", "{name: 'N', message: 'M', stack: 'S'}", "new (class Own extends Error {})('m')", "true",
	} {
		add("throw "+e, "exports.handler = async () => { throw "+e+"; };")
		add("throw at once "+e, "exports.handler = () => { throw "+e+"; };")
		add("callback error "+e, "exports.handler = (event, context, callback) => callback("+e+");")
		add("fail "+e, "exports.handler = (event, context) => context.fail("+e+");")
		add("JSON "+e, "exports.handler = async () => { throw "+e+"; };", env("AWS_LAMBDA_LOG_FORMAT=JSON"))
		add("crash "+e, "exports.handler = async () => { setTimeout(() => { throw "+e+"; }, 1); await new Promise((r) => setTimeout(r, 1e6)); };")
		add("unhandled "+e, "exports.handler = async () => { Promise.reject("+e+"); await new Promise((r) => setTimeout(r, 1e6)); };")
	}
	add("reject nothing", "exports.handler = () => Promise.reject();")
	add("fail nothing", "exports.handler = (event, context) => context.fail();")
	add("BigInt", "exports.handler = async () => 1n;")
	add("circular", "exports.handler = async () => { const a = {}; a.a = a; return a; };")
	add("waits", "exports.handler = (event, context, callback) => { const r = [1]; setTimeout(() => r.push(2), 10); callback(null, r); };")
	add("does not wait", "exports.handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; const r = [1]; setTimeout(() => r.push(2), 10); callback(null, r); };")
	add("succeed", "exports.handler = (event, context) => { setTimeout(() => {}, 10); context.succeed(1); };")
	add("done", "exports.handler = (event, context) => { context.done(null, 1); context.done(null, 2); };")
	add("no callback", "exports.handler = (event, context, callback) => 5;")
	add("context", "exports.handler = async (event, context) => context;")
	add("context keys", "exports.handler = async (event, context) => [Object.keys(context), process.env._X_AMZN_TRACE_ID];")
	add("this", "exports.handler = async function () { throw new Error(Object.keys(this).includes('handler')); };")
	add("exit", "exports.handler = async () => process.exit(3);")
	add("missing require", "require('nope');")
	add("missing module", "", handler("nope.handler"))
	add("missing module in a folder", "", handler("a/nope.handler"))
	add("missing handler", "", handler("index.nope"))
	add("missing deep handler", "exports.a = {};", handler("index.a.b.c"))
	add("malformed", "", handler("index"))
	add("empty name", "", handler("index."))
	add("dots", "", handler("../index.handler"))
	add("no function", "exports.handler = {};")
	add("syntax", "exports.handler = = 1;")
	add("ESM syntax", "import 'fs';\nexport const handler = 1;")
	add("throw at load", "throw new RangeError('x');")
	add("ESM", "", file("index.mjs", "export const handler = async (event) => event;"))
	add("ESM missing import", "", file("index.mjs", "import 'nope';"))
	add("ESM missing file", "", file("index.mjs", "import './nope.mjs';"))
	add("ESM throws", "", file("index.mjs", "await 1; throw new Error('x');"))
	for _, format := range []string{"Text", "JSON"} {
		for _, level := range []string{"", "DEBUG", "WARN", "FATAL", "nonsense"} {
			add("console "+format+" "+level, `
console.log('at init');
exports.handler = async () => {
  console.trace('trace'); console.debug('%s %d %j', 'a', 1, {b: 1}); console.log(); console.log(undefined); console.info({a: {b: {c: {d: 1}}}});
  console.warn(1, 2n, Symbol('s'), [null]); console.error(new Error('e').message, 'x'); console.fatal('f'); console.log(new Map([[1, 2]]));
  const a = {}; a.a = a; console.log(a); console.log('ü', '\t'); console.log(() => 1); console.log(1n);
};`, env("AWS_LAMBDA_LOG_FORMAT="+format, "AWS_LAMBDA_LOG_LEVEL="+level))
		}
		add("console errors "+format, "exports.handler = async () => { const e = Object.assign(new TypeError('t'), {code: 1}); console.error(JSON.stringify(Object.keys(e))); console.log('a', e.name); };", env("AWS_LAMBDA_LOG_FORMAT="+format))
	}
	for name, code := range map[string]string{
		"chunks":    "async (e, s) => { s.write('a'); s.write({b: 1}); s.write(new Uint8Array([0, 1])); s.end(); }",
		"prelude":   "async (e, s) => { s = awslambda.HttpResponseStream.from(s, {statusCode: 201}); s.write('a'); s.end('b'); }",
		"type":      "async (e, s) => { s.setContentType('text/plain'); s.write('a'); s.end(); }",
		"late type": "async (e, s) => { s.write('a'); s.setContentType('text/plain'); }",
		"failure":   "async (e, s) => { s.write('a'); throw new RangeError('x'); }",
		"pipeline":  "async (e, s) => require('stream/promises').pipeline(require('stream').Readable.from(['a', 'b']), s)",
		"result":    "async (e, s) => { s.end('a'); return 5; }",
	} {
		add("stream "+name, "exports.handler = awslambda.streamifyResponse("+code+");")
	}
	compare(t, func(_, handler string) []string { return []string{"/usr/bin/node", client, handler} }, cases)
}
