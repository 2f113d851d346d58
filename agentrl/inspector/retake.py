"""A step taken again: the trainer as it stood before it, and what its loss saw of every token.

The learner, its optimizer and what the algorithm remembered come from the checkpoint of the step before; the update
is the trainer's own (`Trainer.learn`) on the dumped rollouts. The run directory is not touched, no environment is
made, and no inference server is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from agentrl.algorithms.losses import Loss, LossBatch, policy_loss
from agentrl.config import Config
from agentrl.errors import RunError
from agentrl.inspector.past import Past
from agentrl.models import load_policy, pick_device, quiet_libraries
from agentrl.run import SilentRun
from agentrl.training.display import Display
from agentrl.training.trainer import Trainer
from agentrl.training.world import World


@dataclass
class Seen:
    """What the loss saw of the tokens that were sampled in one turn; lists run parallel."""

    logp: list[float] = field(default_factory=list)
    """Log-probability (nats) under the weights as they were then."""
    old: list[float] = field(default_factory=list)
    """That of before the update, which the ratio starts from."""
    ratio: list[float] = field(default_factory=list)
    clipped: list[bool] = field(default_factory=list)
    """The ratio is outside of what the clip lets through, on the side that the advantage pushes to."""
    advantage: list[float] = field(default_factory=list)
    live: list[bool] = field(default_factory=list)
    """Whether it was trained."""


SeenTurns = dict[tuple[int, int], Seen]
"""By (trajectory, unique over the batch as in `Steps.traj`; turn)."""


def before(past: Past, step: int, *, device: str | None = None) -> Trainer:
    """The trainer as it stood before a step.

    Raises:
        RunError: the checkpoint of the step before was not kept, or cannot be read.
    """
    folder = past.checkpoints.get(step - 1)
    if folder is None:
        kept = ", ".join(map(str, past.checkpoints)) or "none"
        raise RunError(
            f"Taking step {step} again needs the checkpoint of step {step - 1}; '{past.path}' has those of steps "
            f"{kept}. A run keeps more with --run.save-every 1 --run.keep N."
        )
    quiet_libraries()
    config = _alone(past.config, device)
    policy = load_policy(str(folder), device=pick_device(config.model.device), max_context=config.model.max_context)
    trainer = Trainer(config, SilentRun(past.path), policy, Display(silent=True), World(), step=step - 1)
    trainer.exact = trainer.exact and past.config.engine.name == "torch"
    try:
        state = torch.load(folder / "trainer.pt", map_location=policy.model.device, weights_only=True)
        trainer.learner.load_state_dict(state["learner"])
        trainer.history = state["history"]
    except Exception as error:  # torch has many words for a broken file
        trainer.close()
        raise RunError(f"The checkpoint '{folder}' cannot be read: {error}") from error
    return trainer


def _alone(config: Config, device: str | None) -> Config:
    """The same settings in one process that samples nothing."""
    engine = config.engine.model_copy(update={"name": "torch"})
    model = config.model if device is None else config.model.model_copy(update={"device": device})
    return config.model_copy(update={"engine": engine, "model": model})


def seen_by_the_loss(
    update: Callable[[], dict[str, float]], sizes: Mapping[tuple[int, int], int]
) -> tuple[dict[str, float], SeenTurns]:
    """Run an update and keep what `policy_loss` saw; of several passes over a token the last one counts.

    Args:
        update: What to run, in this thread.
        sizes: Sampled tokens by (trajectory, turn).
    """
    found: SeenTurns = {}
    given: list[LossBatch] = []

    def hook(frame: FrameType, event: str, value: Any) -> None:
        if frame.f_code is not _LOSS:
            return
        if event == "call":
            given.append(frame.f_locals["batch"])  # before its masked tokens are emptied
        elif event == "return" and value is not None:
            keep(found, sizes, frame.f_locals["loss"], given.pop(), frame.f_locals["ratio_BT"])

    earlier = sys.getprofile()
    sys.setprofile(hook)
    try:
        values = update()
    finally:
        sys.setprofile(earlier)
    return values, found


_LOSS = policy_loss.__code__


@torch.no_grad()
def keep(
    found: SeenTurns,
    sizes: Mapping[tuple[int, int], int],
    loss: Loss,
    batch: LossBatch,
    ratio_BT: torch.Tensor,
) -> None:
    """Sort what the loss saw of a micro-batch by trajectory and turn."""
    assert batch.step_BT is not None, "the learner gives it"
    high_BT = (batch.advantage_BT > 0) & (ratio_BT > 1 + loss.clip_high)
    low_BT = (batch.advantage_BT < 0) & (ratio_BT < 1 - loss.clip_low)
    if loss.dual_clip is not None:
        low_BT |= (batch.advantage_BT < 0) & (ratio_BT > loss.dual_clip)
    columns = {
        "logp": batch.logp_BT,
        "old": batch.old_logp_BT,
        "ratio": ratio_BT,
        "clipped": high_BT | low_BT,
        "advantage": batch.advantage_BT,
        "live": batch.mask_BT.bool(),
    }
    listed = {name: column.detach().cpu().tolist() for name, column in columns.items()}
    for b, (trajectory, turns) in enumerate(zip(batch.trajectory_B.tolist(), batch.step_BT.tolist(), strict=True)):
        for turn, first, last in _turns(trajectory, turns, sizes):
            found[trajectory, turn] = Seen(**{name: column[b][first:last] for name, column in listed.items()})


def _turns(
    trajectory: int, turns: Sequence[float], sizes: Mapping[tuple[int, int], int]
) -> Iterator[tuple[int, int, int]]:
    """(turn, first token, one after its last) of a row. Turns ascend; the zeros that a row is padded with do not."""
    at, turn = 0, -1
    while at < len(turns) and int(turns[at]) > turn:
        turn = int(turns[at])
        yield turn, at, at + sizes[trajectory, turn]
        at += sizes[trajectory, turn]


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint's model or adapters."""
    from safetensors.torch import load_file

    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}
