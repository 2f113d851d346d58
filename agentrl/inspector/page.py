"""One HTML file with everything in it: style, scripts, and the run as compressed data.

The page asks no network for anything, which its content security policy enforces: only the two scripts' own hashes
may run. Data are gzip in base64, so that no text of a run is ever read as markup; the page unpacks a group when
somebody opens it. The index and the scripts come first, so that the list is there before the rest is read.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from agentrl.inspector.past import Past
from agentrl.inspector.records import StepRecord

SCRIPTS = ("dom", "data", "list", "talk", "tokens", "tree", "curves", "main")
"""Files of ``page/``, in the order in which they are joined."""


def script() -> str:
    """All scripts as one."""
    folder = files("agentrl.inspector") / "page"
    parts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"


def style() -> str:
    """The style sheet."""
    return (files("agentrl.inspector") / "page" / "style.css").read_text(encoding="utf-8")


def packed(values: Any) -> str:
    """Plain values as base64 of gzipped JSON."""
    return base64.b64encode(gzip.compress(as_json(values), 6, mtime=0)).decode("ascii")


def as_json(values: Any) -> bytes:
    """Compact JSON; lone surrogates, which UTF-8 cannot say, become "?"."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(errors="replace")


def head(past: Past, index: Mapping[str, Any]) -> str:
    """The page up to the groups' data."""
    code, css = script(), style()
    policy = (
        f"default-src 'none'; script-src {_hash(code)}; style-src {_hash(css)}; "
        f"connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        f"<title>{escape(past.path.name)}</title><style>{css}</style></head>\n"
        f'<body><div id="app"></div>\n<script type="text/plain" id="index">{packed(index)}</script>\n'
        f"<script>{code}</script>\n"
    )


def write_page(past: Past, records: Iterable[StepRecord], decode: Callable[[], Mapping[int, str]], file: Path) -> None:
    """Write the page; of the groups only the compressed data are held.

    Args:
        past: The run.
        records: Its steps.
        decode: Called when all steps have been read: the text of each token in them.
        file: The page.
    """
    bodies = []
    episodes: list[dict[str, Any]] = []
    notes: dict[int, list[str]] = {}
    for record in records:
        bodies.append("".join(_blob(group) for group in record.groups))
        episodes += record.episodes
        notes[record.step] = record.notes
    index = index_of(past, episodes, notes, decode())
    with file.open("w", encoding="utf-8") as out:
        out.write(head(past, index))
        out.writelines(bodies)
        out.write("</body></html>\n")


def _blob(group: Mapping[str, Any]) -> str:
    return f'<script type="text/plain" id="g{group["step"]}-{group["group"]}">{packed(group)}</script>\n'


def index_of(
    past: Past,
    episodes: Sequence[Mapping[str, Any]],
    notes: Mapping[int, Sequence[str]],
    decode: Mapping[int, str],
    *,
    serve: bool = False,
) -> dict[str, Any]:
    """What the page knows from the start."""
    config = past.config
    meta = {
        "name": past.path.resolve().name,
        "env": config.env.name,
        "algo": config.algo.name,
        "model": config.model.name,
        "steps": past.steps,
        "serve": serve,
    }
    return {
        "meta": meta,
        "metrics": columns_of_metrics(past.metrics),
        "vocab": decode,
        "episodes": columns(episodes),
        "notes": notes,
    }


def columns(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Lines with the same keys as one list per key, which compresses well."""
    return {name: [line[name] for line in lines] for name in lines[0]} if lines else {}


def columns_of_metrics(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[list[Any]]]:
    """Name to steps and values, of everything that was logged as a number."""
    found: dict[str, list[list[Any]]] = {}
    for line in lines:
        for name, value in line.items():
            if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                steps, values = found.setdefault(name, [[], []])
                steps.append(line["step"])
                values.append(float(f"{value:.6g}") if math.isfinite(value) else None)
    return found


def vocabulary(tokenizer: Any, ids: Iterable[int]) -> dict[int, str]:
    """The text of each token; of one that is no whole text the tokenizer's own name for it."""
    if tokenizer is None:
        return {}
    return dict(_pieces(tokenizer, sorted(set(ids))))


def _pieces(tokenizer: Any, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    for i in ids:
        text = str(tokenizer.decode([i], skip_special_tokens=False))
        if not text or "\ufffd" in text:
            text = str(tokenizer.convert_ids_to_tokens(i))
        yield i, text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
