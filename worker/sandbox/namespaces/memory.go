//go:build linux && (amd64 || arm64)

package namespaces

import (
	"golang.org/x/sys/unix"
)

// The kernel charges a page of tmpfs to whoever writes it first, so what a
// function keeps in /tmp counts against the limit of its control group, and a
// function with little memory could not fill its /tmp without being killed for
// memory that it does not use. On AWS /tmp is a disk and does not count. A disk
// here would be a file system in a file: milliseconds to make, and the host's
// disk to write to. So the limit of the control group is memory and storage
// together, which is the most that the host can lose to the environment, and the
// limit on memory alone is kept by the server: the kernel tells it when use
// passes a level; it subtracts what is in /tmp and what are pages of files, which
// the kernel would drop; and it kills the environment if the rest is too much.
// Otherwise the next level is as far up as there is room, so that no more memory
// than allowed can be in use without an alarm.
//
// Between the alarm and the kill a function goes past its limit by what it can
// write in about a millisecond.

// leastStep spares an environment close to its limit from an alarm at every page.
const leastStep = 1 << 20

// watch keeps the limit until the alarm is closed.
func (s *box) watch() {
	for level := s.spec.Memory; ; {
		rang, err := s.alarm.Wait(level)
		if err != nil {
			s.d.log.Error("the memory of an environment is no longer watched", "environment", s.spec.Name, "err", err)
		}
		if !rang {
			return
		}
		m := s.group.Memory()
		held := m.Used - m.Files - min(s.stored(), m.Shared)
		if held > s.spec.Memory {
			s.over.Store(true)
			s.d.log.Debug("out of memory", "environment", s.spec.Name, "bytes", held, "limit", s.spec.Memory)
			_ = s.blank.holder.signal(unix.SIGKILL) // takes all with it; Kill removes what is left
			return
		}
		level = m.Used + max(s.spec.Memory-held, leastStep)
	}
}

// stored returns how many bytes are in /tmp.
func (s *box) stored() int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(s.tmp.Fd()), &st); err != nil {
		return 0
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize
}
