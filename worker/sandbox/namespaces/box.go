//go:build linux && (amd64 || arm64)

package namespaces

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/cgroup"
)

// box is a started sandbox.
type box struct {
	d      *Driver
	blank  *blank
	spec   *sandbox.Spec
	group  *cgroup.Group
	child  *child
	output *os.File
	socket net.Conn
	tmp    *os.File // its /tmp, to measure
	alarm  *cgroup.Alarm

	done chan struct{} // closed when child has ended and exit is set
	exit sandbox.Exit
	over atomic.Bool // memory past its limit: killed for it
	wg   sync.WaitGroup

	kill    sync.Once
	killErr error
}

// run starts to wait for the process. The goroutine ends with it, so Kill sees
// to its end.
func (s *box) run() {
	s.d.mu.Lock()
	s.d.boxes[s] = struct{}{}
	s.d.mu.Unlock()
	s.wg.Go(func() {
		s.exit = s.child.wait()
		s.exit.OOM = s.over.Load() || s.group.OOM()
		close(s.done)
	})
	if s.spec.Memory > 0 && s.spec.Storage > 0 {
		s.wg.Go(s.watch)
	}
}

func (s *box) Listener() net.Listener { return s.blank.l }
func (s *box) Output() *os.File       { return s.output }
func (s *box) Done() <-chan struct{}  { return s.done }
func (s *box) Freeze() error          { return s.group.Freeze() }
func (s *box) Thaw() error            { return s.group.Thaw() }

func (s *box) Socket() net.Conn { return s.socket }

func (s *box) Exit() sandbox.Exit {
	<-s.done
	return s.exit
}

func (s *box) Stats() (sandbox.Stats, error) {
	u, err := s.group.Usage()
	if s.spec.Memory > 0 {
		// What is above is pages of /tmp and of files, which can be had again.
		u.Peak = min(u.Peak, s.spec.Memory)
	}
	return sandbox.Stats{MemoryPeak: u.Peak, CPU: u.CPU, Pids: u.Pids}, err
}

// Kill ends the sandbox. The kernel kills everything in a process namespace when
// its first process ends, and ends that one last.
func (s *box) Kill(grace time.Duration) error {
	if grace > 0 {
		s.ask(grace)
	}
	s.kill.Do(func() { s.killErr = s.remove() })
	return s.killErr
}

// ask sends SIGTERM and waits for the process to end, but no longer than grace.
func (s *box) ask(grace time.Duration) {
	select {
	case <-s.done:
		return
	default:
	}
	_ = s.group.Thaw()
	if s.child.signal(unix.SIGTERM) != nil {
		return
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
	}
}

func (s *box) remove() error {
	errs := []error{s.blank.holder.signal(unix.SIGKILL)}
	if errors.Is(errs[0], unix.ESRCH) {
		errs[0] = nil
	}
	_ = s.group.Thaw() // on version 1 the frozen die only then
	s.alarm.Close()
	<-s.done
	s.wg.Wait()
	errs = append(errs, s.blank.remove())
	s.child.close()
	s.tmp.Close()
	errs = append(errs, s.group.Close())
	s.d.mu.Lock()
	delete(s.d.boxes, s)
	s.d.mu.Unlock()
	return errors.Join(errs...)
}
