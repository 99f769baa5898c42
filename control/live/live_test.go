package live

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/lambent-run/lambent/lambda"
)

func quietly() *slog.Logger { return slog.New(slog.DiscardHandler) }

// temp is a directory without symbolic links on the way to it.
func temp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// Only what lies in an opened directory can be code, wherever links lead, and nothing is told of what lies elsewhere.
func TestResolve(t *testing.T) {
	at := temp(t)
	open, other := mkdir(t, at+"/open"), mkdir(t, at+"/other")
	project := mkdir(t, open+"/project")
	mkdir(t, at+"/opened-not")
	mkdir(t, open+"/data/code")
	write(t, open+"/file")
	link(t, other, open+"/out")
	link(t, "project", open+"/in")
	link(t, "none", open+"/dangling")
	link(t, open, at+"/alias")

	const outside = "is not in one that the server was started with --hot-reload for."
	for _, root := range []string{open, at + "/alias", open + "/../open/"} {
		d, err := New(Config{Roots: []string{root, project}, Private: open + "/data", Logger: quietly()})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ path, dir, refusal string }{
			{project, project, ""},
			{project + "/", project, ""},
			{open + "/../open/./project", project, ""},
			{open + "/in", project, ""},
			{strings.TrimPrefix(project, "/"), "", "is not."},
			{".", "", "is not."},
			{"", "", "is not."},
			{other, "", outside},
			{at, "", outside},
			{at + "/opened-not", "", outside},
			{"/", "", outside},
			{"/none", "", outside},
			{open + "/../other", "", outside},
			{open + "/out", "", outside},
			{open + "/none", "", "cannot be used for hot reloading: no such file or directory."},
			{open + "/dangling", "", "cannot be used for hot reloading: no such file or directory."},
			{open + "/file", "", "cannot be used for hot reloading: not a directory."},
			{open, "", "cannot be used for hot reloading: it is the server's own."}, // it holds that
			{open + "/data", "", "cannot be used for hot reloading: it is the server's own."},
			{open + "/data/code", "", "cannot be used for hot reloading: it is the server's own."},
		} {
			dir, err := d.Resolve(c.path)
			if dir != c.dir || (err == nil) != (c.refusal == "") {
				t.Errorf("in %s, %s is %q, %v, want %q", root, c.path, dir, err, c.dir)
			}
			if err != nil && (!errors.Is(err, lambda.InvalidParameterValue) || !strings.HasSuffix(lambda.AsError(err).Message, c.refusal)) {
				t.Errorf("%s: %v, want %s", c.path, err, c.refusal)
			}
		}
	}
}

// Without an opened directory the refusal says how there would be one.
func TestNothingIsOpenByDefault(t *testing.T) {
	d, err := New(Config{Logger: quietly()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Resolve(t.TempDir()); !errors.Is(err, lambda.InvalidParameterValue) || !strings.Contains(err.Error(), "--hot-reload DIR") {
		t.Errorf("got %v", err)
	}
}

// What cannot be opened is a mistake of the operator's.
func TestRootsMustExist(t *testing.T) {
	file := t.TempDir() + "/file"
	write(t, file)
	for _, root := range []string{file, file + "s"} {
		if _, err := New(Config{Roots: []string{root}, Logger: quietly()}); err == nil || !strings.Contains(err.Error(), root) {
			t.Errorf("%s: %v", root, err)
		}
	}
}

// What is told as a change, and what has the directory walked anew.
func TestConcerns(t *testing.T) {
	const dir = "/open/a/project"
	for _, c := range []struct {
		event           fsnotify.Event
		concerned, anew bool
	}{
		{fsnotify.Event{Name: dir + "/handler.py", Op: fsnotify.Write}, true, false},
		{fsnotify.Event{Name: dir + "/bootstrap", Op: fsnotify.Chmod}, true, false},
		{fsnotify.Event{Name: dir + "/lib/deep/x", Op: fsnotify.Create}, true, true},
		{fsnotify.Event{Name: dir + "/handler.py", Op: fsnotify.Rename}, true, true},
		{fsnotify.Event{Name: dir, Op: fsnotify.Remove}, true, true},
		{fsnotify.Event{Name: dir + "/.git/index", Op: fsnotify.Write}, false, false},
		{fsnotify.Event{Name: dir + "/lib/__pycache__/x.pyc", Op: fsnotify.Create}, false, false},
		{fsnotify.Event{Name: "/open/a", Op: fsnotify.Create}, true, true},
		{fsnotify.Event{Name: "/open", Op: fsnotify.Rename}, true, true},
		{fsnotify.Event{Name: "/open/a", Op: fsnotify.Chmod}, false, false},
		{fsnotify.Event{Name: "/open/a/project2", Op: fsnotify.Create}, false, true},
		{fsnotify.Event{Name: "/open/a/other/handler.py", Op: fsnotify.Write}, false, false},
	} {
		concerned, anew := concerns(c.event, dir)
		if concerned != c.concerned || concerned && anew != c.anew {
			t.Errorf("%v: %v, %v, want %v, %v", c.event, concerned, anew, c.concerned, c.anew)
		}
	}
}

// stand runs Dirs over one root and collects what is told.
type stand struct {
	t *testing.T
	*Dirs
	root string
	told chan string
}

func start(t *testing.T, before ...string) *stand {
	t.Helper()
	s := &stand{t, nil, mkdir(t, temp(t)+"/open"), make(chan string, 1000)}
	var err error
	if s.Dirs, err = New(Config{Roots: []string{s.root}, Logger: quietly()}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range before {
		mkdir(t, s.root+dir)
		s.Watch(s.root + dir)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func(dir string) { s.told <- dir }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// await waits until a change of the directory is told.
func (s *stand) await(what, dir string) {
	s.t.Helper()
	hung := time.After(time.Minute)
	for {
		select {
		case told := <-s.told:
			if told == s.root+dir {
				return
			}
		case <-hung:
			s.t.Fatalf("%s: not told", what)
		}
	}
}

// settled waits until what was done before is told: a change of another
// directory, which is told in one go with it or after it.
func (s *stand) settled() (told []string) {
	s.t.Helper()
	mark := mkdir(s.t, s.root+"/mark")
	s.Watch(mark)
	write(s.t, mark+"/"+time.Now().Format(time.RFC3339Nano))
	hung := time.After(time.Minute)
	for {
		select {
		case dir := <-s.told:
			if dir == mark {
				return told
			}
			told = append(told, strings.TrimPrefix(dir, s.root))
		case <-hung:
			s.t.Fatal("not told")
		}
	}
}

// Changes are told wherever they are in the tree, also in directories that have just come, and after the tree has gone
// and come again, at any height.
func TestChangesAreTold(t *testing.T) {
	s := start(t, "/a/project")
	s.await("the beginning", "/a/project")
	dir := s.root + "/a/project"
	if s.Watch(dir) {
		t.Error("the directory was not watched")
	}
	write(t, dir+"/handler.py")
	s.await("a new file", "/a/project")
	write(t, dir+"/handler.py")
	s.await("a written file", "/a/project")
	mkdir(t, dir+"/lib/deep")
	s.await("a new directory", "/a/project")
	write(t, dir+"/lib/deep/module.py")
	s.await("a file in it", "/a/project")
	if err := os.Rename(dir+"/lib", dir+"/library"); err != nil {
		t.Fatal(err)
	}
	s.await("a directory with a new name", "/a/project")
	write(t, dir+"/library/deep/module.py")
	s.await("a file in that", "/a/project")
	if err := os.Chmod(dir+"/handler.py", 0o755); err != nil {
		t.Fatal(err)
	}
	s.await("another mode", "/a/project")
	for _, height := range []string{"/a/project", "/a", ""} {
		if err := os.RemoveAll(s.root + height); err != nil {
			t.Fatal(err)
		}
		s.await(height+" removed", "/a/project")
		mkdir(t, dir+"/again")
		s.await(height+" made again", "/a/project")
		write(t, dir+"/again/module.py")
		s.await("a file in what was made again", "/a/project")
	}
	if err := os.Rename(s.root+"/a", s.root+"/b"); err != nil {
		t.Fatal(err)
	}
	s.await("moved away", "/a/project")
	if err := os.Rename(s.root+"/b", s.root+"/a"); err != nil {
		t.Fatal(err)
	}
	s.await("moved back", "/a/project")
	write(t, dir+"/again/module.py")
	s.await("a file in what was moved back", "/a/project")
}

// A change is told of every directory that it is in, and of no other.
func TestOnlyWhatChangedIsTold(t *testing.T) {
	s := start(t, "/a", "/a/within", "/b")
	for range 3 {
		<-s.told // the beginning
	}
	s.settled()
	write(t, s.root+"/a/within/f")
	if told := s.settled(); strings.Join(told, " ") != "/a /a/within" {
		t.Errorf("a file of two: %v", told)
	}
	write(t, mkdir(t, s.root+"/b/__pycache__")+"/f")
	write(t, mkdir(t, s.root+"/b/.git")+"/f")
	write(t, mkdir(t, s.root+"/c")+"/f")
	if told := s.settled(); len(told) != 0 {
		t.Errorf("no code: %v", told)
	}
	s.Keep(func(dir string) bool { return dir != s.root+"/b" })
	write(t, s.root+"/b/f")
	if told := s.settled(); len(told) != 0 {
		t.Errorf("what is not kept: %v", told)
	}
	s.mu.Lock()
	n := len(s.watched)
	s.mu.Unlock()
	if n != 5 { // the root, what holds it, a, within and mark
		t.Errorf("%d directories are watched, want 5", n)
	}
	if !s.Watch(s.root + "/b") {
		t.Error("what was not kept was still watched")
	}
	write(t, s.root+"/b/g")
	s.await("kept again", "/b")
}

// No more is watched than there is room for, and the log says so once.
func TestWatchingIsBounded(t *testing.T) {
	var log strings.Builder
	root := temp(t)
	d, err := New(Config{Roots: []string{root}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if d.notify, err = fsnotify.NewWatcher(); err != nil {
		t.Fatal(err)
	}
	defer d.notify.Close()
	mkdir(t, root+"/project/lib")
	for i := range maxWatched - 2 {
		d.watched[strconv.Itoa(i)] = new(watched)
	}
	d.Watch(root + "/project")
	d.look(root+"/project", d.trees[root+"/project"])
	if len(d.watched) != maxWatched || strings.Count(log.String(), "not every directory is watched") != 1 {
		t.Errorf("%d are watched\n%s", len(d.watched), log.String())
	}
}
