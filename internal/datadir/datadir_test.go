package datadir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory has one holder at a time, and the refusal says who it is.
func TestDirectoryHasOneHolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	held, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second holder got %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(dir)
	if err != nil {
		t.Fatalf("what was let go cannot be taken: %v", err)
	}
	again.Close()
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the directory is open to others: %v %v", st.Mode(), err)
	}
}
