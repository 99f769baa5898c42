// Package namespaces isolates functions by Linux namespaces, control groups and
// seccomp. It runs as root, on Linux 5.12 or later, on x86-64 and 64-bit ARM.
//
// A sandbox sees a read-only root of the host's /usr, a handful of made-up files
// in /etc, its code at /var/task, its layers at /opt, a /tmp and /dev/shm of its
// own in memory, a few devices, and its own processes in /proc. Its network is a
// loopback interface with its Runtime API on it. Its processes run as a user of
// their own, without capabilities and without a way to get any, behind a filter
// of system calls, with limits on memory, CPU, processes and files. What is left
// in common with others is the kernel.
//
// A blank sandbox is namespaces, mounts, a listener, and a first process that
// only waits (see holder/holder_amd64.s). All of it is made by a thread of the
// server that leaves the host's namespaces and ends. Starting a function in it
// takes another such thread, which enters, moves the code in, and starts the
// function by way of a small program that locks it in. So nothing of the server
// is executed again, and no helper is needed on disk.
//
// Pages of /tmp are charged to the environment's control group, as everything in
// memory is, yet are not its memory: see memory.go for how the two are kept
// apart.
//
// One goroutine per started sandbox waits for its first process, and one watches
// its memory; Kill waits for both. Sandboxes end with the server, however it
// ends: their first process reads a pipe of which the server has the other end.
// Only on hosts whose control groups are of version 1 alone, those that were frozen
// stay as they are until the next New.
// Under Options.Dir are the directories that a sandbox's root is made of; mounts
// exist only inside the sandboxes.
package namespaces

import "log/slog"

// Options are what New needs.
type Options struct {
	Dir    string       // made if missing, with mode 0700; required
	Logger *slog.Logger // nil for none
}
