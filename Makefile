# The front door. `make setup` builds everything in .venv; demo and test go through it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.set-up

.PHONY: help setup demo test test-servers prove check bench clean

help:
	@echo "make demo          set up, then run the desk on the synthetic market in this terminal (ctrl-c ends it)"
	@echo "make test          set up, then lint, types, rings and tests"
	@echo "make test-servers  tests against real servers"
	@echo "make prove         long proofs: many kills, speed, the six-month backtest"

$(STAMP): requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || { echo "[1/3] making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv; }
	@echo "[2/3] installing pinned packages (about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt 2>&1 | { grep -v -e '^WARNING: Location' || true; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . 2>&1 | { grep -v -e '^WARNING: Location' || true; }
	@$(BIN)/python -c "import numba, pyarrow, msgspec, typer, pytest, voldesk" && touch $@

setup: $(STAMP)
	@echo "[3/3] compiling kernels (once per version)"
	@$(BIN)/voldesk warm

demo: $(STAMP)
	@echo "[3/3] compiling the desk's kernels (once per version; make setup compiles the analysts' too)"
	@$(BIN)/voldesk warm --desk
	@$(BIN)/voldesk demo

check: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q . && $(BIN)/mypy && $(BIN)/lint-imports

test: setup check
	@$(BIN)/python -m pytest -m "not servers"

test-servers: setup
	@$(BIN)/python -m pytest -m servers

prove: setup
	@$(BIN)/python benchmarks/prove.py

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache
