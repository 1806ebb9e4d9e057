# What a user types. Everything else is `warehouse --help`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test ui lint lock clean help

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# The environment is complete when the marker is newer than the lock; an interrupted install starts again.
$(VENV)/installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; install Python 3.11 or say make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV) from requirements.lock …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# What tests, benchmarks and linters need on top.
$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	@echo "Installing into $(VENV) from requirements-dev.lock …"
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/installed  ## simulate the company, materialize everything, print a summary
	@$(BIN)/warehouse run

ui: $(VENV)/installed  ## Dagster UI and daemon on 127.0.0.1:3000
	@$(BIN)/warehouse ui

test: $(VENV)/installed-dev  ## every test
	@sh tests/setup.sh
	@$(BIN)/python -m pytest -n auto --no-loadscope-reorder

lint: $(VENV)/installed-dev  ## ruff, mypy and sqlfluff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/sqlfluff lint dbt_project/models dbt_project/tests

COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --quiet
lock:  ## write both lock files anew from pyproject.toml (needs uv on the PATH)
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean:  ## remove the environment (the data in .warehouse stays)
	rm -rf $(VENV)
