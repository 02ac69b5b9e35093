# One command each: `make demo` runs a cluster and a job on it, `make demo-thermos` one task without a cluster,
# `make test` runs the tests, `make check` is the fast gate,
# `make test-mesos` runs the conformance suite against the embedded and (if the kit is at hand) real Mesos,
# `make executor` makes dist/thermos_executor, the one file that Mesos agents fetch.
unexport PYTHONDONTWRITEBYTECODE
SHELL := /bin/bash
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: demo demo-thermos test test-mesos executor check lint types fast bench constraints clean

.venv/installed: pyproject.toml setup.py constraints.txt scripts/setup $(wildcard thermos/host/coordinator*.[ch])
	@scripts/setup

demo: .venv/installed
	@$(BIN)/python scripts/demo

demo-thermos: .venv/installed
	@scripts/demo-thermos

test: .venv/installed
	@scripts/test $(ARGS)

test-mesos: .venv/installed
	@scripts/test-mesos $(ARGS)

executor: .venv/installed
	@scripts/make-executor $(ARGS)

fast: .venv/installed
	$(PYTEST) -q -n 2 tests/thermos/core tests/config tests/mesos/core tests/test_architecture.py $(ARGS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

check: lint types fast

bench: .venv/installed
	$(BIN)/python -m bench $(ARGS)

constraints:
	scripts/constraints

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .demo .mesos-kit thermos/host/thermos-coordinator
