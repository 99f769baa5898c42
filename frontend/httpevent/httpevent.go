// Package httpevent turns HTTP requests into events for functions, and what
// functions answer into HTTP responses, in the payload format 2.0 that function
// URLs speak. It also knows the CORS headers that a function URL answers with.
//
// Package frontend calls it. All of it is pure: it reads no clock, starts no
// goroutine and writes nothing. Its parsers hold no more of what they are given
// than they return or than their limits say.
package httpevent

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// object appends a JSON object, member by member.
type object struct {
	b []byte
	n int // members so far
}

func (o *object) name(name string) {
	if o.n++; o.n > 1 {
		o.b = append(o.b, ',')
	}
	o.b = append(quote(o.b, name), ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	o.b = quote(o.b, value)
}

func (o *object) number(name string, value int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) raw(name, value string) {
	o.name(name)
	o.b = append(o.b, value...)
}

// within appends an object as a member.
func (o *object) within(name string, fill func(*object)) {
	o.name(name)
	in := object{b: append(o.b, '{')}
	fill(&in)
	o.b = append(in.b, '}')
}

// quote appends a JSON string. What is not UTF-8 in value is replaced.
func quote(b []byte, value string) []byte {
	b, _ = jsontext.AppendQuote(b, value)
	return b
}

// Response is an HTTP response to be sent.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Failed is the response to a request whose function failed or answered
// something that is no response. Nothing of what happened is told.
func Failed() Response { return plain(http.StatusBadGateway) }

func plain(status int) Response {
	return Response{Status: status, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("Internal Server Error")}
}
