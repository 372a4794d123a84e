"""Proper scores, calibration error, temperature, and the cap that label noise sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from karat.errors import InputError
from karat.numerics.calibration import (
    assess_calibration,
    brier_loss,
    calibration_noise,
    check_margin_cap,
    confidence_and_agreement,
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability,
)
from karat.numerics.preference_likelihood import bradley_terry_loss

MARGINS = st.lists(st.floats(-30, 30), min_size=1, max_size=40).map(np.array)


def world(n: int, *, scale: float = 1.0, flip: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins that are `scale` times the log-odds of the preference, labels 0 or 1, two pairs a prompt."""
    rng = np.random.default_rng(seed)
    d = rng.normal(0, 2, n)
    label = (rng.random(n) < (1 - 2 * flip) * expit(d) + flip).astype(float)
    return scale * d, label, np.arange(n) // 2


def as_chosen(margin: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The same pairs with the preferred response in `chosen`, as readers give them."""
    return np.where(label == 1, margin, -margin)


def test_by_hand() -> None:
    d = np.array([math.log(3), -math.log(3)])
    assert log_loss(d) == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert brier_loss(d) == pytest.approx((1 / 16 + 9 / 16) / 2)
    confidence, agreement = confidence_and_agreement([math.log(3), -math.log(3), 0.0], [1.0, 0.8, 1.0])
    assert confidence == pytest.approx([0.75, 0.75, 0.5])
    assert agreement == pytest.approx([1, 0.2, 0.5])
    # claims 3/4 on four pairs, right on two
    assert expected_calibration_error(d[[0, 0, 1, 1]]) == pytest.approx(0.25)
    assert calibration_noise(d[[0, 0, 1, 1]]) == pytest.approx(math.sqrt(2 / math.pi * 4 * 3 / 16) / 4)


def test_a_reward_that_tells_nothing() -> None:
    assert log_loss(np.zeros(5)) == pytest.approx(math.log(2))
    assert brier_loss(np.zeros(5)) == 0.25
    assert expected_calibration_error(np.zeros(5)) == 0


def test_no_pairs_are_undefined() -> None:
    for measure in (log_loss, brier_loss, expected_calibration_error, calibration_noise):
        assert math.isnan(measure([]))


@given(MARGINS, st.floats(0, 1))
def test_turning_pairs_round_changes_nothing(d: np.ndarray, label: float) -> None:
    for measure in (log_loss, brier_loss, expected_calibration_error):
        assert measure(d, label) == pytest.approx(measure(-d, 1 - label), abs=1e-9)


@given(MARGINS)
def test_bins_hold_every_pair_once_and_equals_together(d: np.ndarray) -> None:
    table = reliability(d, 1.0, bins=5)
    assert table.count_K.sum() == d.size
    assert np.all(table.count_K > 0)
    assert np.all(np.diff(table.confidence_K) > 0)
    for value in np.unique(np.abs(d)):
        assert len(set(table.bin_P[np.abs(d) == value])) == 1


def test_bins_have_equal_mass_and_default_to_fifty_pairs() -> None:
    assert reliability(np.arange(1.0, 101) / 20, bins=4).count_K.tolist() == [25] * 4
    assert reliability(np.arange(1.0, 101) / 20).count_K.tolist() == [50] * 2
    assert len(reliability(np.arange(1.0, 2001) / 400).count_K) == 10


def test_calibrated_margins_err_by_sampling_alone() -> None:
    found = [expected_calibration_error(*world(500, seed=seed)[:2]) for seed in range(60)]
    noise = [calibration_noise(world(500, seed=seed)[0]) for seed in range(60)]
    assert np.mean(found) == pytest.approx(np.mean(noise), rel=0.1)


# ---------------------------------------------------------------------------------------------------------- temperature
def test_temperature_by_hand() -> None:
    # 3 of 4 pairs right at |d| = 2: sigma(2 / T) = 3/4
    found = fit_temperature([2.0, 2.0, 2.0, -2.0], 1.0, ["a", "b", "c", "d"])
    assert found.value == pytest.approx(2 / math.log(3))
    assert found.low < found.value < found.high
    # a soft label of 3/4 says the same
    assert fit_temperature([2.0], 0.75, ["a"]).value == pytest.approx(2 / math.log(3))


@given(st.floats(0.01, 100))
def test_scaling_the_margins_scales_the_temperature(factor: float) -> None:
    d, label, prompt = world(200)
    one, scaled = fit_temperature(d, label, prompt), fit_temperature(factor * d, label, prompt)
    assert scaled.value == pytest.approx(factor * one.value, rel=1e-6)
    assert scaled.high == pytest.approx(factor * one.high, rel=1e-6)


def test_no_other_temperature_fits_better() -> None:
    d, label, prompt = world(300, scale=2.5)
    best = fit_temperature(d, label, prompt).value
    losses = [float(bradley_terry_loss(d / t, label).sum()) for t in best * np.array([0.9, 0.99, 1, 1.01, 1.1])]
    assert int(np.argmin(losses)) == 2


def test_coverage_of_the_temperature() -> None:
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        d = np.repeat(rng.normal(0, 2, 60), 4)  # pairs of a prompt share their margin and their luck
        label = np.repeat((rng.random(60) < expit(d[::4])).astype(float), 4)
        found = fit_temperature(1.7 * d, label, np.repeat(np.arange(60), 4))
        inside += found.low <= 1.7 <= found.high
    assert 0.90 <= inside / 200 <= 0.99


@pytest.mark.parametrize(
    ("margin", "label", "reason"),
    [
        ([], 1.0, "no pairs"),
        ([0.0, 0.0], 1.0, "every margin is 0"),
        ([1.0, 2.0], 1.0, "separable"),
        ([-1.0, -2.0], 1.0, "do not point towards"),
        ([1.0, -1.0], 1.0, "do not point towards"),
        ([1.0, 2.0], 0.5, "do not point towards"),
    ],
)
def test_an_undefined_temperature_says_why(margin: list[float], label: float, reason: str) -> None:
    found = fit_temperature(margin, label, np.arange(len(margin)))
    assert math.isnan(found.value)
    assert reason in found.reason


def test_one_prompt_gives_no_interval() -> None:
    found = fit_temperature([2.0, -1.0, 1.0], 1.0, ["a", "a", "a"])
    assert found.value > 0
    assert math.isnan(found.low)


# ------------------------------------------------------------------------------------------------------------------ cap
def test_cap_by_hand() -> None:
    # e = 1/4: cap log 3; of the margins 4, -4, 1 at T = 2 the first two exceed it and claim sigma(2)
    found = check_margin_cap([4.0, -4.0, 1.0], 1.0, flip_rate=0.25, temperature=2.0)
    assert found.cap == pytest.approx(math.log(3))
    assert found.is_over_P.tolist() == [True, True, False]
    assert found.claimed == pytest.approx(float(expit(2.0)))
    assert found.agreement == 0.5


def test_nothing_is_over_an_infinite_cap() -> None:
    found = check_margin_cap([100.0], 1.0, flip_rate=0.0)
    assert not found.is_over_P.any()
    assert math.isnan(found.claimed)


# ------------------------------------------------------------------------------------------------------------ together
def test_a_reward_that_fitted_noise_claims_too_much_beyond_the_cap() -> None:
    d, label, prompt = world(4000, scale=1.0, flip=0.2)
    d = np.sign(d) * np.abs(d) ** 3 / 4  # far too sure of what it prefers most
    found = assess_calibration(as_chosen(d, label), 1.0, prompt, rng=np.random.default_rng(0), flip_rate=0.2)
    assert found.cap is not None
    assert found.excess.low > 0
    assert found.share_over_cap.low > 0.01
    estimated = assess_calibration(as_chosen(d, label), 1.0, prompt, rng=np.random.default_rng(0))
    assert estimated.flip_rate.rate == pytest.approx(0.2, abs=0.08)  # the margins have not the logistic shape
    assert estimated.cap is not None
    assert estimated.cap.flip_rate == estimated.flip_rate.low


def test_a_calibrated_reward_is_found_so() -> None:
    d, label, prompt = world(3000)
    found = assess_calibration(as_chosen(d, label), 1.0, prompt, rng=np.random.default_rng(0))
    assert found.temperature.low < 1 < found.temperature.high
    assert found.ece.low <= found.ece.estimate <= found.ece.high
    assert found.ece.low < 0.01
    assert found.nll.low < found.nll.estimate < found.nll.high
    assert found.nll.estimate == pytest.approx(log_loss(d, label))
    assert found.brier.estimate == pytest.approx(brier_loss(d, label))
    assert all(row.low <= row.estimate <= row.high for row in found.agreement_K)


def test_coverage_of_the_calibration_error() -> None:
    d, label, _ = world(200_000, scale=3.0, seed=99)
    truth = expected_calibration_error(d, label)
    inside = 0
    for seed in range(60):
        d, label, prompt = world(400, scale=3.0, seed=seed)
        found = assess_calibration(d, label, prompt, rng=np.random.default_rng(seed), flip_rate=0.1).ece
        inside += found.low <= truth <= found.high
    assert inside >= 54


def test_messages() -> None:
    with pytest.raises(InputError, match=r"margin_P: 1 of 2 values \(first: index 1, inf\) are not finite"):
        log_loss([1.0, math.inf])
    with pytest.raises(InputError, match="label_P: 1 of 1"):
        brier_loss([1.0], [2.0])
    with pytest.raises(InputError, match="bins = 0: must be at least 1"):
        reliability([1.0], bins=0)
    with pytest.raises(InputError, match=r"temperature = 0.0: must be positive"):
        check_margin_cap([1.0], flip_rate=0.1, temperature=0.0)
    with pytest.raises(InputError, match=r"flip_rate = 0.7"):
        check_margin_cap([1.0], flip_rate=0.7)
    with pytest.raises(InputError, match=r"cluster_P: shape \(2,\), must be \(1,\)"):
        fit_temperature([1.0], 1.0, ["a", "b"])
