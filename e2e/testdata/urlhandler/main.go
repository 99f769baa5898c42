// Command urlhandler is an HTTP handler that AWS's own library puts behind a
// function URL that streams.
package main

import (
	"io"
	"net/http"

	"github.com/aws/aws-lambda-go/lambdaurl"
)

func handle(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
	http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Server", "mine")
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, "one")
	// The gate answers when the caller has seen that.
	if gate := r.URL.Query().Get("gate"); gate != "" {
		resp, err := http.Get(gate)
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
	}
	io.WriteString(w, "two")
}

func main() { lambdaurl.Start(http.HandlerFunc(handle)) }
