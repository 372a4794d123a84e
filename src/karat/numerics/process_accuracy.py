"""Scores of process rewards: where the first wrong step is, and which steps are wrong.

Axes: P solutions, S steps of one solution, T thresholds, C additive columns.

A step counts as wrong where its score is below a threshold. The threshold decides the score, so it is tuned on other
solutions than those it is applied to.

Sources: Zheng et al. (arXiv 2412.06559), ProcessBench; Song et al. (arXiv 2501.03124), PRMBench.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from karat.errors import InputError

NO_ERROR = -1
"""Label and prediction of a solution without a wrong step."""
MOST_THRESHOLDS = 200
"""Thresholds looked at: quantiles of the steps' scores."""


def first_below(score_S: ArrayLike, threshold_T: ArrayLike) -> np.ndarray:
    """Index of the first step whose score is below each threshold, or NO_ERROR, shape (T,)."""
    lowest_S = np.minimum.accumulate(np.asarray(score_S, dtype=np.float64))
    n_before_T = np.searchsorted(-lowest_S, -np.asarray(threshold_T, dtype=np.float64), side="right")
    return np.where(n_before_T == lowest_S.size, NO_ERROR, n_before_T)


def first_error_totals(predicted_P: ArrayLike, label_P: ArrayLike) -> np.ndarray:
    """Counts that ProcessBench's F1 is made of, shape (P, 4): wrong solutions found, wrong, right ones found, right.

    Args:
        predicted_P, label_P: index of the first wrong step, or NO_ERROR, shape (P,).
    Raises: InputError: the lengths differ.
    """
    predicted, label = np.asarray(predicted_P), np.asarray(label_P)
    if predicted.shape != label.shape:
        raise InputError(f"predicted_P: shape {predicted.shape}, label_P: {label.shape}; give one of each a solution.")
    is_wrong, is_found = label != NO_ERROR, predicted == label
    return np.stack([is_wrong & is_found, is_wrong, ~is_wrong & is_found, ~is_wrong], axis=-1).astype(np.float64)


def process_f1(total_C: np.ndarray) -> np.ndarray:
    """Harmonic mean of the accuracy on solutions with a wrong step and on those without.

    Args:
        total_C: sums of `first_error_totals`, shape (..., 4).
    Returns: shape (...), in [0, 1]; 0 where both accuracies are 0, NaN without solutions of both kinds.
    """
    total = np.asarray(total_C, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong, right = total[..., 0] / total[..., 1], total[..., 2] / total[..., 3]
        mean = 2 * wrong * right / (wrong + right)
    return np.where(wrong + right == 0, 0.0, mean)


def chance_f1(n_steps_P: ArrayLike, label_P: ArrayLike) -> float:
    """The best expected accuracies' F1 of a rule that reads nothing: "no error" with chance q, else a step at random.

    With a the mean of 1 / steps over the solutions that have a wrong step, the accuracies are (1 - q) a and q, and
    their harmonic mean is largest at q = sqrt(a) / (1 + sqrt(a)), where it is 2 a / (1 + sqrt(a))^2.

    Args:
        n_steps_P: steps of each solution, shape (P,).
        label_P: index of the first wrong step, or NO_ERROR, shape (P,).
    Returns: in (0, 0.5]; NaN without solutions of both kinds.
    """
    n_steps, label = np.asarray(n_steps_P, dtype=np.float64), np.asarray(label_P)
    is_wrong = label != NO_ERROR
    if not is_wrong.any() or is_wrong.all():
        return math.nan
    chance = float(np.mean(1 / n_steps[is_wrong]))
    return 2 * chance / (1 + math.sqrt(chance)) ** 2


def step_totals(score_S: ArrayLike, is_wrong_S: ArrayLike, threshold_T: ArrayLike) -> np.ndarray:
    """PRMBench's confusion counts of one solution, shape (T, 4): right kept, wrong kept, wrong flagged, right flagged.

    Args:
        score_S: score of each step, shape (S,).
        is_wrong_S: whether the step is wrong, shape (S,).
        threshold_T: a step below one is flagged, shape (T,).
    """
    score, is_wrong = np.asarray(score_S, dtype=np.float64), np.asarray(is_wrong_S, dtype=bool)
    threshold = np.asarray(threshold_T, dtype=np.float64)
    flagged, right = (np.searchsorted(np.sort(score[part]), threshold) for part in (is_wrong, ~is_wrong))
    n_wrong, n_right = int(is_wrong.sum()), int((~is_wrong).sum())
    return np.stack([n_right - right, n_wrong - flagged, flagged, right], axis=-1).astype(np.float64)


def positive_f1(total_C: np.ndarray) -> np.ndarray:
    """F1 of the right steps: 2 TP / (2 TP + FP + FN), of sums of `step_totals` (..., 4); NaN without right steps."""
    kept, missed, _, flagged = np.moveaxis(np.asarray(total_C, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(kept + flagged == 0, np.nan, 2 * kept / (2 * kept + missed + flagged))


def negative_f1(total_C: np.ndarray) -> np.ndarray:
    """F1 of the wrong steps: 2 TN / (2 TN + FP + FN), of sums of `step_totals` (..., 4); NaN without wrong steps."""
    _, missed, found, flagged = np.moveaxis(np.asarray(total_C, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(missed + found == 0, np.nan, 2 * found / (2 * found + missed + flagged))


def prm_score(total_C: np.ndarray) -> np.ndarray:
    """PRMScore: half the F1 of the right steps and half that of the wrong ones; NaN without steps of both kinds.

    Args:
        total_C: sums of `step_totals`, shape (..., 4).
    """
    return 0.5 * positive_f1(total_C) + 0.5 * negative_f1(total_C)


def candidate_thresholds(score_PS: Sequence[np.ndarray]) -> np.ndarray:
    """Thresholds worth trying, shape (T,): between the distinct scores, thinned to quantiles, and beyond both ends."""
    score = np.unique(np.concatenate([np.asarray(each, dtype=np.float64) for each in score_PS]))
    if score.size > MOST_THRESHOLDS:
        score = np.unique(np.quantile(score, np.linspace(0, 1, MOST_THRESHOLDS)))
    middle = (score[1:] + score[:-1]) / 2
    return np.concatenate([[score[0]], middle, [np.nextafter(score[-1], np.inf)]])


def best_threshold(
    total_TPC: np.ndarray, threshold_T: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> float:
    """The threshold whose statistic is largest; of equal ones the middle. NaN where it is undefined at all of them.

    Args:
        total_TPC: totals of every solution at every threshold, shape (T, P, C).
        threshold_T: rising, shape (T,).
        statistic: from totals (..., C) to values (...).
    """
    value_T = statistic(total_TPC.sum(axis=1))
    if not np.isfinite(value_T).any():
        return math.nan
    best = np.flatnonzero(value_T == np.nanmax(value_T))
    return float(threshold_T[best[best.size // 2]])
