//go:build unix

// Package process is the weakest isolation, for development and for hosts that
// allow nothing better: a function is a child process with an environment and a
// temporary directory of its own, and otherwise is one of the server's user's. It
// has that user's network and sees its other processes. Where there is Landlock
// (Linux 5.19 or later) it reads the base system, its code, its layers and its
// binds, and writes to its TMPDIR, /tmp and /dev/shm; elsewhere nothing keeps it
// from that user's files. Only cmd and tests import it.
//
// Nothing is mounted, so the paths that functions know lead elsewhere: where
// /var/task, /var/runtime, /opt or a bind's path stands in the arguments, the
// working directory or the variables of a Spec, alone or as an element of a list
// separated by colons, the host's path takes its place, and /tmp is TMPDIR. Code
// that has such a path written in it does not find it.
//
// Where the server may make control groups (as root on Linux), memory, CPU and
// processes are limited as in a real sandbox, and no process outlives Kill.
// Elsewhere limits do not hold, and a process that leaves its session is found, on
// Linux only, by the TMPDIR it was started with.
//
// One goroutine per environment waits for its process; Kill waits for that. In
// Options.Dir there is a directory for each environment, which goes with it.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// Options are what New needs.
type Options struct {
	Dir    string // for temporary directories; emptied by New
	Logger *slog.Logger
}

// Driver makes processes. Make one with New.
type Driver struct {
	dir      string
	logger   *slog.Logger
	groups   groups
	landlock landlock

	mu     sync.Mutex // guards what follows
	blanks map[*blank]struct{}
	boxes  map[*box]struct{}
}

// New empties dir and returns a driver.
func New(o Options) (*Driver, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("process sandboxes: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("process sandboxes: %w", err)
	}
	return &Driver{
		dir: o.Dir, logger: o.Logger, groups: findGroups(), landlock: findLandlock(),
		blanks: map[*blank]struct{}{}, boxes: map[*box]struct{}{},
	}, nil
}

// Level is sandbox.Process.
func (d *Driver) Level() sandbox.Level { return sandbox.Process }

// Capabilities are those of the control groups there are; none without.
func (d *Driver) Capabilities() sandbox.Capabilities {
	c := sandbox.Capabilities{
		MemoryLimit: d.groups.has("memory"),
		PidsLimit:   d.groups.has("pids"),
		CPULimit:    d.groups.has("cpu"),
		Freeze:      true,
		KillTree:    d.groups.any(),
		Notes:       []string{"functions run as plain processes, NOT ISOLATED from this host or from each other: for development only"},
	}
	if d.landlock.any() {
		c.Notes = append(c.Notes, "Landlock keeps functions from files outside the base system, their code, and /tmp")
	}
	if !d.groups.any() {
		c.Notes = append(c.Notes, "memory, CPU and process limits do not hold without control groups")
	}
	return c
}

// Prepare makes a directory and a listener.
func (d *Driver) Prepare(ctx context.Context) (sandbox.Blank, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(d.dir, "env-")
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("prepare: %w", err)
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // it costs, and there is one path
	l, err := lc.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("prepare: %w", err)
	}
	b := &blank{d: d, dir: dir, listener: l}
	d.mu.Lock()
	d.blanks[b] = struct{}{}
	d.mu.Unlock()
	return b, nil
}

// Close kills every process and removes the directory.
func (d *Driver) Close() error {
	d.mu.Lock()
	blanks, boxes := slices.Collect(maps.Keys(d.blanks)), slices.Collect(maps.Keys(d.boxes))
	d.mu.Unlock()
	var errs []error
	for _, b := range blanks {
		errs = append(errs, b.Discard())
	}
	for _, b := range boxes {
		errs = append(errs, b.Kill(0))
	}
	errs = append(errs, d.groups.close(), os.RemoveAll(d.dir))
	return errors.Join(errs...)
}

type blank struct {
	d        *Driver
	dir      string
	listener net.Listener
}

func (b *blank) API() string { return b.listener.Addr().String() }

var errUsed = errors.New("the blank has been used")

// use takes the blank out of the driver's list, once.
func (b *blank) use() bool {
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	_, unused := b.d.blanks[b]
	delete(b.d.blanks, b)
	return unused
}

func (b *blank) Discard() error {
	if !b.use() {
		return errUsed
	}
	return b.remove()
}

func (b *blank) remove() error { return errors.Join(b.listener.Close(), os.RemoveAll(b.dir)) }

// Warm does not work: Landlock lets a process see what it could when it began, and
// its code is not known then.
func (b *blank) Warm(context.Context, *sandbox.Spec) error {
	if err := b.Discard(); err != nil {
		return err
	}
	return sandbox.ErrCold
}

// Start runs the process.
func (b *blank) Start(_ context.Context, spec *sandbox.Spec) (_ sandbox.Sandbox, err error) {
	if !b.use() {
		return nil, errUsed
	}
	s := &box{d: b.d, dir: b.dir, listener: b.listener, done: make(chan struct{})}
	var close []*os.File // the child's ends, which we close in any case
	defer func() {
		for _, f := range close {
			f.Close()
		}
		if err != nil {
			if s.output != nil {
				s.output.Close()
			}
			if s.socket != nil {
				s.socket.Close()
			}
			if s.group != nil {
				s.group.Close()
			}
			err = errors.Join(fmt.Errorf("start %s: %w", spec.Name, err), b.remove())
		}
	}()
	opt, err := layers(b.dir, spec.Layers)
	if err != nil {
		return nil, err
	}
	p := paths{{"/var/task", spec.Task}, {"/opt", opt}}
	for _, bind := range spec.Binds {
		p = append(p, [2]string{bind.Inside, bind.Host})
	}
	cmd := &exec.Cmd{Path: p.host(spec.Argv[0]), Dir: p.host(spec.Dir)}
	for _, a := range spec.Argv {
		cmd.Args = append(cmd.Args, p.host(a))
	}
	for _, v := range spec.Env {
		name, value, _ := strings.Cut(v, "=")
		cmd.Env = append(cmd.Env, name+"="+p.list(value))
	}
	s.mark = "TMPDIR=" + filepath.Join(b.dir, "tmp")
	cmd.Env = append(cmd.Env, s.mark)
	var w *os.File
	if s.output, w, err = os.Pipe(); err != nil {
		return nil, err
	}
	close = append(close, w)
	cmd.Stdout, cmd.Stderr = w, w
	if spec.Socket {
		ours, theirs, err := pair()
		if err != nil {
			return nil, err
		}
		s.socket = ours
		close = append(close, theirs)
		cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	}
	if s.group, err = b.d.groups.make(spec); err != nil {
		return nil, err
	}
	read := slices.Clone(spec.Layers) // to which opt may be links
	for _, m := range p {
		read = append(read, m[1])
	}
	if _, err := os.Stat(cmd.Path); err == nil { // else the start tells it
		read = append(read, cmd.Path)
	}
	rules, err := b.d.landlock.rules(read, filepath.Join(b.dir, "tmp"))
	if err != nil {
		return nil, err
	}
	if rules != nil {
		defer rules.Close()
	}
	if err := launch(cmd, s.group, rules); err != nil {
		return nil, err
	}
	s.cmd = cmd
	b.d.mu.Lock()
	b.d.boxes[s] = struct{}{}
	b.d.mu.Unlock()
	go s.wait() // ends with the process, for which Kill waits
	return s, nil
}

// pair is a connected Unix stream socket: our end, and the child's.
func pair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "runtime"), os.NewFile(uintptr(fds[1]), "runtime")
	defer ours.Close() // FileConn has a copy
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// paths pairs paths inside with those of the host.
type paths [][2]string

// host rewrites one path.
func (p paths) host(s string) string {
	for _, m := range p {
		if rest, ok := strings.CutPrefix(s, m[0]); ok && (rest == "" || rest[0] == '/') {
			return m[1] + rest
		}
	}
	return s
}

// list rewrites each element of a list separated by colons.
func (p paths) list(s string) string {
	if !strings.Contains(s, "/") {
		return s
	}
	parts := strings.Split(s, ":")
	for i := range parts {
		parts[i] = p.host(parts[i])
	}
	return strings.Join(parts, ":")
}

// layers shows several layers as one directory: a tree of links, of which later
// layers win.
func layers(dir string, all []string) (string, error) {
	if len(all) == 1 {
		return all[0], nil
	}
	opt := filepath.Join(dir, "opt")
	if err := os.Mkdir(opt, 0o700); err != nil {
		return "", err
	}
	for _, layer := range all {
		err := filepath.WalkDir(layer, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(layer, path)
			if err != nil {
				return err
			}
			to := filepath.Join(opt, rel)
			st, statErr := os.Lstat(to)
			if e.IsDir() {
				if statErr == nil && st.IsDir() {
					return nil
				}
				return errors.Join(os.RemoveAll(to), os.Mkdir(to, 0o700))
			}
			return errors.Join(os.RemoveAll(to), os.Symlink(path, to))
		})
		if err != nil {
			return "", fmt.Errorf("merge layers: %w", err)
		}
	}
	return opt, nil
}

// box is a running process with its descendants.
type box struct {
	d        *Driver
	dir      string
	listener net.Listener
	socket   net.Conn
	output   *os.File
	cmd      *exec.Cmd
	group    group  // nil without control groups
	mark     string // a variable that only its processes have
	done     chan struct{}
	exit     sandbox.Exit // written before done is closed

	killing sync.Mutex // held while killing; guards gone
	gone    bool
}

func (s *box) Listener() net.Listener { return s.listener }
func (s *box) Output() *os.File       { return s.output }
func (s *box) Done() <-chan struct{}  { return s.done }

func (s *box) Socket() net.Conn {
	if s.socket == nil {
		return nil
	}
	return s.socket
}

func (s *box) Exit() sandbox.Exit {
	<-s.done
	return s.exit
}

func (s *box) wait() {
	_ = s.cmd.Wait() // how it ended is in the state
	if st, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		s.exit.Signal = st.Signal().String()
	} else {
		s.exit.Code = s.cmd.ProcessState.ExitCode()
	}
	if s.group != nil {
		s.exit.OOM = s.group.OOM()
	}
	close(s.done)
}

func (s *box) Freeze() error {
	if s.group != nil && s.group.Freezes() {
		return s.group.Freeze()
	}
	return s.signal(syscall.SIGSTOP)
}

func (s *box) Thaw() error {
	if s.group != nil && s.group.Freezes() {
		return s.group.Thaw()
	}
	return s.signal(syscall.SIGCONT)
}

// signal reaches every process of the session's group, and others that can be
// found.
func (s *box) signal(sig syscall.Signal) error {
	select {
	case <-s.done:
		return nil
	default:
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if s.group == nil && sig != syscall.SIGTERM { // that asks only those who were started
		for _, pid := range stragglers(s.mark) {
			_ = syscall.Kill(pid, sig)
		}
	}
	return nil
}

func (s *box) Stats() (sandbox.Stats, error) {
	if s.group == nil {
		return rusage(s.cmd.Process.Pid), nil
	}
	return s.group.Stats()
}

// Kill ends every process it can find and removes what the environment had.
func (s *box) Kill(grace time.Duration) error {
	s.killing.Lock()
	defer s.killing.Unlock()
	if s.gone {
		return nil
	}
	if grace > 0 {
		_ = s.Thaw() // a frozen process hears nothing
		if s.signal(syscall.SIGTERM) == nil {
			select {
			case <-s.done:
			case <-time.After(grace):
			}
		}
	}
	errs := []error{s.signal(syscall.SIGKILL)}
	if s.group != nil {
		errs = append(errs, s.group.Kill())
	}
	<-s.done
	if s.group != nil {
		errs = append(errs, s.group.Close())
	} else {
		errs = append(errs, s.hunt())
	}
	s.gone = true
	s.listener.Close()
	if s.socket != nil {
		s.socket.Close()
	}
	errs = append(errs, os.RemoveAll(s.dir))
	s.d.mu.Lock()
	delete(s.d.boxes, s)
	s.d.mu.Unlock()
	return errors.Join(errs...)
}

// hunt kills, without a control group, what the process has left behind, until
// nothing more is found.
func (s *box) hunt() error {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // its group outlives it
	for wait, until := time.Millisecond, time.Now().Add(10*time.Second); ; wait = min(2*wait, 50*time.Millisecond) {
		pids := stragglers(s.mark)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("processes %v do not end", pids)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(wait)
	}
}

// group is a control group, where there are any.
type group interface {
	OOM() bool
	Freezes() bool
	Freeze() error
	Thaw() error
	Kill() error
	Close() error
	Stats() (sandbox.Stats, error)
}
