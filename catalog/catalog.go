// Package catalog is the record of what exists and what should be: functions
// with their versions, aliases and settings, layers, code signing
// configurations and capacity providers.
//
// It owns the data and no policy: package control decides what may change,
// catalog makes the change durable and visible in one step. Everything is kept
// in memory as immutable values, so that reads take no lock shared between
// functions and touch no disk; every write goes through a Store and is visible
// only once the Store has said it is durable. A published version's record is
// never rewritten.
package catalog

import (
	"context"

	"github.com/lambent-run/lambent/lambda"
)

// Op is one change of a record. Value nil deletes the key.
type Op struct {
	Key   string
	Value []byte
}

// Store keeps records durably. Implementations: catalog/sqlite. Every
// implementation passes catalogtest.
type Store interface {
	// Commit applies all of ops or none. When it returns nil they survive a
	// crash and a power cut. Concurrent commits may share one sync.
	Commit(ctx context.Context, ops []Op) error
	// Load calls fn for every record with the prefix, in key order. Key and
	// value are fn's to keep.
	Load(ctx context.Context, prefix string, fn func(key string, value []byte) error) error
	// Close waits for commits under way and releases the files.
	Close() error
}

// Entry is everything about one function at one moment. It is immutable: what
// it points to must not be changed.
type Entry struct {
	Function *lambda.Function
	Versions map[string]*lambda.Version  // by number, "$LATEST" included
	Aliases  map[string]*lambda.Alias    // by name
	Settings map[string]*lambda.Settings // by qualifier; only those that are not empty
}

// Provisioned is how many environments the function's qualifiers ask to have
// initialised ahead, together.
func (e *Entry) Provisioned() (sum int) {
	for _, s := range e.Settings {
		if s.Provisioned != nil {
			sum += s.Provisioned.Requested
		}
	}
	return sum
}

// Claims is the concurrency that the function keeps from the others of its
// account: what it reserved, or else what is provisioned for it.
func (e *Entry) Claims() int {
	if r := e.Function.Reserved; r != nil {
		return *r
	}
	return e.Provisioned()
}

// Of returns the settings of a qualifier, empty ones if there are none.
func (e *Entry) Of(qualifier string) *lambda.Settings {
	if s := e.Settings[qualifier]; s != nil {
		return s
	}
	return &none
}

// none are settings that nobody has; they are not to be changed.
var none lambda.Settings

// Version finds the version a qualifier names, without weights: a number,
// $LATEST, or an alias's main version. It returns nil when there is none.
func (e *Entry) Version(qualifier string) *lambda.Version {
	if v := e.Versions[qualifier]; v != nil {
		return v
	}
	if a := e.Aliases[qualifier]; a != nil {
		return e.Versions[a.Version]
	}
	return nil
}
