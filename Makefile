# Everything a developer or CI does. `make` alone prints what there is.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X github.com/pyralis-io/pyralis/internal/cli.Version=$(VERSION)
LINTER  := bin/golangci-lint

# Arguments, e.g. `make dev ARGS="--port 5018"`, `make test COUNT=20 PKG=./internal/stream/...`
ARGS    ?=
COUNT   ?= 1
PKG     ?= ./...
N       ?= 20
PART    ?=

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: build ## Build and run a development node: ledger, database and API in one process (ARGS="--port 5018 --fresh")
	bin/pyralis dev $(ARGS)

.PHONY: build
build: ## Build bin/pyralis
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/pyralis ./cmd/pyralis

.PHONY: test
test: ## Run all tests with the race detector (COUNT=20, PKG=./internal/stream/..., ARGS="-run Ack"); starts PostgreSQL if none answers
	scripts/test-services go test -race -shuffle=on -count=$(COUNT) -timeout 20m $(ARGS) $(PKG)

.PHONY: lint
lint: $(LINTER) ## Run the linters, and check that their import rules bite
	$(LINTER) run --allow-parallel-runners
	scripts/lint-selftest

.PHONY: lint-selftest
lint-selftest: $(LINTER) ## Check only that the import rules bite
	scripts/lint-selftest

.PHONY: verify
verify: ## Fail if a generated file is stale, a file is not formatted or a go.mod is not tidy
	scripts/verify

.PHONY: generate
generate: ## Write the generated files: config.md, openapi.yaml
	scripts/generate

.PHONY: e2e
e2e: e2e-dev e2e-fabric ## Drive the built binary as users do, with kill -9, on the dev ledger and on a real Fabric network

.PHONY: e2e-dev
e2e-dev: ## The end-to-end tests on the dev ledger, with SQLite and PostgreSQL (ARGS="-run Kill")
	scripts/test-services go test -tags e2e -count=1 -timeout 20m $(ARGS) ./test/e2e/...

.PHONY: e2e-fabric
e2e-fabric: ## The tests that need a real Fabric network, which they build and start, with a few kills of its parts (ARGS="-run Fabric")
	CHAOS_KILLS=$${CHAOS_KILLS:-3} scripts/test-services go test -tags e2e,fabric,chaos -count=1 -timeout 30m -p 1 $(or $(ARGS),-run Fabric) ./test/... ./internal/connectors/fabric/...

.PHONY: bench
bench: build ## Measure Pyralis and FFTM side by side (ARGS="submit events", REPS=5, SCALE=10 for a short one; see test/bench/README.md)
	BENCH_PYRALIS=$(CURDIR)/bin/pyralis test/bench/run.sh $(ARGS)

.PHONY: chaos
chaos: ## Break things on purpose: PART=tx kills the node N times (N=20); without PART, list the parts
	@case '$(PART)' in \
	e2e) E2E_KILLS=$(N) scripts/test-services go test -tags e2e -count=1 -timeout 60m -run Kill -v $(ARGS) ./test/e2e/... ;; \
	tx) CHAOS_KILLS=$(N) go test -tags chaos -count=1 -timeout 3h -run TransactionsSQLite -v $(ARGS) ./test/chaos/ ;; \
	tx-pg) CHAOS_KILLS=$(N) scripts/test-services go test -tags chaos -count=1 -timeout 3h -run TransactionsPostgres -v $(ARGS) ./test/chaos/ ;; \
	events) CHAOS_KILLS=$(N) go test -tags chaos -count=1 -timeout 3h -run EventsSQLite -v $(ARGS) ./test/chaos/ ;; \
	events-pg) CHAOS_KILLS=$(N) scripts/test-services go test -tags chaos -count=1 -timeout 3h -run EventsPostgres -v $(ARGS) ./test/chaos/ ;; \
	brokers) CHAOS_KILLS=$(N) go test -tags chaos -count=1 -timeout 3h -run Brokers -v $(ARGS) ./test/chaos/ ;; \
	held) E2E_EVENTS=100000 go test -tags e2e -count=1 -timeout 20m -run HeldReceivers -v $(ARGS) ./test/e2e/ ;; \
	backlog) E2E_BACKLOG=1000000 go test -tags e2e -count=1 -timeout 20m -run ABacklog -v $(ARGS) ./test/e2e/ ;; \
	fabric-peer) CHAOS_KILLS=$(N) go test -tags chaos,fabric -count=1 -timeout 3h -run FabricPeer -v $(ARGS) ./test/chaos/ ;; \
	fabric-orderer) CHAOS_KILLS=$(N) go test -tags chaos,fabric -count=1 -timeout 3h -run FabricOrderer -v $(ARGS) ./test/chaos/ ;; \
	trace) go test -tags chaos -count=1 -timeout 10m -run Trace -v $(ARGS) ./test/chaos/ ;; \
	'') printf '%s\n' 'parts (N is the number of kills, CHAOS_SEED=... repeats a run):' \
		'  tx         transactions, SQLite: nothing accepted is lost, nothing happens twice' \
		'  tx-pg      the same on PostgreSQL' \
		'  events     events, SQLite: every receiver acknowledges what is on the ledger, in order; 100 events for each kill, or CHAOS_EVENTS in all' \
		'  events-pg  the same on PostgreSQL' \
		'  brokers    events to message brokers that fail themselves, CHAOS_FAULTS times each (a quarter of N): nothing is lost, order is kept; 500 events for each kill' \
		'  held       receivers that do not read, answer or end: 100 000 events pass by them' \
		'  backlog    1 000 000 events wait for receivers that are away: prints the memory' \
		'  fabric-peer     a real Fabric network, the peer that serves is killed and another one is there: each request commits once, each event comes once' \
		'  fabric-orderer  the same, and the orderer is killed' \
		'  trace      strace shows that each 202 comes after its fdatasync' \
		'  e2e        transactions and events, as in make e2e' \
		'e.g. make chaos PART=tx N=1000' ;; \
	*) echo 'make chaos: there is no part "$(PART)"; make chaos lists them' >&2; exit 2 ;; \
	esac

.PHONY: fabric-up
fabric-up: build ## Start a real Fabric network on this machine; writes .fabric/pyralis.yaml for `pyralis run -f`
	go run ./test/fabricnet/cmd/fabricnet up $(ARGS)

.PHONY: fabric-down
fabric-down: ## Stop that network; its data stays in .fabric, and fabric-up goes on with it (ARGS=--fresh starts anew)
	go run ./test/fabricnet/cmd/fabricnet down $(ARGS)

# The linter is a tool of its own module, so that its dependencies are none of ours.
$(LINTER): tools/go.mod tools/go.sum
	cd tools && go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
