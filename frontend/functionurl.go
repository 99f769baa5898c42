package frontend

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lambent-run/lambent/frontend/httpevent"
	"github.com/lambent-run/lambent/frontend/wire"
	"github.com/lambent-run/lambent/internal/ids"
	"github.com/lambent-run/lambent/lambda"
)

// URLCall is what the gateway knows of a request to a function URL.
type URLCall struct {
	ID        string // of the URL
	Path      string // that the function sees, as it was sent
	AccessKey string // that the request is signed with, unverified; "" if it is not signed
	Account   string // of that key
}

// forbidden is what callers are told of a URL that is not there, or not theirs.
const forbidden = "Forbidden. For troubleshooting Function URL authorization issues, see: " +
	"https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"

// ServeURL answers a request to a function URL: the function sees it as an event,
// and what it answers is the response. Whoever may call at all may call a URL
// with AuthType NONE; with AWS_IAM the request must be signed.
func (f *Frontend) ServeURL(w http.ResponseWriter, r *http.Request, c URLCall) {
	requestID, trace := ids.UUID(), r.Header.Get("X-Amzn-Trace-Id")
	if trace == "" {
		trace = "Root=" + ids.Trace()
	}
	h := w.Header()
	h.Set("X-Amzn-Requestid", requestID)
	fn, qualifier, u, ok := f.spine.Catalog.URL(c.ID)
	if !ok {
		f.refuse(w, r, lambda.Errorf(lambda.AccessDenied, forbidden))
		return
	}
	a := &urlAnswer{paced: paced{w: w, rc: http.NewResponseController(w)}, r: r}
	if answer, ok := httpevent.Preflight(u.CORS, r); ok {
		a.whole(answer)
		return
	}
	httpevent.Allow(u.CORS, r, h)
	if u.Auth != "NONE" && c.AccessKey == "" {
		f.refuse(w, r, lambda.Errorf(lambda.AccessDenied, "Forbidden"))
		return
	}
	event, err := f.urlEvent(r, &c, u, requestID, trace)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	a.paced = pace(w)
	if !strings.Contains(trace, "Sampled=") {
		trace += ";Sampled=0"
	}
	h.Set("X-Amzn-Trace-Id", trace)
	inv := &lambda.Invocation{Ref: lambda.Ref{FunctionID: fn}, RequestID: requestID, Payload: event, Trace: trace}
	if qualifier != lambda.Latest {
		inv.Ref.Qualifier = qualifier
	}
	// The function runs to its end whether or not its caller stays.
	ctx := context.WithoutCancel(r.Context())
	if u.Mode == "RESPONSE_STREAM" {
		f.streamURL(ctx, inv, a)
	} else {
		f.bufferURL(ctx, inv, a)
	}
	if err := a.end(); err != nil {
		f.logger.Debug("function URL: the caller has gone", "err", err)
	}
}

// bufferURL runs the function and sends its response in one piece.
func (f *Frontend) bufferURL(ctx context.Context, inv *lambda.Invocation, a *urlAnswer) {
	var b urlBuffer
	out, err := f.spine.Invoke(ctx, inv, &b)
	switch {
	case err != nil:
		f.refuseURL(a, err)
	case out.Fault != nil || b.over:
		a.whole(httpevent.Failed())
	default:
		a.whole(b.answer())
	}
}

// streamURL runs the function and sends its response as it comes.
func (f *Frontend) streamURL(ctx context.Context, inv *lambda.Invocation, a *urlAnswer) {
	inv.Stream = true
	s := urlStream{urlAnswer: a}
	out, err := f.spine.Invoke(ctx, inv, &s)
	switch {
	case s.refused: // and answered
	case err == nil && out.Fault == nil:
		s.close()
	case !a.begun && err != nil:
		f.refuseURL(a, err)
	case !a.begun:
		a.whole(httpevent.Failed())
	default:
		if err != nil {
			f.Refusal(err, "a function URL of "+inv.Ref.Name) // logs it: there is nobody else to tell
		}
		// To break off is the only way left to say that the rest is missing.
		panic(http.ErrAbortHandler)
	}
}

// urlEvent reads the request and makes its event.
func (f *Frontend) urlEvent(r *http.Request, c *URLCall, u *lambda.URL, requestID, trace string) ([]byte, error) {
	tooLarge := &lambda.Error{Code: lambda.RequestEntityTooLarge,
		Message: "Request must be smaller than " + strconv.Itoa(lambda.MaxSyncPayload) + " bytes for the InvokeFunction operation"}
	if r.ContentLength > lambda.MaxSyncPayload {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, lambda.MaxSyncPayload+1))
	if err != nil {
		return nil, lambda.Errorf(lambda.InvalidRequestContent, "The request body could not be read.")
	}
	if len(body) > lambda.MaxSyncPayload {
		return nil, tooLarge
	}
	req := httpevent.Request{Request: r, Body: body, Path: c.Path, URL: c.ID, Domain: r.Host, Port: "80",
		Source: r.RemoteAddr, ID: requestID, Trace: trace, Time: time.Now()}
	if r.TLS != nil {
		req.Port = "443"
	}
	if host, port, err := net.SplitHostPort(r.Host); err == nil {
		req.Domain, req.Port = host, port
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		req.Source = host
	}
	if u.Auth != "NONE" {
		// An account's root is the one principal that is known to exist.
		req.Caller = &httpevent.Caller{AccessKey: c.AccessKey, Account: c.Account, CallerID: c.Account,
			ARN: "arn:aws:iam::" + c.Account + ":root", UserID: c.Account}
	}
	event := httpevent.Event(&req)
	if len(event) > lambda.MaxSyncPayload {
		return nil, tooLarge
	}
	return event, nil
}

// refuseURL answers a request whose function did not run.
func (f *Frontend) refuseURL(a *urlAnswer, err error) {
	switch e := f.Refusal(err, a.r.Method+" "+a.r.Host+a.r.URL.Path); e.Code {
	case lambda.TooManyRequests:
		wire.WriteError(a.w, e)
	case lambda.ResourceNotFound: // deleted a moment ago
		wire.WriteError(a.w, lambda.Errorf(lambda.AccessDenied, forbidden))
	default:
		a.whole(httpevent.Failed())
	}
}

// urlAnswer sends a response to the caller of a function URL.
type urlAnswer struct {
	paced
	r        *http.Request
	begun    bool // the status has been sent
	bodyless bool // no body may be sent
}

// head sends status and headers; those that the platform has set stay beside
// those of the function.
func (a *urlAnswer) head(response *httpevent.Response, length int) {
	h := a.w.Header()
	for name, values := range response.Header {
		h[name] = append(h[name], values...)
	}
	a.begun = true
	nothing := response.Status == http.StatusNoContent || response.Status == http.StatusNotModified
	a.bodyless = nothing || a.r.Method == http.MethodHead
	if length >= 0 && !nothing {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	a.w.WriteHeader(response.Status)
}

// whole sends a complete response.
func (a *urlAnswer) whole(response httpevent.Response) {
	a.head(&response, len(response.Body))
	if !a.bodyless {
		_ = a.write(response.Body) // end tells of the error
	}
}

// urlBuffer collects the answer for a URL with InvokeMode BUFFERED.
type urlBuffer struct {
	Buffer
	head lambda.Head
}

// Begin notes what the function says about its answer.
func (b *urlBuffer) Begin(h lambda.Head) {
	b.head = h
	b.Buffer.Begin(h)
}

// answer is the response that the answer describes.
func (b *urlBuffer) answer() httpevent.Response {
	if isPreluded(b.head) {
		var p httpevent.Prelude
		response, body := p.Feed(b.Bytes)
		if response == nil {
			response = p.End()
		}
		if body != nil {
			response.Body = body
		}
		return *response
	}
	if b.head.Streaming && !json(b.Bytes) {
		return raw(b.head, b.Bytes) // it never meant to describe a response
	}
	return httpevent.Answer(b.Bytes)
}

// isPreluded tells whether an answer begins with the head of its response.
func isPreluded(h lambda.Head) bool {
	kind, _, _ := strings.Cut(h.ContentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), httpevent.Streaming)
}

// raw is the response whose body is the answer.
func raw(h lambda.Head, body []byte) httpevent.Response {
	contentType := h.ContentType
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	return httpevent.Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {contentType}}, Body: body}
}

// urlStream passes the answer on as it comes, for a URL with InvokeMode
// RESPONSE_STREAM.
type urlStream struct {
	*urlAnswer
	prelude *httpevent.Prelude // nil for an answer without one
	refused bool               // the answer has been replaced
}

var errRefused = errors.New("the answer is no response")

// Begin sends the head of an answer that has no prelude.
func (s *urlStream) Begin(h lambda.Head) {
	if isPreluded(h) {
		s.prelude = new(httpevent.Prelude)
		return
	}
	response := raw(h, nil)
	length := -1
	if !h.Streaming {
		length = int(h.Length)
	}
	s.head(&response, length)
}

// Write sends what belongs to the body of the response.
func (s *urlStream) Write(p []byte) (int, error) {
	body := p
	if s.prelude != nil {
		var response *httpevent.Response
		if response, body = s.prelude.Feed(p); response != nil {
			if response.Body != nil {
				s.refused = true
				s.whole(*response)
				return 0, errors.Join(errRefused, s.flush())
			}
			s.head(response, -1)
		} else if !s.begun {
			return len(p), nil
		}
	}
	if !s.bodyless {
		_ = s.write(body)
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// close answers for a stream that ended before its prelude did.
func (s *urlStream) close() {
	if s.prelude == nil {
		return
	}
	if response := s.prelude.End(); response != nil {
		s.whole(*response)
	}
}
