package control

import (
	"context"
	"reflect"
	"strconv"
	"strings"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// Members that were not given stay as they are; those that were are changed; empty ones are removed.
func TestConfigurationIsMerged(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", func(in *awslambda.CreateFunctionInput) {
		in.Architectures = []types.Architecture{types.ArchitectureArm64}
		in.EphemeralStorage = &types.EphemeralStorage{Size: ptr[int32](1024)}
		in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: ptr("arn:aws:sqs:us-east-1:111111111111:q")}
		in.KMSKeyArn = ptr("arn:aws:kms:us-east-1:111111111111:key/k")
		in.TracingConfig = &types.TracingConfig{Mode: types.TracingModeActive}
		in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, LogGroup: ptr("group")}
		in.VpcConfig = &types.VpcConfig{}
		in.SnapStart = &types.SnapStart{ApplyOn: types.SnapStartApplyOnNone}
	}, withEnv(map[string]string{"KEY": "value"}))
	want := latest(t, c, "fn").Config
	for _, step := range []struct {
		what   string
		given  awslambda.UpdateFunctionConfigurationInput
		change func()
	}{
		{"nothing", awslambda.UpdateFunctionConfigurationInput{}, func() {}},
		{"an empty dead-letter configuration", awslambda.UpdateFunctionConfigurationInput{DeadLetterConfig: &types.DeadLetterConfig{}}, func() {}},
		{"empty lists", awslambda.UpdateFunctionConfigurationInput{VpcConfig: &types.VpcConfig{SubnetIds: []string{}},
			Layers: []string{}, FileSystemConfigs: []types.FileSystemConfig{}}, func() {}},
		{"the dead-letter target", awslambda.UpdateFunctionConfigurationInput{DeadLetterConfig: &types.DeadLetterConfig{TargetArn: ptr("")}},
			func() { want.DeadLetter = "" }},
		{"the key", awslambda.UpdateFunctionConfigurationInput{KMSKeyArn: ptr("")}, func() { want.KMSKey = "" }},
		{"a level", awslambda.UpdateFunctionConfigurationInput{LoggingConfig: &types.LoggingConfig{SystemLogLevel: types.SystemLogLevelWarn}},
			func() { want.Logging.System = "WARN" }},
		{"no variables", awslambda.UpdateFunctionConfigurationInput{Environment: &types.Environment{}},
			func() { want.Env = &lambda.Environment{} }},
		{"storage", awslambda.UpdateFunctionConfigurationInput{EphemeralStorage: &types.EphemeralStorage{Size: ptr[int32](2048)}},
			func() { want.Storage = 2048 }},
		{"what the code runs as", awslambda.UpdateFunctionConfigurationInput{Runtime: "python3.13", Handler: ptr("a.b"),
			Role: ptr("arn:aws:iam::111111111111:role/other")},
			func() {
				want.Runtime, want.Handler, want.Role = "python3.13", "a.b", "arn:aws:iam::111111111111:role/other"
			}},
		{"tracing", awslambda.UpdateFunctionConfigurationInput{TracingConfig: &types.TracingConfig{Mode: types.TracingModePassThrough}},
			func() { want.Tracing = "PassThrough" }},
	} {
		step.given.FunctionName = ptr("fn")
		if _, err := c.UpdateFunctionConfiguration(t.Context(), home, &step.given); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		settle(t, c, "fn")
		step.change()
		if got := latest(t, c, "fn").Config; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", step.what, got, want)
		}
	}
	shown := render(latest(t, c, "fn"), arn+"fn")
	if shown.DeadLetterConfig != nil || shown.KMSKeyArn != nil || shown.VpcConfig != nil || shown.Layers != nil {
		t.Error("what was removed is shown")
	}
	if shown.Environment == nil || shown.Environment.Variables == nil {
		t.Error("an empty environment is not echoed")
	}
}

// A dry run tells what would be, and changes nothing.
func TestDryRunChangesNothing(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	before := c.Catalog.Get(id("fn"))
	in := upload("fn", "two")
	in.DryRun = true
	in.Architectures = []types.Architecture{types.ArchitectureArm64}
	out, err := c.UpdateFunctionCode(t.Context(), home, in)
	if err != nil {
		t.Fatal(err)
	}
	v := before.Versions[lambda.Latest]
	if *out.CodeSha256 == codeSHA(v.Code.Digest) || out.Architectures[0] != types.ArchitectureArm64 || *out.RevisionId != v.RevisionID {
		t.Errorf("%s, %v, %s", *out.CodeSha256, out.Architectures, *out.RevisionId)
	}
	if c.Catalog.Get(id("fn")) != before {
		t.Error("the function has changed")
	}
}

// Of those who make the same function at once, one does.
func TestOneOfManyMakesTheFunction(t *testing.T) {
	c := newControl(t)
	errs := make(chan error)
	for i := range 8 {
		go func() {
			_, err := c.CreateFunction(t.Context(), home, creation("fn", withCode(strconv.Itoa(i))))
			errs <- err
		}()
	}
	made := 0
	for range 8 {
		switch err := <-errs; {
		case err == nil:
			made++
		case lambda.AsError(err).Code != lambda.ResourceConflict:
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

// What a reader holds does not change under it.
func TestReadersKeepWhatTheyHold(t *testing.T) {
	c := newControl(t)
	tags, vars := map[string]string{"a": "1"}, map[string]string{"KEY": "value"}
	create(t, c, "fn", published, tagged(tags), withEnv(vars))
	weights := map[string]float64{"1": 0.5}
	describe(t, c, "fn", "two")
	publish(t, c, "fn")
	if _, err := c.CreateAlias(t.Context(), home, aliasTo("fn", "live", "2", weights)); err != nil {
		t.Fatal(err)
	}
	e := c.Catalog.Get(id("fn"))
	tags["a"], vars["KEY"], weights["1"] = "2", "other", 1 // the caller's own maps are not kept
	if _, err := c.TagResource(t.Context(), home, tag(arn+"fn", "b", "1")); err != nil {
		t.Fatal(err)
	}
	if len(e.Function.Tags) != 1 || e.Function.Tags["a"] != "1" {
		t.Errorf("tags %v", e.Function.Tags)
	}
	if got := e.Versions["1"].Env.Variables["KEY"]; got != "value" {
		t.Errorf("variable %s", got)
	}
	out, err := c.GetAlias(t.Context(), home, aliasOf("fn", "live"))
	if err != nil {
		t.Fatal(err)
	}
	out.RoutingConfig.AdditionalVersionWeights["1"] = 0.9 // nor are those of an answer the catalog's
	if got := e.Aliases["live"].Weights["1"]; got != 0.5 {
		t.Errorf("weight %g", got)
	}
}

// A function takes everything of it along.
func TestDeletedFunctionIsGoneWithEverything(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", published, tagged(map[string]string{"a": "1"}))
	if _, err := c.CreateAlias(t.Context(), home, aliasTo("fn", "live", "1", nil)); err != nil {
		t.Fatal(err)
	}
	if err := deleting("fn", "")(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	create(t, c, "fn")
	e := c.Catalog.Get(id("fn"))
	if len(e.Versions) != 1 || len(e.Aliases) != 0 || len(e.Function.Tags) != 0 || e.Function.LastVersion != 0 {
		t.Errorf("the new function has %d versions, %d aliases, tags %v", len(e.Versions), len(e.Aliases), e.Function.Tags)
	}
}

// Reserved concurrency is shown where there is some, even none of it, and taken from what the account has left.
func TestReservedConcurrencyIsShownOnlyWhereThereIsSome(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	for _, reserved := range []*int{nil, ptr(0), ptr(7)} {
		f := *c.Catalog.Get(id("fn")).Function
		f.Reserved = reserved
		if err := c.Catalog.Update(t.Context(), id("fn"), func(tx *catalog.Tx) error { tx.PutFunction(&f); return nil }); err != nil {
			t.Fatal(err)
		}
		out, err := c.GetFunction(t.Context(), home, get("fn", ""))
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case reserved == nil && out.Concurrency != nil:
			t.Error("shown where there is none")
		case reserved != nil && (out.Concurrency == nil || int(*out.Concurrency.ReservedConcurrentExecutions) != *reserved):
			t.Errorf("%v, want %d", out.Concurrency, *reserved)
		}
		account, err := c.GetAccountSettings(t.Context(), home, &awslambda.GetAccountSettingsInput{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := int(*account.AccountLimit.UnreservedConcurrentExecutions), 1000-value(reserved); got != want {
			t.Errorf("%d unreserved, want %d", got, want)
		}
	}
}

// What is used is counted as AWS counts it: the code of every version by itself, configuration nothing.
// (TestLambdaAccountSettings::test_account_settings_total_code_size and …_config_update, 2025-11-25)
func TestAccountUsageCountsTheCodeOfEveryVersion(t *testing.T) {
	c := newControl(t)
	size := int64(len(pack("one")))
	for _, step := range []struct {
		what      string
		do        func(ctx context.Context)
		functions int64
		code      int64
	}{
		{"nothing", func(context.Context) {}, 0, 0},
		{"a function", func(context.Context) { create(t, c, "fn") }, 1, size},
		{"an update of its configuration", func(context.Context) { describe(t, c, "fn", "changed") }, 1, size},
		{"a version", func(context.Context) { publish(t, c, "fn") }, 1, 2 * size},
		{"a second function of the same code", func(context.Context) { create(t, c, "fn2") }, 2, 3 * size},
		{"the first one's removal", func(ctx context.Context) {
			if err := deleting("fn", "")(ctx, c); err != nil {
				t.Fatal(err)
			}
		}, 1, size},
	} {
		step.do(t.Context())
		out, err := c.GetAccountSettings(t.Context(), home, &awslambda.GetAccountSettingsInput{})
		if err != nil {
			t.Fatal(err)
		}
		if u := out.AccountUsage; u.FunctionCount != step.functions || u.TotalCodeSize != step.code {
			t.Errorf("%s: %d functions with %d bytes, want %d with %d", step.what, u.FunctionCount, u.TotalCodeSize, step.functions, step.code)
		}
		// TestLambdaAccountSettings::test_account_settings, 2025-11-25, shows these members; the values are AWS's quotas.
		want := types.AccountLimit{CodeSizeUnzipped: 262144000, CodeSizeZipped: 52428800, ConcurrentExecutions: 1000,
			TotalCodeSize: 322122547200, UnreservedConcurrentExecutions: ptr[int32](1000)}
		if !reflect.DeepEqual(*out.AccountLimit, want) {
			t.Errorf("limits %v", *out.AccountLimit)
		}
	}
}

// Variables are measured as compact JSON, and 4096 bytes of it are the most.
// (TestLambdaSizeLimits::test_lambda_envvars_near_limit_succeeds, 2025-11-25: 4096; test_large_environment_variables_fails: 4097)
func TestEnvironmentIsMeasuredAsCompactJSON(t *testing.T) {
	for _, c := range []struct {
		what string
		vars map[string]string
		size int
	}{
		{"none", nil, 2},
		{"the most", map[string]string{"LARGE_VAR": strings.Repeat("x", 4080)}, 4096},
		{"one more", map[string]string{"LARGE_VAR": strings.Repeat("x", 4081)}, 4097},
		{"what only HTML escapes", map[string]string{"KEY": "<&>"}, 13},
		{"what JSON escapes", map[string]string{"KEY": "\"\n"}, 14},
		{"two", map[string]string{"B_": "", "A_": ""}, 17},
	} {
		if got := compact(c.vars); len(got) != c.size {
			t.Errorf("%s: %s has %d bytes, want %d", c.what, got, len(got), c.size)
		}
		_, err := environment(&types.Environment{Variables: c.vars})
		if refused := err != nil; refused != (c.size > 4096) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// What Lambda sets itself cannot be set; what it honours when set, can.
func TestReservedVariablesCannotBeSet(t *testing.T) {
	for _, c := range []struct {
		names   string
		refused bool
	}{
		{"_HANDLER _X_AMZN_TRACE_ID AWS_DEFAULT_REGION AWS_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_NAME " +
			"AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME " +
			"AWS_LAMBDA_LOG_STREAM_NAME AWS_LAMBDA_LOG_FORMAT AWS_LAMBDA_LOG_LEVEL AWS_ACCESS_KEY AWS_ACCESS_KEY_ID " +
			"AWS_SECRET_ACCESS_KEY AWS_SECRET_KEY AWS_SESSION_TOKEN AWS_LAMBDA_RUNTIME_API AWS_LAMBDA_METADATA_API " +
			"AWS_LAMBDA_METADATA_TOKEN AWS_LAMBDA_MAX_CONCURRENCY AWS_CONTAINER_CREDENTIALS_FULL_URI " +
			"AWS_CONTAINER_AUTHORIZATION_TOKEN LAMBDA_TASK_ROOT LAMBDA_RUNTIME_DIR TZ _AWS_XRAY_DAEMON_ADDRESS " +
			"_AWS_XRAY_DAEMON_PORT _LAMBDA_TELEMETRY_LOG_FD", true},
		{"LANG PATH LD_LIBRARY_PATH NODE_PATH PYTHONPATH GEM_PATH AWS_XRAY_CONTEXT_MISSING AWS_XRAY_DAEMON_ADDRESS " +
			"AWS_LAMBDA_DOTNET_PREJIT AWS_LAMBDA_EXEC_WRAPPER NODE_OPTIONS JAVA_TOOL_OPTIONS KEY tz", false},
	} {
		for _, name := range strings.Fields(c.names) {
			_, err := environment(&types.Environment{Variables: map[string]string{name: "value"}})
			if refused := err != nil; refused != c.refused {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Levels belong to the JSON format and begin at INFO.
func TestLoggingIsMerged(t *testing.T) {
	text := lambda.Logging{Format: "Text", Group: "g"}
	debug := lambda.Logging{Format: "JSON", Application: "DEBUG", System: "WARN", Group: "g"}
	for _, c := range []struct {
		was  lambda.Logging
		in   types.LoggingConfig
		want lambda.Logging
		bad  bool
	}{
		{text, types.LoggingConfig{}, text, false},
		{text, types.LoggingConfig{LogFormat: "JSON"}, lambda.Logging{Format: "JSON", Application: "INFO", System: "INFO", Group: "g"}, false},
		{text, types.LoggingConfig{LogFormat: "JSON", SystemLogLevel: "DEBUG"}, lambda.Logging{Format: "JSON", Application: "INFO", System: "DEBUG", Group: "g"}, false},
		{text, types.LoggingConfig{ApplicationLogLevel: "INFO"}, text, true},
		{text, types.LoggingConfig{LogFormat: "Text", SystemLogLevel: "INFO"}, text, true},
		{debug, types.LoggingConfig{}, debug, false},
		{debug, types.LoggingConfig{ApplicationLogLevel: "TRACE"}, lambda.Logging{Format: "JSON", Application: "TRACE", System: "WARN", Group: "g"}, false},
		{debug, types.LoggingConfig{LogFormat: "Text"}, text, false},
		{debug, types.LoggingConfig{LogGroup: ptr("h")}, lambda.Logging{Format: "JSON", Application: "DEBUG", System: "WARN", Group: "h"}, false},
	} {
		got, err := logging(c.was, &c.in)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%+v after %+v: %+v, %v", c.was, c.in, got, err)
		}
	}
}
