package frontend

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lambent-run/lambent/admission"
	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/invoke"
	"github.com/lambent-run/lambent/lambda"
)

// forgetful is a store that keeps nothing: what is in the catalog stays there.
type forgetful struct{}

func (forgetful) Commit(context.Context, []catalog.Op) error                     { return nil }
func (forgetful) Load(context.Context, string, func(string, []byte) error) error { return nil }
func (forgetful) Close() error                                                   { return nil }

// A request whose function does not get to run is answered in either mode: 429 without room, 502 when it is not ready.
func TestFunctionURLsWhoseFunctionDoesNotRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		state  lambda.State
		status int
		body   string
	}{
		{"no room", lambda.Active, 429, `{"Reason":"ConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`},
		{"not ready", lambda.Pending, 502, "Internal Server Error"},
	} {
		for _, mode := range []string{"", "BUFFERED", "RESPONSE_STREAM"} {
			records, err := catalog.Open(t.Context(), forgetful{})
			if err != nil {
				t.Fatal(err)
			}
			fn := lambda.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "fn"}
			if err := records.Update(t.Context(), fn, func(tx *catalog.Tx) error {
				tx.PutFunction(&lambda.Function{ID: fn})
				tx.PutVersion(&lambda.Version{ID: fn, Number: lambda.Latest, State: c.state})
				tx.PutSettings(lambda.Latest, &lambda.Settings{URL: &lambda.URL{ID: "abc", Auth: "NONE", Mode: mode,
					CORS: &lambda.CORS{AllowOrigins: []string{"*"}}}})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			f := &Frontend{spine: &invoke.Spine{Catalog: records, Gate: admission.New(admission.Config{})}, logger: slog.New(slog.DiscardHandler)}
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader("{}"))
			r.Header.Set("Origin", "https://a.example")
			f.ServeURL(w, r, URLCall{ID: "abc"})
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("%s, %q: %d %s, want %d %s", c.name, mode, w.Code, w.Body, c.status, c.body)
			}
			// A script may read why.
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%s, %q: Access-Control-Allow-Origin is %q", c.name, mode, got)
			}
		}
	}
}

// What a function writes after an answer that is no response reaches nobody, and whatever becomes of it, the caller keeps the 502.
func TestAStreamThatIsNoResponse(t *testing.T) {
	w := &flushes{ResponseRecorder: httptest.NewRecorder()}
	a := &urlAnswer{paced: pace(w), r: httptest.NewRequest("GET", "/", http.NoBody)}
	s := urlStream{urlAnswer: a}
	s.Begin(lambda.Head{ContentType: "application/vnd.awslambda.http-integration-response; x=y", Streaming: true})
	if _, err := s.Write([]byte("hello\x00world")); err == nil || !s.refused || w.n != 1 {
		t.Errorf("%v; refused %v, flushed %d times", err, s.refused, w.n)
	}
	if w.Code != 502 || w.Body.String() != "Internal Server Error" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
