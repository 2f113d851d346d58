"""Demonstrations in contexts that are edited: they fit a context that no transcript would, and win all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentrl.envs.memory import Memory
from agentrl.envs.memory.levels import INVENTORY, LOG, OBJECTIVES
from agentrl.envs.memory.tasks import TASKS
from agentrl.renderers.calls import calls_of
from agentrl.renderers.chatml import TinyRenderer
from agentrl.rollout.contexts import ContextSettings, context_by_name
from agentrl.rollout.memory import PRUNE
from agentrl.tiny import train_tokenizer
from agentrl.training.warmup import Author, Demonstration, demonstrate, sequences

ROWS: dict[str, Any] = {"objectives": OBJECTIVES, "log": LOG, "inventory": INVENTORY}
ALL = [(task, level) for task in TASKS for level in range(5)]
EPISODES = {0: 10, 1: 10, 2: 6, 3: 4, 4: 3}


class Sure(Memory):
    """A demonstrator without flaws."""

    def noisy_expert(self, rng: np.random.Generator) -> str | None:
        return self.expert()


def demonstrations(env: Memory, context: str, episodes: int, **settings: Any) -> list[Demonstration]:
    """By the code that makes them for the warm-up."""
    made = context_by_name(context, ContextSettings(**settings))
    return demonstrate(env, made, episodes=episodes, seed=1, max_turns=None, progress=lambda *_: None)


def longest(played: list[Demonstration], renderer: TinyRenderer) -> list[int]:
    """Tokens of the longest sequence of each episode."""
    return [max(len(ids) for ids, _ in sequences([one], renderer)) for one in played]


@pytest.mark.parametrize(("task", "level"), ALL)
def test_demonstrations_win_in_a_context_that_no_transcript_fits(task: str, level: int) -> None:
    row, env, count = ROWS[task][level], Sure(task=task, level=level), EPISODES[level]
    whole = demonstrations(env, "transcript", count)
    edited = {
        "memory": demonstrations(env, "memory", count, prune_at=row.prune_at),
        "compact": demonstrations(env, "compact", count, compact_every=max(2, row.prune_at - 1)),
        "report": demonstrations(env, "report", count),
    }
    texts = [text for one in (*whole, *(d for found in edited.values() for d in found)) for text in one.texts()]
    renderer = TinyRenderer(train_tokenizer(texts, vocab_size=8192))
    assert all(one.won for one in whole)
    for played in edited.values():
        assert all(one.won for one in played)
    assert max(longest(edited["memory"], renderer)) <= row.context
    if level:
        assert min(longest(whole, renderer)) > row.context
        assert np.mean(longest(whole, renderer)) >= (1.5 if (task, level) != ("objectives", 1) else 1.1) * row.context
        assert max(longest(edited["compact"], renderer)) <= row.context
        if (task, level) != ("objectives", 1):  # so short that a report beside the newest passage is no shorter
            assert max(longest(edited["report"], renderer)) <= row.context


@pytest.mark.parametrize(("task", "prompt"), [(task, prompt) for task in TASKS for prompt in ("plain", "functions")])
def test_what_is_answered_is_in_sight(task: str, prompt: str) -> None:
    """The answers that a demonstrator gives at last can be read in what is left of its context."""
    env = Sure(task=task, prompt=prompt, level=1)
    played = demonstrations(env, "memory", 25, prune_at=ROWS[task][1].prune_at)
    tokenizer = train_tokenizer([text for one in played for text in one.texts()], vocab_size=8192)
    renderer = TinyRenderer(tokenizer)
    pruned = 0
    for one in played:
        *_, (ids, author) = sequences([one], renderer)
        said = np.flatnonzero(author == Author.POLICY)
        starts = said[np.flatnonzero(np.diff(said, prepend=-2) > 1)]
        before, last = (tokenizer.decode(part) for part in (ids[: starts[-1]], ids[starts[-1] :]))
        answers = last.replace("<answer>", "").partition("</answer>")[0].replace("<|im_end|>", "").split(";")
        assert len(answers) >= 2
        for answer in answers:
            assert answer.strip() in before
        pruned += any(call.name == PRUNE.name for _, said_ in one.turns for call in calls_of(said_))
        assert one.won
    assert pruned >= (5 if task == "objectives" else 25)


def test_flawed_demonstrations_are_won_at_times_in_all_contexts() -> None:
    for task in TASKS:
        env = Memory(task=task)
        for context, settings in (("memory", {"prune_at": 3}), ("compact", {"compact_every": 2}), ("report", {})):
            won = [one.won for one in demonstrations(env, context, 40, **settings)]
            assert 0.3 <= np.mean(won) <= 0.95


def test_the_environment_leaves_pruning_to_the_context() -> None:
    for prompt in ("plain", "functions"):
        env = Memory(prompt=prompt)
        env.reset(seed=0)
        reader = context_by_name("memory", ContextSettings()).start()
        offered = [schema["function"]["name"] for schema in reader.tools(env)]
        assert offered.count(PRUNE.name) == 1
        assert offered == ([] if prompt == "plain" else ["search"]) + [PRUNE.name]
