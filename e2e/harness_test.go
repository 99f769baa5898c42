package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

const (
	region  = "us-east-1"
	account = "000000000000"
	arn     = "arn:aws:lambda:" + region + ":" + account + ":function:"
	role    = "arn:aws:iam::" + account + ":role/any"

	python = "python3.13"
	node   = "nodejs22.x"
	custom = "provided.al2023"
)

var binaryDir string // removed when the run ends

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binaryDir, err = os.MkdirTemp("", "lambent-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binaryDir)
		if err := lookAtSources(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// lookAtSources stats every file that the binary is made of. go test remembers
// what a test looked at, and takes an old result only if none of it has changed.
func lookAtSources() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == ".git" || name == ".cache" || name == "bin") {
			return fs.SkipDir
		}
		_, err = os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's
		}
		return err
	})
}

// build compiles a package of this module once per run and returns the binary.
func build(t *testing.T, pkg string) string {
	t.Helper()
	v, _ := built.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		out := filepath.Join(binaryDir, filepath.Base(pkg))
		cmd := exec.Command("go", "build", "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, b)
		}
		return out, nil
	}))
	out, err := v.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var built sync.Map // package to func() (string, error)

// lambent is the binary under test: $LAMBENT_E2E_BINARY, say one built with the
// race detector, or else one built from this tree.
func lambent(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("LAMBENT_E2E_BINARY"); path != "" {
		return path
	}
	return build(t, "github.com/lambent-run/lambent/cmd/lambent")
}

// server is a running `lambent serve`.
type server struct {
	cmd             *exec.Cmd
	addr            string
	data            string
	log             string
	client          *lambda.Client
	stopped, killed bool          // by the test
	exited          chan struct{} // closed when the process has ended
	err             error         // how; valid once exited is closed
}

// serve starts a server with a new data directory. It is ended with the test.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	return serveIn(t, dataDir(t), args...)
}

// dataDir is like t.TempDir, but short, as paths to sockets must be.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lambent-data-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("something still uses the data directory: %v", err)
		}
	})
	return dir
}

// serveIn starts a server with its data in dir and waits until it is healthy.
func serveIn(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := launch(t, dir, args...)
	deadline := time.After(30 * time.Second)
	for {
		resp, err := http.Get(s.url("/_lambent/health"))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return s
			}
		}
		select {
		case <-s.exited:
			t.Fatalf("the server ended before it was healthy: %v", s.err)
		case <-deadline:
			t.Fatal("the server is not healthy after 30 s")
		case <-time.After(10 * time.Millisecond): // between two polls
		}
	}
}

// launch starts a server without waiting for it.
func launch(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	log, err := os.CreateTemp(binaryDir, "server-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s := &server{addr: addr, data: dir, log: log.Name(), client: newClient(addr), exited: make(chan struct{})}
	s.cmd = exec.Command(lambent(t), append([]string{"serve", "--listen", addr, "--data", dir}, args...)...)
	s.cmd.Env = plainEnv()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.stop(t)
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", s.tail(8<<10))
		}
	})
	return s
}

// plainEnv is the environment without what would configure a Lambent or an AWS client.
func plainEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "LAMBENT_") {
			env = append(env, kv)
		}
	}
	return env
}

func (s *server) url(path string) string { return "http://" + s.addr + path }

// tail returns the last n bytes of the server's log.
func (s *server) tail(n int) string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-n):])
}

// stop drains the server and waits until it has ended, with success.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if s.killed {
		return
	}
	select {
	case <-s.exited:
		if !s.stopped {
			t.Errorf("the server ended by itself: %v", s.err)
		}
		return
	default:
	}
	s.stopped = true
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	select {
	case <-s.exited:
		if s.err != nil {
			t.Errorf("the server ended with %v, want status 0", s.err)
		}
	case <-time.After(45 * time.Second):
		t.Error("the server did not end within 45 s of SIGTERM")
		s.kill()
	}
}

// kill ends the server as a crash would.
func (s *server) kill() {
	s.killed = true
	s.cmd.Process.Kill()
	<-s.exited
}

// api is the AWS SDK for Go against the server, without retries: every answer is
// the server's first.
func (s *server) api() *lambda.Client { return s.client }

func newClient(addr string) *lambda.Client {
	return lambda.New(lambda.Options{
		Region:       region,
		BaseEndpoint: aws.String("http://" + addr),
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer:      aws.NopRetryer{},
	})
}

// function is what a test wants to run.
type function struct {
	name    string
	runtime string
	handler string // "handler.handler" or "index.handler" if empty
	files   map[string]string
	memory  int32 // MiB; if zero, what brings a whole CPU, so that tests do not wait for shares of one
	timeout int32 // seconds; 10 if zero
	env     map[string]string
}

// pack makes the zip of a function's files. All are executable and readable.
func pack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (f function) input(t *testing.T) *lambda.CreateFunctionInput {
	t.Helper()
	handler := f.handler
	if handler == "" {
		handler = map[string]string{python: "handler.handler", node: "index.handler"}[f.runtime]
	}
	if handler == "" {
		handler = "bootstrap"
	}
	in := &lambda.CreateFunctionInput{
		FunctionName: &f.name, Role: aws.String(role), Runtime: types.Runtime(f.runtime), Handler: &handler,
		MemorySize: aws.Int32(1769), Timeout: aws.Int32(10),
		Code: &types.FunctionCode{ZipFile: pack(t, f.files)},
	}
	if f.memory > 0 {
		in.MemorySize = &f.memory
	}
	if f.timeout > 0 {
		in.Timeout = &f.timeout
	}
	if f.env != nil {
		in.Environment = &types.Environment{Variables: f.env}
	}
	return in
}

// create makes a function and waits until it is active.
func (s *server) create(t *testing.T, f function) {
	t.Helper()
	if _, err := s.api().CreateFunction(t.Context(), f.input(t)); err != nil {
		t.Fatal(err)
	}
	s.await(t, f.name)
}

// await waits until a function is active and its last update is done.
func (s *server) await(t *testing.T, name string) {
	t.Helper()
	in := &lambda.GetFunctionInput{FunctionName: &name}
	quick := func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 50*time.Millisecond
	}
	if err := lambda.NewFunctionActiveV2Waiter(s.api()).Wait(t.Context(), in, time.Minute, quick); err != nil {
		t.Fatal(err)
	}
	updated := func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Millisecond, 50*time.Millisecond
	}
	if err := lambda.NewFunctionUpdatedV2Waiter(s.api()).Wait(t.Context(), in, time.Minute, updated); err != nil {
		t.Fatal(err)
	}
}

// answer is what an invocation came to.
type answer struct {
	payload string
	fault   string // X-Amz-Function-Error
	version string
	id      string // request id
	log     string // base64, with LogType=Tail
}

// call invokes a function and expects the platform to answer 200.
func (s *server) call(t *testing.T, in *lambda.InvokeInput) answer {
	t.Helper()
	a, err := s.try(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *server) invoke(t *testing.T, name, event string) answer {
	t.Helper()
	return s.call(t, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(event)})
}

// try is call for goroutines that are not the test's.
func (s *server) try(ctx context.Context, in *lambda.InvokeInput) (answer, error) {
	out, err := s.api().Invoke(ctx, in)
	if err != nil {
		return answer{}, err
	}
	a := answer{payload: string(out.Payload), fault: aws.ToString(out.FunctionError),
		version: aws.ToString(out.ExecutedVersion), log: aws.ToString(out.LogResult)}
	a.id, _ = middleware.GetRequestIDMetadata(out.ResultMetadata)
	if out.StatusCode != http.StatusOK {
		return a, fmt.Errorf("status %d", out.StatusCode)
	}
	return a, nil
}

// isolated starts a server whose functions are in sandboxes, which takes root.
func isolated(t *testing.T, args ...string) *server {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: isolation by namespaces takes root; run the tests as root")
	}
	return serve(t, append([]string{"--sandbox", "namespaces"}, args...)...)
}

// pythonClients returns a Python interpreter and the environment in which it
// has boto3 and the aws CLI, made once in a place that outlives the run.
func pythonClients(t *testing.T) (interpreter string, env []string) {
	t.Helper()
	venv, err := clients()
	if err != nil {
		t.Fatal(err)
	}
	return venv.python, append(plainEnv(), venv.env...)
}

type virtualEnv struct {
	python string
	env    []string
}

var clients = sync.OnceValues(func() (virtualEnv, error) {
	dir := os.Getenv("LAMBENT_E2E_VENV")
	if dir == "" {
		dir = filepath.Join("..", ".cache", "venv")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return virtualEnv{}, err
	}
	wanted, err := os.ReadFile("testdata/requirements.txt")
	if err != nil {
		return virtualEnv{}, err
	}
	base, err := systemPython()
	if err != nil {
		return virtualEnv{}, err
	}
	v := virtualEnv{python: filepath.Join(dir, "bin", "python")}
	have := exec.Command(v.python, "-c", checkInstalled, "testdata/requirements.txt")
	if have.Run() == nil {
		return v, nil
	}
	if _, err := os.Stat(filepath.Join(dir, "site")); err == nil { // made without venv
		v = virtualEnv{python: base, env: []string{"PYTHONPATH=" + filepath.Join(dir, "site")}}
		have := exec.Command(v.python, "-c", checkInstalled, "testdata/requirements.txt")
		have.Env = append(plainEnv(), v.env...)
		if have.Run() == nil {
			return v, nil
		}
	}
	if out, err := exec.Command(base, "-m", "venv", "--clear", dir).CombinedOutput(); err == nil {
		v = virtualEnv{python: filepath.Join(dir, "bin", "python")}
		out, err := exec.Command(v.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", "testdata/requirements.txt").CombinedOutput()
		if err != nil {
			return v, fmt.Errorf("pip install %s: %w\n%s", wanted, err, out)
		}
		return v, nil
	} else if len(out) == 0 {
		return v, fmt.Errorf("%s -m venv: %w", base, err)
	}
	// Debian without python3-venv: pip alone can do it.
	site := filepath.Join(dir, "site")
	out, err := exec.Command(base, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", site, "-r", "testdata/requirements.txt").CombinedOutput()
	if err != nil {
		return v, fmt.Errorf("neither venv nor pip works with %s (apt-get install python3-venv python3-pip): %w\n%s", base, err, out)
	}
	return virtualEnv{python: base, env: []string{"PYTHONPATH=" + site}}, nil
})

// checkInstalled is a Python program that fails unless every pinned package of a
// requirements file is installed at just that version.
const checkInstalled = `
import importlib.metadata, sys
for line in open(sys.argv[1]):
    name, _, version = line.strip().partition("==")
    if name and importlib.metadata.version(name) != version:
        sys.exit(name)
`

// systemPython prefers the system's interpreter to whatever shim is on PATH.
func systemPython() (string, error) {
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		return "/usr/bin/python3", nil
	}
	p, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("no python3: apt-get install python3 python3-venv")
	}
	return p, nil
}

// clientEnv points every AWS client at the server and nowhere else.
func (s *server) clientEnv() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.url(""), "AWS_DEFAULT_REGION=" + region, "AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=",
		"PYTHONDONTWRITEBYTECODE=1",
	}
}

func invocation(name, event string) *lambda.InvokeInput {
	return &lambda.InvokeInput{FunctionName: &name, Payload: []byte(event)}
}

// awaitLog waits until a function's log holds text, read as an operator reads it.
func (s *server) awaitLog(t *testing.T, name, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		cmd := exec.CommandContext(t.Context(), lambent(t), "logs", name)
		cmd.Env = append(plainEnv(), "AWS_ENDPOINT_URL="+s.url(""), "LAMBENT_ENDPOINT="+s.url(""))
		out, err := cmd.CombinedOutput()
		if err == nil && strings.Contains(string(out), text) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the log of %s does not hold %q after 30 s: %v\n%s", name, text, err, out)
		case <-time.After(20 * time.Millisecond): // between two polls
		}
	}
}

// digest is the CodeSha256 of a package.
func digest(zip []byte) string {
	sum := sha256.Sum256(zip)
	return base64.StdEncoding.EncodeToString(sum[:])
}
