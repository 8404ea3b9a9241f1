# make demo    the whole story, offline, in under three minutes
# make test    the test suite
# make check   linters, types, import floors
# make test-all, make bench    slower tests; speed as ratios against named peers
# make test-lowest   what stands on MLflow, with the oldest one that is supported
# make chaos   promotion killed, paused and disturbed: ten times what test-all does of it (or CHAOS=N times)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
DIR ?= speech-mlflow-demo
CHAOS ?= 10
LOWEST := .venv-lowest
LOWEST_MLFLOW := 3.17.0

.PHONY: demo test test-all test-lowest chaos check bench clean

demo: $(VENV)/installed
	$(BIN)/speech-mlflow demo --dir $(DIR)

test: $(VENV)/test
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not bench and not chaos" tests plugins

test-all: $(VENV)/slow
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not bench and not chaos" tests plugins

test-lowest: $(LOWEST)/test
	$(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -m "not slow and not bench and not chaos" \
	  tests/tracking tests/workflow tests/promotion tests/mlflow_plugins

chaos: $(VENV)/test
	SPEECH_MLFLOW_CHAOS=$(CHAOS) $(BIN)/python -m pytest -n 2 tests/chaos

bench: $(VENV)/test
	$(BIN)/python -m pytest -m bench tests/benchmarks

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p speech_mlflow
	$(BIN)/lint-imports

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/python pyproject.toml
	$(PIP) install --editable .
	@touch $@

$(VENV)/test: $(VENV)/python pyproject.toml
	$(PIP) install --editable '.[test]'
	@touch $@ $(VENV)/installed

$(LOWEST)/test: pyproject.toml
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check "mlflow==$(LOWEST_MLFLOW)" --editable '.[test]'
	@touch $@

$(VENV)/slow: $(VENV)/python pyproject.toml
	$(PIP) install --editable '.[test,slow]'
	@touch $@ $(VENV)/installed $(VENV)/test

$(VENV)/dev: $(VENV)/python pyproject.toml
	$(PIP) install --editable '.[dev,test]'
	@touch $@ $(VENV)/installed $(VENV)/test

clean:
	rm -rf $(VENV) $(LOWEST) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
