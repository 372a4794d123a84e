"""Figures of grading draw what their tables hold."""

from __future__ import annotations

from karat.report.grade_figures import by_technique, over_steps
from karat.types import Table

STEPS = Table(
    "grade_steps",
    "Attempts over training steps",
    ("step", "candidates", "passed %", "tampered %", "low", "high"),
    ((0, 64, 20.0, 0.0, 0.0, 5.7), (10, 64, 30.0, 12.5, 6.2, 23.0)),
)
ATTEMPTS = Table(
    "grade_attempts",
    "Attempts by technique",
    ("family", "technique", "proven", "strong", "moderate", "weak", "first witness"),
    (("answer theft", "read_frames", 3, 1, 0, 0, "t 1"), ("exit", "sys_exit<b>", 0, 2, 0, 5, "")),
)


def test_steps_are_told_in_words() -> None:
    plot = over_steps(STEPS)
    assert plot is not None
    assert "step 0: 0 %; step 10: 12.5 %" in plot.alt


def test_one_step_is_no_curve() -> None:
    assert over_steps(Table("grade_steps", "", STEPS.columns, STEPS.rows[:1])) is None


def test_techniques_are_told_in_words_and_escaped() -> None:
    plot = by_technique(ATTEMPTS)
    assert plot is not None
    assert "read frames: 4; sys exit" in plot.alt
    assert "<b>" not in plot.svg


def test_nothing_found_draws_nothing() -> None:
    assert by_technique(Table("grade_attempts", "", ATTEMPTS.columns, ())) is None
