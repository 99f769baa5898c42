package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// report holds every window and start, and judges them. Ratios are taken
// between neighbours: a window of Lambent and the reference's window of the same
// round. What is printed is their median and, in brackets, the best.
type report struct {
	sandboxes []string
	windows   []window
	starts    []start
	verbs     []verb
	densities []density
	streams   []stream
}

// budget is a promise of the design: a measured ratio (or difference) and its bound.
type budget struct {
	Bench   string  `json:"bench"`
	Handler string  `json:"handler"`
	What    string  `json:"what"`
	Median  float64 `json:"median"`
	Best    float64 `json:"best"`
	Floor   float64 `json:"floor"` // the same ratio for R1: what the two APIs cost whoever serves them; 0 if it says nothing
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"at_least"` // the bound is a floor, not a ceiling
	Met     bool    `json:"met"`
}

// warmBudgets are the bounds on warm invocations, by handler.
var warmBudgets = []struct {
	handler, bench, what, reference string
	of                              func(window) float64
	bound                           float64
	atLeast                         bool
}{
	{"go", "W1", "p50 / R0", "R0", func(w window) float64 { return w.P50 }, 0.90, false},
	{"go", "W1", "CPU / R1", "R1", func(w window) float64 { return w.CPU }, 1.15, false},
	{"go", "W2", "p50 / R0", "R0", func(w window) float64 { return w.P50 }, 0.90, false},
	{"go", "W2", "CPU / R1", "R1", func(w window) float64 { return w.CPU }, 1.15, false},
	{"python", "W1", "p50 / R0", "R0", func(w window) float64 { return w.P50 }, 0.85, false},
	{"python", "W2", "rate / R0", "R0", func(w window) float64 { return w.Rate }, 1.4, true},
	{"node", "W1", "p50 / R0", "R0", func(w window) float64 { return w.P50 }, 0.85, false},
	{"node", "W2", "rate / R0", "R0", func(w window) float64 { return w.Rate }, 1.0, true},
}

func (r *report) budgets() []budget {
	var all []budget
	for _, p := range warmBudgets {
		for _, c := range r.conns(p.bench, p.handler) {
			ratios := r.ratios(p.bench, p.handler, c, "lambent", p.reference, p.of)
			n := len(all)
			all = judge(all, p.bench, p.handler, fmt.Sprintf("c=%d %s", c, p.what), ratios, p.bound, p.atLeast)
			if len(all) > n && p.reference != "R1" {
				all[n].Floor = median(r.ratios(p.bench, p.handler, c, "R1", p.reference, p.of))
			}
		}
	}
	all = r.collapse(all)
	for _, p := range []struct {
		handler string
		bound   float64
	}{{"python", 0.4}, {"python-heavy", 0.12}, {"node", 0.12}} {
		for _, level := range r.sandboxes {
			ratios := r.against(p.handler, level, func(s, bare float64) float64 { return s / bare })
			all = judge(all, "C1", p.handler, level+" p50 / R2", ratios, p.bound, false)
		}
	}
	for _, level := range r.sandboxes {
		over := r.against("go", level, func(s, bare float64) float64 { return s - bare })
		all = judge(all, "C1", "go", level+" p50 - R2, ms", over, 3, false)
	}
	return r.webBudgets(r.controlBudgets(all))
}

// ratios compares a target's windows with the reference's of the same rounds.
func (r *report) ratios(bench, handler string, conns int, target, reference string, of func(window) float64) []float64 {
	var all []float64
	for _, w := range r.windows {
		if w.Bench != bench || w.Handler != handler || w.Conns != conns || w.Target != target {
			continue
		}
		for _, ref := range r.windows {
			if ref.Bench == bench && ref.Handler == handler && ref.Conns == conns && ref.Round == w.Round && ref.Target == reference {
				all = append(all, of(w)/of(ref))
			}
		}
	}
	return all
}

// collapse compares 256 callers with 64: throughput must not fall, but for what
// so many processes cost R1 as well.
func (r *report) collapse(all []budget) []budget {
	for _, h := range r.handlers() {
		kept := func(target string) float64 {
			rates := map[int][]float64{}
			for _, w := range r.windows {
				if w.Handler == h && w.Target == target {
					rates[w.Conns] = append(rates[w.Conns], w.Rate)
				}
			}
			if len(rates[64]) == 0 || len(rates[256]) == 0 {
				return 0
			}
			return median(rates[256]) / median(rates[64])
		}
		if ours, floor := kept("lambent"), kept("R1"); ours > 0 && floor > 0 {
			all = judge(all, "W2", h, "rate kept from c=64 to c=256, / R1's", []float64{ours / floor}, 0.95, true)
		}
	}
	return all
}

func (r *report) against(handler, target string, f func(s, bare float64) float64) []float64 {
	var all []float64
	for _, s := range r.starts {
		if s.Handler != handler || s.Target != target {
			continue
		}
		for _, bare := range r.starts {
			if bare.Handler == handler && bare.Target == "R2" && bare.Round == s.Round {
				all = append(all, f(s.Wall, bare.Wall))
			}
		}
	}
	return all
}

// judge adds a budget if there is anything to judge.
func judge(all []budget, bench, handler, what string, values []float64, bound float64, atLeast bool) []budget {
	if len(values) == 0 {
		return all
	}
	b := budget{Bench: bench, Handler: handler, What: what, Median: median(values), Bound: bound, AtLeast: atLeast}
	if atLeast {
		b.Best, b.Met = slices.Max(values), b.Median >= bound
	} else {
		b.Best, b.Met = slices.Min(values), b.Median <= bound
	}
	return append(all, b)
}

func (r *report) conns(bench, handler string) []int {
	var all []int
	for _, w := range r.windows {
		if w.Bench == bench && w.Handler == handler && !slices.Contains(all, w.Conns) {
			all = append(all, w.Conns)
		}
	}
	return all
}

func (r *report) handlers() []string {
	var all []string
	for _, w := range r.windows {
		if !slices.Contains(all, w.Handler) {
			all = append(all, w.Handler)
		}
	}
	return all
}

func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile is the value below which the share q of v lies.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(int(float64(len(s))*q), len(s)-1)]
}

// json prints everything for machines.
func (r *report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(map[string]any{"windows": r.windows, "starts": r.starts, "verbs": r.verbs, "densities": r.densities, "streams": r.streams, "budgets": r.budgets()})
}

// text prints tables for people.
func (r *report) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	if len(r.windows) > 0 {
		fmt.Fprintln(w, "Warm invocations of 1 KiB: median of the windows (best). CPU is of the whole process tree, load is the generator's own.")
		fmt.Fprintln(t, "\thandler\tcallers\ttarget\tCPU us\tp50 us\tp99 us\tper second\tload us\tforeign cores\tprocesses\twrong\t")
		for _, g := range group(r.windows, func(x window) string { return fmt.Sprint(x.Bench, x.Handler, x.Conns, x.Target) }) {
			f := g[0]
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.1f\t%d\t%d\t\n", f.Bench, f.Handler, f.Conns, f.Target,
				low(g, func(x window) float64 { return x.CPU }), low(g, func(x window) float64 { return x.P50 }),
				low(g, func(x window) float64 { return x.P99 }), high(g, func(x window) float64 { return x.Rate }),
				median(values(g, func(x window) float64 { return x.LoadCPU })),
				median(values(g, func(x window) float64 { return x.Foreign })), f.Procs, wrong(g))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(r.starts) > 0 {
		fmt.Fprintln(w, "Cold starts, one at a time, request to reply. CPU counts until 150 ms after the reply.")
		fmt.Fprintln(t, "\thandler\ttarget\tp50 ms\tp99 ms\tbest ms\tCPU ms\tforeign cores\tstarts\t")
		for _, g := range group(r.starts, func(x start) string { return fmt.Sprint(x.Handler, x.Target) }) {
			wall := values(g, func(x start) float64 { return x.Wall })
			var cpu float64 // a mean: one start is shorter than the kernel's tick
			for _, s := range g {
				cpu += s.CPU / float64(len(g))
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t\n", g[0].Bench, g[0].Handler, g[0].Target,
				median(wall), quantile(wall, 0.99), slices.Min(wall), cpu,
				median(values(g, func(x start) float64 { return x.Foreign })), len(g))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(r.streams) > 0 {
		fmt.Fprintln(w, "Streams of 20 MiB in chunks of 64 KiB: median of the windows.")
		fmt.Fprintln(t, "\ttarget\tcallers\tfirst byte ms\tMiB/s\tCPU us/MiB\t")
		for _, g := range group(r.streams, func(x stream) string { return fmt.Sprint(x.Target, x.Callers) }) {
			fmt.Fprintf(t, "W5\t%s\t%d\t%.2f\t%.0f\t%.0f\t\n", g[0].Target, g[0].Callers, median(values(g, func(x stream) float64 { return x.First })),
				median(values(g, func(x stream) float64 { return x.Rate })), median(values(g, func(x stream) float64 { return x.CPU })))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(r.verbs) > 0 {
		fmt.Fprintln(w, "The control plane, one caller: median of the windows (best). CPU is the server's.")
		fmt.Fprintln(t, "\toperation\tfunctions\tCPU us\tp50 us\tper second\t")
		for _, g := range group(r.verbs, func(x verb) string { return fmt.Sprint(x.Operation, x.Functions) }) {
			cpu, p50, rate := values(g, func(x verb) float64 { return x.CPU }), values(g, func(x verb) float64 { return x.P50 }), values(g, func(x verb) float64 { return x.Rate })
			fmt.Fprintf(t, "K1\t%s\t%d\t%.0f (%.0f)\t%.0f (%.0f)\t%.0f (%.0f)\t\n", g[0].Operation, g[0].Functions,
				median(cpu), slices.Min(cpu), median(p50), slices.Min(p50), median(rate), slices.Max(rate))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if len(r.densities) > 0 {
		fmt.Fprintln(w, "Functions that only exist.")
		fmt.Fprintln(t, "\tfunctions\tstart ms\tmemory MiB\tidle % of a core\t")
		for _, d := range r.densities {
			fmt.Fprintf(t, "S3\t%d\t%.0f\t%.1f\t%.2f\t\n", d.Functions, d.Start, d.RSS, d.Idle)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if b := r.budgets(); len(b) > 0 {
		fmt.Fprintln(w, "Budgets: ratios between neighbouring windows, median (best), and what R1 itself comes to.")
		fmt.Fprintln(t, "\thandler\twhat\tlambent\tR1\tbudget\t\t")
		for _, x := range b {
			sign, verdict, floor := "<=", "met", ""
			if x.AtLeast {
				sign = ">="
			}
			if !x.Met {
				verdict = "MISSED"
			}
			if x.Floor > 0 {
				floor = fmt.Sprintf("%.2f", x.Floor)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%.2f (%.2f)\t%s\t%s %.2f\t%s\t\n", x.Bench, x.Handler, x.What, x.Median, x.Best, floor, sign, x.Bound, verdict)
		}
		return t.Flush()
	}
	return nil
}

// group puts together what has the same key, in the order of first appearance.
func group[T any](all []T, key func(T) string) [][]T {
	var order []string
	by := map[string][]T{}
	for _, x := range all {
		k := key(x)
		if _, ok := by[k]; !ok {
			order = append(order, k)
		}
		by[k] = append(by[k], x)
	}
	groups := make([][]T, len(order))
	for i, k := range order {
		groups[i] = by[k]
	}
	return groups
}

func values[T any](g []T, of func(T) float64) []float64 {
	v := make([]float64, len(g))
	for i, x := range g {
		v[i] = of(x)
	}
	return v
}

func low(g []window, of func(window) float64) string {
	v := values(g, of)
	return fmt.Sprintf("%.0f (%.0f)", median(v), slices.Min(v))
}

func high(g []window, of func(window) float64) string {
	v := values(g, of)
	return fmt.Sprintf("%.0f (%.0f)", median(v), slices.Max(v))
}

func wrong(g []window) int {
	n := 0
	for _, w := range g {
		n += w.Wrong
	}
	return n
}
