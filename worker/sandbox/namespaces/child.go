//go:build linux && (amd64 || arm64)

package namespaces

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// child is a process that this one started. Waiting for it takes no thread, and
// reaps no other.
type child struct {
	pid int
	fd  int      // its pidfd
	f   *os.File // the same, which the runtime's poller knows
}

// fork starts one of the programs.
func (d *Driver) fork(argv []string, attr *syscall.ProcAttr) (*child, error) {
	var fd int
	attr.Sys.PidFD = &fd
	// The program is named by its descriptor. Between fork and exec the runtime
	// moves descriptors to the first number above those it was given, which could
	// be this one: it is given, too. Both programs close what they do not know.
	program := d.programs.Fd()
	attr.Files = append(slices.Clone(attr.Files), program)
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(int(program)), argv, attr)
	if err != nil {
		return nil, err
	}
	// Non-blocking, so that the runtime's poller takes it.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		_ = unix.Kill(pid, unix.SIGKILL)
		_, _ = unix.Wait4(pid, nil, 0, nil)
		return nil, os.NewSyscallError("pidfd", err)
	}
	return &child{pid: pid, fd: fd, f: os.NewFile(uintptr(fd), "pidfd")}, nil
}

// wait waits until the process has ended, and reaps it. It is called once.
func (c *child) wait() (e sandbox.Exit) {
	raw, err := c.f.SyscallConn()
	if err == nil {
		err = raw.Read(func(uintptr) bool {
			var ws unix.WaitStatus
			pid, werr := unix.Wait4(c.pid, &ws, unix.WNOHANG, nil)
			if pid == 0 || errors.Is(werr, unix.EINTR) {
				return false
			}
			switch {
			case werr != nil:
				e.Signal = werr.Error()
			case ws.Signaled():
				e.Signal = ws.Signal().String()
			default:
				e.Code = ws.ExitStatus()
			}
			return true
		})
	}
	if err != nil {
		e.Signal = err.Error()
	}
	return e
}

// signal sends a signal to the process; not after close.
func (c *child) signal(s unix.Signal) error { return unix.PidfdSendSignal(c.fd, s, nil, 0) }

func (c *child) close() { c.f.Close() }
