package runtimes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func python(code string) setup {
	return setup{runtime: "python3.12", handler: "handler.handler", files: map[string]string{"handler.py": code}}
}

// An answer and the poll for the next event come in one write, and the client
// takes the response to the one and the next event in whatever pieces they come.
func TestPythonSendsItsNextPollWithTheAnswer(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprintf("tcp=%t", tcp), func(t *testing.T) {
			s := python("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return [n, event]\n")
			s.tcp = tcp
			f := start(t, s)
			f.polls()
			f.write(f.event(`"a"`))
			if m := f.read(); m.body != `[1, "a"]` || m.header.Get("Lambda-Runtime-Invocation-Id") != "d-"+f.id ||
				m.header.Get("Content-Type") != "application/json" {
				t.Fatalf("got %+v", m)
			}
			f.polls() // though the answer has not been accepted
			f.write(accepted + f.event(`"b"`))
			if m := f.read(); m.body != `[2, "b"]` {
				t.Fatalf("got %+v", m)
			}
			f.polls()
			f.write(accepted)
			for event := f.event(`{"ä": "ö"}`); event != ""; event = event[1:] {
				f.write(event[:1])
			}
			if m := f.read(); m.body != `[3, {"ä": "ö"}]` {
				t.Fatalf("got %+v", m)
			}
		})
	}
}

// Failures of a Python function have the payloads that AWS's client posts
// (awslambdaric 4.2; the exception in a handler as recorded from AWS).
func TestPythonInvocationErrors(t *testing.T) {
	for _, c := range []struct{ name, code, event, kind, message, trace, printed string }{
		{
			name:  "an exception",
			code:  "def handler(event, context):\n    raise Exception(\"msg\")\n",
			event: `{}`, kind: "Exception", message: "msg",
			trace:   `["  File \"/var/task/handler.py\", line 2, in handler\n    raise Exception(\"msg\")\n"]`,
			printed: "[ERROR] Exception: msg\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/handler.py\", line 2, in handler\n\u00a0\u00a0\u00a0\u00a0raise Exception(\"msg\")\n",
		},
		{
			name:  "an exception without a text",
			code:  "class Sad(Exception): pass\ndef handler(event, context):\n    raise Sad\n",
			event: `{}`, kind: "Sad", message: "",
			trace:   `["  File \"/var/task/handler.py\", line 3, in handler\n    raise Sad\n"]`,
			printed: "[ERROR] Sad\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/handler.py\", line 3, in handler\n\u00a0\u00a0\u00a0\u00a0raise Sad\n",
		},
		{
			name:  "a result that JSON has no form for",
			code:  "def handler(event, context):\n    return {1, 2}\n",
			event: `{}`, kind: "Runtime.MarshalError", message: "Unable to marshal response: Object of type set is not JSON serializable",
			trace:   `[]`,
			printed: "[ERROR] Runtime.MarshalError: Unable to marshal response: Object of type set is not JSON serializable\nTraceback (most recent call last):\n",
		},
		{
			name:  "an event that is not JSON",
			code:  "def handler(event, context):\n    pass\n",
			event: `{bad`, kind: "Runtime.UnmarshalError",
			message: "Unable to unmarshal input: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
			trace:   `[]`,
			printed: "[ERROR] Runtime.UnmarshalError: Unable to unmarshal input: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)\nTraceback (most recent call last):\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, python(c.code))
			f.polls()
			m := f.invoke(c.event)
			message, _ := json.Marshal(c.message)
			want := fmt.Sprintf(`{"errorMessage": %s, "errorType": %q, "requestId": %q, "stackTrace": %s}`, message, c.kind, f.id, c.trace)
			if got := f.plain(m.body); m.path != "/2018-06-01/runtime/invocation/"+f.id+"/error" || got != want {
				t.Errorf("posted to %s\n%s\nwant\n%s", m.path, got, want)
			}
			if got := m.header.Get("Lambda-Runtime-Function-Error-Type"); got != c.kind {
				t.Errorf("error type %q; want %q", got, c.kind)
			}
			if got := f.printed(); got != c.printed {
				t.Errorf("printed\n%q\nwant\n%q", got, c.printed)
			}
			if m := f.invoke(c.event); !strings.HasSuffix(m.path, "/error") { // it runs on
				t.Errorf("posted to %s", m.path)
			}
		})
	}
}

func TestPythonInitErrors(t *testing.T) {
	for _, c := range []struct {
		name, handler, code, kind, message string
		trace                              []string // its end
	}{
		{"no such module", "absent.handler", "", "Runtime.ImportModuleError", "Unable to import module 'absent': No module named 'absent'", nil},
		{"a module that imports another that is missing", "handler.handler", "import absent", "Runtime.ImportModuleError", "Unable to import module 'handler': No module named 'absent'", nil},
		{"no such function", "handler.other", "", "Runtime.HandlerNotFound", "Handler 'other' missing on module 'handler'", nil},
		{"a handler without a dot", "handler", "", "Runtime.MalformedHandlerName", "Bad handler 'handler': not enough values to unpack (expected 2, got 1)", nil},
		{"a module of Python's own", "sys.exit", "", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module", nil},
		{"a syntax error", "handler.handler", "x = = 1\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'handler': invalid syntax (handler.py, line 1)",
			[]string{"  File \"/var/task/handler.py\" Line 1\n    x = = 1\n"}},
		// Recorded from AWS on 24 November 2025: the frames of the import are part of it.
		{"an exception while it is imported", "handler.handler", "raise Exception(\"Runtime startup fails\")\n", "Exception", "Runtime startup fails",
			[]string{"in _call_with_frames_removed\n", "  File \"/var/task/handler.py\", line 1, in <module>\n    raise Exception(\"Runtime startup fails\")\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := python(c.code)
			s.handler = c.handler
			f := start(t, s)
			m := f.read()
			if m.method != "POST" || m.path != "/2018-06-01/runtime/init/error" || m.header.Get("Lambda-Runtime-Function-Error-Type") != c.kind {
				t.Errorf("got %s %s of type %q", m.method, m.path, m.header.Get("Lambda-Runtime-Function-Error-Type"))
			}
			var got struct {
				ErrorMessage, ErrorType string
				RequestID               *string `json:"requestId"`
				StackTrace              []string
			}
			if err := json.Unmarshal([]byte(f.plain(m.body)), &got); err != nil {
				t.Fatal(err)
			}
			if got.ErrorMessage != c.message || got.ErrorType != c.kind || got.RequestID == nil || *got.RequestID != "" || got.StackTrace == nil {
				t.Errorf("got %s", m.body)
			}
			if len(got.StackTrace) < len(c.trace) || len(c.trace) == 0 && len(got.StackTrace) > 0 {
				t.Fatalf("the trace is %q", got.StackTrace)
			}
			for i, want := range c.trace {
				if line := got.StackTrace[len(got.StackTrace)-len(c.trace)+i]; !strings.HasSuffix(line, want) {
					t.Errorf("the trace has %q; want %q", line, want)
				}
			}
			if got, want := f.printed(), "[ERROR] "+c.kind+": "+c.message+"\nTraceback (most recent call last):\n"; !strings.HasPrefix(got, want) {
				t.Errorf("printed %q; want %q", got, want)
			}
			f.write(accepted)
			if code := f.exit(); code != 1 {
				t.Errorf("exit status %d; want 1", code)
			}
		})
	}
}

// sys.exit ends the process, for the platform to report.
func TestPythonHandlerMayExit(t *testing.T) {
	for _, status := range []int{0, 3} {
		f := start(t, python(fmt.Sprintf("import sys\ndef handler(event, context):\n    print('bye')\n    sys.exit(%d)\n", status)))
		f.polls()
		f.write(f.event(`{}`))
		if code := f.exit(); code != status || f.printed() != "bye\n" {
			t.Errorf("exit status %d; want %d", code, status)
		}
	}
}

// Results are written as AWS's client writes them: other scripts are escaped
// before Python 3.12, decimals keep their digits, bytes are text.
func TestPythonResults(t *testing.T) {
	for _, c := range []struct{ runtime, value, want string }{
		{"python3.12", "None", `null`},
		{"python3.12", "'grüße\\u2028\\x7f\\n'", "\"grüße\u2028\x7f\\n\""},
		{"python3.11", "'grüße'", `"gr\u00fc\u00dfe"`},
		{"python3.12", "{'a': [1, 2.0, True, None, ()], 2: 'x', None: 1.5e300}", `{"a": [1, 2.0, true, null, []], "2": "x", "null": 1.5e+300}`},
		{"python3.12", "[D('1.10'), {'d': D('-3E+5')}, '\"1.10\"', D('NaN')]", `[1.10, {"d": -3E+5}, "\"1.10\"", NaN]`},
		{"python3.12", "D('12345678901234567890.123456789')", `12345678901234567890.123456789`},
		{"python3.12", "{'b': 'grüße'.encode()}", `{"b": "grüße"}`},
		{"python3.12", "b'\\x00raw'", "\x00raw"},
		{"python3.12", "float('inf')", `Infinity`},
		{"python3.12", "[P(1, [P(2, 3)]), (4,)]", `[{"x": 1, "y": [{"x": 2, "y": 3}]}, [4]]`},
	} {
		s := python("from collections import namedtuple\nfrom decimal import Decimal as D\nP = namedtuple('P', 'x y')\ndef handler(event, context):\n    return " + c.value + "\n")
		s.runtime = c.runtime
		f := start(t, s)
		f.polls()
		if got := f.result(`{}`); got != c.want {
			t.Errorf("%s %s: got %s; want %s", c.runtime, c.value, got, c.want)
		}
	}
}

func TestPythonEvents(t *testing.T) {
	f := start(t, python("def handler(event, context):\n    return repr(event)\n"))
	f.polls()
	for _, c := range []struct{ event, want string }{
		{`{}`, `"{}"`},
		{` [1, 2.5, 1e3, "\u00fc", true, null] `, `"[1, 2.5, 1000.0, 'ü', True, None]"`},
		{`"text"`, `"'text'"`},
		{`null`, `"None"`},
		{`12345678901234567890`, `"12345678901234567890"`},
		{"\"" + strings.Repeat("x", 1<<20) + "\"", "\"'" + strings.Repeat("x", 1<<20) + "'\""},
	} {
		if got := f.result(c.event); got != c.want {
			t.Errorf("%.60s: got %.60s; want %.60s", c.event, got, c.want)
		}
	}
}

func TestPythonHandlersInFolders(t *testing.T) {
	code := "def handler(event, context):\n    return __name__\nclass C:\n    pass\n"
	for _, handler := range []string{"sub/deep/mod.handler", "sub.deep.mod.handler"} {
		f := start(t, setup{runtime: "python3.13", handler: handler, files: map[string]string{"sub/deep/mod.py": code, "sub/__init__.py": ""}})
		f.polls()
		if got := f.result(`{}`); got != `"sub.deep.mod"` {
			t.Errorf("%s: got %s", handler, got)
		}
	}
}

func TestPythonContext(t *testing.T) {
	f := start(t, python(`
def handler(event, context):
    c = context
    if event == "full":
        cc = c.client_context
        return [c.tenant_id, cc.custom, cc.env, cc.client.installation_id, cc.client.app_title,
                c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id, c.w3c()]
    c.log("a line")
    left = c.get_remaining_time_in_millis()
    return [c.aws_request_id, c.function_name, c.function_version, c.memory_limit_in_mb, c.invoked_function_arn,
            c.log_group_name, c.log_stream_name, c.client_context, c.identity.cognito_identity_id, c.tenant_id,
            isinstance(left, int) and left > 0, repr(c)]
`))
	f.polls()
	got := f.result(`{}`)
	want := `["` + f.id + `", "fn", "$LATEST", "128", "arn:aws:lambda:us-east-1:123456789012:function:fn:live", ` +
		`"/aws/lambda/fn", "2026/01/02/[$LATEST]0123", null, null, null, true, ` +
		`"LambdaContext([aws_request_id=` + f.id + `,log_group_name=/aws/lambda/fn,log_stream_name=2026/01/02/[$LATEST]0123,` +
		`function_name=fn,memory_limit_in_mb=128,function_version=$LATEST,` +
		`invoked_function_arn=arn:aws:lambda:us-east-1:123456789012:function:fn:live,client_context=None,` +
		`identity=CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None]),tenant_id=None])"]`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := f.printed(); got != "a line\n" {
		t.Errorf("printed %q", got)
	}
	got = f.result(`"full"`,
		`Lambda-Runtime-Client-Context: {"custom":{"a":"ü"},"env":{"b":1},"client":{"installation_id":"i","app_title":"t"},"w3c":{"traceparent":"p","x":"y"}}`,
		`Lambda-Runtime-Cognito-Identity: {"cognitoIdentityId":"ci","cognitoIdentityPoolId":"cp"}`,
		`Lambda-Runtime-Aws-Tenant-Id: blue`)
	if want := `["blue", {"a": "ü"}, {"b": 1}, "i", "t", "ci", "cp", {"traceparent": "p"}]`; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	m := f.invoke(`{}`, "Lambda-Runtime-Client-Context: {bad")
	if !strings.Contains(m.body, `"errorMessage": "Unable to parse Client Context JSON: Expecting property name`) ||
		!strings.Contains(m.body, `"errorType": "Runtime.LambdaContextUnmarshalError"`) {
		t.Errorf("got %s", m.body)
	}
}

// What is the client's own does not show: neither in the environment of the
// function and of what it starts, nor as an open descriptor.
func TestPythonKeepsItsOwnToItself(t *testing.T) {
	for _, imported := range []string{"", "import os\n"} {
		f := start(t, python(imported+`
def handler(event, context):
    import os, subprocess
    inside = subprocess.run(["/usr/bin/env"], stdout=subprocess.PIPE, env=None).stdout.decode()
    files = subprocess.run(["/bin/ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, close_fds=False).stdout.decode()
    return [os.environ["_X_AMZN_TRACE_ID"], "_X_AMZN_TRACE_ID=" + os.environ["_X_AMZN_TRACE_ID"] + "\n" in inside,
            "LAMBENT" in inside, [k for k in os.environ if "LAMBENT" in k], os.environ["PYTHONPATH"] == os.environ["LAMBDA_RUNTIME_DIR"],
            "socket:" in files]
`))
		f.polls()
		for range 2 {
			if got, want := f.result(`{}`), `["Root=1-`+f.id+`", true, false, [], true, false]`; got != want {
				t.Errorf("got %s; want %s", got, want)
			}
		}
	}
}

// The search path is AWS's, without the host's packages: layers are looked for
// where the runtime asked for has them, then where the one that runs has them. A
// function that sets PYTHONPATH finds its layers only there.
func TestPythonSearchPath(t *testing.T) {
	s := python("import sys\ndef handler(event, context):\n    return '\\n'.join(sys.path)\n")
	f := start(t, s)
	f.polls()
	path := strings.Split(f.plain(jsonString(t, f.result(`{}`))), "\n")
	all, _ := set()
	if len(path) > 2 && path[2] != "/opt/python" { // the host has another Python than was asked for
		if !strings.HasPrefix(path[2], "/opt/python/lib/python3.") {
			t.Errorf("got %q", path)
		}
		path = append(path[:2:2], path[3:]...)
	}
	if len(path) < 6 || path[0] != "/var/task" || path[1] != "/opt/python/lib/"+s.runtime+"/site-packages" || path[2] != "/opt/python" || path[3] != all.dir || !strings.HasSuffix(path[4], ".zip") {
		t.Errorf("got %q", path)
	}
	for _, p := range path[4:] {
		if strings.Contains(p, "-packages") {
			t.Errorf("the host's %s is on the path", p)
		}
	}
	s.env = []string{"PYTHONPATH=DIR/lib:DIR/more"}
	f = start(t, s)
	f.polls()
	path = strings.Split(f.plain(jsonString(t, f.result(`{}`))), "\n")
	if path[0] != "/var/task" || path[1] != all.dir || path[2] != f.dir+"/lib" || path[3] != f.dir+"/more" || !strings.HasSuffix(path[4], ".zip") {
		t.Errorf("got %q", path)
	}
}

// Layers bring modules in the folders that AWS names, the package's own first.
func TestPythonLayers(t *testing.T) {
	s := python("import sys, a, b, c\ndef handler(event, context):\n    return [a.x, b.x, c.x]\n")
	s.files["a.py"] = "x = 'package'\n"
	s.files["/opt/python/a.py"] = "x = 'layer'\n"
	s.files["/opt/python/b.py"] = "x = 'layer'\n"
	s.files["/opt/python/c.py"] = "x = 'layer'\n"
	all, err := set()
	if err != nil {
		t.Fatal(err)
	}
	all.List()
	if len(all.pythons) == 0 {
		t.Skip("no Python")
	}
	served := nearest(all.pythons, func(i *interpreter) int { return i.minor - 12 })
	s.files[fmt.Sprintf("/opt/python/lib/python3.%d/site-packages/c.py", served.minor)] = "x = 'site'\n"
	s.env = []string{"_LAMBENT_OPT=DIR/opt"}
	f := start(t, s)
	f.polls()
	if got := f.result(`{}`); got != `["package", "layer", "site"]` {
		t.Errorf("got %s", got)
	}
}

// A package may have modules by the names of the library's: they are found first,
// by the library as well.
func TestPythonPackagesMayHideTheLibrary(t *testing.T) {
	for name, place := range map[string]string{"package": "", "layer": "/opt/python/"} {
		t.Run(name, func(t *testing.T) {
			s := python(`import sys, decimal
def handler(event, context):
    return [decimal.WHOSE, "LAMBENT" in str(dict(__import__("os").environ)), sys.argv == sys.orig_argv[-1:] if hasattr(sys, "orig_argv") else True]
`)
			s.files[place+"decimal.py"] = "WHOSE = 'the function'\n"
			s.env = []string{"_LAMBENT_OPT=DIR/opt"}
			f := start(t, s)
			f.polls()
			if got := f.result(`{}`); got != `["the function", false, true]` {
				t.Errorf("got %s", got)
			}
		})
	}
}

// .pth files of the package are followed, and sitecustomize on PYTHONPATH is
// run before the function, as layers that trace functions need.
func TestPythonSiteFiles(t *testing.T) {
	s := python("import sys, found\ndef handler(event, context):\n    return [found.x, sys.seen, exit is not None]\n")
	s.files["extra.pth"] = "elsewhere\n"
	s.files["elsewhere/found.py"] = "x = 1\n"
	s.files["/lib/sitecustomize.py"] = "import sys\nsys.seen = 2\n"
	s.env = []string{"PYTHONPATH=DIR/lib"}
	f := start(t, s)
	f.polls()
	if got := f.result(`{}`); got != `[1, 2, true]` {
		t.Errorf("got %s", got)
	}
}

// The root logger has a handler that writes AWS's formats, whenever logging is
// imported.
func TestPythonLogging(t *testing.T) {
	const code = `
import logging
log = logging.getLogger("my.log")
logging.getLogger().warning("at init")
def handler(event, context):
    logging.basicConfig(format="never used")
    log.info("below the level")
    log.warning("hello %s\nsecond line", "you")
    try:
        raise ValueError("no")
    except ValueError:
        log.exception("caught", extra={"order": 7, "what": {1}})
    print("printed", end="")
`
	for _, c := range []struct {
		name, runtime string
		env           []string
		want          string
	}{
		{"text", "python3.12", nil, "[WARNING]\tTIME.123\t\tat init\n[WARNING]\tTIME.123\tID\thello you\nsecond line\n" +
			"[ERROR]\tTIME.123\tID\tcaught\nTraceback (most recent call last):\n  File \"/var/task/handler.py\", line 10, in handler\n    raise ValueError(\"no\")\nValueError: no\nprinted"},
		{"JSON", "python3.12", []string{"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=INFO"},
			`{"timestamp": "TIME", "level": "WARNING", "message": "at init", "logger": "root", "requestId": ""}` + "\n" +
				`{"timestamp": "TIME", "level": "INFO", "message": "below the level", "logger": "my.log", "requestId": "ID"}` + "\n" +
				`{"timestamp": "TIME", "level": "WARNING", "message": "hello you\nsecond line", "logger": "my.log", "requestId": "ID"}` + "\n" +
				`{"timestamp": "TIME", "level": "ERROR", "message": "caught", "logger": "my.log", ` +
				`"stackTrace": ["  File \"/var/task/handler.py\", line 10, in handler\n    raise ValueError(\"no\")\n"], "errorType": "ValueError", "errorMessage": "no", ` +
				`"requestId": "ID", "location": "/var/task/handler.py:handler:12", "order": 7, "what": "{1}"}` + "\nprinted"},
		{"JSON, errors only", "python3.12", []string{"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=FATAL"}, "printed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := python(code)
			s.env = c.env
			f := start(t, s)
			f.polls()
			f.result(`{}`)
			got := strings.ReplaceAll(still(f.printed()), f.id, "ID")
			if got != c.want {
				t.Errorf("printed\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestPythonFormattersSeeTheRequestID(t *testing.T) {
	f := start(t, python(`
import logging
root = logging.getLogger()
root.handlers[0].setFormatter(logging.Formatter("<%(aws_request_id)s> %(message)s"))
def handler(event, context):
    root.error("x")
`))
	f.polls()
	f.result(`{}`)
	if got, want := f.printed(), "<"+f.id+"> x\n"; got != want {
		t.Errorf("printed %q; want %q", got, want)
	}
}

func TestPythonErrorsInJSONLogs(t *testing.T) {
	s := python("def handler(event, context):\n    raise KeyError('k')\n")
	s.env = []string{"AWS_LAMBDA_LOG_FORMAT=JSON"}
	f := start(t, s)
	f.polls()
	f.invoke(`{}`)
	want := `{"timestamp": "TIME", "level": "ERROR", "errorMessage": "'k'", "errorType": "KeyError", "requestId": "` + f.id + `", ` +
		`"stackTrace": ["  File \"/var/task/handler.py\", line 2, in handler\n    raise KeyError('k')\n"]}` + "\n"
	if got := still(f.printed()); got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}

// A result past the limit is posted; the platform says what it thinks of it, and
// the function goes on.
func TestPythonPostsWhatIsTooLarge(t *testing.T) {
	f := start(t, python("def handler(event, context):\n    return 'x' * event\n"))
	tooLarge(t, f)
}

func tooLarge(t *testing.T, f *function) {
	t.Helper()
	f.polls()
	f.write(f.event(`7000000`))
	if m := f.read(); len(m.body) != 7000002 {
		t.Fatalf("posted %d bytes", len(m.body))
	}
	f.polls()
	f.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\n{}" + f.event(`1`))
	if m := f.read(); m.body != `"x"` {
		t.Errorf("posted %s", m.body)
	}
}

// The process ends with its connection, silently.
func TestPythonEndsWithItsConnection(t *testing.T) {
	f := start(t, python("def handler(event, context):\n    pass\n"))
	f.polls()
	f.conn.Close()
	if code := f.exit(); code != 0 || f.printed() != "" {
		t.Errorf("exit status %d", code)
	}
}

func jsonString(t *testing.T, s string) string {
	t.Helper()
	var text string
	if err := json.Unmarshal([]byte(s), &text); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return text
}
