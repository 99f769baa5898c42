package control

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/catalog/sqlite"
	"github.com/lambent-run/lambent/code"
	"github.com/lambent-run/lambent/control/live"
	"github.com/lambent-run/lambent/lambda"
)

var home = lambda.Scope{Account: "111111111111", Region: "us-east-1"}

const arn = "arn:aws:lambda:us-east-1:111111111111:function:"

func id(name string) lambda.FunctionID {
	return lambda.FunctionID{Account: home.Account, Region: home.Region, Name: name}
}

// open makes a Control over the real catalog and code store in dir. The clock
// goes on by a millisecond with every look at it.
func open(t testing.TB, dir string) (c *Control, shut func()) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	store, err := code.Open(filepath.Join(dir, "code"))
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := live.New(live.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var looks, ids atomic.Int64
	start := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	c = New(Config{
		Catalog: cat,
		Code:    store,
		Live:    dirs,
		Runtime: func(runtime string) error {
			if runtime == "ruby3.4" {
				return errors.New("no interpreter is installed")
			}
			return nil
		},
		URL: func(id, region string) string { return "http://" + id + ".lambda-url." + region + ".localhost/" },
		Locate: func(digest string) string {
			return "https://localhost/" + digest
		},
		Provisioned: func(*lambda.Version, string) (int, bool) { return 0, false },
		Concurrency: lambda.AccountConcurrency,
		Now:         func() time.Time { return start.Add(time.Duration(looks.Add(1)) * time.Millisecond) },
		NewID:       func() string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", ids.Add(1)) },
		Logger:      slog.New(slog.DiscardHandler),
	})
	return c, func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func newControl(t testing.TB) *Control {
	t.Helper()
	c, shut := open(t, t.TempDir())
	t.Cleanup(shut)
	return c
}

// pack makes a package that differs by its content.
func pack(content string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("index.py")
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err) // it writes to memory
	}
	return b.Bytes()
}

// creation is the least that makes a function, and what change adds.
func creation(name string, change ...func(*awslambda.CreateFunctionInput)) *awslambda.CreateFunctionInput {
	in := &awslambda.CreateFunctionInput{
		FunctionName: ptr(name),
		Role:         ptr("arn:aws:iam::111111111111:role/role"),
		Runtime:      "python3.12",
		Handler:      ptr("index.handler"),
		Code:         &types.FunctionCode{ZipFile: pack("one")},
	}
	for _, f := range change {
		f(in)
	}
	return in
}

func create(t testing.TB, c *Control, name string, change ...func(*awslambda.CreateFunctionInput)) {
	t.Helper()
	if _, err := c.CreateFunction(t.Context(), home, creation(name, change...)); err != nil {
		t.Fatal(err)
	}
	settle(t, c, name)
}

// settle prepares a function in the place of Run.
func settle(t testing.TB, c *Control, name string) {
	t.Helper()
	c.prepare(t.Context(), id(name))
	if e := c.Catalog.Get(id(name)); e != nil {
		for _, v := range e.Versions {
			if unfinished(v) {
				t.Fatalf("%s is not prepared: %s, %s", v.ID.Qualified(v.Number), v.State, v.Update)
			}
		}
	}
}

func latest(t testing.TB, c *Control, name string) *lambda.Version {
	t.Helper()
	e := c.Catalog.Get(id(name))
	if e == nil {
		t.Fatalf("there is no function %s", name)
	}
	return e.Versions[lambda.Latest]
}

// describe changes the description of a function and waits for it.
func describe(t testing.TB, c *Control, name, description string) {
	t.Helper()
	_, err := c.UpdateFunctionConfiguration(t.Context(), home,
		&awslambda.UpdateFunctionConfigurationInput{FunctionName: ptr(name), Description: ptr(description)})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, c, name)
}

func publish(t testing.TB, c *Control, name string) string {
	t.Helper()
	out, err := c.PublishVersion(t.Context(), home, &awslambda.PublishVersionInput{FunctionName: ptr(name)})
	if err != nil {
		t.Fatal(err)
	}
	return *out.Version
}

// refusal is a request and the answer to it, a row of the tables of refusals.
type refusal struct {
	what    string
	ask     func(ctx context.Context, c *Control) error
	code    lambda.Code
	message string
}

func checkRefusals(t *testing.T, c *Control, cases []refusal) {
	t.Helper()
	for _, r := range cases {
		err := r.ask(t.Context(), c)
		if err == nil {
			t.Errorf("%s: not refused", r.what)
			continue
		}
		if e := lambda.AsError(err); e.Code != r.code || e.Message != r.message {
			t.Errorf("%s:\n got %s: %s\nwant %s: %s", r.what, e.Code, e.Message, r.code, r.message)
		}
	}
}
