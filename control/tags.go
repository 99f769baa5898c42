package control

import (
	"context"
	"maps"
	"strings"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// taggable reads the ARN of what is to be tagged. Only functions exist yet; the
// other kinds are answered as AWS answers for one that does not exist.
func (c *Control) taggable(at lambda.Scope, arn string) (lambda.FunctionID, error) {
	parts := strings.SplitN(arn, ":", 7) // arn:partition:lambda:region:account:kind:name
	if len(parts) < 7 {
		return lambda.FunctionID{}, refuse("The resource %s is not valid.", arn)
	}
	switch parts[5] {
	case "function":
	case "event-source-mapping":
		return lambda.FunctionID{}, lambda.Errorf(lambda.ResourceNotFound, "Event source mapping not found: %s", arn)
	case "capacity-provider":
		return lambda.FunctionID{}, lambda.Errorf(lambda.ResourceNotFound, "Capacity provider not found: %s", arn)
	case "code-signing-config":
		return lambda.FunctionID{}, lambda.Errorf(lambda.ResourceNotFound, "The Lambda code signing configuration %s can not be found.", arn)
	default:
		return lambda.FunctionID{}, lambda.Errorf(lambda.ResourceNotFound, "The resource you requested does not exist.")
	}
	ref, err := lambda.ParseRef(at, arn, "")
	if err != nil {
		return lambda.FunctionID{}, err
	}
	if ref.Qualifier != "" {
		return lambda.FunctionID{}, refuse("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return ref.FunctionID, nil
}

// retag changes a function's tags. The RevisionId of $LATEST changes with them.
func (c *Control) retag(ctx context.Context, id lambda.FunctionID, change func(tags map[string]string) error) error {
	return c.Catalog.Update(ctx, id, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(id.ARN())
		}
		latest := *e.Versions[lambda.Latest]
		if err := changeable(&latest); err != nil {
			return err
		}
		f := *e.Function
		f.Tags = maps.Clone(f.Tags)
		if f.Tags == nil {
			f.Tags = map[string]string{}
		}
		if err := change(f.Tags); err != nil {
			return err
		}
		latest.RevisionID = c.NewID()
		tx.PutFunction(&f)
		tx.PutVersion(&latest)
		return nil
	})
}

// TagResource adds tags to a function, or changes them.
func (c *Control) TagResource(ctx context.Context, at lambda.Scope, in *awslambda.TagResourceInput) (*awslambda.TagResourceOutput, error) {
	id, err := c.taggable(at, *in.Resource)
	if err != nil {
		return nil, err
	}
	if _, err := c.find(id, id.ARN()); err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, refuse("An error occurred and the request cannot be processed.")
	}
	err = c.retag(ctx, id, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		if len(tags) > lambda.MaxTags {
			return refuse("Number of tags exceeds resource tag limit.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.TagResourceOutput{}, nil
}

// UntagResource removes tags from a function. Those it does not have are none.
func (c *Control) UntagResource(ctx context.Context, at lambda.Scope, in *awslambda.UntagResourceInput) (*awslambda.UntagResourceOutput, error) {
	id, err := c.taggable(at, *in.Resource)
	if err != nil {
		return nil, err
	}
	err = c.retag(ctx, id, func(tags map[string]string) error {
		for _, key := range in.TagKeys {
			delete(tags, key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.UntagResourceOutput{}, nil
}

// ListTags returns a function's tags.
func (c *Control) ListTags(_ context.Context, at lambda.Scope, in *awslambda.ListTagsInput) (*awslambda.ListTagsOutput, error) {
	id, err := c.taggable(at, *in.Resource)
	if err != nil {
		return nil, err
	}
	e, err := c.find(id, id.ARN())
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListTagsOutput{Tags: map[string]string{}}
	maps.Copy(out.Tags, e.Function.Tags)
	return out, nil
}
