package lambda

import (
	"encoding/json"
	"slices"
)

// MaxPolicy is the size of a resource policy's document in bytes (AWS Lambda
// developer guide, "Lambda quotas").
const MaxPolicy = 20_480

// Policy is a resource policy: who beside the owner's account may use a
// function, a version, an alias or a layer version.
type Policy struct {
	Version    string // of the policy language
	ID         string `json:",omitempty"`
	Statements []Statement
	RevisionID string
}

// Statement is one permission: the JSON object as the API shows it, and its
// Sid, which may be empty in a policy that was given as a whole.
type Statement struct {
	Sid  string
	JSON json.RawMessage
}

// Find returns the place of a statement, or -1.
func (p *Policy) Find(sid string) int {
	if p == nil {
		return -1
	}
	return slices.IndexFunc(p.Statements, func(s Statement) bool { return s.Sid == sid })
}

// Text is the policy's document.
func (p *Policy) Text() string {
	b := append([]byte(`{"Version":`), quote(p.Version)...)
	if p.ID != "" {
		b = append(append(b, `,"Id":`...), quote(p.ID)...)
	}
	b = append(b, `,"Statement":[`...)
	for i, s := range p.Statements {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.JSON...)
	}
	return string(append(b, `]}`...))
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return b
}
