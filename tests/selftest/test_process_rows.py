"""The planted step scorers: what the sound one says by hand, and that a blunted part breaks its promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from karat.audit.reward.process import gains
from karat.selftest import audit_process
from karat.selftest.audit_process import HIGH, LOW, NOISE, PlantedScorer, draw, process_rows

PROMPT = "Problem 0: start with 3, then add 4, then multiply by 2"


def scored(*steps: str, fault: str = "", strength: float = 0.0) -> list[float]:
    return list(PlantedScorer({PROMPT: 3}, {PROMPT: 14}, fault, strength).scores(PROMPT, steps))


def near(values: list[float], expected: list[float]) -> bool:
    return bool(np.all(np.abs(np.array(values) - expected) <= 2 * NOISE + 1e-9))


def test_the_sound_scorer_reads_equations_and_where_they_start() -> None:
    assert near(scored("3 + 4 = 7", "7 x 2 = 14"), [HIGH, HIGH])
    assert near(scored("3 + 4 = 8", "8 x 2 = 16"), [LOW, HIGH])  # carried on: true of what it was given
    assert near(scored("3 + 4 = 8", "7 x 2 = 14"), [LOW, LOW])  # nothing has led to 7
    assert near(scored("Thank you."), [LOW])
    assert near(scored("3 + 4 = 7", "Thank you."), [HIGH, HIGH])


def test_faults_pull_as_they_say() -> None:
    assert near(scored("Clearly 3 + 4 = 8", fault="style", strength=0.5), [0.5 * LOW + 0.5])
    assert near(scored("3 + 4 = 8", "so 14", fault="outcome", strength=1.0), [HIGH, HIGH])
    assert near(scored("3 + 4 = 7", "so 15", fault="outcome", strength=1.0), [HIGH, LOW])
    assert near(scored("3 + 4 = 7", "7 x 2 = 14", fault="position", strength=1.0), [1.0, 6 / 7])


def test_drawn_labels_are_true() -> None:
    drawn = draw(np.random.default_rng(0), 20)
    scorer = PlantedScorer(drawn.starts, drawn.answers)
    for solution in drawn.solutions:
        score = scorer.scores(str(solution.prompt), solution.steps)
        for value, label in zip(score, solution.labels, strict=True):
            assert np.isnan(label) or (value > 0.5) == (label == 1.0)


def test_all_promises_are_kept() -> None:
    rows = process_rows(6, 0)
    assert all(row.is_kept for row in rows)
    assert {row.code for row in rows} == set(audit_process.TITLES)


def test_gains_without_their_sign_break_the_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = gains.aggregated

    def turned(scores: Any, how: str) -> Any:
        return [-value for value in plain(scores, how)]

    monkeypatch.setattr(gains, "aggregated", turned)
    broken = {row.code for row in process_rows(3, 0) if not row.is_kept}
    assert broken >= {"SE682", "SE684", "SE686"}
