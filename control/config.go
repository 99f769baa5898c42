package control

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// deprecated runtimes are refused in AWS's words (recorded 2025-11-26, all of
// the first row; the rest follow from their end of support in AWS's table).
var deprecated = []string{
	"dotnetcore3.1", "go1.x", "java8", "nodejs12.x", "nodejs14.x", "provided", "python3.7", "ruby2.7",
	"nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x",
	"python2.7", "python3.6", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "ruby2.5",
}

// runtime checks that functions may be made for a runtime here.
func (c *Control) runtime(name string) error {
	if slices.Contains(deprecated, name) {
		return refuse("The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions. "+
			"We recommend you use a supported runtime while creating or updating functions.", name)
	}
	if err := c.Runtime(name); err != nil {
		return refuse("The runtime %s cannot run on this host: %v", name, err)
	}
	return nil
}

// reserved are the variables that belong to Lambda (AWS Lambda developer guide,
// "Defined runtime environment variables").
var reserved = map[string]bool{
	"_HANDLER": true, "_X_AMZN_TRACE_ID": true, "AWS_DEFAULT_REGION": true, "AWS_REGION": true,
	"AWS_EXECUTION_ENV": true, "AWS_LAMBDA_FUNCTION_NAME": true, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true,
	"AWS_LAMBDA_FUNCTION_VERSION": true, "AWS_LAMBDA_INITIALIZATION_TYPE": true, "AWS_LAMBDA_LOG_GROUP_NAME": true,
	"AWS_LAMBDA_LOG_STREAM_NAME": true, "AWS_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true, "AWS_SECRET_KEY": true,
	"AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true, "AWS_LAMBDA_RUNTIME_API": true, "LAMBDA_TASK_ROOT": true,
	"LAMBDA_RUNTIME_DIR": true, "TZ": true, "AWS_LAMBDA_METADATA_API": true, "AWS_LAMBDA_METADATA_TOKEN": true,
	"AWS_LAMBDA_MAX_CONCURRENCY": true, "AWS_LAMBDA_LOG_FORMAT": true, "AWS_LAMBDA_LOG_LEVEL": true,
	"AWS_CONTAINER_CREDENTIALS_FULL_URI": true, "AWS_CONTAINER_AUTHORIZATION_TOKEN": true,
	"_AWS_XRAY_DAEMON_ADDRESS": true, "_AWS_XRAY_DAEMON_PORT": true, "_LAMBDA_TELEMETRY_LOG_FD": true,
}

// environment checks a function's variables.
func environment(in *types.Environment) (*lambda.Environment, error) {
	var used []string
	for name := range in.Variables {
		if reserved[name] {
			used = append(used, name)
		}
	}
	if len(used) > 0 {
		slices.Sort(used)
		return nil, refuse("Lambda was unable to configure your environment variables because the environment variables "+
			"you have provided contains reserved keys that are currently not supported for modification. "+
			"Reserved keys used in this request: %s", strings.Join(used, ", "))
	}
	if measured := compact(in.Variables); len(measured) > lambda.MaxEnvironment {
		return nil, refuse("Lambda was unable to configure your environment variables because the environment variables "+
			"you have provided exceeded the 4KB limit. String measured: %s", measured)
	}
	return &lambda.Environment{Variables: maps.Clone(in.Variables)}, nil
}

// compact writes variables as AWS measures them: JSON without spaces, and
// without the escapes that only HTML needs.
func compact(vars map[string]string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if vars == nil {
		vars = map[string]string{}
	}
	_ = enc.Encode(vars) // strings always encode
	return strings.TrimSuffix(b.String(), "\n")
}

// logging merges what a caller gave into what was.
func logging(was lambda.Logging, in *types.LoggingConfig) (lambda.Logging, error) {
	now := was
	if in.LogFormat != "" {
		now.Format = string(in.LogFormat)
	}
	if in.LogGroup != nil {
		now.Group = *in.LogGroup
	}
	if now.Format != "JSON" {
		if in.ApplicationLogLevel != "" || in.SystemLogLevel != "" {
			return was, refuse(`LogLevel is not supported when LogFormat is set to "Text". ` +
				`Remove LogLevel from your request or change the LogFormat to "JSON" and try again.`)
		}
		now.Application, now.System = "", ""
		return now, nil
	}
	for _, level := range []struct {
		now *string
		in  string
	}{{&now.Application, string(in.ApplicationLogLevel)}, {&now.System, string(in.SystemLogLevel)}} {
		if level.in != "" {
			*level.now = level.in
		} else if *level.now == "" {
			*level.now = "INFO"
		}
	}
	return now, nil
}

// given are the members that create and update configuration share.
type given struct {
	Description      *string
	Role             *string
	Handler          *string
	Runtime          types.Runtime
	Timeout          *int32
	MemorySize       *int32
	EphemeralStorage *types.EphemeralStorage
	Environment      *types.Environment
	DeadLetterConfig *types.DeadLetterConfig
	KMSKeyArn        *string
	TracingConfig    *types.TracingConfig
	LoggingConfig    *types.LoggingConfig
	SnapStart        *types.SnapStart
	Layers           []string
	VpcConfig        *types.VpcConfig
	FileSystems      []types.FileSystemConfig
	ImageConfig      *types.ImageConfig
	Durable          *types.DurableConfig
}

// apply checks what a caller gave and merges it into a function's configuration.
func (c *Control) apply(at lambda.Scope, cfg *lambda.Config, g *given) error {
	switch {
	case len(g.FileSystems) > 0:
		return notBuilt("FileSystemConfigs")
	case g.ImageConfig != nil:
		return notBuilt("ImageConfig")
	case g.Durable != nil:
		return notBuilt("DurableConfig")
	}
	if g.Runtime != "" {
		if err := c.runtime(string(g.Runtime)); err != nil {
			return err
		}
		cfg.Runtime = string(g.Runtime)
	}
	if g.Layers != nil {
		layers, err := c.resolveLayers(at, g.Layers)
		if err != nil {
			return err
		}
		cfg.Layers = layers
	}
	if g.Environment != nil {
		env, err := environment(g.Environment)
		if err != nil {
			return err
		}
		cfg.Env = env
	}
	if g.LoggingConfig != nil {
		l, err := logging(cfg.Logging, g.LoggingConfig)
		if err != nil {
			return err
		}
		cfg.Logging = l
	}
	set(&cfg.Description, g.Description)
	set(&cfg.Role, g.Role)
	set(&cfg.Handler, g.Handler)
	set(&cfg.KMSKey, g.KMSKeyArn)
	setInt(&cfg.Timeout, g.Timeout)
	setInt(&cfg.Memory, g.MemorySize)
	if g.EphemeralStorage != nil {
		setInt(&cfg.Storage, g.EphemeralStorage.Size)
	}
	if g.DeadLetterConfig != nil { // without a target it asks for nothing; an empty target removes
		set(&cfg.DeadLetter, g.DeadLetterConfig.TargetArn)
	}
	// Empty lists take a function out of its VPC; of one that was in none they ask for nothing.
	if v := g.VpcConfig; v != nil && (cfg.VPC != nil || len(v.SubnetIds)+len(v.SecurityGroupIds) > 0) {
		now := lambda.VPC{}
		if cfg.VPC != nil {
			now = *cfg.VPC
		}
		if v.SubnetIds != nil {
			now.Subnets = v.SubnetIds
		}
		if v.SecurityGroupIds != nil {
			now.SecurityGroups = v.SecurityGroupIds
		}
		if v.Ipv6AllowedForDualStack != nil {
			now.IPv6 = *v.Ipv6AllowedForDualStack
		}
		cfg.VPC = &now
	}
	if g.SnapStart != nil && g.SnapStart.ApplyOn != "" {
		cfg.SnapStart = string(g.SnapStart.ApplyOn)
	}
	if g.TracingConfig != nil && g.TracingConfig.Mode != "" {
		cfg.Tracing = string(g.TracingConfig.Mode)
	}
	return nil
}

func set(to *string, from *string) {
	if from != nil {
		*to = *from
	}
}

func setInt(to *int, from *int32) {
	if from != nil {
		*to = int(*from)
	}
}
