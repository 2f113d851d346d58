"""MiniWoB++ in Chromium: its pages, the project's actions, observations as an accessibility tree or as the DOM."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agentrl.env import EVAL_SEED_BASE, StepResult, TextEnv
from agentrl.envs.gui.actions import Action, Problem, parse, write
from agentrl.envs.gui.browser import acting, miniwob_pages
from agentrl.envs.gui.browser.chromium import check_browser
from agentrl.envs.gui.browser.elements import Sight
from agentrl.envs.gui.browser.miniwob_pages import HEIGHT, WIDTH, PageState
from agentrl.envs.gui.browser.page import Page, Tab
from agentrl.envs.gui.browser.scripts import EXPERTS, ONE_CLICK
from agentrl.envs.gui.browser.scripts.moves import Move
from agentrl.envs.gui.browser.snapshot import Box
from agentrl.errors import ConfigError, EnvError, UnknownName

VIEWS = ("axtree", "dom")
REWARDS = ("raw", "binary", "decayed")
CLOCKS = ("stopped", "real")
ACTION_MS, WAIT_MS = 1000, 2000
"""Time that passes on the stopped clock with an action, and with ``wait``."""
INSTRUCTIONS = """You use a web page to do what is asked. Its elements have numbers. Reply with one action:
click ID | double_click ID | long_press ID | click X Y | drag ID ID | drag X Y X Y
type ID TEXT (in place of what the field holds) | select ID OPTION | scroll ID down (or up) | press Enter | wait"""
ELSEWHERE = {
    "back": "There is no page to go back to.",
    "open": "There are no apps here, only this page.",
    "answer": "No answer is asked for here: do the task on the page.",
}


@dataclass(frozen=True)
class Shown:
    """Where an episode stands."""

    task: str
    """Name of the page."""
    state: PageState
    """What the page says."""
    sight: Sight
    """What the policy sees."""
    tree: Sight | None
    """The accessibility tree, where it was looked at."""
    note: str = ""
    """What is told about the last action."""


class MiniWob(TextEnv):
    """Small tasks on web pages: MiniWoB++ (Shi et al., 2017; Liu et al., 2018) in headless Chromium.

    Args:
        task: names of tasks (``click-checkboxes``), separated by commas; ``core`` (those that an expert solves, but
            for six that a constant click often solves), ``scripted`` (with these) or ``all``. The seed picks one.
        view: ``axtree`` (roles and names; what assistive technology sees) or ``dom`` (all that is drawn, with classes,
            colours and places; for tasks with shapes and colours).
        reward: ``raw`` (the task's own, -1 to 1, partial in some tasks), ``binary`` (1 or -1) or ``decayed`` (as
            published: less for each second that passed).
        clock: ``stopped`` (a second passes with each action, two with wait, none while the policy thinks: results do
            not depend on speed) or ``real``. None is ``real`` for ``decayed``, else ``stopped``.
        split: ``train`` or ``eval``, which have seeds of their own; in a few tasks ``eval`` draws from other words.
        max_turns: step limit.

    Raises:
        ConfigError: a setting is not known.
        MissingExtra: playwright or miniwob is not installed.
        NoBrowser: no Chromium is installed.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"]}  # noqa: RUF012  (Gymnasium's)
    demonstrations: ClassVar[tuple[int, int]] = (1000, 4)
    instructions = INSTRUCTIONS

    def __init__(
        self,
        *,
        task: str = "core",
        view: str = "axtree",
        reward: str = "raw",
        clock: str | None = None,
        split: str = "train",
        max_turns: int = 20,
        render_mode: str = "ansi",
    ) -> None:
        clock = clock or ("real" if reward == "decayed" else "stopped")
        for kind, name, names in (
            ("view", view, VIEWS),
            ("reward", reward, REWARDS),
            ("clock", clock, CLOCKS),
            ("split", split, self.splits),
            ("render mode", render_mode, tuple(self.metadata["render_modes"])),
        ):
            if name not in names:
                raise UnknownName(kind, name, names)
        if max_turns <= 0:
            raise ConfigError(f"env.max_turns={max_turns} must be more than 0.")
        check_browser()
        self._pages = miniwob_pages.pages()
        self.tasks = chosen_tasks(task, list(self._pages))
        """Names of the tasks; ``reset(seed=s)`` takes the one at ``s % len(tasks)``."""
        self.max_turns, self.render_mode, self.reward_range = max_turns, render_mode, (-1.0, 1.0)
        self._view, self._reward, self._split, self._stopped = view, reward, split, clock == "stopped"
        script = miniwob_pages.CLOCK.read_text(encoding="utf-8") if self._stopped else ""
        self._page = Page(WIDTH, HEIGHT, script=script)
        self._shown: Shown | None = None

    @property
    def shown(self) -> Shown:
        """Where this episode stands."""
        if self._shown is None:
            raise EnvError("MiniWob has no episode. Call reset(seed=...) first.")
        return self._shown

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode; ``options={"task": name}`` picks a task of the package, whatever the setting.

        Raises:
            BrowserError: the browser hung or broke; the next reset starts another.
        """
        super().reset(seed=seed)
        self._shown = None
        draw = int(self.np_random.integers(EVAL_SEED_BASE)) if seed is None else seed
        task = self.tasks[draw % len(self.tasks)]
        if options and "task" in options:
            task = chosen_tasks(str(options["task"]), list(self._pages))[0]
        held = self._split == "eval"
        page_seed = draw + EVAL_SEED_BASE if held and draw < EVAL_SEED_BASE else draw
        limit = 0 if self._reward == "decayed" else miniwob_pages.NEVER_MS

        async def work(tab: Tab) -> tuple[PageState, Sight]:
            await miniwob_pages.start(tab, self._pages[task], page_seed, "test" if held else "train", limit)
            return await miniwob_pages.look(tab, self._view)

        state, sight = self._page.do(work, f"start the task {task}")
        self._shown = Shown(task, state, sight, sight if self._view == "axtree" else None)
        return f"{state.utterance}\n{sight.text}", {"won": False, "task_type": task}

    def step(self, text: str) -> StepResult:
        """Act. What is no action, or names what is not there, changes nothing.

        Raises:
            BrowserError: the browser hung or broke; the next reset starts another.
        """
        before = self.shown
        action = parse(text)
        info: dict[str, Any] = {"won": False, "valid": False, "task_type": before.task, "score": 0.0}
        if before.state.done:
            return "The episode is over.", 0.0, True, False, info | {"won": self._won(before.state)}
        if isinstance(action, Problem):
            return f"{action.message}\n{before.sight.text}", 0.0, False, False, info
        info["action"] = write(action)
        if problem := ELSEWHERE.get(action.kind):
            return f"{problem}\n{before.sight.text}", 0.0, False, False, info

        async def work(tab: Tab) -> tuple[acting.Refused | None, PageState, Sight]:
            refused = await self._act(tab, action, before.sight)
            return (refused, *await miniwob_pages.look(tab, self._view))

        self._shown = None  # there is no episode any more where the browser breaks
        refused, state, sight = self._page.do(work, f"carry out '{info['action'][:60]}'")
        note = refused.message if refused else ""
        self._shown = Shown(before.task, state, sight, sight if self._view == "axtree" else None, note)
        reward = self._paid(state)
        info |= {"valid": refused is None, "won": self._won(state), "score": min(1.0, max(0.0, state.raw))}
        info["reward"] = {"raw": float(state.raw), "decayed": float(state.decayed)}
        ending = f"{'Done' if self._won(state) else 'Failed'}{f' ({state.reason})' if state.reason else ''}."
        shown = ending if state.done else "\n".join(filter(None, (note, sight.text)))
        return shown, reward, state.done, False, info

    def state_key(self) -> str:
        """The task in words and what the page shows."""
        return f"{self.shown.state.utterance}\n{self.shown.sight.text}"

    def expert(self) -> str | None:
        """The next action of the task's script; None where there is none (see ``--env.task core``)."""
        return self._said(self._move())

    def noisy_expert(self, rng: np.random.Generator, slip: float = 0.2, hasty: float = 0.2) -> str | None:
        """As `expert`, but at times, per action, it takes another element or drops a word (``slip``), or clicks the
        last button although not all is done (``hasty``)."""
        move = self._move()
        if move is None or move.element is None:
            return self._said(move)
        tree, chance = self.shown.tree, rng.random()
        assert tree is not None
        buttons = [e for e in tree.elements if e.role in ("button", "link", "option")]
        if chance < hasty and buttons:
            move = Move("click", buttons[-1])
        elif chance < hasty + slip and move.kind == "type":
            move = move._replace(text=" ".join(move.text.split()[:-1]) or move.text[:-1])
        elif chance < hasty + slip:
            move = move._replace(element=tree.elements[int(rng.integers(len(tree.elements)))])
        return self._said(move)

    def render(self) -> Any:
        """The page: its text, or with ``rgb_array`` its picture of shape (210, 160, 3)."""
        if self.render_mode == "ansi":
            return self.state_key()
        return pixels(self._page.screenshot())

    def close(self) -> None:
        """Close the page; the browser stays for other environments of the process."""
        self._page.close()
        super().close()

    async def _act(self, tab: Tab, action: Action, sight: Sight) -> acting.Refused | None:
        """Carry an action out and let time pass."""
        if action.kind == "wait":
            await acting.pass_time(tab, WAIT_MS)
            return None
        refused = await acting.perform(tab, action, sight, (WIDTH, HEIGHT))
        if refused is None and self._stopped:
            await acting.pass_time(tab, ACTION_MS)
        return refused

    def _paid(self, state: PageState) -> float:
        if not state.done:
            return 0.0
        if self._reward == "binary":
            return 1.0 if self._won(state) else -1.0
        return float(state.decayed if self._reward == "decayed" else state.raw)

    @staticmethod
    def _won(state: PageState) -> bool:
        return state.done and state.raw >= 1.0

    def _move(self) -> Move | None:
        """What the task's script would do."""
        shown = self.shown
        script = EXPERTS.get(shown.task)
        if script is None or shown.state.done:
            return None
        tree = shown.tree
        if tree is None:
            tree = self._page.do(lambda tab: miniwob_pages.look(tab, "axtree"), "show its tree")[1]
            self._shown = shown = replace(shown, tree=tree)
        return script(shown.state.utterance, tree)

    def _said(self, move: Move | None) -> str | None:
        """A move in numbers of what the policy sees, or by place where it has none there."""
        if move is None or move.element is None or move.element.box is None:
            return None if move is None else f"{move.kind} {move.text}".rstrip()
        x, y = move.element.box.centre
        elements = self.shown.sight.elements
        same = [e for e in elements if e.node == move.element.node]
        holding = [e for e in elements if e.name == move.element.name and e.box is not None and _holds(e.box, x, y)]
        target = f"@{x:.0f},{y:.0f}" if not (same or holding) else str((same or holding)[0].id)
        return f"{move.kind} {target} {move.text}".rstrip()


def _holds(box: Box, x: float, y: float) -> bool:
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height


def chosen_tasks(setting: str, known: list[str]) -> list[str]:
    """Names of tasks from the setting ``task``.

    Raises:
        UnknownName: there is no such task.
    """
    groups = {"all": known, "scripted": [n for n in known if n in EXPERTS]}
    groups["core"] = [n for n in groups["scripted"] if n not in ONE_CLICK]
    if setting.strip() in groups:
        return groups[setting.strip()]
    names = [part.strip() for part in setting.split(",") if part.strip()]
    for name in names or [setting]:
        if name not in known:
            raise UnknownName("task of MiniWoB++", name, [*known, *groups])
    return names


def pixels(png: bytes) -> NDArray[np.uint8]:
    """A picture as an array of shape (height, width, 3).

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        from agentrl.errors import MissingExtra

        raise MissingExtra("pillow", "browser") from None
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.uint8)
