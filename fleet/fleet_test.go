package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// memory is a catalog store that keeps nothing: these tests never reopen it.
type memory struct{}

func (memory) Commit(context.Context, []catalog.Op) error { return nil }
func (memory) Load(context.Context, string, func(string, []byte) error) error {
	return nil
}
func (memory) Close() error { return nil }

// host starts environments that take a given time to initialise.
type host struct {
	init   time.Duration
	broken bool // initialisation fails
	refuse error
	polls  time.Duration // how long after an answer the runtime polls again

	mu   sync.Mutex // guards envs
	envs []*env
}

type env struct {
	n     int
	h     *host
	v     *lambda.Version
	owner Owner
	ready chan struct{}

	mu     sync.Mutex // guards the rest
	frozen bool
	killed string
}

func (h *host) Start(_ context.Context, v *lambda.Version, owner Owner, provisioned bool) (Environment, error) {
	if h.refuse != nil {
		return nil, h.refuse
	}
	h.mu.Lock()
	e := &env{n: len(h.envs), h: h, v: v, owner: owner, ready: make(chan struct{})}
	h.envs = append(h.envs, e)
	h.mu.Unlock()
	go func() {
		time.Sleep(h.init)
		if h.broken {
			close(e.ready)
			return
		}
		owner.Idle(e)
		close(e.ready)
	}()
	return e, nil
}

func (h *host) started() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.envs)
}

func (e *env) Ready() <-chan struct{} { return e.ready }
func (e *env) Broken() bool           { return e.h.broken }
func (e *env) Freeze() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frozen = true
	return nil
}
func (e *env) Kill(reason string) {
	e.mu.Lock()
	first := e.killed == ""
	if first {
		e.killed = reason
	}
	e.mu.Unlock()
	if first {
		e.owner.Gone(e)
	}
}
func (e *env) Invoke(*lambda.Invocation, lambda.ResponseWriter) (lambda.Outcome, error) {
	if e.h.polls > 0 {
		time.AfterFunc(e.h.polls, func() { e.owner.Idle(e) })
	} else {
		e.owner.Idle(e)
	}
	return lambda.Outcome{}, nil
}
func (e *env) state() (frozen bool, killed string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.frozen, e.killed
}

var id = lambda.FunctionID{Account: "000000000000", Region: "us-east-1", Name: "fn"}

func version(deployment string) *lambda.Version {
	return &lambda.Version{ID: id, Number: lambda.Latest, Deployment: deployment, State: lambda.Active}
}

// bubble runs f with a fleet over h whose Run ends with the test.
func bubble(t *testing.T, h *host, f func(*testing.T, *Fleet, *catalog.Catalog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		c, err := catalog.Open(ctx, memory{})
		if err != nil {
			t.Fatal(err)
		}
		put(t, c, version("one"))
		fl := New(Config{Host: h, Catalog: c})
		done := make(chan error, 1)
		go func() { done <- fl.Run(ctx) }()
		synctest.Wait()
		f(t, fl, c)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for _, e := range h.envs {
			if _, killed := e.state(); killed == "" && !h.broken {
				t.Errorf("environment %d outlives the fleet", e.n)
			}
		}
	})
}

func put(t *testing.T, c *catalog.Catalog, v *lambda.Version) {
	t.Helper()
	err := c.Update(t.Context(), id, func(tx *catalog.Tx) error {
		tx.PutFunction(&lambda.Function{ID: id})
		tx.PutVersion(v)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func borrow(t *testing.T, f *Fleet, v *lambda.Version) (*env, bool) {
	t.Helper()
	loan, err := f.Borrow(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	return loan.env.(*env), loan.Cold
}

// The environment used last is used next, and only the first use of one is cold.
func TestWarmEnvironmentsAreReusedLastFirst(t *testing.T) {
	bubble(t, &host{init: time.Second}, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		v := version("one")
		a, cold := borrow(t, f, v)
		if !cold {
			t.Error("the first invocation is not cold")
		}
		b, cold := borrow(t, f, v)
		if !cold || b == a {
			t.Error("a second one at the same time shares the environment")
		}
		a.Invoke(nil, nil)
		b.Invoke(nil, nil)
		if got, cold := borrow(t, f, v); got != b || cold {
			t.Errorf("environment %d serves, want the one used last (%d); cold is %v", got.n, b.n, cold)
		}
	})
}

// An invocation takes whichever comes first, and a start that loses the race is kept warm.
func TestInvocationTakesWhicheverComesFirst(t *testing.T) {
	h := &host{init: time.Second}
	bubble(t, h, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		v := version("one")
		a, _ := borrow(t, f, v)
		time.AfterFunc(100*time.Millisecond, func() { a.Invoke(nil, nil) })
		begin := time.Now()
		got, cold := borrow(t, f, v)
		if got != a || cold || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("environment %d serves after %v, cold is %v", got.n, time.Since(begin), cold)
		}
		time.Sleep(2 * time.Second)
		if other, cold := borrow(t, f, v); other == a || cold || h.started() != 2 {
			t.Errorf("the start that lost is not kept: %d started, cold is %v", h.started(), cold)
		}
	})
}

// A caller who goes away leaves the start under way, and what was started is kept.
func TestCallerWhoLeavesWastesNothing(t *testing.T) {
	h := &host{init: time.Second}
	bubble(t, h, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := f.Borrow(ctx, version("one")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, cold := borrow(t, f, version("one")); cold || h.started() != 1 {
			t.Errorf("%d started, cold is %v", h.started(), cold)
		}
	})
}

// An idle environment is frozen after a moment, and reaped after the keep-alive.
func TestIdleEnvironmentsAreFrozenThenReaped(t *testing.T) {
	bubble(t, &host{}, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		e, _ := borrow(t, f, version("one"))
		e.Invoke(nil, nil)
		time.Sleep(90 * time.Millisecond)
		if frozen, _ := e.state(); frozen {
			t.Error("frozen before its time")
		}
		time.Sleep(60 * time.Millisecond)
		if frozen, _ := e.state(); !frozen {
			t.Error("not frozen")
		}
		time.Sleep(9 * time.Minute)
		if _, killed := e.state(); killed != "" {
			t.Error("reaped before its time")
		}
		time.Sleep(2 * time.Minute)
		if _, killed := e.state(); killed != "spindown" {
			t.Errorf("not reaped: %q", killed)
		}
		if all, idle := f.Count(); all != 0 || idle != 0 {
			t.Errorf("%d environments, %d idle are still counted", all, idle)
		}
	})
}

// After an update the idle environments end at once, the busy ones after their invocation, and none serves again.
func TestUpdateRetiresOldEnvironments(t *testing.T) {
	bubble(t, &host{}, func(t *testing.T, f *Fleet, c *catalog.Catalog) {
		idle, _ := borrow(t, f, version("one"))
		busy, _ := borrow(t, f, version("one"))
		idle.Invoke(nil, nil)
		put(t, c, version("two"))
		synctest.Wait()
		if _, killed := idle.state(); killed == "" {
			t.Error("the idle one lives on")
		}
		if _, killed := busy.state(); killed != "" {
			t.Error("the busy one was interrupted")
		}
		busy.Invoke(nil, nil)
		synctest.Wait()
		if _, killed := busy.state(); killed == "" {
			t.Error("the busy one lives on after its invocation")
		}
		if e, cold := borrow(t, f, version("two")); !cold || e == idle || e == busy {
			t.Error("the new code is served by an old environment")
		}
	})
}

// An invocation that an update overtakes while its environment starts is run by that one, which ends after it.
func TestInvocationThatAnUpdateOvertakesIsRun(t *testing.T) {
	h := &host{init: time.Second}
	bubble(t, h, func(t *testing.T, f *Fleet, c *catalog.Catalog) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waited := make(chan error, 1)
		var loan Loan
		go func() {
			var err error
			loan, err = f.Borrow(ctx, version("one"))
			waited <- err
		}()
		synctest.Wait()
		put(t, c, version("two"))
		if err := <-waited; err != nil {
			t.Fatalf("%v, after %d starts", err, h.started())
		}
		if _, killed := h.envs[0].state(); killed != "" || h.started() != 1 {
			t.Errorf("%d starts, the first environment %s", h.started(), killed)
		}
		if _, err := loan.Invoke(nil, nil); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, killed := h.envs[0].state(); killed == "" {
			t.Error("the environment of before the update is kept")
		}
	})
}

// An initialisation that fails is the business of the invocation that asked for it.
func TestFailedInitGoesToItsInvocation(t *testing.T) {
	bubble(t, &host{broken: true}, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		e, cold := borrow(t, f, version("one"))
		if !cold || !e.Broken() {
			t.Error("the invocation does not learn of it")
		}
		e.Kill("test")
	})
	bubble(t, &host{refuse: fmt.Errorf("no sandbox")}, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		if _, err := f.Borrow(t.Context(), version("one")); err == nil || err.Error() != "no sandbox" {
			t.Errorf("got %v", err)
		}
	})
}

// An invocation that comes right after an answer waits a moment for the environment that gave it; after that one is started.
func TestInvocationWaitsForARuntimeThatIsAboutToPoll(t *testing.T) {
	for _, c := range []struct {
		polls   time.Duration // after the answer
		started int
	}{{100 * time.Microsecond, 1}, {10 * time.Millisecond, 3}} {
		h := &host{polls: c.polls}
		bubble(t, h, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
			for range 3 {
				loan, err := f.Borrow(t.Context(), version("one"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := loan.Invoke(nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			if h.started() != c.started {
				t.Errorf("a runtime that polls %v after its answer: %d environments, want %d", c.polls, h.started(), c.started)
			}
		})
	}
}

// A burst starts as many environments as it has invocations at once, and no more while those go on.
func TestBurstStartsNoMoreThanItNeeds(t *testing.T) {
	h := &host{init: 50 * time.Millisecond}
	bubble(t, h, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		const callers = 8
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range 20 {
					loan, err := f.Borrow(t.Context(), version("one"))
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(10 * time.Millisecond) // the function runs
					if _, err := loan.Invoke(nil, nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if h.started() != callers {
			t.Errorf("%d environments for %d callers", h.started(), callers)
		}
	})
}

// When starts fail, each failure goes to one invocation, and the others get a start of their own.
func TestEveryWaitingInvocationLearnsOfAFailure(t *testing.T) {
	h := &host{init: 10 * time.Millisecond, broken: true}
	bubble(t, h, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				loan, err := f.Borrow(t.Context(), version("one"))
				if err != nil || !loan.env.Broken() {
					t.Errorf("got %+v, %v", loan, err)
					return
				}
				loan.env.Kill("test")
			})
		}
		wg.Wait()
		if h.started() != 5 {
			t.Errorf("%d starts for 5 invocations", h.started())
		}
	})
}
