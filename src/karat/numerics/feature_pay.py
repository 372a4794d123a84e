"""What a reward pays for a feature of the responses, and how much of it the preference labels ask for.

Axes: P pairs, R responses, F features, G prompts, M moments.

Tilting a policy by exp(lambda reward) moves the mean of a feature f at the rate Cov(f, reward) under that policy: in
standard deviations, by their correlation within prompts (arXiv 2602.01002). The labels are a reward too, read through
noise. If they follow what the reward measures and nothing else, then corr(f, label) = corr(f, reward) corr(reward,
label), because a label knows of f only through the reward (exact where f is linear in the reward on average). So

    asked  = corr(f, label) / max(corr(reward, label), RELIABILITY)
    excess = corr(f, reward) - asked

A reward that is the truth has no excess. One that is the truth with noise of its own pays less than what is asked, in
the direction of what is asked, which is no excess either. A reward that does not know the labels at all would make
`asked` infinite: labels of any use correlate with what they measure by RELIABILITY at the least, so it stops there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from karat.numerics.intervals import UNDEFINED, Interval
from karat.numerics.validation import cluster_codes

RELIABILITY = 0.35
"""Least correlation of labels with what they measure: two annotators who agree on 56 % of pairs (0.5 + 0.35^2 / 2)."""
LEAST_PROMPTS = 10
"""Prompts in which a feature must differ between responses to be judged."""


@dataclass(frozen=True, slots=True)
class FeaturePay:
    """Of one feature; intervals over prompts.

    Attributes:
        first_order: correlation with the reward within prompts: SDs that the feature moves, at first, for a tilt of
            one over one SD of the reward.
        moves: the same with an interval that holds for all judged features together.
        asked: the same for what the labels measure.
        excess: first_order less asked; its interval holds for all judged features together.
        n_prompts: in which the feature differs between responses.
    """

    first_order: Interval
    moves: Interval
    asked: Interval
    excess: Interval
    n_prompts: int

    @property
    def unasked(self) -> Interval:
        """How far the feature moves without being asked to, positive whichever its direction.

        The excess in the direction of the movement, but no more than the movement itself: a feature that stays where
        it is while the labels ask for less of it is not inflated.
        """
        excess, moves = (_forward(each, self.first_order.estimate) for each in (self.excess, self.moves))
        return Interval(
            min(excess.estimate, moves.estimate),
            min(excess.low, moves.low),
            min(excess.high, moves.high),
            moves.n_clusters,
            moves.method,
        )


def pair_moments(feature_PF: np.ndarray, reward_P: np.ndarray, label_P: np.ndarray, prompt_P: ArrayLike) -> np.ndarray:
    """Sums by prompt of the products of a pair's differences, shape (G, F, M = 6): ff, fr, rr, fy, ry, yy.

    Args:
        feature_PF, reward_P: chosen less rejected; finite.
        label_P: probability that chosen is preferred, in [0, 1]; y = 2 label - 1.
    """
    code_P, n_prompts = cluster_codes(prompt_P, len(reward_P))
    y_P = 2 * label_P - 1
    other_P3 = np.stack([reward_P**2, reward_P * y_P, y_P**2], axis=1)
    moment_PFM = np.empty((*feature_PF.shape, 6))
    moment_PFM[..., 0] = feature_PF**2
    moment_PFM[..., 1] = feature_PF * reward_P[:, None]
    moment_PFM[..., 3] = feature_PF * y_P[:, None]
    moment_PFM[..., [2, 4, 5]] = other_P3[:, None, :]
    return _by_prompt(moment_PFM, code_P, n_prompts)


def pool_moments(feature_RF: np.ndarray, reward_R: np.ndarray, prompt_R: ArrayLike) -> np.ndarray:
    """Sums by prompt of products centred within it, shape (G, F, M = 3): ff, fr, rr."""
    code_R, n_prompts = cluster_codes(prompt_R, len(reward_R))
    size_G = np.maximum(np.bincount(code_R, minlength=n_prompts), 1)
    column_RK = np.column_stack([reward_R, feature_RF])
    mean_GK = np.stack([np.bincount(code_R, column, n_prompts) for column in column_RK.T], axis=1) / size_G[:, None]
    centred_RK = column_RK - mean_GK[code_R]
    reward_R1, feature = centred_RK[:, :1], centred_RK[:, 1:]
    moment_RFM = np.stack([feature**2, feature * reward_R1, np.broadcast_to(reward_R1**2, feature.shape)], axis=2)
    return _by_prompt(moment_RFM, code_R, n_prompts)


def _by_prompt(moment_RFM: np.ndarray, code_R: np.ndarray, n_prompts: int) -> np.ndarray:
    """Sums over the rows of each prompt, (G, F, M)."""
    column_KR = moment_RFM.reshape(len(moment_RFM), math.prod(moment_RFM.shape[1:])).T
    total_KG = [np.bincount(code_R, column_R, n_prompts) for column_R in column_KR]
    return np.stack(total_KG, axis=1).reshape(n_prompts, *moment_RFM.shape[1:])


def feature_pay(pair_GFM: np.ndarray, pool_GFM: np.ndarray | None = None, *, level: float = 0.95) -> list[FeaturePay]:
    """Of each feature: the first order under the reference, what the labels ask, and the excess.

    Args:
        pair_GFM: from `pair_moments`.
        pool_GFM: from `pool_moments`, samples of the policy that is to be optimised; None: the pairs' responses stand
            for them. A pool's prompts count as independent of the pairs'.
        level: of the intervals, and of those that hold together over the features that differ in LEAST_PROMPTS.
    """
    reference_GFM = pair_GFM if pool_GFM is None else pool_GFM
    differs_F = (reference_GFM[..., 0] > 0).sum(axis=0)
    n_judged = max(int((differs_F >= LEAST_PROMPTS).sum()), 1)
    together = 1 - (1 - level) / n_judged
    first = _jackknife(reference_GFM, _first_order, level, furthest=1.0)
    moves = _jackknife(reference_GFM, _first_order, together, furthest=1.0)
    asked = _jackknife(pair_GFM, _asked, level, furthest=1.0)
    if pool_GFM is None:
        excess = _jackknife(pair_GFM, lambda total: _first_order(total) - _asked(total), together, furthest=2.0)
    else:
        excess = _difference(moves, _jackknife(pair_GFM, _asked, together, furthest=1.0))
    return [FeaturePay(*each) for each in zip(first, moves, asked, excess, map(int, differs_F), strict=True)]


def _forward(interval: Interval, direction: float) -> Interval:
    """The interval with its sign turned where the direction is negative."""
    if direction >= 0:
        return interval
    return Interval(-interval.estimate, -interval.high, -interval.low, interval.n_clusters, interval.method)


def _first_order(total: np.ndarray) -> np.ndarray:
    return np.asarray(total[..., 1] / np.sqrt(total[..., 0] * total[..., 2]))


def _asked(total: np.ndarray) -> np.ndarray:
    of_labels = total[..., 3] / np.sqrt(total[..., 0] * total[..., 5])
    agreement = total[..., 4] / np.sqrt(total[..., 2] * total[..., 5])
    return np.asarray(np.clip(of_labels / np.fmax(agreement, RELIABILITY), -1.0, 1.0))


def _jackknife(
    total_GFM: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], level: float, *, furthest: float
) -> list[Interval]:
    """Student's t with the delete-one-prompt error.

    Where no prompt departs from the common value, Wilson's bound on the share that may, by how far the value can go.
    """
    n_prompts = len(total_GFM)
    whole_FM = total_GFM.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate_F, without_GF = statistic(whole_FM), statistic(whole_FM - total_GFM)
    if n_prompts < 2:
        return [UNDEFINED] * len(whole_FM)
    error_F = np.sqrt((n_prompts - 1) / n_prompts * ((without_GF - without_GF.mean(axis=0)) ** 2).sum(axis=0))
    reach, z2 = float(stdtrit(n_prompts - 1, 0.5 + level / 2)), float(ndtri(0.5 + level / 2)) ** 2
    found = []
    for estimate, error in zip(estimate_F.tolist(), error_F.tolist(), strict=True):
        if not (math.isfinite(estimate) and math.isfinite(error)):
            found.append(UNDEFINED)
            continue
        varies = error > 1e-12
        half = reach * error if varies else (furthest + abs(estimate)) * z2 / (n_prompts + z2)
        low, high = max(estimate - half, -furthest), min(estimate + half, furthest)
        found.append(Interval(estimate, low, high, n_prompts, "jackknife t" if varies else "no variation"))
    return found


def _difference(left: list[Interval], right: list[Interval]) -> list[Interval]:
    """Of independent estimates: errors add in squares."""
    found = []
    for a, b in zip(left, right, strict=True):
        below = math.hypot(a.estimate - a.low, b.high - b.estimate)
        above = math.hypot(a.high - a.estimate, b.estimate - b.low)
        estimate = a.estimate - b.estimate
        n = min(a.n_clusters, b.n_clusters)
        found.append(Interval(estimate, estimate - below, estimate + above, n, "jackknife t"))
    return found
