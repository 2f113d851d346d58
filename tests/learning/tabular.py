"""Training without a language model: a table of logits behind the real rollout loop, credit and losses.

A `Diagnostic` is a small environment with a handful of words and the policy that it starts with. `TabularEngine`
holds one row of logits for each (message read last, words said since), so a policy is as good as its table
(`Diagnostic.sight` may name more of the context than the last message);
`train` runs an algorithm on it hook by hook, as `agentrl.training.trainer` does on a model, and measures it at equal
numbers of *sampled* tokens: each token that the engine sampled counts once, in groups that were left out too, and a
turn that forks share is not sampled again.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from agentrl.algorithms import Algorithm, LossBatch, Steps, policy_loss
from agentrl.engines.base import Completion, Sampling, nothing
from agentrl.env import TextEnv
from agentrl.errors import EngineError
from agentrl.pack import Row
from agentrl.renderers.base import Message, Parsed
from agentrl.rollout.context import Context, Transcript
from agentrl.rollout.explore import Explore
from agentrl.rollout.loop import Rollout, Task
from agentrl.rollout.worker import EnvWorker, WorkerPool
from agentrl.seeds import derive_seed
from agentrl.training.rows import RowData, minibatches, totals_of, training_rows
from agentrl.trajectory import Group

T = TypeVar("T")

NEVER = -1e4
"""Logit of a word that cannot be said: its probability is exactly 0."""


class Diagnostic(TextEnv):
    """An environment of a few tasks (seeds 0, 1, ...) and words, and the policy that training starts with."""

    words: ClassVar[tuple[str, ...]] = ()
    """The policy's vocabulary."""
    stops: ClassVar[tuple[str, ...] | None] = None
    """Words that end a turn; None: all, so that a turn is one word."""
    tasks: ClassVar[int] = 1
    """Task seeds are 0 .. tasks - 1."""
    max_context: ClassVar[int] = 1 << 20
    """Most ids of a context."""
    states: ClassVar[int] = 4096
    """Most rows of the table."""

    @classmethod
    def sight(cls, texts: Sequence[str]) -> str:
        """What of its context the policy goes by: of all messages and words. Default: the last message."""
        return texts[-1]

    @classmethod
    def spell(cls, text: str) -> Sequence[str]:
        """A message as the pieces that are an id each. Default: one."""
        return (text,)

    @classmethod
    def parse(cls, said: Sequence[str]) -> Parsed:
        """What the words of a turn mean. Default: a text."""
        return Parsed(" ".join(said))

    @classmethod
    def prior(cls, prompt: str, said: tuple[str, ...]) -> Mapping[str, float]:
        """Logits before training of the words that may follow a message and what was ``said`` since. Default: all."""
        return dict.fromkeys(cls.words, 0.0)


class Words:
    """Renders a message as one id, or as its pieces, and a word as one id."""

    def __init__(self, env: type[Diagnostic]) -> None:
        self.env = env
        self.words = env.words
        self.ids = {word: i for i, word in enumerate(env.words)}
        self.stop_ids = frozenset(self.ids[word] for word in (env.words if env.stops is None else env.stops))
        self.texts: dict[int, str] = {}
        """Messages by their ids."""

    def open(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> list[int]:
        return [self._id(piece) for message in messages for piece in self.env.spell(message["content"])]

    def observe(
        self, context: Sequence[int], messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()
    ) -> list[int]:
        return self.open(messages)

    def parse(self, ids: Sequence[int]) -> Parsed:
        return self.env.parse([self.words[i] for i in ids])

    def answer(self, message: Message) -> list[int]:
        return [self.ids[word] for word in message["content"].split()]

    def view(self, ids: Sequence[int]) -> int:
        """An id for what the policy goes by when it reads ``ids``."""
        return self._id(self.env.sight([self.words[i] if i < len(self.words) else self.texts[i] for i in ids]))

    def _id(self, text: str) -> int:
        digest = hashlib.blake2b(text.encode(), digest_size=6).digest()
        found = len(self.words) + int.from_bytes(digest, "big")
        self.texts[found] = text
        return found


Key = tuple[int, ...]
"""The id of what the policy goes by, and the words said since."""


@dataclass(frozen=True)
class _Next:
    """The distribution of the next word."""

    logp: list[float]
    cumulated: list[float]
    entropy: float
    best: int


class TabularEngine:
    """Samples from a table of logits; a request's result depends on its ids, settings and seed alone."""

    exact_entropy = True

    def __init__(self, words: Words, env: type[Diagnostic]) -> None:
        self.words, self.env = words, env
        self.max_context = env.max_context
        self.vocabulary = len(words.words)
        self.version = 0
        self.sampled = 0
        """Tokens sampled so far."""
        self.table = torch.full((env.states, self.vocabulary), NEVER, requires_grad=True)
        """[C, V] logits."""
        self.rows: dict[Key, int] = {}
        self._next: dict[tuple[int, float], _Next] = {}

    async def sample(self, ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continue ``ids``, which end with a message."""
        if sampling.top_p != 1 or sampling.top_k:
            raise EngineError("the tabular engine samples from the whole distribution; leave top_p and top_k alone.")
        rng = random.Random(sampling.seed)
        prompt = self.words.view(ids)
        said: list[int] = []
        logps: list[float] = []
        entropies: list[float] = []
        finish: Literal["stop", "length"] = "length"
        while len(said) < sampling.max_tokens and finish == "length":
            one = self._distribution(self.row((prompt, *said)), sampling.temperature)
            word = one.best if sampling.temperature == 0 else _pick(one.cumulated, rng.random())
            said.append(word)
            logps.append(one.logp[word])
            entropies.append(one.entropy)
            finish = "stop" if word in sampling.stop_ids else "length"
        self.sampled += len(said)
        return Completion(said, logps, entropies, finish, self.version)

    def load(self, weights: Any, version: int) -> None:
        """The table has changed; its weights are its own."""
        self.version = version
        self._next.clear()

    def rest(self) -> None:
        """Nothing to give up."""

    def working(self) -> Any:
        return nothing()

    async def close(self) -> None:
        pass

    def row(self, key: Key) -> int:
        """The table's row of a key; a new one starts with the environment's prior."""
        if key not in self.rows:
            prior = self.env.prior(self.words.texts[key[0]], tuple(self.words.words[i] for i in key[1:]))
            at = self.rows[key] = len(self.rows)
            with torch.no_grad():
                for word, logit in prior.items():
                    self.table[at, self.words.ids[word]] = logit
        return self.rows[key]

    def _distribution(self, row: int, temperature: float) -> _Next:
        key = (row, temperature)
        if key not in self._next:
            logits = self.table[row].detach().double() / (temperature or 1.0)
            logp = logits.log_softmax(-1)
            p = logp.exp()
            entropy = -math.fsum((p * logp).tolist())
            self._next[key] = _Next(logp.tolist(), p.cumsum(-1).tolist(), max(entropy, 0.0), int(logits.argmax()))
        return self._next[key]


def _pick(cumulated: list[float], uniform: float) -> int:
    target = uniform * cumulated[-1]
    return next(i for i, reached in enumerate(cumulated) if reached > target)


class Here(EnvWorker):
    """An environment in the caller's thread: ours never block, and a change of threads costs more than a step."""

    def __init__(self, factory: Callable[[], TextEnv]) -> None:
        self._env = factory()

    async def call(self, function: Callable[[TextEnv], T], *, deadline_s: float) -> T:
        return function(self._env)

    def stop(self) -> None:
        self._env.close()


class HerePool(WorkerPool):
    """Workers without threads."""

    def take(self) -> EnvWorker:
        return self._idle.pop() if self._idle else Here(self._factory)


# -- training ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setup:
    """All that two algorithms have in common when they are compared."""

    budget: int
    """Sampled tokens to train on."""
    groups: int = 4
    """Tasks of a step."""
    lr: float = 0.1
    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam makes each entry of the table move at the same pace however small its gradient is; where sizes matter (a
    weighted sum of advantages), plain descent tells more."""
    parts: int = 1
    """Mini-batches of a step."""
    epochs: int = 1
    context: Context = field(default_factory=Transcript)
    marks: int = 10
    """How often the policy is measured on its way, the start not counted."""
    episodes: int = 64
    """Independent episodes of a measurement, over all tasks; they are not part of the budget."""


@dataclass
class Curve:
    """What was measured on the way, at multiples of budget / marks sampled tokens."""

    budget: int
    marks: int
    tokens: list[int] = field(default_factory=list)
    values: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    """Updates made."""
    forks: float = 0.0
    """Episodes that were forked from others, of all trained on."""

    def at(self, name: str) -> np.ndarray:
        """[marks + 1] values, interpolated to equal numbers of sampled tokens."""
        where = np.linspace(0, self.budget, self.marks + 1)
        return np.interp(where, self.tokens, [value[name] for value in self.values])

    def final(self, name: str) -> float:
        """When the budget was spent."""
        return float(self.at(name)[-1])

    def mean(self, name: str) -> float:
        """Over the whole training: the area under the curve, start excluded."""
        return float(self.at(name)[1:].mean())


def train(algorithm: Algorithm, env: type[Diagnostic], setup: Setup, seed: int) -> Curve:
    """Train a table with an algorithm; the same seed gives the same curve."""
    unmet = algorithm.needs & {"values", *({"memory"} if setup.context == Transcript() else ())}
    if unmet:
        raise ValueError(f"{algorithm.name} needs {', '.join(sorted(unmet))}, which table and context do not have")
    run = _Run(algorithm, env, setup, seed)
    try:
        return run.train()
    finally:
        run.pool.close()


class _Run:
    def __init__(self, algorithm: Algorithm, env: type[Diagnostic], setup: Setup, seed: int) -> None:
        self.algo, self.env, self.setup, self.seed = algorithm, env, setup, seed
        words = Words(env)
        self.engine = TabularEngine(words, env)
        self.pool = HerePool(env)
        self.rollout = Rollout(self.engine, words, setup.context, self.pool, env.__name__)
        table = [self.engine.table]
        adam = setup.optimizer == "adam"
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(table, lr=setup.lr, betas=(0.9, 0.99)) if adam else torch.optim.SGD(table, lr=setup.lr)
        )
        self.history: dict[str, Any] = {}
        self.reference: Tensor | None = None
        self.drawn = 0
        """Tasks drawn so far."""
        self.spent = 0
        """Sampled tokens, measurements not counted."""

    def train(self) -> Curve:
        curve = Curve(self.setup.budget, self.setup.marks)
        self._measure(curve)
        forked = trained = 0
        while self.spent < self.setup.budget:
            groups = self._collect_enough(curve.steps)
            if groups:
                self._learn(groups, curve.steps)
            curve.steps += 1
            every = [t for group in groups for t in group.trajectories]
            forked, trained = forked + sum(t.forked_from is not None for t in every), trained + len(every)
            if self.spent * self.setup.marks >= len(curve.tokens) * self.setup.budget:
                self._measure(curve)
        curve.forks = forked / max(trained, 1)
        return curve

    def _measure(self, curve: Curve) -> None:
        n = max(1, self.setup.episodes // self.env.tasks)
        tasks = [Task(i, derive_seed(self.seed, "measure", len(curve.tokens), i), n) for i in range(self.env.tasks)]
        every = [t for group in self._play(tasks) for t in group.trajectories]
        curve.tokens.append(self.spent)
        curve.values.append(
            {
                "success": float(np.mean([t.won for t in every])),
                "reward": float(np.mean([t.reward for t in every])),
                "turns": float(np.mean([len(t.turns) for t in every])),
                "calls": float(np.mean([sum(turn.tool_calls for turn in t.turns) for t in every])),
            }
        )

    def _play(self, tasks: Sequence[Task], explore: Explore | None = None) -> list[Group]:
        groups = asyncio.run(self.rollout.collect(tasks, explore=explore))
        broken = [t.failure for group in groups for t in group.trajectories if t.failure is not None]
        assert not broken, broken
        return groups

    def _collect_enough(self, step: int) -> list[Group]:
        """As `agentrl.training.trainer.Trainer.collect_enough`."""
        kept: list[Group] = []
        for round_ in range(max(1, self.algo.refill)):
            seeds = [(self.drawn + i) % self.env.tasks for i in range(self.setup.groups)]
            self.drawn += len(seeds)
            sizes = self.algo.allocate([f"{self.env.__name__}:{s}" for s in seeds], self.history)
            tasks = [
                Task(s, derive_seed(self.seed, "task", step, round_, i), n)
                for i, (s, n) in enumerate(zip(seeds, sizes, strict=True))
            ]
            before = self.engine.sampled
            made = self._play(tasks, self.algo.explore())
            self.spent += self.engine.sampled - before
            keep = self.algo.keep_groups(Steps.of(made, self.history))
            kept += [group for group, worth in zip(made, keep, strict=True) if worth]
            if len(kept) >= self.setup.groups:
                break
        return kept[: self.setup.groups]

    def _learn(self, groups: Sequence[Group], step: int) -> None:
        """As `agentrl.training.trainer.Trainer.learn`."""
        algo = self.algo
        groups = algo.replay(groups, self.history, derive_seed(self.seed, "replay", step))
        steps = Steps.of(groups, self.history)
        if "ref_logprobs" in algo.needs:
            steps = self._with_reference(groups, steps)
        advantage = algo.credit(steps)
        times = algo.select(steps, advantage, derive_seed(self.seed, "select", step))
        rows = training_rows(groups, steps, advantage, times)
        loss = algo.loss(self.history)
        for epoch in range(self.setup.epochs if rows else 0):
            for part in minibatches(rows, self.setup.parts, derive_seed(self.seed, "parts", step, epoch)):
                self.optimizer.zero_grad()
                value, _ = policy_loss(loss, self._batch(groups, part), totals_of(part))
                value.backward()
                self.optimizer.step()
        self.engine.load(None, step + 1)
        algo.remember(steps)

    def _batch(self, groups: Sequence[Group], rows: list[RowData]) -> LossBatch:
        at = [torch.tensor(self._table_rows(groups[data.row.group], data.row)) for data in rows]
        said = [torch.tensor(self._words_said(groups[data.row.group], data.row)) for data in rows]
        logp_BTV = self.engine.table[_padded(at)].log_softmax(-1)
        logp_BT = logp_BTV.gather(-1, _padded(said)[..., None]).squeeze(-1)
        rollout_BT = _padded([data.rollout_logp_T for data in rows])
        reference = [data.ref_logp_T for data in rows if data.ref_logp_T is not None]
        return LossBatch(
            logp_BT=logp_BT,
            old_logp_BT=rollout_BT,
            advantage_BT=_padded([data.advantage_T for data in rows]),
            mask_BT=_padded([data.mask_T for data in rows]),
            trajectory_B=torch.tensor([data.trajectory for data in rows]),
            rollout_logp_BT=rollout_BT,
            ref_logp_BT=_padded(reference) if reference else None,
            entropy_BT=-(logp_BTV.exp() * logp_BTV).sum(-1),
            step_BT=_padded([data.step_T for data in rows]),
        )

    def _table_rows(self, group: Group, row: Row) -> list[int]:
        """[T] rows of the table that the tokens were sampled from."""
        return [
            self.engine.row((prompt, *said[:n])) for prompt, said in self._turns(group, row) for n in range(len(said))
        ]

    def _with_reference(self, groups: Sequence[Group], steps: Steps) -> Steps:
        """Log-probabilities under the prior, which is the policy that the run started from."""
        assert steps.token is not None
        rows = training_rows(groups, steps, np.zeros(len(steps)))
        fresh = TabularEngine(self.engine.words, self.env)
        found = [
            torch.tensor(fresh.table[fresh.row((prompt, *said[:n]))].log_softmax(-1)[word].item())
            for data in rows
            for prompt, said in self._turns(groups[data.row.group], data.row)
            for n, word in enumerate(said)
        ]
        return replace(steps, token=replace(steps.token, ref_logp=torch.stack(found).double().numpy()))

    def _turns(self, group: Group, row: Row) -> Iterator[tuple[int, list[int]]]:
        """What the policy went by, and the words said, in each turn of a row."""
        tree = group.tree
        for index in row.turns:
            turn = group.trajectories[row.trajectory].turns[index]
            said = [i for node in tree.between(turn.context, turn.sampled) for i in tree.nodes[node].ids]
            yield self.engine.words.view(tree.ids(turn.context)), said

    def _words_said(self, group: Group, row: Row) -> list[int]:
        return [word for _, said in self._turns(group, row) for word in said]


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return pad_sequence(list(rows), batch_first=True)
