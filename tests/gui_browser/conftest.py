"""A browser, where there is one."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from agentrl.envs.gui.browser.chromium import check_browser, end_browser
from agentrl.errors import ConfigError


@functools.cache
def _missing() -> str:
    """Why no browser can be started here; empty where one can."""
    try:
        check_browser()
    except ConfigError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def browser() -> Iterator[None]:
    """Tests that need Chromium are skipped without it."""
    if reason := _missing():
        pytest.skip(reason)
    yield
    end_browser()
