"""The learner's weights as others read them: Hugging Face names and whole tensors, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "base_model.model.")
"""What DDP, compilation, FSDP and peft put before names."""


@dataclass(frozen=True)
class Piece:
    """What is known of a tensor without having it: the fields of vLLM's ``ParamMeta``."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]


class WeightSource:
    """All weights of a causal LM, in a fixed order; iterating anew gives them as they are then.

    Parts on several devices (DTensors) are gathered, which all processes must do together. An output head that is
    tied to the embedding is given under its own name too, for engines that keep it apart. Of a model with adapters
    it is the base.

    Args:
        model: The learner's.
        dtype: Precision of the floating-point tensors given; None: as they are.
    """

    def __init__(self, model: Any, dtype: torch.dtype | None = None) -> None:
        self.model, self.dtype = model, dtype

    def metadata(self) -> list[Piece]:
        """What iterating will give."""
        return [Piece(name, self._dtype(tensor), tuple(tensor.shape)) for name, tensor in self._named()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in self._named():
            gather = getattr(tensor, "full_tensor", None)
            whole = gather() if callable(gather) else tensor
            yield name, whole.detach().to(self._dtype(tensor))

    def gather(self) -> None:
        """Take part in putting tensors together that lie in parts in several processes; whole ones are left alone."""
        for _, tensor in self._named():
            whole = getattr(tensor, "full_tensor", None)
            if callable(whole):
                whole()

    def held_names(self) -> None:
        """Every process has a share of all (vLLM's protocol)."""

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for name, tensor in self.model.state_dict().items():
            if "lora_" not in name and "modules_to_save." not in name:
                yield plain_name(name), tensor

    def _dtype(self, tensor: Tensor) -> torch.dtype:
        return self.dtype if self.dtype is not None and tensor.is_floating_point() else tensor.dtype


def plain_name(name: str) -> str:
    """A parameter's name without what wrappers added.

    >>> plain_name("module.base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight")
    'model.layers.0.self_attn.q_proj.weight'
    """
    before = ""
    while before != name:
        before = name
        for wrapper in WRAPPERS:
            name = name.removeprefix(wrapper)
    return name.replace("_orig_mod.", "").replace("_fsdp_wrapped_module.", "").replace(".base_layer.", ".")


def has_adapters(model: Any) -> bool:
    """Whether only adapters are trained (peft)."""
    return hasattr(model, "disable_adapter")


def save_adapters(model: Any, folder: Path) -> None:
    """Write a peft model's adapters as vLLM reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(folder))
