package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// window is one measurement of one target.
type window struct {
	Bench   string  `json:"bench"`
	Handler string  `json:"handler"`
	Conns   int     `json:"conns"`
	Target  string  `json:"target"`
	Round   int     `json:"round"`
	Rate    float64 `json:"per_second"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	CPU     float64 `json:"cpu_us"`      // of the whole process tree, per invocation
	LoadCPU float64 `json:"load_cpu_us"` // of the load generator, per invocation
	Foreign float64 `json:"foreign"`     // cores that anything else used meanwhile
	Procs   int     `json:"processes"`
	Wrong   int     `json:"wrong"`
}

// measure runs one window of load against a target.
func measure(t *target, spec loadSpec) (window, error) {
	spec.Addr, spec.Request = t.addr, t.request
	g, err := startGenerator(spec)
	if err != nil {
		return window{}, err
	}
	machine, err := machineCPU()
	if err != nil {
		return window{}, g.fail(err)
	}
	cpu, _, err := treeCPU(t.pid)
	if err != nil {
		return window{}, g.fail(fmt.Errorf("%s: %w", t.name, err))
	}
	own := ownCPU()
	start := time.Now()
	r, err := g.run()
	if err != nil {
		return window{}, fmt.Errorf("%s: %w", t.name, err)
	}
	elapsed := time.Since(start)
	own = ownCPU() - own
	after, procs, err := treeCPU(t.pid)
	if err != nil {
		return window{}, fmt.Errorf("%s: %w", t.name, err)
	}
	machineAfter, err := machineCPU()
	if err != nil {
		return window{}, err
	}
	if r.Wrong > 0 {
		fmt.Fprintf(os.Stderr, "%s: %d wrong replies, the first: %s\n", t.name, r.Wrong, r.First)
	}
	if r.Replies == 0 {
		return window{}, fmt.Errorf("%s gave no right reply", t.name)
	}
	per := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(r.Replies) }
	foreign := (machineAfter - machine - (after - cpu) - r.CPU - own).Seconds() / elapsed.Seconds()
	return window{
		Conns: spec.Conns, Target: t.name, Rate: float64(r.Replies) / r.Elapsed.Seconds(),
		P50: r.P50.Seconds() * 1e6, P99: r.P99.Seconds() * 1e6,
		CPU: per(after - cpu), LoadCPU: per(r.CPU), Foreign: max(0, foreign), Procs: procs, Wrong: r.Wrong,
	}, nil
}

// warm measures W1 (one caller) and W2 (many) for one handler, the targets
// taking turns within every round.
func (b *bench) warm(ctx context.Context, h handler) error {
	conns := b.conns()
	if len(conns) == 0 || h.cold {
		return nil
	}
	most := conns[len(conns)-1]
	var targets []*target
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	r0, err := startR0()
	if err != nil {
		return err
	}
	targets = append(targets, r0)
	r1, err := startR1(h, most)
	if err != nil {
		return err
	}
	targets = append(targets, r1)
	for _, t := range targets {
		if t.request, err = request(ctx, t.addr, "echo", b.event, false); err != nil {
			return err
		}
	}
	if s := b.warmServer; s != nil {
		if err := s.create(ctx, "warm-"+h.name, h); err != nil {
			return err
		}
		t := &target{name: "lambent", pid: s.cmd.Process.Pid, addr: s.addr, stop: func() {}}
		if t.request, err = request(ctx, s.addr, "warm-"+h.name, b.event, b.sign); err != nil {
			return err
		}
		targets = append(targets, t)
	}
	for _, c := range conns {
		name := "W2"
		if c == 1 {
			name = "W1"
		}
		spec := loadSpec{Want: b.event, Conns: c, Window: b.window / 2, Each: 20}
		for _, t := range targets { // until every connection has seen a warm environment
			if _, err := measure(t, spec); err != nil {
				return fmt.Errorf("%s %s c=%d, warm-up: %w", name, h.name, c, err)
			}
		}
		spec.Window, spec.Each = b.window, 0
		for round := range b.rounds {
			for _, t := range targets {
				if err := ctx.Err(); err != nil {
					return err
				}
				w, err := measure(t, spec)
				if err != nil {
					return fmt.Errorf("%s %s c=%d: %w", name, h.name, c, err)
				}
				w.Bench, w.Handler, w.Round = name, h.name, round
				b.report.windows = append(b.report.windows, w)
			}
			b.progress("%s %s c=%d round %d of %d", name, h.name, c, round+1, b.rounds)
		}
	}
	return nil
}
