package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lambent-run/lambent/lambda"
)

// Only a plain synchronous Invoke is served directly; whatever needs more thought goes to net/http.
func TestOnlyPlainInvokesAreServedDirectly(t *testing.T) {
	const path = "/2015-03-31/functions/fn/invocations"
	for _, c := range []struct {
		name, head string
		hot        bool
	}{
		{"bare", "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", true},
		{"with a qualifier", "POST " + path + "?Qualifier=$LATEST HTTP/1.1\r\nContent-Length: 0\r\n\r\n", true},
		{"with every header it knows", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nX-Amz-Invocation-Type: RequestResponse\r\n" +
			"X-Amz-Log-Type: Tail\r\nX-Amz-Client-Context: e30=\r\nX-Amzn-Trace-Id: Root=1\r\nConnection: Keep-Alive\r\n\r\n", true},
		{"a function URL", "POST " + path + " HTTP/1.1\r\nhost: abc.Lambda-URL.us-east-1.localhost:4566\r\nContent-Length: 2\r\n\r\n", false},
		{"another host with dots", "POST " + path + " HTTP/1.1\r\nHost: lambda.us-east-1.localhost:4566\r\nContent-Length: 2\r\n\r\n", true},
		{"asynchronous", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nX-Amz-Invocation-Type: Event\r\n\r\n", false},
		{"dry run", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nx-amz-invocation-type: DryRun\r\n\r\n", false},
		{"unknown log type", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nX-Amz-Log-Type: tail\r\n\r\n", false},
		{"chunked", "POST " + path + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"both lengths", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", false},
		{"two lengths", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", false},
		{"negative length", "POST " + path + " HTTP/1.1\r\nContent-Length: -2\r\n\r\n", false},
		{"no length", "POST " + path + " HTTP/1.1\r\nHost: x\r\n\r\n", false},
		{"close", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n", false},
		{"expect", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", false},
		{"HTTP/1.0", "POST " + path + " HTTP/1.0\r\nContent-Length: 2\r\n\r\n", false},
		{"ARN", "POST /2015-03-31/functions/arn%3Aaws%3Alambda/invocations HTTP/1.1\r\nContent-Length: 2\r\n\r\n", false},
		{"long name", "POST /2015-03-31/functions/" + strings.Repeat("a", 65) + "/invocations HTTP/1.1\r\nContent-Length: 2\r\n\r\n", false},
		{"trailing slash", "POST " + path + "/ HTTP/1.1\r\nContent-Length: 2\r\n\r\n", false},
		{"other query", "POST " + path + "?Qualifier=a&x=y HTTP/1.1\r\nContent-Length: 2\r\n\r\n", false},
		{"request id that is no UUID", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nx-amzn-RequestId: 1\r\n\r\n", false},
		{"tenant", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nX-Amz-Tenant-Id: a\r\n\r\n", false},
		{"folded header", "POST " + path + " HTTP/1.1\r\nContent-Length: 2\r\nA: b\r\n c: d\r\n\r\n", false},
		{"GET", "GET /2015-03-31/functions HTTP/1.1\r\n\r\n", false},
	} {
		if _, hot := parse([]byte(c.head)); hot != c.hot {
			t.Errorf("%s: direct is %v, want %v", c.name, hot, c.hot)
		}
	}
}

// The account of a request is a 12-digit access key, else the default; its region is the one it was signed for.
func TestScopeComesFromTheSignature(t *testing.T) {
	def := lambda.Scope{Account: "000000000000", Region: "us-east-1"}
	for _, c := range []struct {
		authorization, query string
		want                 lambda.Scope
		service              string
	}{
		{"", "", def, "lambda"},
		{"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-west-1/lambda/aws4_request, SignedHeaders=host, Signature=0", "",
			lambda.Scope{Account: "000000000000", Region: "eu-west-1"}, "lambda"},
		{"AWS4-HMAC-SHA256 Credential=123456789012/20150830/us-east-2/sqs/aws4_request, SignedHeaders=host", "",
			lambda.Scope{Account: "123456789012", Region: "us-east-2"}, "sqs"},
		{"", "123456789012/20150830/us-east-2/lambda/aws4_request", lambda.Scope{Account: "123456789012", Region: "us-east-2"}, "lambda"},
		{"Bearer x", "", def, "lambda"},
		{"AWS4-HMAC-SHA256 Credential=a/b/../../etc/lambda", "", def, "lambda"},
	} {
		who := caller(c.authorization, c.query)
		if got := who.scope(def); got != c.want {
			t.Errorf("%q acts in %v, want %v", c.authorization, got, c.want)
		}
		r, _ := http.NewRequest("GET", "/", nil)
		if got := who.serviceOf(r); got != c.service && c.service != "lambda" {
			t.Errorf("%q is for %s, want %s", c.authorization, got, c.service)
		}
	}
}

// To recognise an Invoke costs no memory.
func TestRecognisingDoesNotAllocate(t *testing.T) {
	head := []byte("POST /2015-03-31/functions/fn/invocations?Qualifier=live HTTP/1.1\r\nHost: localhost:4566\r\nContent-Length: 2\r\n" +
		"Authorization: AWS4-HMAC-SHA256 Credential=a/b/c/lambda/aws4_request\r\nX-Amz-Log-Type: Tail\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { parse(head) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A function URL is known by its host, on whatever domain, or by its path, of which the function sees the rest.
func TestFunctionURLsAreKnownByHostOrPath(t *testing.T) {
	for _, c := range []struct{ host, path, id, rest string }{
		{"abc.lambda-url.us-east-1.localhost:4566", "/_lambent/health", "abc", "/_lambent/health"},
		{"ABC.Lambda-Url.eu-west-1.on.aws", "/", "abc", "/"},
		{"abc.lambda-url.us-east-1.localhost.localstack.cloud", "/2015-03-31/functions", "abc", "/2015-03-31/functions"},
		{"localhost:4566", "/_lambent/url/abc/a%2Fb", "abc", "/a%2Fb"},
		{"localhost:4566", "/_lambent/url/ABC", "abc", "/"},
		{"localhost:4566", "/_lambent/url/", "", "/"},
		{"localhost:4566", "/_lambent/urls", "-", ""},
		{"localhost:4566", "/", "-", ""},
		{"lambda-url.us-east-1.localhost", "/", "-", ""},
		{".lambda-url.us-east-1.localhost", "/", "-", ""},
		{"abc.lambda-url", "/", "-", ""},
		{"abc.lambda-urls.x", "/", "-", ""},
		{"abc.x.lambda-url.us-east-1.localhost", "/", "-", ""},
		{"", "/", "-", ""},
	} {
		id, rest, ok := functionURL(c.host, c.path)
		if !ok {
			id = "-"
		}
		if id != c.id || rest != c.rest {
			t.Errorf("%s%s is %q %q, want %q %q", c.host, c.path, id, rest, c.id, c.rest)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("POST /2015-03-31/functions/fn/invocations?Qualifier=1 HTTP/1.1\r\nContent-Length: 2\r\nX-Amz-Log-Type: Tail\r\n\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		h, ok := parse(head)
		if ok && (len(h.function) == 0 || h.length < 0) {
			t.Errorf("accepted %q as %+v", head, h)
		}
	})
}
