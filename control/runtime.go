package control

import (
	"context"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// PutRuntimeManagementConfig says when a version moves to another build of its
// runtime. There is one build of each here, so Manual takes no other.
func (c *Control) PutRuntimeManagementConfig(ctx context.Context, at lambda.Scope, in *awslambda.PutRuntimeManagementConfigInput) (*awslambda.PutRuntimeManagementConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	m := &lambda.RuntimeManagement{UpdateOn: string(in.UpdateRuntimeOn), ARN: value(in.RuntimeVersionArn)}
	manual := in.UpdateRuntimeOn == types.UpdateRuntimeOnManual
	err = c.resettle(ctx, ref, lambda.NotFound(ref.ARN()), func(_ *catalog.Tx, e *catalog.Entry, set *lambda.Settings) error {
		switch v := e.Version(ref.Or()); {
		case manual && m.ARN == "":
			return refuse("RuntimeVersionArn is required when UpdateRuntimeOn is Manual.")
		case !manual && m.ARN != "":
			return refuse("RuntimeVersionArn can be specified only when UpdateRuntimeOn is Manual.")
		case manual && m.ARN != v.RuntimeARN():
			return refuse("Runtime version %s is not available for the runtime %s.", m.ARN, v.Runtime)
		}
		set.Runtime = m
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.PutRuntimeManagementConfigOutput{
		FunctionArn: ptr(ref.ARN()), UpdateRuntimeOn: in.UpdateRuntimeOn, RuntimeVersionArn: in.RuntimeVersionArn,
	}, nil
}

// GetRuntimeManagementConfig returns what PutRuntimeManagementConfig set, Auto
// if it has not.
func (c *Control) GetRuntimeManagementConfig(_ context.Context, at lambda.Scope, in *awslambda.GetRuntimeManagementConfigInput) (*awslambda.GetRuntimeManagementConfigOutput, error) {
	e, _, ref, err := c.version(at, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &awslambda.GetRuntimeManagementConfigOutput{FunctionArn: ptr(ref.ARN()), UpdateRuntimeOn: types.UpdateRuntimeOnAuto}
	if m := e.Of(ref.Or()).Runtime; m != nil {
		out.UpdateRuntimeOn = types.UpdateRuntimeOn(m.UpdateOn)
		if m.ARN != "" {
			out.RuntimeVersionArn = ptr(m.ARN)
		}
	}
	return out, nil
}

// PutFunctionRecursionConfig says what to do when a function calls itself
// through other services.
func (c *Control) PutFunctionRecursionConfig(ctx context.Context, at lambda.Scope, in *awslambda.PutFunctionRecursionConfigInput) (*awslambda.PutFunctionRecursionConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		if tx.Entry() == nil {
			return lambda.NotFound(ref.FunctionID.ARN())
		}
		f := *tx.Entry().Function
		f.Recursion = string(in.RecursiveLoop)
		tx.PutFunction(&f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.PutFunctionRecursionConfigOutput{RecursiveLoop: in.RecursiveLoop}, nil
}

// GetFunctionRecursionConfig returns what PutFunctionRecursionConfig set,
// Terminate if it has not.
func (c *Control) GetFunctionRecursionConfig(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionRecursionConfigInput) (*awslambda.GetFunctionRecursionConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.FunctionID.ARN())
	if err != nil {
		return nil, err
	}
	out := &awslambda.GetFunctionRecursionConfigOutput{RecursiveLoop: types.RecursiveLoopTerminate}
	if r := e.Function.Recursion; r != "" {
		out.RecursiveLoop = types.RecursiveLoop(r)
	}
	return out, nil
}

// scalable finds a version on managed instances, whose environments can be
// bounded. $LATEST.PUBLISHED is known by its settings alone: it runs what
// publishing to it last made.
func scalable(e *catalog.Entry, ref lambda.Ref) (*lambda.Version, error) {
	qualifier := ref.Qualifier
	if qualifier == lambda.LatestPublished {
		qualifier = lambda.Latest
	}
	v := e.Versions[qualifier]
	if v == nil {
		return nil, lambda.NotFound(ref.ARN())
	}
	if v.Managed == nil {
		return nil, refuse("FunctionScalingConfig isn't supported for Lambda Default functions.")
	}
	return v, nil
}

// PutFunctionScalingConfig bounds the environments of a version on managed
// instances.
func (c *Control) PutFunctionScalingConfig(ctx context.Context, at lambda.Scope, in *awslambda.PutFunctionScalingConfigInput) (*awslambda.PutFunctionScalingConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	out := &awslambda.PutFunctionScalingConfigOutput{}
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(ref.FunctionID.ARN())
		}
		v, err := scalable(e, ref)
		if err != nil {
			return err
		}
		s := *e.Of(ref.Qualifier)
		s.Scaling = nil
		if g := in.FunctionScalingConfig; g != nil {
			if g.MinExecutionEnvironments != nil && g.MaxExecutionEnvironments != nil && *g.MinExecutionEnvironments > *g.MaxExecutionEnvironments {
				return refuse("MinExecutionEnvironments must be less than or equal to MaxExecutionEnvironments.")
			}
			s.Scaling = &lambda.Scaling{Min: g.MinExecutionEnvironments, Max: g.MaxExecutionEnvironments}
		}
		tx.PutSettings(ref.Qualifier, &s)
		out.FunctionState = types.State(v.State)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GetFunctionScalingConfig returns the bounds that were asked for. None are
// applied, since nothing runs on managed instances here.
func (c *Control) GetFunctionScalingConfig(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionScalingConfigInput) (*awslambda.GetFunctionScalingConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.FunctionID.ARN())
	if err != nil {
		return nil, err
	}
	if _, err := scalable(e, ref); err != nil {
		return nil, err
	}
	out := &awslambda.GetFunctionScalingConfigOutput{FunctionArn: ptr(ref.ARN())}
	if s := e.Of(ref.Qualifier).Scaling; s != nil {
		out.RequestedFunctionScalingConfig = &types.FunctionScalingConfig{MinExecutionEnvironments: s.Min, MaxExecutionEnvironments: s.Max}
	}
	return out, nil
}
