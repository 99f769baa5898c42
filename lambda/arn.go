package lambda

import (
	"regexp"
	"strings"
)

// Scope is where a request acts: the account of its caller and the region it
// was sent to.
type Scope struct {
	Account string // 12 digits
	Region  string
}

// FunctionID names a function. It is comparable and serves as a key.
type FunctionID struct {
	Account string
	Region  string
	Name    string
}

// Scope returns the account and region of the function.
func (f FunctionID) Scope() Scope { return Scope{f.Account, f.Region} }

// ARN returns the unqualified ARN.
func (f FunctionID) ARN() string {
	return "arn:" + Partition(f.Region) + ":lambda:" + f.Region + ":" + f.Account + ":function:" + f.Name
}

// Qualified returns the ARN with a qualifier, or the unqualified ARN for "".
func (f FunctionID) Qualified(qualifier string) string {
	if qualifier == "" {
		return f.ARN()
	}
	return f.ARN() + ":" + qualifier
}

// Partition returns the partition a region belongs to.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	case strings.HasPrefix(region, "eusc-"):
		return "aws-eusc"
	}
	return "aws"
}

// Ref is what a request names: a function and, when given, a qualifier, which
// is $LATEST, a version number or an alias.
type Ref struct {
	FunctionID
	Qualifier string // "" when none was given
}

// ARN returns the ARN as the request named it: qualified if a qualifier was given.
func (r Ref) ARN() string { return r.Qualified(r.Qualifier) }

// Or returns the qualifier, or $LATEST when none was given.
func (r Ref) Or() string {
	if r.Qualifier == "" {
		return Latest
	}
	return r.Qualifier
}

// NotFound is AWS's answer to a request that names what does not exist. Which
// ARN the message echoes differs by operation, so the caller chooses it.
func NotFound(arn string) *Error { return Errorf(ResourceNotFound, "Function not found: %s", arn) }

var refForm = regexp.MustCompile(`^(?:arn:(?:aws[a-zA-Z-]*)?:lambda:)?` +
	`((?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d:)?` +
	`(\d{12}:)?(?:function:)?([a-zA-Z0-9-_.]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?$`)

// ParseRef reads a FunctionName in any form AWS takes (a bare name, name and
// qualifier, a partial or full ARN) together with the Qualifier parameter, in
// the scope of the request. The patterns of the model are checked before it, so
// what it refuses here is what AWS refuses after validation: another region
// (ResourceNotFound), another account (AccessDenied, without a message), and a
// qualifier that contradicts the name (InvalidParameterValue).
func ParseRef(home Scope, name, qualifier string) (Ref, error) {
	ref := Ref{FunctionID: FunctionID{home.Account, home.Region, name}, Qualifier: qualifier}
	if strings.IndexByte(name, ':') < 0 {
		return ref, nil
	}
	m := refForm.FindStringSubmatch(name)
	if m == nil {
		return Ref{}, Errorf(InvalidParameterValue, "The function name %s is not valid.", name)
	}
	region, account := strings.TrimSuffix(m[1], ":"), strings.TrimSuffix(m[2], ":")
	if region != "" && region != home.Region {
		return Ref{}, Errorf(ResourceNotFound,
			"Functions from '%s' are not reachable in this region ('%s')", region, home.Region)
	}
	if account != "" && account != home.Account {
		return Ref{}, &Error{Code: AccessDenied}
	}
	ref.Name = m[3]
	if m[4] != "" {
		if qualifier != "" && qualifier != m[4] {
			return Ref{}, Errorf(InvalidParameterValue,
				"The derived qualifier from the function name does not match the specified qualifier.")
		}
		ref.Qualifier = m[4]
	}
	return ref, nil
}
