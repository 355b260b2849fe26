# Thin on purpose: each target calls one script.
.PHONY: run test test-openstack check e2e bench fuzz

run:   ## build, start on http://127.0.0.1:3000 with an example (EXAMPLE=0: empty; PORT=…; HOLDFAST_DATA=…)
	@scripts/run
test:  ## everything that CI runs
	@scripts/test
test-openstack: ## the tests against a real OpenStack alone
	@scripts/test-openstack
check: ## format, lints, rules of the house
	@scripts/setup test
	@scripts/check
e2e:   ## the browser journeys alone
	@scripts/e2e
bench: ## compare with restic and borg, measure the pages under load (BENCH_USERS=20 for a quick one)
	@scripts/bench
fuzz:  ## random input for the parsers of what strangers send (a minute each; needs rustup)
	@scripts/fuzz
