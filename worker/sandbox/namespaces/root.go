//go:build linux && (amd64 || arm64)

package namespaces

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	firstUser = 100_000 // host user of slot 0; above those that hosts give to people and services
	group     = 99_999  // host group of every sandbox: it owns nothing
	userName  = "sbx_user1051"
)

// root is the directory that the sandboxes' roots are made of. It holds mount
// points and small files, the same for all.
type root struct {
	dir   string // on the host
	users string // a passwd for each slot
	binds []mount
}

type mount struct{ host, inside string }

var devices = []string{"null", "zero", "full", "random", "urandom"}

// made are the files of /etc that the host has no part in.
var made = map[string]string{
	"group":         "root:x:0:\n" + userName + ":x:" + strconv.Itoa(group) + ":\n",
	"hosts":         "127.0.0.1 localhost sandbox\n",
	"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	"resolv.conf":   "",
	"passwd":        "", // where the slot's is mounted
}

// copied are the files of /etc that are the host's: what programs in /usr need.
var copied = []string{"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime"}

// shown are directories of /etc that are mounted from the host if it has them:
// certificates of authorities, and where the links of Debian's /usr/bin lead.
var shown = []string{"/etc/ssl/certs", "/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs", "/etc/alternatives"}

// newRoot makes the directory, or what is missing of it.
func newRoot(dir string) (*root, error) {
	r := &root{dir: filepath.Join(dir, "root"), users: filepath.Join(dir, "users")}
	for _, d := range []string{"usr", "proc", "tmp", "opt", "mnt", "dev/shm", "etc", "var/task", "var/runtime", "var/lang"} {
		if err := os.MkdirAll(filepath.Join(r.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(r.users, 0o755); err != nil {
		return nil, err
	}
	r.binds = []mount{{"/usr", "/usr"}}
	for _, d := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		info, err := os.Lstat(d)
		switch {
		case err != nil: // the host has none
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(d)
			if err != nil {
				return nil, err
			}
			if err := link(target, filepath.Join(r.dir, d)); err != nil {
				return nil, err
			}
		default:
			r.binds = append(r.binds, mount{d, d})
		}
	}
	for _, d := range shown {
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			r.binds = append(r.binds, mount{d, d})
		}
	}
	for _, m := range r.binds {
		if err := os.MkdirAll(filepath.Join(r.dir, m.inside), 0o755); err != nil {
			return nil, err
		}
	}
	for name, content := range made {
		if err := put(filepath.Join(r.dir, "etc", name), []byte(content)); err != nil {
			return nil, err
		}
	}
	for _, name := range copied {
		if err := copyAll(filepath.Join("/etc", name), filepath.Join(r.dir, "etc", name)); err != nil {
			return nil, err
		}
	}
	for _, name := range devices {
		if err := put(filepath.Join(r.dir, "dev", name), nil); err != nil {
			return nil, err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := link(target, filepath.Join(r.dir, "dev", name)); err != nil {
			return nil, err
		}
	}
	// Functions read it, whatever the server's umask.
	return r, filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Type()&fs.ModeSymlink != 0 {
			return err
		}
		if e.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
}

// put writes a file unless it has the content already, in which case sandboxes
// of another server may be using it.
func put(path string, content []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o644); err != nil { // whatever the umask
		return err
	}
	return os.Rename(tmp, path)
}

func link(target, path string) error {
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, path)
}

// copyAll copies a file of the host, or the files of a directory, if there.
func copyAll(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return nil //nolint:nilerr // the host does without it
	}
	if !info.IsDir() {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return put(to, b)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(from, e.Name())); err == nil && info.Mode().IsRegular() {
			if err := copyAll(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// passwd returns the file that gives the user of a slot its name.
func (r *root) passwd(uid int) (string, error) {
	path := filepath.Join(r.users, strconv.Itoa(uid))
	return path, put(path, fmt.Appendf(nil, "root:x:0:0:root:/root:/sbin/nologin\n%s:x:%d:%d::/tmp:/sbin/nologin\n", userName, uid, group))
}

// point makes the mount point of a bind, where the root has none: all sandboxes
// see it, empty.
func (r *root) point(host, inside string) error {
	if !filepath.IsAbs(inside) || filepath.Clean(inside) != inside || inside == "/" {
		return fmt.Errorf("bind at %q: not a clean absolute path", inside)
	}
	for _, m := range r.binds {
		if inside == m.inside || strings.HasPrefix(inside, m.inside+"/") {
			return nil // in what is mounted from the host; it is there or the mount fails
		}
	}
	info, err := os.Stat(host)
	if err != nil {
		return err
	}
	tree, err := os.OpenRoot(r.dir)
	if err != nil {
		return err
	}
	defer tree.Close()
	name := inside[1:]
	if _, err := tree.Stat(name); err == nil {
		return nil
	}
	dir := name
	if !info.IsDir() {
		dir = filepath.Dir(name)
	}
	if err := tree.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for d := dir; d != "."; d = filepath.Dir(d) {
		if err := tree.Chmod(d, 0o755); err != nil { // whatever the umask
			return err
		}
	}
	if info.IsDir() {
		return nil
	}
	f, err := tree.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
