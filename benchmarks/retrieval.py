"""Retrieval of the search environment: what it finds, and how fast.

    python benchmarks/retrieval.py --data ../shared/data/qa            # quality on HotpotQA and 2WikiMultihopQA, speed
    python benchmarks/retrieval.py --data DIR --dense MODEL            # besides: dense and hybrid, with that model
    python benchmarks/retrieval.py --data DIR --candidates             # besides: bm25s and SQLite FTS5, if installed

Quality: recall@k is the mean share of a question's supporting titles among the first k passages; answer@k is the
share of questions with an answer, normalised, in one of them. HotpotQA's corpus is all contexts of its questions;
2WikiMultihopQA's holds the answers of a part of its questions only, and its supporting titles are not published.

Speed: passages are generated (about 70 words, Zipf-distributed over 200,000 words that begin with English stop
words); a query is six words of one passage, and finds five passages. Indexes are built and opened in processes of
their own. "start" is opening a built index, with its first search and without imports. Times are processor time, all
threads together, so that a busy machine measures what an idle one does; only those of the start are by the clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agentrl.envs.search.index import STOP_WORDS
from agentrl.envs.search.passages import Passage, read_corpus
from agentrl.envs.search.retrievers import open_retriever
from agentrl.rewards.text import normalize

DEPTHS = (1, 3, 5, 10)
TINY = (50, 200, 2000)
WORDS = 200_000
Find = Callable[[str, int], list[Passage]]


class Asked(NamedTuple):
    """A question with what should be found."""

    text: str
    titles: set[str]
    answers: list[str]


# -- data ------------------------------------------------------------------------------------------------


def hotpotqa(folder: Path) -> tuple[list[Passage], list[Asked]]:
    """All contexts of the questions as one corpus."""
    rows = json.loads((folder / "hotpotqa_distractor_100.json").read_text(encoding="utf-8"))
    texts: dict[str, str] = {}
    for row in rows:
        for title, sentences in zip(row["context"]["title"], row["context"]["sentences"], strict=True):
            texts.setdefault(title, "".join(sentences))
    questions = [Asked(r["question"], set(r["supporting_facts"]["title"]), [r["answer"]]) for r in rows]
    return [Passage(str(i), *item) for i, item in enumerate(texts.items())], questions


def two_wiki(folder: Path) -> tuple[list[Passage], list[Asked]]:
    """The corpus and the questions, whose supporting titles are not known."""
    lines = (folder / "2wiki.test.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [Asked(row["question"], set(), row["answer"]) for row in map(json.loads, lines)]
    return list(read_corpus(folder / "2wiki_corpus.json.xz")), questions


def vocabulary() -> np.ndarray[Any, Any]:
    """Stop words, then words of random letters."""
    rng = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    made = ["".join(letters[np.minimum(rng.zipf(1.4, n), 26) - 1]) for n in rng.integers(4, 11, WORDS)]
    return np.array([*sorted(STOP_WORDS), *made][:WORDS], dtype=object)


def generated(count: int, seed: int = 0) -> Iterator[Passage]:
    """Passages of 40 to 100 words; the title is three of them."""
    rng, words = np.random.default_rng(seed), vocabulary()
    chances = np.cumsum(1 / np.arange(1, WORDS + 1))
    for start in range(0, count, 5000):
        lengths = rng.integers(40, 101, min(5000, count - start))
        drawn = words[np.searchsorted(chances, rng.random(lengths.sum()) * chances[-1])]
        for i, text in enumerate(np.split(drawn, np.cumsum(lengths)[:-1]), start):
            rare = [w for w in text if w not in STOP_WORDS]
            yield Passage(str(i), " ".join(rare[:3]), " ".join(text))


def queries(passages: Sequence[Passage], count: int = 400) -> list[str]:
    """Six words, no stop words, of random passages."""
    rng = np.random.default_rng(2)
    texts = [passages[int(i)].text.split() for i in rng.integers(0, len(passages), count)]
    return [" ".join(rng.permutation([w for w in text if w not in STOP_WORDS])[:6]) for text in texts]


# -- measures --------------------------------------------------------------------------------------------


def quality(find: Find, questions: list[Asked]) -> list[str]:
    """Recall and answer presence at each depth, in percent."""
    cells = []
    for k in DEPTHS:
        recall, present = [], 0
        for question in questions:
            found = find(question.text, k)
            if question.titles:
                recall.append(len({p.title for p in found} & question.titles) / len(question.titles))
            texts = [f" {normalize(f'{p.title} {p.text}')} " for p in found]
            present += any(f" {normalize(a)} " in text for a in question.answers for text in texts)
        share = f"{100 * float(np.mean(recall)):.1f}" if recall else "-"
        cells.append(f"{share} / {100 * present / len(questions):.1f}")
    return cells


def rate(find: Find, asked: list[str], seconds: float = 2.0) -> float:
    """Searches for five passages in a second of one core."""
    done, start = 0, time.thread_time()
    while (spent := time.thread_time() - start) < seconds:
        find(asked[done % len(asked)], 5)
        done += 1
    return done / spent


def finder(retriever: Any) -> Find:
    return lambda query, k: [hit.passage for hit in retriever.search(query, k)]


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def opened(spec: str, file: str, cache: str, query: str) -> tuple[float, float, float]:
    """Seconds to open (and build, the first time), by the clock and of the processor; memory it took at most, in MB."""
    before = resident("VmRSS")
    start, spent = time.perf_counter(), time.process_time()
    open_retriever(spec, file, cache=cache).search(query, 5)
    return time.perf_counter() - start, time.process_time() - spent, resident("VmHWM") - before


def resident(field: str) -> float:
    """Memory of this process in MB, now or at most; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text() if status.exists() else "")
    return int(found[1]) / 1e3 if found else 0.0


def megabytes(folder: Path, pattern: str) -> float:
    return sum(f.stat().st_size for f in folder.glob(pattern) if f.is_file()) / 1e6


# -- other libraries, for the choice ---------------------------------------------------------------------


def bm25s_finder(passages: Sequence[Passage]) -> Find:
    """bm25s with the same stop words, stemmed by snowballstemmer."""
    import bm25s
    import snowballstemmer
    from bm25s.tokenization import Tokenizer

    stem = snowballstemmer.stemmer("english").stemWord
    tokens = Tokenizer(stemmer=stem, stopwords=sorted(STOP_WORDS))
    texts = [f"{p.title}\n{p.text}" for p in passages]
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(tokens.tokenize(texts, return_as="tuple", show_progress=False), show_progress=False)

    def find(query: str, k: int) -> list[Passage]:
        [ids] = tokens.tokenize([query], update_vocab=False, show_progress=False)
        if not len(ids):
            return []
        scores = index.get_scores_from_ids(list(ids))
        places = np.argpartition(-scores, min(k, len(scores) - 1))[:k]
        return [passages[int(i)] for i in places[np.argsort(-scores[places], kind="stable")] if scores[i] > 0]

    return find


def fts5_finder(passages: Sequence[Passage]) -> Find:
    """SQLite's full-text search, in memory, with Porter stems."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.execute("CREATE VIRTUAL TABLE texts USING fts5(body, tokenize='porter unicode61', content='')")
    rows = ((i, f"{p.title}\n{p.text}") for i, p in enumerate(passages))
    connection.executemany("INSERT INTO texts(rowid, body) VALUES (?, ?)", rows)
    statement = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT ?"

    def find(query: str, k: int) -> list[Passage]:
        words = [w for w in re.findall(r"\w+", query.lower()) if w not in STOP_WORDS]
        match = " OR ".join(f'"{w}"' for w in words)
        return [passages[i] for (i,) in connection.execute(statement, (match, k))] if words else []

    return find


Makers = dict[str, Callable[[Sequence[Passage]], Find]]


def makers(dense: str | None, candidates: bool) -> Makers:
    """What is measured: name -> an index in memory over some passages."""
    made: Makers = {"bm25": lambda passages: finder(open_retriever("bm25", passages))}
    for spec in (f"dense:{dense}", f"hybrid:{dense}") if dense else ():
        made[spec] = lambda passages, spec=spec: finder(open_retriever(spec, passages))  # type: ignore[misc]
    if candidates:
        if importlib.util.find_spec("bm25s"):
            made["(bm25s)"] = bm25s_finder
        made["(SQLite FTS5)"] = fts5_finder
    return made


# -- tables ----------------------------------------------------------------------------------------------


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n")
    for line in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(line)} |")


def measure_quality(folder: Path, made: Makers) -> None:
    rows = []
    for name, load in (("HotpotQA, 100 questions", hotpotqa), ("2WikiMultihopQA, 200 questions", two_wiki)):
        passages, questions = load(folder)
        for kind, make in made.items():
            find = make(passages)
            speed = rate(find, [q.text for q in questions])
            cells = [f"{name}, {len(passages):,} passages", kind, *quality(find, questions), f"{speed:,.0f}"]
            rows.append(cells)
    head = ["data", "retriever", *(f"recall / answer @{k}" for k in DEPTHS), "queries/s"]
    table("Quality (%), and speed in memory", head, rows)


def measure_tiny(made: Makers) -> None:
    whole, rows = list(generated(max(TINY))), []
    for count in TINY:
        passages = whole[:count]
        for kind, make in made.items():
            times = []
            for _ in range(7):
                start = time.process_time()
                find = make(passages)
                times.append(time.process_time() - start)
            speed = rate(find, queries(passages), seconds=1)
            rows.append([f"{count:,}", kind, f"{1e3 * float(np.median(times)):.1f} ms", f"{1e6 / speed:.0f} µs"])
    table("Small corpora, in memory", ["passages", "retriever", "build (median of 7)", "search"], rows)


def measure_large(count: int, spec: str) -> list[str]:
    """A row: build, memory, sizes, start and speed of a corpus on disk."""
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name, "cache")
        file = folder / "corpus.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            for p in generated(count):
                lines.write(json.dumps({"id": p.id, "title": p.title, "text": p.text}) + "\n")
        time.sleep(2.1)  # younger files are hashed at each start
        _, build, memory = apart(opened, spec, str(file), str(cache), "river")
        start = min(apart(opened, spec, str(file), str(cache), "river")[0] for _ in range(3))
        retriever = open_retriever(spec, file, cache=cache)
        asked = queries(retriever.passages)  # type: ignore[attr-defined]
        size = megabytes(cache, "*/*-*/*"), megabytes(cache, "*/passages/*")
        cells = [f"{count:,}", spec, f"{build:.1f} s", f"{memory:,.0f} MB", f"{size[0]:,.1f} MB"]
        return [*cells, f"{size[1]:,.1f} MB", f"{1e3 * start:.0f} ms", f"{rate(finder(retriever), asked):,.0f}"]


def measure_candidates(count: int, made: Makers) -> None:
    passages, rows = list(generated(count)), []
    for kind, make in made.items():
        start = time.process_time()
        find = make(passages)
        build = time.process_time() - start
        rows.append([f"{count:,}", kind, f"{build:.1f} s", f"{rate(find, queries(passages)):,.0f}"])
    head = ["passages", "library", "build in memory", "queries/s"]
    table("The choice of the library", head, rows)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with hotpotqa_distractor_100.json and the 2wiki files")
    parser.add_argument("--dense", metavar="MODEL", help="a sentence-transformers model, measured dense and hybrid")
    parser.add_argument("--candidates", action="store_true", help="measure other libraries, too")
    parser.add_argument("--passages", type=int, nargs="*", default=[6000, 1_000_000], help="sizes of corpora on disk")
    arguments = parser.parse_args()
    if arguments.data and not (arguments.data / "2wiki_corpus.json.xz").is_file():
        parser.error(f"{arguments.data} has no 2wiki_corpus.json.xz")
    made = makers(arguments.dense, arguments.candidates)
    if arguments.data:
        measure_quality(arguments.data, made)
    measure_tiny(made)
    rows = [measure_large(count, "bm25") for count in arguments.passages]
    head = ["passages", "retriever", "build", "memory", "index", "passages on disk", "start"]
    table("Corpora on disk", [*head, "queries/s"], rows)
    if arguments.candidates:
        measure_candidates(100_000, {kind: make for kind, make in made.items() if kind == "bm25" or kind[0] == "("})


if __name__ == "__main__":
    main()
