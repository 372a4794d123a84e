"""What a set of prompts covers: effective numbers, exact tests of what lies outside, and what to look at next.

Axes: Q prompts of the data, T targets, D dimensions, K topics or neighbours, B draws.

Sources: Hill 1973 (effective number, exp of the Shannon entropy); Miller 1955 (bias of the plug-in entropy); Friedman &
Dieng 2023 (arXiv 2210.02410, Vendi score: the same of a kernel's eigenvalues); Vovk, Gammerman & Shafer 2005 (conformal
p-values); Gonzalez 1985 (farthest-first traversal: its worst distance is at most twice the least possible).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit, xlogy

from karat.errors import InputError
from karat.numerics.intervals import UNDEFINED, Interval, wilson
from karat.numerics.validation import finite_vector, require

_CELLS_AT_ONCE = 1 << 22
_BLOCKS = 20
"""Parts of the data that the jackknife leaves out one by one."""


def effective_number(
    count_K: ArrayLike, *, rng: np.random.Generator, level: float = 0.95, resamples: int = 1000
) -> Interval:
    """exp(H) of the shares of K topics, H with Miller's correction (K - 1) / 2n, at most K.

    The ends are percentiles of the same over multinomial draws, each corrected twice: a draw loses as much entropy
    again as the counts themselves have lost.

    Args:
        count_K: prompts of each topic; topics without any do not count.
        rng: source of the draws.
    Returns: the number; ends NaN for one topic or fewer than two prompts.
    Raises: InputError: a negative count.
    """
    count = finite_vector("count_K", count_K, "Count the prompts of each topic.")
    require("count_K", count, count >= 0, "are negative. Count the prompts of each topic.")
    count = count[count > 0]
    n, k = float(count.sum()), count.size
    if n < 2 or k < 2:
        return Interval(float(k) if k else math.nan, math.nan, math.nan, int(n), "undefined")
    bias = (k - 1) / (2 * n)
    drawn_BK = rng.multinomial(int(n), count / n, size=resamples) / n
    entropy_B = -xlogy(drawn_BK, drawn_BK).sum(axis=1)
    estimate = min(float(k), math.exp(_entropy(count / n) + bias))
    low, high = np.exp(np.quantile(entropy_B, (0.5 - level / 2, 0.5 + level / 2)) + 2 * bias)
    return Interval(estimate, min(float(low), estimate), min(float(k), max(float(high), estimate)), int(n), "bootstrap")


def _entropy(share_K: np.ndarray) -> float:
    return -float(xlogy(share_K, share_K).sum())


def spectral_number(unit_QD: np.ndarray, *, rng: np.random.Generator, level: float = 0.95) -> Interval:
    """Vendi score of the cosine kernel: exp of the entropy of the eigenvalues of X'X / Q, trace 1.

    The effective number of directions that unit vectors spread over. Estimate and interval: a jackknife over 20 random
    blocks, on the scale of the entropy, with Student's t.

    Args:
        unit_QD: vectors of length 1, shape (Q, D).
        rng: source of the blocks.
    Returns: the number; ends NaN for fewer than 40 vectors.
    """
    if not len(unit_QD):
        return UNDEFINED
    whole_DD = unit_QD.T @ unit_QD
    estimate = _spectral(whole_DD)
    if len(unit_QD) < 2 * _BLOCKS:
        return Interval(estimate, math.nan, math.nan, len(unit_QD), "undefined")
    block_Q = rng.permutation(len(unit_QD)) % _BLOCKS
    log_B = np.log([_spectral(whole_DD - unit_QD[block_Q == b].T @ unit_QD[block_Q == b]) for b in range(_BLOCKS)])
    error = math.sqrt((_BLOCKS - 1) * float(np.mean((log_B - log_B.mean()) ** 2)))
    # few vectors give a spectrum that is too uneven: the jackknife takes the first order of that off
    middle = min(_BLOCKS * math.log(estimate) - (_BLOCKS - 1) * float(log_B.mean()), math.log(unit_QD.shape[1]))
    half = float(stdtrit(_BLOCKS - 1, 0.5 + level / 2)) * error
    ends = math.exp(middle - half), math.exp(middle + half)
    return Interval(math.exp(middle), *ends, len(unit_QD), "jackknife t")


def _spectral(moment_DD: np.ndarray) -> float:
    size_D = np.clip(np.linalg.eigvalsh(moment_DD), 0, None)
    return math.exp(_entropy(size_D / size_D.sum()))


# ---------------------------------------------------------------------------------------------------------- neighbours
def neighbour_distances(point_QD: np.ndarray, k: int) -> np.ndarray:
    """Distance of each point to its (k-1)-th and its k-th nearest other point, shape (Q, 2); the 0-th is 0.

    Raises: InputError: k is not in 1 to Q - 1.
    """
    if not 1 <= k < len(point_QD):
        raise InputError(f"k = {k} neighbours of {len(point_QD)} points: must be in 1 to {len(point_QD) - 1}.")
    out_Q2 = np.empty((len(point_QD), 2))
    for rows, square in squared_distances(point_QD, point_QD):
        square[np.arange(len(square)), np.arange(rows.start, rows.stop)] = -1.0  # itself: before all others
        out_Q2[rows] = np.sqrt(np.maximum(np.partition(square, (k - 1, k), axis=1)[:, (k - 1, k)], 0))
    return out_Q2


def outside_p_values(data_QD: np.ndarray, target_TD: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """p-value of each target that it comes from where the data come from, and its distance to the k-th nearest of them.

    Conformal: the target joins the data, every point is as strange as its k-th nearest other point is far, and p is the
    share of the Q + 1 points that are at least as strange as the target. For a target that is exchangeable with the
    data, P(p <= a) <= a exactly, whatever the distribution, and whatever the vectors are as long as they were made
    without regard to which are data (centring and projection fitted to data and targets together).

    Args:
        data_QD, target_TD: vectors.
        k: neighbours, 1 to Q - 1.
    Returns: p and distance, shape (T,) each.
    """
    near_Q2 = neighbour_distances(data_QD, k)
    p_T, distance_T = np.empty(len(target_TD)), np.empty(len(target_TD))
    for rows, square in squared_distances(target_TD, data_QD):
        distance = np.sqrt(square)
        own_T = np.partition(distance, k - 1, axis=1)[:, k - 1]
        # The k-th nearest of a data point once the target is there too.
        strange = np.minimum(near_Q2[:, 1], np.maximum(near_Q2[:, 0], distance))
        at_least = (strange >= own_T[:, None] * (1 - 1e-9)).sum(axis=1)
        p_T[rows], distance_T[rows] = (1 + at_least) / (len(data_QD) + 1), own_T
    return p_T, distance_T


def outside_share(is_outside_T: np.ndarray, n_data: int, *, level: float = 0.95) -> Interval:
    """Share of targets outside, with Wilson's interval.

    All targets are measured with the same data, whose own quantile has a variance of about that of n_data targets; so
    the number of trials is T Q / (T + Q).
    """
    n_targets = is_outside_T.size
    if not n_targets:
        return UNDEFINED
    share, trials = float(is_outside_T.mean()), n_targets * n_data / (n_targets + n_data)
    low, high = wilson(share * trials, trials, level=level)
    return Interval(share, low, high, n_targets, "wilson")


def share_ratio(n_first: int, n_second: int, of_first: int, of_second: int, *, level: float = 0.95) -> Interval:
    """(n_first / of_first) over (n_second / of_second), two counts of one kind in two sets.

    Given how many of the kind there are in both, the first's share of them is binomial with odds of the ratio times
    of_first / of_second; Wilson's ends of that share, turned into ratios.
    """
    total = n_first + n_second
    if not total:
        return UNDEFINED
    low, high = (
        math.inf if end >= 1 else end / (1 - end) * of_second / of_first for end in wilson(n_first, total, level=level)
    )
    estimate = n_first / n_second * of_second / of_first if n_second else math.inf
    return Interval(estimate, low, high, n_first, "wilson")


def farthest_first(
    candidate_CD: np.ndarray, weight_C: np.ndarray, covered_QD: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates one by one, each the one whose distance to all covered and taken ones, times its weight, is largest.

    Args:
        candidate_CD: vectors to choose from, weight_C: how much each matters.
        covered_QD: what is there already; may be empty.
        n: most candidates to take; identical ones are taken once.
    Returns: indices in order, and the distance of each when it was taken (infinite for the first of an empty cover).
    """
    gap_C = np.full(len(candidate_CD), np.inf)
    if len(covered_QD):
        for rows, square in squared_distances(candidate_CD, covered_QD):
            gap_C[rows] = np.sqrt(square.min(axis=1))
    taken: list[int] = []
    gaps: list[float] = []
    while len(taken) < min(n, len(candidate_CD)):
        score_C = np.where(np.isinf(gap_C), weight_C, gap_C * weight_C)
        best = int(np.argmax(score_C))
        if gap_C[best] <= 1e-6 or not score_C[best] > 0:
            break
        taken.append(best)
        gaps.append(float(gap_C[best]))
        gap_C = np.minimum(gap_C, np.linalg.norm(candidate_CD - candidate_CD[best], axis=1))
    return np.array(taken, np.int64), np.array(gaps)


def squared_distances(left_AD: np.ndarray, right_QD: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of some rows of the left to all of the right, block by block."""
    step = max(1, _CELLS_AT_ONCE // max(1, len(right_QD)))
    right_Q = np.sum(right_QD**2, axis=1)
    for start in range(0, len(left_AD), step):
        rows = slice(start, min(start + step, len(left_AD)))
        block = left_AD[rows]
        square = np.sum(block**2, axis=1)[:, None] + right_Q - 2 * block @ right_QD.T
        yield rows, np.maximum(square, 0)
