# The front door. `make` prints this help.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export NODE_OPTIONS ?=

.DEFAULT_GOAL := help
.PHONY: help install moto run stop-hosts check lint check-all-else schema format test contract bench clean

help: ## print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: node_modules/.package-lock.json ## install what package-lock.json names

node_modules/.package-lock.json: package.json package-lock.json
	@npm ci --prefer-offline --no-audit --no-fund --loglevel=error
	@touch $@

moto: .venv/.installed ## install the EC2 API server that tests of the provider aws run against (needs python3-venv)

.venv/.installed:
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check "moto[ec2,server]==5.2.5"
	@touch $@

run: install ## start the daemon and a demo region of hosts on this machine
	@MUSTER_LOG_FORMAT=$${MUSTER_LOG_FORMAT:-pretty} exec node src/main.ts run

stop-hosts: install ## end the hosts that `make run` has left running
	@node src/main.ts stop-hosts

# Half of it is lint: beside the rest, on the second core.
check: install ## format, lint, types, import layers, dead code, the daemon's GraphQL documents
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint check-all-else

lint: install
	eslint --max-warnings 0 .

check-all-else: install
	prettier --check --log-level warn .
	tsc --project .
	depcruise --config .dependency-cruiser.js --output-type err src scaling-algorithms host-handlers config test bench examples
	knip
	node test/support/check-documents-program.ts

schema: install ## write config/hasura/schema.graphql anew, after a change of migrations or metadata
	node test/support/write-schema-program.ts

format: install ## format every file
	prettier --write --log-level warn .

test: install ## run every test
	vitest run --config test/vitest.config.ts $(VITEST_ARGS)

contract: install ## hold HASURA_GRAPHQL_ENDPOINT=… HASURA_GRAPHQL_ADMIN_SECRET=… to the API's contract
	@node test/support/contract-program.ts

bench: install ## measure what claims speed, each beside its baseline
	node bench/run.ts

clean: ## remove what was installed (data/ stays)
	rm -rf node_modules
