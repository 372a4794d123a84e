"""What single rules that read nothing score on preference pairs, and an exact test of each.

A rule is "the side with more of a feature is preferred", or with less of it. Which of the two is decided by the other
folds (never by the pairs that are judged), so that a feature without any relation scores one half on average, and no
more. (It may well score less: where both directions are equally often right, the other folds lean to the wrong one.)
A pair whose sides do not differ in the feature counts one half.

Axes: P pairs, F features, G prompts, K folds.

Sources: Fisher 1935 (randomisation test by signs); Wilson 1927 and Korn & Graubard 1998 (intervals, see `intervals`);
Benjamini & Hochberg 1995 (features together).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from karat.errors import InputError
from karat.numerics.intervals import Interval, clustered_proportion
from karat.numerics.validation import cluster_codes, finite_vector, require

EXACT_UP_TO = 20_000
"""Sum of the absolute totals up to which the distribution of the test is computed, not approximated."""


@dataclass(frozen=True, slots=True)
class RuleScore:
    """How one feature orders pairs.

    Attributes:
        accuracy: of the rule, over all pairs, with a tie one half; direction from the other folds.
        agreement: share of the pairs whose sides differ in it that prefer its commoner direction. The interval is that
            of the share that prefers more, turned where that is the rarer one: it holds whichever was turned.
        n_differ: those pairs.
        more: share of them whose preferred side has more of the feature; NaN without any.
        p_value: that the feature has no relation to the preference (see `sign_flip_p`); NaN without any.
    """

    accuracy: Interval
    agreement: Interval
    n_differ: int
    more: float
    p_value: float


def sign_flip_p(total_G: ArrayLike) -> float:
    """Two-sided p-value that the total of each cluster could as well have had the other sign.

    P(|sum_g s_g T_g| >= |sum_g T_g|) with independent fair signs s. Exact (by the characteristic function, whose value
    at theta is prod_g cos(T_g theta)) where the |T| sum to at most EXACT_UP_TO; else normal with the same variance,
    sum T^2. Whole clusters are turned: pairs of a prompt may depend on each other in any way.

    Args:
        total_G: whole numbers, shape (G,).
    Returns: p in (0, 1]; NaN where all totals are 0.
    Raises: InputError: a total is not a whole number.
    """
    total = finite_vector("total_G", total_G, "Give whole numbers.")
    require("total_G", total, total == np.round(total), "are no whole numbers. Give sums of signs.")
    size_G = np.abs(total[total != 0])
    if not size_G.size:
        return math.nan
    reach, seen = int(size_G.sum()), abs(float(total.sum()))
    if reach > EXACT_UP_TO:
        # half a step back: the sum moves in steps of 2
        z = max(0.0, seen - 1) / math.sqrt(float(np.sum(size_G**2)))
        return min(1.0, max(2 * float(ndtr(-z)), 5e-324))
    n_points = 2 * reach + 1
    theta = 2 * np.pi * np.arange(n_points) / n_points
    log_size, is_odd = np.zeros(n_points), np.zeros(n_points, np.bool_)
    for value, count in zip(*np.unique(size_G, return_counts=True), strict=True):
        cosine = np.cos(value * theta)
        with np.errstate(divide="ignore"):
            log_size += count * np.log(np.abs(cosine))
        is_odd ^= (cosine < 0) & (count % 2 == 1)
    chance = np.fft.fft(np.where(is_odd, -1.0, 1.0) * np.exp(log_size)).real / n_points
    sums = np.where(np.arange(n_points) <= reach, np.arange(n_points), np.arange(n_points) - n_points)
    return float(np.clip(chance[np.abs(sums) >= seen - 0.5].sum(), 1e-15, 1.0))


def rule_outcomes(difference_PF: np.ndarray, fold_P: np.ndarray) -> np.ndarray:
    """What each rule scores on each pair, shape (P, F): 1, 0, or one half; direction from the other folds.

    Args:
        difference_PF: feature of the preferred side less that of the other, shape (P, F).
        fold_P: fold of each pair, 0 to K - 1, shape (P,).
    """
    sign_PF = np.sign(difference_PF).astype(np.int8)
    direction_KF = np.sign(training_lead(sign_PF, fold_P)).astype(np.int8)
    outcome_PF: np.ndarray = np.asarray(direction_KF[fold_P] * sign_PF, np.float32)
    outcome_PF *= 0.5  # in place: doubles of a million pairs are large
    outcome_PF += 0.5
    return outcome_PF


def best_rule_outcomes(difference_PF: np.ndarray, fold_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the rule that is best in the other folds scores on each pair, (P,), and which it is in each fold, (K,)."""
    sign_PF = np.sign(difference_PF).astype(np.int8)
    lead_KF = training_lead(sign_PF, fold_P)
    best_K = np.argmax(np.abs(lead_KF), axis=1)
    direction_K = np.sign(lead_KF[np.arange(len(best_K)), best_K])
    picked_P = sign_PF[np.arange(len(sign_PF)), best_K[fold_P]]
    return np.asarray(0.5 + 0.5 * direction_K[fold_P] * picked_P), best_K


def training_lead(sign_PF: np.ndarray, fold_P: np.ndarray) -> np.ndarray:
    """Pairs whose preferred side has more, less those where it has less, outside each fold, shape (K, F)."""
    n_folds = int(fold_P.max()) + 1 if fold_P.size else 0
    by_fold_KF = np.array([sign_PF[fold_P == fold].sum(axis=0, dtype=np.int64) for fold in range(n_folds)])
    return np.asarray(by_fold_KF.sum(axis=0) - by_fold_KF)


def rule_scores(
    difference_PF: np.ndarray, cluster_P: ArrayLike, fold_P: np.ndarray, *, level: float = 0.95
) -> list[RuleScore]:
    """Every single-feature rule, with intervals clustered by prompt.

    Args:
        difference_PF: feature of the preferred side less that of the other, shape (P, F); finite.
        cluster_P: prompt of each pair, shape (P,).
        fold_P: fold of each pair, whole prompts in each, shape (P,).
        level: of the intervals.
    Raises: InputError: shapes do not fit, or a difference is not finite.
    """
    if difference_PF.ndim != 2 or not np.isfinite(difference_PF).all():
        raise InputError(
            f"difference_PF: shape {difference_PF.shape}, must be (pairs, features) and finite. Count a feature that "
            "one side does not have as no difference."
        )
    code_P, n_clusters = cluster_codes(cluster_P, len(difference_PF))
    outcome_PF = rule_outcomes(difference_PF, fold_P)
    scores = []
    for column_P, outcome_P in zip(difference_PF.T, outcome_PF.T, strict=True):
        sign_P = np.sign(column_P)
        differs = sign_P != 0
        n_differ = int(differs.sum())
        more = float((sign_P > 0).sum()) / n_differ if n_differ else math.nan
        along_P = (sign_P[differs] > 0) == (more >= 0.5)
        total_G = np.bincount(code_P, weights=sign_P, minlength=n_clusters) if n_differ else np.zeros(0)
        scores.append(
            RuleScore(
                accuracy=clustered_proportion(outcome_P, code_P, level=level),
                agreement=clustered_proportion(along_P, code_P[differs], level=level),
                n_differ=n_differ,
                more=more,
                p_value=sign_flip_p(total_G),
            )
        )
    return scores
