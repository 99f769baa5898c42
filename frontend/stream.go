package frontend

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"time"

	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/lambent-run/lambent/frontend/wire"
	"github.com/lambent-run/lambent/lambda"
)

// serveStream is InvokeWithResponseStream. What is wrong before the function runs
// is an HTTP error like any other; from then on the answer is a stream of events
// with status 200, and a function that fails says so in the last of them.
func (f *Frontend) serveStream(w http.ResponseWriter, r *http.Request, at lambda.Scope, op *wire.Operation, labels wire.Labels) {
	decoded, err := op.Decode(r, labels, lambda.MaxSyncPayload)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	in := decoded.(*awslambda.InvokeWithResponseStreamInput)
	if in.TenantId != nil {
		f.refuse(w, r, lambda.Errorf(lambda.InvalidParameterValue,
			"The invoked function is not enabled with tenancy configuration."))
		return
	}
	c := &Call{
		Scope:     at,
		Function:  *in.FunctionName,
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
	inv, err := c.invocation()
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	if in.InvocationType == types.ResponseStreamingInvocationTypeDryRun {
		if err := f.dryRun(inv); err != nil {
			f.refuse(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	inv.Stream = true
	v, err := f.spine.Route(inv.Ref)
	if err != nil {
		f.refuse(w, r, err)
		return
	}
	e := events{paced: pace(w), version: v.Number}
	// The function runs to its end whether or not its caller stays.
	out, err := f.spine.Run(context.WithoutCancel(r.Context()), v, inv, &e)
	if err != nil && !e.begun {
		f.refuse(w, r, err)
		return
	}
	if err != nil {
		// Too late for a status.
		refusal := f.Refusal(err, r.Method+" "+r.URL.Path)
		e.complete(string(refusal.Code), []byte(refusal.Message), nil)
	} else {
		// The type of a failure is told only of one that broke off an answer.
		var code string
		var details []byte
		if out.Fault != nil {
			details = out.Fault.Payload
			if code = out.Fault.Type; !e.begun {
				code = "Unhandled"
			}
		}
		e.complete(code, details, out.LogTail)
	}
	if err := e.end(); err != nil {
		f.logger.Debug("stream: the caller has gone", "err", err)
	}
}

// stall is how long a caller may take to read the next piece of a streamed
// answer. A slow one holds up its function, which runs into its own time-out;
// one that has stopped reading is given up.
const stall = time.Minute

// piece is how many bytes are written under one deadline.
const piece = 64 << 10

// paced writes a response as it comes, each piece with a deadline of its own.
// After an error it writes no more.
type paced struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	err error // of the first write that failed
}

// pace prepares a response that may take as long as its function. Its request
// must have been read: the deadline for that is lifted, or the server would take
// it for the caller's hanging up.
func pace(w http.ResponseWriter) paced {
	p := paced{w: w, rc: http.NewResponseController(w)}
	_ = p.rc.SetReadDeadline(time.Time{}) // fails where there are no deadlines: in a test
	return p
}

// write writes b. It reaches the caller at the next flush at the latest.
func (p *paced) write(b []byte) error {
	for len(b) > 0 && p.err == nil {
		n := min(len(b), piece)
		_ = p.rc.SetWriteDeadline(time.Now().Add(stall))
		_, p.err = p.w.Write(b[:n])
		b = b[n:]
	}
	return p.err
}

// flush sends what has been written.
func (p *paced) flush() error {
	if p.err == nil {
		p.err = p.rc.Flush()
	}
	return p.err
}

// end lifts the deadline, which would hold for the connection's next request.
func (p *paced) end() error {
	_ = p.rc.SetWriteDeadline(time.Time{})
	return p.err
}

// events writes a function's answer as AWS's event stream: a PayloadChunk for
// every write, and one InvokeComplete in the end.
//
// A message is the lengths of the whole and of its headers, a checksum of the
// two, the headers, the payload, and a checksum of everything before it.
// Numbers are big endian, checksums CRC-32 (IEEE).
type events struct {
	paced
	version string // for X-Amz-Executed-Version
	begun   bool   // the function has begun to answer
	head    []byte // reused
}

var (
	payloadChunk   = eventHeaders("PayloadChunk", "application/octet-stream")
	invokeComplete = eventHeaders("InvokeComplete", "application/json")
)

// eventHeaders encodes the headers of an event: of each the name, 7 for a
// string, and the value, with lengths of one and two bytes in front.
func eventHeaders(event, contentType string) []byte {
	var b []byte
	for _, h := range [][2]string{{":event-type", event}, {":content-type", contentType}, {":message-type", "event"}} {
		b = append(b, byte(len(h[0])))
		b = append(append(b, h[0]...), 7)
		b = binary.BigEndian.AppendUint16(b, uint16(len(h[1])))
		b = append(b, h[1]...)
	}
	return b
}

// Begin notes that the function answers. What the function says about its answer
// is not for callers of the API.
func (e *events) Begin(lambda.Head) {
	e.begun = true
	e.header()
}

func (e *events) header() {
	h := e.w.Header()
	h.Set("Content-Type", "application/vnd.amazon.eventstream")
	h.Set("X-Amz-Executed-Version", e.version)
	e.w.WriteHeader(http.StatusOK)
}

// Write sends p as one event.
func (e *events) Write(p []byte) (int, error) {
	if err := e.send(payloadChunk, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// complete sends the last event. Members without a value are left out.
func (e *events) complete(code string, details, log []byte) {
	if !e.begun {
		e.header()
	}
	b := []byte{'{'}
	member := func(name, value string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), `":`...)
		b, _ = jsontext.AppendQuote(b, value) // what is not UTF-8 is replaced
	}
	if code != "" {
		member("ErrorCode", code)
		member("ErrorDetails", string(details))
	}
	if log != nil {
		member("LogResult", base64.StdEncoding.EncodeToString(log))
	}
	_ = e.send(invokeComplete, append(b, '}')) // end tells of the error
}

// send writes one message and flushes it.
func (e *events) send(headers, payload []byte) error {
	const around = 16 // bytes of lengths and checksums
	b := binary.BigEndian.AppendUint32(e.head[:0], uint32(around+len(headers)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(b, headers...)
	sum := crc32.Update(crc32.ChecksumIEEE(b), crc32.IEEETable, payload)
	if len(payload) <= piece { // in one write
		b = binary.BigEndian.AppendUint32(append(b, payload...), sum)
		e.head = b
		_ = e.write(b)
	} else {
		_ = e.write(b)
		_ = e.write(payload)
		_ = e.write(binary.BigEndian.AppendUint32(b[:0], sum))
		e.head = b
	}
	return e.flush()
}
