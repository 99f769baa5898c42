package lambda

import (
	"strconv"
	"time"
)

// ResourceID names a resource in a scope: a layer, a code signing configuration
// or a capacity provider. It is comparable and serves as a key.
type ResourceID struct {
	Account string
	Region  string
	Name    string
}

// Scope returns the account and region of the resource.
func (r ResourceID) Scope() Scope { return Scope{r.Account, r.Region} }

// arn makes the ARN of a resource that is no function.
func (r ResourceID) arn(kind string) string {
	return "arn:" + Partition(r.Region) + ":lambda:" + r.Region + ":" + r.Account + ":" + kind + ":" + r.Name
}

// LayerRecord is a layer with its versions, which are in ascending order.
type LayerRecord struct {
	ID       ResourceID
	Last     int64 // the highest number ever published; numbers are never reused
	Versions []*LayerVersion
}

// ARN returns the ARN of the layer.
func (l *LayerRecord) ARN() string { return l.ID.arn("layer") }

// Version finds a version by its number, or returns nil.
func (l *LayerRecord) Version(number int64) *LayerVersion {
	if l == nil {
		return nil
	}
	for _, v := range l.Versions {
		if v.Number == number {
			return v
		}
	}
	return nil
}

// LayerVersionARN returns the ARN of a layer's version.
func LayerVersionARN(layer ResourceID, number int64) string {
	return layer.arn("layer") + ":" + strconv.FormatInt(number, 10)
}

// LayerVersion is one version of a layer. All but its policy is fixed.
type LayerVersion struct {
	Number      int64
	Description string
	License     string `json:",omitempty"`
	// Runtimes and Architectures are nil if not given, which AWS shows by their
	// absence, and empty if given empty.
	Runtimes      []string
	Architectures []string
	Created       time.Time
	Code          Code256
	Signature     *Signature `json:",omitempty"`
	Policy        *Policy    `json:",omitempty"`
}

// Signature is what is known of a package's signature that was found good.
type Signature struct {
	Profile string // ARN of the signing profile's version
	Job     string // ARN of the signing job
}

// CodeSigning is a code signing configuration: whose packages may be deployed.
type CodeSigning struct {
	ID          ResourceID // Name is "csc-" and 17 letters and digits
	Description string     `json:",omitempty"`
	Publishers  []string   // ARNs of signing profile versions
	Enforce     bool       // refuse what they did not sign; otherwise log it
	Tags        map[string]string
	Modified    time.Time
}

// ARN returns the ARN of the configuration.
func (c *CodeSigning) ARN() string { return c.ID.arn("code-signing-config") }

// CapacityProvider is where functions on managed instances would run. It is
// configuration: nothing acts on it.
type CapacityProvider struct {
	ID             ResourceID
	State          string // "Pending", "Active", "Failed" or "Deleting"
	Subnets        []string
	SecurityGroups []string
	OperatorRole   string
	Requirements   *InstanceRequirements
	MaxVCPU        int32
	ScalingMode    string // "Auto" or "Manual"
	Policies       []ScalingPolicy
	KMSKey         string `json:",omitempty"`
	Tags           map[string]string
	Propagate      *Propagation `json:",omitempty"`
	LogGroup       string
	LogLevel       string
	Modified       time.Time
}

// ARN returns the ARN of the provider.
func (c *CapacityProvider) ARN() string { return c.ID.arn("capacity-provider") }

// InstanceRequirements say which instances a capacity provider may use.
type InstanceRequirements struct {
	Architectures, Allowed, Excluded []string
}

// ScalingPolicy is a target of a capacity provider's automatic scaling.
type ScalingPolicy struct {
	Metric string
	Target float64
}

// Propagation says which tags go to what a capacity provider launches.
type Propagation struct {
	Mode string // "None" or "Explicit"
	Tags map[string]string
}

// ManagedInstances says that a function runs on a capacity provider.
type ManagedInstances struct {
	Provider       string   // ARN of the capacity provider
	MemoryPerVCPU  *float64 `json:",omitempty"` // GiB
	MaxConcurrency *int32   `json:",omitempty"` // invocations at once in one environment
}
