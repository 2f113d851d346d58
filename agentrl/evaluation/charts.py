"""Small charts as inline SVG, in colours that follow the page's (light and dark)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from agentrl.evaluation.statistics import Estimate

ROW, LABEL, WIDTH, VALUE = 26, 190, 330, 170


def whiskers(rows: Mapping[str, tuple[float, float, float]], *, title: str) -> str:
    """Shares with their intervals, one row each.

    Args:
        rows: Name to (value, low, high), all in [0, 1].
    """
    height = ROW * len(rows) + 26
    parts = [_open(LABEL + WIDTH + VALUE, height, title)]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = LABEL + tick * WIDTH
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{height - 20}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 6}" text-anchor="middle">{tick:.0%}</text>')
    for i, (name, (value, low, high)) in enumerate(rows.items()):
        y = 4 + ROW * (i + 0.5)
        a, b, at = (LABEL + min(1.0, max(0.0, v)) * WIDTH for v in (low, high, value))
        shown = name if len(name) < 27 else name[:25] + "…"
        parts.append(f'<text x="{LABEL - 10}" y="{y + 4:.1f}" text-anchor="end"><title>{escape(name)}</title>')
        parts.append(f"{escape(shown)}</text>")
        parts.append(f'<line class="whisker" x1="{a:.1f}" y1="{y:.1f}" x2="{b:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<circle class="dot" cx="{at:.1f}" cy="{y:.1f}" r="5"/>')
        told = f"{value:.1%} [{low:.1%}, {high:.1%}]"
        parts.append(f'<text class="num" x="{LABEL + WIDTH + 14}" y="{y + 4:.1f}">{told}</text>')
    return "".join(parts) + "</svg>"


def histogram(values: Sequence[float], *, title: str, bins: int = 24) -> str:
    """How often values occur; whole numbers of a small range get a bar each. Empty without values."""
    found = [v for v in values if math.isfinite(v)]
    if not found:
        return ""
    low, high = min(found), max(found)
    whole = all(float(v).is_integer() for v in found) and high - low < bins
    count = int(high - low) + 1 if whole else bins if high > low else 1
    width = 1.0 if whole else (high - low) / count or 1.0
    bars = [0] * count
    for v in found:
        bars[min(count - 1, int((v - low) / width))] += 1
    w, h, most = 340, 120, max(bars)
    parts = [_open(w, h + 40, title)]
    for i, n in enumerate(bars):
        x, size = 10 + i * (w - 20) / count, n / most * h
        span = f"{low + i * width:g}" if whole else f"{low + i * width:.3g} to {low + (i + 1) * width:.3g}"
        parts.append(
            f'<rect class="bar" x="{x + 0.5:.1f}" y="{h + 14 - size:.1f}" width="{(w - 20) / count - 1:.1f}" '
            f'height="{size:.1f}"><title>{span}: {n}</title></rect>'
        )
    parts.append(f'<line class="axis" x1="10" y1="{h + 14.5}" x2="{w - 10}" y2="{h + 14.5}"/>')
    parts.append(f'<text class="tick" x="10" y="{h + 32}">{low:.4g}</text>')
    parts.append(f'<text class="tick" x="{w - 10}" y="{h + 32}" text-anchor="end">{high:.4g}</text>')
    parts.append(f'<text class="tick" x="10" y="10">most: {most}</text>')
    return "".join(parts) + "</svg>"


def curves(found: Mapping[str, Mapping[int, Estimate]], *, title: str) -> str:
    """pass@k and pass^k over k, with bands."""
    ks = sorted({k for one in found.values() for k in one})
    w, h = 340, 150
    parts = [_open(w + 60, h + 40, title)]

    def x(k: int) -> float:
        return 40 + (w - 60) * (math.log2(k) / max(1.0, math.log2(ks[-1])))

    def y(v: float) -> float:
        return 10 + (1 - v) * h

    for tick in (0.0, 0.5, 1.0):
        parts.append(f'<line class="grid" x1="40" y1="{y(tick):.1f}" x2="{w - 20}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="tick" x="34" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.0%}</text>')
    for k in ks:
        parts.append(f'<text class="tick" x="{x(k):.1f}" y="{h + 28}" text-anchor="middle">{k}</text>')
    for number, (name, one) in enumerate(found.items()):
        at = [(x(k), e) for k, e in sorted(one.items()) if e.tasks]
        if not at:
            continue
        upper = " ".join(f"{px:.1f},{y(e.high):.1f}" for px, e in at)
        lower = " ".join(f"{px:.1f},{y(e.low):.1f}" for px, e in reversed(at))
        parts.append(f'<polygon class="band c{number}" points="{upper} {lower}"/>')
        parts.append(
            f'<polyline class="curve c{number}" points="{" ".join(f"{px:.1f},{y(e.value):.1f}" for px, e in at)}"/>'
        )
        px, last = at[-1]
        parts.append(f'<text x="{px + 6:.1f}" y="{y(last.value) + 4:.1f}">{escape(name)}</text>')
    return "".join(parts) + "</svg>"


def _open(width: float, height: float, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(title)}">'
    )
