package e2e

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// objects is an S3 with one bucket, which keeps versions.
type objects struct {
	*httptest.Server
	api    *s3.Client
	bucket string
}

func serveS3(t *testing.T) *objects {
	t.Helper()
	o := &objects{Server: httptest.NewServer(gofakes3.New(s3mem.New()).Server()), bucket: "artifacts"}
	t.Cleanup(o.Close)
	o.api = s3.New(s3.Options{Region: region, BaseEndpoint: &o.URL, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	if _, err := o.api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &o.bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.api.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: &o.bucket,
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	return o
}

// put puts a package of one Python handler that answers with a word.
func (o *objects) put(t *testing.T, key, word string) (version string) {
	t.Helper()
	b := pack(t, map[string]string{"handler.py": "def handler(e, c):\n    return '" + word + "'\n"})
	out, err := o.api.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &o.bucket, Key: &key, Body: bytes.NewReader(b)})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

// The aws CLI deploys from S3, updates from it, by version too, and hears what S3 refused in AWS's words
// (TestLambdaFunction::test_lambda_code_location_s3_errors, 2025-11-25).
func TestCodeFromS3WithTheCLI(t *testing.T) {
	o := serveS3(t)
	first := o.put(t, "hello.zip", "first")
	s := serve(t, "--endpoint-s3", o.URL)
	expect := func(want string) {
		t.Helper()
		s.cli(t, "wait", "function-updated-v2", "--function-name", "hello")
		if a := s.invoke(t, "hello", "{}"); a.payload != want {
			t.Errorf("answered %s %s, want %s", a.payload, a.fault, want)
		}
	}
	create := func(name, code string) []string {
		return []string{"create-function", "--function-name", name, "--runtime", python, "--handler", "handler.handler",
			"--role", role, "--code", code}
	}
	s.cli(t, create("hello", "S3Bucket=artifacts,S3Key=hello.zip")...)
	s.cli(t, "wait", "function-active-v2", "--function-name", "hello")
	expect(`"first"`)
	o.put(t, "hello.zip", "second")
	expect(`"first"`) // the function has a copy
	s.cli(t, "update-function-code", "--function-name", "hello", "--s3-bucket", "artifacts", "--s3-key", "hello.zip")
	expect(`"second"`)
	s.cli(t, "update-function-code", "--function-name", "hello", "--s3-bucket", "artifacts", "--s3-key", "hello.zip",
		"--s3-object-version", first)
	expect(`"first"`)

	const refused = "InvalidParameterValueException) when calling the "
	for _, c := range []struct {
		want string
		args []string
	}{
		{refused + "CreateFunction operation: Error occurred while GetObject. S3 Error Code: NoSuchKey. " +
			"S3 Error Message: The specified key does not exist.", create("new", "S3Bucket=artifacts,S3Key=none.zip")},
		{refused + "CreateFunction operation: Error occurred while GetObject. S3 Error Code: NoSuchBucket. " +
			"S3 Error Message: The specified bucket does not exist", create("new", "S3Bucket=none,S3Key=hello.zip")},
		{refused + "UpdateFunctionCode operation: Error occurred while GetObject. S3 Error Code: NoSuchKey. " +
			"S3 Error Message: The specified key does not exist.",
			[]string{"update-function-code", "--function-name", "hello", "--s3-bucket", "artifacts", "--s3-key", "none.zip"}},
	} {
		if _, said, err := s.runCLI(t, c.args...); err == nil || !strings.HasSuffix(strings.TrimSpace(said), c.want) {
			t.Errorf("aws lambda %s said %q, want %q", strings.Join(c.args, " "), said, c.want)
		}
	}
	expect(`"first"`)
}

// Without an S3 the refusal says what to do; with one that is gone, the caller hears of an error and the log of its cause.
func TestCodeFromAnS3ThatIsNotThere(t *testing.T) {
	o := serveS3(t)
	from := function{name: "hello", runtime: python}.input(t)
	from.Code = &types.FunctionCode{S3Bucket: &o.bucket, S3Key: aws.String("hello.zip")}

	var refused *types.InvalidParameterValueException
	if _, err := serve(t).api().CreateFunction(t.Context(), from); !errors.As(err, &refused) || !strings.Contains(err.Error(), "--endpoint-s3") {
		t.Errorf("without an endpoint: %v", err)
	}

	s := serve(t, "--endpoint-s3", o.URL)
	o.Close()
	_, err := s.api().CreateFunction(t.Context(), from)
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "ServiceException" || strings.Contains(err.Error(), "refused") {
		t.Errorf("with one that is gone: %v", err)
	}
	if log := s.tail(4 << 10); !strings.Contains(log, "connection refused") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	if _, err := s.api().GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: from.FunctionName}); err == nil {
		t.Error("the function exists")
	}
}
