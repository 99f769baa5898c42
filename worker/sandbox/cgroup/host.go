//go:build linux

// Package cgroup gives each environment control groups of its own: limits on
// memory, CPU and processes, freezing, killing, and what was used. The drivers
// of sandboxes use it. It starts no goroutine.
//
// Three kinds of host are served: version 2 alone; version 1 alone; and both,
// where the controllers are on version 1 and freezing and killing, which need no
// controller, are on version 2.
//
// All groups of one server are below directories of one name, lambent-*, at the
// roots of the hierarchies. The server holds a lock on each for as long as it
// lives: not every server need see every hierarchy. Directories that can all be
// locked are left over, and whoever looks next removes them.
package cgroup

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const prefix = "lambent-"

// Host is the control groups of this server. Make one with Find.
type Host struct {
	v1    map[string]string   // our directory by controller, on version 1
	v2    string              // our directory on version 2; "" if there is none
	v2has []string            // controllers on version 2
	locks map[string]*os.File // by directory
	seq   atomic.Uint64
}

// controllers are those that limits need.
var controllers = []string{"memory", "pids", "cpu"}

// hierarchies finds where control groups are mounted: version 1 by controller,
// and version 2.
func hierarchies() (v1 map[string]string, v2 string, err error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, "", err
	}
	v1 = map[string]string{}
	for line := range strings.Lines(string(b)) {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 5 || len(r) < 3 {
			continue
		}
		switch r[0] {
		case "cgroup2":
			v2 = l[4]
		case "cgroup":
			for c := range strings.SplitSeq(r[2], ",") {
				if slices.Contains(controllers, c) || c == "freezer" || c == "cpuacct" {
					v1[c] = l[4]
				}
			}
		}
	}
	return v1, v2, nil
}

// Find makes this server's directories, and removes those that servers which are
// gone have left, with the processes in them. Its error says what is missing.
func Find() (*Host, error) {
	mounts, unified, err := hierarchies()
	if err != nil {
		return nil, err
	}
	return find(mounts, unified)
}

// find makes this server's directories in the hierarchies given.
func find(mounts map[string]string, unified string) (*Host, error) {
	if len(mounts) == 0 && unified == "" {
		return nil, errors.New("no control groups are mounted at /sys/fs/cgroup")
	}
	if unified != "" {
		delete(mounts, "freezer")
		delete(mounts, "cpuacct")
	}
	if unified == "" && mounts["memory"] == "" {
		return nil, errors.New("the memory controller of the control groups is not mounted")
	}
	var id [6]byte
	rand.Read(id[:])
	name := prefix + hex.EncodeToString(id[:])
	h := &Host{v1: map[string]string{}, locks: map[string]*os.File{}}
	if unified != "" {
		h.v2 = filepath.Join(unified, name)
		if err := h.claim(h.v2); err != nil {
			return nil, err
		}
	}
	for c, mount := range mounts {
		h.v1[c] = filepath.Join(mount, name)
		if err := h.claim(h.v1[c]); err != nil {
			h.Close()
			return nil, err
		}
	}
	if unified != "" {
		for _, c := range controllers {
			if _, old := h.v1[c]; old {
				continue
			}
			if err := handDown(unified, h.v2, c); err != nil && c == "memory" {
				h.Close()
				return nil, fmt.Errorf("hand the memory controller down to %s: %w", h.v2, err)
			} else if err == nil {
				h.v2has = append(h.v2has, c)
				if c == "cpu" {
					_ = write(filepath.Join(h.v2, "cpu.weight"), strconv.Itoa(min(weight*100, 10_000)))
				}
			}
		}
	}
	h.sweep(name, mounts, unified)
	return h, nil
}

// weight is how much CPU all functions together get beside one thread of the
// server when both want more than there is. At the default of 1, sixty-four busy
// functions had the share of a single thread, and the slowest of a hundred
// invocations took three times as long (85 ms against 24 to 35 at 8 and above, 64 callers
// on two cores).
var weight = 8 * runtime.NumCPU()

// claim makes a directory and locks it.
func (h *Host) claim(dir string) error {
	if h.locks[dir] != nil {
		return nil // two controllers share a hierarchy
	}
	for range 100 {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make a control group (it takes root, or a delegated group): %w", err)
		}
		// Another server may take it for left over, until it is locked.
		if f := lock(dir); f != nil {
			h.locks[dir] = f
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("%s: others remove what is made", dir)
}

// lock locks a directory, and returns nil if another has, or if it is gone.
func lock(dir string) *os.File {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || !exists(dir) {
		f.Close()
		return nil
	}
	return f
}

// write sets a file of a control group; unlike os.WriteFile it makes none.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	f.Close()
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// handDown lets the groups below ours use a controller of version 2.
func handDown(mount, ours, controller string) error {
	if offered, err := os.ReadFile(filepath.Join(mount, "cgroup.controllers")); err == nil && !slices.Contains(strings.Fields(string(offered)), controller) {
		return fmt.Errorf("%s does not offer it (boot with cgroup_enable=%s, or have it delegated)", mount, controller)
	}
	add := "+" + controller
	err := write(filepath.Join(mount, "cgroup.subtree_control"), add)
	if errors.Is(err, unix.EBUSY) && exists(filepath.Join(mount, "cgroup.type")) {
		// In a container the top is a group like any other, and one with processes
		// in it hands nothing down. They go aside.
		if err := moveAside(mount); err != nil {
			return err
		}
		err = write(filepath.Join(mount, "cgroup.subtree_control"), add)
	}
	if err != nil {
		return err
	}
	return write(filepath.Join(ours, "cgroup.subtree_control"), add)
}

func moveAside(mount string) error {
	aside := filepath.Join(mount, "container")
	if err := os.Mkdir(aside, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, pid := range processes(mount) {
		err := write(filepath.Join(aside, "cgroup.procs"), strconv.Itoa(pid))
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// Has tells whether a limit on "memory", "pids" or "cpu" can be set.
func (h *Host) Has(controller string) bool {
	_, ok := h.v1[controller]
	return ok || slices.Contains(h.v2has, controller)
}

// Freezes tells whether groups can be frozen.
func (h *Host) Freezes() bool { return h.v2 != "" || h.v1["freezer"] != "" }

// sweep removes what servers that are gone left in any hierarchy.
func (h *Host) sweep(own string, mounts map[string]string, unified string) {
	roots := []string{}
	for c, mount := range mounts {
		if c == "freezer" {
			roots = slices.Insert(roots, 0, mount) // first: the frozen do not die
		} else {
			roots = append(roots, mount)
		}
	}
	if unified != "" {
		roots = append(roots, unified)
	}
	names := map[string]bool{}
	for _, root := range roots {
		entries, _ := os.ReadDir(root)
		for _, e := range entries {
			if e.IsDir() && strings.HasPrefix(e.Name(), prefix) && e.Name() != own {
				names[e.Name()] = true
			}
		}
	}
	for name := range names {
		sweepOne(name, roots)
	}
}

// sweepOne removes the directories of one server, unless it holds one of them. It
// tries again at the next start what it does not manage.
func sweepOne(name string, roots []string) {
	locks := map[string]*os.File{}
	defer func() {
		for _, f := range locks {
			f.Close()
		}
	}()
	var dirs []string
	for _, root := range roots {
		dir := filepath.Join(root, name)
		if locks[dir] != nil || !exists(dir) {
			continue
		}
		f := lock(dir)
		if f == nil {
			return
		}
		locks[dir] = f
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		if removeTree(dir) != nil {
			return
		}
	}
}

// removeTree kills what is in the groups below dir, and removes them and it.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			sub := filepath.Join(dir, e.Name())
			if err := empty(sub); err != nil {
				return err
			}
			if err := remove(sub); err != nil {
				return err
			}
		}
	}
	return remove(dir)
}

// processes lists those in one group. On version 1 a thread of this process that
// started something there may not have ended yet; that does not count.
func processes(dir string) []int {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for s := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(s); err == nil && pid > 1 && pid != os.Getpid() { // 0 is one of a process namespace we do not see
			pids = append(pids, pid)
		}
	}
	return pids
}

// empty kills every process of the group at dir and waits until none is left.
// Those that are killed must be reaped meanwhile by their parents.
func empty(dir string) error {
	_ = write(filepath.Join(dir, "freezer.state"), "THAWED") // version 1: the frozen do not die
	all := write(filepath.Join(dir, "cgroup.kill"), "1") == nil
	for wait, until := 50*time.Microsecond, time.Now().Add(30*time.Second); ; wait = min(2*wait, 10*time.Millisecond) {
		pids := processes(dir)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s: processes %v do not end", dir, pids)
		}
		if !all {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone by now
			}
		}
		time.Sleep(wait)
	}
}

// remove removes the group at dir, whose last process may still be on its way out.
func remove(dir string) error {
	for wait := 100 * time.Microsecond; ; wait *= 2 {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || wait > 500*time.Millisecond {
			return err
		}
		time.Sleep(wait)
	}
}

// Close removes the server's directories. Every group must be closed before.
func (h *Host) Close() error {
	var errs []error
	for dir, f := range h.locks {
		errs = append(errs, remove(dir))
		f.Close() // what is left is for the next server to remove
	}
	return errors.Join(errs...)
}
