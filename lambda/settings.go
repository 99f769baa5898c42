package lambda

import "time"

// Settings are what belongs to one qualifier of a function ($LATEST, a
// version's number or an alias) and not to the version it names. They may
// change while a published version may not; publishing does not copy them, and
// they go with the version or alias they are of. Values are immutable once
// handed to the catalog: change a copy.
type Settings struct {
	Policy      *Policy            `json:",omitempty"` // who else may use it; nil for none
	URL         *URL               `json:",omitempty"` // on $LATEST and aliases
	Async       *Async             `json:",omitempty"` // how asynchronous invocations are treated
	Provisioned *Provisioned       `json:",omitempty"` // on versions and aliases
	Runtime     *RuntimeManagement `json:",omitempty"` // nil for Auto
	Scaling     *Scaling           `json:",omitempty"` // of functions on managed instances
}

// Empty tells that there is nothing to keep.
func (s *Settings) Empty() bool { return s == nil || *s == Settings{} }

// URL is a function URL: an HTTP endpoint of a function or of one of its aliases.
type URL struct {
	ID   string // 32 lower-case letters and digits; the first label of its host
	Auth string // "NONE" or "AWS_IAM"
	CORS *CORS  `json:",omitempty"` // nil if never configured
	// Mode is "BUFFERED" or "RESPONSE_STREAM", or "" if never given, which means BUFFERED.
	Mode     string `json:",omitempty"`
	Created  time.Time
	Modified time.Time
}

// CORS is what a function URL answers to browsers of other origins. Members
// that were not given are nil.
type CORS struct {
	Credentials   *bool    `json:",omitempty"`
	AllowHeaders  []string `json:",omitempty"`
	AllowMethods  []string `json:",omitempty"`
	AllowOrigins  []string `json:",omitempty"`
	ExposeHeaders []string `json:",omitempty"`
	MaxAge        *int32   `json:",omitempty"` // seconds
}

// Async is a function's configuration for asynchronous invocation. Members that
// were not given are nil or empty; the defaults are 2 retries and 6 hours.
type Async struct {
	Retries   *int32 `json:",omitempty"` // 0 to 2, after the first attempt
	MaxAge    *int32 `json:",omitempty"` // seconds, 60 to 21600
	OnSuccess string `json:",omitempty"` // ARN of a destination
	OnFailure string `json:",omitempty"`
	Modified  time.Time
}

// Provisioned is a request for environments that are initialised ahead of need.
// How many there are is not recorded: it is counted from what exists.
type Provisioned struct {
	Requested int
	Modified  time.Time
}

// RuntimeManagement says when a function moves to another build of its runtime.
type RuntimeManagement struct {
	UpdateOn string // "Auto", "Manual" or "FunctionUpdate"
	ARN      string `json:",omitempty"` // of the build, with Manual
}

// Scaling bounds the environments of a version on managed instances. Nil is
// what was not given.
type Scaling struct {
	Min *int32 `json:",omitempty"`
	Max *int32 `json:",omitempty"`
}
