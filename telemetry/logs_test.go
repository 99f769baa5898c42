package telemetry

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

var (
	id   = lambda.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "fn"}
	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

func open(t testing.TB, dir string, cfg LogsConfig) *Logs {
	t.Helper()
	l, err := OpenLogs(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func read(t *testing.T, l *Logs, f Filter) []Record {
	t.Helper()
	var got []Record
	if err := l.Read(t.Context(), id, f, func(r Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// What is appended is read back, with its time, stream, request and every byte of its message.
func TestRecordsComeBack(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, LogsConfig{})
	a, b := l.Open(id, "g", "2026/01/02/[$LATEST]aa"), l.Open(id, "g", "2026/01/02/[1]bb")
	a.Append(noon, "", []byte("INIT_START"))
	a.Append(noon.Add(time.Millisecond), "r1", []byte(`back\slash, "quotes" and	tabs`))
	b.Append(noon.Add(time.Second), "r2", []byte("two\nlines\r"))
	a.Append(noon.Add(2*time.Second), "r1", nil)
	want := []Record{
		{noon, "2026/01/02/[$LATEST]aa", "", "INIT_START"},
		{noon.Add(time.Millisecond), "2026/01/02/[$LATEST]aa", "r1", `back\slash, "quotes" and	tabs`},
		{noon.Add(time.Second), "2026/01/02/[1]bb", "r2", "two\nlines\r"},
		{noon.Add(2 * time.Second), "2026/01/02/[$LATEST]aa", "r1", ""},
	}
	for _, l := range []*Logs{l, open(t, dir, LogsConfig{})} { // and after a restart
		if got := read(t, l, Filter{}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("read %v", got)
		}
		if got := read(t, l, Filter{RequestID: "r1"}); len(got) != 2 {
			t.Errorf("of r1: %v", got)
		}
		if got := read(t, l, Filter{Since: noon.Add(time.Second)}); len(got) != 2 {
			t.Errorf("since a second later: %v", got)
		}
	}
}

// The files of a function stay within their bounds; the newest records are those kept.
func TestFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, LogsConfig{FileSize: 1000, Files: 3})
	w := l.Open(id, "", "s")
	for i := range 300 {
		w.Append(noon, "r", fmt.Appendf(nil, "line %d", i))
		if i%7 == 0 {
			l.flush()
		}
	}
	got := read(t, l, Filter{})
	if len(got) < 50 || got[len(got)-1].Message != "line 299" {
		t.Errorf("%d records, the last %v", len(got), got[len(got)-1])
	}
	for i, r := range got {
		if r.Stream != "s" || r.Message != fmt.Sprintf("line %d", 300-len(got)+i) {
			t.Fatalf("record %d is %v", i, r)
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*/*/*/*.log"))
	var size int64
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += st.Size()
	}
	if len(files) > 3 || size > 3*1100 {
		t.Errorf("%d files, %d bytes", len(files), size)
	}
}

// A function that writes faster than the disk takes it loses lines, not the server's memory, and the log says how many.
func TestFloodIsBoundedAndCounted(t *testing.T) {
	l := open(t, t.TempDir(), LogsConfig{Buffer: 1000})
	w := l.Open(id, "", "s")
	for range 100 {
		w.Append(noon, "r", []byte(strings.Repeat("x", 100)))
	}
	if n := len(w.f.buf); n > 1000 {
		t.Errorf("%d bytes are held", n)
	}
	kept := len(read(t, l, Filter{}))
	w.Append(noon, "r", []byte("after"))
	got := read(t, l, Filter{})
	want := fmt.Sprintf("LOGS_DROPPED Lines: %d", 100-kept)
	if len(got) != kept+2 || !strings.HasPrefix(got[kept].Message, want) || got[kept+1].Message != "after" {
		t.Errorf("after %d kept lines: %v, want %s", kept, got[kept:], want)
	}
}

// Many functions that write together are bounded together, and what is written out is free again.
func TestMemoryOfAllFunctionsIsBounded(t *testing.T) {
	const bound = 1 << 20
	l := open(t, t.TempDir(), LogsConfig{Memory: bound})
	line := make([]byte, 10<<10)
	for round := range 2 {
		var held, dropped int
		for i := range 50 { // each would take 100 KB
			w := l.Open(lambda.FunctionID{Account: "1", Region: "r", Name: fmt.Sprintf("fn%d", i)}, "", "s")
			for range 10 {
				w.Append(noon, "r", line)
			}
			held += cap(w.f.buf)
			dropped += w.f.dropped
		}
		if held > bound+bound/4 || dropped == 0 {
			t.Errorf("round %d: %d bytes are held, %d lines dropped", round, held, dropped)
		}
		l.flush()
		if n := l.held.Load(); n != 0 {
			t.Errorf("%d bytes are held when nothing is", n)
		}
	}
}

// A line that a crash cut short is skipped, and the log goes on after it.
func TestTornLineIsSkipped(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, LogsConfig{})
	l.Open(id, "", "s").Append(noon, "r", []byte("whole"))
	l.flush()
	f, err := os.OpenFile(l.function(id).path(1), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("17356"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l = open(t, dir, LogsConfig{})
	l.Open(id, "", "t").Append(noon, "r", []byte("after"))
	if got := read(t, l, Filter{}); len(got) != 2 || got[0].Message != "whole" || got[1].Message != "after" || got[1].Stream != "t" {
		t.Errorf("read %v", got)
	}
}

// Lines reach the disk within the time promised, and all of them when the server ends.
func TestLinesAreWrittenSoonAndAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, dir, LogsConfig{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		w := l.Open(id, "", "s")
		w.Append(time.Now(), "r", []byte("one"))
		time.Sleep(101 * time.Millisecond)
		if st, err := os.Stat(w.f.path(1)); err != nil || st.Size() == 0 {
			t.Errorf("not written: %v", err)
		}
		w.Append(time.Now(), "r", []byte("two"))
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if b, err := os.ReadFile(w.f.path(1)); err != nil || !strings.HasSuffix(string(b), "two\n") {
			t.Errorf("the file ends with %q, %v", b, err)
		}
	})
}

// A follower gets what was there, then what comes, as it comes.
func TestFollowerGetsWhatComes(t *testing.T) {
	l := open(t, t.TempDir(), LogsConfig{FlushAfter: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- l.Run(ctx) }()
	w := l.Open(id, "", "s")
	w.Append(noon, "", []byte("before"))
	got := make(chan string)
	followed := make(chan error, 1)
	go func() {
		followed <- l.Follow(ctx, id, Filter{}, func(r Record) error {
			select {
			case got <- r.Message:
				return nil
			case <-ctx.Done():
				return errors.New("stopped")
			}
		})
	}()
	for _, want := range []string{"before", "one", "two"} {
		if want != "before" {
			w.Append(noon, "", []byte(want))
		}
		if m := <-got; m != want {
			t.Errorf("got %q, want %q", m, want)
		}
	}
	stop()
	if err := <-followed; err != nil {
		t.Error(err)
	}
	<-ran
}

// The admin path gives records as lines of JSON, and refuses names that are none.
func TestHandlerServesRecords(t *testing.T) {
	l := open(t, t.TempDir(), LogsConfig{})
	l.Open(id, "", "s").Append(noon, "r", []byte("<hello>"))
	mux := http.NewServeMux()
	mux.Handle("GET /f/{name}/logs", Handler(l, id.Scope()))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/f/fn/logs?since=2026-01-01T00:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	var r Record
	if !sc.Scan() || json.Unmarshal(sc.Bytes(), &r) != nil || r.Message != "<hello>" || !r.Time.Equal(noon) {
		t.Errorf("got %s", sc.Text())
	}
	for _, path := range []string{"/f/%2e%2e/logs", "/f/fn/logs?account=..%2f..", "/f/fn/logs?since=yesterday"} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s answers %d", path, resp.StatusCode)
		}
	}
}

// A follower of a quiet function waits; it does not look again and again.
func TestFollowerOfAQuietFunctionIsQuiet(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, dir, LogsConfig{})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		followed := make(chan error, 1)
		go func() { followed <- l.Follow(ctx, id, Filter{}, func(Record) error { return nil }) }()
		synctest.Wait() // returns only if the follower waits
		l.endFollowing()
		l.endFollowing()
		if err := <-followed; err != nil {
			t.Error(err)
		}
		if len(l.funcs) != 0 {
			t.Error("a function that nobody writes or follows is remembered")
		}
	})
}

// A buffer that fills up is written without waiting for its time.
func TestFullBufferIsWrittenAtOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, dir, LogsConfig{Buffer: 4000})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		w := l.Open(id, "", "s")
		begun := time.Now()
		for range 100 { // 100 KB by way of 4 KB
			w.Append(time.Now(), "r", make([]byte, 1000))
			synctest.Wait()
		}
		if took := time.Since(begun); took > l.cfg.FlushAfter {
			t.Errorf("writing took %s, as if each buffer waited", took)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := read(t, l, Filter{}); len(got) != 100 {
			t.Errorf("%d lines of 100 are kept", len(got))
		}
	})
}

// What a full disk refuses is lost whole: the lines after it are read.
func TestLinesAfterAFailedWriteAreRead(t *testing.T) {
	l := open(t, t.TempDir(), LogsConfig{})
	w := l.Open(id, "", "s")
	w.Append(noon, "r", []byte("before"))
	l.flush()
	path := w.f.path(1)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Skip("no /dev/full here")
	}
	w.Append(noon, "r", []byte("refused"))
	if err := w.f.flush(); err == nil {
		t.Error("a full disk took a line")
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	w.Append(noon, "r", []byte("after"))
	got := read(t, l, Filter{})
	if len(got) != 2 || got[0].Message != "before" || got[1].Message != "after" || got[1].Stream != "s" {
		t.Errorf("read %v", got)
	}
}

func BenchmarkAppend(b *testing.B) {
	l := open(b, b.TempDir(), LogsConfig{})
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	w := l.Open(id, "", "s")
	line := []byte("START RequestId: 8f7c1c1e-0b0e-4b0e-8b0e-8f7c1c1e0b0e Version: $LATEST")
	b.ReportAllocs()
	for b.Loop() {
		w.Append(noon, "8f7c1c1e-0b0e-4b0e-8b0e-8f7c1c1e0b0e", line)
	}
	stop()
	<-done
}
