# make run and make test are all a newcomer needs; each brings what it needs itself.

GO ?= go
# How long each fuzz target runs.
FUZZTIME ?= 10s
# Arguments of the benchmarks, such as ARGS=-quick.
ARGS ?=

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

# In a checkout that belongs to someone else git answers nothing, and Go, which
# asks it for the version to stamp, would refuse to build.
ifeq ($(shell git rev-parse HEAD 2>/dev/null),)
export GOFLAGS := $(GOFLAGS) -buildvcs=false
endif

.DEFAULT_GOAL := build
.PHONY: run test build lint bench fuzz clean

# Builds, deploys the examples to a server of its own, and keeps serving.
run: build
	@.ci/install run
	@exec bin/lambent demo

# Every test, from the tables to real clients against the real binary.
test:
	@.ci/install test
	$(GO) test -race -p 2 -timeout 20m ./...

# The Go example lies beside the binary, where `lambent demo` looks for it.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/lambent ./cmd/lambent
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags='-s -w' -tags=lambda.norpc -o bin/examples/go/bootstrap ./examples/go

# The linter is pinned here and built by Go's own cache: it needs no installation.
lint:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go' -not -path './.cache/*')); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(GOLANGCI_LINT) run

# Ratios to reference programs in one run; see docs/benchmarks.md.
bench:
	@.ci/install run
	$(GO) run ./bench $(ARGS)

# Every fuzz target for FUZZTIME. What one finds becomes a file under testdata/fuzz.
fuzz:
	@grep -rlE '^func Fuzz' --include='*_test.go' --exclude-dir=.cache . | sort | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "$$(dirname $$file) $$target"; \
			$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) $$(dirname $$file) || exit 1; \
		done; \
	done

clean:
	rm -rf bin
