package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var loadFor = flag.Duration("load", 60*time.Second, "how long the many callers call (8s with -short)")

// The eight functions of the load answer with the nonce of their event, and hang,
// crash or raise when told to.
const (
	loadPython = `
import os, time
def handler(event, context):
    if event["do"] == "hang": time.sleep(60)
    if event["do"] == "exit 3": os._exit(3)
    if event["do"] == "raise": raise Exception(event["nonce"])
    return event
`
	loadNode = `
exports.handler = async (event) => {
  if (event.do === 'hang') await new Promise((resolve) => setTimeout(resolve, 60000));
  if (event.do === 'exit 3') process.exit(3);
  if (event.do === 'raise') throw new Error(event.nonce);
  return event;
};
`
)

// Sixty-four callers on eight functions, some invocations of which hang or crash:
// every caller gets the answer to its own event and to no other, and afterwards
// the server holds no more than before and leaves nothing on the host.
func TestManyCallersGetTheirOwnAnswers(t *testing.T) {
	duration := *loadFor
	if testing.Short() {
		duration = min(duration, 8*time.Second)
	}
	tr, env := watch()
	s := serve(t, "--keep-alive", "2s")
	bootstrap, err := os.ReadFile(build(t, "./testdata/provided"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range 8 {
		f := function{name: fmt.Sprintf("load-%d", i), timeout: 2, env: env}
		switch {
		case i < 3:
			f.runtime, f.files = python, map[string]string{"handler.py": loadPython}
		case i < 5:
			f.runtime, f.files = node, map[string]string{"index.js": loadNode}
		default:
			f.runtime, f.files = custom, map[string]string{"bootstrap": string(bootstrap)}
		}
		s.create(t, f)
		names = append(names, f.name)
		if a := s.invoke(t, f.name, `{"do":"echo","nonce":"first"}`); a.fault != "" {
			t.Fatalf("%s: %s", f.name, a.payload)
		}
	}
	if os.Getuid() == 0 {
		tr.note(t, names[len(names)-1])
	}
	s.awaitEnvironments(t, 0)
	before := s.use(t)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var calls, faults atomic.Int64
	var wg sync.WaitGroup
	for caller := range uint64(64) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, caller))
			for n := 0; ctx.Err() == nil; n++ {
				do := "echo"
				switch r.IntN(100) {
				case 0, 1:
					do = "hang"
				case 2, 3:
					do = "exit 3"
				case 4, 5, 6, 7:
					do = "raise"
				}
				name := names[r.IntN(len(names))]
				if err := s.oneCall(t.Context(), name, do, fmt.Sprintf("%d-%d-%x", caller, n, r.Uint64())); err != nil {
					t.Errorf("caller %d, call %d of %s to %s: %v", caller, n, name, do, err)
					return
				}
				calls.Add(1)
				if do != "echo" {
					faults.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d calls, %d of them meant to fail", calls.Load(), faults.Load())

	// Idle connections of this test's clients may still be open on both sides, and up
	// to four interpreters of two runtimes wait for functions, with eight files each.
	const more = 16 + 4*2*8
	s.awaitEnvironments(t, 0)
	// An environment no longer counts before all of it has ended.
	after := s.use(t)
	for i := 0; i < 100 && (len(tr.processes(t)) > 0 || after.files > before.files+more); i++ {
		time.Sleep(100 * time.Millisecond) // between two polls
		after = s.use(t)
	}
	t.Logf("resident memory %d MiB before, %d MiB after; %d files open before, %d after",
		before.memory>>20, after.memory>>20, before.files, after.files)
	if after.files > before.files+more {
		t.Errorf("%d files are open, %d before", after.files, before.files)
	}
	// The Go runtime gives freed memory back over minutes; a leak of one response
	// per call would be far above this.
	if limit := 2*before.memory + 96<<20; after.memory > limit {
		t.Errorf("%d MiB resident, %d before", after.memory>>20, before.memory>>20)
	}
	if left := tr.processes(t); len(left) > 0 {
		t.Errorf("processes are left with no environment: %q", left)
	}
	s.stop(t)
	tr.none(t, s)
}

// oneCall makes one invocation and checks that the answer belongs to it.
func (s *server) oneCall(ctx context.Context, name, do, nonce string) error {
	event := fmt.Sprintf(`{"do":%q,"nonce":%q}`, do, nonce)
	a, err := s.try(ctx, invocation(name, event))
	if err != nil {
		return err
	}
	var got struct{ Do, Nonce, ErrorType, ErrorMessage string }
	if err := json.Unmarshal([]byte(a.payload), &got); err != nil {
		return fmt.Errorf("payload %q: %w", a.payload, err)
	}
	right := false
	switch do {
	case "echo":
		right = a.fault == "" && got.Nonce == nonce && got.Do == do
	case "raise":
		right = a.fault == "Unhandled" && got.ErrorMessage == nonce
	case "exit 3":
		right = got.ErrorType == "Runtime.ExitError" && strings.Contains(got.ErrorMessage, a.id)
	case "hang":
		right = got.ErrorType == "Sandbox.Timedout" && strings.Contains(got.ErrorMessage, a.id)
	}
	if !right {
		return fmt.Errorf("request %s with nonce %s was answered %q %s", a.id, nonce, a.fault, a.payload)
	}
	return nil
}
