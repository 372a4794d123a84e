"""Is regression to the mean all that happens: the gold that a straight line, or a normal law, expects of best of n.

Axes: P prompts, G responses, N values of n, B bootstrap draws, R responses in long form, F features.

With gold = slope x proxy + rest, the rest unrelated to the proxy at any height of it, the gold gained by any choice is
slope times the proxy gained: the truth is bought at a discount but never falls (regressional Goodhart). Where the
measured gold stays behind that line, high proxies are worth less than the bulk of the responses says (extremal).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from karat.errors import InputError
from karat.numerics.best_of_n import Curve, PoolMatrix, best_of_n_by_prompt, percentile_ends
from karat.numerics.intervals import Interval
from karat.numerics.validation import cluster_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attenuation:
    """What regression to the mean expects of each n, and what is missing. Gold SDs within prompts, over n = 1.

    Attributes:
        slope: gold SDs expected for one proxy SD, which is the correlation within prompts.
        line_N: slope times the proxy gained; nowhere more than choosing by the gold itself gains, since a gold that
            has an end (0 or 1) is no sign of a wrong reward when it gets there.
        normal_N: slope times the mean largest of n standard normals: a bivariate-normal law, the proxy's own spread
            left out of account; with the same limit.
        shortfall_N, shortfall_low_N, shortfall_high_N: line_N less the measured gold, with its pointwise interval.
        normal_shortfall_N, ..._low_N, ..._high_N: normal_N less the measured gold.
        n_prompts: prompts used.
    """

    slope: Interval
    line_N: np.ndarray
    normal_N: np.ndarray
    shortfall_N: np.ndarray
    shortfall_low_N: np.ndarray
    shortfall_high_N: np.ndarray
    normal_shortfall_N: np.ndarray
    normal_shortfall_low_N: np.ndarray
    normal_shortfall_high_N: np.ndarray
    n_prompts: int


def largest_of_normals(n_N: np.ndarray) -> np.ndarray:
    """Mean of the largest of n independent standard normals, n real and at least 1.

    The integral of z n phi(z) Phi(z)^(n-1), by the trapezoid rule on [-9, 11], error below 1e-9 for n up to 1e9.
    """
    n = np.atleast_1d(np.asarray(n_N, np.float64))
    if not (n >= 1).all():
        raise InputError(f"n = {n.min():g}: must be 1 or more.")
    z = np.linspace(-9, 11, 2001)
    log_density = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    density_NZ = n[:, None] * np.exp(log_density + (n[:, None] - 1) * log_ndtr(z))
    return np.asarray(density_NZ @ z * (z[1] - z[0]))


def attenuation(
    pool: PoolMatrix, proxy: Curve, gold: Curve, count_BP: np.ndarray, *, scale: tuple[float, float]
) -> Attenuation:
    """Measured gold against what the slope on the proxy expects, with paired bootstrap intervals over prompts.

    The slope is found again in each draw. Responses without a gold are left out of the slope, as they are of the curve.

    Args:
        proxy, gold: curves of the pool in their own units, from n = 1, on the draws of count_BP.
        count_BP: from `prompt_draws`.
        scale: standard deviations within prompts of proxy and gold.
    """
    proxy_sd, gold_sd = scale
    total_P2 = _products(pool)
    whole, drawn = total_P2.sum(axis=0), count_BP @ total_P2
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = whole[0] / whole[1] * proxy_sd / gold_sd
        slope_B = drawn[:, 0] / drawn[:, 1] * proxy_sd / gold_sd
        gain_N, gain_BN = _gain(proxy, proxy_sd)
        gold_N, gold_BN = _gain(gold, gold_sd)
    top_N = largest_of_normals(proxy.n_N)
    most_N, most_BN = _most_gold(pool, gold, count_BP)
    line_N, normal_N = (np.minimum(slope * expected_N, most_N / gold_sd) for expected_N in (gain_N, top_N))
    line_ends, normal_ends = (
        percentile_ends(np.minimum(slope_B[:, None] * expected, most_BN / gold_sd) - gold_BN, pool.n_prompts)
        for expected in (gain_BN, top_N[None])
    )
    if gold.unseen_2N is not None:
        down_N, up_N = gold.unseen_2N / gold_sd
        line_ends, normal_ends = ((low_N - up_N, high_N + down_N) for low_N, high_N in (line_ends, normal_ends))
    low, high = percentile_ends(slope_B, pool.n_prompts)
    return Attenuation(
        slope=Interval(float(slope), float(low), float(high), pool.n_prompts, "bootstrap"),
        line_N=line_N,
        normal_N=normal_N,
        shortfall_N=line_N - gold_N,
        shortfall_low_N=line_ends[0],
        shortfall_high_N=line_ends[1],
        normal_shortfall_N=normal_N - gold_N,
        normal_shortfall_low_N=normal_ends[0],
        normal_shortfall_high_N=normal_ends[1],
        n_prompts=pool.n_prompts,
    )


def _most_gold(pool: PoolMatrix, gold: Curve, count_BP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gained by choosing by the gold itself, with its draws; infinite where some golds are missing."""
    if np.isnan(pool.value_PG[pool.order_PG >= 0]).any():
        return np.full(gold.n_N.size, np.inf), np.full(gold.n_N.size, np.inf)
    order_PG = np.argsort(pool.value_PG, axis=1)  # NaN, where there is no response, stays last
    sorted_PG = np.take_along_axis(pool.value_PG, order_PG, axis=1)
    by_gold = PoolMatrix(sorted_PG, sorted_PG, pool.size_P, pool.order_PG)
    most_PN = best_of_n_by_prompt(by_gold, sorted_PG, gold.n_N)
    gained_PN = most_PN - most_PN[:, [0]]
    return gained_PN.mean(axis=0), count_BP @ gained_PN / pool.n_prompts


def _gain(curve: Curve, sd: float) -> tuple[np.ndarray, np.ndarray]:
    return (curve.mean_N - curve.mean_N[0]) / sd, (curve.draw_BN - curve.draw_BN[:, [0]]) / sd


def _products(pool: PoolMatrix) -> np.ndarray:
    """Each prompt's sums of proxy x gold and proxy x proxy, centred, over responses with both, shape (P, 2)."""
    known_PG = ~np.isnan(pool.proxy_PG) & ~np.isnan(pool.value_PG)
    count_P1 = np.maximum(known_PG.sum(axis=1, keepdims=True), 1)
    x, y = (np.where(known_PG, score, 0.0) for score in (pool.proxy_PG, pool.value_PG))
    x = np.where(known_PG, x - x.sum(axis=1, keepdims=True) / count_P1, 0.0)
    return np.stack([(x * y).sum(axis=1), (x * x).sum(axis=1)], axis=1)


# ------------------------------------------------------------------------------------------ what goes through features
def partial_correlation(
    left_R: np.ndarray, right_R: np.ndarray, feature_RF: np.ndarray, prompt_R: np.ndarray, count_BP: np.ndarray
) -> Interval:
    """Correlation of two scores within prompts with the features' straight-line part taken out of both.

    From the moments within prompts, drawn by prompt: minus the off-diagonal of the inverse of the two scores' and the
    features' correlation matrix, over the root of its diagonals. With no feature, the plain correlation.

    Args:
        feature_RF: shape (R, F), finite; those without spread within prompts are left out.
        prompt_R: prompt of each response, as many as count_BP has columns.
    """
    column_RK = np.column_stack([left_R, right_R, feature_RF])
    code_R, n_prompts = cluster_codes(prompt_R, len(column_RK))
    size_P1 = np.maximum(np.bincount(code_R, minlength=n_prompts), 1)[:, None]
    mean_PK = np.stack([np.bincount(code_R, column, n_prompts) for column in column_RK.T], axis=1) / size_P1
    centred_RK = column_RK - mean_PK[code_R]
    spread_K = np.sqrt((centred_RK**2).mean(axis=0))
    scale_K = np.abs(column_RK).max(axis=0, initial=0.0)
    kept = spread_K > 1e-9 * np.maximum(scale_K, 1e-300)
    if not kept[:2].all():
        return Interval(np.nan, np.nan, np.nan, n_prompts, "undefined")
    centred_RK = centred_RK[:, kept] / spread_K[kept]
    order = np.argsort(code_R, kind="stable")
    start_P = np.searchsorted(code_R[order], np.arange(n_prompts))
    width = centred_RK.shape[1]
    moment_PKK = np.empty((n_prompts, width, width))
    for prompt, (first, last) in enumerate(zip(start_P, [*start_P[1:], len(order)], strict=True)):
        block = centred_RK[order[first:last]]
        moment_PKK[prompt] = block.T @ block
    drawn_BKK = (count_BP @ moment_PKK.reshape(n_prompts, -1)).reshape(-1, width, width)
    estimate = float(_partial(moment_PKK.sum(axis=0)[None])[0])
    low, high = percentile_ends(_partial(drawn_BKK), n_prompts)
    return Interval(estimate, float(low), float(high), n_prompts, "bootstrap")


def _partial(moment_BKK: np.ndarray) -> np.ndarray:
    """Of each moment matrix, the partial correlation of the first two variables given the others."""
    variance = np.einsum("bkk->bk", moment_BKK)
    sd = np.sqrt(np.maximum(variance, 1e-12 * variance.max(axis=1, keepdims=True)))
    scaled = moment_BKK / (sd[:, :, None] * sd[:, None, :])
    # a ridge far below any correlation that matters: features may repeat one another (characters, words)
    inverse = np.linalg.inv(scaled + 1e-8 * np.eye(moment_BKK.shape[1]))
    return np.asarray(-inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1]))


FEATURE_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995)
"""Quantiles of a feature between which responses count as equal in it: finer at the top, where optimisation goes."""


def equalised(score_R: np.ndarray, feature_R: np.ndarray, prompt_R: np.ndarray) -> np.ndarray:
    """A score, centred by prompt, less its mean over the responses that are equal in a feature (centred likewise).

    What is left no longer pays for the feature, whichever the form of what it paid.

    Args:
        score_R, feature_R: finite, shape (R,).
    """
    code_R, n_prompts = cluster_codes(prompt_R, len(score_R))
    size_P = np.maximum(np.bincount(code_R, minlength=n_prompts), 1)
    score, feature = (
        column - (np.bincount(code_R, column, n_prompts) / size_P)[code_R] for column in (score_R, feature_R)
    )
    edge = np.unique(np.quantile(feature, FEATURE_LEVELS))
    level_R = np.searchsorted(edge, feature, side="left")
    mean_L = np.bincount(level_R, score) / np.maximum(np.bincount(level_R), 1)
    return np.asarray(score - mean_L[level_R])
