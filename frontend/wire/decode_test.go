package wire

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambent-run/lambent/lambda"
)

// A body that is not JSON, or whose values have other types than the model, is
// refused before anything else is looked at.
func TestMalformedBodiesAreSerializationErrors(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{`, "Could not parse request body into json: Unexpected end-of-input\n at [line: 1, column: 2]"},
		{"{\n \"Role\" 1}", "Could not parse request body into json: Unexpected character (code 49)\n at [line: 2, column: 9]"},
		{`{} {}`, "Could not parse request body into json: there is more after the value"},
		{`{"Role":"` + "\xff" + `"}`, "Could not parse request body into json: Unexpected character (code 255)\n at [line: 1, column: 10]"},
		{`"Role"`, "Expected structure or null"},
		{`{"TracingConfig":5}`, "Expected structure or null"},
		{`{"Layers":{}}`, "Expected list or null"},
		{`{"Environment":{"Variables":[]}}`, "Expected map or null"},
		{`{"Timeout":"3"}`, "STRING_VALUE can not be converted to an Integer"},
		{`{"Timeout":3.5}`, "NUMBER_VALUE can not be converted to an Integer"},
		{`{"Timeout":4294967299}`, "NUMBER_VALUE can not be converted to an Integer"},
		{`{"Timeout":[3]}`, "Start of list found where not expected."},
		{`{"Handler":{}}`, "Start of structure or map found where not expected."},
		{`{"Handler":3}`, "NUMBER_VALUE can not be converted to a String"},
		{`{"Environment":{"Variables":{"AB":true}}}`, "TRUE_VALUE can not be converted to a String"},
		{`{"Layers":[1]}`, "NUMBER_VALUE can not be converted to a String"},
		{`{"Layers":[`, "Could not parse request body into json: Unexpected end-of-input\n at [line: 1, column: 12]"},
		{`{"Environment":{"Variables":{"AB":`, "Could not parse request body into json: Unexpected end-of-input\n at [line: 1, column: 35]"},
		{`{"VpcConfig":{"Ipv6AllowedForDualStack":"true"}}`, "STRING_VALUE can not be converted to a Boolean"},
	} {
		err := decodeError(t, "PUT /2015-03-31/functions/fn/configuration", c.body)
		if err == nil || err.Code != serialization || err.Message != c.want {
			t.Errorf("%s: %v, want %s", c.body, err, c.want)
		}
	}
	for _, c := range []struct{ request, body, want string }{
		{"PUT /2015-03-31/functions/fn/code", `{"ZipFile":"@"}`, "Invalid base64 in the request body"},
		{"GET /2015-03-31/functions?MaxItems=ten", "", "STRING_VALUE can not be converted to an Integer"},
		{"GET /2018-10-31/layers/one/versions/x", "", "STRING_VALUE can not be converted to a Long"},
		{"GET /2025-12-01/functions/fn/durable-executions?ReverseOrder=maybe", "", "STRING_VALUE can not be converted to a Boolean"},
		{"POST /2015-03-31/event-source-mappings", `{"FunctionName":"fn","StartingPositionTimestamp":"2026-01-01T00:00:00Z"}`,
			"STRING_VALUE can not be converted to a Timestamp"},
		{"POST /2015-03-31/event-source-mappings", `{"FunctionName":"fn","StartingPositionTimestamp":1e300}`,
			"NUMBER_VALUE can not be converted to a Timestamp"},
		{"POST /2015-03-31/functions/fn/aliases", `{"RoutingConfig":{"AdditionalVersionWeights":{"1":"0.5"}}}`,
			"STRING_VALUE can not be converted to a Double"},
	} {
		err := decodeError(t, c.request, c.body)
		if err == nil || err.Code != serialization || err.Message != c.want {
			t.Errorf("%s %s: %v, want %s", c.request, c.body, err, c.want)
		}
	}
}

// Members that the model does not have are ignored, however they look; null is a member not given; the last of two wins.
func TestWhatIsNotAskedForIsIgnored(t *testing.T) {
	in, err := decodeRequest(t, "PUT /2015-03-31/functions/fn/configuration",
		`{"Unknown":{"a":[1,{"b":null}]},"Timeout":null,"Environment":null,"Handler":"a.b","Handler":"c.d","\u0052ole":"arn:aws:iam::111111111111:role/r"}`)
	if err != nil {
		t.Fatal(err)
	}
	got := in.(*awslambda.UpdateFunctionConfigurationInput)
	if got.Timeout != nil || got.Environment != nil || *got.Handler != "c.d" || *got.Role != "arn:aws:iam::111111111111:role/r" {
		t.Errorf("read as %+v", got)
	}
}

// A request without a body is one without members.
func TestTheBodyMayBeEmpty(t *testing.T) {
	for _, body := range []string{"", " \n", "null", "{}"} {
		in, err := decodeRequest(t, "POST /2015-03-31/functions/fn/versions", body)
		if err != nil {
			t.Errorf("%q: %v", body, err)
		} else if name := *in.(*awslambda.PublishVersionInput).FunctionName; name != "fn" {
			t.Errorf("%q: for the function %s", body, name)
		}
	}
	in, err := decodeRequest(t, "POST /2015-03-31/functions/fn/invocations?Qualifier=live", "any bytes \x00")
	if err != nil {
		t.Fatal(err)
	}
	if got := in.(*awslambda.InvokeInput); string(got.Payload) != "any bytes \x00" || *got.Qualifier != "live" {
		t.Errorf("read as %+v", got)
	}
}

// An empty map or list that is given differs from one that is not.
func TestGivenAndEmptyDiffersFromAbsent(t *testing.T) {
	in, err := decodeRequest(t, "PUT /2015-03-31/functions/fn/configuration", `{"Environment":{"Variables":{}},"Layers":[]}`)
	if err != nil {
		t.Fatal(err)
	}
	got := in.(*awslambda.UpdateFunctionConfigurationInput)
	if got.Environment == nil || got.Environment.Variables == nil || got.Layers == nil || got.ImageConfig != nil {
		t.Errorf("read as %+v", got)
	}
}

// Times in a body are seconds since 1970 with a fraction; in a query they are dates.
func TestTimesAreRead(t *testing.T) {
	want := time.Date(2026, 1, 12, 15, 31, 24, 500e6, time.UTC)
	in, err := decodeRequest(t, "POST /2015-03-31/event-source-mappings",
		`{"FunctionName":"fn","StartingPosition":"AT_TIMESTAMP","StartingPositionTimestamp":1768231884.5}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := *in.(*awslambda.CreateEventSourceMappingInput).StartingPositionTimestamp; !got.Equal(want) {
		t.Errorf("in a body: %v, want %v", got, want)
	}
	in, err = decodeRequest(t, "GET /2025-12-01/functions/fn/durable-executions?StartedAfter=2026-01-12T15:31:24.5Z", "")
	if err != nil {
		t.Fatal(err)
	}
	if got := *in.(*awslambda.ListDurableExecutionsByFunctionInput).StartedAfter; !got.Equal(want) {
		t.Errorf("in a query: %v, want %v", got, want)
	}
}

// A package is base64; JSON may escape its slashes.
func TestPackagesAreDecoded(t *testing.T) {
	in, err := decodeRequest(t, "PUT /2015-03-31/functions/fn/code", `{"ZipFile":"\/\/\/+"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := in.(*awslambda.UpdateFunctionCodeInput).ZipFile; string(got) != "\xff\xff\xfe" {
		t.Errorf("read as %x", got)
	}
}

// A body over the limit is refused, whether its length is announced or found out, and no more of it is read.
func TestLargeBodiesAreRefused(t *testing.T) {
	op := ByName("CreateFunction")
	for _, announced := range []bool{true, false} {
		body := &counter{r: strings.NewReader(`{"Role":"` + strings.Repeat("a", 1<<20) + `"}`)}
		r := httptest.NewRequest("POST", "/2015-03-31/functions", body)
		if announced {
			r.ContentLength = 1<<20 + 11
		}
		_, err := op.Decode(r, Labels{}, 1000)
		e := lambda.AsError(err)
		if e.Code != lambda.RequestEntityTooLarge || e.Message != "Request must be smaller than 1000 bytes for the CreateFunction operation" {
			t.Errorf("%v", err)
		}
		if body.n > 64<<10 {
			t.Errorf("%d bytes were read", body.n)
		}
	}
	r := httptest.NewRequest("POST", "/2015-03-31/functions/fn/invocations", strings.NewReader("1234"))
	op, labels, _ := Match(r)
	if _, err := op.Decode(r, labels, 3); lambda.AsError(err).Message != "Request must be smaller than 3 bytes for the InvokeFunction operation" {
		t.Errorf("%v", err)
	}
	// The listener's own bound says the same.
	r = httptest.NewRequest("POST", "/2015-03-31/functions", strings.NewReader("{          }"))
	r.ContentLength = -1
	r.Body = http.MaxBytesReader(httptest.NewRecorder(), r.Body, 5)
	if _, err := ByName("CreateFunction").Decode(r, Labels{}, 1000); !errors.Is(err, lambda.RequestEntityTooLarge) {
		t.Errorf("%v", err)
	}
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// JSON that is nested deeper than anything of the API is skipped or refused, not followed.
func TestDeepNestingIsBounded(t *testing.T) {
	for _, c := range []struct {
		depth int
		code  lambda.Code
	}{{9_000, ""}, {1_000_000, serialization}} {
		body := `{"Unknown":` + strings.Repeat("[", c.depth) + strings.Repeat("]", c.depth) + `}`
		r := httptest.NewRequest("PUT", "/2015-03-31/functions/fn/configuration", strings.NewReader(body))
		op, labels, _ := Match(r)
		_, err := op.Decode(r, labels, int64(len(body)))
		if c.code == "" && err != nil || c.code != "" && !errors.Is(err, c.code) {
			t.Errorf("%d levels: %.200v", c.depth, err)
		}
	}
}

// No request makes the decoder fail in another way than with an error of the API.
func FuzzDecode(f *testing.F) {
	for i := range Operations {
		if op := &Operations[i]; op.Name != "InvokeWithResponseStream" {
			r, body := requestSnapshot(f, op.Name)
			f.Add(r.Method, r.URL.RequestURI(), body)
		}
	}
	f.Add("PUT", "/2015-03-31/functions/%2e%2e/configuration?a=%zz", []byte(`{"Layers":[null],"Environment":{"Variables":{"a":null}}}`))
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		r, err := http.NewRequest(method, "http://localhost"+target, strings.NewReader(string(body)))
		if err != nil {
			return
		}
		op, labels, ok := Match(r)
		if !ok {
			return
		}
		in, err := op.Decode(r, labels, 1<<16)
		if (in == nil) == (err == nil) {
			t.Errorf("both or neither of input and error: %v, %v", in, err)
		}
		var e *lambda.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("an error without a code: %v", err)
		}
		if e != nil {
			WriteError(httptest.NewRecorder(), e)
		}
	})
}

func BenchmarkDecodeCreateFunction(b *testing.B) {
	body := creation + `,"Runtime":"python3.13","Timeout":30,"MemorySize":256,"Architectures":["arm64"],` +
		`"Environment":{"Variables":{"TABLE":"t","QUEUE":"q"}},"Layers":["arn:aws:lambda:us-east-1:111111111111:layer:one:1"],` +
		`"TracingConfig":{"Mode":"Active"},"Tags":{"team":"a"},"LoggingConfig":{"LogFormat":"JSON"}}`
	r := httptest.NewRequest("POST", "/2015-03-31/functions", nil)
	op := ByName("CreateFunction")
	b.ReportAllocs()
	for b.Loop() {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		if _, err := op.Decode(r, Labels{}, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
