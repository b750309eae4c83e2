# Python 3.11 or newer is all that has to be there beforehand. Everything else goes into .venv, pinned by
# requirements.lock (Python) and infra/cdk_cli/package-lock.json (the CDK command line).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
UV_VERSION := 0.13.9
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
# Companies put certificates of their own into the system.
export UV_SYSTEM_CERTS := 1
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
export PATH := $(CURDIR)/.venv/bin:$(PATH)

PINNED := Makefile pyproject.toml requirements.lock infra/cdk_cli/package.json infra/cdk_cli/package-lock.json
READY := .venv/.ready-$(shell cat $(PINNED) 2>/dev/null | cksum | cut -d' ' -f1)
# The first that really runs: a pyenv shim can be on PATH for a version that is not switched on.
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)
PYTHONS := python3.13 $(wildcard $(PYENV)/versions/3.13*/bin/python3.13) python3.14 python3.12 python3.11 python3 python
IS_NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: help run test check bench docs lock clean ready
help: ## what can be made
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 8

run: $(READY) ## play the whole job on an embedded AWS, on this machine
	@.venv/bin/python -m cli.local.play

# The deployed stack mostly waits, for timers, schedules and outages; what takes long is worked off meanwhile.
test: check ## everything: make check, then what takes long and, beside it, the deployed stack
	@mkdir -p build
	@echo "What takes long goes on beside the deployed stack; what it says comes last."
	@.venv/bin/pytest -n 2 --dist loadscope -m 'slow and not deployed' >build/slow.log 2>&1 & slow=$$!; \
	.venv/bin/pytest -m deployed && deployed=0 || deployed=1; \
	wait $$slow && slow=0 || slow=1; \
	cat build/slow.log; \
	exit $$((deployed + slow))

check: $(READY) ## format, lint, types, layers, and the tests that are quick
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	PYTHONPATH=functions .venv/bin/lint-imports --no-logo
	.venv/bin/mypy & mypy=$$!; .venv/bin/pytest -n 4 --dist worksteal -m 'not deployed and not slow' || { wait $$mypy; exit 1; }; wait $$mypy

bench: $(READY) ## measure: bundles, throughput, calls to AWS and their list price
	@.venv/bin/python -m tests.bench

docs: $(READY) ## write docs/connectors from the connectors themselves
	@PYTHONPATH=functions .venv/bin/python -m tests.contract.pages

lock: .venv/bin/uv ## choose versions anew: requirements.lock and the CDK command line's
	@.venv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade --group dev \
		--generate-hashes --no-annotate --no-header --output-file requirements.lock
	@$(MAKE) ready

ready: $(READY) # install what the locks say, if it is not installed yet

clean: ## remove what was built and installed
	rm -rf .venv build cdk.out .local .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

.venv/bin/uv:
	@for python in $(PYTHONS); do \
		if "$$python" -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then echo "Sendbridge needs Python 3.11 or newer, with venv and pip." >&2; exit 2; fi; \
	[ -x .venv/bin/python ] || "$$found" -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(READY): .venv/bin/uv
	@.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@mkdir -p .venv/cdk && cp infra/cdk_cli/package*.json .venv/cdk/
	@.venv/bin/npm ci --prefix .venv/cdk --loglevel=error --no-audit --no-fund >/dev/null
	@ln -sf ../cdk/node_modules/.bin/cdk .venv/bin/cdk
	@rm -f .venv/.ready-* && touch $@
