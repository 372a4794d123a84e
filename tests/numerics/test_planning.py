"""Labels planned are labels that suffice: by formula, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.numerics.attenuation import largest_of_normals
from karat.numerics.best_of_n import best_of_n_curve, pool_matrix, prompt_draws
from karat.numerics.divergence import best_of_n_chi2_bound
from karat.numerics.goodhart import certified_gain, peak_interval, reference_correlation
from karat.numerics.intervals import Interval
from karat.numerics.planning import correlation_needed, design_of, labels_needed, prompts_for_peak

N = np.arange(1, 65)
NORMAL = (largest_of_normals(N), best_of_n_chi2_bound(N), N)


def test_the_least_correlation_for_an_n() -> None:
    """0.7 certifies best of 4 and 0.8 best of 5 for a normal proxy, so that each lies at or above what is needed."""
    needed = [correlation_needed(*NORMAL, k) for k in (2, 3, 4, 5, 9, 16)]
    assert needed == sorted(needed)
    assert correlation_needed(*NORMAL, 4) <= 0.7 < correlation_needed(*NORMAL, 5) <= 0.8
    at = correlation_needed(*NORMAL, 9)
    assert N[np.argmax(certified_gain(*NORMAL[:2], at))] >= 9
    assert N[np.argmax(certified_gain(*NORMAL[:2], at - 0.001))] < 9
    assert math.isnan(correlation_needed(np.zeros(3), np.array([0.0, 1.0, 2.0]), np.arange(1, 4), 2))


def test_labels_by_hand() -> None:
    apart = math.atanh(0.7) - math.atanh(0.6)
    assert labels_needed(0.7, 0.6) == pytest.approx(3 + ((1.64485 + 0.84162) / apart) ** 2, rel=1e-4)
    assert labels_needed(0.7, 0.6, design=2.0) == pytest.approx(2 * labels_needed(0.7, 0.6))
    assert labels_needed(0.6, 0.6) == math.inf
    assert math.isnan(labels_needed(0.6, math.nan))


def test_the_labels_planned_certify_as_often_as_planned() -> None:
    """Correlation 0.7, wanted best of 3: 80 % of samples of the planned size reach it."""
    rng = np.random.default_rng(0)
    needed = correlation_needed(*NORMAL, 3)
    # one label for each of two responses to a prompt; centring by prompt costs half of them
    n_prompts = math.ceil(labels_needed(0.7, needed, design=2.0) / 2)
    reached = 0
    for _ in range(200):
        gold = rng.standard_normal(2 * n_prompts)
        proxy = 0.7 * gold + math.sqrt(1 - 0.49) * rng.standard_normal(gold.size)
        pool = pool_matrix(proxy, gold, np.repeat(np.arange(n_prompts), 2))
        low = reference_correlation(pool, rng=rng, level=0.9).low
        gain = certified_gain(*NORMAL[:2], low)
        reached += gain.max() > 0 and N[np.argmax(gain)] >= 3
    assert 0.72 <= reached / 200 <= 0.9


def test_the_design_is_seen_in_the_interval() -> None:
    error = 1.64485 * math.sqrt(2) / math.sqrt(97)
    r = Interval(0.5, math.tanh(math.atanh(0.5) - error), 0.6, 50, "bootstrap")
    assert design_of(r, 100) == pytest.approx(2.0, rel=1e-4)
    assert math.isnan(design_of(Interval(math.nan, math.nan, math.nan, 1, "undefined"), 100))


def hacked(rng: np.random.Generator, n_prompts: int) -> tuple[int, int]:
    """Ends of the peak's interval where the gold peaks near n = 12."""
    gold = rng.standard_normal((n_prompts, 64))
    is_hacked = rng.random(gold.shape) < 0.01
    proxy = gold + 0.5 * rng.standard_normal(gold.shape) + 6 * is_hacked
    pool = pool_matrix(proxy.ravel(), np.where(is_hacked, -2.0, gold).ravel(), np.repeat(np.arange(n_prompts), 64))
    curve = best_of_n_curve(pool, N, prompt_draws(n_prompts, 400, rng))
    low, high = peak_interval(curve)
    return int(N[low]), int(N[high])


def test_the_prompts_planned_bring_the_peak_within_a_factor() -> None:
    rng = np.random.default_rng(1)
    plan = float(np.median([prompts_for_peak(*hacked(rng, 30), 30, factor=1.25) for _ in range(20)]))
    assert 50 < plan < 130
    reach = [high / low for low, high in (hacked(rng, round(plan)) for _ in range(20))]
    assert np.median(reach) == pytest.approx(1.25**2, rel=0.1)
    assert prompts_for_peak(6, 24, 50) == pytest.approx(50)  # a factor of two to each side already
    assert prompts_for_peak(10, 12, 50) == 50
    assert prompts_for_peak(3, 48, 50) == pytest.approx(200)
    assert math.isnan(prompts_for_peak(math.nan, 4, 50))
