// Command go is an example of a function in Go, on AWS's own client library. It
// counts prime numbers. Its package is the executable alone, named bootstrap, for
// the runtime provided.al2023.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// invocations lives as long as the environment: it is 1 after a cold start.
var invocations int

// Request is the event.
type Request struct {
	Below int `json:"below"`
}

// Answer is what the function returns.
type Answer struct {
	Primes     int   `json:"primes"`
	Largest    int   `json:"largest"`
	Invocation int   `json:"invocation"`
	MemoryMB   int   `json:"memoryMB"`
	MillisLeft int64 `json:"millisLeft"`
}

const most = 10_000_000 // fits the memory of the smallest function

func handle(ctx context.Context, r Request) (*Answer, error) {
	invocations++
	if r.Below < 3 || r.Below > most {
		return nil, fmt.Errorf("below is %d, want 3 to %d", r.Below, most)
	}
	if c, ok := lambdacontext.FromContext(ctx); ok {
		log.Printf("%s looks for primes below %d for request %s", lambdacontext.FunctionName, r.Below, c.AwsRequestID)
	}
	a := &Answer{Invocation: invocations, MemoryMB: lambdacontext.MemoryLimitInMB}
	a.Primes, a.Largest = primes(r.Below)
	if deadline, ok := ctx.Deadline(); ok {
		a.MillisLeft = time.Until(deadline).Milliseconds()
	}
	return a, nil
}

// primes counts the primes below n, and returns the largest of them.
func primes(n int) (count, largest int) {
	composite := make([]bool, n)
	for i := 2; i < n; i++ {
		if composite[i] {
			continue
		}
		count, largest = count+1, i
		for j := i * i; j < n; j += i {
			composite[j] = true
		}
	}
	return count, largest
}

func main() {
	log.SetFlags(0) // the platform records the time of each line
	lambda.Start(handle)
}
