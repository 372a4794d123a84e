"""Graded candidates as rows of a results file, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from karat.grade.types import Attempt, Graded, TestResult
from karat.types import NAN

EVIDENCE_LENGTH = 300


def row_of(graded: Graded) -> dict[str, Any]:
    """A row of the grading contract (design: task_id, candidate_id, verdict, passed, tests, tamper) and more."""
    row: dict[str, Any] = {
        "task_id": graded.task_id,
        "candidate_id": graded.candidate_id,
        "verdict": graded.verdict,
        "passed": graded.passed,
        "reason": graded.reason,
        "tests": [_test_row(test) for test in graded.tests],
        "tamper": [_attempt_row(attempt) for attempt in graded.tamper],
        "special_cased": graded.special_cased,
        "visible_passed": graded.visible_passed,
        "visible_total": graded.visible_total,
        "hidden_passed": graded.hidden_passed,
        "hidden_total": graded.hidden_total,
        "wall_s": _number(graded.wall_s),
        "cpu_s": _number(graded.cpu_s),
        "backend": graded.backend,
        "attempts": graded.attempts,
        "trust": graded.trust,
    }
    if graded.step is not None:
        row["step"] = graded.step
    return row


def graded_of(row: Mapping[str, Any]) -> Graded:
    """The record of a results row.

    Raises: KeyError, TypeError: the row is not one of ours.
    """
    return Graded(
        task_id=row["task_id"],
        candidate_id=row["candidate_id"],
        verdict=row["verdict"],
        passed=row["passed"],
        reason=row["reason"],
        tests=tuple(
            TestResult(
                test_id=test["test_id"],
                verdict=test["verdict"],
                reason=test.get("reason", ""),
                hidden=test.get("hidden", False),
                generated=test.get("generated", False),
                trust=test.get("trust", "outside"),
            )
            for test in row["tests"]
        ),
        tamper=tuple(Attempt(**attempt) for attempt in row["tamper"]),
        step=row.get("step"),
        special_cased=row["special_cased"],
        visible_passed=row["visible_passed"],
        visible_total=row["visible_total"],
        hidden_passed=row["hidden_passed"],
        hidden_total=row["hidden_total"],
        wall_s=NAN if row["wall_s"] is None else row["wall_s"],
        cpu_s=NAN if row["cpu_s"] is None else row["cpu_s"],
        backend=row["backend"],
        attempts=row["attempts"],
        trust=row["trust"],
    )


def _test_row(test: TestResult) -> dict[str, Any]:
    row: dict[str, Any] = {"test_id": test.test_id, "verdict": test.verdict, "reason": test.reason}
    if test.hidden:
        row["hidden"] = True
    if test.generated:
        row["generated"] = True
    if test.trust == "shared":
        row["trust"] = "shared"
    return row


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "technique": attempt.technique,
        "family": attempt.family,
        "line": attempt.line,
        "confidence": attempt.confidence,
        "layer": attempt.layer,
        "evidence": attempt.evidence[:EVIDENCE_LENGTH],
        "benign": attempt.benign,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
