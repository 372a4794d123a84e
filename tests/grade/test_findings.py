"""Shares that `karat grade` states: over the candidates that were judged, the others missing."""

from __future__ import annotations

from typing import Any

import pytest

from karat.grade.findings import Tally, run_findings, run_tables, run_values
from karat.grade.types import Attempt, Graded, Verdict
from karat.types import Finding

TAMPER = Attempt(technique="os_exit", family="exit", line=1, confidence="strong", layer="audit", evidence="it left")
DOUBT = Attempt(technique="walk", family="read", line=1, confidence="moderate", layer="source", evidence="it looks")


def graded(task_id: str, verdict: Verdict, *tamper: Attempt, step: int = 1) -> Graded:
    return Graded(
        task_id=task_id,
        candidate_id="c",
        verdict=verdict,
        passed=verdict == "pass",
        reason="why",
        tests=(),
        tamper=tamper,
        step=step,
    )


def tally_of(*results: Graded) -> Tally:
    tally = Tally()
    for result in results:
        tally.add(result)
    return tally


def findings_of(tally: Tally) -> dict[str, Finding]:
    return {finding.code: finding for finding in run_findings(tally, tasks=4, checked="abcd", watched=True)}


MIXED: tuple[Any, ...] = (
    graded("a", "tampered", TAMPER),
    graded("b", "pass", DOUBT),
    graded("b", "fail"),
    graded("c", "invalid task"),
    graded("c", "invalid task"),
    graded("c", "invalid task"),
    graded("d", "error"),
)


def test_what_was_not_judged_is_not_counted_as_clean() -> None:
    """1 of 3 judged tampered, not 1 of 7; 1 of the 2 others is in doubt."""
    found = findings_of(tally_of(*MIXED))
    assert found["GR201"].effect == pytest.approx(100 / 3)
    assert (found["GR201"].n_used, found["GR201"].n_missing) == (3, 4)
    assert found["GR202"].effect == pytest.approx(50)
    assert (found["GR202"].n_used, found["GR202"].n_missing) == (2, 4)
    assert found["GR202"].verdict == "unclear"


def test_the_table_over_steps_has_the_same_shares() -> None:
    tally = tally_of(*MIXED, graded("d", "error", step=2))
    (steps,) = [table for table in run_tables(tally) if table.name == "grade_steps"]
    (row,) = steps.rows  # of step 2 nothing was judged
    assert row[:4] == (1, 3, pytest.approx(100 / 3), pytest.approx(100 / 3))
    assert run_values(tally)["pass_rate"] == pytest.approx(1 / 3)


def test_nothing_judged_is_not_checked() -> None:
    found = findings_of(tally_of(graded("d", "error"), graded("c", "invalid task")))
    assert (found["GR201"].verdict, found["GR201"].n_missing) == ("not checked", 2)
    assert "GR202" not in found


def test_the_share_of_invalid_tasks_is_of_those_of_which_it_is_known() -> None:
    """Of five tasks a and b have a reference, which a passes; c has no tests; of the others nothing can be told."""
    tally = tally_of(graded("a", "pass"), graded("b", "invalid task"), graded("c", "invalid task"), graded("d", "pass"))
    found = {f.code: f for f in run_findings(tally, tasks=5, checked=["a", "b"], watched=True)}["GR501"]
    assert found.effect == pytest.approx(200 / 3)
    assert (found.verdict, found.n_used, found.n_missing) == ("problem", 3, 2)
    sound = {f.code: f for f in run_findings(tally_of(graded("d", "pass")), tasks=5, checked=[], watched=True)}
    assert sound["GR501"].verdict == "not checked"
