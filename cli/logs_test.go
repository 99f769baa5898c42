package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/telemetry"
)

var (
	id   = lambda.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "fn"}
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// logServer serves real logs at the path of the admin API.
func logServer(t *testing.T) (*telemetry.Logs, *httptest.Server) {
	t.Helper()
	logs, err := telemetry.OpenLogs(t.TempDir(), telemetry.LogsConfig{FlushAfter: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /_lambent/admin/functions/{name}/logs", telemetry.Handler(logs, id.Scope()))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return logs, srv
}

// A log is shown with the time of each record, and can be narrowed by age, invocation and region.
func TestLogsAreShown(t *testing.T) {
	logs, srv := logServer(t)
	w := logs.Open(id, "", "s")
	w.Append(noon, "r1", []byte("one\ttab"))
	w.Append(noon.Add(time.Minute), "r2", []byte("two"))
	elsewhere := id
	elsewhere.Region = "eu-west-1"
	logs.Open(elsewhere, "", "s").Append(noon, "r3", []byte("three"))
	const one, two, three = "2026-01-02T12:00:00.000Z  one\ttab\n", "2026-01-02T12:01:00.000Z  two\n", "2026-01-02T12:00:00.000Z  three\n"
	for _, c := range []struct {
		what string
		o    logsOptions
		want string
	}{
		{"everything", logsOptions{}, one + two},
		{"what is newer", logsOptions{since: noon.Add(time.Second)}, two},
		{"an invocation", logsOptions{requestID: "r1"}, one},
		{"another region", logsOptions{region: "eu-west-1"}, three},
		{"a function without a log", logsOptions{function: "other"}, ""},
	} {
		c.o.endpoint, c.o.function = srv.URL, first(c.o.function, "fn")
		var b strings.Builder
		if err := showLogs(t.Context(), &b, c.o); err != nil || b.String() != c.want {
			t.Errorf("%s: %v, %q", c.what, err, b.String())
		}
	}
}

// Following shows what comes, ends quietly when interrupted, and says so when the server stops.
func TestLogsAreFollowed(t *testing.T) {
	logs, srv := logServer(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- logs.Run(ctx) }()
	w := logs.Open(id, "", "s")
	follow := func(ctx context.Context) (lines *io.PipeReader, done chan error) {
		r, out := io.Pipe()
		done = make(chan error, 1)
		go func() { done <- showLogs(ctx, out, logsOptions{endpoint: srv.URL, function: "fn", follow: true}) }()
		return r, done
	}
	expect := func(r io.Reader, message string) {
		t.Helper()
		want := fmt.Sprintf("2026-01-02T12:00:00.000Z  %s\n", message)
		b := make([]byte, len(want))
		if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
			t.Fatalf("got %q, %v, want %q", b, err, want)
		}
	}
	following, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	lines, done := follow(following)
	for _, m := range []string{"one", "two"} {
		w.Append(noon, "", []byte(m))
		expect(lines, m)
	}
	interrupt()
	if err := <-done; err != nil {
		t.Errorf("interrupted: %v", err)
	}
	lines, done = follow(t.Context())
	expect(lines, "one")
	expect(lines, "two")
	if err := srv.Config.Shutdown(t.Context()); err != nil { // waits for every request
		t.Error(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("when the server stops: %v", err)
	}
	stop()
	<-ran
}

// What cannot be shown is told in one line.
func TestLogsSayWhatIsWrong(t *testing.T) {
	_, srv := logServer(t)
	for _, o := range []logsOptions{{endpoint: "http://127.0.0.1:1", function: "fn"}, {endpoint: srv.URL, function: "no/function"}} {
		if err := showLogs(t.Context(), io.Discard, o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// --since takes an age or a time.
func TestMoments(t *testing.T) {
	for _, c := range []struct {
		s    string
		want time.Time
	}{
		{"", time.Time{}},
		{"10m", noon.Add(-10 * time.Minute)},
		{"2026-01-02T11:00:00Z", noon.Add(-time.Hour)},
		{"2026-01-02T13:00:00+02:00", noon.Add(-time.Hour)},
	} {
		if got, err := moment(c.s, noon); err != nil || !got.Equal(c.want) {
			t.Errorf("%q is %s, %v", c.s, got, err)
		}
	}
	for _, s := range []string{"yesterday", "-10m", "10"} {
		if got, err := moment(s, noon); err == nil {
			t.Errorf("%q is %s", s, got)
		}
	}
}

// On a terminal, nothing a function writes reaches the terminal as a command.
func TestControlCharactersAreNotShownOnATerminal(t *testing.T) {
	const hostile = "a\x1b]0;title\x07\tb\u009b31m\n"
	if got := paint(true).text(hostile); got != "a\uFFFD]0;title\uFFFD\tb\uFFFD31m\n" {
		t.Errorf("on a terminal: %q", got)
	}
	if got := paint(false).text(hostile); got != hostile {
		t.Errorf("in a file: %q", got)
	}
}
