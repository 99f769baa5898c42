package wire

import "testing"

// Every pattern of the model can be matched, and every rewriting is of a pattern that is in use.
func TestPatternsCompile(t *testing.T) {
	for name, c := range constraints {
		if c.pattern != "" {
			matches(c.pattern, name)
		}
	}
	for pattern := range rewritten {
		if matchers[pattern] == nil {
			t.Errorf("no shape has the pattern %s", pattern)
		}
	}
}

// Patterns match whole values, and those that look around mean the same without.
func TestPatternsMatchWholeValues(t *testing.T) {
	for _, c := range []struct {
		shape  string
		accept []string
		refuse []string
	}{
		{"Alias", []string{"live", "2024-01-02", "1a", "-", "_1"}, []string{"", "1", "2024", "a b", "live\n", "$LATEST"}},
		{"FunctionUrlQualifier", []string{"live", "1a"}, []string{"", "1", "$LATEST", "a:b"}},
		{"FunctionUrlFunctionName", []string{"fn", "123", "fn:live", "fn:1a", "111111111111:function:123", "function:123:live"},
			[]string{"", "fn:", "fn:1", "fn:$LATEST", "111111111111:function:123:7"}},
		{"S3Bucket", []string{"bucket", "b.c", "", ".b"}, []string{"bucket.", ".", "a/b"}},
		{"CollectionName", []string{"users", "system", "systems.x", "_s", "a\nb"}, []string{"", "system.users", "system.", "$x", "a$b", "-a"}},
		{"DestinationArn", []string{"", "arn:aws:sqs:us-east-1:111111111111:q", "kafka://topic"}, []string{"arn", "kafka://.t", "x\n"}},
		{"Qualifier", []string{"", "1", "$LATEST"}, []string{"a:b"}},
		{"TagKey", []string{"", "Größe +-=._:/@"}, []string{"a#b", "a\nb"}},
		{"Handler", []string{"a.b"}, []string{"", "a b", "a\u00a0b c"}},
	} {
		pattern := constraints[c.shape].pattern
		if pattern == "" {
			t.Errorf("%s has no pattern", c.shape)
			continue
		}
		for _, v := range c.accept {
			if !matches(pattern, v) {
				t.Errorf("%s refuses %q", c.shape, v)
			}
		}
		for _, v := range c.refuse {
			if matches(pattern, v) {
				t.Errorf("%s accepts %q", c.shape, v)
			}
		}
	}
}
