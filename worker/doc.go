// Package worker runs functions on one host: it starts environments, feeds them
// events, freezes them and ends them.
//
// A Host keeps blank sandboxes ready, and some in which a runtime runs already for
// nobody yet, and turns one into an Environment when its owner, the fleet, asks.
// An Environment has one life: a sandbox with its processes, their Runtime API
// (package runtimeapi) and their output. Only an initialisation that came to
// nothing is repeated, in a second life, inside the first invocation. Which
// environment serves which invocation, and how many there are, is the fleet's
// business.
//
// Invoke runs on its caller's goroutine from the event to the answer; it takes
// no lock that another environment could hold and touches no disk. It promises
// an end: an answer, a Fault, or an error, by the function's timeout; and that
// the processes of an environment that failed are killed.
//
// Goroutines, all waited for by Host.Run: up to two builders of blanks, one
// that warms programs; for each life one that watches its processes, one that
// reads their output, those of its Runtime API, and at its end one that kills it.
// The package writes no files.
package worker
