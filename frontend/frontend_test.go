package frontend

import (
	"strings"
	"testing"

	"github.com/lambent-run/lambent/lambda"
)

// A payload that is no JSON is refused with the character met and where it stands, as AWS's parser words it.
func TestComplaintNamesTheCharacterAndItsPlace(t *testing.T) {
	const expected = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	for _, c := range []struct{ body, want, at string }{
		{"x", "Unexpected character ('x' (code 120)): " + expected, "line: 1, column: 1]"},
		{"{\"a\": \n  x}", "Unexpected character ('x' (code 120)): " + expected, "line: 2, column: 3]"},
		{"\x99", "Unexpected character ((CTRL-CHAR, code 153)): " + expected, "line: 1, column: 1]"}, // recorded from AWS, 2025-11
		{"{\"a\":", "Unexpected end-of-input", "line: 1, column: 6]"},
	} {
		got := complaint([]byte(c.body))
		if !strings.HasPrefix(got, c.want) || !strings.HasSuffix(got, c.at) {
			t.Errorf("%q: %s", c.body, got)
		}
	}
}

// Any JSON value is a payload, names may repeat, and what is not UTF-8 is none.
func TestPayloadsAreJSON(t *testing.T) {
	for body, want := range map[string]bool{
		`{}`: true, `[]`: true, `"s"`: true, `1`: true, `null`: true, ` true `: true, `{"a":1,"a":2}`: true,
		`{`: false, `{} {}`: false, `'a'`: false, "\"\xff\"": false, `NaN`: false,
	} {
		if json([]byte(body)) != want {
			t.Errorf("%q: want %v", body, want)
		}
	}
}

// What a call asks for beyond its limits is refused before anything runs.
func TestCallsBeyondTheLimitsAreRefused(t *testing.T) {
	at := lambda.Scope{Account: "000000000000", Region: "us-east-1"}
	for _, c := range []struct {
		name string
		call Call
		code lambda.Code
	}{
		{"event too large", Call{Type: "Event", Body: make([]byte, lambda.MaxAsyncPayload+1)}, lambda.RequestEntityTooLarge},
		{"client context too large", Call{ClientContext: strings.Repeat("a", lambda.MaxClientContext+1)}, lambda.InvalidRequestContent},
		{"client context no base64", Call{ClientContext: "{}"}, lambda.InvalidRequestContent},
		{"client context no JSON", Call{ClientContext: "eA=="}, lambda.InvalidRequestContent},
		{"payload no JSON", Call{Body: []byte("x")}, lambda.InvalidRequestContent},
		{"another region", Call{Function: "arn:aws:lambda:eu-west-1:000000000000:function:fn"}, lambda.ResourceNotFound},
	} {
		c.call.Scope = at
		if c.call.Function == "" {
			c.call.Function = "fn"
		}
		if _, err := c.call.invocation(); lambda.AsError(err).Code != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
}
