package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// A function on aws-lambda-go runs unchanged and sees everything of its invocation.
func TestOfficialGoClient(t *testing.T) {
	s := serve(t)
	bootstrap, err := os.ReadFile(build(t, "./testdata/official"))
	if err != nil {
		t.Fatal(err)
	}
	s.create(t, function{name: "official", runtime: custom, files: map[string]string{"bootstrap": string(bootstrap)}, memory: 256})
	a := s.call(t, &lambda.InvokeInput{FunctionName: aws.String("official"), Payload: []byte(`{"Value":[1,"zwei"]}`),
		ClientContext: aws.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":{"k":"v"}}`)))})
	same(t, a.payload, `{"Value":[1,"zwei"],"RequestID":"<id>","ARN":"`+arn+`official","Name":"official","Version":"$LATEST",
		"Memory":256,"Remaining":true,"Custom":{"k":"v"}}`, a.id)

	a = s.invoke(t, "official", `{"Do":"error"}`)
	same(t, a.payload, `{"errorMessage":"msg","errorType":"errorString"}`, a.id)
	if a.fault != "Unhandled" {
		t.Errorf("X-Amz-Function-Error is %q", a.fault)
	}
	a = s.invoke(t, "official", `{"Do":"panic"}`)
	same(t, a.payload, `{"errorMessage":"no way out","errorType":"string","stackTrace":"…"}`, a.id)
	if a = s.invoke(t, "official", `{"Value":1}`); a.fault != "" { // the panic cost the environment
		t.Errorf("after a panic: %s", a.payload)
	}
}

// awslambdaric, AWS's own runtime client for Python, runs unchanged as a custom
// runtime; and what it answers, Lambent's managed Python answers.
func TestOfficialPythonClientIsTheOracle(t *testing.T) {
	s := isolated(t)
	library := awslambdaric(t)
	official := func(f function) function {
		files := map[string]string{"bootstrap": "#!/bin/sh\nexec /usr/bin/python3 -m awslambdaric \"$_HANDLER\"\n"}
		for name, content := range library {
			files[name] = content
		}
		for name, content := range f.files {
			files[name] = content
		}
		f.handler = "handler.handler"
		f.runtime, f.files = custom, files
		return f
	}
	values := `
import decimal
def handler(event, context):
    if event == "context":
        return {"name": context.function_name, "version": context.function_version, "arn": context.invoked_function_arn.rpartition(":")[0],
                "memory": context.memory_limit_in_mb, "group": context.log_group_name.rpartition("/")[0],
                "left": 0 < context.get_remaining_time_in_millis() <= 10000}
    if event == "none": return None
    if event == "bytes": return b"raw"
    if event == "decimal": return decimal.Decimal("1.10")
    if event == "tuple": return (1, 2.5, True, "ä\\u2028")
    if event == "nan": return float("nan")
    if event == "cause":
        try: 1 / 0
        except ZeroDivisionError as e: raise KeyError("k") from e
    if event == "deep":
        def f(n): return f(n - 1) if n else [][1]
        return f(3)
    return event
`
	type check struct {
		name   string
		f      function
		events []string
	}
	checks := []check{{"values", py(values), []string{`"context"`, `"none"`, `"bytes"`, `"decimal"`, `"tuple"`, `"nan"`, `"cause"`, `"deep"`,
		`{"a":[1,2.50,null,true]}`, `"\ud83d\ude00"`, `12345678901234567890`, ``}}}
	for _, f := range pythonFailures {
		if f.handler == "" {
			checks = append(checks, check{f.name, f.function, []string{f.event}})
		}
	}
	for i, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := c.f, official(c.f)
			ours.name, theirs.name = fmt.Sprintf("ours-%d", i), fmt.Sprintf("theirs-%d", i)
			s.create(t, ours)
			s.create(t, theirs)
			for _, event := range c.events {
				a, b := s.invoke(t, ours.name, event), s.invoke(t, theirs.name, event)
				got, want := strings.ReplaceAll(a.payload, a.id, "<id>"), strings.ReplaceAll(b.payload, b.id, "<id>")
				want = strings.ReplaceAll(want, theirs.name, ours.name)
				if !sameJSON(got, want) || a.fault != b.fault {
					t.Errorf("event %s\n  managed      %s %s\n  awslambdaric %s %s", event, a.fault, got, b.fault, want)
				}
			}
		})
	}
}

// sameJSON compares as JSON what is JSON, and as bytes what is not.
func sameJSON(a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return a == b
	}
	return matches(x, y)
}

const ricVersion = "awslambdaric==4.2.2"

// awslambdaric returns the files of AWS's runtime client for Python, from a
// directory that outlives the run.
func awslambdaric(t *testing.T) map[string]string {
	t.Helper()
	base, err := systemPython()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(filepath.Join("..", ".cache", strings.ReplaceAll(ricVersion, "==", "-")))
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(dir, "installed") // written last
	if _, err := os.Stat(whole); err != nil {
		interpreter, env := pythonClients(t) // its pip, so that a system without one will do
		version, err := exec.Command(base, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(interpreter, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:",
			"--python-version", strings.TrimSpace(string(version)), "--target", dir, ricVersion)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("pip install %s: %v\n%s", ricVersion, err, out)
		}
		if err := os.WriteFile(whole, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "__pycache__") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
