package worker

import "github.com/lambent-run/lambent/worker/sandbox"

// Command is how a runtime is started.
type Command struct {
	Argv        []string // without Entrypoints, the whole command
	Env         []string // defaults, which the function's own variables override
	Binds       []sandbox.Bind
	Socket      bool     // its client speaks over the inherited socket
	Entrypoints []string // candidates in the package; the first that exists is started
}
