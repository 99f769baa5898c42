package wire

import (
	"net/http"
	"net/url"
	"strings"
)

// Labels are the values of the labels in a path, decoded, in the order in
// which the operation's URI has them.
type Labels struct {
	n      int
	values [4]string // no URI of the API has more than three
}

// Len is the number of labels.
func (l *Labels) Len() int { return l.n }

// At returns the value of the i-th label.
func (l *Labels) At(i int) string { return l.values[:l.n][i] }

// node is a place in the tree of paths.
type node struct {
	literal map[string]*node
	label   *node // any one segment
	routes  []route
}

// route is what a path with a method, and perhaps with query parameters, asks for.
type route struct {
	method string
	query  url.Values // parameters that must have exactly these values
	op     *Operation
}

var root = plant()

func plant() *node {
	root := new(node)
	for i := range Operations {
		op := &Operations[i]
		path, query, _ := strings.Cut(op.URI, "?")
		n := root
		for segment := range strings.SplitSeq(path[1:], "/") {
			if segment[0] == '{' {
				if n.label == nil {
					n.label = new(node)
				}
				n = n.label
				continue
			}
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			if n.literal[segment] == nil {
				n.literal[segment] = new(node)
			}
			n = n.literal[segment]
		}
		want, err := url.ParseQuery(query)
		if err != nil {
			panic("wire: " + op.URI + ": " + err.Error())
		}
		if len(want) == 0 {
			n.routes = append(n.routes, route{op.Method, nil, op})
		} else {
			// Asked first: the same path without the parameters is another operation.
			n.routes = append([]route{{op.Method, want, op}}, n.routes...)
		}
	}
	return root
}

// Match finds the operation that a request asks for, and the labels of its
// path. A label is one segment of the escaped path, so an encoded slash stays
// inside it. A slash at the end is allowed, since older SDKs send one.
func Match(r *http.Request) (*Operation, Labels, bool) {
	path := r.URL.EscapedPath()
	if len(path) < 2 || path[0] != '/' {
		return nil, Labels{}, false
	}
	path = strings.TrimSuffix(path[1:], "/")
	var labels Labels
	op := root.find(path, r, &labels)
	if op == nil {
		return nil, Labels{}, false
	}
	for i := range labels.n {
		if strings.IndexByte(labels.values[i], '%') >= 0 {
			value, err := url.PathUnescape(labels.values[i])
			if err != nil {
				return nil, Labels{}, false
			}
			labels.values[i] = value
		}
	}
	return op, labels, true
}

// find walks down from n along path, which has no slash at either end. An
// exact segment is tried before a label.
func (n *node) find(path string, r *http.Request, labels *Labels) *Operation {
	segment, rest, more := strings.Cut(path, "/")
	if segment == "" {
		return nil
	}
	step := func(next *node) *Operation {
		if more {
			return next.find(rest, r, labels)
		}
		return next.choose(r)
	}
	if next := n.literal[segment]; next != nil {
		if op := step(next); op != nil {
			return op
		}
	}
	if n.label == nil {
		return nil
	}
	labels.values[labels.n] = segment
	labels.n++
	op := step(n.label)
	if op == nil {
		labels.n--
	}
	return op
}

func (n *node) choose(r *http.Request) *Operation {
	var query url.Values
	for _, route := range n.routes {
		if route.method != r.Method {
			continue
		}
		if route.query != nil && query == nil {
			query = r.URL.Query()
		}
		if holds(query, route.query) {
			return route.op
		}
	}
	return nil
}

func holds(query, want url.Values) bool {
	for name := range want {
		if query.Get(name) != want.Get(name) {
			return false
		}
	}
	return true
}
