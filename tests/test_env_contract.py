"""Every registered environment, and the one that `agentrl envs new` writes, keeps the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import agentrl
from agentrl import registry, scaffold
from agentrl.envcheck import check
from agentrl.envs.gui.browser.errors import NoBrowser
from agentrl.errors import ConfigError, RunError
from agentrl.sandboxes import SandboxUnavailable

IN_A_BROWSER = {"gui-browser", "miniwob"}
"""Their steps take tens of milliseconds, more on a busy machine."""


def skip_without_what_it_needs(name: str) -> None:
    """Some environments run code, which needs a tier of sandboxes that works here; some need a browser."""
    try:
        env = agentrl.make(name)
        env.reset(seed=0)
        env.close()
    except (SandboxUnavailable, NoBrowser) as error:
        pytest.skip(str(error))


def marked(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow) if name in IN_A_BROWSER else name


@pytest.mark.parametrize("name", [marked(name) for name in sorted(registry.specs())])
def test_registered_environment(name: str) -> None:
    skip_without_what_it_needs(name)
    report = check(name, deadline=60, step_ms=400) if name in IN_A_BROWSER else check(name)
    assert report.ok, str(report)
    judged = {line.check for line in report.lines if line.outcome == "PASS"}
    assert {"contract", "determinism", "snapshot", "no-op", "random", "reward", "splits", "speed"} <= judged


@pytest.mark.parametrize("name", sorted(n for n, s in registry.specs().items() if s.gymnasium_id))
def test_gymnasium_knows_it(name: str) -> None:
    skip_without_what_it_needs(name)
    env = gymnasium.make(registry.spec(name).gymnasium_id)
    observation, info = env.reset(seed=3)
    assert observation == agentrl.make(name).reset(seed=3)[0]
    assert isinstance(info, dict)
    env.close()


def test_what_new_writes_works_at_once(tmp_path: Path) -> None:
    files = scaffold.write(tmp_path / "my_env")
    lines = files[0].read_text().splitlines()
    assert len(lines) <= 50
    report = check(f"{files[0]}:MyEnv")
    assert report.ok, str(report)
    assert all(line.outcome == "PASS" for line in report.lines), str(report)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(files[1])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_what_new_writes_is_clean(tmp_path: Path) -> None:
    files = scaffold.write(tmp_path / "my-env")
    python = [str(f) for f in files if f.suffix == ".py"]
    config = Path(__file__).parents[1] / "pyproject.toml"
    for check_ in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check_, "--no-cache", "--config", str(config), *python]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep")
    with pytest.raises(RunError, match="exists already; nothing was written"):
        scaffold.write(folder)
    assert [p.name for p in folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["9lives", "class", "a b", "x.py"])
def test_new_refuses_names_that_are_no_module(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a module's name"):
        scaffold.write(tmp_path / name)
