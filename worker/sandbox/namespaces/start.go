//go:build linux && (amd64 || arm64)

package namespaces

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/cgroup"
)

// entry is what a thread takes along into a sandbox.
type entry struct {
	b      *blank
	spec   *sandbox.Spec
	group  *cgroup.Group
	mounts []mounted
	files  []uintptr // descriptors of the process, the last for the gate to report on
	tmp    *os.File  // the sandbox's /tmp; set by enter
	child  *child    // set by enter
}

// mounted is a detached mount and its place.
type mounted struct {
	fd     int
	inside string
}

// Start turns the blank into an environment.
func (b *blank) Start(ctx context.Context, spec *sandbox.Spec) (_ sandbox.Sandbox, err error) {
	if !b.use() {
		return nil, errUsed
	}
	s := b.warm
	b.warm = nil
	defer func() {
		if err == nil {
			return
		}
		err = fmt.Errorf("start %s: %w", spec.Name, err)
		if s == nil {
			err = errors.Join(err, b.remove())
		} else {
			err = errors.Join(err, s.drop())
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(spec.Argv) == 0 {
		return nil, errors.New("no program")
	}
	e := &entry{b: b, spec: spec}
	defer e.close()
	if s != nil {
		if err := s.assign(e); err != nil {
			return nil, err
		}
	} else {
		if err := e.gather(spec.Binds); err != nil {
			return nil, err
		}
		if s, err = b.begin(e, limits(spec)); err != nil {
			return nil, err
		}
	}
	s.alarm = s.group.Alarm()
	s.run()
	return s, nil
}

func limits(spec *sandbox.Spec) cgroup.Limits {
	l := cgroup.Limits{Memory: spec.Memory, CPU: spec.CPU, Pids: spec.Pids}
	if l.Memory > 0 {
		l.Memory += spec.Storage // see memory.go
	}
	return l
}

// begin starts the program of an entry. The box is to be run, or dropped; with an
// error it has been, and the blank is left.
func (b *blank) begin(e *entry, l cgroup.Limits) (s *box, err error) {
	spec := e.spec
	s = &box{d: b.d, blank: b, spec: spec, done: make(chan struct{})}
	defer func() {
		if err != nil {
			s.tmp = e.tmp
			s.abandon()
			s = nil
		}
	}()
	if s.group, err = b.d.groups.New(spec.Name, l); err != nil {
		return s, err
	}
	e.group = s.group

	var out, report [2]int
	if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		return s, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(out[1])
	if err := unix.SetNonblock(out[0], true); err != nil {
		unix.Close(out[0])
		return s, fmt.Errorf("pipe: %w", err)
	}
	s.output = os.NewFile(uintptr(out[0]), "output")
	// The process may open it again, as /dev/stdout.
	if err := unix.Fchown(out[1], b.user(), group); err != nil {
		return s, fmt.Errorf("chown pipe: %w", err)
	}
	e.files = []uintptr{b.d.null.Fd(), uintptr(out[1]), uintptr(out[1])}
	if spec.Socket {
		conn, theirs, err := socket()
		if err != nil {
			return s, err
		}
		defer unix.Close(theirs)
		s.socket = conn
		e.files = append(e.files, uintptr(theirs))
	}
	if err := unix.Pipe2(report[:], unix.O_CLOEXEC); err != nil {
		return s, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(report[0])
	e.files = append(e.files, uintptr(report[1]))

	err = cgroup.Aside(e.enter)
	unix.Close(report[1])
	s.child, s.tmp = e.child, e.tmp
	if err != nil {
		return s, err
	}
	if err := reported(report[0], spec.Argv[0]); err != nil {
		return s, err
	}
	if b.d.spared { // functions are not
		_ = os.WriteFile("/proc/"+strconv.Itoa(s.child.pid)+"/oom_score_adj", []byte("0"), 0)
	}
	s.group.Entered()
	return s, nil
}

// abandon ends what was begun and is not run, and leaves a blank whose holder may
// have been ended: there is nothing to do with it but to remove it.
func (s *box) abandon() {
	if s.child != nil {
		_ = s.blank.holder.signal(unix.SIGKILL) // takes the child along
		s.child.wait()
		s.child.close()
	}
	if s.output != nil {
		s.output.Close()
	}
	if s.socket != nil {
		s.socket.Close()
	}
	s.tmp.Close()
	if s.group != nil {
		s.group.Close()
	}
}

// drop removes a box that is not run, with its blank.
func (s *box) drop() error {
	s.abandon()
	return s.blank.remove()
}

// gather opens what is to be mounted, while the host's paths can be seen.
func (e *entry) gather(binds []sandbox.Bind) error {
	add := func(fd int, err error, inside string) error {
		if err == nil {
			e.mounts = append(e.mounts, mounted{fd, inside})
		}
		return err
	}
	if e.spec.Task != "" {
		fd, err := detach(e.spec.Task, readOnly)
		if err := add(fd, err, "/var/task"); err != nil {
			return err
		}
	}
	if len(e.spec.Layers) > 0 {
		fd, err := layered(e.spec.Layers)
		if err := add(fd, err, "/opt"); err != nil {
			return err
		}
	}
	for _, bind := range binds {
		if err := e.b.d.root.point(bind.Host, bind.Inside); err != nil {
			return err
		}
		fd, err := detach(bind.Host, readOnly)
		if err := add(fd, err, bind.Inside); err != nil {
			return err
		}
	}
	return nil
}

func (e *entry) close() {
	for _, m := range e.mounts {
		unix.Close(m.fd)
	}
}

// furnish runs on a thread that is in the sandbox's mounts: it adds the entry's
// and gives /tmp its size.
func (e *entry) furnish() error {
	for _, m := range e.mounts {
		if err := attach(m.fd, m.inside); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/tmp", "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, tmpfs(e.spec.Storage)); err != nil {
		return fmt.Errorf("size /tmp: %w", err)
	}
	tmp, err := unix.Open("/tmp", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /tmp: %w", err)
	}
	e.tmp = os.NewFile(uintptr(tmp), "/tmp")
	return nil
}

// enter runs on a thread of its own, which it takes into the sandbox.
func (e *entry) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(e.b.holder.fd, spaces); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	if err := e.furnish(); err != nil {
		return err
	}
	unix.Umask(0o022) // as on AWS, whatever the server's; the thread has one of its own
	// What the process must never have again goes first: the thread's bounding
	// set is that of its children.
	for c := range e.b.d.lastCap + 1 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	sys := &syscall.SysProcAttr{
		Setsid:     true,
		Credential: &syscall.Credential{Uid: uint32(e.b.user()), Gid: group},
	}
	if fd, ok := e.group.Clone(); ok {
		sys.UseCgroupFD, sys.CgroupFD = true, fd
	}
	if err := e.group.Enter(); err != nil {
		return err
	}
	argv := append([]string{"gate", strconv.Itoa(len(e.files) - 1)}, e.spec.Argv...)
	var err error
	e.child, err = e.b.d.fork(argv, &syscall.ProcAttr{Dir: e.spec.Dir, Env: e.spec.Env, Files: e.files, Sys: sys})
	if err != nil {
		return fmt.Errorf("fork in %s: %w", e.spec.Dir, err)
	}
	return nil
}

// steps of the gate; see holder/holder_amd64.s.
var steps = []string{"", "prlimit", "capset", "no_new_privs", "close_range", "seccomp"}

// reported reads what the gate has to say: nothing, once it has become the
// function.
func reported(fd int, program string) error {
	var b [8]byte
	n, err := unix.Read(fd, b[:])
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(fd, b[:])
	}
	switch {
	case err != nil:
		return fmt.Errorf("read the gate's report: %w", err)
	case n == 0:
		return nil
	case n < len(b):
		return errors.New("the gate's report is cut short")
	}
	errno := unix.Errno(binary.LittleEndian.Uint32(b[:]))
	step := binary.LittleEndian.Uint32(b[4:])
	if int(step) < len(steps) {
		return fmt.Errorf("%s: %w", steps[step], errno)
	}
	return &os.PathError{Op: "exec", Path: program, Err: errno}
}

// socket makes a connected pair: a connection for the caller, a descriptor for
// the process.
func socket() (net.Conn, int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("socketpair: %w", err)
	}
	f := os.NewFile(uintptr(pair[0]), "socket")
	defer f.Close() // the connection has a copy
	conn, err := net.FileConn(f)
	if err != nil {
		unix.Close(pair[1])
		return nil, -1, fmt.Errorf("socketpair: %w", err)
	}
	return conn, pair[1], nil
}
