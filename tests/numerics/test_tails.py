"""Tail shapes: known laws are told apart, and the interval covers the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import genpareto

from karat.errors import InputError
from karat.numerics.tails import fit_tail

PROMPT = np.repeat(np.arange(150), 64)


@pytest.mark.parametrize(
    ("draw", "verdict"),
    [
        (lambda rng: rng.standard_t(2, PROMPT.size), "heavy"),
        (lambda rng: rng.standard_t(3, PROMPT.size), "heavy"),
        (lambda rng: rng.standard_normal(PROMPT.size), "light"),
        (lambda rng: rng.uniform(size=PROMPT.size), "light"),
    ],
    ids=["t2", "t3", "normal", "uniform"],
)
def test_verdicts_on_known_laws(draw: object, verdict: str) -> None:
    found = [fit_tail(draw(np.random.default_rng(seed)), PROMPT, rng=np.random.default_rng(seed)) for seed in range(8)]  # type: ignore[operator]
    assert sum(tail.verdict == verdict for tail in found) >= 7
    assert not any(tail.verdict == {"heavy": "light", "light": "heavy"}[verdict] for tail in found)


def test_pareto_shape_and_hill_are_recovered() -> None:
    rng = np.random.default_rng(0)
    value = rng.pareto(4.0, size=100_000) + 1  # index 4, shape 1/4
    tail = fit_tail(value, np.arange(value.size) % 500, rng=rng)
    assert tail.n_over == 1000
    assert tail.shape == pytest.approx(0.25, abs=0.1)
    assert tail.low < 0.25 < tail.high
    assert tail.hill == pytest.approx(0.25, abs=0.03)
    assert tail.hill_low < 0.25 < tail.hill_high


def test_scale_and_place_change_no_shape() -> None:
    rng = np.random.default_rng(1)
    value = rng.standard_normal(PROMPT.size)
    plain, moved = (
        fit_tail(score, PROMPT, rng=np.random.default_rng(2), resamples=100) for score in (value, 5 * value - 100)
    )
    assert plain.shape == pytest.approx(moved.shape)
    assert plain.low == pytest.approx(moved.low)
    assert math.isnan(moved.hill)  # a threshold below 0 has no logarithm


@pytest.mark.parametrize("value", [np.ones(1000), np.arange(100.0), np.full(1000, np.nan)])
def test_too_little_to_say_is_unclear(value: np.ndarray) -> None:
    tail = fit_tail(value, np.arange(value.size) % 10, rng=np.random.default_rng(0))
    assert tail.verdict == "unclear"
    assert math.isnan(tail.shape)
    assert tail.n_over == 0


def test_share_is_checked() -> None:
    with pytest.raises(InputError, match=r"share = 0\.9"):
        fit_tail(np.arange(1000.0), np.arange(1000), rng=np.random.default_rng(0), share=0.9)


def test_a_tail_of_one_value_is_unclear() -> None:
    """Scores of a verifier, +1 or -1: nothing lies above the threshold in any draw."""
    tail = fit_tail(np.tile([1.0, -1.0], 300), np.arange(600) // 2, rng=np.random.default_rng(0))
    assert tail.verdict == "unclear"
    assert math.isnan(tail.shape)
    assert math.isnan(tail.low)
    assert tail.n_over == 0  # nothing lies above the 95 % quantile


@pytest.mark.parametrize(
    ("shape", "draw"),
    [
        (0.0, lambda rng, n: rng.exponential(size=n)),
        (0.5, lambda rng, n: rng.pareto(2, n)),
        (-0.3, lambda rng, n: (1 - rng.uniform(size=n) ** 0.3) / 0.3),
    ],
    ids=["exponential", "index 2", "bounded"],
)
def test_the_likelihood_is_largest_at_the_estimate(shape: float, draw: object) -> None:
    """Against a search over both parameters of the generalised Pareto law."""
    value = draw(np.random.default_rng(3), 8000)  # type: ignore[operator]
    tail = fit_tail(value, np.arange(8000) // 40, rng=np.random.default_rng(0), resamples=100)
    excess = value[value > tail.threshold] - tail.threshold
    by_search, _, _ = genpareto.fit(excess, floc=0)
    assert tail.n_over == excess.size == 400
    assert tail.shape == pytest.approx(by_search, abs=0.005)
    assert tail.low < shape < tail.high


def test_the_shape_holds_in_its_interval_as_often_as_promised() -> None:
    rng = np.random.default_rng(4)
    found = [fit_tail(rng.pareto(2, PROMPT.size), PROMPT, rng=rng, resamples=200) for _ in range(150)]
    assert 0.9 <= np.mean([tail.low <= 0.5 <= tail.high for tail in found]) <= 0.99


def test_prompts_that_go_together_widen_the_interval() -> None:
    rng = np.random.default_rng(5)
    alike = np.repeat(rng.pareto(3, 1600), 4)
    own = fit_tail(alike, np.arange(6400) // 64, rng=rng, resamples=200)
    split = fit_tail(rng.pareto(3, 6400), np.arange(6400) // 64, rng=rng, resamples=200)
    assert own.high - own.low > 1.3 * (split.high - split.low)


def test_a_score_with_few_values_has_no_tail() -> None:
    rng = np.random.default_rng(6)
    tail = fit_tail(rng.integers(0, 12, 6400).astype(float) ** 2, PROMPT[:6400], rng=rng)
    assert tail.verdict == "unclear"
    assert math.isnan(tail.shape)
