package worker

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/lambent-run/lambent/lambda"
	"github.com/lambent-run/lambent/worker/sandbox"
)

// faultOf makes the fault of a failure that the platform noticed, in the wording
// callers of Lambda see.
func faultOf(kind, requestID, message string) *lambda.Fault {
	payload, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, "RequestId: " + requestID + " Error: " + message})
	if err != nil {
		panic(err) // two strings
	}
	return &lambda.Fault{Type: kind, Payload: payload}
}

func timeoutFault(requestID string, timeout time.Duration) *lambda.Fault {
	return faultOf("Sandbox.Timedout", requestID, fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds()))
}

func truncatedFault(requestID string) *lambda.Fault {
	return faultOf("Runtime.TruncatedResponse", requestID, "Response truncated")
}

// exitFault tells of a process that ended before it answered.
func exitFault(requestID string, e sandbox.Exit) *lambda.Fault {
	switch {
	case e.OOM:
		return faultOf("Runtime.OutOfMemory", requestID, "Runtime exited with error: signal: killed")
	case e.Signal != "":
		return faultOf("Runtime.ExitError", requestID, "Runtime exited with error: signal: "+e.Signal)
	case e.Code != 0:
		return faultOf("Runtime.ExitError", requestID, fmt.Sprintf("Runtime exited with error: exit status %d", e.Code))
	}
	return faultOf("Runtime.ExitError", requestID, "Runtime exited without providing a reason")
}

var knownType = regexp.MustCompile(`^(?:Runtime|Function|Sandbox|Extension)\.[A-Z][a-zA-Z]+$`)

// kindOf is the type of a fault as logs and metrics know it: what a runtime
// named in its own way is unknown to the platform.
func kindOf(f *lambda.Fault, unknown string) string {
	if knownType.MatchString(f.Type) {
		return f.Type
	}
	return unknown
}
