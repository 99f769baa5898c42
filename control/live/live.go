// Package live is about directories of this host that are the code of functions
// while somebody works on them (hot reloading): which may be, and when something
// in one has changed.
//
// Package control asks both: it lets no caller of the API name another directory
// than those that the operator has opened, and gives what runs a new deployment
// when its files change. Whoever starts an environment asks again where the
// directory leads. Nothing is ever written to the directories.
//
// Run is the one long-lived goroutine, with those of the notifications it waits
// for. Directories are watched all the way down, and from above as far as an
// opened directory's parent, so that one which is removed and made again is
// noticed. How many are watched is bounded.
package live

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fsnotify/fsnotify"

	"github.com/lambent-run/lambent/lambda"
)

// Config says which directories may be code.
type Config struct {
	// Roots are the directories under which a function's may be, themselves
	// included. With none, hot reloading is off.
	Roots []string
	// Private is the server's own directory: no function's may be in it or hold it.
	Private string
	Logger  *slog.Logger
}

// Dirs are the directories that are code. Make them with New.
type Dirs struct {
	roots   []root
	private string
	logger  *slog.Logger

	mu      sync.Mutex          // guards what follows
	notify  *fsnotify.Watcher   // nil unless Run runs
	trees   map[string]*tree    // by directory that is code
	watched map[string]*watched // by path
}

// root is a directory as it was given and as it is without symbolic links.
type root struct{ given, real string }

// New resolves the roots, which must exist. It starts nothing; see Run.
func New(cfg Config) (*Dirs, error) {
	d := &Dirs{logger: cfg.Logger, trees: map[string]*tree{}, watched: map[string]*watched{}}
	for _, r := range cfg.Roots {
		given, err := filepath.Abs(r)
		if err != nil {
			return nil, err
		}
		real, err := directory(given)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
		d.roots = append(d.roots, root{given, real})
	}
	if cfg.Private != "" {
		var err error
		if d.private, err = filepath.EvalSymlinks(cfg.Private); err != nil {
			return nil, err
		}
	}
	return d, nil
}

var errNoDirectory = errors.New("not a directory")

// directory resolves the symbolic links of a path, which must lead to a directory.
func directory(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", cause(err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", cause(err)
	}
	if !info.IsDir() {
		return "", errNoDirectory
	}
	return real, nil
}

// cause is what happened, without the path that it happened to.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// within tells whether a clean path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// Resolve returns the directory that a path leads to, if it may be code. Its
// refusals are lambda.InvalidParameterValue, for whoever named the path. They
// tell nothing of what exists outside the roots.
func (d *Dirs) Resolve(path string) (dir string, err error) {
	refuse := func(format string, args ...any) (string, error) {
		return "", lambda.Errorf(lambda.InvalidParameterValue, format, args...)
	}
	if len(d.roots) == 0 {
		return refuse("Hot reloading is off. Start the server with --hot-reload DIR to let functions run from the directories in DIR.")
	}
	if !filepath.IsAbs(path) {
		return refuse("For hot reloading S3Key is the absolute path of a directory. %s is not.", path)
	}
	path = filepath.Clean(path)
	const outside = "The directory %s is not in one that the server was started with --hot-reload for."
	if !slices.ContainsFunc(d.roots, func(r root) bool { return within(path, r.given) || within(path, r.real) }) {
		return refuse(outside, path)
	}
	dir, err = directory(path)
	if err != nil {
		return refuse("The directory %s cannot be used for hot reloading: %s.", path, err)
	}
	if !slices.ContainsFunc(d.roots, func(r root) bool { return within(dir, r.real) }) {
		return refuse(outside, path)
	}
	if d.private != "" && (within(dir, d.private) || within(d.private, dir)) {
		return refuse("The directory %s cannot be used for hot reloading: it is the server's own.", path)
	}
	return dir, nil
}
