package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// layer publishes a version of a layer and returns its ARN.
func (s *server) layer(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	out, err := s.api().PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: pack(t, files)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.LayerVersionArn
}

// as is the API as another account sees it.
func (s *server) as(account string) *lambda.Client {
	return lambda.New(lambda.Options{
		Region: region, BaseEndpoint: aws.String(s.url("")), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(account, "test", ""),
	})
}

// Layers are merged under /opt, later ones over earlier ones, in the search paths of each runtime, with the modes of
// their files. A function keeps a layer that has been deleted.
func TestLayersAreMergedUnderOpt(t *testing.T) {
	s := serve(t)
	first := s.layer(t, "first", map[string]string{
		"python/both.py": "name = 'first'", "python/lib/python3.13/site-packages/deep.py": "name = 'deep'",
		"nodejs/node_modules/both/index.js":        "exports.name = 'first'",
		"nodejs/node22/node_modules/deep/index.js": "exports.name = 'deep'",
		"bin/tool": "#!/bin/sh\necho tool of first", "data/one": "1",
	})
	second := s.layer(t, "second", map[string]string{
		"python/both.py": "name = 'second'", "nodejs/node_modules/both/index.js": "exports.name = 'second'", "data/two": "2",
	})
	third := s.layer(t, "third", map[string]string{
		"bootstrap": `#!/bin/sh
while :; do
  id=$(curl -sD - -o /tmp/event "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next" | tr -d '\r' | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')
  curl -s -o /dev/null --data '"the bootstrap of a layer"' "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response"
done`,
	})
	with := func(f function, layers ...string) {
		t.Helper()
		in := f.input(t)
		in.Layers = layers
		if _, err := s.api().CreateFunction(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		s.await(t, f.name)
	}
	with(function{name: "py", runtime: python, files: map[string]string{"handler.py": `
import both, deep, os, subprocess
def handler(event, context):
    read_only = not os.access("/opt", os.W_OK)
    return [both.name, deep.name, sorted(os.listdir("/opt/data")), subprocess.check_output(["tool"]).decode().strip(), read_only]
`}}, first, second)
	with(function{name: "js", runtime: node, files: map[string]string{"index.js": `
const both = require('both'), deep = require('deep'), fs = require('fs'), child = require('child_process');
exports.handler = async () => [both.name, deep.name, fs.readdirSync('/opt/data').sort(), child.execSync('tool').toString().trim()];
`}}, first, second)
	with(function{name: "own", runtime: custom, files: map[string]string{"nothing": ""}}, third)

	want := `["second", "deep", ["one", "two"], "tool of first", true]`
	if got := s.invoke(t, "py", "{}"); got.payload != want {
		t.Errorf("Python sees %s, want %s", got.payload, want)
	}
	if got := s.invoke(t, "js", "{}"); got.payload != `["second","deep",["one","two"],"tool of first"]` {
		t.Errorf("Node sees %s", got.payload)
	}
	if got := s.invoke(t, "own", "{}"); got.payload != `"the bootstrap of a layer"` {
		t.Errorf("a custom runtime answers %s", got.payload)
	}

	for _, name := range []string{"first", "second"} {
		if _, err := s.api().DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: aws.Int64(1)}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := s.api().UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("py"), Description: aws.String("its environments are new"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Layers) != 2 || *out.Layers[0].Arn != first {
		t.Errorf("a function lists %v after its layers were deleted", out.Layers)
	}
	s.await(t, "py")
	if got := s.invoke(t, "py", "{}"); got.payload != want {
		t.Errorf("after its layers were deleted Python sees %s, want %s", got.payload, want)
	}
	_, err = s.api().UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("js"), Layers: []string{first}})
	if err == nil || !strings.Contains(err.Error(), "Layer version "+first+" does not exist.") {
		t.Errorf("a layer that was deleted can be attached: %v", err)
	}
}

// Another account may use a layer's version once its policy says so.
func TestLayersOfOtherAccountsNeedPermission(t *testing.T) {
	const other = "222222222222"
	s := serve(t)
	arn := s.layer(t, "shared", map[string]string{"python/shared.py": "name = 'shared'"})
	in := function{name: "borrower", runtime: python, files: map[string]string{
		"handler.py": "import shared\ndef handler(event, context): return shared.name",
	}}.input(t)
	in.Layers = []string{arn}
	api := s.as(other)
	_, err := api.CreateFunction(t.Context(), in)
	var denied smithy.APIError
	want := fmt.Sprintf("User: arn:aws:iam::%s:root is not authorized to perform: lambda:GetLayerVersion on resource: %s "+
		"because no resource-based policy allows the lambda:GetLayerVersion action", other, arn)
	if !errors.As(err, &denied) || denied.ErrorCode() != "AccessDeniedException" || denied.ErrorMessage() != want {
		t.Errorf("without permission: %v", err)
	}
	_, err = s.api().AddLayerVersionPermission(t.Context(), &lambda.AddLayerVersionPermissionInput{
		LayerName: aws.String("shared"), VersionNumber: aws.Int64(1), StatementId: aws.String("s"),
		Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String(other),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.GetLayerVersionByArn(t.Context(), &lambda.GetLayerVersionByArnInput{Arn: &arn}); err != nil {
		t.Errorf("with permission: %v", err)
	}
	if _, err := api.CreateFunction(t.Context(), in); err != nil {
		t.Fatalf("with permission: %v", err)
	}
	if err := lambda.NewFunctionActiveV2Waiter(api).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("borrower")}, 60e9); err != nil {
		t.Fatal(err)
	}
	out, err := api.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("borrower")})
	if err != nil || string(out.Payload) != `"shared"` {
		t.Errorf("the borrower answers %s, %v", out.Payload, err)
	}
}

// A function and its layers share one limit of size.
func TestLayersCountAgainstTheSizeOfAFunction(t *testing.T) {
	s := serve(t)
	big := strings.Repeat("0", 100<<20)
	one := s.layer(t, "one", map[string]string{"data": big})
	two := s.layer(t, "two", map[string]string{"data": big})
	in := function{name: "fn", runtime: python, files: map[string]string{"handler.py": "", "data": big}}.input(t)
	in.Layers = []string{one, two}
	_, err := s.api().CreateFunction(t.Context(), in)
	if err == nil || !strings.Contains(err.Error(), "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. "+
		"The actual size is 314572800 bytes.") {
		t.Errorf("300 MiB in three parts: %v", err)
	}
	in.Layers = []string{one}
	if _, err := s.api().CreateFunction(t.Context(), in); err != nil {
		t.Errorf("200 MiB in two parts: %v", err)
	}
}
