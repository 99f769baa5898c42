// Command official is a function on AWS's own client library for Go.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do    string
	Value any
}

type result struct {
	Value     any
	RequestID string
	ARN       string
	Name      string
	Version   string
	Memory    int
	Remaining bool // the deadline lies ahead, within the function's timeout
	Custom    map[string]string
}

func handle(ctx context.Context, e event) (*result, error) {
	switch e.Do {
	case "error":
		return nil, errors.New("msg")
	case "panic":
		panic("no way out")
	}
	lc, ok := lambdacontext.FromContext(ctx)
	if !ok {
		return nil, errors.New("no context")
	}
	deadline, ok := ctx.Deadline()
	left := time.Until(deadline)
	return &result{
		Value: e.Value, RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn,
		Name: lambdacontext.FunctionName, Version: lambdacontext.FunctionVersion, Memory: lambdacontext.MemoryLimitInMB,
		Remaining: ok && left > 0 && left <= 10*time.Second, Custom: lc.ClientContext.Custom,
	}, nil
}

func main() { lambda.Start(handle) }
