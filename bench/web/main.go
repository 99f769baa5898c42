// Command web is the Go function that the benchmarks reach by HTTP: it gives the
// body of a request back, or streams as many bytes as it is asked for, in chunks
// of 64 KiB.
package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/aws/aws-lambda-go/lambda"
)

// event is a function URL's, or the one of a caller of the API.
type event struct {
	Body   string `json:"body"`
	Stream int64  `json:"stream"`
}

type answer struct {
	StatusCode int    `json:"statusCode"`
	Body       string `json:"body"`
}

func handle(_ context.Context, e event) (any, error) {
	if e.Body != "" && e.Body[0] == '{' {
		if err := json.Unmarshal([]byte(e.Body), &e); err != nil {
			return nil, err
		}
	}
	if e.Stream > 0 {
		return &zeros{left: e.Stream}, nil
	}
	return answer{200, e.Body}, nil
}

// zeros reads as so many zero bytes, 64 KiB at a time.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := int(min(z.left, int64(len(p)), 64<<10))
	clear(p[:n])
	z.left -= int64(n)
	return n, nil
}

func main() { lambda.Start(handle) }
