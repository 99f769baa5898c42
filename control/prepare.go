package control

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

const (
	// preparers bounds how many functions are prepared at once.
	preparers = 4
	// sweepEvery is how often packages are looked for that nothing refers to. One
	// is removed when two looks in a row found it so: by then no environment has
	// it mounted any more, since invocations end within 15 minutes.
	sweepEvery = time.Hour
)

// Run prepares functions, and watches the directories that are code, until ctx ends.
func (c *Control) Run(ctx context.Context) error {
	var watching errgroup.Group
	changes := c.Catalog.Watch()
	defer changes.Close()
	c.watchLive()
	watching.Go(func() error { return c.Live.Run(ctx, func(dir string) { c.reload(ctx, dir) }) })
	watching.Go(func() error { c.followLive(ctx, changes); return nil })
	for e := range c.Catalog.All {
		for _, v := range e.Versions {
			if unfinished(v) {
				c.enqueue(v.ID)
			}
		}
	}
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var work errgroup.Group
	work.SetLimit(preparers)
	unused := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return errors.Join(work.Wait(), watching.Wait())
		case <-c.wake:
			c.mu.Lock()
			ids := c.queue
			c.queue = map[lambda.FunctionID]struct{}{}
			c.mu.Unlock()
			for id := range ids {
				work.Go(func() error { c.prepare(ctx, id); return nil })
			}
		case <-sweep.C:
			unused = c.sweep(unused)
		}
	}
}

func unfinished(v *lambda.Version) bool {
	return v.State == lambda.Pending || v.Update == lambda.UpdateInProgress
}

// enqueue asks Run to prepare a function.
func (c *Control) enqueue(id lambda.FunctionID) {
	c.mu.Lock()
	c.queue[id] = struct{}{}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// prepare brings the packages of a function's unfinished versions into place
// and moves the versions on.
func (c *Control) prepare(ctx context.Context, id lambda.FunctionID) {
	e := c.Catalog.Get(id)
	if e == nil {
		return
	}
	for _, v := range e.Versions {
		if !unfinished(v) || v.Managed != nil && !v.IsLatest() { // there are no instances to wait for
			continue
		}
		var failed error
		if v.Code.Dir != "" {
			c.Live.Watch(v.Code.Dir) // from before anything runs from it
		} else {
			_, failed = c.Code.Unpack(ctx, v.Code.Digest)
		}
		for _, l := range v.Layers {
			if failed == nil {
				_, failed = c.Code.Unpack(ctx, l.Code.Digest)
			}
		}
		if ctx.Err() != nil {
			return // the next start goes on from here
		}
		if failed != nil {
			c.Logger.Error("prepare", "function", id.Name, "version", v.Number, "err", failed)
		}
		err := c.Catalog.Update(ctx, id, func(tx *catalog.Tx) error {
			e := tx.Entry()
			if e == nil || e.Versions[v.Number] == nil {
				return nil // deleted meanwhile
			}
			now := *e.Versions[v.Number]
			if now.Deployment != v.Deployment || !unfinished(&now) {
				return nil // replaced meanwhile: that one has been queued
			}
			c.settle(&now, failed)
			tx.PutVersion(&now)
			return nil
		})
		if err != nil && ctx.Err() == nil {
			c.Logger.Error("prepare", "function", id.Name, "version", v.Number, "err", err)
		}
	}
}

// settle moves a version whose preparation has ended. The RevisionId of $LATEST
// changes with it, as on AWS; a published version's never does.
func (c *Control) settle(v *lambda.Version, failed error) {
	const why, code = "The function's code could not be prepared.", "InternalError"
	if v.IsLatest() {
		v.RevisionID = c.NewID()
	}
	if v.State == lambda.Pending {
		v.State, v.StateReason, v.StateReasonCode = lambda.Active, "", ""
		if v.Managed != nil {
			v.State = lambda.ActiveNonInvocable
		}
		v.Update = lambda.UpdateSuccessful
		if failed != nil {
			v.State, v.StateReason, v.StateReasonCode = lambda.Failed, why, code
		}
		return
	}
	if failed != nil { // invocations go on with what served before
		v.Update, v.UpdateReason, v.UpdateReasonCode = lambda.UpdateFailed, why, code
		return
	}
	v.Update, v.UpdateReason, v.UpdateReasonCode = lambda.UpdateSuccessful, "", ""
	v.Serving = nil
}

// sweep removes the packages that were unused before and still are, and returns
// those that are unused now. While a package is arriving it does nothing: the
// next look will do.
func (c *Control) sweep(before map[string]bool) map[string]bool {
	if !c.packages.TryLock() {
		return before
	}
	defer c.packages.Unlock()
	used := map[string]bool{}
	for e := range c.Catalog.All {
		for _, v := range e.Versions {
			for _, v := range []*lambda.Version{v, v.Runs()} {
				used[v.Code.Digest] = true
				for _, l := range v.Layers {
					used[l.Code.Digest] = true
				}
			}
		}
	}
	for l := range c.Catalog.Layers.All {
		for _, v := range l.Versions {
			used[v.Code.Digest] = true
		}
	}
	unused := map[string]bool{}
	err := c.Code.Collect(func(digest string) bool {
		if !used[digest] {
			unused[digest] = true
		}
		return used[digest] || !before[digest]
	})
	if err != nil {
		c.Logger.Error("remove unused packages", "err", err)
	}
	return unused
}
