package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/catalog/catalogtest"
)

func open(t *testing.T, dir string) catalog.Store {
	t.Helper()
	d, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) { catalogtest.Run(t, open) }

// A file from a newer server is refused in one line that says so.
func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir).(*DB)
	if err := s.conn.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "schema version 99") {
		t.Errorf("got %v", err)
	}
}

// A record that vanishes behind SQLite's back, or changes, is noticed at the next start.
func TestDamageIsNoticed(t *testing.T) {
	for _, sql := range []string{
		"DELETE FROM record WHERE key = 'b'",
		"UPDATE record SET value = x'00' WHERE key = 'b'",
		"UPDATE record SET value = x'00', hash = 1 WHERE key = 'b'",
		"DELETE FROM state",
	} {
		dir := t.TempDir()
		s := open(t, dir).(*DB)
		if err := s.Commit(t.Context(), []catalog.Op{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}}); err != nil {
			t.Fatal(err)
		}
		if err := s.conn.Exec(sql); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "damaged") && !strings.Contains(err.Error(), "state row") {
			t.Errorf("%s: got %v", sql, err)
		}
	}
}

// A flipped bit in the file is caught by the page checksum or by ours, never passed on.
func TestFlippedBitsAreNoticed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var ops []catalog.Op
	for i := range 500 {
		ops = append(ops, catalog.Op{Key: fmt.Sprintf("function/%03d", i), Value: []byte(strings.Repeat("v", 200))})
	}
	if err := s.Commit(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "meta.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		bad := append([]byte(nil), good...)
		i := 4096 + rand.IntN(len(bad)-4096)
		bad[i] ^= 1 << rand.IntN(8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(t.Context(), dir)
		if err == nil {
			d.Close()
			t.Errorf("a bit flipped in byte %d of %d passes", i, len(bad))
		}
	}
}

// A write that fails stops the store: the callers hear of it, Fatal carries it, and nothing is accepted after it.
func TestFailedWriteStopsTheStore(t *testing.T) {
	s := open(t, t.TempDir()).(*DB)
	if err := s.conn.Exec("CREATE TRIGGER broken BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'disk on fire'); END"); err != nil {
		t.Fatal(err)
	}
	put := []catalog.Op{{Key: "a", Value: []byte("1")}}
	if err := s.Commit(t.Context(), put); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("the caller got %v", err)
	}
	if err := <-s.Fatal(); err == nil {
		t.Error("Fatal carries nothing")
	}
	if err := s.Commit(t.Context(), put); err == nil {
		t.Error("a failed store accepts more")
	}
	s.Close()
}

// The child of the crash tests: it commits numbered pairs, says each one it was
// answered, and kills itself at a named point if it is told to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CRASH_DIR"); dir != "" {
		crash(dir, os.Getenv("CRASH_AT"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func crash(dir, point string) {
	name, after := point, 0
	if n, err := fmt.Sscanf(point, "%d:%s", &after, &name); n != 2 || err != nil {
		after = 0
	}
	seen := 0
	at = func(p string) {
		if p != name {
			return
		}
		if seen++; seen > after {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal may take a moment
		}
	}
	d, err := Open(context.Background(), dir)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	for i := range 100000 {
		key := fmt.Sprintf("%06d", i)
		err := d.Commit(context.Background(), []catalog.Op{
			{Key: key + "/x", Value: []byte(key)}, {Key: key + "/y", Value: []byte(key)}, {Key: "last", Value: []byte(key)},
		})
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(i)
	}
}

// child runs crash in another process until it dies, killing it after a while if
// it is to, and returns how many commits it was answered.
func child(t *testing.T, dir, point string, after time.Duration) int {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "CRASH_DIR="+dir, "CRASH_AT="+point)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	answered := 0
	for sc := bufio.NewScanner(out); sc.Scan(); answered++ {
		if strings.HasPrefix(sc.Text(), "error") {
			t.Error(sc.Text())
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child was not killed")
	}
	return answered
}

// check opens what a killed process left: everything answered is there, and
// nothing by halves. One more commit than was answered may be, whole.
func check(t *testing.T, dir string, answered int) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	got := catalogtest.Records(t, s, "")
	n := answered
	if got[fmt.Sprintf("%06d/x", n)] != "" {
		n++
	}
	want := 2*n + 1
	if n == 0 {
		want = 0
	}
	if len(got) != want {
		t.Errorf("%d records after %d answers", len(got), answered)
	}
	for i := range n {
		key := fmt.Sprintf("%06d", i)
		if got[key+"/x"] != key || got[key+"/y"] != key {
			t.Errorf("commit %d of %d is not whole", i, answered)
		}
	}
	if n > 0 && got["last"] != fmt.Sprintf("%06d", n-1) {
		t.Errorf("the last is %s after %d", got["last"], n)
	}
}

// Killed at any of these points, the file opens and agrees with every answer given.
func TestKilledAtEveryPoint(t *testing.T) {
	for _, c := range []struct {
		point    string
		answered int // how many commits had been answered by then
	}{
		{"migrate", 0},
		{"migrated", 0},
		{"begin", 0},
		{"applied", 0},
		{"1:applied", 0},
		{"commit", 0},
		{"committed", 0}, // durable but never answered
		{"answer", 0},
		{"20:begin", 20},
		{"61:applied", 20}, // three operations a commit: the second of the 21st
		{"20:commit", 20},
		{"20:committed", 20},
		{"20:answer", 20},
	} {
		t.Run(c.point, func(t *testing.T) {
			dir := t.TempDir()
			if got := child(t, dir, c.point, 0); got != c.answered {
				t.Errorf("%d commits were answered, want %d", got, c.answered)
			}
			check(t, dir, c.answered)
		})
	}
}

// Killed at random moments, again and again, every opening agrees with every answer.
func TestKilledAtRandom(t *testing.T) {
	for range 8 {
		dir := t.TempDir()
		answered := child(t, dir, "never", 20*time.Millisecond+time.Duration(rand.Int64N(int64(150*time.Millisecond))))
		check(t, dir, answered)
	}
}

func BenchmarkCommit(b *testing.B) {
	d, err := Open(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	value := []byte(strings.Repeat("v", 1500))
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		key := fmt.Sprint(rand.Uint64())
		for pb.Next() {
			if err := d.Commit(context.Background(), []catalog.Op{{Key: key, Value: value}}); err != nil {
				b.Error(err)
			}
		}
	})
}
