// Command bench measures Lambent beside reference programs, in one interleaved
// run: `go run ./bench`.
//
//	W1  warm invocations, one caller          against R0 and R1
//	W2  warm invocations, 16, 64, 256 callers against R0 and R1
//	C1  cold starts, one at a time            against R2
//	W5  streamed answers of 20 MiB            against R0
//	W7  function URLs, 1 and 16 callers       against invoking the same function
//	K1  operations of the control plane beside 10, 1,000 and 20,000 functions
//	S3  start, memory and idleness with as many functions, none running
//
// R0 is a plain reverse proxy in front of an echo (r0.go), R1 the smallest direct
// Runtime-API server with the same function (r1.go), R2 fork and exec of the bare
// runtime to its first answer (r2.go). Absolute figures depend on the machine and
// on what else runs there; the ratios are what counts, and CPU per invocation
// before latency, latency before rate.
//
// It starts processes of itself (the references and the load generator) and
// servers of the lambent binary, keeps everything in one temporary directory,
// and leaves nothing.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	rounds    int
	window    time.Duration
	starts    int
	only      []string
	handlers  []string
	callers   []int
	functions []int
	sandboxes []string
	quick     bool
	json      bool
	sign      bool
	lambent   string

	python, pythonRuntime string
	node, nodeRuntime     string
}

// bench is one run.
type bench struct {
	options
	event      []byte
	servers    map[string]*server // by sandbox level
	warmServer *server            // the strongest of them; nil without a Lambent
	report     report
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		switch args[0] { // processes that a run starts
		case "load":
			return loadMain()
		case "r0":
			return proxyMain()
		case "r0-echo":
			return echoMain()
		case "r1":
			return floorMain(args[1:])
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := measureAll(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		return b.report.json(os.Stdout)
	}
	return b.report.text(os.Stdout)
}

func parse(args []string) (options, error) {
	var o options
	var only, handlers, callers, sandboxes, functions string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.rounds, "windows", 5, "windows of every target")
	f.DurationVar(&o.window, "window", 2*time.Second, "length of a window")
	f.IntVar(&o.starts, "starts", 30, "cold starts of every target")
	f.StringVar(&only, "only", "W1,W2,C1,W5,W7,K1,S3", "what to measure")
	f.StringVar(&handlers, "handlers", "go,python,python-heavy,node", "functions to measure")
	f.StringVar(&callers, "callers", "16,64,256", "concurrent callers of W2")
	f.StringVar(&functions, "functions", "10,1000,20000", "how many functions the servers of K1 and S3 hold")
	f.StringVar(&sandboxes, "sandboxes", "namespaces,process", "isolation levels of C1; the first is that of W1 and W2; none: the references alone")
	f.BoolVar(&o.quick, "quick", false, "one window of 0.5 s and three cold starts: shows that it works, measures nothing")
	f.BoolVar(&o.json, "json", false, "print every window and the summary as JSON")
	f.BoolVar(&o.sign, "sign", false, "sign the requests to Lambent (SigV4)")
	f.StringVar(&o.lambent, "lambent", "", "binary to measure (default: built from this tree)")
	f.StringVar(&o.python, "python", "/usr/bin/python3", "interpreter of the references")
	f.StringVar(&o.pythonRuntime, "python-runtime", "python3.13", "runtime of the Python function")
	f.StringVar(&o.node, "node", "node", "interpreter of the references")
	f.StringVar(&o.nodeRuntime, "node-runtime", "nodejs22.x", "runtime of the Node function")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.quick {
		o.rounds, o.window, o.starts = 1, 500*time.Millisecond, 3
	}
	if o.rounds < 1 || o.starts < 1 || o.window < 100*time.Millisecond {
		return o, errors.New("-windows and -starts must be at least 1, -window 100ms")
	}
	o.only, o.handlers, o.sandboxes = list(only), list(handlers), list(sandboxes)
	var err error
	if o.callers, err = numbers(callers, 2, 1000); err != nil {
		return o, fmt.Errorf("-callers %s: %w", callers, err)
	}
	if o.functions, err = numbers(functions, 1, 100_000); err != nil {
		return o, fmt.Errorf("-functions %s: %w", functions, err)
	}
	return o, nil
}

// numbers reads a list of numbers within bounds, and sorts it.
func numbers(s string, least, most int) ([]int, error) {
	var all []int
	for _, s := range list(s) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("want numbers from %d to %d", least, most)
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return all, nil
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func (o *options) wants(bench string) bool { return slices.Contains(o.only, bench) }

// conns are the numbers of callers to measure, ascending.
func (o *options) conns() []int {
	var c []int
	if o.wants("W1") {
		c = append(c, 1)
	}
	if o.wants("W2") {
		c = append(c, o.callers...)
	}
	return c
}

func (o *options) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// measureAll runs everything that was asked for.
func measureAll(ctx context.Context, o options) (_ *bench, err error) {
	dir, err := os.MkdirTemp("", "lambent-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, servers: map[string]*server{}}
	b.event = append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 1022)...), '"') // a JSON string of 1 KiB
	handlers, err := b.prepare(dir)
	if err != nil {
		return nil, err
	}
	if b.lambent == "" && len(b.sandboxes) > 0 {
		b.lambent = filepath.Join(dir, "lambent")
		if err := build(b.lambent, "github.com/lambent-run/lambent/cmd/lambent"); err != nil {
			return nil, err
		}
	}
	defer func() {
		for _, s := range b.servers {
			s.stop()
		}
	}()
	for i, level := range b.sandboxes {
		if i > 0 && !b.wants("C1") {
			break
		}
		home := filepath.Join(dir, level)
		if err := os.Mkdir(home, 0o755); err != nil {
			return nil, err
		}
		s, err := startServer(ctx, b.lambent, home, level)
		if err != nil {
			return nil, err
		}
		b.servers[level] = s
		if i == 0 {
			b.warmServer = s
		}
	}
	for _, name := range b.handlers {
		if err := b.cold(ctx, handlers[name]); err != nil {
			return nil, err
		}
		if err := b.warm(ctx, handlers[name]); err != nil {
			return nil, err
		}
	}
	b.report.sandboxes = b.sandboxes
	if err := b.web(ctx, dir); err != nil {
		return nil, err
	}
	if b.lambent != "" {
		if err := b.control(ctx, dir); err != nil {
			return nil, err
		}
	}
	return b, nil
}
