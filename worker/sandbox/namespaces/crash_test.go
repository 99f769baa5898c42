//go:build linux && (amd64 || arm64)

package namespaces

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lambent-run/lambent/worker/sandbox"
)

const serverDir = "LAMBENT_TEST_SERVER_DIR"

// TestMain lets the test binary be a server that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(serverDir); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// serve starts a function that runs, one that is frozen, and a blank, tells the
// processes' ids, and waits to be killed.
func serve(dir string) error {
	d, err := New(Options{Dir: dir})
	if err != nil {
		return err
	}
	ctx := context.Background()
	var pids []string
	for i := range 3 {
		b, err := d.Prepare(ctx)
		if err != nil {
			return err
		}
		pids = append(pids, strconv.Itoa(b.(*blank).holder.pid))
		if i == 2 {
			break
		}
		s, err := b.Start(ctx, &sandbox.Spec{
			Name: "test", Argv: []string{"/bin/sh", "-c", "trap '' HUP TERM; while :; do sleep 1; done"},
			Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Task: "/usr/lib", Memory: 64 * mib, Storage: mib, Pids: 10,
		})
		if err != nil {
			return err
		}
		pids = append(pids, strconv.Itoa(s.(*box).child.pid))
		if i == 1 {
			if err := s.Freeze(); err != nil {
				return err
			}
		}
	}
	member, err := os.ReadFile("/proc/" + pids[1] + "/cgroup")
	if err != nil {
		return err
	}
	_, group, _ := strings.Cut(string(member), "/lambent-")
	group, _, _ = strings.Cut(group, "/")
	fmt.Println("lambent-"+group, strings.Join(pids, " "))
	select {}
}

// A server that is killed takes its functions along, running or frozen, and its
// blanks; the next one removes the control groups.
func TestAKilledServerLeavesNothing(t *testing.T) {
	open(t) // or skip
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), serverDir+"="+filepath.Join(t.TempDir(), "server"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) != 6 {
		t.Fatalf("%q, %v", line, err)
	}
	var fds []unix.PollFd
	for _, f := range fields[1:] {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(line)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	groups := "/sys/fs/cgroup/*/" + fields[0]
	if dirs, _ := filepath.Glob(groups); len(dirs) == 0 {
		t.Fatalf("the server has no groups %s", groups)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ended := func(which ...int) {
		t.Helper()
		for _, i := range which {
			until := time.Now().Add(30 * time.Second)
			for fds[i].Revents == 0 && time.Now().Before(until) {
				if _, err := unix.Poll(fds[i:i+1], 1000); err != nil && err != unix.EINTR {
					t.Fatal(err)
				}
			}
			if fds[i].Revents == 0 {
				t.Errorf("process %s of a killed server lives", fields[1+i])
			}
		}
	}
	ended(0, 1, 4)
	open(t)
	ended(2, 3) // the frozen: where there is only version 1 of control groups, by then
	if dirs, _ := filepath.Glob(groups); len(dirs) > 0 {
		t.Errorf("left by a killed server: %v", dirs)
	}
}
