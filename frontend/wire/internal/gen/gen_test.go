package main

import (
	"bytes"
	"os"
	"testing"
)

// The table of operations is the one that the SDK in go.mod has.
func TestOperationsAreThoseOfTheSDK(t *testing.T) {
	dir, err := moduleDir(sdk)
	if err != nil {
		t.Fatal(err)
	}
	ops, err := operations(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(ops) != 88 {
		t.Errorf("%d operations, want 88", len(ops))
	}
	committed, err := os.ReadFile("../../operations_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, operationsSource(ops)) {
		t.Error("operations_gen.go is not what go generate writes")
	}
}
