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

// launch starts the command, in the group if there is one. On version 1 a thread
// enters the group and ends with what it started, since a thread cannot leave
// for where it was; so nothing of ours is ever charged to a function.
func launch(cmd *exec.Cmd, g group) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if g == nil {
		if err := cmd.Start(); err != nil {
			return err
		}
		limit(cmd.Process.Pid)
		return nil
	}
	c := g.(*control)
	if fd, ok := c.Clone(); ok {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, fd
	}
	err := cgroup.Aside(func() error {
		if err := c.Enter(); err != nil {
			return err
		}
		return cmd.Start()
	})
	c.Entered()
	if err == nil {
		limit(cmd.Process.Pid)
	}
	return err
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
