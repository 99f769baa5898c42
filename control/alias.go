package control

import (
	"context"
	"maps"
	"slices"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

func renderAlias(a *lambda.Alias) types.AliasConfiguration {
	out := types.AliasConfiguration{
		AliasArn:        ptr(a.ID.Qualified(a.Name)),
		Name:            ptr(a.Name),
		FunctionVersion: ptr(a.Version),
		Description:     ptr(a.Description),
		RevisionId:      ptr(a.RevisionID),
	}
	if len(a.Weights) > 0 {
		out.RoutingConfig = &types.AliasRoutingConfiguration{AdditionalVersionWeights: maps.Clone(a.Weights)}
	}
	return out
}

// routing checks where an alias leads. Weights outside 0 to 1 and keys that are
// no numbers have been refused before.
func routing(e *catalog.Entry, a *lambda.Alias) error {
	if len(a.Weights) > 1 {
		return refuse("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	if len(a.Weights) > 0 && a.Version == lambda.Latest {
		// AWS sends it without a Type.
		return &lambda.Error{Code: lambda.InvalidParameterValue, Bare: true,
			Message: "$LATEST is not supported for an alias pointing to more than 1 version"}
	}
	versions := []string{a.Version}
	for number := range a.Weights {
		if number == a.Version {
			return refuse("Invalid function version %s. Function version %s is already included in routing configuration.", number, number)
		}
		versions = append(versions, number)
	}
	for _, number := range versions {
		if e.Versions[number] == nil {
			return lambda.NotFound(a.ID.Qualified(number))
		}
	}
	return nil
}

func weights(in *types.AliasRoutingConfiguration) map[string]float64 {
	if in == nil || len(in.AdditionalVersionWeights) == 0 {
		return nil
	}
	return maps.Clone(in.AdditionalVersionWeights)
}

// CreateAlias makes a name for a version, or for two with weights.
func (c *Control) CreateAlias(ctx context.Context, at lambda.Scope, in *awslambda.CreateAliasInput) (*awslambda.CreateAliasOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	a := &lambda.Alias{
		ID: ref.FunctionID, Name: *in.Name, Version: *in.FunctionVersion, Description: value(in.Description),
		Weights: weights(in.RoutingConfig), RevisionID: c.NewID(),
	}
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(a.ID.Qualified(a.Version))
		}
		if err := routing(e, a); err != nil {
			return err
		}
		if e.Aliases[a.Name] != nil {
			return lambda.Errorf(lambda.ResourceConflict, "Alias already exists: %s", a.ID.Qualified(a.Name))
		}
		tx.PutAlias(a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := renderAlias(a)
	return &awslambda.CreateAliasOutput{AliasArn: r.AliasArn, Name: r.Name, FunctionVersion: r.FunctionVersion,
		Description: r.Description, RevisionId: r.RevisionId, RoutingConfig: r.RoutingConfig}, nil
}

// GetAlias returns an alias.
func (c *Control) GetAlias(_ context.Context, at lambda.Scope, in *awslambda.GetAliasInput) (*awslambda.GetAliasOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	var a *lambda.Alias
	if e := c.Catalog.Get(ref.FunctionID); e != nil {
		a = e.Aliases[*in.Name]
	}
	if a == nil {
		return nil, lambda.Errorf(lambda.ResourceNotFound, "Cannot find alias arn: %s", ref.FunctionID.Qualified(*in.Name))
	}
	r := renderAlias(a)
	return &awslambda.GetAliasOutput{AliasArn: r.AliasArn, Name: r.Name, FunctionVersion: r.FunctionVersion,
		Description: r.Description, RevisionId: r.RevisionId, RoutingConfig: r.RoutingConfig}, nil
}

// UpdateAlias changes an alias in one step. An empty RoutingConfig removes the
// weights; members that were not given stay.
func (c *Control) UpdateAlias(ctx context.Context, at lambda.Scope, in *awslambda.UpdateAliasInput) (*awslambda.UpdateAliasOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	missing := lambda.Errorf(lambda.ResourceNotFound, "Alias not found: %s", ref.FunctionID.Qualified(*in.Name))
	var a lambda.Alias
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil || e.Aliases[*in.Name] == nil {
			return missing
		}
		a = *e.Aliases[*in.Name]
		if err := expect(in.RevisionId, a.RevisionID); err != nil {
			return err
		}
		set(&a.Version, in.FunctionVersion)
		set(&a.Description, in.Description)
		if in.RoutingConfig != nil {
			a.Weights = weights(in.RoutingConfig)
		}
		if err := routing(e, &a); err != nil {
			return err
		}
		a.RevisionID = c.NewID()
		tx.PutAlias(&a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := renderAlias(&a)
	return &awslambda.UpdateAliasOutput{AliasArn: r.AliasArn, Name: r.Name, FunctionVersion: r.FunctionVersion,
		Description: r.Description, RevisionId: r.RevisionId, RoutingConfig: r.RoutingConfig}, nil
}

// DeleteAlias removes an alias. One that is not there is removed already.
func (c *Control) DeleteAlias(ctx context.Context, at lambda.Scope, in *awslambda.DeleteAliasInput) (*awslambda.DeleteAliasOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	if _, err := c.find(ref.FunctionID, ref.FunctionID.ARN()); err != nil {
		return nil, err
	}
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		if e := tx.Entry(); e != nil && e.Aliases[*in.Name] != nil {
			tx.DeleteAlias(*in.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteAliasOutput{}, nil
}

// maxAliases is how many aliases a page holds at most (AWS API reference).
const maxAliases = 10_000

// ListAliases lists a function's aliases by name, or those that lead to a version.
func (c *Control) ListAliases(_ context.Context, at lambda.Scope, in *awslambda.ListAliasesInput) (*awslambda.ListAliasesOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.FunctionID.ARN())
	if err != nil {
		return nil, err
	}
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	most := maxAliases
	if in.MaxItems != nil {
		most = int(*in.MaxItems)
	}
	out := &awslambda.ListAliasesOutput{Aliases: []types.AliasConfiguration{}}
	for _, name := range slices.Sorted(maps.Keys(e.Aliases)) {
		a := e.Aliases[name]
		if _, weighted := a.Weights[value(in.FunctionVersion)]; name <= from.Name ||
			in.FunctionVersion != nil && a.Version != *in.FunctionVersion && !weighted {
			continue
		}
		if len(out.Aliases) == most {
			out.NextMarker = marker{Name: *out.Aliases[most-1].Name}.encode()
			break
		}
		out.Aliases = append(out.Aliases, renderAlias(a))
	}
	return out, nil
}
