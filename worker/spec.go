package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/sandbox"
)

const (
	vcpu = 1769 // MiB of memory that come with one virtual CPU (AWS Lambda developer guide, "Configure memory")
	pids = 1024 // processes and threads (same guide, "Lambda quotas")
	mib  = 1 << 20
)

// nothing is the failure of a function that has nothing to start. Its first
// invocation answers with a fault of the kind.
type nothing struct{ kind, message string }

func (e *nothing) Error() string { return e.message }

// spec describes the sandbox of an environment that runs cmd, all but the address
// of its Runtime API, which only a blank knows.
func (e *Environment) spec(ctx context.Context, cmd Command) (_ *sandbox.Spec, err error) {
	v, cfg := e.version, &e.host.cfg
	s := &sandbox.Spec{
		Name:    e.name,
		Argv:    cmd.Argv,
		Dir:     "/var/task",
		Binds:   cmd.Binds,
		Memory:  int64(v.Memory) * mib,
		CPU:     float64(v.Memory) / vcpu,
		Storage: int64(v.Storage) * mib,
		Pids:    pids,
		Socket:  cmd.Socket,
	}
	if s.Task, err = cfg.Unpack(ctx, v.Code); err != nil {
		var gone *lambda.Error
		if errors.As(err, &gone) {
			return nil, &nothing{"Runtime.InvalidWorkingDir", gone.Message}
		}
		return nil, fmt.Errorf("unpack %s: %w", v.Code.Digest, err)
	}
	for _, l := range v.Layers {
		dir, err := cfg.Unpack(ctx, l.Code)
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", l.ARN, err)
		}
		s.Layers = append(s.Layers, dir)
	}
	if len(cmd.Entrypoints) > 0 {
		path, ok := entrypoint(s, cmd.Entrypoints)
		if !ok {
			return nil, &nothing{"Runtime.InvalidEntrypoint",
				fmt.Sprintf("Couldn't find valid bootstrap(s): [%s]", strings.Join(cmd.Entrypoints, " "))}
		}
		s.Argv = append([]string{path}, cmd.Argv...)
	}
	if wrapper := e.wrapper(); wrapper != "" {
		// By way of a shell, so that a script without an interpreter line runs and
		// a missing one ends with status 127, as on AWS.
		s.Argv = append([]string{"/bin/sh", "-c", `exec "$0" "$@"`, wrapper}, s.Argv...)
	}
	s.Env = e.variables(cmd)
	return s, nil
}

// entrypoint finds the first of the paths that the package or a layer has as an
// executable file. Paths elsewhere are the base system's and are not looked for.
func entrypoint(s *sandbox.Spec, paths []string) (string, bool) {
	for _, p := range paths {
		var hosts []string
		if rest, ok := strings.CutPrefix(p, "/var/task/"); ok {
			hosts = []string{filepath.Join(s.Task, rest)}
		} else if rest, ok := strings.CutPrefix(p, "/opt/"); ok {
			for i := len(s.Layers) - 1; i >= 0; i-- { // later layers lie on top
				hosts = append(hosts, filepath.Join(s.Layers[i], rest))
			}
		}
		for _, h := range hosts {
			info, err := os.Lstat(h)
			if err != nil {
				continue
			}
			// A link is resolved inside the sandbox; where it leads is not to be
			// judged from outside.
			if info.Mode()&os.ModeSymlink != 0 || info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
				return p, true
			}
			break // it hides those below
		}
	}
	return "", false
}

// managed tells the runtimes that Lambda provides from those a package brings.
func managed(runtime string) bool { return !strings.HasPrefix(runtime, "provided") && runtime != "" }

// wrapper is the program that is to start a managed runtime; "" for none.
func (e *Environment) wrapper() string {
	if !managed(e.version.Runtime) {
		return ""
	}
	return e.variable("AWS_LAMBDA_EXEC_WRAPPER")
}

// variable returns one of the function's own variables.
func (e *Environment) variable(name string) string {
	if e.version.Env == nil {
		return ""
	}
	return e.version.Env.Variables[name]
}

// variables are those of the process (AWS Lambda developer guide, "Defined
// runtime environment variables"): defaults, then the runtime's, then the
// function's own, then the reserved ones, each winning over those before.
// Nothing of the server's is among them.
func (e *Environment) variables(cmd Command) []string {
	v := e.version
	list := common(cmd)
	if v.Code.Dir != "" {
		// Its files change while somebody works on them, and Python would take the
		// bytecode of before for one of the same second and size. AWS's has none either:
		// /var/task cannot be written to.
		list.set("PYTHONDONTWRITEBYTECODE", "1")
		list.set("PYTHONPYCACHEPREFIX", "/nonexistent")
	}
	if v.Env != nil {
		for name, value := range v.Env.Variables {
			list.set(name, value)
		}
	}
	list.set("TZ", timezone)
	list.set("_HANDLER", v.Handler)
	list.set("LAMBDA_TASK_ROOT", "/var/task")
	list.set("LAMBDA_RUNTIME_DIR", "/var/runtime")
	list.set("AWS_REGION", v.ID.Region)
	list.set("AWS_DEFAULT_REGION", v.ID.Region)
	if managed(v.Runtime) {
		list.set("AWS_EXECUTION_ENV", "AWS_Lambda_"+v.Runtime)
	}
	list.set("AWS_LAMBDA_FUNCTION_NAME", v.ID.Name)
	list.set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", strconv.Itoa(v.Memory))
	list.set("AWS_LAMBDA_FUNCTION_VERSION", v.Number)
	kind := "on-demand"
	if e.provisioned {
		kind = "provisioned-concurrency"
	}
	list.set("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
	list.set("AWS_LAMBDA_LOG_GROUP_NAME", e.group)
	list.set("AWS_LAMBDA_LOG_STREAM_NAME", e.stream)
	if v.Logging.Format == "JSON" { // with Text AWS says nothing (recorded 2026-02-18)
		list.set("AWS_LAMBDA_LOG_FORMAT", v.Logging.Format)
	}
	if v.Logging.Application != "" {
		list.set("AWS_LAMBDA_LOG_LEVEL", v.Logging.Application)
	}
	list.set("_AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1")
	list.set("_AWS_XRAY_DAEMON_PORT", "2000")
	if e.host.cfg.Credentials != nil {
		list.add(e.host.cfg.Credentials(v))
	}
	return list.pairs
}

const timezone = ":UTC"

// common are the variables that a function has unless it says otherwise.
func common(cmd Command) (list vars) {
	list.set("LANG", "en_US.UTF-8")
	list.set("PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin")
	list.set("LD_LIBRARY_PATH", "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib")
	list.set("PWD", "/var/task") // as of the shell that starts runtimes on AWS
	list.set("SHLVL", "0")
	list.set("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR")
	list.set("AWS_XRAY_DAEMON_ADDRESS", "169.254.100.1:2000")
	list.add(cmd.Env)
	return list
}

// vars is a list of NAME=value in which a name occurs once.
type vars struct {
	pairs []string
	at    map[string]int
}

func (l *vars) set(name, value string) { l.put(name, name+"="+value) }

func (l *vars) add(pairs []string) {
	for _, p := range pairs {
		name, _, _ := strings.Cut(p, "=")
		l.put(name, p)
	}
}

func (l *vars) put(name, pair string) {
	if i, ok := l.at[name]; ok {
		l.pairs[i] = pair
		return
	}
	if l.at == nil {
		l.at = map[string]int{}
	}
	l.at[name] = len(l.pairs)
	l.pairs = append(l.pairs, pair)
}

// streamName names the log stream of an environment started on the day given.
func streamName(v *lambda.Version, day, unique string) string {
	if v.Logging.Group != "" && v.Logging.Group != defaultGroup(v.ID) { // shared groups tell functions apart
		return day + "/" + v.ID.Name + "[" + v.Number + "]" + unique
	}
	return day + "/[" + v.Number + "]" + unique
}

func defaultGroup(id lambda.FunctionID) string { return "/aws/lambda/" + id.Name }
