"""The learner: a model, an optimizer, and one clipped update per mini-batch of rows.

The model runs on unique tokens, the loss on rows: a micro-batch is packed (`agentrl.pack`), scored in
one forward (`agentrl.scoring`), its log-probabilities gathered into rows, and autograd adds up what
rows share. An algorithm's critic (`agentrl.training.critic`) is trained on the same packs. Denominators
are counted over the whole mini-batch before the first forward, so cutting it into micro-batches changes
nothing. A step whose gradient is not finite is skipped and counted.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from agentrl.algorithms import Loss, LossBatch, Steps, Totals, merge, policy_loss, summarize
from agentrl.algorithms.base import CriticSettings
from agentrl.algorithms.steps import Floats
from agentrl.config import TrainSettings
from agentrl.errors import ConfigError, TrainingError
from agentrl.pack import Pack, pack, plan
from agentrl.scoring import Scorer, Scores, check_head
from agentrl.training.critic import Critic, explained
from agentrl.training.optimizer import adamw, clip_and_step
from agentrl.training.rows import RowData, minibatches, totals_of, training_rows
from agentrl.training.world import World, load_weights, split_state, whole_state
from agentrl.trajectory import Group


class Learner:
    """Owns the weights."""

    def __init__(
        self,
        model: Any,
        settings: TrainSettings,
        *,
        dtype: torch.dtype,
        reference: bool = False,
        critic: CriticSettings | None = None,
        world: World | None = None,
    ) -> None:
        problem = check_head(model)
        if problem:
            raise ConfigError(f"This model cannot be trained here yet: {problem}.")
        self.model, self.settings, self.dtype = model, settings, dtype
        self.world = world or World()
        self.device = next(model.parameters()).device
        self.adapters = hasattr(model, "disable_adapter")
        if settings.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.reference = copy.deepcopy(model).requires_grad_(False) if reference and not self.adapters else None
        self.critic = Critic(model, critic, settings, self.world) if critic is not None else None
        kept = dtype if dtype != torch.float32 else None
        self.scorer = self.world.wrap(Scorer(model), blocks_of(model), kept)
        self._reference_scorer: Any = None
        if self.reference is not None:
            self._reference_scorer = self.world.wrap(Scorer(self.reference), blocks_of(model), kept)
        assert settings.lr is not None, "resolve the configuration first"
        self.optimizer: torch.optim.Optimizer = adamw(model, lr=settings.lr, weight_decay=settings.weight_decay)
        warmup = max(1, settings.lr_warmup)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda n: min(1.0, (n + 1) / warmup))
        self.updates = 0
        self.skipped = 0
        self._skipped_in_a_row = 0

    # -- one batch of rollouts -------------------------------------------------------------------------

    def annotate(
        self, groups: Sequence[Group], steps: Steps, needs: Collection[str], *, temperature: float, exact: bool
    ) -> Steps:
        """Add to the tokens what `Algorithm.credit` will read besides rewards.

        Args:
            groups: The batch that ``steps`` was made of.
            steps: Its rows.
            needs: `Algorithm.needs`; ``entropies``, ``ref_logprobs`` and ``values`` are supplied here.
            temperature: At which the batch was sampled.
            exact: Whether the engine's entropies are the learner's own up to rounding; else they are computed.
        """
        assert steps.token is not None, "Steps.of supplies the tokens"
        token = steps.token
        rows = training_rows(groups, steps, np.zeros(len(steps)))
        if "entropies" in needs and not (exact and token.entropy is not None):
            token = replace(token, entropy=self._column(groups, rows, temperature, "entropy_K"))
        if "ref_logprobs" in needs:
            with self._as_reference():
                token = replace(token, ref_logp=self._column(groups, rows, temperature, "logp_K"))
        if "values" in needs:
            if self.critic is None:
                raise ConfigError("The algorithm needs values, but its critic() describes no value model.")
            self.critic.model.eval()
            values = self._rowwise(groups, rows, self.critic.caller)
            token = replace(token, value=_in_order(rows, values))
        return replace(steps, token=token)

    def _column(self, groups: Sequence[Group], rows: list[RowData], temperature: float, name: str) -> Floats:
        scored = self._scored(groups, rows, temperature)
        return _in_order(rows, ((data, getattr(scores, name)) for data, scores in scored))

    def update(
        self, groups: Sequence[Group], rows: list[RowData], loss: Loss, *, temperature: float, exact: bool, seed: int
    ) -> dict[str, float]:
        """All optimizer steps of one batch.

        Args:
            groups: The batch; rows refer to it by index.
            rows: What to train, see `training_rows`.
            loss: The algorithm's.
            temperature: At which the batch was sampled.
            exact: Whether the engine's log-probabilities are the learner's own up to rounding.
            seed: Order of the mini-batches.

        Returns:
            Metrics: those of `agentrl.algorithms.losses` and of the critic, gradient norms, learning rate, tokens
            and seconds.

        Raises:
            TrainingError: too many updates in a row had a gradient that was not finite.
        """
        if not rows:
            return {"tokens": 0.0}
        started = time.perf_counter()
        s = self.settings
        parts = s.minibatches * s.epochs
        source = s.old_logprobs if s.old_logprobs != "auto" else ("engine" if exact else "learner")
        if source == "learner" and parts > 1 and self._policy_moves:
            for data, scores in self._scored(groups, rows, temperature):
                data.old_logp_T = scores.logp_K
        if loss.kl_coef and self._policy_moves and any(data.ref_logp_T is None for data in rows):
            with self._as_reference():
                for data, scores in self._scored(groups, rows, temperature):
                    data.ref_logp_T = scores.logp_K
        stats: list[dict[str, Tensor]] = []
        norms: list[dict[str, float]] = []
        forwarded = 0
        for epoch in range(s.epochs):
            for minibatch in minibatches(rows, s.minibatches, seed + epoch):
                made, norm, n = self._minibatch(groups, minibatch, loss, temperature, source)
                stats.append(made)
                norms.append(norm)
                forwarded += n
        out = self._metrics(stats, norms, rows) | {"tokens_forwarded": float(forwarded)}
        if self.critic is not None:
            self.critic.steps += 1
        return out | {"time/update": time.perf_counter() - started}

    @property
    def _policy_moves(self) -> bool:
        return self.critic is None or not self.critic.warming

    def _minibatch(
        self, groups: Sequence[Group], rows: list[RowData], loss: Loss, temperature: float, source: str
    ) -> tuple[dict[str, Tensor], dict[str, float], int]:
        """Statistics, gradient norms and tokens forwarded of one step of the optimizers."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        if self.critic is not None:
            self.critic.begin()
        totals = totals_of(rows)
        parts = []
        forwarded = 0
        packs = self._packs(groups, rows)
        for number, (members, packed, counts) in enumerate(packs):
            mask_BT = packed.mask_BT & self._padded([m.mask_T for m in members]) & counts
            made = {"tokens": mask_BT.sum().float()}
            last = number == len(packs) - 1
            if self._policy_moves:
                with self.world.adding_up(self.scorer, last):
                    made |= self._policy_backward(members, packed, mask_BT, loss, totals, temperature, source, counts)
            if self.critic is not None:
                with self.world.adding_up(self.critic.caller, last):
                    with self._autocast():
                        value_K = self.critic.caller(packed)
                    old_BT = self._padded([m.value_T for m in members])
                    target_BT = self._padded([m.target_T for m in members])
                    made |= self.critic.backward(value_K[packed.row_BT], old_BT, target_BT, mask_BT, totals.tokens)
            if counts:
                forwarded += packed.tokens
                parts.append({name: value.cpu() for name, value in made.items()} if self.world.size > 1 else made)
        all_parts = self.world.together(lambda: (parts, forwarded))
        merged = merge(part for parts, _ in all_parts for part in parts)
        return merged, self._step(), sum(forwarded for _, forwarded in all_parts)

    def _policy_backward(
        self,
        members: list[RowData],
        packed: Pack,
        mask_BT: Tensor,
        loss: Loss,
        totals: Totals,
        temperature: float,
        source: str,
        counts: bool,
    ) -> dict[str, Tensor]:
        with self._autocast():
            scores: Scores = self.scorer(packed, temperature=temperature, entropy_grad=loss.entropy_gradient)
        if not counts:
            self.world.backward(scores.logp_K.sum() * 0)
            return {}
        logp_BT = scores.logp_K[packed.row_BT]
        rollout_BT = self._padded([m.rollout_logp_T for m in members])
        old_BT = logp_BT.detach()
        if source == "engine":
            old_BT = rollout_BT
        elif members[0].old_logp_T is not None:
            old_BT = self._padded([m.old_logp_T for m in members])
        batch = LossBatch(
            logp_BT=logp_BT,
            old_logp_BT=old_BT,
            advantage_BT=self._padded([m.advantage_T for m in members]),
            mask_BT=mask_BT,
            trajectory_B=torch.tensor([m.trajectory for m in members]),
            rollout_logp_BT=rollout_BT,
            ref_logp_BT=self._padded([m.ref_logp_T for m in members]) if loss.kl_coef else None,
            entropy_BT=scores.entropy_K[packed.row_BT],
            step_BT=self._padded([m.step_T for m in members]),
        )
        value, made = policy_loss(loss, batch, totals)
        # How far the engine's numbers are from the learner's own, whichever of them the ratio starts from.
        made["engine_gap"] = ((logp_BT.detach() - rollout_BT) * batch.mask_BT).abs().sum()
        self.world.backward(value)
        return made

    def _step(self) -> dict[str, float]:
        """Clip and apply the gradients, each unless it is not finite; returns their norms."""
        norms = {}
        if self._policy_moves:
            norms["grad_norm"] = clip_and_step(self.model, self.optimizer, self.settings.grad_clip)
            if math.isfinite(norms["grad_norm"]):
                self.schedule.step()
        if self.critic is not None:
            norms["critic_grad_norm"] = self.critic.step()
        if all(math.isfinite(norm) for norm in norms.values()):
            self._skipped_in_a_row = 0
        else:
            self.skipped += 1
            self._skipped_in_a_row += 1
            if self._skipped_in_a_row > self.settings.max_skipped:
                raise TrainingError(
                    f"{self._skipped_in_a_row} updates in a row had a gradient that is not finite. Lower train.lr, "
                    f"or look at the last rollouts for extreme rewards or log-probabilities."
                )
        self.updates += 1
        return norms

    # -- forward passes -----------------------------------------------------------------------------------

    def _packs(self, groups: Sequence[Group], rows: list[RowData]) -> list[tuple[list[RowData], Pack, bool]]:
        """This process's micro-batches; False marks one that is run because the others wait for it (`World.even`)."""
        if not rows:
            return []
        by_row = {id(data.row): data for data in rows}
        config = self.model.config
        width = int(getattr(config, "hidden_size", 1024))
        budget = self.settings.microbatch_tokens
        longest = max(groups[data.row.group].tree.nodes[data.row.leaf].end for data in rows)
        while True:
            batches = plan(
                [data.row for data in rows],
                groups,
                budget=budget,
                layout=self.settings.layout,
                attention_cost=1.0 / (6 * width),  # per key 4*width operations, per token about 24*width**2 of a layer
            )
            if len(batches) >= self.world.size or budget <= longest:
                break
            budget //= 2  # so that every process has something to do
        return [
            ([by_row[id(row)] for row in members], pack(members, groups, tree=tree).to(self.device), counts)
            for (members, tree), counts in self.world.even(batches)
        ]

    def _scored(
        self, groups: Sequence[Group], rows: list[RowData], temperature: float
    ) -> Iterator[tuple[RowData, Scores]]:
        """Log-probabilities and entropies [T] of each row under the current weights."""
        self.model.eval()
        found = self._rowwise(groups, rows, lambda p: torch.stack(self.scorer(p, temperature=temperature), -1))
        return ((data, Scores(*found_TC.unbind(-1))) for data, found_TC in found)

    @torch.no_grad()
    def _rowwise(
        self, groups: Sequence[Group], rows: list[RowData], compute: Callable[[Pack], Tensor]
    ) -> Iterator[tuple[RowData, Tensor]]:
        """What ``compute`` gives for the trained tokens of packs, [K] or [K, C], as [T] or [T, C] of each row."""
        number = {id(data): i for i, data in enumerate(rows)}
        found: list[tuple[int, Tensor]] = []
        for members, packed, counts in self._packs(groups, rows):
            with self._autocast():
                found_K = compute(packed)
            if counts:
                found += [
                    (number[id(data)], found_K[packed.row_BT[b, : len(data.advantage_T)]].cpu())
                    for b, data in enumerate(members)
                ]
        for part in self.world.together(lambda: found):
            for i, found_T in part:
                yield rows[i], found_T

    @contextlib.contextmanager
    def _as_reference(self) -> Iterator[None]:
        """Inside, what is scored with is the model that the run started from."""
        if self.adapters:
            with self.model.disable_adapter():
                yield
            return
        trained, self.scorer = self.scorer, self._reference_scorer
        try:
            yield
        finally:
            self.scorer = trained

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def _padded(self, rows_T: Sequence[Tensor | None]) -> Tensor:
        return pad_sequence([t for t in rows_T if t is not None], batch_first=True).to(self.device)

    # -- bookkeeping -----------------------------------------------------------------------------------------

    def _metrics(
        self, stats: list[dict[str, Tensor]], norms: list[dict[str, float]], rows: list[RowData]
    ) -> dict[str, float]:
        first = stats[0]
        out = summarize(merge(stats))
        for name in [n for n in out if n.startswith("loss")]:
            out[name] /= len(stats)
        if "engine_gap" in first:
            out["engine_gap"] = float(first["engine_gap"]) / max(float(first["tokens"]), 1.0)
        if self.critic is not None:
            out["value_explained"] = explained(rows)
        out |= {name: sum(norm[name] for norm in norms) / len(norms) for name in norms[0]}
        return out | {
            "tokens": float(sum(int(data.mask_T.sum()) for data in rows)),
            "lr": float(self.schedule.get_last_lr()[0]),
            "skipped_updates": float(self.skipped),
        }

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs besides the weights. Every process must ask; the leading one gets it whole, so that
        any number of processes can load it."""
        keep = self.world.leads
        return {
            "optimizer": whole_state(self.optimizer.state_dict(), keep=keep),
            "schedule": self.schedule.state_dict(),
            "updates": self.updates,
            "skipped": self.skipped,
            "reference": whole_state(dict(self.reference.state_dict()), keep=keep)
            if self.reference is not None
            else None,
            "critic": self.critic.state_dict() if self.critic is not None else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.optimizer.load_state_dict(split_state(state["optimizer"], self.optimizer))
        self.schedule.load_state_dict(state["schedule"])
        self.updates, self.skipped = state["updates"], state["skipped"]
        if self.reference is not None and state["reference"] is not None:
            load_weights(self.reference, state["reference"])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])


def blocks_of(model: Any) -> frozenset[str]:
    """Names of the classes of a model's layers."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return frozenset(getattr(inner, "_no_split_modules", None) or ())


def _in_order(rows: list[RowData], found: Iterable[tuple[RowData, Tensor]]) -> Floats:
    """[K] the tokens of all rows, in the order of ``rows``, from [T] of each."""
    by_id = {id(data): found_T for data, found_T in found}
    return torch.cat([by_id[id(data)] for data in rows]).double().numpy() if rows else np.zeros(0)
