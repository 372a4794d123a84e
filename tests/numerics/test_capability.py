"""Slopes and changes along an axis, and the hackability index: hand values, laws, planted truth."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.best_of_n import prompt_draws
from karat.numerics.capability import (
    Change,
    PointTotals,
    axis_position,
    axis_scale,
    find_change,
    slope,
    why_no_change_test,
)
from karat.numerics.hackability import Hackability, hackability
from karat.numerics.intervals import Interval


def planted(true_K: list[float], seed: int = 0, n_prompts: int = 100, noise: float = 0.5) -> PointTotals:
    """Prompts with their own level and slope, which all points share."""
    rng = np.random.default_rng(seed)
    true = np.array(true_K)
    own_PK = rng.standard_normal((n_prompts, 1)) + 0.5 * rng.standard_normal((n_prompts, 1)) * np.linspace(
        0, 1, true.size
    )
    return whole(true + own_PK + noise * rng.standard_normal((n_prompts, true.size)))


def whole(value_PK: np.ndarray) -> PointTotals:
    return PointTotals(value_PK, np.ones_like(value_PK))


def measured(points: PointTotals, position_K: list[float], seed: int = 0) -> tuple[Interval, Change | None]:
    rng = np.random.default_rng(seed)
    position = np.array(position_K, float)
    draw_BK = points.draws(prompt_draws(len(points.total_PK), 500, rng))
    return slope(points, position, draw_BK), find_change(points, position, draw_BK, rng=rng, flips=499)


def indexed(proxy: PointTotals, gold: PointTotals, seed: int = 0) -> Hackability:
    return hackability(proxy, gold, prompt_draws(len(proxy.total_PK), 500, np.random.default_rng(seed)))


# ------------------------------------------------------------------------------------------------------ means and axis
def test_means_are_totals_over_weights() -> None:
    points = PointTotals(np.array([[1.0, 3.0], [1.0, 0.0], [4.0, 5.0]]), np.array([[1.0, 1.0], [0.5, 0.0], [1.0, 1.0]]))
    assert points.means == pytest.approx([6 / 2.5, 4.0])
    assert points.prompt_counts.tolist() == [3, 2]
    assert points.n_units == 2
    assert points.pulls.sum(axis=0) == pytest.approx([0.0, 0.0])


def test_covariance_is_that_of_the_mean() -> None:
    points = planted([0.0, 1.0, 2.0])
    expected = np.cov(points.total_PK, rowvar=False) / 100
    assert points.covariance == pytest.approx(expected)
    draws = points.draws(prompt_draws(100, 20_000, np.random.default_rng(0)))
    assert np.cov(draws, rowvar=False) * 100 / 99 == pytest.approx(expected, rel=0.06)


def test_position_is_the_axis_or_its_doublings() -> None:
    assert axis_position([1, 2, 8], "log").tolist() == [0, 1, 3]
    assert axis_position([-1, 2, 8], "linear").tolist() == [-1, 2, 8]
    assert [axis_scale(axis) for axis in ([1, 9.9], [1, 10], [0, 1000])] == ["linear", "log", "linear"]


@pytest.mark.parametrize(
    ("axis", "message"),
    [([1.0], "1 point, and a slope needs two"), ([1.0, 1.0], "must ascend"), ([2.0, 1.0], "must ascend"),
     ([0.0, 1.0], "0 has no logarithm"), ([1.0, math.nan], "are not finite")],
)  # fmt: skip
def test_a_bad_axis_is_named(axis: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        axis_position(axis, "log")


# -------------------------------------------------------------------------------------------------------------- slopes
def test_slope_by_hand() -> None:
    # positions 0, 1, 3 have mean 4/3; sum (x - 4/3) y = -4/3 * 1 - 1/3 * 2 + 5/3 * 6 = 8; sum of squares 14/3
    found, _ = measured(whole(np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 7.0]])), [0, 1, 3])
    assert found.estimate == pytest.approx(8 / (14 / 3))


def test_slope_scales_with_the_axis_and_the_score() -> None:
    points = planted([0.0, 0.2, 0.1, 0.4])
    (base, _), (wide, _) = measured(points, [0, 1, 2, 3]), measured(points, [1e9, 1e9 + 10, 1e9 + 20, 1e9 + 30])
    assert [wide.estimate, wide.low, wide.high] == pytest.approx([x / 10 for x in (base.estimate, base.low, base.high)])
    doubled, _ = measured(points.scaled(0.5), [0, 1, 2, 3])
    assert doubled.estimate == pytest.approx(2 * base.estimate)


def test_pairing_narrows_the_slope() -> None:
    """Prompts shared between points cancel; the same numbers on different prompts do not."""
    shared = planted([0.0, 0.3, 0.6], noise=0.1)
    n_prompts, n_points = shared.total_PK.shape
    total, weight = np.zeros((n_prompts * n_points, n_points)), np.zeros((n_prompts * n_points, n_points))
    for k in range(n_points):
        rows = slice(k * n_prompts, (k + 1) * n_prompts)
        total[rows, k], weight[rows, k] = shared.total_PK[:, k], 1.0
    (paired, _), (apart, _) = measured(shared, [0, 1, 2]), measured(PointTotals(total, weight), [0, 1, 2])
    assert paired.estimate == pytest.approx(apart.estimate)
    assert (apart.high - apart.low) > 2 * (paired.high - paired.low)


def test_no_interval_without_two_prompts_or_variation() -> None:
    one, _ = measured(whole(np.array([[0.0, 1.0]])), [0, 1])
    assert one.estimate == 1
    assert math.isnan(one.low)
    same, _ = measured(whole(np.tile([0.0, 1.0], (30, 1))), [0, 1])
    assert (same.method, math.isnan(same.high)) == ("no variation", True)


# ------------------------------------------------------------------------------------------------------------- changes
def test_a_jump_is_found_where_it_is() -> None:
    _, found = measured(planted([0.0, 0.0, 0.0, -1.0, -1.0, -1.0]), [0, 1, 2, 3, 4, 5])
    assert found is not None
    assert (found.form, found.at, found.p_value) == ("jump", 2.5, 1 / 500)
    assert found.low <= 2.5 <= found.high
    assert found.movement.high < 0
    assert found.jump == pytest.approx(-1.0, abs=0.25)
    assert found.before == found.after


def test_a_kink_is_found_where_it_is() -> None:
    _, found = measured(planted([0.0, 0.5, 1.0, 1.5, 1.0, 0.5, 0.0]), [0, 1, 2, 3, 4, 5, 6])
    assert found is not None
    assert (found.form, found.at) == ("kink", 3)
    assert found.before > 0 > found.after
    assert found.movement.estimate == pytest.approx(-1.5, abs=0.4)
    assert found.bend_ratio < 1


def test_only_the_first_point_departs() -> None:
    """A fall across the first step is a fall, though the line after it is level."""
    _, found = measured(planted([1.0, 0.0, 0.0, 0.0]), [0, 1, 2, 3])
    assert found is not None
    assert (found.form, found.at, found.low) == ("kink", 1, 0)
    assert found.movement.high < 0


def test_a_change_does_not_depend_on_what_the_axis_counts_nor_on_a_line() -> None:
    value = planted([0.0, 0.2, 0.5, 0.1, 0.2]).total_PK
    _, base = measured(whole(value), [0, 1, 2, 3, 4])
    _, moved = measured(whole(value), [1e9, 1e9 + 5, 1e9 + 10, 1e9 + 15, 1e9 + 20])
    _, tilted = measured(whole(value + 3.0 - 0.7 * np.arange(5)), [0, 1, 2, 3, 4])
    assert base is not None
    assert moved is not None
    assert tilted is not None
    assert (moved.p_value, moved.form, moved.at) == (base.p_value, base.form, 1e9 + 5 * base.at)
    assert (tilted.p_value, tilted.form, tilted.at) == (base.p_value, base.form, base.at)
    assert moved.movement.estimate == pytest.approx(base.movement.estimate)


@pytest.mark.parametrize("n_points", [4, 6])
def test_a_straight_line_raises_few_alarms(n_points: int) -> None:
    """5 % of 200 are 10; 20 or more have a chance below 0.3 %."""
    line = np.linspace(0, -1, n_points).tolist()
    found = [measured(planted(line, seed, 30), list(range(n_points)), seed)[1] for seed in range(200)]
    assert sum(change.p_value < 0.05 for change in found if change) < 20


def test_the_interval_of_the_place_holds_it() -> None:
    """A weak break, which one time in four is put elsewhere: at 95 %, 86 of 100 or fewer come by once in 1,000."""
    found = [
        change
        for seed in range(100)
        if (change := measured(planted([0.0, 0.1, 0.2, 0.1, 0.2, 0.3], seed), [0, 1, 2, 3, 4, 5], seed)[1])
    ]
    assert sum(change.at == 2.5 for change in found) < 86
    assert sum(change.low <= 2.5 <= change.high for change in found) > 86


def test_why_a_change_is_not_tested() -> None:
    assert "needs 4 points of the axis or more; 3 are given" in why_no_change_test(planted([0.0, 1.0, 0.0]))
    assert "needs 12 prompts at every point; the fewest are 11" in why_no_change_test(planted([0.0] * 6, n_prompts=11))
    assert "differs between prompts" in why_no_change_test(whole(np.zeros((30, 5))))
    assert measured(planted([0.0, 1.0, 0.0]), [0, 1, 2])[1] is None
    assert why_no_change_test(planted([0.0] * 6, n_prompts=12)) == ""


def test_a_score_that_is_constant_at_some_points() -> None:
    """Nobody solves anything before the last point: there is no variance there, and the change is certain."""
    value = np.zeros((40, 4))
    value[:20, 3] = 1.0
    _, found = measured(whole(value), [0, 1, 2, 3])
    assert found is not None
    assert found.p_value < 0.01
    assert found.at == 2
    assert found.movement.estimate == pytest.approx(0.5, abs=0.01)


# --------------------------------------------------------------------------------------------------------- hackability
def test_index_by_hand() -> None:
    """Of 6 pairs only the last two policies are ordered oppositely: 1 / 6, and tau = (5 - 1) / 6."""
    noise = 1e-3 * np.random.default_rng(0).standard_normal((50, 4))
    found = indexed(whole(noise + np.array([0, 1, 2, 3])), whole(noise[::-1] + np.array([0, 1, 3, 2])))
    assert (found.n_pairs, found.n_opposite, found.n_told, found.n_told_opposite) == (6, 1, 6, 1)
    assert [found.index.estimate, found.index.low, found.index.high] == pytest.approx([1 / 6] * 3)
    assert found.tau == pytest.approx(4 / 6)
    assert found.told_index == pytest.approx(1 / 6)
    opposite = np.flatnonzero(found.is_opposite)
    assert (found.first_Q[opposite].tolist(), found.second_Q[opposite].tolist()) == ([2], [3])


def test_near_ties_are_not_told() -> None:
    found = indexed(planted([0.0, 0.0, 3.0]), planted([0.0, 0.0, 3.0], seed=1))
    assert found.n_told == 2
    assert (found.index.low, found.index.high) == (0.0, pytest.approx(1 / 3))


def test_a_pair_is_told_only_where_both_scores_tell_it() -> None:
    found = indexed(planted([0.0, 3.0]), planted([0.0, 0.0], seed=1))
    assert (found.n_told, found.index.low, found.index.high) == (0, 0.0, 1.0)


def test_equal_policies_are_tied_and_not_opposite() -> None:
    value = planted([0.0, 1.0]).total_PK[:, [0, 0, 1]]
    found = indexed(whole(value), whole(value))
    assert (found.n_tied, found.n_opposite, found.tau) == (1, 0, pytest.approx(2 / 3))


def test_the_index_knows_order_only() -> None:
    """The policies' order and a score's scale change nothing; a score turned round mirrors the index."""
    proxy, gold = planted([0.0, 0.4, 0.8, 1.2]), planted([0.0, 0.4, 0.2, -0.4], seed=1)
    base = indexed(proxy, gold)
    for order in list(permutations(range(4)))[::5]:
        picked = list(order)
        again = indexed(whole(proxy.total_PK[:, picked]), whole(7 * gold.total_PK[:, picked] - 3))
        assert (again.index, again.n_told) == (base.index, base.n_told)
    turned = indexed(proxy, whole(-gold.total_PK))
    assert turned.index.estimate == pytest.approx(1 - base.index.estimate)
    assert turned.index.low == pytest.approx(1 - base.index.high)


def test_two_prompts_that_agree_make_no_order_sure() -> None:
    value = np.tile([0.0, 1.0], (2, 1))
    found = indexed(whole(value), whole(-value))
    assert found.n_told == 0
    many = np.tile([0.0, 1.0], (100, 1))
    assert indexed(whole(many), whole(-many)).n_told_opposite == 1
    assert math.isnan(indexed(whole(value[:1]), whole(-value[:1])).index.low)
