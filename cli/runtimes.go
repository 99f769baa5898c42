package cli

import (
	"io"

	"github.com/spf13/cobra"
)

// NewRuntimes is `lambent runtimes`: list writes which interpreter of this
// machine serves which runtime.
func NewRuntimes(list func(io.Writer) error) *cobra.Command {
	return &cobra.Command{
		Use:   "runtimes",
		Short: "Show which interpreter serves which runtime on this machine",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return list(cmd.OutOrStdout()) },
	}
}
