"""Multi-hop question answering over a search index."""

from agentrl.envs.search.env import Search

__all__ = ["Search"]
