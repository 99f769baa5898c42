package e2e

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// terraform makes the calls that the Terraform AWS provider makes for its resources, in the provider's order, and keeps
// what the provider would keep. The provider itself cannot run here; the calls follow from its resources' documentation
// and sources.
type terraform struct {
	*testing.T
	*server
}

// code is the error code of an answer, or "".
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func (tf terraform) must(err error) {
	tf.Helper()
	if err != nil {
		tf.Fatal(err)
	}
}

// functionState is what aws_lambda_function stores after a refresh.
type functionState struct {
	ARN, Qualified, Version, InvokeARN      string
	Role, Handler, Runtime, Description     string
	Timeout, Memory, Storage, Reserved      int32
	Hash, LastModified                      string
	Size                                    int64
	Architectures, Layers                   []string
	Env, Tags                               map[string]string
	Tracing, Package, SnapStart, Optimized  string
	LogFormat, LogGroup, AppLevel, SysLevel string
	Signing                                 string
}

// function refreshes aws_lambda_function: GetFunction, the newest version by listing all, and the code signing
// configuration, which every function in a zip is asked for.
func (tf terraform) function(name string) (s functionState, found bool) {
	tf.Helper()
	ctx := tf.Context()
	got, err := tf.api().GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name})
	if code(err) == "ResourceNotFoundException" {
		return s, false
	}
	tf.must(err)
	c := got.Configuration
	if c.State != types.StateActive || c.LastUpdateStatus != types.LastUpdateStatusSuccessful {
		tf.Fatalf("refreshing %s: state %q, last update %q", name, c.State, c.LastUpdateStatus)
	}
	s = functionState{
		ARN: *c.FunctionArn, Role: *c.Role, Handler: *c.Handler, Runtime: string(c.Runtime), Description: *c.Description,
		Timeout: *c.Timeout, Memory: *c.MemorySize, Storage: *c.EphemeralStorage.Size, Reserved: -1,
		Hash: *c.CodeSha256, LastModified: *c.LastModified, Size: c.CodeSize, Tags: got.Tags,
		Tracing: string(c.TracingConfig.Mode), Package: string(c.PackageType), SnapStart: string(c.SnapStart.ApplyOn),
		Optimized: string(c.SnapStart.OptimizationStatus), LogFormat: string(c.LoggingConfig.LogFormat), LogGroup: *c.LoggingConfig.LogGroup,
		AppLevel: string(c.LoggingConfig.ApplicationLogLevel), SysLevel: string(c.LoggingConfig.SystemLogLevel),
	}
	if got.Concurrency != nil {
		s.Reserved = *got.Concurrency.ReservedConcurrentExecutions
	}
	for _, a := range c.Architectures {
		s.Architectures = append(s.Architectures, string(a))
	}
	for _, l := range c.Layers {
		s.Layers = append(s.Layers, *l.Arn)
	}
	if c.Environment != nil {
		s.Env = c.Environment.Variables
	}
	for pages := lambda.NewListVersionsByFunctionPaginator(tf.api(), &lambda.ListVersionsByFunctionInput{FunctionName: &name, MaxItems: aws.Int32(2)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		tf.must(err)
		for _, v := range page.Versions {
			s.Version, s.Qualified = *v.Version, *v.FunctionArn
		}
	}
	signing, err := tf.api().GetFunctionCodeSigningConfig(ctx, &lambda.GetFunctionCodeSigningConfigInput{FunctionName: &name})
	tf.must(err) // 200 whether there is one or not
	s.Signing = aws.ToString(signing.CodeSigningConfigArn)
	return s, true
}

type aliasAttributes struct {
	ARN, Version, Description string
	Weights                   map[string]float64
}

func (tf terraform) alias(function, name string) (s aliasAttributes, found bool) {
	tf.Helper()
	got, err := tf.api().GetAlias(tf.Context(), &lambda.GetAliasInput{FunctionName: &function, Name: &name})
	if code(err) == "ResourceNotFoundException" {
		return s, false
	}
	tf.must(err)
	s = aliasAttributes{ARN: *got.AliasArn, Version: *got.FunctionVersion, Description: *got.Description}
	if got.RoutingConfig != nil {
		s.Weights = got.RoutingConfig.AdditionalVersionWeights
	}
	return s, true
}

// permission refreshes aws_lambda_permission: it looks for its statement in the policy.
func (tf terraform) permission(function, qualifier, sid string) (statement map[string]any, found bool) {
	tf.Helper()
	in := &lambda.GetPolicyInput{FunctionName: &function}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	got, err := tf.api().GetPolicy(tf.Context(), in)
	if code(err) == "ResourceNotFoundException" {
		return nil, false
	}
	tf.must(err)
	var policy struct {
		Version, ID string
		Statement   []map[string]any
	}
	tf.must(json.Unmarshal([]byte(*got.Policy), &policy))
	for _, s := range policy.Statement {
		if s["Sid"] == sid {
			return s, true
		}
	}
	return nil, false
}

type layerState struct {
	ARN, Layer, Description, License, Hash, Created string
	Size                                            int64
	Runtimes, Architectures                         []string
}

func (tf terraform) layerVersion(name string, number int64) (s layerState, found bool) {
	tf.Helper()
	got, err := tf.api().GetLayerVersion(tf.Context(), &lambda.GetLayerVersionInput{LayerName: &name, VersionNumber: &number})
	if code(err) == "ResourceNotFoundException" {
		return s, false
	}
	tf.must(err)
	s = layerState{ARN: *got.LayerVersionArn, Layer: *got.LayerArn, Description: *got.Description, License: aws.ToString(got.LicenseInfo),
		Hash: *got.Content.CodeSha256, Created: *got.CreatedDate, Size: got.Content.CodeSize}
	for _, r := range got.CompatibleRuntimes {
		s.Runtimes = append(s.Runtimes, string(r))
	}
	for _, a := range got.CompatibleArchitectures {
		s.Architectures = append(s.Architectures, string(a))
	}
	return s, true
}

type urlState struct {
	ARN, URL, Auth, Mode string
	Origins, Methods     []string
	MaxAge               int32
	Credentials          bool
}

func (tf terraform) functionURL(function, qualifier string) (s urlState, found bool) {
	tf.Helper()
	in := &lambda.GetFunctionUrlConfigInput{FunctionName: &function}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	got, err := tf.api().GetFunctionUrlConfig(tf.Context(), in)
	if code(err) == "ResourceNotFoundException" {
		return s, false
	}
	tf.must(err)
	s = urlState{ARN: *got.FunctionArn, URL: *got.FunctionUrl, Auth: string(got.AuthType), Mode: string(got.InvokeMode)}
	if c := got.Cors; c != nil {
		s.Origins, s.Methods, s.MaxAge, s.Credentials = c.AllowOrigins, c.AllowMethods, aws.ToInt32(c.MaxAge), aws.ToBool(c.AllowCredentials)
	}
	return s, true
}

// unchanged refreshes twice: a plan after an apply shows no difference.
func unchanged[S any](tf terraform, what string, refresh func() (S, bool)) S {
	tf.Helper()
	first, ok := refresh()
	second, again := refresh()
	if !ok || !again {
		tf.Fatalf("%s is not there after it was applied", what)
	}
	if !reflect.DeepEqual(first, second) {
		tf.Errorf("a second refresh of %s differs:\n%+v\n%+v", what, first, second)
	}
	return first
}

func gone[S any](tf terraform, what string, refresh func() (S, bool)) {
	tf.Helper()
	if s, ok := refresh(); ok {
		tf.Errorf("%s is still there after it was destroyed: %+v", what, s)
	}
}

// publish is the provider's: it tries again while an update is in progress, and reads the version it got.
func (tf terraform) publish(name string) string {
	tf.Helper()
	out, err := tf.api().PublishVersion(tf.Context(), &lambda.PublishVersionInput{FunctionName: &name})
	tf.must(err)
	_, err = tf.api().GetFunctionConfiguration(tf.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: out.Version})
	tf.must(err)
	return *out.Version
}

// What Terraform applies it finds again unchanged, changes in place, and destroys: functions, aliases, permissions,
// layers, URLs and their like, by the calls of its AWS provider.
func TestTerraformAppliesRefreshesAndDestroys(t *testing.T) {
	s := serve(t)
	tf := terraform{t, s}
	ctx, api := t.Context(), s.api()
	const fn, live = "tf-function", "live"

	// aws_lambda_layer_version
	published, err := api.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
		LayerName: aws.String("tf-layer"), Description: aws.String("shared"), LicenseInfo: aws.String("MIT"),
		CompatibleRuntimes: []types.Runtime{python}, CompatibleArchitectures: []types.Architecture{types.ArchitectureX8664},
		Content: &types.LayerVersionContentInput{ZipFile: pack(t, map[string]string{"python/shared.py": "word = 'layer'"})},
	})
	tf.must(err)
	layer := unchanged(tf, "the layer", func() (layerState, bool) { return tf.layerVersion("tf-layer", published.Version) })
	if layer.ARN != *published.LayerVersionArn || layer.License != "MIT" || !slices.Equal(layer.Runtimes, []string{python}) {
		t.Errorf("the layer is %+v", layer)
	}

	// aws_lambda_function, with publish = true
	in := function{name: fn, runtime: python, env: map[string]string{"STAGE": "one"}, files: map[string]string{
		"handler.py": "import shared, os\ndef handler(event, context): return shared.word + ' ' + os.environ['STAGE']"}}.input(t)
	in.Layers, in.Tags, in.Publish = []string{layer.ARN}, map[string]string{"Team": "blue"}, true
	in.TracingConfig = &types.TracingConfig{Mode: types.TracingModeActive}
	in.EphemeralStorage = &types.EphemeralStorage{Size: aws.Int32(1024)}
	in.LoggingConfig = &types.LoggingConfig{LogFormat: types.LogFormatJson, SystemLogLevel: types.SystemLogLevelWarn}
	_, err = api.CreateFunction(ctx, in)
	tf.must(err)
	s.await(t, fn)
	_, err = api.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String(fn), ReservedConcurrentExecutions: aws.Int32(5)})
	tf.must(err)
	refresh := func() (functionState, bool) { return tf.function(fn) }
	f := unchanged(tf, "the function", refresh)
	if f.Version != "1" || f.Qualified != arn+fn+":1" || f.Reserved != 5 || f.Storage != 1024 || f.Env["STAGE"] != "one" || f.Tags["Team"] != "blue" ||
		!slices.Equal(f.Layers, []string{layer.ARN}) || f.AppLevel != "INFO" || f.SysLevel != "WARN" || f.Tracing != "Active" {
		t.Errorf("the function is %+v", f)
	}

	// aws_lambda_alias, aws_lambda_permission on it, aws_lambda_function_url, the configurations of the alias
	_, err = api.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String(fn), Name: aws.String(live), FunctionVersion: aws.String("1"), Description: aws.String("what runs")})
	tf.must(err)
	refreshAlias := func() (aliasAttributes, bool) { return tf.alias(fn, live) }
	unchanged(tf, "the alias", refreshAlias)
	allow := func(sid, source string) {
		t.Helper()
		_, err := api.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), StatementId: &sid,
			Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("s3.amazonaws.com"), SourceArn: &source})
		tf.must(err)
	}
	deny := func(sid string) {
		t.Helper()
		_, err := api.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), StatementId: &sid})
		tf.must(err)
	}
	allow("FromBucket", "arn:aws:s3:::one")
	refreshPermission := func() (map[string]any, bool) { return tf.permission(fn, live, "FromBucket") }
	statement := unchanged(tf, "the permission", refreshPermission)
	if statement["Resource"] != arn+fn+":"+live || !reflect.DeepEqual(statement["Principal"], map[string]any{"Service": "s3.amazonaws.com"}) {
		t.Errorf("the permission is %v", statement)
	}
	_, err = api.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), AuthType: types.FunctionUrlAuthTypeNone})
	tf.must(err)
	refreshURL := func() (urlState, bool) { return tf.functionURL(fn, live) }
	u := unchanged(tf, "the URL", refreshURL)
	if u.Mode != "BUFFERED" || u.ARN != arn+fn+":"+live || u.Origins != nil {
		t.Errorf("the URL is %+v", u)
	}
	_, err = api.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), MaximumRetryAttempts: aws.Int32(0)})
	tf.must(err)
	unchanged(tf, "the asynchronous configuration", func() (*lambda.GetFunctionEventInvokeConfigOutput, bool) {
		out, err := api.GetFunctionEventInvokeConfig(ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: aws.String(fn), Qualifier: aws.String(live)})
		tf.must(err)
		out.ResultMetadata = lambda.GetFunctionEventInvokeConfigOutput{}.ResultMetadata
		return out, true
	})

	// An update in place: configuration, then code, then a version, and everything that hangs on it.
	_, err = api.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(fn), Timeout: aws.Int32(20),
		Environment: &types.Environment{Variables: map[string]string{"STAGE": "two"}}, Layers: []string{layer.ARN}})
	tf.must(err)
	s.await(t, fn)
	_, err = api.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: aws.String(fn), ZipFile: pack(t, map[string]string{
		"handler.py": "import shared, os\ndef handler(event, context): return os.environ['STAGE'] + ' ' + shared.word"})})
	tf.must(err)
	s.await(t, fn)
	_, err = api.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String(fn), ReservedConcurrentExecutions: aws.Int32(7)})
	tf.must(err)
	_, err = api.TagResource(ctx, &lambda.TagResourceInput{Resource: aws.String(arn + fn), Tags: map[string]string{"Stage": "two"}})
	tf.must(err)
	_, err = api.UntagResource(ctx, &lambda.UntagResourceInput{Resource: aws.String(arn + fn), TagKeys: []string{"Team"}})
	tf.must(err)
	if v := tf.publish(fn); v != "2" {
		t.Errorf("the update published version %s, want 2", v)
	}
	now := unchanged(tf, "the updated function", refresh)
	if now.Version != "2" || now.Timeout != 20 || now.Env["STAGE"] != "two" || now.Hash == f.Hash || now.Reserved != 7 ||
		!reflect.DeepEqual(now.Tags, map[string]string{"Stage": "two"}) || now.Storage != f.Storage || !slices.Equal(now.Layers, f.Layers) || now.SysLevel != "WARN" {
		t.Errorf("the updated function is %+v", now)
	}
	_, err = api.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: aws.String(fn), Name: aws.String(live), FunctionVersion: aws.String("1"), Description: aws.String("what runs"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.25}}})
	tf.must(err)
	if a := unchanged(tf, "the weighted alias", refreshAlias); a.Weights["2"] != 0.25 {
		t.Errorf("the weighted alias is %+v", a)
	}
	_, err = api.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: aws.String(fn), Name: aws.String(live), FunctionVersion: aws.String("2"),
		Description: aws.String("what runs"), RoutingConfig: &types.AliasRoutingConfiguration{}})
	tf.must(err)
	if a := unchanged(tf, "the moved alias", refreshAlias); a.Version != "2" || a.Weights != nil {
		t.Errorf("the moved alias is %+v", a)
	}
	deny("FromBucket") // a permission is replaced: removed and added
	allow("FromBucket", "arn:aws:s3:::two")
	unchanged(tf, "the replaced permission", refreshPermission)
	_, err = api.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), AuthType: types.FunctionUrlAuthTypeNone,
		Cors: &types.Cors{AllowOrigins: []string{"https://example.com"}, AllowMethods: []string{"GET"}, MaxAge: aws.Int32(60), AllowCredentials: aws.Bool(true)}})
	tf.must(err)
	if c := unchanged(tf, "the updated URL", refreshURL); c.URL != u.URL || !slices.Equal(c.Origins, []string{"https://example.com"}) || c.MaxAge != 60 || !c.Credentials {
		t.Errorf("the updated URL is %+v", c)
	}
	if got := s.call(t, &lambda.InvokeInput{FunctionName: aws.String(fn), Qualifier: aws.String(live)}); got.payload != `"two layer"` || got.version != "2" {
		t.Errorf("what was applied answers %s by version %s", got.payload, got.version)
	}

	// Destroyed in the order of dependence; each is then found to be gone.
	_, err = api.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: aws.String(fn), Qualifier: aws.String(live)})
	tf.must(err)
	gone(tf, "the URL", refreshURL)
	deny("FromBucket")
	gone(tf, "the permission", refreshPermission)
	_, err = api.DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: aws.String(fn), Qualifier: aws.String(live)})
	tf.must(err)
	_, err = api.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: aws.String(fn), Name: aws.String(live)})
	tf.must(err)
	gone(tf, "the alias", refreshAlias)
	_, err = api.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String(fn)})
	tf.must(err)
	gone(tf, "the function", refresh)
	_, err = api.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: aws.String("tf-layer"), VersionNumber: aws.Int64(published.Version)})
	tf.must(err)
	gone(tf, "the layer", func() (layerState, bool) { return tf.layerVersion("tf-layer", published.Version) })
}
