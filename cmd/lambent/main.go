// Command lambent is AWS Lambda that you run yourself: a server that speaks the
// Lambda API to clients and the Lambda Runtime API to functions, and the verbs
// people use beside it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lambent-run/lambent/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	root := &cobra.Command{
		Use:           "lambent",
		Short:         "AWS Lambda that you run yourself",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}
	root.AddCommand(newServe(), cli.NewDemo(demoServer), cli.NewLogs(), cli.NewRuntimes(listRuntimes), cli.NewSign())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lambent:", err)
		os.Exit(1)
	}
}

// version is the module's version as the Go tool stamped it, or "dev".
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
