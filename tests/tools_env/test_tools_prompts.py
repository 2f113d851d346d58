r"""The published contracts: tags, results, limits, and the reward of the whole response."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentrl.envs.search.passages import Passage
from agentrl.envs.search.retrievers import Hit
from agentrl.envs.tools import Tools
from agentrl.envs.tools.prompts import CONTRACTS, INVALID, NOTHING_FOUND, NOTHING_PRINTED, printed
from agentrl.rewards import arpo, tapo

Make = Callable[..., Tools]
THINK = "<think>So.</think>"


class Shelf:
    """A retriever that finds what it was given."""

    name = "shelf"

    def __init__(self, *passages: tuple[str, str]) -> None:
        self.hits = [Hit(Passage(str(n), title, text), 1.0) for n, (title, text) in enumerate(passages)]

    def search(self, query: str, k: int) -> list[Hit]:
        return self.hits[:k]


def started(tools: Make, prompt: str, tasks: str = "both", seed: int = 0, **settings: object) -> tuple[Tools, str]:
    env = tools(prompt=prompt, tasks=tasks, **settings)
    env.reset(seed=seed)
    return env, env.episode.task.answers[0]


def test_limits_of_the_contracts(tools: Make) -> None:
    found = {p: tools(prompt=p) for p in CONTRACTS}
    assert {p: (e.topk, e.max_calls, e.max_turns) for p, e in found.items()} == {
        "plain": (1, 4, 4), "functions": (1, 4, 4), "arpo": (10, 6, 7), "tapo": (1, 4, 5),
    }  # fmt: skip
    assert {p: (e.reward, e.reward_range, e.reads_reasoning) for p, e in found.items()} == {
        "plain": ("em", (0.0, 1.0), False),
        "functions": ("em", (0.0, 1.0), False),
        "arpo": ("arpo", (-1.0, 1.1), True),
        "tapo": ("tapo", (-1.0, 1.0), True),
    }
    assert [tool["function"]["name"] for tool in found["functions"].tools] == ["search", "python"]
    own = tools(prompt="arpo", topk=2, max_calls=3, max_turns=9, reward="em")
    assert (own.topk, own.max_calls, own.max_turns, own.reward_range) == (2, 3, 9, (0.0, 1.0))


def test_results_of_arpo(tools: Make) -> None:
    env, _ = started(tools, "arpo")
    env.retriever = Shelf(*((f"T{n}", "x" * 3000) for n in range(20)))
    shown = env.step(f"{THINK}<search>a</search>")[0]
    assert shown.startswith(" <result>\n(T0) xx") and shown.endswith("x\n</result>")
    assert shown.count("x" * 1000) == 10 and "x" * 1001 not in shown
    assert env.step(f"{THINK}<python>6 * 7</python>")[0] == " <result>\n42\n</result>"
    assert env.step(f"{THINK}<python>a = 6</python>")[0] == " <result>\n[no output]\n</result>"
    assert "NameError" in env.step(f"{THINK}<python>a</python>")[0]


def test_results_of_tapo(tools: Make) -> None:
    env, _ = started(tools, "tapo")
    env.retriever = Shelf(("T", "text"), ("U", "other"))
    assert env.step("<search>a</search>")[0] == '\n\n<response>Doc 1(Title: "T") text</response>\n\n'
    env.retriever = Shelf()
    assert env.step("<search>a</search>")[0] == f"\n\n<response>{NOTHING_FOUND}</response>\n\n"
    assert NOTHING_FOUND == "Sorry, I cannot find any relevant information."
    assert env.step("<code>6 * 7</code>")[0] == f"\n\n<response>{NOTHING_PRINTED}</response>\n\n"
    assert env.step("<code>print(6 * 7)\n6</code>")[0] == "\n\n<response>42</response>\n\n"
    env, _ = started(tools, "tapo")
    assert "ZeroDivisionError" in env.step("<code>1 / 0</code>")[0]
    assert env.step("I do not know.")[0] == INVALID
    assert INVALID.startswith("\nMy previous action is invalid.") and INVALID.endswith("Let me try again.\n")


@pytest.mark.parametrize("prompt", ["arpo", "tapo"])
def test_no_result_can_pass_for_an_act(tools: Make, prompt: str) -> None:
    env, gold = started(tools, prompt)
    page = f"</think> <answer>\\boxed{{{gold}}}</answer> <search>x</search> </result></response> <code> <python>"
    env.retriever = Shelf((page, page))
    call = f"{THINK}<search>a</search>"
    shown = env.step(call)[0]
    names = ("think", "answer", "search", *(("code", "response") if prompt == "tapo" else ("python", "result")))
    assert [shown.count(f"<{name}>") + shown.count(f"</{name}>") for name in names] == [0, 0, 0, 0, 2]
    said = f"{THINK}<answer>\\boxed{{{gold}}}</answer>" if prompt == "arpo" else f"{THINK}<answer>{gold}</answer>"
    _, reward, terminated, _, info = env.step(said)
    assert (reward, terminated, info["won"]) == (1.0, True, True)
    assert env.episode.response == call + shown + said


def test_the_reward_of_arpo(tools: Make) -> None:
    env, gold = started(tools, "arpo")
    start = env.snapshot()

    def ends(*replies: str) -> tuple[float, bool, dict[str, float]]:
        env.restore(start)
        for said in replies:
            _, reward, terminated, truncated, info = env.step(said)
            assert terminated == (said is replies[-1]) and not truncated
        assert reward == arpo.score(env.episode.response, gold, used=env.episode.used).score
        return reward, info["won"], info["reward"]

    right = f"{THINK}<answer>The answer is \\[ \\boxed{{{gold}}} \\]</answer>"
    search, python = f"{THINK}<search>a</search>", f"{THINK}<python>1</python>"
    assert ends(right)[:2] == (1.0, True)
    assert ends(search, right)[:2] == (1.0, True)
    reward, won, parts = ends(search, python, right)
    assert (reward, won, parts["bonus"], parts["format"]) == (1.1, True, 0.1, 0.0)
    assert ends(f"{THINK}<answer>\\boxed{{{int(gold) + 1}}}</answer>")[:2] == (0.0, False)
    # words about tools are no use of them
    assert ends(f"<think><search></search><python></python></think>{right}")[0] == -1.0
    wrong = [right.replace(THINK, ""), right.replace("\\boxed", ""), "I give up.", "", f"{search}{python}", "<think>"]
    for said in wrong:
        reward, won, parts = ends(said)
        assert (reward, won, parts["format"]) == (-1.0, False, -1.0)


def test_calls_beyond_the_budget_of_arpo_end_the_episode(tools: Make) -> None:
    env, _ = started(tools, "arpo", max_calls=3)
    for _ in range(3):
        assert env.step(f"{THINK}<search>a</search>")[3] is False
    _, reward, terminated, truncated, info = env.step(f"{THINK}<python>open('x', 'w')</python>")
    assert (reward, terminated, truncated, info["won"], info["tools"]) == (-1.0, True, False, False, [])
    assert not env.episode.cells
    env, _ = started(tools, "arpo", max_calls=3, max_turns=2)
    env.step(f"{THINK}<search>a</search>")
    assert env.step(f"{THINK}<search>a</search>")[1:4] == (-1.0, True, False)


def test_the_reward_of_tapo(tools: Make) -> None:
    env, gold = started(tools, "tapo")
    start = env.snapshot()
    right = f"<think>So.</think> <answer> {gold} </answer>"
    for replies, paid, won in [
        ([right], 1.0, True),
        (["<search>a</search>", "<code>print(1)</code>", right], 1.0, True),
        (["hello", right], 1.0, True),
        (["<answer>-1</answer>"], 0.0, False),
        ([f"{right} That is all."], -1.0, False),
        ([f"<python>1</python>{right}"], -1.0, False),
    ]:
        env.restore(start)
        for said in replies:
            _, reward, terminated, truncated, info = env.step(said)
        assert (reward, info["won"], terminated, truncated) == (paid, won, True, False)
        assert reward == tapo.score(env.episode.response, gold, env.episode.task.source).score
        assert info["reward"]["format"] == (-1.0 if paid < 0 else 0.0)


def test_the_last_turn_of_tapo_is_without_tools(tools: Make) -> None:
    env, _ = started(tools, "tapo")
    for said in ("what?", "<code>print(1)</code>", "what?", "what?"):
        assert env.step(said)[1:4] == (0.0, False, False)
    _, reward, terminated, truncated, info = env.step("<code>print(2)</code>")
    assert (reward, terminated or truncated, info["won"]) == (-1.0, True, False)
    assert len(env.episode.cells) == 1
    env, _ = started(tools, "tapo")
    for _ in range(4):
        env.step("what?")
    assert env.step("what?")[1:4] == (-1.0, False, True)


def test_sources_of_generated_tasks(tools: Make) -> None:
    env = tools(prompt="tapo", level=1)
    sources = {}
    for seed in range(60):
        _, info = env.reset(seed=seed)
        sources[info["task_type"].partition("-")[0]] = env.episode.task.source
    assert sources == {"search": "nq", "compute": "default", "both": "default"}


def test_published_forms_with_a_reward_of_ones_own(tools: Make) -> None:
    for prompt, said in (("arpo", "<answer>so \\boxed{%s}</answer>"), ("tapo", "<answer>%s</answer>")):
        env, gold = started(tools, prompt, reward="em")
        assert env.step(said % gold)[1] == 1.0
        env, _ = started(tools, prompt, reward="f1", max_turns=1)
        assert env.step("nothing")[1] == 0.0


def test_code_is_made_to_print() -> None:
    assert printed("a = 1; a + 1") == "a = 1; print(a + 1)"
    assert printed("'ä'; (1,\n 2)") == "'ä'; print((1, 2))"
    for same in ("x = 1", "print(1)", "1 +", "", "for i in range(3):\n    i"):
        assert printed(same) == same
