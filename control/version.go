package control

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// PublishVersion freezes $LATEST as the next version. If neither its code nor
// its configuration has changed since the last one was made, it returns that one.
func (c *Control) PublishVersion(ctx context.Context, at lambda.Scope, in *awslambda.PublishVersionInput) (*awslambda.PublishVersionOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e, err := c.find(ref.FunctionID, ref.ARN())
	if err != nil {
		return nil, err
	}
	if in.PublishTo != "" && e.Versions[lambda.Latest].Managed == nil {
		return nil, publishTo()
	}
	var v *lambda.Version
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(ref.ARN())
		}
		latest := e.Versions[lambda.Latest]
		if err := expect(in.RevisionId, latest.RevisionID); err != nil {
			return err
		}
		if sha := codeSHA(latest.Code.Digest); in.CodeSha256 != nil && *in.CodeSha256 != "" && *in.CodeSha256 != sha {
			return refuse("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). "+
				"Please try again with the CodeSHA256 in $LATEST.", *in.CodeSha256, sha)
		}
		if err := changeable(latest); err != nil {
			return err
		}
		if err := publishable(&latest.Config); err != nil {
			return err
		}
		v = c.publish(tx, in.Description)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if unfinished(v) {
		c.enqueue(v.ID)
	}
	return shaped[awslambda.PublishVersionOutput](render(v, v.ID.Qualified(v.Number))), nil
}

// publishable refuses code that could change after it has been published.
func publishable(cfg *lambda.Config) error {
	if cfg.Code.Dir != "" {
		return refuse("The function's code is the directory %s, which can change (hot reloading): it cannot be published. "+
			"Update the code to a package first.", cfg.Code.Dir)
	}
	return nil
}

// publishTo is the refusal of PublishTo for functions on Lambda's own compute.
func publishTo() error { return refuse("PublishTo isn't supported for Lambda Default functions.") }

// publish makes the next version of what $LATEST is in tx, or returns the last
// one if that was made of the same. A version made of code that is being
// prepared, or could not be, is Pending until it has been tried: the caller has
// it prepared. RevisionId of $LATEST changes with a new one.
func (c *Control) publish(tx *catalog.Tx, description *string) *lambda.Version {
	e := tx.Entry()
	latest := e.Versions[lambda.Latest]
	source := latest.Hash()
	if last := e.Versions[strconv.FormatInt(e.Function.LastVersion, 10)]; last != nil && last.Source == source {
		return last
	}
	f := *e.Function
	f.LastVersion++
	tx.PutFunction(&f)

	v := *latest
	v.Number = strconv.FormatInt(f.LastVersion, 10)
	v.Source, v.Serving = source, nil
	v.Deployment, v.RevisionID = c.NewID(), c.NewID()
	set(&v.Description, description)
	switch {
	case latest.Managed != nil: // and stays so
		v.State, v.StateReasonCode = lambda.Pending, "Creating"
		v.StateReason = "This version of Lambent has no managed instances: the function version waits for them."
		v.Update, v.UpdateReason, v.UpdateReasonCode = lambda.UpdateNone, "", ""
	case unfinished(latest) || latest.Update == lambda.UpdateFailed:
		v.State, v.StateReason, v.StateReasonCode = lambda.Pending, "The function is being created.", "Creating"
		v.Update, v.UpdateReason, v.UpdateReasonCode = lambda.UpdateNone, "", ""
	default:
		v.State, v.Update, v.UpdateReason, v.UpdateReasonCode = lambda.Active, lambda.UpdateSuccessful, "", ""
	}
	if !unfinished(latest) { // else it has a new one already
		now := *latest
		now.RevisionID = c.NewID()
		tx.PutVersion(&now)
	}
	tx.PutVersion(&v)
	return &v
}

// ListVersionsByFunction lists $LATEST and then the versions in order.
func (c *Control) ListVersionsByFunction(_ context.Context, at lambda.Scope, in *awslambda.ListVersionsByFunctionInput) (*awslambda.ListVersionsByFunctionOutput, error) {
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
	after := int64(-1)
	if from.Within {
		after = from.Version
	}
	most := pageSize(in.MaxItems)
	out := &awslambda.ListVersionsByFunctionOutput{Versions: []types.FunctionConfiguration{}}
	for _, v := range ordered(e) {
		if number(v) <= after {
			continue
		}
		if len(out.Versions) == most {
			n, _ := lambda.ParseVersion(*out.Versions[most-1].Version)
			out.NextMarker = marker{Version: n, Within: true}.encode()
			break
		}
		out.Versions = append(out.Versions, brief(v, v.ID.Qualified(v.Number)))
	}
	return out, nil
}

// number is a version's place in lists: $LATEST first.
func number(v *lambda.Version) int64 {
	n, _ := lambda.ParseVersion(v.Number)
	return n
}

func ordered(e *catalog.Entry) []*lambda.Version {
	versions := make([]*lambda.Version, 0, len(e.Versions))
	for _, v := range e.Versions {
		versions = append(versions, v)
	}
	slices.SortFunc(versions, func(a, b *lambda.Version) int { return cmp.Compare(number(a), number(b)) })
	return versions
}
