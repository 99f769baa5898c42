package main

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// target is something that answers the same invocation: a reference or Lambent.
type target struct {
	name    string
	pid     int // root of the process tree whose CPU counts
	addr    string
	request []byte
	stop    func()
}

// handler is one language's function that returns its event, and what runs it.
type handler struct {
	name    string
	runtime string // as CreateFunction names it
	entry   string
	file    string // name in the package
	content []byte
	lean    []string // command of R1's process
	socket  bool     // R1 gives it a Unix socket
	plain   []string // command of R2's process
	cold    bool     // only its start is of interest
}

var (
	//go:embed function/handler.py
	handlerPy []byte
	//go:embed function/heavy/handler.py
	heavyPy []byte
	//go:embed function/index.js
	indexJS []byte
	//go:embed client/lean.py
	leanPy []byte
	//go:embed client/lean.js
	leanJS []byte
	//go:embed client/plain.py
	plainPy []byte
	//go:embed client/plain.js
	plainJS []byte
)

// prepare builds and writes the functions and the references' clients in dir.
func (o *options) prepare(dir string) (map[string]handler, error) {
	if err := os.Mkdir(filepath.Join(dir, "heavy"), 0o755); err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{
		"handler.py": handlerPy, "heavy/handler.py": heavyPy, "index.js": indexJS,
		"lean.py": leanPy, "lean.js": leanJS, "plain.py": plainPy, "plain.js": plainJS,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return nil, err
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	all := map[string]handler{}
	for _, name := range o.handlers {
		switch name {
		case "go":
			if err := build(in("bootstrap"), "github.com/lambent-run/lambent/bench/function"); err != nil {
				return nil, err
			}
			content, err := os.ReadFile(in("bootstrap"))
			if err != nil {
				return nil, err
			}
			all[name] = handler{name: name, runtime: "provided.al2023", entry: "bootstrap", file: "bootstrap", content: content,
				lean: []string{in("bootstrap")}, plain: []string{in("bootstrap")}}
		case "python":
			bin, err := exec.LookPath(o.python)
			if err != nil {
				return nil, fmt.Errorf("%w: install python3, or name one with -python", err)
			}
			all[name] = handler{name: name, runtime: o.pythonRuntime, entry: "handler.handler", file: "handler.py", content: handlerPy,
				lean: []string{bin, in("lean.py"), dir}, socket: true, plain: []string{bin, in("plain.py"), dir}}
		case "python-heavy":
			bin, err := exec.LookPath(o.python)
			if err != nil {
				return nil, fmt.Errorf("%w: install python3, or name one with -python", err)
			}
			all[name] = handler{name: name, runtime: o.pythonRuntime, entry: "handler.handler", file: "handler.py", content: heavyPy,
				plain: []string{bin, in("plain.py"), in("heavy")}, cold: true}
		case "node":
			bin, err := exec.LookPath(o.node)
			if err != nil {
				return nil, fmt.Errorf("%w: install nodejs, or name one with -node", err)
			}
			all[name] = handler{name: name, runtime: o.nodeRuntime, entry: "index.handler", file: "index.js", content: indexJS,
				lean: []string{bin, in("lean.js"), dir}, socket: true, plain: []string{bin, in("plain.js"), dir}}
		default:
			return nil, fmt.Errorf("-handlers %s: want go, python, python-heavy or node", name)
		}
	}
	return all, nil
}

// build compiles a package of this module.
func build(out, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, b)
	}
	return nil
}

// startReference starts `bench ARGS` and reads where it listens.
func startReference(name string, args ...string) (*target, error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok {
		stop()
		return nil, errors.Join(fmt.Errorf("%s did not start: it said %q", name, line), err)
	}
	return &target{name: name, pid: cmd.Process.Pid, addr: addr, stop: stop}, nil
}

func startR0() (*target, error) { return startReference("R0", "r0") }

func startR1(h handler, envs int) (*target, error) {
	args := []string{"r1", "-envs", strconv.Itoa(envs)}
	if h.socket {
		args = append(args, "-socket")
	}
	return startReference("R1", append(append(args, "--"), h.lean...)...)
}
