package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// maxName is the length of a function's name (AWS API reference, CreateFunction).
const maxName = 64

// CreateFunction makes a function, Pending until Run has prepared it, and with
// Publish its first version.
func (c *Control) CreateFunction(ctx context.Context, at lambda.Scope, in *awslambda.CreateFunctionInput) (*awslambda.CreateFunctionOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	switch {
	case len(ref.Name) > maxName: // in an ARN, where the model's own limit does not see it
		return nil, refuse("1 validation error detected: Value '%s' at 'functionName' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d", ref.Name, maxName)
	case in.PackageType == types.PackageTypeImage || in.Code.ImageUri != nil:
		return nil, notBuilt("PackageType Image")
	case in.TenancyConfig != nil:
		return nil, notBuilt("TenancyConfig")
	case in.PublishTo != "" && in.CapacityProviderConfig == nil:
		return nil, publishTo()
	case in.Runtime == "" || in.Handler == nil:
		return nil, refuse("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	case len(in.Tags) > lambda.MaxTags:
		return nil, tooManyTags()
	}
	cfg := lambda.Config{
		Timeout: int(lambda.DefaultTimeout.Seconds()), Memory: lambda.DefaultMemory, Storage: lambda.DefaultStorage,
		Arch: "x86_64", PackageType: "Zip", Tracing: "PassThrough", SnapStart: "None",
		Logging: lambda.Logging{Format: "Text", Group: "/aws/lambda/" + ref.Name},
	}
	if len(in.Architectures) > 0 {
		cfg.Arch = string(in.Architectures[0])
	}
	err = c.apply(at, &cfg, &given{
		in.Description, in.Role, in.Handler, in.Runtime, in.Timeout, in.MemorySize, in.EphemeralStorage, in.Environment,
		in.DeadLetterConfig, in.KMSKeyArn, in.TracingConfig, in.LoggingConfig, in.SnapStart, in.Layers, in.VpcConfig,
		in.FileSystemConfigs, in.ImageConfig, in.DurableConfig,
	})
	if err != nil {
		return nil, err
	}
	exists := lambda.Errorf(lambda.ResourceConflict, "Function already exist: %s", ref.Name)
	if c.Catalog.Get(ref.FunctionID) != nil { // before the work of unpacking; asked again below
		return nil, exists
	}
	c.packages.RLock()
	defer c.packages.RUnlock()
	if cfg.Code, err = c.take(ctx, at, &source{
		in.Code.ZipFile, in.Code.S3Bucket, in.Code.S3Key, in.Code.S3ObjectVersion, in.Code.S3ObjectStorageMode, in.Code.SourceKMSKeyArn, true,
	}); err != nil {
		return nil, err
	}
	if in.Publish {
		if err := publishable(&cfg); err != nil {
			return nil, err
		}
	}
	if err := c.fitsTogether(ctx, &cfg); err != nil {
		return nil, err
	}
	cfg.Managed = managed(in.CapacityProviderConfig)
	csc := value(in.CodeSigningConfigArn)
	if cfg.Signature, err = c.vouched(csc, ref.FunctionID, append([]lambda.Code256{cfg.Code}, contents(cfg.Layers)...)...); err != nil {
		return nil, err
	}
	v := &lambda.Version{
		ID: ref.FunctionID, Number: lambda.Latest, Config: cfg, Deployment: c.NewID(), RevisionID: c.NewID(), LastModified: c.Now(),
		State: lambda.Pending, StateReason: "The function is being created.", StateReasonCode: "Creating",
	}
	f := &lambda.Function{ID: ref.FunctionID, Tags: maps.Clone(in.Tags), CodeSigning: csc, Created: v.LastModified}
	create := func() error {
		return c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
			if tx.Entry() != nil {
				return exists
			}
			tx.PutFunction(f)
			tx.PutVersion(v)
			if in.Publish {
				c.publish(tx, nil)
			}
			return nil
		})
	}
	err = c.bindProvider(ctx, at, cfg.Managed, func() error {
		if csc == "" {
			return create()
		}
		return c.bindSigning(ctx, at, csc, create)
	})
	if err != nil {
		return nil, err
	}
	c.enqueue(ref.FunctionID)
	shown := render(v, ref.FunctionID.ARN())
	if in.Publish { // AWS shows the new version's number, under the unqualified ARN
		shown.Version = ptr("1")
	}
	return shaped[awslambda.CreateFunctionOutput](shown), nil
}

// source is where a caller says the code is.
type source struct {
	zip                  []byte
	bucket, key, version *string // in S3
	mode                 types.S3ObjectStorageMode
	kmsKey               *string
	live                 bool // it may be a directory
}

// hotReload is the bucket whose keys are directories of the host. LocalStack
// has the same, under the same name.
const hotReload = "hot-reload"

// take stores the package that a request in the scope brings or names. The
// caller holds c.packages for reading until the catalog refers to it.
func (c *Control) take(ctx context.Context, at lambda.Scope, s *source) (lambda.Code256, error) {
	bucket, key := value(s.bucket), value(s.key)
	switch {
	case s.mode == types.S3ObjectStorageModeReference:
		return lambda.Code256{}, notBuilt("S3ObjectStorageMode REFERENCE")
	case value(s.kmsKey) != "": // AWS would keep the package encrypted with it
		return lambda.Code256{}, notBuilt("SourceKMSKeyArn")
	case s.zip != nil && (bucket != "" || key != "" || s.version != nil):
		return lambda.Code256{}, refuse("Please do not provide other FunctionCode parameters when providing a ZipFile.")
	case s.zip != nil:
		return c.Code.Put(ctx, s.zip)
	case bucket == "" && key == "" && s.version == nil:
		return lambda.Code256{}, refuse("Please provide a source for function code.")
	case bucket == "" || key == "":
		return lambda.Code256{}, refuse("Code in S3 is named by both S3Bucket and S3Key.")
	case bucket == hotReload && !s.live:
		return lambda.Code256{}, refuse("Only the code of a function can be hot reloaded.")
	case bucket == hotReload && s.version != nil:
		return lambda.Code256{}, refuse("A directory for hot reloading has no versions: S3ObjectVersion cannot be given with the bucket hot-reload.")
	case bucket == hotReload:
		dir, err := c.Live.Resolve(key)
		if err != nil {
			return lambda.Code256{}, err
		}
		sum := sha256.Sum256([]byte(dir))
		return lambda.Code256{Digest: hex.EncodeToString(sum[:]), Dir: dir}, nil
	case c.Objects == nil:
		return lambda.Code256{}, refuse("Code cannot be fetched from S3: this server has been told of no S3 endpoint (lambent serve --endpoint-s3 URL).")
	}
	object, err := c.Objects.Get(ctx, at.Region, bucket, key, value(s.version))
	if err != nil {
		return lambda.Code256{}, err
	}
	defer object.Close()
	return c.Code.PutFrom(ctx, object)
}

// version finds what an operation names by name and qualifier.
func (c *Control) version(at lambda.Scope, name, qualifier *string) (*catalog.Entry, *lambda.Version, lambda.Ref, error) {
	ref, err := lambda.ParseRef(at, value(name), value(qualifier))
	if err != nil {
		return nil, nil, ref, err
	}
	e, err := c.find(ref.FunctionID, ref.ARN())
	if err != nil {
		return nil, nil, ref, err
	}
	v := e.Version(ref.Or())
	if v == nil {
		return nil, nil, ref, lambda.NotFound(ref.ARN())
	}
	return e, v, ref, nil
}

// GetFunction returns a version's configuration, where its code can be had, and
// the function's tags.
func (c *Control) GetFunction(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionInput) (*awslambda.GetFunctionOutput, error) {
	e, v, ref, err := c.version(at, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	out := &awslambda.GetFunctionOutput{
		Configuration: render(v, ref.ARN()),
		Code: &types.FunctionCodeLocation{
			RepositoryType: ptr("S3"),
			Location:       ptr(c.locate(v.Code)),
		},
	}
	if len(e.Function.Tags) > 0 {
		out.Tags = maps.Clone(e.Function.Tags)
	}
	if n := e.Function.Reserved; n != nil {
		out.Concurrency = &types.Concurrency{ReservedConcurrentExecutions: ptr(int32(*n))}
	}
	return out, nil
}

// locate makes the URL of code: a directory's is of the scheme file.
func (c *Control) locate(code lambda.Code256) string {
	if code.Dir != "" {
		return (&url.URL{Scheme: "file", Path: code.Dir}).String()
	}
	return c.Locate(code.Digest)
}

// GetFunctionConfiguration returns a version's configuration.
func (c *Control) GetFunctionConfiguration(_ context.Context, at lambda.Scope, in *awslambda.GetFunctionConfigurationInput) (*awslambda.GetFunctionConfigurationOutput, error) {
	_, v, ref, err := c.version(at, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return shaped[awslambda.GetFunctionConfigurationOutput](render(v, ref.ARN())), nil
}

// DeleteFunction removes a function with everything of it, or, with a version's
// number as qualifier, that version.
func (c *Control) DeleteFunction(ctx context.Context, at lambda.Scope, in *awslambda.DeleteFunctionInput) (*awslambda.DeleteFunctionOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	_, numbered := lambda.ParseVersion(ref.Qualifier)
	switch { // whether the function exists or not
	case ref.Qualifier == lambda.Latest:
		return nil, refuse("$LATEST version cannot be deleted without deleting the function.")
	case ref.Qualifier != "" && !numbered:
		return nil, refuse("Deletion of aliases is not currently supported.")
	}
	if _, err := c.find(ref.FunctionID, ref.FunctionID.ARN()); err != nil {
		return nil, err
	}
	err = c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil {
			return lambda.NotFound(ref.FunctionID.ARN())
		}
		if ref.Qualifier == "" {
			tx.DeleteFunction()
			return nil
		}
		if e.Versions[ref.Qualifier] == nil {
			return nil // it is gone, as asked
		}
		for _, a := range e.Aliases {
			if _, weighted := a.Weights[ref.Qualifier]; weighted || a.Version == ref.Qualifier {
				return lambda.Errorf(lambda.ResourceConflict, "Version %s of function %s is referenced by alias %s.",
					ref.Qualifier, ref.Name, a.Name)
			}
		}
		tx.DeleteVersion(ref.Qualifier)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteFunctionOutput{}, nil
}

// maxPage is how many functions or versions a page holds at most, whatever the
// caller asks for.
const maxPage = 50

// ListFunctions lists the functions of the scope in name order; with
// FunctionVersion ALL, every version of each.
func (c *Control) ListFunctions(_ context.Context, at lambda.Scope, in *awslambda.ListFunctionsInput) (*awslambda.ListFunctionsOutput, error) {
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListFunctionsOutput{Functions: []types.FunctionConfiguration{}}
	if in.MasterRegion != nil && *in.MasterRegion != "ALL" && *in.MasterRegion != at.Region {
		return out, nil // replicas for the edge, of which there are none
	}
	most := pageSize(in.MaxItems)
	if in.FunctionVersion != types.FunctionVersionAll {
		page, next := c.Catalog.List(at, from.Name, most)
		for _, e := range page {
			out.Functions = append(out.Functions, brief(e.Versions[lambda.Latest], e.Function.ID.ARN()))
		}
		out.NextMarker = after(next)
		return out, nil
	}
	// The marker names the last version shown: the page begins in that function.
	add := func(e *catalog.Entry, after int64) (full bool) {
		for _, v := range ordered(e) {
			if number(v) <= after {
				continue
			}
			if len(out.Functions) == most {
				last := out.Functions[most-1]
				n, _ := lambda.ParseVersion(*last.Version)
				out.NextMarker = marker{Name: *last.FunctionName, Version: n, Within: true}.encode()
				return true
			}
			out.Functions = append(out.Functions, brief(v, v.ID.Qualified(v.Number)))
		}
		return false
	}
	if from.Within {
		if e := c.Catalog.Get(lambda.FunctionID{Account: at.Account, Region: at.Region, Name: from.Name}); e != nil && add(e, from.Version) {
			return out, nil
		}
	}
	page, _ := c.Catalog.List(at, from.Name, most+1)
	for _, e := range page {
		if add(e, -1) {
			break
		}
	}
	return out, nil
}

func pageSize(asked *int32) int {
	if asked == nil || *asked > maxPage {
		return maxPage
	}
	return int(*asked)
}
