package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Encode writes the response of an operation that succeeded. The output is a
// pointer to the SDK's type; where it has a member bound to the status, and that
// is not zero, it takes the place of status. Members that are nil are left out;
// numbers and flags that are not behind a pointer are always written.
//
// It fails, before anything is written, for an output of another operation and
// for an event stream, which is written by hand; and when the caller is gone.
func (op *Operation) Encode(w http.ResponseWriter, status int, output any) error {
	_, m := op.messages()
	h := w.Header()
	var body []byte
	if m != nil {
		v := reflect.ValueOf(output)
		if !v.IsValid() || v.Type() != reflect.TypeOf(op.newOutput()) || v.IsNil() {
			return fmt.Errorf("encode %s: the output is a %T", op.Name, output)
		}
		if op.schema.IsOutputEventStream() {
			return fmt.Errorf("encode %s: it answers with an event stream", op.Name)
		}
		v = v.Elem()
		for i := range m.fields {
			f := &m.fields[i]
			member := v.Field(f.index)
			switch f.where {
			case inStatus:
				if n := reflect.Indirect(member); n.IsValid() && n.Int() != 0 {
					status = int(n.Int())
				}
			case inHeader:
				if !absent(member) {
					h.Set(f.param, reflect.Indirect(member).String())
				}
			case inPayload:
				body = member.Bytes()
			}
		}
		if m.body || len(m.fields) == 0 {
			body = appendJSON(make([]byte, 0, 1<<10), m.shape, v)
		}
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return nil
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if len(body) == 0 {
		return nil
	}
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("encode %s: %w", op.Name, err)
	}
	return nil
}

// appendJSON appends a value, which is not nil, as JSON.
func appendJSON(b []byte, s *shape, v reflect.Value) []byte {
	v = reflect.Indirect(v)
	switch s.kind {
	case structure:
		b = append(b, '{')
		first := true
		for i := range s.fields {
			f := &s.fields[i]
			member := v.Field(f.index)
			if f.where != inBody || f.omitted(member) {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(appendString(b, f.name), ':')
			b = appendJSON(b, f.shape, member)
		}
		return append(b, '}')
	case list:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, s.elem, v.Index(i))
		}
		return append(b, ']')
	case mapping:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		b = append(b, '{')
		for i, key := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, key.String()), ':')
			b = appendJSON(b, s.elem, v.MapIndex(key))
		}
		return append(b, '}')
	case text:
		return appendString(b, v.String())
	case integer:
		return strconv.AppendInt(b, v.Int(), 10)
	case float:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...) // JSON has neither
		}
		return jsontext.AppendFloat(b, v.Float(), 64)
	case boolean:
		return strconv.AppendBool(b, v.Bool())
	case blob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case timestamp:
		return appendTime(b, s, v.Interface().(time.Time))
	}
	panic("wire: " + s.name + " cannot be in a body")
}

// omitted tells whether a member is left out of the body.
func (f *field) omitted(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0 // an enum that was not given
	}
	return false
}

func appendString(b []byte, s string) []byte {
	// The error means that s is not UTF-8; what is not has been replaced by U+FFFD.
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

// appendTime appends a time as the schema wants it: a date, or by default the
// seconds since 1970 with three decimals.
func appendTime(b []byte, s *shape, t time.Time) []byte {
	if s.format == "date-time" {
		return appendString(b, t.UTC().Format("2006-01-02T15:04:05.999Z07:00"))
	}
	return strconv.AppendFloat(b, float64(t.UnixMilli())/1000, 'f', -1, 64)
}
