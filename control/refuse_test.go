package control

import (
	"context"
	"reflect"
	"strings"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// creating asks for a function that is not there, changed.
func creating(change func(*awslambda.CreateFunctionInput)) func(context.Context, *Control) error {
	return func(ctx context.Context, c *Control) error {
		_, err := c.CreateFunction(ctx, home, creation("new", change))
		return err
	}
}

// configuring asks for a change of the function fn.
func configuring(in awslambda.UpdateFunctionConfigurationInput) func(context.Context, *Control) error {
	return func(ctx context.Context, c *Control) error {
		in := in
		in.FunctionName = ptr("fn")
		_, err := c.UpdateFunctionConfiguration(ctx, home, &in)
		return err
	}
}

func uploading(change func(*awslambda.UpdateFunctionCodeInput)) func(context.Context, *Control) error {
	return func(ctx context.Context, c *Control) error {
		in := upload("fn", "two")
		change(in)
		_, err := c.UpdateFunctionCode(ctx, home, in)
		return err
	}
}

func deleting(name, qualifier string) func(context.Context, *Control) error {
	return func(ctx context.Context, c *Control) error {
		in := &awslambda.DeleteFunctionInput{FunctionName: &name}
		if qualifier != "" {
			in.Qualifier = &qualifier
		}
		_, err := c.DeleteFunction(ctx, home, in)
		return err
	}
}

// Requests are refused for what they mean, in AWS's words, and change nothing. The recorded words are compared end to end,
// but for the limit of the environment (TestLambdaSizeLimits::test_large_environment_variables_fails,
// 2025-11-25); these are AWS's as its users quote them, or say what is not built.
func TestRefusalsAreWordedAndChangeNothing(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", published)
	if _, err := c.CreateAlias(t.Context(), home, aliasTo("fn", "live", "1", nil)); err != nil {
		t.Fatal(err)
	}
	describe(t, c, "fn", "two")
	publish(t, c, "fn")
	if _, err := c.CreateAlias(t.Context(), home, aliasTo("fn", "next", lambda.Latest, nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateAlias(t.Context(), home, aliasTo("fn", "trial", "1", map[string]float64{"2": 0.1})); err != nil {
		t.Fatal(err)
	}
	before := c.Catalog.Get(id("fn"))

	large := map[string]string{"LARGE_VAR": strings.Repeat("x", 4081)}
	const noEndpoint = "Code cannot be fetched from S3: this server has been told of no S3 endpoint (lambent serve --endpoint-s3 URL)."
	notBuilt := func(member string) string { return member + " is not implemented by this version of Lambent." }
	checkRefusals(t, c, []refusal{
		{"a name that exists", func(ctx context.Context, c *Control) error {
			_, err := c.CreateFunction(ctx, home, creation("fn"))
			return err
		}, lambda.ResourceConflict, "Function already exist: fn"},
		{"a long name in an ARN", creating(func(in *awslambda.CreateFunctionInput) {
			in.FunctionName = ptr(arn + strings.Repeat("a", 65))
		}), lambda.InvalidParameterValue, "1 validation error detected: Value '" + strings.Repeat("a", 65) +
			"' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"no handler", creating(func(in *awslambda.CreateFunctionInput) { in.Handler = nil }), lambda.InvalidParameterValue,
			"Runtime and Handler are mandatory parameters for functions created with deployment packages."},
		{"no runtime", creating(func(in *awslambda.CreateFunctionInput) { in.Runtime = "" }), lambda.InvalidParameterValue,
			"Runtime and Handler are mandatory parameters for functions created with deployment packages."},
		{"a runtime this host has not", creating(func(in *awslambda.CreateFunctionInput) { in.Runtime = "ruby3.4" }),
			lambda.InvalidParameterValue, "The runtime ruby3.4 cannot run on this host: no interpreter is installed"},
		{"an update to it", configuring(awslambda.UpdateFunctionConfigurationInput{Runtime: "ruby3.4"}),
			lambda.InvalidParameterValue, "The runtime ruby3.4 cannot run on this host: no interpreter is installed"},
		{"no code", creating(func(in *awslambda.CreateFunctionInput) { in.Code.ZipFile = nil }), lambda.InvalidParameterValue,
			"Please provide a source for function code."},
		{"an environment over 4 KB", creating(withEnv(large)), lambda.InvalidParameterValue,
			"Lambda was unable to configure your environment variables because the environment variables you have provided " +
				`exceeded the 4KB limit. String measured: {"LARGE_VAR":"` + large["LARGE_VAR"] + `"}`},
		{"an update to it", configuring(awslambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{Variables: large}}),
			lambda.InvalidParameterValue,
			"Lambda was unable to configure your environment variables because the environment variables you have provided " +
				`exceeded the 4KB limit. String measured: {"LARGE_VAR":"` + large["LARGE_VAR"] + `"}`},
		{"reserved variables", creating(withEnv(map[string]string{"TZ": "UTC", "A": "1", "AWS_REGION": "mars-1"})),
			lambda.InvalidParameterValue, "Lambda was unable to configure your environment variables because the environment " +
				"variables you have provided contains reserved keys that are currently not supported for modification. " +
				"Reserved keys used in this request: AWS_REGION, TZ"},
		{"a level with the Text format", creating(func(in *awslambda.CreateFunctionInput) {
			in.LoggingConfig = &types.LoggingConfig{ApplicationLogLevel: types.ApplicationLogLevelDebug}
		}), lambda.InvalidParameterValue, `LogLevel is not supported when LogFormat is set to "Text". ` +
			`Remove LogLevel from your request or change the LogFormat to "JSON" and try again.`},
		{"six layers", creating(func(in *awslambda.CreateFunctionInput) { in.Layers = make([]string, 6) }),
			lambda.InvalidParameterValue, "Cannot reference more than 5 layers."},
		{"an image for a Zip function", uploading(func(in *awslambda.UpdateFunctionCodeInput) {
			in.ZipFile, in.ImageUri = nil, ptr("111111111111.dkr.ecr.us-east-1.amazonaws.com/a:b")
		}), lambda.InvalidParameterValue, "Please don't provide ImageUri when updating a function with packageType Zip."},
		{"nothing to update to", uploading(func(in *awslambda.UpdateFunctionCodeInput) { in.ZipFile = nil }),
			lambda.InvalidParameterValue, "Please provide a source for function code."},
		{"a dry run with no zip", uploading(func(in *awslambda.UpdateFunctionCodeInput) {
			in.ZipFile, in.DryRun = []byte("no zip"), true
		}), lambda.InvalidParameterValue, "Could not unzip uploaded file. Please check your file, then try to upload again."},

		{"an image", creating(func(in *awslambda.CreateFunctionInput) { in.PackageType = types.PackageTypeImage }),
			lambda.InvalidParameterValue, notBuilt("PackageType Image")},
		{"code from S3, of which the server knows nothing", creating(fromS3("b", "k", "")), lambda.InvalidParameterValue, noEndpoint},
		{"an update from S3", uploading(func(in *awslambda.UpdateFunctionCodeInput) {
			in.ZipFile, in.S3Bucket, in.S3Key = nil, ptr("b"), ptr("k")
		}), lambda.InvalidParameterValue, noEndpoint},
		{"a bucket without a key", creating(func(in *awslambda.CreateFunctionInput) {
			in.Code = &types.FunctionCode{S3Bucket: ptr("b")}
		}), lambda.InvalidParameterValue, "Code in S3 is named by both S3Bucket and S3Key."},
		{"a zip and a place in S3", creating(func(in *awslambda.CreateFunctionInput) {
			in.Code.S3Bucket, in.Code.S3Key = ptr("b"), ptr("k")
		}), lambda.InvalidParameterValue, "Please do not provide other FunctionCode parameters when providing a ZipFile."},
		{"code by reference", creating(func(in *awslambda.CreateFunctionInput) {
			fromS3("b", "k", "")(in)
			in.Code.S3ObjectStorageMode = types.S3ObjectStorageModeReference
		}), lambda.InvalidParameterValue, notBuilt("S3ObjectStorageMode REFERENCE")},
		{"an encrypted package", creating(func(in *awslambda.CreateFunctionInput) {
			in.Code.SourceKMSKeyArn = ptr("arn:aws:kms:us-east-1:111111111111:key/k")
		}), lambda.InvalidParameterValue, notBuilt("SourceKMSKeyArn")},
		{"an update to one", uploading(func(in *awslambda.UpdateFunctionCodeInput) {
			in.SourceKMSKeyArn = ptr("arn:aws:kms:us-east-1:111111111111:key/k")
		}), lambda.InvalidParameterValue, notBuilt("SourceKMSKeyArn")},
		{"a file system", configuring(awslambda.UpdateFunctionConfigurationInput{FileSystemConfigs: []types.FileSystemConfig{{}}}),
			lambda.InvalidParameterValue, notBuilt("FileSystemConfigs")},
		{"durable executions", creating(func(in *awslambda.CreateFunctionInput) { in.DurableConfig = &types.DurableConfig{} }),
			lambda.InvalidParameterValue, notBuilt("DurableConfig")},
		{"tenants", creating(func(in *awslambda.CreateFunctionInput) { in.TenancyConfig = &types.TenancyConfig{} }),
			lambda.InvalidParameterValue, notBuilt("TenancyConfig")},
		{"signed code", creating(func(in *awslambda.CreateFunctionInput) {
			in.CodeSigningConfigArn = ptr("arn:aws:lambda:us-east-1:111111111111:code-signing-config:csc-0123456789abcdefg")
		}), lambda.CodeSigningConfigNotFound, "The code signing configuration cannot be found. Check that the provided configuration " +
			"is not deleted: arn:aws:lambda:us-east-1:111111111111:code-signing-config:csc-0123456789abcdefg."},
		{"$LATEST.PUBLISHED", uploading(func(in *awslambda.UpdateFunctionCodeInput) {
			in.PublishTo = types.FunctionVersionLatestPublishedLatestPublished
		}), lambda.InvalidParameterValue, "PublishTo isn't supported for Lambda Default functions."},

		{"the removal of $LATEST", deleting("fn", "$LATEST"), lambda.InvalidParameterValue,
			"$LATEST version cannot be deleted without deleting the function."},
		{"the removal of an alias as a version", deleting("fn", "live"), lambda.InvalidParameterValue,
			"Deletion of aliases is not currently supported."},
		{"the removal of a version that an alias leads to, by weight", deleting("fn", "2"), lambda.ResourceConflict,
			"Version 2 of function fn is referenced by alias trial."},
		{"weights on an alias of $LATEST", func(ctx context.Context, c *Control) error {
			_, err := c.UpdateAlias(ctx, home, &awslambda.UpdateAliasInput{FunctionName: ptr("fn"), Name: ptr("next"),
				RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 0.5}}})
			return err
		}, lambda.InvalidParameterValue, "$LATEST is not supported for an alias pointing to more than 1 version"},
		{"the move of an alias to its other version", func(ctx context.Context, c *Control) error {
			_, err := c.UpdateAlias(ctx, home,
				&awslambda.UpdateAliasInput{FunctionName: ptr("fn"), Name: ptr("trial"), FunctionVersion: ptr("2")})
			return err
		}, lambda.InvalidParameterValue,
			"Invalid function version 2. Function version 2 is already included in routing configuration."},
		{"the move of an alias to no version", func(ctx context.Context, c *Control) error {
			_, err := c.UpdateAlias(ctx, home,
				&awslambda.UpdateAliasInput{FunctionName: ptr("fn"), Name: ptr("live"), FunctionVersion: ptr("10")})
			return err
		}, lambda.ResourceNotFound, "Function not found: " + arn + "fn:10"},
		{"tags of a code signing configuration", func(ctx context.Context, c *Control) error {
			_, err := c.ListTags(ctx, home, tagsOf("arn:aws:lambda:us-east-1:111111111111:code-signing-config:csc-0123456789abcdefg"))
			return err
		}, lambda.ResourceNotFound, "The Lambda code signing configuration ARN can not be found."},
		{"tags in another region", func(ctx context.Context, c *Control) error {
			_, err := c.ListTags(ctx, home, tagsOf("arn:aws:lambda:us-west-2:111111111111:function:fn"))
			return err
		}, lambda.ResourceNotFound, "Functions from 'us-west-2' are not reachable in this region ('us-east-1')"},
		{"the update of an alias that does not exist", func(ctx context.Context, c *Control) error {
			_, err := c.UpdateAlias(ctx, home, &awslambda.UpdateAliasInput{FunctionName: ptr("fn"), Name: ptr("none")})
			return err
		}, lambda.ResourceNotFound, "Alias not found: " + arn + "fn:none"},
		{"the update of an alias that has changed", func(ctx context.Context, c *Control) error {
			_, err := c.UpdateAlias(ctx, home,
				&awslambda.UpdateAliasInput{FunctionName: ptr("fn"), Name: ptr("live"), RevisionId: ptr("other")})
			return err
		}, lambda.PreconditionFailed, "The Revision Id provided does not match the latest Revision Id. " +
			"Call the GetFunction/GetAlias API to retrieve the latest Revision Id"},
		{"the publication of what has changed", func(ctx context.Context, c *Control) error {
			_, err := c.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn"), RevisionId: ptr("other")})
			return err
		}, lambda.PreconditionFailed, "The Revision Id provided does not match the latest Revision Id. " +
			"Call the GetFunction/GetAlias API to retrieve the latest Revision Id"},
		{"a marker that is none", func(ctx context.Context, c *Control) error {
			_, err := c.ListFunctions(ctx, home, &awslambda.ListFunctionsInput{Marker: ptr("&")})
			return err
		}, lambda.InvalidParameterValue, "The marker is not valid."},
	})
	if after := c.Catalog.Get(id("fn")); !reflect.DeepEqual(before, after) {
		t.Error("a request that was refused has changed the function")
	}
	if n := c.Catalog.Count(home); n != 1 {
		t.Errorf("%d functions, want 1", n)
	}
}

// Which ARN a request for what does not exist hears of, depends on the operation.
func TestNotFoundEchoesTheArnOfTheOperation(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	for _, r := range []struct {
		what string
		ask  func(ctx context.Context, name, qualifier *string) error
	}{
		{"GetFunction", func(ctx context.Context, name, qualifier *string) error {
			_, err := c.GetFunction(ctx, home, &awslambda.GetFunctionInput{FunctionName: name, Qualifier: qualifier})
			return err
		}},
		{"GetFunctionConfiguration", func(ctx context.Context, name, qualifier *string) error {
			_, err := c.GetFunctionConfiguration(ctx, home,
				&awslambda.GetFunctionConfigurationInput{FunctionName: name, Qualifier: qualifier})
			return err
		}},
	} {
		for _, c := range []struct{ name, qualifier, echo string }{
			{"none", "", arn + "none"},
			{"none", "1", arn + "none:1"},
			{"none", "live", arn + "none:live"},
			{"none:live", "", arn + "none:live"},
			{"fn", "7", arn + "fn:7"},
			{"fn", "live", arn + "fn:live"},
			{"fn", "$latest", arn + "fn:$latest"},
			{"FN", "", arn + "FN"},
			{"arn:aws:lambda:us-east-1:111111111111:function", "", arn + "function"},
		} {
			var q *string
			if c.qualifier != "" {
				q = &c.qualifier
			}
			checkEcho(t, r.what, r.ask(t.Context(), &c.name, q), "Function not found: "+c.echo)
		}
	}
	for _, r := range []struct {
		what string
		ask  func(ctx context.Context) error
		want string
	}{
		{"DeleteFunction", func(ctx context.Context) error { return deleting("none", "")(ctx, c) }, "none"},
		{"DeleteFunction of a version", func(ctx context.Context) error { return deleting("none", "7")(ctx, c) }, "none"},
		{"UpdateFunctionCode", func(ctx context.Context) error {
			_, err := c.UpdateFunctionCode(ctx, home, upload("none", "two"))
			return err
		}, "none"},
		{"UpdateFunctionConfiguration", func(ctx context.Context) error {
			_, err := c.UpdateFunctionConfiguration(ctx, home, redescribe("none", ""))
			return err
		}, "none"},
		{"PublishVersion", func(ctx context.Context) error {
			_, err := c.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("none")})
			return err
		}, "none"},
		{"ListVersionsByFunction", func(ctx context.Context) error {
			_, err := c.ListVersionsByFunction(ctx, home, versionsOf("none"))
			return err
		}, "none"},
		{"ListAliases", func(ctx context.Context) error {
			_, err := c.ListAliases(ctx, home, &awslambda.ListAliasesInput{FunctionName: ptr("none")})
			return err
		}, "none"},
		{"DeleteAlias", func(ctx context.Context) error {
			_, err := c.DeleteAlias(ctx, home, &awslambda.DeleteAliasInput{FunctionName: ptr("none"), Name: ptr("live")})
			return err
		}, "none"},
	} {
		checkEcho(t, r.what, r.ask(t.Context()), "Function not found: "+arn+r.want)
	}
	_, err := c.GetAlias(t.Context(), home, aliasOf("none", "live"))
	checkEcho(t, "GetAlias", err, "Cannot find alias arn: "+arn+"none:live")
	_, err = c.UpdateAlias(t.Context(), home, &awslambda.UpdateAliasInput{FunctionName: ptr("none"), Name: ptr("live")})
	checkEcho(t, "UpdateAlias", err, "Alias not found: "+arn+"none:live")

	if _, err := c.DeleteFunction(t.Context(), home,
		&awslambda.DeleteFunctionInput{FunctionName: ptr("fn"), Qualifier: ptr("7")}); err != nil {
		t.Errorf("a version that does not exist is gone already, and its removal answered %v", err)
	}
}

func checkEcho(t *testing.T, what string, err error, want string) {
	t.Helper()
	if e := lambda.AsError(err); err == nil || e.Code != lambda.ResourceNotFound || e.Message != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// While a function is made or changed, and when it could not be made, what would change it is a conflict.
func TestChangesWaitForTheOneInProgress(t *testing.T) {
	changes := []struct {
		what string
		ask  func(ctx context.Context, c *Control) error
	}{
		{"UpdateFunctionCode", uploading(func(*awslambda.UpdateFunctionCodeInput) {})},
		{"UpdateFunctionConfiguration", configuring(awslambda.UpdateFunctionConfigurationInput{Description: ptr("later")})},
		{"PublishVersion", func(ctx context.Context, c *Control) error {
			_, err := c.PublishVersion(ctx, home, &awslambda.PublishVersionInput{FunctionName: ptr("fn")})
			return err
		}},
		{"TagResource", func(ctx context.Context, c *Control) error {
			_, err := c.TagResource(ctx, home, tag(arn+"fn", "a", "1"))
			return err
		}},
		{"UntagResource", func(ctx context.Context, c *Control) error {
			_, err := c.UntagResource(ctx, home, &awslambda.UntagResourceInput{Resource: ptr(arn + "fn"), TagKeys: []string{"a"}})
			return err
		}},
	}
	for _, state := range []struct {
		name, message string
		reach         func(t *testing.T, c *Control)
	}{
		{"Pending", "The operation cannot be performed at this time. The function is currently in the following state: Pending",
			func(t *testing.T, c *Control) {
				if _, err := c.CreateFunction(t.Context(), home, creation("fn")); err != nil {
					t.Fatal(err)
				}
			}},
		{"InProgress", "The operation cannot be performed at this time. An update is in progress for resource: " + arn + "fn",
			func(t *testing.T, c *Control) {
				create(t, c, "fn")
				if _, err := c.UpdateFunctionCode(t.Context(), home, upload("fn", "two")); err != nil {
					t.Fatal(err)
				}
			}},
		{"Failed", "The operation cannot be performed at this time. The function is currently in the following state: Failed",
			func(t *testing.T, c *Control) {
				if _, err := c.CreateFunction(t.Context(), home, creation("fn")); err != nil {
					t.Fatal(err)
				}
				lose(t, c, "fn")
				settle(t, c, "fn")
			}},
	} {
		c := newControl(t)
		state.reach(t, c)
		before := c.Catalog.Get(id("fn"))
		for _, change := range changes {
			err := change.ask(t.Context(), c)
			if e := lambda.AsError(err); err == nil || e.Code != lambda.ResourceConflict || e.Message != state.message {
				t.Errorf("%s while %s: %v, want %s", change.what, state.name, err, state.message)
			}
		}
		if c.Catalog.Get(id("fn")) != before {
			t.Errorf("%s: the function has changed", state.name)
		}
		if err := deleting("fn", "")(t.Context(), c); err != nil {
			t.Errorf("%s: it cannot be deleted: %v", state.name, err)
		}
	}
}

// lose takes a function's package from the disk, so that it cannot be prepared.
func lose(t testing.TB, c *Control, name string) {
	t.Helper()
	digest := latest(t, c, name).Code.Digest
	if err := c.Code.Collect(func(d string) bool { return d != digest }); err != nil {
		t.Fatal(err)
	}
}
