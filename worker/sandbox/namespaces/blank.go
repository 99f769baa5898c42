//go:build linux && (amd64 || arm64)

package namespaces

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/cgroup"
)

const (
	api    = "127.0.0.1:9001" // as on AWS
	spaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

	inodes = 65536 // in /tmp: they take memory that no size limits
	shared = "size=64m,nr_inodes=4096,mode=1777"
)

// blank is a sandbox with nothing in it but its holder.
type blank struct {
	d      *Driver
	slot   int
	l      net.Listener
	holder *child
	once   sync.Once // the use or the removal
	warm   *box      // a program that waits to be told whose it is; nil if there is none
}

// Prepare makes a blank sandbox.
func (d *Driver) Prepare(ctx context.Context) (sandbox.Blank, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slot, err := d.take()
	if err != nil {
		return nil, err
	}
	b := &blank{d: d, slot: slot}
	if err := cgroup.Aside(b.build); err != nil {
		b.remove()
		return nil, fmt.Errorf("make a blank sandbox: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.blanks[b] = struct{}{}
	return b, nil
}

func (b *blank) user() int { return firstUser + b.slot }

// build makes the sandbox around the calling thread, starts the holder in it,
// and leaves the sandbox to the holder by ending.
func (b *blank) build() error {
	passwd, err := b.d.root.passwd(b.user())
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS | spaces); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return fmt.Errorf("sethostname: %w", err)
	}
	if b.l, err = listen(); err != nil {
		return err
	}

	dir := b.d.root.dir
	if err := bind(dir, dir, readOnly); err != nil {
		return err
	}
	if err := unix.Chdir(dir); err != nil { // now the mount, not what is below it
		return err
	}
	for _, m := range b.d.root.binds {
		if err := bind(m.host, "."+m.inside, readOnly); err != nil {
			return err
		}
	}
	if err := bind(passwd, "./etc/passwd", readOnly); err != nil {
		return err
	}
	for _, name := range devices {
		if err := bind("/dev/"+name, "./dev/"+name, device); err != nil {
			return err
		}
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount("tmpfs", "./tmp", "tmpfs", flags, tmpfs(0)); err != nil {
		return fmt.Errorf("mount /tmp: %w", err)
	}
	if err := unix.Mount("tmpfs", "./dev/shm", "tmpfs", flags, shared); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	// The holder is started from the host's /proc and mounts the sandbox's, so
	// the root comes after it.
	if err := b.hold(); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the host's root: %w", err)
	}
	return nil
}

// tmpfs are the mount options of /tmp with a size.
func tmpfs(size int64) string {
	// No size at all would be half of the host's memory.
	return "mode=1777,nr_inodes=" + strconv.Itoa(inodes) + ",size=" + strconv.FormatInt(max(size, 4096), 10)
}

// listen brings the loopback interface of the thread's network up and makes the
// listener of the Runtime API, which works from any thread afterwards.
func listen() (net.Listener, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return nil, err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return nil, fmt.Errorf("bring the loopback interface up: %w", err)
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // it costs, and there is one path
	return lc.Listen(context.Background(), "tcp4", api)
}

// hold starts the holder and waits until it holds.
func (b *blank) hold() error {
	var ready [2]int
	if err := unix.Pipe2(ready[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(ready[0])
	holder, err := b.d.fork([]string{"holder"}, &syscall.ProcAttr{
		Files: []uintptr{b.d.lifeR.Fd(), uintptr(ready[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	unix.Close(ready[1])
	if err != nil {
		return fmt.Errorf("start the holder: %w", err)
	}
	b.holder = holder
	var one [1]byte
	n, err := unix.Read(ready[0], one[:])
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(ready[0], one[:])
	}
	if n != 1 {
		return fmt.Errorf("the holder could not mount /proc or give up its rights: %w", unix.Errno(b.holder.wait().Code))
	}
	return nil
}

// API is the address inside.
func (b *blank) API() string { return api }

var errUsed = errors.New("the blank sandbox has been used")

// use takes the blank out of the driver's list, once.
func (b *blank) use() bool {
	first := false
	b.once.Do(func() {
		first = true
		b.d.mu.Lock()
		delete(b.d.blanks, b)
		b.d.mu.Unlock()
	})
	return first
}

// Discard removes the blank.
func (b *blank) Discard() error {
	if !b.use() {
		return errUsed
	}
	return b.remove()
}

// remove ends the holder, and with it what is in the sandbox, and gives the slot
// back.
func (b *blank) remove() error {
	if w := b.warm; w != nil {
		b.warm = nil
		return w.drop()
	}
	if b.l != nil {
		b.l.Close()
	}
	if b.holder != nil {
		if err := b.holder.signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill the holder: %w", err)
		}
		b.holder.wait()
		b.holder.close()
	}
	b.d.give(b.slot)
	return nil
}
