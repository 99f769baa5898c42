package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// boto3 takes a function through its whole life.
func TestLifecycleWithBoto3(t *testing.T) {
	s := serve(t)
	runScript(t, s, "lifecycle.py")
}

// boto3 is refused in AWS's own words.
func TestRefusalsWithBoto3(t *testing.T) {
	s := serve(t)
	runScript(t, s, "refusals.py")
}

func runScript(t *testing.T, s *server, name string) {
	t.Helper()
	python, env := pythonClients(t)
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", name))
	cmd.Env = append(env, s.clientEnv()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	t.Logf("%s", out)
}

// cli runs `aws lambda ARGS` and returns its JSON answer, nil if it printed none.
func (s *server) cli(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out, stderr, err := s.runCLI(t, args...)
	if err != nil {
		t.Fatalf("aws lambda %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return nil
	}
	var v map[string]any
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("aws lambda %s printed %q: %v", strings.Join(args, " "), out, err)
	}
	return v
}

func (s *server) runCLI(t *testing.T, args ...string) (stdout []byte, stderr string, err error) {
	t.Helper()
	python, env := pythonClients(t)
	cmd := exec.CommandContext(t.Context(), python, append([]string{"-m", "awscli", "lambda", "--output", "json"}, args...)...)
	cmd.Env = append(env, s.clientEnv()...)
	var errs strings.Builder
	cmd.Stderr = &errs
	stdout, err = cmd.Output()
	return stdout, errs.String(), err
}

// The aws CLI creates, invokes, updates, publishes, aliases and deletes, with its
// own waiters in between.
func TestLifecycleWithTheCLI(t *testing.T) {
	s := serve(t)
	dir := t.TempDir()
	archive := filepath.Join(dir, "function.zip")
	answered := filepath.Join(dir, "answer.json")
	write := func(answer string) {
		t.Helper()
		code := "def handler(event, context):\n    return {'" + answer + "': event}\n"
		if err := os.WriteFile(archive, pack(t, map[string]string{"handler.py": code}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string, args ...string) map[string]any {
		t.Helper()
		out := s.cli(t, append(append([]string{"invoke", "--function-name", "hello", "--payload", `{"n":1}`}, args...), answered)...)
		got, err := os.ReadFile(answered)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("invoke %v answered %s, want %s", args, got, want)
		}
		return out
	}

	write("first")
	made := s.cli(t, "create-function", "--function-name", "hello", "--runtime", python, "--handler", "handler.handler",
		"--role", role, "--zip-file", "fileb://"+archive, "--tags", "team=blue")
	if made["FunctionArn"] != arn+"hello" || made["State"] != "Pending" || made["Version"] != "$LATEST" {
		t.Errorf("create-function answered %v", made)
	}
	s.cli(t, "wait", "function-active-v2", "--function-name", "hello")
	out := expect(`{"first": {"n": 1}}`)
	if out["StatusCode"] != 200.0 || out["ExecutedVersion"] != "$LATEST" || out["FunctionError"] != nil {
		t.Errorf("invoke answered %v", out)
	}

	if v := s.cli(t, "publish-version", "--function-name", "hello"); v["Version"] != "1" {
		t.Errorf("publish-version answered %v", v)
	}
	s.cli(t, "wait", "published-version-active", "--function-name", "hello", "--qualifier", "1")
	write("second")
	s.cli(t, "update-function-code", "--function-name", "hello", "--zip-file", "fileb://"+archive)
	s.cli(t, "wait", "function-updated-v2", "--function-name", "hello")
	s.cli(t, "update-function-configuration", "--function-name", "hello", "--memory-size", "256", "--environment", "Variables={KEY=v}")
	s.cli(t, "wait", "function-updated-v2", "--function-name", "hello")
	if c := s.cli(t, "get-function-configuration", "--function-name", "hello"); c["MemorySize"] != 256.0 || c["LastUpdateStatus"] != "Successful" {
		t.Errorf("get-function-configuration answered %v", c)
	}
	expect(`{"second": {"n": 1}}`)
	expect(`{"first": {"n": 1}}`, "--qualifier", "1")

	s.cli(t, "create-alias", "--function-name", "hello", "--name", "live", "--function-version", "1")
	if out := expect(`{"first": {"n": 1}}`, "--qualifier", "live", "--log-type", "Tail"); out["ExecutedVersion"] != "1" || out["LogResult"] == nil {
		t.Errorf("invoke of the alias answered %v", out)
	}
	if tags := s.cli(t, "list-tags", "--resource", arn+"hello")["Tags"].(map[string]any); tags["team"] != "blue" {
		t.Errorf("list-tags answered %v", tags)
	}
	if all := s.cli(t, "list-functions", "--function-version", "ALL")["Functions"].([]any); len(all) != 2 {
		t.Errorf("list-functions --function-version ALL gave %d entries, want $LATEST and 1", len(all))
	}
	s.cli(t, "delete-function", "--function-name", "hello")
	if _, stderr, err := s.runCLI(t, "get-function", "--function-name", "hello"); err == nil ||
		!strings.Contains(stderr, "(ResourceNotFoundException) when calling the GetFunction operation: Function not found: "+arn+"hello") {
		t.Errorf("get-function of a deleted function: %v, %s", err, stderr)
	}
}

// The AWS SDK for JavaScript takes a function through its life.
func TestLifecycleWithJavaScript(t *testing.T) {
	s := serve(t)
	archive := filepath.Join(t.TempDir(), "function.zip")
	code := "exports.handler = async (event) => { if (event === 'raise') throw new Error('as told'); return event; };"
	if err := os.WriteFile(archive, pack(t, map[string]string{"index.js": code}), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "--no-warnings", "testdata/client.cjs", archive)
	cmd.Env = append(append(plainEnv(), "SDK="+javaScriptSDK(t)), s.clientEnv()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("client.cjs: %v\n%s", err, out)
	}
}

const sdkVersion = "3.1164.0"

// javaScriptSDK returns a directory in which npm has installed the Lambda client
// of the AWS SDK for JavaScript, once in a place that outlives the run.
func javaScriptSDK(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".cache", "client-lambda-"+sdkVersion))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "installed")); err == nil {
		return dir
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts",
		"--prefix", dir, "@aws-sdk/client-lambda@"+sdkVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm install (apt-get install nodejs npm): %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "installed"), nil, 0o644); err != nil { // only a whole install counts
		t.Fatal(err)
	}
	return dir
}
