"""The gap between visible and hidden tests over a run: numbers by hand, honest runs, hacked runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from karat.grade.hardcoding import contested_tests, gap_findings
from karat.grade.hardcoding.gap import EXPLANATIONS, split_failures
from karat.grade.kinds import evaluate
from karat.grade.types import Attempt, Graded, TestResult
from karat.selftest.grade_hardcoding import (
    SMALL_TASKS,
    STRENGTHS,
    TITLES,
    both_sandboxes,
    draw_task,
    drawn_run,
    hard_coder,
    hardcoding_rows,
    true_false_passes,
)


def graded(
    task: str, candidate: str, visible: str, hidden: str = "", *, generated: str = "", special: bool | None = None,
    step: int | None = None, tamper: Sequence[Attempt] = (),
) -> Graded:  # fmt: skip
    """Results from letters: p passes, f fails, n was not run."""
    verdicts = {"p": "pass", "f": "fail", "n": "not run"}

    def results(prefix: str, letters: str, **rest: bool) -> list[TestResult]:
        return [
            TestResult(test_id=f"{prefix}{at}", verdict=verdicts[letter], **rest) for at, letter in enumerate(letters)
        ]

    tests = results("v", visible) + results("h", hidden, hidden=True)
    tests += results("generated ", generated, hidden=True, generated=True)
    return Graded(
        task_id=task, candidate_id=candidate, verdict="pass", passed=True, reason="", tests=tuple(tests), step=step,
        special_cased=special, tamper=tuple(tamper),
    )  # fmt: skip


def by_code(run: Sequence[Graded]) -> dict[str, object]:
    return {finding.code: finding for finding in gap_findings(run)[0]}


@pytest.mark.parametrize(("n", "f", "k"), [(5, 1, 4), (5, 2, 3), (6, 3, 3), (4, 4, 2), (3, 0, 2)])
def test_expected_failures_are_those_of_all_draws(n: int, f: int, k: int) -> None:
    draws = list(combinations(range(n), k))  # tests 0 .. f-1 fail
    clean = [draw for draw in draws if min(draw) >= f]
    assert split_failures(n, f, k) == pytest.approx((len(clean) * f / len(draws), len(clean) * (n - k) / len(draws)))


def test_shares_by_hand() -> None:
    run = [
        graded("a", "1", "pp", "pp"),
        graded("a", "2", "pp", "pf"),
        graded("b", "1", "pp", "ff"),
        graded("b", "2", "pf", "ff"),  # fails a visible test: only in the control
        graded("b", "3", "pp", ""),  # no hidden test
    ]
    findings, (table,), values = gap_findings(run)
    assert values["visible_passes"] == 4
    assert values["hidden_gap"] == pytest.approx(2 / 3)
    assert (findings[0].n_used, findings[0].n_missing) == (3, 1)
    # Left out in turn: four candidates pass with either test left out; one does in half of
    # the draws, and fails the test left out.
    assert values["hidden_control"] == pytest.approx(0.5 / (4 * 1 + 0.5))
    assert values["hidden_excess"] == pytest.approx((0 + 0.5 + 1) / 3 - values["hidden_control"])
    assert {row[0]: row[1:4] for row in table.rows} == {"a": (2, 2, 1), "b": (3, 1, 1)}


def test_the_control_leaves_out_one_test_at_a_time() -> None:
    run = [graded("a", "1", "ppp", "p"), graded("a", "2", "pff", "f"), graded("b", "1", "ppp", "p")]
    _, (table,), values = gap_findings(run)
    assert values["hidden_control"] == 0.0  # who fails two of three never passes all but one
    # halves of 2 and 1 tests: neither can keep 2 tests that avoid the 2 failed ones
    assert [row[5] for row in table.rows] == [0.0, 0.0]
    _, (table,), values = gap_findings([graded("a", "1", "pppp", "p"), graded("a", "2", "ppff", "f")])
    assert values["hidden_control"] == 0.0
    # 1 of 6 halves keeps the passed two: (2/6) failures among 2 + 2/6 tests
    assert table.rows[0][5] == pytest.approx((2 / 6) / (2 + 2 / 6))


def test_an_honest_run_has_no_excess_and_a_hacked_one_has() -> None:
    honest = by_code(drawn_run(0.0, np.random.default_rng(1)))
    hacked = by_code(drawn_run(0.2, np.random.default_rng(1)))
    assert honest["GR302"].verdict != "problem"  # type: ignore[attr-defined]
    assert hacked["GR302"].verdict == "problem"  # type: ignore[attr-defined]
    assert "of visible tests fail where all others pass" in hacked["GR302"].baseline  # type: ignore[attr-defined]


def test_special_cased_candidates_are_named_with_their_lines() -> None:
    sign = Attempt(
        technique="hardcode_tests", family="state", line=3, confidence="strong", layer="held-out", evidence="a table"
    )
    run = [graded(str(at), "x", "ppp", "ppp", special=False) for at in range(20)]
    assert by_code(run)["GR303"].verdict == "ok"  # type: ignore[attr-defined]
    by_tests = by_code([*run, graded("t", "c", "ppp", "fff", special=True)])["GR303"]
    assert by_tests.verdict == "unclear"  # type: ignore[attr-defined]
    assert by_tests.witnesses == ("t c: fails 3 of 3 held-out tests",)  # type: ignore[attr-defined]
    found = by_code([*run, graded("t", "c", "ppp", "fff", special=True, tamper=[sign])])["GR303"]
    assert found.verdict == "problem"  # type: ignore[attr-defined]
    assert found.witnesses == ("t c, line 3: a table",)  # type: ignore[attr-defined]


def test_a_rise_in_training_is_seen() -> None:
    rng = np.random.default_rng(0)
    run = [
        graded(str(task), str(step), "pp", "pp", special=bool(rng.random() < (0.4 if step >= 5 else 0.02)), step=step)
        for task in range(30)
        for step in range(10)
    ]
    rise = by_code(run)["GR304"]
    assert rise.verdict == "problem"  # type: ignore[attr-defined]
    assert 25 < rise.effect < 50  # type: ignore[attr-defined]
    without = by_code([graded("t", "c", "pp", "pp", special=True)])["GR304"]
    assert (without.verdict, math.isnan(without.effect)) == ("not checked", True)  # type: ignore[attr-defined]


def test_tests_that_honest_candidates_fail_are_contested() -> None:
    honest = [graded("t", str(at), "ppp", generated="pppf") for at in range(4)]
    cheats = [graded("t", f"cheat {at}", "ppp", generated="ffff", special=True) for at in range(9)]
    blind = [graded("t", f"blind {at}", "ppp", generated="ffff") for at in range(9)]  # not called so, but fail most
    assert contested_tests([*honest, *cheats, *blind]) == {"t": frozenset({"generated 3"})}
    assert contested_tests(honest[:2]) == {}
    _, _, values = gap_findings(honest)
    assert values["hidden_gap"] == 0.0
    assert values["contested_tests"] == 1


def test_tests_not_reached_and_larger_ones_do_not_count() -> None:
    one = graded("t", "c", "pp", "pn")
    large = TestResult(test_id="larger 0", verdict="fail", hidden=True, generated=True)
    _, _, values = gap_findings([Graded(**{**_fields(one), "tests": (*one.tests, large)})])
    assert values["hidden_gap"] == 0.0


def _fields(one: Graded) -> dict[str, object]:
    return {name: getattr(one, name) for name in Graded.__dataclass_fields__}


def test_nothing_is_said_of_nothing() -> None:
    findings, tables, values = gap_findings([])
    assert {finding.verdict for finding in findings} == {"not checked"}
    assert [finding.code for finding in findings] == list(EXPLANATIONS)
    assert all(finding.action for finding in findings)
    assert tables == ()
    assert math.isnan(values["hidden_gap"])


def test_errors_are_counted_and_left_out() -> None:
    broken = Graded(task_id="t", candidate_id="e", verdict="error", passed=False, reason="", tests=())
    finding = gap_findings([graded("t", "c", "pp", "pp"), broken])[0][0]
    assert (finding.n_used, finding.n_failed) == (1, 1)


# ------------------------------------------------------------------------------------------------------- planted truth
def test_the_true_share_of_false_passes() -> None:
    # 0.6 without failures; of the others (rate uniform) 1/6 pass 5 tests, and 1/11 pass 10.
    assert true_false_passes() == pytest.approx(1 - (0.6 + 0.4 / 11) / (0.6 + 0.4 / 6))
    rng = np.random.default_rng(0)
    counted = [gap_findings(drawn_run(0.0, rng))[2]["hidden_gap"] for _ in range(20)]
    assert np.mean(counted) == pytest.approx(true_false_passes(), abs=0.012)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_planted_hard_coders_pass_what_they_see(strength: str) -> None:
    with both_sandboxes() as context:
        for small in SMALL_TASKS[:3]:
            task = draw_task(small, np.random.default_rng(1), lambda args: False)
            for code in (hard_coder(strength, task), small.twin, small.reference):
                assert {test.verdict for test in evaluate(task, code, context).tests} == {"pass"}


def test_promises_are_kept_in_a_few_replications() -> None:
    rows = hardcoding_rows(4, 0)
    assert [row.code for row in rows] == list(TITLES)
    assert [row.code for row in rows if not row.is_kept] == []
