# Everything works from a fresh clone: each target sets up what it needs first. `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup tools ready test lint matrix proof bench demo generate lock clean

BIN := .venv/bin
# Hundreds of processes start here: each would compile all of Tocsin anew.
unexport PYTHONDONTWRITEBYTECODE
# Further arguments: make test PYTEST_ARGS='-k breach', make demo DEMO_ARGS=--once, make lock LOCK_ARGS=--upgrade
PYTEST_ARGS ?=
# Many tests wait for a real server: four at a time keep two cores busy.
PARALLEL := --numprocesses 4 --dist worksteal
DEMO_ARGS ?=
LOCK_ARGS ?=

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.stamp ## Create .venv from the lock file, or bring it up to date (PYTHON=... picks the interpreter)
	@:

ENVIRONMENT := pyproject.toml requirements-dev.lock tests/tools/venv.sh

.venv/.stamp: $(ENVIRONMENT)
	@tests/tools/venv.sh $(@D) $(PYTHON)
	@touch $@

.venv-%/.stamp: $(ENVIRONMENT)
	@tests/tools/venv.sh $(@D) $(PYTHON)
	@touch $@

tools: ## Install Prometheus, Alertmanager, VictoriaMetrics and PostgreSQL (Debian as root), or say what is missing
	@tests/tools/packages.sh

# Both wait for the network most of the time.
ready:
	@tests/tools/packages.sh & packages=$$!; $(MAKE) --no-print-directory setup; made=$$?; wait $$packages && exit $$made

test: ready ## Run all tests, end-to-end ones included
	@$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

lint: ready ## Check style, types, layers, committed rules, and that the tree names no machine
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@tests/tools/artefacts.sh
	@tests/tools/clean_tree.sh

matrix: ready ## Run unit tests on other Pythons, end-to-end tests on the newest Prometheus and Alertmanager
	@MAKE="$(MAKE)" tests/tools/matrix.sh $(PARALLEL) $(PYTEST_ARGS)

proof: ready ## Kill, stop, cut and fill up Tocsin 5,000 times on each store, and count what it did (hours)
	@TOCSIN_PROOF=proof $(BIN)/python -m pytest $(PARALLEL) -rP tests/proof $(PYTEST_ARGS)

bench: ready ## Run the benchmarks against their peers
	@$(BIN)/python bench/run.py

demo: ready ## Run the demonstration with real servers (DEMO_ARGS=--once to run it without a terminal)
	@exec $(BIN)/tocsin demo $(DEMO_ARGS)

generate: setup ## Write the committed rules, routes and dashboards anew from examples/
	@$(BIN)/tocsin generate all --config.file examples/tocsin.yml --out . --prune

lock: setup ## Resolve pyproject.toml into requirements.lock and requirements-dev.lock (LOCK_ARGS=--upgrade for newer pins)
	@tests/tools/lock.sh $(LOCK_ARGS)

clean: ## Remove everything that these targets made here
	@rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .demo build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
