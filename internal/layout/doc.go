// Package layout holds the tests that keep the source tree as ARCHITECTURE.md
// says it is: who imports whom, that every package says what it is, and that
// what the documents point to exists. It has no code of its own.
package layout
