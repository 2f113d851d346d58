"""A retrieval server in the shape of Search-R1's (Jin et al. 2025, arXiv:2503.09516).

    POST {"queries": ["..."], "topk": 3, "return_scores": true}
    ->   {"result": [[{"document": {"id": "0", "contents": "\\"title\\"\\ntext"}, "score": 0.8}, ...]]}

Servers that leave out the scores give a list of documents; {"title", "text"} instead of "contents" is read too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentrl.envs.search.fetching import Fetcher
from agentrl.envs.search.passages import Passage, passage
from agentrl.envs.search.retrievers import Hit, RetrieverError
from agentrl.errors import ConfigError

if TYPE_CHECKING:
    import httpx

MAX_CHARS = 20_000
"""What is sent of a query."""


class Remote:
    """Asks a retrieval server.

    Args:
        url: The whole address, such as ``http://127.0.0.1:8000/retrieve``.
        timeout: Seconds to wait for a connection, and for each piece of an answer.
        deadline: Seconds for a search, further tries included.
        retries: Tries after the first, when the connection fails or the server says "later".
        headers: Sent along, such as ``{"Authorization": "Bearer ..."}``.
        transport: How requests are sent; None is the network.

    Raises:
        ConfigError: the address is none.
        MissingExtra: httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        deadline: float = 30.0,
        retries: int = 2,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")) or len(url.split("/")[2]) == 0:
            raise ConfigError(f"The address of a retrieval server is like http://127.0.0.1:8000/retrieve, not '{url}'.")
        self.name = self._url = url
        self._headers = dict(headers or {})
        cure = "Is the server up, and is this the address of its /retrieve?"
        self._fetcher = Fetcher(
            "The retrieval server", cure, timeout=timeout, deadline=deadline, retries=retries, transport=transport
        )

    def search(self, query: str, k: int) -> list[Hit]:
        """The best passages, best first, at most ``k``; where the server gives no scores, 1 over the rank.

        Raises:
            RetrieverError: the server is down, slow, or its answer is of another shape.
        """
        query = query[:MAX_CHARS].encode("utf-8", "replace").decode()
        if not query.strip() or k < 1:
            return []
        body = {"queries": [query], "topk": k, "return_scores": True}
        answer = self._fetcher.fetch("POST", self._url, json=body, headers=self._headers)
        return [self._hit(item, rank) for rank, item in enumerate(self._list(answer)[:k], 1)]

    def _list(self, answer: Any) -> list[Any]:
        """The results of our one query."""
        if not isinstance(answer, Mapping) or not isinstance(answer.get("result"), list):
            found = (
                f"an object with {sorted(map(str, answer))[:8]}" if isinstance(answer, Mapping) else repr(answer)[:80]
            )
            raise self._wrong(f'{{"result": [[...]]}} was expected, not {found}')
        lists = answer["result"]
        if len(lists) != 1 or not isinstance(lists[0], list):
            kinds = "things that are no list" if len(lists) == 1 else f"{len(lists)} lists"
            raise self._wrong(f"one list of results was expected for one query, not {kinds}")
        return lists[0]

    def _hit(self, item: Any, rank: int) -> Hit:
        scored = isinstance(item, Mapping) and "document" in item
        document, score = (item["document"], item.get("score")) if scored else (item, None)
        if isinstance(document, str):
            document = {"contents": document}
        try:
            found = passage(document, 0)
        except ValueError as error:
            raise self._wrong(f"result {rank} is no passage: {error}") from error
        if score is None:
            score = 1 / rank
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise self._wrong(f"the score of result {rank} is {str(score)[:40]!r}, not a finite number")
        return Hit(found if _named(document) else _by_content(found), float(score))

    def _wrong(self, what: str) -> RetrieverError:
        return self._fetcher.error(self._url, f"its answer is of another shape: {what}")

    def close(self) -> None:
        """Close its connections."""
        self._fetcher.close()


def _named(document: Mapping[str, Any]) -> bool:
    return any(document.get(key) is not None for key in ("id", "_id", "docid"))


def _by_content(p: Passage) -> Passage:
    """The same passage, with a hash of what it says as its id."""
    return Passage(hashlib.sha256(f"{p.title}\n{p.text}".encode()).hexdigest()[:16], p.title, p.text)
