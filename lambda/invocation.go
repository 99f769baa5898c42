package lambda

import "time"

// Invocation is one run of a function, as a door hands it to the spine and the
// spine to an environment.
type Invocation struct {
	Ref           Ref    // as the caller named it; its ARN is what the function sees
	RequestID     string // UUID; also the function's request id
	Payload       []byte // JSON, or empty
	ClientContext []byte // decoded JSON of X-Amz-Client-Context; nil for none
	Trace         string // X-Amzn-Trace-Id to pass on: always a value, at least Root=…
	LogTail       bool   // the Outcome carries the last 4 KiB of the log
	Stream        bool   // the caller takes the answer as it comes, and a long one
}

// Head is what is known when a function begins to answer.
type Head struct {
	ContentType string // as the runtime sent it, or ""
	Streaming   bool   // it is passed on as it comes: the runtime declared streaming mode, or the caller asked for it
	Length      int64  // bytes of the answer, or -1 if not known ahead
}

// ResponseWriter receives a function's answer while it is written. Begin is
// called once, before the first Write; neither is called for an invocation that
// fails before its first byte. Write must not keep p. An error from Write means
// that the caller is gone: the rest of the answer is read and dropped.
type ResponseWriter interface {
	Begin(Head)
	Write(p []byte) (int, error)
}

// Outcome is how an invocation ended that the platform ran to an end. A
// function that failed is an Outcome with a Fault, not an error: retries,
// billing and the X-Amz-Function-Error header hang on that line.
type Outcome struct {
	ExecutedVersion string // "$LATEST" or a number
	Fault           *Fault // nil for success
	LogTail         []byte // with Invocation.LogTail: START to REPORT, the last 4 KiB
	Duration        time.Duration
	Cold            bool // an environment was started for this invocation
}

// Fault is a function's failure, as its caller sees it.
type Fault struct {
	Type    string // "Runtime.ExitError", "Sandbox.Timedout", or what the runtime named
	Payload []byte // the error object, JSON
}
