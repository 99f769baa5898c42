package worker

import (
	"time"

	"github.com/lambent-run/lambent/worker/environment"
	"github.com/lambent-run/lambent/worker/runtimeapi"
	"github.com/lambent-run/lambent/worker/sandbox"
)

// life is one set of processes of an environment, from their start to their end.
type life struct {
	env     *Environment
	box     sandbox.Sandbox
	api     *runtimeapi.Server
	out     *output
	started time.Time
	readyAt time.Time     // when initialisation ended; set before ready is closed
	ready   chan struct{} // closed when initialisation has ended, well or badly
	dead    chan struct{} // closed when no process is left
	over    chan struct{} // closed when nothing of the life is left

	// repeated tells that an invocation began this life, to repeat an
	// initialisation, and takes its first poll itself.
	repeated bool
}

// live starts the goroutines of a life around its processes. The caller holds a
// place in the host's wait group.
func (e *Environment) live(box sandbox.Sandbox, started time.Time, m environment.Machine, repeated bool) (*life, error) {
	l := &life{
		env: e, box: box, started: started, repeated: repeated,
		ready: make(chan struct{}), dead: make(chan struct{}), over: make(chan struct{}),
	}
	var err error
	if l.out, err = newOutput(box.Output(), e.log); err != nil {
		return nil, err
	}
	l.api = runtimeapi.New(m, l.perform)
	return l, nil
}

// run begins to serve the processes and waits until they have ended.
func (l *life) run() {
	h := l.env.host
	h.wg.Go(l.out.run)
	l.api.Serve(l.box.Listener())
	if c := l.box.Socket(); c != nil {
		l.api.Attach(c)
	}
	l.api.Watch(l.box.Done())
	<-l.over
}

// perform does what the environment's machine asks for.
func (l *life) perform(act environment.Action) {
	e := l.env
	if act.Has(environment.DoThaw) {
		e.freezing.Lock() // behind a freeze that is not done yet
		err := l.box.Thaw()
		e.freezing.Unlock()
		if err != nil {
			e.host.cfg.Logger.Error("thaw", "environment", e.name, "err", err)
			l.api.Kill()
		}
	}
	if act.Has(environment.DoFreeze) {
		e.freezeErr = l.box.Freeze() // Environment.Freeze holds freezing
	}
	if act.Has(environment.DoKill) {
		e.host.wg.Go(l.end) // run holds the wait group until it is over
	}
	if act.Has(environment.DoReady) {
		l.readyAt = time.Now()
		if l.repeated {
			act &^= environment.DoOffer
		}
		e.initialised(l, act.Has(environment.DoKill))
		close(l.ready)
	}
	if act.Has(environment.DoOffer) {
		e.owner.Idle(e)
	}
	if act.Has(environment.DoKill) && l.settled() {
		e.gone()
	}
}

// settled tells whether the end of this life is the end of the environment:
// not while a failed initialisation waits to be told to the first invocation.
func (l *life) settled() bool {
	e := l.env
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.life == l && e.broken == whole
}

// end kills the processes and takes down what served them.
func (l *life) end() {
	defer close(l.over)
	if err := l.box.Kill(0); err != nil {
		l.env.host.cfg.Logger.Error("kill", "environment", l.env.name, "err", err)
	}
	close(l.dead)
	l.api.Close()
	l.api.Wait()
	l.out.finish()
}

// awaitDeath waits a moment for the processes to be gone.
func (l *life) awaitDeath() {
	timer := time.NewTimer(killWait)
	defer timer.Stop()
	select {
	case <-l.dead:
	case <-timer.C:
	}
}
