"""Whether tests can have a browser."""

from __future__ import annotations

import functools

import pytest

from agentrl.envs.gui.browser.chromium import check_browser
from agentrl.errors import ConfigError


@functools.cache
def _missing() -> str:
    """Why no browser can be started here; empty where one can."""
    try:
        check_browser()
    except ConfigError as error:
        return str(error)
    return ""


def need_chromium() -> None:
    """Skip the test that asks, saying why, where there is none."""
    if reason := _missing():
        pytest.skip(reason)
