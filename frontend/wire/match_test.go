package wire

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func match(method, target string) (string, []string) {
	op, labels, ok := Match(httptest.NewRequest(method, target, nil))
	if !ok {
		return "", nil
	}
	var values []string
	for i := range labels.Len() {
		values = append(values, labels.At(i))
	}
	return op.Name, values
}

// A request is routed by method, path and, where two operations share those, by a query parameter.
func TestRequestsAreRouted(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:111111111111:function:fn"
	for _, c := range []struct {
		method, target, want string
		labels               []string
	}{
		{"POST", "/2015-03-31/functions", "CreateFunction", nil},
		{"GET", "/2015-03-31/functions", "ListFunctions", nil},
		{"GET", "/2015-03-31/functions/fn", "GetFunction", []string{"fn"}},
		{"POST", "/2015-03-31/functions/fn/invocations", "Invoke", []string{"fn"}},
		// SDKs of before 2025 send a slash at the end of some URIs.
		{"GET", "/2015-03-31/functions/", "ListFunctions", nil},
		{"POST", "/2015-03-31/event-source-mappings/", "CreateEventSourceMapping", nil},
		{"POST", "/2014-11-13/functions/fn/invoke-async/", "InvokeAsync", []string{"fn"}},
		// ARNs come escaped and bare; an escaped slash stays inside its label.
		{"GET", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A111111111111%3Afunction%3Afn", "GetFunction", []string{arn}},
		{"GET", "/2015-03-31/functions/" + arn + ":7/configuration", "GetFunctionConfiguration", []string{arn + ":7"}},
		{"GET", "/2025-12-01/durable-executions/" + strings.ReplaceAll(arn, ":", "%3A") + "%3A1%2Fdurable-execution%2Fa%2Fb/history",
			"GetDurableExecutionHistory", []string{arn + ":1/durable-execution/a/b"}},
		{"PUT", "/2026-07-09/resource-policy/" + arn, "PutResourcePolicy", []string{arn}},
		{"DELETE", "/2015-03-31/functions/fn/policy/sid", "RemovePermission", []string{"fn", "sid"}},
		{"DELETE", "/2018-10-31/layers/one/versions/3/policy/sid", "RemoveLayerVersionPermission", []string{"one", "3", "sid"}},
		{"GET", "/2018-10-31/layers", "ListLayers", nil},
		{"GET", "/2018-10-31/layers?find=LayerVersion&Arn=x", "GetLayerVersionByArn", nil},
		{"GET", "/2018-10-31/layers?find=other", "ListLayers", nil},
		{"GET", "/2019-09-30/functions/fn/provisioned-concurrency?List=ALL", "ListProvisionedConcurrencyConfigs", []string{"fn"}},
		{"GET", "/2019-09-30/functions/fn/provisioned-concurrency?Qualifier=1", "GetProvisionedConcurrencyConfig", []string{"fn"}},
		// A segment of the URI itself comes before a label.
		{"GET", "/2019-09-25/functions/fn/event-invoke-config/list", "ListFunctionEventInvokeConfigs", []string{"fn"}},
		// The dates tell operations on one resource apart.
		{"PUT", "/2017-10-31/functions/fn/concurrency", "PutFunctionConcurrency", []string{"fn"}},
		{"GET", "/2019-09-30/functions/fn/concurrency", "GetFunctionConcurrency", []string{"fn"}},

		{"GET", "/2017-10-31/functions/fn/concurrency", "", nil},
		{"PATCH", "/2015-03-31/functions/fn", "", nil},
		{"GET", "/", "", nil},
		{"GET", "/2015-03-31", "", nil},
		{"GET", "/2015-03-31/functions//configuration", "", nil},
		{"GET", "/2015-03-31/functions/fn//", "", nil},
		{"GET", "//2015-03-31/functions", "", nil},
		{"GET", "/2015-03-31/functions/fn/configuration/more", "", nil},
	} {
		got, labels := match(c.method, c.target)
		if got != c.want || !slices.Equal(labels, c.labels) {
			t.Errorf("%s %s: %q %q, want %q %q", c.method, c.target, got, labels, c.want, c.labels)
		}
	}
}

// Every operation is found by its name and by its own URI.
func TestEveryOperationIsFound(t *testing.T) {
	for i := range Operations {
		op := &Operations[i]
		if ByName(op.Name) != op {
			t.Errorf("%s is not found by its name", op.Name)
		}
		target := strings.NewReplacer("{", "", "}", "").Replace(op.URI)
		if got, _ := match(op.Method, target); got != op.Name {
			t.Errorf("%s %s is routed to %q, want %s", op.Method, target, got, op.Name)
		}
	}
	for _, name := range []string{"", "A", "GetFunctio", "GetFunctions", "Zzz"} {
		if ByName(name) != nil {
			t.Errorf("there is an operation %q", name)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	r := httptest.NewRequest("GET", "/2015-03-31/functions/my-function/configuration", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := Match(r); !ok {
			b.Fatal("no match")
		}
	}
}
