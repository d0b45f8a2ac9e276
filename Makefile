# `make demo` serves a demonstration clinic; `make test` runs every test. Both set up what they need.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help setup setup-dev demo test check format requirements docs screenshots clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.base ## Build .venv with what a clinic needs

setup-dev: $(VENV)/.dev ## Build .venv with what tests and checks need, too

demo: setup ## Serve a demonstration clinic with a session in progress
	$(BIN)/openketamine serve --demo --port $(PORT)

test: setup-dev ## Run every check and every test
	tools/test.sh

check: setup-dev ## Run the static checks alone
	tools/check.sh

format: setup-dev ## Put the code into its house style
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

docs: setup-dev ## Write the generated pages of the documentation anew
	$(BIN)/python docs/generate_models.py
	$(BIN)/python docs/generate_effects.py
	$(BIN)/python docs/generate_protocols.py
	$(BIN)/python docs/generate_assurance.py

screenshots: setup-dev ## Picture the demonstration for the README and the documentation
	$(BIN)/python docs/take_screenshots.py

requirements: ## Compile the pinned, hashed requirements (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --no-emit-package openketamine \
	  --extra build --extra postgresql --extra statistics pyproject.toml -o requirements/base.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --no-emit-package openketamine \
	  --extra dev -c requirements/base.txt pyproject.toml -o requirements/dev.txt

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "OpenKetamine needs Python 3.11 or newer. Say which with: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "The venv module is missing. On Debian or Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.base: requirements/base.txt pyproject.toml | $(VENV)/bin/python
	tools/system.sh pango
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	tools/system.sh chromium postgresql
	touch $@
