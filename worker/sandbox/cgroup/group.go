//go:build linux

package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const period = 100_000 // microseconds over which CPU is shared out; the kernel's default

// Limits of a group. Zero is none.
type Limits struct {
	Memory int64   // bytes
	CPU    float64 // virtual CPUs
	Pids   int
}

// Group is the control groups of one environment.
type Group struct {
	v1    map[string]string // directory by controller
	v2    string            // directory on version 2, or ""
	has2  bool              // version 2 has the memory controller
	dir2  *os.File          // v2, for the kernel to start a process in it
	tasks []*os.File        // version 1: where a thread writes itself

	// Read at every invocation, so kept open.
	peak, cpu, pids *os.File

	mu     sync.Mutex // guards closed, and the files with it
	closed bool
}

// New makes a group with limits.
func (h *Host) New(name string, l Limits) (g *Group, err error) {
	// The number makes it unique; the rest is for the operator.
	name = strconv.FormatUint(h.seq.Add(1), 10) + "-" + strings.Map(safe, name[:min(len(name), 150)])
	g = &Group{v1: map[string]string{}}
	defer func() {
		if err != nil {
			g.Close()
			err = fmt.Errorf("control group %s: %w", name, err)
		}
	}()
	for c, parent := range h.v1 {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // two controllers may share a hierarchy
			return g, err
		}
		g.v1[c] = dir
		f, err := os.OpenFile(filepath.Join(dir, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			return g, err
		}
		g.tasks = append(g.tasks, f)
	}
	if h.v2 != "" {
		g.v2 = filepath.Join(h.v2, name)
		if err := os.Mkdir(g.v2, 0o755); err != nil {
			return g, err
		}
		if g.dir2, err = os.OpenFile(g.v2, unix.O_PATH|unix.O_DIRECTORY, 0); err != nil {
			return g, err
		}
		g.has2 = len(h.v2has) > 0
	}
	if err := g.limit(l); err != nil {
		return g, err
	}
	return g, g.meters()
}

func safe(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
		return r
	}
	return '_'
}

// set writes a limit where the controller is: file1 on version 1, file2 on 2.
func (g *Group) set(controller, file1, file2, value string) error {
	path := ""
	if dir, ok := g.v1[controller]; ok && file1 != "" {
		path = filepath.Join(dir, file1)
	} else if !ok && g.has2 && file2 != "" {
		path = filepath.Join(g.v2, file2)
	} else {
		return nil // Has says so
	}
	return write(path, value)
}

// Limit changes the limits of the group. It does not undo those that are set.
func (g *Group) Limit(l Limits) error { return g.limit(l) }

// Background gives the group the least claim to CPU beside others of its server,
// or the usual one back.
func (g *Group) Background(on bool) error {
	shares, weight := "1024", "100" // the kernel's defaults
	if on {
		shares, weight = "2", "1"
	}
	return errors.Join(g.set("cpu", "cpu.shares", "", shares), g.set("cpu", "", "cpu.weight", weight))
}

func (g *Group) limit(l Limits) error {
	if l.Memory > 0 {
		memory := strconv.FormatInt(l.Memory, 10)
		if err := g.set("memory", "memory.limit_in_bytes", "memory.max", memory); err != nil {
			return err
		}
		// Swap is not more memory. A kernel may do without these three.
		_ = g.set("memory", "memory.memsw.limit_in_bytes", "", memory)
		_ = g.set("memory", "memory.swappiness", "memory.swap.max", "0")
		_ = g.set("memory", "", "memory.oom.group", "1")
	}
	if l.Pids > 0 {
		if err := g.set("pids", "pids.max", "pids.max", strconv.Itoa(l.Pids)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if l.CPU > 0 && l.CPU < float64(runtime.NumCPU()) { // more than there is needs no limit, and counting costs
		quota := strconv.Itoa(max(int(l.CPU*period), 1000)) // the kernel takes no less than a millisecond
		err := g.set("cpu", "cpu.cfs_quota_us", "cpu.max", quota)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (g *Group) meters() (err error) {
	open := func(controller, file1, file2 string) *os.File {
		path := filepath.Join(g.v2, file2)
		if dir, ok := g.v1[controller]; ok {
			path = filepath.Join(dir, file1)
		}
		f, e := os.Open(path)
		if e != nil {
			return nil // not measured here
		}
		return f
	}
	if g.peak = open("memory", "memory.max_usage_in_bytes", "memory.peak"); g.peak == nil && g.has2 {
		g.peak = open("memory", "", "memory.current") // version 2 before Linux 5.19
	}
	g.pids = open("pids", "pids.current", "pids.current")
	g.cpu = open("cpuacct", "cpuacct.usage", "cpu.stat") // version 2 counts even without the controller
	return nil
}

// Enter moves the calling thread, which must be locked and end soon, into the
// groups of version 1; what it starts begins there. It needs no file system, so
// that it works from inside a sandbox.
func (g *Group) Enter() error {
	for _, f := range g.tasks {
		if _, err := unix.Write(int(f.Fd()), []byte("0")); err != nil {
			return fmt.Errorf("enter control group: %w", err)
		}
	}
	return nil
}

// Clone returns the descriptor of the group of version 2 for the kernel to start
// a process in (CLONE_INTO_CGROUP), and false if there is none.
func (g *Group) Clone() (fd int, ok bool) {
	if g.dir2 == nil {
		return -1, false
	}
	return int(g.dir2.Fd()), true
}

// Entered closes what only Enter and Clone need.
func (g *Group) Entered() {
	for _, f := range g.tasks {
		f.Close()
	}
	if g.dir2 != nil {
		g.dir2.Close()
	}
	g.tasks, g.dir2 = nil, nil
}

// Usage is what a group has used. What the host does not measure is zero.
type Usage struct {
	Peak int64 // bytes, the most at once
	CPU  time.Duration
	Pids int // processes and threads now
}

// Usage costs three system calls.
func (g *Group) Usage() (u Usage, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return u, os.ErrClosed
	}
	var b [512]byte
	read := func(f *os.File) []byte {
		if f == nil {
			return nil
		}
		n, e := unix.Pread(int(f.Fd()), b[:], 0)
		if e != nil {
			err = e
			return nil
		}
		return b[:n]
	}
	u.Peak = number(read(g.peak))
	u.Pids = int(number(read(g.pids)))
	if cpu := read(g.cpu); g.v2 != "" {
		u.CPU = time.Duration(field(cpu, "usage_usec")) * time.Microsecond
	} else {
		u.CPU = time.Duration(number(cpu))
	}
	return u, err
}

func number(b []byte) int64 {
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n
}

// field returns the number after a key in a file of one pair a line.
func field(b []byte, key string) int64 {
	for line := range bytes.Lines(b) {
		if name, rest, ok := bytes.Cut(line, []byte(" ")); ok && string(name) == key {
			return number(rest)
		}
	}
	return 0
}

func (g *Group) read(controller, file1, file2 string) []byte {
	path := filepath.Join(g.v2, file2)
	if dir, ok := g.v1[controller]; ok {
		path = filepath.Join(dir, file1)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return b
}

// OOM tells whether the kernel has killed a process of the group for memory.
func (g *Group) OOM() bool {
	return field(g.read("memory", "memory.oom_control", "memory.events"), "oom_kill") > 0
}

// Freeze stops every process and returns when all are stopped.
func (g *Group) Freeze() error { return g.freeze(true) }

// Thaw lets them run on.
func (g *Group) Thaw() error { return g.freeze(false) }

func (g *Group) freeze(stop bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return os.ErrClosed
	}
	if g.v2 != "" {
		if !stop {
			return write(filepath.Join(g.v2, "cgroup.freeze"), "0")
		}
		if err := write(filepath.Join(g.v2, "cgroup.freeze"), "1"); err != nil {
			return err
		}
		return g.awaitFrozen()
	}
	dir, ok := g.v1["freezer"]
	if !ok {
		return errors.New("this host cannot freeze processes")
	}
	file, state := filepath.Join(dir, "freezer.state"), "THAWED"
	if stop {
		state = "FROZEN"
	}
	// Version 1 tells nobody when all are stopped, and a look makes it go on.
	for wait, until := 20*time.Microsecond, time.Now().Add(5*time.Second); time.Now().Before(until); wait = min(2*wait, time.Millisecond) {
		if err := write(file, state); err != nil {
			return err
		}
		b, err := os.ReadFile(file)
		if err != nil || string(bytes.TrimSpace(b)) == state {
			return err
		}
		time.Sleep(wait)
	}
	return errors.New("freeze: a process does not stop")
}

// awaitFrozen waits for the state of version 2 that tells it. There is an event
// for it, but the kernel holds events back that follow another within 10 ms, so
// it also looks.
func (g *Group) awaitFrozen() error {
	f, err := os.Open(filepath.Join(g.v2, "cgroup.events"))
	if err != nil {
		return err
	}
	defer f.Close()
	var b [256]byte
	for look, until := 20*time.Microsecond, time.Now().Add(5*time.Second); time.Now().Before(until); look = min(2*look, 5*time.Millisecond) {
		n, err := unix.Pread(int(f.Fd()), b[:], 0)
		if err != nil {
			return err
		}
		if field(b[:n], "frozen") == 1 || field(b[:n], "populated") == 0 {
			return nil
		}
		ts := unix.NsecToTimespec(look.Nanoseconds())
		_, err = unix.Ppoll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}, &ts, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return errors.New("freeze: a process does not stop")
}

// Kill ends every process of the group and returns when none is left. Their
// parents must reap them meanwhile.
func (g *Group) Kill() error {
	if g.v2 != "" {
		return empty(g.v2) // the others have the same processes
	}
	// The frozen do not die, and the freezer's group has them all.
	if dir, ok := g.v1["freezer"]; ok {
		return empty(dir)
	}
	return empty(g.v1["memory"])
}

// Close removes the group, which must be empty.
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	g.Entered()
	for _, f := range []*os.File{g.peak, g.cpu, g.pids} {
		if f != nil {
			f.Close()
		}
	}
	var errs []error
	for _, dir := range g.v1 {
		errs = append(errs, remove(dir))
	}
	if g.v2 != "" {
		errs = append(errs, remove(g.v2))
	}
	return errors.Join(errs...)
}
