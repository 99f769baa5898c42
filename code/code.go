// Package code keeps function packages by content: a zip is named by the
// SHA-256 of its bytes, checked and unpacked once when it arrives, and its
// directory is then mounted read-only into any number of environments.
//
// Package control puts packages in; workers ask for their directories. In the
// store's directory, which only its owner may enter, it writes
//
//	zip/<digest>        the package as uploaded
//	task/<digest>/      its files
//	temp/               what is being made; emptied at Open
//	boot                the boot of the machine in which task was written
//
// A zip is written to temp as it arrives, synced and renamed, and unpacked from
// there: it is never in memory as a whole. Its files are not synced, since
// they can be had again from the zip: a killed process loses nothing it wrote,
// and after a boot of the machine, which may have lost some, they are unpacked
// anew at their next use. A package is hostile: what it inflates to is counted
// and not believed, and nothing is written outside its directory.
package code

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/lambent-run/lambent/lambda"
)

// Store is a directory of packages. Make one with Open.
type Store struct {
	dir string
	// slots bounds how many packages are unpacked at once: it is disk and CPU,
	// and invocations come first.
	slots chan struct{}

	mu   sync.Mutex // guards busy
	busy map[string]*sync.Mutex
}

// Open opens or makes the store in dir and sweeps what a crash left behind.
func Open(dir string) (*Store, error) {
	if err := os.RemoveAll(filepath.Join(dir, "temp")); err != nil {
		return nil, fmt.Errorf("open the code store: %w", err)
	}
	for _, sub := range []string{"", "zip", "task", "temp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open the code store: %w", err)
		}
	}
	if err := sweep(dir); err != nil {
		return nil, fmt.Errorf("open the code store: %w", err)
	}
	return &Store{dir: dir, slots: make(chan struct{}, 2), busy: map[string]*sync.Mutex{}}, nil
}

// sweep removes unpacked files that were written before the machine was booted.
func sweep(dir string) error {
	now, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // elsewhere: unknown, so never the same
	then, err := os.ReadFile(filepath.Join(dir, "boot"))
	if err == nil && len(now) > 0 && bytes.Equal(now, then) {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, "task", e.Name())); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "boot"), now, 0o600)
}

func (s *Store) zip(digest string) string  { return filepath.Join(s.dir, "zip", digest) }
func (s *Store) task(digest string) string { return filepath.Join(s.dir, "task", digest) }

// at is called at each named point where a crash would be interesting. Tests
// set it to a function that kills the process.
var at = func(string) {}

// one lets one caller at a time work on a digest.
func (s *Store) one(digest string) (done func()) {
	s.mu.Lock()
	m := s.busy[digest]
	if m == nil {
		m = new(sync.Mutex)
		s.busy[digest] = m
	}
	s.mu.Unlock()
	m.Lock()
	return func() {
		s.mu.Lock()
		delete(s.busy, digest) // whoever waits holds its own reference
		s.mu.Unlock()
		m.Unlock()
	}
}

// Put checks an inline package and keeps it. When it returns nil, the zip and
// its files survive a crash. Keeping the same bytes again changes nothing.
//
// Its refusals are AWS's: a zip over lambda.MaxZipSize is RequestEntityTooLarge;
// one that is not a sound package (see unpack) or unpacks to too much is
// InvalidParameterValue. Nothing is kept of it then.
func (s *Store) Put(ctx context.Context, zip []byte) (lambda.Code256, error) {
	if len(zip) > lambda.MaxZipSize {
		return lambda.Code256{}, &lambda.Error{Code: lambda.RequestEntityTooLarge, Bare: true,
			Message: fmt.Sprintf("Zipped size must be smaller than %d bytes", lambda.MaxZipSize)}
	}
	return s.PutFrom(ctx, bytes.NewReader(zip))
}

// PutFrom is Put for a package that is read from r until its end, such as an
// object of S3. It may have up to lambda.MaxUnzippedSize bytes; of a longer one
// no more is read, and the refusal is that of a package that unpacks to too much.
// An error of r is returned wrapped.
func (s *Store) PutFrom(ctx context.Context, r io.Reader) (lambda.Code256, error) {
	temp, err := os.CreateTemp(filepath.Join(s.dir, "temp"), "zip-")
	if err != nil {
		return lambda.Code256{}, fmt.Errorf("keep package: %w", err)
	}
	defer os.Remove(temp.Name()) // gone already if all went well
	defer temp.Close()           // likewise
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(temp, sum), io.LimitReader(r, lambda.MaxUnzippedSize+1))
	if err != nil {
		return lambda.Code256{}, fmt.Errorf("keep package: %w", err)
	}
	if n > lambda.MaxUnzippedSize {
		e := *errLarge
		return lambda.Code256{}, &e
	}
	code := lambda.Code256{Digest: hex.EncodeToString(sum.Sum(nil)), Size: n}
	defer s.one(code.Digest)()
	if _, err := os.Stat(s.zip(code.Digest)); err == nil {
		return code, nil
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return lambda.Code256{}, context.Cause(ctx)
	}
	if err := s.keepTask(ctx, code.Digest, temp, n); err != nil {
		return lambda.Code256{}, err
	}
	at("unpacked")
	if err := errors.Join(temp.Sync(), temp.Close()); err != nil {
		return lambda.Code256{}, fmt.Errorf("keep package: %w", err)
	}
	at("zip")
	if err := s.rename(temp.Name(), s.zip(code.Digest)); err != nil {
		return lambda.Code256{}, err
	}
	at("kept")
	return code, nil
}

// keepTask unpacks a package of size bytes into its place.
func (s *Store) keepTask(ctx context.Context, digest string, zip io.ReaderAt, size int64) error {
	if _, err := os.Stat(s.task(digest)); err == nil {
		return nil // a crash came between the files and the zip
	}
	temp, err := os.MkdirTemp(filepath.Join(s.dir, "temp"), "task-")
	if err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	defer os.RemoveAll(temp) // gone already if all went well
	if err := unpack(ctx, temp, zip, size); err != nil {
		return err
	}
	at("files")
	// The directory's owner is the server's user; everyone else, the sandbox's
	// user among them, may read it, once it is mounted where they can reach it.
	if err := os.Chmod(temp, 0o755); err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	return s.rename(temp, s.task(digest))
}

// rename moves what is complete into its place and makes that durable.
func (s *Store) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("keep package: %w", err)
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("keep package: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("keep package: %w", err)
	}
	return nil
}

// Zip opens a package as it was uploaded. The error is fs.ErrNotExist's if
// there is none.
func (s *Store) Zip(digest string) (*os.File, error) {
	if !isDigest(digest) {
		return nil, fs.ErrNotExist
	}
	return os.Open(s.zip(digest))
}

// Unpack returns the directory with a package's files. They are there since the
// package was put; should they be missing, they are unpacked again.
func (s *Store) Unpack(ctx context.Context, digest string) (dir string, err error) {
	if !isDigest(digest) {
		return "", fs.ErrNotExist
	}
	dir = s.task(digest)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	defer s.one(digest)()
	f, err := s.Zip(digest)
	if err != nil {
		return "", fmt.Errorf("unpack package: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return "", fmt.Errorf("unpack package: %w", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != digest {
		return "", fmt.Errorf("unpack package: %s is damaged on disk", digest)
	}
	return dir, s.keepTask(ctx, digest, f, n)
}

// Collect removes every package whose digest keep does not want. No environment
// may have one of them mounted: its files would vanish under it.
func (s *Store) Collect(keep func(digest string) bool) error {
	var errs []error
	for _, sub := range []string{"zip", "task"} { // the zip first: it vouches for the files
		entries, err := os.ReadDir(filepath.Join(s.dir, sub))
		errs = append(errs, err)
		for _, e := range entries {
			if !keep(e.Name()) {
				done := s.one(e.Name())
				errs = append(errs, os.RemoveAll(filepath.Join(s.dir, sub, e.Name())))
				done()
			}
		}
	}
	return errors.Join(errs...)
}

func isDigest(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
