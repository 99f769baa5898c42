package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/signature"
)

// options are what `lambent serve` can be told. Each is a flag, an environment
// variable (LAMBENT_ and the flag's name in capitals) and a key of the
// configuration file, in this order of precedence.
type options struct {
	Listen    string
	Data      string
	Auth      string
	Sandbox   string
	Region    string
	Account   string
	KeepAlive time.Duration
	Blanks    int
	LogLevel  string
	Grace     time.Duration
	Profiles  string

	Concurrency, ScalingRate, RequestRate int
	S3                                    string
	HotReload                             []string
}

func (o *options) register(f *pflag.FlagSet) {
	f.StringVar(&o.Listen, "listen", "127.0.0.1:4566", "address to serve every API on")
	f.StringVar(&o.Data, "data", defaultData(), "directory that holds everything the server must remember")
	f.StringVar(&o.Auth, "auth", "off", "off: any credentials are accepted (loopback only)")
	f.StringVar(&o.Sandbox, "sandbox", "auto", "isolation of functions: auto, namespaces or process")
	f.StringVar(&o.Region, "region", "us-east-1", "region of requests that are not signed for one")
	f.StringVar(&o.Account, "account", "000000000000", "account of requests whose access key is not a 12-digit account")
	f.DurationVar(&o.KeepAlive, "keep-alive", 10*time.Minute, "how long an idle environment is kept")
	f.IntVar(&o.Blanks, "blanks", 2*runtime.NumCPU(), "blank sandboxes kept ready ahead of need; unless 0, also running interpreters, up to 4 of each runtime in use")
	f.StringVar(&o.Profiles, "signing-profiles", "", "directory with the public keys of signing profiles (default DATA/signing-profiles)")
	f.IntVar(&o.Concurrency, "concurrency", lambda.AccountConcurrency, "invocations of an account and region that run at once at most")
	f.IntVar(&o.ScalingRate, "scaling-rate", 1000, "environments that a function may start in ten seconds; 0 is no bound")
	f.IntVar(&o.RequestRate, "request-rate", 10, "requests a second, as a multiple of the concurrency they draw on; 0 is no bound")
	f.StringVar(&o.LogLevel, "log-level", "info", "the server's own log: debug, info, warn or error")
	f.DurationVar(&o.Grace, "grace", 30*time.Second, "how long requests under way may take after SIGTERM")
	f.StringArrayVar(&o.HotReload, "hot-reload", nil, "let functions run from the directories in this one (S3Bucket hot-reload, S3Key the path); may be repeated")
	f.StringVar(&o.S3, "endpoint-s3", "", "URL of an S3 service to fetch code from, with the AWS_ACCESS_KEY_ID and so on of the environment")
}

// defaultData follows the XDG base directory specification.
func defaultData() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "lambent")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "lambent")
	}
	return "/var/lib/lambent"
}

// complete fills the flags that were not given from the environment, then from
// the file (none if its name is empty).
func complete(f *pflag.FlagSet, file string, getenv func(string) (string, bool)) error {
	keys := map[string]any{}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the configuration: %w", err)
		}
		if err := yaml.Unmarshal(b, &keys); err != nil {
			return fmt.Errorf("read the configuration %s: %w", file, err)
		}
	}
	var errs []error
	f.VisitAll(func(fl *pflag.Flag) {
		value, inFile := keys[fl.Name]
		delete(keys, fl.Name)
		if fl.Changed || fl.Name == "config" {
			return
		}
		env := "LAMBENT_" + strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))
		if s, ok := getenv(env); ok {
			err := error(nil)
			if list, ok := fl.Value.(pflag.SliceValue); ok { // of paths, like PATH
				err = list.Replace(filepath.SplitList(s))
			} else {
				err = fl.Value.Set(s)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", env, err))
			}
		} else if inFile {
			values, many := value.([]any)
			if !many {
				values = []any{value}
			} else if _, list := fl.Value.(pflag.SliceValue); !list {
				errs = append(errs, fmt.Errorf("%s in %s: want one value", fl.Name, file))
				return
			}
			for _, v := range values {
				if err := fl.Value.Set(fmt.Sprint(v)); err != nil {
					errs = append(errs, fmt.Errorf("%s in %s: %w", fl.Name, file, err))
				}
			}
		}
	})
	for key := range keys {
		errs = append(errs, fmt.Errorf("%s: unknown key %q", file, key))
	}
	return errors.Join(errs...)
}

var (
	accountForm = regexp.MustCompile(`^\d{12}$`)
	regionForm  = regexp.MustCompile(`^(eusc-)?[a-z]{2}(-gov|-iso[a-z]?)?-[a-z]+-\d$`)
)

// validate refuses what cannot be served, in one line.
func (o *options) validate() error {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", o.Listen, err)
	}
	switch o.Auth {
	case "off":
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("--listen %s is not a loopback address: with --auth off anyone who reaches it could run code here", o.Listen)
		}
	case "on":
		return errors.New("--auth on is not implemented by this version")
	default:
		return fmt.Errorf("--auth %s: want off or on", o.Auth)
	}
	if o.Sandbox != "auto" && o.Sandbox != "namespaces" && o.Sandbox != "process" {
		return fmt.Errorf("--sandbox %s: want auto, namespaces or process", o.Sandbox)
	}
	if !accountForm.MatchString(o.Account) {
		return fmt.Errorf("--account %s: want 12 digits", o.Account)
	}
	if !regionForm.MatchString(o.Region) {
		return fmt.Errorf("--region %s is not a region", o.Region)
	}
	if o.KeepAlive < time.Second || o.Blanks < 0 || o.Blanks > 1000 || o.Grace < 0 {
		return errors.New("--keep-alive must be at least 1s, --blanks 0 to 1000, --grace not negative")
	}
	if o.S3 != "" {
		if u, err := url.Parse(o.S3); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("--endpoint-s3 %s: want a URL such as http://127.0.0.1:9000", o.S3)
		}
	}
	if o.Concurrency < lambda.MinUnreserved+1 || o.Concurrency > 1_000_000 || o.ScalingRate < 0 || o.RequestRate < 0 {
		return fmt.Errorf("--concurrency must be more than %d, --scaling-rate and --request-rate not negative", lambda.MinUnreserved)
	}
	if o.Data == "" {
		return errors.New("--data must name a directory")
	}
	if o.Data, err = filepath.Abs(o.Data); err != nil {
		return err
	}
	if o.Profiles == "" {
		o.Profiles = filepath.Join(o.Data, "signing-profiles")
	}
	if _, err := signature.LoadProfiles(o.Profiles); err != nil {
		return fmt.Errorf("--signing-profiles: %w", err)
	}
	return nil
}
