"""Dense retrieval by embeddings of a sentence-transformers model, and its fusion with BM25.

Embeddings have unit length, so the score is the cosine. They are made once, in batches, and kept memory-mapped
beside the other files of the corpus (`agentrl.envs.search.folders`); every search compares the query with all of
them. That is exact and fit for some million passages; past that, run a retrieval server.

The hybrid adds up reciprocal ranks (Cormack et al. 2009): score(p) = sum over retrievers of 1 / (60 + rank of p).
"""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agentrl.envs.search.folders import built, cache_root, watched
from agentrl.envs.search.index import BM25
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import Hit, RetrieverError
from agentrl.envs.search.store import PassageStore, key_of, open_corpus
from agentrl.errors import ConfigError, MissingExtra

FORMAT = 1
"""Of the embeddings; another number makes a new folder."""
CHUNK = 2048
"""Passages that are encoded at once (in batches) and compared at once."""
MAX_CHARS = 20_000
"""What is read of a query."""
PREFIXES = {
    "e5": ("query: ", "passage: "),
    "bge": ("Represent this sentence for searching relevant passages: ", ""),
}
"""A word of a model's name -> what its authors put before queries and passages. They do not hold for models that say
themselves what belongs there, nor for those that want an instruction or speak other languages."""

Array = npt.NDArray[np.float32]


class Dense:
    """Ranks passages by the cosine of their embedding with the query's.

    Args:
        model: Name or folder of a sentence-transformers model.
        corpus: Passages, or a file or folder of them.
        cache: Folder for what is kept on disk; None is ``~/.cache/agentrl/search``.
        query_prefix: Put before a query; None is what the model says, or its authors (`PREFIXES`).
        passage_prefix: The same for passages.
        batch_size: Passages of a forward pass.
        device: Where the model runs, as PyTorch calls it; None is the best there is.

    Raises:
        MissingExtra: sentence-transformers is not installed.
        ConfigError: the model cannot be loaded.
        DataError: the corpus is missing, broken or empty.
    """

    def __init__(
        self,
        model: str,
        corpus: Sequence[Passage] | str | Path,
        *,
        cache: str | Path | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        self.name = f"dense:{model}"
        self.passages = open_corpus(corpus, cache=cache) if isinstance(corpus, str | Path) else corpus
        """What is searched, in the order of the corpus."""
        self._model = _load(model, device)
        self._lock = threading.Lock()
        own = self._model.prompts
        usual = _usual(model, own)
        self._query_prefix = usual[0] if query_prefix is None else query_prefix
        self._passage_prefix = usual[1] if passage_prefix is None else passage_prefix
        self._batch = batch_size
        self._embeddings_ND = self._kept(cache_root(cache))

    def search(self, query: str, k: int) -> list[Hit]:
        """The nearest passages, best first, at most ``k``; equal ones in the order of the corpus.

        Raises:
            RetrieverError: the model fails.
        """
        query = query[:MAX_CHARS].encode("utf-8", "replace").decode()
        k = min(k, len(self.passages))
        if not query.strip() or k < 1:
            return []
        try:
            with self._lock:
                query_D = self._encode([query], self._query_prefix)[0]
            scores_N = np.round(self._embeddings_ND @ query_D, 6)  # equal passages: equal scores
        except Exception as error:
            raise RetrieverError(f"{self.name} cannot encode a query: {type(error).__name__}: {error}") from error
        if not np.isfinite(scores_N).all():
            raise RetrieverError(
                f"{self.name} gives scores that are no numbers for '{query[:80]}'. Is the model whole?"
            )
        return [Hit(self.passages[i], float(scores_N[i])) for i in best(scores_N, k)]

    def _encode(self, texts: list[str], prefix: str) -> Array:
        """Embeddings of unit length, [len(texts), D]."""
        encoded = self._model.encode(
            [prefix + text for text in texts],
            prompt="",  # instead of a default prompt of the model's
            batch_size=self._batch,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(encoded, dtype=np.float32)

    def _encoded(self) -> Array:
        """Embeddings of all passages in memory."""
        return np.concatenate(list(self._chunks()))

    def _chunks(self) -> Any:
        starts = range(0, len(self.passages), CHUNK)
        for start in watched(starts, "encoding passages", len(starts), large=8):
            texts = [f"{p.title}\n{p.text}".strip() for p in self.passages[start : start + CHUNK]]
            yield self._encode(texts, self._passage_prefix)

    def _kept(self, root: Path) -> Array:
        """Open the embeddings in the cache; where it cannot be written, make them in memory, with a warning."""
        if not isinstance(self.passages, PassageStore) and len(self.passages) < CHUNK:
            return self._encoded()

        def build(folder: Path) -> None:
            width = self._encode(["a"], self._passage_prefix).shape[1]
            file = folder / "embeddings.npy"
            shape = (len(self.passages), width)
            whole_ND = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
            at = 0
            for chunk in self._chunks():
                whole_ND[at : at + len(chunk)] = chunk
                at += len(chunk)
            whole_ND.flush()

        def opened() -> Array:
            array: Array = np.load(folder / "embeddings.npy", mmap_mode="r")
            if len(array) != len(self.passages):
                raise ValueError("the embeddings do not fit the corpus")
            return array

        folder = root / key_of(self.passages) / f"dense-{FORMAT}-{_fingerprint(self._model, self._passage_prefix)}"
        try:
            built(folder, build)
            try:
                return opened()
            except ValueError:
                built(folder, build, anew=True)
                return opened()
        except OSError as error:
            warnings.warn(f"The cache {root} cannot be used ({error}): embeddings are held in memory.", stacklevel=3)
            return self._encoded()

    def __deepcopy__(self, memo: object) -> Dense:
        return self  # it cannot change


class Hybrid:
    """BM25 and `Dense`, fused by reciprocal rank.

    Args:
        model: As for `Dense`; so are ``query_prefix``, ``passage_prefix``, ``batch_size`` and ``device``.
        corpus: Passages, or a file or folder of them.
        cache: Folder for what is kept on disk; None is ``~/.cache/agentrl/search``.
        language: As for `BM25`.
        depth: Passages of either ranking that are fused; at least as many as are asked for.
        constant: Added to each rank.
    """

    def __init__(
        self,
        model: str,
        corpus: Sequence[Passage] | str | Path,
        *,
        cache: str | Path | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        batch_size: int = 64,
        device: str | None = None,
        language: str = "english",
        depth: int = 100,
        constant: float = 60.0,
    ) -> None:
        self.name = f"hybrid:{model}"
        self.passages = open_corpus(corpus, cache=cache) if isinstance(corpus, str | Path) else corpus
        """What is searched, in the order of the corpus."""
        self._parts = (
            BM25(self.passages, cache=cache, language=language),
            Dense(
                model,
                self.passages,
                cache=cache,
                query_prefix=query_prefix,
                passage_prefix=passage_prefix,
                batch_size=batch_size,
                device=device,
            ),
        )
        self._depth, self._constant = depth, constant

    def search(self, query: str, k: int) -> list[Hit]:
        """The best passages by the sum of reciprocal ranks, at most ``k``; of equal ones, BM25's first.

        Raises:
            RetrieverError: one of the two fails.
        """
        scores: dict[Passage, float] = {}
        for part in self._parts:
            for rank, hit in enumerate(part.search(query, max(k, self._depth)), 1):
                scores[hit.passage] = scores.get(hit.passage, 0.0) + 1 / (self._constant + rank)
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        return [Hit(p, score) for p, score in ranked[: max(0, k)]]


def best(scores_N: Array, k: int) -> list[int]:
    """Places of the ``k`` highest scores, best first, equal ones in order.

    >>> best(np.array([1, 3, 2, 3, 2], dtype=np.float32), 4)
    [1, 3, 2, 4]
    """
    if k < len(scores_N):
        least = np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k]
        above, equal = np.flatnonzero(scores_N > least), np.flatnonzero(scores_N == least)
        places = np.concatenate([above, equal[: k - len(above)]])
    else:
        places = np.arange(len(scores_N))
    order = np.lexsort((places, -scores_N[places]))
    chosen: list[int] = places[order].tolist()
    return chosen


def _load(model: str, device: str | None) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtra("sentence-transformers", "dense") from None
    try:
        return SentenceTransformer(model, device=device)
    except Exception as error:  # of many kinds: no such model, no network, a broken file, no such device
        raise ConfigError(
            f"The sentence-transformers model '{model}' cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _usual(model: str, own: dict[str, str]) -> tuple[str, str]:
    """Prefixes of queries and passages: the model's own, else those of its family, else none.

    >>> _usual("intfloat/e5-base-v2", {})
    ('query: ', 'passage: ')
    >>> _usual("some/model", {"query": "find: "})
    ('find: ', '')
    """
    query = own.get("query") or ""
    passage = own.get("document") or own.get("passage") or ""
    words = Path(model).name.lower().replace("_", "-").split("-")
    if not query and not passage and "instruct" not in words and "m3" not in words:
        query, passage = next((pair for name, pair in PREFIXES.items() if name in words), ("", ""))
    return query, passage


def _fingerprint(loaded: Any, prefix: str) -> str:
    """Hash of all that embeddings depend on: the weights themselves, since a name or folder can change."""
    whole = hashlib.sha256(f"{prefix} {loaded.get_max_seq_length()} {loaded}".encode())
    for name, tensor in sorted(loaded.state_dict().items()):
        whole.update(name.encode())
        whole.update(tensor.detach().float().cpu().numpy().tobytes())
    return whole.hexdigest()[:32]
