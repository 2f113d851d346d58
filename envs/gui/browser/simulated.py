"""The simulator's tasks in a real browser: the same device, goals and actions, on pages in headless Chromium."""

from __future__ import annotations

from typing import Any

from agentrl.envs.gui import forms
from agentrl.envs.gui.actions import Action, Spot
from agentrl.envs.gui.browser.chromium import check_browser
from agentrl.envs.gui.browser.device import Display, PagedMachine
from agentrl.envs.gui.browser.miniwob import pixels
from agentrl.envs.gui.env import Gui


class GuiBrowser(Gui):
    """Use a phone by its screens, which are pages in headless Chromium: the tasks of ``gui``, for real.

    What is seen is Chromium's accessibility tree of the page; actions are the mouse, the keyboard and the wheel. What
    they do to the page goes to the simulator's state machine, so that states, goals and experts are those of ``gui``.
    Policies that learnt on the simulator can be evaluated here as they are. All settings are those of ``gui``; a
    picture (``render_mode=rgb_array``) is a screenshot.

    Args:
        level: difficulty, 0 (small pages) to 4 (three apps, long lists, slow pages).
        split: ``train``, ``eval`` (no task of it is one of training) or ``all``.
        tasks: templates or their groups, separated by commas; ``all`` is all that the level has.
        prompt: how actions are written: ``plain`` (click 12), ``functions`` (calls of tools), ``ui_r1``.
        boxes: whether the screen gives each element's box, x y width height; None: with ``ui_r1``.
        reward: ``success``, ``progress`` or ``ui_r1``.
        step_cost: what each reply costs, 0 to 0.1.
        max_turns: turn limit; None is the level's.
        render_mode: ``ansi`` (text) or ``rgb_array`` (a screenshot; needs the extra ``gui``), for ``render()``.

    Raises:
        ConfigError: a setting is not known.
        MissingExtra: playwright is not installed.
        NoBrowser: no Chromium is installed.
    """

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
        check_browser()
        super().__init__(
            level=level,
            split=split,
            tasks=tasks,
            prompt=prompt,
            boxes=boxes,
            reward=reward,
            step_cost=step_cost,
            max_turns=max_turns,
            render_mode=render_mode,
        )
        self.display = Display()
        """The page; the browser behind it is shared with other environments of the process."""

    @property
    def paged(self) -> PagedMachine:
        """The device behind its page.

        Raises:
            BrowserError: the browser hung or broke.
        """
        if not isinstance(self.machine, PagedMachine):
            self.machine = PagedMachine(self.machine, self.display)
        return self.machine

    def state_key(self) -> str:
        """The task with what is on the page."""
        return f"{self.episode.task.text}\n{self.paged.text()}"

    def admissible(self) -> list[str] | None:
        """What can be done here, in plain form; None in other forms."""
        if self._form != "plain":
            return None
        if self.episode.won or self.episode.state.over:
            return []
        offered: list[str] = []
        for e in self.paged.sight.elements:
            if not e.id or "disabled" in e.states:
                continue
            if e.options:
                offered += [f"select {e.id} {option}" for option in e.options if option]
            else:
                offered.append(f"type {e.id} <text>" if e.role == "textbox" else f"click {e.id}")
        screen = self.machine.screen()
        offered += ["scroll down"] * screen.below + ["scroll up"] * screen.above
        return [*offered, "back", "open <text>", "wait", "answer <text>"]

    def restore(self, snapshot: Any) -> None:
        super().restore(snapshot)
        _ = self.paged

    def render(self) -> Any:
        """The page as text, or as a screenshot [height, width, 3] of bytes, as ``render_mode`` says.

        Raises:
            MissingExtra: Pillow is not installed.
        """
        if self.render_mode == "rgb_array":
            _ = self.paged
            return pixels(self.display.screenshot())
        return self.paged.text() if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Close the page; the browser stays for other environments of the process."""
        self.display.close()
        super().close()

    def _screen(self) -> str:
        paged = self.paged
        if not self._boxes:
            return paged.text()
        boxes = [
            f"[{e.id}] {e.box.x:.0f} {e.box.y:.0f} {e.box.width:.0f} {e.box.height:.0f}"
            for e in paged.sight.elements
            if e.id and e.box
        ]
        return "\n".join([paged.text(), "Boxes (x y width height):", *boxes]) if boxes else paged.text()

    def _written(self, action: Action | None) -> str | None:
        """The expert's action, which names the simulator's elements, in the page's numbers."""
        if action is None:
            return None
        if self._boxes:
            return forms.put(self._form, forms.placed(action, self.machine.screen()))
        return forms.put(self._form, Action(action.kind, self._here(action.spot), action.text, self._here(action.to)))

    def _here(self, spot: Spot) -> Spot:
        found = (e.id for e in self.paged.sight.elements if spot.id is not None and e.mark == str(spot.id))
        return Spot(next(found, spot.id)) if spot.id is not None else spot
