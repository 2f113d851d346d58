# make train   a virtual environment, an installation, and the main job (ARGS="--algo gigpo" adds flags)
# make test    a virtual environment, an installation, and everything that must hold before a commit
#
# make test-sandboxes   the tests of the sandboxes once more, on a Docker engine started for them
#
# PYTHON=python3.12       which Python makes the environment (3.11 or newer)
# VENV=/somewhere         where the environment lies
# PIP_FLAGS="..."         for every pip install, for example --extra-index-url with PyTorch's index for CPUs

PYTHON ?=
VENV ?= .venv
PIP_FLAGS ?=
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt

.PHONY: train test check test-sandboxes install clean

train: $(VENV)/.installed
	$(BIN)/agentrl train --env webshop $(ARGS)

test: $(VENV)/.installed-dev check

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# The sandbox tests on every backend, in containers too: needs root and dockerd (Debian: docker.io), see docker/README.md.
test-sandboxes: $(VENV)/.installed-dev
	PYTHON=$(BIN)/python docker/with_engine.sh $(BIN)/python -m pytest -m "slow or not slow" tests/sandboxes

install: $(VENV)/.installed-dev

$(VENV)/.made:
	@found=; for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "agentrl needs Python 3.11 or newer, but $(or $(PYTHON),python3) answers: $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1). Name another: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; \
	fi; \
	echo "making $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV) || { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.torch: $(VENV)/.made constraints.txt
	@echo "installing $$(grep '^torch==' constraints.txt)"
	@$(PIP) $$(grep '^torch==' constraints.txt)
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	@echo "installing agentrl"
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	@echo "installing agentrl and what its tests need"
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
