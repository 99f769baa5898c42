package control

import (
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// A new version is made of what has changed in code or configuration, and of nothing else.
func TestPublishingUnchangedReturnsTheLastVersion(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	for _, step := range []struct {
		what   string
		change func()
		want   string
	}{
		{"the first", func() {}, "1"},
		{"nothing", func() {}, "1"},
		{"tags", func() {
			if _, err := c.TagResource(t.Context(), home, tag(arn+"fn", "a", "1")); err != nil {
				t.Fatal(err)
			}
		}, "1"},
		{"an update to the same", func() { describe(t, c, "fn", "") }, "1"},
		{"the same code", func() {
			if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "one")); err != nil {
				t.Fatal(err)
			}
			settle(t, c, "fn")
		}, "1"},
		{"configuration", func() { describe(t, c, "fn", "changed") }, "2"},
		{"code", func() {
			if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "two")); err != nil {
				t.Fatal(err)
			}
			settle(t, c, "fn")
		}, "3"},
		{"back to what version 2 was", func() {
			if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "one")); err != nil {
				t.Fatal(err)
			}
			settle(t, c, "fn")
		}, "4"},
		{"the last version removed: its number is not used again", func() {
			if err := deleting("fn", "4")(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}, "5"},
	} {
		step.change()
		revision := latest(t, c, "fn").RevisionID
		var last *lambda.Version
		if e := c.Catalog.Get(id("fn")); e.Versions[step.want] != nil {
			last = e.Versions[step.want]
		}
		if got := publish(t, c, "fn"); got != step.want {
			t.Errorf("%s: version %s, want %s", step.what, got, step.want)
		}
		changed := latest(t, c, "fn").RevisionID != revision
		if isNew := last == nil; changed != isNew {
			t.Errorf("%s: the RevisionId of $LATEST changed is %v, a new version %v", step.what, changed, isNew)
		}
		if last != nil && c.Catalog.Get(id("fn")).Versions[step.want] != last {
			t.Errorf("%s: the version has changed", step.what)
		}
	}
}

// A description given at publication is the new version's alone, and does not make one.
func TestDescriptionOfAVersionIsItsOwn(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", described("of the function"))
	in := &awslambda.PublishVersionInput{FunctionName: ptr("fn"), Description: ptr("of the version")}
	for range 2 {
		out, err := c.PublishVersion(t.Context(), home, in)
		if err != nil {
			t.Fatal(err)
		}
		if *out.Version != "1" || *out.Description != "of the version" {
			t.Errorf("version %s: %s", *out.Version, *out.Description)
		}
		if got := latest(t, c, "fn").Description; got != "of the function" {
			t.Errorf("$LATEST: %s", got)
		}
		in.Description = ptr("another")
	}
}

// With UpdateFunctionCode the new version is Pending while $LATEST is InProgress, and both are done together.
func TestVersionPublishedWithCodeIsPendingMeanwhile(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	in := upload("fn", "two")
	in.Publish = true
	out, err := c.UpdateFunctionCode(t.Context(), home, in)
	if err != nil {
		t.Fatal(err)
	}
	if *out.FunctionArn != arn+"fn:1" || out.State != types.StatePending || out.LastUpdateStatus != "" {
		t.Errorf("%s is %s, %s", *out.FunctionArn, out.State, out.LastUpdateStatus)
	}
	now, err := c.GetFunction(t.Context(), home, get("fn", "$LATEST"))
	if err != nil {
		t.Fatal(err)
	}
	if got := now.Configuration.LastUpdateStatus; got != types.LastUpdateStatusInProgress {
		t.Errorf("$LATEST is %s, want InProgress", got)
	}
	settle(t, c, "fn")
	one := c.Catalog.Get(id("fn")).Versions["1"]
	if one.State != lambda.Active || one.Update != lambda.UpdateSuccessful || one.RevisionID != *out.RevisionId {
		t.Errorf("version 1 is %s, %s", one.State, one.Update)
	}
	if one.Runs() != one {
		t.Error("version 1 runs what $LATEST was before")
	}
	if got := publish(t, c, "fn"); got != "1" {
		t.Errorf("publishing again makes version %s, want 1", got)
	}
}

// A version keeps what it was made of, whatever becomes of $LATEST.
func TestVersionKeepsWhatItWasMadeOf(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", withEnv(map[string]string{"KEY": "one"}))
	publish(t, c, "fn")
	was := c.Catalog.Get(id("fn")).Versions["1"]
	if _, err := c.UpdateFunctionConfiguration(t.Context(), home, &awslambda.UpdateFunctionConfigurationInput{FunctionName: ptr("fn"),
		Environment: &types.Environment{Variables: map[string]string{"KEY": "two"}}, MemorySize: ptr[int32](256)}); err != nil {
		t.Fatal(err)
	}
	settle(t, c, "fn")
	if got := c.Catalog.Get(id("fn")).Versions["1"]; got != was || got.Env.Variables["KEY"] != "one" || got.Memory != 128 {
		t.Errorf("version 1 has become %v", got)
	}
}
