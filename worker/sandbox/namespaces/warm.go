//go:build linux && (amd64 || arm64)

package namespaces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/cgroup"
)

// assignWithin bounds how long a program takes to read what it is told, which is
// no more than a socket holds.
const assignWithin = 5 * time.Second

// room is how many bytes of variables a warm program is started with beside its
// own, so that those of a function, which are 4 KiB at most, and the platform's find
// place where the kernel looks for them.
const room = 12 << 10

// Warm starts a program that waits to be told whose it is.
func (b *blank) Warm(ctx context.Context, spec *sandbox.Spec) (err error) {
	if b.warm != nil {
		return errors.New("the blank is warm already")
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("warm %s: %w", spec.Name, err), b.Discard())
		}
	}()
	if len(spec.Argv) == 0 || !spec.Socket {
		return errors.New("no program, or no socket to tell it by")
	}
	blind := *spec
	blind.Task, blind.Layers = "", nil
	blind.Env = append(slices.Clip(spec.Env), "_="+strings.Repeat("-", room))
	e := &entry{b: b, spec: &blind}
	defer e.close()
	if err := e.gather(spec.Binds); err != nil {
		return err
	}
	s, err := b.begin(e, cgroup.Limits{Pids: spec.Pids})
	if err != nil {
		return err
	}
	b.warm = s // Discard ends it
	if err := s.group.Background(true); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { s.socket.SetReadDeadline(time.Unix(1, 0)) })
	var ready [1]byte
	_, err = s.socket.Read(ready[:])
	if !stop() {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("wait until it is ready: %w", err)
	}
	if ready[0] != sandbox.Ready {
		return fmt.Errorf("it says %q, not that it is ready", ready)
	}
	return nil
}

// assign gives a warm program what it lacks of an entry's spec, and tells it.
func (s *box) assign(e *entry) error {
	spec := e.spec
	if !slices.Equal(spec.Argv, s.spec.Argv) || !slices.Equal(spec.Binds, s.spec.Binds) || !spec.Socket {
		return errors.New("another program has been warmed")
	}
	for _, v := range spec.Env {
		if strings.IndexByte(v, 0) >= 0 {
			return unix.EINVAL // as of execve
		}
	}
	s.spec = spec
	if err := e.gather(nil); err != nil {
		return err
	}
	s.tmp.Close()
	err := cgroup.Aside(func() error {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Setns(e.b.holder.fd, unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return e.furnish()
	})
	if s.tmp = e.tmp; err != nil {
		return err
	}
	if err := errors.Join(s.group.Limit(limits(spec)), s.group.Background(false)); err != nil {
		return err
	}
	if err := s.child.reenvironment(spec.Env); err != nil {
		return err
	}
	if err := s.socket.SetWriteDeadline(time.Now().Add(assignWithin)); err != nil {
		return err
	}
	if _, err := s.socket.Write(sandbox.Assignment(spec.Dir, spec.Env)); err != nil {
		return fmt.Errorf("tell the program whose it is: %w", err)
	}
	return s.socket.SetWriteDeadline(time.Time{})
}

// reenvironment puts variables where /proc shows those that a process was started
// with. A program that is warm has given those up.
func (c *child) reenvironment(env []string) error {
	proc := "/proc/" + strconv.Itoa(c.pid)
	stat, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return err
	}
	// The name, in parentheses, may hold anything. Behind it, env_start and env_end
	// are fields 50 and 51 of proc(5), counted from state, which is the third.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 49 {
		return fmt.Errorf("%s/stat: %d fields", proc, len(fields))
	}
	start, err1 := strconv.ParseInt(fields[50-3], 10, 64)
	end, err2 := strconv.ParseInt(fields[51-3], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	b := make([]byte, 0, max(end-start, 0))
	for _, v := range env {
		b = append(append(b, v...), 0)
	}
	if int64(len(b)) > end-start {
		return fmt.Errorf("%d bytes of variables, %d of room", len(b), end-start)
	}
	mem, err := os.OpenFile(proc+"/mem", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrPermission) { // Yama forbids it; then /proc shows less
		return nil
	}
	if err != nil {
		return err
	}
	defer mem.Close()
	_, err = mem.WriteAt(b[:end-start], start)
	return err
}
