"""AUROC of items that come in clusters, and the difference of two AUROCs on the same items.

Axes: N items, P positives, M negatives, G clusters.

The variance is of Obuchowski's kind (1997, Biometrics 53, 567), which for clusters of one is DeLong's up to its degrees
of freedom: with A the AUROC, V_p the share of negatives below a positive (ties one half) and V_m the share of positives
above a negative, the influence of an item is (V_p - A) / P or (V_m - A) / M, and
var = G / (G - 1) sum over clusters of (sum of influences)^2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit
from scipy.stats import rankdata

from karat.numerics.intervals import UNDEFINED, Interval
from karat.numerics.validation import cluster_codes, finite_vector, require_same_length, require_share

Z = 1.959964


def clustered_auroc(
    score_N: ArrayLike, is_positive_N: ArrayLike, cluster_N: ArrayLike, *, level: float = 0.95
) -> Interval:
    """P(a positive scores above a negative), ties one half, with a t interval over clusters, inside [0, 1].

    Where no cluster departs (all positives above all negatives), the ends are Wilson's bound at G clusters.

    Args:
        score_N: shape (N,), higher for positives.
        is_positive_N: shape (N,), bool.
        cluster_N: cluster of each item, shape (N,).
        level: confidence level in (0, 1).
    Returns: all NaN without a positive and a negative; NaN ends with fewer than two clusters.
    Raises: InputError: a score is not finite, or the lengths differ.
    """
    score, positive, code, n_clusters = _checked(score_N, is_positive_N, cluster_N, level)
    value, influence = _influence(score, positive)
    return _interval(value, influence, code, n_clusters, level, (0.0, 1.0))


def auroc_difference(
    left_N: ArrayLike, right_N: ArrayLike, is_positive_N: ArrayLike, cluster_N: ArrayLike, *, level: float = 0.95
) -> Interval:
    """AUROC of left less that of right, paired by item; arguments, returns and errors as `clustered_auroc`."""
    left, positive, code, n_clusters = _checked(left_N, is_positive_N, cluster_N, level)
    right, *_ = _checked(right_N, is_positive_N, cluster_N, level)
    (left_value, left_pull), (right_value, right_pull) = _influence(left, positive), _influence(right, positive)
    return _interval(left_value - right_value, left_pull - right_pull, code, n_clusters, level, (-1.0, 1.0))


def _checked(
    score_N: ArrayLike, is_positive_N: ArrayLike, cluster_N: ArrayLike, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    require_share("level", level)
    score = finite_vector("score_N", score_N, "Drop those items and report the count.")
    positive = np.asarray(is_positive_N, dtype=bool)
    require_same_length(score_N=score, is_positive_N=positive)
    return score, positive, *cluster_codes(cluster_N, score.size)


def _influence(score: np.ndarray, positive: np.ndarray) -> tuple[float, np.ndarray]:
    """AUROC, and each item's influence on it; NaN and zeros without items of both kinds."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    influence = np.zeros(score.size)
    if not n_positive or not n_negative:
        return math.nan, influence
    rank = rankdata(score)
    above = (rank[positive] - rankdata(score[positive])) / n_negative  # V_p: negatives below each positive
    below = 1 - (rank[~positive] - rankdata(score[~positive])) / n_positive  # V_m: positives above each negative
    value = float(above.mean())
    influence[positive], influence[~positive] = (above - value) / n_positive, (below - value) / n_negative
    return value, influence


def _interval(
    value: float, influence: np.ndarray, code: np.ndarray, n_clusters: int, level: float, bounds: tuple[float, float]
) -> Interval:
    if math.isnan(value):
        return UNDEFINED
    if n_clusters < 2:
        return Interval(value, math.nan, math.nan, n_clusters, "undefined")
    pull_G = np.bincount(code, weights=influence, minlength=n_clusters)
    error = math.sqrt(n_clusters / (n_clusters - 1) * float(pull_G @ pull_G))
    if error <= 1e-12:
        half = Z**2 / (n_clusters + Z**2) * (bounds[1] - bounds[0])
        low, high = np.clip((value - half, value + half), *bounds)
        return Interval(value, float(low), float(high), n_clusters, "no variation")
    reach = float(stdtrit(n_clusters - 1, 0.5 + level / 2)) * error
    low, high = np.clip((value - reach, value + reach), *bounds)
    return Interval(value, float(low), float(high), n_clusters, "jackknife t")
