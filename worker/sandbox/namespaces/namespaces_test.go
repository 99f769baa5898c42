//go:build linux && (amd64 || arm64)

package namespaces

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/sandboxtest"
)

// open makes a driver, or skips the test where the host allows none.
func open(t testing.TB) *Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it takes root")
	}
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
