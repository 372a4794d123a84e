"""Linear heads on differences: the optimum, its symmetry, and margins that no pair of the prompt took part in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from karat.errors import InputError
from karat.numerics.linear_preference import column_scale, cross_fit, fit_head, fit_heads, prompt_folds, ridge_of


def planted(n: int, d: int, seed: int, size: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Differences of chosen less rejected of a linear preference, and its weights."""
    rng = np.random.default_rng(seed)
    w_D = rng.normal(size=d) * size / np.sqrt(d)
    x_PD = rng.normal(size=(n, d))
    won = rng.random(n) < expit(x_PD @ w_D)
    return np.where(won[:, None], x_PD, -x_PD), w_D


def test_one_dimension_by_hand() -> None:
    """Three pairs of x = 1 and one of x = -1, almost no ridge: sigma(w) = 3/4, so w = log 3."""
    found = fit_head(np.array([[1.0], [1.0], [1.0], [-1.0]]), 1.0, l2=1e-9)
    assert found[0] == pytest.approx(np.log(3), abs=1e-3)


@pytest.mark.parametrize("l2", [0.1, 3.0, 100.0])
def test_the_gradient_is_zero_at_the_optimum(l2: float) -> None:
    x_PD, _ = planted(300, 40, 0)
    label_P, weight_P = np.random.default_rng(1).uniform(0.5, 1, 300), np.random.default_rng(2).uniform(0, 2, 300)
    w_D = fit_head(x_PD, label_P, l2=l2, weight_P=weight_P)
    slope_D = x_PD.T @ (weight_P * (expit(x_PD @ w_D) - label_P)) + l2 * w_D
    assert np.abs(slope_D).max() < 5e-3  # of sums over 300 pairs


def test_swapping_the_sides_changes_nothing() -> None:
    x_PD, _ = planted(100, 5, 3)
    label_P = np.random.default_rng(0).uniform(size=100)
    turned = np.random.default_rng(1).random(100) < 0.5
    swapped_PD = np.where(turned[:, None], -x_PD, x_PD)
    assert fit_head(swapped_PD, np.where(turned, 1 - label_P, label_P), l2=1.0) == pytest.approx(
        fit_head(x_PD, label_P, l2=1.0), abs=1e-4
    )


def test_a_path_is_its_fits_one_by_one() -> None:
    x_PD, _ = planted(120, 30, 4)
    together = fit_heads(x_PD, 1.0, l2s=(0.5, 50.0, 5.0))
    for l2, w_D in zip((0.5, 50.0, 5.0), together, strict=True):
        assert w_D == pytest.approx(fit_head(x_PD, 1.0, l2=l2), abs=1e-3)


def test_a_weight_of_two_is_two_pairs() -> None:
    x_PD, _ = planted(60, 4, 5)
    twice = fit_head(np.concatenate([x_PD, x_PD[:20]]), 1.0, l2=1.0)
    weight_P = np.where(np.arange(60) < 20, 2.0, 1.0)
    assert fit_head(x_PD, 1.0, l2=1.0, weight_P=weight_P) == pytest.approx(twice, abs=1e-4)


def test_pairs_that_do_not_differ_give_zero_weights() -> None:
    assert fit_head(np.zeros((3, 2)), 1.0, l2=1.0).tolist() == [0.0, 0.0]
    assert ridge_of(1.0, np.zeros((3, 2))) == 1.0
    assert column_scale(np.array([[0.0, 3.0], [0.0, 4.0]])).tolist() == [1.0, np.sqrt(12.5)]


def test_folds_hold_whole_prompts_and_are_nearly_equal() -> None:
    prompt_P = np.repeat(np.arange(30), np.arange(30) % 5 + 1)
    fold_P = prompt_folds(prompt_P, 5, np.random.default_rng(0))
    assert all(len(set(fold_P[prompt_P == prompt])) == 1 for prompt in range(30))
    assert np.ptp(np.bincount(fold_P)) <= 5
    assert not np.array_equal(fold_P, prompt_folds(prompt_P, 5, np.random.default_rng(1)))


def test_margins_are_out_of_fold() -> None:
    """Labels without any relation to the vectors: fitted margins agree with them, out-of-fold ones do not."""
    rng = np.random.default_rng(0)
    x_PD = rng.normal(size=(200, 100))
    inside = x_PD @ fit_head(x_PD, 1.0, l2=1.0)
    assert np.mean(inside > 0) > 0.75
    found = cross_fit(x_PD, 1.0, np.arange(200), rng=rng, repeats=2)
    assert np.mean(found.strength() > 0) == pytest.approx(0.5, abs=0.12)
    assert found.margin_PM.shape == (200, 2)


def test_a_repeated_prompt_gives_nothing_away() -> None:
    """Twenty copies of each of 20 noise pairs, as one prompt each: any leak would order them all."""
    rng = np.random.default_rng(1)
    x_PD = np.repeat(rng.normal(size=(20, 60)), 20, axis=0)
    found = cross_fit(x_PD, 1.0, np.repeat(np.arange(20), 20), rng=rng, repeats=3)
    assert abs(np.mean(found.strength() > 0) - 0.5) <= 0.3


def test_a_planted_preference_is_found_and_its_ridge_follows_the_noise() -> None:
    x_PD, w_D = planted(600, 10, 7, size=3.0)
    found = cross_fit(x_PD, 1.0, np.arange(600), rng=np.random.default_rng(0))
    assert np.corrcoef(found.strength(), x_PD @ w_D)[0, 1] > 0.97
    noise = cross_fit(
        np.random.default_rng(0).normal(size=(600, 10)), 1.0, np.arange(600), rng=np.random.default_rng(0)
    )
    assert np.median(found.variance_MK) > np.median(noise.variance_MK)
    assert found.spread().mean() < np.abs(found.strength()).mean()


def test_few_prompts() -> None:
    x_PD, _ = planted(12, 3, 0)
    assert cross_fit(x_PD, 1.0, np.arange(12) % 2, rng=np.random.default_rng(0), repeats=1).n_folds == 2
    assert np.isnan(cross_fit(x_PD, 1.0, np.arange(12) % 3, rng=np.random.default_rng(0), repeats=1).spread()).all()
    with pytest.raises(InputError, match="1 prompt: margins from other prompts need at least 2"):
        cross_fit(x_PD, 1.0, np.zeros(12), rng=np.random.default_rng(0))


def test_wrong_values_are_named() -> None:
    with pytest.raises(InputError, match=r"diff_PD: 1 of 2 pairs .* \(first: index 1\)"):
        fit_head(np.array([[0.0], [np.nan]]), 1.0, l2=1.0)
    with pytest.raises(InputError, match="l2 = 0: the ridge must be positive"):
        fit_head(np.ones((2, 1)), 1.0, l2=0)
    with pytest.raises(InputError, match="weight_P: shape"):
        fit_head(np.ones((2, 1)), 1.0, l2=1.0, weight_P=[1.0])
    with pytest.raises(InputError, match="folds = 5 of 2 prompts"):
        prompt_folds(np.array([0, 1]), 5, np.random.default_rng(0))
