package admission

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lambent-run/lambent/lambda"
)

var at = lambda.Scope{Account: "000000000000", Region: "us-east-1"}

// The limit of an account and region is met exactly, and each scope has its own.
func TestLimitIsMetExactly(t *testing.T) {
	g := New(2)
	a, err := g.Enter(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Enter(at); err != nil {
		t.Fatal(err)
	}
	_, err = g.Enter(at)
	if !errors.Is(err, lambda.TooManyRequests) {
		t.Fatalf("a third invocation got %v", err)
	}
	if got := lambda.AsError(err).Reason; got != "ConcurrentInvocationLimitExceeded" {
		t.Errorf("reason %q", got)
	}
	if _, err := g.Enter(lambda.Scope{Account: at.Account, Region: "eu-west-1"}); err != nil {
		t.Errorf("another region is refused: %v", err)
	}
	a.Leave()
	a.Leave() // a second time gives nothing back
	if _, err := g.Enter(at); err != nil {
		t.Errorf("what was given back is not available: %v", err)
	}
	if _, err := g.Enter(at); err == nil {
		t.Error("giving back twice made room for two")
	}
}

// However many come and go at once, no more than the limit ever run, and all places are there again at the end.
func TestLimitHoldsUnderContention(t *testing.T) {
	const limit = 3
	g := New(limit)
	var inside, most atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 2000 {
				p, err := g.Enter(at)
				if err != nil {
					continue
				}
				n := inside.Add(1)
				for {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				inside.Add(-1)
				p.Leave()
			}
		})
	}
	wg.Wait()
	if most.Load() > limit || g.Running(at) != 0 {
		t.Errorf("up to %d ran, %d are left", most.Load(), g.Running(at))
	}
}
