package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lambent-run/lambent/worker/runtimes"
)

func newServe() *cobra.Command {
	var o options
	var config string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the Lambda API and run functions",
		Long: `Serve the Lambda API on one address and run functions on this machine.

Point any AWS tool at it with AWS_ENDPOINT_URL=http://127.0.0.1:4566. Every flag
is also an environment variable (--keep-alive is LAMBENT_KEEP_ALIVE) and a key of
the YAML file given with --config; a flag beats the environment, which beats the
file. SIGTERM drains: requests under way are answered first.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("config") {
				config = os.Getenv("LAMBENT_CONFIG")
			}
			if err := complete(cmd.Flags(), config, os.LookupEnv); err != nil {
				return err
			}
			if err := o.validate(); err != nil {
				return err
			}
			logger, err := newLogger(os.Stderr, o.LogLevel)
			if err != nil {
				return err
			}
			s, err := newServer(cmd.Context(), o, logger)
			if err != nil {
				return err
			}
			return s.run(cmd.Context())
		},
	}
	o.register(cmd.Flags())
	cmd.Flags().StringVar(&config, "config", "", "YAML file with any of these settings")
	return cmd
}

// newLogger writes text to a terminal and JSON elsewhere.
func newLogger(w *os.File, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return nil, fmt.Errorf("--log-level %s: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	if st, err := w.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return slog.New(slog.NewJSONHandler(w, opts)), nil
}

// demoServer starts a server with its own data directory for the demonstration.
// It serves where `lambent serve` would by default, and stop drains it.
func demoServer(ctx context.Context) (endpoint string, stop func() error, err error) {
	dir, err := os.MkdirTemp("", "lambent-demo-")
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	var o options
	f := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	o.register(f)
	if err := complete(f, os.Getenv("LAMBENT_CONFIG"), os.LookupEnv); err != nil {
		return "", nil, err
	}
	o.Data = dir
	if err := o.validate(); err != nil {
		return "", nil, err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := newServer(ctx, o, logger)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		if rm := os.RemoveAll(dir); err == nil {
			err = rm
		}
		return err
	}
	return "http://" + s.listener.Addr().String(), stop, nil
}

// listRuntimes prints which interpreter serves which runtime.
func listRuntimes(w io.Writer) error {
	dir, err := os.MkdirTemp("", "lambent-runtimes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	set, err := runtimes.New(filepath.Join(dir, "runtimes"))
	if err != nil {
		return err
	}
	for _, m := range set.List() {
		if _, err := fmt.Fprintln(w, m); err != nil {
			return err
		}
	}
	return nil
}
