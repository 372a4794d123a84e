"""Learning curves: planted forms, what doubling brings, edges."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.learning_curve import NO_CURVE, fit_learning_curve
from karat.numerics.redrawn import RedrawnMean

SIZES = (50, 100, 200, 400, 800, 1600)


def exact(value_M: np.ndarray, error: float) -> RedrawnMean:
    """Means with a small error of their own each."""
    return RedrawnMean(value_M, np.eye(value_M.size) * error**2, np.eye(value_M.size) * error**2, 20, 200)


def test_a_power_law_is_recovered() -> None:
    value_M = 0.8 - 1.5 * np.array(SIZES, float) ** -0.5
    found = fit_learning_curve(exact(value_M, 1e-4), SIZES, at=1600.0, rng=np.random.default_rng(0))
    truth = 1.5 * (1600**-0.5 - 3200**-0.5)
    assert found.form == "power law"
    assert found.exponent == pytest.approx(0.5)
    assert found.floor == pytest.approx(0.8, abs=0.003)
    assert found.scale == pytest.approx(-1.5, rel=0.05)
    assert found.gain.estimate == pytest.approx(truth, rel=0.05)
    assert found.gain.low <= truth <= found.gain.high


def test_a_straight_line_in_the_logarithm_brings_the_same_each_time() -> None:
    value_M = 0.5 + 0.03 * np.log(SIZES)
    found = fit_learning_curve(exact(value_M, 1e-4), SIZES, at=1600.0, rng=np.random.default_rng(0))
    assert found.form == "not settled"
    assert math.isnan(found.floor)
    assert found.gain.estimate == pytest.approx(0.03 * math.log(2), rel=0.1)


def test_a_flat_curve_promises_nothing() -> None:
    rng, positive = np.random.default_rng(1), 0
    for _ in range(100):
        found = exact(0.5 + 0.01 * np.sqrt(2) * rng.standard_normal(6), 0.01)
        gain = fit_learning_curve(found, SIZES, at=1600.0, rng=rng, resamples=400).gain
        positive += gain.low > 0
    assert positive <= 7


def test_swapping_the_sign_swaps_the_gain() -> None:
    value_M = np.array([0.55, 0.58, 0.60, 0.63, 0.64, 0.65])
    one, other = (
        fit_learning_curve(exact(sign * value_M, 0.01), SIZES, at=800.0, rng=np.random.default_rng(0))
        for sign in (1.0, -1.0)
    )
    assert other.gain.estimate == pytest.approx(-one.gain.estimate)


def test_means_without_error_cannot_be_weighed() -> None:
    assert fit_learning_curve(exact(np.ones(6), 0.0), SIZES, at=10.0, rng=np.random.default_rng(0)) is NO_CURVE


def test_input_that_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="2 sizes for 2 means"):
        fit_learning_curve(exact(np.ones(2), 0.1), (1, 2), at=2.0, rng=rng)
    with pytest.raises(InputError, match="do not rise"):
        fit_learning_curve(exact(np.ones(3), 0.1), (1, 3, 2), at=2.0, rng=rng)
    with pytest.raises(InputError, match="at = 0"):
        fit_learning_curve(exact(np.ones(3), 0.1), (1, 2, 3), at=0.0, rng=rng)
