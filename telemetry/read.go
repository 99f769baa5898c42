package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lambent-run/lambent/lambda"
)

// Record is one event of a log.
type Record struct {
	Time      time.Time `json:"time"`
	Stream    string    `json:"stream"`
	RequestID string    `json:"requestId,omitempty"` // "" outside invocations
	Message   string    `json:"message"`
}

// Filter chooses records. The zero value takes all.
type Filter struct {
	Since     time.Time // none older
	RequestID string    // only those of one invocation
}

func (f *Filter) takes(r *Record) bool {
	return !r.Time.Before(f.Since) && (f.RequestID == "" || r.RequestID == f.RequestID)
}

// Read calls fn for the records of a function that exist now, oldest first.
// What has been appended before the call is among them. It stops at an error
// of fn and returns it.
func (l *Logs) Read(ctx context.Context, id lambda.FunctionID, filter Filter, fn func(Record) error) error {
	r := reader{f: l.function(id), filter: filter, fn: fn}
	return r.catchUp(ctx)
}

// endFollowing ends all followers, now and later, once they have what there is.
func (l *Logs) endFollowing() { l.endOnce.Do(func() { close(l.ended) }) }

// Follow is Read that goes on with what comes, until ctx ends or a server of
// Handler is shut down.
func (l *Logs) Follow(ctx context.Context, id lambda.FunctionID, filter Filter, fn func(Record) error) error {
	r := reader{f: l.use(id), filter: filter, fn: fn}
	defer l.leave(r.f)
	for {
		r.f.mu.Lock()
		grew := r.f.grew
		r.f.mu.Unlock()
		if err := r.catchUp(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-grew:
		case <-l.ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// reader is a place in a function's files.
type reader struct {
	f      *function
	filter Filter
	fn     func(Record) error

	file    int // number of the file read last
	offset  int64
	streams map[string]string // of that file
}

// catchUp reads from where the reader stands to the end.
func (r *reader) catchUp(ctx context.Context) error {
	if err := r.f.flush(); err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	r.f.file.Lock()
	numbers, err := r.f.files()
	r.f.file.Unlock()
	if err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	for _, n := range numbers {
		if n < r.file {
			continue
		}
		if n > r.file {
			r.file, r.offset, r.streams = n, 0, map[string]string{}
		}
		if err := r.read(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) read(ctx context.Context) error {
	in, err := os.Open(r.f.path(r.file))
	if errors.Is(err, fs.ErrNotExist) { // it was the oldest and went
		return nil
	}
	if err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	defer in.Close()
	if _, err := in.Seek(r.offset, io.SeekStart); err != nil {
		return fmt.Errorf("read logs: %w", err)
	}
	for b := bufio.NewReaderSize(in, 64<<10); ctx.Err() == nil; {
		line, err := b.ReadBytes('\n')
		if err == io.EOF {
			return nil // a line that is not whole yet is left for the next time
		}
		if err != nil {
			return fmt.Errorf("read logs: %w", err)
		}
		r.offset += int64(len(line))
		if rec, ok := r.parse(line[:len(line)-1]); ok && r.filter.takes(&rec) {
			if err := r.fn(rec); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// parse reads a line, and remembers it if it names a stream.
func (r *reader) parse(line []byte) (rec Record, ok bool) {
	first, rest, _ := strings.Cut(string(line), " ")
	n, rest, _ := strings.Cut(rest, " ")
	if first == "s" {
		r.streams[n] = rest
		return rec, false
	}
	ms, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return rec, false
	}
	id, message, ok := strings.Cut(rest, " ")
	if id == "-" {
		id = ""
	}
	if strings.IndexByte(message, '\\') >= 0 {
		message = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(message)
	}
	return Record{time.UnixMilli(ms).UTC(), r.streams[n], id, message}, ok
}

// Handler serves logs, as one JSON object a line, at a pattern with a {name}:
//
//	GET /_lambent/admin/functions/{name}/logs?follow=1&since=2026-01-02T15:04:05Z&requestId=…&account=…&region=…
//
// Without account and region it reads those of def. Following ends with the
// caller, or once the server is to shut down, so that it need not wait for those
// who follow.
func Handler(l *Logs, def lambda.Scope) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		id := lambda.FunctionID{Account: def.Account, Region: def.Region, Name: r.PathValue("name")}
		if a := q.Get("account"); a != "" {
			id.Account = a
		}
		if a := q.Get("region"); a != "" {
			id.Region = a
		}
		filter := Filter{RequestID: q.Get("requestId")}
		var err error
		if s := q.Get("since"); s != "" {
			if filter.Since, err = time.Parse(time.RFC3339, s); err != nil {
				http.Error(w, "since must be a time as in RFC 3339", http.StatusBadRequest)
				return
			}
		}
		if !word(id.Account) || !word(id.Region) || !word(id.Name) {
			http.Error(w, "that is not the name of a function", http.StatusBadRequest)
			return
		}
		// Reading may take as long as the caller follows.
		rc := http.NewResponseController(w)
		_ = rc.SetWriteDeadline(time.Time{})
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		out := bufio.NewWriter(w)
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		read := l.Read
		if q.Get("follow") != "" {
			read = l.Follow
			if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
				l.onShutdown.Do(func() { srv.RegisterOnShutdown(l.endFollowing) })
			}
			_ = rc.Flush()
		}
		last := time.Now()
		err = read(r.Context(), id, filter, func(rec Record) error {
			if err := enc.Encode(rec); err != nil {
				return err
			}
			if q.Get("follow") == "" && time.Since(last) < time.Second {
				return nil
			}
			last = time.Now()
			return errors.Join(out.Flush(), rc.Flush())
		})
		if err == nil {
			err = out.Flush()
		}
		if err != nil && r.Context().Err() == nil {
			l.cfg.Logger.Debug("serve logs", "function", id.Name, "err", err)
		}
	})
}

// word keeps out what could lead to another directory.
func word(s string) bool {
	return s != "" && len(s) <= 140 && strings.Trim(s, ".") != "" && bytes.IndexFunc([]byte(s), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) < 0
}
