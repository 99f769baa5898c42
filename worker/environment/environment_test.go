package environment

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the transcripts with what the machine does now")

// Each transcript in testdata is a life: one event a line, with what became of it.
//
//	start init=10s timeout=3s        the machine's first line; "repeat timeout=3s" inside an invocation
//	+4s tick -> gone  fail kill      time since the start, event, new state, actions
//	+4s next !! State transition …   an event the state refuses
func TestLivesFollowTheirTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := run(string(want))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(want, []byte(got)) {
				t.Errorf("the machine does:\n%s", got)
			}
		})
	}
}

// run replays the events of a transcript and writes the transcript anew.
func run(script string) (string, error) {
	var out strings.Builder
	var m Machine
	zero := time.Unix(0, 0)
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		f := strings.Fields(line)
		switch {
		case len(f) == 0, f[0] == "#":
			fmt.Fprintln(&out, line)
		case f[0] == "start":
			var limit, timeout string
			if _, err := fmt.Sscanf(line, "start init=%s timeout=%s", &limit, &timeout); err != nil {
				return "", fmt.Errorf("%q: %w", line, err)
			}
			m = New(zero, duration(limit), duration(timeout))
			fmt.Fprintln(&out, line)
		case f[0] == "repeat":
			var timeout string
			if _, err := fmt.Sscanf(line, "repeat timeout=%s", &timeout); err != nil {
				return "", fmt.Errorf("%q: %w", line, err)
			}
			m = Repeat(zero, duration(timeout))
			fmt.Fprintln(&out, line)
		default:
			at := duration(strings.TrimPrefix(f[0], "+"))
			e := slices.Index(eventNames[:], f[1])
			if e < 0 {
				return "", fmt.Errorf("%q: no such event", line)
			}
			act, err := m.Step(zero.Add(at), Event(e))
			s := fmt.Sprintf("%-6s %-9s", f[0], f[1])
			if err != nil {
				s += " !! " + err.Error()
				if act != 0 {
					s += fmt.Sprintf(" -> %s  %s", m.State(), act)
				}
			} else {
				s += fmt.Sprintf(" -> %-9s %s", m.State(), act)
			}
			fmt.Fprintln(&out, strings.TrimRight(s, " "))
		}
	}
	return out.String(), nil
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

// Whatever happens in whatever order, Gone is final, the processes are ended
// exactly once, and nobody who waits is forgotten.
func TestEveryOrderOfEventsEndsOnce(t *testing.T) {
	zero := time.Unix(0, 0)
	var walk func(m Machine, depth int, waiting, ready, ended bool)
	walk = func(m Machine, depth int, waiting, ready, ended bool) {
		if depth == 0 {
			return
		}
		for e := range Event(len(eventNames)) {
			for _, at := range []time.Duration{0, time.Hour} {
				n := m
				act, err := n.Step(zero.Add(at), e)
				if err != nil && act == 0 && n != m {
					t.Fatalf("%s in %s was refused but moved to %s", e, m.state, n.state)
				}
				w := waiting
				if e == Invoke && err == nil {
					w = true
				}
				if (e == Sent && err == nil) || act.Has(DoFail) {
					if !w {
						t.Fatalf("%s in %s ends an invocation that nobody waits for", e, m.state)
					}
					w = false
				}
				if n.state == Gone && w {
					t.Fatalf("%s in %s forgets the caller", e, m.state)
				}
				if act.Has(DoReady) == (ready || n.state == Starting) {
					t.Fatalf("%s in %s: initialisation ends twice or never", e, m.state)
				}
				if act.Has(DoKill) != (n.state == Gone && !ended) {
					t.Fatalf("%s in %s: actions %q, ended %v", e, m.state, act, ended)
				}
				walk(n, depth-1, w, ready || act.Has(DoReady), ended || act.Has(DoKill))
			}
		}
	}
	walk(New(zero, time.Minute, time.Minute), 5, false, false, false)
}

// A step on the warm path allocates nothing.
func TestStepsAllocateNothing(t *testing.T) {
	now := time.Unix(0, 0)
	m := New(now, time.Minute, time.Minute)
	m.Step(now, Next)
	n := testing.AllocsPerRun(100, func() {
		for _, e := range []Event{Invoke, Response, Sent, Next} {
			if _, err := m.Step(now, e); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
