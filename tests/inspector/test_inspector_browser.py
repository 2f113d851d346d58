"""The page in a real browser: lists, filters, search, keys, tokens; hostile texts do nothing; thousands stay quick."""

from __future__ import annotations

import shutil
import threading
import time

import pytest
from hostile_texts import hostile_run

from agentrl.inspector.past import Past
from agentrl.inspector.server import make_server

pytestmark = pytest.mark.timeout(600)
WAIT = 60_000
"""Milliseconds: machines under load are slow."""


@pytest.fixture
def opened(browser):
    """``opened(url)``: a page that is ready, and the errors it had."""
    pages = []

    def open_page(url, **options):
        page = browser.new_page(viewport={"width": 1400, "height": 860}, **options)
        page.set_default_timeout(WAIT)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.goto(url)
        page.wait_for_selector("html[data-ready=yes]")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def arpo(run_of, write, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "arpo.html"
    past = Past(run_of("arpo"))
    write(past, past.steps, out, learner="always")
    return past, out


def texts(page, selector):
    return [one.strip() for one in page.locator(selector).all_text_contents()]


@pytest.mark.slow
def test_an_episode_from_the_list_to_its_tokens(opened, arpo):
    past, out = arpo
    page = opened(out.as_uri())
    groups = past.groups(1)
    assert page.locator("#count").text_content() == "32 of 32 episodes"
    page.click("[data-episode='1/2.1']")
    page.wait_for_selector(".talk")
    one = groups[2].trajectories[1]
    assert texts(page, ".said.policy pre") == [t.text.strip() for t in one.turns]
    page.keyboard.press("2")
    page.wait_for_selector(".token.policy")
    policy = page.locator(".tokentable .token.policy").all()
    logprobs = [x for t in one.turns for n in groups[2].tree.between(t.context, t.sampled)
                for x in groups[2].tree.nodes[n].sampled.logprobs]  # fmt: skip
    assert len(policy) == len(logprobs)
    for row, logprob in zip(policy, logprobs, strict=True):
        cells = row.locator("span").all_text_contents()
        assert cells[4] == "1" and float(cells[6]) == pytest.approx(logprob, abs=1e-3)
        assert float(cells[7]) == pytest.approx(logprob, abs=0.2) and cells[9] in ("no", "clipped") and cells[10]
    page.keyboard.press("x")
    page.wait_for_selector(".tokentext .tok")
    page.locator(".block.policy .tok").first.hover()
    assert "log p learner" in page.locator(".info").text_content()
    page.keyboard.press("4")
    page.wait_for_selector("pre.why")
    assert "GroupStat" in page.locator("pre.why").text_content()
    page.keyboard.press("3")
    page.wait_for_selector("svg.tree")
    assert len(texts(page, "svg.tree .end")) == len(groups[2].trajectories)
    assert page.locator("svg.tree .box.policy").count() == sum(n.sampled is not None for n in groups[2].tree.nodes)
    page.keyboard.press("c")
    page.wait_for_selector("figure[data-metric=reward]")
    page.keyboard.press("c")
    assert not page.errors


@pytest.mark.slow
def test_filters_search_and_keys(opened, arpo):
    past, out = arpo
    page = opened(out.as_uri())
    every = [(s, g, t) for s in past.steps for g in past.groups(s) for t in g.trajectories]

    def count():
        return int(page.locator("#count").text_content().split()[0])

    page.select_option("#f-outcome", "won")
    assert count() == sum(t.won for _, _, t in every)
    page.select_option("#f-outcome", "")
    page.check("#f-forks")
    forked = sum(any(t.forked_from for t in g.trajectories) for _, g, _ in every)
    assert 0 < forked == count()
    page.uncheck("#f-forks")
    page.check("#f-invalid")
    assert count() == sum(any(not u.valid for u in t.turns) for _, _, t in every)
    page.uncheck("#f-invalid")
    page.select_option("#f-step", "2")
    assert count() == 16
    page.locator("body").click(position={"x": 700, "y": 840})
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.wait_for_selector(".row.selected[data-episode='2/0.1']")
    page.keyboard.press("J")
    page.wait_for_selector(".row.selected[data-episode='2/1.0']")
    page.keyboard.press("k")
    page.wait_for_selector(".row.selected[data-episode='2/0.3']")
    page.keyboard.press("/")
    page.keyboard.type("say c")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="“").wait_for()
    wanted = sum("say c" in "\n".join([g.task, *(u.observation for u in t.turns)]) for s, g, t in every if s == 2)
    assert count() == wanted
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") != before
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible() and not page.errors


def test_hostile_texts_are_only_texts(opened, run_of, write, tmp_path):
    past = Past(hostile_run(run_of("gigpo"), tmp_path))
    out = tmp_path / "evil.html"
    write(past, [1], out, learner="never")
    page = opened(out.as_uri())
    page.check("#f-failure")
    page.click("[data-episode='1/0.3']")
    for key, selector in [
        ("1", ".failure"),
        ("2", ".tokentable"),
        ("3", "svg.tree"),
        ("4", "pre.why"),
        ("c", "figure"),
    ]:
        page.keyboard.press(key)
        page.wait_for_selector(selector)
    page.keyboard.press("c")
    page.keyboard.press("1")
    page.wait_for_selector(".failure")
    assert "<img src=x" in page.locator(".failure").text_content()
    assert page.evaluate("window.broken") is None
    assert page.locator("img").count() == 0 and page.locator("script:not([type])").count() == 1
    assert not page.errors


def test_served(opened, run_of):
    server = make_server(Past(run_of("gigpo")), learner="never")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = opened(f"http://127.0.0.1:{server.server_address[1]}/")
        assert page.locator("#count").text_content() == "16 of 16 episodes"
        page.click("[data-episode='2/0.0']")
        page.wait_for_selector(".talk")
        page.select_option("#f-step", "1")
        page.wait_for_selector("[data-episode='1/0.0']")
        assert not page.errors
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_two_thousand_episodes_stay_quick(opened, run_of, write, tmp_path):
    """Two thousand lines; few of them are in the page at once. Bounds are wide."""
    copy = tmp_path / "long"
    shutil.copytree(run_of("gigpo"), copy)
    for step in range(3, 126):
        shutil.copy(copy / "rollouts" / "step-000002.jsonl.gz", copy / "rollouts" / f"step-{step:06d}.jsonl.gz")
    past = Past(copy)
    out = tmp_path / "long.html"
    assert write(past, past.steps, out, learner="never") == 2000
    assert out.stat().st_size < 3_000_000
    page = opened(out.as_uri())
    assert page.locator("#count").text_content() == "2000 of 2000 episodes"
    assert page.locator(".row:not(.head)").count() < 80
    paint = page.evaluate("performance.getEntriesByType('paint')[0].startTime")
    started = time.monotonic()
    page.keyboard.press("j")
    page.wait_for_selector(".talk")
    assert paint < 5000 and time.monotonic() - started < 5
    page.evaluate("document.querySelector('.left .scroll').scrollTop = 1e9")
    page.wait_for_selector("[data-episode='125/3.3']")
