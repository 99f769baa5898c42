package runtimes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func node(code string) setup {
	return setup{runtime: "nodejs20.x", handler: "index.handler", files: map[string]string{"index.js": code}}
}

// atLeast skips a case that needs a newer Node than the one that serves here.
func atLeast(t *testing.T, major int) {
	t.Helper()
	s, err := set()
	if err != nil {
		t.Fatal(err)
	}
	s.List()
	if i := nearest(s.nodes, func(i *interpreter) int { return i.major - 20 }); i == nil || i.major < major {
		t.Skipf("Node %d has what is tested here", major)
	}
}

func node24(code string) setup {
	s := node(code)
	s.runtime = "nodejs24.x"
	return s
}

func TestNodeSendsItsNextPollWithTheAnswer(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprintf("tcp=%t", tcp), func(t *testing.T) {
			s := node("let n = 0; exports.handler = async (event) => [++n, event];")
			s.tcp = tcp
			f := start(t, s)
			f.polls()
			f.write(f.event(`"a"`))
			if m := f.read(); m.body != `[1,"a"]` || m.header.Get("Lambda-Runtime-Invocation-Id") != "d-"+f.id ||
				m.header.Get("Content-Type") != "application/json" {
				t.Fatalf("got %+v", m)
			}
			f.polls() // though the answer has not been accepted
			f.write(accepted + f.event(`"b"`))
			if m := f.read(); m.body != `[2,"b"]` {
				t.Fatalf("got %+v", m)
			}
			f.polls()
			f.write(accepted)
			for event := f.event(`{"ä": "ö"}`); event != ""; event = event[1:] {
				f.write(event[:1])
			}
			if m := f.read(); m.body != `[3,{"ä":"ö"}]` {
				t.Fatalf("got %+v", m)
			}
		})
	}
}

// Handlers answer by promise, callback or context, as far as their runtime
// knows these. A callback's result waits for the event loop to be empty, unless
// the function says otherwise.
func TestNodeAnswers(t *testing.T) {
	for _, c := range []struct{ name, runtime, code, want string }{
		{"a promise", "nodejs20.x", "exports.handler = async () => ({a: 1});", `{"a":1}`},
		{"a promise of nothing", "nodejs20.x", "exports.handler = async () => {};", `null`},
		{"a thing with then", "nodejs20.x", "exports.handler = () => ({then(f) { f('t') }});", `"t"`},
		{"a promise, while timers run", "nodejs20.x", "exports.handler = async () => { setInterval(() => {}, 1e6); return 1; };", `1`},
		{"what JSON leaves out", "nodejs20.x", "exports.handler = async () => () => 1;", `null`},
		{"other scripts", "nodejs20.x", "exports.handler = async () => 'grüße';", `"grüße"`},
		{"a callback", "nodejs20.x", "exports.handler = (event, context, callback) => { callback(null, 'c'); };", `"c"`},
		{"a callback, when the loop is empty", "nodejs20.x",
			"exports.handler = (event, context, callback) => { const r = {late: false}; callback(null, r); setTimeout(() => { r.late = true }, 20); };", `{"late":true}`},
		{"a callback that does not wait", "nodejs20.x",
			"exports.handler = (event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1e6); callback(null, 'now'); };", `"now"`},
		{"the first of two callbacks", "nodejs20.x", "exports.handler = (event, context, callback) => { callback(null, 1); callback(null, 2); };", `1`},
		{"no callback at all", "nodejs20.x", "exports.handler = (event, context, callback) => {};", `null`},
		{"a value returned without a promise counts for nothing", "nodejs22.x", "exports.handler = () => 5;", `null`},
		{"context.succeed", "nodejs20.x", "exports.handler = (event, context) => { setInterval(() => {}, 1e6); context.succeed('s'); };", `"s"`},
		{"context.done", "nodejs20.x", "exports.handler = (event, context) => { setTimeout(() => context.done(null, 'd'), 5); };", `"d"`},
		{"a promise that is never settled, once", "nodejs16.x", "exports.handler = () => new Promise(() => {});", `null`},
		{"a value, from Node 24 on", "nodejs24.x", "exports.handler = () => 5;", `5`},
		{"a promise, from Node 24 on", "nodejs24.x", "exports.handler = async (event, context) => [typeof context.succeed, 'callbackWaitsForEmptyEventLoop' in context];", `["undefined",false]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := node(c.code)
			s.runtime = c.runtime
			f := start(t, s)
			f.polls()
			for range 2 {
				if got := f.result(`{}`); got != c.want {
					t.Fatalf("got %s; want %s", got, c.want)
				}
			}
		})
	}
}

// Errors of invocations after which the function goes on. The texts are those of
// aws-lambda-ric.
func TestNodeInvocationErrors(t *testing.T) {
	for _, c := range []struct{ name, runtime, code, kind, message, first string }{
		{"an exception", "nodejs20.x", "exports.handler = async () => { throw new Error('msg'); };", "Error", "msg", "Error: msg"},
		{"an exception of its own kind", "nodejs20.x", "class Sad extends Error { constructor(m) { super(m); this.name = 'Sad'; } }\nexports.handler = async () => { throw new Sad('msg'); };", "Sad", "msg", "Sad: msg"},
		{"an exception at once", "nodejs20.x", "exports.handler = (e, c, cb) => { throw new TypeError('msg'); };", "TypeError", "msg", "TypeError: msg"},
		{"callback(error)", "nodejs20.x", "exports.handler = (e, c, cb) => { cb(new RangeError('msg')); };", "RangeError", "msg", "RangeError: msg"},
		{"callback(string)", "nodejs20.x", "exports.handler = (e, c, cb) => { cb('msg'); };", "string", "msg", ""},
		{"callback(object)", "nodejs20.x", "exports.handler = (e, c, cb) => { cb({a: 1}); };", "object", "[object Object]", ""},
		{"an object without a text", "nodejs20.x", "exports.handler = (e, c, cb) => { cb(Object.create(null)); };", "TypeError", "Cannot convert object to primitive value", "TypeError: Cannot convert object to primitive value"},
		{"a rejection with such an object", "nodejs20.x", "exports.handler = () => Promise.reject(Object.create(null));", "TypeError", "Cannot convert object to primitive value", "TypeError: Cannot convert object to primitive value"},
		{"an error whose name is no text", "nodejs20.x", "exports.handler = async () => { throw Object.assign(new Error('msg'), {name: {}}); };", "handled", "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack", ""},
		{"context.fail()", "nodejs20.x", "exports.handler = (e, c) => { c.fail(); };", "string", "handled", ""},
		{"a rejection with nothing", "nodejs20.x", "exports.handler = () => Promise.reject();", "string", "handled", ""},
		{"a rejection with nothing, from Node 24 on", "nodejs24.x", "exports.handler = () => Promise.reject();", "undefined", "undefined", ""},
		{"a result that JSON has no form for", "nodejs20.x", "exports.handler = async () => 1n;", "Error", "Unable to stringify response body", "Error: Unable to stringify response body"},
		{"such a result, from Node 24 on", "nodejs24.x", "exports.handler = async () => 1n;", "Runtime.JSONStringifyError", "Unable to stringify response body", "Runtime.JSONStringifyError: Unable to stringify response body"},
		{"characters that no header holds", "nodejs20.x", "exports.handler = async () => { const e = new Error('m\\x7f'); e.name = 'N\\x7f\\u00fc'; throw e; };", "N%7Fü", "m%7F", "N%7Fü: m%7F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := node(c.code)
			s.runtime = c.runtime
			f := start(t, s)
			f.polls()
			for range 2 {
				m := f.invoke(`{}`)
				if m.path != "/2018-06-01/runtime/invocation/"+f.id+"/error" {
					t.Fatalf("posted to %s", m.path)
				}
				checkError(t, f.plain(m.body), c.kind, c.message, c.first)
				if got, want := m.header.Get("Lambda-Runtime-Function-Error-Type"), strings.ReplaceAll(c.kind, "ü", ""); got != want {
					t.Errorf("error type %q; want %q", got, want)
				}
			}
			if printed := f.printed(); !strings.Contains(printed, "\t"+f.id+"\tERROR\tInvoke Error \t{\"errorType\":") {
				t.Errorf("printed %s", printed)
			}
		})
	}
}

// The frames of a trace are the function's, with the name of what AWS calls
// handlers on, and few of the client's.
func TestNodeTraces(t *testing.T) {
	f := start(t, setup{runtime: "nodejs20.x", handler: "index.handler", files: map[string]string{"index.mjs": "export const handler = async () => { throw new Error('msg'); };"}})
	f.polls()
	var got struct{ Trace []string }
	if err := json.Unmarshal([]byte(f.plain(f.invoke(`{}`).body)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Trace) < 3 || len(got.Trace) > 4 || got.Trace[1] != "    at Runtime.handler (file:///var/task/index.mjs:1:44)" {
		t.Errorf("got %q", got.Trace)
	}
}

// checkError holds the body of an error against what is wanted; first is the
// first line of its trace, "" if it has none.
func checkError(t *testing.T, body, kind, message, first string) {
	t.Helper()
	var got struct {
		ErrorType, ErrorMessage string
		Trace                   []string
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	k, _ := json.Marshal(kind)
	if !strings.HasPrefix(body, `{"errorType":`+string(k)+`,"errorMessage":"`) || got.ErrorMessage != message || got.Trace == nil {
		t.Errorf("got %s\nwant %s: %s", body, kind, message)
	}
	if first == "" != (len(got.Trace) == 0) || first != "" && got.Trace[0] != first {
		t.Errorf("the trace is %q; want %q first", got.Trace, first)
	}
}

func TestNodeInitErrors(t *testing.T) {
	for _, c := range []struct {
		name, handler, runtime string
		files                  map[string]string
		kind, message, first   string // the beginning of the message, if it ends with …
	}{
		{"no such module", "absent.handler", "nodejs20.x", nil, "Runtime.ImportModuleError", "Error: Cannot find module 'absent'\nRequire stack:\n- …", "Runtime.ImportModuleError: Error: Cannot find module 'absent'"},
		{"a module that requires another that is missing", "index.handler", "nodejs20.x", map[string]string{"index.js": "require('nope');"},
			"Runtime.ImportModuleError", "Error: Cannot find module 'nope'\nRequire stack:\n- /var/task/index.js\n- …", "Runtime.ImportModuleError: Error: Cannot find module 'nope'"},
		{"an ES module that imports another that is missing", "index.handler", "nodejs20.x", map[string]string{"index.mjs": "import 'nope';"},
			"Error", "Cannot find package 'nope' imported from /var/task/index.mjs", "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'nope' imported from /var/task/index.mjs"},
		{"no such function", "index.other", "nodejs20.x", map[string]string{"index.js": "exports.handler = 1;"}, "Runtime.HandlerNotFound", "index.other is undefined or not exported", "Runtime.HandlerNotFound: index.other is undefined or not exported"},
		{"what is no function", "index.handler", "nodejs20.x", map[string]string{"index.js": "exports.handler = 1;"}, "Runtime.HandlerNotFound", "index.handler is not a function", "Runtime.HandlerNotFound: index.handler is not a function"},
		{"a handler without a dot", "index", "nodejs20.x", nil, "Runtime.MalformedHandlerName", "Bad handler", "Runtime.MalformedHandlerName: Bad handler"},
		{"a handler with two dots in a row", "../index.handler", "nodejs20.x", nil, "Runtime.MalformedHandlerName",
			"'../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names.",
			"Runtime.MalformedHandlerName: '../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names."},
		{"a syntax error", "index.handler", "nodejs20.x", map[string]string{"index.js": "exports.handler = = 1;"}, "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token '='", "Runtime.UserCodeSyntaxError: SyntaxError: Unexpected token '='"},
		{"a syntax error, from Node 24 on", "index.handler", "nodejs24.x", map[string]string{"index.js": "exports.handler = = 1;"}, "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token '='", "/var/task/index.js:1"},
		{"an exception while it is loaded", "index.handler", "nodejs20.x", map[string]string{"index.js": "throw new TypeError('at load');"}, "TypeError", "at load", "TypeError: at load"},
		{"a rejection while it is loaded", "index.handler", "nodejs20.x", map[string]string{"index.mjs": "await Promise.reject(new Error('at load'));"}, "Error", "at load", "Error: at load"},
		{"a callback handler, from Node 24 on", "index.handler", "nodejs24.x", map[string]string{"index.js": "exports.handler = (event, context, callback) => {};"}, "Runtime.CallbackHandlerDeprecated",
			"ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.",
			"Error: ERROR: AWS…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.files["index.mjs"], "await ") {
				atLeast(t, 16)
			}
			f := start(t, setup{runtime: c.runtime, handler: c.handler, files: c.files})
			m := f.read()
			if m.method != "POST" || m.path != "/2018-06-01/runtime/init/error" || m.header.Get("Lambda-Runtime-Function-Error-Type") != c.kind {
				t.Errorf("got %s %s of type %q", m.method, m.path, m.header.Get("Lambda-Runtime-Function-Error-Type"))
			}
			body := f.plain(m.body)
			var got struct {
				ErrorMessage string
				Trace        []string
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			if begin, ok := strings.CutSuffix(c.message, "…"); ok && strings.HasPrefix(got.ErrorMessage, begin) {
				c.message = got.ErrorMessage
			}
			if c.kind == "Runtime.CallbackHandlerDeprecated" {
				c.first = got.Trace[0]
			}
			checkError(t, body, c.kind, c.message, c.first)
			if got := still(f.printed()); !strings.HasPrefix(got, "TIME.123\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\""+c.kind+"\",") {
				t.Errorf("printed %s", got)
			}
			f.write(accepted)
			if code := f.exit(); code == 0 {
				t.Error("exit status 0")
			}
		})
	}
}

// What nothing in the function catches ends the process, after it has been
// reported.
func TestNodeCrashes(t *testing.T) {
	const exit = "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. " +
		"For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes"
	for _, c := range []struct {
		name, code, kind, message, printed string
		status                             int
	}{
		{"an exception nobody catches", "exports.handler = async () => { setTimeout(() => { throw new Error('lost') }); await new Promise((r) => setTimeout(r, 1e6)); };",
			"Error", "lost", "Uncaught Exception \t{\"errorType\":\"Error\",\"errorMessage\":\"lost\",\"stack\":[\"Error: lost\",", 129},
		{"a rejection nobody handles", "exports.handler = async () => { Promise.reject(new Error('lost')); await new Promise((r) => setTimeout(r, 1e6)); };",
			"Runtime.UnhandledPromiseRejection", "Error: lost",
			"Unhandled Promise Rejection \t{\"errorType\":\"Runtime.UnhandledPromiseRejection\",\"errorMessage\":\"Error: lost\",\"reason\":{\"errorType\":\"Error\",\"errorMessage\":\"lost\",\"stack\":[", 128},
		{"a promise that is never settled", "exports.handler = () => new Promise(() => {});",
			"Runtime.NodejsExit", exit, "Invoke Error \t{\"errorType\":\"Runtime.NodejsExit\",", 13},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, node(c.code))
			f.polls()
			f.write(f.event(`{}`))
			m := f.read()
			if m.path != "/2018-06-01/runtime/invocation/"+f.id+"/error" {
				t.Errorf("posted to %s", m.path)
			}
			checkError(t, m.body, c.kind, c.message, strings.TrimPrefix(c.kind+": "+c.message, "")) // the first line names both
			f.write(accepted)
			if code := f.exit(); code != c.status {
				t.Errorf("exit status %d; want %d", code, c.status)
			}
			if got := still(f.printed()); !strings.HasPrefix(got, "TIME.123\t"+f.id+"\tERROR\t"+c.printed) {
				t.Errorf("printed %s", got)
			}
		})
	}
}

// A crash between invocations ends the process at once: there is nobody to tell.
func TestNodeCrashesBetweenInvocations(t *testing.T) {
	f := start(t, node("exports.handler = async () => { setTimeout(() => { throw new Error('later') }, 20); };"))
	f.polls()
	f.result(`{}`)
	if code := f.exit(); code != 129 {
		t.Errorf("exit status %d", code)
	}
}

func TestNodeHandlerMayExit(t *testing.T) {
	f := start(t, node("exports.handler = async () => { console.log('bye'); process.exit(3); };"))
	f.polls()
	f.write(f.event(`{}`))
	if code := f.exit(); code != 3 {
		t.Errorf("exit status %d", code)
	}
	if got := still(f.printed()); got != "TIME.123\t"+f.id+"\tINFO\tbye\n" {
		t.Errorf("printed %q", got)
	}
}

// Handlers are found where AWS's client finds them.
func TestNodeModules(t *testing.T) {
	const cjs = "exports.handler = async () => 'cjs'; exports.a = {b: {c: async () => 'nested'}};"
	const esm = "export const handler = async () => 'esm'; export default {x: async () => 'default'}; await null;"
	for _, c := range []struct {
		name, handler string
		files         map[string]string
		want          string
	}{
		{".js", "index.handler", map[string]string{"index.js": cjs}, "cjs"},
		{".cjs", "index.handler", map[string]string{"index.cjs": cjs}, "cjs"},
		{".mjs", "index.handler", map[string]string{"index.mjs": esm}, "esm"},
		{"type module", "index.handler", map[string]string{"index.js": esm, "package.json": `{"type":"module"}`}, "esm"},
		{"type module of a folder above", "a/b/index.handler", map[string]string{"a/b/index.js": esm, "package.json": `{"type":"module"}`}, "esm"},
		{"a package.json that says nothing", "a/index.handler", map[string]string{"a/index.js": cjs, "a/package.json": `{}`, "package.json": `{"type":"module"}`}, "cjs"},
		{"a nested export", "index.a.b.c", map[string]string{"index.js": cjs}, "nested"},
		{"the default export", "index.default.x", map[string]string{"index.mjs": esm}, "default"},
		{"a folder", "lib.handler", map[string]string{"lib/index.js": cjs}, "cjs"},
		{"a package", "pkg.handler", map[string]string{"node_modules/pkg/index.js": cjs}, "cjs"},
		{"a package of a layer", "index.handler", map[string]string{"index.js": "exports.handler = require('pkg').handler;", "/opt/nodejs/node_modules/pkg/index.js": cjs}, "cjs"},
		{"a package of a layer, in an ES module", "index.handler", map[string]string{"index.mjs": "export { handler } from 'pkg';", "/opt/nodejs/node_modules/pkg/index.js": cjs}, "cjs"},
		{"an ES module of a layer", "index.handler", map[string]string{"index.mjs": "export { handler } from 'pkg';",
			"/opt/nodejs/node_modules/pkg/package.json": `{"type":"module","exports":"./m.js"}`, "/opt/nodejs/node_modules/pkg/m.js": esm}, "esm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "esm" || c.want == "default" {
				atLeast(t, 16) // its module awaits
			}
			if strings.HasPrefix(c.files["index.mjs"], "export { handler } from") {
				atLeast(t, 18)
			}
			f := start(t, setup{runtime: "nodejs20.x", handler: c.handler, files: c.files,
				env: []string{"NODE_PATH=DIR/opt/nodejs/node20/node_modules:DIR/opt/nodejs/node_modules"}})
			f.polls()
			if got, want := f.result(`{}`), `"`+c.want+`"`; got != want {
				t.Errorf("got %s; want %s", got, want)
			}
		})
	}
}

// The command gives layers the places where AWS looks for packages, named after
// the runtime's version, not the interpreter's.
func TestNodePathNamesTheRuntimesVersion(t *testing.T) {
	s, err := set()
	if err != nil {
		t.Fatal(err)
	}
	command, err := s.Find("nodejs18.x")
	if err != nil {
		t.Skip(err)
	}
	const want = "NODE_PATH=/opt/nodejs/node18/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
	if command.Env[0] != want {
		t.Errorf("got %s; want %s", command.Env[0], want)
	}
}

func TestNodeContext(t *testing.T) {
	f := start(t, node("exports.handler = async (event, context) => event === 'left' ? context.getRemainingTimeInMillis() > 1000 : context;"))
	f.polls()
	got := f.result(`{}`)
	common := `"functionVersion":"$LATEST","functionName":"fn","memoryLimitInMB":"128","logGroupName":"/aws/lambda/fn",` +
		`"logStreamName":"2026/01/02/[$LATEST]0123",`
	if want := `{"callbackWaitsForEmptyEventLoop":true,` + common +
		`"invokedFunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:fn:live","awsRequestId":"` + f.id + `"}`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := f.result(`"left"`); got != "true" {
		t.Errorf("got %s", got)
	}
	got = f.result(`{}`,
		`Lambda-Runtime-Client-Context: {"custom":{"a":"ü"}}`,
		`Lambda-Runtime-Cognito-Identity: {"cognitoIdentityId":"ci","cognitoIdentityPoolId":"cp"}`,
		`Lambda-Runtime-Aws-Tenant-Id: blue`)
	if want := `{"callbackWaitsForEmptyEventLoop":true,` + common + `"clientContext":{"custom":{"a":"ü"}},"identity":{"cognitoIdentityId":"ci","cognitoIdentityPoolId":"cp"},` +
		`"invokedFunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:fn:live","awsRequestId":"` + f.id + `","tenantId":"blue"}`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	f = start(t, node24("exports.handler = (event, context) => [context.w3c(), context.clientContext, context.xRayTraceId];"))
	f.polls()
	got = f.result(`{}`, `Lambda-Runtime-Client-Context: {"custom":{},"w3c":{"traceparent":"p","x":"y"}}`)
	if want := `[{"traceparent":"p"},{"custom":{}},"Root=1-` + f.id + `"]`; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	m := f.invoke(`{}`, "Lambda-Runtime-Client-Context: {bad")
	if !strings.Contains(m.body, `"errorMessage":"Cannot parse ClientContext as json: SyntaxError: `) {
		t.Errorf("got %s", m.body)
	}
}

func TestNodeKeepsItsOwnToItself(t *testing.T) {
	f := start(t, node(`
const { execFileSync } = require('child_process');
exports.handler = async () => {
  const inside = execFileSync('/usr/bin/env').toString();
  const files = execFileSync('/bin/sh', ['-c', 'ls -l /proc/self/fd; true']).toString();
  return [process.env._X_AMZN_TRACE_ID, inside.includes('_X_AMZN_TRACE_ID=' + process.env._X_AMZN_TRACE_ID + '\n'), inside.includes('LAMBENT'),
    Object.keys(process.env).filter((k) => k.includes('LAMBENT')), / 3 -> socket:/.test(files)];
};`))
	f.polls()
	for range 2 {
		if got, want := f.result(`{}`), `["Root=1-`+f.id+`",true,false,[],false]`; got != want {
			t.Errorf("got %s; want %s", got, want)
		}
	}
}

func TestNodeLogging(t *testing.T) {
	const code = `
console.log('at init');
exports.handler = async () => {
  console.debug('a %s %d', 'b', 1, {c: [1, {d: {e: {}}}]});
  console.warn({a: 1});
  console.error(Object.assign(new RangeError('bad'), {code: 7}).message, [1, 'x']);
  console.info();
  console.trace('t');
  console.fatal('f');
};`
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"text", nil, "TIME.123\tundefined\tINFO\tat init\n" +
			"TIME.123\tID\tDEBUG\ta b 1 { c: [ 1, { d: [Object] } ] }\n" +
			"TIME.123\tID\tWARN\t{ a: 1 }\n" +
			"TIME.123\tID\tERROR\tbad [ 1, 'x' ]\n" +
			"TIME.123\tID\tINFO\tundefined\n" +
			"TIME.123\tID\tTRACE\tt\n" +
			"TIME.123\tID\tFATAL\tf\n"},
		{"JSON", []string{"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=WARN"}, `{"timestamp":"TIME.123","level":"WARN","requestId":"ID","message":{"a":1}}` + "\n" +
			`{"timestamp":"TIME.123","level":"ERROR","requestId":"ID","message":"bad [ 1, 'x' ]"}` + "\n" +
			`{"timestamp":"TIME.123","level":"FATAL","requestId":"ID","message":"f"}` + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := node(code)
			s.env = c.env
			f := start(t, s)
			f.polls()
			f.result(`{}`)
			if got := strings.ReplaceAll(still(f.printed()), f.id, "ID"); got != c.want {
				t.Errorf("printed\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestNodeErrorsInJSONLogs(t *testing.T) {
	s := node("class Sad extends Error {}\nexports.handler = async () => { console.log('x', new Sad('one')); console.log(1n); throw Object.assign(new Sad('msg'), {code: 7}); };")
	s.env = []string{"AWS_LAMBDA_LOG_FORMAT=JSON"}
	f := start(t, s)
	f.polls()
	f.invoke(`{}`)
	lines := strings.Split(strings.ReplaceAll(still(f.printed()), f.id, "ID"), "\n")
	for i, want := range []string{
		`{"timestamp":"TIME.123","level":"INFO","requestId":"ID","message":"x Sad`,
		`{"timestamp":"TIME.123","level":"INFO","requestId":"ID","message":"1n"}`,
		`{"timestamp":"TIME.123","level":"ERROR","requestId":"ID","message":{"errorType":"Sad","errorMessage":"msg","stackTrace":["Error: msg","    at `,
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("printed %q; want %s", lines, want)
		}
	}
	if !strings.Contains(lines[0], `,"errorType":"Sad","errorMessage":"one","stackTrace":["Error: one",`) || !strings.HasSuffix(lines[2], `],"code":7}}`) {
		t.Errorf("printed %q", lines)
	}
}

// A streamed answer is posted chunk by chunk as it is written, its prelude first.
func TestNodeStreams(t *testing.T) {
	f := start(t, node(`
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });
  stream.write('one');
  await new Promise((r) => setTimeout(r, 1));
  stream.write(Buffer.from([0, 255]));
  stream.write({ three: 3 });
  stream.end();
});`))
	f.polls()
	f.write(f.event(`{}`))
	const next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: lambda\r\n\r\n"
	want := "POST /2018-06-01/runtime/invocation/" + f.id + "/response HTTP/1.1\r\nHost: lambda\r\n" +
		"Content-Type: application/vnd.awslambda.http-integration-response\r\n" +
		"Lambda-Runtime-Invocation-Id: d-" + f.id + "\r\n" +
		"Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n" +
		"Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n" +
		"26\r\n{\"statusCode\":201,\"headers\":{\"a\":\"b\"}}\r\n8\r\n\x00\x00\x00\x00\x00\x00\x00\x00\r\n" +
		"3\r\none\r\n2\r\n\x00\xff\r\nb\r\n{\"three\":3}\r\n0\r\n\r\n" + next
	if got := f.raw(next); got != want {
		t.Errorf("posted\n%q\nwant\n%q", got, want)
	}
	f.write(accepted + f.event(`{}`))
	if got := f.raw(next); !strings.HasSuffix(got, "0\r\n\r\n"+next) {
		t.Errorf("then posted\n%q", got)
	}
}

func TestNodeStreamsOfOtherKinds(t *testing.T) {
	for _, c := range []struct{ name, runtime, code, kind, body string }{
		{"nothing but an end", "nodejs20.x", "async (e, s) => { s.end(); }", "application/octet-stream", ""},
		{"a last chunk with the end", "nodejs20.x", "async (e, s) => { s.setContentType('text/plain'); s.end('last'); }", "text/plain", "last"},
		{"an end that is left out", "nodejs20.x", "async (e, s) => { s.write('x'); }", "application/octet-stream", "x"},
		{"a prelude without a body", "nodejs20.x", "async (e, s) => { awslambda.HttpResponseStream.from(s, {statusCode: 204}).end(); }",
			"application/vnd.awslambda.http-integration-response", "{\"statusCode\":204}\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"a pipeline", "nodejs20.x", "async (e, s) => require('util').promisify(require('stream').pipeline)(require('stream').Readable.from(['a', 'b', 'c']), s)", "application/octet-stream", "abc"},
		{"a pipe the handler does not wait for", "nodejs20.x", "async (e, s) => { require('stream').Readable.from(['a', 'b', 'c']).pipe(s); }", "application/octet-stream", "abc"},
		{"more than the socket takes at once", "nodejs20.x", "async (e, s) => { for (let i = 0; i < 64; i++) s.write('x'.repeat(65536)); s.end(); }", "application/octet-stream", strings.Repeat("x", 4<<20)},
		{"Node 24", "nodejs24.x", "async (e, s, c) => { s.end(typeof c.callbackWaitsForEmptyEventLoop); }", "application/octet-stream", "undefined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := node("exports.handler = awslambda.streamifyResponse(" + c.code + ");")
			s.runtime = c.runtime
			f := start(t, s)
			f.polls()
			for range 2 {
				m := f.invoke(`{}`)
				if m.body != c.body || m.header.Get("Content-Type") != c.kind || m.header.Get("Lambda-Runtime-Function-Response-Mode") != "streaming" || m.trailer.Get("Lambda-Runtime-Function-Error-Type") != "" {
					t.Fatalf("got %.200q %q %q", m.body, m.header, m.trailer)
				}
			}
		})
	}
}

// An error behind what was streamed travels in trailers; one before it is posted
// as an error.
func TestNodeStreamErrors(t *testing.T) {
	for _, c := range []struct{ name, runtime, code, body, kind, message string }{
		{"after a chunk", "nodejs20.x", "async (e, s) => { s.write('some'); throw new TypeError('broke'); }", "some", "TypeError", "broke"},
		{"after many", "nodejs20.x", "async (e, s) => { for (let i = 0; i < 64; i++) s.write('x'.repeat(65536)); throw new TypeError('broke'); }", strings.Repeat("x", 4<<20), "TypeError", "broke"},
		{"in a pipeline", "nodejs20.x", `async (e, s) => require('util').promisify(require('stream').pipeline)(require('stream').Readable.from((async function* () { yield 'a'; throw new TypeError('broke'); })()), s)`, "a", "TypeError", "broke"},
		{"a stream that is destroyed", "nodejs20.x", "async (e, s) => { s.write('a'); await new Promise((r) => setTimeout(r, 5)); s.destroy(); }", "a", "Error", "Response stream is not finished."},
		{"a content type that comes too late", "nodejs20.x", "async (e, s) => { s.write('a'); s.setContentType('x'); }", "a", "Runtime.InvalidStreamingOperation", "Cannot set content-type, too late."},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := node("exports.handler = awslambda.streamifyResponse(" + c.code + ");")
			s.runtime = c.runtime
			f := start(t, s)
			f.polls()
			for range 2 {
				m := f.invoke(`{}`)
				if m.body != c.body || m.trailer.Get("Lambda-Runtime-Function-Error-Type") != c.kind {
					t.Errorf("got %.200q with trailers %q", m.body, m.trailer)
				}
				b, err := base64.StdEncoding.DecodeString(m.trailer.Get("Lambda-Runtime-Function-Error-Body"))
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(string(b), fmt.Sprintf(`{"errorType":%q,"errorMessage":%q,"trace":[`, c.kind, c.message)) {
					t.Errorf("got %s", b)
				}
			}
		})
	}
	for _, c := range []struct{ name, runtime, code, kind, message, first string }{
		{"before anything", "nodejs20.x", "async (e, s) => { throw new TypeError('broke'); }", "TypeError", "broke", "TypeError: broke"},
		{"a handler without a promise", "nodejs20.x", "(e, s) => {}", "string", "Streaming does not support non-async handlers.", ""},
		{"one, from Node 24 on", "nodejs24.x", "(e, s) => {}", "Error", "Streaming does not support non-async handlers.", "Error: Streaming does not support non-async handlers."},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := node("exports.handler = awslambda.streamifyResponse(" + c.code + ");")
			s.runtime = c.runtime
			f := start(t, s)
			f.polls()
			for range 2 {
				m := f.invoke(`{}`)
				if !strings.HasSuffix(m.path, "/error") {
					t.Fatalf("posted to %s", m.path)
				}
				checkError(t, m.body, c.kind, c.message, c.first)
			}
		})
	}
}

// What a streaming handler does after the end of its answer belongs to the
// invocation: only then does the client poll.
func TestNodeFinishesItsWorkAfterTheStream(t *testing.T) {
	f := start(t, node(`
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.end('answer');
  await new Promise((r) => setTimeout(r, 30));
  console.log('after');
});`))
	f.polls()
	f.write(f.event(`{}`))
	if m := f.read(); m.body != "answer" {
		t.Fatalf("got %q", m.body)
	}
	f.write(accepted)
	f.polls()
	if got := still(f.printed()); got != "TIME.123\t"+f.id+"\tINFO\tafter\n" {
		t.Errorf("printed %q", got)
	}
}

// A crash in the middle of a stream still ends it properly.
func TestNodeCrashesInAStream(t *testing.T) {
	f := start(t, node(`
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('some');
  setTimeout(() => { throw new Error('lost'); }, 5);
  await new Promise(() => {});
});`))
	f.polls()
	f.write(f.event(`{}`))
	if m := f.read(); m.body != "some" || m.trailer.Get("Lambda-Runtime-Function-Error-Type") != "Error" {
		t.Errorf("got %+v", m)
	}
	f.write(accepted)
	if code := f.exit(); code != 129 {
		t.Errorf("exit status %d", code)
	}
}

func TestNodePostsWhatIsTooLarge(t *testing.T) {
	tooLarge(t, start(t, node("exports.handler = async (n) => 'x'.repeat(n);")))
}

func TestNodeTakesLargeEvents(t *testing.T) {
	f := start(t, node("exports.handler = async (s) => s.length;"))
	f.polls()
	if got := f.result(`"` + strings.Repeat("x", 6<<20) + `"`); got != fmt.Sprint(6<<20) {
		t.Errorf("got %s", got)
	}
}

func TestNodeEndsWithItsConnection(t *testing.T) {
	f := start(t, node("exports.handler = async () => {};"))
	f.polls()
	f.conn.Close()
	if code := f.exit(); code != 0 || f.printed() != "" {
		t.Errorf("exit status %d", code)
	}
}
