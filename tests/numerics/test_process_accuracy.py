from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.numerics.process_accuracy import (
    best_threshold,
    candidate_thresholds,
    chance_f1,
    first_below,
    first_error_totals,
    negative_f1,
    positive_f1,
    prm_score,
    process_f1,
    step_totals,
)


def test_first_step_below() -> None:
    assert first_below([0.9, 0.4, 0.6, 0.1], [0.05, 0.3, 0.5, 0.9, 0.95]).tolist() == [-1, 3, 1, 1, 0]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8), st.floats(-6, 6))
def test_first_step_below_is_the_first(score: list[float], threshold: float) -> None:
    expected = next((at for at, value in enumerate(score) if value < threshold), -1)
    assert first_below(score, [threshold]).tolist() == [expected]


def test_f1_by_hand() -> None:
    # of three wrong solutions one is found, of two right ones both: 2 (1/3) 1 / (4/3) = 1/2
    totals = first_error_totals([1, 0, -1, -1, -1], [1, 2, 0, -1, -1])
    assert totals.sum(axis=0).tolist() == [1, 3, 2, 2]
    assert process_f1(totals.sum(axis=0)) == pytest.approx(0.5)


def test_f1_at_the_edges() -> None:
    assert process_f1(np.array([0.0, 3, 0, 2])) == 0.0
    assert math.isnan(process_f1(np.array([0.0, 0, 2, 2])))


@pytest.mark.parametrize("steps", [(4, 4), (2, 9, 5)])
def test_no_blind_rule_beats_chance(steps: tuple[int, ...]) -> None:
    chance = np.mean([1 / n for n in steps])
    share = np.linspace(0, 1, 2001)[1:-1]
    accuracy = (1 - share) * chance
    best = np.max(2 * accuracy * share / (accuracy + share))
    assert chance_f1([*steps, 3], [*([0] * len(steps)), -1]) == pytest.approx(best, abs=1e-6)


def test_prm_score_by_hand() -> None:
    # steps right, wrong, right, wrong; the second and third flagged: TP 1, FP 1, TN 1, FN 1
    totals = step_totals([0.9, 0.2, 0.3, 0.8], [False, True, False, True], [0.5])[0]
    assert totals.tolist() == [1, 1, 1, 1]
    assert prm_score(totals) == pytest.approx(0.5)
    assert positive_f1(np.array([3.0, 0, 0, 1])) == pytest.approx(6 / 7)
    assert math.isnan(negative_f1(np.array([3.0, 0, 0, 1])))


def test_swapping_right_and_wrong_steps_mirrors_the_two_f1() -> None:
    totals = np.array([5.0, 2, 3, 1])
    mirrored = totals[[2, 3, 0, 1]]
    assert positive_f1(totals) == pytest.approx(negative_f1(mirrored))


def test_threshold_is_the_best_one() -> None:
    scores = [np.array([0.9, 0.2]), np.array([0.8, 0.7])]
    grid = candidate_thresholds(scores)
    totals = np.stack(
        [first_error_totals(first_below(s, grid), np.full(grid.size, y)) for s, y in zip(scores, (1, -1), strict=True)],
        1,
    )
    best = best_threshold(totals, grid, process_f1)
    assert 0.2 < best < 0.7
