// Package cli holds the verbs people use beside the server: demo, logs and
// runtimes. They talk to a server only by HTTP, as anyone could: the Lambda API
// through the AWS SDK, and the paths under /_lambent/.
//
// cmd/lambent adds the commands to its own. They run no goroutine past their
// return; demo writes one temporary directory when it has to build the Go
// example, and removes it.
package cli
