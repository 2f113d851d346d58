"""The settings of ``agentrl eval``, and the suite that they come to."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from agentrl.engines.openai import EndpointSettings
from agentrl.engines.settings import EngineSettings
from agentrl.envsettings import EnvSettings
from agentrl.evaluation.suites import Part, Suite, load_suite
from agentrl.rollout.contexts import ContextSettings
from agentrl.rollout.loop import Limits
from agentrl.sections import Section


class Judged(Section):
    """The policy to evaluate."""

    bare: ClassVar[str] = "name"

    name: str = "expert"
    """Run directory, checkpoint, hub id, 'tiny', 'random', 'expert', 'noisy', a function (./file.py:name), or the URL
    of an OpenAI-compatible endpoint."""
    device: str = "auto"
    """'auto', 'cpu', 'cuda', 'cuda:1'."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass."""
    max_context: int | None = None
    """Most tokens read and written in one sequence; none: the model's own limit."""


class Trial(ContextSettings):
    """How the policy is tried."""

    episodes: int = Field(300, ge=1)
    """Held-out tasks."""
    first: int = Field(0, ge=0)
    """Number of the first task."""
    attempts: int = Field(1, ge=1)
    """At each task; with several, pass@k and pass^k are given (sample above temperature 0 for them)."""
    split: str = "eval"
    """Which tasks."""
    temperature: float = Field(0.0, ge=0)
    """Of sampling; 0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling."""
    seed: int = 0
    """Of sampling, and of the warm-up of 'tiny'."""
    context: Literal["transcript", "window", "memory", "compact", "report"] = "transcript"
    """What the policy reads."""
    max_turns: int | None = Field(None, ge=1)
    """Turns per episode; none: the environment's own limit."""
    max_new_tokens: int = Field(512, ge=1)
    """Sampled tokens per turn."""
    deadline: float = Field(1800.0, gt=0)
    """Seconds an episode may take."""
    reset_deadline: float = Field(120.0, gt=0)
    """Seconds the environment may take for a reset."""
    step_deadline: float = Field(120.0, gt=0)
    """Seconds the environment may take for a step."""
    sample_deadline: float = Field(600.0, gt=0)
    """Seconds the policy may take for a turn, all tries of an endpoint included."""
    concurrency: int = Field(128, ge=1)
    """Episodes in flight."""
    give_up: int = Field(32, ge=0)
    """So many failures outside the policy in a row end the evaluation (what was played is kept); 0: none do."""


class EvalConfig(Section):
    """An evaluation."""

    env: EnvSettings = EnvSettings()
    suite: str | None = None
    """A suite instead of one environment: core, webshop-500, alfworld-134, alfworld-140, tools, memory, gui, or a
    TOML file."""
    data: Path | None = None
    """The data that a suite needs."""
    limit: int | None = Field(None, ge=1)
    """Only the first tasks of each part of a suite, for a quick look."""
    model: Judged = Judged()
    engine: EngineSettings = EngineSettings()
    endpoint: EndpointSettings = EndpointSettings()
    trial: Trial = Trial()
    out: Path | None = None
    """Folder for results.jsonl, summary.json and report.html. Where it holds a part of this evaluation, only what is
    missing or broke is played."""
    inspect: bool = False
    """Also write the results as a log of inspect_ai into the folder (needs the extra 'inspect')."""

    def asked(self) -> Suite:
        """The suite to play; one environment alone is a suite of one part.

        Raises:
            UnknownName, DataError: see `agentrl.evaluation.suites`.
        """
        if self.suite:
            return load_suite(self.suite).with_data(self.data).limited(self.limit)
        t, name = self.trial, self.env.name
        settings = self.env.kwargs
        part = Part(
            name=name,
            env=name,
            settings=settings,
            split=t.split,
            tasks=t.episodes,
            first=t.first,
            attempts=t.attempts,
            max_turns=t.max_turns,
        )
        return Suite(name=name, parts=[part]).limited(self.limit)

    def limits(self, part: Part) -> Limits:
        """Where an episode of a part is cut."""
        t = self.trial
        return Limits(
            max_turns=part.max_turns or t.max_turns,
            max_new_tokens=part.max_new_tokens or t.max_new_tokens,
            token_budget=part.token_budget,
            max_tool_calls=part.max_tool_calls,
            max_invalid=part.max_invalid,
            episode_s=t.deadline,
            reset_s=t.reset_deadline,
            step_s=t.step_deadline,
            sample_s=t.sample_deadline,
        )
