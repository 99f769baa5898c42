package code

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/lambent-run/lambent/lambda"
)

const (
	maxEntries = 100_000
	maxName    = 1024 // bytes of a path in the package
	maxLink    = 1024 // bytes of a symbolic link's target

	// maxDirectory is how many bytes of a package may be read to list its entries.
	// The list is in memory before its length is known, and takes several times
	// what it has in the package: one of nothing but entries could not be afforded.
	maxDirectory = 24 << 20
)

// Makers of zips that record Unix modes (APPNOTE.TXT 4.4.2).
const (
	creatorUnix  = 3
	creatorMacOS = 19
)

// errUnsound and errLarge are AWS's sentences.
var (
	errUnsound = lambda.Errorf(lambda.InvalidParameterValue,
		"Could not unzip uploaded file. Please check your file, then try to upload again.")
	errLarge = lambda.Errorf(lambda.InvalidParameterValue,
		"Unzipped size must be smaller than %d bytes", lambda.MaxUnzippedSize)
)

// unsound refuses a package and keeps why for the log.
func unsound(format string, args ...any) error {
	e := *errUnsound
	return fmt.Errorf("package: %w", errors.Join(&e, fmt.Errorf(format, args...)))
}

// unpack writes a package's files under dir. It refuses what is no zip, is
// damaged, or has entries that leave the directory, whether by their name or by
// a symbolic link; devices, pipes and sockets; names given twice or both as a
// file and as a directory. Symbolic links inside the package and the modes of
// files are kept, set-id bits are not. What an entry claims about its size is
// not believed: what comes out is counted. b is the zip, of size bytes.
func unpack(ctx context.Context, dir string, b io.ReaderAt, size int64) error {
	list := &listed{ReaderAt: b, left: maxDirectory}
	r, err := zip.NewReader(list, size)
	var p *fs.PathError
	if errors.As(err, &p) { // our disk, not the package
		return fmt.Errorf("unpack package: %w", err)
	}
	if err != nil {
		return unsound("%w", err)
	}
	list.open = true
	if len(r.File) > maxEntries {
		return unsound("%d entries", len(r.File))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	defer root.Close()
	left := int64(lambda.MaxUnzippedSize)
	seen := make(map[string]bool, len(r.File)) // file or link: true; directory: false
	var links []link
	for _, f := range r.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, folder, err := clean(f.Name)
		if err != nil {
			return err
		}
		if name == "." {
			continue
		}
		mode := f.Mode()
		folder = folder || mode.IsDir()
		if err := claim(seen, name, folder); err != nil {
			return err
		}
		switch {
		case folder:
			err = root.MkdirAll(name, 0o755)
		case mode&fs.ModeSymlink != 0:
			var target string
			if target, err = readLink(f, name, &left); err == nil {
				links = append(links, link{name, target})
			}
		case mode.IsRegular():
			err = writeFile(root, f, name, &left)
		default:
			err = unsound("%s is a %v", name, mode.Type())
		}
		if err != nil {
			return err
		}
	}
	// Links last: no file is ever written through one.
	for _, l := range links {
		if err := root.MkdirAll(path.Dir(l.name), 0o755); err != nil {
			return fmt.Errorf("unpack package: %w", err)
		}
		if err := root.Symlink(l.target, l.name); err != nil {
			return fmt.Errorf("unpack package: %w", err)
		}
	}
	// A chain of links may leave the package though each link alone does not seem
	// to: following it inside the root tells.
	for _, l := range links {
		if _, err := root.Stat(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unsound("the link %s to %s: %w", l.name, l.target, err)
		}
	}
	return nil
}

type link struct{ name, target string }

// listed bounds how much of a package is read before it is open.
type listed struct {
	io.ReaderAt
	open bool
	left int // bytes that may yet be read while it is not
}

func (l *listed) ReadAt(b []byte, off int64) (int, error) {
	if !l.open {
		if l.left -= len(b); l.left < 0 {
			return 0, errors.New("the list of entries is too long")
		}
	}
	return l.ReaderAt.ReadAt(b, off)
}

// clean turns an entry's name into a path inside the package. Backslashes, as
// some tools on Windows write them, separate as well.
func clean(name string) (p string, folder bool, err error) {
	name = strings.ReplaceAll(name, `\`, "/")
	if name == "" || len(name) > maxName || strings.IndexByte(name, 0) >= 0 || strings.HasPrefix(name, "/") {
		return "", false, unsound("the name %.100q", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." || len(part) > 255 {
			return "", false, unsound("the name %.100q", name)
		}
	}
	return path.Clean(name), strings.HasSuffix(name, "/"), nil
}

// claim notes that a path is taken, and refuses one that is taken otherwise.
func claim(seen map[string]bool, name string, folder bool) error {
	if file, ok := seen[name]; ok && (file || !folder) {
		return unsound("%s comes twice", name)
	}
	seen[name] = !folder
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		file, ok := seen[dir]
		if file {
			return unsound("%s is a file and a directory", dir)
		}
		if ok {
			break
		}
		seen[dir] = false
	}
	return nil
}

func writeFile(root *os.Root, f *zip.File, name string, left *int64) error {
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("unpack package: %w", err)
		}
	}
	mode := f.Mode().Perm()
	if creator := f.CreatorVersion >> 8; creator != creatorUnix && creator != creatorMacOS {
		mode = 0o644 // the tool that made the zip recorded none
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	err = inflate(out, f, left)
	// The mode once more, since the umask may have taken some of it.
	return errors.Join(err, out.Chmod(mode), out.Close())
}

// inflate copies an entry's content and counts it against what is left.
func inflate(w io.Writer, f *zip.File, left *int64) error {
	in, err := f.Open()
	if err != nil {
		return unsound("%s: %w", f.Name, err)
	}
	defer in.Close()
	n, err := io.Copy(w, io.LimitReader(in, *left+1))
	if *left -= n; *left < 0 {
		e := *errLarge
		return &e
	}
	var p *fs.PathError
	if errors.As(err, &p) { // our disk, not the package
		return fmt.Errorf("unpack package: %w", err)
	}
	if err != nil {
		return unsound("%s: %w", f.Name, err)
	}
	return nil
}

// readLink reads a symbolic link's target and refuses one that leaves the package.
func readLink(f *zip.File, name string, left *int64) (string, error) {
	var b bytes.Buffer
	most := min(*left, maxLink)
	before := most
	if err := inflate(&b, f, &most); err != nil {
		return "", err
	}
	*left -= before - most
	target := b.String()
	if target == "" || strings.HasPrefix(target, "/") || strings.IndexByte(target, 0) >= 0 {
		return "", unsound("the link %s to %.100q", name, target)
	}
	if p := path.Join(path.Dir(name), target); p == ".." || strings.HasPrefix(p, "../") {
		return "", unsound("the link %s to %.100q", name, target)
	}
	return target, nil
}
