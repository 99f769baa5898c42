// Package examples holds the functions of the demonstration: a few lines each in
// Python, Node and Go, to show what a function sees, logs and keeps. The sources
// of the first two are in the binary; the Go one has to be built.
package examples

import _ "embed"

// Example is a function to deploy and an event to invoke it with.
type Example struct {
	Name    string // of the function
	Runtime string // Lambda's identifier
	Handler string
	File    string // its file in the package
	Source  []byte // the content of File; nil if it is an executable to be built from Package
	Package string // import path of an executable
	Event   string // JSON
	Bad     string // an event that the function fails on; "" for none
}

var (
	//go:embed python/handler.py
	pythonSource []byte
	//go:embed node/index.mjs
	nodeSource []byte
)

// All returns the examples.
func All() []Example {
	return []Example{
		{
			Name: "demo-python", Runtime: "python3.13", Handler: "handler.handler",
			File: "handler.py", Source: pythonSource,
			Event: `{"text":"to be or not to be"}`, Bad: `{"txt":"misspelt"}`,
		},
		{
			Name: "demo-node", Runtime: "nodejs22.x", Handler: "index.handler",
			File: "index.mjs", Source: nodeSource,
			Event: `{"text":"to be or not to be"}`,
		},
		{
			Name: "demo-go", Runtime: "provided.al2023", Handler: "bootstrap",
			File: "bootstrap", Package: "github.com/lambent-run/lambent/examples/go",
			Event: `{"below":1000000}`, Bad: `{"below":1}`,
		},
	}
}
