package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lambent-run/lambent"

// A package is a part of the tree (imported by what stands above it) or one of
// several implementations of its parent's contract, which only cmd chooses among.
type kind int

const (
	part kind = iota
	implementation
	common // every package may import it
)

// tree is the listing. Its order is import order: a package imports only what
// stands below it; an implementation, what stands below its parent, and its
// parent.
var tree = []struct {
	name string
	kind kind
}{
	{"cmd/lambent", part},
	{"cli", part},
	{"examples", part},
	{"examples/go", part},
	{"gateway", part},
	{"frontend", part},
	{"frontend/httpevent", part},
	{"frontend/wire", part},
	{"frontend/wire/internal/gen", part},
	{"control", part},
	{"control/live", part},
	{"invoke", part},
	{"admission", part},
	{"fleet", part},
	{"worker", part},
	{"worker/runtimeapi", part},
	{"worker/environment", part},
	{"worker/runtimes", implementation},
	{"worker/sandbox", part},
	{"worker/sandbox/cgroup", part},
	{"worker/sandbox/namespaces", implementation},
	{"worker/sandbox/process", implementation},
	{"worker/sandbox/fake", implementation},
	{"worker/sandbox/sandboxtest", implementation}, // the suite that all of them pass
	{"catalog", part},
	{"catalog/sqlite", implementation},
	{"catalog/catalogtest", implementation}, // the suite that both of the catalog's stores pass
	{"code", part},
	{"code/s3", implementation}, // of control's Objects
	{"signature", part},
	{"telemetry", common},
	{"lambda", common},
	{"internal/datadir", common},
	{"internal/ids", common},
	{"internal/layout", part},
	{"bench", part},
	{"bench/function", part},
	{"bench/web", part},
	{"e2e", part},
}

// never are imports that the order would allow and the design does not.
var never = map[string][]string{
	// It writes what should be; they watch the catalog and make it so. So functions
	// run while the control plane is down, and not the other way round.
	"control": {"invoke", "admission", "fleet", "worker"},
	// It is values, and the standard library is all they need.
	"lambda": {"internal"},
	// People's faces use the API that everyone uses.
	"cli": {"gateway", "frontend", "control", "invoke", "admission", "fleet", "worker", "catalog", "code"},
}

type pkg struct {
	ImportPath, Doc                    string
	Imports, TestImports, XTestImports []string
	name                               string // ImportPath within the module
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Doc,Imports,TestImports,XTestImports", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.name = strings.TrimPrefix(p.ImportPath, module+"/")
		all = append(all, p)
	}
}

func place(name string) int {
	for i, e := range tree {
		if e.name == name {
			return i
		}
	}
	return -1
}

// ours returns the imports that are packages of this module, by their names in it.
func ours(imports ...string) []string {
	var names []string
	for _, i := range imports {
		if name, ok := strings.CutPrefix(i, module+"/"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Every package stands in the listing and imports only what stands below it.
func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		seen[p.name] = true
		at := place(p.name)
		if at < 0 {
			t.Errorf("%s does not stand in the listing", p.name)
			continue
		}
		from := at + 1
		if tree[at].kind == implementation {
			from = place(path.Dir(p.name))
		}
		for _, i := range ours(p.Imports...) {
			to := place(i)
			switch {
			case to < 0: // told above
			case tree[to].kind == common && tree[at].kind != common:
			case to < from || to == at:
				t.Errorf("%s imports %s, which does not stand below it", p.name, i)
			case tree[to].kind == implementation && !strings.HasPrefix(p.name, "cmd/"):
				t.Errorf("%s imports %s: implementations are chosen in cmd alone", p.name, i)
			case slices.ContainsFunc(never[p.name], func(n string) bool { return i == n || strings.HasPrefix(i, n+"/") }):
				t.Errorf("%s imports %s", p.name, i)
			}
			if strings.HasPrefix(p.name, "internal/") && !strings.HasPrefix(i, "internal/") {
				t.Errorf("%s imports %s: it would not serve any other program", p.name, i)
			}
		}
	}
	for _, e := range tree {
		if !seen[e.name] {
			t.Errorf("the listing names %s, which does not exist", e.name)
		}
	}
}

// The tests from outside, and what Lambent is measured against, know nothing of what is inside.
func TestOutsidersImportNothing(t *testing.T) {
	for _, p := range packages(t) {
		if top, _, _ := strings.Cut(p.name, "/"); top != "e2e" && top != "bench" {
			continue
		}
		if got := ours(slices.Concat(p.Imports, p.TestImports, p.XTestImports)...); len(got) > 0 {
			t.Errorf("%s imports %v", p.name, got)
		}
	}
}

// Every package has a comment that says what it is.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.name)
		}
	}
}
