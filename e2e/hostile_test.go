package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostile makes the hostile function of testdata on a server with isolation.
func hostile(t *testing.T, timeout int32) (s *server, tr *traces) {
	t.Helper()
	t.Setenv("E2E_SERVER_SECRET", "the server's own")
	tr, env := watch()
	s = isolated(t)
	code, err := os.ReadFile("testdata/hostile.py")
	if err != nil {
		t.Fatal(err)
	}
	s.create(t, function{name: "hostile", runtime: python, files: map[string]string{"handler.py": string(code)},
		timeout: timeout, memory: 512, env: env})
	return s, tr
}

// order sends the hostile function an order.
func (s *server) order(t *testing.T, do string) answer {
	t.Helper()
	return s.invoke(t, "hostile", `{"do":"`+do+`"}`)
}

// wellBehaved expects that the server and a new environment work as ever.
func (s *server) wellBehaved(t *testing.T) {
	t.Helper()
	if a := s.order(t, "ok"); a.payload != `"ok"` || a.fault != "" {
		t.Errorf("afterwards the function answers %s %s", a.fault, a.payload)
	}
}

// A function reaches nothing of the host, of the server, or of another function.
func TestAFunctionCannotGetOut(t *testing.T) {
	s, _ := hostile(t, 60)
	const secret, marker = "secret-of-the-victim", "code-of-the-victim"
	s.create(t, function{name: "victim", runtime: python, env: map[string]string{"SECRET": secret},
		files: map[string]string{"handler.py": "# " + marker + "\nimport os\ndef handler(e, c):\n    return os.environ['SECRET']\n"}})
	if a := s.invoke(t, "victim", `{}`); a.payload != `"`+secret+`"` { // its environment lives from here on
		t.Fatal(a.payload)
	}

	file, err := os.CreateTemp("", "lambent-e2e-secret-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	file.Chmod(0o644)
	fmt.Fprint(file, "a secret of the host")
	file.Close()

	everywhere, err := net.Listen("tcp", "0.0.0.0:0") // something of the host that listens on every address
	if err != nil {
		t.Fatal(err)
	}
	defer everywhere.Close()
	_, port, _ := net.SplitHostPort(everywhere.Addr().String())
	addresses := [][]string{strings.Split(s.addr, ":"), {"127.0.0.1", port}}
	cards, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range cards {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			addresses = append(addresses, []string{ip.IP.String(), port})
		}
	}
	abstract, err := net.Listen("unix", "@lambent-e2e-"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	key := 0x6c616d62
	shm, _, errno := syscall.Syscall(syscall.SYS_SHMGET, uintptr(key), 4096, 0o1000|0o666) // IPC_CREAT
	if errno != 0 {
		t.Fatal(errno)
	}
	defer syscall.Syscall(syscall.SYS_SHMCTL, shm, 0, 0) // IPC_RMID

	event, err := json.Marshal(map[string]any{
		"do": "report", "data": s.data, "secret_file": file.Name(), "secret": secret, "marker": marker,
		"addresses": addresses, "abstract": "lambent-e2e-" + port, "shm_key": key, "server_pid": s.cmd.Process.Pid,
	})
	if err != nil {
		t.Fatal(err)
	}
	a := s.invoke(t, "hostile", string(event))
	if a.fault != "" {
		t.Fatalf("the probe itself failed: %s", a.payload)
	}
	report := map[string]string{}
	if err := json.Unmarshal([]byte(a.payload), &report); err != nil {
		t.Fatal(err)
	}
	for _, attempt := range slices.Sorted(maps.Keys(report)) {
		if report[attempt] != "denied" {
			t.Errorf("a function can %s: %s", attempt, report[attempt])
		}
	}
	if len(report) < 50 {
		t.Errorf("only %d attempts were made", len(report))
	}
}

// A fork bomb ends with its invocation and harms nobody else.
func TestAForkBombIsContained(t *testing.T) {
	s, tr := hostile(t, 3)
	a := s.order(t, "fork_bomb")
	if !strings.Contains(a.payload, "Sandbox.Timedout") && !strings.Contains(a.payload, "Runtime.") {
		t.Errorf("the bomb answered %s", a.payload)
	}
	s.wellBehaved(t)
	tr.note(t, "hostile")
	s.stop(t)
	tr.none(t, s)
}

// /tmp is bounded by the function's storage, whatever the host has free.
func TestTmpIsBounded(t *testing.T) {
	s, tr := hostile(t, 60)
	a := s.order(t, "fill_tmp")
	var got struct {
		MiB   int
		Error string
	}
	if err := json.Unmarshal([]byte(a.payload), &got); err != nil {
		t.Fatalf("%s: %v", a.payload, err)
	}
	if got.Error != "ENOSPC" || got.MiB < 400 || got.MiB > 520 {
		t.Errorf("512 MiB of /tmp took %d MiB and then said %q", got.MiB, got.Error)
	}
	tr.note(t, "hostile")
	s.stop(t)
	tr.none(t, s)
}

// Nothing of an environment lives on past its timeout, however it hides.
func TestNothingOutlivesATimeout(t *testing.T) {
	s, tr := hostile(t, 1)
	if a := s.order(t, "outlive"); !strings.Contains(a.payload, "Task timed out after 1.00 seconds") {
		t.Errorf("the answer is %s", a.payload)
	}
	s.awaitEnvironments(t, 0)
	left := tr.processes(t)
	for until := time.Now().Add(time.Second); len(left) > 0 && time.Now().Before(until); left = tr.processes(t) {
		time.Sleep(5 * time.Millisecond) // killed, and on their way out: a busy machine takes a while
	}
	if len(left) > 0 {
		t.Errorf("alive after the timeout: %q", left)
	}
	s.wellBehaved(t)
}

// Killing everything in reach kills the environment and nothing else.
func TestKillingEverythingKillsOneself(t *testing.T) {
	s, _ := hostile(t, 5)
	if a := s.order(t, "kill_all"); a.fault != "Unhandled" {
		t.Errorf("the answer is %s", a.payload)
	}
	s.wellBehaved(t)
}

// The memory limit is the environment's, not a process's.
func TestManyProcessesShareOneMemoryLimit(t *testing.T) {
	s, tr := hostile(t, 20)
	free := available(t)
	a := s.order(t, "many_eaters")
	if a.fault != "Unhandled" {
		t.Errorf("the answer is %s", a.payload)
	}
	if used := free - available(t); used > 2<<30 {
		t.Errorf("the host has %d MiB less", used>>20)
	}
	s.wellBehaved(t)
	tr.note(t, "hostile")
	s.stop(t)
	tr.none(t, s)
}

// available is the memory that the host has left.
func available(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatal("no MemAvailable in /proc/meminfo")
	return 0
}

// Floods of output and of requests to the Runtime API cost the server no memory
// to speak of, and it serves others meanwhile.
func TestFloodsAreBounded(t *testing.T) {
	s, _ := hostile(t, 60)
	s.create(t, function{name: "other", runtime: python, files: map[string]string{"handler.py": "def handler(e, c):\n    return e\n"}})
	s.wellBehaved(t)
	before := s.use(t)
	for _, flood := range []string{"flood_log", "flood_api", "hold_api"} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if a, err := s.try(t.Context(), invocation("hostile", `{"do":"`+flood+`"}`)); err != nil {
				t.Errorf("%s: %v", flood, err)
			} else {
				t.Logf("%s answered %.200s", flood, a.payload)
			}
		}()
		served := 0
		for running := true; running; {
			select {
			case <-done:
				running = false
			case <-time.After(10 * time.Millisecond): // others call now and then
				if a := s.invoke(t, "other", `1`); a.payload != `1` {
					t.Errorf("during %s another function answered %s", flood, a.payload)
				}
				served++
			}
		}
		after := s.use(t)
		if after.memory > before.memory+128<<20 {
			t.Errorf("after %s the server has %d MiB resident, %d before", flood, after.memory>>20, before.memory>>20)
		}
	}
	s.wellBehaved(t)
}
