"""What a pool says of best of n: the curves, their peak, what can be certified, and what the choice inflates.

Statistics come from `karat.numerics`; this file puts them together for one pool. Everything is in reference standard
deviations: the pooled deviation of a score around its prompt's mean, over the responses of the reference policy.

Axes: P prompts, G responses, N values of n, S those that tables show, B bootstrap draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from karat.numerics.attenuation import Attenuation, attenuation
from karat.numerics.best_of_n import (
    Curve,
    PoolMatrix,
    best_of_n_by_prompt,
    best_of_n_curve,
    best_of_poisson_weight,
    percentile_ends,
    prompt_draws,
    soft_best_of_n_by_prompt,
    win_rate_by_prompt,
)
from karat.numerics.divergence import (
    best_of_n_divergence,
    best_of_n_kl_bound,
    best_of_poisson_kl,
    cautious_chi2,
    soft_best_of_n_kl,
)
from karat.numerics.goodhart import (
    CurveFit,
    Form,
    Optimum,
    Peak,
    best_setting,
    certified_gain,
    fit_curve,
    locate_peak,
    reference_correlation,
    within_prompt_sd,
)
from karat.numerics.intervals import Interval
from karat.numerics.tails import Tail, fit_tail
from karat.stress.config import StressConfig
from karat.stress.inflation import Surface, read_surface
from karat.stress.pool import StressPool

CERTIFIED_CONFIDENCE = 0.95
"""One-sided confidence of the bound on the correlation that a certificate rests on."""
LEAST_PROMPTS = 8
"""Below it no bound over prompts is to be relied on, however many labels there are."""

SOFT_SETTINGS = np.geomspace(0.02, 5, 33)
"""Temperatures of soft best of n that are tried, in proxy SDs; and POISSON_SETTINGS, values of mu from 0.5 to max_n."""
POISSON_SETTINGS = 60
KL_PROMPTS = 64
"""Prompts whose mean KL of soft best of n is taken."""


@dataclass(frozen=True, slots=True)
class GoldSide:
    """What the named gold says of the pool.

    Attributes:
        raw: mean gold at best of n, in the gold's own unit; curve: gained over n = 1, in reference SDs.
        is_complete: every response used has a gold; else peak, win rate and hedges are undefined.
        peak: of the curve; None with gold missing, or one prompt.
        fits: of both forms, where the curve has points enough.
        win_rate_S: chance that the best of n has more gold than one further sample, at `shown_n`.
        hedges: the best setting of rules that choose less hard, by name.
        correlation: within prompts, over the responses with both; two-sided 90 %, so that `low` is a 95 % lower bound.
        certified_N: certified gain in gold SDs for each n, at the correlation's lower bound.
        certified_n: the n of the largest certified gain above 0; 1 if there is none, or fewer than LEAST_PROMPTS.
        error_tail: of the proxy less its regression on the gold, within prompts.
        regression: the gold that a straight line and a normal law expect; None with one prompt or no spread.
    """

    raw: Curve
    curve: Curve
    by_prompt_PN: np.ndarray
    is_complete: bool
    peak: Peak | None
    win_rate_S: np.ndarray
    fits: tuple[CurveFit, ...]
    hedges: Mapping[str, Optimum]
    correlation: Interval
    certified_N: np.ndarray
    certified_n: int
    error_tail: Tail
    regression: Attenuation | None
    sd: float


@dataclass(frozen=True, slots=True)
class Stressed:
    """Everything that is measured on one pool."""

    n_N: np.ndarray
    proxy_raw: Curve
    """Mean proxy at best of n, in its own unit; `proxy`: gained over n = 1, in reference SDs."""
    proxy: Curve
    kl_N: np.ndarray
    kl_bound_N: np.ndarray
    chi2_N: np.ndarray
    """As the pool has it; `chi2_limit_N`: not too small for a proxy of few values, for certificates."""
    chi2_limit_N: np.ndarray
    proxy_sd: float
    proxy_tail: Tail
    gold: GoldSide | None
    surface: Surface


def shown_n(max_n: int, peak: Peak | None) -> np.ndarray:
    """The n that tables show: powers of two, the peak, and the last."""
    powers = 2 ** np.arange(int(math.log2(max_n)) + 1)
    return np.unique([*powers, max_n, *([peak.n] if peak else [])])


def measure(pool: StressPool, config: StressConfig) -> Stressed:
    """All of it; deterministic for a seed."""
    matrix, n_N = pool.matrix, np.arange(1, pool.max_n + 1)
    count_BP = prompt_draws(matrix.n_prompts, config.resamples, np.random.default_rng([config.seed, 0]))
    proxy_sd = within_prompt_sd(matrix.proxy_PG)
    proxy_raw = best_of_n_curve(matrix, n_N, count_BP, of_proxy=True)
    proxy = relative_curve(proxy_raw, proxy_sd)
    kl_PN, chi2_PN = zip(
        *(best_of_n_divergence(row[:size], n_N) for row, size in zip(matrix.proxy_PG, matrix.size_P, strict=True)),
        strict=True,
    )
    kl_N, chi2_N = np.mean(kl_PN, axis=0), np.mean(chi2_PN, axis=0)
    limit_N = cautious_chi2(chi2_PN, n_N, matrix.size_P)
    rng = np.random.default_rng([config.seed, 1])
    gold = _gold_side(pool, (proxy_raw, proxy), (kl_N, limit_N), count_BP, rng) if config.gold else None
    return Stressed(
        n_N=n_N,
        proxy_raw=proxy_raw,
        proxy=proxy,
        kl_N=kl_N,
        kl_bound_N=best_of_n_kl_bound(n_N),
        chi2_N=chi2_N,
        chi2_limit_N=limit_N,
        proxy_sd=proxy_sd,
        proxy_tail=_tail(matrix, matrix.proxy_PG, rng),
        gold=gold,
        surface=read_surface(pool, resamples=config.resamples, rng=rng),
    )


def relative_curve(curve: Curve, sd: float) -> Curve:
    """Gains over n = 1 in standard deviations; the scale is taken as known."""
    scale = sd if sd > 0 else math.nan
    mean_N, draw_BN = (curve.mean_N - curve.mean_N[0]) / scale, (curve.draw_BN - curve.draw_BN[:, [0]]) / scale
    low_N, high_N = percentile_ends(draw_BN, curve.n_prompts)
    unseen_2N = None if curve.unseen_2N is None else curve.unseen_2N / scale
    if unseen_2N is not None:
        down_N, up_N = np.where(curve.n_N > 1, unseen_2N, 0.0)
        low_N, high_N = low_N - down_N, high_N + up_N
    return Curve(
        n_N=curve.n_N, mean_N=mean_N, low_N=low_N, high_N=high_N, draw_BN=draw_BN, effective_N=curve.effective_N,
        n_prompts=curve.n_prompts, unseen_2N=unseen_2N,
    )  # fmt: skip


def _gold_side(
    pool: StressPool,
    proxies: tuple[Curve, Curve],
    divergence: tuple[np.ndarray, np.ndarray],
    count_BP: np.ndarray,
    rng: np.random.Generator,
) -> GoldSide:
    (proxy_raw, proxy), (kl_N, chi2_limit_N) = proxies, divergence
    matrix, n_N = pool.matrix, proxy.n_N
    sd, scale = within_prompt_sd(matrix.value_PG), within_prompt_sd(matrix.proxy_PG)
    raw = best_of_n_curve(matrix, n_N, count_BP)
    curve = relative_curve(raw, sd)
    is_complete = pool.n_missing_gold == 0
    by_prompt_PN = np.full((matrix.n_prompts, n_N.size), np.nan)
    hedges: dict[str, Optimum] = {}
    peak = None
    if is_complete:
        by_prompt_PN = best_of_n_by_prompt(matrix, matrix.value_PG, n_N) / (sd if sd > 0 else math.nan)
    if is_complete and sd > 0 and scale > 0 and matrix.n_prompts >= 2:
        hedges = _hedges(matrix, curve, pool.max_n, sd, count_BP, rng)
        peak = locate_peak(curve, by_prompt_PN)
    shown = shown_n(pool.max_n, peak)
    win_rate_S = win_rate_by_prompt(matrix, shown).mean(axis=0) if is_complete else np.full(shown.size, np.nan)
    forms: tuple[Form, ...] = ("best-of-n", "RL")
    fits = [fit_curve(curve, kl_N, form) for form in forms] if sd > 0 and matrix.n_prompts >= 2 else []
    correlation = reference_correlation(matrix, rng=rng, level=2 * CERTIFIED_CONFIDENCE - 1)
    certified_N = certified_gain(proxy.mean_N, chi2_limit_N, correlation.low)
    best = int(np.argmax(certified_N)) if np.isfinite(certified_N).any() else 0
    is_certain = certified_N[best] > 0 and correlation.n_clusters >= LEAST_PROMPTS
    certified_n = int(n_N[best]) if is_certain else 1
    regression = None
    if sd > 0 and scale > 0 and matrix.n_prompts >= 2:
        regression = attenuation(matrix, proxy_raw, raw, count_BP, scale=(scale, sd))
    return GoldSide(
        raw=raw,
        curve=curve,
        by_prompt_PN=by_prompt_PN,
        is_complete=is_complete,
        peak=peak,
        win_rate_S=win_rate_S,
        fits=tuple(fit for fit in fits if fit),
        hedges=hedges,
        correlation=correlation,
        certified_N=certified_N,
        certified_n=certified_n,
        error_tail=_tail(matrix, _error(matrix), rng),
        regression=regression,
        sd=sd,
    )


def _hedges(
    matrix: PoolMatrix, curve: Curve, max_n: int, sd: float, count_BP: np.ndarray, rng: np.random.Generator
) -> dict[str, Optimum]:
    """The best mean of best of Poisson, and the best temperature of soft best of max_n (in proxy SDs)."""
    found = {}
    mu_T = np.r_[0.0, np.geomspace(0.5, max(max_n, 2), POISSON_SETTINGS)]
    weight_TN = best_of_poisson_weight(mu_T, max_n)
    usable = np.isfinite(weight_TN).all(axis=1)
    gold_T, draw_BT = weight_TN[usable] @ curve.mean_N, curve.draw_BN @ weight_TN[usable].T
    best = best_setting(mu_T[usable], gold_T, draw_BT, matrix.n_prompts)
    found["best of 1 + Poisson(mu): mu"] = replace(best, kl_nats=best_of_poisson_kl(best.setting.estimate))
    unit = within_prompt_sd(matrix.proxy_PG)
    by_prompt_PT = np.hstack(
        [
            soft_best_of_n_by_prompt(matrix, matrix.value_PG, max_n, temperature=t * unit, rng=rng, repeats=16)
            for t in SOFT_SETTINGS
        ]
    )
    start_P = best_of_n_by_prompt(matrix, matrix.value_PG, 1)
    gain_PT = (by_prompt_PT - start_P) / sd
    draw_BT = count_BP @ gain_PT / matrix.n_prompts
    best = best_setting(SOFT_SETTINGS, gain_PT.mean(axis=0), draw_BT, matrix.n_prompts)
    every = np.unique(np.linspace(0, matrix.n_prompts - 1, KL_PROMPTS).astype(int))
    kl = [
        soft_best_of_n_kl(row[:size], max_n, temperature=best.setting.estimate * unit)
        for row, size in zip(matrix.proxy_PG[every], matrix.size_P[every], strict=True)
    ]
    found[f"soft best of {max_n}: temperature, proxy SD"] = replace(best, kl_nats=float(np.mean(kl)))
    return found


def _error(matrix: PoolMatrix) -> np.ndarray:
    """The proxy less its regression on the gold, both centred by prompt, (P, G); NaN where either is missing."""
    with np.errstate(invalid="ignore"):
        known = ~np.isnan(matrix.value_PG) & ~np.isnan(matrix.proxy_PG)
        n_P = np.maximum(known.sum(axis=1, keepdims=True), 1)
        x = matrix.value_PG - np.where(known, matrix.value_PG, 0).sum(axis=1, keepdims=True) / n_P
        y = matrix.proxy_PG - np.where(known, matrix.proxy_PG, 0).sum(axis=1, keepdims=True) / n_P
    squares = np.nansum(x * x)
    return np.where(known, y - (np.nansum(x * y) / squares if squares > 0 else 0.0) * x, np.nan)


def _tail(matrix: PoolMatrix, score_PG: np.ndarray, rng: np.random.Generator) -> Tail:
    """The tail of a score centred by prompt."""
    is_known = ~np.isnan(score_PG)
    mean = np.where(is_known, score_PG, 0).sum(axis=1, keepdims=True) / np.maximum(
        is_known.sum(axis=1, keepdims=True), 1
    )
    prompt_PG = np.broadcast_to(np.arange(matrix.n_prompts)[:, None], score_PG.shape)
    return fit_tail((score_PG - mean)[is_known], prompt_PG[is_known], rng=rng)
