package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The references and the load generator are processes of the bench's own
// binary, which in a test is the test's.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// R0, R1 and R2 answer every invocation with the bytes that were sent.
func TestReferencesAnswerRightly(t *testing.T) {
	o, err := parse([]string{"-quick", "-sandboxes", "", "-handlers", "go", "-callers", "4"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := measureAll(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range b.report.windows {
		if w.Wrong != 0 || w.Rate <= 0 || w.P50 <= 0 || w.Foreign < 0 {
			t.Errorf("%+v", w)
		}
	}
	if got, want := len(b.report.windows), 4; got != want { // R0 and R1, 1 and 4 callers
		t.Errorf("%d windows, want %d", got, want)
	}
	if got, want := len(b.report.starts), 3; got != want {
		t.Errorf("%d starts, want %d", got, want)
	}
	var out strings.Builder
	if err := b.report.text(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"R0", "R1", "R2", "per second"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not name %s:\n%s", want, out.String())
		}
	}
}

// A load generator counts a reply with other bytes as wrong.
func TestWrongRepliesAreCounted(t *testing.T) {
	r0, err := startR0()
	if err != nil {
		t.Fatal(err)
	}
	defer r0.stop()
	if r0.request, err = request(t.Context(), r0.addr, "echo", []byte(`"sent"`), false); err != nil {
		t.Fatal(err)
	}
	g, err := startGenerator(loadSpec{Addr: r0.addr, Request: r0.request, Want: []byte(`"else"`), Conns: 1, Window: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r, err := g.run()
	if err != nil {
		t.Fatal(err)
	}
	if r.Wrong == 0 || r.Replies != 0 {
		t.Errorf("%d right and %d wrong replies, want only wrong ones", r.Replies, r.Wrong)
	}
}

// A process may call itself anything; its numbers are still found.
func TestParseStat(t *testing.T) {
	const rest = " S 7 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 5"
	want := process{pid: 42, parent: 7, cpu: 1270 * time.Millisecond}
	for _, name := range []string{"sh", "a b", ") S 1 (", "x)"} {
		got, err := parseStat([]byte("42 (" + name + ")" + rest))
		if err != nil || got != want {
			t.Errorf("command %q: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, bad := range []string{"", "42", "42 (sh)", "42 (sh) S 7", "(sh)" + rest} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q gave %+v, want an error", bad, got)
		}
	}
}

// A ratio is judged between windows of the same round, and by its median.
func TestBudgetsCompareNeighbours(t *testing.T) {
	var r report
	for round, us := range []float64{100, 200, 400} { // a machine that becomes slower
		r.windows = append(r.windows,
			window{Bench: "W1", Handler: "go", Conns: 1, Target: "R0", Round: round, P50: us},
			window{Bench: "W1", Handler: "go", Conns: 1, Target: "lambent", Round: round, P50: us * 0.8})
	}
	b := r.budgets()
	if len(b) != 1 || b[0].What != "c=1 p50 / R0" || b[0].Median < 0.79 || b[0].Median > 0.81 || !b[0].Met {
		t.Errorf("budgets: %+v", b)
	}
}
