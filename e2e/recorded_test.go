package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the documents that are made of the tests' results")

// replayed is what became of one recorded case.
type replayed struct {
	Case, File, Date string
	Differs          []string // what differs, if anything does
	Why              string   // why it is known to differ; "" if it must not
	Wrong            []string // what differs without a reason, and reasons without a difference
	Untested         string   // why it could not be asked for here
}

// What AWS answered, Lambent answers: every recorded case that concerns the operations of the API is asked for again by
// boto3. What differs is known to, with its reason, and nothing that is known to differ passes. The table in
// docs/recorded-answers.md is made of the results.
func TestAnswersAreAsRecorded(t *testing.T) {
	python, env := pythonClients(t)
	packages := serveS3(t)
	packages.put(t, "code.zip", "anything")
	s := serve(t, "--endpoint-s3", packages.URL)
	cmd := exec.CommandContext(t.Context(), python, "testdata/recorded/recorded.py")
	cmd.Env = append(append(env, s.clientEnv()...), "BUCKET="+packages.bucket, "KEY=code.zip")
	if os.Getuid() == 0 {
		cmd.Env = append(cmd.Env, "ISOLATED=1")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("recorded.py: %v\n%s", err, stderr.String())
	}
	var all []replayed
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var r replayed
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("recorded.py printed %q: %v", lines.Text(), err)
		}
		all = append(all, r)
		t.Run(r.Case, func(t *testing.T) {
			t.Logf("%s, recorded %s", r.File, r.Date)
			if len(r.Wrong) > 0 {
				t.Error(strings.Join(r.Wrong, "\n"))
			}
			if r.Untested != "" {
				t.Skip("NOT TESTED: " + r.Untested)
			}
		})
	}
	const document = "../docs/recorded-answers.md"
	want := recordedTable(all)
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(document); err != nil || string(got) != want {
		t.Errorf("%s is not up to date (%v): go test ./e2e -run TestAnswersAreAsRecorded -update", document, err)
	}
}

// The comparison with the recordings sees what is missing, too much or another.
func TestComparisonWithRecordings(t *testing.T) {
	python, env := pythonClients(t)
	cmd := exec.CommandContext(t.Context(), python, "testdata/recorded/comparison.py")
	cmd.Env = append(env, "PYTHONDONTWRITEBYTECODE=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("wrong: %v\n%s", err, out)
	}
}

// recordedTable is the page that says how each case fares.
func recordedTable(all []replayed) string {
	const nothing = "the recording holds no answer"
	passes, empty := 0, 0
	for _, r := range all {
		switch r.Why {
		case "":
			passes++
		case nothing:
			empty++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# Answers recorded from AWS

LocalStack's parity tests recorded what the real AWS Lambda answers (see `+"`e2e/testdata/recorded/README.md`"+`). The test
`+"`TestAnswersAreAsRecorded`"+` makes the requests again with boto3 and compares every member of every answer. Of the %d cases
that concern the API, function URLs and invocation and hold an answer, **%d pass**; each of the others says why it does
not. This page is made by the test.

| case | file | recorded | |
|---|---|---|---|
`, len(all)-empty, passes)
	for _, r := range all {
		result := "passes"
		switch r.Why {
		case "":
		case nothing:
			result = "nothing to compare: " + r.Why
		default:
			result = "differs: " + r.Why
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", strings.ReplaceAll(r.Case, "|", `\|`), r.File, r.Date, result)
	}
	return b.String()
}
