//go:build !linux || !(amd64 || arm64)

package namespaces

import (
	"fmt"
	"runtime"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// Driver does not exist on this system.
type Driver struct{ sandbox.Driver }

// New fails: namespaces are Linux's.
func New(Options) (*Driver, error) {
	return nil, fmt.Errorf("namespaces need Linux on amd64 or arm64; this is %s on %s", runtime.GOOS, runtime.GOARCH)
}
