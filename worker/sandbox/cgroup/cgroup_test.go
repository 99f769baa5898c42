//go:build linux

package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// On a host of version 2 alone, limits and counts are in the files of one
// directory. Nothing here can make such a host: the files are the test's.
func TestVersion2Files(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"memory.max", "memory.swap.max", "memory.oom.group", "pids.max", "cpu.max"} {
		put(name, "")
	}
	put("memory.peak", "5242880\n")
	put("memory.current", "4194304\n")
	put("memory.stat", "anon 1048576\nfile 3000000\nkernel 0\nshmem 1000000\n")
	put("memory.events", "low 0\nhigh 3\nmax 9\noom 1\noom_kill 1\n")
	put("pids.current", "7\n")
	put("cpu.stat", "usage_usec 1500000\nuser_usec 1000000\n")

	g := &Group{v2: dir, has2: true}
	if err := g.limit(Limits{Memory: 128 << 20, CPU: 0.5, Pids: 64}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"memory.max": "134217728", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "64", "cpu.max": "50000",
	} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want {
			t.Errorf("%s is %q, want %q; %v", name, b, want, err)
		}
	}
	if err := g.meters(); err != nil {
		t.Fatal(err)
	}
	want := Usage{Peak: 5 << 20, CPU: 1500 * time.Millisecond, Pids: 7}
	if u, err := g.Usage(); u != want || err != nil {
		t.Errorf("usage %+v, want %+v; %v", u, want, err)
	}
	if m := g.Memory(); m != (Memory{Used: 4 << 20, Files: 2000000, Shared: 1000000}) {
		t.Errorf("memory %+v", m)
	}
	if !g.OOM() {
		t.Error("an OOM kill is not seen")
	}
	for _, f := range []*os.File{g.peak, g.cpu, g.pids} {
		f.Close()
	}
}

// hosts runs a test with the hierarchies this host has, and as if it had those of
// version 1 only.
func hosts(t *testing.T, test func(t *testing.T, find func() (*Host, error))) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it takes root")
	}
	t.Run("AsFound", func(t *testing.T) { test(t, Find) })
	t.Run("Version1Only", func(t *testing.T) {
		mounts, _, err := hierarchies()
		if err != nil {
			t.Fatal(err)
		}
		if mounts["memory"] == "" || mounts["freezer"] == "" {
			t.Skip("this host has no version 1")
		}
		test(t, func() (*Host, error) { return find(mounts, "") })
	})
}

// launch starts a program in a group, and reaps it.
func launch(t *testing.T, g *Group, script string) (*exec.Cmd, <-chan error) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if fd, ok := g.Clone(); ok {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
	}
	err := Aside(func() error {
		if err := g.Enter(); err != nil {
			return err
		}
		return cmd.Start()
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return cmd, done
}

// A group is frozen, thawed, and killed with what it forked; the thread that
// started it, which may still be in it, lives on with its process.
func TestFreezeAndKill(t *testing.T) {
	hosts(t, func(t *testing.T, find func() (*Host, error)) {
		h, err := find()
		if err != nil {
			t.Fatal(err)
		}
		g, err := h.New("a/strange name", Limits{Memory: 64 << 20, Pids: 10})
		if err != nil {
			t.Fatal(err)
		}
		cmd, done := launch(t, g, "trap '' TERM; (setsid sleep 1000 &) ; while :; do sleep 1; done")
		if !h.Freezes() {
			t.Error("it does not freeze")
		}
		for range 3 {
			if err := g.Freeze(); err != nil {
				t.Fatal(err)
			}
			if err := g.Thaw(); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Freeze(); err != nil { // and dies frozen
			t.Fatal(err)
		}
		if u, err := g.Usage(); err != nil || u.Peak == 0 || u.Pids < 1 {
			t.Errorf("usage %+v, %v", u, err)
		}
		if err := g.Kill(); err != nil {
			t.Fatal(err)
		}
		<-done
		if s := cmd.ProcessState.String(); s != "signal: killed" {
			t.Errorf("it ended with %s", s)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What a server that is gone has left is killed and removed by the next; what one
// that lives has is left alone.
func TestSweep(t *testing.T) {
	hosts(t, func(t *testing.T, find func() (*Host, error)) {
		gone, err := find()
		if err != nil {
			t.Fatal(err)
		}
		alive, err := find()
		if err != nil {
			t.Fatal(err)
		}
		g, err := gone.New("left", Limits{Pids: 10})
		if err != nil {
			t.Fatal(err)
		}
		_, done := launch(t, g, "sleep 1000")
		g.Entered()
		if err := g.Freeze(); err != nil {
			t.Fatal(err)
		}
		for _, f := range gone.locks {
			f.Close() // as the kernel does for a process that ends
		}
		next, err := find()
		if err != nil {
			t.Fatal(err)
		}
		<-done
		for dir := range gone.locks {
			if exists(dir) {
				t.Errorf("%s is left", dir)
			}
		}
		for _, f := range []*os.File{g.peak, g.cpu, g.pids} {
			if f != nil {
				f.Close()
			}
		}
		for _, h := range []*Host{alive, next} {
			for dir := range h.locks {
				if !exists(dir) {
					t.Errorf("%s is gone, its server is not", dir)
				}
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A server that sees only some of the hierarchies leaves alone what is another's.
func TestServersThatSeeLessSpareOthers(t *testing.T) {
	hosts(t, func(t *testing.T, find func() (*Host, error)) {
		all, err := Find()
		if err != nil {
			t.Fatal(err)
		}
		some, err := find()
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []*Host{all, some} {
			for dir := range h.locks {
				if !exists(dir) {
					t.Errorf("%s is gone, its server is not", dir)
				}
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
