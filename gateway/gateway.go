// Package gateway is the one listener: it finds out which service is called and
// in which account and region, or which function URL, and hands the request over.
//
// Connections begin in a reader of its own, which serves the one hot request,
// a plain synchronous Invoke, straight from the socket (direct.go). At the first
// request that is anything else, the connection moves to net/http for the rest
// of its life, with the bytes already read. Both ways meet in
// frontend.Frontend.Invoke, so that they cannot differ in what they do.
//
// Run owns every goroutine: one per connection and those of net/http. When its
// context ends it takes no more connections, lets requests under way finish
// within the grace, and returns.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lambent-run/lambent/frontend"
	"github.com/lambent-run/lambent/frontend/wire"
	"github.com/lambent-run/lambent/internal/ids"
	"github.com/lambent-run/lambent/lambda"
)

// Config is what a gateway needs.
type Config struct {
	Frontend *frontend.Frontend
	// Own serves the paths under /_lambent/ and /_localstack/.
	Own http.Handler
	// Default is the account and region of a request that names none.
	Default lambda.Scope
	Logger  *slog.Logger
	// Grace is how long requests under way may take after Run's context has
	// ended (default 30 seconds).
	Grace time.Duration
}

// Gateway serves one listener.
type Gateway struct {
	cfg    Config
	http   http.Server
	moved  chan net.Conn // connections on their way to net/http
	addr   net.Addr
	closed chan struct{} // closed when no more connections are taken

	mu    sync.Mutex // guards conns
	conns map[*direct]struct{}
}

// Timeouts of a connection. A caller that dribbles is cut off; one that is idle
// between requests is kept for a while, as SDKs keep theirs.
const (
	headTimeout = 10 * time.Second
	idleTimeout = 3 * time.Minute
	bodyTimeout = 5 * time.Minute
	maxHead     = 32 << 10
)

// New makes a gateway. It starts nothing.
func New(cfg Config) *Gateway {
	if cfg.Grace == 0 {
		cfg.Grace = 30 * time.Second
	}
	g := &Gateway{cfg: cfg, moved: make(chan net.Conn), closed: make(chan struct{}), conns: map[*direct]struct{}{}}
	g.http = http.Server{
		Handler:           g,
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    1 << 20, // AWS: request line and headers
		ConnContext:       knowConnection,
		ConnState:         awaitHead,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return g
}

// Run serves l until ctx ends and requests under way are answered or the grace
// is over. It closes l.
func (g *Gateway) Run(ctx context.Context, l net.Listener) error {
	g.addr = l.Addr()
	var conns sync.WaitGroup
	served := make(chan error, 1)
	go func() { served <- g.http.Serve(handover{g}) }()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()

	var failed error
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() || tooManyFiles(err) {
				// The host is out of descriptors for a moment; those in use come free
				// as requests end.
				g.cfg.Logger.Warn("accept", "err", err)
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
				continue
			}
			failed = fmt.Errorf("accept: %w", err)
			break
		}
		conns.Go(func() { g.serve(c) })
	}
	l.Close()
	close(g.closed)
	g.mu.Lock()
	for d := range g.conns {
		d.hurry()
	}
	g.mu.Unlock()
	grace, cancel := context.WithTimeout(context.Background(), g.cfg.Grace)
	defer cancel()
	if err := g.http.Shutdown(grace); err != nil {
		g.http.Close()
	}
	done := make(chan struct{})
	go func() { conns.Wait(); close(done) }()
	select {
	case <-done:
	case <-grace.Done():
		g.mu.Lock()
		for d := range g.conns {
			d.conn.Close()
		}
		g.mu.Unlock()
		<-done
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) && failed == nil {
		failed = err
	}
	return failed
}

// handover is the listener from which net/http takes the connections that have
// left the direct path.
type handover struct{ g *Gateway }

func (h handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.g.moved:
		return c, nil
	case <-h.g.closed:
		return nil, net.ErrClosed
	}
}
func (h handover) Close() error   { return nil }
func (h handover) Addr() net.Addr { return h.g.addr }

// ServeHTTP answers everything that is not on the direct path.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, mended := sentPath(r)
	if id, path, ok := functionURL(r.Host, path); ok {
		who := caller(r.Header.Get("Authorization"), r.URL.Query().Get("X-Amz-Credential"))
		g.cfg.Frontend.ServeURL(w, r, frontend.URLCall{
			ID: id, Path: path, AccessKey: who.key, Account: who.scope(g.cfg.Default).Account})
		return
	}
	if mended { // what net/http answers to such a path
		w.Header().Set("Connection", "close")
		http.Error(w, "400 Bad Request", http.StatusBadRequest)
		return
	}
	if own(r.URL.Path) {
		g.cfg.Own.ServeHTTP(w, r)
		return
	}
	id := r.Header.Get("X-Amzn-Requestid")
	bad := id != "" && !ids.IsUUID(id)
	if id == "" || bad {
		id = ids.UUID()
	}
	w.Header().Set("X-Amzn-Requestid", id)
	if bad {
		wire.WriteError(w, lambda.Errorf(lambda.InvalidRequestContent, "The request id must be a UUID."))
		return
	}
	who := caller(r.Header.Get("Authorization"), r.URL.Query().Get("X-Amz-Credential"))
	if service := who.serviceOf(r); service != "lambda" {
		wire.WriteError(w, &lambda.Error{Code: lambda.NotImplemented,
			Message: fmt.Sprintf("The service %s is not implemented by this version of Lambent.", service)})
		return
	}
	g.cfg.Frontend.Serve(w, r, who.scope(g.cfg.Default))
}
