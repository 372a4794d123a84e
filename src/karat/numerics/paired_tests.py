"""Two or more graders on the same items: is one better, and which cannot be told apart.

Axes: G clusters (prompts), K comparisons or graders, B draws, C additive columns.

Under the hypothesis that two graders are exchangeable on every prompt, each prompt's difference is as likely to have
the other sign, all of a prompt's items together. The test looks where the observed sum lies among all sign changes.
With one right-or-wrong item a prompt that is McNemar's exact test; with several it keeps the prompt whole.

Sources: McNemar 1947; Fisher 1935 (randomisation of signs); Hoeffding 1963 (the bound on far tails); Phipson & Smyth
2010 (p-values of drawn permutations); Mogstad, Romano, Shaikh & Wilhelm 2024 (intervals of ranks).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, gammaln

from karat.errors import InputError
from karat.numerics.multiplicity import holm
from karat.numerics.validation import finite_vector

SCALES = (1, 2, 4, 6, 12)
"""Denominators that ties give: a half of two, a third of three, a quarter of four."""
LONGEST_LATTICE = 20_000
FLIPS = 9_999
_CELLS_AT_ONCE = 1 << 22


def sign_flip_test(difference_G: ArrayLike, *, rng: np.random.Generator, flips: int = FLIPS) -> float:
    """Two-sided p-value that the differences of prompts are symmetric about 0, from their sum.

    Exact where the differences are multiples of a half, a third or a quarter (all sign changes are counted); else from
    drawn sign changes, p = (1 + those as far out) / (1 + draws), and beyond what draws can show by Hoeffding's bound
    2 exp(-t^2 / (2 sum d^2)), which is never below the exact p.

    Args:
        difference_G: left - right, summed over a prompt's items, shape (G,).
        rng: source of drawn sign changes; not used where the test is exact.
        flips: draws.
    Returns: p in (0, 1]; 1 where no prompt differs.
    Raises: InputError: a difference is not finite.
    """
    difference = finite_vector("difference_G", difference_G, "Leave prompts that one of the two did not score out.")
    difference = difference[difference != 0]
    if difference.size == 0:
        return 1.0
    whole = _as_whole_numbers(difference)
    if whole is not None:
        return _exact(whole)
    return float(_drawn(difference[:, None], rng, flips)[0])


def sign_flip_tests(difference_GK: np.ndarray, *, rng: np.random.Generator, flips: int = FLIPS) -> np.ndarray:
    """`sign_flip_test` of K columns of differences of the same prompts; drawn sign changes are shared, shape (K,)."""
    differences = np.asarray(difference_GK, dtype=np.float64)
    if differences.ndim != 2:
        raise InputError(f"difference_GK: shape {differences.shape}, must be (prompts, comparisons).")
    p_K = np.ones(differences.shape[1])
    to_draw = []
    for column in range(differences.shape[1]):
        value = finite_vector(f"difference_GK[:, {column}]", differences[:, column], "Leave those prompts out.")
        value = value[value != 0]
        if value.size == 0:
            continue
        whole = _as_whole_numbers(value)
        if whole is None:
            to_draw.append(column)
        else:
            p_K[column] = _exact(whole)
    if to_draw:
        p_K[to_draw] = _drawn(differences[:, to_draw], rng, flips)
    return p_K


def swap_test(
    left_GC: np.ndarray,
    right_GC: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    *,
    rng: np.random.Generator,
    flips: int = FLIPS,
) -> float:
    """Two-sided p-value that two graders are exchangeable on every prompt, from the difference of any statistic.

    For statistics that are no sums, such as F1: the two graders' totals are swapped prompt by prompt at random, and the
    difference is computed anew.

    Args:
        left_GC, right_GC: additive totals of each prompt, as `statistic` takes their sums, shape (G, C).
        statistic: from totals (..., C) to values (...).
        rng: source of the swaps.
        flips: draws.
    Returns: p in (0, 1]; NaN where a statistic is undefined.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = float(statistic(left_GC.sum(axis=0)) - statistic(right_GC.sum(axis=0)))
        if not math.isfinite(observed):
            return math.nan
        gap_GC, whole_C = left_GC - right_GC, left_GC.sum(axis=0) + right_GC.sum(axis=0)
        further = drawn = 0
        for start in range(0, flips, step := max(1, _CELLS_AT_ONCE // max(1, len(left_GC)))):
            kept_BG = rng.random((min(step, flips - start), len(left_GC))) < 0.5
            first_BC = right_GC.sum(axis=0) + kept_BG @ gap_GC
            moved_B = statistic(first_BC) - statistic(whole_C - first_BC)
            moved_B = moved_B[np.isfinite(moved_B)]
            further += int(np.sum(np.abs(moved_B) >= abs(observed) - 1e-12))
            drawn += moved_B.size
    return (1 + further) / (1 + drawn)


def rank_intervals(gap_KK: np.ndarray, p_value_KK: np.ndarray, *, alpha: float = 0.05) -> np.ndarray:
    """Simultaneous intervals of the ranks of K graders, from p-values of all pairs, shape (K, 2); 1 is the best.

    The p-values of all pairs are adjusted together (Holm), so that with probability 1 - alpha no pair is ordered
    wrongly; a grader's rank is then at least 1 + those surely better and at most K - those surely worse.

    Args:
        gap_KK: at [i, j] with i < j how much better grader i is than j, on the items that the test of the two rests on
            (scores of other items may point the other way).
        p_value_KK: p-value of each pair, as gap_KK; NaN: not tested.
        alpha: chance that any pair is ordered wrongly.
    Raises: InputError: the shapes differ.
    """
    size = len(gap_KK)
    if not gap_KK.shape == p_value_KK.shape == (size, size):
        raise InputError(f"gap_KK: shape {gap_KK.shape}, p_value_KK: {p_value_KK.shape}; both must be square.")
    pairs = list(combinations(range(size), 2))
    adjusted = holm(np.array([p_value_KK[pair] for pair in pairs]))
    rank_K2 = np.tile([1, size], (size, 1))
    for (i, j), p in zip(pairs, adjusted, strict=True):
        if p <= alpha and gap_KK[i, j] != 0:
            better, worse = (i, j) if gap_KK[i, j] > 0 else (j, i)
            rank_K2[worse, 0] += 1
            rank_K2[better, 1] -= 1
    return rank_K2


def _as_whole_numbers(difference: np.ndarray) -> np.ndarray | None:
    """The differences times the smallest scale that makes them whole; None where none does, or the sums are many."""
    for scale in SCALES:
        scaled = difference * scale
        if np.all(np.abs(scaled - np.round(scaled)) < 1e-9):
            whole = np.abs(np.round(scaled)).astype(np.int64) * np.sign(difference).astype(np.int64)
            return whole if np.abs(whole).sum() <= LONGEST_LATTICE else None
    return None


def _exact(whole: np.ndarray) -> float:
    """Share of all sign changes whose sum is at least as far from 0: the sums' distribution is convolved out."""
    sizes, counts = np.unique(np.abs(whole), return_counts=True)
    total = abs(int(whole.sum()))
    if sizes.size == 1:  # a binomial tail, McNemar's
        fewer = (int(counts[0]) - total // int(sizes[0])) // 2
        return min(1.0, 2.0 * float(bdtr(fewer, int(counts[0]), 0.5))) if total else 1.0
    mass = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        up = np.arange(count + 1)
        chance = np.exp(gammaln(count + 1) - gammaln(up + 1) - gammaln(count - up + 1) - count * math.log(2))
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = chance
        mass = np.convolve(mass, spread)
    at = np.arange(mass.size) - mass.size // 2
    return min(1.0, float(mass[np.abs(at) >= total].sum()))


def _drawn(difference_GK: np.ndarray, rng: np.random.Generator, flips: int) -> np.ndarray:
    """p-values of K columns from shared drawn sign changes, with Hoeffding's bound beyond them."""
    observed_K = np.abs(difference_GK.sum(axis=0))
    further_K = np.zeros(difference_GK.shape[1])
    step = max(1, _CELLS_AT_ONCE // len(difference_GK))
    slack_K = 1e-9 * np.abs(difference_GK).sum(axis=0)
    for start in range(0, flips, step):
        sign_BG = rng.integers(0, 2, size=(min(step, flips - start), len(difference_GK)), dtype=np.int8) * 2.0 - 1.0
        further_K += np.sum(np.abs(sign_BG @ difference_GK) >= observed_K - slack_K, axis=0)
    p_K = (1 + further_K) / (1 + flips)
    square_K = np.sum(difference_GK**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound_K = 2 * np.exp(-(observed_K**2) / (2 * square_K))
    return np.where((further_K == 0) & (bound_K < p_K), bound_K, p_K)
