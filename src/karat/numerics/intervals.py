"""Intervals, paired tests and power for clustered evaluations.

Axes: P pairs (or any items), G clusters (prompts), K additive columns, B bootstrap resamples.

Items of one prompt are not independent, so every interval here resamples or counts prompts, not items. Fewer than two
clusters give NaN: one prompt says nothing about other prompts. No interval has zero width.

Sources: Wilson 1927; Korn & Graubard 1998 (effective sample size of a proportion from clusters); Efron 1987 (BCa);
McNemar 1947; Miller (arXiv 2411.00640) for clustered errors in evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, ndtr, ndtri, stdtrit

from karat.errors import InputError
from karat.numerics.validation import cluster_codes, finite_vector, require, require_same_length, require_share

# Below this many clusters the bootstrap's tails are too short; Student's t with G-1 degrees of freedom holds better.
MIN_BOOTSTRAP_CLUSTERS = 20
# Cells (resamples x clusters) drawn at once: 32 MiB of float32 counts.
_CELLS_AT_ONCE = 1 << 23

Method = Literal["wilson", "bootstrap", "jackknife t", "crossed t", "no variation", "undefined"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided interval, in the unit of the estimate; NaN where undefined.

    Attributes:
        n_clusters: clusters that it rests on.
        method: how the ends were found. "no variation": all clusters agree; the ends are Wilson's bound on how many
            unseen ones may not, or NaN where the statistic has no bounds. "undefined": fewer than two clusters.
    """

    estimate: float
    low: float
    high: float
    n_clusters: int
    method: Method


UNDEFINED = Interval(math.nan, math.nan, math.nan, 0, "undefined")


def wilson(successes: float, trials: float, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion, for independent trials.

    Args:
        successes: k in [0, trials]; a tie may count one half.
        trials: n; an effective number may be fractional.
        level: confidence level in (0, 1).
    Returns: low, high; NaN, NaN for no trials.
    Raises: InputError: successes outside [0, trials].
    """
    require_share("level", level)
    if not 0 <= successes <= trials:
        raise InputError(f"successes = {successes} of trials = {trials}: must be between 0 and the number of trials.")
    if trials == 0:
        return math.nan, math.nan
    rate, z = successes / trials, _normal_quantile(level)
    shrink = 1 + z**2 / trials
    middle = (rate + z**2 / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    # At 0 and at 1 the formula's end is the rate itself; rounding must not put it on the wrong side.
    return (0.0 if rate == 0 else max(0.0, middle - half)), (1.0 if rate == 1 else min(1.0, middle + half))


def design_effect(value_P: ArrayLike, cluster_P: ArrayLike) -> float:
    """Variance of the mean over clusters, relative to independent items of the same mean: V / (p (1-p) / n).

    V = G/(G-1) sum_g (sum of (value - mean) in g)^2 / n^2, the linearised variance of a ratio.

    Args:
        value_P: values in [0, 1], shape (P,).
        cluster_P: cluster of each value, shape (P,).
    Returns: 1 for independent items, more where items of a cluster are alike; NaN for a mean of 0 or 1 (nothing
        varies) or fewer than two clusters.
    Raises: InputError: a value outside [0, 1].
    """
    value, code_P, n_clusters = _clustered(value_P, cluster_P)
    require("value_P", value, (value >= 0) & (value <= 1), "are outside [0, 1]. Give 1 right, 0 wrong, 0.5 a tie.")
    rate = float(value.mean()) if value.size else math.nan
    if n_clusters < 2 or rate in (0.0, 1.0):
        return math.nan
    residual_G = np.bincount(code_P, weights=value - rate)
    variance = n_clusters / (n_clusters - 1) * float(np.sum(residual_G**2)) / value.size**2
    return variance / (rate * (1 - rate) / value.size)


def clustered_proportion(value_P: ArrayLike, cluster_P: ArrayLike, *, level: float = 0.95) -> Interval:
    """A proportion with Wilson's interval at the effective sample size of Korn and Graubard.

    n_eff = n / max(design effect, 1) * (t_{n-1} / t_{G-1})^2, with t the quantiles of the level: clusters that agree
    within themselves count as fewer items, and few clusters widen the interval. At 0 % and 100 % the design effect
    cannot be seen, and the number of clusters is taken instead of n: each prompt then counts once.

    Args:
        value_P: values in [0, 1] (a tie one half), shape (P,).
        cluster_P: cluster of each value, shape (P,).
        level: confidence level in (0, 1).
    Returns: the interval; NaN ends with fewer than two clusters, all NaN with no values.
    Raises: InputError: a value outside [0, 1], or the lengths differ.
    """
    effect = design_effect(value_P, cluster_P)
    value, _, n_clusters = _clustered(value_P, cluster_P)
    rate = float(value.mean()) if value.size else math.nan
    if n_clusters < 2:
        return Interval(rate, math.nan, math.nan, n_clusters, "undefined")
    n_used = n_clusters if math.isnan(effect) else value.size / max(effect, 1.0)
    n_used *= (_t_quantile(level, value.size - 1) / _t_quantile(level, n_clusters - 1)) ** 2
    low, high = wilson(rate * n_used, n_used, level=level)
    return Interval(rate, low, high, n_clusters, "wilson")


def cluster_totals(column_PK: np.ndarray, cluster_P: ArrayLike) -> np.ndarray:
    """Sums of additive columns by cluster, shape (G, K): what `cluster_bootstrap` resamples.

    Raises: InputError: a value is not finite, or the lengths differ.
    """
    columns = np.asarray(column_PK, dtype=np.float64)
    if columns.ndim != 2:
        raise InputError(f"column_PK: shape {columns.shape}, must be (items, columns).")
    code_P, n_clusters = cluster_codes(cluster_P, len(columns))
    totals = [
        np.bincount(code_P, weights=finite_vector(f"column {index}", column, "Drop those items."), minlength=n_clusters)
        for index, column in enumerate(columns.T)
    ]
    return np.stack(totals, axis=1) if totals else np.zeros((n_clusters, 0))


def cluster_bootstrap(
    total_GK: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 2000,
    is_error: bool = False,
) -> Interval:
    """Interval of a statistic of cluster totals: BCa bootstrap over clusters, or Student's t below 20 of them.

    With fewer than 20 clusters: estimate +- t_{G-1} times the delete-one-cluster jackknife error, which for a mean
    over clusters of one size is the t interval of the cluster means.

    Args:
        total_GK: additive totals of each cluster (see `cluster_totals`), shape (G, K).
        statistic: from totals (..., K) to values (...), vectorised; a mean is `lambda t: t[..., 0] / t[..., 1]`.
        rng: source of the resamples.
        level: confidence level in (0, 1).
        resamples: B.
        is_error: for a sum of absolute values, which noise can only raise and which resampling raises again: the ends
            are then the basic bootstrap's low one, at least 0, and the percentile one's high one. BCa would give an
            interval that leaves out the estimate itself.
    Returns: the interval; ends NaN with fewer than two clusters, or where every cluster gives the same value.
    Raises: InputError: the level is out of range or resamples < 100.
    """
    require_share("level", level)
    if resamples < 100:
        raise InputError(f"resamples = {resamples}: must be at least 100 for the ends of an interval.")
    n_clusters = len(total_GK)
    whole_K = total_GK.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # an empty resample is NaN, and counted out below
        estimate = float(statistic(whole_K)) if n_clusters else math.nan
        if n_clusters < 2 or not math.isfinite(estimate):
            return Interval(estimate, math.nan, math.nan, n_clusters, "undefined")
        without_G = statistic(whole_K - total_GK)
        # One cluster may hold all of a small group; without it the statistic is undefined and says nothing.
        without_G = without_G[np.isfinite(without_G)]
        if without_G.size == 0:
            return Interval(estimate, math.nan, math.nan, n_clusters, "undefined")
        pull_G = without_G.mean() - without_G
        error = math.sqrt((n_clusters - 1) / n_clusters * float(np.sum(pull_G**2)))
        if error <= 1e-12 * max(1.0, abs(estimate)):
            return Interval(estimate, math.nan, math.nan, n_clusters, "no variation")
        if n_clusters < MIN_BOOTSTRAP_CLUSTERS:
            half = _t_quantile(level, n_clusters - 1) * error
            low = max(0.0, estimate - half) if is_error else estimate - half
            return Interval(estimate, low, estimate + half, n_clusters, "jackknife t")
        drawn_B = statistic(_resampled_totals(total_GK, rng, resamples))
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if is_error:
        top = float(np.quantile(drawn_B, 0.5 + level / 2))
        low, high = max(0.0, min(estimate, 2 * estimate - top)), max(estimate, top)
    else:
        low, high = _bca_ends(estimate, drawn_B, pull_G, level)
    return Interval(estimate, low, high, n_clusters, "bootstrap")


def clustered_mean(
    value_P: ArrayLike, cluster_P: ArrayLike, *, rng: np.random.Generator, level: float = 0.95
) -> Interval:
    """The mean over items with a cluster-bootstrap interval; arguments and errors as its two parts have them."""
    value = finite_vector("value_P", value_P, "Drop those items and report the count.")
    totals = cluster_totals(np.stack([value, np.ones_like(value)], axis=1), cluster_P)
    return cluster_bootstrap(totals, ratio_of_totals, rng=rng, level=level)


def ratio_of_totals(total_K: np.ndarray) -> np.ndarray:
    """First column over second: the statistic of a mean, given totals of values and of ones."""
    return np.asarray(total_K[..., 0] / total_K[..., 1])


def paired_difference(
    left_P: ArrayLike,
    right_P: ArrayLike,
    cluster_P: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Interval:
    """Mean of left - right on the same items, with a cluster-bootstrap interval.

    Where every cluster has the same difference delta, no resample differs. The ends are then delta +- (1 + |delta|)
    z^2 / (G + z^2), inside [-1, 1]: Wilson's bound on the share of clusters that depart from the common value though
    none of G did, times the furthest that they can go.

    Args:
        left_P, right_P: values in [0, 1] on the same items, shape (P,).
        cluster_P: cluster of each item, shape (P,).
        rng: source of the resamples.
        level: confidence level in (0, 1).
    Raises: InputError: a value outside [0, 1], or the lengths differ.
    """
    left, right = finite_vector("left_P", left_P, "Drop."), finite_vector("right_P", right_P, "Drop.")
    require_same_length(left_P=left, right_P=right)
    for name, value in (("left_P", left), ("right_P", right)):
        require(name, value, (value >= 0) & (value <= 1), "are outside [0, 1]. Give 1 right, 0 wrong, 0.5 a tie.")
    found = clustered_mean(left - right, cluster_P, rng=rng, level=level)
    if found.method == "no variation":
        z = _normal_quantile(level)
        half = (1 + abs(found.estimate)) * z**2 / (found.n_clusters + z**2)
        low, high = max(-1.0, found.estimate - half), min(1.0, found.estimate + half)
        return Interval(found.estimate, low, high, found.n_clusters, "no variation")
    # few clusters have t quantiles that lead beyond what a difference can be; NaN stays NaN
    low, high = np.clip((found.low, found.high), -1.0, 1.0)
    return Interval(found.estimate, float(low), float(high), found.n_clusters, found.method)


def mcnemar_exact(n_only_left: int, n_only_right: int) -> float:
    """Two-sided exact p-value that two graders are right equally often on the same independent items.

    p = min(1, 2 P[Binomial(b + c, 1/2) <= min(b, c)]) with b, c the items that only one of them gets right.

    Args:
        n_only_left, n_only_right: counts of items that only the left, or only the right, gets right.
    Returns: p in (0, 1]; 1 where they never disagree.
    Raises: InputError: a negative count.
    """
    if min(n_only_left, n_only_right) < 0:
        raise InputError(f"counts {n_only_left}, {n_only_right}: must be 0 or more. Count the discordant items.")
    discordant = n_only_left + n_only_right
    if discordant == 0:
        return 1.0
    return min(1.0, 2.0 * float(bdtr(min(n_only_left, n_only_right), discordant, 0.5)))


def minimum_detectable_effect(
    n: float, rate: float, *, design: float = 1.0, level: float = 0.95, power: float = 0.8
) -> float:
    """Smallest difference of a proportion from a fixed value that n items would show.

    (z_{level} + z_{power}) sqrt(design * rate (1 - rate) / n).

    Args:
        n: items.
        rate: the proportion, in (0, 1).
        design: design effect of the clustering (see `design_effect`); 1 for independent items.
        level: confidence level of the two-sided test, in (0, 1).
        power: chance of seeing the difference, in (0, 1).
    Returns: the difference, as a proportion; infinite for n = 0.
    Raises: InputError: an argument out of range.
    """
    for name, value in (("rate", rate), ("level", level), ("power", power)):
        require_share(name, value)
    if n < 0 or not design > 0:
        raise InputError(f"n = {n}, design = {design}: n must be 0 or more, the design effect positive.")
    if n == 0:
        return math.inf
    return (_normal_quantile(level) + float(ndtri(power))) * math.sqrt(design * rate * (1 - rate) / n)


def items_needed(n: int, interval: Interval, threshold: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """About how many items would settle on which side of a threshold the estimate lies, if it stays where it is.

    n (h / |estimate - threshold|)^2 ((z_{level} + z_{power}) / z_{level})^2, with h the half-width now.

    Args:
        n: items that the interval rests on.
        interval: the interval now, at the given level.
        threshold: the value to be told from the estimate.
    Returns: items; infinite where the estimate is the threshold, NaN where the interval is undefined.
    """
    half, distance = (interval.high - interval.low) / 2, abs(interval.estimate - threshold)
    if math.isnan(half) or math.isnan(distance):
        return math.nan
    if distance == 0:
        return math.inf
    z = _normal_quantile(level)
    return n * (half / distance * (z + float(ndtri(power))) / z) ** 2


def _clustered(value_P: ArrayLike, cluster_P: ArrayLike) -> tuple[np.ndarray, np.ndarray, int]:
    value = finite_vector("value_P", value_P, "Drop those items and report the count.")
    return value, *cluster_codes(cluster_P, value.size)


def _normal_quantile(level: float) -> float:
    return float(ndtri(0.5 + level / 2))


def _t_quantile(level: float, freedom: int) -> float:
    return float(stdtrit(freedom, 0.5 + level / 2))


def _resampled_totals(total_GK: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Totals of B samples of G clusters drawn with replacement, shape (B, K)."""
    n_clusters, n_columns = total_GK.shape
    drawn_BK = np.empty((resamples, n_columns))
    step = max(1, _CELLS_AT_ONCE // n_clusters)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        picked = rng.integers(0, n_clusters, size=(rows, n_clusters))
        picked += np.arange(rows)[:, None] * n_clusters
        # How often each cluster was drawn; one matrix product then gives every column's totals at once.
        count_BG = np.bincount(picked.ravel(), minlength=rows * n_clusters).reshape(rows, n_clusters)
        drawn_BK[start : start + rows] = count_BG.astype(np.float64) @ total_GK
    return drawn_BK


def _bca_ends(estimate: float, drawn_B: np.ndarray, pull_G: np.ndarray, level: float) -> tuple[float, float]:
    """Efron's bias-corrected, accelerated ends."""
    below = (np.sum(drawn_B < estimate) + np.sum(drawn_B <= estimate)) / (2 * drawn_B.size)
    # Kept off 0 and 1, where the correction would be infinite.
    bias = float(ndtri(np.clip(below, 1 / (drawn_B.size + 1), 1 - 1 / (drawn_B.size + 1))))
    acceleration = float(np.sum(pull_G**3) / (6 * np.sum(pull_G**2) ** 1.5))
    z_E = bias + np.array([-1.0, 1.0]) * _normal_quantile(level)
    low, high = np.quantile(drawn_B, ndtr(bias + z_E / (1 - acceleration * z_E)))
    return float(low), float(high)
