package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lambent-run/lambent/telemetry"
)

// DefaultEndpoint is where a server listens unless it was told otherwise.
const DefaultEndpoint = "http://127.0.0.1:4566"

// logsOptions is what `lambent logs` can be told.
type logsOptions struct {
	function  string
	endpoint  string
	region    string // "" for the server's own
	account   string // "" for the server's own
	requestID string
	since     time.Time // zero for all there is
	follow    bool
}

// NewLogs is `lambent logs FUNCTION`.
func NewLogs() *cobra.Command {
	var o logsOptions
	var since string
	cmd := &cobra.Command{
		Use:   "logs FUNCTION",
		Short: "Show a function's log",
		Long: `Show what a function and the platform wrote about its invocations, oldest first.

The log outlives the function. Its region is that of AWS_REGION, if set, and its
account that of AWS_ACCESS_KEY_ID, if that is a 12-digit account; otherwise they
are the server's own.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.function = args[0]
			var err error
			if o.since, err = moment(since, time.Now()); err != nil {
				return fmt.Errorf("--since %s: %w", since, err)
			}
			return showLogs(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes, until interrupted")
	f.StringVar(&since, "since", "", "only what is newer: an age such as 10m, or a time such as 2026-01-02T15:04:05Z")
	f.StringVar(&o.requestID, "request-id", "", "only what belongs to one invocation")
	f.StringVar(&o.endpoint, "endpoint", first(os.Getenv("LAMBENT_ENDPOINT"), os.Getenv("AWS_ENDPOINT_URL"), DefaultEndpoint),
		"the server; also LAMBENT_ENDPOINT or AWS_ENDPOINT_URL")
	f.StringVar(&o.region, "region", first(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")), "region of the function")
	if key := os.Getenv("AWS_ACCESS_KEY_ID"); regexp.MustCompile(`^\d{12}$`).MatchString(key) {
		o.account = key
	}
	return cmd
}

// first returns the first that is not empty.
func first(s ...string) string {
	for _, s := range s {
		if s != "" {
			return s
		}
	}
	return ""
}

// moment reads an age before now, or a time; "" is the zero time.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(s); err == nil {
		if age < 0 {
			return time.Time{}, errors.New("an age is not negative")
		}
		return now.Add(-age), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, errors.New("neither an age such as 10m nor a time such as 2026-01-02T15:04:05Z")
	}
	return t, nil
}

// showLogs writes the records to w, one to a line unless they hold several.
func showLogs(ctx context.Context, w io.Writer, o logsOptions) error {
	q := url.Values{}
	for name, value := range map[string]string{"region": o.region, "account": o.account, "requestId": o.requestID} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if !o.since.IsZero() {
		q.Set("since", o.since.UTC().Format(time.RFC3339Nano))
	}
	if o.follow {
		q.Set("follow", "1")
	}
	target := strings.TrimRight(o.endpoint, "/") + "/_lambent/admin/functions/" + url.PathEscape(o.function) + "/logs?" + q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no server answers at %s: %w", o.endpoint, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // as much as came
		return fmt.Errorf("read the log of %s: %s: %s", o.function, resp.Status, strings.TrimSpace(string(text)))
	}
	p := terminal(w)
	out := bufio.NewWriter(w)
	for d := json.NewDecoder(resp.Body); ; {
		var r telemetry.Record
		if err := d.Decode(&r); err != nil {
			switch {
			case o.follow && ctx.Err() != nil: // interrupted, as following is meant to end
				return out.Flush()
			case o.follow && (err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)):
				return errors.Join(out.Flush(), errors.New("the server has stopped"))
			case err == io.EOF:
				return out.Flush()
			}
			return errors.Join(out.Flush(), fmt.Errorf("read the log of %s: %w", o.function, err))
		}
		fmt.Fprintf(out, "%s  %s\n", p.dim(r.Time.UTC().Format("2006-01-02T15:04:05.000Z")), p.text(r.Message))
		if o.follow {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}
