package worker

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
)

const (
	// warmFor is how long after its last start a runtime counts as in use.
	warmFor = 10 * time.Minute
	// recent is how far back starts count for how many are expected at once.
	recent = 10 * time.Second
	// warmWithin bounds how long a program takes until it waits; it runs when
	// nothing else wants the CPU.
	warmWithin = 30 * time.Second
	// coolOff is how long nothing is warmed of what could not be.
	coolOff = 30 * time.Second
)

// pool keeps programs of the runtimes in use running, each in a sandbox of its
// own, until a function needs one: most of a cold start is the interpreter's. A
// program knows nothing of any function before it is taken, and is taken once. No
// start waits for the pool: if it is empty, the start goes the long way.
type pool struct {
	limit   int           // programs of one runtime
	changed chan struct{} // holds a token when there may be something to do

	mu    sync.Mutex // guards what follows
	kinds map[string]*kind
}

// kind is the programs of one runtime.
type kind struct {
	cmd    Command
	ready  []sandbox.Blank
	starts []time.Time // the last ones, no more than the pool's limit
	failed time.Time   // when one could not be warmed
}

func newPool(limit int) *pool {
	return &pool{limit: limit, changed: make(chan struct{}, 1), kinds: map[string]*kind{}}
}

// expected is how many programs to keep, given the last starts: one while the
// runtime is in use, and as many again as were started a moment ago.
func expected(now time.Time, starts []time.Time, limit int) int {
	if len(starts) == 0 || now.Sub(starts[len(starts)-1]) > warmFor {
		return 0
	}
	n := 1
	for _, s := range starts {
		if now.Sub(s) <= recent {
			n++
		}
	}
	return min(n, limit)
}

// take hands out a program that runs cmd, or nil if there is none, and counts the
// start.
func (p *pool) take(cmd Command, now time.Time) (b sandbox.Blank) {
	id := fmt.Sprintf("%q", []any{cmd.Argv, cmd.Env, cmd.Binds})
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.kinds[id]
	if k == nil {
		k = &kind{cmd: cmd}
		p.kinds[id] = k
	}
	if k.starts = append(k.starts, now); len(k.starts) > p.limit {
		k.starts = k.starts[1:]
	}
	if n := len(k.ready); n > 0 {
		b = k.ready[n-1]
		k.ready = k.ready[:n-1]
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return b
}

// due tells what to do now: warm one of a kind, or discard what is too many, or
// neither before some time has passed.
func (p *pool) due(now time.Time) (next *kind, surplus []sandbox.Blank, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait = warmFor
	for id, k := range p.kinds {
		want := expected(now, k.starts, p.limit)
		switch have := len(k.ready); {
		case have < want && now.Sub(k.failed) < coolOff:
			wait = min(wait, coolOff)
		case have < want && (next == nil || have < len(next.ready)):
			next = k
		case have > want:
			// Those that a burst left over are kept until the runtime is idle: they
			// are there already, and cost no CPU.
			if want == 0 {
				surplus = append(surplus, k.ready...)
				delete(p.kinds, id)
			}
		}
	}
	return next, surplus, wait
}

// add makes a warm program available.
func (p *pool) add(k *kind, b sandbox.Blank) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.ready = append(k.ready, b)
}

// fail remembers that one of the kind could not be warmed.
func (p *pool) fail(k *kind, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.failed = now
}

// empty takes everything out.
func (p *pool) empty() (all []sandbox.Blank) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kinds {
		all = append(all, k.ready...)
	}
	p.kinds = map[string]*kind{}
	return all
}

// warm keeps the pool filled, one program at a time, until ctx ends, and empties
// it then.
func (h *Host) warm(ctx context.Context) {
	for ctx.Err() == nil {
		k, surplus, wait := h.pool.due(time.Now())
		for _, b := range surplus {
			h.discard(b)
		}
		if k != nil {
			b, err := h.warmed(ctx, k.cmd)
			switch {
			case err == nil:
				h.pool.add(k, b)
			case ctx.Err() == nil:
				h.cfg.Logger.Warn("start a runtime ahead of need", "err", err)
				h.pool.fail(k, time.Now())
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-h.pool.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
	for _, b := range h.pool.empty() {
		h.discard(b)
	}
}

// warmed starts cmd in a blank of its own, so that starts find theirs.
func (h *Host) warmed(ctx context.Context, cmd Command) (sandbox.Blank, error) {
	ctx, cancel := context.WithTimeout(ctx, warmWithin)
	defer cancel()
	b, err := h.cfg.Driver.Prepare(ctx)
	if err != nil {
		return nil, err
	}
	vars := early(cmd)
	vars.add(cmd.Warm)
	err = b.Warm(ctx, &sandbox.Spec{
		Name: "warm-" + filepath.Base(cmd.Argv[0]),
		Argv: cmd.Argv, Env: vars.pairs, Dir: "/", Binds: cmd.Binds, Pids: pids, Socket: true,
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// early are the variables that a warm program is started with.
func early(cmd Command) vars {
	list := common(cmd)
	list.set("TZ", timezone)
	return list
}

// warmable tells whether the environment can do with a program that cmd has started
// for nobody: one that is to be started in another way, or by other variables of
// those that the program has read by then, cannot. One that is provisioned leaves
// the programs to those who wait.
func (e *Environment) warmable(cmd Command, env []string) bool {
	if len(cmd.Warm) == 0 || !cmd.Socket || e.wrapper() != "" || e.provisioned {
		return false
	}
	given := early(cmd).pairs
	for _, v := range env {
		read := slices.ContainsFunc(cmd.Early, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
		if read && !slices.Contains(given, v) {
			return false
		}
	}
	return true
}
