# What works on a fresh clone with only Go: make test, make demo, make bench. The
# other tools are built from their sources, at the versions in tools/*.mod.

MAKEFLAGS += --no-print-directory
SHELL := bash

LINT := go tool -modfile=tools/lint.mod golangci-lint
BUF  := go tool -modfile=tools/buf.mod buf

# How long each fuzz target runs, as in FUZZTIME=1m, or how often, as in FUZZTIME=300x.
FUZZTIME ?= 10s

# Coverage guides the fuzzer, once it has tried many thousand inputs. The compiler has to
# instrument all packages for it, down to the standard library. A number of inputs that is given
# is small, and there the inputs are random changes of the seeds alone.
GUIDED = $(if $(filter %x,$(FUZZTIME)),,-fuzz .)

# How long each attack goes on, as in FLOOD=1m.
FLOOD ?= 20s

# How long the model test goes on, as in SOAK=1h.
SOAK ?= 10m

# Which benchmarks run, as in BENCH=Queue.
BENCH ?= .

# The race detector needs a C compiler on Linux. Without one the tests still run,
# and the output says what they could not see.
RACE = $(shell command -v "$$(go env CC)" >/dev/null && echo -race)

# Some machines cannot do everything. The output says what was not done; a name in
# CI_REQUIRE, as in CI_REQUIRE=race,386, makes that a failure.
could-not = echo "could not: $(1): $(2)"; case ",$(CI_REQUIRE)," in *,$(1),*) exit 1;; esac

# The tests of the overlay run over duplex links without TLS, as all do, and then over
# others, and with nodes that prove who they are. The scenarios and the model test see to
# all of that themselves. The tests mostly wait, so that two modes run at once. They do without
# the race detector, which has seen the same code in the other packages and in the first mode.
MODES := -links=unicast -tls '-tls -links=mixed'
other-modes = printf '%s\n' $(MODES) | xargs -P 2 -I{} sh -c 'go test $(1) ./minogrpc {}'

# The packages whose tests also run with an int of 32 bits: all the library but the overlay,
# whose tests take long.
TESTS_386 := . ./host ./mino/... ./protocol/... ./router/... ./serde/... $(addprefix ./internal/,chunk contain dedupe fifo inbox link/... memory offer opening parcel pending provenance worlds)

# The generated code and what it is generated from. Building buf takes minutes, so
# `make check` does not generate again: `make generate` notes the hashes of both and
# the versions of the generators, and the check fails when any of them has changed.
GENERATED := ptypes/overlay.proto buf.yaml buf.gen.yaml ptypes/overlay.pb.go ptypes/overlay_grpc.pb.go
GENERATOR := google.golang.org/protobuf google.golang.org/grpc/cmd/protoc-gen-go-grpc
HASHES    := ptypes/generated.txt
hashes     = { go list -m $(GENERATOR); for file in $(GENERATED); do echo "$$(git hash-object "$$file") $$file"; done; }

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Compile everything
	go build ./...

.PHONY: test
test: ## Run the tests
	go test ./...
	@$(call other-modes)

.PHONY: check
check: check-fmt check-fix check-mod check-generated lint check-386 check-race ## Everything that must hold before a commit

.PHONY: demo
demo: ## Run the tree of 15 nodes
	go run ./examples/tree

.PHONY: bench
bench: ## Compare with raw gRPC and NATS, in six minutes (BENCH=. chooses what)
	go run ./internal/bench -only '$(BENCH)'
	@cd internal/bench/nats; if ! go mod download; \
	then $(call could-not,nats,its modules cannot be had and so nothing was compared with NATS); \
	else go run . -only '$(BENCH)'; fi

.PHONY: scale
scale: ## Print what a round costs each of 100 to 5,000 players, in some minutes
	go run ./internal/bench -scale

.PHONY: passage
passage: ## Count the functions and files that one packet A -> B -> C and its outcome pass
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	go run -cover -covermode=atomic -coverpkg=./... ./internal/bench/passage "$$dir" 2>/dev/null; \
	go tool covdata func -i="$$dir" | awk '$$NF != "0.0%" && $$1 ~ /\.go:/ && $$1 !~ /internal\/bench/ \
		{ split($$1, at, ":"); engine = at[1] !~ /session\/(minogrpc|ptypes|router)\//; \
		  all++; inner += engine; if (!files[at[1]]++) { allFiles++; innerFiles += engine } } \
		END { printf "the session engine: %d functions in %d files\nwith router, overlay and generated code: %d functions in %d files\n", \
			inner, innerFiles, all, allFiles }'

.PHONY: fuzz
fuzz: ## Run every fuzz target in turn (FUZZTIME=10s each)
	@set -euo pipefail; binary=$$(mktemp); trap 'rm -f "$$binary"' EXIT; cache=$$(go env GOCACHE)/fuzz; \
	go list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r package dir; do \
		targets=$$(grep -hos '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | cut -c6-) || continue; \
		go test -c -ldflags '-s -w' $(GUIDED) -o "$$binary" "$$package"; \
		for target in $$targets; do \
			echo "$$package $$target"; \
			(cd "$$dir" && "$$binary" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) \
				-test.fuzzminimizetime 5x -test.fuzzcachedir "$$cache/$$package"); \
		done; \
	done

.PHONY: soak
soak: ## Play new cases of the model test for long (SOAK=10m)
	go test $(RACE) -timeout 0 ./internal/modeltest -run '^TestModel$$' -soak $(SOAK)

.PHONY: matrix
matrix: ## Put existing nodes and ours into one network in every way, in an hour
	go test $(RACE) -timeout 0 ./internal/matrix -all

.PHONY: attacks
attacks: ## Flood a node in every way that is known, each for long (FLOOD=20s), in ten minutes
	go test -timeout 0 ./minogrpc/internal/attacks -flood $(FLOOD) -v

.PHONY: exhaustive
exhaustive: ## Try all that can happen to two ends of a link, in some minutes
	go test -timeout 0 ./internal/link/frames -run '^TestExhaustive' -exhaustive -v

.PHONY: joining
joining: ## Let 64 nodes join at three at once
	go test -count=1 -run 'TestJoin_ManyAtOnce' ./minogrpc -newcomers 64

# The page of minogrpc/debug, in Chromium: that is apt-get install chromium on Debian. The test is a
# module of its own, and writes the picture of docs with SCREENSHOT=$PWD/docs/images/debug.png.
BROWSER ?= $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))

.PHONY: browser
browser: ## Look at the debug page in a real browser
	@if test -z "$(BROWSER)"; then $(call could-not,browser,no Chromium and so the debug page was NOT looked at); \
	else cd minogrpc/debug/browsertest && BROWSER="$(BROWSER)" go test -count=1 ./...; fi

.PHONY: generate
generate: ## Generate the code of ptypes from overlay.proto
	$(BUF) generate
	@$(hashes) > $(HASHES)

.PHONY: lint
lint: ## Run the linters, and among them all that go vet does
	$(LINT) run ./...

.PHONY: fmt
fmt: ## Format the code, and apply what go fix suggests
	gofmt -s -w .
	go fix ./...

.PHONY: check-fmt
check-fmt:
	@files=$$(gofmt -s -l .); test -z "$$files" || { echo "not formatted, run make fmt:"; echo "$$files"; exit 1; }

.PHONY: check-fix
check-fix:
	@diff=$$(go fix -diff ./...) && test -z "$$diff" || { echo "$$diff"; echo "go fix has suggestions, run make fmt"; exit 1; }

.PHONY: check-mod
check-mod:
	go mod tidy -diff

# Modules of their own, for examples and adapters whose dependencies the library must not have. ./... does not see them.
NESTED := examples/threshold adapters/otel adapters/prometheus internal/bench/nats

.PHONY: check-nested
check-nested: ## Check and test the modules within this one
	@set -e; for dir in $(NESTED); do echo "== $$dir"; \
		if ! (cd "$$dir" && go mod download); \
		then $(call could-not,nested,the modules that $$dir needs cannot be had and so it was NOT tested); continue; fi; \
		(cd "$$dir"; files=$$(gofmt -s -l .); test -z "$$files" || { echo "not formatted, run make fmt:"; echo "$$files"; exit 1; }; \
		go mod tidy -diff; go fix -diff ./...; go vet ./...; go test -vet=off $(RACE) ./...); done

.PHONY: check-generated
check-generated:
	@diff $(HASHES) <($(hashes)) || { echo "ptypes is not what was generated, run make generate"; exit 1; }

# Everything that the library is made for beside linux/amd64. To vet one of them compiles all
# dependencies, which takes minutes: the check looks at the first one, whose int has 32 bits.
PORTS := windows/386 darwin/arm64 freebsd/amd64 linux/arm64

.PHONY: ports
ports: ## Vet the code and the tests for the other systems
	@set -e; for port in $(PORTS); do echo "go vet for $$port"; GOOS=$${port%/*} GOARCH=$${port#*/} go vet ./...; done

# Not every machine of 64 bits can run programs for 386. The output says so where it cannot.
# go vet looks at everything here, so that the tests of the check do without it.
.PHONY: check-386
check-386:
	@$(MAKE) ports PORTS=$(firstword $(PORTS))
	@$(call could-not,ports,only $(firstword $(PORTS)) was vetted; make ports vets all)
	@if ! probe=$$(GOARCH=386 go test -run '^$$' ./mino 2>&1) && grep -q 'exec format error' <<<"$$probe"; \
	then $(call could-not,386,programs for 386 were vetted and NOT tested); \
	else GOARCH=386 go test -vet=off $(TESTS_386); fi

# The race detector makes what costs most ten times as slow. These run without it: the nodes of
# the matrix and of the benchmark are those of the other tests, and the frames of a link know no
# goroutine. The scenarios run in all modes, and with the detector without TLS alone. The cases of
# the matrix mostly wait, so more of them run at once than there are processors.
NO_RACE := internal/matrix internal/bench internal/link/frames internal/scenario

# The attacks measure the memory and the answers of a process, and run alone.
ALONE := minogrpc/internal/attacks

.PHONY: check-race
check-race:
	@test -n "$(RACE)" || { $(call could-not,race,no C compiler and so the tests run WITHOUT the race detector); }
	go test -vet=off $(RACE) $$(go list ./... | grep -v $(patsubst %,-e '/%$$',$(NO_RACE) $(ALONE)))
	go test -vet=off $(RACE) ./internal/scenario -run './././plain'
	go test -vet=off -parallel 4 $(addprefix ./,$(NO_RACE))
	go test -vet=off ./$(ALONE)
	@$(call other-modes,-vet=off)
