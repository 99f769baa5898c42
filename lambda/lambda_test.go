package lambda

import (
	"errors"
	"fmt"
	"testing"
)

var home = Scope{"123456789012", "us-east-1"}

// A function may be named by bare name, by name and qualifier, by partial ARN or by full ARN.
func TestFunctionNamesAreReadInEveryForm(t *testing.T) {
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:fn"
	for _, c := range []struct{ name, qualifier, want string }{
		{"fn", "", arn},
		{"fn", "live", arn + ":live"},
		{"fn:live", "", arn + ":live"},
		{"fn:$LATEST", "", arn + ":$LATEST"},
		{"fn:live", "live", arn + ":live"},
		{"function:fn", "", arn},
		{"123456789012:function:fn", "", arn},
		{"123456789012:function:fn:7", "", arn + ":7"},
		{"us-east-1:123456789012:function:fn", "", arn},
		{arn, "", arn},
		{arn + ":7", "", arn + ":7"},
		{"arn:aws:lambda:us-east-1:123456789012:function", "", "arn:aws:lambda:us-east-1:123456789012:function:function"},
	} {
		ref, err := ParseRef(home, c.name, c.qualifier)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := ref.ARN(); got != c.want {
			t.Errorf("%s with qualifier %q names %s, want %s", c.name, c.qualifier, got, c.want)
		}
	}
}

// What names another region, another account or two qualifiers is refused, each in AWS's own way.
func TestForeignAndContradictoryNamesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, qualifier string
		code            Code
		message         string
	}{
		{"arn:aws:lambda:us-east-2:123456789012:function:fn", "", ResourceNotFound,
			"Functions from 'us-east-2' are not reachable in this region ('us-east-1')"},
		{"arn:aws:lambda:us-east-1:999999999999:function:fn", "", AccessDenied, ""},
		{"fn:1", "2", InvalidParameterValue,
			"The derived qualifier from the function name does not match the specified qualifier."},
	} {
		_, err := ParseRef(home, c.name, c.qualifier)
		if !errors.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
			continue
		}
		if got := AsError(err).Message; got != c.message {
			t.Errorf("%s: message %q, want %q", c.name, got, c.message)
		}
	}
}

// A state moves only along the drawing; anything else is a conflict that names the state.
func TestStatesMoveOnlyAlongTheDrawing(t *testing.T) {
	all := []State{Pending, Active, Inactive, Failed, Deleting}
	legal := map[string]bool{
		"Pending Active": true, "Pending Failed": true, "Pending Inactive": true, "Pending Deleting": true,
		"Active Pending": true, "Active Inactive": true, "Active Deleting": true,
		"Inactive Pending": true, "Inactive Deleting": true,
		"Failed Pending": true, "Failed Deleting": true,
	}
	for _, from := range all {
		for _, to := range all {
			got, err := from.To(to)
			if legal[fmt.Sprintf("%s %s", from, to)] {
				if err != nil || got != to {
					t.Errorf("%s to %s: %v", from, to, err)
				}
				continue
			}
			if !errors.Is(err, ResourceConflict) || got != from {
				t.Errorf("%s to %s is allowed", from, to)
			}
		}
	}
}

// A code is found through any wrapping, and an error without one is the service's own.
func TestErrorsCarryTheirCode(t *testing.T) {
	cause := errors.New("disk")
	err := fmt.Errorf("put: %w", &Error{Code: ResourceNotFound, Message: "gone", Err: cause})
	if !errors.Is(err, ResourceNotFound) || !errors.Is(err, cause) {
		t.Error("the code or the cause is lost")
	}
	if got := AsError(cause); got.Code != Service || !errors.Is(got, cause) {
		t.Errorf("an uncoded error became %v", got)
	}
}
