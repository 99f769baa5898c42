// Command streaming is a function on AWS's own client library for Go that
// answers with a reader, which the library posts in chunks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	First, Second string
	Gate          string // asked between the two; it answers when the function may go on
	Fail          string // the error to end with
	Bytes         int64  // so many, instead of the two
}

func handle(ctx context.Context, e event) (io.Reader, error) {
	if e.First == "" && e.Bytes == 0 {
		return nil, errors.New(e.Fail)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(answer(ctx, w, &e)) }() // the library closes r, which ends it
	return r, nil
}

func answer(ctx context.Context, w io.Writer, e *event) error {
	if e.Bytes > 0 {
		_, err := io.CopyN(w, zeros{}, e.Bytes)
		return err
	}
	if _, err := io.WriteString(w, e.First); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Gate, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the gate: %w", err)
	}
	resp.Body.Close()
	if e.Fail != "" {
		return errors.New(e.Fail)
	}
	_, err = io.WriteString(w, e.Second)
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func main() { lambda.Start(handle) }
