package main

import (
	"context"
	"fmt"
	"time"
)

// start is one cold start.
type start struct {
	Bench   string  `json:"bench"`
	Handler string  `json:"handler"`
	Target  string  `json:"target"`
	Round   int     `json:"round"`
	Wall    float64 `json:"wall_ms"` // from the request to the whole reply
	CPU     float64 `json:"cpu_ms"`  // of the process tree, until a little after the reply
	Foreign float64 `json:"foreign"`
}

// afterwards is how long past the reply a start's CPU is counted, so that work
// put off until after the reply is not free.
const afterwards = 150 * time.Millisecond

// cold measures C1 for one handler: the environments are retired by an update of
// the function, then one invocation starts one, beside the bare runtime.
func (b *bench) cold(ctx context.Context, h handler) error {
	if !b.wants("C1") {
		return nil
	}
	name := "cold-" + h.name
	requests := map[string][]byte{}
	for _, s := range b.servers {
		if err := s.create(ctx, name, h); err != nil {
			return err
		}
		r, err := request(ctx, s.addr, name, b.event, b.sign)
		if err != nil {
			return err
		}
		requests[s.addr] = r
	}
	for round := range b.starts {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := b.during(func() (wall, cpu time.Duration, err error) { return bareStart(h.plain, b.event) })
		if err != nil {
			return err
		}
		s.Handler, s.Target, s.Round = h.name, "R2", round
		b.report.starts = append(b.report.starts, s)
		for _, level := range b.sandboxes {
			srv := b.servers[level]
			if srv == nil {
				continue
			}
			if err := srv.retire(ctx, name, round); err != nil {
				return err
			}
			if err := wait(ctx, afterwards); err != nil { // blanks are made anew, the retired environments end
				return err
			}
			s, err := b.during(func() (wall, cpu time.Duration, err error) {
				return coldInvoke(ctx, srv, loadSpec{Addr: srv.addr, Request: requests[srv.addr], Want: b.event})
			})
			if err != nil {
				return fmt.Errorf("C1 %s, %s: %w", h.name, level, err)
			}
			s.Handler, s.Target, s.Round = h.name, level, round
			b.report.starts = append(b.report.starts, s)
		}
	}
	b.progress("C1 %s, %d starts", h.name, b.starts)
	return nil
}

// coldInvoke makes one invocation from this process: a generator of its own
// would be measured as it starts.
func coldInvoke(ctx context.Context, s *server, spec loadSpec) (wall, cpu time.Duration, err error) {
	c, err := dial(&spec)
	if err != nil {
		return 0, 0, err
	}
	defer c.conn.Close()
	before, _, err := treeCPU(s.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	c.conn.SetDeadline(begin.Add(replyLimit))
	if err := c.call(); err != nil {
		return 0, 0, err
	}
	wall = time.Since(begin)
	if err := wait(ctx, afterwards); err != nil {
		return 0, 0, err
	}
	after, _, err := treeCPU(s.cmd.Process.Pid)
	return wall, after - before, err
}

// during adds the foreign load to what measure measures.
func (b *bench) during(measure func() (wall, cpu time.Duration, err error)) (start, error) {
	machine, err := machineCPU()
	if err != nil {
		return start{}, err
	}
	begin, own := time.Now(), ownCPU()
	wall, cpu, err := measure()
	if err != nil {
		return start{}, err
	}
	elapsed := time.Since(begin)
	after, err := machineCPU()
	if err != nil {
		return start{}, err
	}
	foreign := (after - machine - cpu - (ownCPU() - own)).Seconds() / elapsed.Seconds()
	return start{Bench: "C1", Wall: wall.Seconds() * 1e3, CPU: cpu.Seconds() * 1e3, Foreign: max(0, foreign)}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
