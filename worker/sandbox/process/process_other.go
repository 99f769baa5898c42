//go:build unix && !linux

package process

import (
	"os"
	"os/exec"
	"syscall"

	"github.com/lambent-run/lambent/worker/sandbox"
)

// groups are Linux's.
type groups struct{}

func findGroups() groups                         { return groups{} }
func (groups) any() bool                         { return false }
func (groups) has(string) bool                   { return false }
func (groups) close() error                      { return nil }
func (groups) make(*sandbox.Spec) (group, error) { return nil, nil }
func stragglers(string) []int                    { return nil }
func rusage(int) sandbox.Stats                   { return sandbox.Stats{} }

// landlock is Linux's.
type landlock struct{}

func findLandlock() landlock                              { return landlock{} }
func (landlock) any() bool                                { return false }
func (landlock) rules([]string, string) (*os.File, error) { return nil, nil }

func launch(cmd *exec.Cmd, _ group, _ *os.File) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}
