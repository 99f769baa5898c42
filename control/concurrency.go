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

// unqualified reads the name of a function for an operation that aliases and
// versions do not have.
func unqualified(at lambda.Scope, name *string) (lambda.Ref, error) {
	ref, err := lambda.ParseRef(at, *name, "")
	if err == nil && ref.Qualifier != "" {
		err = refuse("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. " +
			"Please specify either a function name or an unqualified function ARN.")
	}
	return ref, err
}

// limit refuses what the account's concurrency does not allow. AWS sends these
// without a Type.
func limit(format string, args ...any) error {
	e := lambda.Errorf(lambda.InvalidParameterValue, format, args...)
	e.Bare = true
	return e
}

// claimed is the concurrency that the functions of a scope but one keep from
// the others.
func (c *Control) claimed(at lambda.Scope, but *catalog.Entry) int {
	return int(c.Catalog.Claims(at).Load()) - but.Claims()
}

// PutFunctionConcurrency reserves concurrency for a function.
func (c *Control) PutFunctionConcurrency(ctx context.Context, at lambda.Scope, in *awslambda.PutFunctionConcurrencyInput) (*awslambda.PutFunctionConcurrencyOutput, error) {
	ref, err := unqualified(at, in.FunctionName)
	if err != nil {
		return nil, err
	}
	n := int(*in.ReservedConcurrentExecutions)
	c.limits.Lock() // what several functions claim together is limited
	defer c.limits.Unlock()
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(ref.Qualified(lambda.Latest))
		}
		if c.Concurrency-c.claimed(at, e)-n < lambda.MinUnreserved {
			return limit("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "+
				"below its minimum value of [%d].", lambda.MinUnreserved)
		}
		if p := e.Provisioned(); n < p {
			return limit(" ReservedConcurrentExecutions  %d should not be lower than function's total provisioned concurrency [%d].", n, p)
		}
		f := *e.Function
		f.Reserved = &n
		tx.PutFunction(&f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.PutFunctionConcurrencyOutput{ReservedConcurrentExecutions: in.ReservedConcurrentExecutions}, nil
}

// GetFunctionConcurrency returns what a function reserved; nothing if it has not.
func (c *Control) GetFunctionConcurrency(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionConcurrencyInput) (*awslambda.GetFunctionConcurrencyOutput, error) {
	ref, err := unqualified(at, in.FunctionName)
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.ARN())
	if err != nil {
		return nil, err
	}
	out := &awslambda.GetFunctionConcurrencyOutput{}
	if n := e.Function.Reserved; n != nil {
		out.ReservedConcurrentExecutions = ptr(int32(*n))
	}
	return out, nil
}

// DeleteFunctionConcurrency gives back what a function reserved. What is
// provisioned for it then counts against the account's pool.
func (c *Control) DeleteFunctionConcurrency(ctx context.Context, at lambda.Scope, in *awslambda.DeleteFunctionConcurrencyInput) (*awslambda.DeleteFunctionConcurrencyOutput, error) {
	ref, err := unqualified(at, in.FunctionName)
	if err != nil {
		return nil, err
	}
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(ref.ARN())
		}
		if e.Function.Reserved == nil {
			return nil
		}
		f := *e.Function
		f.Reserved = nil
		tx.PutFunction(&f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteFunctionConcurrencyOutput{}, nil
}

// versioned refuses $LATEST, which is no place for provisioned environments.
func versioned(at lambda.Scope, name, qualifier *string, text string) (lambda.Ref, error) {
	ref, err := lambda.ParseRef(at, *name, value(qualifier))
	if err == nil && ref.Or() == lambda.Latest {
		err = refuse("%s", text)
	}
	return ref, err
}

const (
	unpublished = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
	neither     = "The function resource provided must be an alias or a published version."
)

// PutProvisionedConcurrencyConfig asks for environments of a version or alias
// that are initialised ahead of need.
func (c *Control) PutProvisionedConcurrencyConfig(ctx context.Context, at lambda.Scope, in *awslambda.PutProvisionedConcurrencyConfigInput) (*awslambda.PutProvisionedConcurrencyConfigOutput, error) {
	ref, err := versioned(at, in.FunctionName, in.Qualifier, unpublished)
	if err != nil {
		return nil, err
	}
	p := &lambda.Provisioned{Requested: int(*in.ProvisionedConcurrentExecutions), Modified: c.Now()}
	c.limits.Lock()
	defer c.limits.Unlock()
	err = c.resettle(ctx, ref, missing(ref), func(_ *catalog.Tx, e *catalog.Entry, set *lambda.Settings) error {
		if e.Version(ref.Qualifier).IsLatest() {
			return refuse(unpublished)
		}
		if err := exclusive(e, ref.Qualifier); err != nil {
			return err
		}
		others := e.Provisioned()
		if was := set.Provisioned; was != nil {
			others -= was.Requested
		}
		if r := e.Function.Reserved; r != nil {
			if others+p.Requested > *r {
				return limit("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
			}
		} else {
			free := c.Concurrency - c.claimed(at, e) - others
			switch {
			case p.Requested > free:
				return limit("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [%d].", free)
			case free-p.Requested < lambda.MinUnreserved:
				return limit("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "+
					"below its minimum value of [%d].", lambda.MinUnreserved)
			}
		}
		set.Provisioned = p
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.PutProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: in.ProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: ptr(int32(0)),
		AllocatedProvisionedConcurrentExecutions: ptr(int32(0)),
		Status:                                   types.ProvisionedConcurrencyStatusEnumInProgress,
		LastModified:                             ptr(stamp(p.Modified)),
	}, nil
}

// exclusive refuses to provision a version directly and by an alias.
func exclusive(e *catalog.Entry, qualifier string) error {
	if a := e.Aliases[qualifier]; a != nil {
		if e.Of(a.Version).Provisioned != nil {
			return lambda.Errorf(lambda.ResourceConflict,
				"Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")
		}
		return nil
	}
	for name, a := range e.Aliases {
		if a.Version == qualifier && e.Of(name).Provisioned != nil {
			return lambda.Errorf(lambda.ResourceConflict, "Version is pointed by a Provisioned Concurrency alias")
		}
	}
	return nil
}

// status is how far a request for provisioned environments of a qualifier has
// got, counted from those that exist.
func (c *Control) status(e *catalog.Entry, qualifier string) types.ProvisionedConcurrencyConfigListItem {
	p := e.Of(qualifier).Provisioned
	out := types.ProvisionedConcurrencyConfigListItem{
		RequestedProvisionedConcurrentExecutions: ptr(int32(p.Requested)),
		Status:                                   types.ProvisionedConcurrencyStatusEnumInProgress,
		LastModified:                             ptr(stamp(p.Modified)),
	}
	ready, failed := c.Provisioned(e.Version(qualifier).Runs(), qualifier)
	ready = min(ready, p.Requested) // those that are too many are on their way out
	out.AllocatedProvisionedConcurrentExecutions, out.AvailableProvisionedConcurrentExecutions = ptr(int32(ready)), ptr(int32(ready))
	switch {
	case ready == p.Requested:
		out.Status = types.ProvisionedConcurrencyStatusEnumReady
	case failed:
		out.Status, out.StatusReason = types.ProvisionedConcurrencyStatusEnumFailed, ptr("FUNCTION_ERROR_INIT_FAILURE")
	}
	return out
}

// GetProvisionedConcurrencyConfig returns what was asked for and how far it is.
func (c *Control) GetProvisionedConcurrencyConfig(_ context.Context, at lambda.Scope, in *awslambda.GetProvisionedConcurrencyConfigInput) (*awslambda.GetProvisionedConcurrencyConfigOutput, error) {
	ref, err := versioned(at, in.FunctionName, in.Qualifier, neither)
	if err != nil {
		return nil, err
	}
	e := c.Catalog.Get(ref.FunctionID)
	if e == nil || e.Version(ref.Qualifier) == nil {
		return nil, missing(ref)
	}
	if e.Of(ref.Qualifier).Provisioned == nil {
		return nil, lambda.Errorf(lambda.ProvisionedConfigNotFound, "No Provisioned Concurrency Config found for this function")
	}
	s := c.status(e, ref.Qualifier)
	return &awslambda.GetProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: s.RequestedProvisionedConcurrentExecutions,
		AvailableProvisionedConcurrentExecutions: s.AvailableProvisionedConcurrentExecutions,
		AllocatedProvisionedConcurrentExecutions: s.AllocatedProvisionedConcurrentExecutions,
		Status:                                   s.Status,
		StatusReason:                             s.StatusReason,
		LastModified:                             s.LastModified,
	}, nil
}

// DeleteProvisionedConcurrencyConfig gives up what was asked for.
func (c *Control) DeleteProvisionedConcurrencyConfig(ctx context.Context, at lambda.Scope, in *awslambda.DeleteProvisionedConcurrencyConfigInput) (*awslambda.DeleteProvisionedConcurrencyConfigOutput, error) {
	ref, err := versioned(at, in.FunctionName, in.Qualifier, neither)
	if err != nil {
		return nil, err
	}
	err = c.resettle(ctx, ref, missing(ref), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) error {
		set.Provisioned = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteProvisionedConcurrencyConfigOutput{}, nil
}

// ListProvisionedConcurrencyConfigs lists a function's, by qualifier.
func (c *Control) ListProvisionedConcurrencyConfigs(_ context.Context, at lambda.Scope, in *awslambda.ListProvisionedConcurrencyConfigsInput) (*awslambda.ListProvisionedConcurrencyConfigsOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.FunctionID.ARN())
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListProvisionedConcurrencyConfigsOutput{ProvisionedConcurrencyConfigs: []types.ProvisionedConcurrencyConfigListItem{}}
	out.NextMarker, err = settingsPage(e, in.Marker, in.MaxItems, func(qualifier string, s *lambda.Settings) bool {
		if s.Provisioned == nil {
			return false
		}
		item := c.status(e, qualifier)
		item.FunctionArn = ptr(ref.Qualified(qualifier))
		out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, item)
		return true
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// settingsPage walks a function's settings by qualifier from where a marker
// says. take tells whether it listed them; the page is full at max of those.
func settingsPage(e *catalog.Entry, from *string, max *int32, take func(qualifier string, s *lambda.Settings) bool) (next *string, err error) {
	m, err := parseMarker(from)
	if err != nil {
		return nil, err
	}
	most, taken, last := pageSize(max), 0, ""
	for _, q := range slices.Sorted(maps.Keys(e.Settings)) {
		if q <= m.Name {
			continue
		}
		if taken == most { // it may be the last one: an empty page is a page
			return after(last), nil
		}
		if take(q, e.Settings[q]) {
			taken++
			last = q
		}
	}
	return nil, nil
}
