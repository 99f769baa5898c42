package control

import (
	"context"
	"fmt"
	"strings"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

func permit(t *testing.T, c *Control, sid string) {
	t.Helper()
	_, err := c.AddPermission(t.Context(), home, &awslambda.AddPermissionInput{
		FunctionName: ptr("fn"), StatementId: &sid, Action: ptr("lambda:InvokeFunction"), Principal: ptr("s3.amazonaws.com")})
	if err != nil {
		t.Fatal(err)
	}
}

// What a permission says becomes a statement in the order and the words of AWS.
func TestPermissionsBecomeStatements(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", published)
	const head = `{"Sid":"s","Effect":"Allow","Principal":`
	for i, s := range []struct {
		in   awslambda.AddPermissionInput
		want string
	}{
		{awslambda.AddPermissionInput{Principal: ptr("*")}, head + `"*","Action":"lambda:InvokeFunction","Resource":"` + arn + `fn"}`},
		{awslambda.AddPermissionInput{Principal: ptr("222222222222"), Qualifier: ptr("1")},
			head + `{"AWS":"arn:aws:iam::222222222222:root"},"Action":"lambda:InvokeFunction","Resource":"` + arn + `fn:1"}`},
		{awslambda.AddPermissionInput{Principal: ptr("arn:aws:iam::222222222222:role/a/b")},
			head + `{"AWS":"arn:aws:iam::222222222222:role/a/b"},"Action":"lambda:InvokeFunction","Resource":"` + arn + `fn"}`},
		{awslambda.AddPermissionInput{Principal: ptr("s3.amazonaws.com"), SourceArn: ptr("arn:aws:s3:::a&b"), SourceAccount: ptr("222222222222")},
			head + `{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"` + arn +
				`fn","Condition":{"StringEquals":{"AWS:SourceAccount":"222222222222"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::a&b"}}}`},
		{awslambda.AddPermissionInput{Principal: ptr("*"), InvokedViaFunctionUrl: ptr(true)},
			head + `"*","Action":"lambda:InvokeFunction","Resource":"` + arn + `fn","Condition":{"Bool":{"lambda:InvokedViaFunctionUrl":"true"}}}`},
		{awslambda.AddPermissionInput{Principal: ptr("*"), PrincipalOrgID: ptr("o-1"), EventSourceToken: ptr("t")},
			head + `"*","Action":"lambda:InvokeFunction","Resource":"` + arn +
				`fn","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1","lambda:EventSourceToken":"t"}}}`},
	} {
		s.in.FunctionName, s.in.StatementId, s.in.Action = ptr("fn"), ptr("s"), ptr("lambda:InvokeFunction")
		out, err := c.AddPermission(t.Context(), home, &s.in)
		if err != nil || *out.Statement != s.want {
			t.Errorf("%d:\n got %s, %v\nwant %s", i, value(out.Statement), err, s.want)
		}
		if _, err := c.RemovePermission(t.Context(), home,
			&awslambda.RemovePermissionInput{FunctionName: ptr("fn"), StatementId: ptr("s"), Qualifier: s.in.Qualifier}); err != nil {
			t.Error(err)
		}
	}
}

// A policy given as a whole replaces what permissions have built, and permissions go on from it.
func TestPolicyAsAWhole(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	permit(t, c, "old")
	was, err := c.GetPolicy(t.Context(), home, &awslambda.GetPolicyInput{FunctionName: ptr("fn")})
	if err != nil {
		t.Fatal(err)
	}
	put := &awslambda.PutResourcePolicyInput{ResourceArn: ptr(arn + "fn"), RevisionId: was.RevisionId,
		Policy: ptr(`{"Version":"2012-10-17","Statement":{"Sid":"whole", "Effect":"Deny","Principal":"*","Action":"lambda:*","Resource":"` + arn + `fn"}}`)}
	now, err := c.PutResourcePolicy(t.Context(), home, put)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Version":"2012-10-17","Statement":[{"Sid":"whole","Effect":"Deny","Principal":"*","Action":"lambda:*","Resource":"` + arn + `fn"}]}`
	if *now.Policy != want || *now.RevisionId == *was.RevisionId {
		t.Errorf("the policy is %s", *now.Policy)
	}
	if _, err := c.PutResourcePolicy(t.Context(), home, put); lambda.AsError(err).Code != lambda.PreconditionFailed {
		t.Errorf("with the revision of before: %v", err)
	}
	permit(t, c, "new")
	got, err := c.GetResourcePolicy(t.Context(), home, &awslambda.GetResourcePolicyInput{ResourceArn: ptr(arn + "fn")})
	if err != nil || !strings.Contains(*got.Policy, `"whole"`) || !strings.Contains(*got.Policy, `"new"`) || strings.Contains(*got.Policy, `"old"`) {
		t.Errorf("with another permission: %v, %v", got, err)
	}
	if _, err := c.DeleteResourcePolicy(t.Context(), home, &awslambda.DeleteResourcePolicyInput{ResourceArn: ptr(arn + "fn")}); err != nil {
		t.Error(err)
	}
	if _, err := c.GetPolicy(t.Context(), home, &awslambda.GetPolicyInput{FunctionName: ptr("fn")}); lambda.AsError(err).Code != lambda.ResourceNotFound {
		t.Errorf("after its deletion: %v", err)
	}
}

// Settings that make no sense are refused, and change nothing.
func TestSettingsAreRefused(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", published)
	create(t, c, "other")
	_, err := c.CreateAlias(t.Context(), home, aliasTo("fn", "latest", lambda.Latest, nil))
	if err != nil {
		t.Fatal(err)
	}
	policy := func(text string) func(context.Context, *Control) error {
		return func(ctx context.Context, c *Control) error {
			_, err := c.PutResourcePolicy(ctx, home, &awslambda.PutResourcePolicyInput{ResourceArn: ptr(arn + "fn"), Policy: &text})
			return err
		}
	}
	malformed := func(why string) string { return "The provided policy document is not valid: " + why + "." }
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	runtime := func(on types.UpdateRuntimeOn, arn *string) func(context.Context, *Control) error {
		return func(ctx context.Context, c *Control) error {
			_, err := c.PutRuntimeManagementConfig(ctx, home,
				&awslambda.PutRuntimeManagementConfigInput{FunctionName: ptr("fn"), UpdateRuntimeOn: on, RuntimeVersionArn: arn})
			return err
		}
	}
	provision := func(qualifier string, n int32) func(context.Context, *Control) error {
		return func(ctx context.Context, c *Control) error {
			_, err := c.PutProvisionedConcurrencyConfig(ctx, home, &awslambda.PutProvisionedConcurrencyConfigInput{
				FunctionName: ptr("fn"), Qualifier: &qualifier, ProvisionedConcurrentExecutions: &n})
			return err
		}
	}
	reserve := func(name string, n int32) func(context.Context, *Control) error {
		return func(ctx context.Context, c *Control) error {
			_, err := c.PutFunctionConcurrency(ctx, home, &awslambda.PutFunctionConcurrencyInput{FunctionName: &name, ReservedConcurrentExecutions: &n})
			return err
		}
	}
	if err := provision("1", 300)(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := reserve("other", 500)(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	checkRefusals(t, c, []refusal{
		{"a policy that is no JSON", policy("{"), lambda.InvalidParameterValue, malformed("it is not a JSON object with the members of a policy")},
		{"a policy of another language", policy(`{"Version":"2020-01-01"}`), lambda.InvalidParameterValue, malformed("its Version is not known")},
		{"a policy without statements", policy(`{"Version":"2012-10-17"}`), lambda.InvalidParameterValue, malformed("it has no Statement")},
		{"a statement without an effect", policy(statement(`{"Principal":"*","Action":"*"}`)), lambda.InvalidParameterValue,
			malformed("the Effect of a Statement is neither Allow nor Deny")},
		{"a statement for nobody", policy(statement(`{"Effect":"Allow","Action":"*"}`)), lambda.InvalidParameterValue, malformed("a Statement has no Principal")},
		{"a statement about another function", policy(statement(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"` + arn + `other"}`)),
			lambda.InvalidParameterValue, malformed("the Resource of a Statement is not " + arn + "fn")},
		{"a policy that is too long", policy(statement(`{"Effect":"Allow","Principal":"*","Action":"*","Sid":"` + strings.Repeat("s", lambda.MaxPolicy) + `"}`)),
			lambda.PolicyLengthExceeded, "The final policy size (20575) is bigger than the limit (20480)."},
		{"the action of function URLs for no URL", func(ctx context.Context, c *Control) error {
			_, err := c.AddPermission(ctx, home, &awslambda.AddPermissionInput{FunctionName: ptr("fn"), StatementId: ptr("s"), Principal: ptr("*"),
				Action: ptr("lambda:InvokeFunction"), FunctionUrlAuthType: types.FunctionUrlAuthTypeNone})
			return err
		}, lambda.InvalidParameterValue, "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"},

		{"a manual runtime without a build", runtime(types.UpdateRuntimeOnManual, nil), lambda.InvalidParameterValue,
			"RuntimeVersionArn is required when UpdateRuntimeOn is Manual."},
		{"a build that is not here", runtime(types.UpdateRuntimeOnManual, ptr("arn:aws:lambda:us-east-1::runtime:0")), lambda.InvalidParameterValue,
			"Runtime version arn:aws:lambda:us-east-1::runtime:0 is not available for the runtime python3.12."},
		{"a build without manual", runtime(types.UpdateRuntimeOnAuto, ptr("arn:aws:lambda:us-east-1::runtime:0")), lambda.InvalidParameterValue,
			"RuntimeVersionArn can be specified only when UpdateRuntimeOn is Manual."},
		{"scaling on Lambda's own compute", func(ctx context.Context, c *Control) error {
			_, err := c.PutFunctionScalingConfig(ctx, home, &awslambda.PutFunctionScalingConfigInput{FunctionName: ptr("fn"), Qualifier: ptr("1")})
			return err
		}, lambda.InvalidParameterValue, "FunctionScalingConfig isn't supported for Lambda Default functions."},
		{"capacity for a default function", configuring(awslambda.UpdateFunctionConfigurationInput{
			CapacityProviderConfig: &types.CapacityProviderConfig{LambdaManagedInstancesCapacityProviderConfig: &types.LambdaManagedInstancesCapacityProviderConfig{
				CapacityProviderArn: ptr("arn:aws:lambda:us-east-1:111111111111:capacity-provider:none")}}}),
			lambda.ResourceNotFound, "Capacity provider not found: arn:aws:lambda:us-east-1:111111111111:capacity-provider:none"},

		{"provisioned by an alias of $LATEST", provision("latest", 1), lambda.InvalidParameterValue, unpublished},
		{"more than is left", provision("1", 501), lambda.InvalidParameterValue,
			"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [500]."},
		{"more than may be taken", provision("1", 401), lambda.InvalidParameterValue,
			"Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."},
		{"reserved below provisioned", reserve("fn", 299), lambda.InvalidParameterValue,
			" ReservedConcurrentExecutions  299 should not be lower than function's total provisioned concurrency [300]."},
		{"reserved beside what others have", reserve("fn", 401), lambda.InvalidParameterValue,
			"Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100]."},
		{"reserved for an alias", reserve("fn:latest", 1), lambda.InvalidParameterValue,
			"This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. " +
				"Please specify either a function name or an unqualified function ARN."},
	})
	if e := c.Catalog.Get(id("fn")); e.Of(lambda.Latest).Policy != nil || e.Function.Reserved != nil || e.Of("1").Provisioned.Requested != 300 {
		t.Errorf("something was changed: %+v", e)
	}
	if err := reserve("fn", 350)(t.Context(), c); err != nil {
		t.Errorf("reserved above provisioned: %v", err)
	}
	if err := provision("1", 351)(t.Context(), c); lambda.AsError(err).Message != "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function" {
		t.Errorf("provisioned above reserved: %v", err)
	}
}

// Functions on managed instances are configured, and nothing says that they run.
func TestManagedInstancesAreConfigurationOnly(t *testing.T) {
	c := newControl(t)
	out, err := c.CreateCapacityProvider(t.Context(), home, &awslambda.CreateCapacityProviderInput{
		CapacityProviderName: ptr("cp"), VpcConfig: &types.CapacityProviderVpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: []string{}},
		PermissionsConfig: &types.CapacityProviderPermissionsConfig{CapacityProviderOperatorRoleArn: ptr("arn:aws:iam::111111111111:role/operator")},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := out.CapacityProvider
	if p.State != types.CapacityProviderStatePending || *p.CapacityProviderScalingConfig.MaxVCpuCount != 400 ||
		*p.TelemetryConfig.LoggingConfig.LogGroup != "/aws/lambda/capacity-provider/cp" {
		t.Errorf("a new capacity provider is %+v", p)
	}
	create(t, c, "plain")
	in := creation("fn", published)
	in.CapacityProviderConfig = &types.CapacityProviderConfig{LambdaManagedInstancesCapacityProviderConfig: &types.LambdaManagedInstancesCapacityProviderConfig{
		CapacityProviderArn: p.CapacityProviderArn, PerExecutionEnvironmentMaxConcurrency: ptr[int32](10)}}
	if _, err := c.CreateFunction(t.Context(), home, in); err != nil {
		t.Fatal(err)
	}
	c.prepare(t.Context(), id("fn"))
	got, err := c.GetFunction(t.Context(), home, get("fn", ""))
	if err != nil || got.Configuration.State != types.StateActiveNonInvocable ||
		*got.Configuration.CapacityProviderConfig.LambdaManagedInstancesCapacityProviderConfig.CapacityProviderArn != *p.CapacityProviderArn {
		t.Errorf("$LATEST is %+v, %v", got.Configuration, err)
	}
	if got, err = c.GetFunction(t.Context(), home, get("fn", "1")); err != nil || got.Configuration.State != types.StatePending || got.Configuration.StateReason == nil {
		t.Errorf("version 1 is %+v, %v", got.Configuration, err)
	}
	versions, err := c.ListFunctionVersionsByCapacityProvider(t.Context(), home, &awslambda.ListFunctionVersionsByCapacityProviderInput{CapacityProviderName: ptr("cp")})
	if err != nil || len(versions.FunctionVersions) != 2 || *versions.FunctionVersions[1].FunctionArn != arn+"fn:1" {
		t.Errorf("the provider has %+v, %v", versions, err)
	}
	scaling := &awslambda.PutFunctionScalingConfigInput{FunctionName: ptr("fn"), Qualifier: ptr("$LATEST.PUBLISHED"),
		FunctionScalingConfig: &types.FunctionScalingConfig{MinExecutionEnvironments: ptr[int32](2), MaxExecutionEnvironments: ptr[int32](1)}}
	if _, err := c.PutFunctionScalingConfig(t.Context(), home, scaling); lambda.AsError(err).Code != lambda.InvalidParameterValue {
		t.Errorf("a minimum above the maximum: %v", err)
	}
	scaling.FunctionScalingConfig.MaxExecutionEnvironments = ptr[int32](3)
	if _, err := c.PutFunctionScalingConfig(t.Context(), home, scaling); err != nil {
		t.Error(err)
	}
	bounds, err := c.GetFunctionScalingConfig(t.Context(), home, &awslambda.GetFunctionScalingConfigInput{FunctionName: ptr("fn"), Qualifier: ptr("$LATEST.PUBLISHED")})
	if err != nil || *bounds.RequestedFunctionScalingConfig.MaxExecutionEnvironments != 3 || bounds.AppliedFunctionScalingConfig != nil {
		t.Errorf("the bounds are %+v, %v", bounds, err)
	}
	remove := &awslambda.DeleteCapacityProviderInput{CapacityProviderName: p.CapacityProviderArn}
	if _, err := c.DeleteCapacityProvider(t.Context(), home, remove); lambda.AsError(err).Code != lambda.ResourceConflict {
		t.Errorf("a provider in use can be deleted: %v", err)
	}
	if _, err := c.DeleteFunction(t.Context(), home, &awslambda.DeleteFunctionInput{FunctionName: ptr("fn")}); err != nil {
		t.Error(err)
	}
	if gone, err := c.DeleteCapacityProvider(t.Context(), home, remove); err != nil || gone.CapacityProvider.State != types.CapacityProviderStateDeleting {
		t.Errorf("%+v, %v", gone, err)
	}
}

// Pages of every list together hold what was there throughout, once and in order, whatever comes and goes between them.
func TestPagesAreStable(t *testing.T) {
	c := newControl(t)
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create(t, c, "fn")
	for i := range 7 {
		describe(t, c, "fn", fmt.Sprint("version ", i))
		q := publish(t, c, "fn")
		name := "a" + q
		must(c.CreateAlias(ctx, home, aliasTo("fn", name, q, nil)))
		must(c.CreateFunctionUrlConfig(ctx, home, &awslambda.CreateFunctionUrlConfigInput{FunctionName: ptr("fn"), Qualifier: &name, AuthType: "NONE"}))
		must(c.PutFunctionEventInvokeConfig(ctx, home, &awslambda.PutFunctionEventInvokeConfigInput{FunctionName: ptr("fn"), Qualifier: &name, MaximumRetryAttempts: ptr[int32](1)}))
		must(c.PutProvisionedConcurrencyConfig(ctx, home, &awslambda.PutProvisionedConcurrencyConfigInput{FunctionName: ptr("fn"), Qualifier: &name, ProvisionedConcurrentExecutions: ptr[int32](1)}))
		must(c.PublishLayerVersion(ctx, home, &awslambda.PublishLayerVersionInput{LayerName: ptr("layer" + q), Content: &types.LayerVersionContentInput{ZipFile: pack(q)}}))
		must(c.PublishLayerVersion(ctx, home, &awslambda.PublishLayerVersionInput{LayerName: ptr("one"), Content: &types.LayerVersionContentInput{ZipFile: pack(q)}}))
	}
	// Between two pages the third alias, layer and layer version go: the next page is not the poorer for it.
	gone := false
	between := func() {
		if gone {
			return
		}
		gone = true
		must(c.DeleteAlias(ctx, home, &awslambda.DeleteAliasInput{FunctionName: ptr("fn"), Name: ptr("a2")}))
		must(c.DeleteLayerVersion(ctx, home, &awslambda.DeleteLayerVersionInput{LayerName: ptr("layer2"), VersionNumber: ptr[int64](1)}))
		must(c.DeleteLayerVersion(ctx, home, &awslambda.DeleteLayerVersionInput{LayerName: ptr("one"), VersionNumber: ptr[int64](6)}))
	}
	two := ptr[int32](2)
	for _, list := range []struct {
		what string
		page func(marker *string) (names []string, next *string, err error)
		want string
	}{
		{"function URLs", func(m *string) (names []string, _ *string, _ error) {
			out, err := c.ListFunctionUrlConfigs(ctx, home, &awslambda.ListFunctionUrlConfigsInput{FunctionName: ptr("fn"), Marker: m, MaxItems: two})
			for _, u := range out.FunctionUrlConfigs {
				names = append(names, strings.TrimPrefix(*u.FunctionArn, arn+"fn:"))
			}
			return names, out.NextMarker, err
		}, "a1 a2 a3 a4 a5 a6 a7"},
		{"asynchronous configurations", func(m *string) (names []string, _ *string, _ error) {
			out, err := c.ListFunctionEventInvokeConfigs(ctx, home, &awslambda.ListFunctionEventInvokeConfigsInput{FunctionName: ptr("fn"), Marker: m, MaxItems: two})
			for _, u := range out.FunctionEventInvokeConfigs {
				names = append(names, strings.TrimPrefix(*u.FunctionArn, arn+"fn:"))
			}
			return names, out.NextMarker, err
		}, "a1 a3 a4 a5 a6 a7"},
		{"provisioned concurrency", func(m *string) (names []string, _ *string, _ error) {
			out, err := c.ListProvisionedConcurrencyConfigs(ctx, home, &awslambda.ListProvisionedConcurrencyConfigsInput{FunctionName: ptr("fn"), Marker: m, MaxItems: two})
			for _, u := range out.ProvisionedConcurrencyConfigs {
				names = append(names, strings.TrimPrefix(*u.FunctionArn, arn+"fn:"))
			}
			return names, out.NextMarker, err
		}, "a1 a3 a4 a5 a6 a7"},
		{"layers", func(m *string) (names []string, _ *string, _ error) {
			out, err := c.ListLayers(ctx, home, &awslambda.ListLayersInput{Marker: m, MaxItems: two})
			for _, l := range out.Layers {
				names = append(names, *l.LayerName)
			}
			return names, out.NextMarker, err
		}, "layer1 layer3 layer4 layer5 layer6 layer7 one"},
		{"layer versions", func(m *string) (names []string, _ *string, _ error) {
			out, err := c.ListLayerVersions(ctx, home, &awslambda.ListLayerVersionsInput{LayerName: ptr("one"), Marker: m, MaxItems: two})
			for _, v := range out.LayerVersions {
				names = append(names, fmt.Sprint(v.Version))
			}
			return names, out.NextMarker, err
		}, "7 5 4 3 2 1"},
	} {
		var all []string
		for marker := (*string)(nil); ; {
			names, next, err := list.page(marker)
			if err != nil {
				t.Fatalf("%s: %v", list.what, err)
			}
			if len(names) > 2 {
				t.Errorf("%s: a page holds %v", list.what, names)
			}
			all = append(all, names...)
			if next == nil {
				break
			}
			marker = next
			between()
		}
		if got := strings.Join(all, " "); got != list.want {
			t.Errorf("%s: %s, want %s", list.what, got, list.want)
		}
	}
}
