package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// content is what of a version can be told apart from outside.
type content struct {
	Description string
	Timeout     int32
	Code        string // CodeSha256
}

// record is what the control plane should say about one function.
type record struct {
	Latest   content
	Versions map[string]content
	Aliases  map[string]string
	Tags     map[string]string
	next     int // number of the next version
}

func (r record) clone() record {
	r.Versions, r.Aliases, r.Tags = maps.Clone(r.Versions), maps.Clone(r.Aliases), maps.Clone(r.Tags)
	return r
}

// world is every function by name.
type world map[string]record

func (w world) clone() world {
	c := world{}
	for name, r := range w {
		c[name] = r.clone()
	}
	return c
}

// operation is one call of the control plane, and what it makes of a world that
// it is answered well in.
type operation struct {
	text  string
	call  func(context.Context, *lambda.Client) error
	apply func(world)
}

// kill -9 during hundreds of random operations, again and again: the restarted
// server agrees with every answer that was given. The one operation without an
// answer has happened or has not, as a whole.
func TestAnswersOutliveKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir := dataDir(t)
	s := serveIn(t, dir)
	packages := [][]byte{}
	for i := range 4 {
		packages = append(packages, pack(t, map[string]string{"handler.py": fmt.Sprintf("def handler(e, c):\n    return %d\n", i)}))
	}
	now := world{}
	kills, refused, unanswered := 0, 0, 0
	for step := range 600 {
		op := randomOperation(r, now, packages)
		if r.IntN(10) > 0 {
			err := op.call(t.Context(), s.api())
			var refusal smithy.APIError
			switch {
			case err == nil:
				op.apply(now)
			case errors.As(err, &refusal): // say, an update is in progress: nothing has changed
				refused++
			default:
				t.Fatalf("step %d, %s: %v", step, op.text, err)
			}
			continue
		}
		answered := make(chan error, 1)
		go func() { answered <- op.call(t.Context(), s.api()) }()
		time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond) // the kill falls anywhere in the operation
		s.kill()
		kills++
		before, after := now, now.clone()
		op.apply(after)
		var refusal smithy.APIError
		switch err := <-answered; {
		case err == nil:
			before = after // the answer was given: it holds
		case errors.As(err, &refusal):
			after = before
		default:
			unanswered++
		}
		s = serveIn(t, dir)
		got := s.observe(t)
		switch {
		case reflect.DeepEqual(got, before.visible()):
			now = before
		case reflect.DeepEqual(got, after.visible()):
			now = after
		default:
			t.Fatalf("step %d: killed during %s\n  the server says %+v\n  expected        %+v\n  or              %+v",
				step, op.text, got, before.visible(), after.visible())
		}
	}
	if got, want := s.observe(t), now.visible(); !reflect.DeepEqual(got, want) {
		t.Errorf("in the end the server says %+v, want %+v", got, want)
	}
	t.Logf("%d kills, %d of them in an operation, %d operations refused, %d functions at the end", kills, unanswered, refused, len(now))
	for name := range now {
		if a := s.invoke(t, name, `{}`); a.fault != "" {
			t.Errorf("%s does not run any more: %s", name, a.payload)
		}
	}
}

// visible drops what cannot be seen from outside.
func (w world) visible() world {
	c := w.clone()
	for name, r := range c {
		r.next = 0
		c[name] = r
	}
	return c
}

// observe reads the world from the server, once every function has settled.
func (s *server) observe(t *testing.T) world {
	t.Helper()
	ctx, api := t.Context(), s.api()
	w := world{}
	list, err := api.ListFunctions(ctx, &lambda.ListFunctionsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list.Functions {
		s.await(t, *f.FunctionName)
		got, err := api.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: f.FunctionName})
		if err != nil {
			t.Fatal(err)
		}
		c := got.Configuration
		r := record{Latest: content{*c.Description, *c.Timeout, *c.CodeSha256}, Versions: map[string]content{}, Aliases: map[string]string{}, Tags: map[string]string{}}
		maps.Copy(r.Tags, got.Tags)
		versions, err := api.ListVersionsByFunction(ctx, &lambda.ListVersionsByFunctionInput{FunctionName: f.FunctionName})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions.Versions {
			if *v.Version != "$LATEST" {
				r.Versions[*v.Version] = content{*v.Description, *v.Timeout, *v.CodeSha256}
			}
		}
		aliases, err := api.ListAliases(ctx, &lambda.ListAliasesInput{FunctionName: f.FunctionName})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range aliases.Aliases {
			r.Aliases[*a.Name] = *a.FunctionVersion
		}
		w[*f.FunctionName] = r
	}
	return w
}

// randomOperation picks something to do that makes sense in the world.
func randomOperation(r *rand.Rand, w world, packages [][]byte) operation {
	names := slices.Sorted(maps.Keys(w))
	code := r.IntN(len(packages))
	if len(names) < 2 || len(names) < 8 && r.IntN(6) == 0 {
		name := "f" + strconv.FormatUint(r.Uint64(), 36)
		timeout := int32(1 + r.IntN(60))
		return operation{"CreateFunction " + name, func(ctx context.Context, c *lambda.Client) error {
			_, err := c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: &name, Role: aws.String(role), Runtime: types.Runtime(python),
				Handler: aws.String("handler.handler"), Timeout: &timeout, Code: &types.FunctionCode{ZipFile: packages[code]}})
			return err
		}, func(w world) {
			w[name] = record{Latest: content{"", timeout, digest(packages[code])}, Versions: map[string]content{},
				Aliases: map[string]string{}, Tags: map[string]string{}, next: 1}
		}}
	}
	name := names[r.IntN(len(names))]
	alias := "alias" + strconv.Itoa(r.IntN(3))
	version := "$LATEST"
	if v := slices.Sorted(maps.Keys(w[name].Versions)); len(v) > 0 && r.IntN(3) > 0 {
		version = v[r.IntN(len(v))]
	}
	change := func(f func(*record)) func(world) {
		return func(w world) {
			rec := w[name]
			f(&rec)
			w[name] = rec
		}
	}
	switch r.IntN(9) {
	case 0:
		if r.IntN(3) > 0 {
			break // functions should live for a while
		}
		return operation{"DeleteFunction " + name, func(ctx context.Context, c *lambda.Client) error {
			_, err := c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &name})
			return err
		}, func(w world) { delete(w, name) }}
	case 1:
		return operation{"UpdateFunctionCode " + name, func(ctx context.Context, c *lambda.Client) error {
			_, err := c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: packages[code]})
			return err
		}, change(func(r *record) { r.Latest.Code = digest(packages[code]) })}
	case 2, 3:
		timeout := int32(1 + r.IntN(60))
		description := strconv.FormatUint(r.Uint64(), 36)
		return operation{"UpdateFunctionConfiguration " + name, func(ctx context.Context, c *lambda.Client) error {
			_, err := c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &name, Timeout: &timeout, Description: &description})
			return err
		}, change(func(r *record) { r.Latest.Timeout, r.Latest.Description = timeout, description })}
	case 4, 5:
		return operation{"PublishVersion " + name, func(ctx context.Context, c *lambda.Client) error {
			_, err := c.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &name})
			return err
		}, change(func(r *record) {
			if last, ok := r.Versions[strconv.Itoa(r.next-1)]; ok && last == r.Latest {
				return // nothing has changed since
			}
			r.Versions[strconv.Itoa(r.next)] = r.Latest
			r.next++
		})}
	case 6:
		return operation{"CreateAlias " + name + " " + alias, func(ctx context.Context, c *lambda.Client) error {
			_, err := c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: &name, Name: &alias, FunctionVersion: &version})
			return err
		}, change(func(r *record) { r.Aliases[alias] = version })}
	case 7:
		return operation{"DeleteAlias " + name + " " + alias, func(ctx context.Context, c *lambda.Client) error {
			_, err := c.DeleteAlias(ctx, &lambda.DeleteAliasInput{FunctionName: &name, Name: &alias})
			return err
		}, change(func(r *record) { delete(r.Aliases, alias) })}
	}
	key, value := "k"+strconv.Itoa(r.IntN(4)), strconv.FormatUint(r.Uint64(), 36)
	return operation{"TagResource " + name + " " + key, func(ctx context.Context, c *lambda.Client) error {
		_, err := c.TagResource(ctx, &lambda.TagResourceInput{Resource: aws.String(arn + name), Tags: map[string]string{key: value}})
		return err
	}, change(func(r *record) { r.Tags[key] = value })}
}
