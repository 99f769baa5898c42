package runtimeapi

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/environment"
)

const (
	runtimePath   = "/2018-06-01/runtime/"
	nextPath      = runtimePath + "invocation/next"
	pingPath      = "/2018-06-01/ping"
	extensionPath = "/2020-01-01/extension/"
	logsPath      = "/2020-08-15/logs"
	telemetryPath = "/2022-07-01/telemetry"
	credentials   = "/2021-04-23/credentials"
)

// isNext tells whether the current request is a poll.
func (h *head) isNext() bool {
	return string(h.method) == "GET" && string(h.path) == nextPath
}

// handle acts on the request whose head c holds and, unless an invocation is to
// go on with it, answers it.
func (s *Server) handle(c *conn) step {
	h := &c.head
	if h.isNext() {
		return s.poll(c)
	}
	path, ok := bytes.CutPrefix(h.path, []byte(runtimePath))
	if !ok {
		return s.elsewhere(c)
	}
	method := "POST"
	switch string(path) {
	case "init/error":
		if string(h.method) == method {
			return s.initError(c)
		}
	case "restore/next", "restore/error": // only runtimes under SnapStart have these
		return c.refuse("404 Not Found", "NotFound", "The environment is not restored from a snapshot")
	case "invocation/next":
		method = "GET"
	default:
		path, ok = bytes.CutPrefix(path, []byte("invocation/"))
		id, verb, cut := bytes.Cut(path, []byte("/"))
		if !ok || !cut || string(verb) != "response" && string(verb) != "error" {
			return c.refuse("404 Not Found", "NotFound", "No such path in the Runtime API")
		}
		if string(h.method) == method {
			if string(verb) == "error" {
				return s.post(c, id, environment.Error)
			}
			return s.post(c, id, environment.Response)
		}
	}
	return c.refuse("405 Method Not Allowed", "MethodNotAllowed", "The method is not "+method)
}

// elsewhere answers requests outside the runtime's own paths.
func (s *Server) elsewhere(c *conn) step {
	path := c.head.path
	switch {
	case string(path) == pingPath && string(c.head.method) == "GET":
		return c.reply("200 OK", "text/plain", "pong")
	case string(path) == credentials:
		// Credentials are in the environment's variables: no token is ever right.
		return c.refuse("404 Not Found", "NotFound", "No credentials for this token")
	case bytes.HasPrefix(path, []byte(extensionPath)):
		return c.refuse("501 Not Implemented", "Extension.NotSupported", "Extensions are not supported")
	case string(path) == telemetryPath:
		return c.refuse("501 Not Implemented", "Telemetry.NotSupported", "Telemetry API is not supported")
	case string(path) == logsPath:
		return c.refuse("501 Not Implemented", "Logs.NotSupported", "Logs API is not supported")
	}
	return c.refuse("404 Not Found", "NotFound", "No such path in the Runtime API")
}

// poll parks c until an invocation comes.
func (s *Server) poll(c *conn) step {
	if c.done() != nil {
		return closing
	}
	s.mu.Lock()
	act, err := s.try(environment.Next)
	if err != nil {
		s.mu.Unlock()
		s.do(act)
		c.failure("403 Forbidden", "InvalidStateTransition", err.Error())
		return c.sent()
	}
	if act.Has(environment.DoDeliver) {
		s.handed, s.handedFor = c, deliver
		s.poke()
		s.mu.Unlock()
		return deliver
	}
	s.park(c)
	s.mu.Unlock()
	s.do(act)
	return parked
}

// park makes c the poll that waits, with mu held. An older one is abandoned:
// nobody waits for it any more, or its client would not poll anew.
func (s *Server) park(c *conn) {
	if old := s.poller; old != nil && old != c {
		s.giveBack(old, false)
	}
	s.poller = c
}

// post begins an answer: the caller of the invocation goes on with it.
func (s *Server) post(c *conn, id []byte, e environment.Event) step {
	s.mu.Lock()
	if string(id) != s.last || s.delivery == 0 {
		s.mu.Unlock()
		return c.refuse("400 Bad Request", "InvalidRequestID", "Invalid request ID")
	}
	if h := &c.head; h.invocation != nil {
		var b [40]byte
		if !bytes.Equal(h.invocation, s.appendInvocationID(b[:0])) {
			s.mu.Unlock()
			return c.refuse("400 Bad Request", "InvalidInvocationId", "Invalid invocation ID")
		}
	}
	if h := &c.head; h.mode != nil && !is(h.mode, "streaming") && !is(h.mode, "buffered") {
		s.mu.Unlock()
		return c.refuse("400 Bad Request", "InvalidFunctionResponseMode", "Invalid function response mode")
	}
	act, err := s.try(e)
	if err != nil {
		s.mu.Unlock()
		s.do(act)
		return c.refuse("403 Forbidden", "InvalidStateTransition", err.Error())
	}
	if c != s.reading {
		s.handed, s.handedFor = c, answer
		s.poke()
	}
	s.mu.Unlock()
	return answer
}

// initError takes the runtime's report that it cannot initialise.
func (s *Server) initError(c *conn) step {
	kind := string(c.head.errorType)
	body, err := c.readAll(maxInitError)
	switch {
	case errors.Is(err, errTooLarge):
		return c.refuse("413 Payload Too Large", "RequestEntityTooLarge", tooLarge)
	case err != nil:
		c.reject(err)
		return closing
	}
	if c.done() != nil {
		return closing
	}
	s.mu.Lock()
	act, err := s.try(environment.InitError)
	if err == nil {
		s.fault = &lambda.Fault{Type: errorType(kind, body), Payload: body}
	}
	s.mu.Unlock()
	if err != nil {
		s.do(act)
		c.failure("403 Forbidden", "InvalidStateTransition", err.Error())
		return c.sent()
	}
	c.accepted()
	next := c.sent()
	s.do(act)
	return next
}

// errorType is the type of a reported error: as the header names it, else as
// the error object does.
func errorType(header string, body []byte) string {
	if header != "" {
		return header
	}
	var object struct {
		Type string `json:"errorType"`
	}
	if json.Unmarshal(body, &object) == nil {
		return object.Type
	}
	return ""
}
