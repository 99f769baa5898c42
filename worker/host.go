package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/runtimeapi"
	"github.com/lambent-run/lambent/worker/sandbox"
)

// ErrGone is the error of an invocation whose environment ended before it took
// the event: the function has not seen it, and another environment may run it.
var ErrGone = runtimeapi.ErrGone

// errShut is the error of a start while the host is shutting down.
var errShut = errors.New("the worker is shutting down")

// Config is what a Host needs. Driver, Runtimes and Unpack are required.
type Config struct {
	Driver   sandbox.Driver
	Runtimes Runtimes

	// Unpack returns the directory that holds the files of a function's or a
	// layer's code. An error that is a lambda.Error is no trouble of the host's: the
	// function has no code, and its first invocation says so with the message.
	Unpack func(ctx context.Context, code lambda.Code256) (dir string, err error)
	Logs   LogOpener // nil to drop what functions print

	// Credentials returns variables, as NAME=value, that let a function act as
	// its role. Nil for none.
	Credentials func(v *lambda.Version) []string

	Logger *slog.Logger // nil for none
	Blanks int          // sandboxes kept ready ahead of need
	Warm   int          // programs kept running ahead of need for each runtime in use
}

// Owner hears what becomes of an environment, on whichever goroutine noticed;
// neither call may block. Idle says that it can take an invocation: after
// initialisation, and after each invocation that left it usable. Gone says that
// it never will again; it is called once.
type Owner interface {
	Idle(*Environment)
	Gone(*Environment)
}

// builders bounds how many blank sandboxes are under construction at once, so
// that making them does not take the CPU that invocations need.
const builders = 2

// Host starts environments on this machine.
type Host struct {
	cfg     Config
	freezes bool               // the driver can
	blanks  chan sandbox.Blank // unbuffered share of Config.Blanks is held by the builders
	pool    *pool              // nil if none is wanted
	wg      sync.WaitGroup

	mu   sync.Mutex // guards what follows
	shut bool
	envs map[*Environment]struct{}
}

// New makes a host. It starts nothing; see Run.
func New(cfg Config) *Host {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Logs == nil {
		cfg.Logs = nowhere{}
	}
	h := &Host{
		cfg:     cfg,
		freezes: cfg.Driver.Capabilities().Freeze,
		blanks:  make(chan sandbox.Blank, max(cfg.Blanks-builders, 0)),
		envs:    map[*Environment]struct{}{},
	}
	if cfg.Warm > 0 && cfg.Driver.Capabilities().Warm {
		h.pool = newPool(cfg.Warm)
	}
	return h
}

// Run keeps blank sandboxes and warm programs ready until ctx ends. Then it
// discards them, kills every environment, and waits for what the host started.
// Invocations should have ended before: those that have not, end as killed.
func (h *Host) Run(ctx context.Context) error {
	var building sync.WaitGroup
	for range min(h.cfg.Blanks, builders) {
		building.Go(func() { h.build(ctx) })
	}
	if h.pool != nil {
		building.Go(func() { h.warm(ctx) })
	}
	<-ctx.Done()
	building.Wait()
	h.mu.Lock()
	h.shut = true
	envs := h.envs
	h.envs = map[*Environment]struct{}{}
	h.mu.Unlock()
	for {
		select {
		case b := <-h.blanks:
			h.discard(b)
			continue
		default:
		}
		break
	}
	for e := range envs {
		h.wg.Go(func() { e.Kill("shutdown") })
	}
	h.wg.Wait()
	return nil
}

// build makes one blank after another; while nobody needs it, it holds the last.
func (h *Host) build(ctx context.Context) {
	for ctx.Err() == nil {
		b, err := h.cfg.Driver.Prepare(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.cfg.Logger.Warn("prepare a sandbox", "err", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // what is wrong with the host may pass
			}
			continue
		}
		select {
		case h.blanks <- b:
		case <-ctx.Done():
			h.discard(b)
		}
	}
}

func (h *Host) discard(b sandbox.Blank) {
	if err := b.Discard(); err != nil {
		h.cfg.Logger.Warn("discard a sandbox", "err", err)
	}
}

// blank returns a blank sandbox, from the store if it has one.
func (h *Host) blank(ctx context.Context) (sandbox.Blank, error) {
	select {
	case b := <-h.blanks:
		return b, nil
	default:
		return h.cfg.Driver.Prepare(ctx)
	}
}

// keep counts an environment among those to be killed at the end.
func (h *Host) keep(e *Environment) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		return errShut
	}
	h.envs[e] = struct{}{}
	return nil
}

func (h *Host) forget(e *Environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.envs, e)
}

// start runs f in a goroutine that Run waits for, or tells that it is too late.
func (h *Host) start(f func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		return errShut
	}
	h.wg.Go(f)
	return nil
}
