package worker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/environment"
	"github.com/lambent-run/lambent/worker/runtimeapi"
	"github.com/lambent-run/lambent/worker/sandbox"
)

// errKilled is the error of an invocation whose environment its owner ended.
var errKilled = errors.New("the environment was ended while it ran the invocation")

const (
	// killWait is how long the answer to a failed invocation waits for the
	// processes to be dead, so that as a rule nothing runs on after it. It is part
	// of the 50 ms a timeout may be late.
	killWait = 40 * time.Millisecond
	// sampleEvery spares a busy environment from being measured at every
	// invocation; its peak of memory may be this old.
	sampleEvery = 100 * time.Millisecond
)

// breakage is what an environment whose initialisation failed owes its first
// invocation.
type breakage uint8

const (
	whole       breakage = iota
	reported             // the error that the runtime reported
	unfinished           // another try: it overran or exited without a report
	unstartable          // the fault that there is nothing to start
)

// Environment is one execution environment. Idle, Gone and Ready tell its owner
// what may be done with it.
type Environment struct {
	host          *Host
	version       *lambda.Version
	owner         Owner
	name          string // for the operator
	provisioned   bool
	group, stream string
	log           LogWriter
	lines         lines
	missing       *nothing // with unstartable

	ready    chan struct{}
	goneOnce sync.Once

	// freezing is held while processes are being stopped or let run, so that the
	// two happen in the order in which they were decided.
	freezing  sync.Mutex
	freezeErr error // of the last freeze; guarded by freezing

	mu     sync.Mutex // guards what follows
	life   *life      // nil while unstartable
	broken breakage
	failed bool // the last initialisation did
	killed bool

	// Owned by the caller of the invocation under way.
	warm    bool          // an invocation has been run
	init    time.Duration // for the first REPORT; written before ready is closed
	peak    int64         // bytes of memory
	sampled time.Time
}

// Start makes an environment of v and returns once its processes run;
// initialisation goes on. An error means that the host could not start it. That
// the function cannot be started, or fails to initialise, is no error here: its
// first invocation says so.
//
// A provisioned one is started ahead of need: it knows so from its environment,
// and its initialisation has more time (AWS Lambda developer guide,
// "Lambda execution environment lifecycle").
func (h *Host) Start(ctx context.Context, v *lambda.Version, owner Owner, provisioned bool) (*Environment, error) {
	var unique [16]byte
	rand.Read(unique[:])
	id := hex.EncodeToString(unique[:])
	now := time.Now()
	e := &Environment{
		host: h, version: v, owner: owner, lines: newLines(v),
		name:   v.ID.Name + "-" + v.Number + "-" + id[:12],
		group:  v.Logging.Group,
		stream: streamName(v, now.UTC().Format("2006/01/02"), id),
		ready:  make(chan struct{}),

		provisioned: provisioned,
	}
	initTimeout := lambda.InitTimeout
	if provisioned {
		initTimeout = max(lambda.ProvisionedInitTimeout, v.TimeoutDuration())
	}
	if e.group == "" {
		e.group = defaultGroup(v.ID)
	}
	e.log = h.cfg.Logs.Open(v.ID, e.group, e.stream)
	if err := h.keep(e); err != nil {
		return nil, err
	}
	l, err := e.boot(ctx, func(now time.Time) environment.Machine {
		return environment.New(now, initTimeout, v.TimeoutDuration())
	}, false)
	if errors.As(err, &e.missing) {
		e.mu.Lock()
		e.broken, e.failed = unstartable, true
		e.mu.Unlock()
		close(e.ready)
		return e, nil
	}
	if err == nil {
		err = e.begin(l, nil)
	}
	if err != nil {
		h.forget(e)
		return nil, fmt.Errorf("start %s: %w", e.name, err)
	}
	return e, nil
}

// boot starts processes in a blank sandbox.
func (e *Environment) boot(ctx context.Context, machine func(time.Time) environment.Machine, claimed bool) (*life, error) {
	cmd, err := e.host.cfg.Runtimes.Find(e.version.Runtime)
	if err != nil {
		return nil, err
	}
	spec, err := e.spec(ctx, cmd)
	if err != nil {
		return nil, err
	}
	box, started, err := e.enter(ctx, cmd, spec)
	if err != nil {
		return nil, err
	}
	l, err := e.live(box, started, machine(started), claimed)
	if err != nil {
		box.Kill(0)
		return nil, err
	}
	return l, nil
}

// enter starts what spec says, in a sandbox where cmd runs already if there is one.
func (e *Environment) enter(ctx context.Context, cmd Command, spec *sandbox.Spec) (box sandbox.Sandbox, started time.Time, err error) {
	vars := spec.Env
	try := func(b sandbox.Blank) error {
		spec.Env = append(slices.Clip(vars), "AWS_LAMBDA_RUNTIME_API="+b.API())
		started = time.Now()
		box, err = b.Start(ctx, spec)
		return err
	}
	if p := e.host.pool; p != nil && e.warmable(cmd, vars) {
		if b := p.take(cmd, time.Now()); b != nil {
			if try(b) == nil || ctx.Err() != nil {
				return box, started, err
			}
			e.host.cfg.Logger.Warn("a warm program could not be used", "environment", e.name, "err", err)
		}
	}
	blank, err := e.host.blank(ctx)
	if err != nil {
		return nil, started, err
	}
	err = try(blank)
	return box, started, err
}

// begin makes l the environment's life, which goes on with the log of before,
// and lets it run.
func (e *Environment) begin(l, before *life) error {
	phase := phaseInit
	if before != nil {
		phase = phaseInvoke
		l.out.adopt(before.out)
	}
	l.out.initStart(&e.lines, l.started, phase)
	e.mu.Lock()
	err := errKilled
	if !e.killed {
		if err = e.host.start(l.run); err == nil {
			e.life = l
		}
	}
	e.mu.Unlock()
	if err != nil {
		l.box.Kill(0)
		l.box.Output().Close()
		l.box.Listener().Close()
	}
	return err
}

// Version returns the version that the environment runs.
func (e *Environment) Version() *lambda.Version { return e.version }

// Ready is closed when initialisation has ended, well or badly.
func (e *Environment) Ready() <-chan struct{} { return e.ready }

// Broken tells, once Ready is closed, that initialisation did not succeed: no
// Idle has been called, and the first Invoke says what happened.
func (e *Environment) Broken() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

// initialised records how the initialisation of l ended.
func (e *Environment) initialised(l *life, failed bool) {
	phase, status, kind := phaseInit, statusSuccess, ""
	took := l.readyAt.Sub(l.started)
	if l.repeated {
		phase = phaseInvoke
	}
	owes := whole
	if failed {
		fault, end := l.api.InitFault(), l.api.End()
		switch {
		case fault != nil:
			owes, status, kind = reported, statusError, kindOf(fault, "Runtime.Unknown")
		case end == runtimeapi.TimedOut:
			owes, status = unfinished, statusTimeout
		case end == runtimeapi.Exited:
			owes, status, kind = unfinished, statusError, exitFault("", l.box.Exit()).Type
		default: // its owner ended it: nothing to report
			status = ""
		}
	}
	if status != "" {
		l.out.initReport(&e.lines, l.readyAt, phase, status, kind, took)
	}
	if !l.repeated {
		e.init = took
	}
	e.mu.Lock()
	e.failed = failed
	if !l.repeated {
		e.broken = owes
	}
	e.mu.Unlock()
	if !l.repeated {
		close(e.ready)
	}
}

// gone tells the owner, once.
func (e *Environment) gone() {
	e.goneOnce.Do(func() {
		e.host.forget(e)
		e.owner.Gone(e)
	})
}

// Freeze stops the processes if the environment is idle, until the next Invoke.
func (e *Environment) Freeze() error {
	if !e.host.freezes {
		return nil
	}
	e.mu.Lock()
	l := e.life
	e.mu.Unlock()
	if l == nil {
		return nil
	}
	e.freezing.Lock()
	defer e.freezing.Unlock()
	e.freezeErr = nil
	l.api.Freeze()
	return e.freezeErr
}

// Kill ends the environment and returns when no process is left. An invocation
// under way ends with an error. It may be called more than once.
func (e *Environment) Kill(reason string) {
	e.mu.Lock()
	l, owed := e.life, e.broken
	first := !e.killed
	e.killed, e.broken = true, whole
	e.mu.Unlock()
	if first {
		e.host.cfg.Logger.Debug("kill", "environment", e.name, "reason", reason)
	}
	if l != nil {
		l.api.Kill()
		<-l.dead
	}
	if owed != whole {
		e.gone()
	}
}

// Invoke runs one invocation and writes the answer to w. The caller has the
// environment to itself: one that was offered through Idle, or a broken one.
// ErrGone means that the event was not delivered. A function that failed is an
// Outcome with a Fault.
func (e *Environment) Invoke(inv *lambda.Invocation, w lambda.ResponseWriter) (lambda.Outcome, error) {
	<-e.ready
	e.mu.Lock()
	l, owed := e.life, e.broken
	e.broken = whole
	e.mu.Unlock()
	now := time.Now()
	if owed != whole {
		return e.first(inv, w, l, owed, now)
	}
	if l == nil || l.api.State() == environment.Gone { // or START would stand in a log that has ended
		return lambda.Outcome{}, ErrGone
	}
	l.out.start(&e.lines, now, inv)
	return e.run(inv, w, l, now)
}

// run has l answer inv, whose START line has been written; began is when its
// time began.
func (e *Environment) run(inv *lambda.Invocation, w lambda.ResponseWriter, l *life, began time.Time) (lambda.Outcome, error) {
	var a runtimeapi.Answer
	if err := l.api.Invoke(inv, w, &a); err != nil {
		return lambda.Outcome{}, err
	}
	if !l.repeated {
		began = a.Started
	}
	r := report{id: inv.RequestID, took: a.Ended.Sub(began), status: statusSuccess}
	fault := a.Fault
	switch a.End {
	case runtimeapi.Answered:
		if fault != nil {
			r.status, r.kind = statusError, kindOf(fault, "Function.Unknown")
			r.announced = r.kind == fault.Type
		}
	case runtimeapi.TimedOut:
		fault = timeoutFault(inv.RequestID, e.version.TimeoutDuration())
		r.took = e.version.TimeoutDuration()
		r.status, r.announced = statusTimeout, true
	case runtimeapi.Exited:
		fault = exitFault(inv.RequestID, l.box.Exit())
		r.status, r.kind, r.announced = statusError, fault.Type, true
	case runtimeapi.Truncated:
		fault = truncatedFault(inv.RequestID)
		r.status, r.kind, r.announced = statusError, fault.Type, true
	case runtimeapi.Killed:
		r.status, r.kind, r.announced = statusError, "Sandbox.Failure", true
	}
	if a.End != runtimeapi.Answered {
		l.awaitDeath()
	}
	out := e.settle(inv, l.out, l, &r)
	out.Fault = fault
	l.api.Finish() // from here on, other invocations may run
	a.Pass(w)
	if a.End == runtimeapi.Killed {
		return lambda.Outcome{}, errKilled
	}
	return out, nil
}

// settle writes END and REPORT and returns what is known of the outcome.
func (e *Environment) settle(inv *lambda.Invocation, o *output, l *life, r *report) lambda.Outcome {
	now := time.Now()
	out := lambda.Outcome{ExecutedVersion: e.version.Number, Duration: r.took, Cold: !e.warm}
	if !e.warm {
		e.warm = true
		if l != nil && !l.repeated && !e.Broken() {
			r.init = e.init
		}
	}
	if l != nil && now.Sub(e.sampled) >= sampleEvery {
		if stats, err := l.box.Stats(); err == nil {
			e.peak, e.sampled = stats.MemoryPeak, now
		}
	}
	r.memory = e.peak
	out.LogTail = o.end(&e.lines, now, r)
	return out
}

// first runs the first invocation of an environment whose initialisation failed.
func (e *Environment) first(inv *lambda.Invocation, w lambda.ResponseWriter, l *life, owed breakage, began time.Time) (lambda.Outcome, error) {
	if owed != unfinished {
		defer e.gone()
		o, fault := new(output), (*lambda.Fault)(nil)
		if owed == unstartable {
			o.ended, o.log = true, e.log
			fault = faultOf(e.missing.kind, inv.RequestID, e.missing.message)
		} else {
			o, fault = l.out, l.api.InitFault()
		}
		o.start(&e.lines, began, inv)
		out := e.settle(inv, o, l, &report{id: inv.RequestID, took: time.Since(began),
			status: statusError, kind: kindOf(fault, "Runtime.Unknown"), announced: true})
		out.Fault = fault
		return out, nil
	}

	<-l.over // it has been killed; its log must be whole before the next life writes to it
	l.out.start(&e.lines, began, inv)
	timeout := e.version.TimeoutDuration()
	ctx, cancel := context.WithDeadline(context.Background(), began.Add(timeout))
	defer cancel()
	again, err := e.boot(ctx, func(time.Time) environment.Machine { return environment.Repeat(began, timeout) }, true)
	if err == nil {
		err = e.begin(again, l)
	}
	if err != nil {
		e.gone()
		return lambda.Outcome{}, fmt.Errorf("start %s again: %w", e.name, err)
	}
	<-again.ready
	r := report{id: inv.RequestID, status: statusError, announced: true}
	var fault *lambda.Fault
	switch end := again.api.End(); {
	case again.api.State() != environment.Gone:
		return e.run(inv, w, again, began)
	case again.api.InitFault() != nil:
		fault = again.api.InitFault()
		r.kind = kindOf(fault, "Runtime.Unknown")
	case end == runtimeapi.TimedOut:
		fault = timeoutFault(inv.RequestID, timeout)
		r.status = statusTimeout
	case end == runtimeapi.Exited:
		fault = exitFault(inv.RequestID, again.box.Exit())
		r.kind = fault.Type
	}
	again.awaitDeath()
	if r.took = time.Since(began); r.status == statusTimeout {
		r.took = timeout
	}
	out := e.settle(inv, again.out, again, &r)
	if fault == nil {
		return lambda.Outcome{}, errKilled
	}
	out.Fault = fault
	return out, nil
}
