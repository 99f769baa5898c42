package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// world is everything that the control plane should say, as facts by path: at
// "function/f/alias/blue/version" is "3". What a path leads through is there as
// long as anything is below it. What the server chooses itself (ids, revisions,
// dates) is unknown until an answer or a read has told it, and from then on
// stays until a call changes it. Paths with a # are notes of the test that
// cannot be seen from outside.
type world map[string]string

const unknown = "?"

// below lists the names that follow a path.
func (w world) below(path string) []string {
	names := map[string]bool{}
	for p := range w {
		if rest, ok := strings.CutPrefix(p, path+"/"); ok && !strings.HasPrefix(rest, "#") {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (w world) has(path string) bool { return w[path] != "" || len(w.below(path)) > 0 }

// drop removes a path with everything below it.
func (w world) drop(path string) {
	maps.DeleteFunc(w, func(p, _ string) bool { return p == path || strings.HasPrefix(p, path+"/") })
}

// learn takes over what is not known yet.
func (w world) learn(told world) {
	for p, fact := range told {
		if w[p] == unknown {
			w[p] = fact
		}
	}
}

// differences lists where got is otherwise.
func (w world) differences(got world) (lines []string) {
	for p, want := range w {
		switch fact, there := got[p]; {
		case strings.Contains(p, "#"):
		case !there:
			lines = append(lines, fmt.Sprintf("%s is missing, want %q", p, want))
		case fact != want:
			lines = append(lines, fmt.Sprintf("%s is %q, want %q", p, fact, want))
		}
	}
	for p, fact := range got {
		if _, there := w[p]; !there {
			lines = append(lines, fmt.Sprintf("%s is %q, want nothing", p, fact))
		}
	}
	slices.Sort(lines)
	return lines
}

// operation is one call of the control plane, and what it makes of a world in
// which it is answered well.
type operation struct {
	name    string   // as the API has it
	about   []string // the resources that it reads or changes
	call    func(context.Context, *lambda.Client) (told world, err error)
	apply   func(world)
	outcome error // of the call; nil if it was answered well
	told    world
}

func (op *operation) String() string { return op.name + " " + strings.Join(op.about, " ") }

// refused tells that an operation was answered by an error, after which nothing
// may have changed. The only good reasons are those that depend on what else
// goes on: an update in progress, an alias whose version is provisioned.
func (op *operation) refused(t *testing.T) bool {
	t.Helper()
	var refusal smithy.APIError
	if !errors.As(op.outcome, &refusal) {
		return false
	}
	if refusal.ErrorCode() != "ResourceConflictException" {
		t.Fatalf("%s: %v", op, refusal)
	}
	return true
}

// follow makes of the world what an operation that was answered well made of
// it, and compares that with the answer.
func (op *operation) follow(t *testing.T, w world) {
	t.Helper()
	op.apply(w)
	w.learn(op.told)
	for p, said := range op.told {
		if w[p] != said {
			t.Fatalf("%s was answered with %q at %s, want %q", op, said, p, w[p])
		}
	}
}

// explain finds which of the lost operations, of which no answer tells, must
// have happened for the world to be what was got, and returns that world. No two
// of them are about the same, so that their order says nothing. If none of the
// possible worlds is the one, wrong says what is otherwise in the nearest.
func explain(now, got world, lost []*operation) (w world, happened map[*operation]bool, wrong []string) {
	for choice := range 1 << len(lost) {
		w, happened = maps.Clone(now), map[*operation]bool{}
		for i, op := range lost {
			if choice&(1<<i) != 0 {
				op.apply(w)
				happened[op] = true
			}
		}
		w.learn(got)
		lines := w.differences(got)
		if len(lines) == 0 {
			return w, happened, nil
		}
		if wrong == nil || len(lines) < len(wrong) {
			wrong = lines
		}
	}
	return now, nil, wrong
}

// kill -9 while several of hundreds of random operations are under way, again and again: the restarted server agrees
// with every answer that was given, down to ids and revisions. Each operation that was not answered has happened or has
// not, as a whole.
func TestAnswersOutliveKill(t *testing.T) {
	steps := 600
	if testing.Short() {
		steps = 150
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("LAMBENT_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("LAMBENT_SEED: %v", err)
		}
	}
	t.Logf("LAMBENT_SEED=%d repeats the run, as far as the kills fall alike", seed)
	g := newGenerator(t, rand.New(rand.NewPCG(seed, 0)))
	dir := dataDir(t)
	s := serveIn(t, dir)
	type tally struct{ answered, refused, happened, not int }
	tallies := map[string]*tally{}
	count := func(op *operation) *tally {
		if tallies[op.name] == nil {
			tallies[op.name] = new(tally)
		}
		return tallies[op.name]
	}
	kills := 0
	for step := range steps {
		batch := g.batch(1 + g.r.IntN(4))
		killed := g.r.IntN(7) == 0
		var calls sync.WaitGroup
		for _, op := range batch {
			calls.Go(func() { op.told, op.outcome = op.call(t.Context(), s.api()) })
		}
		if killed {
			time.Sleep(time.Duration(g.r.IntN(2000)) * time.Microsecond) // the kill falls anywhere in the operations
			s.kill()
			kills++
		}
		calls.Wait()
		var lost []*operation
		for _, op := range batch {
			switch {
			case op.outcome == nil:
				op.follow(t, g.now)
				count(op).answered++
			case op.refused(t):
				count(op).refused++
			case killed:
				lost = append(lost, op)
			default:
				t.Fatalf("step %d, %s: %v", step, op, op.outcome)
			}
		}
		if !killed {
			continue
		}
		s = serveIn(t, dir)
		w, happened, wrong := explain(g.now, s.observe(t), lost)
		if wrong != nil {
			t.Fatalf("step %d: killed during %v, of which %v were not answered; at the least:\n%s", step, batch, lost, strings.Join(wrong, "\n"))
		}
		g.now = w
		for _, op := range lost {
			if happened[op] {
				count(op).happened++
			} else {
				count(op).not++
			}
		}
	}
	got := s.observe(t)
	g.now.learn(got)
	for _, wrong := range g.now.differences(got) {
		t.Errorf("in the end %s", wrong)
	}
	s.runsAsWritten(t, g)

	t.Logf("%d kills; operations answered well, refused, and among those that the kill left unanswered, happened and not:", kills)
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		n := tallies[name]
		t.Logf("%5d %4d %4d %4d %s", n.answered, n.refused, n.happened, n.not, name)
	}
	for _, name := range g.operations() {
		if !testing.Short() && (tallies[name] == nil || tallies[name].answered == 0) {
			t.Errorf("no %s was ever answered well", name)
		}
	}
}

// The comparison refuses what cannot be: it would tell if an answer had not held.
func TestExplainRefusesWrongWorlds(t *testing.T) {
	now := world{"function/f/tag/k": "v", "function/f/latest/revision": "r1", "function/f/#last": "1"}
	lost := []*operation{
		{name: "tag", apply: func(w world) { w["function/f/tag/k"], w["function/f/latest/revision"] = "w", unknown }},
		{name: "layer", apply: func(w world) { w["layer/l/1/code"], w["layer/l/1/created"] = "c", unknown }},
	}
	for what, got := range map[string]world{
		"nothing has happened":    {"function/f/tag/k": "v", "function/f/latest/revision": "r1"},
		"the second has happened": {"function/f/tag/k": "v", "function/f/latest/revision": "r1", "layer/l/1/code": "c", "layer/l/1/created": "today"},
		"both have happened":      {"function/f/tag/k": "w", "function/f/latest/revision": "r2", "layer/l/1/code": "c", "layer/l/1/created": "today"},
	} {
		if _, happened, wrong := explain(now, got, lost); wrong != nil || happened[lost[1]] != (got["layer/l/1/code"] != "") {
			t.Errorf("%s, but it is explained by %v: %v", what, happened, wrong)
		}
	}
	for what, got := range map[string]world{
		"a fact is missing":                 {"function/f/tag/k": "v"},
		"a fact has changed":                {"function/f/tag/k": "x", "function/f/latest/revision": "r1"},
		"something is there that was not":   {"function/f/tag/k": "v", "function/f/latest/revision": "r1", "function/f/tag/l": "v"},
		"an operation has happened in part": {"function/f/tag/k": "v", "function/f/latest/revision": "r1", "layer/l/1/code": "c"},
		"a revision that was told is not":   {"function/f/tag/k": "v", "function/f/latest/revision": "r2"},
	} {
		if w, _, wrong := explain(now, got, lost); wrong == nil {
			t.Errorf("%s, but it is explained by %v", what, w)
		}
	}
}

// runsAsWritten invokes every function, and asks every URL that there is or was for its CORS.
func (s *server) runsAsWritten(t *testing.T, g *generator) {
	t.Helper()
	origins := map[string]string{} // by the hosts of the function URLs that there are
	for _, name := range g.now.below("function") {
		for _, q := range append(g.now.below("function/"+name+"/version"), "$LATEST") {
			active := &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: &q}
			quick := func(o *lambda.FunctionActiveWaiterOptions) {
				o.MinDelay, o.MaxDelay = time.Millisecond, 50*time.Millisecond
			}
			if err := lambda.NewFunctionActiveWaiter(s.api()).Wait(t.Context(), active, time.Minute, quick); err != nil {
				t.Fatal(err)
			}
			if q != "$LATEST" && q != g.now["function/"+name+"/alias/"+aliases[0]+"/version"] {
				continue // a cold start takes its time: one version of each function will do
			}
			in := invocation(name, `{}`)
			in.Qualifier = &q
			if got, want := s.call(t, in).payload, g.returns("function/"+name+"/"+versionPath(q)); got != want {
				t.Errorf("%s:%s returns %s, want %s", name, q, got, want)
			}
		}
		for _, q := range g.now.below("function/" + name + "/at") {
			url := "function/" + name + "/at/" + q + "/url"
			if g.now.has(url) {
				origins[g.now[url+"/host"]] = g.now[url+"/origins"]
			}
		}
	}
	maps.Copy(g.hosts, origins)         // what the last operations have made of them
	for host, origin := range g.hosts { // a browser asks who may call one; nothing is run for that
		ask := endpoint{s: s, host: host}.by(t, http.MethodOptions, "/", "", "Origin", origin, "Access-Control-Request-Method", "GET")
		if got, want := send(t, ask).Header.Get("Access-Control-Allow-Origin"), origins[host]; got != want {
			t.Errorf("the function URL of %s allows the origin %q, want %q", host, got, want)
		}
	}
}

func versionPath(qualifier string) string {
	if qualifier == "$LATEST" {
		return "latest"
	}
	return "version/" + qualifier
}

// all reads a list to its end.
func all[O any](t *testing.T, p interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*lambda.Options)) (*O, error)
}, each func(*O)) {
	t.Helper()
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		each(page)
	}
}

// observe reads the world from the server, once every function has settled.
func (s *server) observe(t *testing.T) world {
	t.Helper()
	w, api := world{}, s.api()
	signings := map[string]string{} // their descriptions by ARN
	all(t, lambda.NewListCodeSigningConfigsPaginator(api, &lambda.ListCodeSigningConfigsInput{}), func(page *lambda.ListCodeSigningConfigsOutput) {
		for _, c := range page.CodeSigningConfigs {
			signings[*c.CodeSigningConfigArn] = aws.ToString(c.Description)
			w.signing(&c)
			s.observeTags(t, w, "signing/"+aws.ToString(c.Description), c.CodeSigningConfigArn)
		}
	})
	all(t, lambda.NewListCapacityProvidersPaginator(api, &lambda.ListCapacityProvidersInput{}), func(page *lambda.ListCapacityProvidersOutput) {
		for _, p := range page.CapacityProviders {
			w.provider(&p)
			s.observeTags(t, w, "provider/"+nameOf(p.CapacityProviderArn), p.CapacityProviderArn)
		}
	})
	all(t, lambda.NewListLayersPaginator(api, &lambda.ListLayersInput{}), func(page *lambda.ListLayersOutput) {
		for _, l := range page.Layers {
			s.observeLayer(t, w, *l.LayerName)
		}
	})
	all(t, lambda.NewListFunctionsPaginator(api, &lambda.ListFunctionsInput{}), func(page *lambda.ListFunctionsOutput) {
		for _, f := range page.Functions {
			s.observeFunction(t, w, *f.FunctionName, signings)
		}
	})
	return w
}

func (s *server) observeTags(t *testing.T, w world, path string, resource *string) {
	t.Helper()
	got, err := s.api().ListTags(t.Context(), &lambda.ListTagsInput{Resource: resource})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range got.Tags {
		w[path+"/tag/"+key] = value
	}
}

func (s *server) observeLayer(t *testing.T, w world, name string) {
	t.Helper()
	api := s.api()
	all(t, lambda.NewListLayerVersionsPaginator(api, &lambda.ListLayerVersionsInput{LayerName: &name}), func(page *lambda.ListLayerVersionsOutput) {
		for _, v := range page.LayerVersions {
			got, err := api.GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: &name, VersionNumber: &v.Version})
			if err != nil {
				t.Fatal(err)
			}
			w.layer(name, v.Version, got.Description, got.CreatedDate, got.Content)
			policy, err := api.GetLayerVersionPolicy(t.Context(), &lambda.GetLayerVersionPolicyInput{LayerName: &name, VersionNumber: &v.Version})
			if found(t, err) {
				w.policy(t, fmt.Sprintf("layer/%s/%d", name, v.Version), policy.Policy, policy.RevisionId)
			}
		}
	})
}

func (s *server) observeFunction(t *testing.T, w world, name string, signings map[string]string) {
	t.Helper()
	ctx, api, path := t.Context(), s.api(), "function/"+name
	s.await(t, name)
	f, err := api.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	s.observeTags(t, w, path, f.Configuration.FunctionArn)
	if f.Concurrency != nil {
		w[path+"/reserved"] = fmt.Sprint(*f.Concurrency.ReservedConcurrentExecutions)
	}
	recursion, err := api.GetFunctionRecursionConfig(ctx, &lambda.GetFunctionRecursionConfigInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	w[path+"/recursion"] = string(recursion.RecursiveLoop)
	bound, err := api.GetFunctionCodeSigningConfig(ctx, &lambda.GetFunctionCodeSigningConfigInput{FunctionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if bound.CodeSigningConfigArn != nil {
		w[path+"/signing"] = signings[*bound.CodeSigningConfigArn]
	}
	qualifiers := []string{"$LATEST"}
	all(t, lambda.NewListVersionsByFunctionPaginator(api, &lambda.ListVersionsByFunctionInput{FunctionName: &name}), func(page *lambda.ListVersionsByFunctionOutput) {
		for _, v := range page.Versions {
			at := path + "/" + versionPath(*v.Version)
			w.version(at, v.Description, v.Timeout, v.CodeSha256, v.Layers, v.LastModified)
			w[at+"/revision"] = *v.RevisionId
			if *v.Version != "$LATEST" {
				qualifiers = append(qualifiers, *v.Version)
			}
		}
	})
	all(t, lambda.NewListAliasesPaginator(api, &lambda.ListAliasesInput{FunctionName: &name}), func(page *lambda.ListAliasesOutput) {
		for _, a := range page.Aliases {
			w.alias(path, a.Name, a.FunctionVersion, a.RevisionId)
			qualifiers = append(qualifiers, *a.Name)
		}
	})
	all(t, lambda.NewListFunctionUrlConfigsPaginator(api, &lambda.ListFunctionUrlConfigsInput{FunctionName: &name}), func(page *lambda.ListFunctionUrlConfigsOutput) {
		for _, u := range page.FunctionUrlConfigs {
			w.url(path, u.FunctionArn, u.FunctionUrl, u.CreationTime, u.LastModifiedTime, u.AuthType, u.Cors)
		}
	})
	all(t, lambda.NewListFunctionEventInvokeConfigsPaginator(api, &lambda.ListFunctionEventInvokeConfigsInput{FunctionName: &name}), func(page *lambda.ListFunctionEventInvokeConfigsOutput) {
		for _, a := range page.FunctionEventInvokeConfigs {
			w.async(path, a.FunctionArn, a.MaximumRetryAttempts, a.MaximumEventAgeInSeconds, a.DestinationConfig, a.LastModified)
		}
	})
	all(t, lambda.NewListProvisionedConcurrencyConfigsPaginator(api, &lambda.ListProvisionedConcurrencyConfigsInput{FunctionName: &name}), func(page *lambda.ListProvisionedConcurrencyConfigsOutput) {
		for _, p := range page.ProvisionedConcurrencyConfigs {
			w.provisioned(path, qualifierOf(p.FunctionArn), p.RequestedProvisionedConcurrentExecutions, p.LastModified)
		}
	})
	for _, q := range qualifiers {
		of := &q
		if q == "$LATEST" {
			of = nil
		}
		policy, err := api.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &name, Qualifier: of})
		if found(t, err) {
			w.policy(t, path+"/at/"+q, policy.Policy, policy.RevisionId)
		}
		management, err := api.GetRuntimeManagementConfig(ctx, &lambda.GetRuntimeManagementConfigInput{FunctionName: &name, Qualifier: of})
		if err != nil {
			t.Fatal(err)
		}
		if on := management.UpdateRuntimeOn; on != types.UpdateRuntimeOnAuto {
			w[path+"/at/"+q+"/runtime"] = string(on)
		}
	}
}

// found tells a 404 from what was found. Any other error ends the test.
func found(t *testing.T, err error) bool {
	t.Helper()
	var missing *types.ResourceNotFoundException
	if err != nil && !errors.As(err, &missing) {
		t.Fatal(err)
	}
	return err == nil
}

// The methods below take down what the API says of a resource, in an answer or
// in a list. What an answer does not hold is nil.

func (w world) note(path string, fact *string) {
	if fact != nil {
		w[path] = *fact
	}
}

func (w world) version(path string, description *string, timeout *int32, code *string, layers []types.Layer, modified *string) {
	arns := []string{}
	for _, l := range layers {
		arns = append(arns, *l.Arn)
	}
	w[path+"/description"], w[path+"/timeout"], w[path+"/code"] = *description, fmt.Sprint(*timeout), *code
	w[path+"/layers"], w[path+"/modified"] = strings.Join(arns, " "), *modified
}

func (w world) alias(path string, name, version, revision *string) {
	path += "/alias/" + *name
	w[path+"/version"], w[path+"/revision"] = *version, *revision
}

// qualifierOf is $LATEST for an ARN without one.
func qualifierOf(arn *string) string {
	if parts := strings.Split(*arn, ":"); len(parts) > 7 {
		return parts[7]
	}
	return "$LATEST"
}

func (w world) url(path string, arn, address, created, modified *string, auth types.FunctionUrlAuthType, cors *types.Cors) {
	path += "/at/" + qualifierOf(arn) + "/url"
	host, _, _ := strings.Cut(strings.TrimPrefix(*address, "http://"), ":") // each server has another port
	w[path+"/host"], w[path+"/created"], w[path+"/auth"] = host, *created, string(auth)
	w[path+"/origins"] = strings.Join(cors.AllowOrigins, " ")
	w.note(path+"/modified", modified)
}

func (w world) async(path string, arn *string, retries, age *int32, to *types.DestinationConfig, modified *time.Time) {
	path += "/at/" + qualifierOf(arn) + "/async"
	if retries != nil {
		w[path+"/retries"] = fmt.Sprint(*retries)
	}
	if age != nil {
		w[path+"/age"] = fmt.Sprint(*age)
	}
	w.note(path+"/failure", to.OnFailure.Destination)
	w[path+"/modified"] = modified.Format(time.RFC3339Nano)
}

func (w world) provisioned(path, qualifier string, requested *int32, modified *string) {
	path += "/at/" + qualifier + "/provisioned"
	w[path+"/requested"], w[path+"/modified"] = fmt.Sprint(*requested), *modified
}

// policy takes down who may do what by a policy's statements, in their order.
func (w world) policy(t *testing.T, path string, text, revision *string) {
	t.Helper()
	var doc struct {
		Statement []struct {
			Sid       string
			Principal struct{ AWS string }
		}
	}
	if err := json.Unmarshal([]byte(*text), &doc); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, *text)
	}
	var statements []string
	for _, s := range doc.Statement {
		statements = append(statements, s.Sid+"="+s.Principal.AWS)
	}
	w[path+"/policy/statements"], w[path+"/policy/revision"] = strings.Join(statements, " "), *revision
}

func (w world) layer(name string, number int64, description, created *string, content *types.LayerVersionContentOutput) {
	path := fmt.Sprintf("layer/%s/%d", name, number)
	w[path+"/description"], w[path+"/created"], w[path+"/code"] = *description, *created, *content.CodeSha256
}

func (w world) signing(c *types.CodeSigningConfig) {
	path := "signing/" + aws.ToString(c.Description)
	w[path+"/arn"], w[path+"/modified"] = *c.CodeSigningConfigArn, *c.LastModified
	w[path+"/publishers"] = strings.Join(c.AllowedPublishers.SigningProfileVersionArns, " ")
}

// nameOf is the last part of an ARN.
func nameOf(arn *string) string { return (*arn)[strings.LastIndexByte(*arn, ':')+1:] }

func (w world) provider(p *types.CapacityProvider) {
	path := "provider/" + nameOf(p.CapacityProviderArn)
	w[path+"/vcpu"], w[path+"/modified"] = fmt.Sprint(*p.CapacityProviderScalingConfig.MaxVCpuCount), *p.LastModified
}
