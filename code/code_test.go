package code

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/lambent-run/lambent/lambda"
)

// entry is one entry of a package to be made.
type entry struct {
	name, content string
	mode          fs.FileMode // 0: the tool recorded none
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "code")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// A package comes back as it was sent, and its files with their content, modes and links.
func TestPackageIsKeptAndUnpacked(t *testing.T) {
	s, _ := open(t)
	b := pack(t,
		entry{"handler.py", "print()", 0o644},
		entry{"bin/run", "#!/bin/sh", 0o755},
		entry{"bin/setuid", "x", 0o755 | fs.ModeSetuid},
		entry{"plain", "no mode", 0},
		entry{`win\dows.txt`, "backslash", 0o600},
		entry{"lib/", "", 0o755 | fs.ModeDir},
		entry{"lib/link", "../handler.py", 0o777 | fs.ModeSymlink},
	)
	code, err := s.Put(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if code.Size != int64(len(b)) {
		t.Errorf("size %d, want %d", code.Size, len(b))
	}
	f, err := s.Zip(code.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, b) {
		t.Errorf("the zip differs: %v", err)
	}
	dir, err := s.Unpack(t.Context(), code.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, content string
		mode          fs.FileMode
	}{
		{"handler.py", "print()", 0o644}, {"bin/run", "#!/bin/sh", 0o755}, {"bin/setuid", "x", 0o755},
		{"plain", "no mode", 0o644}, {"win/dows.txt", "backslash", 0o600}, {"lib/link", "print()", 0o644},
	} {
		got, err := os.ReadFile(filepath.Join(dir, c.name))
		if err != nil || string(got) != c.content {
			t.Errorf("%s: %q, %v", c.name, got, err)
			continue
		}
		if st, _ := os.Stat(filepath.Join(dir, c.name)); st.Mode() != c.mode {
			t.Errorf("%s has mode %v, want %v", c.name, st.Mode(), c.mode)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "lib/link")); err != nil || target != "../handler.py" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

// What is no sound package is refused in AWS's words, and nothing of it is kept.
func TestUnsoundPackagesAreRefused(t *testing.T) {
	const unzip = "Could not unzip uploaded file. Please check your file, then try to upload again."
	damaged := pack(t, entry{"f", strings.Repeat("content ", 100), 0o644})
	damaged[40] ^= 0xff
	large := pack(t, entry{"zeros", strings.Repeat("\x00", 200<<20), 0o644}, entry{"more", strings.Repeat("\x00", 60<<20), 0o644})
	for _, c := range []struct {
		name    string
		zip     []byte
		code    lambda.Code
		message string
	}{
		{"empty", nil, lambda.InvalidParameterValue, unzip},
		{"no zip", []byte("hello, world"), lambda.InvalidParameterValue, unzip},
		{"cut short", pack(t, entry{"a", "b", 0o644})[:50], lambda.InvalidParameterValue, unzip},
		{"damaged", damaged, lambda.InvalidParameterValue, unzip},
		{"climbs out", pack(t, entry{"../evil", "x", 0o644}), lambda.InvalidParameterValue, unzip},
		{"climbs out from within", pack(t, entry{"a/../../evil", "x", 0o644}), lambda.InvalidParameterValue, unzip},
		{"climbs out by backslash", pack(t, entry{`..\evil`, "x", 0o644}), lambda.InvalidParameterValue, unzip},
		{"absolute", pack(t, entry{"/etc/evil", "x", 0o644}), lambda.InvalidParameterValue, unzip},
		{"link to an absolute path", pack(t, entry{"l", "/etc/shadow", 0o777 | fs.ModeSymlink}), lambda.InvalidParameterValue, unzip},
		{"link out", pack(t, entry{"a/l", "../../etc/shadow", 0o777 | fs.ModeSymlink}), lambda.InvalidParameterValue, unzip},
		{"links that climb together", pack(t, entry{"a/b/f", "", 0o644}, entry{"up", "a/b", 0o777 | fs.ModeSymlink},
			entry{"out", "up/../../../etc", 0o777 | fs.ModeSymlink}), lambda.InvalidParameterValue, unzip},
		{"file through a link", pack(t, entry{"l", ".", 0o777 | fs.ModeSymlink}, entry{"l/f", "x", 0o644}), lambda.InvalidParameterValue, unzip},
		{"name twice", pack(t, entry{"f", "1", 0o644}, entry{"f", "2", 0o644}), lambda.InvalidParameterValue, unzip},
		{"file and directory", pack(t, entry{"f", "1", 0o644}, entry{"f/g", "2", 0o644}), lambda.InvalidParameterValue, unzip},
		{"directory and file", pack(t, entry{"f/g", "2", 0o644}, entry{"f", "1", 0o644}), lambda.InvalidParameterValue, unzip},
		{"device", pack(t, entry{"d", "", 0o644 | fs.ModeDevice}), lambda.InvalidParameterValue, unzip},
		{"pipe", pack(t, entry{"p", "", 0o644 | fs.ModeNamedPipe}), lambda.InvalidParameterValue, unzip},
		{"long name", pack(t, entry{strings.Repeat("n", 300), "x", 0o644}), lambda.InvalidParameterValue, unzip},
		{"bomb", large, lambda.InvalidParameterValue, "Unzipped size must be smaller than 262144000 bytes"},
		{"large zip", make([]byte, lambda.MaxZipSize+1), lambda.RequestEntityTooLarge, "Zipped size must be smaller than 52428800 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := open(t)
			_, err := s.Put(t.Context(), c.zip)
			if e := lambda.AsError(err); !errors.Is(err, c.code) || e.Message != c.message {
				t.Errorf("got %v, want %s: %s", err, c.code, c.message)
			}
			for _, sub := range []string{"zip", "task", "temp"} {
				if left, _ := os.ReadDir(filepath.Join(dir, sub)); len(left) != 0 {
					t.Errorf("%s holds %v", sub, left)
				}
			}
		})
	}
}

// A package of S3 may be larger than an inline one: it is read as it comes.
func TestPackageIsKeptFromAStream(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "large", Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, lambda.MaxZipSize)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t)
	if _, err := s.Put(t.Context(), b.Bytes()); !errors.Is(err, lambda.RequestEntityTooLarge) {
		t.Errorf("inline: %v", err)
	}
	sum := sha256.Sum256(b.Bytes())
	want := lambda.Code256{Digest: hex.EncodeToString(sum[:]), Size: int64(b.Len())}
	for range 2 {
		got, err := s.PutFrom(t.Context(), iotest.HalfReader(bytes.NewReader(b.Bytes())))
		if err != nil || got != want {
			t.Fatalf("%+v, %v, want %+v", got, err, want)
		}
	}
	dir, err := s.Unpack(t.Context(), want.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "large")); err != nil || st.Size() != lambda.MaxZipSize {
		t.Errorf("unpacked to %v, %v", st, err)
	}
}

// count counts what is read through it.
type count struct {
	io.Reader
	n int64
}

func (c *count) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

// A stream that is too long is not read to its end, one that breaks is no
// package, and nothing is kept of either.
func TestBadStreamsAreRefused(t *testing.T) {
	broken := errors.New("connection reset")
	for _, c := range []struct {
		name    string
		r       io.Reader
		want    error
		message string
	}{
		{"too long", zeros{}, lambda.InvalidParameterValue, "Unzipped size must be smaller than 262144000 bytes"},
		{"broken", io.MultiReader(bytes.NewReader(pack(t, entry{"f", "x", 0o644})), iotest.ErrReader(broken)), broken,
			"An internal error occurred."},
	} {
		s, dir := open(t)
		r := &count{Reader: c.r}
		_, err := s.PutFrom(t.Context(), r)
		if !errors.Is(err, c.want) || lambda.AsError(err).Message != c.message {
			t.Errorf("%s: %v", c.name, err)
		}
		if r.n > lambda.MaxUnzippedSize+1 {
			t.Errorf("%s: %d bytes were read", c.name, r.n)
		}
		for _, sub := range []string{"zip", "task", "temp"} {
			if left, _ := os.ReadDir(filepath.Join(dir, sub)); len(left) != 0 {
				t.Errorf("%s: %s holds %v", c.name, sub, left)
			}
		}
	}
}

// zeros is endless.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A package that is all list of entries is refused before the list is in memory.
func TestLongListsAreRefused(t *testing.T) {
	record := make([]byte, 46+1) // APPNOTE.TXT 4.3.12: a header with a name of one byte
	copy(record, "PK\x01\x02")
	record[28], record[46] = 1, 'f'
	b := bytes.Repeat(record, maxDirectory/len(record)+1)
	end := make([]byte, 22) // 4.3.16
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], uint16(len(b)/len(record)))
	binary.LittleEndian.PutUint16(end[10:], uint16(len(b)/len(record)))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(b)))
	s, _ := open(t)
	_, err := s.Put(t.Context(), append(b, end...))
	if !errors.Is(err, lambda.InvalidParameterValue) || !strings.Contains(err.Error(), "the list of entries is too long") {
		t.Errorf("got %v", err)
	}
}

// What a zip claims about sizes is not believed.
func TestClaimedSizesAreNotBelieved(t *testing.T) {
	b := pack(t, entry{"f", strings.Repeat("x", 5000), 0o644})
	// The central directory's uncompressed size, 24 bytes into its header.
	i := bytes.LastIndex(b, []byte("PK\x01\x02"))
	b[i+24], b[i+25] = 1, 0
	s, _ := open(t)
	if _, err := s.Put(t.Context(), b); !errors.Is(err, lambda.InvalidParameterValue) {
		t.Errorf("got %v", err)
	}
}

// The same bytes are unpacked once, however many bring them at the same time.
func TestSameBytesAreKeptOnce(t *testing.T) {
	s, dir := open(t)
	b := pack(t, entry{"f", "x", 0o644})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := s.Put(context.Background(), b); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, sub := range []string{"zip", "task"} {
		if kept, _ := os.ReadDir(filepath.Join(dir, sub)); len(kept) != 1 {
			t.Errorf("%s holds %d", sub, len(kept))
		}
	}
}

// Files that are lost are unpacked again; a zip that is damaged on disk is not served.
func TestLostFilesComeBack(t *testing.T) {
	s, dir := open(t)
	code, err := s.Put(t.Context(), pack(t, entry{"f", "x", 0o644}))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "boot"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	task, err := s.Unpack(t.Context(), code.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(task, "f")); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.RemoveAll(task); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.zip(code.Digest), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Unpack(t.Context(), code.Digest); err == nil {
		t.Error("a damaged zip was unpacked")
	}
	for _, digest := range []string{"", "../zip", strings.Repeat("0", 64), strings.Repeat("Z", 64)} {
		if _, err := s.Unpack(t.Context(), digest); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", digest, err)
		}
	}
}

// What is not wanted goes, what is stays.
func TestCollectRemovesWhatIsNotWanted(t *testing.T) {
	s, _ := open(t)
	a, _ := s.Put(t.Context(), pack(t, entry{"a", "", 0o644}))
	b, _ := s.Put(t.Context(), pack(t, entry{"b", "", 0o644}))
	if err := s.Collect(func(digest string) bool { return digest == b.Digest }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Zip(a.Digest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was not wanted is there: %v", err)
	}
	if f, err := s.Zip(b.Digest); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("CRASH_DIR"); dir != "" {
		at = func(p string) {
			if p == os.Getenv("CRASH_AT") {
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		s, err := Open(dir)
		if err == nil {
			var b []byte
			if b, err = os.ReadFile(os.Getenv("CRASH_ZIP")); err == nil {
				_, err = s.Put(context.Background(), b)
			}
		}
		fmt.Println("answered", err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Killed at any point, the store opens clean, and the package can be put again.
func TestKilledAtEveryPoint(t *testing.T) {
	b := pack(t, entry{"f", "x", 0o644})
	file := filepath.Join(t.TempDir(), "p.zip")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, point := range []string{"files", "unpacked", "zip", "kept"} {
		t.Run(point, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "code")
			cmd := exec.Command(os.Args[0], "-test.run=^$")
			cmd.Env = append(os.Environ(), "CRASH_DIR="+dir, "CRASH_AT="+point, "CRASH_ZIP="+file)
			out, err := cmd.Output()
			if err == nil || len(out) > 0 {
				t.Fatalf("the child lived: %s", out)
			}
			s, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if left, _ := os.ReadDir(filepath.Join(dir, "temp")); len(left) != 0 {
				t.Errorf("temp holds %v", left)
			}
			code, err := s.Put(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			task, err := s.Unpack(t.Context(), code.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(task, "f")); err != nil || string(got) != "x" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Whatever bytes arrive, nothing is written outside the store and nothing panics.
func FuzzPut(f *testing.F) {
	f.Add(pack(f, entry{"a/b", "x", 0o644}, entry{"l", "a/b", 0o777 | fs.ModeSymlink}))
	f.Add(pack(f, entry{"../x", "x", 0o644}))
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		s, err := Open(filepath.Join(parent, "code"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Put(t.Context(), b)
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Errorf("written outside: %v", entries)
		}
	})
}
