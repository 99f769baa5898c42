package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// R1 is the smallest server that has Lambda's Invoke in front and its Runtime
// API behind: no signature, log, limit or isolation. No goroutine hands over to
// another: the one that read the caller's request writes the event to an idle
// environment, and the one that read the environment's answer writes the reply
// to the caller. It is the floor of every design that keeps those two APIs.

// exchange is one invocation.
type exchange struct {
	event []byte
	to    io.Writer // where the reply goes
}

// floor is the whole server.
type floor struct {
	serial atomic.Uint64

	mu      sync.Mutex // guards what follows
	idle    []*poll    // the one used last on top: its caches are warm
	waiting []*exchange
}

// poll is an environment's request for the next event.
type poll struct {
	env  *environment
	conn net.Conn
}

// environment is one process of the function. It has a listener or socket of
// its own, so that whatever arrives there is its answer.
type environment struct {
	floor   *floor
	process *exec.Cmd
	running atomic.Pointer[exchange]
	close   func()
}

// startEnvironment starts argv as a function's process. With socket set it
// finds its Runtime API at descriptor 3, otherwise on a port of its own.
func (f *floor) startEnvironment(argv []string, socket bool) (*environment, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "_HANDLER=handler.handler",
		"AWS_LAMBDA_FUNCTION_NAME=echo", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	e := &environment{floor: f, process: cmd}
	if socket {
		conn, theirs, err := socketPair()
		if err != nil {
			return nil, err
		}
		defer theirs.Close()
		cmd.ExtraFiles = []*os.File{theirs}
		e.close = func() { conn.Close() }
		go e.serve(conn)
	} else {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, "AWS_LAMBDA_RUNTIME_API="+l.Addr().String())
		e.close = func() { l.Close() }
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go e.serve(conn)
			}
		}()
	}
	if err := cmd.Start(); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// stop ends the environment and returns the CPU time it used.
func (e *environment) stop() time.Duration {
	e.process.Process.Kill()
	e.process.Wait() // "signal: killed" is what was asked for
	e.close()
	return e.process.ProcessState.UserTime() + e.process.ProcessState.SystemTime()
}

func socketPair() (net.Conn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	conn, err := net.FileConn(ours)
	ours.Close() // conn has a duplicate
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

var accepted = []byte("HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n")

// serve reads one connection of the environment until it ends.
func (e *environment) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 16<<10)
	for {
		m, err := readMessage(in)
		if err != nil {
			return
		}
		if m.get {
			e.floor.next(&poll{env: e, conn: conn})
			continue
		}
		x := e.running.Swap(nil)
		if x == nil {
			return // an answer to nothing: not a client that can be compared
		}
		x.reply(m)
		if _, err := conn.Write(accepted); err != nil {
			return
		}
	}
}

// reply writes the answer to the caller. A caller that has gone is no business
// of the environment's.
func (x *exchange) reply(m message) {
	b := make([]byte, 0, 256+len(m.body))
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Amz-Executed-Version: $LATEST\r\n"...)
	if !m.response {
		b = append(b, "X-Amz-Function-Error: Unhandled\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(m.body)), 10)
	b = append(b, "\r\n\r\n"...)
	x.to.Write(append(b, m.body...))
}

// next parks a poll, or gives it what waits.
func (f *floor) next(p *poll) {
	f.mu.Lock()
	if len(f.waiting) == 0 {
		f.idle = append(f.idle, p)
		f.mu.Unlock()
		return
	}
	x := f.waiting[0]
	f.waiting = f.waiting[1:]
	f.mu.Unlock()
	f.deliver(p, x)
}

// invoke gives an invocation to the environment used last, or lets it wait.
func (f *floor) invoke(x *exchange) {
	f.mu.Lock()
	n := len(f.idle)
	if n == 0 {
		f.waiting = append(f.waiting, x)
		f.mu.Unlock()
		return
	}
	p := f.idle[n-1]
	f.idle = f.idle[:n-1]
	f.mu.Unlock()
	f.deliver(p, x)
}

func (f *floor) deliver(p *poll, x *exchange) {
	p.env.running.Store(x)
	b := make([]byte, 0, 384+len(x.event))
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: "...)
	b = fmt.Appendf(b, "8476a536-e9f4-11e8-9739-%012x", f.serial.Add(1))
	b = append(b, "\r\nLambda-Runtime-Deadline-Ms: "...)
	b = strconv.AppendInt(b, time.Now().Add(30*time.Second).UnixMilli(), 10)
	b = append(b, "\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:echo\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(x.event)), 10)
	b = append(b, "\r\n\r\n"...)
	p.conn.Write(append(b, x.event...)) // a process that died is seen by its missing answer
}

// front reads one caller's connection.
func (f *floor) front(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 16<<10)
	for {
		m, err := readMessage(in)
		if err != nil {
			return
		}
		f.invoke(&exchange{event: m.body, to: conn})
	}
}

// message is a request, as far as it matters here.
type message struct {
	get      bool
	response bool // its path ends in /response
	body     []byte
}

// maxMessage bounds a body: Lambda's own limit, rounded up.
const maxMessage = 8 << 20

func readMessage(in *bufio.Reader) (message, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return message{}, err
	}
	m := message{get: line[0] == 'G', response: bytes.Contains(line, []byte("/response "))}
	length, chunked := 0, false
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return m, err
		}
		if len(line) <= 2 {
			break
		}
		switch line[0] | 0x20 {
		case 'c':
			if v, ok := header(line, "content-length:"); ok {
				if length, err = strconv.Atoi(string(v)); err != nil || length < 0 || length > maxMessage {
					return m, fmt.Errorf("a body of %q bytes", v)
				}
			}
		case 't':
			if v, ok := header(line, "transfer-encoding:"); ok {
				chunked = string(v) == "chunked"
			}
		}
	}
	if chunked {
		m.body, err = readChunks(in)
		return m, err
	}
	m.body = make([]byte, length)
	_, err = io.ReadFull(in, m.body)
	return m, err
}

func header(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}

// readChunks reads a chunked body and the trailer that aws-lambda-go declares.
func readChunks(in *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil || len(body)+int(n) > maxMessage {
			return nil, fmt.Errorf("a chunk of %q bytes", line)
		}
		if n == 0 {
			break
		}
		at := len(body)
		body = slices.Grow(body, int(n))[:at+int(n)]
		if _, err := io.ReadFull(in, body[at:]); err != nil {
			return nil, err
		}
		if _, err := in.Discard(2); err != nil {
			return nil, err
		}
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			return body, err
		}
	}
}

// floorMain is the process of R1: `bench r1 [-socket] -envs N -- COMMAND`.
func floorMain(args []string) error {
	fs := flag.NewFlagSet("r1", flag.ContinueOnError)
	socket := fs.Bool("socket", false, "give the function a Unix socket at descriptor 3")
	envs := fs.Int("envs", 1, "processes of the function")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return errors.New("r1: no command")
	}
	runtime.LockOSThread() // the environments' death signal follows the thread that started them
	var f floor
	for range *envs {
		e, err := f.startEnvironment(fs.Args(), *socket)
		if err != nil {
			return err
		}
		go e.process.Wait()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening %s\n", l.Addr())
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go f.front(conn)
	}
}
