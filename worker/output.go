package worker

import (
	"bytes"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

// LogOpener opens the log of an environment. Open must not block.
type LogOpener interface {
	Open(id lambda.FunctionID, group, stream string) LogWriter
}

// LogWriter takes the lines of one log stream, without their line ends. Append
// is called from one goroutine at a time; it must neither block nor keep line,
// and bounds what it holds by itself. The request id is that of the invocation
// under way, or "".
type LogWriter interface {
	Append(now time.Time, requestID string, line []byte)
}

// nowhere is a log that nobody reads.
type nowhere struct{}

func (nowhere) Open(lambda.FunctionID, string, string) LogWriter { return nowhere{} }
func (nowhere) Append(time.Time, string, []byte)                 {}

const (
	maxLine   = 256 << 10 // bytes; a longer line becomes several (the limit of a log event)
	readSize  = 64 << 10
	drainSize = 1 << 20 // how much one drain takes before the invocation goes on

	// logRate and logBurst bound what one environment may print. Past them its
	// output is not read, so that a function that prints without end is slowed
	// down by its own pipe and the server's memory does not grow.
	logRate  = 16 << 20 // bytes a second
	logBurst = 16 << 20 // bytes
)

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// output reads what the processes of a life print, and owns their log stream.
// A goroutine reads as lines come; the caller of an invocation drains the pipe
// at its end, so that what was printed before the answer stands before END.
type output struct {
	file *os.File
	raw  syscall.RawConn
	done chan struct{} // closed when run has returned

	mu      sync.Mutex // guards what follows, and reading from file
	log     LogWriter
	id      string // request id of the invocation under way
	partial []byte // a line whose end has not come
	ended   bool
	tail    []byte // what LogType=Tail asks for, while tailing
	tailing bool
	budget  int64
	filled  time.Time
	read    int           // by the last pump
	control func(uintptr) // o.pump bounded by drainSize; made once, so that draining allocates nothing
	scratch []byte        // for lines of the platform
}

func newOutput(file *os.File, log LogWriter) (*output, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &output{file: file, raw: raw, log: log, done: make(chan struct{}), budget: logBurst, filled: time.Now()}
	o.control = func(fd uintptr) { o.pump(int(fd), drainSize) }
	return o, nil
}

// run reads until the last process has closed its end.
func (o *output) run() {
	defer close(o.done)
	for {
		var wait time.Duration
		end := false
		err := o.raw.Read(func(fd uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.pump(int(fd), readSize)
			end = o.ended
			if o.budget <= 0 {
				wait = time.Duration(1-o.budget) * time.Second / logRate
			}
			return o.read > 0 || end || wait > 0
		})
		if err != nil || end {
			break
		}
		if wait > 0 {
			// The deadline that finish sets does not end this wait; it is short.
			time.Sleep(max(wait, 10*time.Millisecond))
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.cut(time.Now())
}

// finish waits for run once the processes are dead. Should one have survived in
// some other sandbox, it holds the pipe open: its output is cut off.
func (o *output) finish() {
	o.file.SetReadDeadline(time.Now().Add(time.Second))
	<-o.done
	o.file.Close()
}

// drain takes what has been printed so far. mu is held.
func (o *output) drain() {
	if !o.ended {
		o.raw.Control(o.control) // not Read: run holds that while it waits
	}
}

// pump reads from the pipe until it is empty, up to limit bytes. mu is held.
func (o *output) pump(fd, limit int) {
	o.read = 0
	if o.ended {
		return
	}
	b := readBuffers.Get().(*[readSize]byte)
	defer readBuffers.Put(b)
	for o.read < limit {
		if o.budget <= 0 && !o.refill() {
			return
		}
		n, err := syscall.Read(fd, b[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return
		case err != nil || n == 0:
			o.ended = true
			return
		}
		o.read += n
		o.budget -= int64(n)
		o.consume(time.Now(), b[:n])
	}
}

// refill adds to the budget what time allows and tells whether there is any.
func (o *output) refill() bool {
	now := time.Now()
	o.budget = min(o.budget+int64(now.Sub(o.filled).Seconds()*logRate), logBurst)
	o.filled = now
	return o.budget > 0
}

// consume splits what was read into lines.
func (o *output) consume(now time.Time, b []byte) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			for len(o.partial)+len(b) >= maxLine {
				n := maxLine - len(o.partial)
				o.partial = append(o.partial, b[:n]...)
				b = b[n:]
				o.cut(now)
			}
			o.partial = append(o.partial, b...)
			return
		}
		line := b[:i]
		b = b[i+1:]
		if len(o.partial) == 0 {
			o.emit(now, line)
			continue
		}
		o.partial = append(o.partial, line...)
		o.cut(now)
	}
}

// cut ends the line that has begun, if one has.
func (o *output) cut(now time.Time) {
	for p := o.partial; len(p) > 0; {
		n := min(len(p), maxLine)
		o.emit(now, p[:n])
		p = p[n:]
	}
	if o.partial = o.partial[:0]; cap(o.partial) > 4<<10 {
		o.partial = nil
	}
}

// emit hands a line on.
func (o *output) emit(now time.Time, line []byte) {
	if o.tailing {
		o.keep(line)
	}
	if len(line) > 0 { // an empty line is no log event
		o.log.Append(now, o.id, line)
	}
}

// keep adds a line to the tail, which stays bounded.
func (o *output) keep(line []byte) {
	if n := len(line) - lambda.MaxLogTail; n > 0 {
		line = line[n:]
	}
	o.tail = append(append(o.tail, line...), '\n')
	if n := len(o.tail) - lambda.MaxLogTail; n > lambda.MaxLogTail {
		o.tail = o.tail[:copy(o.tail, o.tail[n:])]
	}
}

// adopt goes on where the output of an earlier life stopped.
func (o *output) adopt(before *output) {
	before.mu.Lock()
	defer before.mu.Unlock()
	o.id, o.tailing, o.tail = before.id, before.tailing, before.tail
}

// platform writes a line of the platform's own, unless it is empty. mu is held.
func (o *output) platform(now time.Time, line []byte) {
	if o.scratch = line; len(line) > 0 {
		o.emit(now, line)
	}
}

// initStart writes INIT_START, which is no part of a tail.
func (o *output) initStart(l *lines, now time.Time, phase string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if line := l.initStart(o.scratch[:0], now, phase); len(line) > 0 {
		o.log.Append(now, o.id, line)
	}
}

// initReport writes INIT_REPORT, behind what was printed before.
func (o *output) initReport(l *lines, now time.Time, phase, status, kind string, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if status != statusSuccess {
		o.drain()
		o.cut(now)
	}
	o.platform(now, l.initReport(o.scratch[:0], now, phase, status, kind, took))
}

// start writes START: what is printed from here on belongs to inv.
func (o *output) start(l *lines, now time.Time, inv *lambda.Invocation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.id, o.tailing, o.tail = inv.RequestID, inv.LogTail, o.tail[:0]
	o.platform(now, l.start(o.scratch[:0], now, inv.RequestID))
}

// end writes END and REPORT, behind everything printed so far, and returns the
// tail if one was asked for.
func (o *output) end(l *lines, now time.Time, r *report) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drain()
	o.cut(now)
	o.platform(now, l.end(o.scratch[:0], r.id))
	o.platform(now, l.report(o.scratch[:0], now, r))
	var tail []byte
	if o.tailing {
		tail = tailOf(o.tail)
	}
	o.id, o.tailing, o.tail = "", false, nil
	return tail
}
