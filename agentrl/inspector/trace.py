"""What the credit code did, as it did it: its calls, what each gave, and every comparison within a group.

Nothing is computed a second time. While `watch` runs a function, Python's profiling hook sees each function of
`agentrl.algorithms` (and of the module of one's own algorithm) return. Those that gave an array with one entry per
step or per sampled token are kept as a tree of `Call`; each time `GroupStat` set values against those of their group,
the numbers that it used are kept as a `Comparison`. So an algorithm that was written yesterday explains itself as
well as a built-in one.

    GiGPO.credit                          [S] episode advantage plus omega times step advantage
      GiGPO.parts
        StateReturns.returns              two arrays: the episode's return, and the discounted one from here on
          Algorithm.rewards
          episode_return
          discounted_return(gamma=0.95)
        GroupStat(scale='none')           on (return, group): four values, mean 5
        StateReturns.buckets
        GroupStat(scale='none', unit='row')   on (return from here on, state)

Legend: S rows (model calls), K sampled tokens.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from types import CodeType, FrameType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from agentrl.algorithms.credit import GroupStat

T = TypeVar("T")
Array = npt.NDArray[Any]
HERE = "agentrl.algorithms"


@dataclass
class Comparison:
    """One group of values that `GroupStat` set against each other."""

    rows: Array
    """The rows of `Steps` that got a result (token indices, where tokens are compared)."""
    units: Array
    """Those whose values made the statistics: one per trajectory, or each."""
    values: Array
    """Their values."""
    own: Array
    """The values of ``rows``, which were compared with those."""
    centre: float | None = None
    """What was subtracted; None where nothing was compared."""
    spread: float | None = None
    """What was divided by, eps included; None where nothing was."""
    factor: float = 1.0
    """n / (n - 1) where the centre is the mean of the others."""
    why: str = ""
    """Why nothing was compared."""


@dataclass
class Call:
    """A function of the credit code and what it gave."""

    name: str
    about: str
    """The first line of its docstring."""
    given: dict[str, Any] = field(default_factory=dict)
    """Its plain arguments (numbers, texts), or the settings of a `GroupStat`."""
    results: list[Array] = field(default_factory=list)
    """Arrays of S or K entries, in the order returned."""
    comparisons: list[Comparison] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    """What it called, in order."""

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Call]]:
        """This call and all below it, callers first, with their depth."""
        yield depth, self
        for call in self.calls:
            yield from call.walk(depth + 1)

    def find(self, name: str) -> list[Call]:
        """All calls of a function, by the end of its qualified name."""
        return [call for _, call in self.walk() if call.name.split("(")[0].endswith(name)]


def watch(function: Callable[[], T], *, sizes: tuple[int, ...], modules: tuple[str, ...] = ()) -> tuple[T, list[Call]]:
    """Run a function and see what the credit code does in it.

    Args:
        function: What to run, in this thread.
        sizes: Lengths of the arrays that are worth keeping (S and K).
        modules: Names of further modules to watch.

    Returns:
        Its result, and the outermost calls.
    """
    watcher = _Watcher(sizes, modules)
    before = sys.getprofile()
    sys.setprofile(watcher)
    try:
        result = function()
    finally:
        sys.setprofile(before)
    return result, watcher.top.calls


class _Watcher:
    """The profiling hook."""

    def __init__(self, sizes: tuple[int, ...], modules: tuple[str, ...]) -> None:
        self.sizes, self.modules = set(sizes), set(modules)
        self.top = Call("", "")
        self.open: list[tuple[FrameType, Call]] = []
        self.known: dict[CodeType, bool] = {}
        self.centre = 0.0

    def __call__(self, frame: FrameType, event: str, value: Any) -> None:
        if event == "call":
            if self._watched(frame):
                self.open.append((frame, Call(_name(frame), _about(frame), _given(frame))))
        elif event == "return":
            if frame.f_code is _CENTRE:
                self.centre = float(value)
            elif frame.f_code is _RELATIVE and value is not None:
                self._compared(frame)
            elif self.open and self.open[-1][0] is frame:
                self._close(value)

    def _watched(self, frame: FrameType) -> bool:
        code = frame.f_code
        if code not in self.known:
            module = str(frame.f_globals.get("__name__", ""))
            ours = module == HERE or module.startswith(HERE + ".") or module in self.modules
            plain = not code.co_name.startswith("<") and not code.co_flags & (
                inspect.CO_GENERATOR | inspect.CO_COROUTINE
            )
            self.known[code] = ours and plain and code not in (_CENTRE, _RELATIVE)
        return self.known[code]

    def _close(self, value: Any) -> None:
        _, call = self.open.pop()
        above = self.open[-1][1] if self.open else self.top
        call.results = [np.array(x) for x in _arrays(value) if x.ndim == 1 and len(x) in self.sizes]
        if call.results:
            above.calls.append(call)
        else:  # its callees are told as its caller's
            above.calls.extend(call.calls)

    def _compared(self, frame: FrameType) -> None:
        """`GroupStat._relative` returns: keep what it had in hand."""
        own, outer = frame.f_locals, frame.f_back.f_locals if frame.f_back else {}
        stat: GroupStat = own["self"]
        found = Comparison(
            np.array(outer["rows"]), np.array(outer["units"]), np.array(own["units"]), np.array(own["x"])
        )
        if "centred" not in own:
            found.why = "alone" if own["n"] == 1 else "all are equal"
            if own["n"] == 1 and stat.singleton == "raw":
                found.why = "alone, and kept as it is (singleton=raw)"
        else:
            found.centre = self.centre
            found.factor = own["n"] / (own["n"] - 1) if stat.centre == "loo" else 1.0
            found.spread = math.sqrt(own["variance"]) + stat.eps if "variance" in own else None
        self.open[-1][1].comparisons.append(found)


_RELATIVE = GroupStat._relative.__code__
_CENTRE = GroupStat._centre.__code__


def _arrays(value: Any) -> list[Array]:
    """The arrays in what a function returned: itself, or those of a tuple or list, two levels deep."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple | list) and len(value) <= 16:
        return [x for item in value for x in (_arrays(item) if isinstance(item, tuple | np.ndarray) else [])]
    return []


def _name(frame: FrameType) -> str:
    if frame.f_code is GroupStat.__call__.__code__:
        return "GroupStat"
    return frame.f_code.co_qualname.rpartition("<locals>.")[2]


def _about(frame: FrameType) -> str:
    text = frame.f_code.co_consts[0] if frame.f_code.co_consts else None
    text = text if isinstance(text, str) else ""
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split()) if text else ""


def _given(frame: FrameType) -> dict[str, Any]:
    """The arguments that are plain values; of a `GroupStat` its settings."""
    if frame.f_code is GroupStat.__call__.__code__:
        stat = frame.f_locals["self"]
        return {f.name: getattr(stat, f.name) for f in fields(GroupStat) if f.name != "eps"}
    count = frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount
    names = frame.f_code.co_varnames[:count]
    plain = {name: frame.f_locals.get(name) for name in names}
    return {name: v for name, v in plain.items() if isinstance(v, bool | int | float | str) and name != "self"}
