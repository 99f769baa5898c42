package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// ask is one request about one function, as the model sees it.
type ask struct {
	op       string
	function string
	code     int    // which of the packages, for create and update
	version  string // for aliases, and of what is read or removed
	alias    string
	revision string // the precondition; "" for none
}

// answered is what came back.
type answered struct {
	err      string // the error's code; "" for success
	busy     bool   // a conflict because of an update under way
	code     string // CodeSha256
	version  string
	revision string
	settled  bool
	versions []string // number=hash
}

// register is what a function is at one moment, by what has been answered. It
// is never changed: a step makes another.
type register struct {
	exists bool
	// mayBusy: an update has been accepted and nothing answered since shows that
	// it is done. It may be, without a request: so both answers are explained.
	mayBusy  bool
	code     string
	last     int
	versions map[string]string     // number → hash; fixed once it is there
	aliases  map[string]aliasState // by name
}

type aliasState struct{ version, revision string }

func (r register) clone() register {
	r.versions, r.aliases = maps.Clone(r.versions), maps.Clone(r.aliases)
	return r
}

// hashes are the CodeSha256 of the packages that the clients deploy.
var hashes = sync.OnceValue(func() []string { return make([]string, 3) })

// step tells whether an answer is one that a register explains, and what it is then.
func step(r register, in ask, out answered) (bool, register) {
	failed := func(code string) (bool, register) { return out.err == code && !out.busy, r }
	const gone, conflict, stale = "ResourceNotFoundException", "ResourceConflictException", "PreconditionFailedException"
	switch in.op {
	case "create":
		if r.exists {
			return failed(conflict)
		}
		now := register{exists: true, mayBusy: true, code: hashes()[in.code], versions: map[string]string{}, aliases: map[string]aliasState{}}
		return out.err == "" && out.code == now.code, now
	case "getAlias", "updateAlias", "createAlias", "deleteAlias":
		return stepAlias(r, in, out)
	}
	if !r.exists {
		return failed(gone)
	}
	if out.busy {
		return r.mayBusy, r
	}
	switch in.op {
	case "delete":
		return out.err == "", register{}
	case "get":
		if out.err != "" || out.code != r.code || !out.settled && !r.mayBusy {
			return false, r
		}
		r.mayBusy = !out.settled
		return true, r
	case "update":
		if out.err != "" || out.code != hashes()[in.code] {
			return false, r
		}
		r.code, r.mayBusy = out.code, true
		return true, r
	case "publish":
		if out.err != "" || out.code != r.code {
			return false, r
		}
		r.mayBusy = false // it is refused while an update is under way
		if last := strconv.Itoa(r.last); r.versions[last] == r.code {
			return out.version == last, r // nothing has changed since
		}
		now := r.clone()
		now.last++
		now.versions[strconv.Itoa(now.last)] = r.code
		return out.version == strconv.Itoa(now.last), now
	case "getVersion":
		if code, ok := r.versions[in.version]; ok {
			return out.err == "" && out.code == code, r
		}
		return failed(gone)
	case "deleteVersion":
		for _, a := range r.aliases {
			if _, there := r.versions[in.version]; there && a.version == in.version {
				return failed(conflict)
			}
		}
		now := r.clone()
		delete(now.versions, in.version)
		return out.err == "", now
	case "list":
		var want []string
		for number, code := range r.versions {
			want = append(want, number+"="+code)
		}
		slices.Sort(want)
		return out.err == "" && slices.Equal(out.versions, want), r
	}
	panic(in.op)
}

func stepAlias(r register, in ask, out answered) (bool, register) {
	failed := func(code string) (bool, register) { return out.err == code && !out.busy, r }
	const gone, conflict, stale = "ResourceNotFoundException", "ResourceConflictException", "PreconditionFailedException"
	a, there := r.aliases[in.alias]
	_, target := r.versions[in.version]
	switch {
	case !r.exists:
		return failed(gone)
	case in.op == "deleteAlias":
		now := r.clone()
		delete(now.aliases, in.alias)
		return out.err == "", now
	case in.op == "getAlias" && there:
		return out.err == "" && out.version == a.version && out.revision == a.revision, r
	case in.op != "createAlias" && !there:
		return failed(gone)
	case in.op == "updateAlias" && in.revision != "" && in.revision != a.revision:
		return failed(stale)
	case !target:
		return failed(gone)
	case in.op == "createAlias" && there:
		return failed(conflict)
	}
	now := r.clone()
	now.aliases[in.alias] = aliasState{in.version, out.revision}
	return out.err == "" && out.version == in.version && out.revision != a.revision, now
}

var functionModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, o := range history {
			name := o.Input.(ask).function
			by[name] = append(by[name], o)
		}
		return slices.Collect(maps.Values(by))
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		ok, next := step(state.(register), input.(ask), output.(answered))
		return ok, next
	},
	Equal: func(a, b any) bool {
		x, y := a.(register), b.(register)
		return x.exists == y.exists && x.mayBusy == y.mayBusy && x.code == y.code && x.last == y.last &&
			maps.Equal(x.versions, y.versions) && maps.Equal(x.aliases, y.aliases)
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

// do makes a request and takes down what was answered.
func do(ctx context.Context, api *lambda.Client, packages [][]byte, in ask) (answered, error) {
	var out answered
	var err error
	name, version := &in.function, &in.version
	seen := func(code, number *string, state types.State, update types.LastUpdateStatus) {
		out.code, out.version = aws.ToString(code), aws.ToString(number)
		out.settled = state == types.StateActive && update == types.LastUpdateStatusSuccessful
	}
	switch in.op {
	case "create":
		var o *lambda.CreateFunctionOutput
		o, err = api.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: aws.String(role), Runtime: custom,
			Handler: aws.String("bootstrap"), Code: &types.FunctionCode{ZipFile: packages[in.code]}})
		if err == nil {
			seen(o.CodeSha256, o.Version, o.State, o.LastUpdateStatus)
		}
	case "get", "getVersion":
		g := &lambda.GetFunctionConfigurationInput{FunctionName: name}
		if in.op == "getVersion" {
			g.Qualifier = version
		}
		var o *lambda.GetFunctionConfigurationOutput
		if o, err = api.GetFunctionConfiguration(ctx, g); err == nil {
			seen(o.CodeSha256, o.Version, o.State, o.LastUpdateStatus)
		}
	case "update":
		var o *lambda.UpdateFunctionCodeOutput
		o, err = api.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: packages[in.code]})
		if err == nil {
			seen(o.CodeSha256, o.Version, o.State, o.LastUpdateStatus)
		}
	case "publish":
		var o *lambda.PublishVersionOutput
		if o, err = api.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name}); err == nil {
			seen(o.CodeSha256, o.Version, o.State, o.LastUpdateStatus)
		}
	case "list":
		var o *lambda.ListVersionsByFunctionOutput
		if o, err = api.ListVersionsByFunction(ctx, &lambda.ListVersionsByFunctionInput{FunctionName: name}); err == nil {
			for _, v := range o.Versions[1:] {
				out.versions = append(out.versions, *v.Version+"="+*v.CodeSha256)
			}
			slices.Sort(out.versions)
			if o.NextMarker != nil {
				err = errors.New("there are more versions than a page holds")
			}
		}
	case "delete":
		_, err = api.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name})
	case "deleteVersion":
		_, err = api.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name, Qualifier: version})
	case "createAlias":
		var o *lambda.CreateAliasOutput
		if o, err = api.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: &in.alias, FunctionVersion: version}); err == nil {
			out.version, out.revision = *o.FunctionVersion, *o.RevisionId
		}
	case "updateAlias":
		u := &lambda.UpdateAliasInput{FunctionName: name, Name: &in.alias, FunctionVersion: version}
		if in.revision != "" {
			u.RevisionId = &in.revision
		}
		var o *lambda.UpdateAliasOutput
		if o, err = api.UpdateAlias(ctx, u); err == nil {
			out.version, out.revision = *o.FunctionVersion, *o.RevisionId
		}
	case "getAlias":
		var o *lambda.GetAliasOutput
		if o, err = api.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: name, Name: &in.alias}); err == nil {
			out.version, out.revision = *o.FunctionVersion, *o.RevisionId
		}
	case "deleteAlias":
		_, err = api.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: name, Name: &in.alias})
	}
	var refusal smithy.APIError
	if errors.As(err, &refusal) {
		out.err = refusal.ErrorCode()
		out.busy = strings.HasPrefix(refusal.ErrorMessage(), "The operation cannot be performed at this time.")
		return out, nil
	}
	return out, err
}

// chooseAsk draws a request. Reads and changes are about as many; aliases lead to
// versions that may or may not exist, with a revision that may be stale.
func chooseAsk(r *rand.Rand, revisions []string) ask {
	in := ask{function: fmt.Sprintf("fn-%d", r.IntN(10)), code: r.IntN(len(hashes())),
		version: strconv.Itoa(1 + r.IntN(6)), alias: []string{"blue", "green"}[r.IntN(2)]}
	ops := []string{
		"create", "create", "create", "update", "update", "update", "publish", "publish", "publish",
		"get", "getVersion", "getVersion", "list", "list", "createAlias", "createAlias",
		"updateAlias", "updateAlias", "updateAlias", "getAlias", "getAlias",
	}
	in.op = ops[r.IntN(len(ops))]
	switch r.IntN(160) { // seldom, so that functions get to have versions and aliases
	case 0, 1:
		in.op = "delete"
	case 2, 3, 4:
		in.op = "deleteAlias"
	case 5, 6, 7:
		in.op = "deleteVersion"
	}
	if in.op == "updateAlias" && len(revisions) > 0 && r.IntN(2) == 0 {
		in.revision = revisions[r.IntN(len(revisions))]
	}
	return in
}

// 32 clients create, update, publish, alias and delete the same ten functions at once. Whatever each is answered, some
// serial order of all requests explains it: published versions never change, numbers are not used twice, aliases and
// their revisions move in one step.
func TestConcurrentChangesAreLinearizable(t *testing.T) {
	const clients = 32
	each := 150
	if testing.Short() {
		each = 40
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("LAMBENT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("LAMBENT_SEED: %v", err)
		}
	}
	t.Logf("LAMBENT_SEED=%d", seed)
	s := serve(t, "--sandbox", "process")
	packages := make([][]byte, len(hashes()))
	for i := range packages {
		packages[i] = pack(t, map[string]string{"bootstrap": "#!/bin/sh\n# " + strconv.Itoa(i)})
		out, err := do(t.Context(), s.api(), packages, ask{op: "create", function: "sample-" + strconv.Itoa(i), code: i})
		if err != nil || out.code == "" {
			t.Fatal(out, err)
		}
		hashes()[i] = out.code
	}
	start := time.Now()
	histories := make([][]porcupine.Operation, clients)
	var wait sync.WaitGroup
	for c := range clients {
		wait.Go(func() {
			api := newClient(s.addr)
			r := rand.New(rand.NewPCG(seed, uint64(c)))
			var revisions []string
			for range each {
				in := chooseAsk(r, revisions)
				began := time.Since(start)
				out, err := do(t.Context(), api, packages, in)
				if err != nil {
					t.Errorf("%+v: %v", in, err)
					return
				}
				if out.revision != "" {
					revisions = append(revisions, out.revision)
				}
				histories[c] = append(histories[c], porcupine.Operation{
					ClientId: c, Input: in, Output: out, Call: int64(began), Return: int64(time.Since(start))})
			}
		})
	}
	wait.Wait()
	history := slices.Concat(histories...)
	outcomes := map[string]int{}
	for _, o := range history {
		out := o.Output.(answered)
		outcome := out.err
		if out.busy {
			outcome = "busy"
		}
		outcomes[o.Input.(ask).op+" "+outcome]++
	}
	for _, k := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%5d %s", outcomes[k], k)
	}
	result, info := porcupine.CheckOperationsVerbose(functionModel, history, 2*time.Minute)
	if result == porcupine.Ok {
		return
	}
	t.Errorf("%v: no serial order explains the answers", result)
	file, err := os.CreateTemp("", "linear-*.html")
	if err == nil {
		err = porcupine.Visualize(functionModel, info, file)
		t.Logf("the history as far as it is explained: %s (%v)", file.Name(), errors.Join(err, file.Close()))
	}
}

// The checker refuses what cannot be: it would tell if an answer were wrong.
func TestCheckerRefusesWrongHistories(t *testing.T) {
	hash := hashes()
	was := slices.Clone(hash)
	copy(hash, []string{"a", "b", "c"})
	defer copy(hash, was)
	op := func(at int64, in ask, out answered) porcupine.Operation {
		in.function = "fn"
		return porcupine.Operation{Input: in, Output: out, Call: at, Return: at + 1}
	}
	made := []porcupine.Operation{
		op(0, ask{op: "create", code: 0}, answered{code: "a"}),
		op(2, ask{op: "publish"}, answered{code: "a", version: "1"}),
		op(4, ask{op: "createAlias", alias: "blue", version: "1"}, answered{version: "1", revision: "r1"}),
		op(6, ask{op: "update", code: 1}, answered{code: "b"}),
		op(8, ask{op: "publish"}, answered{err: "ResourceConflictException", busy: true}),
		op(10, ask{op: "get"}, answered{code: "b", settled: true}),
		op(12, ask{op: "publish"}, answered{code: "b", version: "2"}),
	}
	if !porcupine.CheckOperations(functionModel, made) {
		t.Fatal("a right history is refused")
	}
	for what, wrong := range map[string]porcupine.Operation{
		"a published version has changed":            op(20, ask{op: "getVersion", version: "1"}, answered{code: "b", version: "1"}),
		"a number is used again":                     op(20, ask{op: "update", code: 2}, answered{code: "b"}),
		"a version is published twice":               op(20, ask{op: "publish"}, answered{code: "b", version: "3"}),
		"an update is under way that has ended":      op(20, ask{op: "update", code: 2}, answered{err: "ResourceConflictException", busy: true}),
		"a stale revision is taken":                  op(20, ask{op: "updateAlias", alias: "blue", version: "2", revision: "r0"}, answered{version: "2", revision: "r2"}),
		"an alias changes and its revision does not": op(20, ask{op: "updateAlias", alias: "blue", version: "2"}, answered{version: "2", revision: "r1"}),
		"a version goes that an alias leads to":      op(20, ask{op: "deleteVersion", version: "1"}, answered{}),
		"a version is missing":                       op(20, ask{op: "list"}, answered{versions: []string{"1=a"}}),
	} {
		if porcupine.CheckOperations(functionModel, append(slices.Clip(made), wrong)) {
			t.Errorf("not refused: %s", what)
		}
	}
}
