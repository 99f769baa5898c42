package cli

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// lambdaAPI is the little of the Lambda API that a demonstration uses. Functions
// answer how often they were invoked since the last deployment, and fail on any
// event that lacks the word their example's event has.
type lambdaAPI struct {
	without string // a runtime that cannot be run

	mu      sync.Mutex
	deploys map[string]int // by function
	invokes map[string]int
	calls   []string
}

func (a *lambdaAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	refuse := func(status int, code, message string) {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"Type":"User","message":%q,"Message":%q}`, message, message)
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions"), "/")
	verb := r.Method
	if len(parts) == 3 {
		verb += " " + parts[2]
	}
	a.calls = append(a.calls, verb)
	const active = `{"State":"Active","LastUpdateStatus":"Successful"}`
	switch verb {
	case "POST":
		var in struct {
			FunctionName, Runtime string
			Code                  struct{ ZipFile []byte }
		}
		if err := json.Unmarshal(body, &in); err != nil {
			panic(err)
		}
		if _, err := zip.NewReader(bytes.NewReader(in.Code.ZipFile), int64(len(in.Code.ZipFile))); err != nil {
			panic(err)
		}
		if in.Runtime == a.without {
			refuse(400, "InvalidParameterValueException", "No interpreter for the runtime "+in.Runtime+" is installed")
		} else if a.deploys[in.FunctionName] > 0 {
			refuse(409, "ResourceConflictException", "Function already exist: "+in.FunctionName)
		} else {
			a.deploys[in.FunctionName]++
			w.WriteHeader(201)
			io.WriteString(w, `{"State":"Pending"}`)
		}
	case "GET":
		io.WriteString(w, `{"Configuration":`+active+`}`)
	case "PUT code", "PUT configuration":
		a.invokes[parts[1]] = 0
		io.WriteString(w, `{"State":"Active","LastUpdateStatus":"InProgress"}`)
	case "POST invocations":
		if !bytes.Contains(body, []byte(`"text"`)) && !bytes.Contains(body, []byte("1000000")) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
		}
		a.invokes[parts[1]]++
		log := "START RequestId: r Version: $LATEST\nEND RequestId: r\n" +
			"REPORT RequestId: r\tDuration: 1.25 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 30 MB\t"
		if a.invokes[parts[1]] == 1 {
			log += "Init Duration: 99.50 ms\t"
		}
		w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(log+"\n")))
		fmt.Fprintf(w, `{"invocation":%d}`, a.invokes[parts[1]])
	default:
		refuse(501, "NotImplementedException", verb)
	}
}

func demonstrate(t *testing.T, a *lambdaAPI) (string, error) {
	t.Helper()
	srv := httptest.NewServer(a)
	defer srv.Close()
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(bootstrap, []byte("#!"), 0o700); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err := Demo(t.Context(), &b, Options{Endpoint: srv.URL, Bootstrap: bootstrap})
	return b.String(), err
}

// A demonstration deploys each example and shows a cold, a warm and a failing invocation with what REPORT says of each;
// a second one updates what it finds, so that its first invocation is cold again.
func TestDemoShowsColdAndWarm(t *testing.T) {
	a := &lambdaAPI{deploys: map[string]int{}, invokes: map[string]int{}}
	for _, verb := range []string{"created", "updated"} {
		out, err := demonstrate(t, a)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, e := range []string{"demo-python", "demo-node", "demo-go"} {
			if !strings.Contains(out, "\n"+e+"  ") {
				t.Errorf("%s is missing in:\n%s", e, out)
			}
		}
		var cold, warm, failing int
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			switch {
			case strings.HasPrefix(line, "  cold ") && strings.Contains(line, "99.50 ms") && strings.Contains(line, `{"invocation":1}`):
				cold++
			case strings.HasPrefix(line, "  warm ") && f[5] == "-" && strings.Contains(line, "1.25 ms") && strings.Contains(line, `{"invocation":2}`):
				warm++
			case strings.HasPrefix(line, "  failing "):
				failing++
			}
		}
		if cold != 3 || warm != 3 || failing != 2 || strings.Count(out, verb+" and active") != 3 {
			t.Errorf("%d cold, %d warm, %d failing, want 3, 3 and 2, each %s:\n%s", cold, warm, failing, verb, out)
		}
		if !strings.Contains(out, "aws lambda invoke --function-name demo-python") || !strings.Contains(out, "START RequestId: r") {
			t.Errorf("no log, or no way to go on, in:\n%s", out)
		}
	}
}

// An example whose runtime this machine lacks is left out with the server's reason, and the others are shown.
func TestDemoLeavesOutWhatCannotRun(t *testing.T) {
	a := &lambdaAPI{without: "nodejs22.x", deploys: map[string]int{}, invokes: map[string]int{}}
	out, err := demonstrate(t, a)
	if err != nil || !strings.Contains(out, "left out: No interpreter for the runtime nodejs22.x") || strings.Count(out, "  cold ") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

// An invocation that does not come to what it should fails the demonstration.
func TestDemoFailsWithItsFunctions(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Amzn-Errortype", "ResourceNotFoundException")
		w.WriteHeader(404)
	}))
	defer srv.Close()
	if err := Demo(t.Context(), io.Discard, Options{Endpoint: srv.URL}); err == nil {
		t.Error("no error")
	}
}
