// Package control is the verbs on functions, versions, aliases, their settings,
// layers, code signing configurations and capacity providers, and what moves
// their State. It decides what may change; package catalog makes the
// change durable; nothing here calls the parts that run functions: they watch
// the catalog and follow it.
//
// Package frontend calls the verbs with decoded requests whose shape has been
// validated against the API's model. What is refused here is refused for what it
// means, in AWS's words, and has changed nothing.
//
// Run is the one long-lived part. It prepares what was created or updated and
// moves it on (Pending to Active, InProgress to Successful), also what a crash
// left in between, removes packages that nothing refers to any more, and watches
// the directories that are code (package live).
package control

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/code"
	"github.com/lambent-run/lambent/control/live"
	"github.com/lambent-run/lambent/lambda"
)

// Objects is where code is fetched from when a caller names a place in S3.
type Objects interface {
	// Get opens an object, or with a version that version of it, of a bucket of the
	// region. It waits, retries and gives up by itself, also after it has returned,
	// by an error of Read. What the service refuses is a lambda.InvalidParameterValue
	// in AWS's words. The object may be of any length.
	Get(ctx context.Context, region, bucket, key, version string) (io.ReadCloser, error)
}

// Config is what a Control needs. All fields but Objects and Profiles are
// required.
type Config struct {
	Catalog *catalog.Catalog
	Code    *code.Store
	Objects Objects // nil: code cannot come from S3
	Live    *live.Dirs
	// Runtime says whether this host can run a runtime. Its error is for the
	// caller who asked for it.
	Runtime func(runtime string) error
	// Locate makes the URL from which a package can be downloaded for a while.
	Locate func(digest string) string
	// URL makes the address of the function URL with an id.
	URL   func(id, region string) string
	Now   func() time.Time
	NewID func() string // UUIDs
	// Provisioned tells how many environments provisioned for a qualifier of a
	// version are initialised, and whether the last start of one failed.
	Provisioned func(v *lambda.Version, qualifier string) (ready int, failed bool)
	// Concurrency is how many invocations of an account and region run at once at
	// most.
	Concurrency int
	// Profiles is the directory with the signing profiles that are known
	// (signature.LoadProfiles); "" if none are.
	Profiles string
	Logger   *slog.Logger
}

// Control carries out the verbs. Make one with New.
type Control struct {
	Config

	// packages is held for reading from a package's arrival until the catalog
	// refers to it, and for writing while unused ones are removed. Nobody waits
	// for the latter: a package may be long in coming, and others would wait with it.
	packages sync.RWMutex

	// limits is held while concurrency is claimed from the account's.
	limits sync.Mutex

	wake chan struct{} // buffered 1: queue is not empty

	mu    sync.Mutex // guards queue
	queue map[lambda.FunctionID]struct{}
}

// New makes a Control. It starts nothing; see Run.
func New(cfg Config) *Control {
	return &Control{Config: cfg, wake: make(chan struct{}, 1), queue: map[lambda.FunctionID]struct{}{}}
}

// value returns what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func ptr[T any](v T) *T { return &v }

func refuse(format string, args ...any) error {
	return lambda.Errorf(lambda.InvalidParameterValue, format, args...)
}

// notBuilt refuses a member that asks for what does not exist yet. It is no 501,
// which SDKs would try again.
func notBuilt(member string) error {
	return refuse("%s is not implemented by this version of Lambent.", member)
}

// find returns a function that exists, or AWS's answer with the ARN as this
// operation echoes it.
func (c *Control) find(id lambda.FunctionID, echo string) (*catalog.Entry, error) {
	if e := c.Catalog.Get(id); e != nil {
		return e, nil
	}
	return nil, lambda.NotFound(echo)
}

// changeable refuses to change $LATEST while it is being made or changed, and
// when it could not be made: such a function is to be deleted.
func changeable(v *lambda.Version) error {
	if v.State == lambda.Pending || v.State == lambda.Failed {
		return v.State.Conflict()
	}
	if v.Update == lambda.UpdateInProgress {
		return lambda.Errorf(lambda.ResourceConflict,
			"The operation cannot be performed at this time. An update is in progress for resource: %s", v.ID.ARN())
	}
	return nil
}

// expect compares a RevisionId that a caller gave with the present one.
func expect(given *string, now string) error { return expectOf(given, now, staleFunction) }

// The calls that return the revision that would have matched, as AWS names them.
const (
	staleFunction = "GetFunction/GetAlias"
	stalePolicy   = "GetPolicy"
	staleLayer    = "GetLayerPolicy"
)

func expectOf(given *string, now, call string) error {
	if given == nil || *given == now {
		return nil
	}
	return lambda.Errorf(lambda.PreconditionFailed, "The Revision Id provided does not match the latest Revision Id. "+
		"Call the %s API to retrieve the latest Revision Id", call)
}
