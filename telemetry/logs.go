// Package telemetry is the witness of what happened: it keeps what functions
// and the platform write about invocations, and gives it back.
//
// Workers append lines; the admin API and `lambent logs` read them. A function's
// log is a directory of numbered files of bounded size, of which the oldest go:
//
//	<dir>/<account>/<region>/<function>/00000001.log
//
// A file is lines of text. `s <n> <stream>` names the log stream n of this file,
// `<milliseconds> <n> <request id or -> <message>` is a record, whose message
// has its backslashes and line ends escaped. A line cut short by a crash is
// skipped.
//
// Appending copies a line to a buffer of the function's and never waits for the
// disk; what a function writes faster than the disk takes it is dropped and
// counted, in the log itself. Run, the one goroutine, writes the buffers out
// shortly after they were begun. What was appended less than FlushAfter before
// a crash may be lost; nothing is promised about logs beyond that, as on AWS.
package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

// LogsConfig bounds what is kept. Zero fields take the defaults.
type LogsConfig struct {
	FileSize   int64         // bytes after which a file is closed (default 8 MiB)
	Files      int           // files kept of each function (default 8)
	Buffer     int           // bytes a function may have in memory (default 4 MiB)
	Memory     int           // bytes all functions together may have there, roughly (default 64 MiB)
	FlushAfter time.Duration // how long a line may stay in memory (default 100 ms)
	Logger     *slog.Logger  // hears of a disk that does not take them
}

// Logs keeps the logs of all functions. Make one with OpenLogs.
type Logs struct {
	dir  string
	cfg  LogsConfig
	wake chan struct{} // buffered 1: something is to be flushed
	full chan struct{} // buffered 1: and a buffer is filling up
	held atomic.Int64  // bytes of all buffers that hold something
	free sync.Pool     // of *[]byte: small buffers that hold nothing

	ended      chan struct{} // closed when followers are to go
	endOnce    sync.Once
	onShutdown sync.Once // of the server that serves followers

	mu    sync.RWMutex // guards what follows, and the users of each function
	funcs map[lambda.FunctionID]*function
	dirty []*function // have something in their buffer
}

// function is one function's log.
type function struct {
	logs  *Logs
	id    lambda.FunctionID
	dir   string
	users int // writers ever opened and followers there are; guarded by logs.mu

	mu      sync.Mutex // guards what follows: the buffer
	buf     []byte
	dropped int // lines that did not fit since the last that did
	dirty   bool
	streams map[string]int // numbers of the streams in use
	last    int            // the number given last; none is given twice

	file    sync.Mutex // held while files are written; guards what follows
	current int        // number of the file written to; 0: not looked for yet
	size    int64
	named   map[int]bool  // streams that the current file names
	grew    chan struct{} // closed, and replaced, when records were written; guarded by mu
}

// OpenLogs opens the logs in dir. It starts nothing; see Run.
func OpenLogs(dir string, cfg LogsConfig) (*Logs, error) {
	if cfg.FileSize == 0 {
		cfg.FileSize = 8 << 20
	}
	if cfg.Files == 0 {
		cfg.Files = 8
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = 4 << 20
	}
	if cfg.Memory == 0 {
		cfg.Memory = 64 << 20
	}
	if cfg.FlushAfter == 0 {
		cfg.FlushAfter = 100 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the logs: %w", err)
	}
	return &Logs{
		dir: dir, cfg: cfg, funcs: map[lambda.FunctionID]*function{},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), ended: make(chan struct{}),
		free: sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }},
	}, nil
}

// function returns a function's log for reading now. That of a function nobody
// writes or follows is not remembered, so that asking for names costs nothing.
func (l *Logs) function(id lambda.FunctionID) *function {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if f := l.funcs[id]; f != nil {
		return f
	}
	return l.make(id)
}

// use returns a function's log and remembers it until as many calls of leave.
func (l *Logs) use(id lambda.FunctionID) *function {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.funcs[id]
	if f == nil {
		f = l.make(id)
		l.funcs[id] = f
	}
	f.users++
	return f
}

func (l *Logs) leave(f *function) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.users--; f.users == 0 {
		delete(l.funcs, f.id)
	}
}

func (l *Logs) make(id lambda.FunctionID) *function {
	// The parts of an id hold letters, digits, dots, hyphens and underscores; a
	// name of dots alone would be another directory.
	name := id.Name
	if name == "." || name == ".." {
		name = "_" + name
	}
	return &function{logs: l, id: id, dir: filepath.Join(l.dir, id.Account, id.Region, name),
		streams: map[string]int{}, grew: make(chan struct{})}
}

// Writer is one log stream of a function: that of an environment.
type Writer struct {
	f      *function
	stream string
}

// Open returns the writer of a stream. The group is where AWS would keep it;
// here a function's streams are together whatever its group.
func (l *Logs) Open(id lambda.FunctionID, group, stream string) *Writer {
	return &Writer{f: l.use(id), stream: stream}
}

// Append adds a line, without its line end, to the log. It copies the line and
// does not block on the disk. It is for one goroutine at a time.
func (w *Writer) Append(now time.Time, requestID string, line []byte) {
	f := w.f
	f.mu.Lock()
	n := f.number(w.stream)
	had := cap(f.buf)
	if need := len(f.buf) + len(line) + 128; need > f.logs.cfg.Buffer ||
		need > had && f.logs.held.Load() > int64(f.logs.cfg.Memory) {
		f.dropped++
		f.mu.Unlock()
		return
	}
	if f.buf == nil {
		f.buf = *f.logs.free.Get().(*[]byte)
	}
	if f.dropped > 0 {
		f.buf = record(f.buf, now, n, "", fmt.Appendf(nil, "LOGS_DROPPED Lines: %d\tReason: written faster than they can be kept", f.dropped))
		f.dropped = 0
	}
	f.buf = record(f.buf, now, n, requestID, line)
	if has := cap(f.buf); has != had {
		f.logs.held.Add(int64(has - had))
	}
	first, full := !f.dirty, len(f.buf) > f.logs.cfg.Buffer/4
	f.dirty = true
	f.mu.Unlock()
	if first {
		f.logs.mu.Lock()
		f.logs.dirty = append(f.logs.dirty, f)
		f.logs.mu.Unlock()
		signal(f.logs.wake)
	}
	if full {
		signal(f.logs.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// number returns a stream's number, with mu held.
func (f *function) number(stream string) int {
	n, ok := f.streams[stream]
	if !ok {
		f.last++
		n = f.last
		f.streams[stream] = n
	}
	return n
}

// maxStreams bounds the streams that are remembered: those of environments long
// gone are forgotten with the others, which get new numbers.
const maxStreams = 1024

func record(b []byte, now time.Time, n int, requestID string, line []byte) []byte {
	b = strconv.AppendInt(b, now.UnixMilli(), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, ' ')
	if requestID == "" {
		requestID = "-"
	}
	b = append(b, requestID...)
	b = append(b, ' ')
	if bytes.IndexByte(line, '\\') < 0 && bytes.IndexByte(line, '\n') < 0 {
		b = append(b, line...)
	} else {
		for _, c := range line {
			switch c {
			case '\\':
				b = append(b, `\\`...)
			case '\n':
				b = append(b, `\n`...)
			default:
				b = append(b, c)
			}
		}
	}
	return append(b, '\n')
}

// Run writes what is appended to disk until ctx ends, and then the rest.
func (l *Logs) Run(ctx context.Context) error {
	timer := time.NewTimer(l.cfg.FlushAfter)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			return nil
		case <-l.wake:
			// A moment's wait lets many lines share a write.
			timer.Reset(l.cfg.FlushAfter)
			select {
			case <-timer.C:
			case <-l.full:
			case <-ctx.Done():
			}
			l.flush()
		}
	}
}

// flush writes every buffer out.
func (l *Logs) flush() {
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = nil
	l.mu.Unlock()
	for _, f := range dirty {
		if err := f.flush(); err != nil {
			l.cfg.Logger.Error("write logs", "function", f.id.Name, "err", err)
		}
	}
}

// flush writes the function's buffer to its files. After an error its content
// is lost: a log must not fill the memory because the disk is full.
func (f *function) flush() error {
	f.file.Lock()
	defer f.file.Unlock()
	f.mu.Lock()
	b := f.buf
	if len(b) == 0 {
		f.mu.Unlock()
		return nil
	}
	f.buf, f.dirty = nil, false
	names := make(map[int]string, len(f.streams))
	for s, n := range f.streams {
		names[n] = s
	}
	if len(f.streams) > maxStreams {
		clear(f.streams)
	}
	f.mu.Unlock()
	err := f.write(b, names)
	f.logs.held.Add(-int64(cap(b)))
	if cap(b) <= 64<<10 {
		b = b[:0]
		f.logs.free.Put(&b)
	}
	f.mu.Lock()
	close(f.grew)
	f.grew = make(chan struct{})
	f.mu.Unlock()
	return err
}

// write appends records to the current file, whole lines to each file. With
// file held.
func (f *function) write(b []byte, names map[int]string) error {
	if f.current == 0 {
		if err := f.resume(); err != nil {
			return err
		}
	}
	for len(b) > 0 {
		if f.size >= f.logs.cfg.FileSize {
			if err := f.rotate(); err != nil {
				return err
			}
		}
		// As much as fits, but at least a line.
		n := len(b)
		if room := int(f.logs.cfg.FileSize - f.size); n > room {
			if n = bytes.LastIndexByte(b[:room], '\n') + 1; n == 0 {
				n = bytes.IndexByte(b, '\n') + 1
			}
		}
		if err := f.append(f.define(b[:n], names), b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// define returns the definitions that the current file lacks for these records.
func (f *function) define(b []byte, names map[int]string) []byte {
	var def []byte
	for line := range bytes.Lines(b) {
		_, rest, _ := bytes.Cut(line, []byte(" "))
		field, _, _ := bytes.Cut(rest, []byte(" "))
		n, err := strconv.Atoi(string(field))
		if err != nil || f.named[n] {
			continue
		}
		f.named[n] = true
		def = fmt.Appendf(def, "s %d %s\n", n, names[n])
	}
	return def
}

// append writes to the current file all of the parts or, should the disk be full,
// none: what follows half a line would be lost with it.
func (f *function) append(parts ...[]byte) error {
	out, err := os.OpenFile(f.path(f.current), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		clear(f.named)
		return err
	}
	size := f.size
	for _, p := range parts {
		var n int
		if n, err = out.Write(p); err != nil {
			clear(f.named)
			return errors.Join(err, out.Truncate(f.size), out.Close())
		}
		size += int64(n)
	}
	f.size = size
	return out.Close()
}

func (f *function) path(n int) string { return filepath.Join(f.dir, fmt.Sprintf("%08d.log", n)) }

// resume begins a new file: numbers of streams are this process's own.
func (f *function) resume() error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	numbers, err := f.files()
	if err != nil {
		return err
	}
	if len(numbers) > 0 {
		f.current = numbers[len(numbers)-1]
	}
	return f.rotate()
}

// rotate begins the next file and removes the oldest.
func (f *function) rotate() error {
	f.current++
	f.size, f.named = 0, map[int]bool{}
	numbers, err := f.files()
	if err != nil {
		return err
	}
	for len(numbers) >= f.logs.cfg.Files {
		if err := os.Remove(f.path(numbers[0])); err != nil {
			return err
		}
		numbers = numbers[1:]
	}
	return nil
}

// files returns the numbers of the files there are, in order.
func (f *function) files() ([]int, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%08d.log", &n); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
