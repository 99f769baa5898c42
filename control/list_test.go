package control

import (
	"fmt"
	"slices"
	"testing"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/lambent-run/lambent/lambda"
)

// pages reads a list of functions to its end and returns the pages' ARNs without their common part.
func pages(t *testing.T, c *Control, in *awslambda.ListFunctionsInput, between func(page int)) [][]string {
	t.Helper()
	var all [][]string
	for {
		out, err := c.ListFunctions(t.Context(), home, in)
		if err != nil {
			t.Fatal(err)
		}
		var page []string
		for _, f := range out.Functions {
			page = append(page, (*f.FunctionArn)[len(arn):])
		}
		all = append(all, page)
		if out.NextMarker == nil {
			return all
		}
		in.Marker = out.NextMarker
		between(len(all))
	}
}

// A page holds at most 50 functions, in name order, whatever was asked for.
func TestFunctionsAreListedFiftyToAPage(t *testing.T) {
	c := newControl(t)
	var want []string
	for i := range 101 {
		name := fmt.Sprintf("fn%03d", i)
		want = append(want, name)
		if _, err := c.CreateFunction(t.Context(), home, creation(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, asked := range []*int32{nil, ptr[int32](10_000)} {
		got := pages(t, c, &awslambda.ListFunctionsInput{MaxItems: asked}, func(int) {})
		if len(got) != 3 || len(got[0]) != 50 || len(got[1]) != 50 || !slices.Equal(slices.Concat(got...), want) {
			t.Errorf("%v", got)
		}
	}
	if got := pages(t, c, &awslambda.ListFunctionsInput{MaxItems: ptr[int32](101 / 3)}, func(int) {}); len(got) != 4 {
		t.Errorf("%d pages of 33, want 4", len(got))
	}
	elsewhere, err := c.ListFunctions(t.Context(), lambda.Scope{Account: home.Account, Region: "eu-west-1"}, &awslambda.ListFunctionsInput{})
	if err != nil || len(elsewhere.Functions) != 0 || elsewhere.Functions == nil {
		t.Errorf("another region lists %v, %v", elsewhere.Functions, err)
	}
}

// What comes and goes between two pages makes a list neither repeat nor miss what stays.
func TestListsStayWholeWhileTheyChange(t *testing.T) {
	c := newControl(t)
	for _, name := range []string{"b", "d", "f", "h"} {
		create(t, c, name)
		publish(t, c, name)
	}
	for _, list := range []struct {
		version types.FunctionVersion
		want    []string
	}{
		{"", []string{"b", "d", "f", "h"}},
		{types.FunctionVersionAll, []string{"b:$LATEST", "b:1", "d:$LATEST", "d:1", "f:$LATEST", "f:1", "h:$LATEST", "h:1"}},
	} {
		for size := int32(1); size <= 5; size++ {
			in := &awslambda.ListFunctionsInput{FunctionVersion: list.version, MaxItems: &size}
			got := pages(t, c, in, func(page int) {
				if page == 1 { // before everything that follows the first page
					create(t, c, "a")
				}
			})
			if all := slices.Concat(got...); !slices.Equal(all, list.want) {
				t.Errorf("%s in pages of %d: %v, want %v", list.version, size, got, list.want)
			}
			if c.Catalog.Get(id("a")) != nil {
				if err := deleting("a", "")(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// The function in which the marker stands may go.
	in := &awslambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll, MaxItems: ptr[int32](3)}
	got := pages(t, c, in, func(page int) {
		if page == 1 {
			if err := deleting("d", "")(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	})
	if all, want := slices.Concat(got...), []string{"b:$LATEST", "b:1", "d:$LATEST", "f:$LATEST", "f:1", "h:$LATEST", "h:1"}; !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
}

// Versions are listed with $LATEST first and then by number, at most 50 to a page.
func TestVersionsAreListedByNumber(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn")
	want := []string{lambda.Latest}
	for i := range 52 {
		describe(t, c, "fn", fmt.Sprint(i))
		want = append(want, publish(t, c, "fn"))
	}
	for _, size := range []int32{1, 7, 50, 10_000} {
		in := &awslambda.ListVersionsByFunctionInput{FunctionName: ptr("fn"), MaxItems: &size}
		var got []string
		for {
			out, err := c.ListVersionsByFunction(t.Context(), home, in)
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Versions) > min(int(size), 50) {
				t.Errorf("%d versions in a page of %d", len(out.Versions), size)
			}
			for _, v := range out.Versions {
				got = append(got, *v.Version)
				if *v.FunctionArn != arn+"fn:"+*v.Version || v.State != "" || v.LastUpdateStatus != "" || v.RuntimeVersionConfig != nil {
					t.Errorf("version %s is shown as %s, %s", *v.Version, *v.FunctionArn, v.State)
				}
			}
			if in.Marker = out.NextMarker; in.Marker == nil {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v", size, got)
		}
	}
}

// Aliases are listed by name, and those that lead to a version, be it with a weight.
func TestAliasesAreListedByName(t *testing.T) {
	c := newControl(t)
	create(t, c, "fn", published)
	describe(t, c, "fn", "two")
	publish(t, c, "fn")
	for _, a := range []struct {
		name, version string
		weights       map[string]float64
	}{{"d", "2", nil}, {"b", "1", nil}, {"c", "2", map[string]float64{"1": 0.1}}, {"a", lambda.Latest, nil}} {
		if _, err := c.CreateAlias(t.Context(), home, aliasTo("fn", a.name, a.version, a.weights)); err != nil {
			t.Fatal(err)
		}
	}
	for _, list := range []struct {
		version *string
		want    string
	}{{nil, "abcd"}, {ptr("1"), "bc"}, {ptr("2"), "cd"}, {ptr("$LATEST"), "a"}, {ptr("3"), ""}} {
		for size := int32(1); size <= 5; size++ {
			in := &awslambda.ListAliasesInput{FunctionName: ptr("fn"), FunctionVersion: list.version, MaxItems: &size}
			got := ""
			for {
				out, err := c.ListAliases(t.Context(), home, in)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range out.Aliases {
					got += *a.Name
				}
				if in.Marker = out.NextMarker; in.Marker == nil {
					break
				}
			}
			if got != list.want {
				t.Errorf("those of version %s in pages of %d: %s, want %s", value(list.version), size, got, list.want)
			}
		}
	}
}

// A marker is read as what was written, and anything else is refused or harmless.
func FuzzMarker(f *testing.F) {
	f.Add("")
	f.Add("e30")
	f.Add("bnVsbA")
	f.Add(*marker{Name: "fn", Version: 7, Within: true}.encode())
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMarker(&s)
		if err != nil {
			if e := lambda.AsError(err); e.Code != lambda.InvalidParameterValue || m != (marker{}) {
				t.Errorf("%v, %v", m, err)
			}
			return
		}
		if s == "" {
			return
		}
		if again, err := parseMarker(m.encode()); err != nil || again != m {
			t.Errorf("%v was written as %v, %v", m, again, err)
		}
	})
}
