"""What a reward pays for a feature: hand values, laws, the tilt itself, coverage."""

from __future__ import annotations

import numpy as np
import pytest

from karat.numerics.feature_pay import RELIABILITY, feature_pay, pair_moments, pool_moments


def pairs(count: int, rng: np.random.Generator, *, pay: float, noise: float = 0.0) -> np.ndarray:
    """Moments of pairs whose labels follow a gold; the reward is the gold, pay for feature 0, noise; feature 1 is half
    the gold's."""
    gold, free, other, error = rng.normal(size=(4, count, 2))
    feature = np.stack([free, 0.5 * gold + np.sqrt(0.75) * other], axis=2)
    reward = gold + pay * free + noise * error
    sign = np.where(rng.random(count) < 1 / (1 + np.exp(-2 * (gold[:, 0] - gold[:, 1]))), 1.0, -1.0)
    return pair_moments(
        (feature[:, 0] - feature[:, 1]) * sign[:, None],
        (reward[:, 0] - reward[:, 1]) * sign,
        np.ones(count),
        np.arange(count) // 2,
    )


def test_by_hand() -> None:
    # three pairs of one prompt each: f = 2, -1, 1; r = 1, 1, -1; labels 1, 1, 0.5
    f, r, label = np.array([[2.0], [-1.0], [1.0]]), np.array([1.0, 1.0, -1.0]), np.array([1.0, 1.0, 0.5])
    (pay,) = feature_pay(pair_moments(f, r, label, ["a", "b", "c"]))
    assert pay.first_order.estimate == pytest.approx((2 - 1 - 1) / np.sqrt(6 * 3))
    of_labels, agreement = (2 - 1) / np.sqrt(6 * 2), (1 + 1) / np.sqrt(3 * 2)
    assert pay.asked.estimate == pytest.approx(of_labels / agreement)
    assert pay.excess.estimate == pytest.approx(pay.first_order.estimate - pay.asked.estimate)


def test_labels_that_a_reward_does_not_know_are_not_magnified_without_end() -> None:
    f, r = np.ones((40, 1)), np.tile([1.0, -1.0], 20)
    f[::5], f[1::5] = -1.0, -1.0  # 16 of 40 pairs
    (pay,) = feature_pay(pair_moments(f, r, np.ones(40), np.arange(40)))
    assert pay.asked.estimate == pytest.approx((24 - 16) / 40 / RELIABILITY)


def test_a_healthy_reward_has_no_excess_and_an_overpaid_feature_has_it_all() -> None:
    rng = np.random.default_rng(0)
    free, shared = feature_pay(pairs(60_000, rng, pay=0.0))
    assert free.excess.estimate == pytest.approx(0, abs=0.02)
    assert shared.first_order.estimate == pytest.approx(0.5, abs=0.02)
    assert shared.excess.estimate == pytest.approx(0, abs=0.02)
    free, shared = feature_pay(pairs(60_000, rng, pay=1.0))
    assert free.excess.estimate == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert free.unasked.low > 0.6
    assert shared.unasked.high < 0.05


def test_noise_of_the_reward_is_no_inflation() -> None:
    shared = feature_pay(pairs(60_000, np.random.default_rng(1), pay=0.0, noise=1.5))[1]
    assert shared.first_order.estimate > 0.2
    assert shared.unasked.estimate < 0


def test_a_feature_that_stays_is_not_inflated_though_labels_ask_for_less() -> None:
    rng = np.random.default_rng(2)
    f, r = rng.normal(size=(4000, 1)) - 0.5, rng.normal(size=4000)
    (pay,) = feature_pay(pair_moments(f, r, np.ones(4000), np.arange(4000)))
    assert pay.excess.low > 0.5 or pay.excess.high < -0.5
    assert pay.unasked.high < 0.1


def test_first_order_is_the_slope_of_the_tilt_and_the_way_of_best_of_n() -> None:
    rng = np.random.default_rng(3)
    feature = rng.exponential(size=400_000)
    reward = 0.4 * feature + rng.normal(size=400_000)
    step = 0.05 / reward.std()
    up, down = (np.average(feature, weights=np.exp(way * step * reward)) for way in (1, -1))
    slope = (up - down) / 0.1 / feature.std()
    sample_f, sample_r = feature[:1600], reward[:1600]
    (pay,) = feature_pay(
        pairs(50, rng, pay=0.0)[:, :1], pool_moments(sample_f[:, None], sample_r, np.arange(1600) // 8)
    )
    assert pay.first_order.low < slope < pay.first_order.high
    assert pay.first_order.estimate == pytest.approx(slope, abs=0.08)
    best = feature[:80_000].reshape(-1, 8)[np.arange(10_000), reward[:80_000].reshape(-1, 8).argmax(axis=1)]
    assert best.mean() > feature.mean()


@pytest.mark.parametrize("by_pool", [False, True])
def test_intervals_hold_the_truth(by_pool: bool) -> None:
    rng = np.random.default_rng(4)
    held = {"first": 0, "excess": 0}
    for _ in range(150):
        moments = pairs(240, rng, pay=1.0)
        pool = None
        if by_pool:
            free, gold = rng.normal(size=(2, 480))
            pool = pool_moments(np.stack([free, gold], axis=1), gold + free, np.arange(480) // 8)
        found = feature_pay(moments, pool)[0]
        held["first"] += found.first_order.low <= np.sqrt(0.5) <= found.first_order.high
        held["excess"] += found.excess.low <= np.sqrt(0.5) <= found.excess.high
    assert held["first"] >= 0.9 * 150
    assert held["excess"] >= 0.93 * 150


def test_edges() -> None:
    none = feature_pay(pair_moments(np.zeros((0, 2)), np.zeros(0), np.zeros(0), []))
    assert [np.isnan(pay.excess.estimate) for pay in none] == [True, True]
    one = feature_pay(pair_moments(np.ones((3, 1)), np.ones(3), np.ones(3), ["a"] * 3))[0]
    assert np.isnan(one.first_order.low)
    same = feature_pay(pair_moments(np.ones((3, 1)), np.ones(3), np.ones(3), ["a", "b", "c"]))[0]
    assert same.first_order.estimate == 1
    assert same.first_order.low < 1
    still = feature_pay(pair_moments(np.zeros((30, 1)), np.ones(30), np.ones(30), np.arange(30)))[0]
    assert np.isnan(still.first_order.estimate)
    assert still.n_prompts == 0
