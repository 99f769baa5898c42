package process

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/cgroup"
)

// groups makes control groups, if the server may.
type groups struct{ host *cgroup.Host }

func findGroups() groups {
	h, err := cgroup.Find()
	if err != nil {
		return groups{}
	}
	return groups{h}
}

func (g groups) any() bool                  { return g.host != nil }
func (g groups) has(controller string) bool { return g.host != nil && g.host.Has(controller) }

func (g groups) close() error {
	if g.host == nil {
		return nil
	}
	return g.host.Close()
}

func (g groups) make(spec *sandbox.Spec) (group, error) {
	if g.host == nil {
		return nil, nil
	}
	c, err := g.host.New(spec.Name, cgroup.Limits{Memory: spec.Memory, CPU: spec.CPU, Pids: spec.Pids})
	if err != nil {
		return nil, err
	}
	return &control{c, g.host.Freezes()}, nil
}

type control struct {
	*cgroup.Group
	freezes bool
}

func (c *control) Freezes() bool { return c.freezes }

func (c *control) Stats() (sandbox.Stats, error) {
	u, err := c.Usage()
	return sandbox.Stats{MemoryPeak: u.Peak, CPU: u.CPU, Pids: u.Pids}, err
}

// launch starts the command, in the group and under the rules if there are any.
// A thread takes them on and ends with what it started, since it can leave
// neither; so nothing of ours is ever charged to a function or confined.
func launch(cmd *exec.Cmd, g group, rules *os.File) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c, _ := g.(*control)
	if c != nil {
		defer c.Entered()
		if fd, ok := c.Clone(); ok {
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
		}
	}
	err := cgroup.Aside(func() error {
		if c != nil {
			if err := c.Enter(); err != nil {
				return err
			}
		}
		dropCapabilities()
		if rules != nil {
			if err := confine(rules); err != nil {
				return err
			}
		}
		return cmd.Start()
	})
	if err == nil {
		limit(cmd.Process.Pid)
	}
	return err
}

// dropCapabilities makes what the calling thread starts root in name only, if
// the server is root: it owns root's files, but reads no other process's memory.
func dropCapabilities() {
	for c := uintptr(0); unix.Prctl(unix.PR_CAPBSET_READ, c, 0, 0, 0) == nil; c++ {
		if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			return // not ours to give
		}
	}
}

// limit sets what a process may have open, and that it leaves no core. It is
// in force from a moment after the start.
func limit(pid int) {
	files := unix.Rlimit{Cur: 1024, Max: 1024}
	_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &files, nil)
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
}

// stragglers lists the processes, by whatever parent and in whatever session,
// that were started with the variable. One that cleared it and left is missed.
func stragglers(variable string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	zero := []byte{0}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/environ") // empty once it has ended
		if err == nil && bytes.Contains(slices.Concat(zero, b, zero), slices.Concat(zero, []byte(variable), zero)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// rusage reads what one process uses.
func rusage(pid int) (s sandbox.Stats) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return s
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmHWM:":
			s.MemoryPeak = n << 10
		case "Threads:":
			s.Pids = int(n)
		}
	}
	return s
}
