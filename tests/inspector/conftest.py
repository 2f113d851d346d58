"""Small runs to look at, made once; steps made of columns; a browser, where there is one."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from chromium_here import need_chromium

from agentrl.envs.gui.browser.chromium import ARGUMENTS, find_chromium
from agentrl.inspector.command import inspect_run

TESTS = Path(__file__).resolve().parents[1]
SETTINGS: dict[str, list[str]] = {
    "arpo": ["--algo.initial=2", "--algo.decision=bernoulli", "--algo.alpha=0.9"],
    "aepo": ["--algo.initial=2", "--algo.decision=bernoulli", "--algo.alpha=0.9"],
    "tapo": ["--algo.refill=2"],
    "dcpo": ["--algo.segments=6"],
    "ppo": ["--algo.group_size=2"],
}


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"borrowed_{path.parent.name}_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def apart(function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    """Call in a thread of its own: the one that drives a browser has a running event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *args, **more).result()


@pytest.fixture(scope="session")
def rows() -> type:
    """`Steps` from plain columns in any order (that of the algorithms' tests)."""
    return _module(TESTS / "algorithms" / "conftest.py").Rows


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``run_of("gigpo")``: a run of two steps under an algorithm, every checkpoint kept. Not to be changed."""
    runs = _module(TESTS / "training" / "runs.py")

    @functools.cache
    def make(name: str) -> Path:
        import torch

        from agentrl.training.command import main

        torch.set_num_threads(1)
        folder = tmp_path_factory.mktemp("runs") / name
        flags = ["--algo", name, *SETTINGS.get(name, []), "--train.steps=2", "--run.save_every=1", "--run.keep=9"]
        assert apart(main, runs.words(folder, *flags, "--eval.every=0", "--warmup.episodes=100")) == 0
        return folder

    return make


@pytest.fixture(scope="session")
def write() -> Callable[..., int]:
    """`inspect_run`, wherever it is called."""
    return functools.partial(apart, inspect_run)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; tests that need it are skipped without one."""
    need_chromium()
    from playwright.sync_api import sync_playwright

    rule = "--host-resolver-rules="
    local = [a for a in ARGUMENTS if not a.startswith(rule)] + [f"{rule}MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=find_chromium(),
            headless=True,
            args=[*local, *(["--no-sandbox"] if root else [])],
            timeout=120_000,
        )
        yield found
        found.close()
