package wire

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
)

// kind says how a shape is written and read.
type kind uint8

const (
	structure kind = iota
	list
	mapping
	text
	integer
	float
	boolean
	blob
	timestamp
	stream // a payload that is not held in memory
)

// shape joins a shape of the SDK's schemas to the Go type that holds it and to
// what the API's model demands of it.
type shape struct {
	name   string // of the shape in the model
	kind   kind
	long   bool   // of an integer: 64 bits
	format string // of a timestamp; "" where the binding decides
	rule   *constraint

	fields []field           // of a structure, in the order of the Go type
	json   map[string]*field // of a structure: the members of its JSON object
	elem   *shape            // of a list or a mapping
	key    *shape            // of a mapping
}

// binding is the part of an HTTP message that carries a member.
type binding uint8

const (
	inBody binding = iota
	inLabel
	inQuery
	inHeader
	inPayload
	inStatus
)

// field is a member of a structure.
type field struct {
	*shape
	name     string // "KMSKeyArn", in JSON and in Go alike
	path     string // "kMSKeyArn", as violations name it
	index    int    // in the Go struct
	where    binding
	param    string // name of the query parameter or header
	label    int    // number of the label in the URI
	required bool
}

// message is an input or an output of an operation: a structure whose members
// may be bound to parts of an HTTP message.
type message struct {
	*shape
	payload *field // the member that is the whole body
	body    bool   // members make up a JSON object in the body
}

// newMessage takes an input or output apart. The schema is nil for an output
// that does not exist; uri is that of the operation.
func newMessage(schema *smithy.Schema, value any, uri string) *message {
	if schema == nil {
		return nil
	}
	m := &message{shape: shapeOf(schema, schema.ID().Name, reflect.TypeOf(value).Elem())}
	for i := range m.fields {
		switch f := &m.fields[i]; f.where {
		case inPayload:
			m.payload = f
		case inBody:
			m.body = true
		case inLabel:
			before, _, _ := strings.Cut(uri, "{"+f.name+"}")
			f.label = strings.Count(before, "{")
		}
	}
	if m.payload != nil {
		m.body = false
	}
	return m
}

// shapes holds the structures met so far: several operations share the large ones.
var shapes sync.Map // reflect.Type to *shape

// shapeOf joins a schema, which may be a member's, with the type that holds its values.
func shapeOf(schema *smithy.Schema, name string, t reflect.Type) *shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := &shape{name: name}
	if c, ok := constraints[name]; ok {
		s.rule = &c
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		s.kind = timestamp
		if f, ok := smithy.SchemaTrait[*traits.TimestampFormat](schema); ok {
			s.format = f.Format
		}
	case t == reflect.TypeFor[io.Reader]():
		s.kind = stream
	case t.Kind() == reflect.String:
		s.kind = text
	case t.Kind() == reflect.Int32, t.Kind() == reflect.Int64:
		s.kind, s.long = integer, t.Kind() == reflect.Int64
	case t.Kind() == reflect.Float64:
		s.kind = float
	case t.Kind() == reflect.Bool:
		s.kind = boolean
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		s.kind = blob
	case t.Kind() == reflect.Slice:
		s.kind, s.elem = list, memberShape(schema.ListMember(), t.Elem())
	case t.Kind() == reflect.Map:
		s.kind, s.elem = mapping, memberShape(schema.MapValue(), t.Elem())
		s.key = memberShape(schema.MapKey(), t.Key())
	case t.Kind() == reflect.Struct:
		return structureOf(schema, s, t)
	default:
		panic(fmt.Sprintf("wire: shape %s has the unexpected type %v", name, t))
	}
	return s
}

func memberShape(schema *smithy.Schema, t reflect.Type) *shape {
	return shapeOf(schema, schema.TargetID().Name, t)
}

func structureOf(schema *smithy.Schema, s *shape, t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	members := schema.Members()
	s.kind = structure
	s.json = make(map[string]*field, len(members))
	s.fields = make([]field, 0, len(members)) // never grown, so that json may point into it
	for i := range t.NumField() {
		name := t.Field(i).Name
		member := members[name]
		if member == nil {
			member = members[lowerFirst(name)]
		}
		if member == nil || !t.Field(i).IsExported() {
			continue // ResultMetadata and the SDK's markers
		}
		f := field{
			shape: memberShape(member, t.Field(i).Type),
			name:  member.MemberName(), path: lowerFirst(name), index: i,
			required: s.rule != nil && s.rule.requires(member.MemberName()),
		}
		if j, ok := smithy.SchemaTrait[*traits.JSONName](member); ok {
			f.name = j.Name
		}
		f.bind(member)
		s.fields = append(s.fields, f)
		if f.where == inBody {
			s.json[f.name] = &s.fields[len(s.fields)-1]
		}
	}
	known, _ := shapes.LoadOrStore(t, s)
	return known.(*shape)
}

func (f *field) bind(member *smithy.Schema) {
	if _, ok := smithy.SchemaTrait[*traits.HTTPLabel](member); ok {
		f.where = inLabel
	} else if t, ok := smithy.SchemaTrait[*traits.HTTPQuery](member); ok {
		f.where, f.param = inQuery, t.Name
	} else if t, ok := smithy.SchemaTrait[*traits.HTTPHeader](member); ok {
		f.where, f.param = inHeader, t.Name
	} else if _, ok := smithy.SchemaTrait[*traits.HTTPPayload](member); ok {
		f.where = inPayload
	} else if _, ok := smithy.SchemaTrait[*traits.HTTPResponseCode](member); ok {
		f.where = inStatus
	}
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// absent tells whether a member was not given. A number or a flag that is not
// behind a pointer is zero where it was not given; the model gives those no
// other default.
func absent(v reflect.Value) bool { return v.IsZero() }

// settle returns where the value of a member is to be written.
func settle(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return v.Elem()
	}
	return v
}
