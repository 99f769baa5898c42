package worker

import (
	"testing"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

// The platform's lines have the words and tabs of AWS's, in both formats.
func TestTheLinesOfThePlatform(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	v := &lambda.Version{ID: lambda.FunctionID{Account: "1", Region: "eu-west-1", Name: "fn"}, Number: "7"}
	v.Runtime, v.Memory = "nodejs22.x", 256
	text := lines{version: v}
	json := lines{version: v, json: true}
	quiet := lines{version: v, json: true, quiet: true}
	failed := &report{id: "id", took: 3*time.Second + time.Nanosecond, memory: 1, status: statusTimeout, announced: true}
	fine := &report{id: "id", took: 1500 * time.Microsecond, init: 110100 * time.Microsecond, memory: 36 << 20, status: statusSuccess}
	crashed := &report{id: "id", took: time.Millisecond, status: statusError, kind: "Runtime.ExitError", announced: true}
	for _, c := range []struct{ name, got, want string }{
		{"init start", string(text.initStart(nil, now, phaseInit)),
			"INIT_START Runtime Version: nodejs:22\tRuntime Version ARN: arn:aws:lambda:eu-west-1::runtime:eef32ba4ebe106b5fd05ec13ba31ca5eff93334025635b857671744123c5c0df"},
		{"init timeout", string(text.initReport(nil, now, phaseInit, statusTimeout, "", 10008550*time.Microsecond)),
			"INIT_REPORT Init Duration: 10008.55 ms\tPhase: init\tStatus: timeout"},
		{"init error", string(text.initReport(nil, now, phaseInvoke, statusError, "Runtime.ExitError", time.Second)),
			"INIT_REPORT Init Duration: 1000.00 ms\tPhase: invoke\tStatus: error\tError Type: Runtime.ExitError"},
		{"init success", string(text.initReport(nil, now, phaseInit, statusSuccess, "", time.Second)), ""},
		{"start", string(text.start(nil, now, "id")), "START RequestId: id Version: 7"},
		{"end", string(text.end(nil, "id")), "END RequestId: id"},
		{"report", string(text.report(nil, now, fine)),
			"REPORT RequestId: id\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory Size: 256 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t"},
		{"report of a timeout", string(text.report(nil, now, failed)),
			"REPORT RequestId: id\tDuration: 3000.00 ms\tBilled Duration: 3001 ms\tMemory Size: 256 MB\tMax Memory Used: 1 MB\tStatus: timeout\t"},
		{"report of a crash", string(text.report(nil, now, crashed)),
			"REPORT RequestId: id\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 256 MB\tMax Memory Used: 0 MB\tStatus: error\tError Type: Runtime.ExitError\t"},
		{"JSON init start", string(json.initStart(nil, now, phaseInit)),
			`{"time":"2026-03-04T05:06:07.089Z","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init","functionName":"fn","functionVersion":"7","runtimeVersion":"nodejs:22"}}`},
		{"JSON init report", string(json.initReport(nil, now, phaseInit, statusError, "Runtime.Unknown", time.Second)),
			`{"time":"2026-03-04T05:06:07.089Z","type":"platform.initReport","record":{"initializationType":"on-demand","phase":"init","status":"error","errorType":"Runtime.Unknown","metrics":{"durationMs":1000.00}}}`},
		{"JSON end", string(json.end(nil, "id")), ""},
		{"JSON report", string(json.report(nil, now, crashed)),
			`{"time":"2026-03-04T05:06:07.089Z","type":"platform.report","record":{"requestId":"id","metrics":{"durationMs":1.00,"billedDurationMs":1,"memorySizeMB":256,"maxMemoryUsedMB":0},"status":"error","errorType":"Runtime.ExitError"}}`},
		{"quiet start", string(quiet.start(nil, now, "id")), ""},
		{"quiet success", string(quiet.report(nil, now, fine)), ""},
		{"quiet failure", string(quiet.report(nil, now, crashed)), string(json.report(nil, now, crashed))},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n%q, want\n%q", c.name, c.got, c.want)
		}
	}
	for runtime, want := range map[string]string{
		"python3.13": "python:3.13", "nodejs22.x": "nodejs:22", "provided.al2023": "provided:al2023", "java21": "java:21", "": "",
	} {
		if got := runtimeVersion(runtime); got != want {
			t.Errorf("%s is %q, want %q", runtime, got, want)
		}
	}
}
