package worker

import "github.com/lambent-run/lambent/worker/sandbox"

// Runtimes finds how functions of a runtime, named as in "python3.13", are
// started. The error of one that cannot be served says what is missing.
type Runtimes interface {
	Find(runtime string) (Command, error)
}

// Command is how a runtime is started.
type Command struct {
	Argv        []string       // paths inside the sandbox; behind an entry point, its arguments
	Env         []string       // NAME=value; the function's own variables win over them
	Binds       []sandbox.Bind // what the command needs beside the base system
	Socket      bool           // the client speaks over the inherited socket
	Warm        []string       // NAME=value, with which it waits to be told whose it is (sandbox.Blank.Warm); none if it cannot
	Early       []string       // prefixes of names of variables that it has read by then
	Entrypoints []string       // candidates in the package and its layers; the first that exists is started
}
