package live

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// maxWatched bounds the directories that are watched for all functions together.
	// The kernel has a bound of its own for each user (fs.inotify.max_user_watches).
	maxWatched = 8192
	// A change is told when nothing has changed for the time of quiet, so that what
	// writes many files is told once, but not later than restless after the first.
	quiet    = 100 * time.Millisecond
	restless = 2 * time.Second
)

// skipped are directories that hold no code: their changes are not told.
var skipped = []string{".git", "__pycache__"}

// tree is what is watched for one directory.
type tree struct {
	paths map[string]struct{}
	short bool // not all of it: too many, or an error
}

// watched is a directory that notifications are asked for.
type watched struct {
	trees int         // for how many
	info  fs.FileInfo // which one it was then
}

// Watch has Run look after a directory, which Resolve has returned, and tells
// whether it had not until now: then changes before now may have gone unseen.
func (d *Dirs) Watch(dir string) (began bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.trees[dir] != nil {
		return false
	}
	t := &tree{paths: map[string]struct{}{}}
	d.trees[dir] = t
	d.look(dir, t)
	return true
}

// Keep forgets the directories that are not wanted any more.
func (d *Dirs) Keep(wanted func(dir string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for dir, t := range d.trees {
		if !wanted(dir) {
			delete(d.trees, dir)
			d.release(t, nil)
		}
	}
}

// Run watches until ctx ends and calls changed, one call at a time, with each
// directory in which something has changed. So it does at its beginning with
// those it was asked to watch before.
func (d *Dirs) Run(ctx context.Context, changed func(dir string)) error {
	if len(d.roots) == 0 {
		<-ctx.Done()
		return nil
	}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		d.logger.Error("hot reloading: changes are not noticed", "err", err)
		<-ctx.Done()
		return nil
	}
	lost := make(chan struct{}, 1) // notifications
	ended := make(chan struct{})
	go func() { // ends with notify, and is waited for below
		defer close(ended)
		for err := range notify.Errors { // or its sender would wait, with a lock that Watch needs
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				d.logger.Warn("hot reloading", "err", err)
			}
			select {
			case lost <- struct{}{}:
			default:
			}
		}
	}()
	defer func() {
		d.mu.Lock()
		d.notify = nil
		d.mu.Unlock()
		if err := notify.Close(); err != nil {
			d.logger.Warn("hot reloading", "err", err)
		}
		<-ended
	}()

	c := changes{dirs: map[string]bool{}, timer: time.NewTimer(quiet)}
	defer c.timer.Stop()
	d.mu.Lock()
	d.notify = notify
	for dir := range d.trees {
		c.add(dir, true)
	}
	d.mu.Unlock()
	d.tell(&c, changed)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-notify.Events:
			d.mu.Lock()
			for dir := range d.trees {
				if concerned, anew := concerns(e, dir); concerned {
					c.add(dir, anew)
				}
			}
			d.mu.Unlock()
		case <-lost:
			d.mu.Lock()
			for dir := range d.trees {
				c.add(dir, true)
			}
			d.mu.Unlock()
		case <-c.timer.C:
			d.tell(&c, changed)
		}
	}
}

// changes are the directories in which something has changed, and whether they
// are to be walked anew because directories may have come or gone.
type changes struct {
	dirs  map[string]bool
	first time.Time
	timer *time.Timer // runs out when they are to be told
}

func (c *changes) add(dir string, anew bool) {
	now := time.Now()
	if len(c.dirs) == 0 {
		c.first = now
	}
	c.dirs[dir] = c.dirs[dir] || anew
	c.timer.Reset(min(quiet, c.first.Add(restless).Sub(now)))
}

func (d *Dirs) tell(c *changes, changed func(dir string)) {
	dirs := c.dirs
	c.dirs = map[string]bool{}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		d.mu.Lock()
		t := d.trees[dir]
		if t != nil && dirs[dir] {
			d.look(dir, t)
		}
		d.mu.Unlock()
		if t != nil {
			changed(dir)
		}
	}
}

// concerns tells whether an event is a change of a directory's files, and
// whether directories may have come or gone with it.
func concerns(e fsnotify.Event, dir string) (concerned, anew bool) {
	anew = e.Op&(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) != 0
	if rel, err := filepath.Rel(dir, e.Name); err == nil && filepath.IsLocal(rel) {
		for part := range strings.SplitSeq(rel, string(filepath.Separator)) {
			if slices.Contains(skipped, part) {
				return false, false
			}
		}
		return true, anew
	}
	// Above it, it matters whether the way there is the same.
	return anew && within(dir, e.Name), anew
}

// look walks a directory and watches what is there now. mu is held.
func (d *Dirs) look(dir string, t *tree) {
	if d.notify == nil {
		return
	}
	// What has another place now is watched under its old name: that goes first.
	for path := range t.paths {
		if info, err := os.Lstat(path); err != nil || !os.SameFile(info, d.watched[path].info) {
			_ = d.notify.Remove(path) // it may be gone by itself
		}
	}
	var failed error
	short := false
	now := map[string]struct{}{}
	watch := func(path string) (more bool) {
		_, had := t.paths[path]
		if !had && d.watched[path] == nil && len(d.watched) >= maxWatched {
			short = true
			return false
		}
		info, err := os.Lstat(path)
		if err == nil {
			err = d.notify.Add(path) // also once more: see above
		}
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				short, failed = true, err
			}
			return true
		}
		w := d.watched[path]
		if w == nil {
			w = new(watched)
			d.watched[path] = w
		}
		if w.info = info; !had {
			w.trees++
		}
		now[path] = struct{}{}
		return true
	}
	for _, path := range d.above(dir) {
		watch(path)
	}
	for below := []string{dir}; len(below) > 0 && watch(below[0]); below = below[1:] {
		// Watched first, then read: what comes in between is an event, and a new look.
		entries, err := os.ReadDir(below[0])
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			short, failed = true, err
		}
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(skipped, e.Name()) { // and no symbolic link
				below = append(below, filepath.Join(below[0], e.Name()))
			}
		}
	}
	d.release(t, now)
	if short && !t.short {
		d.logger.Warn("hot reloading: not every directory is watched, and changes in the others are not noticed",
			"dir", dir, "watched", len(d.watched), "most", maxWatched, "err", failed)
	}
	t.short = short
}

// above are the directories on the way to dir, from the parent of its root.
func (d *Dirs) above(dir string) (paths []string) {
	for _, r := range d.roots {
		if !within(dir, r.real) {
			continue
		}
		for path := dir; path != filepath.Dir(r.real); {
			up := filepath.Dir(path)
			if up == path {
				break
			}
			path = up
			paths = append(paths, path)
		}
		return paths
	}
	return nil
}

// release stops watching what a tree had and does not have now. mu is held.
func (d *Dirs) release(t *tree, now map[string]struct{}) {
	for path := range t.paths {
		if _, still := now[path]; still {
			continue
		}
		if d.watched[path].trees--; d.watched[path].trees > 0 {
			continue
		}
		delete(d.watched, path)
		if d.notify != nil {
			_ = d.notify.Remove(path) // it may be gone by itself
		}
	}
	t.paths = now
}
