# Targets for people who work on Bulwark. Users need none of them.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test test-real test-long bench load check mutants services-up services-down

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Start the reference app with everything embedded
	go run ./examples/webook

test: ## Test every module on embedded servers, with the race detector; list what did not run
	@scripts/install.sh race
	go run ./scripts/testreport -race work

test-real: ## The same tests on real Redis, MariaDB, PostgreSQL and Kafka, started for it
	scripts/test-real.sh

test-long: ## The long form: full counts, many seeds, soaks
	@scripts/install.sh race
	BULWARK_TEST_LONG=1 go run ./scripts/testreport -race -count=1 -p 1 -timeout 3h work

bench: ## Measure ours beside the peers, in one run, and print the ratios
	mkdir -p bench/results
	cd bench && GOWORK=off go test -run '^$$' -bench . -benchmem -count 6 -timeout 2h ./... | tee results/latest.txt
	go run ./scripts/ratios <bench/results/latest.txt | tee bench/results/latest.md

load: ## Load a running app by wrk: sign-ups, logins, profiles; fails on any bad answer
	@scripts/install.sh wrk
	scripts/wrk/run.sh

check: ## Format, vet, lint, requirements, vulnerabilities, secrets, mutants' patches
	scripts/check.sh

mutants: ## Prove that tests fail when a fix goes missing; MUTANTS='ginx-*' for some
	go run ./scripts/mutants -only '$(or $(MUTANTS),*)'

services-up: ## Start the real servers and leave them running
	scripts/services.sh up

services-down: ## Stop them
	scripts/services.sh down
