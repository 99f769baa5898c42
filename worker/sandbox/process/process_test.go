//go:build unix

package process

import (
	"io"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/sandboxtest"
)

func open(t *testing.T) *Driver {
	t.Helper()
	d, err := New(Options{Dir: filepath.Join(t.TempDir(), "sandbox")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestContract(t *testing.T) {
	sandboxtest.Run(t, func(t *testing.T) sandbox.Driver { return open(t) })
}

// Without control groups, a daemon in a session of its own is found all the same.
func TestADaemonIsFoundWithoutControlGroups(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it takes /proc")
	}
	d := open(t)
	if err := d.groups.close(); err != nil {
		t.Fatal(err)
	}
	d.groups = groups{}
	b, err := d.Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Start(t.Context(), &sandbox.Spec{
		Name: "test", Argv: []string{"/bin/sh", "-c", "setsid sh -c 'sleep 1000 & echo up; wait' & wait"},
		Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Task: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Output().Close()
	if _, err := io.ReadFull(s.Output(), make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if len(stragglers(s.(*box).mark)) < 3 {
		t.Errorf("found %v of two shells and a sleep", stragglers(s.(*box).mark))
	}
	if err := s.Kill(0); err != nil {
		t.Error(err)
	}
	s.Output().SetReadDeadline(time.Now().Add(30 * time.Second))
	if out, err := io.ReadAll(s.Output()); err != nil { // it ends when nobody has the pipe
		t.Errorf("%q, %v", out, err)
	}
}
