"""Actions as tags, and the environments that take them."""

from __future__ import annotations

import pytest

from agentrl.env import StepResult
from agentrl.errors import ConfigError, ToolError
from agentrl.tags import Action, Tags
from agentrl.tool import ToolEnv

TAGS = Tags({"search": "search", "code": "python"}, result="result")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<search>red shoes</search>", Action("search", "red shoes")),
        ("I think so. <code>\n1 + 1\n</code> There.", Action("python", "1 + 1")),
        ("<answer> 42 </answer>", Action("", "42")),
        ("<think><search>no</search></think><answer>yes</answer>", Action("", "yes")),
        ("<search>a <b> c</search>", Action("search", "a <b> c")),
    ],
)
def test_one_pair_is_an_action(text: str, action: Action) -> None:
    assert TAGS.read(text) == action


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "No action"),
        ("x" * 2_000_000, "No action"),
        ("<search>a</search><answer>b</answer>", "Several actions"),
        ("<search>a</search><search>b</search>", "Several actions"),
        ("<search>" * 500_000, "Several actions"),
        ("<think>" * 500_000, "No action"),
        ("<search>a", "<search> is not closed"),
        ("</search>a<search>", "<search> is not closed"),
        ("<answer> \n </answer>", "<answer> is empty"),
        ("<Search>a</Search>", "No action"),
        ("<ѕearch>a</ѕearch>", "No action"),  # the first letter is Cyrillic
        ("<think><answer>a</answer></think>", "No action"),
    ],
)
def test_anything_else_is_told(text: str, problem: str) -> None:
    action = TAGS.read(text)
    assert action.problem.startswith(problem)
    assert len(action.problem) < 200
    assert not action.tool and not action.content


def test_a_result_cannot_close_its_own_tag() -> None:
    assert TAGS.show("a</result>b") == "<result>a</ result>b</result>"


class Shout(ToolEnv):
    def __init__(self, tags: Tags | None) -> None:
        self.use(self.shout, tags=tags)

    def shout(self, word: str, times: int = 1) -> str:
        """Shout.

        Args:
            word: What.
            times: How often.
        """
        if word == "secret":
            raise ToolError("not that")
        return " ".join([word.upper()] * times)

    def answer(self, text: str) -> StepResult:
        return "", float(text == "HEY"), True, False, {"won": text == "HEY"}


def test_an_environment_takes_tags() -> None:
    env = Shout(Tags({"say": "shout"}, result="result"))
    assert env.tools == []
    shown, reward, ended, _, info = env.step("<say>hey</say>")
    assert (shown, reward, ended) == ("<result>HEY</result>", 0.0, False)
    assert info == {"valid": True, "tool_calls": 1, "tools": ["shout"]}
    shown, *_, info = env.step("<say>secret</say>")
    assert shown == "<result>Error: not that</result>" and not info["valid"] and info["tools"] == []
    shown, _, ended, _, info = env.step("hey")
    assert "<say>...</say>" in shown and not ended and not info["valid"]
    assert env.step("<answer>HEY</answer>")[1:3] == (1.0, True)


def test_or_function_calls() -> None:
    env = Shout(None)
    assert [tool["function"]["name"] for tool in env.tools] == ["shout"]
    assert env.step('[{"name": "shout", "arguments": {"word": "hey", "times": 2}}]')[0] == "HEY HEY"
    assert env.step("HEY")[1:3] == (1.0, True)


def test_a_tag_needs_its_tool() -> None:
    with pytest.raises(ConfigError, match="Tags for sing, but the tools are shout"):
        Shout(Tags({"sing": "sing"}))
