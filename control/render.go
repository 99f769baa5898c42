package control

import (
	"encoding/base64"
	"encoding/hex"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// stamp is how the API writes the dates of functions.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000+0000") }

// codeSHA is a digest as the API shows it.
func codeSHA(digest string) string {
	b, err := hex.DecodeString(digest)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}

// render is a version as the API shows it under an ARN. What AWS leaves out is
// nil. Lists leave out more; see brief.
func render(v *lambda.Version, arn string) *types.FunctionConfiguration {
	f := &types.FunctionConfiguration{
		FunctionName:     ptr(v.ID.Name),
		FunctionArn:      ptr(arn),
		Runtime:          types.Runtime(v.Runtime),
		Role:             ptr(v.Role),
		Handler:          ptr(v.Handler),
		CodeSize:         v.Code.Size,
		CodeSha256:       ptr(codeSHA(v.Code.Digest)),
		Description:      ptr(v.Description),
		Timeout:          ptr(int32(v.Timeout)),
		MemorySize:       ptr(int32(v.Memory)),
		LastModified:     ptr(stamp(v.LastModified)),
		Version:          ptr(v.Number),
		RevisionId:       ptr(v.RevisionID),
		TracingConfig:    &types.TracingConfigResponse{Mode: types.TracingMode(v.Tracing)},
		PackageType:      types.PackageType(v.PackageType),
		Architectures:    []types.Architecture{types.Architecture(v.Arch)},
		EphemeralStorage: &types.EphemeralStorage{Size: ptr(int32(v.Storage))},
		SnapStart: &types.SnapStartResponse{
			ApplyOn:            types.SnapStartApplyOn(v.SnapStart),
			OptimizationStatus: types.SnapStartOptimizationStatusOff,
		},
		LoggingConfig: &types.LoggingConfig{
			LogFormat:           types.LogFormat(v.Logging.Format),
			ApplicationLogLevel: types.ApplicationLogLevel(v.Logging.Application),
			SystemLogLevel:      types.SystemLogLevel(v.Logging.System),
			LogGroup:            ptr(v.Logging.Group),
		},
		RuntimeVersionConfig: &types.RuntimeVersionConfig{RuntimeVersionArn: ptr(v.RuntimeARN())},
		State:                types.State(v.State),
		LastUpdateStatus:     types.LastUpdateStatus(v.Update),
	}
	if v.StateReason != "" {
		f.StateReason, f.StateReasonCode = ptr(v.StateReason), types.StateReasonCode(v.StateReasonCode)
	}
	if v.UpdateReason != "" {
		f.LastUpdateStatusReason = ptr(v.UpdateReason)
		f.LastUpdateStatusReasonCode = types.LastUpdateStatusReasonCode(v.UpdateReasonCode)
	}
	if v.Env != nil {
		vars := v.Env.Variables
		if vars == nil {
			vars = map[string]string{}
		}
		f.Environment = &types.EnvironmentResponse{Variables: vars}
	}
	if v.DeadLetter != "" {
		f.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: ptr(v.DeadLetter)}
	}
	if v.KMSKey != "" {
		f.KMSKeyArn = ptr(v.KMSKey)
	}
	if v.VPC != nil {
		f.VpcConfig = &types.VpcConfigResponse{
			SubnetIds: append([]string{}, v.VPC.Subnets...), SecurityGroupIds: append([]string{}, v.VPC.SecurityGroups...),
			VpcId:                   ptr(""), // only EC2 would know
			Ipv6AllowedForDualStack: ptr(v.VPC.IPv6),
		}
	}
	if m := v.Managed; m != nil {
		f.CapacityProviderConfig = &types.CapacityProviderConfig{
			LambdaManagedInstancesCapacityProviderConfig: &types.LambdaManagedInstancesCapacityProviderConfig{
				CapacityProviderArn:                   ptr(m.Provider),
				ExecutionEnvironmentMemoryGiBPerVCpu:  m.MemoryPerVCPU,
				PerExecutionEnvironmentMaxConcurrency: m.MaxConcurrency,
			},
		}
	}
	if s := v.Signature; s != nil {
		f.SigningProfileVersionArn, f.SigningJobArn = ptr(s.Profile), ptr(s.Job)
	}
	for _, l := range v.Layers {
		f.Layers = append(f.Layers, types.Layer{Arn: ptr(l.ARN), CodeSize: l.Code.Size})
	}
	return f
}

// brief is a version as lists show it.
func brief(v *lambda.Version, arn string) types.FunctionConfiguration {
	f := render(v, arn)
	f.State, f.StateReason, f.StateReasonCode = "", nil, ""
	f.LastUpdateStatus, f.LastUpdateStatusReason, f.LastUpdateStatusReasonCode = "", nil, ""
	f.RuntimeVersionConfig = nil
	return *f
}

// shaped copies the members that two shapes of the API share by name and type:
// the outputs of operations repeat those of the resource.
func shaped[Out, In any](from *In) *Out {
	out := new(Out)
	to, src := reflect.ValueOf(out).Elem(), reflect.ValueOf(from).Elem()
	for i := range to.NumField() {
		f := to.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if m := src.FieldByName(f.Name); m.IsValid() && m.Type() == f.Type {
			to.Field(i).Set(m)
		}
	}
	return out
}
