"""What an evaluated episode leaves behind: an `Outcome`, one line of ``results.jsonl``.

An outcome has a `agentrl.trajectory.Failure` where something outside the policy kept the episode from being played to
its end. Such an episode is neither won nor lost, and its numbers are in no mean. An episode that ran into its deadline
is one of these: what it would have come to is not known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agentrl.trajectory import Failure, Group, Stage, StopReason, Trajectory, Turn


@dataclass(frozen=True)
class Line:
    """One turn of a transcript."""

    said: str
    """What the policy said, as text; calls are in ``sent``."""
    sent: tuple[str, ...] = ()
    """What ``env.step`` was given: one text, several where calls are made one by one, none where it was not asked."""
    observation: str = ""
    reward: float = 0.0
    valid: bool = True
    finish: str = "stop"
    """Why the policy stopped: ``stop`` or ``length``."""


@dataclass(frozen=True)
class Outcome:
    """One evaluated episode."""

    part: str
    """Which part of the suite it belongs to."""
    task: int
    """The task's number within the part."""
    attempt: int
    """The attempt at that task, from 0."""
    seed: int
    """The environment's seed."""
    won: bool = False
    score: float | None = None
    """The benchmark's own score, where it has one."""
    reward: float = 0.0
    """Return: the sum of the rewards."""
    components: dict[str, float] = field(default_factory=dict)
    """The return's components by name."""
    turns: int = 0
    tool_calls: int = 0
    invalid: int = 0
    """Turns that were no well-formed action."""
    tokens: int = 0
    """Tokens that the policy said."""
    tokens_read: int = 0
    """Tokens of all its prompts; 0 where nobody counts them."""
    cost: float = 0.0
    """In US dollars; 0 where no price is known."""
    seconds: float = 0.0
    """From reset to the end."""
    sample_s: float = 0.0
    """Of these, waiting for the policy."""
    step_s: float = 0.0
    """Of these, waiting for the environment."""
    stop: str = StopReason.FAILED.value
    failure: Failure | None = None
    """What broke outside the policy."""
    member: str = ""
    """Which environment of a mixture the task is from."""
    kind: str = ""
    """The environment's name for the kind of task."""
    opening: str = ""
    """The first observation: the task."""
    transcript: tuple[Line, ...] = ()

    @property
    def key(self) -> tuple[str, int, int]:
        """Which episode of the evaluation this is."""
        return self.part, self.task, self.attempt

    @property
    def digest(self) -> str:
        """Short hash of the task, by which two evaluations know that they played the same one."""
        return hashlib.blake2b(self.opening.encode("utf-8", "replace"), digest_size=8).hexdigest()

    @property
    def value(self) -> float:
        """The score, or success where the benchmark has none."""
        return float(self.won) if self.score is None else self.score


@dataclass(frozen=True)
class Usage:
    """What a policy consumed in one episode."""

    said: int = 0
    """Tokens."""
    read: int = 0
    """Tokens."""
    cost: float = 0.0
    """US dollars."""


def outcome_of(
    trajectory: Trajectory,
    *,
    task: int,
    seed: int,
    usage: Usage,
    part: str = "",
    member: str = "",
    kind: str = "",
    opening: str = "",
    sent: Sequence[Sequence[str]] | None = None,
    seconds: float | None = None,
) -> Outcome:
    """The outcome of an episode.

    Args:
        sent: What the environment was given in each turn; None leaves the transcript out.
        seconds: From reset to the end; None: what its turns took.
    """
    t, turns = trajectory, trajectory.turns
    sample_s, step_s = sum(u.sample_s for u in turns), sum(u.step_s for u in turns)
    components: dict[str, float] = {}
    for turn in turns:
        for name, value in turn.components.items():
            components[name] = components.get(name, 0.0) + value
    return Outcome(
        part=part,
        task=task,
        attempt=t.index,
        seed=seed,
        won=t.won,
        score=t.score,
        reward=t.reward,
        components=components,
        turns=len(turns),
        tool_calls=sum(u.tool_calls for u in turns),
        invalid=sum(not u.valid for u in turns),
        tokens=usage.said,
        tokens_read=usage.read,
        cost=usage.cost,
        seconds=sample_s + step_s if seconds is None else seconds,
        sample_s=sample_s,
        step_s=step_s,
        stop=t.stop.value,
        failure=t.failure or _unfinished(t),
        member=member,
        kind=kind,
        opening=opening,
        transcript=() if sent is None else tuple(_line(turn, sent[i]) for i, turn in enumerate(turns)),
    )


def outcomes_of(groups: Sequence[Group]) -> list[Outcome]:
    """Outcomes of rollouts, without transcripts; the task's number is the group's."""
    return [
        outcome_of(
            trajectory,
            task=task,
            seed=group.task_seed,
            usage=Usage(tokens_said(group, trajectory)),
            member=group.member,
            kind=group.kind,
        )
        for task, group in enumerate(groups)
        for trajectory in group.trajectories
    ]


def tokens_said(group: Group, trajectory: Trajectory) -> int:
    """Sampled tokens of an episode."""
    tree = group.tree
    return sum(len(tree.nodes[n].ids) for u in trajectory.turns for n in tree.between(u.context, u.sampled))


def tokens_read(group: Group, trajectory: Trajectory) -> int:
    """Tokens of all prompts of an episode, each counted in full."""
    return sum(group.tree.nodes[u.context].end for u in trajectory.turns)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain values; `of_json` reads them back."""
    return asdict(outcome)


def of_json(values: Mapping[str, Any]) -> Outcome:
    """The inverse of `as_json`.

    Raises:
        ValueError, TypeError, KeyError: these are no outcome's values.
    """
    failure = values.get("failure")
    transcript = tuple(Line(**{**line, "sent": tuple(line["sent"])}) for line in values.get("transcript", ()))
    changed = {
        "failure": failure and Failure(Stage(failure["stage"]), failure["error"]),
        "transcript": transcript,
    }
    return Outcome(**{**values, **changed})


def _line(turn: Turn, sent: Sequence[str]) -> Line:
    return Line(turn.text, tuple(sent), turn.observation, turn.reward, turn.valid, turn.finish)


def _unfinished(trajectory: Trajectory) -> Failure | None:
    if trajectory.stop == StopReason.DEADLINE:
        return Failure(Stage.SAMPLE, f"The episode's deadline passed after {len(trajectory.turns)} turns.")
    if trajectory.stop == StopReason.CANCELLED:
        return Failure(Stage.SAMPLE, "The episode was cancelled.")
    return None
