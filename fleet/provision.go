package fleet

import (
	"context"
	"time"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

const (
	// aheadAtOnce bounds the provisioned environments that are started at once, so
	// that a large request does not take the CPU that invocations need.
	aheadAtOnce = 4
	// A start that fails is tried again by the platform, not by invocations, after
	// a second, and twice that each time, up to a minute.
	retryFirst = time.Second
	retryMost  = time.Minute
	// spillGrace is how long an invocation that was admitted to a provisioned
	// environment waits for it: one that has answered is about to be idle again,
	// and one that has died is being replaced. Then it runs on demand.
	spillGrace = 5 * time.Millisecond
)

// provisioned are the pools that a function asks for, with their sizes: one for
// each qualifier, of the version that it leads to.
func provisioned(e *catalog.Entry) map[key]int {
	pools := map[key]int{}
	for qualifier, s := range e.Settings {
		if s.Provisioned == nil {
			continue
		}
		if v := e.Version(qualifier); v != nil && v.State == lambda.Active {
			pools[key{v.ID, v.Number, v.Runs().Deployment, qualifier}] = s.Provisioned.Requested
		}
	}
	return pools
}

// look has Run look at a function's provisioned pools.
func (f *Fleet) look(id lambda.FunctionID) {
	f.mu.Lock()
	f.short[id] = struct{}{}
	f.mu.Unlock()
	select {
	case f.lack <- struct{}{}:
	default:
	}
}

// lacking takes the functions whose provisioned pools are to be looked at.
func (f *Fleet) lacking() map[lambda.FunctionID]struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := f.short
	f.short = map[lambda.FunctionID]struct{}{}
	return ids
}

// provision makes a function's provisioned pools as large as was asked for. It
// belongs to Run.
func (f *Fleet) provision(id lambda.FunctionID) {
	e := f.cfg.Catalog.Get(id)
	if e == nil {
		return
	}
	for k, n := range provisioned(e) {
		p := f.pool(e.Version(k.qualifier).Runs(), k.qualifier)
		now := time.Now()
		var surplus []Environment
		p.mu.Lock()
		p.wanted = n
		missing := n - p.starting
		for l := range p.leases {
			if !l.starting {
				missing--
			}
		}
		if wait := p.retry.Sub(now); wait > 0 && missing > 0 {
			missing = 0
			time.AfterFunc(wait, func() { f.look(id) })
		}
		for missing < 0 && len(p.idle) > 0 { // busy ones end when they are idle, by the next look
			last := len(p.idle) - 1
			l := p.idle[last]
			p.idle = p.idle[:last]
			// It counts no more from now on: the next look must not end others for it.
			delete(p.leases, l)
			l.ready = false
			p.ready--
			surplus = append(surplus, l.env)
			missing++
		}
		p.starting += max(missing, 0)
		p.mu.Unlock()
		for _, env := range surplus {
			f.kill(env, "spindown")
		}
		for range missing {
			f.start(p)
		}
	}
}

// note records how a start of a provisioned environment went. Its caller holds mu.
func (p *pool) note(failed bool) {
	if p.key.qualifier == "" {
		return
	}
	p.failed = failed
	if !failed {
		p.tries, p.retry = 0, time.Time{}
		return
	}
	p.retry = time.Now().Add(min(retryFirst<<min(p.tries, 10), retryMost))
	p.tries++
}

// Provisioned tells how many environments that are provisioned for a qualifier
// of v are initialised, and whether the last start of one failed.
func (f *Fleet) Provisioned(v *lambda.Version, qualifier string) (ready int, failed bool) {
	s := f.shard(v.ID.Name)
	s.mu.RLock()
	p := s.pools[key{v.ID, v.Number, v.Deployment, qualifier}]
	s.mu.RUnlock()
	if p == nil {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready, p.failed
}

// BorrowProvisioned is Borrow of an environment that is provisioned for a
// qualifier, and Borrow itself if none comes free in a moment.
func (f *Fleet) BorrowProvisioned(ctx context.Context, v *lambda.Version, qualifier string) (Loan, error) {
	p := f.pool(v, qualifier)
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		l := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		l.frozen = false
		loan := Loan{l.env, l, l.turn, false}
		p.mu.Unlock()
		return loan, nil
	}
	w := &waiter{got: make(chan given, 1)}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()
	timer := time.NewTimer(spillGrace)
	defer timer.Stop()
	select {
	case g := <-w.got:
		return g.loan, g.err
	case <-timer.C:
	}
	if !p.leave(w) { // it was given one at the last moment
		g := <-w.got
		return g.loan, g.err
	}
	return f.Borrow(ctx, v)
}
