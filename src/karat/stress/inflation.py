"""What optimisation inflates: how features of the response move with the choice, first order and at best of n.

Axes: P prompts, G responses, R responses in long form, F features, B bootstrap draws.

Tilting the reference policy by exp(lambda proxy) moves the mean of any feature f by lambda Cov_ref(f, proxy) to first
order (arXiv 2602.01002): in standard deviations within prompts, by their correlation. No sample of an optimised policy
is needed, and no gold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from karat.data.text_features import FEATURES, features_of
from karat.numerics.attenuation import equalised, partial_correlation
from karat.numerics.best_of_n import (
    PoolMatrix,
    best_of_n_by_prompt,
    percentile_ends,
    pool_matrix,
    prompt_draws,
    unseen_reach,
)
from karat.numerics.goodhart import cross_fitted_difference, within_prompt_sd
from karat.numerics.intervals import UNDEFINED, Interval
from karat.stress.pool import StressPool

READ_AT_MOST = 100_000
"""Responses whose text is read for features; of a larger pool whole prompts are drawn, 20 at the least."""


@dataclass(frozen=True, slots=True)
class Inflation:
    """How a feature moves, in its reference SDs.

    Attributes:
        by_proxy, by_gold: growth over n = 1 at best of max_n, when the one chooses, when the other.
        excess: by proxy less by gold, paired by prompt; its interval holds for all features together, at 95 %.
        first_order, gold_first_order: Cov_ref(feature, proxy or gold) in SDs within prompts, which is the correlation:
            growth in its SDs for a tilt of one over one SD of the score.
    """

    feature: str
    by_proxy: Interval
    by_gold: Interval
    excess: Interval
    first_order: Interval
    gold_first_order: Interval


@dataclass(frozen=True, slots=True)
class ThroughFeature:
    """Whether the gold falls through one feature: what comes back when the proxy is made to pay nothing for it.

    Attributes:
        feature: of those tried, the one whose loss as a thing to pay for brings most gold back.
        recovered: gold at best of max_n by the equalised proxy less by the proxy, gold SDs, paired by prompt; its
            interval holds for all features that were tried, at 95 %.
        n_tried: features whose growth departs surely from what the gold would choose, or else the surest one.
        most_recovered: largest high end of `recovered` over all that were tried.
        drop: of the plain proxy on these prompts, and drop_left: of the equalised one, cross-fitted both.
        correlation, given_features: of proxy and gold within prompts, and the same given all features.
    """

    feature: str
    recovered: Interval
    drop: Interval
    drop_left: Interval
    correlation: Interval
    given_features: Interval
    n_tried: int
    most_recovered: float


@dataclass(frozen=True, slots=True)
class Surface:
    """What the responses' surface tells.

    Attributes:
        entries: of each feature that varies, the largest growth by the proxy first.
        through: of the features with a sure excess, the one that brings most back; None without a complete gold.
        n_prompts, n_responses: that were read.
    """

    entries: tuple[Inflation, ...]
    through: ThroughFeature | None
    n_prompts: int
    n_responses: int


def read_surface(pool: StressPool, *, resamples: int, rng: np.random.Generator) -> Surface:
    """Features of the responses, and what moves them.

    Args:
        pool: its matrix holds the gold as value, NaN where missing.
        resamples: bootstrap draws of prompts.
    """
    matrix = pool.matrix
    width = int(matrix.size_P.max(initial=1))
    n_read = min(matrix.n_prompts, max(READ_AT_MOST // width, 20))
    if n_read < matrix.n_prompts:
        matrix = matrix.take(np.sort(rng.choice(matrix.n_prompts, n_read, replace=False)))
    is_there = matrix.order_PG >= 0
    feature_RF = features_of([pool.responses[i] for i in matrix.order_PG[is_there]])
    prompt_R = np.broadcast_to(np.arange(matrix.n_prompts)[:, None], is_there.shape)[is_there]
    count_BP = prompt_draws(matrix.n_prompts, resamples, rng)
    proxy_R, gold_R = matrix.proxy_PG[is_there], matrix.value_PG[is_there]
    entries = feature_growth(matrix, feature_RF, FEATURES, max_n=pool.max_n, count_BP=count_BP)
    varied = [entry for entry in entries if math.isfinite(entry.excess.low)]
    through = None
    if varied and within_prompt_sd(matrix.value_PG) > 0 and matrix.n_prompts >= 4:
        surest = sorted(varied, key=lambda entry: -max(entry.excess.low, -entry.excess.high))
        tried = [entry for entry in surest if not entry.excess.low <= 0 <= entry.excess.high] or surest[:1]
        names = [FEATURES.index(entry.feature) for entry in entries]
        through = _through(
            [entry.feature for entry in tried], (proxy_R, gold_R), prompt_R, feature_RF,
            kept=names, max_n=pool.max_n, count_BP=count_BP,
        )  # fmt: skip
    ordered = tuple(sorted(entries, key=lambda entry: -abs(entry.by_proxy.estimate)))
    return Surface(ordered, through, matrix.n_prompts, prompt_R.size)


def feature_growth(
    matrix: PoolMatrix, feature_RF: np.ndarray, names: Sequence[str], *, max_n: int, count_BP: np.ndarray
) -> list[Inflation]:
    """Growth of each feature that varies within prompts, in the order of their names.

    Args:
        feature_RF: of the responses in the order of the matrix, row by row; finite.
    """
    is_there = matrix.order_PG >= 0
    place_PG = np.full(is_there.shape, -1)
    place_PG[is_there] = np.arange(len(feature_RF))
    prompt_R = np.broadcast_to(np.arange(matrix.n_prompts)[:, None], is_there.shape)[is_there]
    gold_R = matrix.value_PG[is_there]
    by_gold = None if np.isnan(gold_R).any() else pool_matrix(gold_R, gold_R, prompt_R)
    varied = []
    for name, feature_R in zip(names, feature_RF.T, strict=True):
        feature_PG = np.where(is_there, feature_R[place_PG], np.nan)
        sd = within_prompt_sd(feature_PG)
        if sd > 1e-9 * max(float(np.abs(feature_R).max(initial=0.0)), 1e-300):
            varied.append((name, feature_R, feature_PG, sd))
    level = 1 - 0.05 / max(len(varied), 1)
    found = []
    for name, feature_R, feature_PG, sd in varied:
        proxy_P = _gain_at_last(matrix, feature_PG, max_n) / sd
        gold_P = np.full_like(proxy_P, np.nan)
        if by_gold is not None:
            of_gold_PG = np.where(by_gold.order_PG >= 0, feature_R[by_gold.order_PG], np.nan)
            gold_P = _gain_at_last(by_gold, of_gold_PG, max_n) / sd
        found.append(
            Inflation(
                feature=name,
                by_proxy=_mean(proxy_P, count_BP),
                by_gold=_mean(gold_P, count_BP),
                excess=_t_mean(proxy_P - gold_P, level),
                first_order=_correlation(matrix.proxy_PG, feature_PG, count_BP),
                gold_first_order=_correlation(matrix.value_PG, feature_PG, count_BP),
            )
        )
    return found


def _gain_at_last(matrix: PoolMatrix, feature_PG: np.ndarray, n: int) -> np.ndarray:
    gain_P2 = best_of_n_by_prompt(matrix, feature_PG, np.array([1, n]))
    return np.asarray(gain_P2[:, 1] - gain_P2[:, 0])


def _mean(value_P: np.ndarray, count_BP: np.ndarray) -> Interval:
    if np.isnan(value_P).any():
        return UNDEFINED
    low, high = percentile_ends(count_BP @ value_P / value_P.size, value_P.size)
    return Interval(float(value_P.mean()), float(low), float(high), value_P.size, "bootstrap")


def _t_mean(value_P: np.ndarray, level: float) -> Interval:
    """Student's t: the level of many comparisons lies too far out for the bootstrap's draws."""
    if np.isnan(value_P).any() or value_P.size < 2:
        return UNDEFINED
    mean = float(value_P.mean())
    half = float(stdtrit(value_P.size - 1, 0.5 + level / 2)) * float(value_P.std(ddof=1)) / math.sqrt(value_P.size)
    return Interval(mean, mean - half, mean + half, value_P.size, "jackknife t")


def _correlation(score_PG: np.ndarray, feature_PG: np.ndarray, count_BP: np.ndarray) -> Interval:
    """Within prompts, over the responses that have both."""
    is_known = ~np.isnan(score_PG) & ~np.isnan(feature_PG)
    size_P1 = np.maximum(is_known.sum(axis=1, keepdims=True), 1)
    x, y = (np.where(is_known, score, 0.0) for score in (score_PG, feature_PG))
    x, y = (np.where(is_known, score - score.sum(axis=1, keepdims=True) / size_P1, 0.0) for score in (x, y))
    moment_P3 = np.stack([(x * y).sum(axis=1), (x * x).sum(axis=1), (y * y).sum(axis=1)], axis=1)
    n_prompts = len(moment_P3)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole, drawn_B3 = moment_P3.sum(axis=0), count_BP @ moment_P3
        estimate = float(whole[0] / np.sqrt(whole[1] * whole[2]))
        drawn_B = drawn_B3[:, 0] / np.sqrt(drawn_B3[:, 1] * drawn_B3[:, 2])
    if not math.isfinite(estimate):
        return UNDEFINED
    low, high = percentile_ends(drawn_B[np.isfinite(drawn_B)], n_prompts)
    return Interval(estimate, float(low), float(high), n_prompts, "bootstrap")


def _through(
    features: list[str], scores: tuple[np.ndarray, np.ndarray], prompt_R: np.ndarray, feature_RF: np.ndarray, *,
    kept: list[int], max_n: int, count_BP: np.ndarray,
) -> ThroughFeature:  # fmt: skip
    proxy_R, gold_R = scores
    n_N = np.arange(1, max_n + 1)

    plain = pool_matrix(proxy_R, gold_R, prompt_R)
    sd = within_prompt_sd(plain.value_PG)
    span = float(np.max(np.nanmax(plain.value_PG, axis=1) - np.nanmin(plain.value_PG, axis=1))) / sd
    plain_PN = best_of_n_by_prompt(plain, plain.value_PG, n_N) / sd
    level = 1 - 0.05 / len(features)
    tried = []
    for name in features:
        equal = pool_matrix(equalised(proxy_R, feature_RF[:, FEATURES.index(name)], prompt_R), gold_R, prompt_R)
        equal_PN = best_of_n_by_prompt(equal, equal.value_PG, n_N) / sd
        back_P = equal_PN[:, -1] - plain_PN[:, -1]
        tried.append((_recovered(back_P, level, span=span), name, equal_PN))
    recovered, feature, equal_PN = max(tried, key=lambda found: found[0].low)
    half = slice(0, max_n // 2)
    none_RF = feature_RF[:, :0]
    return ThroughFeature(
        feature=feature,
        recovered=recovered,
        drop=cross_fitted_difference(plain_PN, max_n - 1, half, unseen_2N=unseen_reach(plain, sd * plain_PN, n_N) / sd),
        drop_left=cross_fitted_difference(
            equal_PN, max_n - 1, half, unseen_2N=unseen_reach(plain, sd * equal_PN, n_N) / sd
        ),
        correlation=partial_correlation(proxy_R, gold_R, none_RF, prompt_R, count_BP),
        given_features=partial_correlation(proxy_R, gold_R, feature_RF[:, kept], prompt_R, count_BP),
        n_tried=len(tried),
        most_recovered=max(found.high for found, _, _ in tried),
    )


def _recovered(back_P: np.ndarray, level: float, *, span: float) -> Interval:
    """Student's t. Where no prompt departs from the common value: Wilson's bound on the share that may, by the span."""
    found = _t_mean(back_P, level)
    if found.high - found.low > 1e-12 * span:
        return found
    z = float(ndtri(0.5 + level / 2))
    half = span * z**2 / (back_P.size + z**2)
    return Interval(found.estimate, found.estimate - half, found.estimate + half, back_P.size, "no variation")
