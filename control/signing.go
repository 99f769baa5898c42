package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/signature"
)

// signer says who signed a package: nil if nobody known did, or their
// signature is no longer good.
func (c *Control) signer(pkg lambda.Code256) (*lambda.Signature, error) {
	s, _, err := c.verify(pkg)
	return s, err
}

// verify says who signed a package, or what is wrong with its signature.
func (c *Control) verify(pkg lambda.Code256) (s *lambda.Signature, wrong, err error) {
	if pkg.Dir != "" {
		return nil, signature.ErrUnsigned, nil
	}
	profiles := signature.Profiles{}
	if c.Profiles != "" {
		if profiles, err = signature.LoadProfiles(c.Profiles); err != nil {
			return nil, nil, err
		}
	}
	f, err := c.Code.Zip(pkg.Digest)
	if err != nil {
		return nil, nil, fmt.Errorf("verify the package: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("verify the package: %w", err)
	}
	s, err = signature.Verify(f, info.Size(), profiles, c.Now())
	for _, known := range []error{signature.ErrUnsigned, signature.ErrIntegrity, signature.ErrUnknownProfile, signature.ErrExpired, signature.ErrRevoked} {
		if errors.Is(err, known) {
			return nil, err, nil
		}
	}
	return s, nil, err
}

// vouched refuses packages that a function's code signing configuration does
// not let through, and says who signed the first. csc is the configuration's
// ARN or "". A package that was altered is refused under every policy; what is
// otherwise not trusted only under Enforce, and else logged.
func (c *Control) vouched(csc string, fn lambda.FunctionID, packages ...lambda.Code256) (first *lambda.Signature, err error) {
	// Its deletion is refused while it is bound.
	config := c.Catalog.CodeSigning.Get(signingID(csc))
	for i, p := range packages {
		signer, wrong, err := c.verify(p)
		if err == nil && config != nil {
			err = c.trusted(config, fn, signer, wrong)
		}
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = signer
		}
	}
	return first, nil
}

// contents are the packages of layers.
func contents(layers []lambda.Layer) []lambda.Code256 {
	var all []lambda.Code256
	for _, l := range layers {
		all = append(all, l.Code)
	}
	return all
}

func (c *Control) trusted(config *lambda.CodeSigning, fn lambda.FunctionID, signer *lambda.Signature, wrong error) error {
	if errors.Is(wrong, signature.ErrIntegrity) {
		return lambda.Errorf(lambda.InvalidCodeSignature,
			"The code signature failed the integrity check. If the integrity check fails, then Lambda blocks deployment, "+
				"even if the code signing policy is set to WARN.")
	}
	if signer != nil && slices.Contains(config.Publishers, signer.Profile) {
		return nil
	}
	if wrong == nil {
		wrong = errors.New("the signing profile is not among the allowed publishers")
	}
	if config.Enforce {
		return lambda.Errorf(lambda.CodeVerificationFailed,
			"Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is not "+
				"configured to accept. Check the provided signature for %s. (%v)", fn.Name, wrong)
	}
	c.Logger.Warn("code signing: deployed although not trusted", "function", fn.Name, "config", config.ARN(), "because", wrong)
	return nil
}

// signingID reads the ARN of a code signing configuration.
func signingID(arn string) lambda.ResourceID {
	parts := strings.SplitN(arn, ":", 7) // arn:partition:lambda:region:account:code-signing-config:id
	if len(parts) < 7 {
		return lambda.ResourceID{}
	}
	return lambda.ResourceID{Account: parts[4], Region: parts[3], Name: parts[6]}
}

func noSigning() error {
	e := lambda.Errorf(lambda.ResourceNotFound, "The Lambda code signing configuration ARN can not be found.")
	e.Bare = true
	return e
}

// findSigning finds a configuration of the caller's.
func (c *Control) findSigning(at lambda.Scope, arn string) (*lambda.CodeSigning, error) {
	id := signingID(arn)
	if config := c.Catalog.CodeSigning.Get(id); config != nil && id.Scope() == at {
		return config, nil
	}
	return nil, noSigning()
}

func renderSigning(config *lambda.CodeSigning) *types.CodeSigningConfig {
	policy := types.CodeSigningPolicyWarn
	if config.Enforce {
		policy = types.CodeSigningPolicyEnforce
	}
	out := &types.CodeSigningConfig{
		CodeSigningConfigId:  ptr(config.ID.Name),
		CodeSigningConfigArn: ptr(config.ARN()),
		AllowedPublishers:    &types.AllowedPublishers{SigningProfileVersionArns: config.Publishers},
		CodeSigningPolicies:  &types.CodeSigningPolicies{UntrustedArtifactOnDeployment: policy},
		LastModified:         ptr(stamp(config.Modified)),
	}
	if config.Description != "" {
		out.Description = ptr(config.Description)
	}
	return out
}

// CreateCodeSigningConfig makes a code signing configuration.
func (c *Control) CreateCodeSigningConfig(ctx context.Context, at lambda.Scope, in *awslambda.CreateCodeSigningConfigInput) (*awslambda.CreateCodeSigningConfigOutput, error) {
	if len(in.Tags) > lambda.MaxTags {
		return nil, tooManyTags()
	}
	config := &lambda.CodeSigning{
		ID:          lambda.ResourceID{Account: at.Account, Region: at.Region, Name: "csc-" + token(17)},
		Description: value(in.Description),
		Publishers:  in.AllowedPublishers.SigningProfileVersionArns,
		Enforce:     in.CodeSigningPolicies != nil && in.CodeSigningPolicies.UntrustedArtifactOnDeployment == types.CodeSigningPolicyEnforce,
		Tags:        maps.Clone(in.Tags),
		Modified:    c.Now(),
	}
	err := c.Catalog.CodeSigning.Update(ctx, config.ID, func(*lambda.CodeSigning) (*lambda.CodeSigning, error) { return config, nil })
	if err != nil {
		return nil, err
	}
	return &awslambda.CreateCodeSigningConfigOutput{CodeSigningConfig: renderSigning(config)}, nil
}

// GetCodeSigningConfig returns a code signing configuration.
func (c *Control) GetCodeSigningConfig(_ context.Context, at lambda.Scope, in *awslambda.GetCodeSigningConfigInput) (*awslambda.GetCodeSigningConfigOutput, error) {
	config, err := c.findSigning(at, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	return &awslambda.GetCodeSigningConfigOutput{CodeSigningConfig: renderSigning(config)}, nil
}

// changeSigning changes a configuration of the caller's; nil from change deletes it.
func (c *Control) changeSigning(ctx context.Context, at lambda.Scope, arn string, change func(was *lambda.CodeSigning) (*lambda.CodeSigning, error)) error {
	id := signingID(arn)
	if id.Scope() != at {
		return noSigning()
	}
	return c.Catalog.CodeSigning.Update(ctx, id, func(was *lambda.CodeSigning) (*lambda.CodeSigning, error) {
		if was == nil {
			return nil, noSigning()
		}
		return change(was)
	})
}

// UpdateCodeSigningConfig changes a code signing configuration; what is not
// given stays. It concerns what is deployed from then on.
func (c *Control) UpdateCodeSigningConfig(ctx context.Context, at lambda.Scope, in *awslambda.UpdateCodeSigningConfigInput) (*awslambda.UpdateCodeSigningConfigOutput, error) {
	var now lambda.CodeSigning
	err := c.changeSigning(ctx, at, *in.CodeSigningConfigArn, func(was *lambda.CodeSigning) (*lambda.CodeSigning, error) {
		now = *was
		set(&now.Description, in.Description)
		if in.AllowedPublishers != nil {
			now.Publishers = in.AllowedPublishers.SigningProfileVersionArns
		}
		if p := in.CodeSigningPolicies; p != nil && p.UntrustedArtifactOnDeployment != "" {
			now.Enforce = p.UntrustedArtifactOnDeployment == types.CodeSigningPolicyEnforce
		}
		now.Modified = c.Now()
		return &now, nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.UpdateCodeSigningConfigOutput{CodeSigningConfig: renderSigning(&now)}, nil
}

// DeleteCodeSigningConfig removes a configuration that no function is bound to.
func (c *Control) DeleteCodeSigningConfig(ctx context.Context, at lambda.Scope, in *awslambda.DeleteCodeSigningConfigInput) (*awslambda.DeleteCodeSigningConfigOutput, error) {
	arn := *in.CodeSigningConfigArn
	err := c.changeSigning(ctx, at, arn, func(*lambda.CodeSigning) (*lambda.CodeSigning, error) {
		for e := range c.Catalog.All { // none can be bound meanwhile: that waits for this
			if e.Function.CodeSigning == arn {
				return nil, lambda.Errorf(lambda.ResourceConflict,
					"The code signing configuration %s cannot be deleted: the function %s uses it.", arn, e.Function.ID.ARN())
			}
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteCodeSigningConfigOutput{}, nil
}

// maxListed is how many entries a page of most lists holds at most (AWS API
// reference, MaxItems).
const maxListed = 10_000

// ListCodeSigningConfigs lists the configurations of the scope.
func (c *Control) ListCodeSigningConfigs(_ context.Context, at lambda.Scope, in *awslambda.ListCodeSigningConfigsInput) (*awslambda.ListCodeSigningConfigsOutput, error) {
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	page, next := c.Catalog.CodeSigning.List(at, from.Name, itemsOr(in.MaxItems, maxListed))
	out := &awslambda.ListCodeSigningConfigsOutput{CodeSigningConfigs: []types.CodeSigningConfig{}, NextMarker: after(next)}
	for _, config := range page {
		out.CodeSigningConfigs = append(out.CodeSigningConfigs, *renderSigning(config))
	}
	return out, nil
}

// ListFunctionsByCodeSigningConfig lists the functions bound to a configuration.
func (c *Control) ListFunctionsByCodeSigningConfig(_ context.Context, at lambda.Scope, in *awslambda.ListFunctionsByCodeSigningConfigInput) (*awslambda.ListFunctionsByCodeSigningConfigOutput, error) {
	config, err := c.findSigning(at, *in.CodeSigningConfigArn)
	if err != nil {
		return nil, err
	}
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListFunctionsByCodeSigningConfigOutput{FunctionArns: []string{}}
	most := itemsOr(in.MaxItems, maxListed)
	for e := range c.functions(at, from.Name) {
		if e.Function.CodeSigning != config.ARN() {
			continue
		}
		if len(out.FunctionArns) == most {
			ref, _ := lambda.ParseRef(at, out.FunctionArns[most-1], "")
			out.NextMarker = after(ref.Name)
			break
		}
		out.FunctionArns = append(out.FunctionArns, e.Function.ID.ARN())
	}
	return out, nil
}

// functions yields the functions of a scope in name order, those after a name.
func (c *Control) functions(at lambda.Scope, name string) func(func(*catalog.Entry) bool) {
	return func(yield func(*catalog.Entry) bool) {
		for next := name; ; {
			var page []*catalog.Entry
			page, next = c.Catalog.List(at, next, 1000)
			for _, e := range page {
				if !yield(e) {
					return
				}
			}
			if next == "" {
				return
			}
		}
	}
}

// itemsOr is how many entries a page may hold.
func itemsOr(asked *int32, most int) int {
	if asked == nil {
		return most
	}
	return min(int(*asked), most)
}

// bindSigning runs bind while the configuration cannot go.
func (c *Control) bindSigning(ctx context.Context, at lambda.Scope, arn string, bind func() error) error {
	id := signingID(arn)
	return c.Catalog.CodeSigning.Update(ctx, id, func(was *lambda.CodeSigning) (*lambda.CodeSigning, error) {
		if was == nil || id.Scope() != at {
			return was, lambda.Errorf(lambda.CodeSigningConfigNotFound,
				"The code signing configuration cannot be found. Check that the provided configuration is not deleted: %s.", arn)
		}
		return was, bind()
	})
}

// PutFunctionCodeSigningConfig binds a function to a code signing configuration.
func (c *Control) PutFunctionCodeSigningConfig(ctx context.Context, at lambda.Scope, in *awslambda.PutFunctionCodeSigningConfigInput) (*awslambda.PutFunctionCodeSigningConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	if _, err := c.find(ref.FunctionID, ref.FunctionID.ARN()); err != nil {
		return nil, err
	}
	err = c.bindSigning(ctx, at, *in.CodeSigningConfigArn, func() error {
		return c.setSigning(ctx, ref, *in.CodeSigningConfigArn)
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.PutFunctionCodeSigningConfigOutput{FunctionName: ptr(ref.Name), CodeSigningConfigArn: in.CodeSigningConfigArn}, nil
}

func (c *Control) setSigning(ctx context.Context, ref lambda.Ref, arn string) error {
	return c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		if tx.Entry() == nil {
			return lambda.NotFound(ref.FunctionID.ARN())
		}
		f := *tx.Entry().Function
		f.CodeSigning = arn
		tx.PutFunction(&f)
		return nil
	})
}

// GetFunctionCodeSigningConfig returns the configuration a function is bound
// to; nothing if it is bound to none.
func (c *Control) GetFunctionCodeSigningConfig(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionCodeSigningConfigInput) (*awslambda.GetFunctionCodeSigningConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.FunctionID.ARN())
	if err != nil {
		return nil, err
	}
	out := &awslambda.GetFunctionCodeSigningConfigOutput{}
	if arn := e.Function.CodeSigning; arn != "" {
		out.CodeSigningConfigArn, out.FunctionName = ptr(arn), ptr(ref.Name)
	}
	return out, nil
}

// DeleteFunctionCodeSigningConfig frees a function from its configuration.
func (c *Control) DeleteFunctionCodeSigningConfig(ctx context.Context, at lambda.Scope, in *awslambda.DeleteFunctionCodeSigningConfigInput) (*awslambda.DeleteFunctionCodeSigningConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	if err := c.setSigning(ctx, ref, ""); err != nil {
		return nil, err
	}
	return &awslambda.DeleteFunctionCodeSigningConfigOutput{}, nil
}
