package e2e

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// traces are what a server may leave on the host.
type traces struct {
	mark   string   // in the environment of every function of the test
	groups []string // control groups of the server
}

// watch returns an environment for functions by which all their processes can be
// found again.
func watch() (*traces, map[string]string) {
	tr := &traces{mark: "mark-" + strconv.FormatInt(time.Now().UnixNano(), 36)}
	return tr, map[string]string{"E2E_MARK": tr.mark}
}

// note finds the server's control groups by those of a function that has an
// environment now. Other servers may run on this host, and a process that was
// started ahead of need is in a group that is not named for its function.
func (tr *traces) note(t *testing.T, function string) {
	t.Helper()
	var own []string // of the function's processes, as "/server/environment"
	for _, p := range tr.processes(t) {
		pid, _, _ := strings.Cut(p, " ")
		env, _ := os.ReadFile("/proc/" + pid + "/environ")
		if !strings.Contains(string(env), "AWS_LAMBDA_FUNCTION_NAME="+function+"\x00") {
			continue
		}
		groups, _ := os.ReadFile("/proc/" + pid + "/cgroup")
		for line := range strings.Lines(string(groups)) {
			if _, group, ok := strings.Cut(strings.TrimSpace(line), ":/"); ok && strings.HasPrefix(group, "lambent-") {
				own = append(own, "/"+group)
			}
		}
	}
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.ContainsFunc(own, func(group string) bool { return strings.HasSuffix(path, group) }) {
			tr.groups = append(tr.groups, path, filepath.Dir(path))
		}
		return nil // groups of others come and go while the walk runs
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.groups) == 0 {
		t.Errorf("no environment of %s has a control group", function)
	}
}

// processes lists the marked processes.
func (tr *traces) processes(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || !strings.Contains(string(env), tr.mark) {
			continue // it has ended, or is not ours
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

// none expects that nothing of a stopped server is left: no process, no mount
// and so no namespace kept by one, no control group.
func (tr *traces) none(t *testing.T, s *server) {
	t.Helper()
	if left := tr.processes(t); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, s.data) {
			t.Errorf("a mount is left: %s", line)
		}
	}
	for _, group := range tr.groups {
		if _, err := os.Stat(group); err == nil {
			t.Errorf("a control group is left: %s", group)
		}
	}
}

// use is what a server holds now.
type use struct {
	memory int64 // resident bytes
	files  int
}

func (s *server) use(t *testing.T) use {
	t.Helper()
	proc := "/proc/" + strconv.Itoa(s.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return use{memory: pages * int64(os.Getpagesize()), files: len(fds)}
}

// awaitEnvironments waits until the server has just n environments.
func (s *server) awaitEnvironments(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		resp, err := http.Get(s.url("/_lambent/health"))
		if err != nil {
			t.Fatal(err)
		}
		var health struct{ Environments struct{ All int } }
		err = json.NewDecoder(resp.Body).Decode(&health)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if health.Environments.All == n {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("there are %d environments after 60 s, want %d", health.Environments.All, n)
		case <-time.After(50 * time.Millisecond): // between two polls
		}
	}
}
