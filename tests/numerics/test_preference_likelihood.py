"""Likelihoods of preference pairs and the flip rate of their labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from karat.errors import InputError
from karat.numerics.preference_likelihood import (
    bradley_terry_loss,
    centering_penalty,
    fit_flip_rate,
    margin_cap,
    margin_loss,
    prompt_weight,
    robust_loss,
    scaled_loss,
)

MARGINS = st.lists(st.floats(-50, 50), min_size=1, max_size=20).map(np.array)
LABELS = st.floats(0, 1)


def test_bradley_terry_by_hand() -> None:
    # sigma(log 3) = 3/4; a tie costs half of each side
    found = bradley_terry_loss([math.log(3), -math.log(3), math.log(3)], [1, 1, 0.5])
    assert found == pytest.approx([math.log(4 / 3), math.log(4), math.log(4 / 3) / 2 + math.log(4) / 2])


def test_margin_scaled_robust_centering_by_hand() -> None:
    d = [math.log(3)]
    assert margin_loss(d, 1.0, [math.log(3)]) == pytest.approx([math.log(2)])
    assert scaled_loss(d, 1.0, [3.0]) == pytest.approx([3 * math.log(4 / 3)])
    assert robust_loss(d, 1.0, flip_rate=0.1) == pytest.approx([-math.log(0.8 * 0.75 + 0.1)])
    assert centering_penalty([2.0], [-0.5]) == pytest.approx([2.25])


@given(MARGINS, LABELS, st.floats(0, 5), st.floats(0, 0.49))
def test_swapping_the_pair_and_the_label_changes_no_loss(d: np.ndarray, label: float, m: float, e: float) -> None:
    strength = np.full_like(d, m)
    assert bradley_terry_loss(d, label) == pytest.approx(bradley_terry_loss(-d, 1 - label), abs=1e-9)
    assert margin_loss(d, label, strength) == pytest.approx(margin_loss(-d, 1 - label, strength), abs=1e-9)
    assert scaled_loss(d, label, strength) == pytest.approx(scaled_loss(-d, 1 - label, strength), abs=1e-9)
    found = robust_loss(d, label, flip_rate=e)
    assert found == pytest.approx(robust_loss(-d, 1 - label, flip_rate=e), abs=1e-9)


@given(MARGINS)
def test_special_cases_are_bradley_terry(d: np.ndarray) -> None:
    plain, missing = bradley_terry_loss(d), np.full_like(d, math.nan)
    assert np.array_equal(robust_loss(d, 1.0, flip_rate=0.0), plain)
    assert np.array_equal(margin_loss(d, 1.0, missing), plain)
    assert np.array_equal(scaled_loss(d, 1.0, missing), plain)


@given(MARGINS, st.floats(0.01, 0.49))
def test_robust_loss_is_the_log_of_the_mixture(d: np.ndarray, e: float) -> None:
    assert robust_loss(d, 1.0, flip_rate=e) == pytest.approx(-np.log((1 - 2 * e) * expit(d) + e), rel=1e-9)


def test_huge_margins() -> None:
    assert bradley_terry_loss([1e4, -1e4]) == pytest.approx([0.0, 1e4])
    assert robust_loss([-1e4], 1.0, flip_rate=0.2) == pytest.approx([-math.log(0.2)])


def test_davidson_ties_are_half_wins_as_they_become_rare() -> None:
    r, s, nu = 0.7, -0.4, 1e-9
    p, q = math.exp(r), math.exp(s)
    davidson = math.log(nu * math.sqrt(p * q) / (p + q + nu * math.sqrt(p * q)))
    assert davidson - math.log(nu) == pytest.approx(-float(bradley_terry_loss([r - s], 0.5)[0]), abs=1e-8)


def test_prompt_weight_counts_each_prompt_once() -> None:
    weight = prompt_weight(["a", "b", "a", "a"])
    assert weight == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])
    assert weight.sum() == pytest.approx(2)


@pytest.mark.parametrize(("rate", "cap"), [(0.05, 2.94), (0.1, 2.20), (0.2, 1.39), (0.25, 1.10), (0.37, 0.53)])
def test_margin_cap(rate: float, cap: float) -> None:
    assert margin_cap(rate) == pytest.approx(cap, abs=0.005)
    # the cap is where the Bradley-Terry loss of labels that read 1 with probability 1 - e is least
    grid = np.linspace(-5, 5, 2001)
    assert grid[np.argmin(bradley_terry_loss(grid, 1 - rate))] == pytest.approx(margin_cap(rate), abs=0.006)


def test_no_flips_no_cap() -> None:
    assert margin_cap(0.0) == math.inf


# ----------------------------------------------------------------------------------------------------------- flip rate
def noisy(n: int, *, rate: float, scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    d = rng.normal(0, 4, n)
    return scale * d, (rng.random(n) < (1 - 2 * rate) * expit(d) + rate).astype(float)


@pytest.mark.parametrize("scale", [0.2, 1.0, 8.0])
@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_flip_rate_is_recovered_whatever_the_scale(rate: float, scale: float) -> None:
    found = fit_flip_rate(*noisy(3000, rate=rate, scale=scale))
    assert found.rate == pytest.approx(rate, abs=0.03)
    assert found.low <= found.rate <= found.high
    assert found.scale == pytest.approx(1 / scale, rel=0.25)


def test_the_interval_of_the_flip_rate_covers() -> None:
    inside = 0
    for seed in range(16):
        found = fit_flip_rate(*noisy(1500, rate=0.15, seed=seed))
        inside += found.low - 0.005 <= 0.15 <= found.high + 0.005  # the grid of the profile
    assert inside >= 13


def test_no_noise_gives_an_interval_from_zero() -> None:
    found = fit_flip_rate(*noisy(3000, rate=0.0))
    assert found.low == 0
    assert found.rate < 0.02


@pytest.mark.parametrize(
    ("margin", "label", "reason"),
    [
        ([], [], "no pairs"),
        ([0.0, 0.0], [1, 1], "every margin is 0"),
        ([1.0, 2.0], [0, 0], "do not point towards"),
        ([1.0, 1.0, 1.0, -1.0], [1, 1, 1, 1], "the margins allow any flip rate from 0.00"),
    ],
)
def test_an_unidentified_flip_rate_says_why(margin: list[float], label: list[float], reason: str) -> None:
    found = fit_flip_rate(margin, label)
    assert math.isnan(found.rate)
    assert math.isnan(found.low)
    assert reason in found.reason


# ------------------------------------------------------------------------------------------------------------ messages
def test_messages() -> None:
    with pytest.raises(InputError, match=r"margin_P: 1 of 3 values \(first: index 1, nan\) are not finite. Re-score"):
        bradley_terry_loss([1.0, math.nan, 2.0])
    with pytest.raises(InputError, match=r"label_P: 1 of 1 values \(first: index 0, 1.5\) are outside \[0, 1\]"):
        bradley_terry_loss([1.0], [1.5])
    with pytest.raises(InputError, match=r"margin_P 2, label_P 1"):
        bradley_terry_loss([1.0, 2.0], [1.0])
    with pytest.raises(InputError, match=r"strength_P: 1 of 1 .* -1.0\) are negative"):
        margin_loss([1.0], 1.0, [-1.0])
    with pytest.raises(InputError, match=r"strength_P 1"):
        scaled_loss([1.0, 2.0], 1.0, [1.0])
    with pytest.raises(InputError, match=r"flip_rate = 0.5: must be in \[0, 0.5\)"):
        robust_loss([1.0], 1.0, flip_rate=0.5)
    with pytest.raises(InputError, match=r"reward_rejected_P: 1 of 1"):
        centering_penalty([1.0], [math.inf])
    with pytest.raises(InputError, match=r"flip_rate = -0.1"):
        margin_cap(-0.1)
