"""Starting and stopping real servers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentrl.engines.weight_sync import free_port

START_S = 800.0
"""Seconds that a server may take to start on busy cores."""


@dataclass
class Served:
    """A server, and the policy that it was started with."""

    url: str
    folder: Path
    model: Any
    tokenizer: Any
    process: subprocess.Popen[bytes] | None


def start_server(folder: Path, log: Path, *words: str) -> tuple[str, subprocess.Popen[bytes]]:
    """Start `agentrl serve-vllm` and wait until it answers."""
    import httpx

    port = free_port()
    command = [sys.executable, "-m", "agentrl", "serve-vllm", str(folder), "--port", str(port), *words]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=env, start_new_session=True, preexec_fn=_die_with_parent
        )
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return url, process
        except httpx.HTTPError:
            time.sleep(1)
    stop_server(process)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)


def stop_server(process: subprocess.Popen[bytes]) -> None:
    """Kill a server and its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
