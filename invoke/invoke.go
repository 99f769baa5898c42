// Package invoke is the spine: every invocation, however it arrived, runs
// through Spine.Invoke. It routes (aliases and their weights), admits, borrows
// an environment, runs, and comes back by return. The doors above it differ in
// what they do with the Outcome; nothing about running is decided twice.
//
// It owns no state and starts no goroutine: the caller's goroutine carries an
// invocation from here to the function and back.
package invoke

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/lambent-run/lambent/admission"
	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/fleet"
	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker"
)

// Spine runs invocations.
type Spine struct {
	Catalog *catalog.Catalog
	Gate    *admission.Gate
	Fleet   *fleet.Fleet
}

// warmTries bounds how often one invocation may be handed an environment that
// had died while idle before the host is held to be at fault.
const warmTries = 16

// Invoke runs inv to its end and writes the answer to w as it comes. An error
// means that the platform did not run the function to an end: it is a
// lambda.Error for the caller (no such function, throttled, not ready) or the
// platform's own trouble. A function that failed is an Outcome with a Fault.
func (s *Spine) Invoke(ctx context.Context, inv *lambda.Invocation, w lambda.ResponseWriter) (lambda.Outcome, error) {
	v, err := s.Route(inv.Ref)
	if err != nil {
		return lambda.Outcome{}, err
	}
	return s.Run(ctx, v, inv, w)
}

// Run is Invoke from where the version is chosen: for a door that must name the
// version before the answer is there. v is what Route gave for inv.Ref.
func (s *Spine) Run(ctx context.Context, v *lambda.Version, inv *lambda.Invocation, w lambda.ResponseWriter) (lambda.Outcome, error) {
	e := s.Catalog.Get(v.ID)
	if e == nil {
		return lambda.Outcome{}, lambda.NotFound(inv.Ref.Qualified(inv.Ref.Or()))
	}
	claim := admission.Claim{Function: v.ID, Qualifier: inv.Ref.Or(), Reserved: e.Function.Reserved}
	if claim.Reserved != nil {
		claim.Committed = e.Provisioned()
	}
	if e.Of(claim.Qualifier).Provisioned != nil {
		claim.Provisioned, _ = s.Fleet.Provisioned(v, claim.Qualifier)
	}
	pass, err := s.Gate.Enter(time.Now(), &claim)
	if err != nil {
		return lambda.Outcome{}, err
	}
	defer pass.Leave()
	for range warmTries {
		var loan fleet.Loan
		if pass.Provisioned {
			loan, err = s.Fleet.BorrowProvisioned(ctx, v, claim.Qualifier)
		} else {
			loan, err = s.Fleet.Borrow(ctx, v)
		}
		if err != nil {
			return lambda.Outcome{}, err
		}
		out, err := loan.Invoke(inv, w)
		if errors.Is(err, worker.ErrGone) {
			continue // it ended before it took the event; another one may have it
		}
		out.Cold = loan.Cold
		out.ExecutedVersion = v.Number
		return out, err
	}
	return lambda.Outcome{}, worker.ErrGone
}

// Route finds the version that an invocation of ref runs now. An alias with
// weights chooses anew each time. What cannot be invoked is refused as AWS
// refuses it: a missing function or qualifier with the ARN as Invoke echoes it
// ($LATEST when no qualifier was given), a state that does not allow it with
// the conflict that names the state.
func (s *Spine) Route(ref lambda.Ref) (*lambda.Version, error) {
	e := s.Catalog.Get(ref.FunctionID)
	if e == nil {
		return nil, lambda.NotFound(ref.Qualified(ref.Or()))
	}
	v := choose(e, ref.Or(), rand.Float64)
	if v == nil {
		return nil, lambda.NotFound(ref.Qualified(ref.Or()))
	}
	if v = v.Runs(); v.State == lambda.ActiveNonInvocable {
		return nil, lambda.Errorf(lambda.NoPublishedVersion, "The function %s has no published version to invoke.", ref.Name)
	}
	if v.State != lambda.Active {
		return nil, v.State.Conflict()
	}
	return v, nil
}

// choose resolves a qualifier. draw returns a number in [0, 1); it is asked only
// for an alias that has weights.
func choose(e *catalog.Entry, qualifier string, draw func() float64) *lambda.Version {
	if v := e.Versions[qualifier]; v != nil {
		return v
	}
	a := e.Aliases[qualifier]
	if a == nil {
		return nil
	}
	if len(a.Weights) > 0 {
		x := draw()
		for number, weight := range a.Weights { // AWS allows one
			if x < weight {
				return e.Versions[number]
			}
			x -= weight
		}
	}
	return e.Versions[a.Version]
}
