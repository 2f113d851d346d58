"""Questions that are answered by computing in a Python session (see README.md)."""

from agentrl.envs.python.env import Episode, Python

__all__ = ["Episode", "Python"]
