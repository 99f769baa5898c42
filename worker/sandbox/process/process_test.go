//go:build unix

package process

import (
	"path/filepath"
	"testing"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/sandboxtest"
)

func open(t *testing.T) *Driver {
	t.Helper()
	d, err := New(Options{Dir: filepath.Join(t.TempDir(), "sandbox")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestContract(t *testing.T) {
	sandboxtest.Run(t, func(t *testing.T) sandbox.Driver { return open(t) })
}
