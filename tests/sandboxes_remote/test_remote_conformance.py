"""The tests that every backend passes, ``tests/sandboxes/test_session.py``, over HTTP."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Bench, World, local, tier

SOURCE = Path(__file__).parents[1] / "sandboxes" / "test_session.py"
pytestmark = pytest.mark.slow  # like those: deadlines that a busy machine misses


def shared_tests() -> dict[str, object]:
    """The tests that take a bench."""
    spec = importlib.util.spec_from_file_location("session_tests_over_http", SOURCE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {name: test for name, test in vars(module).items() if name.startswith("test_")}
    return {
        name: test for name, test in found.items() if callable(test) and "bench" in inspect.signature(test).parameters
    }


globals().update(shared_tests())


@pytest.fixture(scope="module")
def bench(world: World) -> Iterator[Bench]:
    """A server on a backend of its own, and a client."""
    if tier() == "none":
        pytest.skip("no tier works here, and these tests want isolation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        behind = local()
    with world.serve(backend=behind, idle_s=3.0) as running, asyncio.Runner() as loop:
        backend = running.client()
        yield Bench(backend, loop, behind)
        loop.run(backend.close())
