# Every target works on a clean clone with Go and gcc; `js` needs Node.js too.
# Tools come from go.mod's tool block.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN   := bin/greentic-provision
PACKS := $(patsubst %/,%,$(wildcard testdata/packs/*/))
# A number of runs, not a time: at the end of a time, go test may report "context
# deadline exceeded" as a failure (golang/go#75804, fixed in Go 1.27).
FUZZTIME ?= 20000x
# Everything the command line and the worker loop are made of.
OURS  := go list -deps ./cmd/greentic-provision ./worker | grep ^github.com/greentic-ai/

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build testdata/packs/noop-provision.gtpack ## build everything and print the plan of the fixture pack
	$(BIN) dry-run setup --pack testdata/packs/noop-provision.gtpack

test: ## run all tests
	go test $(TESTFLAGS) ./...

build: ## build both binaries into bin/
	go build -o bin/ ./cmd/greentic-provision ./cmd/step-worker

packs: $(PACKS:=.gtpack) ## build the fixture packs
	@go test -count=1 ./internal/packtest -run '^TestFixtures$$' -write $(CURDIR)/testdata/packs

testdata/packs/%.gtpack: build FORCE
	@$(BIN) pack build testdata/packs/$* --output $@

race: ## run the tests under the race detector, but for the longest that are about other processes
	go test -race -short ./...

lint: ## vet, formatting, staticcheck, go.mod
	go vet ./... ./testdata/guests
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); [ -z "$$unformatted" ] || { echo "gofmt wants: $$unformatted"; exit 1; }
	go tool staticcheck ./... ./testdata/guests
	go mod tidy -diff

nocgo: export CGO_ENABLED := 0
nocgo: ## the command line without cgo, and on systems and machines that are not this one
	go build -o /dev/null ./cmd/greentic-provision
	GOOS=darwin go vet $$(GOOS=darwin $(OURS))
	GOARCH=arm64 go vet $$(GOARCH=arm64 $(OURS))

cgocheck: ## the binding under the strictest pointer checks, collecting garbage all the time
	GODEBUG=cgocheck=1 GOGC=1 go test -count=1 ./component/wasmtime

fuzz-short: ## run every fuzz target FUZZTIME (20000x)
	@for dir in $$(git grep -l --untracked '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for target in $$(go test -list '^Fuzz' ./$$dir | grep '^Fuzz'); do \
	    echo "$$dir $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x ./$$dir; \
	  done; \
	done

js: PROVIDER := examples/provider-js/dist/provider-js.gtpack
js: build ## build the JavaScript examples with npm and run their packs
	$(MAKE) -C examples/steps-js
	$(BIN) dry-run setup --pack examples/steps-js/dist/steps-js.gtpack --answers examples/steps-js/answers.json
	@code=0; $(BIN) dry-run setup --pack examples/steps-js/dist/steps-js.gtpack >/dev/null || code=$$?; \
	  [ $$code = 4 ] || { echo "without answers: exit code $$code, want 4"; exit 1; }
	$(MAKE) -C examples/provider-js all test
	$(BIN) pack verify --pack $(PROVIDER)
	$(BIN) pack inspect --compile-timeout 10m --pack $(PROVIDER)
	$(BIN) pack questions --locale de --pack $(PROVIDER)
	$(BIN) dry-run requirements --pack $(PROVIDER)
	$(BIN) dry-run setup --pack $(PROVIDER) --answers examples/provider-js/answers.json
	$(BIN) dry-run setup --via flow --pack $(PROVIDER) --answers examples/provider-js/answers.json
	$(BIN) dry-run update --pack $(PROVIDER) --state examples/provider-js/state.json --answers examples/provider-js/update.json --json | \
	  grep -q '"config_patch":{"default_chat_id":"7"}' || { echo "an update plans more than what changes"; exit 1; }
	$(BIN) dry-run remove --pack $(PROVIDER) --state examples/provider-js/state.json
	@code=0; $(BIN) dry-run setup --pack $(PROVIDER) >/dev/null || code=$$?; \
	  [ $$code = 4 ] || { echo "without answers: exit code $$code, want 4"; exit 1; }

crash: ## kill the program at every operation of every store, and recover
	go test -count=1 ./commit ./cmd/greentic-provision -run '^(TestKilled.*|TestTheProgramIsKilled|TestPluginsThatFail)$$' -crash
	go test -count=1 ./adapters/sqlstore -run '^TestPostgres$$' -crash

soak: ## 10,000 runs in one process: memory, descriptors, processes must stay flat
	go test -count=1 -timeout 60m -v ./cmd/greentic-provision -run '^TestSoak$$' -soak 10000

vm: ## the walls on an older kernel with cgroups, in an emulated machine (Debian packages, about 15 minutes)
	testdata/vm/run.sh ./limits/cgroup ./limits/entry ./limits/seccomp/policy

bench: ## measure, side by side: in process, sealed worker, spawn, cold start
	go test -run '^$$' -bench . ./internal/bench

golden: ## rewrite the expected outputs in testdata, for review with git diff
	go test ./engine ./integrity ./internal/threats ./limits/seccomp/policy ./pack ./render ./cmd/greentic-provision -update

clean: ## remove what was built
	rm -rf bin examples/*-js/dist examples/*-js/node_modules testdata/packs/*.gtpack

.PHONY: help demo test build packs race lint nocgo cgocheck fuzz-short js crash soak vm bench golden clean FORCE
