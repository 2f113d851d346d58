"""The critic: a second model that says what return is to be expected before each sampled token.

It is a copy of the policy's backbone with one number per token for a head, and reads the packs that the policy
reads: the value of a token is taken where the token is predicted, so it knows what came before and not the token.

    loss = 1/2 max((V - R)^2, (clip(V, V_old - c, V_old + c) - R)^2)        mean over the mini-batch's tokens

V_old is what it said before the update, R what it should have said (`Algorithm.value_targets`). The head starts at
0, so that the first values are 0 and draw nothing from any random state. It has an optimizer of its own and takes
a step for every one of the policy's. With a warm-up, the policy does not move in the first steps of a run.

Legend: K trained tokens of a pack, B rows, T tokens of a row, D hidden size.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from agentrl.algorithms.base import CriticSettings
from agentrl.config import TrainSettings
from agentrl.pack import Pack
from agentrl.scoring import backbone, hidden_states, output_head
from agentrl.training.optimizer import adamw, clip_and_step
from agentrl.training.rows import RowData
from agentrl.training.world import World, load_weights, split_state, whole_state

LR_RATIO, LR_MOST = 10.0, 1e-3
"""The critic's learning rate unless it is given: over the policy's (published: 1e-5 beside 1e-6), and at most."""


class ValueModel(nn.Module):
    """A policy's backbone, copied, with a value head. Adapters come along, and then they alone are trained."""

    base_model_prefix = "body"
    """Where `agentrl.scoring.backbone` finds it."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        head: Any = output_head(policy)
        self.body = copy.deepcopy(backbone(policy))
        self.weight_D = nn.Parameter(torch.zeros(head.in_features, device=head.weight.device))
        self.bias = nn.Parameter(torch.zeros(1, device=head.weight.device))

    def forward(self, packed: Pack) -> Tensor:
        """Values [K] of the pack's trained tokens, in float32."""
        hidden_KD = hidden_states(self, packed).flatten(0, 1)[packed.source_K]
        return (hidden_KD.float() * self.weight_D).sum(-1) + self.bias


def value_loss(
    value_BT: Tensor, old_BT: Tensor, target_BT: Tensor, mask_BT: Tensor, *, clip: float | None, tokens: float
) -> Tensor:
    """The loss of one micro-batch; ``tokens`` counts those of the whole mini-batch, so that micro-batches add up.

    Where the mask is False the tensors may hold anything.
    """
    value_BT, old_BT, target_BT = (torch.where(mask_BT, x_BT, 0.0) for x_BT in (value_BT, old_BT, target_BT))
    error_BT = (value_BT - target_BT) ** 2
    if clip is not None:
        near_BT = old_BT + (value_BT - old_BT).clamp(-clip, clip)
        error_BT = torch.maximum(error_BT, (near_BT - target_BT) ** 2)
    return 0.5 * error_BT.sum() / tokens


class Critic:
    """Owns the value model's weights."""

    def __init__(self, policy: Any, settings: CriticSettings, train: TrainSettings, world: World) -> None:
        self.settings, self.grad_clip = settings, train.grad_clip
        self.world = world
        self.model = ValueModel(policy)
        self.caller = world.wrap(self.model, frozenset(getattr(self.model.body, "_no_split_modules", None) or ()))
        """What to call where ``model`` would be called."""
        assert train.lr is not None, "resolve the configuration first"
        lr = min(LR_RATIO * train.lr, LR_MOST) if settings.lr is None else settings.lr
        self.optimizer: torch.optim.Optimizer = adamw(self.model, lr=lr, weight_decay=train.weight_decay)
        self.steps = 0
        """Batches of rollouts that it was trained on."""

    @property
    def warming(self) -> bool:
        """Whether it is still trained alone."""
        return self.steps < self.settings.warmup

    def begin(self) -> None:
        """Before the micro-batches of a step of the optimizer."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)

    def backward(
        self, value_BT: Tensor, old_BT: Tensor, target_BT: Tensor, mask_BT: Tensor, tokens: float
    ) -> dict[str, Tensor]:
        """Add the gradient of one micro-batch; returns statistics as sums (`agentrl.algorithms.merge`)."""
        loss = value_loss(value_BT, old_BT, target_BT, mask_BT, clip=self.settings.clip, tokens=tokens)
        self.world.backward(loss)
        return {"loss_value": loss.detach(), "value": torch.where(mask_BT, value_BT.detach(), 0.0).sum()}

    def step(self) -> float:
        """Apply the gradient if it is finite; returns its norm."""
        return clip_and_step(self.model, self.optimizer, self.grad_clip)

    def state_dict(self) -> dict[str, Any]:
        """What continues it. Weights that are not trained are the policy's own and not repeated."""
        weights = {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}
        state: dict[str, Any] = {"weights": weights, "optimizer": self.optimizer.state_dict(), "steps": self.steps}
        return dict(whole_state(state, keep=self.world.leads))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_weights(self.model, state["weights"])
        self.optimizer.load_state_dict(split_state(state["optimizer"], self.optimizer))
        self.steps = state["steps"]


def explained(rows: Sequence[RowData]) -> float:
    """Share of the targets' variance that the values of before the update explain: 1 is all, 0 what a constant does."""
    value, target = (
        torch.cat([column[data.mask_T] for data in rows if (column := getattr(data, name)) is not None]).double()
        for name in ("value_T", "target_T")
    )
    spread = float(target.var()) if len(target) > 1 else 0.0
    return 1 - float((target - value).var()) / spread if spread > 1e-12 else 0.0
