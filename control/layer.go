package control

import (
	"context"
	"regexp"
	"slices"
	"strconv"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// layerForm reads a layer's ARN, with or without a version.
var layerForm = regexp.MustCompile(`^arn:[a-zA-Z0-9-]+:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]+)(?::(\d+))?$`)

// parseLayer reads a layer's name or ARN. version is 0 if none is named.
func parseLayer(at lambda.Scope, name string) (id lambda.ResourceID, version int64) {
	id = lambda.ResourceID{Account: at.Account, Region: at.Region, Name: name}
	if m := layerForm.FindStringSubmatch(name); m != nil {
		id = lambda.ResourceID{Account: m[2], Region: m[1], Name: m[3]}
		version, _ = strconv.ParseInt(m[4], 10, 64) // absent, or digits
	}
	return id, version
}

// ownLayer reads the layer of an operation that only its owner may do.
func ownLayer(at lambda.Scope, name *string) (lambda.ResourceID, error) {
	id, _ := parseLayer(at, *name)
	if id.Region != at.Region {
		return id, lambda.Errorf(lambda.ResourceNotFound,
			"Layers from '%s' are not reachable in this region ('%s')", id.Region, at.Region)
	}
	if id.Account != at.Account {
		return id, &lambda.Error{Code: lambda.AccessDenied}
	}
	return id, nil
}

// readLayer finds a layer's version that the caller's account may read: its
// own, or one whose policy allows it. Absent is nil without an error.
func (c *Control) readLayer(at lambda.Scope, id lambda.ResourceID, number int64) (*lambda.LayerVersion, error) {
	v := c.Catalog.Layers.Get(id).Version(number)
	if id.Account == at.Account {
		return v, nil
	}
	if v == nil || !allows(v.Policy, at.Account) {
		arn := lambda.LayerVersionARN(id, number)
		return nil, lambda.Errorf(lambda.AccessDenied, "User: arn:%s:iam::%s:root is not authorized to perform: lambda:GetLayerVersion "+
			"on resource: %s because no resource-based policy allows the lambda:GetLayerVersion action", lambda.Partition(at.Region), at.Account, arn)
	}
	return v, nil
}

// allows tells whether a layer's policy names an account or everyone. A
// statement with a condition (an organization) grants nothing, since no
// organization is known here.
func allows(p *lambda.Policy, account string) bool {
	if p == nil {
		return false
	}
	return slices.ContainsFunc(p.Statements, func(s lambda.Statement) bool {
		who, conditional := grantee(s)
		return !conditional && (who == "*" || who == account)
	})
}

// resolveLayers finds the layers of a function by their ARNs, and refuses what
// cannot be merged.
func (c *Control) resolveLayers(at lambda.Scope, arns []string) ([]lambda.Layer, error) {
	if len(arns) > lambda.MaxLayers {
		return nil, refuse("Cannot reference more than %d layers.", lambda.MaxLayers)
	}
	var layers []lambda.Layer
	first := map[lambda.ResourceID]string{}
	for _, arn := range arns {
		if id, _ := parseLayer(at, arn); id.Region != at.Region {
			return nil, refuse("Layers are not in the same region as the function. Layers are expected to be in region %s.", at.Region)
		}
	}
	for _, arn := range arns {
		id, _ := parseLayer(at, arn)
		if other, ok := first[id]; ok {
			return nil, refuse("Two different versions of the same layer are not allowed to be referenced in the same function. "+
				"%s and %s are versions of the same layer.", other, arn)
		}
		first[id] = arn
	}
	for _, arn := range arns {
		id, number := parseLayer(at, arn)
		v, err := c.readLayer(at, id, number)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, refuse("Layer version %s does not exist.", arn)
		}
		layers = append(layers, lambda.Layer{ARN: arn, Code: v.Code})
	}
	return layers, nil
}

// fitsTogether refuses a function whose code and layers are too much together.
func (c *Control) fitsTogether(ctx context.Context, cfg *lambda.Config) error {
	if len(cfg.Layers) == 0 {
		return nil
	}
	var total int64
	var err error
	if cfg.Code.Dir == "" { // a directory may have another size at any time
		total, err = c.Code.Unzipped(ctx, cfg.Code.Digest)
	}
	for _, l := range cfg.Layers {
		var n int64
		if err == nil {
			n, err = c.Code.Unzipped(ctx, l.Code.Digest)
		}
		total += n
	}
	if err != nil {
		return err
	}
	if total > lambda.MaxUnzippedSize {
		return refuse("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.",
			lambda.MaxUnzippedSize, total)
	}
	return nil
}

// list converts a list that is absent if it was not given, and empty if it was.
func list[To, From ~string](in []From) []To {
	if in == nil {
		return nil
	}
	out := make([]To, len(in))
	for i, s := range in {
		out[i] = To(s)
	}
	return out
}

func renderLayer(id lambda.ResourceID, v *lambda.LayerVersion) *types.LayerVersionsListItem {
	out := &types.LayerVersionsListItem{
		LayerVersionArn:         ptr(lambda.LayerVersionARN(id, v.Number)),
		Version:                 v.Number,
		Description:             ptr(v.Description),
		CreatedDate:             ptr(stamp(v.Created)),
		CompatibleRuntimes:      list[types.Runtime](v.Runtimes),
		CompatibleArchitectures: list[types.Architecture](v.Architectures),
	}
	if v.License != "" {
		out.LicenseInfo = ptr(v.License)
	}
	return out
}

// wholeLayer is a layer's version with its content, as Get and Publish show it.
func (c *Control) wholeLayer(l lambda.ResourceID, v *lambda.LayerVersion) *awslambda.GetLayerVersionOutput {
	item := renderLayer(l, v)
	out := shaped[awslambda.GetLayerVersionOutput](item)
	out.LayerArn = ptr((&lambda.LayerRecord{ID: l}).ARN())
	out.Content = &types.LayerVersionContentOutput{
		Location:   ptr(c.Locate(v.Code.Digest)),
		CodeSha256: ptr(codeSHA(v.Code.Digest)),
		CodeSize:   v.Code.Size,
	}
	if s := v.Signature; s != nil {
		out.Content.SigningProfileVersionArn, out.Content.SigningJobArn = ptr(s.Profile), ptr(s.Job)
	}
	return out
}

// PublishLayerVersion makes the next version of a layer, and the layer with its first.
func (c *Control) PublishLayerVersion(ctx context.Context, at lambda.Scope, in *awslambda.PublishLayerVersionInput) (*awslambda.PublishLayerVersionOutput, error) {
	id, err := ownLayer(at, in.LayerName)
	if err != nil {
		return nil, err
	}
	v := &lambda.LayerVersion{
		Description: value(in.Description), License: value(in.LicenseInfo), Created: c.Now(),
		Runtimes: list[string](in.CompatibleRuntimes), Architectures: list[string](in.CompatibleArchitectures),
	}
	c.packages.RLock()
	defer c.packages.RUnlock()
	if v.Code, err = c.take(ctx, at, &source{
		zip: in.Content.ZipFile, bucket: in.Content.S3Bucket, key: in.Content.S3Key, version: in.Content.S3ObjectVersion,
		mode: in.Content.S3ObjectStorageMode,
	}); err != nil {
		return nil, err
	}
	if v.Signature, err = c.signer(v.Code); err != nil {
		return nil, err
	}
	err = c.Catalog.Layers.Update(ctx, id, func(was *lambda.LayerRecord) (*lambda.LayerRecord, error) {
		now := lambda.LayerRecord{ID: id}
		if was != nil {
			now = *was
		}
		now.Last++
		v.Number = now.Last
		now.Versions = append(slices.Clip(now.Versions), v)
		return &now, nil
	})
	if err != nil {
		return nil, err
	}
	return shaped[awslambda.PublishLayerVersionOutput](c.wholeLayer(id, v)), nil
}

// getLayer is GetLayerVersion by name or by ARN.
func (c *Control) getLayer(at lambda.Scope, id lambda.ResourceID, number int64) (*awslambda.GetLayerVersionOutput, error) {
	if number < 1 {
		return nil, refuse("Layer Version Cannot be less than 1")
	}
	if id.Region != at.Region {
		return nil, lambda.Errorf(lambda.ResourceNotFound,
			"Layers from '%s' are not reachable in this region ('%s')", id.Region, at.Region)
	}
	v, err := c.readLayer(at, id, number)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, noResource()
	}
	return c.wholeLayer(id, v), nil
}

// GetLayerVersion returns a layer's version and where its content can be had.
func (c *Control) GetLayerVersion(_ context.Context, at lambda.Scope, in *awslambda.GetLayerVersionInput) (*awslambda.GetLayerVersionOutput, error) {
	id, _ := parseLayer(at, *in.LayerName)
	return c.getLayer(at, id, *in.VersionNumber)
}

// GetLayerVersionByArn is GetLayerVersion by the version's ARN.
func (c *Control) GetLayerVersionByArn(_ context.Context, at lambda.Scope, in *awslambda.GetLayerVersionByArnInput) (*awslambda.GetLayerVersionByArnOutput, error) {
	id, number := parseLayer(at, *in.Arn)
	out, err := c.getLayer(at, id, number)
	if err != nil {
		return nil, err
	}
	return shaped[awslambda.GetLayerVersionByArnOutput](out), nil
}

// DeleteLayerVersion removes a layer's version. Functions that have it keep it.
func (c *Control) DeleteLayerVersion(ctx context.Context, at lambda.Scope, in *awslambda.DeleteLayerVersionInput) (*awslambda.DeleteLayerVersionOutput, error) {
	id, err := ownLayer(at, in.LayerName)
	if err != nil {
		return nil, err
	}
	if *in.VersionNumber < 1 {
		return nil, refuse("Layer Version Cannot be less than 1")
	}
	err = c.Catalog.Layers.Update(ctx, id, func(was *lambda.LayerRecord) (*lambda.LayerRecord, error) {
		if was.Version(*in.VersionNumber) == nil {
			return was, nil // it is gone, as asked
		}
		now := *was // stays when its last version goes: numbers are not used again
		now.Versions = slices.DeleteFunc(slices.Clone(was.Versions), func(v *lambda.LayerVersion) bool { return v.Number == *in.VersionNumber })
		return &now, nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteLayerVersionOutput{}, nil
}

// compatible tells whether a layer's version says that it fits a runtime and an
// architecture; "" asks for none.
func compatible(v *lambda.LayerVersion, runtime types.Runtime, arch types.Architecture) bool {
	return (runtime == "" || slices.Contains(v.Runtimes, string(runtime))) &&
		(arch == "" || slices.Contains(v.Architectures, string(arch)))
}

// ListLayers lists the layers of the scope by name, each with its newest version
// that is asked for. A layer without one is left out.
func (c *Control) ListLayers(_ context.Context, at lambda.Scope, in *awslambda.ListLayersInput) (*awslambda.ListLayersOutput, error) {
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListLayersOutput{Layers: []types.LayersListItem{}}
	most := pageSize(in.MaxItems)
	for next := from.Name; ; {
		var page []*lambda.LayerRecord
		page, next = c.Catalog.Layers.List(at, next, most)
		for i, l := range page {
			for _, v := range slices.Backward(l.Versions) {
				if compatible(v, in.CompatibleRuntime, in.CompatibleArchitecture) {
					out.Layers = append(out.Layers, types.LayersListItem{
						LayerName: ptr(l.ID.Name), LayerArn: ptr(l.ARN()), LatestMatchingVersion: renderLayer(l.ID, v),
					})
					break
				}
			}
			if len(out.Layers) == most && (i < len(page)-1 || next != "") {
				out.NextMarker = after(l.ID.Name)
				return out, nil
			}
		}
		if next == "" {
			return out, nil
		}
	}
}

// ListLayerVersions lists a layer's versions, the newest first.
func (c *Control) ListLayerVersions(_ context.Context, at lambda.Scope, in *awslambda.ListLayerVersionsInput) (*awslambda.ListLayerVersionsOutput, error) {
	id, err := ownLayer(at, in.LayerName)
	if err != nil {
		return nil, err
	}
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListLayerVersionsOutput{LayerVersions: []types.LayerVersionsListItem{}}
	l := c.Catalog.Layers.Get(id)
	if l == nil {
		return out, nil
	}
	most := pageSize(in.MaxItems)
	for _, v := range slices.Backward(l.Versions) {
		if from.Within && v.Number >= from.Version || !compatible(v, in.CompatibleRuntime, in.CompatibleArchitecture) {
			continue
		}
		if len(out.LayerVersions) == most {
			out.NextMarker = marker{Version: out.LayerVersions[most-1].Version, Within: true}.encode()
			break
		}
		out.LayerVersions = append(out.LayerVersions, *renderLayer(id, v))
	}
	return out, nil
}

// repolicy changes the policy of a layer's version.
func (c *Control) repolicy(ctx context.Context, at lambda.Scope, layer *string, number int64, change func(was *lambda.Policy) (*lambda.Policy, error)) error {
	id, err := ownLayer(at, layer)
	if err != nil {
		return err
	}
	if number < 1 {
		return refuse("Layer Version Cannot be less than 1")
	}
	return c.Catalog.Layers.Update(ctx, id, func(was *lambda.LayerRecord) (*lambda.LayerRecord, error) {
		v := was.Version(number)
		if v == nil {
			return nil, noLayerVersion(id, number)
		}
		changed := *v
		if changed.Policy, err = change(v.Policy); err != nil {
			return nil, err
		}
		now := *was
		now.Versions = slices.Clone(was.Versions)
		now.Versions[slices.Index(was.Versions, v)] = &changed
		return &now, nil
	})
}

func noLayerVersion(id lambda.ResourceID, number int64) error {
	return lambda.Errorf(lambda.ResourceNotFound, "Layer version %s does not exist.", lambda.LayerVersionARN(id, number))
}

// AddLayerVersionPermission lets an account, an organization or everyone use a
// layer's version.
func (c *Control) AddLayerVersionPermission(ctx context.Context, at lambda.Scope, in *awslambda.AddLayerVersionPermissionInput) (*awslambda.AddLayerVersionPermissionOutput, error) {
	id, _ := parseLayer(at, *in.LayerName)
	s := &statement{Sid: *in.StatementId, Effect: "Allow", Action: *in.Action, Resource: lambda.LayerVersionARN(id, *in.VersionNumber)}
	if in.OrganizationId != nil {
		s.Condition = &condition{StringEquals: map[string]string{"aws:PrincipalOrgID": *in.OrganizationId}}
	}
	var now *lambda.Policy
	err := c.repolicy(ctx, at, in.LayerName, *in.VersionNumber, func(was *lambda.Policy) (_ *lambda.Policy, err error) {
		if s.Principal, err = principal(at.Region, *in.Principal); err != nil {
			return nil, err
		}
		if err := revision(in.RevisionId, was, staleLayer); err != nil {
			return nil, err
		}
		now, err = c.grant(was, s)
		return now, err
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.AddLayerVersionPermissionOutput{Statement: ptr(string(s.encode().JSON)), RevisionId: ptr(now.RevisionID)}, nil
}

// GetLayerVersionPolicy returns the policy of a layer's version.
func (c *Control) GetLayerVersionPolicy(_ context.Context, at lambda.Scope, in *awslambda.GetLayerVersionPolicyInput) (*awslambda.GetLayerVersionPolicyOutput, error) {
	id, err := ownLayer(at, in.LayerName)
	if err != nil {
		return nil, err
	}
	if *in.VersionNumber < 1 {
		return nil, refuse("Layer Version Cannot be less than 1")
	}
	v := c.Catalog.Layers.Get(id).Version(*in.VersionNumber)
	if v == nil {
		return nil, noLayerVersion(id, *in.VersionNumber)
	}
	if v.Policy == nil {
		return nil, noPolicy()
	}
	return &awslambda.GetLayerVersionPolicyOutput{Policy: ptr(v.Policy.Text()), RevisionId: ptr(v.Policy.RevisionID)}, nil
}

// RemoveLayerVersionPermission removes a statement from the policy of a layer's
// version.
func (c *Control) RemoveLayerVersionPermission(ctx context.Context, at lambda.Scope, in *awslambda.RemoveLayerVersionPermissionInput) (*awslambda.RemoveLayerVersionPermissionOutput, error) {
	err := c.repolicy(ctx, at, in.LayerName, *in.VersionNumber, func(was *lambda.Policy) (*lambda.Policy, error) {
		if was == nil {
			return nil, noPolicy()
		}
		if err := revision(in.RevisionId, was, staleLayer); err != nil {
			return nil, err
		}
		return c.revoke(was, *in.StatementId)
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.RemoveLayerVersionPermissionOutput{}, nil
}
