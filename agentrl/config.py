"""The configuration of a training run: one typed tree, from TOML and dotted flags (`agentrl.settings`).

A value of ``None`` that is described as "by the model" is filled by `resolved`: the embedded policy
starts from random weights and learns in minutes, a pretrained model wants steps a hundred times
smaller. The run directory keeps the resolved configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field

from agentrl.algorithms import GRPO, AlgorithmConfig, find
from agentrl.engines.settings import EngineSettings
from agentrl.envsettings import EnvSettings
from agentrl.errors import ConfigError
from agentrl.rollout.contexts import ContextSettings
from agentrl.settings import Choose, Section

T = TypeVar("T")

ENGINE_GIVES = {
    "torch": frozenset({"rollout_logprobs", "entropies", "forks"}),
    "vllm": frozenset({"rollout_logprobs", "entropies", "forks"}),
}
"""Which of `Algorithm.needs` an engine must supply, and which engine does (forks go by its entropies)."""
CONTEXT_GIVES = {
    "transcript": frozenset[str](),
    "window": frozenset[str](),
    "memory": frozenset({"memory"}),
    "compact": frozenset({"memory"}),
    "report": frozenset[str](),
}
"""The same for contexts."""


class ModelSettings(Section):
    """The policy."""

    bare: ClassVar[str] = "name"

    name: str = "tiny"
    """'tiny' (made and warmed up on the spot), a folder, or a model id of the Hugging Face hub."""
    hidden: int = Field(128, ge=1)
    """Width of the embedded policy."""
    layers: int = Field(2, ge=1)
    """Depth of the embedded policy."""
    vocab_size: int = 8192
    """Most tokens of the embedded policy's tokenizer."""
    max_context: int | None = Field(None, ge=1)
    """Most tokens read and written in one sequence; none: the model's own limit (the embedded policy is
    made to fit its demonstrations)."""
    device: str = "auto"
    """'auto', 'cpu', 'cuda', 'cuda:1'."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass; auto: bfloat16 on a GPU, float32 on a CPU. Weights stay float32."""
    lora_rank: int = Field(0, ge=0)
    """Train adapters of this rank instead of all weights (needs the extra 'lora'); 0 is off."""


class RolloutSettings(ContextSettings):
    """How episodes are played."""

    groups: int = Field(16, ge=1)
    """Tasks per step; each is tried algo.group_size times."""
    tasks: int | None = Field(None, ge=1)
    """Number of different training tasks, which then come again and again; none: no limit."""
    context: Literal["auto", "transcript", "window", "memory", "compact", "report"] = "auto"
    """What the policy reads: all turns, one prompt per turn, what it does not prune itself (memory), what it
    summarises when the context is nearly full (compact), or its last report (report); auto: the algorithm's published
    choice for a pretrained model, transcript for the embedded one unless the algorithm needs memory."""
    curriculum: Literal["weights", "success"] = "weights"
    """Which environment of a mixture a task comes from: by the weights, or more of those that are won now and then."""
    temperature: float = Field(1.0, gt=0)
    """Of sampling in training; above 0, since greedy episodes of a group are all the same."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling; below 1 the engine's distribution is no longer the one that is trained."""
    top_k: int = Field(0, ge=0)
    """Sample among the k likeliest tokens; 0 is off."""
    max_turns: int | None = Field(None, ge=1)
    """Turns per episode; none: the environment's own limit."""
    max_new_tokens: int | None = Field(None, ge=1)
    """Sampled tokens per turn; none: by the model (48 embedded, 128 where it writes down what it remembers; 512
    others)."""
    token_budget: int | None = Field(None, ge=1)
    """Sampled tokens per episode."""
    max_tool_calls: int | None = Field(None, ge=0)
    """Tool calls after which the next one ends an episode (published for ARPO: 3, for deep search 6)."""
    max_invalid: int | None = Field(None, ge=1)
    """Invalid actions after which an episode is ended."""
    concurrency: int = Field(256, ge=1)
    """Episodes in flight."""
    ahead: int = Field(0, ge=0)
    """Steps whose episodes are played while the learner works on those of before; 0 is off. The run then no longer
    repeats to the bit."""
    straggler_share: float = Field(1.0, gt=0, le=1)
    """Share of a step's groups that the learner waits for; the others play on and belong to the next step."""
    max_staleness: int | None = Field(None, ge=0)
    """Updates between the weights that a group began with and those that train on it, beyond which it is dropped;
    none: what ahead makes inevitable, and one more where stragglers are waited for no longer."""
    episode_deadline: float = Field(1800.0, gt=0)
    """Seconds an episode may take."""
    step_deadline: float = Field(120.0, gt=0)
    """Seconds the environment may take for one step or reset."""

    @property
    def overlaps(self) -> bool:
        """Whether episodes are played while the learner works."""
        return self.ahead > 0 or self.straggler_share < 1


class TrainSettings(Section):
    """The optimizer."""

    steps: int = Field(100, ge=0)
    """Rollout-and-update steps."""
    lr: float | None = Field(None, ge=0)
    """Learning rate; none: by the model (4e-4 embedded, 1e-6 others, 1e-5 with LoRA)."""
    lr_warmup: int = Field(10, ge=0)
    """Optimizer steps over which the learning rate rises."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's."""
    grad_clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    minibatches: int = Field(2, ge=1)
    """Optimizer steps per batch of rollouts and epoch."""
    epochs: int = Field(1, ge=1)
    """Passes over a batch of rollouts."""
    microbatch_tokens: int = Field(16384, ge=1)
    """Tokens per forward pass, padding included. Changes memory, never the result."""
    layout: Literal["auto", "tree", "flat"] = "auto"
    """Whether shared prefixes go through the model once; auto: where that is cheaper."""
    old_logprobs: Literal["auto", "engine", "learner"] = "auto"
    """Whose log-probabilities the ratio starts from; auto: the engine's where it computes in float32."""
    gradient_checkpointing: bool = False
    """Trade time for memory."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: a copy of the weights in each, or a part of them (FSDP2), for models that need it."""
    peer_deadline: float = Field(7200.0, gt=0)
    """Seconds after which a process that the others wait for is given up."""
    max_skipped: int = Field(5, ge=0)
    """Updates in a row that may be skipped for a gradient that is not finite."""


class WarmupSettings(Section):
    """Supervised warm-up on the environment's expert, before reinforcement."""

    episodes: int | None = Field(None, ge=0)
    """Demonstrations; none: by the model (what the environment says it needs, 2000 by default, embedded; 0 others)."""
    epochs: int | None = Field(None, ge=0)
    """Passes over them; none: what the environment says, 2 by default, and 5 for an embedded policy with over 4000
    tokens, which learns to copy later."""
    lr: float | None = Field(None, ge=0)
    """Peak learning rate; none: by the model (3e-3 embedded, 1e-5 others)."""
    batch_tokens: int = Field(2048, ge=1)
    """Tokens per optimizer step."""
    observation_weight: float | None = Field(None, ge=0)
    """Loss weight of tokens that the environment wrote; none: what the environment says for the embedded policy, which
    learns to read by it (0.3 by default), and 0.3 for others."""
    cache: bool = True
    """Keep warmed-up models under ~/.cache/agentrl, by the hash of all they depend on."""


class EvalSettings(Section):
    """Evaluation on held-out tasks while training."""

    every: int = Field(25, ge=0)
    """Steps between evaluations; the first is before the first update, the last after the last; 0 is never."""
    episodes: int = Field(150, ge=0)
    """Held-out tasks."""


class RunSettings(Section):
    """The run directory."""

    bare: ClassVar[str] = "dir"

    dir: Path | None = None
    """Where everything is kept; none: runs/<environment>-<algorithm>-<time>."""
    seed: int = 0
    """All random choices follow from it."""
    save_every: int = Field(10, ge=1)
    """Steps between checkpoints."""
    keep: int = Field(2, ge=0)
    """Checkpoints kept, besides the first (the policy before any update) and the last."""
    rollouts: bool = True
    """Dump every rollout (tokens, log-probabilities, rewards) for inspection and replay."""
    tensorboard: bool = True
    """Write TensorBoard files."""


class Config(Section):
    """A training run."""

    env: EnvSettings = EnvSettings()
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    algo: Annotated[AlgorithmConfig, Choose(find)] = GRPO()
    rollout: RolloutSettings = RolloutSettings()
    train: TrainSettings = TrainSettings()
    warmup: WarmupSettings = WarmupSettings()
    eval: EvalSettings = EvalSettings()
    run: RunSettings = RunSettings()

    @property
    def embedded(self) -> bool:
        """Whether the policy is the embedded one."""
        return self.model.name == "tiny"

    def resolved(self) -> Config:
        """Fill in what depends on the model, and refuse what makes no sense.

        Raises:
            ConfigError: settings that contradict each other.
        """
        tiny = self.embedded
        lora = self.model.lora_rank > 0
        needs = self.algo.needs
        if self.rollout.curriculum == "success" and not self.env.shares:
            raise ConfigError(
                "rollout.curriculum=success chooses among several environments; name them: --env webshop,household, or "
                "--env easy=webshop,hard=webshop --env.hard.level 3"
            )
        if tiny and lora:
            raise ConfigError("model.lora_rank: the embedded policy is trained whole; leave it at 0.")
        rollout, train, warmup = self.rollout, self.train, self.warmup
        if rollout.max_staleness is not None and rollout.max_staleness < rollout.ahead:
            raise ConfigError(
                f"rollout.max_staleness={rollout.max_staleness}: groups that are started {rollout.ahead} steps ahead "
                f"are {rollout.ahead} updates old when their turn comes; raise it, or lower rollout.ahead."
            )
        if rollout.overlaps and self.algo.correction == "none":
            raise ConfigError(
                "algo.correction=none: episodes that are played ahead were sampled by older weights, and nothing would "
                "account for it; leave algo.correction as it is, or set rollout.ahead 0 and rollout.straggler_share 1."
            )
        published = "transcript" if tiny and "memory" not in needs else self.algo.default_context
        context = published if rollout.context == "auto" else rollout.context
        writes = context in ("memory", "compact", "report")
        self._check_needs(needs, context)
        return self.model_copy(
            update={
                "rollout": rollout.model_copy(
                    update={
                        "context": context,
                        "max_new_tokens": rollout.max_new_tokens or (512 if not tiny else 128 if writes else 48),
                    }
                ),
                "train": train.model_copy(update={"lr": _given(train.lr, 4e-4 if tiny else 1e-5 if lora else 1e-6)}),
                "warmup": warmup.model_copy(
                    update={
                        "episodes": _given(warmup.episodes, self.env.demonstrations[0] if tiny else 0),
                        "lr": _given(warmup.lr, 3e-3 if tiny else 1e-5),
                        "observation_weight": _given(
                            warmup.observation_weight, self.env.reading_weight if tiny else 0.3
                        ),
                    }
                ),
            }
        )

    def _check_needs(self, needs: frozenset[str], context: str) -> None:
        """Refuse an algorithm that engine or context cannot serve, and settings that would do nothing."""
        name, algo = self.algo.name, self.algo
        every_engine = frozenset[str]().union(*ENGINE_GIVES.values())
        if missing := sorted((needs & every_engine) - ENGINE_GIVES[self.engine.name]):
            able = ", ".join(e for e, gives in ENGINE_GIVES.items() if set(missing) <= gives)
            raise ConfigError(
                f"algo.name: '{name}' needs {', '.join(missing)}, which the engine '{self.engine.name}' does not give; "
                f"engines that do: {able}."
            )
        every_context = frozenset[str]().union(*CONTEXT_GIVES.values())
        if missing := sorted((needs & every_context) - CONTEXT_GIVES[context]):
            able = ", ".join(c for c, gives in CONTEXT_GIVES.items() if set(missing) <= gives)
            raise ConfigError(
                f"rollout.context: '{name}' needs {', '.join(missing)}, which the context '{context}' does not give; "
                f"use auto, or one of: {able}."
            )
        if "repeated_tasks" in needs and self.rollout.tasks is None:
            raise ConfigError(
                f"rollout.tasks: '{name}' lives on tasks that come again, and without a limit none does; give their "
                f"number, for example --rollout.tasks {8 * self.rollout.groups}."
            )
        if algo.correction in ("icepop", "sequence-tis") and self.train.old_logprobs == "engine":
            raise ConfigError(
                f"algo.correction: '{algo.correction}' compares the learner's log-probabilities with the engine's, and "
                "train.old_logprobs=engine takes the engine's for both; use auto or learner."
            )


def _given(value: T | None, default: T) -> T:
    return default if value is None else value
