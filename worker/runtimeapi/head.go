package runtimeapi

import (
	"bytes"
	"errors"
)

// Bounds on what a process may send beside an answer's body.
const (
	// MaxHead bounds a request line with its headers. Runtime clients send their
	// X-Ray error cause as a header; aws-lambda-go's carries a whole stack.
	MaxHead = 256 << 10
	// maxTrailer bounds the trailers of a chunked body: an error object in
	// base64 travels in one of them.
	maxTrailer = 256 << 10
	// maxLine bounds the line that announces a chunk.
	maxLine = 4 << 10
)

var (
	errMalformed = errors.New("malformed HTTP request")
	errTooLarge  = errors.New("HTTP request head too large")
)

// head is a parsed request line with the headers the Runtime API reads. Its
// slices point into the connection's buffer and hold until that is filled again.
type head struct {
	method, path []byte // path without the query
	length       int64  // of the body; -1 when chunked
	close        bool   // the connection ends after this request
	expect       bool   // Expect: 100-continue

	contentType   []byte
	mode          []byte // Lambda-Runtime-Function-Response-Mode
	errorType     []byte // Lambda-Runtime-Function-Error-Type
	invocation    []byte // Lambda-Runtime-Invocation-Id
	authorization []byte
}

// findEnd returns the length of the head at the start of b, empty line
// included, or 0 if it is not complete. The search starts at from.
func findEnd(b []byte, from int) int {
	for i := max(from, 0); ; {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return 0
		}
		i += j + 1
		if i < len(b) && b[i] == '\n' {
			return i + 1
		}
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			return i + 2
		}
		if i >= len(b) {
			return 0
		}
	}
}

// cutLine returns the first line of b without its end, and the rest.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, nil
	}
	line, rest = b[:i], b[i+1:]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest
}

// parse reads a complete head, as findEnd delimits it. It takes less than
// net/http does and nothing that net/http refuses: no folded lines, no
// Transfer-Encoding but chunked, not both a length and chunks.
func (h *head) parse(b []byte) error {
	*h = head{}
	line, b := cutLine(b)
	i := bytes.IndexByte(line, ' ')
	j := bytes.LastIndexByte(line, ' ')
	if i <= 0 || j <= i {
		return errMalformed
	}
	h.method = line[:i]
	target, version := line[i+1:j], line[j+1:]
	for _, c := range h.method {
		if !tokenByte[c] {
			return errMalformed
		}
	}
	if len(target) == 0 || target[0] != '/' {
		return errMalformed
	}
	for i, c := range target {
		if c <= ' ' || c >= 0x7f || c == '%' && !escaped(target[i:]) {
			return errMalformed
		}
	}
	h.path = target
	if q := bytes.IndexByte(target, '?'); q >= 0 {
		h.path = target[:q]
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.close = true
	default:
		return errMalformed
	}
	lengths, chunked, hosts := 0, false, 0
	for {
		line, b = cutLine(b)
		if len(line) == 0 {
			break
		}
		if !fieldLike(line) {
			return errMalformed
		}
		colon := bytes.IndexByte(line, ':')
		name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
		switch len(name) { // by length first: most headers are of no interest
		case len("host"):
			if is(name, "host") {
				if hosts++; hosts > 1 || !hostLike(value) {
					return errMalformed
				}
			}
		case len("expect"):
			if is(name, "expect") {
				h.expect = is(value, "100-continue")
			}
		case len("connection"):
			if is(name, "connection") {
				for len(value) > 0 {
					var token []byte
					token, value, _ = bytes.Cut(value, []byte(","))
					if is(bytes.Trim(token, " \t"), "close") {
						h.close = true
					}
				}
			}
		case len("content-type"):
			if is(name, "content-type") {
				h.contentType = value
			}
		case len("authorization"):
			if is(name, "authorization") {
				h.authorization = value
			}
		case len("content-length"):
			if is(name, "content-length") {
				n, ok := decimal(value)
				if !ok || lengths > 0 && n != h.length {
					return errMalformed
				}
				lengths++
				h.length = n
			}
		case len("transfer-encoding"):
			if is(name, "transfer-encoding") {
				if chunked || !is(value, "chunked") {
					return errMalformed
				}
				chunked = true
			}
		case len("lambda-runtime-invocation-id"):
			if is(name, "lambda-runtime-invocation-id") {
				h.invocation = value
			}
		case len("lambda-runtime-function-error-type"):
			if is(name, "lambda-runtime-function-error-type") {
				h.errorType = value
			}
		case len("lambda-runtime-function-response-mode"):
			if is(name, "lambda-runtime-function-response-mode") {
				h.mode = value
			}
		}
	}
	if chunked {
		if lengths > 0 || h.close && string(version) == "HTTP/1.0" {
			return errMalformed
		}
		h.length = -1
	}
	return nil
}

// fieldLike tells whether line is a header or trailer: a token, a colon and a
// value without control characters.
func fieldLike(line []byte) bool {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return false
	}
	for _, c := range line[:colon] {
		if !tokenByte[c] {
			return false
		}
	}
	for _, c := range line[colon+1:] {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// is compares without regard to case; s is lower case.
func is(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// decimal reads a number of at most 15 digits.
func decimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// hexadecimal reads a number of at most 15 digits.
func hexadecimal(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		d := unhex(c)
		if d < 0 {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// escaped tells whether b starts with a percent escape.
func escaped(b []byte) bool {
	return len(b) >= 3 && unhex(b[1]) >= 0 && unhex(b[2]) >= 0
}

// hostLike admits what names a host and port; the value is not used.
func hostLike(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return true
}

// tokenByte holds the bytes of an HTTP token (RFC 9110, 5.6.2).
var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		t[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
