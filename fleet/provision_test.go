package fleet

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// publish puts version 1, and the alias live that leads to it.
func publish(t *testing.T, c *catalog.Catalog, number string) *lambda.Version {
	t.Helper()
	v := version("of " + number)
	v.Number = number
	change(t, c, func(tx *catalog.Tx) {
		tx.PutVersion(v)
		tx.PutAlias(&lambda.Alias{ID: id, Name: "live", Version: number})
	})
	return v
}

func change(t *testing.T, c *catalog.Catalog, f func(*catalog.Tx)) {
	t.Helper()
	if err := c.Update(t.Context(), id, func(tx *catalog.Tx) error { f(tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

// provide asks for n environments of the alias live.
func provide(t *testing.T, c *catalog.Catalog, n int) {
	t.Helper()
	change(t, c, func(tx *catalog.Tx) {
		tx.PutSettings("live", &lambda.Settings{Provisioned: &lambda.Provisioned{Requested: n}})
	})
}

func wantReady(t *testing.T, f *Fleet, v *lambda.Version, want int) {
	t.Helper()
	if ready, _ := f.Provisioned(v, "live"); ready != want {
		t.Errorf("%d environments are ready, want %d", ready, want)
	}
}

func living(h *host) (n int) {
	for _, e := range h.envs {
		if _, killed := e.state(); killed == "" {
			n++
		}
	}
	return n
}

// What is provisioned is initialised before any invocation, a few at a time, kept however long nobody needs it, replaced
// when it dies, and made larger, smaller or nothing as is asked.
func TestProvisionedEnvironmentsAreKept(t *testing.T) {
	h := &host{init: time.Second}
	bubble(t, h, func(t *testing.T, f *Fleet, c *catalog.Catalog) {
		v := publish(t, c, "1")
		provide(t, c, 6)
		synctest.Wait()
		wantReady(t, f, v, 0)
		time.Sleep(1500 * time.Millisecond)
		wantReady(t, f, v, aheadAtOnce)
		time.Sleep(time.Second)
		wantReady(t, f, v, 6)
		time.Sleep(time.Hour)
		wantReady(t, f, v, 6)
		if h.started() != 6 {
			t.Errorf("%d were started for 6", h.started())
		}
		for _, e := range h.envs[:3] {
			e.Kill("a crash")
		}
		wantReady(t, f, v, 3)
		time.Sleep(1500 * time.Millisecond)
		wantReady(t, f, v, 6)
		// One dies while another is being made.
		h.envs[3].Kill("a crash")
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		h.envs[4].Kill("a crash")
		time.Sleep(2 * time.Second)
		wantReady(t, f, v, 6)
		provide(t, c, 2)
		synctest.Wait()
		wantReady(t, f, v, 2)
		provide(t, c, 4)
		time.Sleep(2 * time.Second)
		wantReady(t, f, v, 4)
		change(t, c, func(tx *catalog.Tx) { tx.PutSettings("live", nil) })
		synctest.Wait()
		if n := living(h); n != 0 {
			t.Errorf("%d environments live that nobody asks for", n)
		}
	})
}

// What is provisioned for an alias moves with it.
func TestProvisionedEnvironmentsMoveWithTheAlias(t *testing.T) {
	h := &host{init: time.Second}
	bubble(t, h, func(t *testing.T, f *Fleet, c *catalog.Catalog) {
		one := publish(t, c, "1")
		provide(t, c, 2)
		time.Sleep(2 * time.Second)
		wantReady(t, f, one, 2)
		two := publish(t, c, "2")
		synctest.Wait()
		wantReady(t, f, one, 0)
		wantReady(t, f, two, 0)
		time.Sleep(2 * time.Second)
		wantReady(t, f, two, 2)
		if n := living(h); n != 2 {
			t.Errorf("%d environments live, want 2", n)
		}
	})
}

// An invocation of the qualifier takes a provisioned environment, warm; when there is none it runs on demand.
func TestInvocationsTakeWhatIsProvisioned(t *testing.T) {
	h := &host{init: time.Second}
	bubble(t, h, func(t *testing.T, f *Fleet, c *catalog.Catalog) {
		v := publish(t, c, "1")
		provide(t, c, 1)
		time.Sleep(2 * time.Second)
		first, err := f.BorrowProvisioned(t.Context(), v, "live")
		if err != nil || first.Cold || first.env != h.envs[0] {
			t.Errorf("the first invocation got %+v, %v", first, err)
		}
		second, err := f.BorrowProvisioned(t.Context(), v, "live")
		if err != nil || !second.Cold || second.env == h.envs[0] {
			t.Errorf("the second got %+v, %v", second, err)
		}
		first.Invoke(nil, nil)
		if third, err := f.BorrowProvisioned(t.Context(), v, "live"); err != nil || third.env != h.envs[0] {
			t.Errorf("the third got %+v, %v", third, err)
		}
	})
}

// A start that fails is tried again by the platform, ever later, and says so meanwhile.
func TestFailedProvisioningIsTriedAgain(t *testing.T) {
	h := &host{broken: true}
	bubble(t, h, func(t *testing.T, f *Fleet, c *catalog.Catalog) {
		v := publish(t, c, "1")
		provide(t, c, 1)
		for i, after := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
			time.Sleep(after)
			synctest.Wait()
			if h.started() != i+1 {
				t.Errorf("%d starts after %v more, want %d", h.started(), after, i+1)
			}
			if ready, failed := f.Provisioned(v, "live"); ready != 0 || !failed {
				t.Errorf("%d are ready, failed is %v", ready, failed)
			}
		}
	})
}

// A function starts as many environments in ten seconds as the scaling rate allows, and another one as it refills;
// what comes too fast is throttled, and one function's haste is not another's.
func TestScalingRate(t *testing.T) {
	h := &host{init: time.Millisecond}
	bubble(t, h, func(t *testing.T, f *Fleet, _ *catalog.Catalog) {
		f.cfg.ScalingRate = 3
		v := version("one")
		for range 3 {
			borrow(t, f, v)
		}
		_, err := f.Borrow(context.Background(), v)
		if !errors.Is(err, lambda.TooManyRequests) {
			t.Fatalf("a fourth start at once: %v", err)
		}
		other := version("one")
		other.ID.Name = "other"
		borrow(t, f, other)
		time.Sleep(3400 * time.Millisecond) // a third of ten seconds, and a bit
		borrow(t, f, v)
		if _, err := f.Borrow(context.Background(), v); !errors.Is(err, lambda.TooManyRequests) {
			t.Errorf("a start too early: %v", err)
		}
		h.envs[0].Invoke(nil, nil) // a warm one needs no start
		borrow(t, f, v)
	})
}
