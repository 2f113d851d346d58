"""How values cross between sandboxes and the host: as JSON in which lists, tuples, sets and the like are told apart.

    [1, (2.5, "x"), {3}]   <->   ["l", 1, ["t", 2.5, "x"], ["s", 3]]

`ENCODE` and `ASK` are cells that run in a sandbox; the host only ever decodes data.
"""

from __future__ import annotations

from typing import Any

DEEPEST = 60
"""Levels of nesting of a value."""

_FUNCTIONS = """
def _encode(value, depth=0):
    if depth > 60:
        raise ValueError("nested too deep")
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if value is None:
        return None
    if isinstance(value, complex):
        return ["c", value.real, value.imag]
    if isinstance(value, (bytes, bytearray)):
        return ["b", value.decode("latin-1")]
    if isinstance(value, dict):
        return ["d", *([_encode(k, depth + 1), _encode(v, depth + 1)] for k, v in value.items())]
    for kind, tag in ((list, "l"), (tuple, "t"), (set, "s"), (frozenset, "f")):
        if isinstance(value, kind):
            return [tag, *(_encode(item, depth + 1) for item in value)]
    raise TypeError("a value of type " + type(value).__name__)
"""

ENCODE = (
    _FUNCTIONS.replace("{", "{{").replace("}", "}}")
    + """
import json as _json
try:
    _said = ["value", _encode((lambda nan, inf: {call})(float("nan"), float("inf")))]
except Exception as _error:
    _said = ["raised", type(_error).__name__]
print("\\n{mark}" + _json.dumps(_said))
"""
)
"""Run ``call`` and print ``mark`` and what came of it."""

ASK = (
    _FUNCTIONS.replace("{", "{{").replace("}", "}}")
    + """
import builtins as _builtins, json as _json
nan, inf = float("nan"), float("inf")
_asked = []

class _Ask(BaseException):
    pass

def _stand_in(name, known):
    def function(*args, **kwargs):
        source = name + "(" + ", ".join([*map(repr, args), *(k + "=" + repr(v) for k, v in kwargs.items())]) + ")"
        if source not in known:
            _asked.append(source)
            raise _Ask
        value, raised = known[source]
        if raised:
            kind = getattr(_builtins, raised, None)
            raise kind() if isinstance(kind, type) and issubclass(kind, Exception) else RuntimeError(raised)
        return value
    return function

def _run():
    space = {{"__name__": "tests"}}
    space.update((name, _stand_in(name, {known!r})) for name in {names!r})
    try:
        exec({source!r}, space)
    except BaseException:
        return False
    return True

_passed = _run()
print()
print(_json.dumps({{"call": _asked[0]}} if _asked else {{"passed": _passed}}))
"""
)
"""Run test code with stand-ins for the solution's functions; print the first call not ``known``, or the verdict."""


def decode(data: Any, depth: int = 0) -> Any:
    """The value of its encoded form.

    >>> decode(["l", 1, ["t", 2.5, "x"], ["s", 3]])
    [1, (2.5, 'x'), {3}]

    Raises:
        ValueError, TypeError: it is none.
    """
    if depth > DEEPEST:
        raise ValueError("nested too deep")
    if not isinstance(data, list):
        if isinstance(data, dict):
            raise ValueError("an object")
        return data
    tag, *items = data
    if tag == "c":
        return complex(*items)
    if tag == "b":
        return str(items[0]).encode("latin-1")
    if tag == "d":
        return {decode(key, depth + 1): decode(value, depth + 1) for key, value in items}
    kinds: dict[str, type[Any]] = {"l": list, "t": tuple, "s": set, "f": frozenset}
    return kinds[tag](decode(item, depth + 1) for item in items)
