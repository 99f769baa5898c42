package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
)

// R0 is a plain httputil.ReverseProxy in front of a net/http echo, as two
// processes: what two ordinary Go servers in a row cost.

// echoMain is the process behind the proxy.
func echoMain() error {
	return serveAndTell(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if r.URL.Path == "/stream" {
			streamTo(w)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}))
}

// proxyMain is the process in front. It starts the echo itself, so that the two
// are one tree.
func proxyMain() error {
	runtime.LockOSThread() // the echo's death signal follows the thread that started it
	cmd := exec.Command("/proc/self/exe", "r0-echo")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var addr string
	if _, err := fmt.Fscanf(out, "listening %s\n", &addr); err != nil {
		return fmt.Errorf("the echo did not start: %w", err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	// The default of two idle connections would cost the proxy a dial for most
	// requests and flatter whoever is compared with it.
	proxy.Transport = &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}
	return serveAndTell(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Else the server closes the request's body at the first byte of a streamed
		// answer, and the proxy's transport takes that for a failure to send it.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
}

// serveAndTell serves on a free port of the loopback and prints where.
func serveAndTell(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening %s\n", l.Addr())
	return http.Serve(l, h)
}
