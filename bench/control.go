package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// K1 is the control plane: what an operation costs the server, beside as many
// functions as it may come to hold. S3 is the density: what functions cost that
// only exist. Both run on servers of their own, one for each number of functions,
// which take turns within every round.

// verb is one window of one operation.
type verb struct {
	Functions int     `json:"functions"`
	Operation string  `json:"operation"`
	Round     int     `json:"round"`
	CPU       float64 `json:"cpu_us"` // of the server, per operation
	P50       float64 `json:"p50_us"`
	Rate      float64 `json:"per_second"`
}

// density is what a server is like that holds functions and runs none.
type density struct {
	Functions int     `json:"functions"`
	Start     float64 `json:"start_ms"` // from its start to its first answer
	RSS       float64 `json:"rss_mib"`
	Idle      float64 `json:"idle_percent"` // of one core
}

// populated is a server with functions.
type populated struct {
	*server
	n    int
	dir  string
	http *http.Client
	next atomic.Int64 // makes names
	code string       // the package, base64 in JSON
}

// operations of K1, in the order in which they are measured. Each is asked for
// once by a call; those that change something find what an earlier one made.
var operations = []struct {
	name string
	do   func(p *populated, i int64) error
}{
	{"GetFunction", func(p *populated, i int64) error { return p.call("GET", "/2015-03-31/functions/"+p.name(i), nil, 200) }},
	{"GetFunctionConfiguration", func(p *populated, i int64) error {
		return p.call("GET", "/2015-03-31/functions/"+p.name(i)+"/configuration", nil, 200)
	}},
	{"ListFunctions, 50", func(p *populated, _ int64) error { return p.call("GET", "/2015-03-31/functions?MaxItems=50", nil, 200) }},
	{"UpdateFunctionConfiguration", func(p *populated, i int64) error {
		body := fmt.Appendf(nil, `{"Description":"%d"}`, p.next.Add(1))
		for { // the one before may still be under way
			err := p.call("PUT", "/2015-03-31/functions/"+p.name(i)+"/configuration", body, 200)
			if !errors.Is(err, errConflict) {
				return err
			}
		}
	}},
	{"CreateFunction", func(p *populated, _ int64) error { return p.create("new-" + strconv.FormatInt(p.next.Add(1), 10)) }},
	{"PublishVersion", func(p *populated, i int64) error {
		for {
			err := p.call("POST", "/2015-03-31/functions/"+p.name(i)+"/versions", []byte("{}"), 201)
			if !errors.Is(err, errConflict) {
				return err
			}
		}
	}},
}

func (p *populated) name(i int64) string { return fmt.Sprintf("f-%05d", i%int64(p.n)) }

var errConflict = errors.New("409")

// call makes one request and reads its answer.
func (p *populated) call(method, path string, body []byte, want int) error {
	r, err := http.NewRequest(method, "http://"+p.addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00")
	resp, err := p.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusConflict {
		return errConflict
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return nil
}

func (p *populated) create(name string) error {
	return p.call("POST", "/2015-03-31/functions", []byte(`{"FunctionName":"`+name+`","Role":"arn:aws:iam::000000000000:role/bench",`+
		`"Runtime":"provided.al2023","Handler":"bootstrap","Code":{"ZipFile":`+p.code+`}}`), 201)
}

// populate starts a server and makes n functions.
func (b *bench) populate(ctx context.Context, dir string, n int) (*populated, error) {
	home := filepath.Join(dir, "k1-"+strconv.Itoa(n))
	if err := os.Mkdir(home, 0o755); err != nil {
		return nil, err
	}
	s, err := startServer(ctx, b.lambent, home, "process")
	if err != nil {
		return nil, err
	}
	var pack bytes.Buffer
	z := zip.NewWriter(&pack)
	w, err := z.Create("bootstrap")
	if err == nil {
		_, err = w.Write([]byte("#!/bin/sh\n"))
	}
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	code, err := json.Marshal(pack.Bytes())
	if err != nil {
		return nil, err
	}
	p := &populated{server: s, n: n, dir: home, code: string(code),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}}
	const callers = 32 // whose commits share their syncs
	g, making := errgroup.WithContext(ctx)
	for c := range callers {
		g.Go(func() error {
			for i := c; i < n && making.Err() == nil; i += callers {
				if err := p.create(p.name(int64(i))); err != nil {
					return err
				}
			}
			return making.Err()
		})
	}
	if err := g.Wait(); err != nil {
		s.stop()
		return nil, err
	}
	return p, p.quiet(ctx)
}

// quiet waits until the server has nothing more to do: functions are prepared
// after their creation has been answered.
func (p *populated) quiet(ctx context.Context) error {
	for {
		before, _, err := treeCPU(p.cmd.Process.Pid)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if after, _, err := treeCPU(p.cmd.Process.Pid); err != nil || after == before {
			return err
		}
	}
}

// restart stops the server and starts it again over the same data.
func (p *populated) restart(ctx context.Context, binary string) (took time.Duration, err error) {
	p.stop()
	p.http.CloseIdleConnections()
	start := time.Now()
	if p.server, err = startServer(ctx, binary, p.dir, "process"); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// control measures S3 and K1.
func (b *bench) control(ctx context.Context, dir string) error {
	if !b.wants("K1") && !b.wants("S3") {
		return nil
	}
	var all []*populated
	defer func() {
		for _, p := range all {
			p.stop()
		}
	}()
	for _, n := range b.functions {
		p, err := b.populate(ctx, dir, n)
		if err != nil {
			return fmt.Errorf("%d functions: %w", n, err)
		}
		all = append(all, p)
		b.progress("%d functions made", n)
		if b.wants("S3") {
			d, err := p.density(ctx, b.lambent, 5*b.window)
			if err != nil {
				return fmt.Errorf("S3, %d functions: %w", n, err)
			}
			b.report.densities = append(b.report.densities, d)
		}
	}
	if !b.wants("K1") {
		return nil
	}
	for _, op := range operations {
		for round := range b.rounds {
			for _, p := range all {
				v, err := p.window(op.do, b.window)
				if err != nil {
					return fmt.Errorf("K1 %s, %d functions: %w", op.name, p.n, err)
				}
				v.Operation, v.Round = op.name, round
				b.report.verbs = append(b.report.verbs, v)
			}
		}
		b.progress("K1 %s", op.name)
	}
	return nil
}

// window has one caller ask for an operation again and again.
func (p *populated) window(do func(*populated, int64) error, length time.Duration) (verb, error) {
	pid := p.cmd.Process.Pid
	before, _, err := treeCPU(pid)
	if err != nil {
		return verb{}, err
	}
	var times []float64
	start := time.Now()
	// A stride through the functions, so that no two in a row are neighbours.
	for i := int64(0); time.Since(start) < length; i += 7919 {
		began := time.Now()
		if err := do(p, i); err != nil {
			return verb{}, err
		}
		times = append(times, time.Since(began).Seconds()*1e6)
	}
	elapsed := time.Since(start)
	after, _, err := treeCPU(pid)
	if err != nil {
		return verb{}, err
	}
	return verb{Functions: p.n, CPU: (after - before).Seconds() * 1e6 / float64(len(times)), P50: median(times),
		Rate: float64(len(times)) / elapsed.Seconds()}, nil
}

// density restarts the server and leaves it alone for a while.
func (p *populated) density(ctx context.Context, binary string, idle time.Duration) (density, error) {
	took, err := p.restart(ctx, binary)
	if err != nil {
		return density{}, err
	}
	pid := p.cmd.Process.Pid
	before, _, err := treeCPU(pid)
	if err != nil {
		return density{}, err
	}
	select {
	case <-ctx.Done():
		return density{}, ctx.Err()
	case <-time.After(idle):
	}
	after, _, err := treeCPU(pid)
	if err != nil {
		return density{}, err
	}
	rss, err := resident(pid)
	if err != nil {
		return density{}, err
	}
	return density{Functions: p.n, Start: took.Seconds() * 1e3, RSS: rss, Idle: 100 * (after - before).Seconds() / idle.Seconds()}, nil
}

// resident is the memory of a process in MiB (proc(5), VmRSS).
func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib / 1024, err
		}
	}
	return 0, syscall.ENOENT
}

// controlBudgets are the bounds on the control plane and on density.
func (r *report) controlBudgets(all []budget) []budget {
	for _, n := range counts(r.verbs, func(v verb) int { return v.Functions }) {
		for _, bound := range []struct {
			operation string
			us        float64
		}{{"GetFunction", 150}, {"CreateFunction", 1000}} {
			var cpu []float64
			for _, v := range r.verbs {
				if v.Functions == n && v.Operation == bound.operation {
					cpu = append(cpu, v.CPU)
				}
			}
			all = judge(all, "K1", "", fmt.Sprintf("%d functions: %s, CPU us", n, bound.operation), cpu, bound.us, false)
		}
	}
	for _, d := range r.densities {
		if d.Functions > 10_000 { // more than the bounds are for
			continue
		}
		all = judge(all, "S3", "", fmt.Sprintf("%d functions: start, ms", d.Functions), []float64{d.Start}, 1000, false)
		all = judge(all, "S3", "", fmt.Sprintf("%d functions: memory, MiB", d.Functions), []float64{d.RSS}, 60, false)
		all = judge(all, "S3", "", fmt.Sprintf("%d functions: idle, %% of a core", d.Functions), []float64{d.Idle}, 0.1, false)
	}
	return all
}

func counts[T any](all []T, of func(T) int) []int {
	var n []int
	for _, x := range all {
		if !slices.Contains(n, of(x)) {
			n = append(n, of(x))
		}
	}
	return n
}
