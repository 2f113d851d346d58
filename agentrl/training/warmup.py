"""Warm-up: a policy learns by supervision to speak the environment's language, before reinforcement.

As the papers' cold starts do, it imitates demonstrations: the environment's own expert, with mistakes
(`agentrl.env.TextEnv.noisy_expert`), so that there is something left to reinforce. Demonstrations go
through the same context and renderer as rollouts, so the policy is warmed up on exactly the token
sequences that it will meet; a context may ask for more than the expert says (a summary, a memory action).
Loss: cross entropy, weight 1 on what the policy says, a smaller one on what the environment writes (reading
helps acting in a model that starts from nothing), none on what was said or read in an earlier sequence.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from agentrl import registry
from agentrl.config import Config
from agentrl.env import TextEnv, check_reset, check_step
from agentrl.errors import AgentRLError, ConfigError, EnvError
from agentrl.models import Policy
from agentrl.renderers.base import Message, Parsed, Renderer
from agentrl.renderers.calls import calls_of, write_call
from agentrl.rollout.context import Context, Reading, Room
from agentrl.rollout.contexts import ContextSettings, context_by_name
from agentrl.rollout.sight import Sight
from agentrl.rollout.worker import EnvWorker
from agentrl.scoring import backbone, output_head
from agentrl.seeds import derive_seed
from agentrl.tool import encode_calls
from agentrl.trajectory import Turn

LARGE_VOCABULARY = 4000
"""Tokens above which an embedded policy needs more passes before it copies words and product names."""

Progress = Callable[[str, int, int, str], None]
"""``progress(what, done, total, note)``."""


class Author(IntEnum):
    """Whose a token of a sequence is."""

    KEPT = 0
    """It was in an earlier sequence of the episode; no loss."""
    ENVIRONMENT = 1
    POLICY = 2


@dataclass(frozen=True)
class Demonstration:
    """One episode: what was read and what was said, in turns."""

    turns: list[tuple[Reading, Message]]
    """(what the context gave to read, what the demonstrator said)."""
    won: bool
    tools: Sequence[dict[str, Any]] = ()
    """Schemas of the tools that were offered."""

    def texts(self) -> list[str]:
        """Everything in it, for training a tokenizer."""
        messages = [message for read, said in self.turns for message in (*read.messages, said)]
        written = [[str(m["content"]), *map(write_call, m.get("tool_calls") or ())] for m in messages]
        return [text for texts in written for text in texts]


def demonstrate(
    env: TextEnv,
    context: Context,
    *,
    episodes: int,
    seed: int,
    max_turns: int | None,
    progress: Progress,
    step_s: float = 120.0,
    required: bool = True,
) -> list[Demonstration]:
    """Let the environment's fallible expert play.

    Args:
        step_s: Seconds that the environment may take for one step or reset.
        required: Whether an expert must be there; without one an episode ends with its first observation.

    Raises:
        ConfigError: the environment has no expert.
        EnvError: the environment broke.
    """

    async def run() -> list[Demonstration]:
        worker = EnvWorker(lambda: env)
        found = []
        try:
            for index in range(episodes):
                task_seed = derive_seed(seed, "demonstration task", index) % 1_000_000_000
                rng = np.random.default_rng(derive_seed(seed, "demonstration", index))
                player = _Player(context, rng, task_seed, max_turns, required)
                try:
                    while not player.over:
                        await worker.call(player.play, deadline_s=step_s)
                except AgentRLError:
                    raise
                except Exception as error:
                    what = f"{type(error).__name__}: {error}" if str(error) else f"no answer within {step_s:g} s"
                    raise EnvError(
                        f"{type(env).__name__} broke while its expert played (seed {task_seed}, after "
                        f"{len(player.played)} steps): {what}. Try the environment alone: agentrl envs check"
                    ) from error
                found.append(Demonstration(player.turns, player.won, player.tools))
                progress("demonstrations", index + 1, episodes, "")
        finally:
            worker.stop()
        return found

    return asyncio.run(run())


class _Player:
    """One episode of the expert, move by move, in the environment's thread."""

    def __init__(
        self, context: Context, rng: np.random.Generator, seed: int, max_turns: int | None, required: bool
    ) -> None:
        self.reader, self.rng, self.seed = context.start(), rng, seed
        self.max_turns, self.required = max_turns, required
        self.turns: list[tuple[Reading, Message]] = []
        self.tools: Sequence[dict[str, Any]] = ()
        self.played: list[Turn] = []
        self.task = ""
        self.over = self.won = False

    def play(self, env: TextEnv) -> None:
        """Reset, or make the move that was chosen; then choose the next."""
        if not self.turns:
            self.task, _ = check_reset(env.reset(seed=self.seed), env)
            self.tools = self.reader.tools(env)
            self._choose(env, Reading(self.reader.first(env, self.task)))
            return
        said = self.turns[-1][1]
        parsed = Parsed(said["content"], calls=calls_of(said))
        turn = Turn(-1, -1, parsed.text, encode_calls(parsed.calls) if parsed.calls else parsed.text)
        turn.tool_calls = len(parsed.calls)
        turn.observation, _, terminated, truncated, info = check_step(self.reader.step(env, turn, parsed), env)
        turn.action = str(info.get("action", turn.action))
        turn.tool_calls = int(info.get("tool_calls", turn.tool_calls))
        self.played.append(turn)
        if terminated or truncated:
            self.over, self.won = True, bool(info.get("won", False))
        elif len(self.played) >= (self.max_turns or env.max_turns):
            self.over = True
        else:
            self._choose(env, self.reader.next(env, self.task, self.played, Room(0, sys.maxsize)))

    def _choose(self, env: TextEnv, read: Reading) -> None:
        said = self.reader.demonstrate(env, lambda: env.noisy_expert(self.rng))
        if said is None and self.required:
            raise ConfigError(
                f"{type(env).__name__} has no expert to warm up on. Define expert() in it, or turn the warm-up off "
                "with --warmup.episodes 0 (the embedded policy will then hardly learn anything)."
            )
        self.turns.append((read, said or {"role": "assistant", "content": ""}))
        self.over = said is None


def sequences(
    demonstrations: Sequence[Demonstration], renderer: Renderer, max_context: int | None = None
) -> list[tuple[Any, Any]]:
    """Token ids [T] and the `Author` of each [T]; cut at ``max_context``.

    A new prompt begins a new sequence, and so does a memory action.
    """
    out = []
    for demonstration in demonstrations:
        sight = Sight(renderer)
        ids: list[int] = []
        author: list[int] = []
        for turn, (read, said) in enumerate(demonstration.turns):
            if turn == 0:
                sight.open(read.messages, demonstration.tools)
            else:
                sight.read(read, demonstration.tools)
            if turn and (read.fresh or read.keep is not None):
                out.append((ids, author))
                author = [Author.KEPT] * (len(sight.ids) - len(sight.newest))
            answer = renderer.answer(said)
            sight.say(answer)
            ids = sight.ids
            author = author + [Author.ENVIRONMENT] * (len(ids) - len(answer) - len(author))
            author = author + [Author.POLICY] * len(answer)
        out.append((ids, author))
    arrays = [(np.asarray(ids, np.int64)[:max_context], np.asarray(who, np.int8)[:max_context]) for ids, who in out]
    return [pair for pair in arrays if (pair[1] == Author.POLICY).any()]


def imitate(policy: Policy, data: list[tuple[Any, Any]], config: Config, progress: Progress) -> float:
    """Train on sequences; returns the last mean loss of action tokens (nats)."""
    s, model = config.warmup, policy.model
    device = next(model.parameters()).device
    assert s.lr is not None and s.observation_weight is not None, "resolve the configuration first"
    large = config.embedded and len(policy.tokenizer) > LARGE_VOCABULARY
    epochs = s.epochs if s.epochs is not None else (5 if large else config.env.demonstrations[1])
    batches_per_epoch = [
        _batches(data, s.batch_tokens, derive_seed(config.run.seed, "warmup", e)) for e in range(epochs)
    ]
    batches = [batch for epoch in batches_per_epoch for batch in epoch]
    optimizer = torch.optim.AdamW(model.parameters(), lr=s.lr, betas=(0.9, 0.98), weight_decay=0.01)
    rise = max(1, min(50, len(batches) // 10))
    model.train()
    recent: list[float] = []
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            decay = 0.5 * (1 + math.cos(math.pi * step / len(batches)))
            group["lr"] = s.lr * min(1.0, (step + 1) / rise) * (0.02 + 0.98 * decay)
        loss, acting = _imitation_loss(model, [data[i] for i in batch], s.observation_weight, device)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent = [*recent[-49:], acting]
        progress("warm-up", step + 1, len(batches), f"loss {sum(recent) / len(recent):.3f}")
    model.eval()
    return sum(recent) / max(1, len(recent))


def _imitation_loss(
    model: Any, batch: list[tuple[Any, Any]], observation_weight: float, device: torch.device
) -> tuple[torch.Tensor, float]:
    longest = max(len(ids) for ids, _ in batch)
    ids_BT = torch.zeros((len(batch), longest), dtype=torch.long)
    weight_BT = torch.zeros((len(batch), longest))
    mine_BT = torch.zeros((len(batch), longest), dtype=torch.bool)
    weights = torch.tensor([0.0, observation_weight, 1.0])  # by author
    for b, (ids, author) in enumerate(batch):
        ids_BT[b, : len(ids)] = torch.from_numpy(ids)
        mine_BT[b, : len(ids)] = torch.from_numpy(author == Author.POLICY)
        weight_BT[b, : len(ids)] = weights[torch.from_numpy(author).long()]
    weight_BT[:, 0] = 0  # nothing predicts the first token
    ids_BT, weight_BT, mine_BT = ids_BT.to(device), weight_BT.to(device), mine_BT.to(device)
    hidden = backbone(model)(input_ids=ids_BT, attention_mask=torch.ones_like(ids_BT), use_cache=False)
    chosen = weight_BT[:, 1:] > 0
    logits_KV = output_head(model)(hidden.last_hidden_state[:, :-1][chosen]).float()
    loss_K = cross_entropy(logits_KV, ids_BT[:, 1:][chosen], reduction="none")
    weight_K, mine_K = weight_BT[:, 1:][chosen], mine_BT[:, 1:][chosen]
    acting = float(loss_K.detach()[mine_K].mean())
    return (loss_K * weight_K).sum() / weight_K.sum(), acting


def _batches(data: list[tuple[Any, Any]], tokens: int, seed: int) -> list[list[int]]:
    """Shuffled batches of about ``tokens`` tokens, sequences of similar length together (less padding)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data))
    pools = [order[i : i + 256] for i in range(0, len(order), 256)]
    batches: list[list[int]] = []
    for pool in pools:
        batch: list[int] = []
        for i in sorted(pool.tolist(), key=lambda i: len(data[i][0])):
            if batch and (len(batch) + 1) * len(data[i][0]) > tokens:
                batches.append(batch)
                batch = []
            batch.append(i)
        if batch:
            batches.append(batch)
    return [batches[i] for i in rng.permutation(len(batches))]


# -- the embedded policy ------------------------------------------------------------------------------


def embedded_policy(config: Config, env: TextEnv, device: torch.device, progress: Progress) -> tuple[Policy, bool]:
    """Make the embedded policy and warm it up, or take it from the cache.

    Returns:
        The policy and whether it came from the cache.
    """
    from agentrl.models import load_policy
    from agentrl.renderers.chatml import TinyRenderer
    from agentrl.tiny import build_model, train_tokenizer

    cached = Path.home() / ".cache" / "agentrl" / "warmup" / _fingerprint(config, env)
    if config.warmup.cache and (cached / "config.json").is_file():
        policy = load_policy(str(cached), device=device, max_context=config.model.max_context)
        return policy, True
    played = _demonstrations(config, env, progress)
    tokenizer = train_tokenizer((t for d in played for t in d.texts()), vocab_size=config.model.vocab_size)
    renderer = TinyRenderer(tokenizer)
    max_context = config.model.max_context or _room(sequences(played, renderer))
    model = build_model(
        tokenizer,
        hidden=config.model.hidden,
        layers=config.model.layers,
        max_context=max_context,
        seed=derive_seed(config.run.seed, "model"),
    ).to(device)
    policy = Policy(model, tokenizer, renderer, max_context)
    data = sequences(played, policy.renderer, policy.max_context)
    if config.warmup.episodes:
        imitate(policy, data, config, progress)
    if config.warmup.cache:
        _keep(policy, cached)
    return policy, False


def _room(data: list[tuple[Any, Any]]) -> int:
    """A context half as long again as the longest demonstration: a learner strays."""
    return 128 * math.ceil(1.5 * max(len(ids) for ids, _ in data) / 128)


def warm_up(policy: Policy, config: Config, env: TextEnv, progress: Progress) -> None:
    """Warm up a pretrained policy, where ``warmup.episodes`` asks for it."""
    if config.warmup.episodes:
        played = _demonstrations(config, env, progress)
        imitate(policy, sequences(played, policy.renderer, policy.max_context), config, progress)


def _demonstrations(config: Config, env: TextEnv, progress: Progress) -> list[Demonstration]:
    context = context_by_name(config.rollout.context, config.rollout)
    episodes = config.warmup.episodes or 200  # without a warm-up the tokenizer still needs the environment's words
    seed = config.run.seed
    return demonstrate(
        env,
        context,
        episodes=episodes,
        seed=seed,
        max_turns=config.rollout.max_turns,
        progress=progress,
        step_s=config.rollout.step_deadline,
        required=bool(config.warmup.episodes),
    )


def _keep(policy: Policy, folder: Path) -> None:
    """Save into the cache; a cache that cannot be written is done without."""
    unfinished = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        policy.model.save_pretrained(unfinished)
        policy.tokenizer.save_pretrained(unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)


def _sources(name: str) -> list[Path]:
    """The files that an environment is written in: its package for one of the library's, else its module."""
    spec = registry.spec(name)
    file = Path(inspect.getfile(spec.load()))
    return sorted(file.parent.glob("*.py")) if spec.entry_point.startswith("agentrl.envs.") else [file]


def _fingerprint(config: Config, env: TextEnv) -> str:
    """Hash of all that a warmed-up policy depends on: settings, versions, the code of environment and warm-up."""
    import agentrl.renderers.chatml
    import agentrl.tiny
    from agentrl.rollout import context, memory, sight, summary

    modules = (agentrl.tiny, agentrl.renderers.chatml, context, memory, sight, summary)
    code = [inspect.getfile(type(env)), __file__, *(str(module.__file__) for module in modules)]
    sources = [path for name in registry.members(config.env.name).values() for path in _sources(name)]
    parts = {
        "settings": config.model_dump(mode="json", include={"env", "model", "warmup"}),
        "rollout": config.rollout.model_dump(include={"context", "max_turns", *ContextSettings.model_fields}),
        "seed": config.run.seed,
        "torch": torch.__version__,
        "code": [hashlib.blake2b(p.read_bytes()).hexdigest() for p in [*map(Path, code), *sources]],
    }
    return hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
