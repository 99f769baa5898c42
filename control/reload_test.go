package control

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/control/live"
	"github.com/lambent-run/lambent/lambda"
)

// withLive opens a new directory for hot reloading, with a project in it.
func withLive(t testing.TB, c *Control) (project string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	project = root + "/project"
	if err := os.Mkdir(project, 0o755); err != nil {
		t.Fatal(err)
	}
	opened(t, c, root)
	return project
}

func opened(t testing.TB, c *Control, root string) {
	t.Helper()
	var err error
	if c.Live, err = live.New(live.Config{Roots: []string{root}, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
}

func change(t testing.TB, dir string) {
	t.Helper()
	if err := os.WriteFile(dir+"/handler.py", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A directory is code like any other, but has no size, the hash of its path, and a place on this host.
func TestADirectoryIsCode(t *testing.T) {
	c := newControl(t)
	project := withLive(t, c)
	create(t, c, "fn", fromS3("hot-reload", project+"/", ""))
	out, err := c.GetFunction(t.Context(), home, get("fn", ""))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(project))
	if got, want := *out.Configuration.CodeSha256, base64.StdEncoding.EncodeToString(sum[:]); got != want || out.Configuration.CodeSize != 0 {
		t.Errorf("hash %s, %d bytes, want %s, 0", got, out.Configuration.CodeSize, want)
	}
	if got, want := *out.Code.Location, "file://"+project; got != want {
		t.Errorf("at %s, want %s", got, want)
	}
	if v := latest(t, c, "fn"); v.Code.Dir != project || v.State != lambda.Active {
		t.Errorf("%s, from %q", v.State, v.Code.Dir)
	}
	if unused := c.sweep(c.sweep(nil)); len(unused) != 0 {
		t.Errorf("%d packages are unused", len(unused))
	}
}

// No caller of the API can have a directory that the operator has not opened, and nothing that must not change can be one.
func TestDirectoriesAreRefused(t *testing.T) {
	c := newControl(t)
	project := withLive(t, c)
	create(t, c, "fn")
	create(t, c, "live", fromS3("hot-reload", project, ""))
	before := c.Catalog.Get(id("live"))
	const unpublishable = ", which can change (hot reloading): it cannot be published. Update the code to a package first."
	checkRefusals(t, c, []refusal{
		{"another directory", creating(fromS3("hot-reload", "/etc", "")), lambda.InvalidParameterValue,
			"The directory /etc is not in one that the server was started with --hot-reload for."},
		{"an update to one", uploading(func(in *awslambda.UpdateFunctionCodeInput) {
			in.ZipFile, in.S3Bucket, in.S3Key = nil, ptr("hot-reload"), ptr("/etc")
		}), lambda.InvalidParameterValue, "The directory /etc is not in one that the server was started with --hot-reload for."},
		{"a relative path", creating(fromS3("hot-reload", strings.TrimPrefix(project, "/"), "")), lambda.InvalidParameterValue,
			"For hot reloading S3Key is the absolute path of a directory. " + strings.TrimPrefix(project, "/") + " is not."},
		{"a version of one", creating(fromS3("hot-reload", project, "1")), lambda.InvalidParameterValue,
			"A directory for hot reloading has no versions: S3ObjectVersion cannot be given with the bucket hot-reload."},
		{"a layer", func(ctx context.Context, c *Control) error {
			_, err := c.PublishLayerVersion(ctx, home, &awslambda.PublishLayerVersionInput{LayerName: ptr("layer"),
				Content: &types.LayerVersionContentInput{S3Bucket: ptr("hot-reload"), S3Key: &project}})
			return err
		}, lambda.InvalidParameterValue, "Only the code of a function can be hot reloaded."},
		{"publication at creation", creating(func(in *awslambda.CreateFunctionInput) {
			fromS3("hot-reload", project, "")(in)
			in.Publish = true
		}), lambda.InvalidParameterValue, "The function's code is the directory " + project + unpublishable},
		{"publication with an update", uploading(func(in *awslambda.UpdateFunctionCodeInput) {
			in.ZipFile, in.S3Bucket, in.S3Key, in.Publish = nil, ptr("hot-reload"), &project, true
		}), lambda.InvalidParameterValue, "The function's code is the directory " + project + unpublishable},
		{"publication", func(ctx context.Context, c *Control) error {
			_, err := c.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("live")})
			return err
		}, lambda.InvalidParameterValue, "The function's code is the directory " + project + unpublishable},
	})
	if c.Catalog.Get(id("live")) != before {
		t.Error("a request that was refused has changed the function")
	}
	if v := latest(t, c, "fn"); v.Code.Dir != "" {
		t.Errorf("the function's code is %s", v.Code.Dir)
	}
}

// When a file changes, what runs from its directory gets a new deployment, and nothing else about it changes: also after
// a restart, and no longer once the code is a package.
func TestChangesAreDeployed(t *testing.T) {
	dir := t.TempDir()
	c, shut := open(t, dir)
	project := withLive(t, c)
	w := c.Catalog.Watch()
	stop := run(t, c)
	for _, name := range []string{"a", "b", "other"} {
		in := creation(name)
		if name != "other" {
			in = creation(name, fromS3("hot-reload", project, ""))
		}
		if _, err := c.CreateFunction(t.Context(), home, in); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "other"} {
		await(t, w, func() bool { return active(c, name) })
	}
	was := map[string]lambda.Version{}
	for _, name := range []string{"a", "b", "other"} {
		was[name] = *latest(t, c, name)
	}
	change(t, project)
	for _, name := range []string{"a", "b"} {
		await(t, w, func() bool { return latest(t, c, name).Deployment != was[name].Deployment })
		now := *latest(t, c, name)
		now.Deployment = was[name].Deployment
		if now.RevisionID != was[name].RevisionID || now.LastModified != was[name].LastModified || now.Update != was[name].Update ||
			now.Serving != nil || now.Code != was[name].Code {
			t.Errorf("%s was\n%+v and is\n%+v", name, was[name], now)
		}
	}
	if latest(t, c, "other").Deployment != was["other"].Deployment {
		t.Error("a function of other code has a new deployment")
	}
	stop()
	w.Close()
	shut()

	c, shut = open(t, dir)
	defer shut()
	opened(t, c, filepath.Dir(project))
	w = c.Catalog.Watch()
	defer w.Close()
	stop = run(t, c)
	defer stop()
	for _, what := range []string{"since the last run", "now"} { // which nobody saw, and which is seen
		before := latest(t, c, "a").Deployment
		if what == "now" {
			change(t, project)
		}
		await(t, w, func() bool { return latest(t, c, "a").Deployment != before })
	}
	if _, err := c.UpdateFunctionCode(t.Context(), home, upload("a", "package")); err != nil {
		t.Fatal(err)
	}
	await(t, w, func() bool { return active(c, "a") })
	a, b := latest(t, c, "a").Deployment, latest(t, c, "b").Deployment
	change(t, project)
	await(t, w, func() bool { return latest(t, c, "b").Deployment != b })
	if latest(t, c, "a").Deployment != a {
		t.Error("a function that runs from a package now has a new deployment")
	}
}

// A change during an update is one of what runs meanwhile, and does not keep the update from its end. What nothing runs
// from yet needs no new deployment.
func TestChangesDuringAnUpdate(t *testing.T) {
	c := newControl(t)
	project := withLive(t, c)
	if _, err := c.CreateFunction(t.Context(), home, creation("fn", fromS3("hot-reload", project, ""))); err != nil {
		t.Fatal(err)
	}
	made := latest(t, c, "fn")
	c.reload(t.Context(), project)
	if latest(t, c, "fn") != made {
		t.Error("a function that is Pending has changed")
	}
	settle(t, c, "fn")
	if _, err := c.UpdateFunctionConfiguration(t.Context(), home, redescribe("fn", "new")); err != nil {
		t.Fatal(err)
	}
	was := latest(t, c, "fn")
	c.reload(t.Context(), project)
	now := latest(t, c, "fn")
	if now.Deployment != was.Deployment || now.Serving.Deployment == was.Serving.Deployment || now.Serving.Description != "" {
		t.Error("not what runs, or not alone, has a new deployment")
	}
	settle(t, c, "fn")
	if v := latest(t, c, "fn"); v.Serving != nil || v.Description != "new" || v.Deployment != was.Deployment {
		t.Error("the update has not come to its end")
	}
}

// Nobody has signed a directory.
func TestDirectoriesAreUnsigned(t *testing.T) {
	c := newControl(t)
	project := withLive(t, c)
	csc, err := c.CreateCodeSigningConfig(t.Context(), home, &awslambda.CreateCodeSigningConfigInput{
		AllowedPublishers: &types.AllowedPublishers{
			SigningProfileVersionArns: []string{"arn:aws:signer:us-east-1:111111111111:/signing-profiles/p/0123456789"}},
		CodeSigningPolicies: &types.CodeSigningPolicies{UntrustedArtifactOnDeployment: types.CodeSigningPolicyEnforce},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateFunction(t.Context(), home, creation("fn", func(in *awslambda.CreateFunctionInput) {
		fromS3("hot-reload", project, "")(in)
		in.CodeSigningConfigArn = csc.CodeSigningConfig.CodeSigningConfigArn
	}))
	if !errors.Is(err, lambda.CodeVerificationFailed) {
		t.Errorf("got %v", err)
	}
}
