"""Real vLLM where it is installed beside agentrl (`make test-vllm`); a server is started once for all tests.

``AGENTRL_VLLM_SERVER=http://host:port`` names one that runs already, with the folder ``AGENTRL_VLLM_POLICY``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from vllm_models import save_policy
from vllm_serving import Served, start_server, stop_server


@pytest.fixture(scope="session")
def vllm() -> Any:
    """The package."""
    return pytest.importorskip("vllm", reason="vLLM is not installed here: make test-vllm")


@pytest.fixture(scope="session")
def policy_folder(vllm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("AGENTRL_VLLM_POLICY")
    folder = Path(named) if named else tmp_path_factory.mktemp("policy")
    save_policy(folder)
    return folder


@pytest.fixture(scope="session")
def served(policy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(policy_folder))
    tokenizer = AutoTokenizer.from_pretrained(str(policy_folder))
    running = os.environ.get("AGENTRL_VLLM_SERVER")
    if running:
        yield Served(running, policy_folder, model, tokenizer, None)
        return
    url, process = start_server(policy_folder, tmp_path_factory.mktemp("log") / "server.log", "--sync", "files")
    yield Served(url, policy_folder, model, tokenizer, process)
    stop_server(process)
