"""How a run comes to be: a new one with its directory and policy, or one that is continued.

With several processes (`agentrl.training.world`) the leading one makes the directory and warms the policy up; the
others get what it made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from agentrl.config import Config
from agentrl.engines.making import check_installed
from agentrl.env import TextEnv
from agentrl.errors import AgentRLError, RunError
from agentrl.models import Policy, add_lora, load_policy, pack_policy, pick_device, unpack_policy
from agentrl.run import Run, SilentRun
from agentrl.seeds import derive_seed
from agentrl.settings import to_toml
from agentrl.training.display import Display
from agentrl.training.trainer import Trainer
from agentrl.training.warmup import embedded_policy, warm_up
from agentrl.training.world import World


def start(config: Config, display: Display, world: World | None = None) -> Trainer:
    """A new run: directory, policy, warm-up."""
    world = world or World()
    check_installed(config.engine)
    env = config.env.make(split="train")  # a wrong environment is told before a directory is made
    device = world.device(pick_device(config.model.device))
    path = config.run.dir
    assert path is not None, "the command names the directory"
    policy = None if config.embedded else _pretrained(config, device)

    def create() -> Run:
        return Run.create(path, to_toml(config), tensorboard=config.run.tensorboard)

    run = world.led(create) or SilentRun(path)
    try:
        policy = _warmed(config, env, device, display, world, policy)
        env.close()
        trainer = Trainer(config, run, policy, display, world)
    except AgentRLError:
        run.discard()
        raise
    run.begin()
    return trainer


def resume(path: Path, config: Config, display: Display, world: World | None = None) -> Trainer:
    """Continue a run from its newest checkpoint; from the start if it was killed before the first one."""
    world = world or World()
    check_installed(config.engine)
    opened = world.led(lambda: Run.reopen(path, tensorboard=config.run.tensorboard))
    checkpoint, step = world.first(lambda: opened[1:] if opened else (None, 0))
    run = opened[0] if opened else SilentRun(path)
    run.configure(to_toml(config))
    device = world.device(pick_device(config.model.device))
    if checkpoint is None:
        env = config.env.make(split="train")
        policy = None if config.embedded else _pretrained(config, device)
        policy = _warmed(config, env, device, display, world, policy)
        env.close()
        run.begin()
        return Trainer(config, run, policy, display, world)
    policy = load_policy(str(checkpoint), device=device, max_context=config.model.max_context)
    trainer = Trainer(config, run, policy, display, world, step=step)
    try:
        state: dict[str, Any] = torch.load(checkpoint / "trainer.pt", map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # torch has many words for a broken file
        raise RunError(
            f"The checkpoint '{checkpoint}' cannot be read: {error} Remove this folder to continue from the one before."
        ) from error
    trainer.learner.load_state_dict(state["learner"])
    trainer.history = state["history"]
    trainer.publish(step)
    display.say(f"continuing {path} after step {step}")
    return trainer


def _warmed(
    config: Config, env: TextEnv, device: torch.device, display: Display, world: World, policy: Policy | None
) -> Policy:
    """The policy that a run starts from: the embedded one (where none is given), or a pretrained one, warmed up."""

    def prepare() -> Policy:
        if policy is not None:
            warm_up(policy, config, env, display.progress)
            return policy
        made, cached = embedded_policy(config, env, device, display.progress)
        display.finish()
        size = sum(p.numel() for p in made.model.parameters())
        display.say(
            f"embedded policy: {size:,} parameters, {len(made.tokenizer)} tokens"
            + (" (warmed up earlier, from the cache)" if cached else "")
        )
        return made

    made = world.led(prepare)
    display.finish()
    if policy is None and world.size > 1:
        files = world.first(lambda: pack_policy(made) if made else {})
        made = made or unpack_policy(files, device=device, max_context=config.model.max_context)
    made = made or policy
    assert made is not None, "every process has one by now"
    world.broadcast(made.model)
    return made


def _pretrained(config: Config, device: torch.device) -> Policy:
    policy = load_policy(config.model.name, device=device, max_context=config.model.max_context)
    if config.model.lora_rank:
        policy.model = add_lora(policy.model, config.model.lora_rank, seed=derive_seed(config.run.seed, "lora"))
    return policy
