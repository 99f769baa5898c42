package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/lambent-run/lambent/lambda"
)

// service is an S3 in this process. It passes every request to see first.
func service(t *testing.T, see func(*http.Request)) (endpoint string, api *s3.Client) {
	t.Helper()
	fake := gofakes3.New(s3mem.New()).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		see(r)
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &server.URL, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("owner", "secret", "")})
}

func put(t *testing.T, api *s3.Client, bucket, key, content string) (version string) {
	t.Helper()
	out, err := api.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

func open(endpoint string) *Client {
	return New(Config{Endpoint: endpoint, KeyID: "AKIDEXAMPLE", Secret: "secret", Token: "session"})
}

// An object comes as it was put, the version that was asked for or else the latest, whatever its key.
func TestGetOpensTheObjectAskedFor(t *testing.T) {
	var asked http.Header
	endpoint, api := service(t, func(r *http.Request) { asked = r.Header.Clone() })
	bucket := aws.String("artifacts")
	if _, err := api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	c := open(endpoint)
	for _, key := range []string{"function.zip", "a/b c/ü+%25?&=#.zip", "/absolute"} {
		first := put(t, api, *bucket, key, "first")
		second := put(t, api, *bucket, key, "second")
		if first == "" || first == second {
			t.Fatalf("versions %q and %q", first, second)
		}
		for _, want := range []struct{ version, content string }{{"", "second"}, {first, "first"}, {second, "second"}} {
			object, err := c.Get(t.Context(), "eu-central-1", *bucket, key, want.version)
			if err != nil {
				t.Errorf("%s at %q: %v", key, want.version, err)
				continue
			}
			got, err := io.ReadAll(object)
			if err := errors.Join(err, object.Close()); err != nil || string(got) != want.content {
				t.Errorf("%s at %q is %q, %v, want %q", key, want.version, got, err, want.content)
			}
		}
	}
	// The request is signed for the region, by whom the server was told to be.
	if a := asked.Get("Authorization"); !strings.Contains(a, "Credential=AKIDEXAMPLE/") || !strings.Contains(a, "/eu-central-1/s3/") {
		t.Errorf("signed as %s", a)
	}
	if got := asked.Get("X-Amz-Security-Token"); got != "session" {
		t.Errorf("the session's token is %q", got)
	}
}

// answers is a server that answers everything in one way.
func answers(t *testing.T, status int, header http.Header, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// document is an error as S3 sends it (Amazon S3 API reference, "Error responses").
func document(code, message string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>%s</Code><Message>%s</Message><RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>`, code, message)
}

// What S3 refuses is refused with S3's code and words: those that S3 sends, or would.
// (TestLambdaFunction::test_lambda_code_location_s3_errors, 2025-11-25, for the first two; the others by analogy)
func TestRefusalsHaveTheWordsOfS3(t *testing.T) {
	endpoint, api := service(t, func(*http.Request) {})
	if _, err := api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("artifacts")}); err != nil {
		t.Fatal(err)
	}
	put(t, api, "artifacts", "key", "content")
	const redirected = "The bucket you are attempting to access must be addressed using the specified endpoint. " +
		"Please send all future requests to this endpoint."
	for _, c := range []struct {
		name, endpoint, bucket, key, version, code, message string
	}{
		{"no bucket", endpoint, "none", "key", "", "NoSuchBucket", "The specified bucket does not exist"},
		{"no key", endpoint, "artifacts", "none", "", "NoSuchKey", "The specified key does not exist."},
		{"no version", endpoint, "artifacts", "key", "none", "NoSuchVersion", "The specified version does not exist."},
		{"no key, by S3", answers(t, 404, nil, document("NoSuchKey", "The specified key does not exist.")), "b", "k", "",
			"NoSuchKey", "The specified key does not exist."},
		{"no access", answers(t, 403, nil, document("AccessDenied", "Access Denied")), "b", "k", "", "AccessDenied", "Access Denied"},
		{"another region", answers(t, 301, nil, document("PermanentRedirect", redirected)), "b", "k", "", "PermanentRedirect", redirected},
		{"elsewhere", answers(t, 307, http.Header{"Location": {endpoint + "/artifacts/key"}}, document("TemporaryRedirect", "Please re-send")),
			"b", "k", "", "TemporaryRedirect", "Please re-send"},
	} {
		_, err := open(c.endpoint).Get(t.Context(), "us-east-1", c.bucket, c.key, c.version)
		want := "Error occurred while GetObject. S3 Error Code: " + c.code + ". S3 Error Message: " + c.message
		if e := lambda.AsError(err); err == nil || e.Code != lambda.InvalidParameterValue || e.Message != want || e.Err != nil {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, want)
		}
	}
}

// That S3 has trouble, or is no S3, is not the caller's mistake: the cause is told to the log alone.
func TestTroubleIsNoRefusal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	for _, c := range []struct{ name, endpoint, cause string }{
		{"not there", closed, "connection refused"},
		{"overloaded", answers(t, 503, nil, document("SlowDown", "Please reduce your request rate.")), "SlowDown"},
		{"not S3", answers(t, 404, nil, "<html>"+strings.Repeat("<p>not found", 100_000)), ""},
		{"endless", answers(t, 403, nil, "<Error>"+strings.Repeat("<Code>", 10_000)), ""},
	} {
		_, err := open(c.endpoint).Get(t.Context(), "us-east-1", "b", "k", "")
		if err == nil || lambda.AsError(err).Code != lambda.Service || !strings.Contains(err.Error(), c.cause) {
			t.Errorf("%s: %v", c.name, err)
		}
		if n := len(fmt.Sprint(err)); n > 2*maxError {
			t.Errorf("%s: the error has %d bytes", c.name, n)
		}
	}
}

// What breaks off is not the whole.
func TestBrokenObjectIsAnError(t *testing.T) {
	endpoint := answers(t, 200, http.Header{"Content-Length": {"1000"}}, "some of it")
	object, err := open(endpoint).Get(t.Context(), "us-east-1", "b", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if _, err := io.ReadAll(object); err == nil {
		t.Error("a part was taken for the whole")
	}
}

// No more objects are open than there is room for. Who waits for his turn can give up.
func TestFetchesAreBounded(t *testing.T) {
	c := open(answers(t, 200, nil, "content"))
	var objects []io.ReadCloser
	for range fetches {
		object, err := c.Get(t.Context(), "us-east-1", "b", "k", "")
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("the caller left")
	cancel(left)
	if _, err := c.Get(ctx, "us-east-1", "b", "k", ""); !errors.Is(err, left) {
		t.Errorf("one too many: %v", err)
	}
	for _, object := range objects {
		object.Close()
		object.Close() // once more does no harm
	}
	object, err := c.Get(t.Context(), "us-east-1", "b", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	object.Close()
}
