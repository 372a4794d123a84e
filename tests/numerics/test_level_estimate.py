from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.intervals import cluster_bootstrap, cluster_totals, ratio_of_totals, wilson
from karat.numerics.level_estimate import clustered_level, level_estimate

NAN = math.nan


def test_hand_value() -> None:
    # Sure golds 4 and 6; of four others 1 and 3 drawn: (2 * 5 + 4 * 2) / 6. Error of the drawn mean:
    # sqrt(2 / 2 * (1 - 2/4)), times 4/6; t of one degree of freedom 12.706.
    found = level_estimate(np.array([4, 6, 1, 3, NAN, NAN]), np.array([1, 1, 0.5, 0.5, 0.5, 0.5]))
    assert found.mean == 3.0
    assert found.se == pytest.approx(math.sqrt(0.5) * 4 / 6)
    assert found.high - found.mean == pytest.approx(12.7062 * found.se, rel=1e-4)
    assert found.n_used == 4


def test_golds_of_zero_and_one_get_wilson_where_nothing_varies() -> None:
    gold_R = np.full(100, NAN)
    gold_R[:4] = 1.0
    found = level_estimate(gold_R, np.full(100, 0.04))
    assert (found.mean, found.high, found.se) == (1.0, 1.0, 0.0)
    assert found.low == pytest.approx(wilson(4, 4)[0])
    few = level_estimate(np.array([1.0] * 9 + [NAN]), np.full(10, 0.9))
    assert few.low == 0.9  # the one that is not seen cannot take more


def test_other_equal_golds_say_nothing_of_the_unseen() -> None:
    found = level_estimate(np.array([2.5, 2.5, NAN]), np.full(3, 2 / 3))
    assert found.mean == 2.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_all_known_is_their_mean_without_doubt(golds: list[float]) -> None:
    found = level_estimate(np.array(golds), np.ones(len(golds)))
    assert found.mean == pytest.approx(np.mean(golds))
    assert (found.low, found.high, found.se) == (pytest.approx(found.mean), pytest.approx(found.mean), 0.0)


@given(
    st.lists(st.one_of(st.just(NAN), st.floats(-5, 5)), min_size=3, max_size=20), st.floats(0.1, 9), st.floats(-9, 9)
)
def test_it_moves_with_the_unit_of_the_gold(golds: list[float], scale: float, shift: float) -> None:
    gold_R, chance_R = np.array(golds), np.where(np.arange(len(golds)) < 2, 1.0, 0.5)
    gold_R[np.isin(gold_R, (0, 1))] = 0.3  # golds of 0 and 1 are proportions, and have an interval of their own
    moved_R = gold_R * scale + shift
    if np.isin(moved_R, (0, 1)).any():
        return
    before, after = level_estimate(gold_R, chance_R), level_estimate(moved_R, chance_R)
    for name in ("mean", "low", "high"):
        expected = getattr(before, name) * scale + shift
        assert getattr(after, name) == pytest.approx(expected, nan_ok=True, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize(
    ("gold_R", "chance_R"),
    [([], []), ([NAN, NAN], [0.5, 0.5]), ([1.0, NAN], [1.0, 0.5]), ([1.0, NAN], [1.0, 0.0])],
)
def test_undefined_is_nan(gold_R: list[float], chance_R: list[float]) -> None:
    assert math.isnan(level_estimate(np.array(gold_R), np.array(chance_R)).mean)


def test_unequal_chances_weigh() -> None:
    found = level_estimate(np.array([0.2, 0.8, NAN]), np.array([0.25, 0.5, 0.5]))
    assert found.mean == pytest.approx((4 * 0.2 + 2 * 0.8) / 6)


@pytest.mark.parametrize(
    ("chances", "words"), [([0.5, 1.2], "index 1, 1.2"), ([0.5, NAN], "index 1"), ([1.0], "differ")]
)
def test_chances_that_cannot_be(chances: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        level_estimate(np.array([1.0, 2.0]), np.array(chances))


def test_clustered_is_the_bootstraps_small_sample_form() -> None:
    rng = np.random.default_rng(0)
    value_R, group_R = rng.normal(size=30), rng.integers(7, size=30)
    totals = cluster_totals(np.stack([value_R, np.ones(30)], axis=1), group_R)
    expected = cluster_bootstrap(totals, ratio_of_totals, rng=rng)
    found = clustered_level(value_R, group_R)
    assert (found.mean, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))


def test_clustered_leaves_out_what_is_missing_and_claims_nothing_of_one_prompt() -> None:
    found = clustered_level(np.array([1.0, NAN, 3.0]), np.array([0, 0, 0]))
    assert (found.mean, found.n_used) == (2.0, 2)
    assert math.isnan(found.low)
    assert math.isnan(clustered_level(np.array([NAN]), np.array([0])).mean)
    assert math.isnan(clustered_level(np.array([1.0, 1.0]), np.array([0, 1])).low)  # agreeing is not certainty
