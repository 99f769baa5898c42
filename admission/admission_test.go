package admission

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

var (
	at    = lambda.Scope{Account: "000000000000", Region: "us-east-1"}
	start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
)

func fn(name string) lambda.FunctionID {
	return lambda.FunctionID{Account: at.Account, Region: at.Region, Name: name}
}

func plain(name string) *Claim { return &Claim{Function: fn(name), Qualifier: lambda.Latest} }

func reserving(name string, n, committed int) *Claim {
	return &Claim{Function: fn(name), Qualifier: lambda.Latest, Reserved: &n, Committed: committed}
}

// enter admits n invocations, all of which must fit.
func enter(t *testing.T, g *Gate, n int, c *Claim) []Pass {
	t.Helper()
	var all []Pass
	for range n {
		p, err := g.Enter(start, c)
		if err != nil {
			t.Fatalf("%s: %v", c.Function.Name, err)
		}
		all = append(all, p)
	}
	return all
}

func refused(t *testing.T, g *Gate, now time.Time, c *Claim, reason string) *lambda.Error {
	t.Helper()
	_, err := g.Enter(now, c)
	if err == nil {
		t.Fatalf("%s is admitted, want %s", c.Function.Name, reason)
	}
	e := lambda.AsError(err)
	if e.Code != lambda.TooManyRequests || e.Reason != reason || e.Message != "Rate Exceeded." {
		t.Errorf("%s: %v %q, want %q", c.Function.Name, err, e.Reason, reason)
	}
	return e
}

// Functions that reserve nothing share what is left of the account, and each scope has its own.
func TestTheRestIsShared(t *testing.T) {
	var claims atomic.Int64
	claims.Store(7)
	g := New(Config{Limit: 10, Claims: func(lambda.Scope) *atomic.Int64 { return &claims }})
	passes := append(enter(t, g, 2, plain("a")), enter(t, g, 1, plain("b"))...)
	refused(t, g, start, plain("c"), accountLimit)
	passes[0].Leave()
	passes[0].Leave() // a second time gives nothing back
	enter(t, g, 1, plain("c"))
	refused(t, g, start, plain("a"), accountLimit)
	claims.Store(6)
	enter(t, g, 1, plain("a"))
	elsewhere := plain("a")
	elsewhere.Function.Region = "eu-west-1"
	enter(t, g, 1, elsewhere)
	if n := g.Running(at); n != 4 {
		t.Errorf("%d run, want 4", n)
	}
}

// A reserved part is the function's alone, and all it has; none at all throttles always.
func TestReservedIsGuaranteedAndCaps(t *testing.T) {
	var claims atomic.Int64
	claims.Store(3)
	g := New(Config{Limit: 5, Claims: func(lambda.Scope) *atomic.Int64 { return &claims }})
	enter(t, g, 2, plain("others"))
	refused(t, g, start, plain("others"), accountLimit)
	enter(t, g, 3, reserving("fn", 3, 0))
	refused(t, g, start, reserving("fn", 3, 0), reservedLimit)
	refused(t, g, start, reserving("none", 0, 0), reservedLimit)
}

// What is provisioned serves its qualifier, which spills over; where it takes all that is reserved, the others have nothing.
func TestProvisionedSpillsOver(t *testing.T) {
	g := New(Config{Limit: 10})
	live := &Claim{Function: fn("fn"), Qualifier: "live", Provisioned: 2}
	for i, p := range enter(t, g, 3, live) {
		if p.Provisioned != (i < 2) {
			t.Errorf("invocation %d: provisioned %v", i, p.Provisioned)
		}
	}
	all := 4
	taken := &Claim{Function: fn("whole"), Qualifier: "live", Reserved: &all, Committed: 4, Provisioned: 4}
	enter(t, g, 4, taken)
	refused(t, g, start, taken, reservedLimit)
	refused(t, g, start, reserving("whole", 4, 4), reservedLimit)
}

// The account's limit holds while a part that was just enlarged and what ran before would be more together.
func TestTheAccountIsNeverExceeded(t *testing.T) {
	var claims atomic.Int64
	g := New(Config{Limit: 4, Claims: func(lambda.Scope) *atomic.Int64 { return &claims }})
	passes := enter(t, g, 4, plain("others"))
	claims.Store(3)
	refused(t, g, start, reserving("fn", 3, 0), accountLimit)
	passes[0].Leave()
	enter(t, g, 1, reserving("fn", 3, 0))
	refused(t, g, start, reserving("fn", 3, 0), accountLimit)
}

// Ten times the concurrency may be asked for in a second, at once or evenly, and the answer says when to come again.
func TestRequestsAreBoundedByTenTimesTheConcurrency(t *testing.T) {
	g := New(Config{Limit: 5, RequestRate: 10})
	ask := func(now time.Time, c *Claim) (err error) {
		p, err := g.Enter(now, c)
		p.Leave()
		return err
	}
	for i := range 50 {
		if err := ask(start, plain("fn")); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if e := refused(t, g, start, plain("fn"), accountRate); e.After != 20*time.Millisecond {
		t.Errorf("come again after %v, want 20ms", e.After)
	}
	for i := range 100 {
		if err := ask(start.Add(time.Duration(i+1)*20*time.Millisecond), plain("fn")); err != nil {
			t.Fatalf("request %d at an even pace: %v", i, err)
		}
	}
	for range 20 {
		if err := ask(start, reserving("own", 2, 0)); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, g, start, reserving("own", 2, 0), reservedRate)
	if n := g.Running(at); n != 0 {
		t.Errorf("%d run after all have left", n)
	}
}

// However many come and go at once, with whatever configuration, no limit is ever exceeded and none leaks: a ledger
// beside the gate, under a lock, says so for every instant.
func TestLimitsHoldUnderContention(t *testing.T) {
	const limit = 12
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	// a reserved 3, of which 2 are provisioned for live; b has 2 provisioned; c and d have nothing.
	three := 3
	claims := []Claim{
		{Function: fn("a"), Qualifier: "live", Reserved: &three, Committed: 2, Provisioned: 2},
		{Function: fn("a"), Qualifier: lambda.Latest, Reserved: &three, Committed: 2},
		{Function: fn("b"), Qualifier: "live", Provisioned: 2},
		{Function: fn("c"), Qualifier: lambda.Latest},
		{Function: fn("d"), Qualifier: lambda.Latest},
	}
	var claimed atomic.Int64
	claimed.Store(5)
	g := New(Config{Limit: limit, Claims: func(lambda.Scope) *atomic.Int64 { return &claimed }})
	var mu sync.Mutex
	running := map[string]int{} // by what is drawn on; what leaves is struck off before it is given back
	bounds := map[string]int{"all": limit, "a": 3, "a live": 2, "a rest": 1, "b live": 2, "shared": limit - 5}
	count := func(c *Claim, provisioned bool, by int) {
		mu.Lock()
		defer mu.Unlock()
		names := []string{"all"}
		switch {
		case provisioned:
			names = append(names, c.Function.Name+" live")
		case c.Reserved != nil:
			names = append(names, c.Function.Name+" rest")
		default:
			names = append(names, "shared")
		}
		if c.Reserved != nil {
			names = append(names, c.Function.Name)
		}
		for _, n := range names {
			if running[n] += by; running[n] > bounds[n] || running[n] < 0 {
				t.Errorf("%s: %d run, at most %d may", n, running[n], bounds[n])
			}
		}
	}
	var wg sync.WaitGroup
	var admitted, throttles atomic.Int64
	for w := range 24 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for range 3000 {
				c := claims[r.IntN(len(claims))]
				p, err := g.Enter(start, &c)
				if err != nil {
					throttles.Add(1)
					continue
				}
				admitted.Add(1)
				was := p.Provisioned
				count(&c, was, 1)
				for range r.IntN(50) {
					_ = fmt.Sprint(w) // it runs for a while
				}
				count(&c, was, -1)
				p.Leave()
				if r.IntN(4) == 0 {
					p.Leave()
				}
			}
		})
	}
	wg.Wait()
	if admitted.Load() == 0 || throttles.Load() == 0 {
		t.Errorf("%d admitted and %d throttled: the test shows nothing", admitted.Load(), throttles.Load())
	}
	if n := g.Running(at); n != 0 {
		t.Errorf("%d places have leaked", n)
	}
	// Every place is there again.
	enter(t, g, 2, &claims[0])
	enter(t, g, 1, &claims[1])
	enter(t, g, 2, &claims[2])
	enter(t, g, limit-5, &claims[3])
	refused(t, g, start, &claims[4], accountLimit)
}

// Admitting an invocation allocates nothing.
func TestEnterAllocatesNothing(t *testing.T) {
	g := New(Config{Limit: 10, RequestRate: 1000})
	for _, c := range []*Claim{plain("a"), reserving("b", 2, 0), {Function: fn("c"), Qualifier: "live", Provisioned: 1}} {
		if n := testing.AllocsPerRun(100, func() {
			p, err := g.Enter(start, c)
			if err != nil {
				t.Fatal(err)
			}
			p.Leave()
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.Function.Name, n)
		}
		g = New(Config{Limit: 10, RequestRate: 1000})
	}
}
