package layout

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// documents calls fn for every Markdown file of the tree.
func documents(t *testing.T, fn func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch name := d.Name(); {
			case path == root:
			case strings.HasPrefix(name, ".") && name != ".ci", name == "node_modules", name == "bin", name == "testdata":
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fn(path, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
)

// What a document links to within the tree exists, down to the heading.
func TestLinksLeadSomewhere(t *testing.T) {
	documents(t, func(path, text string) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				continue
			}
			target := path
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(path), u.Path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
				continue
			}
			if u.Fragment == "" || filepath.Ext(target) != ".md" {
				continue
			}
			b, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(string(b), ""), -1) {
				found = found || anchor(h[1]) == u.Fragment
			}
			if !found {
				t.Errorf("%s links to %s, where no heading has that name", path, m[1])
			}
		}
	})
}

// anchor is the name GitHub gives a heading.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// The tree that ARCHITECTURE.md draws is the tree there is, in the order of the listing.
func TestArchitectureNamesWhatExists(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatalf("the map of the tree is missing: %v", err)
	}
	_, section, ok := strings.Cut(string(b), "## The tree\n")
	_, section, fenced := strings.Cut(section, "```\n")
	drawing, _, closed := strings.Cut(section, "```")
	if !ok || !fenced || !closed {
		t.Fatal("ARCHITECTURE.md has no drawing under the heading The tree")
	}
	last := -1
	for line := range strings.Lines(drawing) {
		// A line is one name, or several, and after two spaces what they are.
		names, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		for _, name := range strings.Fields(names) {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("ARCHITECTURE.md draws %s, which does not exist", name)
			}
			if at := place(name); at >= 0 {
				if at < last {
					t.Errorf("ARCHITECTURE.md draws %s below %s, the listing has it above", name, tree[last].name)
				}
				last = at
			}
		}
	}
	if last < 0 {
		t.Error("the drawing names no package of the listing")
	}
}
