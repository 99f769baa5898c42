//go:build linux && (amd64 || arm64)

package namespaces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/cgroup"
)

// Driver makes sandboxes. Make one with New.
type Driver struct {
	log      *slog.Logger
	root     *root
	groups   *cgroup.Host
	programs *os.File
	null     *os.File
	caps     sandbox.Capabilities
	lastCap  uintptr // the highest capability that the kernel knows
	spared   bool    // this process is the last that the kernel kills for memory

	// The pipe that holders read; it carries nothing. Only this process has the
	// end to write to, so that they see when it ends.
	lifeR, lifeW *os.File

	mu     sync.Mutex // guards what follows
	closed bool
	slots  []bool // taken; the index decides the user
	blanks map[*blank]struct{}
	boxes  map[*box]struct{}
}

// New looks at what the host allows and makes a driver; Close ends it. What a
// server that is gone has left is removed. The error says what is missing and
// how to allow it.
func New(o Options) (d *Driver, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		return nil, errors.New("namespaces: no directory given")
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("isolation by namespaces needs root: start the server as root, for example with sudo")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	d = &Driver{log: o.Logger, blanks: map[*blank]struct{}{}, boxes: map[*box]struct{}{}}
	defer func() {
		if err != nil {
			d.release()
			d = nil
		}
	}()
	if d.root, err = newRoot(dir); err != nil {
		return d, fmt.Errorf("make the root of the sandboxes: %w", err)
	}
	if d.groups, err = cgroup.Find(); err != nil {
		return d, fmt.Errorf("isolation by namespaces needs control groups (in a container: run it privileged, with cgroups writable): %w", err)
	}
	if !d.groups.Has("memory") {
		return d, errors.New("isolation by namespaces needs the memory controller: it is not among the control groups here (boot with cgroup_enable=memory)")
	}
	if d.programs, err = programs(); err != nil {
		return d, err
	}
	if d.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return d, err
	}
	var life [2]int
	if err := unix.Pipe2(life[:], unix.O_CLOEXEC); err != nil { // not os.Pipe, which holders could not block on
		return d, fmt.Errorf("pipe: %w", err)
	}
	d.lifeR, d.lifeW = os.NewFile(uintptr(life[0]), "life"), os.NewFile(uintptr(life[1]), "life")
	for unix.Prctl(unix.PR_CAPBSET_READ, d.lastCap+1, 0, 0, 0) == nil {
		d.lastCap++
	}
	if b, err := os.ReadFile("/proc/self/oom_score_adj"); err == nil {
		d.spared = strings.HasPrefix(string(b), "-")
	}
	d.caps = sandbox.Capabilities{
		Isolated: true, MemoryLimit: true, TmpLimit: true, KillTree: true, Warm: true,
		PidsLimit: d.groups.Has("pids"), CPULimit: d.groups.Has("cpu"), Freeze: d.groups.Freezes(),
		Notes: []string{"functions have no network but their own loopback"},
	}
	if !d.caps.PidsLimit {
		d.caps.Notes = append(d.caps.Notes, "the number of a function's processes is not limited: there is no pids controller")
	}
	if !d.caps.CPULimit {
		d.caps.Notes = append(d.caps.Notes, "CPU is not shared out by memory size: there is no cpu controller")
	}
	if err := d.probe(); err != nil {
		return d, err
	}
	return d, nil
}

// probe makes a sandbox and runs a program in it.
func (d *Driver) probe() error {
	b, err := d.Prepare(context.Background())
	if err != nil {
		return fmt.Errorf("this host cannot isolate by namespaces; it takes Linux 5.12 and all capabilities of root "+
			"(in a container: run it privileged): %w", err)
	}
	s, err := b.Start(context.Background(), &sandbox.Spec{
		Name: "probe", Argv: []string{"/bin/true"}, Dir: "/", Task: d.root.users,
		Memory: 64 << 20, Storage: 1 << 20, Pids: 16,
	})
	if err != nil {
		return fmt.Errorf("this host cannot run a program in its namespaces (in a container: run it privileged): %w", err)
	}
	<-s.Done()
	err = s.Kill(0)
	s.Output().Close()
	if e := s.Exit(); err == nil && e != (sandbox.Exit{}) {
		err = fmt.Errorf("a program in a sandbox ended with %+v", e)
	}
	return err
}

// Level is sandbox.Namespaces.
func (d *Driver) Level() sandbox.Level { return sandbox.Namespaces }

// Capabilities tells what the host allows.
func (d *Driver) Capabilities() sandbox.Capabilities { return d.caps }

var errClosed = errors.New("namespaces: the driver is closed")

// take gives out the lowest free slot.
func (d *Driver) take() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, errClosed
	}
	for i, taken := range d.slots {
		if !taken {
			d.slots[i] = true
			return i, nil
		}
	}
	d.slots = append(d.slots, true)
	return len(d.slots) - 1, nil
}

// give takes a slot back, when no process of it lives.
func (d *Driver) give(slot int) {
	d.mu.Lock()
	d.slots[slot] = false
	d.mu.Unlock()
}

// Close kills what there is and removes it from the host.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	blanks, boxes := d.blanks, d.boxes
	d.blanks, d.boxes = map[*blank]struct{}{}, map[*box]struct{}{}
	d.mu.Unlock()
	var errs []error
	for b := range blanks {
		errs = append(errs, b.remove())
	}
	for s := range boxes {
		errs = append(errs, s.Kill(0))
	}
	return errors.Join(append(errs, d.release())...)
}

// release gives back what New took.
func (d *Driver) release() error {
	for _, f := range []*os.File{d.programs, d.null, d.lifeR, d.lifeW} {
		if f != nil {
			f.Close()
		}
	}
	if d.groups == nil {
		return nil
	}
	return d.groups.Close()
}
