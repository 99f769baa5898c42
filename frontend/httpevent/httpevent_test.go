package httpevent

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

const (
	id     = "0123456789abcdefghijklmnopqrstuv"
	domain = id + ".lambda-url.us-east-1.localhost"
)

// request reads a request as the server does, and makes up what the server adds.
func request(t testing.TB, text string) *Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Request: r, Body: body, Path: r.URL.EscapedPath(), URL: id, Domain: domain, Port: "4566", Source: "1.2.3.4",
		ID: "8d4a3a2e-0b1c-4f1e-9c4d-0123456789ab", Trace: "Root=1-62ecd163-5f302e550dcde3b12402207d",
		Time: time.UnixMilli(1659687279885)}
}

func event(t testing.TB, r *Request) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(Event(r), &v); err != nil {
		t.Fatalf("%v in %s", err, Event(r))
	}
	return v
}

func parse(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A bare request's event has these members and no others, as a published event of a real function URL has them
// (Powertools for AWS, LambdaFunctionUrlSchema, of 5 August 2022).
func TestAnEventHasTheMembersOfARealOne(t *testing.T) {
	got := event(t, request(t, "GET / HTTP/1.1\r\nHost: "+domain+":4566\r\nConnection: keep-alive\r\nUser-Agent: agent\r\n\r\n"))
	want := parse(t, `{"version":"2.0","routeKey":"$default","rawPath":"/","rawQueryString":"",
		"headers":{"host":"`+domain+`:4566","user-agent":"agent","x-amzn-trace-id":"Root=1-62ecd163-5f302e550dcde3b12402207d",
			"x-forwarded-for":"1.2.3.4","x-forwarded-port":"4566","x-forwarded-proto":"http"},
		"requestContext":{"accountId":"anonymous","apiId":"`+id+`","domainName":"`+domain+`","domainPrefix":"`+id+`",
			"http":{"method":"GET","path":"/","protocol":"HTTP/1.1","sourceIp":"1.2.3.4","userAgent":"agent"},
			"requestId":"8d4a3a2e-0b1c-4f1e-9c4d-0123456789ab","routeKey":"$default","stage":"$default",
			"time":"05/Aug/2022:08:14:39 +0000","timeEpoch":1659687279885},
		"isBase64Encoded":false}`)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Headers, query, path and body arrive as recorded from AWS (recorded cases of lambda.json,
// TestLambdaURL::test_lambda_url_echo_http_fixture_trim_x_headers, 24-11-2025: the echo took the x-… headers off).
func TestARecordedRequest(t *testing.T) {
	got := event(t, request(t, "POST /path/1?q=query HTTP/1.1\r\nHost: "+domain+"\r\nconnection: keep-alive\r\naccept: */*\r\n"+
		"accept-encoding: gzip, deflate\r\ncontent-type: application/json\r\nExTrA-HeadErs: With WeiRd CapS\r\n"+
		"user-agent: test/echo\r\ncontent-length: 14\r\n\r\n{\"foo\": \"bar\"}"))
	headers := got["headers"].(map[string]any)
	for name := range headers {
		if strings.HasPrefix(name, "x-") {
			delete(headers, name)
		}
	}
	want := map[string]any{"accept": "*/*", "accept-encoding": "gzip, deflate", "content-length": "14", "content-type": "application/json",
		"extra-headers": "With WeiRd CapS", "host": domain, "user-agent": "test/echo"}
	if !reflect.DeepEqual(headers, want) {
		t.Errorf("headers\ngot  %v\nwant %v", headers, want)
	}
	if q := got["queryStringParameters"]; !reflect.DeepEqual(q, map[string]any{"q": "query"}) {
		t.Errorf("queryStringParameters %v", q)
	}
	if got["rawPath"] != "/path/1" || got["body"] != `{"foo": "bar"}` || got["isBase64Encoded"] != false {
		t.Errorf("%v", got)
	}
}

func TestRequestsAsEvents(t *testing.T) {
	multipart := "\r\n--4efd\r\nContent-Disposition: form-data; name=\"formfield\"\r\n\r\nnot a file\r\n--4efd--\r\n"
	post := func(headers, body string) string {
		return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + itoa(len(body)) + "\r\n" + headers + "\r\n" + body
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name, request string
		want          string // members of the event; null for one that is absent
	}{
		{"no query, no cookies, no body", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
			`{"rawQueryString":"","queryStringParameters":null,"cookies":null,"body":null,"isBase64Encoded":false,"rawPath":"/a"}`},
		{"values of one name are joined", "GET /?a=1&b=3&a=2 HTTP/1.1\r\nHost: h\r\n\r\n",
			`{"rawQueryString":"a=1&b=3&a=2","queryStringParameters":{"a":"1,2","b":"3"}}`},
		{"a query is decoded once and kept raw", "GET /?k%20ey=a%2Bb+c&d=%2520 HTTP/1.1\r\nHost: h\r\n\r\n",
			`{"rawQueryString":"k%20ey=a%2Bb+c&d=%2520","queryStringParameters":{"k ey":"a+b c","d":"%20"}}`},
		{"parts of a query without a value, or encoded badly", "GET /?a&b=&c=%zz&&=d HTTP/1.1\r\nHost: h\r\n\r\n",
			`{"rawQueryString":"a&b=&c=%zz&&=d","queryStringParameters":{"a":"","b":"","c":"%zz","":"d"}}`},
		{"a question mark alone", "GET /? HTTP/1.1\r\nHost: h\r\n\r\n", `{"rawQueryString":"","queryStringParameters":null}`},
		{"a path keeps its encoding", "GET /a%2Fb/c%20d/%C3%A4//e;f HTTP/1.1\r\nHost: h\r\n\r\n", `{"rawPath":"/a%2Fb/c%20d/%C3%A4//e;f"}`},
		{"cookies stand apart", "GET / HTTP/1.1\r\nHost: h\r\nCookie: c1=v1; c2=v2;\r\nCookie: c3=\"v 3\"\r\n\r\n", `{"cookies":["c1=v1","c2=v2","c3=\"v 3\""]}`},
		{"JSON is text", post("Content-Type: application/json; charset=utf-8\r\n", `{"ä":1}`), `{"body":"{\"ä\":1}","isBase64Encoded":false}`},
		{"text is text", post("Content-Type: text/plain\r\n", "a\x00\"b"), `{"body":"a\u0000\"b","isBase64Encoded":false}`},
		{"vendors' JSON is text", post("Content-Type: application/vnd.api+json\r\n", "{}"), `{"body":"{}","isBase64Encoded":false}`},
		{"no content type", post("", "hello"), `{"body":"` + b64("hello") + `","isBase64Encoded":true}`},
		{"octets", post("Content-Type: application/octet-stream\r\n", "\x00\xff"), `{"body":"AP8=","isBase64Encoded":true}`},
		{"text that is none", post("Content-Type: text/plain\r\n", "\xff"), `{"body":"/w==","isBase64Encoded":true}`},
		{"a compressed body", post("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", "x"), `{"body":"eA==","isBase64Encoded":true}`},
		// TestLambdaURL::test_lambda_url_form_payload, as its test at LocalStack reads AWS's answer.
		{"a form in parts", post("Content-Type: multipart/form-data; boundary=4efd\r\n", multipart), `{"body":"` + b64(multipart) + `","isBase64Encoded":true}`},
		{"a form", post("Content-Type: application/x-www-form-urlencoded\r\n", "a=b"), `{"body":"YT1i","isBase64Encoded":true}`},
		{"chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			`{"body":"abc","isBase64Encoded":false}`},
	} {
		got := event(t, request(t, c.request))
		for name, want := range parse(t, c.want) {
			if !reflect.DeepEqual(got[name], want) {
				t.Errorf("%s: %s is %v, want %v", c.name, name, got[name], want)
			}
			if _, there := got[name]; there && want == nil {
				t.Errorf("%s: %s is null, want it absent", c.name, name)
			}
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// What is about the connection stays behind, what a proxy added goes on, and repeated headers are joined.
func TestHeadersOfEvents(t *testing.T) {
	got := event(t, request(t, "POST / HTTP/1.1\r\nHost: h:1\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\nUpgrade: h2c\r\n"+
		"X-Multi: a\r\nx-multi: b, c\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: gopher\r\nX-Amzn-Trace-Id: other\r\nCookie: a=b\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))["headers"]
	want := map[string]any{"host": "h:1", "x-multi": "a,b, c", "x-forwarded-for": "9.9.9.9, 1.2.3.4", "x-forwarded-proto": "http",
		"x-forwarded-port": "4566", "x-amzn-trace-id": "Root=1-62ecd163-5f302e550dcde3b12402207d", "content-length": "3"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The caller of a URL with AWS_IAM is told.
func TestCallersOfEvents(t *testing.T) {
	r := request(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	r.Caller = &Caller{AccessKey: "AKID", Account: "123456789012", CallerID: "AIDA", ARN: "arn:aws:iam::123456789012:user/u", UserID: "AIDA"}
	context := event(t, r)["requestContext"].(map[string]any)
	iam := parse(t, `{"iam":{"accessKey":"AKID","accountId":"123456789012","callerId":"AIDA","cognitoIdentity":null,
		"principalOrgId":null,"userArn":"arn:aws:iam::123456789012:user/u","userId":"AIDA"}}`)
	if context["accountId"] != "123456789012" || !reflect.DeepEqual(context["authorizer"], any(iam)) {
		t.Errorf("%v", context)
	}
}

// A path keeps its encoding, however wrong it is: AWS passed on /pa2%Fth (recorded cases of lambda.json, 24-11-2025).
func TestPathsOfEvents(t *testing.T) {
	for _, path := range []string{"/pa2%Fth/1", "/", "/a%2Fb//c%20d"} {
		r := request(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		r.Path = path
		got := event(t, r)
		if got["rawPath"] != path || got["requestContext"].(map[string]any)["http"].(map[string]any)["path"] != path {
			t.Errorf("the path of %s is %v", path, got["rawPath"])
		}
	}
}

// text shows a response as it would be sent.
func text(r *Response) string {
	if r == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(itoa(r.Status) + "\n")
	r.Header.Write(&b)
	b.WriteString("\n")
	b.Write(r.Body)
	return strings.ReplaceAll(b.String(), "\r", "")
}

const failed = "502\nContent-Type: text/plain\n\nInternal Server Error"

func TestAnswersAsResponses(t *testing.T) {
	const json200 = "200\nContent-Type: application/json\n\n"
	for _, c := range []struct{ name, answer, want string }{
		// From the tests behind the recordings (lambda.json, TestLambdaURL, 24-11-2025): a status that is a string; answers that are no objects.
		{"a response", `{"statusCode":201,"headers":{"Content-Type":"application/json","My-Custom-Header":"Custom Value"},"body":"{\"message\":\"hello-world\"}","isBase64Encoded":false}`,
			"201\nContent-Type: application/json\nMy-Custom-Header: Custom Value\n\n" + `{"message":"hello-world"}`},
		{"a status that is a string", `{"statusCode":"418","body":"i'm a teapot","isBase64Encoded":false}`, "418\nContent-Type: application/json\n\ni'm a teapot"},
		{"a string", `"hello"`, json200 + "hello"},
		{"a string with escapes", ` "\"\u00e4\n" `, json200 + "\"ä\n"},
		{"a number", `1`, json200 + "1"},
		{"a boolean", `false`, json200 + "false"},
		{"a list", `["a", 1]`, json200 + `["a", 1]`},
		{"an object", `{"body":"x","headers":1}`, json200 + `{"body":"x","headers":1}`},
		{"null", `null`, json200 + "null"},
		{"nothing", ``, json200 + "null"},
		{"no body", `{"statusCode":204}`, "204\nContent-Type: application/json\n\n"},
		{"null for each member", `{"statusCode":200,"headers":null,"cookies":null,"body":null,"isBase64Encoded":null}`, json200},
		{"a float that is whole", `{"statusCode":2.0e2}`, json200},
		{"bytes", `{"statusCode":200,"headers":{"content-type":"image/png"},"body":"AP8=","isBase64Encoded":true}`, "200\nContent-Type: image/png\n\n\x00\xff"},
		{"cookies", `{"statusCode":200,"cookies":["a=1; Path=/","b=2"]}`, "200\nContent-Type: application/json\nSet-Cookie: a=1; Path=/\nSet-Cookie: b=2\n\n"},
		{"headers that are no strings", `{"statusCode":200,"headers":{"n":1.50,"b":true,"z":null}}`, "200\nB: true\nContent-Type: application/json\nN: 1.50\n\n"},
		{"headers of the platform", `{"statusCode":200,"headers":{"connection":"close","Content-Length":"99","SERVER":"mine","date":"today","transfer-encoding":"chunked","trailer":"x"}}`,
			"200\nContent-Type: application/json\nX-Amzn-Remapped-Connection: close\nX-Amzn-Remapped-Content-Length: 99\nX-Amzn-Remapped-Date: today\n" +
				"X-Amzn-Remapped-Server: mine\nX-Amzn-Remapped-Trailer: x\nX-Amzn-Remapped-Transfer-Encoding: chunked\n\n"},
		{"headers that differ in case", `{"statusCode":200,"headers":{"X-A":"1","x-a":"2"}}`, "200\nContent-Type: application/json\nX-A: 1\nX-A: 2\n\n"},
		{"a remapped header", `{"statusCode":200,"headers":{"x-amzn-Remapped-date":"x"}}`, "500\nContent-Type: text/plain\n\nInternal Server Error"},

		{"no JSON", `hello`, failed},
		{"two values", `{} {}`, failed},
		{"no UTF-8", "\"\xff\"", failed},
		{"a status that is none", `{"statusCode":"ok"}`, failed},
		{"a status out of range", `{"statusCode":99}`, failed},
		{"an interim status", `{"statusCode":101}`, failed},
		{"no status at all", `{"statusCode":null}`, failed},
		{"a body that is an object", `{"statusCode":200,"body":{}}`, failed},
		{"the same, said first", `{"body":{},"statusCode":200}`, failed},
		{"headers that are a list", `{"statusCode":200,"headers":[]}`, failed},
		{"a header that is a list", `{"statusCode":200,"headers":{"a":["b"]}}`, failed},
		{"a header that would end the headers", `{"statusCode":200,"headers":{"a":"b\r\n\r\nc"}}`, failed},
		{"a header without a name", `{"statusCode":200,"headers":{"":"b"}}`, failed},
		{"a cookie with a line end", `{"statusCode":200,"cookies":["a\nb"]}`, failed},
		{"no base64", `{"statusCode":200,"body":"?","isBase64Encoded":true}`, failed},
	} {
		r := Answer([]byte(c.answer))
		if got := text(&r); got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
}

// A prelude is read wherever it is cut, and the body behind it is handed on untouched.
func TestPreludes(t *testing.T) {
	long := `{"headers":{"a":"` + strings.Repeat("x", MaxPrelude-20) + `"}}`
	for _, c := range []struct{ name, stream, head, body string }{
		{"all of it", `{"statusCode":201,"headers":{"content-type":"text/html","server":"s"},"cookies":["a=b"]}` + delimiter + "body\x00\x00",
			"201\nContent-Type: text/html\nSet-Cookie: a=b\nX-Amzn-Remapped-Server: s\n\n", "body\x00\x00"},
		{"an empty one", `{}` + delimiter, "200\nContent-Type: application/octet-stream\n\n", ""},
		{"a body in the prelude", `{"body":"x"}` + delimiter + "y", "200\nContent-Type: application/octet-stream\n\n", "y"},
		{"more NULs", `{}` + delimiter + delimiter, "200\nContent-Type: application/octet-stream\n\n", delimiter},
		{"the longest", long + delimiter + "b", "200\nA: " + strings.Repeat("x", MaxPrelude-20) + "\nContent-Type: application/octet-stream\n\n", "b"},
		{"one byte longer", " " + long + delimiter + "b", failed, ""},
		{"no end", strings.Repeat(" ", 2*MaxPrelude), failed, ""},
		{"no JSON", "hello" + delimiter + "body", failed, ""},
		{"no object", `"hello"` + delimiter + "body", failed, ""},
		{"seven NULs", `{}` + delimiter[1:] + "body", failed, ""},
		{"a bad status", `{"statusCode":1}` + delimiter + "body", failed, ""},
		{"a remapped header", `{"headers":{"X-Amzn-Remapped-X":"y"}}` + delimiter + "body", "500\nContent-Type: text/plain\n\nInternal Server Error", ""},
		{"broken off", `{"statusCode":200}` + delimiter[1:], failed, ""},
		{"nothing", "", failed, ""},
	} {
		for _, n := range []int{1, 3, 7, len(c.stream) + 1} {
			if head, body := feed([]byte(c.stream), n); text(head) != c.head || body != c.body {
				t.Errorf("%s, %d bytes at a time: body %q\ngot  %.300q\nwant %.300q", c.name, n, body, text(head), c.head)
			}
		}
	}
}

// feed runs a stream through a parser, n bytes at a time.
func feed(stream []byte, n int) (head *Response, body string) {
	var p Prelude
	for len(stream) > 0 {
		h, b := p.Feed(stream[:min(n, len(stream))])
		stream = stream[min(n, len(stream)):]
		if h != nil {
			head = h
		}
		body += string(b)
	}
	if h := p.End(); h != nil {
		head = h
	}
	return head, body
}

func TestCORS(t *testing.T) {
	age, yes, no := int32(0), true, false
	all := &lambda.CORS{Credentials: &yes, AllowOrigins: []string{"https://a.example", "https://b.example"}, AllowMethods: []string{"GET", "PUT"},
		AllowHeaders: []string{"x-a", "x-b"}, ExposeHeaders: []string{"x-c", "date"}, MaxAge: &age}
	star := &lambda.CORS{Credentials: &no, AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}}
	const ask = "Access-Control-Request-Method: PUT\r\n"
	for _, c := range []struct {
		name            string
		cors            *lambda.CORS
		method, headers string
		preflight       string // the answer; "" if it is none
		added           string // to the answer of the function
	}{
		{"an origin on the list", all, "OPTIONS", "Origin: https://b.example\r\n" + ask,
			"200\nAccess-Control-Allow-Credentials: true\nAccess-Control-Allow-Headers: x-a,x-b\nAccess-Control-Allow-Methods: GET,PUT\n" +
				"Access-Control-Allow-Origin: https://b.example\nAccess-Control-Expose-Headers: x-c,date\nAccess-Control-Max-Age: 0\nVary: Origin\n\n",
			"Access-Control-Allow-Credentials: true\nAccess-Control-Allow-Origin: own\nAccess-Control-Allow-Origin: https://b.example\n" +
				"Access-Control-Expose-Headers: x-c,date\nVary: Origin\n"},
		{"any origin", star, "OPTIONS", "Origin: https://b.example\r\n" + ask, "200\nAccess-Control-Allow-Methods: *\nAccess-Control-Allow-Origin: *\n\n",
			"Access-Control-Allow-Origin: own\nAccess-Control-Allow-Origin: *\n"},
		{"another origin", all, "OPTIONS", "Origin: https://c.example\r\n" + ask, "200\n\n", "Access-Control-Allow-Origin: own\n"},
		{"not asked for a method", star, "OPTIONS", "Origin: x\r\n", "", "Access-Control-Allow-Origin: own\nAccess-Control-Allow-Origin: *\n"},
		{"another method", star, "GET", "Origin: x\r\n" + ask, "", "Access-Control-Allow-Origin: own\nAccess-Control-Allow-Origin: *\n"},
		{"no origin", star, "OPTIONS", ask, "", "Access-Control-Allow-Origin: own\n"},
		{"no configuration", nil, "OPTIONS", "Origin: x\r\n" + ask, "", "Access-Control-Allow-Origin: own\n"},
	} {
		r := request(t, c.method+" / HTTP/1.1\r\nHost: h\r\n"+c.headers+"\r\n").Request
		answer, ok := Preflight(c.cors, r)
		if got := text(&answer); ok != (c.preflight != "") || ok && got != c.preflight {
			t.Errorf("%s: preflight %v\ngot  %q\nwant %q", c.name, ok, got, c.preflight)
		}
		h := http.Header{"Access-Control-Allow-Origin": {"own"}}
		Allow(c.cors, r, h)
		var b bytes.Buffer
		h.Write(&b)
		if got := strings.ReplaceAll(b.String(), "\r", ""); got != c.added {
			t.Errorf("%s\ngot  %q\nwant %q", c.name, got, c.added)
		}
	}
}

// Whatever a function answers becomes a response that can be sent.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"statusCode":"200","headers":{"a":"b","connection":"x"},"cookies":["c"],"body":"AA==","isBase64Encoded":true}`))
	f.Add([]byte(`"hello"`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		r := Answer(answer)
		sendable(t, &r)
	})
}

func sendable(t *testing.T, r *Response) {
	if r.Status < 200 || r.Status > 599 {
		t.Errorf("status %d", r.Status)
	}
	for name, values := range r.Header {
		if name == "" || name == "Content-Length" || name == "Transfer-Encoding" || name == "Connection" || strings.ContainsAny(name, " :\r\n") {
			t.Errorf("header %q", name)
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n\x00") {
				t.Errorf("%s: %q", name, v)
			}
		}
	}
}

// How a stream is cut does not matter, and a prelude holds no more than its limit.
func FuzzPrelude(f *testing.F) {
	f.Add([]byte(`{"statusCode":200}`+delimiter+"body"), 3)
	f.Add([]byte(`{"statusCode":200}`+delimiter[1:]+"body"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, n int) {
		head, body := feed(stream, max(n, 1))
		whole, all := feed(stream, len(stream)+1)
		if text(head) != text(whole) || body != all {
			t.Errorf("%d at a time: %q %q, at once %q %q", n, text(head), body, text(whole), all)
		}
		sendable(t, head)
	})
}

// Every request that the server reads becomes an event that is JSON and says the same.
func FuzzEvent(f *testing.F) {
	f.Add("GET /a%20b?c=%zz&c HTTP/1.1\r\nHost: x\r\nCookie: a=b;c\r\n\r\n")
	f.Add("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Type: text/plain\r\nConnection: a\r\n\r\n\xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return
		}
		e := event(t, &Request{Request: r, Body: body, Path: r.URL.EscapedPath()})
		got, _ := e["body"].(string)
		if e["isBase64Encoded"] == true {
			b, err := base64.StdEncoding.DecodeString(got)
			if err != nil {
				t.Fatal(err)
			}
			got = string(b)
		}
		if got != string(body) {
			t.Errorf("the body is %q, want %q", got, body)
		}
	})
}
