package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// generator draws operations that make sense in the world as it is now.
type generator struct {
	r        *rand.Rand
	now      world
	hosts    map[string]string // of function URLs that are or were: their last origins
	packages [][]byte          // of functions: the i-th returns i, and what its layers say
	layers   map[string][]byte // by the word that they say
}

// What names are drawn from: few enough that they meet again and again.
var (
	aliases    = []string{"blue", "green", "red"}
	layerNames = []string{"one", "three", "two"}
	accounts   = []string{"111111111111", "222222222222", "333333333333"}
)

func newGenerator(t *testing.T, r *rand.Rand) *generator {
	t.Helper()
	g := &generator{r: r, now: world{}, hosts: map[string]string{}, layers: map[string][]byte{}}
	for i := range 4 {
		g.packages = append(g.packages, pack(t, map[string]string{"handler.py": fmt.Sprintf(`
import importlib
words = [%d]
for layer in %q.split():
    try:
        words.append(importlib.import_module("layer_" + layer).word)
    except ModuleNotFoundError:
        pass
def handler(event, context):
    return " ".join(map(str, words))
`, i, strings.Join(layerNames, " "))}))
	}
	for _, layer := range layerNames {
		for i := range 3 {
			word := layer + strconv.Itoa(i)
			g.layers[word] = pack(t, map[string]string{"python/layer_" + layer + ".py": fmt.Sprintf("word = %q", word)})
		}
	}
	return g
}

// returns is what the function's version at a path returns.
func (g *generator) returns(path string) string {
	i := slices.IndexFunc(g.packages, func(zip []byte) bool { return digest(zip) == g.now[path+"/code"] })
	words := []string{strconv.Itoa(i)}
	for _, arn := range strings.Fields(g.now[path+"/layers"]) {
		words = append(words, g.now["#word/"+arn])
	}
	return strconv.Quote(strings.Join(words, " "))
}

// kinds are the operations by their names. One that makes no sense now is nil.
var kinds = map[string]func(*generator) *operation{
	"CreateFunction":                     (*generator).createFunction,
	"DeleteFunction":                     (*generator).deleteFunction,
	"UpdateFunctionCode":                 (*generator).updateCode,
	"UpdateFunctionConfiguration":        (*generator).updateConfiguration,
	"PublishVersion":                     (*generator).publishVersion,
	"DeleteFunction of a version":        (*generator).deleteVersion,
	"CreateAlias":                        (*generator).createAlias,
	"UpdateAlias":                        (*generator).updateAlias,
	"DeleteAlias":                        (*generator).deleteAlias,
	"TagResource":                        (*generator).tag,
	"UntagResource":                      (*generator).untag,
	"PutFunctionConcurrency":             (*generator).reserve,
	"DeleteFunctionConcurrency":          (*generator).unreserve,
	"PutFunctionRecursionConfig":         (*generator).recurse,
	"PutRuntimeManagementConfig":         (*generator).manageRuntime,
	"PutProvisionedConcurrencyConfig":    (*generator).provision,
	"DeleteProvisionedConcurrencyConfig": (*generator).unprovision,
	"AddPermission":                      (*generator).permit,
	"RemovePermission":                   (*generator).forbid,
	"PutResourcePolicy":                  (*generator).putPolicy,
	"DeleteResourcePolicy":               (*generator).deletePolicy,
	"CreateFunctionUrlConfig":            (*generator).createURL,
	"UpdateFunctionUrlConfig":            (*generator).updateURL,
	"DeleteFunctionUrlConfig":            (*generator).deleteURL,
	"PutFunctionEventInvokeConfig":       (*generator).putAsync,
	"UpdateFunctionEventInvokeConfig":    (*generator).updateAsync,
	"DeleteFunctionEventInvokeConfig":    (*generator).deleteAsync,
	"PutFunctionCodeSigningConfig":       (*generator).bindSigning,
	"DeleteFunctionCodeSigningConfig":    (*generator).unbindSigning,
	"CreateCodeSigningConfig":            (*generator).createSigning,
	"UpdateCodeSigningConfig":            (*generator).updateSigning,
	"DeleteCodeSigningConfig":            (*generator).deleteSigning,
	"PublishLayerVersion":                (*generator).publishLayer,
	"DeleteLayerVersion":                 (*generator).deleteLayer,
	"AddLayerVersionPermission":          (*generator).permitLayer,
	"RemoveLayerVersionPermission":       (*generator).forbidLayer,
	"CreateCapacityProvider":             (*generator).createProvider,
	"UpdateCapacityProvider":             (*generator).updateProvider,
	"DeleteCapacityProvider":             (*generator).deleteProvider,
}

// spared are the operations that change something and are not among kinds, with
// the reason.
var spared = map[string]string{
	"PutFunctionScalingConfig": "takes a function on managed instances, which never gets to run here",
	"CreateEventSourceMapping": "is not there yet",
	"UpdateEventSourceMapping": "is not there yet",
	"DeleteEventSourceMapping": "is not there yet",
}

// A new operation that changes what the catalog holds has to outlive kill -9, too.
func TestEveryChangeIsKilled(t *testing.T) {
	changes := []string{"Add", "Create", "Delete", "Publish", "Put", "Remove", "Tag", "Untag", "Update"}
	api := reflect.TypeFor[*lambda.Client]()
	for i := range api.NumMethod() {
		name := api.Method(i).Name
		if slices.ContainsFunc(changes, func(verb string) bool { return strings.HasPrefix(name, verb) }) && (kinds[name] == nil) == (spared[name] == "") {
			t.Errorf("%s is not among the operations during which the server is killed, or also among the spared", name)
		}
	}
	_, err := serve(t).api().CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("f")})
	if code(err) != "NotImplementedException" {
		t.Errorf("event source mappings need not be spared any more: %v", err)
	}
}

func (g *generator) operations() []string { return slices.Sorted(maps.Keys(kinds)) }

// batch draws at most n operations to be made at once, each about others than
// the rest are about, so that their order does not matter.
func (g *generator) batch(n int) (ops []*operation) {
	for p, fact := range g.now {
		if url, ok := strings.CutSuffix(p, "/host"); ok && fact != unknown {
			g.hosts[fact] = g.now[url+"/origins"]
		}
	}
	taken := map[string]bool{}
	for tries := 0; len(ops) < n && tries < 100; tries++ {
		name := pick(g.r, g.operations())
		if len(ops) == 0 && len(g.now.below("function")) < 4 {
			name = "CreateFunction" // what all is about
		}
		op := kinds[name](g)
		if op == nil || slices.ContainsFunc(op.about, func(what string) bool { return taken[what] || strings.HasSuffix(what, "/") }) {
			continue // about what another one is about, or about a function where there is none
		}
		op.name = name
		for _, what := range op.about {
			taken[what] = true
		}
		ops = append(ops, op)
	}
	return ops
}

func pick[E any](r *rand.Rand, from []E) E { return from[r.IntN(len(from))] }

func (g *generator) word() string { return strconv.FormatUint(g.r.Uint64(), 36) }

// one draws a name that follows a path, "" if none does.
func (g *generator) one(path string) string {
	names := g.now.below(path)
	if len(names) == 0 {
		return ""
	}
	return pick(g.r, names)
}

// about is a function that there is, as the subject of an operation.
func (g *generator) about() (name *string, path string) {
	n := g.one("function")
	return &n, "function/" + n
}

// setting draws a function and one of its qualifiers, of the kinds named, at
// which there is a setting or at which there is none. The qualifier is "" if
// there are no such.
func (g *generator) setting(name string, there bool, kinds ...string) (function *string, qualifier, path string) {
	type place struct{ function, qualifier, path string }
	var fit []place
	for _, f := range g.now.below("function") {
		for _, kind := range kinds {
			qualifiers := []string{"$LATEST"}
			if kind != "latest" {
				qualifiers = g.now.below("function/" + f + "/" + kind)
			}
			for _, q := range qualifiers {
				if path := "function/" + f + "/at/" + q + "/" + name; g.now.has(path) == there {
					fit = append(fit, place{f, q, path})
				}
			}
		}
	}
	if len(fit) == 0 {
		return new(string), "", ""
	}
	p := pick(g.r, fit)
	return &p.function, p.qualifier, p.path
}

// named is how a request names a qualifier: $LATEST by saying nothing.
func named(qualifier string) *string {
	if qualifier == "$LATEST" {
		return nil
	}
	return &qualifier
}

// published makes the next version of what $LATEST is in the world, unless the
// last one was made of the same, and returns its number.
func (w world) published(path string) string {
	last := w[path+"/#last"]
	same := w.has(path + "/version/" + last)
	for _, fact := range []string{"description", "timeout", "code", "layers"} {
		same = same && w[path+"/version/"+last+"/"+fact] == w[path+"/latest/"+fact]
	}
	if same {
		return last
	}
	n, _ := strconv.Atoi(last) // a note of this test
	number := strconv.Itoa(n + 1)
	for _, fact := range w.below(path + "/latest") {
		w[path+"/version/"+number+"/"+fact] = w[path+"/latest/"+fact]
	}
	w[path+"/version/"+number+"/revision"] = unknown
	w[path+"/latest/revision"] = unknown
	w[path+"/#last"] = number
	return number
}

func (g *generator) createFunction() *operation {
	if len(g.now.below("function")) >= 8 {
		return nil
	}
	name := "f" + g.word()
	path, code, timeout, publish := "function/"+name, pick(g.r, g.packages), int32(10+g.r.IntN(50)), g.r.IntN(3) == 0
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: aws.String(role), Runtime: python, MemorySize: aws.Int32(1769),
			Handler: aws.String("handler.handler"), Timeout: &timeout, Code: &types.FunctionCode{ZipFile: code}, Publish: publish})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.version(path+"/latest", o.Description, o.Timeout, o.CodeSha256, o.Layers, o.LastModified)
		return told, nil
	}, apply: func(w world) {
		w[path+"/latest/description"], w[path+"/latest/layers"], w[path+"/latest/modified"], w[path+"/latest/revision"] = "", "", unknown, unknown
		w[path+"/latest/timeout"], w[path+"/latest/code"] = fmt.Sprint(timeout), digest(code)
		w[path+"/recursion"], w[path+"/#last"] = "Terminate", "0"
		if publish {
			w.published(path)
		}
	}}
}

func (g *generator) deleteFunction() *operation {
	if g.r.IntN(3) > 0 || len(g.now.below("function")) < 4 {
		return nil // functions should live for a while
	}
	name, path := g.about()
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}

func (g *generator) updateCode() *operation {
	name, path := g.about()
	code, publish := pick(g.r, g.packages), g.r.IntN(3) == 0
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: code, Publish: publish})
		if err != nil {
			return nil, err
		}
		told := world{}
		at := path + "/" + versionPath(*o.Version)
		if told.version(at, o.Description, o.Timeout, o.CodeSha256, o.Layers, o.LastModified); publish {
			told[at+"/revision"] = *o.RevisionId // that of $LATEST changes once more
		}
		return told, nil
	}, apply: func(w world) {
		w[path+"/latest/code"], w[path+"/latest/modified"], w[path+"/latest/revision"] = digest(code), unknown, unknown
		if publish {
			w.published(path)
		}
	}}
}

func (g *generator) updateConfiguration() *operation {
	name, path := g.about()
	in := &lambda.UpdateFunctionConfigurationInput{FunctionName: name, Timeout: aws.Int32(int32(10 + g.r.IntN(50))), Description: aws.String(g.word())}
	about := []string{path}
	if g.r.IntN(2) == 0 {
		in.Layers = []string{}
		for _, layer := range g.now.below("layer") {
			if number := g.one("layer/" + layer); number != "" && g.r.IntN(2) == 0 {
				in.Layers = append(in.Layers, layerARN(layer, number))
				about = append(about, "layer/"+layer)
			}
		}
	}
	return &operation{about: about, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.UpdateFunctionConfiguration(ctx, in)
		if err != nil {
			return nil, err
		}
		told := world{}
		told.version(path+"/latest", o.Description, o.Timeout, o.CodeSha256, o.Layers, o.LastModified)
		return told, nil
	}, apply: func(w world) {
		w[path+"/latest/timeout"], w[path+"/latest/description"] = fmt.Sprint(*in.Timeout), *in.Description
		w[path+"/latest/modified"], w[path+"/latest/revision"] = unknown, unknown
		if in.Layers != nil {
			w[path+"/latest/layers"] = strings.Join(in.Layers, " ")
		}
	}}
}

func (g *generator) publishVersion() *operation {
	name, path := g.about()
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name})
		if err != nil {
			return nil, err
		}
		told := world{}
		at := path + "/version/" + *o.Version
		told.version(at, o.Description, o.Timeout, o.CodeSha256, o.Layers, o.LastModified)
		told[at+"/revision"] = *o.RevisionId
		return told, nil
	}, apply: func(w world) { w.published(path) }}
}

func (g *generator) deleteVersion() *operation {
	name, path := g.about()
	number := g.one(path + "/version")
	led := slices.ContainsFunc(g.now.below(path+"/alias"), func(a string) bool { return g.now[path+"/alias/"+a+"/version"] == number })
	if number == "" || led {
		return nil
	}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name, Qualifier: &number})
		return nil, err
	}, apply: func(w world) {
		w.drop(path + "/version/" + number)
		w.drop(path + "/at/" + number)
	}}
}

// target draws where an alias may lead.
func (g *generator) target(path string) string {
	if number := g.one(path + "/version"); number != "" && g.r.IntN(4) > 0 {
		return number
	}
	return "$LATEST"
}

func (g *generator) createAlias() *operation {
	name, path := g.about()
	alias, version := pick(g.r, aliases), g.target(path)
	if g.now.has(path + "/alias/" + alias) {
		return nil
	}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: &alias, FunctionVersion: &version})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.alias(path, o.Name, o.FunctionVersion, o.RevisionId)
		return told, nil
	}, apply: func(w world) {
		w[path+"/alias/"+alias+"/version"], w[path+"/alias/"+alias+"/revision"] = version, unknown
	}}
}

func (g *generator) updateAlias() *operation {
	name, path := g.about()
	alias, version := g.one(path+"/alias"), g.target(path)
	if alias == "" {
		return nil
	}
	at := path + "/alias/" + alias
	in := &lambda.UpdateAliasInput{FunctionName: name, Name: &alias, FunctionVersion: &version, RevisionId: aws.String(g.now[at+"/revision"])}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.UpdateAlias(ctx, in)
		if err != nil {
			return nil, err
		}
		told := world{}
		told.alias(path, o.Name, o.FunctionVersion, o.RevisionId)
		return told, nil
	}, apply: func(w world) { w[at+"/version"], w[at+"/revision"] = version, unknown }}
}

func (g *generator) deleteAlias() *operation {
	name, path := g.about()
	alias := g.one(path + "/alias")
	if alias == "" || g.r.IntN(3) == 0 {
		return nil
	}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: name, Name: &alias})
		return nil, err
	}, apply: func(w world) {
		w.drop(path + "/alias/" + alias)
		w.drop(path + "/at/" + alias)
	}}
}

// taggable draws something that has tags, or may have.
func (g *generator) taggable(path string) (at, resource string) {
	switch at = path + "/" + g.one(path); path {
	case "function":
		return at, arn + strings.TrimPrefix(at, "function/")
	case "provider":
		return at, providerARN(strings.TrimPrefix(at, "provider/"))
	}
	return at, g.now[at+"/arn"]
}

var taggables = []string{"function", "function", "provider", "signing"}

// tagged is what comes of changed tags: a function's revision changes with them.
func (w world) tagged(path string) {
	if strings.HasPrefix(path, "function/") {
		w[path+"/latest/revision"] = unknown
	}
}

func (g *generator) tag() *operation {
	path, resource := g.taggable(pick(g.r, taggables))
	key, value := "k"+strconv.Itoa(g.r.IntN(4)), g.word()
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.TagResource(ctx, &lambda.TagResourceInput{Resource: &resource, Tags: map[string]string{key: value}})
		return nil, err
	}, apply: func(w world) {
		w[path+"/tag/"+key] = value
		w.tagged(path)
	}}
}

func (g *generator) untag() *operation {
	path, resource := g.taggable(pick(g.r, taggables))
	key := g.one(path + "/tag")
	if key == "" {
		return nil
	}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.UntagResource(ctx, &lambda.UntagResourceInput{Resource: &resource, TagKeys: []string{key}})
		return nil, err
	}, apply: func(w world) {
		w.drop(path + "/tag/" + key)
		w.tagged(path)
	}}
}

// reserve never asks for less than what provision may have asked for.
func (g *generator) reserve() *operation {
	name, path := g.about()
	n := int32(80 + g.r.IntN(20))
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: &n})
		if err != nil {
			return nil, err
		}
		return world{path + "/reserved": fmt.Sprint(*o.ReservedConcurrentExecutions)}, nil
	}, apply: func(w world) { w[path+"/reserved"] = fmt.Sprint(n) }}
}

func (g *generator) unreserve() *operation {
	name, path := g.about()
	if !g.now.has(path + "/reserved") {
		return nil
	}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: name})
		return nil, err
	}, apply: func(w world) { w.drop(path + "/reserved") }}
}

func (g *generator) recurse() *operation {
	name, path := g.about()
	loop := pick(g.r, types.RecursiveLoop("").Values())
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.PutFunctionRecursionConfig(ctx, &lambda.PutFunctionRecursionConfigInput{FunctionName: name, RecursiveLoop: loop})
		if err != nil {
			return nil, err
		}
		return world{path + "/recursion": string(o.RecursiveLoop)}, nil
	}, apply: func(w world) { w[path+"/recursion"] = string(loop) }}
}

func (g *generator) manageRuntime() *operation {
	name, q, path := g.setting("runtime", g.r.IntN(2) == 0, "latest", "version", "alias")
	if q == "" {
		return nil
	}
	on := types.UpdateRuntimeOnFunctionUpdate
	if g.now.has(path) {
		on = types.UpdateRuntimeOnAuto
	}
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.PutRuntimeManagementConfig(ctx, &lambda.PutRuntimeManagementConfigInput{FunctionName: name, Qualifier: named(q), UpdateRuntimeOn: on})
		return nil, err
	}, apply: func(w world) {
		if w.drop(path); on != types.UpdateRuntimeOnAuto {
			w[path] = string(on)
		}
	}}
}

func (g *generator) provision() *operation {
	name, q, path := g.setting("provisioned", false, "version", "alias")
	if q == "" || g.now["function/"+*name+"/alias/"+q+"/version"] == "$LATEST" || g.provisioned() >= 2 {
		return nil
	}
	n := int32(1 + g.r.IntN(2))
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.PutProvisionedConcurrencyConfig(ctx, &lambda.PutProvisionedConcurrencyConfigInput{FunctionName: name, Qualifier: &q, ProvisionedConcurrentExecutions: &n})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.provisioned("function/"+*name, q, o.RequestedProvisionedConcurrentExecutions, o.LastModified)
		return told, nil
	}, apply: func(w world) { w[path+"/requested"], w[path+"/modified"] = fmt.Sprint(n), unknown }}
}

// provisioned is how many qualifiers are: few, lest the machine does little else
// than to start environments after each kill.
func (g *generator) provisioned() (n int) {
	for p := range g.now {
		if strings.HasSuffix(p, "/provisioned/requested") {
			n++
		}
	}
	return n
}

func (g *generator) unprovision() *operation {
	name, q, path := g.setting("provisioned", true, "version", "alias")
	if q == "" || g.now["function/"+*name+"/alias/"+q+"/version"] == "$LATEST" {
		return nil
	}
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteProvisionedConcurrencyConfig(ctx, &lambda.DeleteProvisionedConcurrencyConfigInput{FunctionName: name, Qualifier: &q})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}

// grant adds a statement to a policy.
func (w world) grant(path, sid, account string) {
	w[path+"/policy/statements"] = strings.TrimSpace(w[path+"/policy/statements"] + " " + sid + "=arn:aws:iam::" + account + ":root")
	w[path+"/policy/revision"] = unknown
}

// revoke takes a statement from a policy, and the policy with its last one.
func (w world) revoke(path, statement string) {
	left := slices.DeleteFunc(strings.Fields(w[path+"/policy/statements"]), func(s string) bool { return s == statement })
	if len(left) == 0 {
		w.drop(path + "/policy")
		return
	}
	w[path+"/policy/statements"], w[path+"/policy/revision"] = strings.Join(left, " "), unknown
}

// sid draws a statement that a policy does not have.
func (g *generator) sid(path string) string {
	sid := "s" + strconv.Itoa(g.r.IntN(8))
	if strings.Contains(g.now[path+"/policy/statements"], sid+"=") {
		return ""
	}
	return sid
}

// statement draws one that a policy has.
func (g *generator) statement(path string) (statement, sid string) {
	if all := strings.Fields(g.now[path+"/policy/statements"]); len(all) > 0 {
		statement = pick(g.r, all)
	}
	sid, _, _ = strings.Cut(statement, "=")
	return statement, sid
}

func (g *generator) permit() *operation {
	name, q, path := g.setting("policy", g.r.IntN(2) == 0, "latest", "version", "alias")
	path = strings.TrimSuffix(path, "/policy")
	sid, principal := g.sid(path), pick(g.r, accounts)
	if q == "" || sid == "" {
		return nil
	}
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: name, Qualifier: named(q), StatementId: &sid,
			Action: aws.String("lambda:InvokeFunction"), Principal: &principal})
		return nil, err
	}, apply: func(w world) { w.grant(path, sid, principal) }}
}

func (g *generator) forbid() *operation {
	name, q, path := g.setting("policy", true, "latest", "version", "alias")
	if q == "" {
		return nil
	}
	path = strings.TrimSuffix(path, "/policy")
	statement, sid := g.statement(path)
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.RemovePermission(ctx, &lambda.RemovePermissionInput{FunctionName: name, Qualifier: named(q), StatementId: &sid})
		return nil, err
	}, apply: func(w world) { w.revoke(path, statement) }}
}

// policyOf names what has a policy in a call that takes an ARN.
func policyOf(name, qualifier string) *string {
	if qualifier == "$LATEST" {
		return aws.String(arn + name)
	}
	return aws.String(arn + name + ":" + qualifier)
}

func (g *generator) putPolicy() *operation {
	name, q, path := g.setting("policy", g.r.IntN(2) == 0, "latest", "version", "alias")
	if q == "" {
		return nil
	}
	path = strings.TrimSuffix(path, "/policy")
	var statements []string
	wanted := world{}
	for _, sid := range []string{"s0", "s1"}[:1+g.r.IntN(2)] {
		principal := pick(g.r, accounts)
		wanted.grant(path, sid, principal)
		statements = append(statements, fmt.Sprintf(`{"Sid": %q, "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::%s:root"}, "Action": "lambda:InvokeFunction", "Resource": %q}`,
			sid, principal, *policyOf(*name, q)))
	}
	text := `{"Version": "2012-10-17", "Statement": [` + strings.Join(statements, ", ") + `]}`
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.PutResourcePolicy(ctx, &lambda.PutResourcePolicyInput{ResourceArn: policyOf(*name, q), Policy: &text})
		if err != nil {
			return nil, err
		}
		return world{path + "/policy/revision": *o.RevisionId}, nil
	}, apply: func(w world) { maps.Copy(w, wanted) }}
}

func (g *generator) deletePolicy() *operation {
	name, q, path := g.setting("policy", true, "latest", "version", "alias")
	if q == "" {
		return nil
	}
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteResourcePolicy(ctx, &lambda.DeleteResourcePolicyInput{ResourceArn: policyOf(*name, q)})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}

func (g *generator) cors() *types.Cors {
	return &types.Cors{AllowOrigins: []string{"https://" + g.word() + ".example"}}
}

func (g *generator) createURL() *operation {
	name, q, path := g.setting("url", false, "latest", "alias")
	if q == "" {
		return nil
	}
	auth, cors := pick(g.r, types.FunctionUrlAuthType("").Values()), g.cors()
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: name, Qualifier: named(q), AuthType: auth, Cors: cors})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.url("function/"+*name, o.FunctionArn, o.FunctionUrl, o.CreationTime, nil, o.AuthType, o.Cors)
		return told, nil
	}, apply: func(w world) {
		w[path+"/host"], w[path+"/created"], w[path+"/modified"] = unknown, unknown, unknown
		w[path+"/auth"], w[path+"/origins"] = string(auth), cors.AllowOrigins[0]
	}}
}

func (g *generator) updateURL() *operation {
	name, q, path := g.setting("url", true, "latest", "alias")
	if q == "" {
		return nil
	}
	auth, cors := pick(g.r, types.FunctionUrlAuthType("").Values()), g.cors()
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.UpdateFunctionUrlConfig(ctx, &lambda.UpdateFunctionUrlConfigInput{FunctionName: name, Qualifier: named(q), AuthType: auth, Cors: cors})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.url("function/"+*name, o.FunctionArn, o.FunctionUrl, o.CreationTime, o.LastModifiedTime, o.AuthType, o.Cors)
		return told, nil
	}, apply: func(w world) {
		w[path+"/auth"], w[path+"/origins"], w[path+"/modified"] = string(auth), cors.AllowOrigins[0], unknown
	}}
}

func (g *generator) deleteURL() *operation {
	name, q, path := g.setting("url", true, "latest", "alias")
	if q == "" {
		return nil
	}
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteFunctionUrlConfig(ctx, &lambda.DeleteFunctionUrlConfigInput{FunctionName: name, Qualifier: named(q)})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}

func (g *generator) putAsync() *operation {
	name, q, path := g.setting("async", g.r.IntN(2) == 0, "latest", "version", "alias")
	if q == "" {
		return nil
	}
	in := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: name, Qualifier: named(q), MaximumRetryAttempts: aws.Int32(int32(g.r.IntN(3)))}
	if g.r.IntN(2) == 0 {
		in.MaximumEventAgeInSeconds = aws.Int32(int32(60 + g.r.IntN(1000)))
	}
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.PutFunctionEventInvokeConfig(ctx, in)
		if err != nil {
			return nil, err
		}
		told := world{}
		told.async("function/"+*name, o.FunctionArn, o.MaximumRetryAttempts, o.MaximumEventAgeInSeconds, o.DestinationConfig, o.LastModified)
		return told, nil
	}, apply: func(w world) {
		w.drop(path) // it replaces what was
		w[path+"/retries"], w[path+"/modified"] = fmt.Sprint(*in.MaximumRetryAttempts), unknown
		if in.MaximumEventAgeInSeconds != nil {
			w[path+"/age"] = fmt.Sprint(*in.MaximumEventAgeInSeconds)
		}
	}}
}

func (g *generator) updateAsync() *operation {
	name, q, path := g.setting("async", true, "latest", "version", "alias")
	if q == "" {
		return nil
	}
	queue := "arn:aws:sqs:" + region + ":" + account + ":" + g.word()
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.UpdateFunctionEventInvokeConfig(ctx, &lambda.UpdateFunctionEventInvokeConfigInput{FunctionName: name, Qualifier: named(q),
			DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: &queue}}})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.async("function/"+*name, o.FunctionArn, o.MaximumRetryAttempts, o.MaximumEventAgeInSeconds, o.DestinationConfig, o.LastModified)
		return told, nil
	}, apply: func(w world) { w[path+"/failure"], w[path+"/modified"] = queue, unknown }}
}

func (g *generator) deleteAsync() *operation {
	name, q, path := g.setting("async", true, "latest", "version", "alias")
	if q == "" {
		return nil
	}
	return &operation{about: []string{"function/" + *name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteFunctionEventInvokeConfig(ctx, &lambda.DeleteFunctionEventInvokeConfigInput{FunctionName: name, Qualifier: named(q)})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}

func (g *generator) bindSigning() *operation {
	name, path := g.about()
	signing := g.one("signing")
	if signing == "" {
		return nil
	}
	csc := g.now["signing/"+signing+"/arn"]
	return &operation{about: []string{path, "signing/" + signing}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.PutFunctionCodeSigningConfig(ctx, &lambda.PutFunctionCodeSigningConfigInput{FunctionName: name, CodeSigningConfigArn: &csc})
		return nil, err
	}, apply: func(w world) { w[path+"/signing"] = signing }}
}

func (g *generator) unbindSigning() *operation {
	name, path := g.about()
	if !g.now.has(path + "/signing") {
		return nil
	}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteFunctionCodeSigningConfig(ctx, &lambda.DeleteFunctionCodeSigningConfigInput{FunctionName: name})
		return nil, err
	}, apply: func(w world) { w.drop(path + "/signing") }}
}

// publishers sign nothing here: the policy of every configuration is to warn.
func (g *generator) publishers() *types.AllowedPublishers {
	profile := "arn:aws:signer:" + region + ":" + account + ":/signing-profiles/profile/" + g.word()
	return &types.AllowedPublishers{SigningProfileVersionArns: []string{profile}}
}

func (g *generator) createSigning() *operation {
	if len(g.now.below("signing")) >= 4 {
		return nil
	}
	description, by := g.word(), g.publishers() // the ARN is the server's to choose
	path := "signing/" + description
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.CreateCodeSigningConfig(ctx, &lambda.CreateCodeSigningConfigInput{Description: &description, AllowedPublishers: by})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.signing(o.CodeSigningConfig)
		return told, nil
	}, apply: func(w world) {
		w[path+"/arn"], w[path+"/modified"], w[path+"/publishers"] = unknown, unknown, by.SigningProfileVersionArns[0]
	}}
}

func (g *generator) updateSigning() *operation {
	description, by := g.one("signing"), g.publishers()
	if description == "" {
		return nil
	}
	path := "signing/" + description
	csc := g.now[path+"/arn"]
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.UpdateCodeSigningConfig(ctx, &lambda.UpdateCodeSigningConfigInput{CodeSigningConfigArn: &csc, AllowedPublishers: by})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.signing(o.CodeSigningConfig)
		return told, nil
	}, apply: func(w world) { w[path+"/modified"], w[path+"/publishers"] = unknown, by.SigningProfileVersionArns[0] }}
}

func (g *generator) deleteSigning() *operation {
	description := g.one("signing")
	bound := slices.ContainsFunc(g.now.below("function"), func(f string) bool { return g.now["function/"+f+"/signing"] == description })
	if description == "" || bound {
		return nil
	}
	path := "signing/" + description
	csc := g.now[path+"/arn"]
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteCodeSigningConfig(ctx, &lambda.DeleteCodeSigningConfigInput{CodeSigningConfigArn: &csc})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}

func layerARN(name, number string) string {
	return "arn:aws:lambda:" + region + ":" + account + ":layer:" + name + ":" + number
}

func (g *generator) publishLayer() *operation {
	name, description := pick(g.r, layerNames), g.word()
	word := name + strconv.Itoa(g.r.IntN(3))
	path, zip := "layer/"+name, g.layers[word]
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{LayerName: &name, Description: &description,
			Content: &types.LayerVersionContentInput{ZipFile: zip}})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.layer(name, o.Version, o.Description, o.CreatedDate, o.Content)
		return told, nil
	}, apply: func(w world) {
		last, _ := strconv.Atoi(w["#last/"+path]) // a note of this test; numbers are not used again
		number := strconv.Itoa(last + 1)
		w["#last/"+path], w["#word/"+layerARN(name, number)] = number, word
		path := path + "/" + number
		w[path+"/description"], w[path+"/code"], w[path+"/created"] = description, digest(zip), unknown
	}}
}

// layer draws a version of a layer.
func (g *generator) layer() (name string, number *int64, path string) {
	if name = g.one("layer"); name == "" {
		return "", nil, ""
	}
	n, _ := strconv.ParseInt(g.one("layer/"+name), 10, 64) // a path of this test
	return name, &n, fmt.Sprintf("layer/%s/%d", name, n)
}

func (g *generator) deleteLayer() *operation {
	name, number, path := g.layer()
	if name == "" {
		return nil
	}
	return &operation{about: []string{"layer/" + name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteLayerVersion(ctx, &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: number})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}

func (g *generator) permitLayer() *operation {
	name, number, path := g.layer()
	sid, principal := g.sid(path), pick(g.r, accounts)
	if name == "" || sid == "" {
		return nil
	}
	return &operation{about: []string{"layer/" + name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.AddLayerVersionPermission(ctx, &lambda.AddLayerVersionPermissionInput{LayerName: &name, VersionNumber: number, StatementId: &sid,
			Action: aws.String("lambda:GetLayerVersion"), Principal: &principal})
		if err != nil {
			return nil, err
		}
		return world{path + "/policy/revision": *o.RevisionId}, nil
	}, apply: func(w world) { w.grant(path, sid, principal) }}
}

func (g *generator) forbidLayer() *operation {
	name, number, path := g.layer()
	statement, sid := g.statement(path)
	if statement == "" {
		return nil
	}
	return &operation{about: []string{"layer/" + name}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.RemoveLayerVersionPermission(ctx, &lambda.RemoveLayerVersionPermissionInput{LayerName: &name, VersionNumber: number, StatementId: &sid})
		return nil, err
	}, apply: func(w world) { w.revoke(path, statement) }}
}

func providerARN(name string) string {
	return "arn:aws:lambda:" + region + ":" + account + ":capacity-provider:" + name
}

func (g *generator) createProvider() *operation {
	name, vcpu := "provider-"+strconv.Itoa(g.r.IntN(4)), int32(2+g.r.IntN(1000))
	path := "provider/" + name
	if g.now.has(path) {
		return nil
	}
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.CreateCapacityProvider(ctx, &lambda.CreateCapacityProviderInput{CapacityProviderName: &name,
			VpcConfig:                     &types.CapacityProviderVpcConfig{SubnetIds: []string{"subnet-0123456789abcdef0"}, SecurityGroupIds: []string{}},
			PermissionsConfig:             &types.CapacityProviderPermissionsConfig{CapacityProviderOperatorRoleArn: aws.String(role)},
			CapacityProviderScalingConfig: &types.CapacityProviderScalingConfig{MaxVCpuCount: &vcpu}})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.provider(o.CapacityProvider)
		return told, nil
	}, apply: func(w world) { w[path+"/vcpu"], w[path+"/modified"] = fmt.Sprint(vcpu), unknown }}
}

func (g *generator) updateProvider() *operation {
	name, vcpu := g.one("provider"), int32(2+g.r.IntN(1000))
	if name == "" {
		return nil
	}
	path := "provider/" + name
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		o, err := c.UpdateCapacityProvider(ctx, &lambda.UpdateCapacityProviderInput{CapacityProviderName: &name,
			CapacityProviderScalingConfig: &types.CapacityProviderScalingConfig{MaxVCpuCount: &vcpu}})
		if err != nil {
			return nil, err
		}
		told := world{}
		told.provider(o.CapacityProvider)
		return told, nil
	}, apply: func(w world) { w[path+"/vcpu"], w[path+"/modified"] = fmt.Sprint(vcpu), unknown }}
}

func (g *generator) deleteProvider() *operation {
	name := g.one("provider")
	if name == "" {
		return nil
	}
	path := "provider/" + name
	return &operation{about: []string{path}, call: func(ctx context.Context, c *lambda.Client) (world, error) {
		_, err := c.DeleteCapacityProvider(ctx, &lambda.DeleteCapacityProviderInput{CapacityProviderName: &name})
		return nil, err
	}, apply: func(w world) { w.drop(path) }}
}
