"""The pages of MiniWoB++ and what is done to them: start, look at, ask for the reward.

The pages come with the package ``miniwob``; only its HTML is used, neither Selenium nor its Python code.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

from agentrl.envs.gui.browser import axtree, domtree
from agentrl.envs.gui.browser.elements import Sight
from agentrl.envs.gui.browser.page import Tab
from agentrl.envs.gui.browser.snapshot import Node
from agentrl.errors import DataError, MissingExtra

WIDTH, HEIGHT = 160, 210
"""The part of the page where tasks are, in pixels."""
CLOCK = Path(__file__).with_name("clock.js")
NEVER_MS = 2_000_000_000
"""A time limit that no episode reaches."""
STYLE = """
#reward-display, #click-canvas, #sync-task-cover { display: none !important; }
*, *::before, *::after { transition: none !important; animation: none !important; caret-color: transparent !important; }
"""
"""Hides what is not part of a task, and what moves by itself."""
START = """async ([seed, mode, limit, style]) => {
  const sheet = document.createElement('style');
  sheet.textContent = style;
  document.head.append(sheet);
  window.__pictures = [];
  for (const sheet of document.querySelectorAll('style')) {
    for (const [, url] of sheet.textContent.matchAll(/url\\(['"]?([^'")]+)/g)) {
      const picture = new Image();
      picture.src = url;
      window.__pictures.push(picture);
    }
  }
  await Promise.allSettled(window.__pictures.map(picture => picture.decode()));
  Math.seedrandom(seed);
  core.setDataMode(mode);
  if (limit) core.EPISODE_MAX_TIME = limit;
  core.startEpisodeReal();
}"""
"""Loads pictures that appear under the mouse beforehand: a click misses what changes its size while they load."""
READY = "() => WOB_TASK_READY"
STATE = """() => {
  const said = core.getUtterance();
  return {
    utterance: typeof said === 'string' ? said : said.utterance,
    done: WOB_DONE_GLOBAL, raw: WOB_RAW_REWARD_GLOBAL, decayed: WOB_REWARD_GLOBAL,
    reason: WOB_REWARD_REASON === null ? '' : String(WOB_REWARD_REASON),
  };
}"""


class PageState(NamedTuple):
    """What a page says of its task."""

    utterance: str
    """The task in words."""
    done: bool
    """Whether the episode is over."""
    raw: float
    """Reward of the task, -1 to 1; partial for some tasks."""
    decayed: float
    """The same, less for the time that it took where it is positive."""
    reason: str
    """Why, where the page says so."""


def pages() -> dict[str, Path]:
    """The pages by the names of their tasks.

    Raises:
        MissingExtra: the package is not installed.
        DataError: it has no pages.
    """
    found = importlib.util.find_spec("miniwob")
    if found is None or found.origin is None:
        raise MissingExtra("miniwob", "browser")
    folder = Path(found.origin).parent / "html" / "miniwob"
    listed = {path.stem: path for path in sorted(folder.glob("*.html"))}
    if not listed:
        raise DataError(f"{folder} holds no pages. Install miniwob anew: pip install --force-reinstall miniwob")
    return listed


async def start(tab: Tab, page: Path, seed: int, mode: str, limit_ms: int) -> None:
    """Load a page and start its task.

    Args:
        tab: The page of the browser.
        page: The task's file.
        seed: What the task's random numbers follow.
        mode: ``train`` or ``test``; a few tasks draw from other words in the latter.
        limit_ms: Time limit in milliseconds; 0 for the task's own.
    """
    await tab.page.goto(page.as_uri())
    await tab.page.evaluate(START, [seed, mode, limit_ms, STYLE])
    await tab.page.wait_for_function(READY, polling=20)


async def look(tab: Tab, view: str) -> tuple[PageState, Sight]:
    """What the page says and shows; nothing is shown after the end."""
    state = PageState(**await tab.page.evaluate(STATE))
    if state.done:
        return state, Sight(())
    if view == "dom":
        return state, await domtree.look(tab, without=_is_utterance)
    return state, await axtree.look(tab, without=_is_utterance)


def _is_utterance(node: Node) -> bool:
    return node.attributes.get("id") == "query"
