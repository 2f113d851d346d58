"""Graphical interfaces in headless Chromium: the simulator's screens as pages, and MiniWoB++."""

from agentrl.envs.gui.browser.errors import BrowserError, NoBrowser
from agentrl.envs.gui.browser.miniwob import MiniWob
from agentrl.envs.gui.browser.simulated import GuiBrowser

__all__ = ["BrowserError", "GuiBrowser", "MiniWob", "NoBrowser"]
