package control

import (
	"bytes"
	"net"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/lambent-run/lambent/code/s3"
	"github.com/lambent-run/lambent/lambda"
)

// bucket is one of an S3 in this process. Its objects have versions.
type bucket struct {
	name string
	api  *awss3.Client
}

// withS3 gives a Control an S3 to fetch from, with a bucket in it.
func withS3(t testing.TB, c *Control) bucket {
	t.Helper()
	server := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	t.Cleanup(server.Close)
	c.Objects = s3.New(s3.Config{Endpoint: server.URL, KeyID: "test", Secret: "test"})
	b := bucket{"artifacts", awss3.New(awss3.Options{Region: home.Region, BaseEndpoint: &server.URL, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})}
	if _, err := b.api.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &b.name}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.api.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{Bucket: &b.name,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bucket) put(t testing.TB, key string, content []byte) (version string) {
	t.Helper()
	out, err := b.api.PutObject(t.Context(), &awss3.PutObjectInput{Bucket: &b.name, Key: &key, Body: bytes.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

// What is in S3 is as good as what is in the request: the same bytes are the same package, and a version of an
// object is that version however the object has changed.
func TestCodeComesFromS3(t *testing.T) {
	c := newControl(t)
	b := withS3(t, c)
	one := b.put(t, "code.zip", pack("one"))
	create(t, c, "inline")
	create(t, c, "fn", fromS3(b.name, "code.zip", ""))
	if got, want := latest(t, c, "fn").Code, latest(t, c, "inline").Code; got != want {
		t.Errorf("the package from S3 is %v, the same one inline %v", got, want)
	}
	b.put(t, "code.zip", pack("two"))
	for _, u := range []struct {
		version *string
		want    []byte
	}{{nil, pack("two")}, {&one, pack("one")}} {
		out, err := c.UpdateFunctionCode(t.Context(), home, &awslambda.UpdateFunctionCodeInput{FunctionName: ptr("fn"),
			S3Bucket: &b.name, S3Key: ptr("code.zip"), S3ObjectVersion: u.version})
		if err != nil {
			t.Fatal(err)
		}
		settle(t, c, "fn")
		f, err := c.Code.Zip(latest(t, c, "fn").Code.Digest)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(f.Name())
		f.Close()
		if err != nil || !bytes.Equal(got, u.want) || out.CodeSize != int64(len(u.want)) {
			t.Errorf("version %v: other code, or %v", u.version, err)
		}
	}
}

// What S3 brings is checked as what a request brings, and what cannot be fetched makes no function.
func TestBadCodeFromS3IsRefused(t *testing.T) {
	c := newControl(t)
	b := withS3(t, c)
	b.put(t, "text", []byte("no zip"))
	b.put(t, "large", make([]byte, lambda.MaxUnzippedSize+1))
	const s3Error = "Error occurred while GetObject. S3 Error Code: "
	checkRefusals(t, c, []refusal{
		{"no zip", creating(fromS3(b.name, "text", "")), lambda.InvalidParameterValue,
			"Could not unzip uploaded file. Please check your file, then try to upload again."},
		{"too large", creating(fromS3(b.name, "large", "")), lambda.InvalidParameterValue,
			"Unzipped size must be smaller than 262144000 bytes"},
		{"no such version", creating(fromS3(b.name, "text", "none")), lambda.InvalidParameterValue,
			s3Error + "NoSuchVersion. S3 Error Message: The specified version does not exist."},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c.Objects = s3.New(s3.Config{Endpoint: "http://" + l.Addr().String(), KeyID: "test", Secret: "test"})
	checkRefusals(t, c, []refusal{{"S3 away", creating(fromS3(b.name, "text", "")), lambda.Service, "An internal error occurred."}})
	if n := c.Catalog.Count(home); n != 0 {
		t.Errorf("%d functions, want none", n)
	}
}

// Nobody waits behind a package that is long in coming: unused ones are looked for another time.
func TestUnusedPackagesAreNotLookedForWhileOneArrives(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	if err := deleting("fn", "")(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	unused := c.sweep(nil)
	c.packages.RLock()
	if again := c.sweep(unused); len(unused) != 1 || len(again) != 1 {
		t.Errorf("%d, then %d packages to be removed, want the one", len(unused), len(again))
	}
	c.packages.RUnlock()
	if left := c.sweep(unused); len(left) != 1 {
		t.Errorf("%d packages", len(left))
	}
	if left := c.sweep(unused); len(left) != 0 {
		t.Error("the package is still there")
	}
}
