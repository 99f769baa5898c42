package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The load generator is a process of its own, so that its cost is neither the
// target's nor hidden: `bench load` reads a loadSpec from its standard input,
// connects, says "ready", waits for a line, runs, and prints a loadResult.

// loadSpec says what to send, and for how long.
type loadSpec struct {
	Addr    string
	Request []byte // one whole HTTP/1.1 request, sent again and again
	Want    []byte // the body that every reply must have
	Conns   int
	Window  time.Duration
	Each    int // go on past the window until every connection has had so many replies
}

// loadResult is what came back. Wrong replies are counted, not timed.
type loadResult struct {
	Replies       int
	Elapsed       time.Duration
	P50, P99, Max time.Duration
	CPU           time.Duration // the generator's own
	Wrong         int
	First         string // what was wrong with the first of them
}

// replyLimit bounds the wait for one reply past the end of the window.
const replyLimit = 60 * time.Second

// generator is a running load process that has its connections and waits.
type generator struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startGenerator(spec loadSpec) (*generator, error) {
	cmd := exec.Command("/proc/self/exe", "load")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g := &generator{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if err := json.NewEncoder(in).Encode(spec); err != nil {
		return nil, g.fail(err)
	}
	if line, err := g.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, g.fail(errors.Join(fmt.Errorf("it said %q", line), err))
	}
	return g, nil
}

// fail ends the process and tells why.
func (g *generator) fail(err error) error {
	g.cmd.Process.Kill()
	g.cmd.Wait()
	return fmt.Errorf("load generator: %w", err)
}

// run lets the load begin and returns when it has ended.
func (g *generator) run() (loadResult, error) {
	var r loadResult
	if _, err := io.WriteString(g.in, "go\n"); err != nil {
		return r, g.fail(err)
	}
	if err := json.NewDecoder(g.out).Decode(&r); err != nil {
		return r, g.fail(err)
	}
	g.in.Close()
	return r, g.cmd.Wait()
}

// loadMain is the other side: the process that makes the load.
func loadMain() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var spec loadSpec
	if err := json.Unmarshal(line, &spec); err != nil {
		return err
	}
	callers := make([]*caller, spec.Conns)
	for i := range callers {
		if callers[i], err = dial(&spec); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	if _, err := in.ReadBytes('\n'); err != nil {
		return err
	}
	before := ownCPU()
	start := time.Now()
	var wg sync.WaitGroup
	for _, c := range callers {
		wg.Go(func() { c.run(start) })
	}
	wg.Wait()
	r := loadResult{Elapsed: time.Since(start), CPU: ownCPU() - before}
	var took []time.Duration
	for _, c := range callers {
		took = append(took, c.took...)
		r.Wrong += c.wrong
		if r.First == "" && c.first != nil {
			r.First = c.first.Error()
		}
	}
	slices.Sort(took)
	r.Replies = len(took)
	if n := len(took); n > 0 {
		r.P50, r.P99, r.Max = took[n/2], took[n*99/100], took[n-1]
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// caller is one connection with one request under way at a time.
type caller struct {
	spec  *loadSpec
	conn  net.Conn
	in    *bufio.Reader
	body  []byte
	took  []time.Duration
	wrong int
	first error
}

func dial(spec *loadSpec) (*caller, error) {
	conn, err := net.Dial("tcp", spec.Addr)
	if err != nil {
		return nil, err
	}
	return &caller{spec: spec, conn: conn, in: bufio.NewReaderSize(conn, 8<<10), body: make([]byte, len(spec.Want))}, nil
}

func (c *caller) run(start time.Time) {
	defer func() { c.conn.Close() }()
	end := start.Add(c.spec.Window)
	c.conn.SetDeadline(end.Add(replyLimit))
	for now := start; now.Before(end) || len(c.took) < c.spec.Each; {
		err := c.call()
		then := time.Now()
		if err == nil {
			c.took = append(c.took, then.Sub(now))
			now = then
			continue
		}
		now = then
		c.wrong++
		if c.first == nil {
			c.first = err
		}
		// What is left on the connection cannot be told apart any more.
		c.conn.Close()
		next, err := dial(c.spec)
		if err != nil || c.wrong >= 100 {
			return
		}
		c.conn, c.in = next.conn, next.in
		c.conn.SetDeadline(end.Add(replyLimit))
	}
}

// call sends one request and reads its reply, which must be a 200 with the
// expected bytes and no function error.
func (c *caller) call() error {
	if _, err := c.conn.Write(c.spec.Request); err != nil {
		return err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("status line %q", bytes.TrimSpace(line))
	}
	length := -1
	for {
		line, err = c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		case bytes.EqualFold(name, []byte("x-amz-function-error")):
			return errors.New("the function failed")
		}
	}
	if length != len(c.body) {
		return fmt.Errorf("a reply of %d bytes, want %d", length, len(c.body))
	}
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return err
	}
	if !bytes.Equal(c.body, c.spec.Want) {
		return errors.New("a reply with other bytes")
	}
	return nil
}
