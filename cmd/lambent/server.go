package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lambent-run/lambent/admission"
	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/catalog/sqlite"
	"github.com/lambent-run/lambent/code"
	"github.com/lambent-run/lambent/code/s3"
	"github.com/lambent-run/lambent/control"
	"github.com/lambent-run/lambent/control/live"
	"github.com/lambent-run/lambent/fleet"
	"github.com/lambent-run/lambent/frontend"
	"github.com/lambent-run/lambent/gateway"
	"github.com/lambent-run/lambent/internal/datadir"
	"github.com/lambent-run/lambent/internal/ids"
	"github.com/lambent-run/lambent/invoke"
	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/telemetry"
	"github.com/lambent-run/lambent/worker"
	"github.com/lambent-run/lambent/worker/runtimes"
	"github.com/lambent-run/lambent/worker/sandbox"
	"github.com/lambent-run/lambent/worker/sandbox/namespaces"
	"github.com/lambent-run/lambent/worker/sandbox/process"
)

// server is everything that `lambent serve` runs, assembled and listening.
type server struct {
	opts     options
	logger   *slog.Logger
	lock     io.Closer
	store    *sqlite.DB
	logs     *telemetry.Logs
	driver   sandbox.Driver
	host     *worker.Host
	fleet    *fleet.Fleet
	control  *control.Control
	gateway  *gateway.Gateway
	listener net.Listener
}

// newServer opens the data directory and puts the parts together. Nothing runs
// until run; whatever was opened is closed again if a later part fails.
func newServer(ctx context.Context, o options, logger *slog.Logger) (_ *server, err error) {
	s := &server{opts: o, logger: logger}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.listener, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("--listen %s: %w", o.Listen, err)
	}
	if s.lock, err = datadir.Lock(o.Data); err != nil {
		return nil, err
	}
	if s.store, err = sqlite.Open(ctx, o.Data); err != nil {
		return nil, err
	}
	records, err := catalog.Open(ctx, s.store)
	if err != nil {
		return nil, err
	}
	packages, err := code.Open(filepath.Join(o.Data, "code"))
	if err != nil {
		return nil, err
	}
	dirs, err := live.New(live.Config{Roots: o.HotReload, Private: o.Data, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("--hot-reload %w", err)
	}
	if s.logs, err = telemetry.OpenLogs(filepath.Join(o.Data, "logs"), telemetry.LogsConfig{}); err != nil {
		return nil, err
	}
	interpreters, err := runtimes.New(filepath.Join(o.Data, "runtimes"))
	if err != nil {
		return nil, err
	}
	if s.driver, err = openDriver(o, logger, records); err != nil {
		return nil, err
	}
	s.host = worker.New(worker.Config{
		Driver:   s.driver,
		Runtimes: interpreters,
		Unpack: func(ctx context.Context, c lambda.Code256) (string, error) {
			if c.Dir != "" {
				return dirs.Resolve(c.Dir) // again: where it leads may have changed
			}
			return packages.Unpack(ctx, c.Digest)
		},
		Logs:        logOpener{s.logs},
		Credentials: roleCredentials,
		Logger:      logger,
		Blanks:      o.Blanks,
		Warm:        min(o.Blanks, 4), // each holds the memory of an interpreter
	})
	s.fleet = fleet.New(fleet.Config{Host: onHost{s.host}, Catalog: records, Logger: logger, KeepAlive: o.KeepAlive,
		ScalingRate: o.ScalingRate})
	downloads := newDownloads(packages, "http://"+s.listener.Addr().String())
	s.control = control.New(control.Config{
		Catalog: records,
		Code:    packages,
		Objects: openS3(o.S3),
		Live:    dirs,
		Runtime: func(name string) error { _, err := interpreters.Find(name); return err },
		Locate:  downloads.locate,
		URL:     functionURL(s.listener.Addr()),
		Now:     time.Now,
		NewID:   ids.UUID,

		Profiles:    o.Profiles,
		Provisioned: s.fleet.Provisioned,
		Concurrency: o.Concurrency,
		Logger:      logger,
	})
	gate := admission.New(admission.Config{Limit: o.Concurrency, Claims: records.Claims, RequestRate: o.RequestRate})
	spine := &invoke.Spine{Catalog: records, Gate: gate, Fleet: s.fleet}
	at := lambda.Scope{Account: o.Account, Region: o.Region}
	own := http.NewServeMux()
	own.HandleFunc("GET /_lambent/health", s.health)
	own.HandleFunc("GET /_localstack/health", s.localstackHealth)
	own.Handle("GET /_lambent/code/{digest}", downloads)
	own.Handle("GET /_lambent/admin/functions/{name}/logs", telemetry.Handler(s.logs, at))
	s.gateway = gateway.New(gateway.Config{
		Frontend: frontend.New(s.control, spine, logger),
		Own:      own,
		Default:  at,
		Logger:   logger,
		Grace:    o.Grace,
	})
	return s, nil
}

// openS3 makes the client that fetches code, or none without an endpoint. It
// asks with the credentials that AWS's tools would take from the environment;
// services that stand in for S3 take any.
func openS3(endpoint string) control.Objects {
	if endpoint == "" {
		return nil
	}
	cfg := s3.Config{Endpoint: endpoint, KeyID: "test", Secret: "test"}
	if id := os.Getenv("AWS_ACCESS_KEY_ID"); id != "" {
		cfg.KeyID, cfg.Secret, cfg.Token = id, os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")
	}
	return s3.New(cfg)
}

// openDriver takes the strongest isolation the host allows, or the one asked
// for. It never weakens what functions that exist were promised.
func openDriver(o options, logger *slog.Logger, records *catalog.Catalog) (sandbox.Driver, error) {
	if o.Sandbox != "process" {
		d, err := namespaces.New(namespaces.Options{Dir: filepath.Join(o.Data, "sandbox"), Logger: logger})
		if err == nil {
			return d, nil
		}
		if o.Sandbox == "namespaces" {
			return nil, fmt.Errorf("--sandbox namespaces: %w", err)
		}
		for range records.All {
			return nil, fmt.Errorf("functions exist and this host cannot isolate them (%w): "+
				"to run them without isolation, say --sandbox process", err)
		}
		logger.Warn("functions will run as plain processes, NOT ISOLATED from each other or this host", "because", err)
	}
	return process.New(process.Options{Dir: filepath.Join(o.Data, "sandbox"), Logger: logger})
}

// run serves until ctx ends, then stops the parts from the doors inwards: no
// more requests, then no more environments, then the logs, then the store.
func (s *server) run(ctx context.Context) error {
	defer s.close()
	watch, stopWatch := stage(watchStore(s.store.Fatal()))
	defer func() { // before the store is closed
		stopWatch()
		_ = watch.Wait()
	}()
	logs, stopLogs := stage(s.logs.Run)
	host, stopHost := stage(s.host.Run)
	envs, stopFleet := stage(s.fleet.Run)
	verbs, stopControl := stage(s.control.Run)
	doors, doorsCtx := errgroup.WithContext(ctx)
	doors.Go(func() error { return s.gateway.Run(doorsCtx, s.listener) })

	caps := s.driver.Capabilities()
	s.logger.Info("serving", "listen", s.listener.Addr().String(), "data", s.opts.Data,
		"sandbox", s.driver.Level(), "isolated", caps.Isolated, "region", s.opts.Region, "account", s.opts.Account)
	for _, note := range caps.Notes {
		s.logger.Warn("sandbox", "note", note)
	}
	errs := []error{doors.Wait()}
	s.logger.Info("stopping")
	stopControl()
	errs = append(errs, verbs.Wait())
	stopFleet()
	errs = append(errs, envs.Wait())
	stopHost()
	errs = append(errs, host.Wait())
	stopLogs()
	errs = append(errs, logs.Wait())
	return errors.Join(errs...)
}

// watchStore ends the process when the store has failed: nothing may be answered
// after a write that may not be on disk.
func watchStore(fatal <-chan error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case err := <-fatal:
			fmt.Fprintln(os.Stderr, "lambent: the store failed, stopping at once:", err)
			os.Exit(1)
		case <-ctx.Done():
		}
		return nil
	}
}

// stage runs a part until it is stopped on its own: the parts end in an order,
// so they do not share a context.
func stage(run func(context.Context) error) (*errgroup.Group, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	g := &errgroup.Group{}
	g.Go(func() error { return run(ctx) })
	return g, cancel
}

// close releases what is open. It is harmless to call twice.
func (s *server) close() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.driver != nil {
		if err := s.driver.Close(); err != nil {
			s.logger.Error("close the sandboxes", "err", err)
		}
		s.driver = nil
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.logger.Error("close the store", "err", err)
		}
		s.store = nil
	}
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}

func (s *server) health(w http.ResponseWriter, _ *http.Request) {
	all, idle := s.fleet.Count()
	reply(w, map[string]any{
		"status": "ok", "version": version(), "sandbox": s.driver.Level(),
		"environments": map[string]int{"all": all, "idle": idle},
	})
}

func (s *server) localstackHealth(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"services": map[string]string{"lambda": "running"}, "edition": "lambent", "version": version()})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may have gone
}

// onHost makes a worker's host the fleet's.
type onHost struct{ h *worker.Host }

func (o onHost) Start(ctx context.Context, v *lambda.Version, owner fleet.Owner, provisioned bool) (fleet.Environment, error) {
	e, err := o.h.Start(ctx, v, told{owner}, provisioned)
	if err != nil {
		return nil, err
	}
	return e, nil
}

type told struct{ owner fleet.Owner }

func (t told) Idle(e *worker.Environment) { t.owner.Idle(e) }
func (t told) Gone(e *worker.Environment) { t.owner.Gone(e) }

// logOpener makes the log store the worker's.
type logOpener struct{ logs *telemetry.Logs }

func (l logOpener) Open(id lambda.FunctionID, group, stream string) worker.LogWriter {
	return l.logs.Open(id, group, stream)
}

// roleCredentials are what a function's SDK finds. No service checks them yet:
// they have the form of a role session's and are new for every environment.
func roleCredentials(*lambda.Version) []string {
	key := "ASIA" + random(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
	secret := random(40, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
	token := make([]byte, 96)
	rand.Read(token) // never fails
	return []string{
		"AWS_ACCESS_KEY_ID=" + key, "AWS_SECRET_ACCESS_KEY=" + secret,
		"AWS_SESSION_TOKEN=" + base64.StdEncoding.EncodeToString(token),
	}
}

func random(n int, alphabet string) string {
	b := make([]byte, n)
	rand.Read(b)
	for i := range b { // alphabets of 2^n letters draw evenly; 64 and 32 here
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// downloads serves packages at URLs that only this server can make, each good
// for ten minutes, as GetFunction's Code.Location is on AWS.
type downloads struct {
	code *code.Store
	base string
	key  [32]byte
}

// functionURL makes the addresses of function URLs: *.localhost is this host for
// every resolver that follows RFC 6761.
func functionURL(listen net.Addr) func(id, region string) string {
	port := ""
	if _, p, err := net.SplitHostPort(listen.String()); err == nil {
		port = ":" + p
	}
	return func(id, region string) string {
		return "http://" + id + ".lambda-url." + region + ".localhost" + port + "/"
	}
}

func newDownloads(c *code.Store, base string) *downloads {
	d := &downloads{code: c, base: base}
	rand.Read(d.key[:])
	return d
}

const downloadLife = 10 * time.Minute

func (d *downloads) locate(digest string) string {
	expires := strconv.FormatInt(time.Now().Add(downloadLife).Unix(), 10)
	q := url.Values{"expires": {expires}, "signature": {d.sign(digest, expires)}}
	return d.base + "/_lambent/code/" + digest + "?" + q.Encode()
}

func (d *downloads) sign(digest, expires string) string {
	m := hmac.New(sha256.New, d.key[:])
	fmt.Fprintf(m, "%s %s", digest, expires)
	return hex.EncodeToString(m.Sum(nil))
}

func (d *downloads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	digest, expires := r.PathValue("digest"), r.URL.Query().Get("expires")
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || !hmac.Equal([]byte(d.sign(digest, expires)), []byte(r.URL.Query().Get("signature"))) {
		http.Error(w, "the URL is not signed by this server", http.StatusForbidden)
		return
	}
	if time.Now().Unix() > until {
		http.Error(w, "the URL has expired", http.StatusForbidden)
		return
	}
	f, err := d.code.Zip(digest)
	if err != nil {
		http.Error(w, "the package is gone", http.StatusNotFound)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/zip")
	http.ServeContent(w, r, "", time.Time{}, f)
}
