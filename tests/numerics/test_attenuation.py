"""Regression to the mean: the law by hand, what departs from it, and what goes through a feature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.attenuation import Attenuation, attenuation, equalised, largest_of_normals, partial_correlation
from karat.numerics.best_of_n import best_of_n_curve, pool_matrix, prompt_draws
from karat.numerics.goodhart import within_prompt_sd

N = np.arange(1, 33)
PROMPT = np.repeat(np.arange(150), 32)


def of(proxy: np.ndarray, gold: np.ndarray, rng: np.random.Generator) -> Attenuation:
    pool = pool_matrix(proxy, gold, PROMPT)
    count = prompt_draws(150, 400, rng)
    curves = best_of_n_curve(pool, N, count, of_proxy=True), best_of_n_curve(pool, N, count)
    scale = within_prompt_sd(pool.proxy_PG), within_prompt_sd(pool.value_PG)
    return attenuation(pool, *curves, count, scale=scale)


def test_mean_largest_of_normals() -> None:
    found = largest_of_normals(np.array([1, 2, 3, 1e6]))
    assert found == pytest.approx([0, 1 / math.sqrt(math.pi), 1.5 / math.sqrt(math.pi), 4.862897486], abs=1e-8)
    with pytest.raises(InputError, match="n = 0"):
        largest_of_normals(np.array([0]))


def test_a_normal_error_is_regression_alone() -> None:
    rng = np.random.default_rng(0)
    gold = rng.standard_normal(PROMPT.size)
    found = of(gold + rng.standard_normal(gold.size) + 5 * np.sin(PROMPT), gold - PROMPT, rng)
    assert found.slope.estimate == pytest.approx(1 / math.sqrt(2), abs=0.03)
    assert found.slope.low < 1 / math.sqrt(2) < found.slope.high
    assert found.line_N == pytest.approx(found.normal_N, abs=0.1)
    assert found.normal_N[-1] == pytest.approx(2.07 / math.sqrt(2), abs=0.05)
    assert found.shortfall_low_N[-1] < 0 < found.shortfall_high_N[-1]
    assert found.normal_shortfall_low_N[-1] < 0.05
    assert found.shortfall_N[0] == 0


def test_a_scale_of_either_score_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    gold = rng.standard_normal(PROMPT.size)
    proxy = gold + rng.standard_normal(gold.size)
    plain = of(proxy, gold, np.random.default_rng(2))
    moved = of(3 * proxy - 7, 0.1 * gold + 4, np.random.default_rng(2))
    assert moved.shortfall_N == pytest.approx(plain.shortfall_N)
    assert moved.normal_shortfall_high_N == pytest.approx(plain.normal_shortfall_high_N)


def test_a_hack_mode_stays_behind_the_line() -> None:
    rng = np.random.default_rng(3)
    gold = rng.standard_normal(PROMPT.size)
    is_hacked = rng.random(gold.size) < 0.02
    found = of(gold + 0.5 * rng.standard_normal(gold.size) + 6 * is_hacked, np.where(is_hacked, -2, gold), rng)
    assert found.shortfall_low_N[-1] > 0.5
    assert found.normal_shortfall_low_N[-1] > 0.5


def test_missing_gold_is_left_out_of_the_slope() -> None:
    rng = np.random.default_rng(4)
    gold = rng.standard_normal(PROMPT.size)
    proxy = gold + rng.standard_normal(gold.size)
    found = of(proxy, np.where(rng.random(gold.size) < 0.5, gold, np.nan), rng)
    assert found.slope.estimate == pytest.approx(1 / math.sqrt(2), abs=0.05)
    assert found.shortfall_low_N[-1] < 0 < found.shortfall_high_N[-1]


def test_partial_correlation_by_formula_and_the_features_part_taken_out() -> None:
    """Proxy and gold that share only a feature: correlation 1/2, and 0 given it."""
    rng = np.random.default_rng(5)
    feature = rng.standard_normal(PROMPT.size)
    left, right = (feature + rng.standard_normal(feature.size) for _ in range(2))
    count = prompt_draws(150, 300, rng)
    none = np.empty((feature.size, 0))
    plain = partial_correlation(left + PROMPT, right, none, PROMPT, count)
    given = partial_correlation(
        left + PROMPT, right, np.column_stack([feature, 2 * feature, 0 * feature]), PROMPT, count
    )
    assert plain.estimate == pytest.approx(0.5, abs=0.03)
    assert plain.low < 0.5 < plain.high
    assert given.low < 0 < given.high
    r = np.corrcoef(np.stack([x - np.bincount(PROMPT, x)[PROMPT] / 32 for x in (left, right, feature)]))
    by_hand = (r[0, 1] - r[0, 2] * r[1, 2]) / math.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    assert given.estimate == pytest.approx(by_hand, abs=1e-5)
    assert math.isnan(partial_correlation(0 * left, right, none, PROMPT, count).estimate)


def test_equalising_leaves_nothing_of_the_feature() -> None:
    rng = np.random.default_rng(6)
    length = rng.integers(0, 5, PROMPT.size).astype(float)
    quality = rng.standard_normal(length.size)
    left = equalised(quality + length**2, length, PROMPT * 0)
    assert np.corrcoef(left, length)[0, 1] == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(left, quality)[0, 1] > 0.99
    rare = (rng.random(length.size) < 0.02).astype(float)  # finer steps at the top: a rare hack is equalised too
    assert abs(np.corrcoef(equalised(quality + 8 * rare, rare, PROMPT), rare)[0, 1]) < 0.02
    noisy = 5 * rare + rng.standard_normal(rare.size)
    assert abs(equalised(quality + 8 * rare, noisy, PROMPT)[rare == 1].mean()) < 2.5  # 8 before
