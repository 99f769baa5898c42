package wire

import (
	"net/http/httptest"
	"testing"
	"time"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"github.com/lambent-run/lambent/lambda"
)

// An output is written as AWS writes it: what is nil is absent, what is empty is empty, times are numbers.
func TestOutputsAreWritten(t *testing.T) {
	at := time.Date(2026, 1, 12, 15, 31, 24, 500e6, time.UTC)
	for _, c := range []struct {
		name   string
		output any
		status int
		body   string
	}{
		{"GetFunctionConcurrency", &awslambda.GetFunctionConcurrencyOutput{}, 200, `{}`},
		{"GetFunctionConfiguration", &awslambda.GetFunctionConfigurationOutput{
			Description: new(""), Environment: &types.EnvironmentResponse{Variables: map[string]string{}}, Layers: []types.Layer{},
			State: types.StateActive,
		}, 200, `{"CodeSize":0,"Description":"","Environment":{"Variables":{}},"Layers":[],"State":"Active"}`},
		{"ListTags", &awslambda.ListTagsOutput{Tags: map[string]string{"b": "<2>", "a": "1\u2028"}}, 200, "{\"Tags\":{\"a\":\"1\u2028\",\"b\":\"<2>\"}}"},
		{"GetFunctionEventInvokeConfig", &awslambda.GetFunctionEventInvokeConfigOutput{LastModified: &at}, 200, `{"LastModified":1768231884.5}`},
		{"CreateAlias", &awslambda.CreateAliasOutput{Name: new("bad \xff"), RoutingConfig: &types.AliasRoutingConfiguration{
			AdditionalVersionWeights: map[string]float64{"2": 0.25}}}, 201,
			"{\"Name\":\"bad \uFFFD\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":0.25}}}"},
		// A function that was deleted is 204 on the wire, whatever the model says; one that takes its time sets its own.
		{"DeleteFunction", &awslambda.DeleteFunctionOutput{}, 204, ""},
		{"DeleteFunction", &awslambda.DeleteFunctionOutput{StatusCode: 202}, 202, ""},
		{"DeleteAlias", &awslambda.DeleteAliasOutput{}, 204, ""},
		{"TagResource", nil, 204, ""},
		{"InvokeAsync", &awslambda.InvokeAsyncOutput{Status: 202}, 202, ""},
		{"Invoke", &awslambda.InvokeOutput{StatusCode: 200, Payload: []byte(`"hello"`)}, 200, `"hello"`},
		{"SendDurableExecutionCallbackHeartbeat", &awslambda.SendDurableExecutionCallbackHeartbeatOutput{}, 200, `{}`},
	} {
		op := ByName(c.name)
		w := httptest.NewRecorder()
		if err := op.Encode(w, op.Status, c.output); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s: %d %s, want %d %s", c.name, w.Code, w.Body, c.status, c.body)
		}
	}
}

// A modelled header leaves the body.
func TestHeadersAreNotInTheBody(t *testing.T) {
	op := ByName("Invoke")
	w := httptest.NewRecorder()
	if err := op.Encode(w, op.Status, &awslambda.InvokeOutput{ExecutedVersion: new("7"), FunctionError: new("Unhandled")}); err != nil {
		t.Fatal(err)
	}
	if w.Header().Get("X-Amz-Executed-Version") != "7" || w.Header().Get("X-Amz-Function-Error") != "Unhandled" || w.Body.Len() != 0 {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// Encode refuses what is not its output, before it writes anything.
func TestForeignOutputsAreRefused(t *testing.T) {
	for _, output := range []any{nil, 1, &awslambda.GetAliasOutput{}, awslambda.GetFunctionOutput{}, (*awslambda.GetFunctionOutput)(nil)} {
		w := httptest.NewRecorder()
		if err := ByName("GetFunction").Encode(w, 200, output); err == nil || w.Body.Len() > 0 {
			t.Errorf("%T is written", output)
		}
	}
	if err := ByName("InvokeWithResponseStream").Encode(httptest.NewRecorder(), 200, &awslambda.InvokeWithResponseStreamOutput{}); err == nil {
		t.Error("an event stream is written")
	}
}

// Errors look as AWS's do, with the message's name in the case of each exception.
func TestErrorsAreWrittenAsRecorded(t *testing.T) {
	type response struct {
		Status            int
		Type, Retry, Body string
	}
	for _, c := range []struct {
		err  *lambda.Error
		want response
	}{
		// TestLambdaFunction::test_function_arns, 2025-11-25: of another account one is told nothing.
		{&lambda.Error{Code: lambda.AccessDenied}, response{403, "AccessDeniedException", "", `{"Message":null}`}},
		{lambda.Errorf(lambda.AccessDenied, "User is not authorized"), response{403, "AccessDeniedException", "", `{"Message":"User is not authorized"}`}},
		// TestLambdaAlias::test_lambda_alias_moving, 2025-11-25.
		{lambda.NotFound("arn:x"), response{404, "ResourceNotFoundException", "", `{"Message":"Function not found: arn:x","Type":"User"}`}},
		// TestLambdaAlias::test_notfound_and_invalid_routingconfigs, 2025-11-25.
		{lambda.Errorf(lambda.ResourceConflict, "Alias already exists: arn:x"),
			response{409, "ResourceConflictException", "", `{"Type":"User","message":"Alias already exists: arn:x"}`}},
		{&lambda.Error{Code: lambda.InvalidParameterValue, Message: "$LATEST is not supported for an alias pointing to more than 1 version", Bare: true},
			response{400, "InvalidParameterValueException", "", `{"message":"$LATEST is not supported for an alias pointing to more than 1 version"}`}},
		{&lambda.Error{Code: lambda.Validation, Message: "1 validation error detected: x"},
			response{400, "ValidationException", "", `{"message":"1 validation error detected: x"}`}},
		{&lambda.Error{Code: lambda.TooManyRequests, Message: "Rate Exceeded.", Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", After: 1500e6},
			response{429, "TooManyRequestsException", "2",
				`{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`}},
		{lambda.Errorf(lambda.RequestEntityTooLarge, "Request must be smaller than 1 bytes"),
			response{413, "RequestEntityTooLargeException", "", `{"message":"Request must be smaller than 1 bytes"}`}},
		{malformed("STRING_VALUE can not be converted to an Integer"),
			response{400, "SerializationException", "", `{"Message":"STRING_VALUE can not be converted to an Integer"}`}},
		{lambda.Errorf(lambda.NotImplemented, "x"), response{501, "NotImplementedException", "", `{"Type":"Service","message":"x"}`}},
		{lambda.AsError(lambda.Errorf(lambda.Service, "An internal error occurred.")),
			response{500, "ServiceException", "", `{"Message":"An internal error occurred.","Type":"Service"}`}},
		{lambda.Errorf("Nonsense", "a secret"), response{500, "ServiceException", "", `{"Message":"An internal error occurred.","Type":"Service"}`}},
	} {
		w := httptest.NewRecorder()
		WriteError(w, c.err)
		got := response{w.Code, w.Header().Get("X-Amzn-ErrorType"), w.Header().Get("Retry-After"), w.Body.String()}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got)\n%s", c.err, diff)
		}
	}
}

// Every code that the platform raises has an answer.
func TestCodesOfThePlatformAreInTheTable(t *testing.T) {
	for _, code := range []lambda.Code{
		lambda.Validation, lambda.InvalidParameterValue, lambda.InvalidRequestContent, lambda.ResourceNotFound, lambda.ResourceConflict,
		lambda.ResourceInUse, lambda.PreconditionFailed, lambda.RequestEntityTooLarge, lambda.CodeStorageExceeded, lambda.TooManyRequests,
		lambda.AccessDenied, lambda.UnsupportedMediaType, lambda.PolicyLengthExceeded, lambda.CodeSigningConfigNotFound,
		lambda.ProvisionedConfigNotFound, lambda.UnknownOperation, lambda.NotImplemented, lambda.Service, lambda.InvalidRuntime,
		lambda.InvalidZipFile, lambda.ResourceNotReady, lambda.AliasLimitExceeded, lambda.SnapStartNotReady, lambda.NoPublishedVersion,
		lambda.RecursiveInvocation, lambda.InvalidCodeSignature, lambda.CodeVerificationFailed, lambda.ServiceQuotaExceeded,
		lambda.DurableExecutionAlreadyOpen,
	} {
		if _, ok := answers[code]; !ok {
			t.Errorf("%s has no answer", code)
		}
	}
}
