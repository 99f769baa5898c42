package control

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lambent-run/lambent/lambda"
)

// recordings are answers of the real service; see testdata/README.md.
func recordings(t *testing.T) map[string]recording {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]recording
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

type recording struct {
	Date    string
	Answers map[string]any
}

// replay holds the answers of a Control against a recording. A placeholder
// stands for one value in the whole recording, and two placeholders for two: so
// what AWS shows to change must change, and what it shows to stay must stay.
type replay struct {
	*testing.T
	*Control
	recording
	bound map[string]string // placeholder → value
	used  map[string]bool   // answers that were compared
}

func (r *replay) settle(name string) {
	r.Helper()
	settle(r, r.Control, name)
}

// is compares an answer with the one recorded under a name.
func (r *replay) is(answer string) func(got any, err error) {
	r.Helper()
	want, ok := r.Answers[answer]
	if !ok {
		r.Fatalf("no answer %s is recorded", answer)
	}
	r.used[answer] = true
	return func(got any, err error) {
		r.Helper()
		shown := members(reflect.ValueOf(got))
		if err != nil {
			e := lambda.AsError(err)
			shown = map[string]any{"Error": map[string]any{"Code": string(e.Code), "Message": e.Message}}
			if e.Message == "" {
				shown.(map[string]any)["Error"].(map[string]any)["Message"] = nil
			}
		}
		for _, d := range r.compare("", want, shown) {
			r.Errorf("%s (recorded %s): %s", answer, r.Date, d)
		}
	}
}

// compare returns what differs.
func (r *replay) compare(path string, want, got any) (diffs []string) {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, want members", path, got)}
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			if _, ok := g[k]; !ok {
				diffs = append(diffs, fmt.Sprintf("%s/%s is missing, want %v", path, k, want[k]))
				continue
			}
			diffs = append(diffs, r.compare(path+"/"+k, want[k], g[k])...)
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, ok := want[k]; !ok {
				diffs = append(diffs, fmt.Sprintf("%s/%s is too much: %v", path, k, g[k]))
			}
		}
		return diffs
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return []string{fmt.Sprintf("%s is %v, want %v", path, got, want)}
		}
		for i := range want {
			diffs = append(diffs, r.compare(fmt.Sprintf("%s/%d", path, i), want[i], g[i])...)
		}
		return diffs
	case string:
		switch {
		case want == "<code-size>":
			if n, ok := got.(float64); !ok || n <= 0 {
				return []string{fmt.Sprintf("%s is %v, want a size", path, got)}
			}
			return nil
		case want == "code-sha256":
			if s, ok := got.(string); !ok || len(s) != 44 {
				return []string{fmt.Sprintf("%s is %v, want a hash", path, got)}
			}
			return nil
		case want == "<location>":
			if s, ok := got.(string); !ok || !strings.HasPrefix(s, "https://") {
				return []string{fmt.Sprintf("%s is %v, want a URL", path, got)}
			}
			return nil
		case want == "date":
			if s, ok := got.(string); !ok || !date.MatchString(s) {
				return []string{fmt.Sprintf("%s is %v, want a date", path, got)}
			}
			return nil
		}
		if g, ok := got.(string); !ok || !r.text(want, g) {
			return []string{fmt.Sprintf("%s is %v, want %s", path, got, r.fill(want))}
		}
		return nil
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s is %v, want %v", path, got, want)}
	}
	return nil
}

var (
	date        = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`)
	placeholder = regexp.MustCompile(`<[a-z][a-z0-9-]*(:\d+)?>`)
)

// fill puts the values known so far into a recorded text.
func (r *replay) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		if v, ok := r.bound[p]; ok {
			return v
		}
		return p
	})
}

// text compares a text, and binds the placeholders that it is the first to have.
func (r *replay) text(want, got string) bool {
	want = r.fill(want)
	pattern, names, at := "^", []string(nil), 0
	for _, m := range placeholder.FindAllStringIndex(want, -1) {
		pattern += regexp.QuoteMeta(want[at:m[0]]) + `([^\s:]+)`
		names = append(names, want[m[0]:m[1]])
		at = m[1]
	}
	m := regexp.MustCompile(pattern + regexp.QuoteMeta(want[at:]) + "$").FindStringSubmatch(got)
	if m == nil {
		return false
	}
	for i, p := range names {
		kind, _, _ := strings.Cut(p, ":")
		for other, v := range r.bound {
			if k, _, _ := strings.Cut(other, ":"); k == kind && v == m[i+1] {
				return false // AWS showed two values
			}
		}
		if v, ok := r.bound[p]; ok && v != m[i+1] {
			return false
		}
		r.bound[p] = m[i+1]
	}
	return true
}

// members is an answer as it appears in JSON: what is not set is left out.
func members(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Invalid:
		return map[string]any{}
	case reflect.Pointer:
		if v.IsNil() {
			return map[string]any{}
		}
		return members(v.Elem())
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			f, member := v.Type().Field(i), v.Field(i)
			unset := member.IsZero()
			if f.IsExported() && f.Name != "ResultMetadata" && !unset {
				m[f.Name] = members(member)
			}
		}
		return m
	case reflect.Map:
		m := map[string]any{}
		for k, e := range v.Seq2() {
			m[k.String()] = members(e)
		}
		return m
	case reflect.Slice:
		s := make([]any, v.Len())
		for i := range s {
			s[i] = members(v.Index(i))
		}
		return s
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int32, reflect.Int64:
		return float64(v.Int())
	case reflect.Float64:
		return v.Float()
	}
	panic("a member of kind " + v.Kind().String())
}
