"""Results as a log of inspect_ai, written by its own library, so that its viewer opens them: ``inspect view``.

A task's attempts are epochs; an episode is a sample with its messages, its scores (``won`` and ``score``) and what it
took. An episode that broke outside the policy is a sample with an error and without scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentrl.errors import MissingExtra
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.settings import EvalConfig
from agentrl.evaluation.suites import Suite
from agentrl.evaluation.summary import Summary, by
from agentrl.registry import is_mixture
from agentrl.tool import decode_calls

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore
    from inspect_ai.model import ChatMessage

FILE = "inspect.eval"


def export(config: EvalConfig, suite: Suite, outcomes: Sequence[Outcome], folder: Path) -> Path:
    """Write ``inspect.eval`` into a folder; returns its path.

    Raises:
        MissingExtra: inspect_ai is not installed.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise MissingExtra("inspect-ai", "inspect") from None
    path = folder / FILE
    write_eval_log(log_of(config, suite, outcomes), str(path))
    return path


def log_of(config: EvalConfig, suite: Suite, outcomes: Sequence[Outcome]) -> EvalLog:
    """The log as inspect_ai's object."""
    from inspect_ai.log import EvalConfig as LogConfig
    from inspect_ai.log import EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats
    from inspect_ai.model import GenerateConfig

    t, now = config.trial, datetime.now(UTC).isoformat()
    tasks = list(dict.fromkeys(_id(o) for o in outcomes))
    systems = _instructions(suite)
    spec = EvalSpec(
        created=now,
        task=f"agentrl/{suite.name}",
        task_version=suite.version,
        task_args={"suite": suite.model_dump(mode="json")},
        dataset=EvalDataset(name=suite.name, samples=len(tasks), sample_ids=list(tasks)),
        model=config.model.name,
        model_generate_config=GenerateConfig(temperature=t.temperature, top_p=t.top_p, max_tokens=t.max_new_tokens),
        config=LogConfig(epochs=max((p.attempts for p in suite.parts), default=1)),
        metadata={"config": config.model_dump(mode="json")},
    )
    played = sum(o.failure is None for o in outcomes)
    results = EvalResults(total_samples=len(outcomes), completed_samples=played, scores=_scores(outcomes))
    return EvalLog(
        status="success",
        eval=spec,
        results=results,
        stats=EvalStats(started_at=now, completed_at=now),
        samples=[_sample(o, config.model.name, systems.get(o.part, "")) for o in outcomes],
    )


def _id(o: Outcome) -> str:
    return f"{o.part}/{o.task}"


def _sample(o: Outcome, model: str, system: str) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    scores = {"won": Score(value=float(o.won), answer=_last(o)), "score": Score(value=o.value, answer=_last(o))}
    error = None
    if o.failure:
        error = EvalError(message=f"{o.failure.stage}: {o.failure.error}", traceback="", traceback_ansi="")
    usage = ModelUsage(
        input_tokens=o.tokens_read,
        output_tokens=o.tokens,
        total_tokens=o.tokens_read + o.tokens,
        total_cost=o.cost or None,
    )
    told = ("kind", "member", "seed", "reward", "components", "turns", "tool_calls", "invalid", "stop")
    return EvalSample(
        id=_id(o),
        epoch=o.attempt + 1,
        input=o.opening,
        target="",
        messages=_messages(o, system),
        output=ModelOutput.from_content(model, _last(o)),
        scores=None if o.failure else scores,
        metadata={name: getattr(o, name) for name in told},
        model_usage={model: usage},
        total_time=o.seconds,
        working_time=o.seconds,
        turn_count=o.turns,
        error=error,
    )


def _messages(o: Outcome, system: str) -> list[ChatMessage]:
    """The transcript: calls and their results have ids of their own making."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageTool, ChatMessageUser
    from inspect_ai.tool import ToolCall

    out: list[ChatMessage] = [ChatMessageSystem(content=system)] if system else []
    out.append(ChatMessageUser(content=o.opening))
    for number, line in enumerate(o.transcript):
        made = [call for sent in line.sent for call in decode_calls(sent) or ()]
        calls = [
            ToolCall(id=f"{number}.{i}", function=call.name, arguments=_plain(call.arguments))
            for i, call in enumerate(made)
        ]
        said = line.said or ("" if calls else "\n".join(line.sent))
        out.append(ChatMessageAssistant(content=said, tool_calls=calls or None))
        for i, call in enumerate(calls):
            shown = line.observation if i == 0 else "(see the result above)"
            out.append(ChatMessageTool(content=shown, tool_call_id=call.id, function=call.function))
        if not calls and line.observation:
            out.append(ChatMessageUser(content=line.observation))
    return out


def _plain(arguments: object) -> dict[str, Any]:
    return arguments if isinstance(arguments, dict) else {"arguments": arguments}


def _last(o: Outcome) -> str:
    return (o.transcript[-1].said or "\n".join(o.transcript[-1].sent)) if o.transcript else ""


def _scores(outcomes: Sequence[Outcome]) -> list[EvalScore]:
    """The figures of the whole, and of each part of several."""
    from inspect_ai.log import EvalMetric, EvalScore

    whole = {"": Summary.of(outcomes)}
    parts = by(outcomes, lambda o: o.part)
    out = []
    for name, s in {**whole, **(parts if len(parts) > 1 else {})}.items():
        values = {
            "won": {"accuracy": s.success, "low": s.success_low, "high": s.success_high, "of_all": s.success_of_all},
            "score": {"mean": s.score, "low": s.score_low, "high": s.score_high},
        }
        for scorer, metrics in values.items():
            out.append(
                EvalScore(
                    name=f"{scorer} ({name})" if name else scorer,
                    scorer=scorer,
                    scored_samples=s.episodes - s.failures,
                    unscored_samples=s.failures,
                    metrics={key: EvalMetric(name=key, value=value) for key, value in metrics.items()},
                )
            )
    return out


def _instructions(suite: Suite) -> dict[str, str]:
    """The system message of each part; those of mixtures differ from task to task and are left out."""
    found = {}
    for part in suite.parts:
        if not is_mixture(part.env):
            env = part.env_settings().make(split=part.split)
            found[part.name] = env.instructions
            env.close()
    return found
