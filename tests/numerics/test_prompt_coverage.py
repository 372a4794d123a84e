"""Effective numbers, exact conformal tests and farthest-first choice: hand values, laws, coverage, edges."""

from __future__ import annotations

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.prompt_coverage import (
    effective_number,
    farthest_first,
    neighbour_distances,
    outside_p_values,
    outside_share,
    share_ratio,
    spectral_number,
)


def test_equal_shares_count_whole_and_a_rare_topic_counts_little() -> None:
    rng = np.random.default_rng(0)
    assert effective_number([500] * 4, rng=rng).estimate == pytest.approx(4, abs=1e-9)
    found = effective_number([900, 100], rng=rng)
    assert found.estimate == pytest.approx(np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1)), rel=0.001)
    assert found.low < found.estimate < found.high < 2


def test_interval_of_the_effective_number_covers() -> None:
    rng = np.random.default_rng(1)
    share = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    truth = np.exp(-np.sum(share * np.log(share)))
    found = [effective_number(rng.multinomial(200, share), rng=rng, resamples=300) for _ in range(200)]
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.91


def test_one_topic_has_no_interval_and_a_negative_count_is_refused() -> None:
    rng = np.random.default_rng(2)
    found = effective_number([7, 0], rng=rng)
    assert found.estimate == 1
    assert np.isnan(found.low)
    with pytest.raises(InputError, match="count_K: 1 of 2 values"):
        effective_number([3, -1], rng=rng)


def test_orthogonal_directions_are_counted() -> None:
    rng = np.random.default_rng(3)
    unit = np.repeat(np.eye(5), 40, axis=0)
    found = spectral_number(unit, rng=rng)
    assert found.estimate == pytest.approx(5)
    assert found.low < 5 < found.high
    assert spectral_number(np.repeat(np.eye(5)[:1], 50, axis=0), rng=rng).estimate == pytest.approx(1)


def test_distances_to_neighbours_by_hand() -> None:
    point = np.array([[0.0], [1.0], [3.0], [10.0]])
    assert neighbour_distances(point, 1).tolist() == [[0, 1], [0, 1], [0, 2], [0, 7]]
    assert neighbour_distances(point, 2).tolist() == [[1, 3], [1, 2], [2, 3], [7, 9]]
    with pytest.raises(InputError, match="k = 4 neighbours of 4 points: must be in 1 to 3"):
        neighbour_distances(point, 4)


def test_p_value_is_that_of_the_data_with_the_target_among_them() -> None:
    rng = np.random.default_rng(4)
    data, target = rng.normal(size=(30, 3)), rng.normal(size=(6, 3)) * 2
    for k in (1, 3):
        p, distance = outside_p_values(data, target, k)
        for t in range(6):
            near = neighbour_distances(np.vstack([data, target[t]]), k)[:, 1]
            assert p[t] == pytest.approx(np.mean(near >= near[-1] - 1e-9))
            assert distance[t] == pytest.approx(near[-1])


def test_false_alarms_are_held_exactly() -> None:
    rng = np.random.default_rng(5)
    p = np.concatenate([outside_p_values(rng.normal(size=(39, 4)), rng.normal(size=(20, 4)), 3)[0] for _ in range(200)])
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.012)  # 2 of 40 places: 5 % exactly


def test_interval_of_the_share_covers_though_all_targets_share_the_data() -> None:
    rng = np.random.default_rng(6)
    hits = []
    for _ in range(200):
        p, _ = outside_p_values(rng.normal(size=(100, 3)), rng.normal(size=(300, 3)), 5)
        found = outside_share(p <= 0.05, 100)
        hits.append(found.low <= 0.05 <= found.high)
    assert np.mean(hits) >= 0.93
    assert np.isnan(outside_share(np.zeros(0, bool), 100).estimate)


def test_ratio_of_shares_by_hand_and_its_coverage() -> None:
    found = share_ratio(10, 30, 100, 200)
    assert found.estimate == pytest.approx((10 / 100) / (30 / 200))
    assert found.low < found.estimate < found.high
    assert share_ratio(0, 20, 100, 200).high < 0.5
    assert share_ratio(5, 0, 100, 200).high == np.inf
    assert np.isnan(share_ratio(0, 0, 100, 200).estimate)
    rng = np.random.default_rng(7)
    ends = [share_ratio(*(int(rng.binomial(n, p)) for n, p in ((300, 0.1), (150, 0.2))), 300, 150) for _ in range(400)]
    assert np.mean([each.low <= 0.5 <= each.high for each in ends]) >= 0.93


def test_farthest_first_by_hand() -> None:
    candidate = np.array([[1.0], [9.0], [5.0], [9.0], [0.0]])
    taken, gap = farthest_first(candidate, np.ones(5), np.array([[0.0]]), 5)
    assert taken.tolist() == [1, 2, 0]  # 9 is taken once; 0 is covered
    assert gap.tolist() == [9, 4, 1]
    taken, gap = farthest_first(candidate, np.array([1, 1, 3, 1, 1.0]), np.zeros((0, 1)), 2)
    assert taken.tolist() == [2, 4]
    assert np.isinf(gap[0])
