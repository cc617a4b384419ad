# `make dev` starts the dev server, `make test` runs everything. Both install what they need into
# .venv, in locked versions; nothing else has to be there than Python >= 3.11.

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
# A server that the environment names is one; its tables are not for two processes.
WORKERS ?= $(if $(TIDEGATE_DYNAMODB_URL),0,2)
# The CDK runs on the Node that a package brings; whatever Node the machine has is left alone.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help dev test bench chaos lint types unit synth snapshot openapi vendor wheel deploy lock audit clean

help:  ## what there is to make
	@sed -n 's/^\([a-z]*\):.*##/\1 -/p' $(MAKEFILE_LIST)

dev: .stamps/dev  ## start the dev server on http://localhost:8288 with the example app
	@$(BIN)/tidegate dev functions.shop

# Synthesis comes before the tests: what it unpacks and installs, their processes find there.
test: lint types synth unit  ## lint, types, synthesis, all tests

bench: .stamps/test  ## measure; `make bench ONLY=testkit` runs one part of it
	$(BIN)/python -m bench $(ONLY)

chaos: .stamps/test  ## 10,000 events while calls of AWS fail at random; `make chaos SEED=7` repeats a run
	$(BIN)/python -m tests.faults.chaos 10000 $(if $(SEED),--seed $(SEED))

lint: .stamps/test  ## ruff: style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .stamps/test  ## mypy, strict
	$(BIN)/mypy

unit: .stamps/test .stamps/node .stamps/chromium .stamps/dynoxide  ## all tests, by WORKERS processes at once
	$(BIN)/pytest -n $(WORKERS)

synth: .stamps/test .stamps/node  ## the stack's template, in cdk.out
	$(BIN)/npx --no-install cdk synth --quiet

snapshot: .stamps/test  ## accept the template as it is now
	TIDEGATE_UPDATE_SNAPSHOT=1 $(BIN)/pytest tests/infra/test_template.py

openapi: .stamps/test  ## write the REST API's description, tidegate/openapi.json
	$(BIN)/python -m tidegate.openapi

vendor: .stamps/test .stamps/node  ## take the dashboard's libraries from their npm packages
	$(BIN)/python -m tidegate.local.vendor

wheel: .stamps/dev  ## the package, in dist, for repositories of functions
	$(UV) build --wheel --no-build-isolation --python $(BIN)/python --out-dir dist

deploy: .stamps/test .stamps/node  ## deploy the stage STAGE into the AWS account of the environment
	$(BIN)/npx --no-install cdk deploy -c stage=$(or $(STAGE),dev)

# No part of `make test`: it asks PyPI and npm what is known of each package, so it needs a network.
# Strict: a package that could not be looked up is no package without vulnerabilities.
audit: .stamps/audit .stamps/node  ## ask PyPI and npm for known vulnerabilities of the locked packages
	$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		$(addprefix -r ,tidegate_cdk/lambda.txt $(wildcard requirements/*.txt))
	$(BIN)/npm audit --omit=optional

AUDIT := .build/audit

lock:  ## resolve the locked versions anew
	$(UV) pip compile $(COMPILE) --extra build --extra dev pyproject.toml -o requirements/dev.txt
	$(UV) pip compile $(COMPILE) --extra build --extra dev --extra deploy --extra test \
		-c requirements/dev.txt pyproject.toml -o requirements/test.txt
	$(UV) pip compile $(COMPILE) -c requirements/dev.txt $(IN_THE_RUNTIME) pyproject.toml \
		-o tidegate_cdk/lambda.txt
	echo 'pip-audit>=2.9,<3' | $(UV) pip compile $(COMPILE) - -o requirements/audit.txt

# Lambda's Python runtime brings boto3 and what it needs.
IN_THE_RUNTIME := $(addprefix --no-emit-package ,boto3 botocore s3transfer urllib3 python-dateutil six)
COMPILE := --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q

.stamps/venv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit( \
		"Tidegate needs Python 3.11 or later, this is %d.%d; try: make PYTHON=python3.11" \
		% sys.version_info[:2])'
	@echo "installing into .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@mkdir -p .stamps && touch $@

.stamps/dev: .stamps/venv requirements/dev.txt pyproject.toml
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.stamps/test: .stamps/dev requirements/test.txt
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/test.txt
	@touch $@

.stamps/node: .stamps/test package-lock.json
	@$(BIN)/npm ci --silent --no-audit --no-fund
	@touch $@

# In a place of its own: nothing else of the project has to agree with what it needs.
.stamps/audit: .stamps/venv requirements/audit.txt
	@$(UV) venv -q --clear --python $(BIN)/python $(AUDIT)
	@$(UV) pip install -q --python $(AUDIT)/bin/python --require-hashes -r requirements/audit.txt
	@touch $@

# What tests the dashboard in a browser: without one these tests are skipped, but not in CI.
.stamps/chromium: .stamps/test
	@$(BIN)/python -m tests.browser.chromium && touch $@ || test "$(CI)" != true

# What storage is tested on besides moto: without it these tests are skipped, but not in CI.
.stamps/dynoxide: .stamps/test tests/dynamodb/dynoxide.py
	@$(BIN)/python -m tests.dynamodb.dynoxide && touch $@ || test "$(CI)" != true

clean:  ## remove everything that was installed or made
	rm -rf .venv .stamps .build cdk.out dist node_modules
