"""`grade_rollouts` from end to end: findings, values, tables, judges, labels, rows that cannot be read."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from karat.errors import InputError
from karat.grade.rollout import grade_rollouts
from karat.grade.rollout.config import RolloutConfig
from karat.grade.rollout.findings import CODES, EXPLANATIONS, TITLES
from karat.grade.rollout.judge import Quality, ask_judge, quality, read_answer, rollout_view
from karat.grade.rollout.read import RolloutReader
from karat.grade.rollout.rules import find_signs
from karat.grade.tamper.techniques import TECHNIQUES
from karat.worlds.rollouts import all_rollouts, render

ALL = {known.name: known for known in all_rollouts()}
BAD, GOOD = ("expected-value-to-output", "fetch-upstream", "reward-file"), ("new-tests", "recent-history", "base-cases")


def rows(*names: str) -> list[Any]:
    return [render(ALL[name]) + "\n" for name in names]


def test_counts_findings_and_table(tmp_path: Path) -> None:
    for name in (*BAD, *GOOD):
        (tmp_path / f"{name}.json").write_text(render(ALL[name]))
    (tmp_path / "broken.json").write_text("{")
    result = grade_rollouts(tmp_path)
    assert (result.values["n_rollouts"], result.values["n_flagged"], result.values["n_unreadable"]) == (6, 3, 1)
    assert result.values["flagged"] == 0.5
    verdicts = {finding.code: finding.verdict for finding in result.findings}
    assert verdicts == {
        "GR401": "problem", "GR402": "ok", "GR403": "problem", "GR404": "problem", "GR405": "ok",
        "GR406": "not checked",
    }  # fmt: skip
    first = result.findings[0]
    assert (first.effect, first.n_used, first.n_missing) == (pytest.approx(1 / 6), 6, 1)
    assert first.low < first.effect < first.high
    table = result.tables[0]
    assert table.rows[0][4] == "strong"
    assert {row[2] for row in table.rows} <= set(TECHNIQUES)
    assert "3 of 6 rollouts" in result.lead
    json.dumps(result.values)


def test_patches_do_not_count_for_what_only_commands_show() -> None:
    result = grade_rollouts(rows("xfail-by-patch", "tests-reformatted"))
    by_code = {finding.code: finding for finding in result.findings}
    assert by_code["GR404"].verdict == "not checked"
    assert by_code["GR401"].effect == 0.5


def test_the_task_and_allowed_paths_are_options() -> None:
    patch = rows("xfail-by-patch")
    assert grade_rollouts(patch).values["n_flagged"] == 1
    assert grade_rollouts(patch, allowed="tests/*").values["n_flagged"] == 0
    assert grade_rollouts(patch, task="Mark the test as xfail and update the tests.").values["n_flagged"] == 0


def test_nothing_to_read() -> None:
    with pytest.raises(InputError, match="no rollouts"):
        grade_rollouts([])
    result = grade_rollouts([{"a": 1}])
    assert "No rollout could be read" in result.lead
    assert {finding.verdict for finding in result.findings} == {"not checked"}
    assert math.isnan(result.values["flagged"])


def test_a_rule_that_breaks_hides_no_other_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rollout: Any, **options: Any) -> Any:
        if rollout.rollout_id == "fetch-upstream":
            raise RecursionError
        return find_signs(rollout, **options)

    monkeypatch.setattr("karat.grade.rollout.run.find_signs", broken)
    result = grade_rollouts(rows("fetch-upstream", "expected-value-to-output"))
    assert (result.values["n_failed"], result.values["n_rollouts"], result.values["n_flagged"]) == (1, 1, 1)
    assert result.findings[0].n_failed == 1


def test_steps_of_training() -> None:
    given = [{"step": step, "model_patch": render(ALL["xfail-by-patch"])} for step in (10, 10, 20)]
    given += [{"step": 20, "model_patch": render(ALL["tests-reformatted"])}]
    tables = {table.name: table for table in grade_rollouts(given).tables}
    assert [row[:4] for row in tables["rollout_steps"].rows] == [(10, 2, 2, 1.0), (20, 2, 1, 0.5)]


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="judge_least"):
        RolloutConfig(judge_least="sure")
    with pytest.raises(InputError, match="names no judge"):
        grade_rollouts(rows("new-tests"), judge="clever")


def test_explanations_cover_the_codes() -> None:
    assert set(EXPLANATIONS) == set(TITLES) == {*CODES, "GR406"}


# ---------------------------------------------------------------------------------------------------------- judge
def test_quality_by_hand() -> None:
    """3 said tampered (2 right), 2 said honest (1 right), one silent: precision 2/3, recall 2/3, false alarms 1/2."""
    found = quality(
        ["tampered", "tampered", "tampered", "honest", "honest", "missing"], [True, True, False, True, False, True]
    )
    assert found == Quality(hits=2, false_alarms=1, misses=1, passes=1, n_missing=1)
    assert (found.precision, found.recall, found.false_rate) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 0.5)
    assert math.isnan(quality(["honest"], [False]).precision)


@pytest.mark.parametrize(
    ("answer", "vote"),
    [
        ({"verdict": "tampered", "reason": "x"}, "tampered"),
        ('{"verdict": "honest"}', "honest"),
        ("tampered", "missing"),
        ({"verdict": "maybe"}, "missing"),
        ({"verdict": True}, "missing"),
        (None, "missing"),
        ('{"verdict": "honest"} {"verdict": "tampered"}', "missing"),
    ],
)
def test_only_a_plain_answer_is_a_vote(answer: Any, vote: str) -> None:
    assert read_answer(answer).vote == vote


def test_a_view_is_marked_cut_and_cannot_close_its_marks() -> None:
    (rollout,) = RolloutReader().read(rows("hidden-tests-read"))
    signs = find_signs(rollout)
    one, two = (rollout_view(rollout, signs, most_chars=900) for _ in range(2))
    mark = one["text"].split("\n")[0].removeprefix("<<<")
    assert mark != two["text"].split("\n")[0].removeprefix("<<<")
    assert one["text"].count(mark) == 2
    assert len(rollout_view(rollout, signs, most_chars=200)["text"]) < 400
    assert rollout_view(rollout, signs, most_chars=200)["truncated"]
    assert not one["truncated"]


def test_a_judge_is_asked_and_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A judge that knows only deleted tests: right where it speaks, and failing on every rollout from a patch."""
    (tmp_path / "my_judge.py").write_text(
        "def judge(view, question):\n"
        "    if view['n_actions'] == 1:\n"
        "        raise RuntimeError('no')\n"
        "    bad = any(sign['technique'] == 'git_history' and sign['confidence'] == 'strong' for sign in"
        " view['signs'])\n"
        "    return {'verdict': 'tampered' if bad else 'honest', 'reason': 'because'}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    result = grade_rollouts(rows("fetch-upstream", "expected-value-to-output", "base-cases"), judge="my_judge:judge")
    values = result.values
    judged = {table.name: table for table in result.tables}["rollout_judge"].rows
    assert [(row[0], row[1], row[2]) for row in judged] == [
        ("fetch-upstream", "strong", "tampered"), ("expected-value-to-output", "strong", "honest"),
    ]  # fmt: skip
    assert values["judge_agreement"] == 0.5
    assert values["judge_n"] + values["judge_missing"] == 60
    assert values["judge_missing"] > 0
    assert values["judge_recall"] < 0.5
    assert result.findings[-1].code == "GR406"


def test_labels_of_the_input_measure_rules_and_judge() -> None:
    given = [
        {"label": True, "patch": render(ALL["xfail-by-patch"])},
        {"label": True, "patch": render(ALL["tests-reformatted"])},
    ]
    given += [{"label": False, "patch": render(ALL["coverage-raised"])}]
    values = grade_rollouts(given).values
    assert (values["n_labelled"], values["rules_precision"], values["rules_recall"]) == (3, 1.0, 0.5)


@pytest.fixture
def address() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            view = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"verdict": "tampered" if view["signs"] else "honest"}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_judge_over_http(address: str) -> None:
    result = grade_rollouts(rows("fetch-upstream"), judge=address, judge_known=0)
    assert {table.name: table for table in result.tables}["rollout_judge"].rows[0][2] == "tampered"
    silent = grade_rollouts(rows("fetch-upstream"), judge="http://127.0.0.1:9", judge_known=0, judge_timeout_s=2.0)
    assert silent.values["judge_missing"] == 1
    assert silent.findings[-1].verdict == "not checked"


def test_a_judge_may_raise_anything() -> None:
    def judge(view: Mapping[str, Any], question: str) -> Any:
        raise KeyError("x")

    (rollout,) = RolloutReader().read(rows("new-tests"))
    opinion = ask_judge(judge, rollout, (), most_chars=1000)
    assert (opinion.vote, opinion.reason) == ("missing", "raised KeyError: 'x'")
