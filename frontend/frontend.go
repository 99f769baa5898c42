// Package frontend is door 1, the Lambda HTTP API: it decodes a request, calls
// the verb it asks for, and encodes the answer. It is the one place where the
// platform's errors become AWS's statuses and bodies.
//
// Package gateway hands it the requests meant for Lambda, with the account and
// region they act in. Sub-package wire knows the shapes of the API; this
// package joins them to package control (the verbs) and package invoke (the
// spine). Invoke and InvokeWithResponseStream have paths of their own, since they
// carry raw bytes and are hot.
// It starts no goroutine.
package frontend

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/lambent-run/lambent/control"
	"github.com/lambent-run/lambent/frontend/wire"
	"github.com/lambent-run/lambent/invoke"
	"github.com/lambent-run/lambent/lambda"
)

// Frontend serves the Lambda API.
type Frontend struct {
	spine  *invoke.Spine
	logger *slog.Logger
	verbs  map[string]verb
}

// verb runs one decoded operation in a scope. It returns the SDK's output shape.
type verb func(ctx context.Context, at lambda.Scope, in any) (any, error)

// as adapts a typed verb of package control.
func as[In, Out any](f func(context.Context, lambda.Scope, *In) (*Out, error)) verb {
	return func(ctx context.Context, at lambda.Scope, in any) (any, error) {
		return f(ctx, at, in.(*In))
	}
}

// New makes a frontend over the verbs and the spine.
func New(c *control.Control, spine *invoke.Spine, logger *slog.Logger) *Frontend {
	return &Frontend{spine: spine, logger: logger, verbs: map[string]verb{
		"CreateFunction":              as(c.CreateFunction),
		"GetFunction":                 as(c.GetFunction),
		"GetFunctionConfiguration":    as(c.GetFunctionConfiguration),
		"UpdateFunctionCode":          as(c.UpdateFunctionCode),
		"UpdateFunctionConfiguration": as(c.UpdateFunctionConfiguration),
		"DeleteFunction":              as(c.DeleteFunction),
		"ListFunctions":               as(c.ListFunctions),
		"PublishVersion":              as(c.PublishVersion),
		"ListVersionsByFunction":      as(c.ListVersionsByFunction),
		"CreateAlias":                 as(c.CreateAlias),
		"GetAlias":                    as(c.GetAlias),
		"UpdateAlias":                 as(c.UpdateAlias),
		"DeleteAlias":                 as(c.DeleteAlias),
		"ListAliases":                 as(c.ListAliases),
		"TagResource":                 as(c.TagResource),
		"UntagResource":               as(c.UntagResource),
		"ListTags":                    as(c.ListTags),
		"GetAccountSettings":          as(c.GetAccountSettings),

		"AddPermission":        as(c.AddPermission),
		"RemovePermission":     as(c.RemovePermission),
		"GetPolicy":            as(c.GetPolicy),
		"PutResourcePolicy":    as(c.PutResourcePolicy),
		"GetResourcePolicy":    as(c.GetResourcePolicy),
		"DeleteResourcePolicy": as(c.DeleteResourcePolicy),

		"PutFunctionConcurrency":             as(c.PutFunctionConcurrency),
		"GetFunctionConcurrency":             as(c.GetFunctionConcurrency),
		"DeleteFunctionConcurrency":          as(c.DeleteFunctionConcurrency),
		"PutProvisionedConcurrencyConfig":    as(c.PutProvisionedConcurrencyConfig),
		"GetProvisionedConcurrencyConfig":    as(c.GetProvisionedConcurrencyConfig),
		"DeleteProvisionedConcurrencyConfig": as(c.DeleteProvisionedConcurrencyConfig),
		"ListProvisionedConcurrencyConfigs":  as(c.ListProvisionedConcurrencyConfigs),

		"PutFunctionEventInvokeConfig":    as(c.PutFunctionEventInvokeConfig),
		"UpdateFunctionEventInvokeConfig": as(c.UpdateFunctionEventInvokeConfig),
		"GetFunctionEventInvokeConfig":    as(c.GetFunctionEventInvokeConfig),
		"DeleteFunctionEventInvokeConfig": as(c.DeleteFunctionEventInvokeConfig),
		"ListFunctionEventInvokeConfigs":  as(c.ListFunctionEventInvokeConfigs),

		"CreateFunctionUrlConfig": as(c.CreateFunctionUrlConfig),
		"GetFunctionUrlConfig":    as(c.GetFunctionUrlConfig),
		"UpdateFunctionUrlConfig": as(c.UpdateFunctionUrlConfig),
		"DeleteFunctionUrlConfig": as(c.DeleteFunctionUrlConfig),
		"ListFunctionUrlConfigs":  as(c.ListFunctionUrlConfigs),

		"PublishLayerVersion":          as(c.PublishLayerVersion),
		"GetLayerVersion":              as(c.GetLayerVersion),
		"GetLayerVersionByArn":         as(c.GetLayerVersionByArn),
		"DeleteLayerVersion":           as(c.DeleteLayerVersion),
		"ListLayers":                   as(c.ListLayers),
		"ListLayerVersions":            as(c.ListLayerVersions),
		"AddLayerVersionPermission":    as(c.AddLayerVersionPermission),
		"GetLayerVersionPolicy":        as(c.GetLayerVersionPolicy),
		"RemoveLayerVersionPermission": as(c.RemoveLayerVersionPermission),

		"CreateCodeSigningConfig":          as(c.CreateCodeSigningConfig),
		"GetCodeSigningConfig":             as(c.GetCodeSigningConfig),
		"UpdateCodeSigningConfig":          as(c.UpdateCodeSigningConfig),
		"DeleteCodeSigningConfig":          as(c.DeleteCodeSigningConfig),
		"ListCodeSigningConfigs":           as(c.ListCodeSigningConfigs),
		"ListFunctionsByCodeSigningConfig": as(c.ListFunctionsByCodeSigningConfig),
		"PutFunctionCodeSigningConfig":     as(c.PutFunctionCodeSigningConfig),
		"GetFunctionCodeSigningConfig":     as(c.GetFunctionCodeSigningConfig),
		"DeleteFunctionCodeSigningConfig":  as(c.DeleteFunctionCodeSigningConfig),

		"PutRuntimeManagementConfig": as(c.PutRuntimeManagementConfig),
		"GetRuntimeManagementConfig": as(c.GetRuntimeManagementConfig),
		"PutFunctionRecursionConfig": as(c.PutFunctionRecursionConfig),
		"GetFunctionRecursionConfig": as(c.GetFunctionRecursionConfig),
		"PutFunctionScalingConfig":   as(c.PutFunctionScalingConfig),
		"GetFunctionScalingConfig":   as(c.GetFunctionScalingConfig),

		"CreateCapacityProvider":                 as(c.CreateCapacityProvider),
		"GetCapacityProvider":                    as(c.GetCapacityProvider),
		"UpdateCapacityProvider":                 as(c.UpdateCapacityProvider),
		"DeleteCapacityProvider":                 as(c.DeleteCapacityProvider),
		"ListCapacityProviders":                  as(c.ListCapacityProviders),
		"ListFunctionVersionsByCapacityProvider": as(c.ListFunctionVersionsByCapacityProvider),
	}}
}

// Serve answers one request to the Lambda API that acts in the scope at. The
// response's request id has been set by the caller.
func (f *Frontend) Serve(w http.ResponseWriter, r *http.Request, at lambda.Scope) {
	op, labels, ok := wire.Match(r)
	if !ok {
		f.refuse(w, r, &lambda.Error{Code: lambda.UnknownOperation,
			Message: fmt.Sprintf("There is no operation of the Lambda API at %s %s.", r.Method, r.URL.Path)})
		return
	}
	switch op.Name {
	case "Invoke":
		f.serveInvoke(w, r, at, op, labels)
		return
	case "InvokeAsync":
		f.serveInvokeAsync(w, r, at, op, labels)
		return
	case "InvokeWithResponseStream":
		f.serveStream(w, r, at, op, labels)
		return
	}
	do := f.verbs[op.Name]
	if do == nil {
		f.refuse(w, r, notBuilt(op.Name))
		return
	}
	in, err := op.Decode(r, labels, lambda.MaxRequestSize)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	out, err := do(r.Context(), at, in)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	if err := op.Encode(w, op.Status, out); err != nil {
		f.logger.Error("encode", "operation", op.Name, "err", err)
	}
}

// notBuilt is the honest answer for what does not exist yet.
func notBuilt(what string) *lambda.Error {
	return &lambda.Error{Code: lambda.NotImplemented,
		Message: fmt.Sprintf("%s is not implemented by this version of Lambent.", what)}
}

// refuse answers with an error.
func (f *Frontend) refuse(w http.ResponseWriter, r *http.Request, err error) {
	wire.WriteError(w, f.Refusal(err, r.Method+" "+r.URL.Path))
}

// Refusal is the error as the caller may see it. What carries no code for the
// caller is logged here, once, and leaves as a bare ServiceException.
func (f *Frontend) Refusal(err error, what string) *lambda.Error {
	e := lambda.AsError(err)
	if e.Code == lambda.Service || e.Err != nil {
		f.logger.Error("request failed", "what", what, "code", e.Code, "message", e.Message, "err", e.Err)
	}
	return e
}
