package control

import (
	"context"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// liveDirs returns the directories that are the code of a function: of what is to
// run, and of what runs until then.
func liveDirs(e *catalog.Entry) (dirs []string) {
	latest := e.Versions[lambda.Latest]
	for _, v := range []*lambda.Version{latest, latest.Runs()} {
		if v.Code.Dir != "" {
			dirs = append(dirs, v.Code.Dir)
		}
	}
	return dirs
}

// watchLive asks for every directory that is code to be watched. What has changed
// before that is told by Live.Run at its beginning.
func (c *Control) watchLive() {
	for e := range c.Catalog.All {
		for _, dir := range liveDirs(e) {
			c.Live.Watch(dir)
		}
	}
}

// followLive keeps what is watched at what is code, until ctx ends.
func (c *Control) followLive(ctx context.Context, changes *catalog.Watch) {
	had := map[lambda.FunctionID]bool{}
	for e := range c.Catalog.All {
		if len(liveDirs(e)) > 0 {
			had[e.Function.ID] = true
		}
	}
	for {
		ids, err := changes.Next(ctx)
		if err != nil {
			return
		}
		concerned := false
		for _, id := range ids {
			var dirs []string
			if e := c.Catalog.Get(id); e != nil {
				dirs = liveDirs(e)
			}
			concerned = concerned || had[id] || len(dirs) > 0
			delete(had, id)
			for _, dir := range dirs {
				had[id] = true
				if c.Live.Watch(dir) { // it ran, perhaps, while it was not watched
					c.reload(ctx, dir)
				}
			}
		}
		if !concerned {
			continue
		}
		used := map[string]bool{}
		for e := range c.Catalog.All {
			for _, dir := range liveDirs(e) {
				used[dir] = true
			}
		}
		c.Live.Keep(func(dir string) bool { return used[dir] })
	}
}

// reload gives the functions that run from a directory a new deployment, so that
// no environment that may have read the old files serves any more. Nothing else
// about them changes: nobody has updated them.
func (c *Control) reload(ctx context.Context, dir string) {
	for e := range c.Catalog.All {
		id := e.Function.ID
		if e.Versions[lambda.Latest].Runs().Code.Dir != dir {
			continue
		}
		done := false
		err := c.Catalog.Update(ctx, id, func(tx *catalog.Tx) error {
			e := tx.Entry()
			if e == nil {
				return nil
			}
			now := *e.Versions[lambda.Latest]
			if now.Runs().Code.Dir != dir || now.State == lambda.Pending { // nothing runs from it
				return nil
			}
			if now.Serving != nil { // preparation knows the one to come by its deployment
				serving := *now.Serving
				serving.Deployment = c.NewID()
				now.Serving = &serving
			} else {
				now.Deployment = c.NewID()
			}
			tx.PutVersion(&now)
			done = true
			return nil
		})
		switch {
		case err != nil && ctx.Err() == nil:
			c.Logger.Error("hot reload", "function", id.Name, "dir", dir, "err", err)
		case done:
			c.Logger.Info("hot reload", "function", id.Name, "dir", dir)
		}
	}
}
