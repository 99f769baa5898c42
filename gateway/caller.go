package gateway

import (
	"errors"
	"net/http"
	"strings"
	"syscall"

	"github.com/lambent-run/lambent/lambda"
)

// own tells the server's own paths from those of AWS's services.
func own(path string) bool {
	return strings.HasPrefix(path, "/_lambent/") || strings.HasPrefix(path, "/_localstack/")
}

// urlPath is where function URLs are for callers that cannot choose a host.
const urlPath = "/_lambent/url/"

// functionURL tells whether a request is to a function URL, by its host or its
// path, and to which: the URL's id, and the path that the function sees.
func functionURL(host, path string) (id, rest string, ok bool) {
	if id, ok = urlHost(host); ok {
		return strings.ToLower(id), path, true
	}
	if rest, ok = strings.CutPrefix(path, urlPath); !ok {
		return "", "", false
	}
	id, _, _ = strings.Cut(rest, "/")
	if rest = rest[len(id):]; rest == "" {
		rest = "/"
	}
	return strings.ToLower(id), rest, true
}

// urlHost tells whether a host is that of a function URL, which is
// <id>.lambda-url.<region>.<domain>, perhaps with a port. The domain may be any
// that leads here.
func urlHost[T string | []byte](host T) (id T, ok bool) {
	const service = "lambda-url"
	dot := 0
	for dot < len(host) && host[dot] != '.' {
		dot++
	}
	rest := dot + 1 + len(service)
	if dot == 0 || len(host) <= rest || host[rest] != '.' {
		return id, false
	}
	for i := range len(service) {
		c := host[dot+1+i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != service[i] {
			return id, false
		}
	}
	return host[:dot], true
}

// identity is what a signature says about its maker, before anyone has checked
// it: "Credential=<access key>/<date>/<region>/<service>/aws4_request".
type identity struct{ key, region, service string }

// caller reads the credential scope from an Authorization header, or from the
// query parameter of a presigned URL. What is absent or malformed stays empty.
func caller(authorization, query string) identity {
	scope := query
	if _, rest, ok := strings.Cut(authorization, "Credential="); ok {
		scope, _, _ = strings.Cut(rest, ",")
	}
	key, rest, ok := strings.Cut(scope, "/")
	if !ok {
		return identity{}
	}
	_, rest, _ = strings.Cut(rest, "/") // the date
	region, rest, _ := strings.Cut(rest, "/")
	service, _, _ := strings.Cut(rest, "/")
	return identity{key, region, strings.TrimSpace(service)}
}

// scope is where a request acts: the account of a 12-digit access key, else the
// default one; the region it was signed for, else the default one.
func (i identity) scope(def lambda.Scope) lambda.Scope {
	at := def
	if account(i.key) {
		at.Account = i.key
	}
	if region(i.region) {
		at.Region = i.region
	}
	return at
}

// serviceOf names the service that a request is for: what it was signed for, or
// what its headers give away. An unsigned request without a target is for Lambda.
func (i identity) serviceOf(r *http.Request) string {
	if i.service != "" {
		return i.service
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		name, _, _ := strings.Cut(target, ".")
		name, _, _ = strings.Cut(name, "_")
		return strings.ToLower(strings.TrimPrefix(name, "Amazon"))
	}
	return "lambda"
}

func account(key string) bool {
	if len(key) != 12 {
		return false
	}
	for i := range len(key) {
		if key[i] < '0' || key[i] > '9' {
			return false
		}
	}
	return true
}

// region keeps out what could not stand in an ARN or a path.
func region(s string) bool {
	if len(s) < 3 || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// tooManyFiles is how accept fails when descriptors have run out.
func tooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
