package httpevent

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxPrelude bounds the JSON of a prelude, in bytes.
const MaxPrelude = 64 << 10

// delimiter stands between a prelude and the body. No JSON contains a NUL.
const delimiter = "\x00\x00\x00\x00\x00\x00\x00\x00"

// Prelude reads the beginning of a streamed answer: a JSON object with status,
// headers and cookies, eight NUL bytes, then the body. The zero value is ready.
type Prelude struct {
	held []byte // what has come of the prelude
	done bool   // it has been read
	bad  bool   // no body may follow
}

// Feed takes the next bytes of an answer. It returns the head of the response
// once, when the prelude is complete, and what belongs to the body. A prelude
// that breaks the rules, or is too long, is answered by a head with a body of
// its own; whatever follows is dropped.
func (r *Prelude) Feed(p []byte) (head *Response, body []byte) {
	switch {
	case r.bad:
		return nil, nil
	case r.done:
		return nil, p
	}
	before := len(r.held)
	r.held = append(r.held, p[:min(len(p), MaxPrelude+len(delimiter)-before)]...)
	end := bytes.IndexByte(r.held, 0)
	full := len(r.held) == MaxPrelude+len(delimiter)
	if end < 0 && !full {
		return nil, nil
	}
	if end < 0 {
		return r.fail(Failed()), nil
	}
	if len(r.held)-end < len(delimiter) && !full && len(bytes.Trim(r.held[end:], "\x00")) == 0 {
		return nil, nil // the beginning of the delimiter
	}
	if !bytes.HasPrefix(r.held[end:], []byte(delimiter)) {
		return r.fail(Failed()), nil
	}
	h, err := preludeHead(r.held[:end])
	switch {
	case errors.Is(err, errRemapped):
		return r.fail(plain(http.StatusInternalServerError)), nil
	case err != nil:
		return r.fail(Failed()), nil
	}
	r.done, r.held = true, nil
	return &h, p[end+len(delimiter)-before:]
}

// End tells what to answer when an answer has ended before its prelude was
// complete; nil if it was.
func (r *Prelude) End() *Response {
	if r.done {
		return nil
	}
	return r.fail(Failed())
}

func (r *Prelude) fail(response Response) *Response {
	r.done, r.bad, r.held = true, true, nil
	return &response
}

// preludeHead reads a prelude. Without a statusCode the status is 200.
func preludeHead(b []byte) (Response, error) {
	v := jsontext.Value(b)
	if !v.IsValid(jsontext.AllowDuplicateNames(true)) || v.Kind() != jsontext.KindBeginObject {
		return Response{}, errShape
	}
	h, _, err := response(v, "200")
	if err != nil {
		return Response{}, err
	}
	h.Body = nil // it is what follows
	setDefault(h.Header, "application/octet-stream")
	return h, nil
}
