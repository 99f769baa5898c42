package control

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/lambent-run/lambent/catalog"
	"github.com/lambent-run/lambent/lambda"
)

// statement is a permission in the order in which AWS writes its members.
type statement struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition *condition `json:",omitempty"`
}

type condition struct {
	StringEquals map[string]string `json:",omitempty"`
	ArnLike      map[string]string `json:",omitempty"`
	Bool         map[string]string `json:",omitempty"`
}

// encode writes a statement without the escapes that only HTML needs.
func (s *statement) encode() lambda.Statement {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // it holds nothing that cannot be marshalled
	}
	return lambda.Statement{Sid: s.Sid, JSON: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}
}

// Forms of a principal (AWS API reference, AddPermission): a service, an
// account, or an IAM identity. Whether an identity exists is not known here.
var (
	servicePrincipal = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*\.(amazonaws\.com|amazonaws\.com\.cn|amazon\.com|internal)$`)
	accountPrincipal = regexp.MustCompile(`^\d{12}$`)
	iamPrincipal     = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:(root|user/.+|role/.+|assumed-role/.+|federated-user/.+)$`)
)

// principal is how a policy names who was named to it.
func principal(region, name string) (any, error) {
	switch {
	case name == "*":
		return "*", nil
	case accountPrincipal.MatchString(name):
		return map[string]string{"AWS": "arn:" + lambda.Partition(region) + ":iam::" + name + ":root"}, nil
	case iamPrincipal.MatchString(name):
		return map[string]string{"AWS": name}, nil
	case servicePrincipal.MatchString(name):
		return map[string]string{"Service": name}, nil
	}
	return nil, refuse("The provided principal was invalid. Please check the principal and try again.")
}

// grant adds a statement to a policy, which may be nil, and returns the new one.
func (c *Control) grant(p *lambda.Policy, s *statement) (*lambda.Policy, error) {
	if p.Find(s.Sid) >= 0 {
		return nil, lambda.Errorf(lambda.ResourceConflict, "The statement id (%s) provided already exists. "+
			"Please provide a new statement id, or remove the existing statement.", s.Sid)
	}
	now := &lambda.Policy{Version: "2012-10-17", ID: "default", RevisionID: c.NewID()}
	if p != nil {
		now.Version, now.ID, now.Statements = p.Version, p.ID, slices.Clone(p.Statements)
	}
	now.Statements = append(now.Statements, s.encode())
	return now, fits(now.Text())
}

// fits refuses a policy that is too long.
func fits(text string) error {
	if len(text) > lambda.MaxPolicy {
		return lambda.Errorf(lambda.PolicyLengthExceeded, "The final policy size (%d) is bigger than the limit (%d).",
			len(text), lambda.MaxPolicy)
	}
	return nil
}

// revoke removes a statement from a policy and returns the new one, nil if
// nothing is left.
func (c *Control) revoke(p *lambda.Policy, sid string) (*lambda.Policy, error) {
	i := p.Find(sid)
	if i < 0 {
		return nil, lambda.Errorf(lambda.ResourceNotFound, "Statement %s is not found in resource policy.", sid)
	}
	if len(p.Statements) == 1 {
		return nil, nil
	}
	now := *p
	now.Statements = slices.Delete(slices.Clone(p.Statements), i, i+1)
	now.RevisionID = c.NewID()
	return &now, nil
}

// revision compares a RevisionId with that of a policy, which may be nil.
func revision(given *string, p *lambda.Policy, call string) error {
	now := ""
	if p != nil {
		now = p.RevisionID
	}
	return expectOf(given, now, call)
}

// noPolicy is AWS's answer where there is nothing to remove from.
func noPolicy() error {
	return lambda.Errorf(lambda.ResourceNotFound, "No policy is associated with the given resource.")
}

// missing is AWS's answer to most operations on a qualifier that does not
// exist. Words that could be an alias are told from those that could not.
func missing(ref lambda.Ref) error {
	if _, numbered := lambda.ParseVersion(ref.Qualifier); ref.Qualifier != "" && !numbered && !strings.Contains(ref.Qualifier, "$") {
		return lambda.Errorf(lambda.ResourceNotFound, "Cannot find alias arn: %s", ref.ARN())
	}
	return lambda.NotFound(ref.ARN())
}

// resettle changes the settings of a qualifier that exists. The settings that
// change is given are its own to change.
func (c *Control) resettle(ctx context.Context, ref lambda.Ref, absent error,
	change func(tx *catalog.Tx, e *catalog.Entry, s *lambda.Settings) error) error {
	return c.Catalog.Update(ctx, ref.FunctionID, func(tx *catalog.Tx) error {
		e := tx.Entry()
		if e == nil || e.Version(ref.Or()) == nil {
			return absent
		}
		s := *e.Of(ref.Or())
		if err := change(tx, e, &s); err != nil {
			return err
		}
		tx.PutSettings(ref.Or(), &s)
		return nil
	})
}

// AddPermission adds a statement to the policy of a function, a version or an
// alias.
func (c *Control) AddPermission(ctx context.Context, at lambda.Scope, in *awslambda.AddPermissionInput) (*awslambda.AddPermissionOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	if ref.Qualifier == lambda.Latest {
		return nil, refuse("We currently do not support adding policies for $LATEST.")
	}
	s := &statement{Sid: *in.StatementId, Effect: "Allow", Action: *in.Action, Resource: ref.ARN()}
	equals := map[string]string{}
	for key, given := range map[string]*string{
		"AWS:SourceAccount": in.SourceAccount, "lambda:EventSourceToken": in.EventSourceToken, "aws:PrincipalOrgID": in.PrincipalOrgID,
	} {
		if given != nil {
			equals[key] = *given
		}
	}
	if in.FunctionUrlAuthType != "" {
		if s.Action != "lambda:InvokeFunctionUrl" {
			return nil, refuse("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")
		}
		equals["lambda:FunctionUrlAuthType"] = string(in.FunctionUrlAuthType)
	}
	when := &condition{StringEquals: equals}
	if in.SourceArn != nil {
		when.ArnLike = map[string]string{"AWS:SourceArn": *in.SourceArn}
	}
	if in.InvokedViaFunctionUrl != nil {
		if s.Action != "lambda:InvokeFunction" {
			return nil, refuse("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")
		}
		when.Bool = map[string]string{"lambda:InvokedViaFunctionUrl": map[bool]string{true: "true", false: "false"}[*in.InvokedViaFunctionUrl]}
	}
	if len(equals) > 0 || when.ArnLike != nil || when.Bool != nil {
		s.Condition = when
	}
	err = c.resettle(ctx, ref, missing(ref), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) (err error) {
		if s.Principal, err = principal(at.Region, *in.Principal); err != nil {
			return err
		}
		if err := revision(in.RevisionId, set.Policy, stalePolicy); err != nil {
			return err
		}
		set.Policy, err = c.grant(set.Policy, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.AddPermissionOutput{Statement: ptr(string(s.encode().JSON))}, nil
}

// RemovePermission removes a statement from a policy. The policy goes with its
// last one.
func (c *Control) RemovePermission(ctx context.Context, at lambda.Scope, in *awslambda.RemovePermissionInput) (*awslambda.RemovePermissionOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	absent := missing(ref)
	if ref.Qualifier == "" {
		absent = lambda.Errorf(lambda.ResourceNotFound, "No policy found for: %s", ref.ARN())
	}
	err = c.resettle(ctx, ref, absent, func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) (err error) {
		if set.Policy == nil {
			return noPolicy()
		}
		if err := revision(in.RevisionId, set.Policy, stalePolicy); err != nil {
			return err
		}
		set.Policy, err = c.revoke(set.Policy, *in.StatementId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.RemovePermissionOutput{}, nil
}

// policy finds the policy of what a request names. What does not exist and what
// has none are the same to AWS.
func (c *Control) policy(ref lambda.Ref) (*lambda.Policy, error) {
	if e := c.Catalog.Get(ref.FunctionID); e != nil {
		if p := e.Of(ref.Or()).Policy; p != nil {
			return p, nil
		}
	}
	return nil, noResource()
}

func noResource() error {
	return lambda.Errorf(lambda.ResourceNotFound, "The resource you requested does not exist.")
}

// GetPolicy returns the policy of a function, a version or an alias.
func (c *Control) GetPolicy(_ context.Context, at lambda.Scope, in *awslambda.GetPolicyInput) (*awslambda.GetPolicyOutput, error) {
	ref, err := lambda.ParseRef(at, *in.FunctionName, value(in.Qualifier))
	if err != nil {
		return nil, err
	}
	p, err := c.policy(ref)
	if err != nil {
		return nil, err
	}
	return &awslambda.GetPolicyOutput{Policy: ptr(p.Text()), RevisionId: ptr(p.RevisionID)}, nil
}

// document reads a policy that was given as a whole. Its statements are kept as
// they are; what could be no policy of a function is refused.
func document(text, resource string) (*lambda.Policy, error) {
	var doc struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	var list []json.RawMessage
	malformed := func(why string) (*lambda.Policy, error) {
		return nil, refuse("The provided policy document is not valid: %s.", why)
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return malformed("it is not a JSON object with the members of a policy")
	}
	if doc.Version == "" {
		doc.Version = "2008-10-17" // the language's default (IAM user guide)
	}
	if doc.Version != "2012-10-17" && doc.Version != "2008-10-17" {
		return malformed("its Version is not known")
	}
	if len(doc.Statement) > 0 && doc.Statement[0] == '{' {
		list = []json.RawMessage{doc.Statement}
	} else if err := json.Unmarshal(doc.Statement, &list); err != nil || len(list) == 0 {
		return malformed("it has no Statement")
	}
	p := &lambda.Policy{Version: doc.Version, ID: doc.ID}
	for _, raw := range list {
		var s struct {
			Sid, Effect                                          string
			Principal, NotPrincipal, Action, NotAction, Resource json.RawMessage
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			return malformed("a Statement is not an object with the members of a statement")
		}
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return malformed("the Effect of a Statement is neither Allow nor Deny")
		case s.Principal == nil && s.NotPrincipal == nil:
			return malformed("a Statement has no Principal")
		case s.Action == nil && s.NotAction == nil:
			return malformed("a Statement has no Action")
		case s.Resource != nil && !names(s.Resource, resource):
			return malformed("the Resource of a Statement is not " + resource)
		case s.Sid != "" && p.Find(s.Sid) >= 0:
			return malformed("the Sid " + s.Sid + " comes twice")
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return malformed("it is not JSON")
		}
		p.Statements = append(p.Statements, lambda.Statement{Sid: s.Sid, JSON: compact.Bytes()})
	}
	return p, fits(p.Text())
}

// names tells whether a Resource, one or several, names a resource: exactly,
// with one of its qualifiers, or by wildcards.
func names(raw json.RawMessage, resource string) bool {
	var list []string
	var one string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return false
	}
	for _, r := range list {
		pattern := regexp.QuoteMeta(r)
		pattern = strings.ReplaceAll(strings.ReplaceAll(pattern, `\*`, ".*"), `\?`, ".")
		if ok, err := regexp.MatchString("^"+pattern+"$", resource); err != nil || !ok {
			return false
		}
	}
	return true
}

// PutResourcePolicy replaces the policy of a function, a version or an alias,
// also what AddPermission has built.
func (c *Control) PutResourcePolicy(ctx context.Context, at lambda.Scope, in *awslambda.PutResourcePolicyInput) (*awslambda.PutResourcePolicyOutput, error) {
	ref, err := c.policyResource(at, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	var p *lambda.Policy
	err = c.resettle(ctx, ref, missing(ref), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) (err error) {
		if err := revision(in.RevisionId, set.Policy, "GetResourcePolicy"); err != nil {
			return err
		}
		if p, err = document(*in.Policy, ref.ARN()); err != nil {
			return err
		}
		p.RevisionID = c.NewID()
		set.Policy = p
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.PutResourcePolicyOutput{Policy: ptr(p.Text()), RevisionId: ptr(p.RevisionID)}, nil
}

// policyResource reads the ARN of what has a resource policy. Policies of
// runtimes are Amazon's own.
func (c *Control) policyResource(at lambda.Scope, arn string) (lambda.Ref, error) {
	if !strings.Contains(arn, ":function:") {
		return lambda.Ref{}, noResource()
	}
	ref, err := lambda.ParseRef(at, arn, "")
	if err == nil && ref.Qualifier == lambda.Latest {
		err = refuse("We currently do not support adding policies for $LATEST.")
	}
	return ref, err
}

// GetResourcePolicy returns the policy of a function, a version or an alias.
func (c *Control) GetResourcePolicy(_ context.Context, at lambda.Scope, in *awslambda.GetResourcePolicyInput) (*awslambda.GetResourcePolicyOutput, error) {
	ref, err := c.policyResource(at, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	p, err := c.policy(ref)
	if err != nil {
		return nil, err
	}
	return &awslambda.GetResourcePolicyOutput{Policy: ptr(p.Text()), RevisionId: ptr(p.RevisionID)}, nil
}

// DeleteResourcePolicy removes the policy of a function, a version or an alias.
func (c *Control) DeleteResourcePolicy(ctx context.Context, at lambda.Scope, in *awslambda.DeleteResourcePolicyInput) (*awslambda.DeleteResourcePolicyOutput, error) {
	ref, err := c.policyResource(at, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	err = c.resettle(ctx, ref, noResource(), func(_ *catalog.Tx, _ *catalog.Entry, set *lambda.Settings) error {
		if set.Policy == nil {
			return noResource()
		}
		if err := revision(in.RevisionId, set.Policy, "GetResourcePolicy"); err != nil {
			return err
		}
		set.Policy = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &awslambda.DeleteResourcePolicyOutput{}, nil
}

// grantee is the account or "*" that a layer's statement allows, and whether
// on a condition.
func grantee(s lambda.Statement) (who string, conditional bool) {
	var st struct {
		Principal json.RawMessage
		Condition json.RawMessage
	}
	var of struct{ AWS string }
	if json.Unmarshal(s.JSON, &st) != nil {
		return "", true
	}
	if json.Unmarshal(st.Principal, &who) != nil && json.Unmarshal(st.Principal, &of) == nil {
		if parts := strings.Split(of.AWS, ":"); len(parts) == 6 { // arn:partition:iam::account:root
			who = parts[4]
		}
	}
	return who, st.Condition != nil
}
