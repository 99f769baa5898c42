// Package fleet knows which execution environments are warm, who gets one, and
// when to start, freeze or reap one.
//
// Package invoke borrows from it; package worker makes what it holds. Idle
// environments of a version are a stack: the one used last is used next, so
// that the ones nobody needs grow old and are reaped. An invocation that finds
// none idle takes whichever comes first, one that another invocation gives back
// or one that is being started; a start that loses that race is kept warm. No
// more are started than invocations wait.
//
// What is provisioned for a version or an alias is a pool of its own, which the
// fleet keeps as large as was asked for: started before any invocation, replaced
// when one dies, never reaped (provision.go).
//
// There is no lock shared by all functions: pools are kept in shards, and each
// has a lock of its own. Run is the one long-lived goroutine: it freezes what
// has been idle for a moment, reaps what has been idle for long, and retires
// the environments of a version that the catalog no longer runs. Starts run in
// goroutines that Run waits for.
package fleet

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// Environment is one execution environment, as the fleet sees it.
type Environment interface {
	// Ready is closed when initialisation has ended, well or badly.
	Ready() <-chan struct{}
	// Broken tells, once Ready is closed, that initialisation did not succeed:
	// no Idle will follow, and the first Invoke says what happened.
	Broken() bool
	// Invoke runs one invocation. See worker.Environment.
	Invoke(*lambda.Invocation, lambda.ResponseWriter) (lambda.Outcome, error)
	// Freeze stops the processes of an idle environment until the next Invoke.
	// It does nothing to one that is not idle.
	Freeze() error
	// Kill ends it. The reason is for the log.
	Kill(reason string)
}

// Owner hears what becomes of an environment. Idle says that it can take an
// invocation: after initialisation, and after each invocation that left it
// usable. Gone says that it never will again; it is called once.
type Owner interface {
	Idle(Environment)
	Gone(Environment)
}

// Host starts environments. It returns once the processes run; initialisation
// goes on. Owner may be called before Start returns.
type Host interface {
	Start(ctx context.Context, v *lambda.Version, owner Owner, provisioned bool) (Environment, error)
}

// Config is what a fleet needs. Zero durations take the defaults.
type Config struct {
	Host    Host
	Catalog *catalog.Catalog
	Logger  *slog.Logger

	// FreezeAfter is how long an environment stays idle before its processes are
	// stopped (default 100 ms). Freezing at once would cost every invocation of a
	// busy function a freeze and a thaw, about 0.1 ms of CPU together.
	FreezeAfter time.Duration
	// KeepAlive is how long an idle environment is kept (default 10 minutes).
	KeepAlive time.Duration
	// ScalingRate is how many environments a function may start in ten seconds,
	// of which as many may come at once (AWS: 1,000). 0 is no bound.
	ScalingRate int
}

// Fleet holds the environments of one server.
type Fleet struct {
	cfg    Config
	seed   maphash.Seed
	shards [64]shard
	nudge  chan struct{} // buffered 1: an environment became idle while Run slept
	lack   chan struct{} // buffered 1: short is not empty
	starts sync.WaitGroup
	ahead  chan struct{} // a slot for each provisioned environment under way

	mu     sync.Mutex // guards what follows
	closed bool
	short  map[lambda.FunctionID]struct{} // functions whose provisioned pools are to be looked at
}

// shard holds the pools of some functions. mu guards pools and awake.
type shard struct {
	mu    sync.RWMutex
	pools map[key]*pool
	awake map[*pool]struct{} // pools with an idle environment that is not frozen

	pacing sync.Mutex // guards paces; a pool's mu may be held
	paces  map[lambda.FunctionID]*pace
}

// key says which environments may serve which invocations: never those of
// another version, nor those made before an update.
type key struct {
	id         lambda.FunctionID
	number     string
	deployment string
	// qualifier is "" for environments that are started on demand, and else the
	// version or alias that they are provisioned for.
	qualifier string
}

// pool holds the environments of one deployment of one version. mu guards all
// but the identity.
type pool struct {
	fleet   *Fleet
	shard   *shard
	key     key
	version *lambda.Version

	mu      sync.Mutex
	idle    []*lease // a stack
	waiting []*waiter
	leases  map[*lease]struct{}
	awake   bool // in shard.awake
	retired bool
	// returning counts the leases that have answered and are not idle yet.
	returning int
	starting  int // environments on their way

	// Of a provisioned pool:
	wanted int       // how many environments it is to have
	ready  int       // how many it has that are initialised
	failed bool      // the last start did not come to a good end
	tries  int       // starts in a row that did not
	retry  time.Time // when the next one may be; zero for now
}

// lease is the fleet's knowledge of one environment. Its fields are guarded by
// the pool's mu.
type lease struct {
	pool      *pool
	env       Environment // nil until the first of Start's return and Idle; then it stays
	since     time.Time   // idle since
	frozen    bool
	turn      uint64 // counts its being idle: tells one loan of it from the next
	returning bool   // has answered, and will be idle when its runtime polls again
	gone      bool
	ready     bool // counted in pool.ready
	starting  bool // counted in pool.starting, even if it is ready by now
}

// Loan is the right to run one invocation in an environment.
type Loan struct {
	env  Environment
	l    *lease // nil for an environment whose initialisation failed
	turn uint64
	Cold bool // the environment was started for this
}

// Invoke runs the invocation. The environment gives itself back.
func (b *Loan) Invoke(inv *lambda.Invocation, w lambda.ResponseWriter) (lambda.Outcome, error) {
	out, err := b.env.Invoke(inv, w)
	if b.l == nil {
		return out, err
	}
	p := b.l.pool
	p.mu.Lock()
	if b.l.turn == b.turn && !b.l.returning { // not idle yet
		if _, lives := p.leases[b.l]; lives {
			b.l.returning = true
			p.returning++
		}
	}
	p.mu.Unlock()
	return out, err
}

// waiter is an invocation that waits for an environment. got is buffered, so
// that giving never blocks.
type waiter struct {
	got  chan given
	asks bool // for one to be started; guarded by the pool's mu
}

type given struct {
	loan Loan
	err  error
}

// New makes a fleet. It starts nothing; see Run.
func New(cfg Config) *Fleet {
	if cfg.FreezeAfter == 0 {
		cfg.FreezeAfter = 100 * time.Millisecond
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = 10 * time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{cfg: cfg, seed: maphash.MakeSeed(), nudge: make(chan struct{}, 1),
		lack: make(chan struct{}, 1), ahead: make(chan struct{}, aheadAtOnce), short: map[lambda.FunctionID]struct{}{}}
	for i := range f.shards {
		f.shards[i].pools = map[key]*pool{}
		f.shards[i].awake = map[*pool]struct{}{}
		f.shards[i].paces = map[lambda.FunctionID]*pace{}
	}
	return f
}

func (f *Fleet) shard(name string) *shard {
	return &f.shards[maphash.String(f.seed, name)%uint64(len(f.shards))]
}

// pool returns the pool of a version for a qualifier ("" for on demand), and
// makes it if need be.
func (f *Fleet) pool(v *lambda.Version, qualifier string) *pool {
	k := key{v.ID, v.Number, v.Deployment, qualifier}
	s := f.shard(v.ID.Name)
	s.mu.RLock()
	p := s.pools[k]
	s.mu.RUnlock()
	if p != nil {
		return p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p = s.pools[k]; p == nil {
		p = &pool{fleet: f, shard: s, key: k, version: v, leases: map[*lease]struct{}{}}
		s.pools[k] = p
	}
	return p
}

// returnGrace is how long an invocation waits for an environment that has just
// answered before another one is started for it. Official runtime clients poll
// again about 0.1 ms after their answer; a caller who sends one invocation right
// after another would else have two environments.
const returnGrace = 2 * time.Millisecond

// Borrow returns the loan of an environment of v for one invocation. It waits
// for one to come free or to be ready. When ctx ends first, a start under way
// goes on and its environment is kept. It is throttled if the function has
// started as many environments as the scaling rate allows.
func (f *Fleet) Borrow(ctx context.Context, v *lambda.Version) (Loan, error) {
	for {
		p := f.pool(v, "")
		p.mu.Lock()
		if p.retired { // it was emptied between the look-up and the lock
			p.mu.Unlock()
			p.forget()
			continue
		}
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
		soon := p.returning >= len(p.waiting)
		p.mu.Unlock()

		if soon {
			timer := time.NewTimer(returnGrace)
			select {
			case g := <-w.got:
				timer.Stop()
				return g.loan, g.err
			case <-timer.C:
			}
		}
		p.mu.Lock()
		w.asks = true
		p.mu.Unlock()
		p.startEnough()
		select {
		case g := <-w.got:
			return g.loan, g.err
		case <-ctx.Done():
			if !p.leave(w) { // likewise
				if g := <-w.got; g.err == nil {
					g.loan.giveBack()
				}
			}
			return Loan{}, context.Cause(ctx)
		}
	}
}

// startEnough starts environments until as many are on their way as invocations
// ask for: those that wait, but not for one that is about to be idle again. None
// is started for an invocation alone: whichever becomes ready serves whoever has
// waited longest, and so does one that is given back.
//
// Those that the scaling rate does not allow are not waited for: as many
// invocations are throttled, those that came last.
func (p *pool) startEnough() {
	p.mu.Lock()
	n := -p.starting
	for _, w := range p.waiting {
		if w.asks {
			n++
		}
	}
	n = max(n, 0)
	allowed := p.fleet.allow(p.key.id, n)
	p.starting += allowed
	for i := len(p.waiting) - 1; i >= 0 && n > allowed; i-- {
		if w := p.waiting[i]; w.asks {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			w.got <- given{err: &lambda.Error{Code: lambda.TooManyRequests, Reason: "ConcurrentInvocationLimitExceeded",
				Message: "Rate Exceeded.", After: time.Second}}
			n--
		}
	}
	p.mu.Unlock()
	for range allowed {
		p.fleet.start(p)
	}
}

// allow tells how many of n environments a function may start now.
func (f *Fleet) allow(id lambda.FunctionID, n int) int {
	if f.cfg.ScalingRate == 0 || n == 0 {
		return n
	}
	s := f.shard(id.Name)
	s.pacing.Lock()
	defer s.pacing.Unlock()
	p := s.paces[id]
	if p == nil {
		p = new(pace)
		s.paces[id] = p
	}
	return p.take(time.Now(), n, f.cfg.ScalingRate)
}

// pace bounds the environments that a function starts: what may come in ten
// seconds may come at once, and refills evenly. The zero value is full.
type pace struct {
	used float64
	at   time.Time
}

// take tells how many of n may start at now, with so many in ten seconds.
func (p *pace) take(now time.Time, n, rate int) int {
	p.used = max(0, p.used-now.Sub(p.at).Seconds()*float64(rate)/10)
	p.at = now
	n = max(0, min(n, rate-int(p.used+0.999999)))
	p.used += float64(n)
	return n
}

// start begins an environment in a goroutine of its own.
func (f *Fleet) start(p *pool) {
	f.mu.Lock()
	closed := f.closed
	if !closed {
		f.starts.Go(func() {
			l := &lease{pool: p, starting: true}
			if p.key.qualifier != "" { // they wait for each other, not for invocations
				f.ahead <- struct{}{}
				defer func() { <-f.ahead }()
			}
			env, err := f.cfg.Host.Start(context.Background(), p.version, l, p.key.qualifier != "")
			if err != nil {
				p.started(l, given{err: err}, true)
				return
			}
			p.mu.Lock()
			if !l.gone {
				l.env = env
				p.leases[l] = struct{}{}
			}
			p.mu.Unlock()
			<-env.Ready()
			// Unless it is broken, Idle has been or will be called, and gives it to
			// whoever waits.
			p.started(l, given{loan: Loan{env: env, Cold: true}}, env.Broken())
		})
	}
	f.mu.Unlock()
	if closed {
		p.started(&lease{pool: p}, given{err: &lambda.Error{Code: lambda.Service, Message: "The server is shutting down."}}, true)
	}
}

// started notes that a start has come to its end. What failed is for the
// invocation that has waited longest; if none waits, nobody needs to hear of it.
func (p *pool) started(l *lease, g given, failed bool) {
	var w *waiter
	p.mu.Lock()
	p.starting--
	l.starting = false
	p.note(failed)
	if failed && len(p.waiting) > 0 {
		w = p.waiting[0]
		p.waiting = append(p.waiting[:0], p.waiting[1:]...)
	}
	p.mu.Unlock()
	switch {
	case w != nil:
		w.got <- g
	case failed && g.err == nil:
		g.loan.env.Kill("initialisation failed")
	}
	if p.key.qualifier == "" {
		p.startEnough()
	} else { // it may have failed, or have died in the meantime
		p.fleet.look(p.key.id)
	}
}

// leave takes w off the waiting list and tells whether it was still there.
func (p *pool) leave(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.waiting {
		if x == w {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// giveBack returns an environment that was lent to a caller who had gone.
func (b *Loan) giveBack() {
	if b.l == nil {
		b.env.Kill("initialisation failed")
		return
	}
	b.l.Idle(b.env)
}

// Idle is called by the worker whenever the environment can take an invocation.
func (l *lease) Idle(env Environment) {
	p := l.pool
	p.mu.Lock()
	fresh := l.since.IsZero()
	if l.env == nil {
		l.env = env
		p.leases[l] = struct{}{}
	}
	l.turn++
	if l.returning {
		l.returning = false
		p.returning--
	}
	l.since, l.frozen = time.Now(), false
	if !l.ready {
		l.ready = true
		p.ready++
	}
	if len(p.waiting) > 0 { // also in a retired pool: they came before the update
		w, turn := p.waiting[0], l.turn
		p.waiting = append(p.waiting[:0], p.waiting[1:]...)
		p.mu.Unlock()
		w.got <- given{loan: Loan{env, l, turn, fresh}}
		return
	}
	if p.retired {
		p.mu.Unlock()
		p.fleet.kill(env, "replaced by an update")
		return
	}
	p.idle = append(p.idle, l)
	wake := !p.awake
	p.awake = true
	p.mu.Unlock()
	if wake {
		p.shard.mu.Lock()
		p.shard.awake[p] = struct{}{}
		p.shard.mu.Unlock()
		select {
		case p.fleet.nudge <- struct{}{}:
		default:
		}
	}
}

// Gone is called by the worker, once, when the environment has ended.
func (l *lease) Gone(Environment) {
	p := l.pool
	p.mu.Lock()
	l.gone = true
	delete(p.leases, l)
	if l.ready {
		l.ready = false
		p.ready--
	}
	lacks := p.wanted > 0 && !p.retired
	if l.returning {
		l.returning = false
		p.returning--
	}
	for i, x := range p.idle {
		if x == l {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			break
		}
	}
	p.mu.Unlock()
	if lacks {
		p.fleet.look(p.key.id)
	}
}

// kill ends an environment without making the caller wait for its processes.
func (f *Fleet) kill(env Environment, reason string) {
	f.mu.Lock()
	closed := f.closed
	if !closed {
		f.starts.Go(func() { env.Kill(reason) })
	}
	f.mu.Unlock()
	if closed { // a goroutine begun now would have no owner
		env.Kill(reason)
	}
}

// Count returns how many environments exist, and how many of them are idle.
func (f *Fleet) Count() (all, idle int) {
	for p := range f.each {
		p.mu.Lock()
		all += len(p.leases)
		idle += len(p.idle)
		p.mu.Unlock()
	}
	return all, idle
}

// each yields every pool, holding no lock while it does.
func (f *Fleet) each(yield func(*pool) bool) {
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.RLock()
		pools := make([]*pool, 0, len(s.pools))
		for _, p := range s.pools {
			pools = append(pools, p)
		}
		s.mu.RUnlock()
		for _, p := range pools {
			if !yield(p) {
				return
			}
		}
	}
}

// forget takes the pool out of the map, so that the next look-up makes a new one.
func (p *pool) forget() {
	p.shard.mu.Lock()
	if p.shard.pools[p.key] == p {
		delete(p.shard.pools, p.key)
	}
	delete(p.shard.awake, p)
	p.shard.mu.Unlock()
}
