"""A browser, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium_here import need_chromium

from agentrl.envs.gui.browser.chromium import end_browser


@pytest.fixture(scope="session")
def browser() -> Iterator[None]:
    """Tests that need Chromium are skipped without it."""
    need_chromium()
    yield
    end_browser()
