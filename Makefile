# Every target does its own set-up on a machine that has Python 3.11 or newer with pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check -q
DEMO := .demo
NODE := tests/node
NODE_PACKAGES := $(NODE)/node_modules
LOCKED := $(wildcard requirements/*.txt)

# Hundreds of processes start in a run of the tests: what Python has compiled is kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up test lint soak shared-check docs lock clean system-packages node-packages

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/.demo ## Serve the demo on loopback: a gateway, a real MCP server behind it, a user
	$(BIN)/bascule up --demo --config $(DEMO)/bascule.toml --data-dir $(DEMO)/data

test: $(VENV)/.dev node-packages system-packages ## Check style, types, layers, and run all tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n auto --dist worksteal

lint: $(VENV)/.dev ## Check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/.dev node-packages system-packages ## Run the long loops
	$(BIN)/pytest -m soak

shared-check: $(VENV)/.dev ## Measure on study material, where there is any
	@if [ -d ../shared ] && [ -d tests/shared ]; then $(BIN)/pytest tests/shared; else echo "nothing to measure on here"; fi

docs: $(VENV)/.dev ## Write the pages that are made from the code
	$(BIN)/bascule config schema --markdown > docs/reference/configuration.md
	$(BIN)/python -m bascule.scan.rules_page > docs/reference/scan-rules.md
	$(BIN)/python -m bascule.scan.clients_page > docs/reference/clients.md

lock: ## Resolve all requirements anew, with hashes; needs uv
	scripts/lock

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(DEMO) $(NODE_PACKAGES) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

system-packages: requirements/apt.list
	@scripts/system-packages requirements/apt.list

# The locks are whole: pip resolves nothing, and so needs no pin for a dependency's extra.
# A virtual environment without ensurepip, which Debian keeps in a package of its own: the
# pip that the machine has installs into it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: apt-get install python3, or make PYTHON=..."; exit 3; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "pip is needed: apt-get install python3-pip"; exit 3; }
	@$(PYTHON) -c 'import venv' 2>/dev/null || { echo "venv is needed: apt-get install python3-venv"; exit 3; }
	$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.demo: $(BIN)/python requirements/demo.txt requirements/build.txt pyproject.toml
	$(PIP) install --no-deps --require-hashes -r requirements/demo.txt -r requirements/build.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python $(LOCKED) pyproject.toml
	$(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

node-packages: $(NODE_PACKAGES)/.installed

# Clients and the conformance suite of others, with a Node.js of their own.
$(NODE_PACKAGES)/.installed: $(NODE)/package.json $(NODE)/package-lock.json scripts/node-packages
	scripts/node-packages $(NODE)
	@touch $@
