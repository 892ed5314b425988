# Everything runs from one virtual environment; `make run` and `make test` need
# only Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LITELLM ?= $(VENV)-litellm
LITELLM_VERSION := 1.102.4
PIP := python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
PIP_INSTALL := $(BIN)/$(PIP)
UV_COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help run serve emulator test bench check format lint types contracts openapi tasks settings lock clients clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/demo.stamp: requirements/emulator.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements/emulator.txt
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@ $(VENV)/demo.stamp

$(VENV)/bench.stamp: requirements/bench.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements/bench.txt
	@touch $@ $(VENV)/demo.stamp

run: $(VENV)/demo.stamp  ## emulator and service; asks one question about a picture, then serves
	$(BIN)/python -m app dev

serve: $(VENV)/demo.stamp  ## the service alone, in front of Amazon Bedrock
	$(BIN)/python -m app serve

emulator: $(VENV)/demo.stamp  ## the emulator alone
	$(BIN)/python -m app.emulator

test: $(VENV)/dev.stamp  ## the whole test suite
	@# Many tests wait for a server or a signal: two for each core keep it busy.
	$(BIN)/python -m pytest -n $$($(BIN)/python -c "import os; print(2 * (os.cpu_count() or 1))") --dist loadgroup

bench: $(VENV)/bench.stamp  ## the service beside its peers, in about ten minutes; see bench/README.md
	@$(BIN)/python -c "from bench.process import cores; cores()"
	@# A virtual environment of its own: LiteLLM wants other versions. Without it the table says so.
	@test -x $(LITELLM)/bin/litellm || { $(PYTHON) -m venv $(LITELLM) \
		&& $(LITELLM)/bin/$(PIP) -r bench/litellm/requirements.txt; } || true
	LITELLM_VENV=$(LITELLM) $(BIN)/python -m bench $(BENCH)

check: $(VENV)/dev.stamp lint types contracts test  ## format, lint, types, import contract, tests; CI runs this and clients

format: $(VENV)/dev.stamp  ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

contracts: $(VENV)/dev.stamp
	$(BIN)/lint-imports

openapi: $(VENV)/dev.stamp  ## export openapi/openapi.json
	$(BIN)/python -m app openapi > openapi/openapi.json

tasks: $(VENV)/dev.stamp  ## write docs/tasks.md
	$(BIN)/python -m app tasks > docs/tasks.md

settings: $(VENV)/dev.stamp  ## write docs/settings.md
	$(BIN)/python -m app settings > docs/settings.md

lock: $(VENV)/dev.stamp  ## recompile the requirement files from pyproject.toml
	$(UV_COMPILE) --all-extras --group dev -o requirements/dev.txt
	$(UV_COMPILE) --extra emulator --extra otel --extra postgres -c requirements/dev.txt -o requirements/emulator.txt
	$(UV_COMPILE) --extra otel --extra postgres -c requirements/dev.txt -o requirements/service.txt
	$(UV_COMPILE) --extra emulator --extra otel --extra postgres --group bench -c requirements/dev.txt -o requirements/bench.txt
	echo "litellm[proxy]==$(LITELLM_VERSION)" | $(subst pyproject.toml,-,$(UV_COMPILE)) -o bench/litellm/requirements.txt

clients: $(VENV)/dev.stamp  ## generate TypeScript types and a Python client from openapi/, check both (needs npm)
	npm ci --prefix tests/clients
	npm run --prefix tests/clients check
	$(BIN)/python -m pytest tests/clients

clean:  ## remove what the targets made
	rm -rf $(VENV) $(LITELLM) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
