"""What a set of outcomes says: means with intervals, and tables by part, by kind of task and by task.

Success is given twice, side by side: over the episodes that were played (n minus infrastructure failures), and over
all n, with failures counted as lost. All other means are over the episodes that were played.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentrl.evaluation.record import Outcome
from agentrl.evaluation.statistics import (
    Estimate,
    bootstrap_clustered,
    estimate,
    pass_at_k,
    pass_hat_k,
    wilson_clustered,
)


@dataclass(frozen=True)
class Summary:
    """95% intervals: Wilson's for success, a bootstrap for means; both take tasks, not attempts, as what was drawn."""

    episodes: int
    tasks: int
    failures: int
    """Episodes that broke outside the policy."""
    success: float
    """Over the episodes that count."""
    success_low: float
    success_high: float
    success_of_all: float
    """Over all episodes, failures counted as lost."""
    success_of_all_low: float
    success_of_all_high: float
    score: float
    """The benchmark's score; success where it has none."""
    score_low: float
    score_high: float
    reward: float
    """Return of an episode."""
    reward_low: float
    reward_high: float
    turns: float
    tool_calls: float
    invalid: float
    """Share of the turns that were no well-formed action."""
    tokens: float
    """Sampled tokens per episode."""
    tokens_read: float
    """Tokens of its prompts."""
    cost: float
    """US dollars of all episodes together."""
    episode_s: float
    """Seconds of an episode."""
    stops: dict[str, int]
    """Why episodes ended."""
    broken: dict[str, int]
    """Failures by stage."""
    pass_at: dict[int, Estimate]
    """At least one of k attempts wins (unbiased), by k; over tasks with k attempts that count."""
    pass_hat: dict[int, Estimate]
    """Of k attempts all win (unbiased), by k."""
    seconds: float
    """The evaluation took; where it was interrupted, the last part of it."""

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], *, seconds: float = 0.0) -> Summary:
        """Summarise."""
        counted = [o for o in outcomes if o.failure is None]
        n, task = max(1, len(counted)), [(o.part, o.task) for o in counted]
        won = [float(o.won) for o in counted]
        of_all = [float(o.won and o.failure is None) for o in outcomes]

        def mean(value: Callable[[Outcome], float]) -> float:
            return sum(map(value, counted)) / n

        low, high = wilson_clustered(won, task)
        all_low, all_high = wilson_clustered(of_all, [(o.part, o.task) for o in outcomes])
        score_low, score_high = bootstrap_clustered([o.value for o in counted], task)
        reward_low, reward_high = bootstrap_clustered([o.reward for o in counted], task)
        pass_at, pass_hat = passes(counted)
        return cls(
            episodes=len(outcomes),
            tasks=len({(o.part, o.task) for o in outcomes}),
            failures=len(outcomes) - len(counted),
            success=sum(won) / n,
            success_low=low,
            success_high=high,
            success_of_all=sum(of_all) / max(1, len(outcomes)),
            success_of_all_low=all_low,
            success_of_all_high=all_high,
            score=mean(lambda o: o.value),
            score_low=score_low,
            score_high=score_high,
            reward=mean(lambda o: o.reward),
            reward_low=reward_low,
            reward_high=reward_high,
            turns=mean(lambda o: o.turns),
            tool_calls=mean(lambda o: o.tool_calls),
            invalid=sum(o.invalid for o in counted) / max(1, sum(o.turns for o in counted)),
            tokens=mean(lambda o: o.tokens),
            tokens_read=mean(lambda o: o.tokens_read),
            cost=sum(o.cost for o in outcomes),
            episode_s=mean(lambda o: o.seconds),
            stops=dict(Counter(o.stop for o in outcomes).most_common()),
            broken=dict(Counter(o.failure.stage.value for o in outcomes if o.failure).most_common()),
            pass_at=pass_at,
            pass_hat=pass_hat,
            seconds=seconds,
        )

    def lines(self) -> list[str]:
        """For people."""
        out = [
            f"success  {self.success:7.1%}  [{self.success_low:.1%}, {self.success_high:.1%}]",
            f"score    {self.score:7.3f}  [{self.score_low:.3f}, {self.score_high:.3f}]",
            f"reward   {self.reward:7.3f}  [{self.reward_low:.3f}, {self.reward_high:.3f}]",
            f"turns    {self.turns:7.1f}",
        ]
        if self.tool_calls:
            out.append(f"calls    {self.tool_calls:7.1f}  of tools per episode")
        if self.tokens:
            read = f", {self.tokens_read:.0f} read" if self.tokens_read else ""
            out.append(f"tokens   {self.tokens:7.0f}  sampled per episode{read}")
        if self.cost:
            out.append(f"cost     {self.cost:7.2f}  US dollars in all")
        for name, found in (("pass@", self.pass_at), ("pass^", self.pass_hat)):
            for k, e in found.items():
                out.append(f"{name}{k:<3} {e.value:7.1%}  [{e.low:.1%}, {e.high:.1%}]  of {e.tasks} tasks")
        out.append("ended by " + ", ".join(f"{reason} {count}" for reason, count in self.stops.items()))
        if self.failures:
            stages = ", ".join(f"{stage} {count}" for stage, count in self.broken.items())
            out.append(
                f"failures {self.failures} of {self.episodes} episodes broke outside the policy ({stages}) and are "
                f"left out; counted as lost, success is {self.success_of_all:.1%} "
                f"[{self.success_of_all_low:.1%}, {self.success_of_all_high:.1%}]"
            )
        return out


def passes(counted: Sequence[Outcome]) -> tuple[dict[int, Estimate], dict[int, Estimate]]:
    """pass@k and pass^k for k = 1, 2, 4, 8, ... and the largest number of attempts; empty for one attempt."""
    of: dict[tuple[str, int], list[bool]] = {}
    for o in counted:
        of.setdefault((o.part, o.task), []).append(o.won)
    most = max(map(len, of.values()), default=0)
    if most < 2:
        return {}, {}
    ks = sorted({2**i for i in range(most.bit_length()) if 2**i <= most} | {most})
    some = {k: [pass_at_k(len(w), sum(w), k) for w in of.values() if len(w) >= k] for k in ks}
    every = {k: [pass_hat_k(len(w), sum(w), k) for w in of.values() if len(w) >= k] for k in ks}
    return {k: estimate(v) for k, v in some.items()}, {k: estimate(v) for k, v in every.items()}


def by(outcomes: Sequence[Outcome], name: Callable[[Outcome], str], *, seconds: float = 0.0) -> dict[str, Summary]:
    """A summary for each name, in order of appearance; outcomes without a name are left out."""
    names = dict.fromkeys(name(o) for o in outcomes)
    return {n: Summary.of([o for o in outcomes if name(o) == n], seconds=seconds) for n in names if n}


def by_member(outcomes: Sequence[Outcome], *, seconds: float) -> dict[str, Summary]:
    """A summary for each environment of a mixture; empty where there is none."""
    return by(outcomes, lambda o: o.member, seconds=seconds)


def kinds_line(outcomes: Sequence[Outcome]) -> str:
    """Success by kind of task, for people; empty where tasks have no kinds.

    >>> from types import SimpleNamespace as One
    >>> kinds_line([One(kind="heat", won=True, failure=None), One(kind="heat", won=False, failure=None)])
    'by kind  heat 50.0% of 2'
    """
    kinds = sorted({o.kind for o in outcomes if o.kind and not o.failure})
    of = {kind: [o.won for o in outcomes if o.kind == kind and not o.failure] for kind in kinds}
    told = ", ".join(f"{kind} {sum(won) / len(won):.1%} of {len(won)}" for kind, won in of.items())
    return f"by kind  {told}" if told else ""
