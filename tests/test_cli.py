"""The command line: what each command prints, and that wrong input gives one clear message."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agentrl import cli
from agentrl.cli import Command, main
from agentrl.errors import ConfigError

TOYS = Path(__file__).with_name("toy_envs.py")
VAULT = f"{TOYS}:Vault"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _run


@pytest.fixture
def play(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    def _play(name: str, *lines: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return run("play", "--env", name)

    return _play


def program(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentrl", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


# ---------------------------------------------------------------- the program


def test_help_and_version(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(f"  {name}" in out for name in cli.COMMANDS)
    assert run("--version")[1].startswith("agentrl 0.")
    assert run()[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tran"], "Unknown command 'tran'. Did you mean 'train'?"),
        (["envs", "lst"], "Unknown subcommand of 'envs' 'lst'. Did you mean 'list'?"),
        (["envs", "list", "more"], "Unexpected argument 'more'."),
        (["envs", "show"], "A name is missing."),
        (["envs", "show", "webshp"], "Unknown environment 'webshp'. Did you mean 'webshop'?"),
        (["envs", "show", "./none.py:X"], "Environment file './none.py' does not exist."),
        (["envs", "show", f"{TOYS}:Valt"], "Unknown environment class 'Valt'. Did you mean 'Vault'?"),
        (["envs", "check", VAULT, "--env.digts", "3"], "Did you mean 'env.digits'?"),
        (["envs", "check", VAULT, "--env.digits", "x"], "'x' is not a whole number. What it is: length of the code."),
        (["envs", "new"], "Give one folder."),
        (["algos", "show", "gigo"], "Unknown algorithm 'gigo'. Did you mean 'gigpo'?"),
        (["play", "--env", "webshop", "--split", "tain"], "Unknown split 'tain'. Did you mean 'train'?"),
        (["play", "--env", f"{TOYS}:RaisesInConstructor"], "RaisesInConstructor"),
        (["train", "--env", "webshp"], "Unknown environment 'webshp'. Did you mean 'webshop'?"),
        (["train", "--algo", "gigo"], "Unknown algorithm 'gigo'. Did you mean 'gigpo'?"),
        (["train", "--engine", "trch"], "Did you mean 'torch'?"),
        (["train", "--trian.lr", "1"], "Did you mean 'train.lr'?"),
        (["train", "--env.levle", "1"], "Did you mean 'env.level'?"),
    ],
)
def test_wrong_input_is_one_message(run: Run, words: list[str], said: str) -> None:
    status, out, err = run(*words)
    assert status == 2
    assert out == ""
    assert said in err
    assert err.startswith("error: ")
    assert "Traceback" not in err


def boom(argv: Sequence[str]) -> int:
    errors: dict[str, BaseException] = {
        "bug": ZeroDivisionError("by\nzero"),
        "user": ConfigError("do this instead"),
        "full": OSError(errno.ENOSPC, "No space left on device", "x/y"),
        "stop": KeyboardInterrupt(),
    }
    raise errors[argv[0]]


@pytest.mark.parametrize(
    ("kind", "status", "said"),
    [
        ("bug", 1, "agentrl broke: ZeroDivisionError: by zero. Run again with --debug for the traceback.\n"),
        ("user", 2, "error: do this instead\n"),
        ("full", 2, "error: The disk is full while writing 'x/y'."),
        ("stop", 130, "interrupted\n"),
    ],
)
def test_exit_status(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, status: int, said: str) -> None:
    monkeypatch.setitem(cli.COMMANDS, "boom", Command(f"{__name__}:boom", ""))
    found, _, err = run("boom", kind)
    assert found == status
    assert err.startswith(said)
    assert "Traceback" not in err


@pytest.mark.parametrize(("kind", "status"), [("bug", 1), ("user", 2)])
def test_debug_shows_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch, kind: str, status: int) -> None:
    monkeypatch.setitem(cli.COMMANDS, "boom", Command(f"{__name__}:boom", ""))
    found, _, err = run("boom", kind, "--debug")
    assert found == status
    assert "Traceback" in err


def test_light_commands_load_no_model_library_and_are_quick() -> None:
    code = "import sys; from agentrl.cli import main; main(['envs', 'list']); sys.exit('torch' in sys.modules)"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "webshop" in done.stdout
    assert time.perf_counter() - started < 5  # 0.6 s on an idle core; the bound allows for a busy machine


def test_idle_threads_are_told_not_to_spin() -> None:
    code = "import os; from agentrl.cli import main; main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | (
            {"OMP_WAIT_POLICY": given} if given else {}
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
        assert done.stdout.split()[-1] == expected


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m agentrl train --help --algo gigpo --env webshop"
    piped = f"set -o pipefail; {{ {command}; echo status $? >&2; }} | true"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert "status 141" in done.stderr


# ---------------------------------------------------------------- train


def test_train_help_is_short_and_says_what_each_key_is(run: Run) -> None:
    status, out, _ = run("train", "--help")
    rows = re.findall(r"^  --[a-z_]+\.[a-z_]+ +\S+ *(.*)", out, flags=re.M)
    assert status == 0
    assert 20 < len(rows) < 70
    assert max(map(len, out.splitlines())) <= 80


def test_train_help_shows_the_chosen_ones_settings(run: Run) -> None:
    _, out, _ = run("train", "--env", "webshop", "--algo", "gigpo", "--help")
    assert "--env.level" in out
    assert "--algo.omega" in out


# ---------------------------------------------------------------- envs and algos


def test_envs_list_and_show(run: Run) -> None:
    assert re.search(r"^webshop +\S", run("envs", "list")[1], flags=re.M)
    status, out, _ = run("envs", "show", VAULT, "--env.digits", "3")
    assert status == 0
    assert "Look where the code is, then say it." in out
    assert "A vault is locked." in out
    assert re.search(r"expert +yes", out)
    assert re.search(r"--env.digits +5 +length of the code", out)


def test_envs_new_then_check(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, _ = run("envs", "new", "my_env")
    assert status == 0
    assert "next: agentrl envs check ./my_env/my_env.py:MyEnv" in out
    status, out, _ = run("envs", "check", "./my_env/my_env.py:MyEnv", "--episodes", "10")
    assert status == 0, out
    status, _, err = run("envs", "new", "my_env")
    assert status == 2
    assert "exists already" in err


def test_algos(run: Run) -> None:
    _, out, _ = run("algos", "list")
    assert re.search(r"^gigpo +\S", out, flags=re.M)
    assert re.search(r"^grpo +\S", out, flags=re.M)
    status, out, _ = run("algos", "show", "gigpo")
    assert status == 0
    assert "2505.10978" in out
    assert re.search(r"--algo.omega +1 +Weight of the step advantage", out)


# ---------------------------------------------------------------- play


def test_play_through_a_pipe(play: Run) -> None:
    status, out, err = play(VAULT, "hm", ":expert", ":expert go", ":expert go", "more", ":reset", ":what", ":tools")
    assert (status, err) == (0, "")
    assert "-- task 0" in out
    assert "(that was no valid action)" in out
    assert "expert: look[" in out
    assert "Episode over: won, reward 1, 3 steps." in out
    assert "The episode is over. :reset for the next task" in out
    assert "-- task 1" in out
    assert ":expert [go], :reset [SEED]" in out


def test_play_ends_with_quit_or_with_the_input(play: Run) -> None:
    assert "never" not in play(VAULT, ":quit", ":reset 9")[1].replace("-- task 9", "never")
    assert play(VAULT)[0] == 0


def test_play_resets_to_a_seed(play: Run) -> None:
    _, out, _ = play(VAULT, ":reset 5", ":reset x")
    assert "-- task 5" in out
    assert "'x' is no seed" in out


def test_play_counts_steps(play: Run) -> None:
    assert "Episode over: out of steps (4), reward 0, 4 steps." in play(VAULT, *["x"] * 4)[1]


def test_play_numbers_the_actions(play: Run) -> None:
    _, out, _ = play("webshop", "1", "red shirt", "1")
    assert "  1  search[<your query>]" in out
    assert "Back to Search" in out
    assert out.count("WebShop [SEP]") == 2  # searched, and back again by number


def test_play_tells_what_an_environment_did_wrong(play: Run) -> None:
    status, _, err = play(f"{TOYS}:Raises", ":expert", "x", "")
    assert status == 0, err
    status, _, err = play(f"{TOYS}:NotText")
    assert status == 2
    assert "must be str" in err
    status, _, err = play(f"{TOYS}:RaisesInReset")
    assert status == 2
    assert "RaisesInReset raised RuntimeError" in err


def test_python_m_agentrl(tmp_path: Path) -> None:
    done = program("envs", "list", cwd=tmp_path)
    assert done.returncode == 0
    assert "webshop" in done.stdout
    assert program("nonsense").returncode == 2
