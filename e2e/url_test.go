package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// endpoint is a function URL, reached by its host or by its path.
type endpoint struct {
	s    *server
	host string // as the API names it
	id   string
}

// expose makes a URL for a function.
func (s *server) expose(t *testing.T, in *lambda.CreateFunctionUrlConfigInput) endpoint {
	t.Helper()
	if in.AuthType == "" {
		in.AuthType = types.FunctionUrlAuthTypeNone
	}
	out, err := s.api().CreateFunctionUrlConfig(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(*out.FunctionUrl)
	if err != nil || u.Scheme != "http" || u.Path != "/" {
		t.Fatalf("the URL is %s: %v", *out.FunctionUrl, err)
	}
	id, _, _ := strings.Cut(u.Host, ".")
	return endpoint{s, u.Host, id}
}

// by makes a request to the function by the URL's host, whatever that resolves to here.
func (e endpoint) by(t *testing.T, method, path, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, e.s.url(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = e.host
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// received is a response with its body.
type received struct {
	*http.Response
	body string
}

func send(t *testing.T, r *http.Request) received {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r) // as it is: no redirects, no cookies
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return received{resp, string(b)}
}

const echoEvent = `
exports.handler = async (event, context) => {
  if (event.rawPath === '/fail') throw new Error('msg');
  if (event.rawPath === '/answer') return JSON.parse(event.body);
  if (event.rawPath === '/bytes') return { statusCode: 200, headers: { 'content-type': 'image/png' }, body: event.body, isBase64Encoded: true };
  return { event, id: context.awsRequestId, arn: context.invokedFunctionArn, trace: process.env._X_AMZN_TRACE_ID };
};`

// A URL's function sees the request as an event, whether the URL was reached by its host or by its path. What is recorded
// of AWS (lambda.json, TestLambdaURL::test_lambda_url_echo_http_fixture_trim_x_headers and
// TestRequestIdHandling::test_request_id_invoke_url, 24-11-2025) is the same here.
func TestAFunctionURLEchoes(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "echo", runtime: node, files: map[string]string{"index.js": echoEvent}})
	e := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo")})
	port := s.addr[strings.LastIndexByte(s.addr, ':')+1:]
	byHost := e.by(t, "POST", "/path/1?q=query", `{"foo": "bar"}`, "Content-Type", "application/json", "Extra-Headers", "With WeiRd CapS",
		"User-Agent", "test/echo", "Accept", "*/*", "Accept-Encoding", "gzip, deflate", "Cookie", "a=b; c=d", "Connection", "keep-alive")
	byPath := byHost.Clone(t.Context())
	byPath.URL.Path, byPath.Host, byPath.Body = "/_lambent/url/"+e.id+"/path/1", s.addr, io.NopCloser(strings.NewReader(`{"foo": "bar"}`))
	for _, r := range []*http.Request{byHost, byPath} {
		host := r.Host
		got := send(t, r)
		if got.StatusCode != 200 || got.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("%d %v %s", got.StatusCode, got.Header, got.body)
		}
		var answer struct {
			Event          map[string]any
			ID, ARN, Trace string
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
			t.Fatal(err)
		}
		id, trace := got.Header.Get("x-amzn-RequestId"), got.Header.Get("X-Amzn-Trace-Id")
		root, _, _ := strings.Cut(trace, ";")
		if answer.ID != id || answer.ARN != arn+"echo" || !strings.HasPrefix(root, "Root=1-") || answer.Trace != trace {
			t.Errorf("request %s, trace %s; the function saw %s, %s, %s", id, trace, answer.ID, answer.Trace, answer.ARN)
		}
		context := answer.Event["requestContext"].(map[string]any)
		for name, kind := range map[string]any{"time": "", "timeEpoch": 0.0} {
			if reflect.TypeOf(context[name]) != reflect.TypeOf(kind) {
				t.Errorf("%s is %v", name, context[name])
			}
			delete(context, name)
		}
		domain, _, _ := strings.Cut(host, ":")
		var want map[string]any
		if err := json.Unmarshal(fmt.Appendf(nil, `{"version":"2.0","routeKey":"$default","rawPath":"/path/1","rawQueryString":"q=query",
			"cookies":["a=b","c=d"],"queryStringParameters":{"q":"query"},
			"headers":{"accept":"*/*","accept-encoding":"gzip, deflate","content-length":"14","content-type":"application/json",
				"extra-headers":"With WeiRd CapS","host":%q,"user-agent":"test/echo","x-forwarded-for":"127.0.0.1",
				"x-forwarded-port":%q,"x-forwarded-proto":"http","x-amzn-trace-id":%q},
			"requestContext":{"accountId":"anonymous","apiId":%q,"domainName":%q,"domainPrefix":%q,
				"http":{"method":"POST","path":"/path/1","protocol":"HTTP/1.1","sourceIp":"127.0.0.1","userAgent":"test/echo"},
				"requestId":%q,"routeKey":"$default","stage":"$default"},
			"body":"{\"foo\": \"bar\"}","isBase64Encoded":false}`, host, port, root, e.id, domain, e.id, id), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(answer.Event, want) {
			t.Errorf("%s\ngot  %v\nwant %v", host, answer.Event, want)
		}
	}
}

// What the function answers is the response, byte for byte; what is no response is 502; and what only the server may set is renamed.
func TestAFunctionURLAnswers(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "echo", runtime: node, files: map[string]string{"index.js": echoEvent}})
	e := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo")})
	answer := func(json string) received {
		t.Helper()
		return send(t, e.by(t, "POST", "/answer", json, "Content-Type", "application/json"))
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	got := send(t, e.by(t, "POST", "/bytes", string(all), "Content-Type", "application/octet-stream"))
	if got.StatusCode != 200 || got.body != string(all) || got.Header.Get("Content-Type") != "image/png" || got.ContentLength != 256 {
		t.Errorf("bytes: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	got = answer(`{"statusCode":"418","cookies":["a=1; Path=/","b=2"],"headers":{"X-Mine":"yes","Connection":"close","content-length":"7"},"body":"i'm a teapot"}`)
	if got.StatusCode != 418 || got.body != "i'm a teapot" || !reflect.DeepEqual(got.Header["Set-Cookie"], []string{"a=1; Path=/", "b=2"}) ||
		got.Header.Get("X-Mine") != "yes" || got.Header.Get("X-Amzn-Remapped-Connection") != "close" || got.Header.Get("x-amzn-Remapped-content-length") != "7" {
		t.Errorf("a response: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	for in, want := range map[string]string{`"hello"`: "hello", `[1]`: "[1]", `7`: "7", `null`: "null", `{"a":1}`: `{"a":1}`} {
		if got := answer(in); got.StatusCode != 200 || got.body != want || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v %q", in, got.StatusCode, got.Header, got.body)
		}
	}
	if got := answer(`{"statusCode":204,"headers":{"x-a":"b"}}`); got.StatusCode != 204 || got.body != "" || got.Header.Get("X-A") != "b" {
		t.Errorf("204: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	for _, bad := range []string{`{"statusCode":0}`, `{"statusCode":200,"body":{}}`} {
		if got := answer(bad); got.StatusCode != 502 || got.body != "Internal Server Error" {
			t.Errorf("%s: %d %q", bad, got.StatusCode, got.body)
		}
	}
	// TestLambdaURL::test_lambda_url_invocation_exception: 502 and the words.
	got = send(t, e.by(t, "GET", "/fail", ""))
	if got.StatusCode != 502 || got.body != "Internal Server Error" || got.Header.Get("x-amzn-RequestId") == "" {
		t.Errorf("a function that fails: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	got = send(t, e.by(t, "HEAD", "/", ""))
	if got.StatusCode != 200 || got.body != "" || got.ContentLength < 100 {
		t.Errorf("HEAD: %d, %d bytes announced, %q", got.StatusCode, got.ContentLength, got.body)
	}
	// A path that the API has is the function's here, and so are the server's own.
	for _, path := range []string{"/2015-03-31/functions/echo/invocations", "/_lambent/health"} {
		if got := send(t, e.by(t, "POST", path, "{}")); got.StatusCode != 200 || !strings.Contains(got.body, `"rawPath":"`+path+`"`) {
			t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
		}
	}
	// Six megabytes are the limit of the event, in which bytes are base64.
	for size, want := range map[int]int{4 << 20: 200, 5 << 20: 413, 6<<20 + 1: 413} {
		r := e.by(t, "POST", "/answer", `"`+strings.Repeat("x", size-2)+`"`, "Content-Type", "application/octet-stream")
		if size == 4<<20 {
			r.URL.Path = "/bytes"
		}
		if got := send(t, r); got.StatusCode != want || want == 413 && got.Header.Get("x-amzn-ErrorType") != "RequestEntityTooLargeException" {
			t.Errorf("%d bytes: %d %v %.200s", size, got.StatusCode, got.Header, got.body)
		}
	}
}

// A URL that is not there, or that went with its alias, tells nobody which of the two it is (lambda.json,
// TestLambdaURL::test_lambda_url_persists_after_alias_delete, 24-11-2025).
func TestFunctionURLsOfAliases(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "fn", runtime: python, files: map[string]string{"handler.py": `
def handler(event, context):
    return context.invoked_function_arn + " " + context.function_version
`}})
	if _, err := s.api().PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("fn")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.api().CreateAlias(t.Context(), &lambda.CreateAliasInput{
		FunctionName: aws.String("fn"), Name: aws.String("live"), FunctionVersion: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	latest := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("fn")})
	live := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("fn"), Qualifier: aws.String("live")})
	for e, want := range map[endpoint]string{latest: arn + "fn $LATEST", live: arn + "fn:live 1"} {
		if got := send(t, e.by(t, "GET", "/", "")); got.StatusCode != 200 || got.body != want {
			t.Errorf("%d %s, want %s", got.StatusCode, got.body, want)
		}
	}
	if _, err := s.api().DeleteAlias(t.Context(), &lambda.DeleteAliasInput{FunctionName: aws.String("fn"), Name: aws.String("live")}); err != nil {
		t.Fatal(err)
	}
	unknown := latest
	unknown.host = "0123456789abcdefghijklmnopqrstuv.lambda-url.us-east-1.on.aws"
	for _, e := range []endpoint{live, unknown} {
		got := send(t, e.by(t, "GET", "/", ""))
		if got.StatusCode != 403 || got.Header.Get("x-amzn-ErrorType") != "AccessDeniedException" || got.body !=
			`{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}` {
			t.Errorf("%d %v %s", got.StatusCode, got.Header, got.body)
		}
	}
	if got := send(t, latest.by(t, "GET", "/", "")); got.StatusCode != 200 {
		t.Errorf("the other URL: %d %s", got.StatusCode, got.body)
	}
}

// A URL with AWS_IAM takes signed requests, and its function is told whose.
func TestFunctionURLsWithIAM(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "echo", runtime: node, files: map[string]string{"index.js": echoEvent}})
	e := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo"), AuthType: types.FunctionUrlAuthTypeAwsIam})
	if got := send(t, e.by(t, "GET", "/", "")); got.StatusCode != 403 || got.body != `{"Message":"Forbidden"}` ||
		got.Header.Get("x-amzn-ErrorType") != "AccessDeniedException" {
		t.Errorf("unsigned: %d %v %s", got.StatusCode, got.Header, got.body)
	}
	const credential = "123456789012/20261127/us-east-1/lambda/aws4_request"
	for _, r := range []*http.Request{
		e.by(t, "GET", "/", "", "Authorization", "AWS4-HMAC-SHA256 Credential="+credential+", SignedHeaders=host, Signature=0"),
		e.by(t, "GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="+url.QueryEscape(credential), ""),
	} {
		got := send(t, r)
		var answer struct {
			Event struct {
				RequestContext struct {
					AccountID  string `json:"accountId"`
					Authorizer struct {
						IAM struct{ AccessKey, AccountID, UserARN string }
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(got.body), &answer); err != nil {
			t.Fatalf("%d %s: %v", got.StatusCode, got.body, err)
		}
		c := answer.Event.RequestContext
		if iam := c.Authorizer.IAM; c.AccountID != "123456789012" || iam.AccountID != "123456789012" || iam.AccessKey != "123456789012" ||
			iam.UserARN != "arn:aws:iam::123456789012:root" {
			t.Errorf("signed: %+v", c)
		}
	}
}

// The platform answers a browser's preflight from the configuration; other answers have CORS headers beside the function's own.
func TestFunctionURLsWithCORS(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "count", runtime: node, files: map[string]string{"index.js": `
let n = 0;
exports.handler = async (event) => ({ statusCode: 200, headers: { 'access-control-allow-origin': 'own' }, body: event.requestContext.http.method + ++n });`}})
	e := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("count"), Cors: &types.Cors{
		AllowOrigins: []string{"https://a.example"}, AllowMethods: []string{"PUT"}, AllowHeaders: []string{"x-a"}, MaxAge: aws.Int32(60)}})
	got := send(t, e.by(t, "OPTIONS", "/", "", "Origin", "https://a.example", "Access-Control-Request-Method", "PUT"))
	if got.StatusCode != 200 || got.body != "" || got.Header.Get("Access-Control-Allow-Origin") != "https://a.example" ||
		got.Header.Get("Access-Control-Allow-Methods") != "PUT" || got.Header.Get("Access-Control-Allow-Headers") != "x-a" ||
		got.Header.Get("Access-Control-Max-Age") != "60" {
		t.Errorf("preflight: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	got = send(t, e.by(t, "OPTIONS", "/", "", "Origin", "https://b.example", "Access-Control-Request-Method", "PUT"))
	if got.StatusCode != 200 || got.body != "" || len(got.Header["Access-Control-Allow-Origin"]) > 0 {
		t.Errorf("preflight of another origin: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	// The function has seen none of them.
	got = send(t, e.by(t, "PUT", "/", "", "Origin", "https://a.example"))
	if got.StatusCode != 200 || got.body != "PUT1" {
		t.Errorf("%d %v %q", got.StatusCode, got.Header, got.body)
	}
	origins := map[string]bool{}
	for _, o := range got.Header["Access-Control-Allow-Origin"] {
		origins[o] = true
	}
	if len(origins) != 2 || !origins["own"] || !origins["https://a.example"] {
		t.Errorf("origins %v", got.Header["Access-Control-Allow-Origin"])
	}
	// Without a configuration OPTIONS is a method like any other.
	if _, err := s.api().UpdateFunctionUrlConfig(t.Context(), &lambda.UpdateFunctionUrlConfigInput{FunctionName: aws.String("count"), Cors: &types.Cors{}}); err != nil {
		t.Fatal(err)
	}
	if got := send(t, e.by(t, "OPTIONS", "/", "", "Origin", "https://a.example")); got.body != "OPTIONS2" {
		t.Errorf("OPTIONS: %d %q", got.StatusCode, got.body)
	}
}

// A URL that streams has the first byte at its caller while the function runs; the head comes from the prelude. One that does not
// waits for the end. What breaks off is seen to break off.
func TestFunctionURLsThatStream(t *testing.T) {
	s := serve(t, "--sandbox", "process")
	g := newGate(t)
	s.create(t, function{name: "node", runtime: node, files: map[string]string{"index.js": `
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const q = event.queryStringParameters || {};
  if (q.raw) stream.setContentType('text/x-raw');
  else stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { 'content-type': 'text/event-stream', server: 'mine' }, cookies: ['a=1', 'b=2'] });
  if (q.fail === 'first') throw new Error('msg');
  stream.write('one');
  if (q.gate) await fetch(q.gate);
  if (q.fail) throw new Error('msg');
  stream.end('two');
});`}})
	goFunction, err := os.ReadFile(build(t, "./testdata/urlhandler"))
	if err != nil {
		t.Fatal(err)
	}
	s.create(t, function{name: "go", runtime: custom, files: map[string]string{"bootstrap": string(goFunction)}})
	gated := "gate=" + url.QueryEscape(g.url)
	streams := map[string]endpoint{}
	for _, name := range []string{"node", "go"} {
		e := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: &name, InvokeMode: types.InvokeModeResponseStream})
		streams[name] = e
		resp, err := http.DefaultTransport.RoundTrip(e.by(t, "GET", "/?"+gated, ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 201 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Amzn-Remapped-Server") != "mine" ||
			!reflect.DeepEqual(resp.Header["Set-Cookie"], []string{"a=1", "b=2"}) {
			t.Errorf("%s: %d %v", name, resp.StatusCode, resp.Header)
		}
		first := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "one" {
			t.Fatalf("%s: %q, %v", name, first, err)
		}
		await(t, g.came, "/")
		g.open(t)
		if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two" {
			t.Errorf("%s: %q, %v", name, rest, err)
		}
	}
	e := streams["node"]
	if got := send(t, e.by(t, "GET", "/?raw=1", "")); got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/x-raw" || got.body != "onetwo" {
		t.Errorf("without a prelude: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	if got := send(t, e.by(t, "HEAD", "/", "")); got.StatusCode != 201 || got.body != "" {
		t.Errorf("HEAD: %d %v %q", got.StatusCode, got.Header, got.body)
	}
	if got := send(t, e.by(t, "GET", "/?fail=first", "")); got.StatusCode != 502 || got.body != "Internal Server Error" {
		t.Errorf("a failure before the first byte: %d %q", got.StatusCode, got.body)
	}
	resp, err := http.DefaultTransport.RoundTrip(e.by(t, "GET", "/?fail=later", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); resp.StatusCode != 201 || string(b) != "one" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a failure after the first byte: %d %q, %v", resp.StatusCode, b, err)
	}

	// The same functions on URLs that buffer: the prelude is understood, and there is no first byte before the last.
	for _, name := range []string{"node", "go"} {
		if _, err := s.api().UpdateFunctionUrlConfig(t.Context(), &lambda.UpdateFunctionUrlConfigInput{
			FunctionName: &name, InvokeMode: types.InvokeModeBuffered}); err != nil {
			t.Fatal(err)
		}
		got := send(t, streams[name].by(t, "GET", "/", ""))
		if got.StatusCode != 201 || got.body != "onetwo" || got.ContentLength != 6 || got.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s, buffered: %d %v %q", name, got.StatusCode, got.Header, got.body)
		}
	}
	if got := send(t, e.by(t, "GET", "/?fail=later", "")); got.StatusCode != 502 || got.body != "Internal Server Error" {
		t.Errorf("a failure after the first byte, buffered: %d %q", got.StatusCode, got.body)
	}
	// A handler that does not stream, on a URL that does: its answer is the body, undescribed (the test behind
	// TestLambdaURL::test_lambda_url_echo_invoke[RESPONSE_STREAM] reads statusCode and body from AWS's body).
	s.create(t, function{name: "plain", runtime: python, files: map[string]string{
		"handler.py": "def handler(event, context): return {'statusCode': 201, 'body': 'x'}\n"}})
	e = s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("plain"), InvokeMode: types.InvokeModeResponseStream})
	if got := send(t, e.by(t, "GET", "/", "")); got.StatusCode != 200 || !sameJSON(got.body, `{"statusCode":201,"body":"x"}`) {
		t.Errorf("a handler that does not stream: %d %v %q", got.StatusCode, got.Header, got.body)
	}
}

// Requests to URLs and to the API share connections, in HTTP/1.0 and with bodies in chunks, too.
func TestFunctionURLsOnRawConnections(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "echo", runtime: node, files: map[string]string{"index.js": echoEvent}})
	e := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo")})
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	exchange := func(request string) (*http.Response, string) {
		t.Helper()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(b)
	}
	invoke := "POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Length: 18\r\n\r\n{\"rawPath\":\"/api\"}"
	if resp, body := exchange(invoke); resp.StatusCode != 200 || !strings.Contains(body, `"event":{"rawPath":"/api"}`) {
		t.Errorf("Invoke: %d %s", resp.StatusCode, body)
	}
	resp, body := exchange("POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\nHost: " + e.host + "\r\nTransfer-Encoding: chunked\r\n" +
		"Content-Type: text/plain\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	if resp.StatusCode != 200 || !strings.Contains(body, `"body":"abc"`) || !strings.Contains(body, `"content-length":"3"`) {
		t.Errorf("chunks: %d %s", resp.StatusCode, body)
	}
	if resp, body := exchange(invoke); resp.StatusCode != 200 || !strings.Contains(body, `"event":{"rawPath":"/api"}`) {
		t.Errorf("Invoke again: %d %s", resp.StatusCode, body)
	}
	// A path that is encoded wrongly is the function's, as AWS hands it on.
	resp, body = exchange("GET /pa2%Fth/%?q=%zz HTTP/1.1\r\nHost: " + e.host + "\r\n\r\n")
	if resp.StatusCode != 200 || !strings.Contains(body, `"rawPath":"/pa2%Fth/%","rawQueryString":"q=%zz"`) {
		t.Errorf("a wrong path: %d %s", resp.StatusCode, body)
	}
	resp, body = exchange("GET /a%2Fb HTTP/1.0\r\nHost: " + e.host + "\r\n\r\n")
	if resp.StatusCode != 200 || !strings.Contains(body, `"rawPath":"/a%2Fb"`) || !strings.Contains(body, `"protocol":"HTTP/1.0"`) {
		t.Errorf("HTTP/1.0: %d %s", resp.StatusCode, body)
	}
}

// Bytes go in and come out as they are, in a body and in the event.
func TestFunctionURLsKeepBytes(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "echo", runtime: node, files: map[string]string{"index.js": echoEvent}})
	e := s.expose(t, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("echo")})
	var form bytes.Buffer
	form.WriteString("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n\x00\xff\r\n--x--\r\n")
	got := send(t, e.by(t, "POST", "/", form.String(), "Content-Type", "multipart/form-data; boundary=x"))
	if want := `"body":"` + base64.StdEncoding.EncodeToString(form.Bytes()) + `","isBase64Encoded":true`; !strings.Contains(got.body, want) {
		t.Errorf("%s\nwithout %s", got.body, want)
	}
}
