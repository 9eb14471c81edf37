# What a developer types. The gate is .ci/run, which does all of it and more.

.PHONY: test race lint fmt bench fuzz ci

test: ## the README's test command
	go test ./...

race: ## -cpu 1: see .ci/run
	go test -race -cpu 1 ./...

lint:
	bash .ci/lint

fmt:
	gofmt -w $$(git ls-files '*.go')

bench:
	go test -run '^$$' -bench . ./...

fuzz:
	bash .ci/fuzz 30s

ci:
	bash .ci/run
