package control

import (
	"context"
	"maps"
	"regexp"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

var providerForm = regexp.MustCompile(`^arn:[a-zA-Z0-9-]+:lambda:([a-z0-9-]+):(\d{12}):capacity-provider:([a-zA-Z0-9-_]+)$`)

// defaultVCPU is the most that a capacity provider scales to unless told (AWS
// API reference, CapacityProviderScalingConfig).
const defaultVCPU = 400

// parseProvider reads a capacity provider's name or ARN.
func parseProvider(at lambda.Scope, name string) lambda.ResourceID {
	if m := providerForm.FindStringSubmatch(name); m != nil {
		return lambda.ResourceID{Account: m[2], Region: m[1], Name: m[3]}
	}
	return lambda.ResourceID{Account: at.Account, Region: at.Region, Name: name}
}

func noProvider(id lambda.ResourceID) error {
	return lambda.Errorf(lambda.ResourceNotFound, "Capacity provider not found: %s", (&lambda.CapacityProvider{ID: id}).ARN())
}

// findProvider finds a capacity provider of the caller's.
func (c *Control) findProvider(at lambda.Scope, name string) (*lambda.CapacityProvider, error) {
	id := parseProvider(at, name)
	if p := c.Catalog.Providers.Get(id); p != nil && id.Scope() == at {
		return p, nil
	}
	return nil, noProvider(id)
}

func renderProvider(p *lambda.CapacityProvider) *types.CapacityProvider {
	scaling := &types.CapacityProviderScalingConfig{
		MaxVCpuCount: ptr(p.MaxVCPU), ScalingMode: types.CapacityProviderScalingMode(p.ScalingMode),
	}
	for _, s := range p.Policies {
		scaling.ScalingPolicies = append(scaling.ScalingPolicies, types.TargetTrackingScalingPolicy{
			PredefinedMetricType: types.CapacityProviderPredefinedMetricType(s.Metric), TargetValue: ptr(s.Target),
		})
	}
	out := &types.CapacityProvider{
		CapacityProviderArn:           ptr(p.ARN()),
		State:                         types.CapacityProviderState(p.State),
		VpcConfig:                     &types.CapacityProviderVpcConfig{SubnetIds: p.Subnets, SecurityGroupIds: p.SecurityGroups},
		PermissionsConfig:             &types.CapacityProviderPermissionsConfig{CapacityProviderOperatorRoleArn: ptr(p.OperatorRole)},
		CapacityProviderScalingConfig: scaling,
		LastModified:                  ptr(stamp(p.Modified)),
		TelemetryConfig: &types.CapacityProviderTelemetryConfig{LoggingConfig: &types.CapacityProviderLoggingConfig{
			LogGroup: ptr(p.LogGroup), SystemLogLevel: types.SystemLogLevel(p.LogLevel),
		}},
	}
	if r := p.Requirements; r != nil {
		out.InstanceRequirements = &types.InstanceRequirements{
			Architectures: list[types.Architecture](r.Architectures), AllowedInstanceTypes: r.Allowed, ExcludedInstanceTypes: r.Excluded,
		}
	}
	if p.KMSKey != "" {
		out.KmsKeyArn = ptr(p.KMSKey)
	}
	if t := p.Propagate; t != nil {
		out.PropagateTags = &types.PropagateTags{Mode: types.PropagateTagsMode(t.Mode), ExplicitTags: t.Tags}
	}
	return out
}

// scale takes over what a caller says about scaling.
func scale(p *lambda.CapacityProvider, in *types.CapacityProviderScalingConfig) {
	if in == nil {
		return
	}
	if in.MaxVCpuCount != nil {
		p.MaxVCPU = *in.MaxVCpuCount
	}
	if in.ScalingMode != "" {
		p.ScalingMode = string(in.ScalingMode)
	}
	if in.ScalingPolicies != nil {
		p.Policies = nil
		for _, s := range in.ScalingPolicies {
			p.Policies = append(p.Policies, lambda.ScalingPolicy{Metric: string(s.PredefinedMetricType), Target: value(s.TargetValue)})
		}
	}
}

// observe takes over what a caller says about logs and tags.
func observe(p *lambda.CapacityProvider, logs *types.CapacityProviderTelemetryConfig, tags *types.PropagateTags) {
	if logs != nil && logs.LoggingConfig != nil {
		set(&p.LogGroup, logs.LoggingConfig.LogGroup)
		if l := logs.LoggingConfig.SystemLogLevel; l != "" {
			p.LogLevel = string(l)
		}
	}
	if tags != nil {
		p.Propagate = &lambda.Propagation{Mode: string(tags.Mode), Tags: maps.Clone(tags.ExplicitTags)}
	}
}

// CreateCapacityProvider records a capacity provider. No instances are launched
// for it, so that it stays Pending.
func (c *Control) CreateCapacityProvider(ctx context.Context, at lambda.Scope, in *awslambda.CreateCapacityProviderInput) (*awslambda.CreateCapacityProviderOutput, error) {
	id := parseProvider(at, *in.CapacityProviderName)
	if id.Scope() != at {
		return nil, &lambda.Error{Code: lambda.AccessDenied}
	}
	if len(in.Tags) > lambda.MaxTags {
		return nil, tooManyTags()
	}
	p := &lambda.CapacityProvider{
		ID: id, State: "Pending", Modified: c.Now(),
		Subnets: in.VpcConfig.SubnetIds, SecurityGroups: in.VpcConfig.SecurityGroupIds,
		OperatorRole: *in.PermissionsConfig.CapacityProviderOperatorRoleArn,
		MaxVCPU:      defaultVCPU, ScalingMode: "Auto", KMSKey: value(in.KmsKeyArn), Tags: maps.Clone(in.Tags),
		LogGroup: "/aws/lambda/capacity-provider/" + id.Name, LogLevel: "INFO",
	}
	if r := in.InstanceRequirements; r != nil {
		if len(r.AllowedInstanceTypes) > 0 && len(r.ExcludedInstanceTypes) > 0 {
			return nil, refuse("AllowedInstanceTypes and ExcludedInstanceTypes cannot both be specified.")
		}
		p.Requirements = &lambda.InstanceRequirements{
			Architectures: list[string](r.Architectures), Allowed: r.AllowedInstanceTypes, Excluded: r.ExcludedInstanceTypes,
		}
	}
	scale(p, in.CapacityProviderScalingConfig)
	observe(p, in.TelemetryConfig, in.PropagateTags)
	err := c.Catalog.Providers.Update(ctx, id, func(was *lambda.CapacityProvider) (*lambda.CapacityProvider, error) {
		if was != nil {
			return nil, lambda.Errorf(lambda.ResourceConflict, "Capacity provider already exists: %s", p.ARN())
		}
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.CreateCapacityProviderOutput{CapacityProvider: renderProvider(p)}, nil
}

// GetCapacityProvider returns a capacity provider.
func (c *Control) GetCapacityProvider(_ context.Context, at lambda.Scope, in *awslambda.GetCapacityProviderInput) (*awslambda.GetCapacityProviderOutput, error) {
	p, err := c.findProvider(at, *in.CapacityProviderName)
	if err != nil {
		return nil, err
	}
	return &awslambda.GetCapacityProviderOutput{CapacityProvider: renderProvider(p)}, nil
}

// changeProvider changes a capacity provider of the caller's; nil from change
// deletes it.
func (c *Control) changeProvider(ctx context.Context, at lambda.Scope, name string, change func(was *lambda.CapacityProvider) (*lambda.CapacityProvider, error)) error {
	id := parseProvider(at, name)
	if id.Scope() != at {
		return noProvider(id)
	}
	return c.Catalog.Providers.Update(ctx, id, func(was *lambda.CapacityProvider) (*lambda.CapacityProvider, error) {
		if was == nil {
			return nil, noProvider(id)
		}
		return change(was)
	})
}

// UpdateCapacityProvider changes a capacity provider; what is not given stays.
func (c *Control) UpdateCapacityProvider(ctx context.Context, at lambda.Scope, in *awslambda.UpdateCapacityProviderInput) (*awslambda.UpdateCapacityProviderOutput, error) {
	var now lambda.CapacityProvider
	err := c.changeProvider(ctx, at, *in.CapacityProviderName, func(was *lambda.CapacityProvider) (*lambda.CapacityProvider, error) {
		now = *was
		scale(&now, in.CapacityProviderScalingConfig)
		observe(&now, in.TelemetryConfig, in.PropagateTags)
		now.Modified = c.Now()
		return &now, nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.UpdateCapacityProviderOutput{CapacityProvider: renderProvider(&now)}, nil
}

// DeleteCapacityProvider removes a capacity provider that no function uses.
func (c *Control) DeleteCapacityProvider(ctx context.Context, at lambda.Scope, in *awslambda.DeleteCapacityProviderInput) (*awslambda.DeleteCapacityProviderOutput, error) {
	var gone lambda.CapacityProvider
	err := c.changeProvider(ctx, at, *in.CapacityProviderName, func(was *lambda.CapacityProvider) (*lambda.CapacityProvider, error) {
		for e := range c.Catalog.All { // none can be bound meanwhile: that waits for this
			for _, v := range e.Versions {
				if v.Managed != nil && v.Managed.Provider == was.ARN() {
					return nil, lambda.Errorf(lambda.ResourceConflict,
						"The capacity provider %s cannot be deleted: the function version %s uses it.", was.ARN(), v.ID.Qualified(v.Number))
				}
			}
		}
		gone = *was
		gone.State = "Deleting"
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteCapacityProviderOutput{CapacityProvider: renderProvider(&gone)}, nil
}

// ListCapacityProviders lists the capacity providers of the scope.
func (c *Control) ListCapacityProviders(_ context.Context, at lambda.Scope, in *awslambda.ListCapacityProvidersInput) (*awslambda.ListCapacityProvidersOutput, error) {
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListCapacityProvidersOutput{CapacityProviders: []types.CapacityProvider{}}
	page, next := c.Catalog.Providers.List(at, from.Name, pageSize(in.MaxItems))
	out.NextMarker = after(next)
	for _, p := range page {
		if in.State == "" || p.State == string(in.State) {
			out.CapacityProviders = append(out.CapacityProviders, *renderProvider(p))
		}
	}
	return out, nil
}

// ListFunctionVersionsByCapacityProvider lists the versions that a capacity
// provider would run, by function and number.
func (c *Control) ListFunctionVersionsByCapacityProvider(_ context.Context, at lambda.Scope, in *awslambda.ListFunctionVersionsByCapacityProviderInput) (*awslambda.ListFunctionVersionsByCapacityProviderOutput, error) {
	p, err := c.findProvider(at, *in.CapacityProviderName)
	if err != nil {
		return nil, err
	}
	from, err := parseMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	out := &awslambda.ListFunctionVersionsByCapacityProviderOutput{
		CapacityProviderArn: ptr(p.ARN()), FunctionVersions: []types.FunctionVersionsByCapacityProviderListItem{},
	}
	most := pageSize(in.MaxItems)
	last := marker{Within: true}
	add := func(name string, versions []*lambda.Version, after int64) (full bool) {
		for _, v := range versions {
			if v.Managed == nil || v.Managed.Provider != p.ARN() || number(v) <= after {
				continue
			}
			if len(out.FunctionVersions) == most {
				out.NextMarker = last.encode()
				return true
			}
			last.Name, last.Version = name, number(v)
			out.FunctionVersions = append(out.FunctionVersions, types.FunctionVersionsByCapacityProviderListItem{
				FunctionArn: ptr(v.ID.Qualified(v.Number)), State: types.State(v.State),
			})
		}
		return false
	}
	if from.Within { // the page begins in that function
		if e := c.Catalog.Get(lambda.FunctionID{Account: at.Account, Region: at.Region, Name: from.Name}); e != nil &&
			add(from.Name, ordered(e), from.Version) {
			return out, nil
		}
	}
	for e := range c.functions(at, from.Name) {
		if add(e.Function.ID.Name, ordered(e), -1) {
			break
		}
	}
	return out, nil
}

// managed reads that a function is to run on a capacity provider. bind runs
// while the provider cannot go.
func managed(in *types.CapacityProviderConfig) *lambda.ManagedInstances {
	if in == nil || in.LambdaManagedInstancesCapacityProviderConfig == nil {
		return nil
	}
	m := in.LambdaManagedInstancesCapacityProviderConfig
	return &lambda.ManagedInstances{
		Provider: *m.CapacityProviderArn, MemoryPerVCPU: m.ExecutionEnvironmentMemoryGiBPerVCpu, MaxConcurrency: m.PerExecutionEnvironmentMaxConcurrency,
	}
}

// bindProvider runs bind while the capacity provider of a function, if it has
// one, cannot go.
func (c *Control) bindProvider(ctx context.Context, at lambda.Scope, m *lambda.ManagedInstances, bind func() error) error {
	if m == nil {
		return bind()
	}
	id := parseProvider(at, m.Provider)
	return c.Catalog.Providers.Update(ctx, id, func(was *lambda.CapacityProvider) (*lambda.CapacityProvider, error) {
		if was == nil || id.Scope() != at {
			return was, noProvider(id)
		}
		return was, bind()
	})
}
