//go:build linux && (amd64 || arm64)

package namespaces

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	device   = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
)

// detach returns a mount of a path of the host that is in no namespace yet.
func detach(path string, attrs uint64) (fd int, err error) {
	fd, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return -1, fmt.Errorf("open_tree %s: %w", path, err)
	}
	attr := unix.MountAttr{Attr_set: attrs, Propagation: unix.MS_PRIVATE}
	if attrs&unix.MOUNT_ATTR_NODEV == 0 {
		attr.Attr_clr = unix.MOUNT_ATTR_NODEV
	}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("mount_setattr %s: %w", path, err)
	}
	return fd, nil
}

// attach puts a detached mount at a path.
func attach(fd int, path string) error {
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, path, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

// bind shows a path of the host at another.
func bind(host, path string, attrs uint64) error {
	fd, err := detach(host, attrs)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return attach(fd, path)
}

// layered returns a detached read-only mount of several directories merged, the
// last on top.
func layered(dirs []string) (int, error) {
	if len(dirs) == 1 {
		return detach(dirs[0], readOnly)
	}
	// By descriptors, since their names are short and tell nothing of the host to
	// those who read /proc/mounts.
	lower := ""
	for i := len(dirs) - 1; i >= 0; i-- {
		f, err := os.Open(dirs[i])
		if err != nil {
			return -1, err
		}
		defer f.Close()
		if lower != "" {
			lower += ":"
		}
		lower += "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	}
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("overlay: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "lowerdir", lower); err != nil {
		return -1, fmt.Errorf("overlay of %d layers: %w", len(dirs), err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("overlay of %d layers: %w", len(dirs), err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, readOnly)
	if err != nil {
		return -1, fmt.Errorf("overlay: %w", err)
	}
	return fd, nil
}
