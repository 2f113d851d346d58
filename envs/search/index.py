"""BM25: the embedded default.

The index is `tantivy <https://github.com/quickwit-oss/tantivy>`_'s (BM25 with k1 = 1.2, b = 0.75). A passage is its
title and its text. Words are runs of letters and digits, lower-cased, without accents, and stemmed. A query is an
"or" of its different words; stop words count only where there is nothing else ("The Who"), which changes no ranking
that matters and makes long queries several times as fast. Equal scores are in the order of the corpus.

Small corpora, such as a generated encyclopedia, are indexed in memory in some milliseconds. Files, and anything
large, are indexed on disk and memory-mapped: see `agentrl.envs.search.folders`.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import tantivy

from agentrl.envs.search.folders import LARGE, built, cache_root, watched
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import Hit, RetrieverError
from agentrl.envs.search.store import PassageStore, key_of, open_corpus
from agentrl.errors import ConfigError

FORMAT = 1
"""Of the index; another number makes a new folder."""
MAX_WORD = 64
"""Longer words are not indexed, in bytes."""
MAX_CHARS, MAX_WORDS = 20_000, 256
"""What is read of a query."""
HEAP = {True: 1_000_000_000, False: 200_000_000}
"""Memory up to which an index is one segment (on disk, in memory). It is used as it is needed."""
STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this "
    "to was will with".split()
)
"""Lucene's."""

T = TypeVar("T")


class BM25:
    """Ranks passages by the words that they share with the query.

    Args:
        corpus: Passages, or a file or folder of them.
        cache: Folder for what is kept on disk; None is ``~/.cache/agentrl/search``.
        language: Of the stems, as Snowball calls it; ``none`` compares whole words.

    Raises:
        DataError: the corpus is missing, broken or empty.
        ConfigError: the language is not known.
    """

    name = "bm25"

    def __init__(
        self, corpus: Sequence[Passage] | str | Path, *, cache: str | Path | None = None, language: str = "english"
    ) -> None:
        self.passages = open_corpus(corpus, cache=cache) if isinstance(corpus, str | Path) else corpus
        """What is searched, in the order of the corpus."""
        self._words, self._stems = _analyser(None), _analyser(language)
        self._schema = _schema()
        self._where = "The index in memory"
        keep = isinstance(self.passages, PassageStore) or len(self.passages) >= LARGE
        self._searcher = self._kept(cache_root(cache), language) if keep else self._in_memory()

    def search(self, query: str, k: int) -> list[Hit]:
        """The best passages that share a word with the query, best first, at most ``k``.

        Raises:
            RetrieverError: the index cannot be read.
        """
        terms = self._terms(query)
        k = min(k, len(self.passages))
        if not terms or k < 1:
            return []
        any_of = [(tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "text", t, "freq")) for t in terms]
        found = _guarded(lambda: self._best(tantivy.Query.boolean_query(any_of), k), f"{self._where} cannot be read")
        return [Hit(self.passages[number], score) for score, number in found]

    def _terms(self, query: str) -> list[str]:
        """Different stems of a query, in its order."""
        clean = query[:MAX_CHARS].encode("utf-8", "replace").decode()
        words = self._words.analyze(clean)
        kept = [w for w in words if w not in STOP_WORDS] or words
        return list(dict.fromkeys(self._stems.analyze(" ".join(kept))))[:MAX_WORDS]

    def _best(self, query: tantivy.Query, k: int) -> list[tuple[float, int]]:
        """Scores and numbers. A segment has its passages in the order of the corpus, but segments have none: of an
        index of several, all passages that are as good as the last one are compared."""
        limit = k if self._searcher.num_segments == 1 else k + 16
        while True:
            hits = self._searcher.search(query, limit, count=False).hits
            whole = len(hits) < limit or limit == k or hits[-1][0] < hits[k - 1][0]
            if whole or limit >= len(self.passages):
                break
            limit *= 4
        numbers = self._searcher.fast_field_values("number", [address for _, address in hits])
        found = [(score, int(number or 0)) for (score, _), number in zip(hits, numbers, strict=True)]
        return sorted(found, key=lambda hit: (-hit[0], hit[1]))[:k]

    def _in_memory(self) -> tantivy.Searcher:
        index = tantivy.Index(self._schema)
        self._fill(index, on_disk=False)
        return _searcher(index)

    def _kept(self, root: Path, language: str) -> tantivy.Searcher:
        """Open the index in the cache; where the cache cannot be written, make one in memory, with a warning."""

        def build(folder: Path) -> None:
            self._fill(tantivy.Index(self._schema, path=str(folder)), on_disk=True)

        def opened() -> tantivy.Searcher:
            searcher = _searcher(tantivy.Index.open(self._writable(folder)))
            if searcher.num_docs != len(self.passages):
                raise ValueError(f"{searcher.num_docs} passages instead of {len(self.passages)}")
            return searcher

        folder = root / key_of(self.passages) / f"bm25-{FORMAT}-{version('tantivy')}-{language}"
        self._where = f"The index {folder}"
        try:
            built(folder, build)
            try:
                return _guarded(opened, f"{self._where} cannot be opened")
            except RetrieverError:
                built(folder, build, anew=True)
                return _guarded(opened, f"{self._where} cannot be opened although it is new")
        except OSError as error:
            warnings.warn(f"The cache {root} cannot be used ({error}): the index is held in memory.", stacklevel=4)
            return self._in_memory()

    def _writable(self, folder: Path) -> str:
        """The folder, or one of links to its files where it cannot be written: to open an index is to lock it."""
        if os.access(folder, os.W_OK):
            return str(folder)
        self._links = tempfile.TemporaryDirectory(prefix="agentrl-index-")  # goes with this object
        for file in folder.iterdir():
            if file.suffix != ".lock":
                Path(self._links.name, file.name).symlink_to(file.resolve())
        return self._links.name

    def _fill(self, index: tantivy.Index, *, on_disk: bool) -> None:
        index.register_tokenizer("stems", self._stems)
        index.config_reader("manual")  # by itself it would reload at the same time as us, and one would have to wait
        writer = index.writer(HEAP[on_disk], 1)  # one thread: the order of the corpus
        for number, p in enumerate(watched(self.passages, "indexing passages", len(self.passages))):
            document = tantivy.Document(number=number)
            document.add_text("text", _clean(p.title))
            document.add_text("text", _clean(p.text))
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    def __deepcopy__(self, memo: object) -> BM25:
        return self  # it cannot change


def _analyser(language: str | None) -> tantivy.TextAnalyzer:
    """Words of a text; stemmed, where a language is given.

    >>> _analyser("english").analyze("Beyoncé's films of 1999"), _analyser(None).analyze("Zoë's films")
    (['beyonc', 's', 'film', 'of', '1999'], ['zoe', 's', 'films'])
    """
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for each in (tantivy.Filter.remove_long(MAX_WORD), tantivy.Filter.lowercase(), tantivy.Filter.ascii_fold()):
        builder = builder.filter(each)
    if language not in (None, "none"):
        try:
            builder = builder.filter(tantivy.Filter.stemmer(language))
        except ValueError as error:
            raise ConfigError(
                f"No stems of the language '{language}': {error}. Give 'none' for whole words."
            ) from error
    return builder.build()


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", tokenizer_name="stems", index_option="freq")
    builder.add_integer_field("number", fast=True)
    return builder.build()


def _searcher(index: tantivy.Index) -> tantivy.Searcher:
    index.config_reader("manual")
    index.reload()
    return index.searcher()


def _clean(text: str) -> str:
    """Half characters (lone surrogates) are none that an index can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _guarded(act: Callable[[], T], what: str) -> T:
    """What the library raises, panics included, as a `RetrieverError`."""
    try:
        return act()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic is no Exception
        raise RetrieverError(f"{what}: {type(error).__name__}: {error}. Delete it, and it is built again.") from error
