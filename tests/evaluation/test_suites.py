"""Suites: those that come along, a user's own, data that are missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eval_toys import written

from agentrl.errors import ConfigError, DataError, UnknownName
from agentrl.evaluation.command import main
from agentrl.evaluation.store import read
from agentrl.evaluation.suites import load_suite, names

OWN = """
name = "mine"
version = "3"
comparable = "nothing"
metrics = ["success", "turns"]

[[parts]]
name = "few"
env = "{env}"
settings = {{ most = 10 }}
tasks = 6
attempts = 2

[[parts]]
name = "many"
env = "{env}"
tasks = 9
first = 100
max_turns = 1
"""


@pytest.mark.parametrize("name", names())
def test_suites_say_what_they_are(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name and suite.version and suite.about and suite.comparable
    assert bool(suite.needs) == ("{data}" in str([p.settings for p in suite.parts]))
    for part in suite.parts:
        assert part.env_settings().name == part.env
        if not suite.needs:  # the settings are those of the environment's constructor
            part.env_settings().make(split=part.split).close()


def test_core_suites_are_there() -> None:
    assert {"core", "webshop-500", "alfworld-134", "alfworld-140", "tools", "memory", "gui"} <= set(names())


@pytest.mark.parametrize("name", ["webshop-500", "alfworld-134"])
def test_missing_data_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs data: .* Name them with --data PATH"):
        main(["--suite", name, "--model", "expert"])
    with pytest.raises(DataError, match="nothing at --data"):
        main(["--suite", name, "--model", "expert", "--data", str(tmp_path / "not-here")])
    with pytest.raises(DataError):  # the environment's own message: an empty folder
        main(["--suite", name, "--model", "expert", "--data", str(tmp_path)])


def test_webshop_500_is_the_500_goals(shared_data: Path, tmp_path: Path) -> None:
    words = ["--suite", "webshop-500", "--data", str(shared_data / "webshop"), "--model", "expert"]
    assert main([*words, "--limit", "40", "--out", str(tmp_path / "out")]) == 0
    assert len(read(tmp_path / "out")) == 40
    part = load_suite("webshop-500").with_data(shared_data / "webshop").parts[0]
    env = part.env_settings().make(split=part.split)
    assert sorted(env.goal_numbers[part.seed(i) % len(env.goal_numbers)] for i in range(500)) == list(range(500))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "games"), [("alfworld-134", 134), ("alfworld-140", 140)])
def test_alfworld_suites_are_all_games_of_a_split(name: str, games: int, shared_data: Path, tmp_path: Path) -> None:
    data = shared_data / "alfworld" / "alfworld_valid_274.jsonl.xz"
    part = load_suite(name).with_data(data).parts[0]
    env = part.env_settings().make(split=part.split)
    assert len({env.game_numbers[part.seed(i) % len(env.game_numbers)] for i in range(part.tasks)}) == games  # type: ignore[attr-defined]
    assert (
        main(["--suite", name, "--data", str(data), "--limit", "3", "--model", "expert", "--out", str(tmp_path)]) == 0
    )
    assert all(o.won for o in read(tmp_path))


def test_a_suite_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OWN.format(env=written(tmp_path, "Even")))
    assert main(["--suite", str(file), "--model", "noisy", "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert (
        "suite mine (version 3), 15 tasks, 21 episodes" in text and "few, 6 tasks" in text and "many, 9 tasks" in text
    )
    found = read(tmp_path / "out")
    assert [o.part for o in found] == ["few"] * 12 + ["many"] * 9
    assert [o.task for o in found if o.part == "many"] == list(range(100, 109))
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["parts"]["few"]["tasks"] == 6 and summary["suite"]["version"] == "3"
    assert "comparable to: nothing" in (tmp_path / "out" / "report.html").read_text()
    file.write_text(file.read_text().replace("most = 10", "most = 20"))
    with pytest.raises(Exception, match=r"parts.0.settings.most was 10, is 20"):
        main(["--suite", str(file), "--model", "noisy", "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = 'x'\nparts = []", "has no"),
        ("name = 'x'", "parts: Field required"),
        ("name = ", "cannot be read"),
        ("name = 'x'\nparts = [{name='a', env='webshop', tasks=0}]", "tasks and attempts"),
        ("name = 'x'\nparts = [{name='a', env='webshop', tasks=1, sed=3}]", "parts.0.sed"),
        ("name = 'x'\nparts = [{name='a', env='webshop', tasks=1}, {name='a', env='webshop', tasks=1}]", "two parts"),
        ("name = 'x'\nmetrics = ['speed']\nparts = [{name='a', env='webshop', tasks=1}]", "metrics.0"),
    ],
)
def test_broken_suites_name_the_file_and_what_is_wrong(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(DataError, match=rf"s\.toml.*{told}"):
        load_suite(str(file))


def test_wrong_names_are_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="webshop-500"):
        load_suite("webshop-50")
    with pytest.raises(DataError, match="There is no suite file"):
        load_suite(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="leave --env out"):
        main(["--suite", "core", "--env", "webshop", "--model", "expert"])
    with pytest.raises(ConfigError, match="leave --data out"):
        main(["--suite", "core", "--data", str(tmp_path), "--model", "expert"])
