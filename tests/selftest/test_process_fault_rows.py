"""The rows on annotators' faults: the read-out learns what it is told, and a repaired label costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from karat.selftest import process_faults
from karat.selftest.process_faults import TITLES, Learner, fault_rows, features
from karat.types import StepSolution
from karat.worlds.steps import StepFaults, annotate, draw_problems, solutions_of


def solutions(n: int, seed: int = 0) -> list[StepSolution]:
    rng = np.random.default_rng(seed)
    return [one for problem in draw_problems(rng, n) for one in solutions_of(problem, rng)]


def test_with_clean_labels_and_full_sight_nothing_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_faults, "SIGHT", 1.0)
    rng = np.random.default_rng(0)
    made = solutions(24)
    seen = [features(one, rng) for one in made]
    learner = Learner(seen[:96], made[:96], 64)
    assert learner.f1(seen[96:], made[96:]) == 1.0


def test_neutral_steps_called_wrong_are_flagged() -> None:
    rng = np.random.default_rng(0)
    made = solutions(40)
    seen = [features(one, rng) for one in made]
    harmed = Learner(seen, annotate(made, StepFaults(neutral=1.0), rng), 160)
    clean = Learner(seen, made, 160)
    neutral = np.array([1.0, 0.0, 0.0, 1.0, 0.5, 0.0])
    assert harmed(neutral) < 0.1 < 0.5 < clean(neutral)


def test_labels_that_are_not_harmed_break_the_rows_of_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def spared(made: Sequence[StepSolution], faults: StepFaults, rng: np.random.Generator) -> tuple[StepSolution, ...]:
        return annotate(made, replace(faults, style=0.0, neutral=0.0), rng)

    monkeypatch.setattr(process_faults, "annotate", spared)
    found = {row.code: row for row in fault_rows(6, 1)}
    assert set(found) == set(TITLES)
    assert not found["SE713"].is_kept
    assert not found["SE716"].is_kept
    assert found["SE710"].is_kept
