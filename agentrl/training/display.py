"""The live line of a training run: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

COLUMNS = (
    ("step", "step", "{:.0f}"),
    ("reward", "reward", "{:.3f}"),
    ("success", "success", "{:.1%}"),
    ("flat groups", "zero_signal_groups", "{:.0%}"),
    ("invalid", "invalid", "{:.1%}"),
    ("cut", "truncated", "{:.1%}"),
    ("failed", "failures", "{:.0f}"),
    ("entropy", "entropy", "{:.3f}"),
    ("mismatch", "engine_gap", "{:.1e}"),
    ("KL", "approx_kl", "{:.4f}"),
    ("tok/s", "tokens_per_s", "{:.0f}"),
)
"""Heading, metric and format of each column of the training table."""


class Display:
    """Prints progress. All of it goes to stderr's console, so that stdout stays free for results."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        """Whether another process talks."""
        self.console = Console(stderr=True, quiet=silent)
        self.live = self.console.is_terminal and not silent
        self._bar: Progress | None = None
        self._task: int | None = None
        self._what = ""
        self._last = 0.0
        self._rows = 0

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)  # paths stay in one piece

    def progress(self, what: str, done: int, total: int, note: str) -> None:
        """Progress of a phase before training; on no terminal a line every five seconds and at the end."""
        if self.silent:
            return
        if not self.live:
            now = time.monotonic()
            if done == total or now - self._last > 5:
                self._last = now
                print(f"{what}: {done}/{total} {note}".rstrip(), file=sys.stderr, flush=True)
            return
        if self._bar is None or self._what != what:
            self.finish()
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
                transient=True,
            )
            self._bar.start()
            self._what, self._task = what, self._bar.add_task(what, total=total, note="")
        self._bar.update(self._task, completed=done, total=total, note=note)  # type: ignore[arg-type]

    def finish(self) -> None:
        """End the current bar."""
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._what = None, ""

    def step(self, values: Mapping[str, float], *, total: int, seconds_left: float) -> None:
        """One row of the training table, with its heading every 20 rows."""
        self.finish()
        if self.silent:
            return
        heads = [head for head, _, _ in COLUMNS] + ["left"]
        cells = [form.format(values.get(name, float("nan"))) for _, name, form in COLUMNS]
        cells[0] += f"/{total}"
        cells.append(_clock(seconds_left))
        table = Table.grid(padding=(0, 1))
        widths = [max(len(h), 9 if i == 0 else 7) for i, h in enumerate(heads)]
        for width in widths:
            table.add_column(justify="right", min_width=width, no_wrap=True)
        if self._rows % 20 == 0:
            table.add_row(*(f"[bold]{h}[/bold]" for h in heads))
        self._rows += 1
        table.add_row(*cells)
        if self.live:
            self.console.print(table, highlight=False)
            return
        if self._rows % 20 == 1:
            print(" ".join(h.rjust(w) for h, w in zip(heads, widths, strict=True)), file=sys.stderr)
        print(" ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True)), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
