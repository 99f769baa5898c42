package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

// Run keeps the fleet until ctx ends, then kills every environment and waits
// for what it started. Invocations must have ended before: the doors stop first.
func (f *Fleet) Run(ctx context.Context) error {
	changed := make(chan []lambda.FunctionID)
	watching := make(chan struct{})
	go func() { // ends with ctx, and is waited for below
		defer close(watching)
		defer close(changed)
		w := f.cfg.Catalog.Watch()
		defer w.Close()
		for {
			ids, err := w.Next(ctx)
			if err != nil {
				return
			}
			select {
			case changed <- ids:
			case <-ctx.Done():
				return
			}
		}
	}()

	freeze := time.NewTimer(f.cfg.FreezeAfter)
	freeze.Stop()
	asleep := true // no freeze is due
	reap := time.NewTicker(max(f.cfg.KeepAlive/20, time.Second))
	defer reap.Stop()
	for e := range f.cfg.Catalog.All {
		f.provision(e.Function.ID)
	}
	for {
		select {
		case <-ctx.Done():
			<-watching
			f.close()
			return nil
		case <-f.nudge:
			if asleep {
				asleep = false
				freeze.Reset(f.cfg.FreezeAfter)
			}
		case now := <-freeze.C:
			if next, more := f.freeze(now); more {
				freeze.Reset(max(next.Sub(now), f.cfg.FreezeAfter/4))
			} else {
				asleep = true
			}
		case now := <-reap.C:
			f.reap(now)
		case ids, ok := <-changed:
			if !ok {
				changed = nil
				continue
			}
			for _, id := range ids {
				f.retire(id)
				f.provision(id)
			}
		case <-f.lack:
			for id := range f.lacking() {
				f.provision(id)
			}
		}
	}
}

// freeze stops the processes of what has been idle for FreezeAfter, and returns
// when the next one is due.
func (f *Fleet) freeze(now time.Time) (next time.Time, more bool) {
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.RLock()
		pools := make([]*pool, 0, len(s.awake))
		for p := range s.awake {
			pools = append(pools, p)
		}
		s.mu.RUnlock()
		for _, p := range pools {
			var due []Environment
			awake := false
			p.mu.Lock()
			for _, l := range p.idle {
				if l.frozen {
					continue
				}
				if at := l.since.Add(f.cfg.FreezeAfter); at.After(now) {
					awake = true
					if !more || at.Before(next) {
						next, more = at, true
					}
					continue
				}
				l.frozen = true
				due = append(due, l.env)
			}
			if !awake {
				p.awake = false
			}
			p.mu.Unlock()
			// Outside the lock: an invocation that takes one of these meanwhile
			// thaws it again, and Freeze leaves a busy one alone.
			for _, env := range due {
				if err := env.Freeze(); err != nil {
					f.cfg.Logger.Warn("freeze", "function", p.key.id.Name, "err", err)
				}
			}
			if !awake {
				s.mu.Lock()
				p.mu.Lock()
				if !p.awake { // none became idle since
					delete(s.awake, p)
				}
				p.mu.Unlock()
				s.mu.Unlock()
			}
		}
	}
	return next, more
}

// reap ends what has been idle for KeepAlive, oldest first, and drops pools
// that hold nothing.
func (f *Fleet) reap(now time.Time) {
	for p := range f.each {
		var old []Environment
		p.mu.Lock()
		kept := p.idle[:0]
		for _, l := range p.idle {
			if p.wanted == 0 && now.Sub(l.since) >= f.cfg.KeepAlive {
				old = append(old, l.env)
			} else {
				kept = append(kept, l)
			}
		}
		clear(p.idle[len(kept):])
		p.idle = kept
		empty := len(p.leases) == 0 && len(p.waiting) == 0 && p.wanted == 0 && p.starting == 0
		if empty {
			p.retired = true
		}
		p.mu.Unlock()
		for _, env := range old {
			f.kill(env, "spindown")
		}
		if empty {
			p.forget()
		}
	}
}

// retire ends the environments of a function that no version of it runs any
// more. One that is busy finishes its invocation first.
func (f *Fleet) retire(id lambda.FunctionID) {
	runs := map[key]bool{}
	if e := f.cfg.Catalog.Get(id); e != nil {
		for number, v := range e.Versions {
			runs[key{id, number, v.Runs().Deployment, ""}] = true
		}
		for k := range provisioned(e) {
			runs[k] = true
		}
	}
	s := f.shard(id.Name)
	if f.cfg.Catalog.Get(id) == nil {
		s.pacing.Lock()
		delete(s.paces, id)
		s.pacing.Unlock()
	}
	var retired []*pool
	s.mu.Lock()
	for k, p := range s.pools {
		if k.id == id && !runs[k] {
			retired = append(retired, p)
			delete(s.pools, k)
			delete(s.awake, p)
		}
	}
	s.mu.Unlock()
	for _, p := range retired {
		p.empty("replaced by an update")
	}
}

// empty retires the pool and ends what is idle in it.
func (p *pool) empty(reason string) {
	p.mu.Lock()
	p.retired, p.wanted = true, 0
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, l := range idle {
		p.fleet.kill(l.env, reason)
	}
}

// close refuses further starts and ends every environment.
func (f *Fleet) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	var kills sync.WaitGroup
	for p := range f.each {
		p.mu.Lock()
		p.retired, p.wanted = true, 0
		envs := make([]Environment, 0, len(p.leases))
		for l := range p.leases {
			if l.env != nil {
				envs = append(envs, l.env)
			}
		}
		p.mu.Unlock()
		p.forget()
		for _, env := range envs {
			kills.Go(func() { env.Kill("shutdown") })
		}
	}
	kills.Wait()
	f.starts.Wait()
}
