"""What a retriever is, and choosing one by a setting.

    bm25              words, over an own corpus; the default (`agentrl.envs.search.index`)
    dense:MODEL       embeddings of a sentence-transformers model (`agentrl.envs.search.dense`)
    hybrid:MODEL      both, fused by reciprocal rank
    http://HOST/PATH  a retrieval server in Search-R1's shape (`agentrl.envs.search.remote`)
    serper  brave  tavily  searxng:URL    the web (`agentrl.envs.search.web`)

Options of the class may follow a ``#``: ``bm25#language=german``, ``tavily#cache_mode=offline,price=0.008``,
``http://HOST/retrieve#deadline=60,retries=5``; characters that mean something there are written as in URLs (``%2C``).

A retriever answers whatever the query says, if only with nothing. It raises `RetrieverError` when it is down, slow
or answers nonsense: that is a failure of the episode, never a mistake of the policy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from agentrl.envs.search.passages import Passage
from agentrl.errors import AgentRLError, ConfigError, UnknownName


class RetrieverError(AgentRLError):
    """A retriever is down, slow or answers nonsense; says which one, and what to do."""


class Hit(NamedTuple):
    """A passage that was found."""

    passage: Passage
    score: float
    """Higher is better; comparable within one result only."""


class Retriever(Protocol):
    """Finds passages; safe to share by the threads of a process."""

    name: str
    """The setting it was chosen by."""

    def search(self, query: str, k: int) -> list[Hit]:
        """The best passages, best first, at most ``k``.

        Raises:
            RetrieverError: it is down, slow or lying; never for what the query says.
        """
        ...


def open_retriever(spec: str | None, corpus: Sequence[Passage] | str | Path | None, **options: Any) -> Retriever:
    """The retriever that a setting names.

    Args:
        spec: See the head of this module; None is ``bm25``.
        corpus: Passages, or a file or folder of them (`agentrl.envs.search.passages`); None for servers and the web.
        options: Keyword arguments of the retriever's class (``BM25``, ``Dense``, ``Hybrid``, ``Remote``, ``Web``), as
            in the setting or, of any type, here.

    Raises:
        UnknownName: there is no such retriever.
        ConfigError: it lacks what it needs (corpus, key, URL), or does not know an option.
        MissingExtra: its library is not installed.
        DataError: the corpus is missing or broken.
    """
    spec, _, written = (spec or "bm25").strip().partition("#")
    options = {**{name: Written(text) for name, text in parse_qsl(written, separator=",")}, **options}
    if written and len(parse_qsl(written, separator=",")) != len(written.split(",")):
        raise ConfigError(f"Options follow a retriever as '{spec}#name=value,name=value', not '{spec}#{written}'.")
    kind, _, rest = spec.partition(":")
    if kind in ("http", "https"):
        from agentrl.envs.search.remote import Remote

        server: Retriever = _made(Remote, spec, options, spec)
        return server
    if kind not in KINDS:
        raise UnknownName("retriever", spec, ["http://HOST/PATH", *KINDS], hint="See agentrl.envs.search.retrievers.")
    maker, takes = KINDS[kind]
    if bool(rest) != bool(takes):
        raise ConfigError(f"Write the retriever '{kind}' as '{kind}{':' + takes if takes else ''}', not '{spec}'.")
    return maker(spec, rest, corpus, options)


class Written(str):
    """The value of an option as text, still to be read."""


def _made(make: Callable[..., Any], spec: str, options: dict[str, Any], *arguments: Any) -> Any:
    """Call a class; an option that it does not know is a `ConfigError`."""
    known = {p.name: p for p in inspect.signature(make).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for name in options:
        if name not in known:
            raise UnknownName(f"option of the retriever '{spec}'", name, known)
    return make(*arguments, **{name: _read(spec, known[name], value) for name, value in options.items()})


def _read(spec: str, option: inspect.Parameter, value: Any) -> Any:
    """The value of an option; text of a setting as the number that the option takes."""
    if not isinstance(value, Written):
        return value
    wanted = str(option.annotation).partition(" ")[0]
    try:
        return {"int": int, "float": float, "str": str}[wanted](value)
    except (KeyError, ValueError):
        takes = {"int": "a whole number", "float": "a number"}.get(wanted, "what no setting can say")
        raise ConfigError(
            f"The option '{option.name}' of the retriever '{spec}' takes {takes}, not '{value}'."
        ) from None


def _corpus(spec: str, corpus: Any) -> Any:
    if corpus is None:
        raise ConfigError(f"The retriever '{spec}' searches a corpus: give passages, or a file or folder of them.")
    return corpus


def _bm25(spec: str, _: str, corpus: Any, options: dict[str, Any]) -> Retriever:
    from agentrl.envs.search.index import BM25

    made: Retriever = _made(BM25, spec, options, _corpus(spec, corpus))
    return made


def _dense(spec: str, model: str, corpus: Any, options: dict[str, Any]) -> Retriever:
    from agentrl.envs.search.dense import Dense

    made: Retriever = _made(Dense, spec, options, model, _corpus(spec, corpus))
    return made


def _hybrid(spec: str, model: str, corpus: Any, options: dict[str, Any]) -> Retriever:
    from agentrl.envs.search.dense import Hybrid

    made: Retriever = _made(Hybrid, spec, options, model, _corpus(spec, corpus))
    return made


def _web(spec: str, url: str, _: Any, options: dict[str, Any]) -> Retriever:
    from agentrl.envs.search.web import Web

    made: Retriever = _made(Web, spec, options, spec.partition(":")[0], url)
    return made


KINDS: dict[str, tuple[Callable[[str, str, Any, dict[str, Any]], Retriever], str]] = {
    "bm25": (_bm25, ""),
    "dense": (_dense, "MODEL"),
    "hybrid": (_hybrid, "MODEL"),
    "serper": (_web, ""),
    "brave": (_web, ""),
    "tavily": (_web, ""),
    "searxng": (_web, "URL"),
}
"""Name of a retriever -> what makes it, and what must follow the name and a colon."""
