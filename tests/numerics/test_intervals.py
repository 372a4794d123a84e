"""Intervals: known values, coverage by simulation, edges that others get wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from karat.errors import InputError
from karat.numerics.intervals import (
    Interval,
    cluster_bootstrap,
    cluster_totals,
    clustered_mean,
    clustered_proportion,
    design_effect,
    items_needed,
    mcnemar_exact,
    minimum_detectable_effect,
    paired_difference,
    ratio_of_totals,
    wilson,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def clustered_values(seed: int, *, clusters: int, size: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong, with a rate per cluster that varies around 0.75."""
    chance = rng(seed)
    rate_G = np.clip(chance.normal(0.75, spread, clusters), 0, 1)
    return (chance.random((clusters, size)) < rate_G[:, None]).ravel() * 1.0, np.repeat(np.arange(clusters), size)


# -------------------------------------------------------------------------------------------------------------- wilson
@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(28, 28, 0.879, 1.0), (33, 37, 0.753, 0.957)],  # mt-bench-easy and mt-bench-hard of RewardBench
)
def test_wilson_known_values(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-4)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_mirrors_and_contains_the_rate(right: int, n: int) -> None:
    right = min(right, n)
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert low < high
    assert wilson(n - right, n) == pytest.approx((1 - high, 1 - low))


def test_wilson_of_nothing_is_undefined() -> None:
    assert all(math.isnan(end) for end in wilson(0, 0))


# ---------------------------------------------------------------------------------------------------------- proportions
def test_design_effect_by_hand() -> None:
    # 2 clusters of 2 equal items: residual sums +1, -1; V = 2/1 * 2 / 16 = 1/4; p(1-p)/n = 1/16
    assert design_effect([1, 1, 0, 0], ["a", "a", "b", "b"]) == pytest.approx(4.0)
    assert math.isnan(design_effect([1, 1], ["a", "b"]))


def test_independent_items_get_about_wilson() -> None:
    value = (rng().random(4000) < 0.7) * 1.0
    found = clustered_proportion(value, np.arange(4000))
    low, high = wilson(value.sum(), 4000)
    assert found.low == pytest.approx(low, abs=1e-3)
    assert found.high == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_none_or_all_right_has_width_by_the_number_of_prompts(rate: float) -> None:
    found = clustered_proportion(np.full(200, rate), np.repeat(np.arange(25), 8))
    low, high = wilson(25 * rate, 25)
    assert found.low <= low + 1e-9
    assert found.high >= high - 1e-9
    assert found.high - found.low > 0.1


@pytest.mark.parametrize(("clusters", "size", "spread"), [(60, 8, 0.25), (12, 5, 0.15), (200, 1, 0.0)])
def test_coverage_of_the_clustered_proportion(clusters: int, size: int, spread: float) -> None:
    truth = float(np.mean(np.clip(rng(9).normal(0.75, spread, 10**6), 0, 1)))
    inside = 0
    for seed in range(400):
        found = clustered_proportion(*clustered_values(seed, clusters=clusters, size=size, spread=spread))
        inside += found.low <= truth <= found.high
    assert 0.92 <= inside / 400 <= 0.995


def test_fewer_than_two_clusters_are_undefined() -> None:
    for found in (
        clustered_proportion([1, 0], ["a", "a"]),
        clustered_mean([1.0, 2.0], ["a", "a"], rng=rng()),
        clustered_proportion([], []),
    ):
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found.method == "undefined"


# ------------------------------------------------------------------------------------------------------------ bootstrap
def test_few_clusters_give_students_t_of_the_cluster_means() -> None:
    means = np.array([1.0, 2.0, 4.0, 5.0])
    found = clustered_mean(np.repeat(means, 3), np.repeat(np.arange(4), 3), rng=rng())
    half = 3.182446305 * means.std(ddof=1) / 2  # t quantile 0.975 with 3 degrees of freedom
    assert found.method == "jackknife t"
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-6)


@pytest.mark.parametrize(("clusters", "spread"), [(40, 0.25), (12, 0.15)])
def test_coverage_of_the_cluster_bootstrap(clusters: int, spread: float) -> None:
    truth = float(np.mean(np.clip(rng(9).normal(0.75, spread, 10**6), 0, 1)))
    inside = 0
    for seed in range(250):
        value, cluster = clustered_values(seed, clusters=clusters, size=6, spread=spread)
        found = clustered_mean(value, cluster, rng=rng(seed))
        inside += found.low <= truth <= found.high
    assert 0.90 <= inside / 250 <= 0.99


def test_bootstrap_of_a_skewed_mean_leans_towards_the_tail() -> None:
    value = rng().lognormal(0, 1, 60)
    found = clustered_mean(value, np.arange(60), rng=rng())
    assert found.high - found.estimate > 1.1 * (found.estimate - found.low)


def test_bootstrap_agrees_with_scipy() -> None:
    value = rng().lognormal(0, 1.5, 40)
    found = cluster_bootstrap(
        np.stack([value, np.ones(40)], axis=1), ratio_of_totals, rng=rng(), level=0.9, resamples=40_000
    )
    theirs = bootstrap((value,), np.mean, confidence_level=0.9, n_resamples=40_000, method="BCa", rng=rng(1))
    low, high = theirs.confidence_interval
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.02)


def test_the_same_generator_gives_the_same_interval() -> None:
    value, cluster = clustered_values(0, clusters=30, size=3, spread=0.1)
    assert clustered_mean(value, cluster, rng=rng(5)) == clustered_mean(value, cluster, rng=rng(5))


def test_order_and_names_of_clusters_do_not_matter() -> None:
    value, cluster = clustered_values(0, clusters=30, size=3, spread=0.1)
    order = rng().permutation(value.size)
    assert clustered_proportion(value, cluster) == clustered_proportion(value[order], cluster[order].astype(str))


def test_an_error_keeps_its_estimate_inside_and_stays_positive() -> None:
    noise = rng().normal(0, 1, 100)
    totals = cluster_totals(np.stack([noise, np.ones(100)], axis=1), np.arange(100))
    found = cluster_bootstrap(totals, lambda t: np.abs(ratio_of_totals(t)), rng=rng(), is_error=True)
    assert 0 <= found.low <= found.estimate <= found.high


def test_no_variation_has_no_zero_width_interval() -> None:
    found = clustered_mean([2.0, 2.0, 2.0], ["a", "b", "c"], rng=rng())
    assert (found.estimate, found.method) == (2.0, "no variation")
    assert math.isnan(found.low)


# --------------------------------------------------------------------------------------------------------------- paired
def test_pairing_removes_the_shared_noise() -> None:
    shared = (rng().random(300) < 0.6) * 1.0
    better = np.where(np.arange(300) % 15 == 0, 1.0, shared)
    found = paired_difference(better, shared, np.arange(300), rng=rng())
    apart = clustered_proportion(better, np.arange(300))
    assert found.low > 0
    assert found.high - found.low < 0.6 * (apart.high - apart.low)


def test_a_difference_of_accuracies_lies_between_minus_one_and_one() -> None:
    """The t quantile of a few clusters leads beyond: what two of three prompts say is next to nothing, but not more."""
    found = paired_difference([1, 1, 0], [1, 0, 1], ["a", "b", "c"], rng=rng())
    assert found.estimate == 0
    assert (found.low, found.high) == (-1.0, 1.0)


def test_identical_graders_differ_by_zero_with_width() -> None:
    z2 = 1.959964**2
    same = paired_difference([1, 0, 1], [1, 0, 1], ["a", "b", "c"], rng=rng())
    assert (same.low, same.high) == pytest.approx((-z2 / (3 + z2), z2 / (3 + z2)), abs=1e-6)
    # all right against all wrong: Wilson's low end of 3 of 3, on the scale from -1 to 1
    opposite = paired_difference([1, 1, 1], [0, 0, 0], ["a", "b", "c"], rng=rng())
    assert (opposite.low, opposite.high) == pytest.approx((2 * wilson(3, 3)[0] - 1, 1.0), abs=1e-9)


def test_mcnemar_known_values() -> None:
    assert mcnemar_exact(0, 5) == pytest.approx(2 / 32)
    assert mcnemar_exact(1, 9) == pytest.approx(2 * 11 / 1024)
    assert mcnemar_exact(3, 3) == 1.0
    assert mcnemar_exact(0, 0) == 1.0


# ---------------------------------------------------------------------------------------------------------------- power
def test_minimum_detectable_effect_by_hand() -> None:
    assert minimum_detectable_effect(100, 0.5) == pytest.approx((1.959964 + 0.841621) * 0.05, rel=1e-6)
    assert minimum_detectable_effect(100, 0.5, design=4) == pytest.approx(2 * minimum_detectable_effect(100, 0.5))
    assert minimum_detectable_effect(0, 0.5) == math.inf


def test_the_minimum_detectable_effect_is_seen_four_times_in_five() -> None:
    effect = minimum_detectable_effect(400, 0.6)
    right = rng().binomial(400, 0.6 + effect, 2000)
    seen = np.mean([wilson(k, 400)[0] > 0.6 for k in right])
    assert seen == pytest.approx(0.8, abs=0.04)


def test_items_needed() -> None:
    now = Interval(0.6, 0.5, 0.7, 50, "wilson")
    power = ((1.959964 + 0.841621) / 1.959964) ** 2
    assert items_needed(100, now, 0.5) == pytest.approx(100 * power, rel=1e-6)
    assert items_needed(100, now, 0.55) == pytest.approx(400 * power, rel=1e-6)
    assert items_needed(100, now, 0.6) == math.inf
    assert math.isnan(items_needed(1, Interval(0.6, math.nan, math.nan, 1, "undefined"), 0.5))


# ------------------------------------------------------------------------------------------------------------- messages
def test_messages() -> None:
    with pytest.raises(InputError, match="successes = 3 of trials = 2"):
        wilson(3, 2)
    with pytest.raises(InputError, match="level = 95: must lie strictly between 0 and 1"):
        wilson(1, 2, level=95)
    with pytest.raises(InputError, match=r"value_P: 1 of 2 values \(first: index 1, 2.0\) are outside \[0, 1\]"):
        clustered_proportion([1, 2], ["a", "b"])
    with pytest.raises(InputError, match=r"cluster_P: shape \(1,\), must be \(2,\)"):
        clustered_mean([1, 2], ["a"], rng=rng())
    with pytest.raises(InputError, match=r"value_P: 1 of 2 values \(first: index 0, nan\)"):
        clustered_mean([math.nan, 2], ["a", "b"], rng=rng())
    with pytest.raises(InputError, match=r"column_PK: shape \(2,\)"):
        cluster_totals(np.ones(2), ["a", "b"])
    with pytest.raises(InputError, match="resamples = 10: must be at least 100"):
        cluster_bootstrap(np.ones((3, 2)), ratio_of_totals, rng=rng(), resamples=10)
    with pytest.raises(InputError, match="left_P 1, right_P 2"):
        paired_difference([1], [1, 0], ["a", "b"], rng=rng())
    with pytest.raises(InputError, match="counts -1, 2"):
        mcnemar_exact(-1, 2)
    with pytest.raises(InputError, match=r"rate = 1\.0"):
        minimum_detectable_effect(10, 1.0)
