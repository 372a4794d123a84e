from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.intervals import mcnemar_exact
from karat.numerics.paired_tests import rank_intervals, sign_flip_test, sign_flip_tests, swap_test


def enumerated(difference: np.ndarray) -> float:
    """All 2^G sign changes, one by one."""
    sums = [abs(float(np.dot(signs, np.abs(difference)))) for signs in product((-1, 1), repeat=difference.size)]
    return float(np.mean(np.array(sums) >= abs(difference.sum()) - 1e-12))


def test_hand_value() -> None:
    # signs of 2 and 1 give sums 3, 1, -1, -3: two of four are as far out as 3
    assert sign_flip_test([2.0, 1.0], rng=np.random.default_rng(0)) == pytest.approx(0.5)
    assert sign_flip_test([2.0, -1.0], rng=np.random.default_rng(0)) == pytest.approx(1.0)


@given(st.integers(0, 30), st.integers(0, 30))
def test_one_item_a_prompt_is_mcnemars_test(left: int, right: int) -> None:
    difference = np.concatenate([np.ones(left), -np.ones(right), np.zeros(5)])
    assert sign_flip_test(difference, rng=np.random.default_rng(0)) == pytest.approx(mcnemar_exact(left, right))


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_exact_on_half_points(halves: list[int]) -> None:
    difference = np.array(halves) / 2
    assert sign_flip_test(difference, rng=np.random.default_rng(0)) == pytest.approx(enumerated(difference))


def test_drawn_changes_agree_with_the_enumeration() -> None:
    difference = np.random.default_rng(3).standard_normal(11) + 0.4
    assert sign_flip_test(difference, rng=np.random.default_rng(0)) == pytest.approx(enumerated(difference), abs=0.02)


def test_far_tails_are_bounded_not_cut_off() -> None:
    difference = np.linspace(1, 2, 60) * np.pi  # on no lattice, all of one sign: the exact p is 2 / 2^60
    p = sign_flip_test(difference, rng=np.random.default_rng(0))
    assert 2 / 2**60 <= p < 1e-4


def test_columns_are_tested_as_alone() -> None:
    differences = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [2.0, 0.0]])
    found = sign_flip_tests(differences, rng=np.random.default_rng(0))
    assert found[0] == pytest.approx(sign_flip_test(differences[:, 0], rng=np.random.default_rng(0)))
    assert found[1] == 1.0


def test_level_with_nine_items_a_prompt() -> None:
    rng = np.random.default_rng(1)
    p = [sign_flip_test(rng.binomial(9, 0.7, 60) - rng.binomial(9, 0.7, 60), rng=rng) for _ in range(300)]
    assert np.mean(np.array(p) <= 0.05) < 0.09


def test_swaps_of_a_sum_are_sign_changes() -> None:
    left, right = np.array([[3.0], [2.0], [4.0], [1.0]]), np.array([[1.0], [2.5], [1.0], [0.5]])
    exact = enumerated((left - right)[:, 0])
    found = swap_test(left, right, lambda total: total[..., 0], rng=np.random.default_rng(0))
    assert found == pytest.approx(exact, abs=0.02)


def test_ranks_by_hand() -> None:
    gap, p = np.full((3, 3), np.nan), np.full((3, 3), np.nan)
    gap[0, 1], gap[0, 2], gap[1, 2] = 0.1, 0.3, 0.2
    p[0, 1], p[0, 2], p[1, 2] = 0.5, 0.001, 0.02  # Holm: 0.5, 0.003, 0.04
    ranks = rank_intervals(gap, p)
    assert ranks.tolist() == [[1, 2], [1, 2], [3, 3]]
    p[1, 2] = 0.03  # Holm: 0.06
    assert rank_intervals(gap, p).tolist() == [[1, 2], [1, 3], [2, 3]]
    assert rank_intervals(-gap, p).tolist() == [[2, 3], [1, 3], [1, 2]]


def test_what_is_not_tested_is_not_told_apart() -> None:
    nothing = np.full((2, 2), np.nan)
    assert rank_intervals(nothing, nothing).tolist() == [[1, 2], [1, 2]]


def test_messages() -> None:
    with pytest.raises(InputError, match="difference_G: 1 of 2 values"):
        sign_flip_test([1.0, np.nan], rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="shape"):
        rank_intervals(np.zeros((2, 2)), np.zeros((3, 3)))
