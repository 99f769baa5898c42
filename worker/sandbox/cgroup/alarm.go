//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Memory is what a group holds at the moment, in bytes.
type Memory struct {
	Used   int64 // all that is charged to it
	Files  int64 // of which pages of files on disk, which can be had again
	Shared int64 // of which pages of tmpfs and shared anonymous memory
}

// Memory reads what the group holds.
func (g *Group) Memory() Memory {
	stat := g.read("memory", "memory.stat", "memory.stat")
	m := Memory{Used: number(g.read("memory", "memory.usage_in_bytes", "memory.current")), Shared: field(stat, "shmem")}
	cache := "file"
	if _, ok := g.v1["memory"]; ok {
		cache = "cache"
	}
	m.Files = max(field(stat, cache)-m.Shared, 0)
	return m
}

// Alarm tells when a group's use of memory goes past a level. On version 1 the
// kernel has events for that; on version 2 it is the level above which the
// kernel reclaims and slows down.
type Alarm struct {
	g *Group

	mu     sync.Mutex // guards what follows
	events *os.File   // the one waited for now
	closed bool
}

// Alarm makes one. Close it before the group.
func (g *Group) Alarm() *Alarm { return &Alarm{g: g} }

// Wait waits until use is at level, in bytes, or above. It returns false when
// the alarm is closed or does not work.
func (a *Alarm) Wait(level int64) (bool, error) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return false, nil
	}
	var err error
	if dir, ok := a.g.v1["memory"]; ok {
		a.events, err = threshold(dir, level)
	} else {
		a.events, err = high(a.g.v2, level)
	}
	events := a.events
	a.mu.Unlock()
	if err != nil {
		return false, fmt.Errorf("memory alarm: %w", err)
	}
	defer events.Close()
	for b := make([]byte, 4096); ; {
		// Events are of changes: it may have been there before.
		if number(a.g.read("memory", "memory.usage_in_bytes", "memory.current")) >= level {
			return true, nil
		}
		if _, err := events.Read(b); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return false, nil
			}
			return false, fmt.Errorf("memory alarm: %w", err)
		}
	}
}

// Close ends a Wait that is under way, and those to come.
func (a *Alarm) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.events != nil {
		a.events.Close()
	}
}

// threshold returns a file that can be read when use crosses the level, on
// version 1.
func threshold(dir string, level int64) (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	events := os.NewFile(uintptr(fd), "memory threshold")
	usage, err := os.Open(filepath.Join(dir, "memory.usage_in_bytes"))
	if err != nil {
		events.Close()
		return nil, err
	}
	defer usage.Close()
	order := strconv.Itoa(fd) + " " + strconv.Itoa(int(usage.Fd())) + " " + strconv.FormatInt(level, 10)
	if err := write(filepath.Join(dir, "cgroup.event_control"), order); err != nil {
		events.Close()
		return nil, err
	}
	return events, nil
}

// high returns a file that can be read when use was above the level, on version
// 2. Both make the kernel count; the count is a file that can be watched.
func high(dir string, level int64) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	events := os.NewFile(uintptr(fd), "memory.events")
	if _, err := unix.InotifyAddWatch(fd, filepath.Join(dir, "memory.events"), unix.IN_MODIFY); err != nil {
		events.Close()
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	if err := write(filepath.Join(dir, "memory.high"), strconv.FormatInt(level, 10)); err != nil {
		events.Close()
		return nil, err
	}
	return events, nil
}
