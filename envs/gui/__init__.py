"""Graphical interfaces as text: a phone with apps, simulated, and the same screens in a browser."""

from agentrl.envs.gui.env import Gui

__all__ = ["Gui"]
