package frontend

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/lambent-run/lambent/frontend/wire"
	"github.com/lambent-run/lambent/internal/ids"
	"github.com/lambent-run/lambent/lambda"
)

// Call is an Invoke request taken apart, by whichever server read it.
type Call struct {
	Scope         lambda.Scope
	Function      string // FunctionName as given, decoded
	Qualifier     string
	Type          string // X-Amz-Invocation-Type; "" is RequestResponse
	LogType       string // X-Amz-Log-Type
	ClientContext string // X-Amz-Client-Context, base64
	Trace         string // X-Amzn-Trace-Id
	RequestID     string // a UUID, already chosen
	Body          []byte // at most lambda.MaxSyncPayload bytes: its reader has seen to that
}

// Invoke runs a call and gives what its answer consists of. The function's
// bytes go to b; a Fault's payload is in the Outcome. With DryRun nothing runs
// and the Outcome is empty.
func (f *Frontend) Invoke(ctx context.Context, c *Call, b *Buffer) (lambda.Outcome, error) {
	inv, err := c.invocation()
	if err != nil {
		return lambda.Outcome{}, err
	}
	switch c.Type {
	case "", "RequestResponse":
		out, err := f.spine.Invoke(ctx, inv, b)
		if b.over && out.Fault == nil {
			out.Fault = tooLarge
		}
		return out, err
	case "DryRun":
		return lambda.Outcome{}, f.dryRun(inv)
	default:
		return lambda.Outcome{}, f.noQueue(inv)
	}
}

// noQueue refuses an asynchronous invocation of a function that is there: there
// is no queue to keep it in. It is no 501, which SDKs would try again.
func (f *Frontend) noQueue(inv *lambda.Invocation) error {
	if err := f.dryRun(inv); err != nil {
		return err
	}
	return lambda.Errorf(lambda.ModeNotSupported,
		"Asynchronous invocation is not implemented by this version of Lambent: nothing has been accepted.")
}

// serveInvokeAsync is the deprecated InvokeAsync.
func (f *Frontend) serveInvokeAsync(w http.ResponseWriter, r *http.Request, at lambda.Scope, op *wire.Operation, labels wire.Labels) {
	decoded, err := op.Decode(r, labels, lambda.MaxAsyncPayload)
	if err == nil {
		c := &Call{Scope: at, Function: *decoded.(*awslambda.InvokeAsyncInput).FunctionName, Type: "Event"}
		_, err = f.Invoke(r.Context(), c, new(Buffer))
	}
	f.refuse(w, r, err)
}

// dryRun says whether the caller may and the function is there. No environment is
// started, and a function that is not ready yet is no obstacle.
func (f *Frontend) dryRun(inv *lambda.Invocation) error {
	_, err := f.spine.Route(inv.Ref)
	if errors.Is(err, lambda.ResourceConflict) {
		return nil
	}
	return err
}

func (c *Call) invocation() (*lambda.Invocation, error) {
	ref, err := lambda.ParseRef(c.Scope, c.Function, c.Qualifier)
	if err != nil {
		return nil, err
	}
	if c.Type == "Event" && len(c.Body) > lambda.MaxAsyncPayload {
		return nil, &lambda.Error{Code: lambda.RequestEntityTooLarge, Bare: true, Message: fmt.Sprintf(
			"%d byte payload is too large for the Event invocation type (limit %d bytes)", len(c.Body), lambda.MaxAsyncPayload)}
	}
	inv := &lambda.Invocation{
		Ref:       ref,
		RequestID: c.RequestID,
		Payload:   c.Body,
		Trace:     c.Trace,
		LogTail:   c.LogType == "Tail",
	}
	if inv.Trace == "" {
		inv.Trace = "Root=" + ids.Trace() + ";Sampled=0"
	}
	if c.ClientContext != "" {
		if len(c.ClientContext) > lambda.MaxClientContext {
			return nil, lambda.Errorf(lambda.InvalidRequestContent,
				"Client context must be smaller than %d bytes", lambda.MaxClientContext)
		}
		decoded, err := base64.StdEncoding.DecodeString(c.ClientContext)
		if err != nil || !json(decoded) {
			return nil, lambda.Errorf(lambda.InvalidRequestContent, "Client context must be a valid Base64-encoded JSON object.")
		}
		inv.ClientContext = decoded
	}
	if len(c.Body) > 0 && !json(c.Body) {
		return nil, lambda.Errorf(lambda.InvalidRequestContent,
			"Could not parse request body into json: Could not parse payload into json: %s", complaint(c.Body))
	}
	return inv, nil
}

// json tells whether b is one JSON value in UTF-8. Names may repeat, as for AWS.
func json(b []byte) bool { return jsontext.Value(b).IsValid(jsontext.AllowDuplicateNames(true)) }

// complaint words a syntax error as AWS's parser does, as far as it can be
// known from outside: the character met and where.
func complaint(b []byte) string {
	d := jsontext.NewDecoder(bytes.NewReader(b), jsontext.AllowDuplicateNames(true))
	var err error
	for err == nil {
		_, err = d.ReadToken()
	}
	at := int(d.InputOffset())
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		at = int(syntactic.ByteOffset)
	}
	if at >= len(b) || err == io.EOF && at == len(b) {
		return where("Unexpected end-of-input: expected a value", b, len(b))
	}
	r, _ := utf8.DecodeRune(b[at:])
	name := fmt.Sprintf("'%c' (code %d)", r, r)
	switch {
	case r == utf8.RuneError:
		name = fmt.Sprintf("(CTRL-CHAR, code %d)", b[at])
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		name = fmt.Sprintf("(CTRL-CHAR, code %d)", r)
	}
	return where("Unexpected character ("+name+"): expected a valid value "+
		"(JSON String, Number, Array, Object or token 'null', 'true' or 'false')", b, at)
}

func where(what string, b []byte, at int) string {
	line := 1 + bytes.Count(b[:at], []byte{'\n'})
	column := at - bytes.LastIndexByte(b[:at], '\n')
	return fmt.Sprintf("%s\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]",
		what, line, column)
}

// Buffer collects a buffered answer. The zero value is ready; Reset makes it
// ready again and keeps its memory.
type Buffer struct {
	Bytes []byte
	over  bool // there was more than may be collected
}

// tooLarge is what becomes of a streamed answer that a caller wants in one
// piece. Of a buffered one, the runtime is told instead, with the same fault.
var tooLarge = &lambda.Fault{Type: "Function.ResponseSizeTooLarge", Payload: fmt.Appendf(nil,
	`{"errorMessage":"Response payload size exceeded maximum allowed payload size (%d bytes).","errorType":"Function.ResponseSizeTooLarge"}`,
	lambda.MaxResponse)}

// Begin makes room for an answer of known length.
func (b *Buffer) Begin(h lambda.Head) {
	if h.Length > int64(cap(b.Bytes)) && h.Length <= lambda.MaxResponse {
		b.Bytes = make([]byte, 0, h.Length)
	}
}

// Write appends p.
func (b *Buffer) Write(p []byte) (int, error) {
	if len(b.Bytes)+len(p) > lambda.MaxResponse {
		b.over = true
		return 0, errors.New("the answer is larger than a buffered response may be")
	}
	b.Bytes = append(b.Bytes, p...)
	return len(p), nil
}

// Reset empties the buffer.
func (b *Buffer) Reset() { b.Bytes, b.over = b.Bytes[:0], false }

// answerTimeout is how long a caller may take to read its answer.
const answerTimeout = 5 * time.Minute

// serveInvoke is Invoke as net/http carries it.
func (f *Frontend) serveInvoke(w http.ResponseWriter, r *http.Request, at lambda.Scope, op *wire.Operation, labels wire.Labels) {
	decoded, err := op.Decode(r, labels, lambda.MaxSyncPayload)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	in := decoded.(*awslambda.InvokeInput)
	if in.TenantId != nil {
		f.refuse(w, r, lambda.Errorf(lambda.InvalidParameterValue,
			"The invoked function is not enabled with tenancy configuration."))
		return
	}
	if in.DurableExecutionName != nil {
		f.refuse(w, r, notBuilt("Invoke with a durable execution name"))
		return
	}
	c := &Call{
		Scope:     at,
		Function:  *in.FunctionName,
		Type:      string(in.InvocationType),
		LogType:   string(in.LogType),
		Trace:     r.Header.Get("X-Amzn-Trace-Id"),
		RequestID: w.Header().Get("X-Amzn-Requestid"),
		Body:      in.Payload,
	}
	if in.Qualifier != nil {
		c.Qualifier = *in.Qualifier
	}
	if in.ClientContext != nil {
		c.ClientContext = *in.ClientContext
	}
	var buf Buffer
	out, err := f.Invoke(r.Context(), c, &buf)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	if in.InvocationType == types.InvocationTypeDryRun {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h := w.Header()
	answer := buf.Bytes
	if out.Fault != nil {
		h.Set("X-Amz-Function-Error", "Unhandled")
		answer = out.Fault.Payload
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Amz-Executed-Version", out.ExecutedVersion)
	if c.LogType == "Tail" {
		h.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(out.LogTail))
	}
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	// A caller that does not read its answer is given up. A server that cannot set
	// a deadline has none to set: the test recorder.
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(answerTimeout))
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(answer); err != nil {
		f.logger.Debug("invoke: the caller has gone", "err", err)
	}
	_ = rc.SetWriteDeadline(time.Time{}) // it would hold for the connection's next request
}
