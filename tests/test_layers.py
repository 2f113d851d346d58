"""Imports go one way, the library knows no concrete environment, and environments know no library beyond the contract.

    values, errors -> env, tool, registry, settings -> tokens -> engines -> rollout -> algorithms
    -> training, evaluation -> command line

Only imports at module level and inside functions count; those for the type checker alone do too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS = [
    ["errors", "seeds"],
    ["values", "sections", "settings", "rewards"],
    ["env", "tags", "tool", "registry", "mixture", "envsettings"],
    ["run", "trajectory", "tokentree", "tree_attention", "envcheck", "scaffold", "play"],
    ["renderers", "pack", "scoring", "tiny", "models"],
    ["engines"],
    ["rollout"],
    ["algorithms"],
    ["config"],
    ["training", "evaluation"],
    ["inspector"],
    ["listing"],
    ["cli", "__main__"],
]
"""Top-level modules of agentrl; each imports from its own layer and those above it in this list."""
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
LAZY = {("envcheck", "listing")}
"""Commands that share a helper of the command line, imported when they run."""
ENV_MAY_IMPORT = {"env", "tool", "tags", "errors", "rewards", "sandboxes", "envs"}


def modules(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def library() -> list[Path]:
    inside = [p for p in (ROOT / "agentrl").iterdir() if not p.is_symlink()]
    return sorted([p for p in inside if p.suffix == ".py"] + [m for p in inside if p.is_dir() for m in modules(p)])


def imported(path: Path) -> set[tuple[str, ...]]:
    """Dotted names of what a file imports from agentrl, without the ``agentrl``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {tuple(name.split(".")[1:]) for name in found if name.split(".")[0] == "agentrl" and "." in name}


def top(path: Path) -> str:
    return path.relative_to(ROOT / "agentrl").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", library(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    name = top(path)
    if name == "__init__":
        return
    assert name in RANK, f"give {name} a place in LAYERS"
    for target in imported(path):
        if target[0] not in RANK:
            assert target[0] in {"__version__", "TextEnv", "View", "make", "register"}, f"{path} imports {target}"
        elif (name, target[0]) not in LAZY:
            assert RANK[target[0]] <= RANK[name], f"{path} imports {'.'.join(target)}, which is a later layer"


@pytest.mark.parametrize("path", library(), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_imports_no_concrete_environment(path: Path) -> None:
    assert not {target for target in imported(path) if target[0] == "envs"}


@pytest.mark.parametrize("path", modules(ROOT / "envs"), ids=lambda p: str(p.relative_to(ROOT)))
def test_environments_import_the_contract_only(path: Path) -> None:
    for target in imported(path):
        assert target[0] in ENV_MAY_IMPORT, f"{path} imports agentrl.{'.'.join(target)}"
    text = path.read_text(encoding="utf-8")
    assert not any(
        isinstance(n, ast.Import) and n.names[0].name.split(".")[0] == "torch" for n in ast.walk(ast.parse(text))
    )


BUILDS_ON = {"tools": {"search", "python"}, "memory": {"search"}}
"""Environments made of others."""


def test_an_environment_imports_no_other_than_it_is_made_of() -> None:
    for path in modules(ROOT / "envs"):
        own = path.relative_to(ROOT / "envs").parts[0]
        others = {t[1] for t in imported(path) if t[0] == "envs" and len(t) > 1} - {own}
        others -= BUILDS_ON.get(own, set())
        assert not others, f"{path} imports {others}"


@pytest.mark.parametrize("path", modules(ROOT / "sandboxes"), ids=lambda p: p.name)
def test_sandboxes_know_only_errors_and_their_guests_only_the_standard_library(path: Path) -> None:
    assert {target[0] for target in imported(path)} <= {"errors", "sandboxes"}
    if path.stem in {"guest", "launcher", "landlock", "seccomp"}:  # run by an interpreter without packages
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
        names |= {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}
        assert {name.split(".")[0] for name in names} <= {*sys.stdlib_module_names, "agentrl"}
        assert path.stem != "guest" or "agentrl" not in {name.split(".")[0] for name in names}


def test_torch_is_not_needed_for_environments() -> None:
    code = "import sys, agentrl; agentrl.make('webshop').reset(seed=0); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["envs", "sandboxes"])
def test_folders_are_not_imported_under_the_wrong_name(name: str) -> None:
    code = f"import {name}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"Import `agentrl.{name}`, not `{name}`" in done.stderr


@pytest.mark.parametrize("name", ["envs", "sandboxes"])
def test_the_symlinks_are_relative(name: str) -> None:
    link = ROOT / "agentrl" / name
    assert link.is_symlink()
    assert link.readlink() == Path(f"../{name}")
