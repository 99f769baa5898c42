package httpevent

import (
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Request is an HTTP request with what its event says besides.
type Request struct {
	*http.Request        // as the server has it; its Body is not read
	Body          []byte // its body
	Path          string // as it was sent, however it is encoded
	URL           string // the URL's id
	Domain        string // the host that was asked, without a port
	Port          string // and its port
	Source        string // the caller's address
	ID            string // the request's id
	Trace         string // X-Amzn-Trace-Id
	Time          time.Time
	Caller        *Caller // nil for one that need not say who it is
}

// Caller is who signed a request.
type Caller struct {
	AccessKey, Account, CallerID, ARN, UserID string
}

// Event returns the request as an event.
//
// Members without a value are absent, as in the events of real function URLs;
// the examples in AWS's documentation show some of them as null.
func Event(r *Request) []byte {
	body, encoded := string(r.Body), false
	if len(r.Body) > 0 && !isText(r.Header, r.Body) {
		body, encoded = base64.StdEncoding.EncodeToString(r.Body), true
	}
	o := object{b: append(make([]byte, 0, 2<<10+len(body)+len(body)/16), '{')}
	o.text("version", "2.0")
	o.text("routeKey", "$default")
	o.text("rawPath", r.Path)
	o.text("rawQueryString", r.Request.URL.RawQuery)
	if cookies := cookies(r.Header); len(cookies) > 0 {
		o.name("cookies")
		o.b = append(o.b, '[')
		for i, c := range cookies {
			if i > 0 {
				o.b = append(o.b, ',')
			}
			o.b = quote(o.b, c)
		}
		o.b = append(o.b, ']')
	}
	o.within("headers", func(o *object) {
		for _, h := range headers(r) {
			o.text(h[0], h[1])
		}
	})
	if parameters := parameters(r.Request.URL.RawQuery); len(parameters) > 0 {
		o.within("queryStringParameters", func(o *object) {
			for _, p := range parameters {
				o.text(p[0], p[1])
			}
		})
	}
	o.within("requestContext", func(o *object) {
		account := "anonymous"
		if r.Caller != nil {
			account = r.Caller.Account
		}
		o.text("accountId", account)
		o.text("apiId", r.URL)
		if c := r.Caller; c != nil {
			o.within("authorizer", func(o *object) {
				o.within("iam", func(o *object) {
					o.text("accessKey", c.AccessKey)
					o.text("accountId", c.Account)
					o.text("callerId", c.CallerID)
					o.raw("cognitoIdentity", "null")
					o.raw("principalOrgId", "null")
					o.text("userArn", c.ARN)
					o.text("userId", c.UserID)
				})
			})
		}
		o.text("domainName", r.Domain)
		o.text("domainPrefix", r.URL)
		o.within("http", func(o *object) {
			o.text("method", r.Method)
			o.text("path", r.Path)
			o.text("protocol", r.Proto)
			o.text("sourceIp", r.Source)
			o.text("userAgent", r.Header.Get("User-Agent"))
		})
		o.text("requestId", r.ID)
		o.text("routeKey", "$default")
		o.text("stage", "$default")
		o.text("time", r.Time.UTC().Format("02/Jan/2006:15:04:05 -0700"))
		o.number("timeEpoch", r.Time.UnixMilli())
	})
	if len(body) > 0 {
		o.text("body", body)
	}
	o.raw("isBase64Encoded", strconv.FormatBool(encoded))
	return append(o.b, '}')
}

// hop lists the headers that are about one connection and not about the request.
var hop = []string{"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

// headers returns the event's headers in the order of their names: those of the
// request but for its cookies, and those that AWS's front end adds.
func headers(r *Request) [][2]string {
	all := make([][2]string, 0, len(r.Header)+8)
	var named []string // by Connection, as being about it
	for _, v := range r.Header["Connection"] {
		for name := range strings.SplitSeq(strings.ToLower(v), ",") {
			named = append(named, strings.TrimSpace(name))
		}
	}
	forwarded := r.Source
	length := false
	for name, values := range r.Header {
		name = strings.ToLower(name)
		value := strings.Join(values, ",")
		switch {
		case slices.Contains(hop, name), slices.Contains(named, name):
			continue
		case name == "cookie", name == "host", name == "x-forwarded-proto", name == "x-forwarded-port", name == "x-amzn-trace-id":
			continue
		case name == "x-forwarded-for":
			forwarded = value + ", " + r.Source
			continue
		case name == "content-length":
			length = true
		}
		all = append(all, [2]string{name, value})
	}
	if !length && len(r.Body) > 0 { // it came in chunks
		all = append(all, [2]string{"content-length", strconv.Itoa(len(r.Body))})
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	all = append(all, [2]string{"host", r.Host}, [2]string{"x-amzn-trace-id", r.Trace},
		[2]string{"x-forwarded-for", forwarded}, [2]string{"x-forwarded-port", r.Port}, [2]string{"x-forwarded-proto", scheme})
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all
}

// cookies takes the Cookie headers apart.
func cookies(h http.Header) []string {
	var all []string
	for _, v := range h["Cookie"] {
		for c := range strings.SplitSeq(v, ";") {
			if c = strings.TrimSpace(c); c != "" {
				all = append(all, c)
			}
		}
	}
	return all
}

// parameters decodes a query, in the order in which names first appear. The
// values of one name are joined. What is not encoded properly stays as it is.
func parameters(query string) [][2]string {
	var all [][2]string
	at := map[string]int{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if i, ok := at[name]; ok {
			all[i][1] += "," + value
			continue
		}
		at[name] = len(all)
		all = append(all, [2]string{name, value})
	}
	return all
}

func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// isText tells whether a body stands in the event as it is. AWS goes by the
// content type; its list is not public. What is compressed, or is not UTF-8 and
// could not stand in JSON, is not text whatever it says.
func isText(h http.Header, body []byte) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && kind == "" || h.Get("Content-Encoding") != "" || !utf8.Valid(body) {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(kind, "text/") ||
		strings.HasPrefix(kind, "application/") && (strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml"))
}
