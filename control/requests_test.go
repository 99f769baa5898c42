package control

import (
	"slices"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func published(in *awslambda.CreateFunctionInput) { in.Publish = true }

func described(as string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) { in.Description = &as }
}

func withCode(content string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) { in.Code.ZipFile = pack(content) }
}

// withEnv gives variables; nil gives a map without any.
func withEnv(vars map[string]string) func(*awslambda.CreateFunctionInput) {
	if vars == nil {
		vars = map[string]string{}
	}
	return func(in *awslambda.CreateFunctionInput) { in.Environment = &types.Environment{Variables: vars} }
}

func tagged(tags map[string]string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) { in.Tags = tags }
}

func get(name, qualifier string) *awslambda.GetFunctionInput {
	in := &awslambda.GetFunctionInput{FunctionName: &name}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	return in
}

func upload(name, content string) *awslambda.UpdateFunctionCodeInput {
	return &awslambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: pack(content)}
}

func redescribe(name, as string) *awslambda.UpdateFunctionConfigurationInput {
	return &awslambda.UpdateFunctionConfigurationInput{FunctionName: &name, Description: &as}
}

func versionsOf(name string) *awslambda.ListVersionsByFunctionInput {
	return &awslambda.ListVersionsByFunctionInput{FunctionName: &name}
}

func aliasOf(name, alias string) *awslambda.GetAliasInput {
	return &awslambda.GetAliasInput{FunctionName: &name, Name: &alias}
}

func aliasTo(name, alias, version string, weights map[string]float64) *awslambda.CreateAliasInput {
	in := &awslambda.CreateAliasInput{FunctionName: &name, Name: &alias, FunctionVersion: &version}
	if weights != nil {
		in.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
	}
	return in
}

func tagsOf(resource string) *awslambda.ListTagsInput {
	return &awslambda.ListTagsInput{Resource: &resource}
}

func tag(resource string, keysAndValues ...string) *awslambda.TagResourceInput {
	in := &awslambda.TagResourceInput{Resource: &resource, Tags: map[string]string{}}
	for kv := range slices.Chunk(keysAndValues, 2) {
		in.Tags[kv[0]] = kv[1]
	}
	return in
}

func fromS3(bucket, key, version string) func(*awslambda.CreateFunctionInput) {
	return func(in *awslambda.CreateFunctionInput) {
		in.Code = &types.FunctionCode{S3Bucket: &bucket, S3Key: &key}
		if version != "" {
			in.Code.S3ObjectVersion = &version
		}
	}
}
