// Package admission decides whether one more invocation may run now, and is the
// only place that decides it. What is admitted is given back exactly once, by
// the frame that was let in.
//
// The concurrency of an account in a region is one pool, of which functions
// take parts for themselves: a function that reserved some has that and no
// more, and what is provisioned for a qualifier serves that qualifier alone.
// Everyone else shares the rest (AWS Lambda developer guide, "Understanding
// Lambda function scaling"). An invocation first takes a provisioned
// environment of its qualifier if one is free, and then spills over into its
// function's reserved part or the shared rest.
//
// It holds counters and starts no goroutine. Package invoke calls it before an
// environment is sought, so that a refused invocation costs nothing.
package admission

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

// Config is what a gate needs.
type Config struct {
	// Limit is how many invocations of each account and region run at once at
	// most (AWS: lambda.AccountConcurrency).
	Limit int
	// Claims is the concurrency that functions of a scope keep from the others:
	// what they reserved, or what is provisioned for those that did not. Nil if
	// there is none.
	Claims func(lambda.Scope) *atomic.Int64
	// RequestRate bounds the synchronous requests a second, as a multiple of the
	// concurrency they draw on (AWS: 10). 0 is no bound.
	RequestRate int
}

// Claim is what an invocation draws on.
type Claim struct {
	Function  lambda.FunctionID
	Qualifier string // as invoked
	// Reserved is the function's reserved concurrency, or nil.
	Reserved *int
	// Committed is how many environments the qualifiers of a function with
	// reserved concurrency ask to have provisioned: its other invocations share
	// what is left.
	Committed int
	// Provisioned is how many provisioned environments the qualifier has.
	Provisioned int
}

// Gate counts the invocations that run. The zero value is not usable; see New.
type Gate struct {
	cfg    Config
	scopes sync.Map // lambda.Scope → *scope
	last   atomic.Pointer[scope]
	seed   maphash.Seed
	shards [64]shard
}

// scope is an account in a region. Gate.last remembers the one asked for last:
// nearly every server serves one, and a look-up in the map would allocate its key.
type scope struct {
	at     lambda.Scope
	claims *atomic.Int64
	all    atomic.Int64 // invocations that run
	shared atomic.Int64 // those of them that draw on what nobody claimed
	rate   pace
}

// shard holds the counters of functions that have some of their own.
type shard struct {
	mu    sync.RWMutex
	parts map[part]*counter
}

// part is a function's reserved concurrency (qualifier "") or what is
// provisioned for one of its qualifiers.
type part struct {
	function  lambda.FunctionID
	qualifier string
}

type counter struct {
	running atomic.Int64
	rate    pace
}

// New makes a gate.
func New(cfg Config) *Gate {
	g := &Gate{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range g.shards {
		g.shards[i].parts = map[part]*counter{}
	}
	return g
}

// Pass is the right to run one invocation. Leave gives it back, once.
type Pass struct {
	// Provisioned says that it is for a provisioned environment.
	Provisioned bool
	account     *atomic.Int64
	part        *atomic.Int64
}

// Leave ends what Enter began.
func (p *Pass) Leave() {
	if p.account != nil {
		p.part.Add(-1)
		p.account.Add(-1)
		p.account, p.part = nil, nil
	}
}

// Reasons of AWS for a throttle (API reference, TooManyRequestsException).
const (
	accountLimit  = "ConcurrentInvocationLimitExceeded"
	reservedLimit = "ReservedFunctionConcurrentInvocationLimitExceeded"
	accountRate   = "FunctionInvocationRateLimitExceeded"
	reservedRate  = "ReservedFunctionInvocationRateLimitExceeded"
)

func throttled(reason string, after time.Duration) error {
	return &lambda.Error{Code: lambda.TooManyRequests, Reason: reason, Message: "Rate Exceeded.", After: after}
}

// take adds one to a counter that is below its limit. It is compare-and-swap
// rather than add-and-undo: a refused invocation must not take, even for an
// instant, the place of one that fits.
func take(running *atomic.Int64, limit int64) bool {
	for {
		n := running.Load()
		if n >= limit {
			return false
		}
		if running.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Enter admits one invocation at now, or refuses it with TooManyRequests and
// AWS's reason for the limit that was met.
func (g *Gate) Enter(now time.Time, c *Claim) (Pass, error) {
	s := g.scope(c.Function.Scope())
	if c.Provisioned > 0 {
		p := g.part(part{c.Function, c.Qualifier})
		if take(&p.running, int64(c.Provisioned)) {
			if wait, ok := g.paced(&p.rate, now, c.Provisioned); !ok {
				p.running.Add(-1)
				return Pass{}, throttled(rateReason(c), wait)
			}
			return g.account(s, &p.running, true)
		}
	}
	if c.Reserved != nil {
		p := g.part(part{function: c.Function})
		if !take(&p.running, int64(*c.Reserved-c.Committed)) {
			return Pass{}, throttled(reservedLimit, 0)
		}
		if wait, ok := g.paced(&p.rate, now, *c.Reserved); !ok {
			p.running.Add(-1)
			return Pass{}, throttled(reservedRate, wait)
		}
		return g.account(s, &p.running, false)
	}
	free := g.cfg.Limit
	if s.claims != nil {
		free -= int(s.claims.Load())
	}
	if !take(&s.shared, int64(free)) {
		return Pass{}, throttled(accountLimit, 0)
	}
	if wait, ok := g.paced(&s.rate, now, free); !ok {
		s.shared.Add(-1)
		return Pass{}, throttled(accountRate, wait)
	}
	return g.account(s, &s.shared, false)
}

func rateReason(c *Claim) string {
	if c.Reserved != nil {
		return reservedRate
	}
	return accountRate
}

// account counts an invocation that its part has room for among all of the
// account. The parts together are no more than the account's limit, but when
// one has just been enlarged the others may still run more than is left to them.
func (g *Gate) account(s *scope, part *atomic.Int64, provisioned bool) (Pass, error) {
	if !take(&s.all, int64(g.cfg.Limit)) {
		part.Add(-1)
		return Pass{}, throttled(accountLimit, 0)
	}
	return Pass{provisioned, &s.all, part}, nil
}

func (g *Gate) paced(p *pace, now time.Time, concurrency int) (wait time.Duration, ok bool) {
	if g.cfg.RequestRate == 0 {
		return 0, true
	}
	return p.allow(now, concurrency*g.cfg.RequestRate)
}

// Running is how many invocations of a scope run now.
func (g *Gate) Running(at lambda.Scope) int { return int(g.scope(at).all.Load()) }

func (g *Gate) scope(at lambda.Scope) *scope {
	if s := g.last.Load(); s != nil && s.at == at {
		return s
	}
	v, ok := g.scopes.Load(at)
	if !ok {
		s := &scope{at: at}
		if g.cfg.Claims != nil {
			s.claims = g.cfg.Claims(at)
		}
		v, _ = g.scopes.LoadOrStore(at, s)
	}
	s := v.(*scope)
	g.last.Store(s)
	return s
}

// Scopes yields every account and region that has invoked anything, with how
// many of its invocations run.
func (g *Gate) Scopes(yield func(at lambda.Scope, running int) bool) {
	g.scopes.Range(func(_, v any) bool {
		s := v.(*scope)
		return yield(s.at, int(s.all.Load()))
	})
}

func (g *Gate) part(of part) *counter {
	s := &g.shards[maphash.String(g.seed, of.function.Name)%uint64(len(g.shards))]
	s.mu.RLock()
	c := s.parts[of]
	s.mu.RUnlock()
	if c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.parts[of]; c == nil {
		c = new(counter)
		s.parts[of] = c
	}
	return c
}
