# colega: `make` alone prints this help. Two verbs matter: `make up` and `make test`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PHOTOS ?= examples/people
DATA ?= ./data
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
DEV_LOCK := requirements-dev.lock
TORCH_LOCK := requirements-torch.lock
SDK_LOCK := requirements-compreface.lock
# People, search, deletion and rebuilds, of at most 500 faces.
MILVUS_TESTS := $(addprefix tests/integration/,test_service.py test_gateway.py test_not_same.py test_merging.py test_rebuilds.py)

ifneq ($(CI),)
TORCH ?= torch==2.13.0
endif
# Another requirement is another file, and so another installation.
WITH_TORCH = $(if $(TORCH),$(VENV)/installed-torch-$(shell echo "$(TORCH)" | cksum | cut -d " " -f 1))

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help up install test test-fast check format docs bench soak lock sbom audit clean

help: ## print this help
	@echo "colega: which colleague is this?"; echo
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  up takes PHOTOS=DIR (default $(PHOTOS); empty imports nothing), DATA=DIR ($(DATA)) and PORT=N;"
	@echo "  install and test take TORCH=REQUIREMENT (torch==2.13.0) for what trains, and the tests of it."

up: install ## start everything on this machine, import PHOTOS, serve until Ctrl-C
	@exec $(BIN)/colega up --data "$(DATA)" $(if $(PORT),--port $(PORT)) $(if $(strip $(PHOTOS)),--photos "$(PHOTOS)")

install: $(VENV)/installed $(WITH_TORCH) ## prepare .venv with all that `make up` needs

$(VENV)/bin/python:
	@infra/make-venv $(PYTHON) $(VENV)

$(VENV)/installed: $(VENV)/bin/python $(LOCK) pyproject.toml
	@echo "Installing into $(VENV) (once; about a minute) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(LOCK)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed $(DEV_LOCK)
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --require-hashes -r $(DEV_LOCK)
	@touch $@

# torch first, then what is used with it and nothing that it names: torchvision would replace a torch for the CPU.
$(VENV)/installed-torch-%: $(VENV)/installed $(TORCH_LOCK)
	@echo "Installing $(TORCH) and what goes with it ..."
	@$(BIN)/python -m pip install --quiet "$(TORCH)"
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(TORCH_LOCK)
	@touch $@

# CompreFace's own client, unmodified, for the test with it; apart, since it wants an old urllib3.
$(VENV)/installed-compreface: $(VENV)/installed-dev $(SDK_LOCK)
	@rm -rf $(VENV)/compreface-sdk
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes --target $(VENV)/compreface-sdk -r $(SDK_LOCK)
	@touch $@

test: $(VENV)/installed-dev $(VENV)/installed-compreface $(WITH_TORCH) check ## lint, types, import rules, and every test against real servers
	@$(BIN)/python -m pytest --durations=10 --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/installed-dev $(WITH_TORCH) ## the minute-long loop: unit tests that start no server
	@$(BIN)/python -m pytest -q -m "not slow" --numprocesses 2 tests/unit

check: $(VENV)/installed-dev ## ruff, mypy --strict, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache

format: $(VENV)/installed-dev ## put the code into its one form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/installed-dev ## write the generated pages of docs/ anew
	@$(BIN)/python -m benchmarks.pages

bench: $(VENV)/installed-dev ## run the benchmarks; tables on the terminal, JSON under benchmarks/results
	@mkdir -p benchmarks/results
	@for subject in pipeline search index rebuild service; do \
	  $(BIN)/python -m benchmarks.$$subject --json benchmarks/results/$$subject.json || exit 1; done

soak: $(VENV)/installed-dev ## the long tests: many kills, many faults
	@COLEGA_SOAK=1 $(BIN)/python -m pytest -m "slow" --timeout 7200 tests/crash tests/faults tests/fuzz tests/integration tests/unit/index
	@COLEGA_TEST_INDEX=milvus $(BIN)/python -m pytest --timeout 7200 $(MILVUS_TESTS)

lock: ## resolve the lock files anew from pyproject.toml (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --extra cpu --extra local pyproject.toml infra/build.in -o $(LOCK)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --group dev -c $(LOCK) -o $(DEV_LOCK)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-deps -c $(LOCK) -c $(DEV_LOCK) infra/torch.in -o $(TORCH_LOCK)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header infra/compreface.in -o $(SDK_LOCK)
	@for image in gateway: worker:"--extra cpu --extra milvus" training:"--extra cpu --extra train" gpu:"--extra gpu --extra milvus"; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --no-header --extra tracing $${image#*:} -c $(LOCK) -c infra/docker/tested.in pyproject.toml infra/build.in -o infra/docker/$${image%%:*}.lock || exit 1; done

sbom: $(VENV)/installed-dev ## write sbom.cdx.json: what the service is made of, with licences (CycloneDX)
	@$(BIN)/python -m benchmarks.packages sbom.cdx.json

audit: $(VENV)/installed-dev ## ask for known vulnerabilities of what the service and its images are made of (needs the internet)
	@for lock in $(LOCK) $(TORCH_LOCK) infra/docker/*.lock; do echo "$$lock"; \
	  $(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $$lock \
	    || { echo "Not known to be without vulnerabilities: $$lock. See above; without an advisory database nothing is known."; exit 1; }; done

clean: ## remove the virtual environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
