package control

import (
	"context"
	"fmt"
	"strings"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// noFunction, noAsync and noURLFunction are the sentences of AWS for operations on
// configurations of asynchronous invocation and function URLs.
func noFunction() error { return lambda.Errorf(lambda.ResourceNotFound, "The function doesn't exist.") }

func noAsync(ref lambda.Ref) error {
	return lambda.Errorf(lambda.ResourceNotFound, "The function %s doesn't have an EventInvokeConfig", ref.Qualified(ref.Or()))
}

// destinations checks where outcomes are to go and returns the two ARNs.
func (c *Control) destinations(ref lambda.Ref, in *types.DestinationConfig) (success, failure string, err error) {
	if in == nil {
		return "", "", nil
	}
	shown := [2]string{"null", "null"}
	if in.OnSuccess != nil {
		success = value(in.OnSuccess.Destination)
		shown[0] = fmt.Sprintf("OnSuccess(destination=%s)", success)
	}
	if in.OnFailure != nil {
		failure = value(in.OnFailure.Destination)
		shown[1] = fmt.Sprintf("OnFailure(destination=%s)", failure)
	}
	for i, arn := range []string{success, failure} {
		if arn == "" {
			continue
		}
		parts := strings.SplitN(arn, ":", 6) // arn:partition:service:region:account:resource
		service := ""
		if len(parts) == 6 {
			service = parts[2]
		}
		switch service {
		case "lambda":
			target, err := lambda.ParseRef(lambda.Scope{Region: parts[3], Account: parts[4]}, arn, "")
			if err == nil && target.FunctionID == ref.FunctionID {
				return "", "", refuse("You can't specify the function as a destination for itself.")
			}
			if err != nil || !c.exists(target) {
				return "", "", refuse("The destination ARN %s is invalid.", arn)
			}
			continue
		case "sqs", "sns":
			if !strings.HasSuffix(arn, ".fifo") {
				continue
			}
		case "events":
			continue
		case "s3":
			if i == 1 { // for failures only
				continue
			}
		}
		return "", "", refuse("The provided destination config DestinationConfig(onSuccess=%s, onFailure=%s) is invalid.", shown[0], shown[1])
	}
	return success, failure, nil
}

// exists tells whether there is a function, with the qualifier if one is given.
func (c *Control) exists(ref lambda.Ref) bool {
	e := c.Catalog.Get(ref.FunctionID)
	return e != nil && e.Version(ref.Or()) != nil
}

func renderAsync(ref lambda.Ref, qualifier string, a *lambda.Async) types.FunctionEventInvokeConfig {
	out := types.FunctionEventInvokeConfig{
		FunctionArn:              ptr(ref.Qualified(qualifier)),
		LastModified:             ptr(a.Modified),
		MaximumRetryAttempts:     a.Retries,
		MaximumEventAgeInSeconds: a.MaxAge,
		DestinationConfig:        &types.DestinationConfig{OnSuccess: &types.OnSuccess{}, OnFailure: &types.OnFailure{}},
	}
	if a.OnSuccess != "" {
		out.DestinationConfig.OnSuccess.Destination = ptr(a.OnSuccess)
	}
	if a.OnFailure != "" {
		out.DestinationConfig.OnFailure.Destination = ptr(a.OnFailure)
	}
	return out
}

// asyncInput is what the two operations that configure share.
type asyncInput struct {
	name, qualifier *string
	retries, maxAge *int32
	destination     *types.DestinationConfig
}

// setAsync replaces the configuration of a qualifier, or merges into it.
func (c *Control) setAsync(ctx context.Context, at lambda.Scope, in asyncInput, merge bool) (*types.FunctionEventInvokeConfig, error) {
	ref, err := lambda.ParseRef(at, *in.name, value(in.qualifier))
	if err != nil {
		return nil, err
	}
	var now lambda.Async
	err = c.resettle(ctx, ref, noFunction(), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) error {
		if merge && set.Async == nil {
			return noAsync(ref)
		}
		if in.retries == nil && in.maxAge == nil && in.destination == nil {
			return refuse("You must specify at least one of error handling or destination setting.")
		}
		success, failure, err := c.destinations(ref, in.destination)
		if err != nil {
			return err
		}
		if merge {
			now = *set.Async
		}
		if in.retries != nil {
			now.Retries = in.retries
		}
		if in.maxAge != nil {
			now.MaxAge = in.maxAge
		}
		if d := in.destination; d != nil {
			if d.OnSuccess != nil {
				now.OnSuccess = success
			}
			if d.OnFailure != nil {
				now.OnFailure = failure
			}
		}
		now.Modified = c.Now()
		set.Async = &now
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := renderAsync(ref, ref.Or(), &now)
	return &r, nil
}

// PutFunctionEventInvokeConfig sets how asynchronous invocations of a qualifier
// are treated; what is not given is no longer set.
func (c *Control) PutFunctionEventInvokeConfig(ctx context.Context, at lambda.Scope, in *awslambda.PutFunctionEventInvokeConfigInput) (*awslambda.PutFunctionEventInvokeConfigOutput, error) {
	r, err := c.setAsync(ctx, at, asyncInput{in.FunctionName, in.Qualifier, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, false)
	if err != nil {
		return nil, err
	}
	return shaped[awslambda.PutFunctionEventInvokeConfigOutput](r), nil
}

// UpdateFunctionEventInvokeConfig changes how asynchronous invocations of a
// qualifier are treated; what is not given stays.
func (c *Control) UpdateFunctionEventInvokeConfig(ctx context.Context, at lambda.Scope, in *awslambda.UpdateFunctionEventInvokeConfigInput) (*awslambda.UpdateFunctionEventInvokeConfigOutput, error) {
	r, err := c.setAsync(ctx, at, asyncInput{in.FunctionName, in.Qualifier, in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig}, true)
	if err != nil {
		return nil, err
	}
	return shaped[awslambda.UpdateFunctionEventInvokeConfigOutput](r), nil
}

// GetFunctionEventInvokeConfig returns the configuration of a qualifier.
func (c *Control) GetFunctionEventInvokeConfig(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionEventInvokeConfigInput) (*awslambda.GetFunctionEventInvokeConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	e := c.Catalog.Get(ref.FunctionID)
	if e == nil || e.Of(ref.Or()).Async == nil {
		return nil, noAsync(ref)
	}
	r := renderAsync(ref, ref.Or(), e.Of(ref.Or()).Async)
	return shaped[awslambda.GetFunctionEventInvokeConfigOutput](&r), nil
}

// DeleteFunctionEventInvokeConfig removes the configuration of a qualifier.
func (c *Control) DeleteFunctionEventInvokeConfig(ctx context.Context, at lambda.Scope, in *awslambda.DeleteFunctionEventInvokeConfigInput) (*awslambda.DeleteFunctionEventInvokeConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	err = c.resettle(ctx, ref, noAsync(ref), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) error {
		if set.Async == nil {
			return noAsync(ref)
		}
		set.Async = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteFunctionEventInvokeConfigOutput{}, nil
}

// ListFunctionEventInvokeConfigs lists a function's, by qualifier.
func (c *Control) ListFunctionEventInvokeConfigs(_ context.Context, at lambda.Scope, in *awslambda.ListFunctionEventInvokeConfigsInput) (*awslambda.ListFunctionEventInvokeConfigsOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e := c.Catalog.Get(ref.FunctionID)
	if e == nil {
		return nil, noFunction()
	}
	out := &awslambda.ListFunctionEventInvokeConfigsOutput{FunctionEventInvokeConfigs: []types.FunctionEventInvokeConfig{}}
	out.NextMarker, err = settingsPage(e, in.Marker, in.MaxItems, func(qualifier string, s *lambda.Settings) bool {
		if s.Async == nil {
			return false
		}
		out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, renderAsync(ref, qualifier, s.Async))
		return true
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
