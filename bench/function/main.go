// Command function is the Go function that the benchmarks invoke: a raw handler
// that returns its event, so that what is measured is the platform and the
// client library, not an encoder.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

type echo struct{}

func (echo) Invoke(_ context.Context, event []byte) ([]byte, error) { return event, nil }

func main() { lambda.Start(echo{}) }
