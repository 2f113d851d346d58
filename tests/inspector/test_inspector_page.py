"""The page without a browser: what is in it, that it is the run, and that no text of a run becomes markup."""

from __future__ import annotations

import base64
import gzip
import html.parser
import json
import re
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from hostile_texts import EVIL, hostile_run

from agentrl.algorithms import Steps
from agentrl.cli import main
from agentrl.inspector.page import script
from agentrl.inspector.past import Past
from agentrl.inspector.records import record_of, tools_of
from agentrl.inspector.retake import before
from agentrl.inspector.server import make_server
from agentrl.inspector.trace import watch
from agentrl.training.rows import training_rows
from agentrl.trajectory import Trajectory, Turn


class Tags(html.parser.HTMLParser):
    """Names and attributes of all tags."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def blobs(page):
    """The data of a page by id."""
    found = re.findall(r'<script type="text/plain" id="([\w-]+)">([A-Za-z0-9+/=]+)</script>', page)
    return {name: json.loads(gzip.decompress(base64.b64decode(data))) for name, data in found}


def test_the_page_holds_the_run(run_of, tmp_path, capsys):
    run, out = run_of("gigpo"), tmp_path / "deep" / "page.html"
    assert main(["inspect", str(run), "--out", str(out), "--learner", "never"]) == 0
    assert "32 episodes of 2 steps" in capsys.readouterr().out
    found = blobs(out.read_text())
    index = found.pop("index")
    assert index["meta"]["algo"] == "gigpo" and index["meta"]["steps"] == [1, 2]
    assert sorted(found) == [f"g{s}-{g}" for s in (1, 2) for g in range(4)]
    groups = Past(run).groups(2)
    for g, group in enumerate(groups):
        told = found[f"g2-{g}"]
        assert [node[1] for node in told["nodes"]] == [n.ids for n in group.tree.nodes]
        for mine, one in zip(told["trajs"], group.trajectories, strict=True):
            assert [t["text"] for t in mine["turns"]] == [t.text for t in one.turns]
            assert mine["reward"] == pytest.approx(one.reward)
    assert len(index["episodes"]["step"]) == 32 and index["metrics"]["reward"][0] == [1, 2]
    used = {i for group in groups for node in group.tree.nodes for i in node.ids}
    assert used <= {int(i) for i in index["vocab"]}
    assert "not recorded" in index["notes"]["1"][0]


def test_one_step(run_of, tmp_path):
    assert main(["inspect", str(run_of("gigpo")), "--step", "2", "--out", str(tmp_path / "p.html")]) == 0
    assert {name[:2] for name in blobs((tmp_path / "p.html").read_text())} == {"in", "g2"}


def test_what_the_learner_saw_is_what_the_learner_says(run_of):
    """Ratios and log-probabilities of the first mini-batch, scored apart under the weights before the step."""
    past = Past(run_of("gigpo"))
    record = record_of(past, 2, learner="always")
    assert not record.notes
    groups = past.groups(2)
    trainer = before(past, 2)
    steps = Steps.of(groups)
    rows = training_rows(groups, steps, np.zeros(len(steps)))
    own = {}
    for data, scores in trainer.learner._scored(groups, rows, 1.0):
        for turn in set(data.step_T.tolist()):
            logp = scores.logp_K[data.step_T == turn]
            own[data.row.group, data.row.trajectory, turn] = logp.tolist()
    trainer.close()
    close, ratios = 0, []
    for g, group in enumerate(record.groups):
        for t, one in enumerate(group["trajs"]):
            for k, turn in enumerate(one["turns"]):
                size = len(own[g, t, k])
                assert len(turn["logp"]) == len(turn["old"]) == len(turn["ratio"]) == size
                np.testing.assert_allclose(turn["ratio"], np.exp(np.subtract(turn["logp"], turn["old"])), rtol=1e-3)
                np.testing.assert_allclose(turn["old"], own[g, t, k], atol=1e-4)  # the engine's, which are exact here
                close += np.allclose(turn["logp"], own[g, t, k], atol=1e-4)
                ratios += turn["ratio"]
    turns = sum(len(one["turns"]) for group in record.groups for one in group["trajs"])
    assert turns / 4 < close < turns, "the first of two mini-batches was seen under these weights, the second later"
    assert min(ratios) < 1 < max(ratios)


def test_no_text_becomes_markup(run_of, tmp_path):
    run = hostile_run(run_of("gigpo"), tmp_path)
    out = tmp_path / "page.html"
    assert main(["inspect", str(run), "--out", str(out)]) == 0
    page = out.read_text()
    assert "window.broken" not in page
    tags = Tags(page).found
    assert {tag for tag, _ in tags} == {"html", "head", "meta", "title", "style", "body", "div", "script"}
    assert sum(tag == "script" and "type" not in attributes for tag, attributes in tags) == 1
    assert blobs(page)["g1-0"]["trajs"][0]["turns"][0]["obs"].endswith(EVIL.replace("\ud800", "?"))


def test_the_page_asks_for_nothing_and_makes_no_markup():
    code = script()
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert name not in code.replace("http://www.w3.org/2000/svg", ""), name


def test_a_step_that_cannot_be_taken_again_says_so(run_of, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_of("gigpo"), copy)
    shutil.rmtree(copy / "checkpoints" / "step-000001")
    record = record_of(Past(copy), 2)
    assert "the checkpoint of step 1 was not kept" in record.notes[0]
    turn = record.groups[0]["trajs"][0]["turns"][0]
    assert "adv" in turn and "logp" not in turn


def test_names_of_tools():
    def said(action, calls=1):
        return Turn(0, 0, "", action, tool_calls=calls)

    one = Trajectory(0, 0, [said('[{"name": "find", "arguments": {}}]'), said("<think>a</think><search>b</search>")])
    one.turns += [said("what?"), said("<python>1</python>", 0)]
    assert tools_of(one) == ["find", "search", "(unnamed)"]


def test_the_server_reads_steps_when_asked_and_answers_this_machine_only(run_of):
    server = make_server(Past(run_of("gigpo")), learner="never")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    home = f"http://127.0.0.1:{server.server_address[1]}"

    def get(path, **headers):
        with urllib.request.urlopen(urllib.request.Request(home + path, headers=headers), timeout=60) as answer:
            return gzip.decompress(answer.read())

    try:
        assert blobs(get("/").decode())["index"]["meta"]["serve"] is True
        assert json.loads(get("/step/2"))["episodes"]["step"] == [2] * 16
        assert json.loads(get("/group/2/3"))["group"] == 3
        for path, status, host in [
            ("/group/2/99", 404, "127.0.0.1"),
            ("/../x", 404, "localhost"),
            ("/", 403, "evil.example"),
        ]:
            with pytest.raises(urllib.error.HTTPError) as error:
                get(path, Host=f"{host}:1")
            assert error.value.code == status
        with pytest.raises(urllib.error.HTTPError) as error:
            get("/step/99")
        assert error.value.code == 500
    finally:
        server.shutdown()
        server.server_close()


def test_watch_is_not_confused_by_threads(run_of):
    done = []
    _, calls = watch(lambda: threading.Thread(target=lambda: done.append(1)).start(), sizes=(1,))
    assert calls == []


def test_wrong_flags(run_of, capsys):
    run = str(run_of("gigpo"))
    assert main(["inspect", run, "--learner", "maybe"]) == 2
    assert "must be one of: auto, always, never" in capsys.readouterr().err
    assert main(["inspect", "--help"]) == 0
