package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lambent-run/lambent/lambda"
)

// serialization is the code of AWS's answer to a request whose form, not whose
// values, is wrong. The model does not have it.
const serialization lambda.Code = "SerializationException"

// Decode reads the operation's input from a request that Match found, and
// validates it. The input is a pointer to the SDK's type. A body of more than
// limit bytes is refused before it is read any further.
//
// Its errors are *lambda.Error: RequestEntityTooLarge, SerializationException
// for what is not JSON or has the wrong types, and those of Validate.
func (op *Operation) Decode(r *http.Request, labels Labels, limit int64) (any, error) {
	input, err := op.decode(r, labels, limit)
	if err != nil {
		return nil, err
	}
	if err := Validate(op, input); err != nil {
		return nil, err
	}
	return input, nil
}

// decode is Decode without the validation.
func (op *Operation) decode(r *http.Request, labels Labels, limit int64) (any, error) {
	m, _ := op.messages()
	input := op.newInput()
	v := reflect.ValueOf(input).Elem()
	var query url.Values
	for i := range m.fields {
		f := &m.fields[i]
		var err error
		switch f.where {
		case inLabel:
			err = f.setText(v.Field(f.index), labels.At(f.label))
		case inQuery:
			if r.URL.RawQuery == "" {
				continue
			}
			if query == nil {
				query = r.URL.Query()
			}
			err = f.setQuery(v.Field(f.index), query[f.param])
		case inHeader:
			if values := r.Header.Values(f.param); len(values) > 0 {
				err = f.setText(v.Field(f.index), values[0])
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if m.body || m.payload != nil {
		body, err := op.readBody(r, limit)
		if err != nil {
			return nil, err
		}
		if err := m.setBody(v, body); err != nil {
			return nil, err
		}
	}
	return input, nil
}

// readBody reads a body of at most limit bytes.
func (op *Operation) readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, op.tooLarge(limit)
	}
	// What the caller announces is believed up to a point: memory follows bytes.
	const believed = 1 << 20
	var body bytes.Buffer
	body.Grow(int(max(0, min(r.ContentLength, believed))) + bytes.MinRead)
	n, err := body.ReadFrom(io.LimitReader(r.Body, limit+1))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || n > limit {
		return nil, op.tooLarge(limit)
	}
	if err != nil {
		return nil, malformed("The request body could not be read.")
	}
	return body.Bytes(), nil
}

func (op *Operation) tooLarge(limit int64) *lambda.Error {
	name := op.Name
	if name == "Invoke" {
		name = "InvokeFunction" // AWS's name for it in this sentence
	}
	return lambda.Errorf(lambda.RequestEntityTooLarge, "Request must be smaller than %d bytes for the %s operation", limit, name)
}

func (m *message) setBody(v reflect.Value, body []byte) error {
	if f := m.payload; f != nil {
		switch f.kind {
		case blob:
			v.Field(f.index).SetBytes(body)
			return nil
		case stream:
			v.Field(f.index).Set(reflect.ValueOf(bytes.NewReader(body)))
			return nil
		}
		return decodeBody(body, f.shape, v.Field(f.index))
	}
	return decodeBody(body, m.shape, v)
}

// decodeBody reads the one JSON value that a body consists of. An empty body
// is one that was not given.
func decodeBody(body []byte, s *shape, v reflect.Value) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	d := decoder{jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)), body}
	err := d.value(s, v)
	if err == nil {
		if _, err = d.ReadToken(); err == io.EOF {
			return nil
		}
		err = d.syntax(err)
	}
	if e, ok := errors.AsType[*nullMember](err); ok {
		return refuse([]string{e.violation()})
	}
	return err
}

func malformed(format string, args ...any) *lambda.Error {
	e := lambda.Errorf(serialization, format, args...)
	e.Bare = true
	return e
}

// decoder reads JSON into the Go types by their shapes. How deep it descends
// is bounded by the shapes, and how deep it skips unknown members by jsontext,
// which gives up at 10,000 levels.
type decoder struct {
	*jsontext.Decoder
	body []byte
}

// syntax words an error of the JSON reader. Nil and io.EOF stand for a body
// that goes on or ends where it should not.
func (d decoder) syntax(err error) error {
	if err == nil {
		return malformed("Could not parse request body into json: there is more after the value")
	}
	at := d.InputOffset()
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = e.ByteOffset
	}
	at = min(max(at, 0), int64(len(d.body)))
	what := "Unexpected end-of-input"
	if at < int64(len(d.body)) && !errors.Is(err, io.ErrUnexpectedEOF) {
		what = fmt.Sprintf("Unexpected character (code %d)", d.body[at])
	}
	return malformed("Could not parse request body into json: %s\n at [line: %d, column: %d]", what,
		1+bytes.Count(d.body[:at], []byte{'\n'}), at-int64(bytes.LastIndexByte(d.body[:at], '\n')))
}

// value reads the next value into v, which may be a pointer. Null leaves v as it is.
func (d decoder) value(s *shape, v reflect.Value) error {
	found := d.PeekKind()
	switch found {
	case jsontext.KindNull:
		_, err := d.ReadToken()
		return d.checked(err)
	case jsontext.KindInvalid:
		_, err := d.ReadToken()
		return d.syntax(err)
	}
	switch s.kind {
	case structure:
		if found != jsontext.KindBeginObject {
			return d.wrongType(found, "structure")
		}
		return d.structure(s, settle(v))
	case list:
		if found != jsontext.KindBeginArray {
			return d.wrongType(found, "list")
		}
		return d.list(s, settle(v))
	case mapping:
		if found != jsontext.KindBeginObject {
			return d.wrongType(found, "map")
		}
		return d.mapping(s, settle(v))
	case text:
		if found != jsontext.KindString {
			return d.wrongType(found, "a String")
		}
		token, err := d.ReadToken()
		if err != nil {
			return d.syntax(err)
		}
		settle(v).SetString(token.String())
	case integer, float:
		if found != jsontext.KindNumber {
			return d.wrongType(found, s.typeName())
		}
		raw, err := d.ReadValue()
		if err != nil {
			return d.syntax(err)
		}
		return s.setNumber(v, string(raw), found)
	case boolean:
		if found != jsontext.KindTrue && found != jsontext.KindFalse {
			return d.wrongType(found, "a Boolean")
		}
		if _, err := d.ReadToken(); err != nil {
			return d.syntax(err)
		}
		settle(v).SetBool(found == jsontext.KindTrue)
	case blob:
		if found != jsontext.KindString {
			return d.wrongType(found, "a Blob")
		}
		return d.blob(v)
	case timestamp:
		return d.timestamp(s, v, found)
	default:
		return malformed("Unexpected value in the request body")
	}
	return nil
}

func (d decoder) checked(err error) error {
	if err != nil {
		return d.syntax(err)
	}
	return nil
}

func (d decoder) structure(s *shape, v reflect.Value) error {
	if _, err := d.ReadToken(); err != nil {
		return d.syntax(err)
	}
	for d.PeekKind() != jsontext.KindEndObject {
		name, err := d.ReadToken()
		if err != nil {
			return d.syntax(err)
		}
		f := s.json[name.String()]
		if f == nil {
			if err := d.SkipValue(); err != nil {
				return d.syntax(err)
			}
			continue
		}
		if err := d.value(f.shape, v.Field(f.index)); err != nil {
			if e, ok := err.(*nullMember); ok {
				e.under(f.path)
			}
			return err
		}
	}
	_, err := d.ReadToken()
	return d.checked(err)
}

func (d decoder) list(s *shape, v reflect.Value) error {
	if _, err := d.ReadToken(); err != nil {
		return d.syntax(err)
	}
	items := reflect.MakeSlice(v.Type(), 0, 4)
	for n := 0; d.PeekKind() != jsontext.KindEndArray; n++ {
		if d.PeekKind() == jsontext.KindNull && !s.nullable() {
			return &nullMember{shape: s}
		}
		items = reflect.Append(items, reflect.Zero(v.Type().Elem()))
		if err := d.value(s.elem, items.Index(n)); err != nil {
			if e, ok := err.(*nullMember); ok {
				e.under(strconv.Itoa(n+1) + ".member")
			}
			return err
		}
	}
	v.Set(items)
	_, err := d.ReadToken()
	return d.checked(err)
}

func (d decoder) mapping(s *shape, v reflect.Value) error {
	if _, err := d.ReadToken(); err != nil {
		return d.syntax(err)
	}
	items := reflect.MakeMap(v.Type())
	item := reflect.New(v.Type().Elem()).Elem()
	for d.PeekKind() != jsontext.KindEndObject {
		token, err := d.ReadToken()
		if err != nil {
			return d.syntax(err)
		}
		name := token.String() // before the next read, which the token does not survive
		if d.PeekKind() == jsontext.KindNull {
			return &nullMember{shape: s, key: name}
		}
		item.SetZero()
		if err := d.value(s.elem, item); err != nil {
			if e, ok := err.(*nullMember); ok {
				e.under(name + ".member")
			}
			return err
		}
		items.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
	}
	v.Set(items)
	_, err := d.ReadToken()
	return d.checked(err)
}

func (d decoder) blob(v reflect.Value) error {
	raw, err := d.ReadValue()
	if err != nil {
		return d.syntax(err)
	}
	encoded := []byte(raw[1 : len(raw)-1])
	if bytes.IndexByte(encoded, '\\') >= 0 { // JSON allows a slash to be escaped
		if encoded, err = jsontext.AppendUnquote(nil, raw); err != nil {
			return d.syntax(err)
		}
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Decode(decoded, encoded)
	if err != nil {
		return malformed("Invalid base64 in the request body")
	}
	v.SetBytes(decoded[:n])
	return nil
}

func (d decoder) timestamp(s *shape, v reflect.Value, found jsontext.Kind) error {
	if s.format == "" || s.format == "epoch-seconds" {
		if found != jsontext.KindNumber {
			return d.wrongType(found, "a Timestamp")
		}
		raw, err := d.ReadValue()
		if err != nil {
			return d.syntax(err)
		}
		return s.setTime(v, string(raw))
	}
	if found != jsontext.KindString {
		return d.wrongType(found, "a Timestamp")
	}
	token, err := d.ReadToken()
	if err != nil {
		return d.syntax(err)
	}
	return s.setTime(v, token.String())
}

// wrongType refuses a JSON value of another type than the shape has, as AWS's
// JSON reader words it.
func (d decoder) wrongType(found jsontext.Kind, want string) error {
	switch want {
	case "structure", "list", "map":
		return malformed("Expected %s or null", want)
	}
	switch found {
	case jsontext.KindBeginObject:
		return malformed("Start of structure or map found where not expected.")
	case jsontext.KindBeginArray:
		return malformed("Start of list found where not expected.")
	}
	return malformed("%s can not be converted to %s", tokenName(found), want)
}

func tokenName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindString:
		return "STRING_VALUE"
	case jsontext.KindNumber:
		return "NUMBER_VALUE"
	case jsontext.KindTrue:
		return "TRUE_VALUE"
	}
	return "FALSE_VALUE"
}

func (s *shape) typeName() string {
	switch {
	case s.kind == float:
		return "a Double"
	case s.long:
		return "a Long"
	}
	return "an Integer"
}

func (s *shape) setNumber(v reflect.Value, text string, found jsontext.Kind) error {
	if s.kind == float {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return malformed("%s can not be converted to a Double", tokenName(found))
		}
		settle(v).SetFloat(f)
		return nil
	}
	bits := 32
	if s.long {
		bits = 64
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return malformed("%s can not be converted to %s", tokenName(found), s.typeName())
	}
	settle(v).SetInt(n)
	return nil
}

// setTime sets a timestamp from seconds since 1970 or from an RFC 3339 date.
func (s *shape) setTime(v reflect.Value, text string) error {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(seconds) || math.Abs(seconds) > 253402300799 { // the end of the year 9999
			return malformed("NUMBER_VALUE can not be converted to a Timestamp")
		}
		settle(v).Set(reflect.ValueOf(time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()))
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return malformed("STRING_VALUE can not be converted to a Timestamp")
	}
	settle(v).Set(reflect.ValueOf(t.UTC()))
	return nil
}

func (f *field) setQuery(v reflect.Value, values []string) error {
	if len(values) == 0 {
		return nil
	}
	if f.kind != list {
		return f.setText(v, values[0])
	}
	items := reflect.MakeSlice(v.Type(), len(values), len(values))
	for i, value := range values {
		if err := f.elem.setText(items.Index(i), value); err != nil {
			return err
		}
	}
	v.Set(items)
	return nil
}

// setText sets a value that came in a label, a query parameter or a header.
func (s *shape) setText(v reflect.Value, value string) error {
	switch s.kind {
	case text:
		settle(v).SetString(value)
	case integer, float:
		return s.setNumber(v, value, jsontext.KindString)
	case boolean:
		if value != "true" && value != "false" {
			return malformed("STRING_VALUE can not be converted to a Boolean")
		}
		settle(v).SetBool(value == "true")
	case timestamp:
		return s.setTime(v, value)
	default:
		panic("wire: " + s.name + " is bound to text")
	}
	return nil
}
