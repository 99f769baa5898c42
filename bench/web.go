package main

import (
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
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// W5 streams: how soon the first byte comes, and how fast the rest. W7 is what a
// function URL costs over invoking the same function with the same event.

// streamed is how many bytes W5 streams, in chunks of 64 KiB.
const streamed = 20 << 20

// stream is one window of W5.
type stream struct {
	Target  string  `json:"target"`
	Callers int     `json:"callers"`
	Round   int     `json:"round"`
	First   float64 `json:"first_ms"` // median time to the first byte of the body
	Rate    float64 `json:"mib_per_second"`
	CPU     float64 `json:"cpu_us_per_mib"`
}

// streamTo is what R0's echo does for W5.
func streamTo(w http.ResponseWriter) {
	chunk := make([]byte, 64<<10)
	flush := http.NewResponseController(w)
	for range streamed / len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
		if err := flush.Flush(); err != nil {
			return
		}
	}
}

// web measures W5 and W7.
func (b *bench) web(ctx context.Context, dir string) error {
	s := b.warmServer
	if s == nil || !b.wants("W5") && !b.wants("W7") {
		return nil
	}
	bin := filepath.Join(dir, "web")
	if err := build(bin, "github.com/lambent-run/lambent/bench/web"); err != nil {
		return err
	}
	content, err := os.ReadFile(bin)
	if err != nil {
		return err
	}
	h := handler{name: "web", runtime: "provided.al2023", entry: "bootstrap", file: "bootstrap", content: content}
	if err := s.create(ctx, "web", h); err != nil {
		return err
	}
	if _, err := s.api.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("web")}); err != nil {
		return err
	}
	// One URL that buffers, of the function, and one that streams, of an alias.
	buffered, err := s.address(ctx, "", types.InvokeModeBuffered)
	if err != nil {
		return err
	}
	if _, err := s.api.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String("web"), Name: aws.String("stream"), FunctionVersion: aws.String("1")}); err != nil {
		return err
	}
	streaming, err := s.address(ctx, "stream", types.InvokeModeResponseStream)
	if err != nil {
		return err
	}
	if b.wants("W5") {
		if err := b.streams(ctx, streaming); err != nil {
			return fmt.Errorf("W5: %w", err)
		}
	}
	if b.wants("W7") {
		if err := b.urls(ctx, buffered); err != nil {
			return fmt.Errorf("W7: %w", err)
		}
	}
	return nil
}

// address makes a function URL of the function web and returns its path.
func (s *server) address(ctx context.Context, qualifier string, mode types.InvokeMode) (string, error) {
	in := &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("web"), AuthType: types.FunctionUrlAuthTypeNone, InvokeMode: mode}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	out, err := s.api.CreateFunctionUrlConfig(ctx, in)
	if err != nil {
		return "", err
	}
	id, _, _ := bytes.Cut([]byte((*out.FunctionUrl)[len("http://"):]), []byte("."))
	return "/_lambent/url/" + string(id) + "/", nil
}

// streams measures W5, targets taking turns within every round.
func (b *bench) streams(ctx context.Context, url string) error {
	r0, err := startR0()
	if err != nil {
		return err
	}
	defer r0.stop()
	pid, base := b.warmServer.cmd.Process.Pid, "http://"+b.warmServer.addr
	ask := fmt.Appendf(nil, `{"stream":%d}`, streamed)
	targets := []struct {
		name string
		pid  int
		url  string
	}{
		{"R0", r0.pid, "http://" + r0.addr + "/stream"},
		{"stream", pid, base + "/2021-11-15/functions/web/response-streaming-invocations"},
		{"url", pid, base + url},
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	defer client.CloseIdleConnections()
	for _, callers := range []int{1, 8} {
		for round := -1; round < b.rounds; round++ { // the first is for warming up
			for _, t := range targets {
				if err := ctx.Err(); err != nil {
					return err
				}
				w, err := streamWindow(client, t.pid, t.url, ask, callers, b.window)
				if err != nil {
					return fmt.Errorf("%s: %w", t.name, err)
				}
				w.Target, w.Callers, w.Round = t.name, callers, round
				if round >= 0 {
					b.report.streams = append(b.report.streams, w)
				}
			}
		}
		b.progress("W5 c=%d", callers)
	}
	return nil
}

// streamWindow has callers read one answer after another.
func streamWindow(client *http.Client, pid int, url string, ask []byte, callers int, length time.Duration) (stream, error) {
	before, _, err := treeCPU(pid)
	if err != nil {
		return stream{}, err
	}
	var mu sync.Mutex
	var firsts []float64
	var total int64
	var failed error
	var wait sync.WaitGroup
	start := time.Now()
	for range callers {
		wait.Go(func() {
			buffer := make([]byte, 256<<10)
			for time.Since(start) < length {
				first, n, err := readStream(client, url, ask, buffer)
				mu.Lock()
				firsts = append(firsts, first.Seconds()*1e3)
				total += n
				failed = errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	elapsed := time.Since(start)
	after, _, err := treeCPU(pid)
	if err := errors.Join(failed, err); err != nil {
		return stream{}, err
	}
	mib := float64(total) / (1 << 20)
	return stream{First: median(firsts), Rate: mib / elapsed.Seconds(), CPU: (after - before).Seconds() * 1e6 / mib}, nil
}

func readStream(client *http.Client, url string, ask, buffer []byte) (first time.Duration, total int64, err error) {
	start := time.Now()
	r, err := http.NewRequest("POST", url, bytes.NewReader(ask))
	if err != nil {
		return 0, 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=00")
	resp, err := client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	for {
		n, err := resp.Body.Read(buffer)
		if n > 0 && total == 0 {
			first = time.Since(start)
		}
		total += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return first, total, err
		}
	}
	if resp.StatusCode != http.StatusOK || total < streamed {
		return first, total, fmt.Errorf("%s after %d bytes: %.200q", resp.Status, total, buffer[:min(total, 200)])
	}
	return first, total, nil
}

// urls measures W7: the same function with the same event, by its URL and by Invoke.
func (b *bench) urls(ctx context.Context, path string) error {
	s := b.warmServer
	body := string(bytes.Repeat([]byte("x"), 1022))
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
		"headers":        map[string]string{"host": s.addr, "content-type": "text/plain", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-port": "80", "user-agent": "lambent-bench", "x-amzn-trace-id": "Root=1-00000000-000000000000000000000000"},
		"requestContext": map[string]any{"accountId": "anonymous", "apiId": "id", "domainName": "id.lambda-url", "domainPrefix": "id", "http": map[string]string{"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "lambent-bench"}, "requestId": "00000000-0000-4000-8000-000000000000", "routeKey": "$default", "stage": "$default", "time": "27/Nov/2026:12:00:00 +0000", "timeEpoch": 1795780800000},
		"body":           body, "isBase64Encoded": false,
	})
	if err != nil {
		return err
	}
	direct := &target{name: "invoke", pid: s.cmd.Process.Pid, addr: s.addr}
	if direct.request, err = request(ctx, s.addr, "web", event, false); err != nil {
		return err
	}
	url := &target{name: "url", pid: s.cmd.Process.Pid, addr: s.addr}
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+s.addr+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "lambent-bench")
	r.Header.Set("Content-Type", "text/plain")
	var whole bytes.Buffer
	if err := r.Write(&whole); err != nil {
		return err
	}
	url.request = whole.Bytes()
	answer := append([]byte(`{"statusCode":200,"body":"`), append([]byte(body), `"}`...)...)
	want := map[*target][]byte{direct: answer, url: []byte(body)}
	for _, c := range []int{1, 16} {
		for round := -1; round < b.rounds; round++ { // the first is for warming up
			for _, t := range []*target{direct, url} {
				w, err := measure(t, loadSpec{Want: want[t], Conns: c, Window: b.window})
				if err != nil {
					return fmt.Errorf("%s c=%d: %w", t.name, c, err)
				}
				w.Bench, w.Handler, w.Round = "W7", "web", round
				if round >= 0 {
					b.report.windows = append(b.report.windows, w)
				}
			}
		}
		b.progress("W7 c=%d", c)
	}
	return nil
}

// webBudgets are the bounds on streams and function URLs.
func (r *report) webBudgets(all []budget) []budget {
	for _, callers := range counts(r.streams, func(s stream) int { return s.Callers }) {
		for _, target := range []string{"stream", "url"} {
			against := func(of func(stream) float64) (ratios []float64) {
				for _, s := range r.streams {
					i := slices.IndexFunc(r.streams, func(x stream) bool {
						return x.Target == "R0" && x.Callers == callers && x.Round == s.Round
					})
					if s.Target == target && s.Callers == callers && i >= 0 {
						ratios = append(ratios, of(s)/of(r.streams[i]))
					}
				}
				return ratios
			}
			all = judge(all, "W5", target, fmt.Sprintf("c=%d first byte / R0", callers), against(func(s stream) float64 { return s.First }), 1.2, false)
			all = judge(all, "W5", target, fmt.Sprintf("c=%d MiB/s / R0", callers), against(func(s stream) float64 { return s.Rate }), 0.9, true)
		}
	}
	for _, c := range r.conns("W7", "web") {
		all = judge(all, "W7", "web", fmt.Sprintf("c=%d CPU / invoke", c), r.ratios("W7", "web", c, "url", "invoke", func(w window) float64 { return w.CPU }), 1.15, false)
	}
	return all
}
