"""The environment: a simulated phone with apps as a `TextEnv`."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from agentrl.env import StepResult, TextEnv, View
from agentrl.envs.gui import forms
from agentrl.envs.gui.actions import Action, write
from agentrl.envs.gui.calls import TOOLS
from agentrl.envs.gui.expert import Slips, fallible, oracle, remember
from agentrl.envs.gui.grading import MOST, graded
from agentrl.envs.gui.levels import LEVELS
from agentrl.envs.gui.machine import Machine
from agentrl.envs.gui.state import State
from agentrl.envs.gui.tasks.task import Task
from agentrl.envs.gui.tasks.templates import chosen, draw
from agentrl.envs.gui.widgets import text
from agentrl.errors import ConfigError, EnvError, NotForkable, UnknownName

REWARDS = ("success", "progress", "ui_r1")
RENDERS = ("ansi", "rgb_array")


class Episode(NamedTuple):
    """Everything that a snapshot holds. All of it is immutable."""

    task: Task
    """What is to be done."""
    state: State
    """Where the device stands."""
    shown: str
    """The last observation."""
    steps: int = 0
    """Replies so far."""
    won: bool = False
    """The goal is reached."""
    progress: float = 0.0
    """The largest share of what is wanted that was there, and nothing else changed."""


class Gui(TextEnv):
    """Use a phone by its screens: mail, calendar, contacts, files, settings, a shop, notes, forms; and small pages.

    A screen is a tree of numbered widgets. Tasks are generated, in levels; one is won when the contents of the device
    are as it asks, and nothing else has changed.

    Args:
        level: difficulty, 0 (small pages) to 4 (three apps, long lists, slow pages); see `levels.py`.
        split: ``train``, ``eval`` (no task of it is one of training) or ``all``.
        tasks: templates or their groups, separated by commas: ``small``, ``single``, ``double``, ``triple``,
            ``mail_reply``, ...; ``all`` is all that the level has.
        prompt: how actions are written: ``plain`` (click 12), ``functions`` (calls of tools), ``ui_r1`` (thought and
            answer, with coordinates; boxes are shown).
        boxes: whether the screen gives each element's box, x y width height; None: with ``ui_r1``.
        reward: ``success`` (1 when it is won), ``progress`` (1 in all, in parts as what is wanted is there) or
            ``ui_r1`` (each action against the expert's: type, place and form, 3 at most, over the turn limit; and 1
            for success); None is ``success``.
        step_cost: what each reply costs, 0 to 0.1.
        max_turns: turn limit; None is the level's.
        render_mode: ``ansi`` (text) or ``rgb_array`` (a picture; needs the extra ``gui``), for ``render()``.

    Raises:
        ConfigError: a setting is not known.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "eval", "all")
    demonstrations: ClassVar[tuple[int, int]] = (10000, 3)
    reading_weight: ClassVar[float] = 1.0

    def __init__(
        self,
        *,
        level: int = 1,
        split: str = "train",
        tasks: str = "all",
        prompt: str = "plain",
        boxes: bool | None = None,
        reward: str = "success",
        step_cost: float = 0.0,
        max_turns: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        for name, value, known in (
            ("split", split, self.splits),
            ("prompt", prompt, forms.NAMES),
            ("reward", reward, REWARDS),
        ):
            if value not in known:
                raise UnknownName(name, value, known)
        if level not in LEVELS:
            raise UnknownName("level", str(level), map(str, LEVELS))
        if render_mode not in (None, *RENDERS):
            raise UnknownName("render_mode", str(render_mode), RENDERS)
        if not 0 <= step_cost <= 0.1:
            raise ConfigError(f"env.step_cost={step_cost} must be 0 to 0.1.")
        if reward == "ui_r1" and prompt != "ui_r1":
            raise ConfigError("env.reward=ui_r1 looks at the form and the place of a reply: give env.prompt=ui_r1 too.")
        if max_turns is not None and max_turns < 1:
            raise ConfigError(f"env.max_turns={max_turns} must be 1 or more.")
        self.level = LEVELS[level]
        """The level's row of numbers."""
        self.metadata = {"render_modes": list(RENDERS), "render_fps": 2}
        self.render_mode = render_mode
        self.max_turns = max_turns or self.level.max_turns
        self._names = chosen(tasks, self.level)
        self._split, self._form, self._reward, self._cost = split, prompt, reward, step_cost
        self._boxes = prompt == "ui_r1" if boxes is None else boxes
        self.instructions = forms.INSTRUCTIONS[prompt]
        self.reads_reasoning = prompt == "ui_r1"
        self.reward_range = (0.0 - step_cost * self.max_turns, 2.0 if reward == "ui_r1" else 1.0)
        self.tools = [tool.schema for tool in TOOLS.values()] if prompt == "functions" else []
        self._episode: Episode | None = None
        self.machine: Machine
        """The device of this episode."""

    @property
    def episode(self) -> Episode:
        """Where this episode stands."""
        if self._episode is None:
            raise EnvError("Gui has no episode yet. Call reset(seed=...) first.")
        return self._episode

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        task = draw(drawn, self.level, self._names, self._split)
        self.machine = Machine(task.state, task.goal)
        shown = f"Task: {task.text}\n{self._screen()}"
        self._episode = Episode(task, task.state, shown)
        return shown, {"won": False, "task_type": task.kind}

    def step(self, text: str) -> StepResult:
        """Act. What cannot be done changes nothing; neither does anything after the end."""
        before = self.episode
        if before.state.over or before.won:
            return before.shown, 0.0, True, False, self._told(before, valid=False)
        action = forms.read(self._form, text)
        marks = graded(text, self._expert(), self.machine.screen()) if self._reward == "ui_r1" else None
        outcome = self.machine.act(action)
        state = self.machine.state
        met, others = before.task.goal.judge(state)
        won = all(met) and not others
        progress = max(before.progress, sum(met) / len(met) if not others else 0.0)
        shown = self._observation(outcome.note, won)
        self._episode = before._replace(state=state, shown=shown, steps=before.steps + 1, won=won, progress=progress)
        gained = progress - before.progress
        reward = (gained if self._reward == "progress" else float(won)) - self._cost
        info = self._told(before, valid=outcome.valid)
        if isinstance(action, Action):
            info["action"] = write(action)
        if marks is not None:
            reward += sum(marks.values()) / (MOST * self.max_turns)
            info["reward"] |= marks
        return shown, reward, won or state.over, False, info

    def state_key(self) -> str:
        """The task with what is on the screen."""
        return f"{self.episode.task.text}\n{text(self.machine.screen())}"

    def admissible(self) -> list[str] | None:
        """What can be done here, in plain form; ``<text>`` stands for any text. None in other forms."""
        if self._form != "plain":
            return None
        if self.episode.won or self.episode.state.over:
            return []
        screen, offered = self.machine.screen(), []
        for w in screen.numbered.values():
            if "disabled" in w.states:
                continue
            if w.options:
                offered += [f"select {w.id} {option}" for option in w.options]
            else:
                offered.append(f"type {w.id} <text>" if w.role == "textbox" else f"click {w.id}")
        offered += ["scroll down"] * screen.below + ["scroll up"] * screen.above
        return [*offered, "back", "open <text>", "wait", "answer <text>"]

    def expert(self) -> str | None:
        """The shortest way, as far as what has to be read first allows."""
        return self._written(self._expert())

    def noisy_expert(
        self,
        rng: np.random.Generator,
        click: float = Slips.click,
        text: float = Slips.text,
        skip: float = Slips.skip,
        lost: float = Slips.lost,
        blind: float = Slips.blind,
    ) -> str | None:
        """At times it clicks or types something else, leaves a field or a page out, or gets lost."""
        e = self.episode
        often = self.level.slips
        slips = Slips(click * often, text * often, skip * often, lost * often, blind)
        action = None if e.won else fallible(e.task, e.state, rng, slips)
        return self._written(action)

    def memory_note(self) -> str | None:
        """What was read of what has to be known later."""
        e = self.episode
        return remember(e.task, e.state) or None

    def prompt(self, view: View) -> str:
        """The task, what was done in the last steps, and the screen."""
        if view.step == 0:
            return view.observation
        task = f"Task: {self.episode.task.text}"
        done = "; ".join(action for _, action in view.history)
        return f"{task}\nDone: {done}\n{view.observation}" if done else f"{task}\n{view.observation}"

    def snapshot(self) -> Any:
        """The episode: immutable, and a matter of a microsecond."""
        return self.episode

    def restore(self, snapshot: Any) -> None:
        """Go to a snapshot, of this or a like environment."""
        if not isinstance(snapshot, Episode):
            raise NotForkable(f"Gui cannot restore a {type(snapshot).__name__}; give what snapshot() returned.")
        self._episode = snapshot
        self.machine = Machine(snapshot.state, snapshot.task.goal)

    def render(self) -> Any:
        """The screen as text, or as a picture [height, width, 3] of bytes, as ``render_mode`` says; None without one.

        Raises:
            MissingExtra: Pillow is not installed.
        """
        if self.render_mode == "rgb_array":
            from agentrl.envs.gui.picture import picture

            return np.asarray(picture(self.machine.screen()))
        return text(self.machine.screen()) if self.render_mode == "ansi" else None

    def _expert(self) -> Action | None:
        return None if self.episode.won else oracle(self.episode.task, self.episode.state)

    def _written(self, action: Action | None) -> str | None:
        if action is None:
            return None
        return forms.put(self._form, forms.placed(action, self.machine.screen()) if self._boxes else action)

    def _screen(self) -> str:
        screen = self.machine.screen()
        if not self._boxes:
            return text(screen)
        boxes = [f"[{w.id}] {' '.join(map(str, screen.box(w.id)))}" for w in screen.numbered.values()]
        return "\n".join([text(screen), "Boxes (x y width height):", *boxes]) if boxes else text(screen)

    def _observation(self, note: str, won: bool) -> str:
        if won:
            return "Task done."
        if self.machine.state.over:
            return "Over: that was not it."
        return f"{note}\n{self._screen()}" if note else self._screen()

    def _told(self, before: Episode, *, valid: bool) -> dict[str, Any]:
        now = self.episode
        gained = now.progress - before.progress
        return {
            "won": now.won,
            "score": now.progress,
            "valid": valid,
            "tool_calls": int(valid),
            "reward": {"success": float(now.won and not before.won), "progress": gained, "cost": -self._cost},
            "task_type": now.task.kind,
        }
