"""One HTML page about an evaluation: self-contained, light and dark, without network or scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from agentrl.evaluation.charts import curves, histogram, whiskers
from agentrl.evaluation.record import Outcome
from agentrl.evaluation.suites import Suite
from agentrl.evaluation.summary import Summary, by

STYLE = """
:root { color-scheme: light dark; --bg: #fcfcfb; --ink: #1d2021; --soft: #64696d; --line: #dcdedf; --main: #2563a8;
  --second: #b4571b; --bad: #b3261e; --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --bg: #16181a; --ink: #e6e7e8; --soft: #9aa0a4; --line: #33383c;
  --main: #6aa9f0; --second: #e39a62; --bad: #f2877f; --card: #1d2023; } }
body { background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 1000px; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.35rem; margin: 0 0 .3rem; } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem; }
.note { color: var(--soft); margin: .2rem 0; max-width: 70ch; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.4rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .7rem 1rem; min-width: 9rem; }
.card b { display: block; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; } .charts { display: flex; flex-wrap: wrap; gap: 1.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } 
td.text { text-align: left; white-space: normal; min-width: 18rem; }
th { color: var(--soft); font-weight: 500; } .bad { color: var(--bad); }
summary { cursor: pointer; color: var(--soft); }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .tick, svg .num { fill: var(--soft); } .grid { stroke: var(--line); } .axis { stroke: var(--soft); }
.whisker { stroke: var(--main); stroke-width: 3; opacity: .45; } .dot, .bar { fill: var(--main); }
.curve { fill: none; stroke-width: 2; } .c0 { stroke: var(--main); } .c1 { stroke: var(--second); }
.band { stroke: none; opacity: .18; } .band.c0 { fill: var(--main); } .band.c1 { fill: var(--second); }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .85rem; }
"""

COLUMNS: dict[str, Callable[[Summary], str]] = {
    "success": lambda s: f"{s.success:.1%} [{s.success_low:.1%}, {s.success_high:.1%}]",
    "score": lambda s: f"{s.score:.3f} [{s.score_low:.3f}, {s.score_high:.3f}]",
    "reward": lambda s: f"{s.reward:.3f} [{s.reward_low:.3f}, {s.reward_high:.3f}]",
    "turns": lambda s: f"{s.turns:.1f}",
    "tool_calls": lambda s: f"{s.tool_calls:.1f}",
    "tokens": lambda s: f"{s.tokens:.0f}",
    "tokens_read": lambda s: f"{s.tokens_read:.0f}",
    "cost": lambda s: f"{s.cost:.2f} $",
    "episode_s": lambda s: f"{s.episode_s:.1f} s",
}
"""How a summary's metric is told."""


def write_report(heading: str, notes: Sequence[str], suite: Suite, outcomes: Sequence[Outcome], whole: Summary) -> str:
    """The page."""
    there = [name for name in COLUMNS if getattr(whole, name)]  # no column of zeros, unless the suite asks for it
    metrics = list(dict.fromkeys([*suite.metrics, *there]))
    body = [f"<h1>{escape(heading)}</h1>"]
    body += [f'<p class="note">{escape(note)}</p>' for note in ([suite.about] if suite.about else []) + list(notes)]
    body.append(_cards(whole, metrics))
    parts = by(outcomes, lambda o: o.part)
    members = by(outcomes, lambda o: o.member)
    kinds = by(outcomes, lambda o: f"{o.part}: {o.kind}" if o.kind and len(parts) > 1 else o.kind)
    for title, found in (("Parts", parts), ("Environments", members), ("Kinds of tasks", kinds)):
        if len(found) > 1:
            body.append(f"<h2>{title}</h2>{_success(found)}<h2>{title}: all metrics</h2>{_table(found, metrics)}")
    if whole.pass_at:
        passes = {"pass@k": whole.pass_at, "pass^k": whole.pass_hat}
        rows = [
            [name.replace("k", str(k)), f"{e.value:.1%} [{e.low:.1%}, {e.high:.1%}]", str(e.tasks)]
            for name, one in passes.items()
            for k, e in one.items()
        ]
        chart = curves(passes, title="pass@k and pass^k over k")
        body.append(f"<h2>Several attempts</h2>{chart}{_rows(['', 'share of tasks', 'tasks'], rows)}")
    body.append(_distributions([o for o in outcomes if o.failure is None], whole))
    body.append(_failures([o for o in outcomes if o.failure is not None]))
    body.append(_tasks(outcomes))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _cards(whole: Summary, metrics: Iterable[str]) -> str:
    cards = [
        (f"{whole.success:.1%}", f"success of {whole.episodes - whole.failures} played",
         f"[{whole.success_low:.1%}, {whole.success_high:.1%}]"),
        (f"{whole.success_of_all:.1%}", f"success of all {whole.episodes}",
         f"[{whole.success_of_all_low:.1%}, {whole.success_of_all_high:.1%}]"),
        (str(whole.failures), "broke outside the policy", ", ".join(f"{k} {v}" for k, v in whole.broken.items())),
    ]  # fmt: skip
    for name in metrics:
        if name != "success":
            value, _, interval = COLUMNS[name](whole).partition(" [")
            label = {"episode_s": "per episode", "tool_calls": "tool calls", "tokens_read": "tokens read"}.get(
                name, name
            )
            cards.append((value, label, f"[{interval}" if interval else ""))
    told = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}<br>{escape(more)}</span></div>'
        for value, label, more in cards
    )
    return f'<div class="cards">{told}</div>'


def _success(found: dict[str, Summary]) -> str:
    rows = {name: (s.success, s.success_low, s.success_high) for name, s in found.items()}
    return whiskers(rows, title="success with 95% intervals")


def _table(found: dict[str, Summary], metrics: Iterable[str]) -> str:
    names = list(metrics)
    head = ["", "episodes", "failures", *(n.replace("_", " ") for n in names), "success of all"]
    rows = [
        [name, str(s.episodes), str(s.failures), *(COLUMNS[n](s) for n in names), f"{s.success_of_all:.1%}"]
        for name, s in found.items()
    ]
    return _rows(head, rows)


def _distributions(played: Sequence[Outcome], whole: Summary) -> str:
    shown = {
        "turns": [float(o.turns) for o in played],
        "score": [o.value for o in played],
        "return": [o.reward for o in played],
        "tokens": [float(o.tokens) for o in played if o.tokens],
        "seconds": [o.seconds for o in played],
    }
    charts = "".join(
        f"<figure>{histogram(values, title=name)}<figcaption>{name} per episode</figcaption></figure>"
        for name, values in shown.items()
        if len(set(values)) > 1
    )
    stops = _rows(["ended by", "episodes"], [[k, str(v)] for k, v in whole.stops.items()])
    return f'<h2>Distributions</h2><div class="charts">{charts}</div><h2>How episodes ended</h2>{stops}'


def _failures(failed: Sequence[Outcome]) -> str:
    if not failed:
        return ""
    rows = [[_name(o), o.failure.stage.value, o.failure.error[:300]] for o in failed if o.failure]
    return (
        '<h2 class="bad">Failures outside the policy</h2><p class="note">Neither won nor lost; the same command plays '
        f"them again.</p>{_rows(['episode', 'stage', 'error'], rows, text=2)}"
    )


def _tasks(outcomes: Sequence[Outcome]) -> str:
    of: dict[tuple[str, int], list[Outcome]] = {}
    for o in outcomes:
        of.setdefault((o.part, o.task), []).append(o)
    rows = []
    for (part, task), tried in of.items():
        played = [o for o in tried if o.failure is None]
        n = max(1, len(played))
        first = tried[0]
        rows.append(
            [
                f"{part} {task}",
                first.kind,
                f"{sum(o.won for o in played)} / {len(played)}",
                f"{sum(o.value for o in played) / n:.3f}" if played else "",
                f"{sum(o.turns for o in played) / n:.1f}" if played else "",
                ", ".join(dict.fromkeys(o.stop for o in tried)),
                first.opening[:240],
            ]
        )
    table = _rows(["task", "kind", "won", "score", "turns", "ended by", "opening"], rows, text=6)
    return f"<h2>Tasks</h2><details><summary>all {len(rows)} tasks</summary>{table}</details>"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]], *, text: int = -1) -> str:
    """A table; column ``text`` holds prose."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=text' if i == text else ''}>{escape(c)}</td>" for i, c in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _name(o: Outcome) -> str:
    return f"{o.part} {o.task}" + (f", attempt {o.attempt}" if o.attempt else "")
