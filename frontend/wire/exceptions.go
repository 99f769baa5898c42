package wire

import (
	"slices"
	"strings"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// maxName is the longest name of a function, without what an ARN adds.
const maxName = 64

// exceptions are the rules that look like the model's and are answered with
// InvalidParameterValueException (recorded from AWS, 2025-11-25 and 2026-01-12).
func exceptions(op *Operation, input any) error {
	switch in := input.(type) {
	case *awslambda.CreateFunctionInput:
		if name := *in.FunctionName; len(bareName(name)) > maxName {
			return lambda.Errorf(lambda.InvalidParameterValue, "1 validation error detected: Value '%s' at 'functionName' "+
				"failed to satisfy constraint: Member must have length less than or equal to %d", name, maxName)
		}
		return unknownRuntime(in.Runtime)
	case *awslambda.UpdateFunctionConfigurationInput:
		return unknownRuntime(in.Runtime)
	case *awslambda.TagResourceInput:
		if len(in.Tags) == 0 {
			return lambda.Errorf(lambda.InvalidParameterValue, "An error occurred and the request cannot be processed.")
		}
	}
	return nil
}

// bareName returns the name in any form that the pattern of FunctionName takes.
func bareName(name string) string {
	if _, after, ok := strings.Cut(name, "function:"); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// offered are the runtimes AWS names when it is asked for one it does not
// know: as recorded on 2026-01-12, with those the model has gained since. AWS's
// order varies from answer to answer.
var offered = []string{
	"nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25",
	"python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9", "java17",
	"nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
	"ruby4.0", "nodejs26.x", "python3.15", "java8.al2023", "java11.al2023", "java17.al2023",
}

// unknownRuntime refuses a runtime that the model does not have. Runtimes that
// it has and AWS no longer offers are refused later, in other words.
func unknownRuntime(runtime types.Runtime) error {
	if runtime == "" || slices.Contains(constraints["Runtime"].enum, string(runtime)) {
		return nil
	}
	return lambda.Errorf(lambda.InvalidParameterValue, "Value %s at 'runtime' failed to satisfy constraint: "+
		"Member must satisfy enum value set: %s or be a valid ARN", runtime, bracket(offered))
}
