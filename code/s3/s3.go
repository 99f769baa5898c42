// Package s3 fetches code packages from a service that speaks S3's API.
//
// Package control asks for an object when a caller names one as the source of
// code; cmd makes the client where it has been told of an endpoint. What S3
// refuses becomes Lambda's refusal, in AWS's words. Everything from the endpoint
// is bounded: how long a fetch takes, how many there are at once, and how much
// is read of an error. How much of an object is read is for its reader to bound.
// It starts no goroutine that outlives a fetch.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/lambent-run/lambent/lambda"
)

const (
	fetches   = 4                // at once: each may bring lambda.MaxUnzippedSize bytes to the disk
	fetchTime = 5 * time.Minute  // for one, waiting and retries included
	dialTime  = 5 * time.Second  // for a connection
	headTime  = 20 * time.Second // until an answer begins
	tries     = 3
	backoff   = time.Second // between two tries, at most
	maxError  = 16 << 10    // bytes of an answer that is an error
)

// Config says where S3 is and who asks. All fields but Token are required.
type Config struct {
	Endpoint      string // URL; buckets are the first part of its path ("path style")
	KeyID, Secret string
	Token         string // of a session
}

// Client fetches objects. Make one with New.
type Client struct {
	api   *s3.Client
	slots chan struct{}
}

// New makes a client. It connects to nothing yet.
func New(cfg Config) *Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSHandshakeTimeout:   dialTime,
		ResponseHeaderTimeout: headTime,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   fetches,
		DisableCompression:    true, // the bytes as they are kept, whatever Content-Encoding they were given
	}
	return &Client{slots: make(chan struct{}, fetches), api: s3.New(s3.Options{
		BaseEndpoint: &cfg.Endpoint,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(cfg.KeyID, cfg.Secret, cfg.Token),
		HTTPClient: &http.Client{
			Transport: short{transport},
			// The endpoint is the operator's choice and nobody else's. That S3 sends
			// elsewhere is an error that tells where.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = tries, backoff }),
		// It would ask the endpoint for a session of its own for names that end in --x-s3.
		DisableS3ExpressSessionAuth:               aws.Bool(true),
		DisableLogOutputChecksumValidationSkipped: true,
	})}
}

// short cuts answers that are errors: the SDK reads them into memory whole.
type short struct{ http.RoundTripper }

func (s short) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode >= 300 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxError), resp.Body}
	}
	return resp, err
}

// Get opens an object, or with a version that version of it, as of a bucket in
// the region. The caller must close it. A refusal of S3's is
// lambda.InvalidParameterValue with S3's code and message; any other error, such
// as that S3 cannot be reached, is the platform's own trouble.
func (c *Client) Get(ctx context.Context, region, bucket, key, version string) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTime, errSlow)
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return nil, fmt.Errorf("fetch s3://%s/%s: %w", bucket, key, context.Cause(ctx))
	}
	end := sync.OnceFunc(func() {
		cancel()
		<-c.slots
	})
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := c.api.GetObject(ctx, in, func(o *s3.Options) { o.Region = region })
	if err != nil {
		if ctx.Err() != nil { // the SDK tells that it was, and not why
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		end()
		return nil, refusal(err, bucket, key)
	}
	return &object{out.Body, end}, nil
}

var errSlow = fmt.Errorf("S3 took longer than %v", fetchTime)

// object is an open object, whose fetch ends when it is closed.
type object struct {
	io.ReadCloser
	end func()
}

func (o *object) Close() error {
	defer o.end()
	return o.ReadCloser.Close()
}

// said is what S3 says with a code where its imitations say nothing, or repeat it.
var said = map[string]string{
	"AccessDenied":  "Access Denied",
	"NoSuchBucket":  "The specified bucket does not exist",
	"NoSuchKey":     "The specified key does not exist.",
	"NoSuchVersion": "The specified version does not exist.",
}

// refusal tells what S3 refused from what went wrong.
func refusal(err error, bucket, key string) error {
	var refused smithy.APIError
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &refused) || !errors.As(err, &answer) || answer.HTTPStatusCode() >= 500 {
		return fmt.Errorf("fetch s3://%s/%s: %w", bucket, key, err)
	}
	code, message := refused.ErrorCode(), refused.ErrorMessage()
	if message == "" || message == code || message == "UnknownError" { // the SDK's word for none
		message = said[code]
	}
	return lambda.Errorf(lambda.InvalidParameterValue,
		"Error occurred while GetObject. S3 Error Code: %s. S3 Error Message: %s", code, message)
}
