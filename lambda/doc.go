// Package lambda holds the words every other package speaks: names and ARNs,
// the record of a function version, states and their legal moves, limits,
// and the errors of the API.
//
// It is values and pure rules. It reads no clock, starts no goroutine, touches
// no disk and imports only the standard library, so that every package may
// import it and a rule can be tested as a table.
package lambda
