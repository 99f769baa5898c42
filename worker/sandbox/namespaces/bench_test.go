//go:build linux && (amd64 || arm64)

package namespaces

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// BenchmarkPrepare makes and discards blank sandboxes.
func BenchmarkPrepare(b *testing.B) {
	d := open(b)
	for b.Loop() {
		blank, err := d.Prepare(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := blank.Discard(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkStart starts a program that does nothing in a blank that is there,
// until it runs.
func BenchmarkStart(b *testing.B) {
	d := open(b)
	task := b.TempDir()
	for b.Loop() {
		b.StopTimer()
		blank, err := d.Prepare(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		s, err := blank.Start(b.Context(), &sandbox.Spec{
			Name: "bench", Argv: []string{"/bin/true"}, Dir: "/var/task", Task: task,
			Memory: 128 * mib, Storage: 512 * mib, Pids: 64, CPU: 1,
		})
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Kill(0); err != nil {
			b.Fatal(err)
		}
		s.Output().Close()
		b.StartTimer()
	}
}

// BenchmarkKill ends a sandbox in which a process runs.
func BenchmarkKill(b *testing.B) {
	d := open(b)
	task := b.TempDir()
	for b.Loop() {
		b.StopTimer()
		blank, err := d.Prepare(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		s, err := blank.Start(b.Context(), &sandbox.Spec{
			Name: "bench", Argv: []string{"/bin/sleep", "1000"}, Dir: "/var/task", Task: task,
			Memory: 128 * mib, Storage: 512 * mib, Pids: 64, CPU: 1,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Kill(0); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Output().Close()
		b.StartTimer()
	}
}

// BenchmarkStats reads what an environment used, as every invocation does.
func BenchmarkStats(b *testing.B) {
	s := start(b, open(b), "import time; time.sleep(1000)", nil)
	for b.Loop() {
		if _, err := s.Stats(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFreeze stops a process and lets it run on.
func BenchmarkFreeze(b *testing.B) {
	s := start(b, open(b), "import time; time.sleep(1000)", nil)
	for b.Loop() {
		if err := s.Freeze(); err != nil {
			b.Fatal(err)
		}
		if err := s.Thaw(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBlankMemory tells what a blank costs the host, kernel and all.
func BenchmarkBlankMemory(b *testing.B) {
	d := open(b)
	const n = 300
	for b.Loop() {
		before := available(b)
		var all []sandbox.Blank
		for range n {
			blank, err := d.Prepare(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, blank)
		}
		b.ReportMetric(float64(before-available(b))/n, "KiB/blank")
		fds, _ := os.ReadDir("/proc/self/fd")
		b.ReportMetric(float64(len(fds))/n, "fds/blank")
		for _, blank := range all {
			if err := blank.Discard(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func available(b *testing.B) int {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); f[0] == "MemAvailable:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	b.Fatal("no MemAvailable")
	return 0
}
