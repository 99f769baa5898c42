package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/sandbox"
)

var numbers = regexp.MustCompile(`[0-9]+(\.[0-9]+)? ms`)

func echo(p *process) sandbox.Exit {
	return p.serve(func(_, event string) string { return event })
}

// A function's log is INIT_START, and for each invocation START, what it
// printed before it answered, END and REPORT; the tail starts at START.
func TestAnInvocationIsLoggedFromStartToReport(t *testing.T) {
	r := newRig(t, func(p *process) sandbox.Exit {
		p.print("loading\n")
		return p.serve(func(id, event string) string {
			p.print("one of " + event + "\ntwo\n\nthree without end")
			return "answer to " + event
		})
	})
	e := r.start()
	await(t, e.Ready(), "it is ready")
	for i := range 2 {
		await(t, r.b.idle, "it is idle")
		if i == 0 { // the reader has taken what was printed at initialisation
			e.life.out.mu.Lock()
			e.life.out.drain()
			e.life.out.mu.Unlock()
		}
		id := fmt.Sprint("id-", i)
		body, out := r.answerTo(e, id, "event")
		if body != "answer to event" || out.Fault != nil || out.ExecutedVersion != "$LATEST" || out.Cold != (i == 0) {
			t.Errorf("%q, %+v", body, out)
		}
		init := ""
		if i == 0 {
			init = "Init Duration: N ms\t"
		}
		want := "START RequestId: " + id + " Version: $LATEST\none of event\ntwo\n\nthree without end\nEND RequestId: " + id +
			"\nREPORT RequestId: " + id + "\tDuration: N ms\tBilled Duration: N ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t" + init + "\n"
		if got := numbers.ReplaceAllString(string(out.LogTail), "N ms"); got != want {
			t.Errorf("tail:\n%s\nwant:\n%s", got, want)
		}
	}
	want := strings.Join([]string{
		": INIT_START Runtime Version: python:3.13\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:1acd7f9fe594edb10e41a95ea274fe4997fdda90e18b663b6b89e9752025cd4d",
		": loading",
		"id-0: START RequestId: id-0 Version: $LATEST",
		"id-0: one of event", "id-0: two", "id-0: three without end",
		"id-0: END RequestId: id-0",
		"id-0: REPORT RequestId: id-0\tDuration: N ms\tBilled Duration: N ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: N ms\t",
	}, "\n")
	if got := shape(r.b.log()); !strings.HasPrefix(got, want) {
		t.Errorf("log:\n%s\nwant:\n%s", got, want)
	}
}

// The JSON format writes the platform's events as the Telemetry API has them.
func TestTheJSONFormat(t *testing.T) {
	r := newRig(t, echo)
	r.v.Logging = lambda.Logging{Format: "JSON", System: "INFO", Application: "DEBUG", Group: "/aws/lambda/fn"}
	e := r.start()
	await(t, r.b.idle, "it is idle")
	_, out := r.answerTo(e, "id", "event")
	tail := regexp.MustCompile(`"time":"[^"]*"|[0-9]+\.[0-9]+|edDurationMs":[0-9]+`).ReplaceAllString(string(out.LogTail), "N")
	want := `{N,"type":"platform.start","record":{"requestId":"id","version":"$LATEST"}}` + "\n" +
		`{N,"type":"platform.report","record":{"requestId":"id","metrics":{"durationMs":N,"billN,"memorySizeMB":128,"maxMemoryUsedMB":36,"initDurationMs":N},"status":"success"}}` + "\n"
	if tail != want {
		t.Errorf("tail:\n%s\nwant:\n%s", tail, want)
	}
	if !slices.Contains(r.d.specs[0].Env, "AWS_LAMBDA_LOG_LEVEL=DEBUG") {
		t.Error("the application's level is not in its environment")
	}
}

// A function that fails takes its environment with it, unless it reported the
// failure itself. Each failure has the words that callers of Lambda know.
func TestFailuresAreFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		main   func(*process) sandbox.Exit
		kind   string
		text   string // of the payload
		report string // the end of REPORT
		lives  bool
	}{
		{"timeout", func(p *process) sandbox.Exit { p.next(); <-p.killed; return sandbox.Exit{Signal: "killed"} },
			"Sandbox.Timedout", `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 1.00 seconds"}`,
			"Status: timeout\t\n", false},
		{"exit 0", func(p *process) sandbox.Exit { p.next(); return sandbox.Exit{} },
			"Runtime.ExitError", `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited without providing a reason"}`,
			"Status: error\tError Type: Runtime.ExitError\t\n", false},
		{"exit 3", func(p *process) sandbox.Exit { p.next(); return sandbox.Exit{Code: 3} },
			"Runtime.ExitError", `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: exit status 3"}`,
			"Status: error\tError Type: Runtime.ExitError\t\n", false},
		{"signal", func(p *process) sandbox.Exit { p.next(); return sandbox.Exit{Signal: "segmentation fault"} },
			"Runtime.ExitError", `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: signal: segmentation fault"}`,
			"Status: error\tError Type: Runtime.ExitError\t\n", false},
		{"out of memory", func(p *process) sandbox.Exit { p.next(); return sandbox.Exit{Signal: "killed", OOM: true} },
			"Runtime.OutOfMemory", `{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: id Error: Runtime exited with error: signal: killed"}`,
			"Status: error\tError Type: Runtime.OutOfMemory\t\n", false},
		{"reported", func(p *process) sandbox.Exit {
			for {
				id, _ := p.next()
				if id == "" {
					return sandbox.Exit{}
				}
				p.call("POST", "invocation/"+id+"/error", "", `{"errorType":"ValueError","errorMessage":"m"}`)
			}
		}, "ValueError", `{"errorType":"ValueError","errorMessage":"m"}`, "Init Duration: N ms\t\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.main)
			r.v.Timeout = 1
			e := r.start()
			await(t, r.b.idle, "it is idle")
			body, out := r.answerTo(e, "id", "x")
			if body != "" || out.Fault == nil || out.Fault.Type != c.kind || string(out.Fault.Payload) != c.text {
				t.Errorf("%q, %+v", body, out.Fault)
			}
			if tail := numbers.ReplaceAllString(string(out.LogTail), "N ms"); !strings.HasSuffix(tail, c.report) {
				t.Errorf("tail:\n%s", tail)
			}
			if c.lives {
				await(t, r.b.idle, "it is idle again")
				return
			}
			await(t, r.b.gone, "it is gone")
			await(t, e.life.dead, "its processes are dead")
			if _, err := e.Invoke(r.invocation("2", "x"), new(recorder)); !errors.Is(err, ErrGone) {
				t.Errorf("another invocation: %v", err)
			}
		})
	}
}

// What a process printed before it crashed stands in the log before END.
func TestLastWordsAreLogged(t *testing.T) {
	r := newRig(t, func(p *process) sandbox.Exit { p.next(); p.print("last words"); return sandbox.Exit{Code: 1} })
	e := r.start()
	await(t, r.b.idle, "it is idle")
	if _, out := r.answerTo(e, "id", "x"); !strings.Contains(string(out.LogTail), "\nlast words\nEND") {
		t.Errorf("%s", out.LogTail)
	}
}

// An initialisation that the runtime reports as failed fails the first
// invocation with that very report.
func TestAnInitErrorFailsTheFirstInvocation(t *testing.T) {
	const object = `{"errorMessage":"m","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}`
	r := newRig(t, func(p *process) sandbox.Exit {
		p.print("Traceback\n")
		p.call("POST", "init/error", "Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\n", object)
		return sandbox.Exit{Code: 1}
	})
	e := r.start()
	await(t, e.Ready(), "initialisation has ended")
	if !e.Broken() || len(r.b.gone) > 0 {
		t.Error("it is not broken, or gone before it said why")
	}
	body, out := r.answerTo(e, "id", "x")
	if body != "" || out.Fault == nil || out.Fault.Type != "Runtime.ImportModuleError" || string(out.Fault.Payload) != object {
		t.Errorf("%q, %+v", body, out.Fault)
	}
	await(t, r.b.gone, "it is gone")
	if got := shape(r.b.log()); !strings.Contains(got, ": Traceback\n: INIT_REPORT Init Duration: N ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n") {
		t.Errorf("%s", got)
	}
}

// An initialisation that crashes without a report is repeated once, inside the
// first invocation, in a fresh sandbox.
func TestACrashedInitIsRepeatedInsideTheInvocation(t *testing.T) {
	starts := make(chan int, 10)
	starts <- 0
	r := newRig(t, func(p *process) sandbox.Exit {
		n := <-starts
		starts <- n + 1
		if n == 0 {
			return sandbox.Exit{Code: 7}
		}
		p.print("second try\n")
		return echo(p)
	})
	e := r.start()
	await(t, e.Ready(), "initialisation has ended")
	if !e.Broken() {
		t.Fatal("it is not broken")
	}
	body, out := r.answerTo(e, "id-1", "event")
	if body != "event" || out.Fault != nil || e.Broken() {
		t.Errorf("%q, %+v", body, out)
	}
	if strings.Contains(string(out.LogTail), "Init Duration") || !strings.Contains(string(out.LogTail), "second try") {
		t.Errorf("%s", out.LogTail)
	}
	await(t, r.b.idle, "it is idle")
	if body, _ := r.answerTo(e, "id-2", "again"); body != "again" {
		t.Errorf("%q", body)
	}
	if len(r.b.gone) > 0 || len(r.d.specs) != 2 {
		t.Errorf("%d sandboxes, gone %d", len(r.d.specs), len(r.b.gone))
	}
}

// A second try that crashes too fails the invocation and ends the environment.
func TestAnInitThatCrashesTwiceIsAnExitError(t *testing.T) {
	r := newRig(t, func(p *process) sandbox.Exit { return sandbox.Exit{Code: 127} })
	e := r.start()
	await(t, e.Ready(), "initialisation has ended")
	_, out := r.answerTo(e, "id", "x")
	if out.Fault == nil || string(out.Fault.Payload) != `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: exit status 127"}` {
		t.Errorf("%+v", out.Fault)
	}
	await(t, r.b.gone, "it is gone")
}

// A second try counts against the function's timeout.
func TestARepeatedInitHasTheFunctionsTimeout(t *testing.T) {
	first := make(chan struct{}, 1)
	first <- struct{}{}
	r := newRig(t, func(p *process) sandbox.Exit {
		select {
		case <-first:
			return sandbox.Exit{Code: 1}
		default:
			<-p.killed
			return sandbox.Exit{Signal: "killed"}
		}
	})
	r.v.Timeout = 1
	e := r.start()
	_, out := r.answerTo(e, "id", "x")
	if out.Fault == nil || out.Fault.Type != "Sandbox.Timedout" || out.Duration != time.Second {
		t.Errorf("%+v", out)
	}
	await(t, r.b.gone, "it is gone")
}

// That a function's code is not there is no trouble of the host's: its invocation says so.
func TestMissingCodeIsAFaultOfTheFunction(t *testing.T) {
	r := newRig(t, echo)
	r.h.cfg.Unpack = func(context.Context, lambda.Code256) (string, error) {
		return "", fmt.Errorf("resolve: %w", lambda.Errorf(lambda.InvalidParameterValue, "The directory /d is gone."))
	}
	e := r.start()
	await(t, e.Ready(), "it is ready")
	_, out := r.answerTo(e, "id", "x")
	if out.Fault == nil || string(out.Fault.Payload) != `{"errorType":"Runtime.InvalidWorkingDir","errorMessage":"RequestId: id Error: The directory /d is gone."}` {
		t.Errorf("%+v", out.Fault)
	}
	await(t, r.b.gone, "it is gone")

	// Of a package that is lost it is.
	r.h.cfg.Unpack = func(context.Context, lambda.Code256) (string, error) { return "", os.ErrNotExist }
	if _, err := r.h.Start(t.Context(), r.v, r.b, false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a package that is lost: %v", err)
	}
}

// Where code is a directory whose files change, Python keeps no bytecode, which could be of before; else it is as on AWS.
func TestNoBytecodeOfADirectory(t *testing.T) {
	r := newRig(t, echo)
	for i, dir := range []string{"", "/home/me/project"} {
		v := *r.v
		v.Code.Dir = dir
		r.v = &v
		r.start()
		await(t, r.b.idle, "it is idle")
		if got := slices.Contains(r.d.specs[i].Env, "PYTHONDONTWRITEBYTECODE=1"); got != (dir != "") {
			t.Errorf("from %q: %v", dir, got)
		}
	}
}

// A package without a bootstrap fails its invocations, not its start.
func TestAMissingBootstrapIsAnInvalidEntrypoint(t *testing.T) {
	r := newRig(t, echo)
	r.v.Runtime = "provided.al2023"
	r.h.cfg.Runtimes = commands{Command{Entrypoints: []string{"/var/task/bootstrap", "/opt/bootstrap"}}}
	dir := t.TempDir()
	r.h.cfg.Unpack = func(context.Context, lambda.Code256) (string, error) { return dir, nil }
	e := r.start()
	await(t, e.Ready(), "it is ready")
	_, out := r.answerTo(e, "id", "x")
	if out.Fault == nil || string(out.Fault.Payload) != `{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: id Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}` {
		t.Errorf("%+v", out.Fault)
	}
	await(t, r.b.gone, "it is gone")

	if err := os.WriteFile(filepath.Join(dir, "bootstrap"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	r.start()
	await(t, r.b.idle, "it is idle")
	if argv := r.d.specs[0].Argv; !slices.Equal(argv, []string{"/var/task/bootstrap"}) {
		t.Errorf("%q", argv)
	}
}

// A driver that cannot start the sandbox is an error of the start.
func TestAFailedStartIsAnError(t *testing.T) {
	r := newRig(t, echo)
	r.d.fail = errDriver
	if _, err := r.h.Start(context.Background(), r.v, r.b, false); !errors.Is(err, errDriver) {
		t.Errorf("%v", err)
	}
}

// A frozen environment thaws for its next invocation; a busy one is not frozen.
func TestInvokeThaws(t *testing.T) {
	r := newRig(t, nil)
	r.d.main = func(p *process) sandbox.Exit {
		return p.serve(func(_, event string) string {
			p.box.mu.Lock()
			thawed := p.box.thawed
			p.box.mu.Unlock()
			<-thawed
			return event
		})
	}
	e := r.start()
	for i := range 3 {
		await(t, r.b.idle, "it is idle")
		if err := e.Freeze(); err != nil {
			t.Fatal(err)
		}
		if body, _ := r.answerTo(e, fmt.Sprint(i), "x"); body != "x" {
			t.Errorf("%q", body)
		}
	}
	box := e.life.box.(*standBox)
	if box.frozen != 3 {
		t.Errorf("frozen %d times", box.frozen)
	}
}

// Freezing and invoking at the same moment leaves no invocation in a frozen sandbox.
func TestFreezeAndInvokeMayMeet(t *testing.T) {
	r := newRig(t, nil)
	r.d.main = func(p *process) sandbox.Exit {
		return p.serve(func(_, event string) string {
			p.box.mu.Lock()
			thawed := p.box.thawed
			p.box.mu.Unlock()
			select {
			case <-thawed:
			case <-p.killed:
			}
			return event
		})
	}
	e := r.start()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				e.Freeze()
			}
		}
	}()
	for i := range 200 {
		await(t, r.b.idle, "it is idle")
		if body, out := r.answerTo(e, fmt.Sprint(i), "x"); body != "x" {
			t.Fatalf("%q, %+v", body, out.Fault)
		}
	}
	close(stop)
	<-stopped
}

// Kill ends an environment in any state, and its owner hears of it once.
func TestKillEndsAnEnvironmentOnce(t *testing.T) {
	hang := func(p *process) sandbox.Exit { <-p.killed; return sandbox.Exit{Signal: "killed"} }
	crash := func(*process) sandbox.Exit { return sandbox.Exit{Code: 1} }
	for name, c := range map[string]struct {
		main func(*process) sandbox.Exit
		wait func(*rig, *Environment)
	}{
		"starting": {hang, func(*rig, *Environment) {}},
		"idle":     {echo, func(r *rig, e *Environment) { await(t, r.b.idle, "it is idle") }},
		"frozen":   {echo, func(r *rig, e *Environment) { await(t, r.b.idle, "it is idle"); e.Freeze() }},
		"broken":   {crash, func(r *rig, e *Environment) { await(t, e.Ready(), "it is ready") }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.main)
			e := r.start()
			c.wait(r, e)
			e.Kill("test")
			e.Kill("test")
			await(t, e.Ready(), "it is ready")
			await(t, r.b.gone, "it is gone")
			if len(r.b.gone) != 0 {
				t.Error("gone twice")
			}
			if _, err := e.Invoke(r.invocation("id", "x"), new(recorder)); !errors.Is(err, ErrGone) {
				t.Errorf("an invocation after it: %v", err)
			}
		})
	}
}

// An invocation whose environment its owner ends is an error, not a fault.
func TestKillEndsAnInvocation(t *testing.T) {
	busy := make(chan struct{})
	r := newRig(t, func(p *process) sandbox.Exit {
		p.next()
		close(busy)
		<-p.killed
		return sandbox.Exit{Signal: "killed"}
	})
	e := r.start()
	await(t, r.b.idle, "it is idle")
	go func() { <-busy; e.Kill("test") }()
	if _, err := e.Invoke(r.invocation("id", "x"), new(recorder)); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("%v", err)
	}
}

// The process sees the variables of Lambda, the function's own, and no others;
// the function cannot override what is reserved.
func TestTheProcessSeesTheVariablesOfLambda(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SERVER", "x")
	r := newRig(t, echo)
	r.h.cfg.Runtimes = commands{Command{Argv: []string{"py"}, Env: []string{"PYTHONPATH=/var/runtime", "LANG=C"}}}
	r.h.cfg.Credentials = func(*lambda.Version) []string { return []string{"AWS_ACCESS_KEY_ID=role"} }
	r.v.Number = "7"
	r.v.Env = &lambda.Environment{Variables: map[string]string{
		"MINE": "a=b", "PATH": "/mine", "PYTHONPATH": "/mine", "AWS_REGION": "mars", "AWS_ACCESS_KEY_ID": "mine"}}
	e := r.start()
	await(t, r.b.idle, "it is idle")
	got := slices.Clone(r.d.specs[0].Env)
	slices.Sort(got)
	want := []string{
		"AWS_ACCESS_KEY_ID=role", "AWS_DEFAULT_REGION=us-east-1", "AWS_EXECUTION_ENV=AWS_Lambda_python3.13",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_FUNCTION_NAME=fn", "AWS_LAMBDA_FUNCTION_VERSION=7",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/fn",
		"AWS_LAMBDA_LOG_STREAM_NAME=" + e.stream, "AWS_LAMBDA_RUNTIME_API=" + e.life.box.Listener().Addr().String(),
		"AWS_REGION=us-east-1", "AWS_XRAY_CONTEXT_MISSING=LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS=169.254.100.1:2000",
		"LAMBDA_RUNTIME_DIR=/var/runtime", "LAMBDA_TASK_ROOT=/var/task", "LANG=C",
		"LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"MINE=a=b", "PATH=/mine", "PWD=/var/task", "PYTHONPATH=/mine", "SHLVL=0", "TZ=:UTC",
		"_AWS_XRAY_DAEMON_ADDRESS=169.254.100.1",
		"_AWS_XRAY_DAEMON_PORT=2000", "_HANDLER=m.f",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if ok, _ := regexp.MatchString(`^\d{4}/\d\d/\d\d/\[7\][0-9a-f]{32}$`, e.stream); !ok {
		t.Errorf("stream %s", e.stream)
	}
	s := r.d.specs[0]
	if s.Memory != 128<<20 || s.CPU != 128./1769 || s.Storage != 512<<20 || s.Pids != 1024 || s.Task != "/code" || s.Dir != "/var/task" {
		t.Errorf("%+v", s)
	}
}

// Blanks are made ahead of need, replaced when used, and discarded at the end.
func TestBlanksAreMadeAheadOfNeed(t *testing.T) {
	r := newRig(t, echo)
	h := New(Config{Driver: r.d, Runtimes: r.h.cfg.Runtimes, Unpack: r.h.cfg.Unpack, Blanks: 3})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	for range 3 {
		await(t, r.d.made, "a blank is made")
	}
	if _, err := h.Start(context.Background(), r.v, r.b, false); err != nil {
		t.Fatal(err)
	}
	await(t, r.d.made, "the used blank is replaced")
	cancel()
	await(t, done, "the host has stopped")
	await(t, r.b.gone, "its environments are gone")
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if r.d.blank != 0 {
		t.Errorf("%d blanks are left", r.d.blank)
	}
	if _, err := h.Start(context.Background(), r.v, r.b, false); !errors.Is(err, errShut) {
		t.Errorf("a start after the end: %v", err)
	}
}

// A line without end is split, and what is printed without end is slowed down.
func TestOutputIsBounded(t *testing.T) {
	const size = logBurst + 4<<20
	r := newRig(t, func(p *process) sandbox.Exit {
		p.print(strings.Repeat("x", size) + "\n")
		return echo(p)
	})
	e := r.start()
	await(t, r.b.idle, "it is idle")
	r.answerTo(e, "id", "x")
	total := 0
	for _, l := range r.b.log() {
		if _, line, _ := strings.Cut(l, ": "); strings.HasPrefix(line, "xx") {
			if total += len(line); len(line) > maxLine {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	}
	if total != size {
		t.Errorf("%d bytes logged, want %d", total, size)
	}
}

// A tail is the last 4 KiB of the log, and only when asked for.
func TestTheTailIsBounded(t *testing.T) {
	r := newRig(t, func(p *process) sandbox.Exit {
		return p.serve(func(_, event string) string {
			for i := range 10000 {
				p.print(fmt.Sprintf("line %d\n", i))
			}
			return event
		})
	})
	e := r.start()
	await(t, r.b.idle, "it is idle")
	_, out := r.answerTo(e, "id", "x")
	if len(out.LogTail) != lambda.MaxLogTail || !strings.Contains(string(out.LogTail), "line 9999\nEND") {
		t.Errorf("%d bytes: %s", len(out.LogTail), out.LogTail)
	}
	await(t, r.b.idle, "it is idle")
	inv := r.invocation("id", "x")
	inv.LogTail = false
	if out, err := e.Invoke(inv, new(recorder)); err != nil || out.LogTail != nil {
		t.Errorf("%v, %q", err, out.LogTail)
	}
}
