"""Dense and hybrid retrieval with a model made here: word vectors, averaged (so that shared words are what counts)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sentence_transformers", reason="the extra 'dense' is not installed")

from agentrl.envs.search import dense as dense_module
from agentrl.envs.search.dense import Dense, Hybrid, best
from agentrl.envs.search.index import BM25
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import Hit, RetrieverError, open_retriever
from agentrl.errors import ConfigError, DataError

WORDS = "river mountain castle painter bridge harbour violin comet garden lantern forest winter copper meadow".split()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {w: i for i, w in enumerate(["[UNK]", "query", "passage", ":", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(vocabulary), 32)).astype(np.float32)
    folder = str(tmp_path_factory.mktemp("model") / "tiny")
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(folder)
    return folder


def corpus(size: int) -> list[Passage]:
    rng = random.Random(0)
    return [Passage(f"p{i}", f"{rng.choice(WORDS)}", " ".join(rng.choices(WORDS, k=6))) for i in range(size)]


def ids(hits: list[Hit]) -> list[str]:
    return [hit.passage.id for hit in hits]


def test_the_nearest_by_cosine_come_first(model: str) -> None:
    passages = corpus(200)
    dense = open_retriever(f"dense:{model}", passages, device="cpu")
    assert dense.name == f"dense:{model}"
    for seed in range(5):
        wanted = passages[seed * 31]
        hits = dense.search(f"{wanted.title} {wanted.text}", 5)
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert sorted(f"{hits[0].passage.title} {hits[0].passage.text}".split()) == sorted(
            f"{wanted.title} {wanted.text}".split()
        )
        assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_ties_keep_the_order_of_the_corpus(model: str) -> None:
    passages = [Passage(f"p{i}", "castle", "river") for i in range(30)]
    assert ids(Dense(model, passages, device="cpu").search("castle river", 4)) == ["p0", "p1", "p2", "p3"]


@pytest.mark.parametrize("query", ["", " ", "\ud800", "\x00", "unheard of", "castle " * 500_000])
def test_nothing_that_a_query_says_is_an_error(model: str, query: str) -> None:
    dense = Dense(model, corpus(20), device="cpu")
    assert len(dense.search(query, 50)) == (20 if query.strip() else 0)
    assert dense.search("castle", 0) == []


def test_embeddings_are_kept_memory_mapped_and_made_once(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_module, "CHUNK", 64)
    passages = corpus(200)
    first = Dense(model, passages, cache=tmp_path, device="cpu")
    assert isinstance(first._embeddings_ND, np.memmap)
    assert first._embeddings_ND.shape == (200, 32)
    encoded: list[int] = []
    encode = Dense._encode
    monkeypatch.setattr(Dense, "_encode", lambda *a: encoded.append(len(a[1])) or encode(*a))
    again = Dense(model, passages, cache=tmp_path, device="cpu")
    assert encoded == []
    assert again.search("castle river", 7) == first.search("castle river", 7)
    assert encoded == [1, 1]
    Dense(model, passages, cache=tmp_path, device="cpu", passage_prefix="passage: ")
    Dense(model, corpus(201), cache=tmp_path, device="cpu")
    folders = sorted(tmp_path.glob("*/dense-*"))
    assert len(folders) == 3
    file = next(f for f in folders if f.parent.name == dense_module.key_of(passages)) / "embeddings.npy"
    head = file.read_bytes()[:500]
    file.unlink()  # it is mapped: to cut it short in place would end this process
    file.write_bytes(head)
    assert Dense(model, passages, cache=tmp_path, device="cpu").search("castle river", 7) == again.search(
        "castle river", 7
    )


def test_other_weights_make_other_embeddings(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_module, "CHUNK", 8)
    Dense(model, corpus(20), cache=tmp_path, device="cpu")
    load = dense_module._load

    def changed(name: str, device: str | None) -> Any:
        loaded = load(name, device)
        next(loaded.parameters()).data[3, 3] += 1
        return loaded

    monkeypatch.setattr(dense_module, "_load", changed)
    Dense(model, corpus(20), cache=tmp_path, device="cpu")
    assert len(list(tmp_path.glob("*/dense-*"))) == 2


def test_prefixes_are_put_before_queries_and_passages(model: str) -> None:
    passages = [Passage("0", "", "query : castle"), Passage("1", "", "castle")]
    bare = Dense(model, passages, device="cpu")
    assert ids(bare.search("castle", 1)) == ["1"]
    assert ids(Dense(model, passages, device="cpu", query_prefix="query: ").search("castle", 1)) == ["0"]
    both = Dense(model, passages[1:], device="cpu", query_prefix="query: ", passage_prefix="query: ")
    assert both.search("castle", 1)[0].score == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "own", "expected"),
    [
        ("intfloat/e5-large-v2", {"query": "", "document": ""}, ("query: ", "passage: ")),
        ("intfloat/multilingual-e5-base", {}, ("query: ", "passage: ")),
        ("intfloat/multilingual-e5-large-instruct", {}, ("", "")),
        ("BAAI/bge-small-en-v1.5", {}, ("Represent this sentence for searching relevant passages: ", "")),
        ("BAAI/bge-m3", {}, ("", "")),
        ("my/e5-tuned", {"query": "q: ", "document": "d: "}, ("q: ", "d: ")),
        ("sentence-transformers/all-MiniLM-L6-v2", {}, ("", "")),
    ],
)
def test_known_families_have_their_authors_prefixes(name: str, own: dict[str, str], expected: tuple[str, str]) -> None:
    assert dense_module._usual(name, own) == expected


def test_hybrid_adds_up_reciprocal_ranks(model: str) -> None:
    passages = corpus(150)
    hybrid = open_retriever(f"hybrid:{model}", passages, device="cpu", depth=40)
    query = "castle violin river comet"
    expected: dict[str, float] = {}
    for part in (BM25(passages), Dense(model, passages, device="cpu")):
        for rank, name in enumerate(ids(part.search(query, 40)), 1):
            expected[name] = expected.get(name, 0.0) + 1 / (60 + rank)
    hits = hybrid.search(query, 40)
    assert len(expected) > len(hits) == 40
    assert [h.score for h in hits] == pytest.approx([expected[name] for name in ids(hits)])
    assert hits[-1].score >= sorted(expected.values(), reverse=True)[40] - 1e-12
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert hybrid.search(query, 3) == hits[:3]
    assert hybrid.search("", 3) == hybrid.search(query, -1) == []


def test_hybrid_over_a_file_shares_what_is_kept(model: str, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"title": "castle", "text": "river"}\n{"title": "comet", "text": "violin"}\n')
    hybrid = Hybrid(model, tmp_path / "c.jsonl", cache=tmp_path / "cache", device="cpu")
    assert hybrid.search("comet", 1)[0].passage == Passage("1", "comet", "violin")
    [folder] = [p for p in (tmp_path / "cache").iterdir() if p.name != "hashes"]
    assert sorted(p.name.partition("-")[0] for p in folder.iterdir() if p.is_dir()) == ["bm25", "dense", "passages"]


def test_a_model_that_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere' cannot be loaded"):
        Dense(str(tmp_path / "nowhere"), corpus(3))
    with pytest.raises(DataError):
        open_retriever(f"dense:{tmp_path}", str(tmp_path / "missing.jsonl"))


def test_a_model_that_fails_is_a_failure_of_the_retriever(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = Dense(model, corpus(3), device="cpu")

    def out_of_memory(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(dense._model, "encode", out_of_memory)
    with pytest.raises(RetrieverError, match="RuntimeError: out of memory"):
        dense.search("castle", 1)
    monkeypatch.setattr(dense._model, "encode", lambda *_, **__: np.full((1, 32), np.nan))
    with pytest.raises(RetrieverError, match="no numbers"):
        dense.search("castle", 1)


def test_best_takes_the_first_of_equals() -> None:
    scores = np.array([0, 1, 1, 0, 1, -1], dtype=np.float32)
    assert best(scores, 2) == [1, 2]
    assert best(scores, 4) == [1, 2, 4, 0]
    assert best(scores, 6) == [1, 2, 4, 0, 3, 5]
