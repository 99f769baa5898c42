package lambda

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
)

// Latest is the qualifier of the mutable version every function has.
const Latest = "$LATEST"

// LatestPublished is the qualifier of what was last published without a number,
// for functions on managed instances.
const LatestPublished = "$LATEST.PUBLISHED"

// Function is what belongs to a function as a whole and not to one version.
type Function struct {
	ID          FunctionID
	LastVersion int64             // the highest number ever published; numbers are never reused
	Tags        map[string]string `json:",omitempty"`
	Reserved    *int              `json:",omitempty"` // reserved concurrency; nil for none
	Recursion   string            `json:",omitempty"` // "Allow" or "Terminate"; "" is Terminate
	CodeSigning string            `json:",omitempty"` // ARN of the code signing configuration; "" for none
	Created     time.Time
}

// Config is what a caller configures and a published version freezes.
type Config struct {
	Description string
	Role        string
	Runtime     string // "python3.13", "provided.al2023"; empty for images
	Handler     string
	Timeout     int          // seconds
	Memory      int          // MiB
	Storage     int          // MiB of /tmp
	Arch        string       // "x86_64" or "arm64"
	PackageType string       // "Zip"
	Env         *Environment `json:",omitempty"` // nil if never given; AWS echoes an empty map that was
	Layers      []Layer      `json:",omitempty"`
	DeadLetter  string       `json:",omitempty"` // target ARN
	KMSKey      string       `json:",omitempty"`
	Tracing     string       // "PassThrough" or "Active"
	SnapStart   string       // "None" or "PublishedVersions"
	Logging     Logging
	VPC         *VPC              `json:",omitempty"`
	FileSystems []FileSystem      `json:",omitempty"`
	Managed     *ManagedInstances `json:",omitempty"` // nil for Lambda's own compute
	Signature   *Signature        `json:",omitempty"` // of the code, if it was signed
	Code        Code256
}

// Environment is the map of variables, in the caller's spelling.
type Environment struct {
	Variables map[string]string
}

// Layer is a layer version as a function refers to it. Its content stays with
// the function when the layer version is deleted.
type Layer struct {
	ARN  string
	Code Code256
}

// Logging says how a function logs. Levels are empty with the Text format.
type Logging struct {
	Format      string // "Text" or "JSON"
	Application string `json:",omitempty"` // TRACE DEBUG INFO WARN ERROR FATAL
	System      string `json:",omitempty"` // DEBUG INFO WARN
	Group       string // the log group's name
}

// VPC is kept and echoed; the platform does not act on it.
type VPC struct {
	Subnets, SecurityGroups []string
	IPv6                    bool
}

// FileSystem is kept and echoed; the platform does not act on it.
type FileSystem struct {
	ARN, Path string
}

// Code256 names a package by content. Digest is the lower-case hex SHA-256 of
// the zip's bytes; the API shows the same hash in base64.
type Code256 struct {
	Digest string
	Size   int64 // bytes of the zip
	// Dir is a directory of the host that is the code, instead of a package, while
	// somebody works on it (hot reloading); only $LATEST may have one. Digest is
	// that of the path then, and Size 0.
	Dir string `json:",omitempty"`
}

// Version is one version of a function: $LATEST, which changes, or a published
// one, which never does. Values are immutable once handed to the catalog:
// change a copy.
type Version struct {
	ID     FunctionID
	Number string // "$LATEST", "1", "2", …
	Config

	// Deployment changes exactly when an environment made before the change
	// must not serve after it: on every code or configuration update. The
	// fleet keys its environments by it.
	Deployment string

	// Serving is the version as invocations still run it while an update is in
	// progress, and after one that failed; nil otherwise. Its own Serving is nil.
	Serving *Version `json:",omitempty"`

	// Source is the hash of the configuration of $LATEST that a published version
	// was made from (Config.Hash): publishing again without a change finds it.
	Source string `json:",omitempty"`

	RevisionID   string
	LastModified time.Time

	State            State
	StateReason      string `json:",omitempty"`
	StateReasonCode  string `json:",omitempty"`
	Update           UpdateStatus
	UpdateReason     string `json:",omitempty"`
	UpdateReasonCode string `json:",omitempty"`
}

// Runs is the version that an invocation arriving now runs: v itself, or what v
// was before the update in progress.
func (v *Version) Runs() *Version {
	if v.Serving != nil {
		return v.Serving
	}
	return v
}

// RuntimeARN names the build of the runtime that the version runs on. AWS's
// hashes are of its own builds; this one is of the runtime's name and the
// architecture, so that it is stable.
func (v *Version) RuntimeARN() string {
	sum := sha256.Sum256([]byte(v.Runtime + "/" + v.Arch))
	return "arn:" + Partition(v.ID.Region) + ":lambda:" + v.ID.Region + "::runtime:" + hex.EncodeToString(sum[:])
}

// IsLatest tells $LATEST from a published version.
func (v *Version) IsLatest() bool { return v.Number == Latest }

// Hash identifies the code and configuration: equal for equal ones.
func (c *Config) Hash() string {
	b, err := json.Marshal(c) // maps are written in key order
	if err != nil {
		panic(err) // it holds nothing that cannot be marshalled
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TimeoutDuration is the function's timeout.
func (c *Config) TimeoutDuration() time.Duration { return time.Duration(c.Timeout) * time.Second }

// Alias is a mutable name for one version, or for two with weights.
type Alias struct {
	ID          FunctionID
	Name        string
	Version     string // the main version's number
	Description string
	Weights     map[string]float64 `json:",omitempty"` // extra version → share of invocations, 0 to 1
	RevisionID  string
}

// ParseVersion returns the number of a published version, or false.
func ParseVersion(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
