//go:build linux

package cgroup

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Aside runs fn on an operating system thread that ends afterwards, so that fn
// may change what threads have of their own, such as their control groups,
// namespaces and capabilities, and start processes that inherit it.
func Aside(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The first thread of a process never ends. It is kept busy here while
			// another one does it.
			err := Aside(fn)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- fn() // a goroutine that ends while locked takes its thread along
	}()
	return <-done
}
