package wire

import (
	"regexp"
	"sync"
)

// rewritten are the model's patterns that look around, which Go's regular
// expressions cannot, in a form that accepts the same whole values: what
// matches the first and, where there is one, not the second.
var rewritten = map[string][2]string{
	// An alias is not a number.
	`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`: {`[a-zA-Z0-9-_]+`, `[0-9]+`},
	`((?!^\d+$)^[0-9a-zA-Z-_]+$)`:  {`[0-9a-zA-Z-_]+`, `[0-9]+`},
	// The same, as the qualifier of a function's name.
	`(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:((?!\d+$)[0-9a-zA-Z-_]+))?`: {
		`(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:([0-9]*[a-zA-Z-_][0-9a-zA-Z-_]*))?`},
	// A bucket does not end with a dot.
	`[0-9A-Za-z\.\-_]*(?<!\.)`: {`[0-9A-Za-z\.\-_]*`, `.*\.`},
	// A collection is not one of the system's.
	`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: {`[_a-zA-Z0-9][^$]*`, `system\.(?s:.*)`},
}

// matcher is a pattern of the model, compiled at first use.
type matcher struct {
	once       sync.Once
	is, unless *regexp.Regexp
}

var matchers = func() map[string]*matcher {
	all := map[string]*matcher{}
	for _, c := range constraints {
		if c.pattern != "" {
			all[c.pattern] = new(matcher)
		}
	}
	return all
}()

// matches tells whether the whole of value matches a pattern of the model.
func matches(pattern, value string) bool {
	m := matchers[pattern]
	m.once.Do(func() {
		forms, ok := rewritten[pattern]
		if !ok {
			forms[0] = pattern
		}
		m.is = whole(forms[0])
		if forms[1] != "" {
			m.unless = whole(forms[1])
		}
	})
	return m.is.MatchString(value) && (m.unless == nil || !m.unless.MatchString(value))
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`\A(?:` + pattern + `)\z`) }
