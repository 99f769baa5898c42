package httpevent

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/lambent-run/lambent/lambda"
)

// Preflight returns the answer to a browser that asks, before it sends a request
// of another origin, whether it may. The function does not see such a question.
// ok is false for a request that is none, or when nothing is configured.
func Preflight(c *lambda.CORS, r *http.Request) (answer Response, ok bool) {
	if c == nil || r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return answer, false
	}
	h := http.Header{}
	if Allow(c, r, h) {
		add(h, "Access-Control-Allow-Methods", c.AllowMethods)
		add(h, "Access-Control-Allow-Headers", c.AllowHeaders)
		if c.MaxAge != nil {
			h.Set("Access-Control-Max-Age", strconv.Itoa(int(*c.MaxAge)))
		}
	}
	return Response{Status: http.StatusOK, Header: h}, true
}

// Allow adds to h what a request of an allowed origin is answered in any case,
// and tells whether it is one. A function that sets such headers itself sends
// them twice, as with AWS.
func Allow(c *lambda.CORS, r *http.Request, h http.Header) bool {
	origin := r.Header.Get("Origin")
	if c == nil || origin == "" {
		return false
	}
	any := slices.Contains(c.AllowOrigins, "*")
	credentials := c.Credentials != nil && *c.Credentials
	if !any && !slices.ContainsFunc(c.AllowOrigins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return false
	}
	if any && !credentials {
		h.Add("Access-Control-Allow-Origin", "*")
	} else { // browsers take no * with credentials
		h.Add("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
	}
	add(h, "Access-Control-Expose-Headers", c.ExposeHeaders)
	if credentials {
		h.Add("Access-Control-Allow-Credentials", "true")
	}
	return true
}

// add adds what is configured.
func add(h http.Header, name string, values []string) {
	if len(values) > 0 {
		h.Add(name, strings.Join(values, ","))
	}
}
