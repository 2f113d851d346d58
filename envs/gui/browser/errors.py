"""What can go wrong with a browser."""

from __future__ import annotations

from agentrl.errors import ConfigError, EnvError


class BrowserError(EnvError):
    """The browser or a page of it hung, crashed or broke. A failure of the machine, never the policy's."""


class NoBrowser(ConfigError):
    """No Chromium is installed; the message says how to get one."""
