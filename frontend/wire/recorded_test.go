package wire

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/lambent-run/lambent/lambda"
)

const (
	functionNamePattern = `(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`
	taggablePattern     = `arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|capacity-provider:[a-zA-Z0-9-_]+)`
	destinationPattern  = `$|kafka://([^.]([a-zA-Z0-9\-_.]{0,248}))|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)`
	layerPattern        = `(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)`
	rolePattern         = `arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`

	// A CreateFunction body but for what a case adds.
	creation = `{"FunctionName":"fn","Role":"arn:aws:iam::111111111111:role/r","Code":{"ZipFile":"UEsFBg=="},` +
		`"Handler":"handler.handler"`
	longARN = `arn:aws:lambda:us-east-1:111111111111:function:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`
)

var name65 = strings.Repeat("a", 65)

// What AWS answered to requests that break its model, is answered here. Each case names the recording it comes
// from, of the parity tests of LocalStack (Apache License 2.0, copyright LocalStack contributors), and its date;
// what those replace by placeholders is filled in.
func TestViolationsAreWordedAsRecorded(t *testing.T) {
	for _, c := range []struct {
		recording, date string
		request, body   string
		want            string
	}{
		{"TestLambdaAlias::test_notfound_and_invalid_routingconfigs", "2025-11-25",
			"POST /2015-03-31/functions/fn/aliases",
			`{"Name":"custom","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":-1.0}}}`,
			"1 validation error detected: Value '{2=-1.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]"},
		{"TestLambdaAlias::test_notfound_and_invalid_routingconfigs", "2025-11-25",
			"POST /2015-03-31/functions/fn/aliases",
			`{"Name":"custom","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":2}}}`,
			"1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0, Member must not be null]"},
		{"TestLambdaAlias::test_notfound_and_invalid_routingconfigs", "2025-11-25",
			"POST /2015-03-31/functions/fn/aliases",
			`{"Name":"custom","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"$LATEST":0.5}}}`,
			"1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]"},
		{"TestLambdaEventInvokeConfig::test_lambda_eventinvokeconfig_exceptions", "2025-11-25",
			"PUT /2019-09-25/functions/fn/event-invoke-config",
			`{"DestinationConfig":{"OnFailure":{"Destination":"arn:aws:_-/!lambda:us-east-1:111111111111:function:fn"}}}`,
			"1 validation error detected: Value 'arn:aws:_-/!lambda:us-east-1:111111111111:function:fn' at 'destinationConfig.onFailure.destination' failed to satisfy constraint: Member must satisfy regular expression pattern: " + destinationPattern},
		{"TestLambdaEventSourceMappings::test_create_event_source_validation", "2025-11-25",
			"POST /2015-03-31/event-source-mappings",
			`{"FunctionName":"fn","EventSourceArn":"arn:aws:dynamodb:us-east-1:111111111111:table/t/stream/s","StartingPosition":"invalid"}`,
			"1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"},
		{"TestLambdaFunction::test_create_lambda_exceptions", "2026-01-12",
			"POST /2015-03-31/functions",
			`{"FunctionName":"fn","Role":"r1","Code":{"ZipFile":"UEsFBg=="},"Runtime":"python3.12","Handler":"handler.handler"}`,
			"1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: " + rolePattern},
		{"TestLambdaFunction::test_create_lambda_exceptions", "2026-01-12",
			"POST /2015-03-31/functions", creation + `,"Architectures":["x86_64","arm64"]}`,
			"1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: Member must have length less than or equal to 1"},
		{"TestLambdaFunction::test_create_lambda_exceptions", "2026-01-12",
			"POST /2015-03-31/functions", creation + `,"Architectures":["X86_64"]}`,
			"1 validation error detected: Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"},
		{"TestLambdaFunction::test_function_arns", "2025-11-25",
			"POST /2015-03-31/functions", strings.Replace(creation, `"fn"`, `"invalid:function:name"`, 1) + "}",
			"1 validation error detected: Value 'invalid:function:name' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: " + functionNamePattern},
		{"TestLambdaFunction::test_function_arns", "2025-11-25",
			"POST /2015-03-31/functions", strings.Replace(creation, `"fn"`, `"`+longARN+`"`, 1) + "}",
			"1 validation error detected: Value '" + longARN + "' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 140"},
		{"TestLambdaFunction::test_invalid_vpc_config_security_group", "2025-11-25",
			"POST /2015-03-31/functions", creation + `,"VpcConfig":{"SubnetIds":["subnet-1"],"SecurityGroupIds":["nope"]}}`,
			"1 validation error detected: Value '[nope]' at 'vpcConfig.securityGroupIds' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: sg-[0-9a-zA-Z]*]"},
		{"TestLambdaFunction::test_invalid_vpc_config_subnet", "2025-11-25",
			"POST /2015-03-31/functions", creation + `,"VpcConfig":{"SubnetIds":["nope"],"SecurityGroupIds":["sg-1"]}}`,
			"1 validation error detected: Value '[nope]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: subnet-[0-9a-z]*]"},
		{"TestLambdaFunction::test_list_functions", "2025-11-25",
			"GET /2015-03-31/functions?FunctionVersion=invalid", "",
			"1 validation error detected: Value 'invalid' at 'functionVersion' failed to satisfy constraint: Member must satisfy enum value set: [ALL]"},
		{"TestLambdaLayer::test_layer_function_exceptions", "2025-11-25",
			"PUT /2015-03-31/functions/fn/configuration", `{"Layers":["arn:aws:lambda:us-east-1:111111111111:layer:one"]}`,
			"1 validation error detected: Value '[arn:aws:lambda:us-east-1:111111111111:layer:one]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: " + layerPattern + ", Member must not be null]"},
		{"TestLambdaLayer::test_layer_policy_exceptions", "2025-11-25",
			"POST /2018-10-31/layers/one/versions/1/policy", `{"StatementId":"s1","Action":"*","Principal":"*"}`,
			"1 validation error detected: Value '*' at 'action' failed to satisfy constraint: Member must satisfy regular expression pattern: lambda:GetLayerVersion"},
		{"TestLambdaPermissions::test_permission_exceptions", "2025-11-25",
			"POST /2015-03-31/functions/fn/policy?Qualifier=invalid-qualifier-with-%3F-char",
			`{"StatementId":"s1","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com"}`,
			`1 validation error detected: Value 'invalid-qualifier-with-?-char' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+`},
		{"TestLambdaPermissions::test_permission_exceptions", "2025-11-25",
			"POST /2015-03-31/functions/fn/policy",
			`{"StatementId":"example.com","Action":"lambda:InvokeFunction","Principal":"s3.amazonaws.com"}`,
			"1 validation error detected: Value 'example.com' at 'statementId' failed to satisfy constraint: Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)"},
		{"TestLambdaProvisionedConcurrency::test_provisioned_concurrency_exceptions", "2025-11-25",
			"PUT /2019-09-30/functions/fn/provisioned-concurrency?Qualifier=1", `{"ProvisionedConcurrentExecutions":0}`,
			"1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"TestLambdaSnapStart::test_snapstart_exceptions", "2025-11-25",
			"POST /2015-03-31/functions", creation + `,"SnapStart":{"ApplyOn":"invalidOption"}}`,
			"1 validation error detected: Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: Member must satisfy enum value set: [PublishedVersions, None]"},
		{"TestLambdaTag::test_tag_exceptions[lambda_function]", "2025-11-25",
			"POST /2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A111111111111%3Afoobar%3Afn", `{"Tags":{"A":"1"}}`,
			"1 validation error detected: Value 'arn:aws:lambda:us-east-1:111111111111:foobar:fn' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: " + taggablePattern},
		{"TestLambdaTag::test_tag_exceptions[event_source_mapping]", "2025-11-25",
			"GET /2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A111111111111%3Aevent-source-mapping%3Afb9e7e2a-8a6c-4d9f-9a2e-0f3f7a1c9d11%3Aalias", "",
			"1 validation error detected: Value 'arn:aws:lambda:us-east-1:111111111111:event-source-mapping:fb9e7e2a-8a6c-4d9f-9a2e-0f3f7a1c9d11:alias' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: " + taggablePattern},
		{"TestLambdaTag::test_tag_exceptions[capacity_provider]", "2025-11-25",
			"GET /2017-03-31/tags/arn:aws:lambda:us-east-1:111111111111:capacity-provider:cp:alias", "",
			"1 validation error detected: Value 'arn:aws:lambda:us-east-1:111111111111:capacity-provider:cp:alias' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: " + taggablePattern},
		{"TestLambdaTags::test_tag_exceptions", "2025-11-25",
			"POST /2017-03-31/tags/arn:aws:something", `{"Tags":{"A":"1"}}`,
			"1 validation error detected: Value 'arn:aws:something' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: " + taggablePattern},
		{"TestLambdaTags::test_tag_exceptions", "2025-11-25",
			"DELETE /2017-03-31/tags/arn:aws:lambda:us-east-1:111111111111:function:fn", "",
			"1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"},
		{"TestLambdaURL::test_lambda_url_invalid_invoke_mode", "2025-11-24",
			"POST /2021-10-31/functions/fn/url", `{"AuthType":"NONE","InvokeMode":"UNKNOWN"}`,
			"1 validation error detected: Value 'UNKNOWN' at 'invokeMode' failed to satisfy constraint: Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]"},
	} {
		err := decodeError(t, c.request, c.body)
		if err == nil || err.Code != lambda.Validation || !err.Bare || err.Message != c.want {
			t.Errorf("%s (%s)\n got %v\nwant %s", c.recording, c.date, err, c.want)
		}
	}
}

// Some violations look like the model's and carry another code.
func TestSomeViolationsAreInvalidParameterValues(t *testing.T) {
	// TestLambdaFunction::test_create_lambda_exceptions, 2026-01-12. AWS's order of runtimes varies, and it has added some since.
	recorded := strings.Split("nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, "+
		"python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, "+
		"java11, dotnet6, nodejs18.x, provided.al2, java8.al2", ", ")
	for _, r := range recorded {
		if !slices.Contains(offered, r) {
			t.Errorf("the runtime %s is not offered", r)
		}
	}
	for _, c := range []struct{ recording, date, request, body, want string }{
		{"TestLambdaFunction::test_create_lambda_exceptions", "2026-01-12",
			"POST /2015-03-31/functions", creation + `,"Runtime":"non-existent-runtime"}`,
			"Value non-existent-runtime at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [" +
				strings.Join(offered, ", ") + "] or be a valid ARN"},
		{"TestLambdaFunction::test_create_lambda_exceptions", "2026-01-12",
			"PUT /2015-03-31/functions/fn/configuration", `{"Runtime":"PYTHON3.9"}`,
			"Value PYTHON3.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [" +
				strings.Join(offered, ", ") + "] or be a valid ARN"},
		{"TestLambdaFunction::test_function_arns", "2025-11-25",
			"POST /2015-03-31/functions", strings.Replace(creation, `"fn"`, `"`+name65+`"`, 1) + "}",
			"1 validation error detected: Value '" + name65 + "' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"TestLambdaTags::test_tag_exceptions", "2025-11-25",
			"POST /2017-03-31/tags/arn:aws:lambda:us-east-1:111111111111:function:fn", `{"Tags":{}}`,
			"An error occurred and the request cannot be processed."},
	} {
		err := decodeError(t, c.request, c.body)
		if err == nil || err.Code != lambda.InvalidParameterValue || err.Bare || err.Message != c.want {
			t.Errorf("%s (%s)\n got %v\nwant %s", c.recording, c.date, err, c.want)
		}
	}
}

// decodeError decodes a request, "METHOD /target", that is to be refused.
func decodeError(t *testing.T, request, body string) *lambda.Error {
	t.Helper()
	_, err := decodeRequest(t, request, body)
	var e *lambda.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%s: an error without a code: %v", request, err)
	}
	return e
}

func decodeRequest(t *testing.T, request, body string) (any, error) {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	op, labels, ok := Match(r)
	if !ok {
		t.Fatalf("%s matches nothing", request)
	}
	return op.Decode(r, labels, 1<<20)
}
