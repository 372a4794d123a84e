"""Scores of solutions from their steps': hand values, order, and what one more step does to each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.process_aggregation import AGGREGATES, LABELS, advice, aggregate

probs = st.lists(st.floats(0, 1), min_size=1, max_size=9).map(np.array)


def test_hand_values() -> None:
    expected = {"min": 0.25, "product": 0.125, "last": 0.5, "mean": 1.75 / 3, "sum": 1.75}
    assert {how: aggregate([1.0, 0.25, 0.5], how) for how in AGGREGATES} == pytest.approx(expected)


@given(probs)
def test_they_are_in_order(prob_S: np.ndarray) -> None:
    found = {how: aggregate(prob_S, how) for how in AGGREGATES}
    assert found["product"] <= found["min"] <= found["mean"] + 1e-12
    assert found["mean"] <= 1 + 1e-12
    assert found["min"] <= found["last"]
    assert found["sum"] == pytest.approx(found["mean"] * len(prob_S))


@given(probs, st.randoms(use_true_random=False))
def test_all_but_the_last_disregard_the_order(prob_S: np.ndarray, random: object) -> None:
    shuffled = prob_S.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for how in set(AGGREGATES) - {"last"}:
        assert aggregate(shuffled, how) == pytest.approx(aggregate(prob_S, how), abs=1e-12)


@given(probs)
def test_a_repeated_step_pays_under_the_sum_alone(prob_S: np.ndarray) -> None:
    """Repeating the best step raises the sum by it; min and last (where it is not put last) stay, product falls."""
    best = int(np.argmax(prob_S))
    longer_S = np.insert(prob_S, best, prob_S[best])
    assert aggregate(longer_S, "sum") == pytest.approx(aggregate(prob_S, "sum") + prob_S[best])
    assert aggregate(longer_S, "min") == aggregate(prob_S, "min")
    assert aggregate(longer_S, "last") == aggregate(prob_S, "last")
    assert aggregate(longer_S, "product") <= aggregate(prob_S, "product")


@given(st.floats(0, 1), st.sampled_from(AGGREGATES))
def test_one_step_is_its_own_score(prob: float, how: str) -> None:
    assert aggregate([prob], how) == prob


def test_a_missing_step_is_no_right_one() -> None:
    for how in ("min", "product", "mean", "sum"):
        assert np.isnan(aggregate([0.9, np.nan, 0.8], how))
    assert aggregate([np.nan, 0.8], "last") == 0.8
    assert np.isnan(aggregate([0.8, np.nan], "last"))


def test_advice_fits_the_labels() -> None:
    assert {labels: advice(labels).aggregate for labels in (*LABELS, "")} == {
        "correctness": "min",
        "monte-carlo": "last",
        "": "min",
    }
    assert "not known" in advice("").reason
    assert "a value" in advice("monte-carlo").reason
    with pytest.raises(InputError, match=r"none called 'rollouts'; there are: correctness, monte-carlo"):
        advice("rollouts")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"there is no 'best'; there are: min, product"):
        aggregate([0.5], "best")
    with pytest.raises(InputError, match=r"1 of 2 are no probabilities \(first: step 1, -3\).*not logits"):
        aggregate([0.5, -3.0], "min")
    with pytest.raises(InputError, match="at least one step"):
        aggregate([], "min")
