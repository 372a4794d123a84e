"""The mean gold of a step from the golds that were asked for with known chances.

Rollouts asked for with chance 1 are a stratum of their own; each of the others stands for 1/chance rollouts (Horvitz &
Thompson 1952), with weights that add up to their number (Hajek 1971). The strata's intervals are joined by MOVER (Zou &
Donner 2008): distances to the ends add up in squares.  Axes: R rollouts, N known golds of a stratum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from karat.errors import InputError
from karat.numerics.intervals import wilson
from karat.numerics.validation import require_share


@dataclass(frozen=True, slots=True)
class LevelEstimate:
    """The mean gold of a step, in units of the gold; NaN where undefined.

    Attributes:
        se: standard error over draws of the design; 0 where every gold is known, NaN where it cannot be seen.
        n_used: golds that it rests on.
    """

    mean: float
    low: float
    high: float
    se: float
    n_used: int


def level_estimate(gold_R: np.ndarray, chance_R: np.ndarray, *, level: float = 0.95) -> LevelEstimate:
    """Mean gold of these R rollouts, asked for or not.

    Golds of 0 and 1 get Wilson's interval, others Student's t. A gold that was asked for and failed is NaN like one
    that was not asked for: the others of its stratum stand for it.

    Args:
        gold_R: gold, any unit; NaN where it is not known.
        chance_R: with which the gold of a rollout was asked for, also of those that were not chosen; 0 where it could
            not be asked for, which leaves the mean undefined.
        level: of the interval.
    Returns: mean NaN where a stratum has no gold at all; ends NaN where a single gold, or several that are equal and
        not 0 or 1, stand for others.
    Raises: InputError: shapes differ, or a chance is outside [0, 1].
    """
    require_share("level", level)
    gold_R, chance_R = np.asarray(gold_R, float), np.asarray(chance_R, float)
    _refuse(gold_R, chance_R)
    n_used = int(np.isfinite(gold_R).sum())
    strata = [gold_R[chance_R == 1], gold_R[chance_R < 1]]
    weights = [np.ones(strata[0].size), 1 / np.maximum(chance_R[chance_R < 1], np.finfo(float).tiny)]
    mean, variance, below, above = 0.0, 0.0, 0.0, 0.0
    if not gold_R.size or (chance_R == 0).any():
        mean = math.nan
    for gold_N, weight_N in zip(strata, weights, strict=True):
        if not gold_N.size or math.isnan(mean):
            continue
        share = gold_N.size / gold_R.size
        part = _stratum(gold_N, weight_N, level)
        mean += share * part.mean
        variance += (share * part.se) ** 2
        below += (share * (part.mean - part.low)) ** 2
        above += (share * (part.high - part.mean)) ** 2
    if math.isnan(mean):
        return LevelEstimate(math.nan, math.nan, math.nan, math.nan, n_used)
    return LevelEstimate(mean, mean - math.sqrt(below), mean + math.sqrt(above), math.sqrt(variance), n_used)


def _refuse(gold_R: np.ndarray, chance_R: np.ndarray) -> None:
    if gold_R.shape != chance_R.shape or gold_R.ndim != 1:
        raise InputError(f"gold_R {gold_R.shape} and chance_R {chance_R.shape} differ in shape. Give one number each.")
    bad = np.flatnonzero(~((chance_R >= 0) & (chance_R <= 1)))
    if bad.size:
        raise InputError(
            f"chance_R: {bad.size} of {chance_R.size} chances are outside [0, 1] (first: index {bad[0]}, "
            f"{chance_R[bad[0]]}). Give the probability with which each rollout could be chosen."
        )


def _stratum(gold_N: np.ndarray, weight_N: np.ndarray, level: float) -> LevelEstimate:
    """The mean of one stratum, the golds that are NaN among it."""
    known_N = np.isfinite(gold_N)
    n, size = int(known_N.sum()), gold_N.size
    if n == 0:
        return LevelEstimate(math.nan, math.nan, math.nan, math.nan, 0)
    share_N = weight_N[known_N] / weight_N[known_N].sum()
    known = gold_N[known_N]
    mean = float(share_N @ known)
    if n == size:
        return LevelEstimate(mean, mean, mean, 0.0, n)
    off_N = share_N * (known - mean)
    se = math.sqrt(n / (n - 1) * float(off_N @ off_N) * (1 - n / size)) if n > 1 else math.nan
    if np.isin(known, (0.0, 1.0)).all():
        trials = 1 / float(share_N @ share_N)  # Kish's effective number
        # Of few rollouts nearly all seen, the end that the unseen allow is nearer than Wilson's.
        low, high = wilson(min(max(mean, 0.0), 1.0) * trials, trials, level=level)
        seen = float(known.sum())
        low, high = max(low, seen / size), min(high, (seen + size - n) / size)
        return LevelEstimate(mean, min(low, mean), max(high, mean), se, n)
    if n < 2 or se == 0:
        return LevelEstimate(mean, math.nan, math.nan, math.nan, n)
    reach = float(stdtrit(n - 1, (1 + level) / 2)) * se
    return LevelEstimate(mean, mean - reach, mean + reach, se, n)


def clustered_level(value_R: np.ndarray, group_R: np.ndarray, *, level: float = 0.95) -> LevelEstimate:
    """Mean over rollouts with a t interval over prompts (delete-one jackknife): what is made while training waits.

    As `cluster_bootstrap` gives for fewer than 20 prompts; for more, its resampling takes too long for a live step.

    Args:
        value_R: NaN where missing.
        group_R: prompt of each.
    Returns: ends NaN for fewer than two prompts, or where all of them agree.
    """
    known_R = np.isfinite(value_R)
    n = int(known_R.sum())
    if n == 0:
        return LevelEstimate(math.nan, math.nan, math.nan, math.nan, 0)
    value_N, (_, place_N) = np.asarray(value_R, float)[known_R], np.unique(group_R[known_R], return_inverse=True)
    total_G, count_G = np.bincount(place_N, weights=value_N), np.bincount(place_N)
    mean, groups = float(value_N.mean()), total_G.size
    if groups < 2:
        return LevelEstimate(mean, math.nan, math.nan, math.nan, n)
    without_G = (total_G.sum() - total_G) / (n - count_G)
    off_G = without_G - without_G.mean()
    se = math.sqrt((groups - 1) / groups * float(off_G @ off_G))
    if se <= 1e-12 * max(1.0, abs(mean)):
        return LevelEstimate(mean, math.nan, math.nan, math.nan, n)
    reach = float(stdtrit(groups - 1, (1 + level) / 2)) * se
    return LevelEstimate(mean, mean - reach, mean + reach, se, n)
