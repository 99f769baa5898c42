package examples

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Each example answers its event, counts its invocations, and fails on a bad event if it has one.
func TestScriptsAnswerTheirEvents(t *testing.T) {
	harness := map[string][]string{
		"demo-python": {"python3", "-c", `
import json, sys, types, handler
context = types.SimpleNamespace(function_name="f", aws_request_id="r", memory_limit_in_mb="128", get_remaining_time_in_millis=lambda: 3000)
for e in sys.argv[1:3]:
    a = handler.handler(json.loads(e), context)
print(json.dumps(a))
try:
    handler.handler(json.loads(sys.argv[3]), context)
except KeyError:
    sys.exit(0)
sys.exit("the bad event did not fail")`},
		"demo-node": {"node", "--input-type=module", "-e", `
const { handler } = await import(process.cwd() + "/index.mjs");
const context = { functionName: "f", memoryLimitInMB: "128", getRemainingTimeInMillis: () => 3000 };
let a;
for (const e of process.argv.slice(1, 3)) a = await handler(JSON.parse(e), context);
console.log(JSON.stringify(a));`},
	}
	for _, e := range All() {
		if !json.Valid([]byte(e.Event)) || e.Bad != "" && !json.Valid([]byte(e.Bad)) {
			t.Errorf("%s: an event is not JSON", e.Name)
		}
		argv, ok := harness[e.Name]
		if !ok {
			continue // the Go one has a test of its own
		}
		t.Run(e.Name, func(t *testing.T) {
			if _, err := exec.LookPath(argv[0]); err != nil {
				t.Skipf("NOT TESTED: no %s here", argv[0])
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, e.File), e.Source, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), argv[0], append(argv[1:], e.Event, e.Event, e.Bad)...)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			var answer struct{ Invocation int }
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); err != nil || answer.Invocation != 2 {
				t.Errorf("it printed %s", out)
			}
		})
	}
}
