# What a developer types. The gate is .ci/run, which does all of it and more.

.PHONY: test short simulate race lint fmt bench performance fuzz ci

test: ## the README's test command
	go test ./...

short: ## a minute: no processes, few members
	go test -short ./...

simulate: ## the large form of the simulations
	CLUSTERKIT_SIM_FULL=1 go test ./clusterkit_test/sim ./cluster/internal/handoff ./membership

race: ## -cpu 1: see .ci/run
	go test -race -cpu 1 ./...

lint:
	bash .ci/lint

fmt:
	gofmt -w $$(git ls-files '*.go')

bench:
	go test -run '^$$' -bench . ./...

performance: ## rewrites docs/performance; for a quiet machine
	go run ./bench lookup -csv docs/performance/lookup.csv \
		-svg docs/performance/lookup.svg >docs/performance/lookup.md
	go run -C bench/peers . -rounds 63 -csv ../../docs/performance/peers.csv \
		-svg ../../docs/performance/peers.svg >docs/performance/peers.md

fuzz:
	bash .ci/fuzz 100000x

ci:
	bash .ci/run
