package control

import (
	"context"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// UpdateFunctionCode replaces the code of $LATEST. Invocations run what was
// until Run has prepared what is new. With DryRun it only says what would be.
func (c *Control) UpdateFunctionCode(ctx context.Context, at lambda.Scope, in *awslambda.UpdateFunctionCodeInput) (*awslambda.UpdateFunctionCodeOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.ARN())
	if err != nil {
		return nil, err
	}
	latest := e.Versions[lambda.Latest]
	if err := expect(in.RevisionId, latest.RevisionID); err != nil {
		return nil, err
	}
	switch {
	case in.ImageUri != nil:
		return nil, refuse("Please don't provide ImageUri when updating a function with packageType Zip.")
	case in.PublishTo != "" && latest.Managed == nil:
		return nil, publishTo()
	}
	if err := changeable(latest); err != nil { // before the work of unpacking; asked again below
		return nil, err
	}
	c.packages.RLock()
	defer c.packages.RUnlock()
	code, err := c.take(ctx, at, &source{
		in.ZipFile, in.S3Bucket, in.S3Key, in.S3ObjectVersion, in.S3ObjectStorageMode, in.SourceKMSKeyArn, true,
	})
	if err != nil {
		return nil, err
	}
	merge := func(f *lambda.Function, cfg *lambda.Config) (err error) {
		cfg.Code = code
		if len(in.Architectures) > 0 {
			cfg.Arch = string(in.Architectures[0])
		}
		if err := c.fitsTogether(ctx, cfg); err != nil {
			return err
		}
		cfg.Signature, err = c.vouched(f.CodeSigning, f.ID, cfg.Code)
		return err
	}
	if in.DryRun {
		would := *latest
		if err := merge(e.Function, &would.Config); err != nil {
			return nil, err
		}
		return shaped[awslambda.UpdateFunctionCodeOutput](render(&would, ref.FunctionID.ARN())), nil
	}
	v, published, err := c.update(ctx, ref, in.RevisionId, in.Publish, merge)
	if err != nil {
		return nil, err
	}
	if published != nil {
		return shaped[awslambda.UpdateFunctionCodeOutput](render(published, published.ID.Qualified(published.Number))), nil
	}
	return shaped[awslambda.UpdateFunctionCodeOutput](render(v, ref.FunctionID.ARN())), nil
}

// UpdateFunctionConfiguration changes the configuration of $LATEST. Members
// that were not given stay as they are.
func (c *Control) UpdateFunctionConfiguration(ctx context.Context, at lambda.Scope, in *awslambda.UpdateFunctionConfigurationInput) (*awslambda.UpdateFunctionConfigurationOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	if _, err := c.find(ref.FunctionID, ref.ARN()); err != nil {
		return nil, err
	}
	c.packages.RLock() // a layer's content stays until the function has it
	defer c.packages.RUnlock()
	on := managed(in.CapacityProviderConfig)
	var v *lambda.Version
	err = c.bindProvider(ctx, at, on, func() (err error) {
		v, _, err = c.update(ctx, ref, in.RevisionId, false, func(f *lambda.Function, cfg *lambda.Config) error {
			if on != nil {
				if cfg.Managed == nil {
					return refuse("CapacityProviderConfig isn't supported for Lambda Default functions.")
				}
				cfg.Managed = on
			}
			err := c.apply(at, cfg, &given{
				in.Description, in.Role, in.Handler, in.Runtime, in.Timeout, in.MemorySize, in.EphemeralStorage, in.Environment,
				in.DeadLetterConfig, in.KMSKeyArn, in.TracingConfig, in.LoggingConfig, in.SnapStart, in.Layers, in.VpcConfig,
				in.FileSystemConfigs, in.ImageConfig, in.DurableConfig,
			})
			if err != nil || len(in.Layers) == 0 {
				return err
			}
			if err := c.fitsTogether(ctx, cfg); err != nil {
				return err
			}
			_, err = c.vouched(f.CodeSigning, f.ID, contents(cfg.Layers)...)
			return err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return shaped[awslambda.UpdateFunctionConfigurationOutput](render(v, ref.FunctionID.ARN())), nil
}

// update changes $LATEST, and publishes the result if asked to.
func (c *Control) update(ctx context.Context, ref lambda.Ref, revision *string, publish bool, merge func(*lambda.Function, *lambda.Config) error) (v, published *lambda.Version, err error) {
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(ref.ARN())
		}
		before := e.Versions[lambda.Latest]
		if err := expect(revision, before.RevisionID); err != nil {
			return err
		}
		if err := changeable(before); err != nil {
			return err
		}
		now := *before
		if err := merge(e.Function, &now.Config); err != nil {
			return err
		}
		if publish {
			if err := publishable(&now.Config); err != nil {
				return err
			}
		}
		now.Serving = before.Runs()
		now.Deployment, now.RevisionID, now.LastModified = c.NewID(), c.NewID(), c.Now()
		// AWS says this of updates, too.
		now.Update, now.UpdateReason, now.UpdateReasonCode = lambda.UpdateInProgress, "The function is being created.", "Creating"
		v = &now
		tx.PutVersion(v)
		if publish {
			published = c.publish(tx, nil)
		}
		return nil
	})
	if err == nil {
		c.enqueue(ref.FunctionID)
	}
	return v, published, err
}
