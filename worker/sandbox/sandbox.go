// Package sandbox is the contract between a worker and what isolates a
// function's processes from the host and from each other.
//
// Making is split from using: a Driver prepares blank sandboxes off the request
// path, and a Blank is started once, for one environment of one function, and
// never again. Implementations are the sub-packages namespaces, process and
// fake; each passes sandboxtest.
//
// A driver owns processes, mounts, cgroups and sockets. It holds no policy:
// time-outs, retries and reuse belong to its callers.
package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"
)

// Level names how strong the isolation is, strongest first.
type Level string

// The levels that exist.
const (
	Namespaces Level = "namespaces"
	Process    Level = "process"
	Fake       Level = "fake"
)

// Capabilities are what a driver found it can do on this host. A false field is
// a promise the driver does not make; serve prints them.
type Capabilities struct {
	Isolated    bool // files, processes and network are the function's own
	MemoryLimit bool // an allocation past Spec.Memory ends in an OOM kill
	PidsLimit   bool
	CPULimit    bool
	TmpLimit    bool // /tmp is bounded by Spec.Storage
	Freeze      bool // Freeze stops every process
	KillTree    bool // Kill leaves no process, however it forked
	Warm        bool // Blank.Warm works
	Notes       []string
}

// Driver makes sandboxes of one isolation technology.
type Driver interface {
	Level() Level
	Capabilities() Capabilities
	// Prepare makes a blank sandbox. It may take milliseconds and is meant to
	// run ahead of need.
	Prepare(ctx context.Context) (Blank, error)
	// Close kills every sandbox of the driver and removes what it left on the
	// host. No Prepare or Start may be under way.
	Close() error
}

// Blank is a sandbox that belongs to no function yet.
type Blank interface {
	// API is the host and port under which the sandbox's processes will reach
	// the listener; it goes into AWS_LAMBDA_RUNTIME_API.
	API() string
	// Warm starts the program of a spec in the blank before it is known whose it
	// will be, and returns once the program says that it waits to be told (see
	// Assignment). The spec says Argv, Env, Binds and Pids, and Socket, which it
	// takes; Dir is where the program waits. Start then finds it running, gives it
	// what the function's own spec says, whose Argv and Binds must be the same, and
	// does not wait for what the program makes of it. Until then it has the least
	// claim to CPU. Warm is called once; if it fails, the blank is used up.
	Warm(ctx context.Context, spec *Spec) error
	// Start turns the blank into the environment that spec describes and starts
	// its processes. The blank is used up whether or not it succeeds.
	Start(ctx context.Context, spec *Spec) (Sandbox, error)
	// Discard removes an unused blank.
	Discard() error
}

// ErrCold is the error of Warm where it does not work.
var ErrCold = errors.New("programs are not started ahead of need by this driver")

// Ready is what a warmed program writes to its socket, at descriptor 3, when it
// waits to be told whose it is.
const Ready = 'R'

// Assignment is what a warmed program then reads from the socket: the length of
// what follows as four bytes, most significant first; the working directory it is
// to change to; and its variables, which replace those it was started with. Each
// of these ends with a zero byte.
func Assignment(dir string, env []string) []byte {
	b := append(make([]byte, 4), dir...)
	b = append(b, 0)
	for _, v := range env {
		b = append(append(b, v...), 0)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// Spec describes one environment.
type Spec struct {
	Name string // for the operator: names the cgroup and the log lines

	Argv []string // Argv[0] is a path inside the sandbox
	Env  []string // complete; nothing of the server's is added
	Dir  string   // working directory inside the sandbox, "/var/task"

	Task   string   // host directory with the function's code, mounted read-only at /var/task
	Layers []string // host directories, first layer first, merged read-only under /opt; later ones win
	Binds  []Bind   // what a runtime needs beside the base system, read-only

	Memory  int64   // bytes; the limit of the whole environment, /tmp not counted
	CPU     float64 // virtual CPUs, 0 for no limit
	Storage int64   // bytes of /tmp
	Pids    int     // processes and threads

	// Socket asks for a connected Unix stream socket beside the listener, for
	// runtime clients of our own. The process finds it at descriptor 3 and the
	// caller at Sandbox.Socket.
	Socket bool
}

// Bind is a host path shown read-only at a path inside the sandbox.
type Bind struct {
	Host, Inside string
}

// Sandbox is a started environment.
type Sandbox interface {
	// Listener accepts the connections of this environment's processes to its
	// Runtime API, and of nobody else: the listener is the environment's identity.
	Listener() net.Listener
	// Socket is the caller's end of the Unix socket; nil unless Spec.Socket.
	Socket() net.Conn
	// Output carries stdout and stderr of every process, interleaved as written.
	// It is a non-blocking pipe that the caller reads and Kill does not close.
	Output() *os.File
	// Freeze stops every process; Thaw lets them run on. Both return once done.
	Freeze() error
	Thaw() error
	// Stats reads what the environment used so far.
	Stats() (Stats, error)
	// Kill ends every process, waits until none is left, and removes the
	// sandbox from the host. With a grace it sends SIGTERM first. It may be
	// called more than once and from several goroutines.
	Kill(grace time.Duration) error
	// Done is closed when the first process has ended; Exit then says how.
	Done() <-chan struct{}
	Exit() Exit
}

// Stats are measured by the host.
type Stats struct {
	MemoryPeak int64 // bytes, the highest use so far
	CPU        time.Duration
	Pids       int
}

// Exit tells how the first process ended.
type Exit struct {
	Code   int    // exit status, when it exited
	Signal string // "killed", "segmentation fault", … when a signal ended it
	OOM    bool   // the host killed a process of the environment for memory
}
