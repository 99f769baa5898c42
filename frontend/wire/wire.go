// Package wire knows the shapes of the Lambda HTTP API: which operation a
// request asks for, what its input is, how an output and an error look in a
// response. Package frontend calls it for every request of the API.
//
// The inputs and outputs are those of the AWS SDK for Go. Routes, bindings and
// names come from the schemas the SDK carries; lengths, ranges, patterns and
// required members come from AWS's public model of the API. Both are generated
// (internal/gen); nothing of the API is typed by hand but what AWS does and its
// model does not say: the wording of a violation (validate.go), the statuses and
// bodies of errors (errors.go), and the changes in internal/gen/overlay.json.
//
// It promises that an input it hands out satisfies the model, that what it
// refuses is refused in AWS's words, and that no request makes it use more
// memory than a small multiple of the limit it is called with. It starts no
// goroutine, writes no file, and is safe for concurrent use.
package wire

import (
	"sort"
	"sync"

	"github.com/aws/smithy-go"
)

//go:generate go run ./internal/gen

// Operation is one operation of the API.
type Operation struct {
	Name   string // "CreateFunction"
	Method string
	URI    string // "/2015-03-31/functions/{FunctionName}", perhaps with a literal query
	Status int    // of success, where the output does not set another

	schema              *smithy.OperationSchema
	newInput, newOutput func() any

	once    sync.Once
	in, out *message // made once, at first use
}

// ByName returns the operation with a name, or nil.
func ByName(name string) *Operation {
	i := sort.Search(len(Operations), func(i int) bool { return Operations[i].Name >= name })
	if i == len(Operations) || Operations[i].Name != name {
		return nil
	}
	return &Operations[i]
}

// messages returns the operation's input and output, taken apart.
func (op *Operation) messages() (in, out *message) {
	op.once.Do(func() {
		op.in = newMessage(op.schema.Input, op.newInput(), op.URI)
		op.out = newMessage(op.schema.Output, op.newOutput(), op.URI)
	})
	return op.in, op.out
}
