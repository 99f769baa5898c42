package control

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// run starts Run and returns what stops it and waits for it.
func run(t testing.TB, c *Control) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// await waits until the catalog shows what it is asked for.
func await(t testing.TB, w *catalog.Watch, reached func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a bound on a hung test
	defer cancel()
	for !reached() {
		if _, err := w.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func active(c *Control, name string) bool {
	e := c.Catalog.Get(id(name))
	if e == nil {
		return false
	}
	for _, v := range e.Versions {
		if v.State != lambda.Active || v.Update != lambda.UpdateSuccessful {
			return false
		}
	}
	return true
}

// A function becomes Active by itself, with the version that was published with it, and so does every update Successful.
func TestRunMovesFunctionsOn(t *testing.T) {
	c := newControl(t)
	w := c.Catalog.Watch()
	defer w.Close()
	stop := run(t, c)
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"} // more than are prepared at once
	for _, name := range names {
		if _, err := c.CreateFunction(t.Context(), home, creation(name, published, withCode(name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		await(t, w, func() bool { return active(c, name) })
	}
	in := upload("a", "two")
	in.Publish = true
	if _, err := c.UpdateFunctionCode(t.Context(), home, in); err != nil {
		t.Fatal(err)
	}
	await(t, w, func() bool { return active(c, "a") })
	if e := c.Catalog.Get(id("a")); len(e.Versions) != 3 || e.Versions["2"].Code != e.Versions[lambda.Latest].Code {
		t.Errorf("%d versions, want $LATEST, 1 and 2 of the code of $LATEST", len(e.Versions))
	}
	stop()
}

// What a crash left Pending or InProgress is taken up at the next start.
func TestPreparationGoesOnAfterRestart(t *testing.T) {
	dir := t.TempDir()
	c, shut := open(t, dir)
	create(t, c, "updated")
	if _, err := c.UpdateFunctionCode(t.Context(), home, upload("updated", "two")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateFunction(t.Context(), home, creation("created")); err != nil {
		t.Fatal(err)
	}
	shut()

	c, shut = open(t, dir)
	defer shut()
	w := c.Catalog.Watch()
	defer w.Close()
	if v := latest(t, c, "updated"); v.Update != lambda.UpdateInProgress || v.Serving == nil {
		t.Fatalf("after the restart the update is %s", v.Update)
	}
	stop := run(t, c)
	await(t, w, func() bool { return active(c, "created") && active(c, "updated") })
	stop()
	if v := latest(t, c, "updated"); v.Serving != nil {
		t.Error("what was serves still")
	}
}

// Run that is told to stop leaves its work for the next start.
func TestStoppedRunLeavesWorkUndone(t *testing.T) {
	c := newControl(t)
	if _, err := c.CreateFunction(t.Context(), home, creation("fn")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.prepare(ctx, id("fn"))
	if v := latest(t, c, "fn"); v.State != lambda.Pending {
		t.Errorf("the function is %s, want Pending", v.State)
	}
	if err := c.Run(ctx); err != nil {
		t.Error(err)
	}
	settle(t, c, "fn")
	if v := latest(t, c, "fn"); v.State != lambda.Active {
		t.Errorf("the function is %s, want Active", v.State)
	}
}

// While an update is in progress invocations run what was; then what is new, in environments of its own.
func TestInvocationsRunWhatWasUntilTheUpdateIsDone(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	was := latest(t, c, "fn")
	if was.Serving != nil {
		t.Error("a function that is not being updated has another to serve")
	}
	if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "two")); err != nil {
		t.Fatal(err)
	}
	during := latest(t, c, "fn")
	if during.Runs() != was {
		t.Error("invocations do not run what was")
	}
	if during.Code == was.Code || during.Deployment == was.Deployment {
		t.Error("the new code is not there, or may run in the old one's environments")
	}
	settle(t, c, "fn")
	after := latest(t, c, "fn")
	if after.Runs() != after || after.Deployment != during.Deployment {
		t.Error("invocations do not run what is new")
	}
}

// An update that cannot be prepared has failed, says so, and leaves what was to serve. The next one heals it.
func TestFailedUpdateLeavesWhatWasToServe(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	was := latest(t, c, "fn")
	if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "two")); err != nil {
		t.Fatal(err)
	}
	lose(t, c, "fn")
	settle(t, c, "fn")
	v := latest(t, c, "fn")
	if v.State != lambda.Active || v.Update != lambda.UpdateFailed || v.UpdateReasonCode != "InternalError" || v.UpdateReason == "" {
		t.Errorf("%s, %s, %s: %s", v.State, v.Update, v.UpdateReasonCode, v.UpdateReason)
	}
	if v.Runs() != was {
		t.Error("invocations do not run what was")
	}
	// It can be published, but not as if it could run. Run has begun when another function is prepared.
	w := c.Catalog.Watch()
	defer w.Close()
	stop := run(t, c)
	if _, err := c.CreateFunction(t.Context(), home, creation("other")); err != nil {
		t.Fatal(err)
	}
	await(t, w, func() bool { return active(c, "other") })
	out, err := c.PublishVersion(t.Context(), home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")})
	if err != nil {
		t.Fatal(err)
	}
	if out.State != "Pending" {
		t.Errorf("the version is %s, want Pending", out.State)
	}
	one := func() *lambda.Version { return c.Catalog.Get(id("fn")).Versions["1"] }
	await(t, w, func() bool { return !unfinished(one()) })
	stop()
	if v := one(); v.State != lambda.Failed || v.StateReasonCode != "InternalError" {
		t.Errorf("the version is %s, want Failed", v.State)
	}
	if v := latest(t, c, "fn"); v.Runs() != was {
		t.Error("invocations no longer run what was")
	}
	if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "three")); err != nil {
		t.Fatal(err)
	}
	if v := latest(t, c, "fn"); v.Runs() != was {
		t.Error("during the next update invocations do not run what was")
	}
	settle(t, c, "fn")
	if v := latest(t, c, "fn"); v.Update != lambda.UpdateSuccessful || v.UpdateReason != "" || v.Runs() != v {
		t.Errorf("after the next update: %s, %s", v.Update, v.UpdateReason)
	}
}

// A function whose code cannot be prepared is Failed and says why.
func TestFailedCreationSaysWhy(t *testing.T) {
	c := newControl(t)
	if _, err := c.CreateFunction(t.Context(), home, creation("fn")); err != nil {
		t.Fatal(err)
	}
	lose(t, c, "fn")
	settle(t, c, "fn")
	out, err := c.GetFunctionConfiguration(t.Context(), home, &awslambda.GetFunctionConfigurationInput{FunctionName: ptr("fn")})
	if err != nil {
		t.Fatal(err)
	}
	if out.State != "Failed" || out.StateReasonCode != "InternalError" || value(out.StateReason) == "" {
		t.Errorf("%s, %s: %s", out.State, out.StateReasonCode, value(out.StateReason))
	}
}

// onError is a slog handler that does something when an error is logged.
type onError struct {
	slog.Handler
	do func()
}

func (h onError) Enabled(context.Context, slog.Level) bool { return true }

func (h onError) Handle(context.Context, slog.Record) error {
	h.do()
	return nil
}

// A function that is deleted and made again while it is being prepared is not mistaken for the one before.
func TestPreparationKnowsItsFunction(t *testing.T) {
	c := newControl(t)
	if _, err := c.CreateFunction(t.Context(), home, creation("fn")); err != nil {
		t.Fatal(err)
	}
	lose(t, c, "fn")
	// That the package is lost is logged between the look at the function and its change.
	logged := 0
	c.Logger = slog.New(onError{slog.DiscardHandler, func() {
		logged++
		if err := deleting("fn", "")(t.Context(), c); err != nil {
			t.Error(err)
		}
		if _, err := c.CreateFunction(t.Context(), home, creation("fn", withCode("two"))); err != nil {
			t.Error(err)
		}
	}})
	c.prepare(t.Context(), id("fn"))
	if v := latest(t, c, "fn"); logged != 1 || v.State != lambda.Pending {
		t.Errorf("the new function is %s for what became of the old one, after %d errors", v.State, logged)
	}
	settle(t, c, "fn")
	if v := latest(t, c, "fn"); v.State != lambda.Active {
		t.Errorf("the new function is %s, want Active", v.State)
	}
	if err := deleting("fn", "")(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.prepare(t.Context(), id("fn"))
	if c.Catalog.Get(id("fn")) != nil {
		t.Error("preparing a function that is gone has made it")
	}
}

// A package that nothing refers to is removed at the second look, and none that serves.
func TestUnusedPackagesAreRemovedAtTheSecondLook(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	one := latest(t, c, "fn").Code.Digest
	kept := func(digest string) bool {
		f, err := c.Code.Zip(digest)
		if err != nil {
			return false
		}
		return errors.Join(f.Close()) == nil
	}
	if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "two")); err != nil {
		t.Fatal(err)
	}
	unused := c.sweep(c.sweep(nil))
	if len(unused) != 0 || !kept(one) {
		t.Error("the package that serves during an update is gone")
	}
	settle(t, c, "fn")
	unused = c.sweep(unused)
	if !unused[one] || !kept(one) {
		t.Error("a package is gone at the first look")
	}
	unused = c.sweep(unused)
	if kept(one) || !kept(latest(t, c, "fn").Code.Digest) {
		t.Error("after the second look the unused package is there, or the used one is not")
	}
	if unused = c.sweep(unused); len(unused) != 0 {
		t.Errorf("%d packages are still unused", len(unused))
	}
}
