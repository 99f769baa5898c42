package control

import (
	"context"
	"maps"
	"strings"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

func tooManyTags() error { return refuse("Number of tags exceeds resource tag limit.") }

// tagHolder is a resource that has tags.
type tagHolder struct {
	tags map[string]string
	// change replaces them with what fn makes of a copy.
	change func(ctx context.Context, fn func(tags map[string]string) error) error
}

// copied gives fn a copy of tags to change and returns it.
func copied(tags map[string]string, fn func(map[string]string) error) (map[string]string, error) {
	now := maps.Clone(tags)
	if now == nil {
		now = map[string]string{}
	}
	return now, fn(now)
}

// taggable finds what is to be tagged by its ARN, or answers as AWS does for
// one of its kind that does not exist.
func (c *Control) taggable(at lambda.Scope, arn string) (*tagHolder, error) {
	parts := strings.SplitN(arn, ":", 7) // arn:partition:lambda:region:account:kind:name
	if len(parts) < 7 {
		return nil, refuse("The resource %s is not valid.", arn)
	}
	switch parts[5] {
	case "function":
		return c.taggedFunction(at, arn)
	case "event-source-mapping":
		return nil, lambda.Errorf(lambda.ResourceNotFound, "Event source mapping not found: %s", arn)
	case "capacity-provider":
		p, err := c.findProvider(at, arn)
		if err != nil {
			return nil, err
		}
		return &tagHolder{p.Tags, func(ctx context.Context, fn func(map[string]string) error) error {
			return c.changeProvider(ctx, at, arn, func(was *lambda.CapacityProvider) (_ *lambda.CapacityProvider, err error) {
				now := *was
				if now.Tags, err = copied(was.Tags, fn); err != nil {
					return nil, err
				}
				return &now, nil
			})
		}}, nil
	case "code-signing-config":
		s, err := c.findSigning(at, arn)
		if err != nil {
			return nil, err
		}
		return &tagHolder{s.Tags, func(ctx context.Context, fn func(map[string]string) error) error {
			return c.changeSigning(ctx, at, arn, func(was *lambda.CodeSigning) (_ *lambda.CodeSigning, err error) {
				now := *was
				if now.Tags, err = copied(was.Tags, fn); err != nil {
					return nil, err
				}
				return &now, nil
			})
		}}, nil
	}
	return nil, noResource()
}

// taggedFunction finds a function. The RevisionId of $LATEST changes with its tags.
func (c *Control) taggedFunction(at lambda.Scope, arn string) (*tagHolder, error) {
	ref, err := lambda.ParseRef(at, arn, "")
	if err != nil {
		return nil, err
	}
	if ref.Qualifier != "" {
		return nil, refuse("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	e, err := c.find(ref.FunctionID, ref.ARN())
	if err != nil {
		return nil, err
	}
	return &tagHolder{e.Function.Tags, func(ctx context.Context, fn func(map[string]string) error) error {
		return c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) (err error) {
			e := tx.Entry()
			if e == nil {
				return lambda.NotFound(ref.ARN())
			}
			latest := *e.Versions[lambda.Latest]
			if err := changeable(&latest); err != nil {
				return err
			}
			f := *e.Function
			if f.Tags, err = copied(f.Tags, fn); err != nil {
				return err
			}
			latest.RevisionID = c.NewID()
			tx.PutFunction(&f)
			tx.PutVersion(&latest)
			return nil
		})
	}}, nil
}

// TagResource adds tags to a resource, or changes them.
func (c *Control) TagResource(ctx context.Context, at lambda.Scope, in *awslambda.TagResourceInput) (*awslambda.TagResourceOutput, error) {
	r, err := c.taggable(at, *in.Resource)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, refuse("An error occurred and the request cannot be processed.")
	}
	err = r.change(ctx, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		if len(tags) > lambda.MaxTags {
			return tooManyTags()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.TagResourceOutput{}, nil
}

// UntagResource removes tags from a resource. Those it does not have are none.
func (c *Control) UntagResource(ctx context.Context, at lambda.Scope, in *awslambda.UntagResourceInput) (*awslambda.UntagResourceOutput, error) {
	r, err := c.taggable(at, *in.Resource)
	if err != nil {
		return nil, err
	}
	err = r.change(ctx, func(tags map[string]string) error {
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

// ListTags returns a resource's tags.
func (c *Control) ListTags(_ context.Context, at lambda.Scope, in *awslambda.ListTagsInput) (*awslambda.ListTagsOutput, error) {
	r, err := c.taggable(at, *in.Resource)
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListTagsOutput{Tags: map[string]string{}}
	maps.Copy(out.Tags, r.tags)
	return out, nil
}
