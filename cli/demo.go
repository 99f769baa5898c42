package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	api "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/spf13/cobra"

	"github.com/lambent-run/lambent/examples"
)

// Options is what a demonstration needs. Its zero value, with an Endpoint, works.
type Options struct {
	// Endpoint is the server's URL. If it is empty, Serve starts one.
	Endpoint string
	// Serve starts a server; stop ends it and waits until it has.
	Serve func(ctx context.Context) (endpoint string, stop func() error, err error)
	// Region to sign for (default us-east-1).
	Region string
	// Bootstrap is the executable of the Go example. If it is empty, it is looked
	// for beside the running executable, and else built.
	Bootstrap string
	// Program is the command to type for this program (default lambent).
	Program string
	// Colour lets words stand out, as on a terminal.
	Colour bool
}

// NewDemo is `lambent demo`. It deploys the examples to the server at --endpoint
// or, without one, to a server of its own, which it leaves serving until it is
// interrupted.
func NewDemo(serve func(ctx context.Context) (endpoint string, stop func() error, err error)) *cobra.Command {
	o := Options{Serve: serve}
	var exit bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Deploy example functions, invoke each, and go on serving",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, w := cmd.Context(), cmd.OutOrStdout()
			o.Colour, o.Program = bool(terminal(w)), os.Args[0]
			own := o.Endpoint == ""
			if own {
				var stop func() error
				if o.Endpoint, stop, err = o.Serve(ctx); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, stop()) }()
			}
			if err := Demo(ctx, w, o); err != nil {
				if ctx.Err() != nil { // interrupted
					return nil
				}
				return fmt.Errorf("demo: %w", err)
			}
			if own && !exit {
				fmt.Fprintf(w, "\nServing at %s until interrupted (Ctrl-C).\n", o.Endpoint)
				<-ctx.Done()
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Endpoint, "endpoint", "", "a server that runs already (default: one of its own, with its data in a temporary directory)")
	cmd.Flags().StringVar(&o.Region, "region", "us-east-1", "region to deploy to")
	cmd.Flags().BoolVar(&exit, "exit", false, "end after the demonstration")
	return cmd
}

// Demo deploys the examples through the public API of the server at o.Endpoint,
// invokes each cold and warm and where it can fail, and writes to w what came of
// it. An example that this machine cannot run is left out, and w says why.
func Demo(ctx context.Context, w io.Writer, o Options) error {
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	d := &demo{w: w, paint: paint(o.Colour), options: o, client: api.New(api.Options{
		Region:       o.Region,
		BaseEndpoint: &o.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(
			first(os.Getenv("AWS_ACCESS_KEY_ID"), "test"), first(os.Getenv("AWS_SECRET_ACCESS_KEY"), "test"), os.Getenv("AWS_SESSION_TOKEN")),
	})}
	d.printf("%s\n", d.bold("Lambent at "+o.Endpoint))
	var shown []examples.Example
	for _, e := range examples.All() {
		ok, err := d.show(ctx, e)
		if err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
		if ok {
			shown = append(shown, e)
		}
	}
	if len(shown) == 0 {
		return errors.New("this machine can run none of the examples")
	}
	d.usage(shown[0])
	return d.err
}

// demo is one demonstration.
type demo struct {
	w       io.Writer
	err     error // the first of writing to w
	options Options
	client  *api.Client
	paint
}

func (d *demo) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(d.w, format, args...); err != nil && d.err == nil {
		d.err = err
	}
}

// show deploys and invokes an example. It tells whether the example can run here.
func (d *demo) show(ctx context.Context, e examples.Example) (bool, error) {
	d.printf("\n%s  %s, %s, %d MB and so a whole CPU\n", d.bold(e.Name), e.Runtime, e.Handler, demoMemory)
	executable := []byte(nil)
	if e.Source == nil {
		var err error
		if executable, err = bootstrap(ctx, d.options.Bootstrap, e.Package); err != nil {
			d.printf("  left out: %v\n", err)
			return false, ctx.Err()
		}
	}
	archive, err := pack(e, executable)
	if err != nil {
		return false, err
	}
	begun := time.Now()
	verb, err := d.deploy(ctx, e, archive)
	var refused *types.InvalidParameterValueException
	if errors.As(err, &refused) && strings.Contains(strings.ToLower(refused.ErrorMessage()), "runtime") {
		d.printf("  left out: %s\n", refused.ErrorMessage())
		return false, nil
	}
	if err != nil {
		return false, err
	}
	d.printf("  %s and active after %s\n", verb, millis(time.Since(begun)))

	var runs []run
	for _, r := range []run{{kind: "cold", event: e.Event}, {kind: "warm", event: e.Event}, {kind: "failing", event: e.Bad}} {
		if r.event == "" {
			continue
		}
		// The environment of the last invocation may not have asked for its next yet,
		// and then another is started; a warm one is meant to be shown.
		for tries := 5; tries > 0; tries-- {
			if err := d.invoke(ctx, e.Name, &r); err != nil {
				return false, fmt.Errorf("invoke: %w", err)
			}
			if r.kind != "warm" || field(r.log, "Init Duration") == none {
				break
			}
		}
		if failed := r.fault != ""; failed != (r.kind == "failing") {
			return false, fmt.Errorf("the %s invocation with %s came to %q (%s), log:\n%s", r.kind, r.event, r.answer, r.fault, r.log)
		}
		runs = append(runs, r)
	}
	d.table(runs)
	d.printf("  %s\n", d.dim("log of the cold invocation:"))
	for line := range strings.Lines(runs[0].log) {
		d.printf("    %s\n", d.dim(d.text(strings.TrimRight(line, "\t\n"))))
	}
	return true, nil
}

// run is one invocation.
type run struct {
	kind, event   string
	answer, fault string
	log           string
	took          time.Duration // as the client saw it
}

func (d *demo) invoke(ctx context.Context, name string, r *run) error {
	begun := time.Now()
	out, err := d.client.Invoke(ctx, &api.InvokeInput{FunctionName: &name, Payload: []byte(r.event), LogType: types.LogTypeTail})
	if err != nil {
		return err
	}
	r.took = time.Since(begun)
	r.answer, r.fault = string(out.Payload), aws.ToString(out.FunctionError)
	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		return fmt.Errorf("the log result: %w", err)
	}
	r.log = string(log)
	return nil
}

// table shows invocations one below the other: the client's time, the times and
// memory of the REPORT line, and the answer.
func (d *demo) table(runs []run) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\tround trip\tDuration\tInit Duration\tMax Memory Used\tanswer\n")
	for _, r := range runs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.kind, millis(r.took),
			field(r.log, "Duration"), field(r.log, "Init Duration"), field(r.log, "Max Memory Used"), short(d.text(r.answer)))
	}
	_ = t.Flush() // to memory
	for i, line := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		switch {
		case i == 0:
			line = d.dim(line)
		case runs[i-1].fault != "":
			line = d.red(line)
		}
		d.printf("  %s\n", line)
	}
}

const none = "-"

// field returns a value of the REPORT line in a log, or none.
func field(log, name string) string {
	m := regexp.MustCompile(`(?m)^REPORT .*\t` + regexp.QuoteMeta(name) + `: ([^\t\n]*)`).FindStringSubmatch(log)
	if m == nil {
		return none
	}
	return m[1]
}

// short cuts an answer to what fits a line.
func short(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// usage says how to go on by hand.
func (d *demo) usage(e examples.Example) {
	d.printf(`
%s
  export AWS_ENDPOINT_URL=%s AWS_REGION=%s AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  aws lambda invoke --function-name %s --cli-binary-format raw-in-base64-out --payload '%s' /dev/stdout
  %s logs %s --follow
(version 1 of the aws CLI does without --cli-binary-format raw-in-base64-out)
`, d.bold("Call them yourself:"), d.options.Endpoint, d.options.Region, e.Name, e.Event, first(d.options.Program, "lambent"), e.Name)
}
