"""Accuracy with ties, and what length alone would score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.accuracy import (
    best_rule,
    compare_with_rule,
    length_gap,
    longer_outcome,
    pair_accuracy,
    pair_outcome,
    tercile,
    tie_rate,
)

MARGINS = st.lists(st.floats(-50, 50), min_size=1).map(np.array)


def test_by_hand() -> None:
    margin = [2.0, 0.5, 0.0, -1.0]  # 2 right + 1 tie + 1 wrong of 4
    assert pair_accuracy(margin) == 0.625
    assert tie_rate(margin) == 0.25
    assert pair_outcome(margin, tie_tol=0.5).tolist() == [1, 0.5, 0.5, 0]
    assert longer_outcome([5, 3, 2], [4, 3, 9]).tolist() == [1, 0.5, 0]
    assert length_gap([5, 3, 2], [4, 3, 9]).tolist() == [1, 0, -7]


def test_no_pairs_are_undefined() -> None:
    assert math.isnan(pair_accuracy([]))
    assert math.isnan(tie_rate([]))


@given(MARGINS, st.floats(0, 1))
def test_swapping_chosen_and_rejected_mirrors_accuracy(margin: np.ndarray, tol: float) -> None:
    assert pair_accuracy(margin, tie_tol=tol) + pair_accuracy(-margin, tie_tol=tol) == pytest.approx(1.0)


@given(MARGINS)
def test_a_larger_scale_changes_no_outcome(margin: np.ndarray) -> None:
    assert np.array_equal(pair_outcome(margin), pair_outcome(4 * margin))


@given(st.lists(st.integers(-9, 9), min_size=3, max_size=60))
def test_terciles_follow_the_values_and_keep_equals_together(values: list[int]) -> None:
    code, (low, high) = tercile(values)
    assert low <= high
    for value, part in zip(values, code, strict=True):
        assert part == (value > low) + (value > high)
    assert np.mean(code == 0) >= 1 / 3 - 1e-12


def test_terciles_of_distinct_values_are_thirds() -> None:
    code, edges = tercile(np.arange(9.0))
    assert code.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert edges == (2.0, 5.0)
    assert tercile([])[0].size == 0


def test_best_rule() -> None:
    assert best_rule([1, 1, 0.5]) == "longer"
    assert best_rule([0, 1, 0]) == "shorter"
    assert best_rule([0.5, 0.5]) == "random"
    assert best_rule([]) == "random"


def test_slice_by_hand() -> None:
    rng = np.random.default_rng(0)
    found = compare_with_rule("x", [1, 1, 0.5, 0], [1, 0, 1, 1], ["a", "b", "c", "d"], rule="longer", rng=rng)
    assert (found.n_pairs, found.accuracy.estimate, found.longer, found.shorter) == (4, 0.625, 0.75, 0.25)
    assert found.baseline == 0.75
    assert found.gain.estimate == pytest.approx(-0.125)
    assert found.gain.low < -0.125 < found.gain.high


def test_an_empty_slice_is_undefined() -> None:
    found = compare_with_rule("x", [], [], [], rule="random", rng=np.random.default_rng(0))
    assert found.n_pairs == 0
    assert math.isnan(found.accuracy.estimate)
    assert math.isnan(found.baseline)
    assert math.isnan(found.gain.low)


def test_messages() -> None:
    with pytest.raises(InputError, match=r"margin_P: 1 of 2 values \(first: index 1, nan\) are not finite"):
        pair_accuracy([1.0, math.nan])
    with pytest.raises(InputError, match="tie_tol = -1"):
        pair_accuracy([1.0], tie_tol=-1)
    with pytest.raises(InputError, match=r"length_rejected_P: 1 of 1 values \(first: index 0, -3.0\) are negative"):
        length_gap([1], [-3])
    with pytest.raises(InputError, match="length_chosen_P 2, length_rejected_P 1"):
        longer_outcome([1, 2], [1])
    with pytest.raises(InputError, match="value_P: 1 of 1"):
        tercile([math.nan])
