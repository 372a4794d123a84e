"""The peak, its fall, fitted curves and certificates: hand values, laws, and planted truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.numerics.attenuation import largest_of_normals
from karat.numerics.best_of_n import Curve, PoolMatrix, best_of_n_by_prompt, best_of_n_curve, pool_matrix, prompt_draws
from karat.numerics.divergence import best_of_n_chi2_bound, best_of_n_kl_bound
from karat.numerics.goodhart import (
    best_setting,
    certified_gain,
    cross_fitted_difference,
    drop_height,
    fit_curve,
    labels_for,
    locate_peak,
    reference_correlation,
    within_prompt_sd,
)


def hacked_pool(rng: np.random.Generator, n_prompts: int = 150, size: int = 64) -> PoolMatrix:
    """Gold peaks near n = 12: one response in a hundred is paid 6 more and worth -2."""
    gold = rng.standard_normal((n_prompts, size))
    proxy = gold + 0.5 * rng.standard_normal(gold.shape)
    hacked = rng.random(gold.shape) < 0.01
    gold = np.where(hacked, -2.0, gold)
    return pool_matrix((proxy + 6 * hacked).ravel(), gold.ravel(), np.repeat(np.arange(n_prompts), size))


def line_curve(mean_N: np.ndarray, noise: float, rng: np.random.Generator, n_prompts: int = 200) -> Curve:
    by_prompt = mean_N + noise * rng.standard_normal((n_prompts, mean_N.size)).cumsum(axis=1)
    by_prompt += mean_N - by_prompt.mean(axis=0)
    draw = prompt_draws(n_prompts, 500, rng) @ by_prompt / n_prompts
    n = 2 ** np.arange(mean_N.size)
    return Curve(
        n_N=n, mean_N=mean_N, low_N=draw.min(0), high_N=draw.max(0), draw_BN=draw, effective_N=n, n_prompts=n_prompts
    )


def test_a_planted_peak_is_found_with_its_fall() -> None:
    rng = np.random.default_rng(0)
    pool, n = hacked_pool(rng), np.arange(1, 65)
    curve = best_of_n_curve(pool, n, prompt_draws(pool.n_prompts, 500, rng))
    peak = locate_peak(curve, best_of_n_by_prompt(pool, pool.value_PG, n))
    assert peak.low_n <= 12 <= peak.high_n
    assert not peak.is_last
    assert peak.drop.low > 0.3
    assert peak.gain.low > 0.5
    height = (peak.gold - curve.mean_N[-1]) / (peak.gold - curve.mean_N[0])
    assert peak.drop_height.low < height < peak.drop_height.high
    assert peak.drop_height.estimate == pytest.approx(height, abs=0.05)  # a little lower: not chosen on itself


def centred(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    noise = rng.standard_normal(shape)
    return np.asarray(noise - noise.mean(axis=0))


def test_drop_height_by_hand_and_where_there_is_none() -> None:
    by_prompt = np.array([0.0, 2.0, 1.0]) + 0.1 * centred(np.random.default_rng(0), (50, 3))
    found = drop_height(by_prompt, slice(0, 2))
    assert found.estimate == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert math.isnan(drop_height(by_prompt[:3], slice(0, 2)).estimate)
    noise = np.random.default_rng(1).standard_normal((40, 3))
    assert math.isnan(drop_height(noise, slice(0, 2)).low)  # no gain, so no share of it
    rising = drop_height(by_prompt[:, [0, 2, 1]], slice(0, 2))
    assert rising.high < 0


def test_drop_height_interval_holds_the_truth() -> None:
    """(2 - 1.2) / 2 = 0.4, 200 times with 20 prompts; the best of the three is beyond doubt."""
    rng = np.random.default_rng(9)
    covered = 0
    for _ in range(400):
        found = drop_height(np.array([0.0, 2.0, 1.2]) + rng.standard_normal((20, 3)), slice(0, 2))
        covered += found.low <= 0.4 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_noise_alone_makes_no_fall() -> None:
    """The peak of pure noise is above its last value by construction; cross-fitting takes that advantage away."""
    rng = np.random.default_rng(1)
    falls = [cross_fitted_difference(rng.standard_normal((40, 30)), 29, slice(0, 15)).low > 0 for _ in range(300)]
    assert np.mean(falls) <= 0.06
    assert math.isnan(cross_fitted_difference(np.zeros((3, 5)), 4, slice(0, 2)).estimate)
    same = cross_fitted_difference(np.zeros((9, 5)), 4, slice(0, 2))
    assert same.estimate == 0
    assert math.isnan(same.low)  # no interval has zero width


def test_fits_recover_their_own_form_and_reject_another() -> None:
    rng = np.random.default_rng(2)
    n = 2 ** np.arange(11)
    kl = best_of_n_kl_bound(n)
    d = np.sqrt(kl)
    curve = line_curve(d * (2.0 - 0.5 * d), 0.02, rng)
    fit = fit_curve(curve, kl, "best-of-n")
    assert fit is not None
    assert (fit.a.estimate, fit.b.estimate) == pytest.approx((2.0, 0.5), abs=1e-6)
    assert fit.best_d.estimate == pytest.approx(2.0)
    assert fit.best_d.low < 2.0 < fit.best_d.high
    assert fit.best_gold == pytest.approx(2.0)  # a^2 / (4 b)
    assert fit.p_value > 0.9
    other = fit_curve(curve, kl, "RL")
    assert other is not None
    assert other.p_value < 0.01


def test_rl_form_and_its_optimum() -> None:
    rng = np.random.default_rng(3)
    kl = best_of_n_kl_bound(2 ** np.arange(11))
    d = np.sqrt(np.maximum(kl, 1e-300))
    fit = fit_curve(line_curve(np.where(kl > 0, d * (1.0 - 0.8 * np.log(d)), 0), 0.02, rng), kl, "RL")
    assert fit is not None
    assert fit.best_d.estimate == pytest.approx(math.exp(1 / 0.8 - 1))
    assert fit.best_gold == pytest.approx(0.8 * fit.best_d.estimate)


def test_a_curve_that_never_turns_has_no_optimum() -> None:
    rng = np.random.default_rng(4)
    kl = best_of_n_kl_bound(2 ** np.arange(8))
    fit = fit_curve(line_curve(np.sqrt(kl) * (1 + 0.1 * np.sqrt(kl)), 0.01, rng), kl, "best-of-n")
    assert fit is not None
    assert math.isinf(fit.best_d.estimate)
    assert math.isnan(fit.best_gold)
    slow = fit_curve(line_curve(np.sqrt(kl) * (1 - 0.01 * np.log(np.sqrt(np.maximum(kl, 1e-9)))), 1e-4, rng), kl, "RL")
    assert slow is not None
    assert math.isinf(slow.best_d.estimate)  # e^99 sqrt(nats) are out of reach of any policy
    assert fit_curve(line_curve(np.array([0.0, 1.0, 2.0]), 0.1, rng), kl[:3], "RL") is None  # two points


def test_certified_n_and_gain_for_a_normal_proxy() -> None:
    """The published table: correlation, n, gain in gold SDs."""
    n = np.arange(1, 201)
    table = {0.5: (3, 0.14), 0.7: (4, 0.31), 0.8: (5, 0.45), 0.9: (9, 0.71), 0.95: (16, 0.97), 0.99: (57, 1.57)}
    for r, (best_n, value) in table.items():
        certified = certified_gain(largest_of_normals(n), best_of_n_chi2_bound(n), r)
        assert n[np.argmax(certified)] == best_n
        assert certified.max() == pytest.approx(value, abs=0.005)


def test_certificate_holds_for_the_worst_gold() -> None:
    """A gold made of the proxy and the worst direction for this policy gains exactly what is certified."""
    quantile = (np.arange(10_000) + 0.5) / 10_000
    density = 5 * quantile**4
    proxy = quantile - quantile.mean()
    proxy /= proxy.std()
    rest = -(density - 1) + ((density - 1) @ proxy) / proxy.size * proxy
    rest /= rest.std()
    chi2 = np.array([np.mean((density - 1) ** 2)])
    for r in (0.6, 0.8, 0.95):
        gold = r * proxy + math.sqrt(1 - r * r) * rest
        truth = float(np.mean(density * gold))
        assert certified_gain(np.array([np.mean(density * proxy)]), chi2, r)[0] <= truth + 1e-9


def test_nothing_is_certified_without_correlation() -> None:
    assert certified_gain(np.array([0.0, 1.0]), np.array([0.0, 1.0]), -0.1).tolist() == [-math.inf] * 2
    assert np.isnan(certified_gain(np.array([1.0]), np.array([1.0]), math.nan)).all()


def test_a_function_of_the_prompt_changes_no_within_prompt_number() -> None:
    rng = np.random.default_rng(6)
    gold = rng.standard_normal((30, 12))
    proxy = gold + rng.standard_normal(gold.shape)
    prompt = np.repeat(np.arange(30), 12)
    shift = 100 * rng.standard_normal((30, 1))
    plain, moved = (
        pool_matrix(p.ravel(), g.ravel(), prompt) for p, g in ((proxy, gold), (proxy + shift, gold - shift))
    )
    found, again = (reference_correlation(pool, rng=np.random.default_rng(0)) for pool in (plain, moved))
    assert found.estimate == pytest.approx(again.estimate)
    assert found.low == pytest.approx(again.low)
    assert within_prompt_sd(plain.value_PG) == pytest.approx(within_prompt_sd(moved.value_PG))
    assert found.estimate == pytest.approx(1 / math.sqrt(2), abs=0.08)


def test_labels_tighten_the_bound() -> None:
    bounds = labels_for(0.7, np.array([3, 10, 100, 10_000]))
    assert math.isnan(bounds[0])
    assert np.all(np.diff(bounds[1:]) > 0)
    assert bounds[-1] == pytest.approx(0.7, abs=0.01)
    assert labels_for(0.7, np.array([103]))[0] == pytest.approx(math.tanh(math.atanh(0.7) - 1.6449 / 10), abs=1e-4)
    assert labels_for(0.7, np.array([200]), design=2.0)[0] == labels_for(0.7, np.array([100]))[0]


def test_best_setting_lies_between_the_settings_and_says_when_it_is_at_the_edge() -> None:
    rng = np.random.default_rng(7)
    setting = np.arange(1.0, 6.0)
    gold = -((setting - 3.3) ** 2)
    draws = gold + 0.1 * rng.standard_normal((300, 5))
    found = best_setting(setting, gold, draws, 50)
    assert found.setting.estimate == pytest.approx(3.3)  # a parabola is met exactly
    assert 3.0 < found.setting.low < 3.3 < found.setting.high < 3.6
    assert not found.is_edge
    edge = best_setting(setting, setting, setting + 0 * draws, 50)
    assert (edge.setting.estimate, edge.is_edge) == (5, True)
    two = best_setting(setting[:2], gold[:2], draws[:, :2], 50)
    assert two.setting.estimate == 2


@pytest.mark.parametrize("n_prompts", [12, 20])
def test_a_fit_to_few_prompts_knows_that_its_weights_are_estimated(n_prompts: int) -> None:
    rng, n = np.random.default_rng(1), 2 ** np.arange(11)
    kl = best_of_n_kl_bound(n)
    d = np.sqrt(kl)
    covered, rejected = [], []
    for _ in range(400):
        step = 0.25 * rng.standard_normal((n_prompts, d.size))
        gold = d * (1.2 - 0.35 * d) + np.where(d > 0, step.cumsum(axis=1), 0.0)
        draw = prompt_draws(n_prompts, 500, rng) @ gold / n_prompts
        zero = np.zeros(d.size)
        curve = Curve(
            n_N=n,
            mean_N=gold.mean(axis=0),
            low_N=zero,
            high_N=zero,
            draw_BN=draw,
            effective_N=zero,
            n_prompts=n_prompts,
        )
        fit = fit_curve(curve, kl, "best-of-n")
        assert fit
        covered.append(fit.best_d.low <= 1.2 / 0.7 <= fit.best_d.high)
        rejected.append(fit.p_value < 0.05)
    assert np.mean(covered) > 0.9  # 0.66 and 0.80 at the weights taken as known
    assert np.mean(rejected) < 0.08


def test_a_curve_that_has_reached_all_there_is_peaks_where_it_gets_there() -> None:
    # 4 of 16 are wrong: from best of 5 on a perfect proxy always finds a right one
    rng, n = np.random.default_rng(0), np.arange(1, 17)
    gold = np.tile(np.r_[np.zeros(4), np.ones(12)], (30, 1))
    pool = pool_matrix(gold.ravel(), gold.ravel(), np.repeat(np.arange(30), 16))
    curve = best_of_n_curve(pool, n, prompt_draws(30, 200, rng))
    peak = locate_peak(curve, best_of_n_by_prompt(pool, pool.value_PG, n))
    assert (peak.n, peak.low_n, peak.high_n) == (5, 5, 5)
    assert peak.gold == pytest.approx(1)


def test_few_prompts_bound_a_correlation_on_fishers_scale() -> None:
    rng, beyond = np.random.default_rng(0), []
    for _ in range(400):
        gold = rng.standard_normal((8, 4))
        proxy = gold + 0.3 * rng.standard_normal(gold.shape)
        pool = pool_matrix(proxy.ravel(), gold.ravel(), np.repeat(np.arange(8), 4))
        beyond.append(reference_correlation(pool, rng=rng, level=0.9).low > 1 / math.sqrt(1.09))
    assert np.mean(beyond) < 0.085  # planned 0.05; 0.12 by Student's t on the correlation itself
