package ids

import (
	"regexp"
	"testing"
)

// Every identifier has its form and none comes twice.
func TestIdentifiersHaveTheirFormAndDiffer(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	trace := regexp.MustCompile(`^1-[0-9a-f]{8}-[0-9a-f]{24}$`)
	seen := map[string]bool{}
	for range 1000 {
		u, tr := UUID(), Trace()
		if !uuid.MatchString(u) || !IsUUID(u) || !trace.MatchString(tr) {
			t.Fatalf("malformed: %s %s", u, tr)
		}
		if seen[u] || seen[tr] {
			t.Fatalf("repeated: %s %s", u, tr)
		}
		seen[u], seen[tr] = true, true
	}
}

// What only looks like a UUID is none.
func TestOtherStringsAreNoUUIDs(t *testing.T) {
	for _, s := range []string{"", "abc", "00000000000000000000000000000000", "0000000g-0000-4000-8000-000000000000",
		"00000000-0000-4000-80000-00000000000", "00000000-0000-4000-8000-0000000000000"} {
		if IsUUID(s) {
			t.Errorf("%q passes", s)
		}
	}
}
