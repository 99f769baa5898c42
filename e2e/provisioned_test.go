package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// provisionedIs waits until what is provisioned for a qualifier has a status, and returns it.
func (s *server) provisionedIs(t *testing.T, name, qualifier string, want types.ProvisionedConcurrencyStatusEnum) *lambda.GetProvisionedConcurrencyConfigOutput {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		got, err := s.api().GetProvisionedConcurrencyConfig(t.Context(), &lambda.GetProvisionedConcurrencyConfigInput{FunctionName: &name, Qualifier: &qualifier})
		if err != nil {
			t.Fatal(err)
		}
		if got.Status == want {
			return got
		}
		select {
		case <-deadline:
			t.Fatalf("provisioned concurrency is %s (%s) after 30 s, want %s", got.Status, aws.ToString(got.StatusReason), want)
		case <-time.After(10 * time.Millisecond): // between two looks
		}
	}
}

// What is provisioned for an alias is initialised before any invocation, serves as many at once, spills over to
// environments on demand, is replaced when it dies, and moves with the alias.
func TestProvisionedConcurrency(t *testing.T) {
	s := serve(t)
	const fn, live = "ahead", "live"
	s.create(t, function{name: fn, runtime: python, files: map[string]string{"handler.py": `
import os, time
made = time.time()
def handler(event, context):
    if event == "die":
        os._exit(1)
    end = time.time() + event
    while time.time() < end:
        time.sleep(0.01)
    return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], context.function_version, made]
`}})
	if _, err := s.api().PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String(fn)}); err != nil {
		t.Fatal(err)
	}
	alias := &lambda.CreateAliasInput{FunctionName: aws.String(fn), Name: aws.String(live), FunctionVersion: aws.String("1")}
	if _, err := s.api().CreateAlias(t.Context(), alias); err != nil {
		t.Fatal(err)
	}
	_, err := s.api().PutProvisionedConcurrencyConfig(t.Context(), &lambda.PutProvisionedConcurrencyConfigInput{
		FunctionName: aws.String(fn), Qualifier: aws.String(live), ProvisionedConcurrentExecutions: aws.Int32(3)})
	if err != nil {
		t.Fatal(err)
	}
	ready := s.provisionedIs(t, fn, live, types.ProvisionedConcurrencyStatusEnumReady)
	if *ready.AllocatedProvisionedConcurrentExecutions != 3 || *ready.AvailableProvisionedConcurrentExecutions != 3 {
		t.Errorf("ready with %d allocated, %d available", *ready.AllocatedProvisionedConcurrentExecutions, *ready.AvailableProvisionedConcurrentExecutions)
	}
	before := float64(time.Now().UnixMilli()) / 1000

	// Five at once: three in what was made before, two on demand.
	kinds := map[string]int{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 5 {
		wait.Go(func() {
			got, err := s.try(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), Payload: []byte("1.5")})
			if err != nil {
				t.Error(err)
				return
			}
			var answer struct {
				kind, version string
				made          float64
			}
			if err := json.Unmarshal([]byte(got.payload), &[]any{&answer.kind, &answer.version, &answer.made}); err != nil {
				t.Errorf("%s: %v", got.payload, err)
			}
			if early := answer.made < before; early != (answer.kind == "provisioned-concurrency") {
				t.Errorf("an environment that is %s was made at %v, the invocations came at %v", answer.kind, answer.made, before)
			}
			mu.Lock()
			kinds[answer.kind]++
			mu.Unlock()
		})
	}
	wait.Wait()
	if kinds["provisioned-concurrency"] != 3 || kinds["on-demand"] != 2 {
		t.Errorf("five invocations ran in %v", kinds)
	}
	if got := s.invoke(t, fn, "0"); !strings.HasPrefix(got.payload, `["on-demand", "$LATEST"`) {
		t.Errorf("$LATEST answers %s", got.payload)
	}

	// Two of three die; all are there again.
	for range 2 {
		got := s.call(t, &lambda.InvokeInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), Payload: []byte(`"die"`)})
		if got.fault == "" {
			t.Errorf("a handler that exits answers %s", got.payload)
		}
	}
	s.provisionedIs(t, fn, live, types.ProvisionedConcurrencyStatusEnumReady)

	// The alias moves, and what is provisioned with it.
	if _, err := s.api().UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String(fn), Description: aws.String("two")}); err != nil {
		t.Fatal(err)
	}
	s.await(t, fn)
	if _, err := s.api().PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String(fn)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.api().UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: aws.String(fn), Name: aws.String(live), FunctionVersion: aws.String("2")}); err != nil {
		t.Fatal(err)
	}
	s.provisionedIs(t, fn, live, types.ProvisionedConcurrencyStatusEnumReady)
	got := s.call(t, &lambda.InvokeInput{FunctionName: aws.String(fn), Qualifier: aws.String(live), Payload: []byte("0")})
	if !strings.HasPrefix(got.payload, `["provisioned-concurrency", "2"`) {
		t.Errorf("after the alias has moved it answers %s", got.payload)
	}
}

// Reserved concurrency caps a function, and none of it stops the function altogether; the throttle says which limit it was.
func TestReservedConcurrency(t *testing.T) {
	s := serve(t)
	s.create(t, function{name: "capped", runtime: python, files: map[string]string{"handler.py": `
import time
def handler(event, context):
    time.sleep(event)
`}})
	reserve := func(n int32) {
		t.Helper()
		_, err := s.api().PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("capped"), ReservedConcurrentExecutions: &n})
		if err != nil {
			t.Fatal(err)
		}
	}
	reserve(0)
	_, err := s.try(t.Context(), invocation("capped", "0"))
	const want = "TooManyRequestsException: Rate Exceeded."
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(fmt.Sprintf("%+v", err), "StatusCode: 429") {
		t.Errorf("with nothing reserved: %v", err)
	}
	reserve(2)
	results := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := s.try(t.Context(), invocation("capped", "1.5"))
			results <- err
		}()
	}
	throttled := 0
	for range 3 {
		if err := <-results; err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Error(err)
			}
			throttled++
		}
	}
	if throttled != 1 {
		t.Errorf("%d of three at once were throttled with two reserved", throttled)
	}
	if _, err := s.api().DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: aws.String("capped")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(t.Context(), invocation("capped", "0")); err != nil {
		t.Errorf("with nothing reserved any more: %v", err)
	}
}
