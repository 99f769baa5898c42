package lambda

import "time"

// Quotas of the service (AWS Lambda developer guide, "Lambda quotas"; sizes in
// bytes, binary units as AWS counts them). Memory and storage are in MiB.
const (
	MaxZipSize       = 52_428_800  // an inline package, compressed
	MaxUnzippedSize  = 262_144_000 // a package and its layers, unpacked
	MaxRequestSize   = 70_167_211  // a CreateFunction or UpdateFunctionCode body, as recorded from AWS
	MaxSyncPayload   = 6_291_456   // the body of a synchronous Invoke
	MaxAsyncPayload  = 1_048_576   // the body of an asynchronous Invoke
	MaxResponse      = 6_291_556   // a buffered response: 6 MiB and 100 bytes
	MaxStreamed      = 209_715_200 // a streamed response
	MaxLogTail       = 4096        // the log returned with LogType=Tail
	MaxClientContext = 3583        // the X-Amz-Client-Context header, encoded
	MaxEnvironment   = 4096        // environment variables, as compact JSON
	MaxLayers        = 5
	MaxTags          = 50

	DefaultMemory  = 128 // MiB
	MinMemory      = 128
	MaxMemory      = 10240
	DefaultStorage = 512 // MiB of /tmp
	MaxStorage     = 10240
	DefaultTimeout = 3 * time.Second
	MaxTimeout     = 900 * time.Second

	// InitTimeout bounds an on-demand initialisation; past it, it is repeated
	// inside the invocation under the function's own timeout.
	InitTimeout = 10 * time.Second
	// ProvisionedInitTimeout bounds one that is done ahead of need, or the
	// function's own timeout if that is longer.
	ProvisionedInitTimeout = 130 * time.Second

	AccountConcurrency = 1000
	MinUnreserved      = 100
	AccountCodeStorage = 322_122_547_200 // 300 GiB
)
