# Rotina: everything from a fresh clone. `make` lists the targets.

-include .env
export $(shell sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' .env 2>/dev/null)

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
UV_VERSION := 0.13.9
# One stamp for each content of the pinned requirements: nothing is installed twice, nothing stays old.
PINS := $(shell cat requirements.txt requirements-dev.txt constraints.txt | sha256sum | cut -c1-16)
RUNTIME := $(VENV)/.runtime-$(PINS)
DEVELOPMENT := $(VENV)/.development-$(PINS)

export PYTHONPATH := $(CURDIR)/plugins:$(CURDIR)
# Without bytecode every start of Airflow takes several seconds longer.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up down reset status day test browser check bench chaos examples plans docs lock

help: ## List the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

up: $(RUNTIME) ## Set everything up, start it, run the demonstration day; prints addresses and logins
	@$(RUN) rotina.local up

down: $(RUNTIME) ## Stop everything; the data stays
	@$(RUN) rotina.local down

reset: $(RUNTIME) ## Stop everything and delete the data, for a fresh start
	@$(RUN) rotina.local reset

status: $(RUNTIME) ## Show what runs
	@$(RUN) rotina.local status

day: $(RUNTIME) ## Run every daily routine for one date, without the servers: make day DATE=2026-11-20
	@$(RUN) rotina.local day "$(DATE)"

test: $(DEVELOPMENT) browser ## Run the tests: make test, make test ARGS="tests/local -k mailbox"
	@$(RUN) pytest -n 2 --dist loadgroup $(ARGS)

check: $(DEVELOPMENT) ## Style, types, SQL style, freshness of the generated docs
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) sqlfluff lint include/sql
	$(RUN) rotina.docs --check

bench: $(DEVELOPMENT) ## Run the benchmarks; writes benchmarks/results.json
	@$(RUN) benchmarks $(ARGS)

chaos: $(DEVELOPMENT) ## Kill dispatchers and PostgreSQL, cut the partner's line, count: make chaos KILLS=50 CUTS=50 SEED=1
	@$(RUN) tests.chaos --kills $(or $(KILLS),50) $(if $(SEED),--seed $(SEED))
	@$(RUN) tests.chaos.cuts --cuts $(or $(CUTS),50) $(if $(SEED),--seed $(SEED))

examples: $(DEVELOPMENT) ## The tests that make up their own data, with TIMES (10) as many examples as in make test
	@ROTINA_EXAMPLES_TIMES=$(or $(TIMES),10) $(RUN) pytest -n 2 -m hypothesis --timeout 7200 $(ARGS)

plans: $(DEVELOPMENT) ## Read what a claim reads with 5 million sent and 50,000 waiting messages, and an old transaction
	@ROTINA_SENT_MESSAGES=5000000 $(RUN) pytest tests/messaging/test_queue_plans.py -k a_claim_reads --timeout 1800

docs: $(DEVELOPMENT) ## Write the generated docs, and compile the layout of e-mails
	@$(RUN) rotina.docs
	@$(RUN) rotina.messaging.email_layout

lock: $(DEVELOPMENT) ## Pin the newest versions of everything in constraints.txt
	@$(RUN) uv pip compile --universal --python-version 3.11 --upgrade --no-header --no-annotate --quiet \
		requirements-dev.txt --output-file constraints.txt

$(VENV)/.uv-$(UV_VERSION):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: Rotina needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
			"Set another: make up PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "error: this Python cannot make virtual environments." \
			"On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Virtual environment ($(VENV)) …"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# uv shows the progress of what it downloads, builds and compiles by itself.
$(RUNTIME): $(VENV)/.uv-$(UV_VERSION)
	@echo "Python packages (a few minutes the first time) …"
	@$(RUN) uv pip install --python $(VENV)/bin/python --compile-bytecode -r requirements.txt -c constraints.txt
	@rm -f $(VENV)/.runtime-* && touch $@

$(DEVELOPMENT): $(RUNTIME)
	@echo "Python packages of the tests and the checks …"
	@$(RUN) uv pip install --python $(VENV)/bin/python --compile-bytecode -r requirements-dev.txt -c constraints.txt
	@rm -f $(VENV)/.development-* && touch $@

browser:
	@for name in "$$ROTINA_CHROMIUM" chromium chromium-browser google-chrome; do \
		if [ -n "$$name" ] && command -v "$$name" >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Chromium for the browser tests (Debian package chromium) …"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
			>/dev/null || echo "Chromium could not be installed: the browser tests will be skipped."; \
	else \
		echo "No Chromium: the browser tests will be skipped. Install it (Debian: apt-get install chromium)" \
			"or set ROTINA_CHROMIUM to the path of a Chromium or Chrome."; \
	fi
