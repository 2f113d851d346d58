"""The run directory: everything to resume, replay or inspect a run.

    config.toml            the resolved configuration
    metrics.jsonl          one line per step and per evaluation
    tensorboard/           the same for TensorBoard
    rollouts/step-N.jsonl.gz   one line per group: its token tree and its trajectories (`read_rollouts`)
    checkpoints/step-N/    a Hugging Face folder, plus trainer.pt (optimizer, counters)
    checkpoints/last       link to the newest

A checkpoint appears under its name only when it is whole. On resume, lines of metrics written after
the checkpoint are dropped, so that the file reads as if the run had never been interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentrl.errors import AgentRLError, RunError
from agentrl.tokentree import ROOT, Sampled, TokenTree
from agentrl.trajectory import Failure, Group, Stage, StopReason, Trajectory, Turn


class Run:
    """A run directory that is being written."""

    def __init__(self, path: Path, *, tensorboard: bool = True, at_step: int = 0) -> None:
        self.path = path
        self._made: list[Path] = []
        """Folders that were not there before, innermost first."""
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            with writing(path):
                self._board = SummaryWriter(str(path / "tensorboard"), purge_step=at_step + 1 if at_step else None)

    @classmethod
    def create(cls, path: Path, config_toml: str, *, tensorboard: bool = True) -> Run:
        """Start a new directory.

        Raises:
            RunError: it exists already, or cannot be written.
        """
        if path.exists() and not path.is_dir():
            raise RunError(f"The run directory '{path}' is a file. Choose another --run.dir.")
        if path.is_dir() and any(path.iterdir()):
            raise RunError(
                f"The run directory '{path}' exists. Continue it with --resume {path}, or choose another --run.dir."
            )
        made = [folder for folder in (path, *path.parents) if not folder.exists()]
        with writing(path):
            (path / "checkpoints").mkdir(parents=True)
            (path / "config.toml").write_text(config_toml, encoding="utf-8")
        run = cls(path, tensorboard=tensorboard)
        run._made = made
        return run

    def begin(self) -> None:
        """The run goes ahead: point the link ``last`` beside it at it."""
        _link(self.path.parent / "last", self.path.name)

    def discard(self) -> None:
        """The run does not go ahead: remove what `create` made."""
        self.close()
        for inside in self.path.iterdir():
            shutil.rmtree(inside, ignore_errors=True) if inside.is_dir() else inside.unlink()
        for folder in self._made:
            with contextlib.suppress(OSError):  # somebody else's files are in it by now
                folder.rmdir()

    @classmethod
    def reopen(cls, path: Path, *, tensorboard: bool = True) -> tuple[Run, Path | None, int]:
        """Continue a directory: drop what was written after the newest whole checkpoint.

        Returns:
            The run, its newest checkpoint (None before the first), and that checkpoint's step.

        Raises:
            RunError: there is no run in ``path``.
        """
        if not (path / "config.toml").is_file():
            raise RunError(f"'{path}' is no run directory: it has no config.toml. Runs lie under runs/ by default.")
        newest = newest_checkpoint(path)
        step = step_of(newest) if newest else 0
        with writing(path):
            for left in (path / "checkpoints").glob(".writing-*"):
                shutil.rmtree(left, ignore_errors=True)
            if newest:
                _link(path / "checkpoints" / "last", newest.name)
            kept = [line for line in read_metrics(path) if newest and line["step"] <= step]
            _replace(path / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))
            for dump in (path / "rollouts").glob("step-*.jsonl.gz"):
                if int(dump.name[5:].split(".")[0]) > step:
                    dump.unlink()
        return cls(path, tensorboard=tensorboard, at_step=step), newest, step

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Append a line of metrics (``kind`` is "train" or "eval")."""
        line = {"step": step, "kind": kind, **values}
        with writing(self.path):
            with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            for name, value in values.items() if self._board is not None else ():
                self._board.add_scalar(f"{kind}/{name}" if "/" not in name else name, value, step)

    def logged(self, step: int, kind: str) -> bool:
        """Whether there is a line of this kind for a step."""
        return any(line["step"] == step and line["kind"] == kind for line in read_metrics(self.path))

    def configure(self, config_toml: str) -> None:
        """Replace the configuration, on resume with other settings."""
        with writing(self.path):
            _replace(self.path / "config.toml", config_toml)

    def dump(self, step: int, groups: list[Group]) -> None:
        """Keep the rollouts of a step."""
        folder = self.path / "rollouts"
        with writing(self.path):
            folder.mkdir(exist_ok=True)
            text = "".join(json.dumps(asdict_group(g)) + "\n" for g in groups)
            _replace(folder / f"step-{step:06d}.jsonl.gz", gzip.compress(text.encode(), 5, mtime=0))

    @contextlib.contextmanager
    def checkpoint(self, step: int, keep: int) -> Iterator[Path]:
        """Fill a folder; on leaving it becomes ``checkpoints/step-N``; the first stays, others beyond ``keep`` go."""
        folder = self.path / "checkpoints"
        unfinished = folder / f".writing-{step:06d}"
        with writing(self.path):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            try:
                yield unfinished
                final = folder / f"step-{step:06d}"
                shutil.rmtree(final, ignore_errors=True)
                unfinished.rename(final)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            _link(folder / "last", final.name)
            for old in sorted(folder.glob("step-[0-9]*"), key=step_of)[1 : -1 - keep]:
                shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Flush TensorBoard."""
        if self._board is not None:
            with contextlib.suppress(OSError):  # on a full disk; what matters is in metrics.jsonl
                self._board.close()


class SilentRun(Run):
    """The run directory in a process that does not write it, since another one does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, tensorboard=False)

    def begin(self) -> None:
        """Nothing."""

    def discard(self) -> None:
        """Nothing."""

    def log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Nothing."""

    def configure(self, config_toml: str) -> None:
        """Nothing."""

    def dump(self, step: int, groups: list[Group]) -> None:
        """Nothing."""


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of a run as plain values."""
    try:
        return tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"'{path}' is no run directory: it has no config.toml.") from None
    except (OSError, ValueError) as error:
        text = "is not valid TOML" if isinstance(error, ValueError) else "cannot be read"
        raise RunError(f"'{path / 'config.toml'}' {text}: {error}") from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a run's metrics; a last line cut by a crash is left out."""
    file = path / "metrics.jsonl"
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        with contextlib.suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    return lines


def newest_checkpoint(path: Path) -> Path | None:
    """The newest whole checkpoint of a run, or None."""
    found = sorted((path / "checkpoints").glob("step-[0-9]*"), key=step_of)
    return found[-1] if found else None


def step_of(checkpoint: Path) -> int:
    """The step in a checkpoint's name."""
    return int(checkpoint.name.rpartition("-")[2])


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failing disk into one clear message."""
    try:
        yield
    except AgentRLError:
        raise
    except Exception as error:
        if _is_full(error):
            raise RunError(
                f"The disk is full: '{path}' could not be written. What was written before is whole; free some "
                f"space and continue with --resume {path}."
            ) from error
        if isinstance(error, OSError):
            raise RunError(f"'{path}' could not be written: {error.strerror or error}.") from error
        raise


def _is_full(error: BaseException) -> bool:
    """Whether a full disk is behind an error; safetensors and torch tell it in words of their own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    words = ("No space left", "quota exceeded", "iostream error", "PytorchStreamWriter failed writing")
    if any(word in str(error) for word in words):
        return True
    behind = error.__cause__ or error.__context__
    return behind is not None and _is_full(behind)


def asdict_group(group: Group) -> dict[str, Any]:
    """A group as plain values: ``tree`` is a list of nodes, turns refer to them by index.

    Nodes are numbered anew, in the order in which the trajectories pass through them and parents first: in the tree
    they stand in the order in which episodes that ran at once happened to reach it.
    """
    order = _reading_order(group)
    number = {ROOT: ROOT} | {node: i for i, node in enumerate(order)}
    nodes = []
    for node in (group.tree.nodes[i] for i in order):
        entry: dict[str, Any] = {"parent": number[node.parent], "ids": node.ids}
        if node.sampled is not None:
            entry["logprobs"] = [_short(x) for x in node.sampled.logprobs]
            if node.sampled.entropies is not None:
                entry["entropies"] = [_short(x) for x in node.sampled.entropies]
            entry["version"] = node.sampled.version
            if node.sampled.versions is not None:
                entry["versions"] = node.sampled.versions
        nodes.append(entry)
    trajectories = [asdict(trajectory) for trajectory in group.trajectories]
    for trajectory in trajectories:
        for turn in trajectory["turns"]:
            turn["context"], turn["sampled"] = number[turn["context"]], number[turn["sampled"]]
    return {
        "task_seed": group.task_seed,
        "env": group.env,
        "task": group.task,
        "member": group.member,
        "kind": group.kind,
        "tree": nodes,
        "trajectories": trajectories,
    }


def read_rollouts(file: Path) -> list[Group]:
    """The groups of one file of ``rollouts/``; log-probabilities and entropies are exact as float32.

    Raises:
        RunError: the file is missing or broken.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            return [group_of(json.loads(line)) for line in lines]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"The rollouts '{file}' cannot be read: {error}") from error


def group_of(values: Mapping[str, Any]) -> Group:
    """The inverse of `asdict_group`."""
    tree = TokenTree()
    for node in values["tree"]:
        sampled = None
        if "logprobs" in node:
            sampled = Sampled(node["logprobs"], node.get("entropies"), node["version"], node.get("versions"))
        tree.extend(node["parent"], node["ids"], sampled=sampled)
    group = Group(values["task_seed"], values["env"], tree, [], values["task"])
    group.member, group.kind = values.get("member", ""), values.get("kind", "")
    for one in values["trajectories"]:
        failure = one["failure"] and Failure(Stage(one["failure"]["stage"]), one["failure"]["error"])
        forked = one["forked_from"] and tuple(one["forked_from"])
        turns = [Turn(**turn) for turn in one["turns"]]
        changed = {"turns": turns, "stop": StopReason(one["stop"]), "failure": failure, "forked_from": forked}
        group.trajectories.append(Trajectory(**{**one, **changed}))
    return group


def _reading_order(group: Group) -> list[int]:
    """All nodes, parents first: those of turns in the order of trajectories, then what nobody read any more."""
    ends = [end for t in group.trajectories for turn in t.turns for end in (turn.context, turn.sampled)]
    order: dict[int, None] = {}
    for end in ends:
        order.update(dict.fromkeys(group.tree.path(end)))
    unread = [node for node in group.tree.depth_first() if node not in order]
    for node in sorted(unread, key=group.tree.ids):  # a parent's ids are a prefix of its children's
        order[node] = None
    return list(order)


def _short(x: float) -> float:
    """With nine digits, which say a float32 exactly."""
    return float(f"{x:.9g}")


def _replace(path: Path, content: str | bytes) -> None:
    """Write a file so that it is either the old or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _link(link: Path, target: str) -> None:
    """Point a symbolic link somewhere else in one step; where links are not possible, do without."""
    temporary = link.with_name(f".{link.name}.tmp")
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
