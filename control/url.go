package control

import (
	"context"
	"crypto/rand"
	"time"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// urlStamp is how the API writes the dates of function URLs.
func urlStamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// lowercase and digits are what ids that AWS makes consist of.
const lowerDigits = "abcdefghijklmnopqrstuvwxyz234567"

// token returns n random characters. 32 letters draw evenly from a byte.
func token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = lowerDigits[b[i]%32]
	}
	return string(b)
}

func cors(in *types.Cors) *lambda.CORS {
	if in == nil {
		return nil
	}
	return &lambda.CORS{
		Credentials: in.AllowCredentials, AllowHeaders: in.AllowHeaders, AllowMethods: in.AllowMethods,
		AllowOrigins: in.AllowOrigins, ExposeHeaders: in.ExposeHeaders, MaxAge: in.MaxAge,
	}
}

// renderURL is a function URL as Get and List show it.
func (c *Control) renderURL(ref lambda.Ref, qualifier string, u *lambda.URL) *types.FunctionUrlConfig {
	out := &types.FunctionUrlConfig{
		AuthType:         types.FunctionUrlAuthType(u.Auth),
		CreationTime:     ptr(urlStamp(u.Created)),
		LastModifiedTime: ptr(urlStamp(u.Modified)),
		FunctionArn:      ptr(ref.FunctionID.ARN()),
		FunctionUrl:      ptr(c.URL(u.ID, ref.Region)),
		InvokeMode:       types.InvokeModeBuffered,
	}
	if qualifier != lambda.Latest {
		out.FunctionArn = ptr(ref.Qualified(qualifier))
	}
	if u.Mode != "" {
		out.InvokeMode = types.InvokeMode(u.Mode)
	}
	if u.CORS != nil {
		out.Cors = &types.Cors{
			AllowCredentials: u.CORS.Credentials, AllowHeaders: u.CORS.AllowHeaders, AllowMethods: u.CORS.AllowMethods,
			AllowOrigins: u.CORS.AllowOrigins, ExposeHeaders: u.CORS.ExposeHeaders, MaxAge: u.CORS.MaxAge,
		}
	}
	return out
}

func noURLFunction() error { return lambda.Errorf(lambda.ResourceNotFound, "Function does not exist") }

// CreateFunctionUrlConfig makes a URL for a function or one of its aliases.
func (c *Control) CreateFunctionUrlConfig(ctx context.Context, at lambda.Scope, in *awslambda.CreateFunctionUrlConfigInput) (*awslambda.CreateFunctionUrlConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	now := c.Now()
	u := &lambda.URL{ID: token(32), Auth: string(in.AuthType), CORS: cors(in.Cors), Mode: string(in.InvokeMode), Created: now, Modified: now}
	err = c.resettle(ctx, ref, noURLFunction(), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) error {
		if set.URL != nil { // two spaces, as AWS writes it
			return lambda.Errorf(lambda.ResourceConflict, "Failed to create function url config for [functionArn = %s]. "+
				"Error message:  FunctionUrlConfig exists for this Lambda function", ref.ARN())
		}
		set.URL = u
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := shaped[awslambda.CreateFunctionUrlConfigOutput](c.renderURL(ref, ref.Or(), u))
	out.InvokeMode = in.InvokeMode // absent if not given
	return out, nil
}

// GetFunctionUrlConfig returns the URL of a function or of an alias.
func (c *Control) GetFunctionUrlConfig(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionUrlConfigInput) (*awslambda.GetFunctionUrlConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	e := c.Catalog.Get(ref.FunctionID)
	if e == nil || e.Of(ref.Or()).URL == nil {
		return nil, noResource()
	}
	return shaped[awslambda.GetFunctionUrlConfigOutput](c.renderURL(ref, ref.Or(), e.Of(ref.Or()).URL)), nil
}

// UpdateFunctionUrlConfig changes a URL; what is not given stays, Cors is
// replaced as a whole.
func (c *Control) UpdateFunctionUrlConfig(ctx context.Context, at lambda.Scope, in *awslambda.UpdateFunctionUrlConfigInput) (*awslambda.UpdateFunctionUrlConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	var u lambda.URL
	err = c.resettle(ctx, ref, noResource(), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) error {
		if set.URL == nil {
			return noResource()
		}
		u = *set.URL
		if in.AuthType != "" {
			u.Auth = string(in.AuthType)
		}
		if in.Cors != nil {
			u.CORS = cors(in.Cors)
		}
		if in.InvokeMode != "" {
			u.Mode = string(in.InvokeMode)
		}
		u.Modified = c.Now()
		set.URL = &u
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := shaped[awslambda.UpdateFunctionUrlConfigOutput](c.renderURL(ref, ref.Or(), &u))
	out.InvokeMode = types.InvokeMode(u.Mode) // absent if never given
	return out, nil
}

// DeleteFunctionUrlConfig removes a URL. Its id is never used again.
func (c *Control) DeleteFunctionUrlConfig(ctx context.Context, at lambda.Scope, in *awslambda.DeleteFunctionUrlConfigInput) (*awslambda.DeleteFunctionUrlConfigOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	err = c.resettle(ctx, ref, noResource(), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) error {
		if set.URL == nil {
			return noResource()
		}
		set.URL = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteFunctionUrlConfigOutput{}, nil
}

// ListFunctionUrlConfigs lists the URLs of a function and of its aliases.
func (c *Control) ListFunctionUrlConfigs(_ context.Context, at lambda.Scope, in *awslambda.ListFunctionUrlConfigsInput) (*awslambda.ListFunctionUrlConfigsOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	e := c.Catalog.Get(ref.FunctionID)
	if e == nil {
		return nil, noURLFunction()
	}
	out := &awslambda.ListFunctionUrlConfigsOutput{FunctionUrlConfigs: []types.FunctionUrlConfig{}}
	out.NextMarker, err = settingsPage(e, in.Marker, in.MaxItems, func(qualifier string, s *lambda.Settings) bool {
		if s.URL == nil {
			return false
		}
		out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, *c.renderURL(ref, qualifier, s.URL))
		return true
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
