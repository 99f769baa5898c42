package worker

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

// lines formats what the platform itself writes into a function's log (AWS
// Lambda developer guide, "Understanding the log format"; the JSON is that of
// the Telemetry API). Each method appends one line to b and returns it, or
// returns b when the function's log level has no such line.
type lines struct {
	json    bool
	quiet   bool // level WARN: only what went wrong
	version *lambda.Version
}

func newLines(v *lambda.Version) lines {
	return lines{json: v.Logging.Format == "JSON", quiet: v.Logging.System == "WARN", version: v}
}

// Statuses of an initialisation or invocation.
const (
	statusSuccess = "success"
	statusError   = "error"
	statusTimeout = "timeout"
)

// Phases an initialisation may run in.
const (
	phaseInit   = "init"
	phaseInvoke = "invoke" // repeated within an invocation
)

func (l *lines) initStart(b []byte, now time.Time, phase string) []byte {
	v := l.version
	runtime := runtimeVersion(v.Runtime)
	if !l.json {
		b = append(b, "INIT_START Runtime Version: "...)
		b = append(b, runtime...)
		b = append(b, "\tRuntime Version ARN: "...)
		return append(b, v.RuntimeARN()...)
	}
	if l.quiet {
		return b
	}
	b = l.open(b, now, "platform.initStart")
	b = append(b, `"initializationType":"on-demand","phase":`...)
	b = quote(b, phase)
	b = append(b, `,"functionName":`...)
	b = quote(b, v.ID.Name)
	b = append(b, `,"functionVersion":`...)
	b = quote(b, v.Number)
	b = append(b, `,"runtimeVersion":`...)
	b = quote(b, runtime)
	return append(b, "}}"...)
}

func (l *lines) initReport(b []byte, now time.Time, phase, status, kind string, took time.Duration) []byte {
	if !l.json {
		if status == statusSuccess { // told by REPORT, or by nothing
			return b
		}
		b = append(b, "INIT_REPORT Init Duration: "...)
		b = millis(b, took)
		b = append(b, " ms\tPhase: "...)
		b = append(b, phase...)
		b = append(b, "\tStatus: "...)
		b = append(b, status...)
		if kind != "" {
			b = append(b, "\tError Type: "...)
			b = append(b, kind...)
		}
		return b
	}
	if l.quiet && status == statusSuccess {
		return b
	}
	b = l.open(b, now, "platform.initReport")
	b = append(b, `"initializationType":"on-demand","phase":`...)
	b = quote(b, phase)
	b = l.status(b, status, kind)
	b = append(b, `,"metrics":{"durationMs":`...)
	b = millis(b, took)
	return append(b, "}}}"...)
}

func (l *lines) start(b []byte, now time.Time, id string) []byte {
	if !l.json {
		b = append(b, "START RequestId: "...)
		b = append(b, id...)
		b = append(b, " Version: "...)
		return append(b, l.version.Number...)
	}
	if l.quiet {
		return b
	}
	b = l.open(b, now, "platform.start")
	b = append(b, `"requestId":`...)
	b = quote(b, id)
	b = append(b, `,"version":`...)
	b = quote(b, l.version.Number)
	return append(b, "}}"...)
}

func (l *lines) end(b []byte, id string) []byte {
	if l.json {
		return b
	}
	b = append(b, "END RequestId: "...)
	return append(b, id...)
}

// report is what the REPORT line says of an invocation.
type report struct {
	id        string
	took      time.Duration
	init      time.Duration // of the cold start before it; 0 for none
	memory    int64         // bytes at most
	status    string
	kind      string // of the error
	announced bool   // whether the text form names the status: not for errors a function reported itself
}

func (l *lines) report(b []byte, now time.Time, r *report) []byte {
	billed := int64((r.took + time.Millisecond - 1) / time.Millisecond)
	used := (r.memory + mib - 1) / mib
	if !l.json {
		b = append(b, "REPORT RequestId: "...)
		b = append(b, r.id...)
		b = append(b, "\tDuration: "...)
		b = millis(b, r.took)
		b = append(b, " ms\tBilled Duration: "...)
		b = strconv.AppendInt(b, billed, 10)
		b = append(b, " ms\tMemory Size: "...)
		b = strconv.AppendInt(b, int64(l.version.Memory), 10)
		b = append(b, " MB\tMax Memory Used: "...)
		b = strconv.AppendInt(b, used, 10)
		b = append(b, " MB\t"...)
		if r.init > 0 {
			b = append(b, "Init Duration: "...)
			b = millis(b, r.init)
			b = append(b, " ms\t"...)
		}
		if r.announced {
			b = append(b, "Status: "...)
			b = append(b, r.status...)
			b = append(b, '\t')
			if r.kind != "" {
				b = append(b, "Error Type: "...)
				b = append(b, r.kind...)
				b = append(b, '\t')
			}
		}
		return b
	}
	if l.quiet && r.status == statusSuccess {
		return b
	}
	b = l.open(b, now, "platform.report")
	b = append(b, `"requestId":`...)
	b = quote(b, r.id)
	b = append(b, `,"metrics":{"durationMs":`...)
	b = millis(b, r.took)
	b = append(b, `,"billedDurationMs":`...)
	b = strconv.AppendInt(b, billed, 10)
	b = append(b, `,"memorySizeMB":`...)
	b = strconv.AppendInt(b, int64(l.version.Memory), 10)
	b = append(b, `,"maxMemoryUsedMB":`...)
	b = strconv.AppendInt(b, used, 10)
	if r.init > 0 {
		b = append(b, `,"initDurationMs":`...)
		b = millis(b, r.init)
	}
	b = append(b, '}')
	b = l.status(b, r.status, r.kind)
	return append(b, "}}"...)
}

func (l *lines) open(b []byte, now time.Time, kind string) []byte {
	b = append(b, `{"time":"`...)
	b = now.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","type":"`...)
	b = append(b, kind...)
	return append(b, `","record":{`...)
}

func (l *lines) status(b []byte, status, kind string) []byte {
	b = append(b, `,"status":`...)
	b = quote(b, status)
	if kind != "" {
		b = append(b, `,"errorType":`...)
		b = quote(b, kind)
	}
	return b
}

// millis appends d in milliseconds with two decimals.
func millis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

// quote appends s as a JSON string.
func quote(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			q, _ := json.Marshal(s)
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// runtimeVersion is the identifier in the form of the INIT_START line:
// "python:3.13" for "python3.13".
func runtimeVersion(runtime string) string {
	runtime = strings.TrimSuffix(runtime, ".x")
	if name, version, ok := strings.Cut(runtime, "."); ok && !strings.ContainsAny(name, "0123456789") {
		return name + ":" + version // provided.al2023
	}
	if i := strings.IndexAny(runtime, "0123456789"); i > 0 {
		return runtime[:i] + ":" + runtime[i:]
	}
	return runtime
}

// tailOf returns the last bytes that a LogResult may have.
func tailOf(tail []byte) []byte {
	return bytes.Clone(tail[max(len(tail)-lambda.MaxLogTail, 0):])
}
