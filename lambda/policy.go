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
	// Document is what PutResourcePolicy was given, word for word, or nil for a
	// policy made of statements one at a time.
	Document json.RawMessage `json:",omitempty"`
	// Statements are in the order in which they were added.
	Statements []Statement `json:",omitempty"`
	RevisionID string
}

// Statement is one permission: the JSON object as the API shows it, and its Sid.
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
	if p.Document != nil {
		return string(p.Document)
	}
	b := []byte(`{"Version":"2012-10-17","Id":"default","Statement":[`)
	for i, s := range p.Statements {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, s.JSON...)
	}
	return string(append(b, `]}`...))
}
