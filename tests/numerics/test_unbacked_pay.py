"""What labels do not back of what a reward pays: planted shares, a law, edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from karat.errors import DataError, InputError
from karat.numerics.style_trend import StyleTrend, fit_style_trend
from karat.numerics.unbacked_pay import UnbackedPay, _Fit, fit_unbacked_pay


def fitted(
    n: int, pay: tuple[float, ...], want: tuple[float, ...], *, seed: int = 0, scale: float = 1.0
) -> UnbackedPay:
    """Reward q + pay . x, labels by sigma of the differences of q + want . x."""
    rng = np.random.default_rng(seed)
    quality, x_PK = 2 * rng.standard_normal(n), rng.standard_normal((n, len(pay)))
    is_won = rng.random(n) < expit(quality + x_PK @ np.array(want))
    margin = (quality + x_PK @ np.array(pay)) * scale
    payment = x_PK * np.array(pay) * scale
    return fit_unbacked_pay(margin, is_won.astype(float), payment, np.arange(n) % 5, group_K=range(len(pay)))


def test_planted_shares_are_found() -> None:
    """Pay 1 of which labels back 0, 1/2 and all; and pay 1 where labels want the opposite, which ends at 1."""
    found = fitted(6000, (1.0, 1.0, 1.0, 1.0), (0.0, 0.5, 1.0, -0.5))
    assert found.share_K == pytest.approx([1.0, 0.5, 0.0, 1.0], abs=0.12)
    assert found.scale == pytest.approx(1.0, abs=0.1)


def test_labels_that_want_more_than_is_paid_add_nothing() -> None:
    assert fitted(4000, (0.5,), (1.5,)).share_K.tolist() == [0.0]


@pytest.mark.parametrize("scale", [1e-6, 40.0])
def test_the_unit_of_the_reward_does_not_matter(scale: float) -> None:
    plain, scaled = fitted(800, (1.0,), (0.2,)), fitted(800, (1.0,), (0.2,), scale=scale)
    assert scaled.share_K == pytest.approx(plain.share_K, abs=1e-3)
    assert scaled.scale * scale == pytest.approx(plain.scale, rel=1e-3)
    assert scaled.plain_scale * scale == pytest.approx(plain.plain_scale, rel=1e-3)


def test_swapping_the_sides_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    margin, payment = rng.standard_normal(400) + 0.5, rng.standard_normal((400, 1))
    label, fold = rng.uniform(0.5, 1, 400), np.arange(400) % 4
    one = fit_unbacked_pay(margin, label, payment, fold, group_K=[0])
    other = fit_unbacked_pay(-margin, 1 - label, -payment, fold, group_K=[0])
    assert other.share_K == pytest.approx(one.share_K, abs=1e-6)


def test_at_the_optimum_the_reward_goes_with_the_feature_as_labels_do() -> None:
    """The score equation, for a small penalty: sum of (predicted - label) times the payment is 0."""
    rng = np.random.default_rng(2)
    n = 20_000
    quality, x = 2 * rng.standard_normal(n), rng.standard_normal(n)
    label = (rng.random(n) < expit(quality + 0.4 * x)).astype(float)
    found = fit_unbacked_pay(quality + x, label, x[:, None], np.arange(n) % 5, group_K=[0])
    before, after = (
        float(np.mean((expit(scale * (quality + x - share * x)) - label) * x))
        for scale, share in ((found.plain_scale, 0.0), (found.scale, found.share_K[0]))
    )
    assert before > 0.04
    assert abs(after) < 0.002


@pytest.mark.parametrize("penalty", [50.0, 1000.0])
def test_the_share_is_the_least_of_the_penalised_loss(penalty: float) -> None:
    """Against a grid over the share and the scale; the penalty counts in units of the plain scale."""
    rng = np.random.default_rng(3)
    payment = rng.standard_normal((200, 1))
    margin = rng.standard_normal(200) + payment[:, 0]
    label = (rng.random(200) < expit(margin - payment[:, 0])).astype(float)
    fit = _Fit(margin, label, payment)
    (share,), log_scale = fit.solve(np.ones(200, bool), np.array([penalty]))
    _, plain = fit.solve(np.ones(200, bool), np.array([np.inf]))
    weight = penalty * np.exp(2 * plain) * float((payment**2).mean())

    def cost(at: float, log_a: float) -> float:
        nats = np.exp(log_a) * (margin - at * payment[:, 0])
        return float(np.logaddexp(0, np.where(label == 1, -nats, nats)).sum() + weight * at**2 / 2)

    near = [cost(share + d, log_scale + e) for d in (-0.03, 0.0, 0.03) for e in (-0.05, 0.0, 0.05)]
    assert min(near) == cost(share, log_scale)
    assert 0.02 < share < 0.98


def test_few_pairs_and_no_excess_take_nothing() -> None:
    taken = [fitted(60, (0.5,), (0.5,), seed=seed).share_K[0] > 0 for seed in range(40)]
    assert sum(taken) <= 6


def test_a_reward_against_its_labels_is_told() -> None:
    with pytest.raises(DataError, match="do not point towards the labels of these 10 pairs"):
        fit_unbacked_pay(-np.ones(10), 1.0, np.ones((10, 1)), np.arange(10), group_K=[0])
    with pytest.raises(InputError, match="payment_PK: shape"):
        fit_unbacked_pay(np.ones(10), 1.0, np.ones((9, 1)), np.arange(10), group_K=[0])


# ---------------------------------------------------------------------------------------------------------------- style
def test_planted_weights_within_prompts() -> None:
    """The prompt's own effect goes with the counts and must not be taken for style."""
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(500), 4)
    count = rng.poisson(1 + prompt % 5, (3, 2000)).T.astype(float)
    score = 3.0 * (prompt % 5) + 0.7 * np.log1p(count[:, 0]) - 0.3 * np.log1p(count[:, 1])
    score = score + 0.2 * rng.standard_normal(2000)
    trend = fit_style_trend(score, count, prompt, ("a", "b", "c"))
    assert trend.weight_F == pytest.approx((0.7, -0.3, 0.0), abs=0.03)
    assert float(trend(count).mean()) == pytest.approx(0.0, abs=1e-12)
    assert trend.parts(np.array([[1.0, 0.0, 0.0]]))[0] == pytest.approx([0.7 * np.log(2), 0.0, 0.0], abs=0.03)
    half = trend.scaled(np.array([0.5, 0.0, 1.0]), count)
    assert half.weight_F == pytest.approx((0.35, 0.0, 0.0), abs=0.03)
    assert float(half(count).mean()) == pytest.approx(0.0, abs=1e-12)


def test_what_never_varies_has_no_weight() -> None:
    trend = fit_style_trend([1.0, 2.0], np.array([[3.0, 0.0], [3.0, 1.0]]), [0, 0], ("same", "other"))
    assert trend.weight_F[0] == 0.0
    assert trend.weight_F[1] > 0
    assert fit_style_trend([], np.zeros((0, 1)), [], ("a",)) == StyleTrend(("a",), (0.0,))
    with pytest.raises(InputError, match="a count is negative or missing"):
        fit_style_trend([1.0], np.array([[-1.0]]), [0], ("a",))
