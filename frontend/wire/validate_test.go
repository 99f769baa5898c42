package wire

import (
	"strings"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// A violation names its member by the path in the request and says what is demanded.
func TestViolationsNameTheMember(t *testing.T) {
	const config = "PUT /2015-03-31/functions/fn/configuration"
	for _, c := range []struct{ request, body, want string }{
		// Several violations are counted and joined.
		{"POST /2015-03-31/functions", `{"Timeout":901}`,
			"4 validation errors detected: Value null at 'code' failed to satisfy constraint: Member must not be null; " +
				"Value null at 'functionName' failed to satisfy constraint: Member must not be null; " +
				"Value null at 'role' failed to satisfy constraint: Member must not be null; " +
				"Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"},
		{config, `{"Timeout":0}`, "1 validation error detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{config, `{"MemorySize":10241}`, "1 validation error detected: Value '10241' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 10240"},
		{config, `{"KMSKeyArn":"\"arn\""}`, `1 validation error detected: Value '"arn"' at 'kMSKeyArn' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()`},
		{config, `{"Handler":""}`, `1 validation error detected: Value '' at 'handler' failed to satisfy constraint: Member must satisfy regular expression pattern: [^\s]+`},
		// Values that the model calls sensitive are not shown.
		{config, `{"Environment":{"Variables":{"a":"secret"}}}`,
			"1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"},
		{config, `{"Environment":{"Variables":{"ab":null}}}`,
			"1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map value must satisfy constraint: [Member must not be null]"},
		// Null in a list.
		{config, `{"Layers":[null]}`,
			"1 validation error detected: Value '[null]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: " + layerPattern + ", Member must not be null]"},
		{config, `{"VpcConfig":{"SubnetIds":["subnet-1","subnet-2","subnet-3","subnet-4","subnet-5","subnet-6","subnet-7","subnet-8","subnet-9","subnet-10","subnet-11","subnet-12","subnet-13","subnet-14","subnet-15","subnet-16","subnet-17"]}}`,
			"1 validation error detected: Value '[subnet-1, subnet-2, subnet-3, subnet-4, subnet-5, subnet-6, subnet-7, subnet-8, subnet-9, subnet-10, subnet-11, subnet-12, subnet-13, subnet-14, subnet-15, subnet-16, subnet-17]' at 'vpcConfig.subnetIds' failed to satisfy constraint: Member must have length less than or equal to 16"},
		// Structures in a list are numbered.
		{config, `{"FileSystemConfigs":[{"Arn":"arn:aws:elasticfilesystem:us-east-1:111111111111:access-point/fsap-0123456789abcdef0","LocalMountPath":"/tmp"}]}`,
			"1 validation error detected: Value '/tmp' at 'fileSystemConfigs.1.member.localMountPath' failed to satisfy constraint: Member must satisfy regular expression pattern: /mnt/[a-zA-Z0-9-_.]+"},
		{config, `{"FileSystemConfigs":[{"LocalMountPath":"/mnt/a"},{}]}`,
			"4 validation errors detected: Value '[FileSystemConfig(arn=null, localMountPath=/mnt/a, s3FilesConfig=null), FileSystemConfig(arn=null, localMountPath=null, s3FilesConfig=null)]' at 'fileSystemConfigs' failed to satisfy constraint: Member must have length less than or equal to 1; " +
				"Value null at 'fileSystemConfigs.1.member.arn' failed to satisfy constraint: Member must not be null; " +
				"Value null at 'fileSystemConfigs.2.member.arn' failed to satisfy constraint: Member must not be null; " +
				"Value null at 'fileSystemConfigs.2.member.localMountPath' failed to satisfy constraint: Member must not be null"},
		{"POST /2015-03-31/event-source-mappings", `{"FunctionName":"fn","SelfManagedEventSource":{"Endpoints":{"KAFKA_BOOTSTRAP_SERVERS":["no port"]}}}`,
			"1 validation error detected: Value '{KAFKA_BOOTSTRAP_SERVERS=[no port]}' at 'selfManagedEventSource.endpoints' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 10, Member must have length greater than or equal to 1, " +
				`Member must satisfy constraint: [Member must have length less than or equal to 300, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: (([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])\.)*([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9\-]*[A-Za-z0-9]):[0-9]{1,5}, Member must not be null], Member must not be null]`},
		{"POST /2015-03-31/functions/fn/aliases", `{"Name":"2024","FunctionVersion":"1"}`,
			"1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)"},
		// Length counts characters, not bytes.
		{config, `{"Description":"` + strings.Repeat("é", 257) + `"}`,
			"1 validation error detected: Value '" + strings.Repeat("é", 257) + "' at 'description' failed to satisfy constraint: Member must have length less than or equal to 256"},
	} {
		err := decodeError(t, c.request, c.body)
		if err == nil || err.Code != lambda.Validation || err.Message != c.want {
			t.Errorf("%s %s\n got %v\nwant %s", c.request, c.body, err, c.want)
		}
	}
	if _, err := decodeRequest(t, config, `{"Description":"`+strings.Repeat("é", 256)+`","KMSKeyArn":""}`); err != nil {
		t.Error(err)
	}
}

// How long a name may be, and what may be in it, depends on the operation.
func TestNamesAreCheckedByOperation(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:111111111111:function:"
	for _, c := range []struct {
		name, qualifier string
		member          string // where GetFunction finds fault; "" for nowhere
		create          lambda.Code
	}{
		{"fn", "", "", ""},
		{"fn:live", "", "", ""},
		{arn + "fn:$LATEST", "", "", ""},
		{"fn.ns", "", "", lambda.Validation},
		{"arn:aws:lambda:us-east-1:111111111111:function", "", "", ""},
		{strings.Repeat("a", 65), "", "", lambda.InvalidParameterValue},
		{strings.Repeat("a", 65) + ":live", "", "", lambda.InvalidParameterValue},
		{arn + strings.Repeat("a", 65), "", "", lambda.InvalidParameterValue},
		{strings.Repeat("a", 141), "", "", lambda.Validation},
		{"fn:" + strings.Repeat("a", 140), "", "", lambda.Validation},
		{strings.Repeat("a", 257), "", "functionName", lambda.Validation},
		{"my-function:1:2", "", "functionName", lambda.Validation},
		{"invalid:function:name", "", "functionName", lambda.Validation},
		{"arn:aws:lambda:us-east-1::function:fn", "", "functionName", lambda.Validation},
		{"arn:aws:ec2:us-east-1:111111111111:function:fn", "", "functionName", lambda.Validation},
		{"arn@aws@lambda", "", "functionName", lambda.Validation},
		{"fn:?", "", "functionName", lambda.Validation},
		{"fn", "?", "qualifier", ""},
		{"fn", "$latest", "", ""},
		{"fn", strings.Repeat("a", 129), "qualifier", ""},
	} {
		get := &awslambda.GetFunctionInput{FunctionName: &c.name}
		if c.qualifier != "" {
			get.Qualifier = &c.qualifier
		}
		err := Validate(ByName("GetFunction"), get)
		switch {
		case c.member == "" && err != nil:
			t.Errorf("GetFunction %s %s: %v", c.name, c.qualifier, err)
		case c.member != "" && (err == nil || !strings.Contains(err.Error(), "' at '"+c.member+"'")):
			t.Errorf("GetFunction %s %s: %v, want a violation at %s", c.name, c.qualifier, err, c.member)
		}
		role := "arn:aws:iam::111111111111:role/r"
		err = Validate(ByName("CreateFunction"), &awslambda.CreateFunctionInput{FunctionName: &c.name, Role: &role, Code: &types.FunctionCode{}})
		if c.create == "" && err != nil || c.create != "" && (err == nil || lambda.AsError(err).Code != c.create) {
			t.Errorf("CreateFunction %s: %v, want %q", c.name, err, c.create)
		}
	}
}

// Deprecated runtimes pass here: that they are no longer offered is said in other words, elsewhere.
func TestDeprecatedRuntimesAreKnown(t *testing.T) {
	for _, runtime := range types.Runtime("").Values() {
		if err := unknownRuntime(runtime); err != nil {
			t.Error(err)
		}
	}
}

// What a violation repeats of a request is bounded.
func TestViolationsAreBounded(t *testing.T) {
	err := decodeError(t, "PUT /2015-03-31/functions/fn/configuration", `{"Description":"`+strings.Repeat("x", 1<<19)+`"}`)
	if err == nil || len(err.Message) > 2*maxShown {
		t.Errorf("%.300v", err)
	}
	tags := strings.Repeat(`{"Arn":"x"},`, 10_000)
	err = decodeError(t, "PUT /2015-03-31/functions/fn/configuration", `{"FileSystemConfigs":[`+tags[:len(tags)-1]+`]}`)
	if err == nil || len(err.Message) > maxViolations*maxShown {
		t.Errorf("%.300v", err)
	}
}

// Numbers are written as Java writes them.
func TestDoublesAreJavas(t *testing.T) {
	for f, want := range map[float64]string{0: "0.0", 2: "2.0", -1: "-1.0", 0.5: "0.5", 1e7: "1.0E7", 1.5e-4: "1.5E-4", 123456.25: "123456.25"} {
		if got := double(f); got != want {
			t.Errorf("%g is written %s, want %s", f, got, want)
		}
	}
}
