package e2e

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// refusedLine runs the binary, which must end by itself, not with success, and
// say one line on stderr that holds every word of want.
func refusedLine(t *testing.T, want []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), lambent(t), args...)
	cmd.Env = plainEnv()
	cmd.WaitDelay = time.Second
	ended := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	out, err := cmd.CombinedOutput()
	if !ended.Stop() {
		t.Fatalf("lambent %v still runs after 20 s:\n%s", args, out)
	}
	if err == nil {
		t.Fatalf("lambent %v succeeded:\n%s", args, out)
	}
	text := strings.TrimSuffix(string(out), "\n")
	if text == "" || strings.Contains(text, "\n") {
		t.Errorf("lambent %v said, not in one line:\n%s", args, text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("lambent %v said %q, which does not name %q", args, text, w)
		}
	}
}

// What cannot be served is refused in one line that names it.
func TestBadFlagsAreRefused(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	data := dataDir(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--nonsense"}, "--nonsense"},
		{[]string{"--listen", "nowhere"}, "nowhere"},
		{[]string{"--listen", "0.0.0.0:0"}, "loopback"},
		{[]string{"--listen", busy.Addr().String()}, "in use"},
		{[]string{"--listen", "127.0.0.1:0", "--sandbox", "wishes"}, "wishes"},
		{[]string{"--listen", "127.0.0.1:0", "--region", "mars"}, "mars"},
		{[]string{"--listen", "127.0.0.1:0", "--account", "12"}, "12"},
		{[]string{"--listen", "127.0.0.1:0", "--data", file}, file},
		{[]string{"--listen", "127.0.0.1:0", "--config", data + "/none.yaml"}, "none.yaml"},
		{[]string{"--listen", "127.0.0.1:0", "--hot-reload", data + "/none"}, "--hot-reload " + data + "/none"},
		{[]string{"--listen", "127.0.0.1:0", "--endpoint-s3", "nowhere"}, "--endpoint-s3"},
		{[]string{"--listen", "127.0.0.1:0", "unexpected"}, "unexpected"},
	} {
		args := append([]string{"serve"}, c.args...)
		if !strings.Contains(strings.Join(c.args, " "), "--data") {
			args = append(args, "--data", data)
		}
		refusedLine(t, []string{c.want}, args...)
	}
}

// A second server on the same data is refused, and does the first no harm.
func TestASecondServerOnTheSameDataIsRefused(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "kept", runtime: python, files: map[string]string{"handler.py": "def handler(e, c):\n    return e\n"}})
	refusedLine(t, []string{s.data}, "serve", "--listen", "127.0.0.1:0", "--data", s.data)
	if a := s.invoke(t, "kept", `"still"`); a.payload != `"still"` {
		t.Errorf("the first server answered %s", a.payload)
	}
}

// SIGTERM lets what is under way finish, and ends the server with status 0.
func TestSIGTERMDrains(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "slow", runtime: python, files: map[string]string{
		"handler.py": "import time\ndef handler(e, c):\n    print('running', flush=True)\n    time.sleep(2)\n    return 'done'\n"}})
	type result struct {
		a   answer
		err error
	}
	got := make(chan result, 1)
	go func() {
		a, err := s.try(t.Context(), invocation("slow", `{}`))
		got <- result{a, err}
	}()
	s.awaitLog(t, "slow", "running")
	s.stop(t)
	if r := <-got; r.err != nil || r.a.payload != `"done"` {
		t.Errorf("the invocation under way came to %q, %v", r.a.payload, r.err)
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("the port is still open")
	}
}

// What was made is there after a restart, and runs.
func TestRestart(t *testing.T) {
	dir := dataDir(t)
	s := serveIn(t, dir)
	s.create(t, function{name: "kept", runtime: python, files: map[string]string{"handler.py": "def handler(e, c):\n    return e\n"}})
	s.stop(t)
	s = serveIn(t, dir)
	if a := s.invoke(t, "kept", `"again"`); a.payload != `"again"` || a.fault != "" {
		t.Errorf("after a restart: %s %s", a.payload, a.fault)
	}
}
