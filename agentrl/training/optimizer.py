"""AdamW as policy and critic use it, and a step that leaves the weights alone where the gradient is not finite."""

from __future__ import annotations

import math

import torch
from torch import nn

from agentrl.training.world import whole


def adamw(model: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Over the trained parameters; weight decay on matrices only."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99), eps=1e-8)


def clip_and_step(model: nn.Module, optimizer: torch.optim.Optimizer, grad_clip: float) -> float:
    """Clip and apply the gradient; where it is not finite neither weights nor moments see it. Returns its norm."""
    norm = float(whole(nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], grad_clip)))
    if math.isfinite(norm):
        optimizer.step()
    return norm
