# Needs python3 (3.11 or later) and a package index; everything else is fetched into .tools/ and .venv/.

PYTHON ?= python3
ARGS ?=

# An uv that is installed already is used; else one of our own.
UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
SYNC := UV_PYTHON_DOWNLOADS=never $(UV) sync --frozen --python "$$(command -v $(PYTHON))"
SPILLWAY := .venv/bin/spillway
NO_INDEX := Nothing could be installed: no package index is reachable from here, or it has not what is needed.

# Houses have certificate authorities of their own: where the machine keeps a list, uv is to go by it.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS ?= 1
endif

# Without its bytecode kept, every process of a demo or a test compiles all it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: browser browser-if-none docs reference screenshots lock lock-check mutants test-slow tests coverage help setup demo check load package test bench audit lint types template linted format clean python

help: ## List what can be asked of make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/ready-to-work ## Install everything, tools for development included

demo: .venv/ready-to-run ## Run the whole shop on this machine; ARGS="--port 9000 --fresh" and so on
	@$(SPILLWAY) demo $(ARGS)

check: .venv/ready-to-run ## Run the demo, let it play its story by itself, and end
	@$(SPILLWAY) demo --check --fresh $(ARGS)

load: .venv/ready-to-work ## Send a flood of shoppers to the demo, and count what became of it
	@.venv/bin/python -m loadtests $(ARGS)

package: .venv/ready-to-run ## Make what Lambda runs, and its template, under build/package/
	@$(SPILLWAY) package $(ARGS)

test: lint ## Run every check and every test but the slowest; ARGS goes to pytest
	@$(MAKE) --no-print-directory --jobs 2 tests types linted

# The package is made by one process, and tests wait for browsers and functions a third of their time: types are
# checked and the template is linted meanwhile. On a clean checkout one process compiles the tests; else every
# worker compiles all of them.
tests: template browser-if-none
	@ls tests/__pycache__/conftest.*-pytest-*.pyc >/dev/null 2>&1 || .venv/bin/pytest --collect-only -qq >/dev/null
	.venv/bin/pytest -m "not slow" --numprocesses auto --dist loadscope --no-loadscope-reorder $(ARGS)

browser: .venv/ready-to-work | $(UV) ## Fetch a headless Chromium for the tests: it takes a third of a whole one's CPU
	@.venv/bin/python -m tests.support.chromium

browser-if-none: .venv/ready-to-work | $(UV)
	@.venv/bin/python -m tests.support.chromium --if-none

# Counting the lines that run more than doubles the time of tests: not part of every run.
coverage: browser-if-none ## Run the same tests and print which lines of the code they run
	.venv/bin/pytest -m "not slow" --numprocesses auto --dist loadscope --no-loadscope-reorder \
	    --cov --cov-report=term $(ARGS)

test-slow: browser-if-none ## Kill functions and demos at their work; type every command of the docs
	.venv/bin/pytest -m slow $(ARGS)

# Thirty minutes at most; the same command goes on. Results are in mutants/.
mutants: .venv/ready-to-work | $(UV) ## Change the code one expression at a time, and count what tests notice
	nice -n 5 $(UV) run --no-sync --with mutmut==3.8.1 python -m tests.mutants $(ARGS)

bench: .venv/ready-to-work ## Measure; ARGS names benchmarks, else all of them run
	@.venv/bin/python -m benchmarks $(ARGS)

docs: reference ## Build the docs as a site into build/docs; a link that leads nowhere fails
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet --clean
	@echo "build/docs/index.html"

reference: .venv/ready-to-work ## Write the reference pages of docs/ from the code they describe
	@.venv/bin/python -m docsite

screenshots: .venv/ready-to-work ## Photograph the sample shop for docs/images; needs chromium
	@.venv/bin/python -m docsite.screenshots $(ARGS)

lint: .venv/ready-to-work
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: .venv/ready-to-work
	.venv/bin/mypy

# The package that the tests deploy: they find it made.
template: .venv/ready-to-work
	@.venv/bin/python -m tests.support.uploaded

# The linter takes 14 s of CPU: a template that passed is linted again after it or the linter has changed.
linted: template
	@[ .cache/linted.json -nt .venv/ready-to-work ] && cmp -s build/package/sam.json .cache/linted.json || \
	    { .venv/bin/cfn-lint build/package/sam.json && cp build/package/sam.json .cache/linted.json; }

# Tools of their own, with their own dependencies: not part of what is installed for development.
lock: | python $(UV) ## Write uv.lock from pyproject.toml, and requirements.txt from uv.lock
	$(UV) lock
	{ grep '^#' requirements.txt; $(UV) export --quiet --frozen --only-group cloud --no-header; } > requirements.new
	mv requirements.new requirements.txt

lock-check: | $(UV)
	$(UV) lock --check

audit: template ## Look for weaknesses in the template and in what ships; needs a package index
	$(UV) tool run --from checkov==3.3.30 checkov --config-file .checkov.yaml -f build/package/sam.json \
	    -o cli -o json --output-file-path console,build/checkov.json
	@.venv/bin/python -c "import json, pathlib; found = json.loads(pathlib.Path('build/checkov.json').read_text()); \
	    passed = found.get('summary', found)['passed']; \
	    raise SystemExit(None if passed else 'checkov ran no check: the template was not audited')"
	$(UV) tool run --from pip-audit==2.10.1 pip-audit -r requirements.txt \
	    --strict --require-hashes --disable-pip --progress-spinner off

format: .venv/ready-to-work ## Put the code in its usual form
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

clean: ## Remove what was made, but for the tools and the demo's state
	find build -mindepth 1 ! -name README.md -delete
	rm -rf .cache .chalice/deployments .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache htmlcov

# What the demo needs; the tools for development stay if they are there.
.venv/ready-to-run: pyproject.toml uv.lock | python $(UV)
	@echo "Installing what Spillway needs into .venv/ ..."
	@$(SYNC) --no-default-groups --extra demo --inexact --quiet || { echo "$(NO_INDEX)" >&2; exit 1; }
	@touch $@

.venv/ready-to-work: pyproject.toml uv.lock | python $(UV)
	@echo "Installing everything into .venv/ ..."
	@$(SYNC) --all-extras --quiet || { echo "$(NO_INDEX)" >&2; exit 1; }
	@touch $@ .venv/ready-to-run

.tools/bin/uv: | python
	@echo "Fetching uv $(UV_VERSION) into .tools/ ..."
	@$(PYTHON) -m venv .tools || { echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian: apt install python3-venv)." >&2; exit 1; }
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)" || { echo "$(NO_INDEX)" >&2; exit 1; }

python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: Spillway needs Python 3.11 or later." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Spillway needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -c 'import platform; print(platform.python_version())'). Name another one: make PYTHON=python3.12" >&2; exit 1; }
