"""Questions that are answered by searching and computing (see README.md)."""

from agentrl.envs.tools.env import Tools

__all__ = ["Tools"]
