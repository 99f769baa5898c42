// Package runtimeapi is the HTTP API that a function's runtime speaks to the
// platform: it polls for events and posts answers (AWS Lambda developer guide,
// "Using the Lambda runtime API").
//
// A Server serves the processes of one environment, which reach it through a
// listener of their own, so that a request needs no proof of where it comes
// from. Package worker makes one for each set of processes, calls Invoke, and
// performs the actions that the environment's machine asks for.
//
// The caller's goroutine carries an invocation all the way: it takes the
// connection on which the runtime's poll waits, writes the event, and reads that
// connection itself until the answer has come. Each connection has a keeper, a
// goroutine that reads it between invocations; while a poll waits, or a caller
// has the connection, the keeper sleeps. A client that sends its next poll
// right behind its answer never wakes the keeper again, and its 202 travels with
// the next event: one write and one read for an invocation.
//
// Answers are matched by the request id in their path, never by connection. One
// that arrives elsewhere is handed, connection and all, to the caller, who is
// woken by a read deadline in the past. Deadlines of a connection the caller
// holds are set under the server's lock, so that a wake-up is never overwritten.
//
// The package promises that an answer reaches its caller or nobody: not after
// the deadline, not twice, and, unless it is streamed, not in part. Everything a
// process sends is bounded; see the constants.
package runtimeapi
