package runtimes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// patience bounds how long a test waits for what must come.
const patience = 30 * time.Second

// set is shared, so that interpreters are asked once: those of this host, or of
// the directories that LAMBENT_INTERPRETERS names, separated by colons.
var set = sync.OnceValues(func() (*Set, error) {
	if in := os.Getenv("LAMBENT_INTERPRETERS"); in != "" {
		places = filepath.SplitList(in)
	}
	dir, err := os.MkdirTemp("", "runtimes-")
	if err != nil {
		return nil, err
	}
	return New(dir)
})

// ahead tells that processes are started before they are told whose they are,
// where that can be.
var ahead bool

func TestMain(m *testing.M) {
	code := m.Run()
	if ahead = true; code == 0 {
		code = m.Run() // all of it again
	}
	if s, err := set(); err == nil {
		os.RemoveAll(filepath.Dir(s.dir))
	}
	os.Exit(code)
}

// function is a process that runs a handler outside of any sandbox, and the
// platform's end of its connection to the Runtime API.
type function struct {
	t    testing.TB
	dir  string // its /var/task
	cmd  *exec.Cmd
	out  *os.File
	conn net.Conn
	r    *bufio.Reader
	made int // events
	id   string
}

// setup is what a function is started with.
type setup struct {
	runtime string
	handler string
	files   map[string]string // under /var/task; those whose names begin with / under another root
	env     []string
	tcp     bool
	argv    func(argv []string, dir string) []string // a client other than ours
}

func start(t testing.TB, s setup) *function {
	t.Helper()
	all, err := set()
	if err != nil {
		t.Fatal(err)
	}
	command, err := all.Find(s.runtime)
	if err != nil {
		t.Skip(err)
	}
	f := &function{t: t, dir: t.TempDir()}
	task := filepath.Join(f.dir, "task")
	for name, text := range s.files {
		path := filepath.Join(task, name)
		if strings.HasPrefix(name, "/") {
			path = filepath.Join(f.dir, name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.MkdirAll(task, 0o755)
	argv := command.Argv
	for i := range argv {
		argv[i] = strings.Replace(argv[i], "/var/runtime", all.dir, 1)
	}
	if s.argv != nil {
		argv = s.argv(argv, f.dir)
	}
	f.cmd = exec.Command(argv[0], argv[1:]...)
	f.cmd.Dir = task
	f.cmd.Env = append(command.Env,
		"PATH=/usr/bin:/bin", "TZ=:UTC", "LANG=en_US.UTF-8",
		"LAMBDA_TASK_ROOT="+task, "LAMBDA_RUNTIME_DIR="+all.dir,
		"_HANDLER="+s.handler, "AWS_EXECUTION_ENV=AWS_Lambda_"+s.runtime,
		"AWS_LAMBDA_FUNCTION_NAME=fn", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/fn", "AWS_LAMBDA_LOG_STREAM_NAME=2026/01/02/[$LATEST]0123",
	)
	for _, e := range s.env {
		f.cmd.Env = append(f.cmd.Env, strings.ReplaceAll(e, "DIR", f.dir))
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f.out, f.cmd.Stdout, f.cmd.Stderr = out, in, in
	var listener net.Listener
	if s.tcp {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		f.cmd.Env = append(f.cmd.Env, "_LAMBENT_SOCKET=", "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	} else {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
		defer ours.Close()
		defer theirs.Close()
		f.cmd.ExtraFiles = []*os.File{theirs}
		if f.conn, err = net.FileConn(ours); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	early := slices.ContainsFunc(s.env, func(v string) bool {
		return slices.ContainsFunc(command.Early, func(prefix string) bool { return strings.HasPrefix(v, prefix) })
	})
	if ahead && !s.tcp && s.argv == nil && !early {
		told = f.cmd.Env
		f.cmd.Env = slices.Concat(command.Env, command.Warm, []string{"PATH=/usr/bin:/bin", "TZ=:UTC", "LANG=en_US.UTF-8"})
		f.cmd.Dir = "/"
	}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		f.cmd.Process.Kill()
		f.cmd.Wait() // an error if the test has waited already
		if f.conn != nil {
			f.conn.Close()
		}
		if t.Failed() {
			t.Logf("printed: %q", f.printed())
		}
		out.Close()
	})
	if s.tcp {
		listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		if f.conn, err = listener.Accept(); err != nil {
			t.Fatalf("no connection: %v; printed: %s", err, f.printed())
		}
	}
	f.conn.SetDeadline(time.Now().Add(patience))
	if told != nil {
		var ready [1]byte
		if _, err := f.conn.Read(ready[:]); err != nil || ready[0] != sandbox.Ready {
			t.Fatalf("it says %q, %v; want that it is ready; printed: %s", ready, err, f.printed())
		}
		if _, err := f.conn.Write(sandbox.Assignment(task, told)); err != nil {
			t.Fatal(err)
		}
	}
	f.r = bufio.NewReaderSize(f.conn, 64<<10)
	return f
}

// message is a request that the client made.
type message struct {
	method, path string
	header       http.Header
	body         string
	trailer      http.Header
}

// read reads the client's next request.
func (f *function) read() message {
	f.t.Helper()
	r, err := http.ReadRequest(f.r)
	if err != nil {
		f.t.Fatalf("reading a request: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Fatalf("reading the body of %s: %v", r.URL, err)
	}
	return message{method: r.Method, path: r.URL.Path, header: r.Header, body: string(body), trailer: r.Trailer}
}

// polls waits for the poll for the next event.
func (f *function) polls() {
	f.t.Helper()
	if m := f.read(); m.method != "GET" || m.path != "/2018-06-01/runtime/invocation/next" {
		f.t.Fatalf("the client sent %s %s %s; want a poll", m.method, m.path, m.body)
	}
}

// event is the response that delivers an event.
func (f *function) event(payload string, headers ...string) string {
	f.made++
	f.id = fmt.Sprintf("00000000-0000-4000-8000-%012d", f.made)
	head := []string{
		"HTTP/1.1 200 OK", "Content-Type: application/json",
		"Lambda-Runtime-Aws-Request-Id: " + f.id,
		"Lambda-Runtime-Deadline-Ms: 4102444800000",
		"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:fn:live",
		"Lambda-Runtime-Trace-Id: Root=1-" + f.id,
		"Lambda-Runtime-Invocation-Id: d-" + f.id,
		fmt.Sprintf("Content-Length: %d", len(payload)),
	}
	return strings.Join(append(head, headers...), "\r\n") + "\r\n\r\n" + payload
}

func (f *function) write(s string) {
	f.t.Helper()
	if _, err := io.WriteString(f.conn, s); err != nil {
		f.t.Fatal(err)
	}
}

const accepted = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n"

// invoke delivers an event to the poll that waits and returns what the client
// posts. The next poll has come when it returns.
func (f *function) invoke(payload string, headers ...string) message {
	f.t.Helper()
	f.write(f.event(payload, headers...))
	m := f.read()
	f.write(accepted)
	f.polls()
	return m
}

// result is the body of a successful answer.
func (f *function) result(payload string, headers ...string) string {
	f.t.Helper()
	m := f.invoke(payload, headers...)
	if want := "/2018-06-01/runtime/invocation/" + f.id + "/response"; m.method != "POST" || m.path != want {
		f.t.Fatalf("the client posted to %s: %s; want %s", m.path, m.body, want)
	}
	return m.body
}

// printed returns what has been printed since the last call, as the worker
// drains it: without waiting.
func (f *function) printed() string {
	raw, err := f.out.SyscallConn()
	if err != nil {
		return err.Error()
	}
	var all []byte
	raw.Control(func(fd uintptr) {
		b := make([]byte, 64<<10)
		for {
			n, err := syscall.Read(int(fd), b)
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				return
			}
			all = append(all, b[:n]...)
		}
	})
	return f.plain(string(all))
}

// plain puts the paths of AWS in place of the test's.
func (f *function) plain(s string) string {
	return strings.ReplaceAll(s, filepath.Join(f.dir, "task"), "/var/task")
}

// exit waits for the end of the process and returns its status.
func (f *function) exit() int {
	f.t.Helper()
	timer := time.AfterFunc(patience, func() { f.cmd.Process.Kill() })
	defer timer.Stop()
	err := f.cmd.Wait()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		f.t.Fatal(err)
	}
	return f.cmd.ProcessState.ExitCode()
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z`)

// still puts the word TIME in place of points in time, with .123 behind it if
// they had milliseconds.
func still(s string) string {
	return times.ReplaceAllStringFunc(s, func(at string) string {
		if strings.Contains(at, ".") {
			return "TIME.123"
		}
		return "TIME"
	})
}

// raw reads the client's next request without taking chunks apart.
func (f *function) raw(end string) string {
	f.t.Helper()
	var all bytes.Buffer
	for !strings.HasSuffix(all.String(), end) {
		b, err := f.r.ReadByte()
		if err != nil {
			f.t.Fatalf("%v after %q", err, all.String())
		}
		all.WriteByte(b)
	}
	return all.String()
}
