"""From the settings to players: one for each part of the suite, and whatever must be closed after them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from agentrl.engines.base import Engine
from agentrl.engines.messages import MessageBook, MessageEngine
from agentrl.engines.openai import ChatClient
from agentrl.evaluation.players import Player, RolloutPlayer, TextPlayer
from agentrl.evaluation.policies import text_policy
from agentrl.evaluation.record import Usage
from agentrl.evaluation.recording import Recorded
from agentrl.evaluation.settings import EvalConfig
from agentrl.evaluation.suites import Part, Suite
from agentrl.renderers.base import Renderer
from agentrl.rollout.contexts import ContextSettings, context_by_name
from agentrl.rollout.loop import Rollout
from agentrl.rollout.worker import WorkerPool
from agentrl.trajectory import Group, Trajectory

if TYPE_CHECKING:
    import torch

    from agentrl.models import Policy


def is_endpoint(name: str) -> bool:
    """Whether a policy's name is the URL of an endpoint."""
    return name.startswith(("http://", "https://"))


class Lineup:
    """The players of a suite, by part; an asynchronous context manager around the play.

    Raises:
        ConfigError: there is no such policy, model or endpoint.
    """

    def __init__(self, config: EvalConfig, suite: Suite) -> None:
        self.config, self.suite = config, suite
        self.players: dict[str, Player] = {}
        self.client: ChatClient | None = None
        """The endpoint, where one plays."""
        self._pools = {p.name: WorkerPool(partial(p.env_settings().make, split=p.split)) for p in suite.parts}
        self._closing: list[Callable[[], Awaitable[None]]] = []
        text = text_policy(config.model.name)
        if text is not None:
            for part in suite.parts:
                self.players[part.name] = TextPlayer(text, self._pools[part.name], config.limits(part))
        elif is_endpoint(config.model.name):
            self._endpoint()
        else:
            self._models()

    async def __aenter__(self) -> dict[str, Player]:
        if self.client:
            await self.client.start()
        return self.players

    async def __aexit__(self, *_: object) -> None:
        for close in self._closing:
            await close()
        for pool in self._pools.values():
            pool.close()

    def _endpoint(self) -> None:
        config = self.config
        client = self.client = ChatClient(config.model.name, config.endpoint, connections=config.trial.concurrency)
        self._closing.append(client.close)
        book = MessageBook(native_tools=config.endpoint.tools == "native")
        engine = MessageEngine(client, book, max_context=config.model.max_context)
        for part in self.suite.parts:
            rollout = self._rollout(part, engine, book)
            self.players[part.name] = RolloutPlayer(rollout, partial(_usage, book), fatal=lambda: client.fatal)

    def _models(self) -> None:
        """One model for all parts; the embedded policy is made for each."""
        from agentrl.engines.making import make_engine
        from agentrl.models import load_policy, pick_device, pick_dtype, quiet_libraries

        quiet_libraries()
        m = self.config.model
        device = pick_device(m.device)
        dtype = pick_dtype(m.dtype, device)
        made: tuple[Engine, Renderer] | None = None
        for part in self.suite.parts:
            if made is None or m.name == "tiny":
                if m.name == "tiny":
                    policy = _embedded(self.config, part, device)
                else:
                    policy = load_policy(m.name, device=device, max_context=m.max_context)
                how = self.config.engine
                how = how.model_copy(update={"slots": min(how.slots, self.config.trial.concurrency)})
                room, tokenizer = policy.max_context, policy.tokenizer
                engine = make_engine(how, policy.model, max_context=room, tokenizer=tokenizer, dtype=dtype)
                self._closing.append(engine.close)
                if how.name != "torch":  # it does not share the model's weights
                    engine.load(policy.model, 0)
                made = engine, policy.renderer
            self.players[part.name] = RolloutPlayer(self._rollout(part, *made))

    def _rollout(self, part: Part, engine: Engine, renderer: Renderer) -> Rollout:
        t, limits = self.config.trial, self.config.limits(part)
        context = Recorded(context_by_name(t.context, t))
        return Rollout(engine, renderer, context, self._pools[part.name], part.env, limits, t.temperature, t.top_p)


def _usage(book: MessageBook, group: Group, trajectory: Trajectory) -> Usage:
    """What the endpoint counted."""
    read, said, cost = 0, 0, 0.0
    for turn in trajectory.turns:
        first = group.tree.between(turn.context, turn.sampled)[0]
        reply = book.entries[group.tree.nodes[first].ids[0]].reply
        assert reply is not None, "what was sampled came from the endpoint"
        read, said, cost = read + reply.read, said + reply.said, cost + reply.cost
    return Usage(said, read, cost)


def _embedded(config: EvalConfig, part: Part, device: torch.device) -> Policy:
    """The embedded policy, warmed up on a part's environment and not yet reinforced."""
    from agentrl.config import Config, ModelSettings, RolloutSettings, RunSettings
    from agentrl.training.display import Display
    from agentrl.training.warmup import embedded_policy

    t, display, env = config.trial, Display(), part.env_settings()
    reading = {key: getattr(t, key) for key in ("context", *ContextSettings.model_fields)}
    model, run = ModelSettings(device=config.model.device), RunSettings(seed=t.seed)
    made = Config(env=env, model=model, rollout=RolloutSettings.model_validate(reading), run=run)
    policy, _ = embedded_policy(made.resolved(), env.make(split="train"), device, display.progress)
    display.finish()
    return policy
