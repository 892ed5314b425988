# Everything runs from one virtual environment, which the targets make: `make run` and `make test`
# need only Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LITELLM ?= $(VENV)-litellm
LITELLM_VERSION := 1.102.4
INSTALL := @$(PYTHON) -m machine environment
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate
UV_PROJECT := $(UV_COMPILE) pyproject.toml
# Many tests wait for a server or a signal: two processes for each core keep it busy. Files are run in
# their order: sorted by their numbers of tests, one with few but long ones would be the last.
PYTEST := $(BIN)/python -m pytest -n $$($(PYTHON) -c "import os; print(2 * (os.cpu_count() or 1))") --dist loadgroup --no-loadscope-reorder

# Tests start hundreds of processes: each would compile the sources anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run serve emulator test test-long fuzz bench check format lint types contracts openapi tasks settings lock wheels sbom audit clients clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/demo.stamp: requirements/emulator.txt requirements/build.txt
	$(INSTALL) $(VENV) requirements/emulator.txt
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt requirements/build.txt
	$(INSTALL) $(VENV) requirements/dev.txt
	@touch $@ $(VENV)/demo.stamp

$(VENV)/bench.stamp: requirements/bench.txt requirements/build.txt
	$(INSTALL) $(VENV) requirements/bench.txt
	@touch $@ $(VENV)/demo.stamp

run: $(VENV)/demo.stamp  ## emulator and service; asks one question about a picture, then serves; PORT=8001 for another port
	@$(if $(PORT),LLAMA_VISION_PORT=$(PORT)) $(BIN)/python -m app dev

serve: $(VENV)/demo.stamp  ## the service alone, in front of Amazon Bedrock
	$(BIN)/python -m app serve

emulator: $(VENV)/demo.stamp  ## the emulator alone
	$(BIN)/python -m app.emulator

test:  ## the whole test suite, with the checks of the sources; sets the machine up first
	@$(PYTHON) -m machine tests $(VENV)
	@$(PYTEST)

test-long:  ## tests that take minutes: twenty kills, every page's commands, generated requests
	@$(PYTHON) -m machine tests $(VENV)
	@KILLS=20 $(PYTEST) -m long

check: lint types contracts test  ## format, lint, types, import contract, tests

clients: $(VENV)/dev.stamp  ## only the clients generated from openapi/, checked
	@$(PYTHON) -m machine tests $(VENV)
	$(BIN)/python -m pytest tests/clients

fuzz: $(VENV)/dev.stamp  ## fuzz what reads bytes of callers and of Bedrock, for ten minutes (SECONDS_EACH)
	$(BIN)/python -m tests.fuzz

sbom: $(VENV)/dev.stamp  ## write sbom.json: what the service's image holds, as CycloneDX
	@$(BIN)/cyclonedx-py requirements requirements/service.txt --pyproject pyproject.toml --output-reproducible -o sbom.json 2>/dev/null
	@sha256sum sbom.json

audit: $(VENV)/dev.stamp  ## known vulnerabilities of what the service's image holds, where a database is reached
	@$(BIN)/python -m machine audit

bench: $(VENV)/bench.stamp  ## the service beside its peers, in about ten minutes; see bench/README.md
	@$(BIN)/python -c "from bench.process import cores; cores()"
	@# A virtual environment of its own: LiteLLM wants other versions. Without it the table says so.
	@test -x $(LITELLM)/bin/litellm || $(PYTHON) -m machine environment $(LITELLM) bench/peers/litellm/requirements.txt || true
	LITELLM_VENV=$(LITELLM) $(BIN)/python -m bench $(BENCH)

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
	$(UV_COMPILE) --group build -o requirements/build.txt
	$(UV_COMPILE) --group tools --no-deps -o requirements/tools.txt
	$(UV_COMPILE) --group deploy -o requirements/deploy.txt
	$(UV_PROJECT) --all-extras --group dev -o requirements/dev.txt
	$(UV_PROJECT) --extra batch --extra emulator --extra otel --extra postgres -c requirements/dev.txt -o requirements/emulator.txt
	$(UV_PROJECT) --extra otel --extra postgres -c requirements/dev.txt -o requirements/service.txt
	$(UV_PROJECT) --extra ocr --extra otel --extra postgres -c requirements/dev.txt -o requirements/service-ocr.txt
	$(UV_PROJECT) --extra batch --extra emulator --extra otel --extra postgres --group bench -c requirements/dev.txt -o requirements/bench.txt
	$(MAKE) --no-print-directory wheels
	echo "litellm[proxy]==$(LITELLM_VERSION)" | $(UV_COMPILE) - -o bench/peers/litellm/requirements.txt

# What Debian of the images' base takes. pyvips has no wheel: it is pure Python.
WHEEL := $(BIN)/uv pip compile --quiet --no-deps --python-version 3.13 --only-binary :all: --no-binary pyvips -o /dev/null
wheels: $(VENV)/dev.stamp  ## whether all that the images hold has wheels for both architectures
	@for machine in x86_64 aarch64; do for file in service service-ocr emulator; do \
		$(WHEEL) requirements/$$file.txt --python-platform $$machine-manylinux_2_28 >/dev/null || exit 1; \
		echo "$$file: wheels for $$machine"; done; done

clean:  ## remove what the targets made
	rm -rf $(VENV) $(VENV)-newest $(VENV)-image $(VENV)-deploy $(LITELLM) tests/clients/node_modules sbom.json
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
