"""Choosing a retriever by a setting."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.search.index import BM25
from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import RetrieverError, open_retriever
from agentrl.errors import AgentRLError, ConfigError, DataError, MissingExtra, UnknownName

PASSAGES = [Passage("0", "castle", "river")]


@pytest.mark.parametrize("spec", [None, "bm25", " bm25 "])
def test_bm25_is_the_default(spec: str | None) -> None:
    chosen = open_retriever(spec, PASSAGES)
    assert isinstance(chosen, BM25)
    assert chosen.search("castle", 1)[0].passage == PASSAGES[0]


def test_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Castle\n\nOn a river.")
    chosen = open_retriever("bm25", tmp_path, cache=tmp_path / ".cache")
    assert chosen.search("river", 1)[0].passage.title == "Castle"
    with pytest.raises(DataError, match="no such file"):
        open_retriever("bm25", str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("bm52", "Did you mean 'bm25'"),
        ("ftp://x/retrieve", "http://HOST/PATH"),
        ("", "searches a corpus"),
        ("bm25", "searches a corpus"),
        ("bm25:x", "Write the retriever 'bm25' as 'bm25'"),
        ("dense", "as 'dense:MODEL'"),
        ("hybrid:", "as 'hybrid:MODEL'"),
        ("dense:m", "searches a corpus"),
        ("searxng", "as 'searxng:URL'"),
    ],
)
def test_what_cannot_be_chosen_is_said(spec: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_retriever(spec, None)


def test_unknown_options_are_said() -> None:
    with pytest.raises(UnknownName, match=r"option of the retriever 'bm25' 'langauge'\. Did you mean 'language'"):
        open_retriever("bm25", PASSAGES, langauge="german")


def test_options_may_be_part_of_the_setting(tmp_path: Path) -> None:
    german = open_retriever("bm25#language=german", [Passage("0", "Häuser", "")])
    assert german.search("haus", 1)
    assert not open_retriever("bm25", [Passage("0", "Häuser", "")]).search("haus", 1)
    spec = f"searxng:http://my.test:8888#cache_mode=offline,results=3,price=0.5,cache={tmp_path}/a%2Cb.sqlite"
    web = open_retriever(spec, None)
    assert web.name == "searxng:http://my.test:8888"
    with pytest.raises(RetrieverError, match=r"a,b\.sqlite.*results=3"):
        web.search("x", 1)
    assert open_retriever("http://x.test/retrieve#deadline=60,retries=0", None).name == "http://x.test/retrieve"
    assert open_retriever("bm25#language=german", PASSAGES, language="none").search("rivers", 1) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("lang=german", "Did you mean 'language'"),
        ("language", "as 'bm25#name=value"),
        ("language=german,,", "as 'bm25#name=value"),
        ("language=", "as 'bm25#name=value"),
    ],
)
def test_options_that_cannot_be_read_are_said(options: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_retriever(f"bm25#{options}", PASSAGES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("retries=many", "'retries' .* takes a whole number, not 'many'"),
        ("deadline=1e", "'deadline' .* takes a number, not '1e'"),
        ("headers=x", "'headers' .* takes what no setting can say"),
        ("deadline=nan", "must be above 0"),
    ],
)
def test_options_of_the_wrong_type_are_said(options: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_retriever(f"http://x.test/retrieve#{options}", None)


@pytest.mark.parametrize(
    ("spec", "missing", "extra"),
    [
        ("dense:m", "sentence_transformers", "dense"),
        ("http://127.0.0.1:1/retrieve", "httpx", "search"),
        ("searxng:http://127.0.0.1:1", "httpx", "search"),
    ],
)
def test_missing_libraries_name_their_extra(
    spec: str, missing: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=rf"\[{extra}\]"):
        open_retriever(spec, PASSAGES)


def test_nothing_heavy_is_imported_for_bm25() -> None:
    code = (
        "import sys; from agentrl.envs.search.retrievers import open_retriever; "
        "from agentrl.envs.search.passages import Passage; "
        "open_retriever(None, [Passage('0', 'a', 'b')]).search('a', 1); "
        "sys.exit(str(sorted({'torch', 'httpx', 'sentence_transformers', 'rich', 'sqlite3'} & sys.modules.keys())))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.stderr == "[]\n"


def test_a_retriever_that_fails_is_the_users_to_mend() -> None:
    assert issubclass(RetrieverError, AgentRLError)
    assert not issubclass(RetrieverError, ConfigError)
