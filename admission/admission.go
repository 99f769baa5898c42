// Package admission decides whether one more invocation may run now, and is the
// only place that decides it. What is admitted is given back exactly once, by
// the frame that was let in.
//
// It holds counters and starts no goroutine. Package invoke calls it before an
// environment is sought, so that a refused invocation costs nothing.
package admission

import (
	"sync"
	"sync/atomic"

	"github.com/lambent-run/lambent/lambda"
)

// Gate counts the invocations that run in each account and region. The zero
// value is not usable; see New.
type Gate struct {
	limit  int64
	scopes sync.Map // lambda.Scope → *atomic.Int64
	last   atomic.Pointer[scoped]
}

// scoped remembers the scope asked for last. Nearly every server serves one
// scope, and a look-up in the map would allocate its key.
type scoped struct {
	scope   lambda.Scope
	running *atomic.Int64
}

// New makes a gate that lets limit invocations of each account and region run
// at once (AWS: lambda.AccountConcurrency).
func New(limit int) *Gate { return &Gate{limit: int64(limit)} }

// Pass is the right to run one invocation. Leave gives it back, once.
type Pass struct{ running *atomic.Int64 }

// Leave ends what Enter began.
func (p *Pass) Leave() {
	if p.running != nil {
		p.running.Add(-1)
		p.running = nil
	}
}

// Enter admits one invocation, or refuses it with TooManyRequests and AWS's
// reason for the limit that was met.
func (g *Gate) Enter(at lambda.Scope) (Pass, error) {
	running := g.counter(at)
	for {
		n := running.Load()
		if n >= g.limit {
			return Pass{}, &lambda.Error{
				Code:    lambda.TooManyRequests,
				Reason:  "ConcurrentInvocationLimitExceeded",
				Message: "Rate Exceeded.",
			}
		}
		// Compare-and-swap rather than add-and-undo: a refused invocation must not
		// take, even for an instant, the place of one that fits.
		if running.CompareAndSwap(n, n+1) {
			return Pass{running}, nil
		}
	}
}

// Running is how many invocations of a scope run now.
func (g *Gate) Running(at lambda.Scope) int { return int(g.counter(at).Load()) }

func (g *Gate) counter(at lambda.Scope) *atomic.Int64 {
	if l := g.last.Load(); l != nil && l.scope == at {
		return l.running
	}
	c, _ := g.scopes.LoadOrStore(at, new(atomic.Int64))
	running := c.(*atomic.Int64)
	g.last.Store(&scoped{at, running})
	return running
}
