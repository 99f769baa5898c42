package httpevent

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Streaming is the content type of an answer that begins with a prelude.
const Streaming = "application/vnd.awslambda.http-integration-response"

// errShape says that an answer is not what it has to be.
var errShape = errors.New("not a response")

// errRemapped says that a function sets a header that only the platform sets.
var errRemapped = errors.New("a remapped header")

// Answer interprets a function's buffered answer. An object with a statusCode
// is a response; any other JSON is the body of one. What is neither fails.
func Answer(answer []byte) Response {
	value := jsontext.Value(answer)
	if len(answer) == 0 {
		value = jsontext.Value("null")
	}
	if !value.IsValid(jsontext.AllowDuplicateNames(true)) {
		return Failed()
	}
	switch value.Kind() {
	case jsontext.KindString:
		body, err := jsontext.AppendUnquote(nil, strings.TrimSpace(string(value)))
		if err != nil {
			return Failed()
		}
		return Response{http.StatusOK, http.Header{"Content-Type": {"application/json"}}, body}
	case jsontext.KindBeginObject:
		r, isResponse, err := response(value, "")
		switch {
		case errors.Is(err, errRemapped):
			return plain(http.StatusInternalServerError)
		case err != nil:
			return Failed()
		case isResponse:
			setDefault(r.Header, "application/json")
			return r
		}
	}
	return Response{http.StatusOK, http.Header{"Content-Type": {"application/json"}}, value}
}

func setDefault(h http.Header, contentType string) {
	if _, ok := h["Content-Type"]; !ok {
		h.Set("Content-Type", contentType)
	}
}

// response reads an object that describes a response, if it does: it has a
// statusCode, or else a default for it is given.
func response(object jsontext.Value, otherwise string) (r Response, isResponse bool, err error) {
	var in struct {
		StatusCode      jsontext.Value            `json:"statusCode"`
		Headers         map[string]jsontext.Value `json:"headers"`
		Cookies         []string                  `json:"cookies"`
		Body            *string                   `json:"body"`
		IsBase64Encoded bool                      `json:"isBase64Encoded"`
	}
	err = json.Unmarshal(object, &in, jsontext.AllowDuplicateNames(true))
	if in.StatusCode == nil && otherwise == "" {
		// It may stand behind what could not be read. Without it, members of these
		// names may be anything.
		if err == nil || !hasStatus(object) {
			return r, false, nil
		}
	}
	if err != nil {
		return r, true, errShape
	}
	if in.StatusCode == nil {
		in.StatusCode = jsontext.Value(otherwise)
	}
	if r.Status, err = status(in.StatusCode); err != nil {
		return r, true, err
	}
	if r.Header, err = responseHeader(in.Headers, in.Cookies); err != nil {
		return r, true, err
	}
	if in.Body != nil {
		r.Body = []byte(*in.Body)
	}
	if in.IsBase64Encoded {
		if r.Body, err = base64.StdEncoding.DecodeString(string(r.Body)); err != nil {
			return r, true, errShape
		}
	}
	return r, true, nil
}

func hasStatus(object jsontext.Value) bool {
	var in struct {
		StatusCode jsontext.Value `json:"statusCode"`
	}
	return json.Unmarshal(object, &in, jsontext.AllowDuplicateNames(true)) == nil && in.StatusCode != nil
}

// status reads a status code, which may be a number or a string. Those of
// interim responses are none.
func status(v jsontext.Value) (int, error) {
	text := string(v)
	if v.Kind() == jsontext.KindString {
		text = strings.Trim(text, `"`)
	}
	code, err := strconv.Atoi(text)
	if err != nil {
		if f, ferr := strconv.ParseFloat(text, 64); ferr == nil && f == float64(int(f)) {
			code, err = int(f), nil // 2e2 is a number like any other in JSON
		}
	}
	if err != nil || code < 200 || code > 599 {
		return 0, errShape
	}
	return code, nil
}

// renamed are the headers of a response that are not the function's to set, in
// the order of the alphabet. Their values are sent under another name.
var renamed = []string{"Connection", "Content-Length", "Date", "Keep-Alive", "Proxy-Connection", "Server", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "X-Amzn-Requestid", "X-Amzn-Trace-Id"}

const remapped = "X-Amzn-Remapped-"

func responseHeader(headers map[string]jsontext.Value, cookies []string) (http.Header, error) {
	h := make(http.Header, len(headers)+2)
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names) // names may differ in case only; the order is to be the same every time
	for _, name := range names {
		value, ok, err := scalar(headers[name])
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if !isToken(name) || !isValue(value) {
			return nil, errShape
		}
		name = http.CanonicalHeaderKey(name)
		if strings.HasPrefix(name, remapped) {
			return nil, errRemapped
		}
		if _, found := slices.BinarySearch(renamed, name); found {
			name = remapped + name
		}
		h.Add(name, value)
	}
	for _, c := range cookies {
		if !isValue(c) {
			return nil, errShape
		}
		h.Add("Set-Cookie", c)
	}
	return h, nil
}

// scalar reads a header's value: a string, or a number or boolean as it is
// written. Null is none.
func scalar(v jsontext.Value) (text string, ok bool, err error) {
	switch v.Kind() {
	case jsontext.KindString:
		b, err := jsontext.AppendUnquote(nil, v)
		return string(b), true, err
	case jsontext.KindNumber, jsontext.KindTrue, jsontext.KindFalse:
		return string(v), true, nil
	case jsontext.KindNull:
		return "", false, nil
	}
	return "", false, errShape
}

// isToken tells whether s may be a header's name (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isValue tells whether s may be a header's value: no control characters but tabs.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
