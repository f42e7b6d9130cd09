# make run    install into .venv and train on sample_data/digits: with the screens on a terminal, headless without
# make test   install what tests need and run them
# make lint   style, types and import contracts
# make soak   the long tests, which `make test` leaves out
# make bench  measure the speed beside timm, Lightning, fastai and others; about 17 minutes
# make docs   write the settings table of the README and its pictures again
# make lock   pin every dependency again, in constraints.txt

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --constraint constraints.txt
PINS := torch==2.13.0 torchvision==0.28.0

.PHONY: run test lint soak bench docs lock clean

run: $(VENV)/installed
	@$(BIN)/tui-trainer sample_data/digits

test: $(VENV)/installed-dev
	@$(BIN)/python -m pytest -n auto --dist worksteal

soak: $(VENV)/installed-dev
	@$(BIN)/python -m pytest -m soak

lint: $(VENV)/installed-dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.10 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "$(PYTHON) is older than 3.10: install a newer one, or run make PYTHON=python3.12." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "python3 has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing tui-trainer into $(VENV); the first time takes a minute or more." >&2
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@

bench: $(VENV)/installed-dev
	@$(PIP_INSTALL) --editable '.[bench]'
	@$(BIN)/python -m benchmarks

docs: $(VENV)/installed-dev
	@$(BIN)/python scripts/docs.py
	@$(BIN)/python scripts/pictures.py

lock:
	@printf '%s\n' $(PINS) > $(VENV)/pins.txt
	@head -n 2 constraints.txt > $(VENV)/lock.txt
	@uv pip compile pyproject.toml --all-extras --universal --python-version 3.10 --constraint $(VENV)/pins.txt \
		--no-header --no-annotate --quiet >> $(VENV)/lock.txt
	@cp $(VENV)/lock.txt constraints.txt

clean:
	@rm -rf $(VENV)
