"""Environments for the tests of evaluation, as files that the command takes."""

from __future__ import annotations

from pathlib import Path

EVEN = '''
from agentrl.env import TextEnv

class Even(TextEnv):
    """Say whether a number is even."""
    max_turns = 2
    instructions = "Answer yes or no."
    def __init__(self, most: int = 100, prize: float = 1.0):
        self.most, self.prize = most, prize
        self.reward_range = (0.0, prize)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = int(self.np_random.integers(self.most))
        return f"is {self.n} even ?", {"task_type": "small" if self.n < 50 else "large"}
    def step(self, text):
        won = text == ("yes" if self.n % 2 == 0 else "no")
        return "", self.prize * won, True, False, {"won": won, "score": 0.25 + 0.75 * won}
    def admissible(self):
        return ["yes", "no"]
    def expert(self):
        return "yes" if self.n % 2 == 0 else "no"
    def noisy_expert(self, rng):
        return self.expert() if rng.random() < 0.7 else "no"
'''

SUMS = '''
from agentrl.tool import ToolEnv
from agentrl.errors import ToolError

class Sums(ToolEnv):
    """Add two numbers with a tool, then answer."""
    max_turns = 4
    instructions = "Use the tool."
    def __init__(self):
        self.use(self.add)
    def add(self, a: int, b: int) -> str:
        """Add two numbers.

        Args:
            a: One.
            b: The other.
        """
        return str(a + b)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.a, self.b = (int(x) for x in self.np_random.integers(100, size=2))
        return f"what is {self.a} plus {self.b} ?", {}
    def answer(self, text):
        won = text == str(self.a + self.b)
        return "", float(won), True, False, {"won": won}
'''

FRAGILE = '''
from agentrl.env import EVAL_SEED_BASE, TextEnv
import os

class Fragile(TextEnv):
    """Breaks on every third task as long as the file 'broken' is there."""
    def __init__(self, broken: str = ""):
        self.broken = broken
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.task = (seed or 0) - EVAL_SEED_BASE
        return f"go {self.task}", {}
    def step(self, text):
        if self.task % 3 == 0 and os.path.exists(self.broken):
            raise RuntimeError("the service is down")
        return "done", 1.0, True, False, {"won": True}
    def expert(self):
        return "x"
'''


def written(folder: Path, name: str) -> str:
    """Write one of the files; returns what ``--env`` takes."""
    file = folder / f"{name.lower()}.py"
    file.write_text({"Even": EVEN, "Sums": SUMS, "Fragile": FRAGILE}[name], encoding="utf-8")
    return f"{file}:{name}"
