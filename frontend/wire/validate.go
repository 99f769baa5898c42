package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lambent-run/lambent/lambda"
)

// constraint is what the model demands of a shape. Min and max bound the
// length of a text (in characters), a blob, a list or a map, and the value of
// a number.
type constraint struct {
	min, max  *float64
	pattern   string
	enum      []string
	required  []string // members of a structure
	sensitive bool     // violations do not show the value
	nullable  bool     // elements of a list may be null
}

func (c *constraint) requires(member string) bool { return slices.Contains(c.required, member) }

func (s *shape) nullable() bool { return s.rule != nil && s.rule.nullable }

// Validate checks an input of the operation, a pointer to the SDK's type,
// against the model, and then against the few rules that AWS answers in the
// same breath with another code. It returns a *lambda.Error or nil.
//
// Members are checked in the order of the Go type. AWS's own order is not
// fixed, and neither is the order in which it lists the values of an enum.
func Validate(op *Operation, input any) error {
	m, _ := op.messages()
	var c checker
	c.structure(m.shape, reflect.ValueOf(input).Elem(), "")
	if len(c.violations) > 0 {
		return refuse(c.violations)
	}
	return exceptions(op, input)
}

// refuse makes the error of one or more violations.
func refuse(violations []string) error {
	e := lambda.Errorf(lambda.Validation, "%d validation error%s detected: %s",
		len(violations), plural(len(violations)), strings.Join(violations, "; "))
	e.Bare = true
	return e
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// checker collects violations.
type checker struct{ violations []string }

// maxViolations bounds the answer: a list may hold any number of bad members.
const maxViolations = 100

func (c *checker) add(s *shape, v reflect.Value, path, complaint string) {
	if len(c.violations) < maxViolations {
		c.violations = append(c.violations, violation(s, show(s, v), path, complaint))
	}
}

func violation(s *shape, value, path, complaint string) string {
	shown := " '" + value + "'"
	if s.rule != nil && s.rule.sensitive {
		shown = ""
	}
	return fmt.Sprintf("Value%s at '%s' failed to satisfy constraint: %s", shown, path, complaint)
}

func (c *checker) structure(s *shape, v reflect.Value, path string) {
	for i := range s.fields {
		f := &s.fields[i]
		member, at := v.Field(f.index), path+f.path
		if !absent(member) {
			if !unchecked[s.name+"."+f.name] {
				c.value(f.shape, reflect.Indirect(member), at)
			}
		} else if f.required && len(c.violations) < maxViolations {
			c.violations = append(c.violations, fmt.Sprintf("Value null at '%s' failed to satisfy constraint: %s", at, notNull))
		}
	}
}

const notNull = "Member must not be null"

// unchecked are members whose own constraint AWS does not check with the rest.
var unchecked = map[string]bool{
	"CreateFunctionRequest.Runtime":              true, // see unknownRuntime
	"UpdateFunctionConfigurationRequest.Runtime": true,
}

func (c *checker) value(s *shape, v reflect.Value, path string) {
	for _, complaint := range complaints(s, v) {
		c.add(s, v, path, complaint)
	}
	switch s.kind {
	case structure:
		c.structure(s, v, path+".")
	case list:
		if s.elem.kind == structure {
			for i := range v.Len() {
				c.structure(s.elem, v.Index(i), fmt.Sprintf("%s.%d.member.", path, i+1))
			}
			return
		}
		for i := range v.Len() {
			if len(complaints(s.elem, v.Index(i))) > 0 {
				c.add(s, v, path, s.elemDemand())
				return
			}
		}
	case mapping:
		c.mapping(s, v, path)
	}
}

// mapping checks the keys and values of a map: one violation for all keys, one
// for all values.
func (c *checker) mapping(s *shape, v reflect.Value, path string) {
	badKey, badValue := false, false
	for it := v.MapRange(); it.Next(); {
		badKey = badKey || len(complaints(s.key, it.Key())) > 0
		badValue = badValue || !sound(s.elem, it.Value())
	}
	if badKey {
		c.add(s, v, path, "Map keys must satisfy constraint: "+bracket(demands(s.key)))
	}
	if badValue {
		c.add(s, v, path, s.elemDemand())
	}
}

// sound tells whether a value in a map, which may be a list, has no violation.
func sound(s *shape, v reflect.Value) bool {
	var c checker
	c.value(s, reflect.Indirect(v), "")
	return len(c.violations) == 0
}

// elemDemand says what the elements of a list or the values of a map must be.
func (s *shape) elemDemand() string {
	all := demands(s.elem)
	if s.elem.kind == list {
		all = append(all, s.elem.elemDemand())
	}
	if !s.nullable() {
		all = append(all, notNull)
	}
	if s.kind == mapping {
		return "Map value must satisfy constraint: " + bracket(all)
	}
	return "Member must satisfy constraint: " + bracket(all)
}

// demands lists all that a shape demands, in AWS's order.
func demands(s *shape) []string {
	if s.rule == nil {
		return nil
	}
	var all []string
	if s.rule.enum != nil {
		all = append(all, s.enumDemand())
	}
	if s.rule.max != nil {
		all = append(all, s.bound("less", *s.rule.max))
	}
	if s.rule.min != nil {
		all = append(all, s.bound("greater", *s.rule.min))
	}
	if s.rule.pattern != "" {
		all = append(all, s.patternDemand())
	}
	return all
}

// complaints lists the demands of its own shape that a value violates.
func complaints(s *shape, v reflect.Value) []string {
	if s.rule == nil {
		return nil
	}
	var found []string
	if s.rule.enum != nil && !slices.Contains(s.rule.enum, v.String()) {
		found = append(found, s.enumDemand())
	}
	size, sized := measure(s, v)
	tooLarge := sized && s.rule.max != nil && size > *s.rule.max
	// A value far beyond its maximum is not worth the time of matching it.
	if s.rule.pattern != "" && !(tooLarge && size > 1<<16) && !matches(s.rule.pattern, v.String()) {
		found = append(found, s.patternDemand())
	}
	if tooLarge {
		found = append(found, s.bound("less", *s.rule.max))
	}
	if sized && s.rule.min != nil && size < *s.rule.min {
		found = append(found, s.bound("greater", *s.rule.min))
	}
	return found
}

// measure returns what the bounds of a shape apply to.
func measure(s *shape, v reflect.Value) (float64, bool) {
	switch s.kind {
	case text:
		return float64(utf8.RuneCountInString(v.String())), true
	case blob, list, mapping:
		return float64(v.Len()), true
	case integer:
		return float64(v.Int()), true
	case float:
		return v.Float(), true
	}
	return 0, false
}

func (s *shape) enumDemand() string {
	return "Member must satisfy enum value set: " + bracket(s.rule.enum)
}

func (s *shape) patternDemand() string {
	return "Member must satisfy regular expression pattern: " + s.rule.pattern
}

func (s *shape) bound(than string, n float64) string {
	what, limit := "length", strconv.FormatFloat(n, 'f', -1, 64)
	switch s.kind {
	case integer:
		what = "value"
	case float:
		what, limit = "value", double(n)
	}
	return fmt.Sprintf("Member must have %s %s than or equal to %s", what, than, limit)
}

func bracket(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

// maxShown bounds how much of a value a violation repeats, in bytes.
const maxShown = 16 << 10

// show renders a value as AWS does, in the manner of Java's toString.
func show(s *shape, v reflect.Value) string {
	var b strings.Builder
	write(&b, s, v)
	if b.Len() > maxShown {
		return strings.ToValidUTF8(b.String()[:maxShown], "") + "..."
	}
	return b.String()
}

func write(b *strings.Builder, s *shape, v reflect.Value) {
	if b.Len() > maxShown {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			b.WriteString("null")
			return
		}
		v = v.Elem()
	}
	if s.rule != nil && s.rule.sensitive {
		b.WriteString("*** Sensitive Data Redacted ***")
		return
	}
	switch s.kind {
	case structure:
		b.WriteString(s.name + "(")
		for i := range s.fields {
			f := &s.fields[i]
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.path + "=")
			if member := v.Field(f.index); absent(member) {
				b.WriteString("null")
			} else {
				write(b, f.shape, member)
			}
		}
		b.WriteString(")")
	case list:
		b.WriteString("[")
		for i := range v.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			write(b, s.elem, v.Index(i))
		}
		b.WriteString("]")
	case mapping:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		b.WriteString("{")
		for i, key := range keys {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(key.String() + "=")
			write(b, s.elem, v.MapIndex(key))
		}
		b.WriteString("}")
	case float:
		b.WriteString(double(v.Float()))
	default:
		fmt.Fprint(b, v.Interface())
	}
}

// double writes a number as Java writes a double.
func double(f float64) string {
	if a := max(f, -f); a != 0 && (a < 1e-3 || a >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return mantissa + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// nullMember is a null in a list or a map, which the Go types cannot hold, so
// that it is refused where it is read.
type nullMember struct {
	shape *shape // the list or map
	key   string // in a map
	path  string
}

func (e *nullMember) Error() string { return "null at " + e.path }

func (e *nullMember) under(parent string) { e.path = strings.TrimSuffix(parent+"."+e.path, ".") }

func (e *nullMember) violation() string {
	value := "[null]"
	if e.shape.kind == mapping {
		value = "{" + e.key + "=null}"
	}
	return violation(e.shape, value, e.path, e.shape.elemDemand())
}
