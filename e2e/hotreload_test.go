package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// project is a directory that is a function's code.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T) *project {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &project{t, root + "/project"}
	p.write("handler.py", counting("first"))
	return p
}

// write writes a file as an editor does that saves in place.
func (p *project) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// counting is a handler that answers with a word and how often it has been called since its module was loaded.
func counting(word string) string {
	return "count = 0\ndef handler(e, c):\n    global count\n    count += 1\n    return '" + word + "', count\n"
}

func (p *project) function(t *testing.T, name string) *lambda.CreateFunctionInput {
	in := function{name: name, runtime: python}.input(t)
	in.Code = &types.FunctionCode{S3Bucket: aws.String("hot-reload"), S3Key: &p.dir}
	return in
}

// until invokes until the answer is another than before, and expects it to be the one wanted.
func (s *server) until(t *testing.T, name, before, want string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		a := s.invoke(t, name, "{}")
		if !strings.HasPrefix(a.payload, before) {
			if a.payload != want {
				t.Errorf("answered %s %s, want %s", a.payload, a.fault, want)
			}
			return
		}
		select {
		case <-deadline:
			t.Fatalf("after 30 s the answer is still %s, want %s", a.payload, want)
		case <-time.After(10 * time.Millisecond): // between two polls
		}
	}
}

// A directory is code at both levels of isolation: a changed file is served, by a module that is loaded anew, without
// any update; so it is after a restart of the server, and when the directory has been away.
func TestHotReload(t *testing.T) {
	for _, level := range []string{"namespaces", "process"} {
		t.Run(level, func(t *testing.T) {
			if level == "namespaces" && os.Getuid() != 0 {
				t.Skip("NOT TESTED: isolation by namespaces takes root; run the tests as root")
			}
			p := newProject(t)
			data := dataDir(t)
			args := []string{"--sandbox", level, "--hot-reload", filepath.Dir(p.dir)}
			s := serveIn(t, data, args...)
			if _, err := s.api().CreateFunction(t.Context(), p.function(t, "live")); err != nil {
				t.Fatal(err)
			}
			s.await(t, "live")
			s.until(t, "live", "none", `["first", 1]`)
			s.until(t, "live", "none", `["first", 2]`)
			made, err := s.api().GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("live")})
			if err != nil {
				t.Fatal(err)
			}

			p.write("handler.py", counting("second"))
			s.until(t, "live", `["first"`, `["second", 1]`)
			p.write("lib/words.py", "word = 'third'\n")
			p.write("handler.py", "from lib import words\n"+strings.ReplaceAll(counting("third"), "'third'", "words.word"))
			s.until(t, "live", `["second"`, `["third", 1]`)
			p.write("lib/words.py", "word = 'fourth'\n")
			s.until(t, "live", `["third"`, `["fourth", 1]`)

			now, err := s.api().GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("live")})
			if err != nil {
				t.Fatal(err)
			}
			if *now.RevisionId != *made.RevisionId || *now.LastModified != *made.LastModified || *now.CodeSha256 != *made.CodeSha256 {
				t.Error("the function counts as updated")
			}

			s.stop(t)
			p.write("lib/words.py", "word = 'fifth'\n")
			s = serveIn(t, data, args...)
			s.until(t, "live", `["fourth"`, `["fifth", 1]`)
			p.write("lib/words.py", "word = 'sixth'\n") // of the same size, perhaps in the same second: bytecode would not tell
			s.until(t, "live", `["fifth"`, `["sixth", 1]`)

			away := p.dir + "-away"
			if err := os.Rename(p.dir, away); err != nil {
				t.Fatal(err)
			}
			deadline := time.After(30 * time.Second)
			for {
				a := s.invoke(t, "live", "{}")
				if a.fault != "" {
					want := `{"errorType":"Runtime.InvalidWorkingDir","errorMessage":"RequestId: ` + a.id + ` Error: The directory ` +
						p.dir + ` cannot be used for hot reloading: no such file or directory."}`
					if a.payload != want {
						t.Errorf("while it is away: %s, want %s", a.payload, want)
					}
					break
				}
				select {
				case <-deadline:
					t.Fatalf("30 s after it went away: %s", a.payload)
				case <-time.After(10 * time.Millisecond): // between two polls
				}
			}
			if err := os.Rename(away, p.dir); err != nil {
				t.Fatal(err)
			}
			s.until(t, "live", `{"errorType"`, `["sixth", 1]`)

			s.stop(t)
			s = serveIn(t, data, "--sandbox", level)
			if a := s.invoke(t, "live", "{}"); a.fault == "" || !strings.Contains(a.payload, "Hot reloading is off.") {
				t.Errorf("on a server without --hot-reload: %s", a.payload)
			}
		})
	}
}

// The function cannot write to the directory.
func TestHotReloadIsReadOnly(t *testing.T) {
	p := newProject(t)
	p.write("handler.py", "def handler(e, c):\n    open('/var/task/canary', 'w')\n")
	s := isolated(t, "--hot-reload", p.dir)
	if _, err := s.api().CreateFunction(t.Context(), p.function(t, "live")); err != nil {
		t.Fatal(err)
	}
	s.await(t, "live")
	if a := s.invoke(t, "live", "{}"); !strings.Contains(a.payload, "Read-only file system") {
		t.Errorf("answered %s", a.payload)
	}
	if _, err := os.Stat(p.dir + "/canary"); err == nil {
		t.Error("the file is there")
	}
}

// A directory that the operator has not opened cannot be had through the API, by whatever name.
func TestHotReloadOfWhatIsNotOpen(t *testing.T) {
	p := newProject(t)
	if err := os.Symlink("/etc", p.dir+"/link"); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--hot-reload", p.dir)
	for _, s3key := range []string{"/etc", filepath.Dir(p.dir), p.dir + "/../", p.dir + "/link", s.data, "etc"} {
		in := p.function(t, "live")
		in.Code.S3Key = &s3key
		var refused *types.InvalidParameterValueException
		if _, err := s.api().CreateFunction(t.Context(), in); !errors.As(err, &refused) {
			t.Errorf("%s: %v", s3key, err)
		}
	}
	in := p.function(t, "live")
	in.Publish = true
	if _, err := s.api().CreateFunction(t.Context(), in); err == nil || !strings.Contains(err.Error(), "cannot be published") {
		t.Errorf("a published version: %v", err)
	}
	if _, err := serve(t).api().CreateFunction(t.Context(), p.function(t, "live")); err == nil || !strings.Contains(err.Error(), "--hot-reload DIR") {
		t.Errorf("without the flag: %v", err)
	}
}
