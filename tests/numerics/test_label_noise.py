"""The flip rate of labels from held-out margins: recovery, what bounds it, and posteriors that mean what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from karat.errors import InputError
from karat.numerics.label_noise import RATES, NoiseFit, auroc, fit_noise, suspect_order
from karat.numerics.preference_likelihood import fit_flip_rate


def planted(
    rate: float, *, n: int = 1500, size: float = 4.0, error: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Margins of the labelled side, in units of their own, and which labels were flipped."""
    rng = np.random.default_rng(seed)
    true_P = rng.normal(size=n) * size
    flipped = rng.random(n) < rate
    sign = np.where((rng.random(n) < expit(true_P)) != flipped, 1, -1)
    return 0.37 * sign * (true_P + rng.normal(size=n) * error), flipped


def fit(margin_P: np.ndarray) -> NoiseFit:
    return fit_noise(margin_P, np.arange(margin_P.size))


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.25])
def test_a_planted_rate_is_recovered(rate: float) -> None:
    margin_P, _ = planted(rate)
    found = fit(margin_P)
    assert found.rate == pytest.approx(rate, abs=0.05)
    assert found.low <= rate <= found.high
    assert rate <= found.ceiling
    assert found.high - found.low < 0.12


def test_it_is_the_maximum_of_the_same_likelihood() -> None:
    margin_P, _ = planted(0.1)
    assert fit(margin_P).rate == pytest.approx(fit_flip_rate(margin_P).rate, abs=2e-3)
    assert fit(margin_P).low == pytest.approx(fit_flip_rate(margin_P).low, abs=0.006)


def test_the_scale_of_margins_does_not_matter() -> None:
    margin_P, _ = planted(0.1)
    here, there = fit(margin_P), fit(margin_P * 1000)
    assert here.rate == pytest.approx(there.rate)
    assert here.posterior(margin_P) == pytest.approx(there.posterior(margin_P * 1000))


def test_weak_margins_do_not_tell_flips_from_close_responses() -> None:
    """Margins that order 60 %: the rate is no number, the interval is wide, and the ceiling still holds."""
    margin_P, _ = planted(0.1, n=800, size=1.0, error=1.0)
    found = fit(margin_P)
    assert np.isnan(found.rate)
    assert "the margins allow any flip rate from" in found.reason
    assert found.low <= 0.1 <= found.high
    assert 0.1 <= found.ceiling <= 0.5


def test_the_ceiling_by_hand() -> None:
    """1,000 pairs that all agree: the limit is Wilson's for none of 1,000 at 1.25 % one-sided, of all pairs."""
    found = fit(np.linspace(1.0, 2.0, 1000))
    assert found.ceiling == pytest.approx(0.0050, abs=3e-4)  # z = 2.2414: z^2 / (n + z^2)
    assert found.rate == 0.0


def test_posterior_by_hand() -> None:
    """At one rate e = 0.1 and t = 1 a margin of 0 has posterior 0.1, and log 9 has 0.1/9 : 0.9 odds."""
    weight_E = np.zeros(RATES.size)
    weight_E[np.argmin(np.abs(RATES - 0.1))] = 1.0
    margin_P, _ = planted(0.1)
    fixed = replace(fit(margin_P), scale_E=np.ones(RATES.size), weight_E=weight_E)
    odds = (0.1 / 9) / 0.9
    assert fixed.posterior(np.array([0.0, np.log(9)])) == pytest.approx([0.1, odds / (1 + odds)])
    assert fixed.expected_precision(np.zeros(50)).estimate == pytest.approx(0.1)


def test_suspects_come_first_and_their_precision_is_the_expected_one() -> None:
    margin_P, flipped = planted(0.1)
    found = fit(margin_P)
    order = suspect_order(found.posterior(margin_P))
    assert auroc(found.posterior(margin_P), flipped) > 0.9
    expected = found.expected_precision(margin_P[order[:75]])
    assert expected.low <= flipped[order[:75]].mean() <= expected.high
    assert expected.low > 0.5
    assert found.posterior(margin_P).sum() == pytest.approx(flipped.sum(), rel=0.35)


def test_without_flips_suspects_are_not_said_to_be_wrong() -> None:
    margin_P, _ = planted(0.0)
    found = fit(margin_P)
    top = suspect_order(found.posterior(margin_P))[:75]
    assert found.expected_precision(margin_P[top]).low < 0.05


def test_prompts_widen_the_interval() -> None:
    """Each pair ten times over is no more evidence when the copies share a prompt."""
    margin_P, _ = planted(0.1, n=300)
    alone, copied = fit(margin_P), fit_noise(np.tile(margin_P, 10), np.tile(np.arange(300), 10))
    blind = fit(np.tile(margin_P, 10))
    assert copied.design == pytest.approx(10, rel=0.02)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    assert blind.high - blind.low < 0.5 * (copied.high - copied.low)


def test_an_interval_above_the_ceiling_is_given_up() -> None:
    """10 % of flips, and a judge that is as confident where it knows little: the form asks for 20 % and more."""
    rng = np.random.default_rng(0)
    size_P = np.abs(rng.normal(size=6000)) * np.where(np.arange(6000) % 2, 6.0, 0.7)
    sharpness_P = np.where(np.arange(6000) % 2, 0.25, 2.0)
    agrees = (rng.random(6000) < expit(sharpness_P * size_P)) != (rng.random(6000) < 0.1)
    found = fit(np.where(agrees, size_P, -size_P))
    assert np.isnan(found.rate)
    assert found.reason.startswith("the logistic form asks for 2")
    assert (found.low, found.high) == (0.0, found.ceiling)
    assert 0.1 <= found.ceiling < 0.25
    assert found.weight_E[found.ceiling < RATES].sum() == 0
    assert found.expected_precision(np.full(50, -3.0)).low < 0.2


def test_nothing_to_tell_from() -> None:
    assert fit(np.array([])).reason == "no pairs"
    assert fit(np.zeros(5)).reason == "every margin is 0"
    wrong = fit(-planted(0.0)[0])
    assert wrong.reason == "the margins do not point towards the labels"
    assert np.isnan(wrong.posterior(np.array([1.0]))).all()
    assert np.isnan(wrong.expected_precision(np.array([1.0])).estimate)
    assert fit_noise(np.ones(4), np.zeros(4)).reason == "one prompt says nothing about others"
    few = fit(np.array([1.0, 2.0, -0.5]))
    assert (few.low, few.high) == (0.0, 0.5)
    with pytest.raises(InputError, match="margin_P: 1 of 2"):
        fit(np.array([1.0, np.nan]))


def test_auroc_by_hand() -> None:
    assert auroc([3.0, 2.0, 1.0, 1.0], [True, False, True, False]) == (1 + 1 + 0 + 0.5) / 4
    assert np.isnan(auroc([1.0], [True]))
