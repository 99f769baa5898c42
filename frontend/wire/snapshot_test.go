package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/restjson1"
	"github.com/google/go-cmp/cmp"

	"github.com/lambent-run/lambent/lambda"
)

// sdkDir is where the SDK's module, and with it its snapshots of requests and
// responses, lies.
var sdkDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/lambda").Output()
	return strings.TrimSpace(string(out)), err
})

func snapshot(t testing.TB, elem ...string) []byte {
	t.Helper()
	dir, err := sdkDir()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(append([]string{dir}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// requestSnapshot reads a request: a line with method and target, a blank line,
// headers, a blank line, a body.
func requestSnapshot(t testing.TB, name string) (*http.Request, []byte) {
	t.Helper()
	b := bufio.NewReader(bytes.NewReader(snapshot(t, "request_snapshot", name+".request.snap")))
	line, _ := b.ReadString('\n')
	method, target, _ := strings.Cut(strings.TrimSpace(line), " ")
	b.ReadString('\n')
	h := http.Header{}
	for {
		line, err := b.ReadString('\n')
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			h.Add(k, v)
		} else {
			break
		}
		if err != nil {
			break
		}
	}
	body, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, target, bytes.NewReader(body))
	r.Header = h
	return r, body
}

func parsed(b []byte) any {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return string(b)
	}
	return v
}

// unvalidated decodes without the constraints, which the values of the
// snapshots do not keep to.
func unvalidated(t testing.TB, r *http.Request) (*Operation, any, error) {
	t.Helper()
	op, labels, ok := Match(r)
	if !ok {
		t.Fatalf("%s %s matches nothing", r.Method, r.URL)
	}
	input, err := op.decode(r, labels, 1<<20)
	return op, input, err
}

var protocol = restjson1.New(nil)

// Every request the SDK can make is read so that the SDK would make the same from what was read.
func TestRequestsOfTheSDKAreReadInFull(t *testing.T) {
	seen := 0
	for i := range Operations {
		want := &Operations[i]
		if want.Name == "InvokeWithResponseStream" {
			continue // the SDK has no snapshot of it
		}
		r, body := requestSnapshot(t, want.Name)
		target := *r.URL
		op, input, err := unvalidated(t, r)
		if err != nil || op.Name != want.Name {
			t.Errorf("%s: read as %s, %v", want.Name, op.Name, err)
			continue
		}
		again := smithyhttp.NewStackRequest().(*smithyhttp.Request)
		again.URL = &url.URL{}
		if err := protocol.SerializeRequest(context.Background(), op.schema, input.(smithy.Serializable), again); err != nil {
			t.Errorf("%s: %v", op.Name, err)
			continue
		}
		var got []byte
		if s := again.GetStream(); s != nil {
			if got, err = io.ReadAll(s); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(parsed(body), parsed(got)); diff != "" {
			t.Errorf("%s: body (-sent +read)\n%s", op.Name, diff)
		}
		if again.URL.Path != target.Path {
			t.Errorf("%s: path %s, want %s", op.Name, again.URL.Path, target.Path)
		}
		if diff := cmp.Diff(target.Query(), again.URL.Query()); diff != "" {
			t.Errorf("%s: query (-sent +read)\n%s", op.Name, diff)
		}
		for k := range r.Header {
			if r.Header.Get(k) != again.Header.Get(k) {
				t.Errorf("%s: %s is %q, want %q", op.Name, k, again.Header.Get(k), r.Header.Get(k))
			}
		}
		seen++
	}
	if seen != 87 {
		t.Errorf("%d requests, want 87", seen)
	}
}

func responseSnapshot(t testing.TB, file string) *smithyhttp.Response {
	t.Helper()
	head, body, _ := bytes.Cut(snapshot(t, "response_snapshot", file), []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	status, err := strconv.Atoi(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for _, line := range lines[1:] {
		if k, v, ok := strings.Cut(line, ": "); ok {
			h.Add(k, v)
		}
	}
	return &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: h,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}}
}

// Every response the SDK can read is written so that the SDK reads the same from it.
func TestResponsesTheSDKKnowsAreWrittenInFull(t *testing.T) {
	for i := range Operations {
		op := &Operations[i]
		if op.Name == "InvokeWithResponseStream" {
			continue // an event stream, written elsewhere
		}
		resp := responseSnapshot(t, op.Name+".response.snap")
		body, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(body))
		output := op.newOutput()
		if err := protocol.DeserializeResponse(context.Background(), op.schema, awslambda.TypeRegistry, resp,
			output.(smithy.Deserializable)); err != nil {
			t.Errorf("%s: %v", op.Name, err)
			continue
		}
		w := httptest.NewRecorder()
		if err := op.Encode(w, op.Status, output); err != nil {
			t.Errorf("%s: %v", op.Name, err)
			continue
		}
		if w.Code == http.StatusNoContent || op.schema.Output == nil {
			if w.Body.Len() > 0 {
				t.Errorf("%s: %d with the body %s", op.Name, w.Code, w.Body)
			}
			continue
		}
		switch {
		case op.Name == "DeleteFunction", op.Name == "InvokeAsync":
			body = nil // the snapshots show the status in the body, where it never is
		case len(op.schema.Output.Members()) == 0:
			body = []byte("{}") // the SDK takes this and nothing alike
		}
		if diff := cmp.Diff(parsed(body), parsed(w.Body.Bytes())); diff != "" {
			t.Errorf("%s: body (-want +got)\n%s", op.Name, diff)
		}
		for k := range resp.Header {
			if got := w.Header().Get(k); got != resp.Header.Get(k) && k != "Content-Type" {
				t.Errorf("%s: %s is %q, want %q", op.Name, k, got, resp.Header.Get(k))
			}
		}
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("%s: Content-Length %s, body of %d bytes", op.Name, got, w.Body.Len())
		}
	}
}

// Every error the SDK knows is written so that the SDK reads the same error from it.
func TestErrorsTheSDKKnowsAreReadAsThemselves(t *testing.T) {
	dir, err := sdkDir()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "response_snapshot", "*.error.snap"))
	if err != nil || len(files) != len(awslambda.TypeRegistry.Entries)-count(func(e *smithy.TypeRegistryEntry) bool { return !modelsError(e) }) {
		t.Fatalf("%d snapshots of errors, %v", len(files), err)
	}
	op := ByName("GetFunction")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".error.snap")
		resp := responseSnapshot(t, filepath.Base(file))
		w := httptest.NewRecorder()
		WriteError(w, &lambda.Error{Code: lambda.Code(name), Message: "__Message__"})
		if w.Code != resp.StatusCode {
			t.Errorf("%s: status %d, want %d", name, w.Code, resp.StatusCode)
		}
		sent := w.Result()
		err := protocol.DeserializeResponse(context.Background(), op.schema, awslambda.TypeRegistry,
			&smithyhttp.Response{Response: sent}, op.newOutput().(smithy.Deserializable))
		want := awslambda.TypeRegistry.Entries["com.amazonaws.lambda#"+name].New()
		var api smithy.APIError
		if !errors.As(err, &api) || reflect.TypeOf(api) != reflect.TypeOf(want) || api.ErrorMessage() != "__Message__" {
			t.Errorf("%s is read as %T: %v", name, api, err)
		}
	}
}

func modelsError(e *smithy.TypeRegistryEntry) bool {
	_, ok := smithy.SchemaTrait[*traits.Error](e.Schema)
	return ok
}

func count(is func(*smithy.TypeRegistryEntry) bool) (n int) {
	for _, e := range awslambda.TypeRegistry.Entries {
		if is(e) {
			n++
		}
	}
	return n
}

// The table of errors has every exception of the model with its status, and besides only those AWS does not model.
func TestTheTableOfErrorsFollowsTheModel(t *testing.T) {
	modelled := map[lambda.Code]bool{}
	for id, e := range awslambda.TypeRegistry.Entries {
		if !modelsError(e) {
			continue
		}
		code := lambda.Code(strings.TrimPrefix(id, "com.amazonaws.lambda#"))
		modelled[code] = true
		status, _ := smithy.SchemaTrait[*traits.HTTPError](e.Schema)
		if a, ok := answers[code]; !ok || a.status != status.Code {
			t.Errorf("%s: status %d in the table, %d in the model", code, a.status, status.Code)
		}
	}
	var others []string
	for code := range answers {
		if !modelled[code] {
			others = append(others, string(code))
		}
	}
	slices.Sort(others)
	want := []string{"AccessDeniedException", "NotImplementedException", "RequestEntityTooLargeException",
		"SerializationException", "UnknownOperationException", "ValidationException"}
	if diff := cmp.Diff(want, others); diff != "" {
		t.Errorf("not modelled (-want +got)\n%s", diff)
	}
}
