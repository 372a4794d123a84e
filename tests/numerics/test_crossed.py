"""Means over seeds and prompts: hand values, laws, coverage where an interval over prompts alone fails."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from karat.errors import InputError
from karat.numerics.best_of_n import percentile_ends
from karat.numerics.crossed import (
    cross_fitted_best,
    crossed_curve,
    crossed_draws,
    crossed_interval,
    crossed_mean,
    seed_and_prompt_draws,
)


def test_hand_value() -> None:
    # means of seeds 1.5, 3.5 and of prompts 2, 3: MS_seed = 2 (1 + 1) = 4, MS_prompt = 2 (.25 + .25) = 1, MS_rest = 0
    found = crossed_mean(np.array([[1.0, 2.0], [3.0, 4.0]])[:, :, None])
    assert found.mean_N[0] == 2.5
    assert found.error_N[0] == pytest.approx(math.sqrt((4 + 1 - 0) / 4))
    assert found.freedom_N[0] == pytest.approx(25 / (16 + 1))  # Satterthwaite: 5^2 / (4^2/1 + 1^2/1)


def test_the_error_is_not_below_that_of_either_part() -> None:
    # MS_seed = MS_prompt = 0 and MS_rest = 4: unbiased, it would be -4
    found = crossed_mean(np.array([[1.0, -1.0], [-1.0, 1.0]])[:, :, None])
    assert found.error_N[0] == 0
    # MS_seed = 4, MS_prompt = 0, MS_rest = 4: unbiased 0, but seeds alone show 4
    found = crossed_mean(np.array([[2.0, 0.0], [-2.0, 0.0]])[:, :, None])
    assert found.error_N[0] == pytest.approx(1.0)


def test_without_seed_effects_it_is_the_interval_over_prompts() -> None:
    """Equal rows: MS_seed = MS_rest = 0, and Student's t over prompts is left."""
    prompt_P = np.random.default_rng(0).standard_normal(30)
    found = crossed_interval(np.tile(prompt_P, (4, 1)))
    half = student.ppf(0.975, 29) * prompt_P.std(ddof=1) / math.sqrt(30)
    assert (found.low, found.high) == pytest.approx((prompt_P.mean() - half, prompt_P.mean() + half))
    assert found.n_clusters == 30


def test_nothing_varies() -> None:
    found = crossed_interval(np.full((3, 4), 0.5))
    assert found.estimate == 0.5
    assert math.isnan(found.low)
    assert found.method == "no variation"


def test_one_seed_is_refused() -> None:
    with pytest.raises(InputError, match="1 seeds and 5 prompts"):
        crossed_mean(np.zeros((1, 5, 1)))
    with pytest.raises(InputError, match="choosing on the others"):
        cross_fitted_best(np.zeros((1, 5, 1)), np.array([0]))


def test_coverage_with_few_seeds() -> None:
    """New seeds and prompts each time; an interval over prompts alone would cover far less."""
    rng = np.random.default_rng(1)
    covered = narrow = 0
    for _ in range(400):
        value_SP = 0.3 * rng.standard_normal((5, 1)) + rng.standard_normal((1, 40)) + 0.5 * rng.standard_normal((5, 40))
        found = crossed_interval(value_SP)
        covered += found.low <= 0 <= found.high
        prompt_P = value_SP.mean(axis=0)
        narrow += abs(prompt_P.mean()) <= student.ppf(0.975, 39) * prompt_P.std(ddof=1) / math.sqrt(40)
    assert 0.92 <= covered / 400 <= 0.98
    assert narrow / 400 < 0.9


@pytest.mark.parametrize("n_seeds", [2, 3])
def test_coverage_with_the_fewest_seeds(n_seeds: int) -> None:
    """Seeds that differ as much as prompts do: Satterthwaite's degrees of freedom alone cover in 88 and 92 %."""
    rng = np.random.default_rng(5)
    shape = (n_seeds, 40, 2000)
    value_SPN = (
        rng.standard_normal((n_seeds, 1, 2000)) + rng.standard_normal((1, 40, 2000)) + 0.5 * rng.standard_normal(shape)
    )
    found = crossed_mean(value_SPN)
    covered = np.mean(np.abs(found.mean_N) <= found.half_width(0.95))
    assert 0.935 <= covered <= 0.98
    satterthwaite = student.ppf(0.975, found.freedom_N) * found.error_N
    assert np.mean(np.abs(found.mean_N) <= satterthwaite) < 0.93


def test_five_seeds_have_the_degrees_of_freedom_of_satterthwaite() -> None:
    found = crossed_mean(np.random.default_rng(6).standard_normal((5, 12, 3)))
    assert found.half_width(0.9) == pytest.approx(student.ppf(0.95, found.freedom_N) * found.error_N)


@pytest.mark.parametrize("n_seeds", [3, 6])
def test_draws_reach_as_far_as_the_interval(n_seeds: int) -> None:
    rng = np.random.default_rng(2)
    value_SPN = rng.standard_normal((n_seeds, 40, 1)) + 0.4 * rng.standard_normal((n_seeds, 1, 1))
    draw_BN = crossed_draws(value_SPN, *seed_and_prompt_draws(n_seeds, 40, 4000, rng))
    low, high = percentile_ends(draw_BN, 40)
    found = crossed_interval(value_SPN[:, :, 0])
    assert draw_BN.mean() == pytest.approx(found.estimate, abs=0.03)
    assert high[0] - low[0] == pytest.approx(found.high - found.low, rel=0.12)


def test_curve_keeps_a_column_without_variation() -> None:
    rng = np.random.default_rng(3)
    value_SPN = np.concatenate([np.zeros((4, 10, 1)), rng.standard_normal((4, 10, 1)) + 1], axis=2)
    curve = crossed_curve(value_SPN, np.array([1, 2]), *seed_and_prompt_draws(4, 10, 200, rng))
    assert (curve.mean_N[0], curve.low_N[0], curve.high_N[0]) == (0, 0, 0)
    assert curve.low_N[1] < curve.mean_N[1] < curve.high_N[1]


def test_the_best_is_chosen_on_other_seeds_and_prompts() -> None:
    """Column 0 is best in one block and its opposite; elsewhere column 1 is."""
    value_SPN = np.zeros((2, 2, 2))
    value_SPN[0, 0] = 5, 1
    value_SPN[1, 1] = 7, 2
    value_SPN[0, 1] = 0, 3
    value_SPN[1, 0] = 0, 4
    assert cross_fitted_best(value_SPN, np.array([0, 1])).tolist() == [[5, 3], [4, 7]]
    value_SPN[1, 1] = 2, 7  # the opposite block now prefers column 1, and (0, 0) is read there
    assert cross_fitted_best(value_SPN, np.array([0, 1])).tolist() == [[1, 3], [4, 2]]


def test_noise_is_not_taken_for_a_peak() -> None:
    rng = np.random.default_rng(4)
    best = [cross_fitted_best(rng.standard_normal((4, 20, 10)), np.arange(10)).mean() for _ in range(200)]
    assert abs(np.mean(best)) < 0.03
