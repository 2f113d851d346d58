"""Tasks whose transcript overflows the context: what was read has to be noted down and let go."""

from agentrl.envs.memory.env import Memory

__all__ = ["Memory"]
