"""Which rollouts of a step get a gold label, when only a few can.

Most of the budget goes to pairs inside one prompt's group that the proxy tells apart most: there a reward that is gamed
says the opposite of the gold first. They are chosen without a look at any gold, so that a statement about the mean over
such pairs holds at every step. The rest is drawn at random with a known chance, for the level of the gold.
Axes: R rollouts of a step, K chosen ones.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from karat.errors import InputError
from karat.run_records import RolloutBatch

LEVEL_SHARE = 0.25
"""Of the budget that is drawn at random; what its pairs leave over comes on top."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The rollouts of a step whose gold is asked for.

    Attributes:
        index_K: their places, pairs first.
        chance_K: with which each was chosen: 1 for those of pairs, which the proxy alone decides.
        chance_R: of every rollout. 0 where the budget leaves nothing for the level: then no mean gold can be told.
        pairs: (higher, lower) places, the clearest pair first.
        gap_N: of each pair: difference over the step's spread within prompts, above 0.
    """

    index_K: np.ndarray
    chance_K: np.ndarray
    chance_R: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    gap_N: np.ndarray


def select(
    batch: RolloutBatch,
    k: int,
    *,
    rng: np.random.Generator,
    feature_R: np.ndarray | None = None,
    level_share: float = LEVEL_SHARE,
) -> Selection:
    """Choose min(k, R) rollouts of a step to label. Golds that the batch holds are not looked at.

    One label goes to a rollout at random, two to a pair; from three on at least one is random, and an odd one too.
    Pairs are of different prompts as long as there are prompts; then each prompt's next widest, with no rollout twice.

    Args:
        k: labels, at least 0.
        rng: of the random part.
        feature_R: pair by this feature instead of the proxy: what an audit said would inflate. NaN pairs with nothing.
        level_share: of k that is drawn at random, in [0, 1].
    Raises: InputError: k < 0, level_share outside [0, 1], or feature_R of another length.
    """
    n = batch.n_rollouts
    value_R = np.asarray(batch.proxy_R if feature_R is None else feature_R, float)
    if k < 0 or not 0 <= level_share <= 1:
        raise InputError(f"k = {k}, level_share = {level_share}: k must be at least 0, the share in [0, 1].")
    if value_R.shape != (n,):
        raise InputError(f"feature_R has shape {value_R.shape} for {n} rollouts. Give one value for each.")
    k = min(int(k), n)
    if k == n:
        pairs, gap_N = _clearest(value_R, np.asarray(batch.group_R), n // 2)
        return Selection(_pairs_first(pairs, n), np.ones(n), np.ones(n), pairs, gap_N)
    pairs, gap_N = _clearest(value_R, np.asarray(batch.group_R), _n_pairs(k, level_share))
    certain_K = np.array(pairs, dtype=int).reshape(-1)
    others_N = np.setdiff1d(np.arange(n), certain_K)
    n_drawn = k - certain_K.size
    chance_R = np.ones(n)
    chance_R[others_N] = n_drawn / others_N.size
    drawn_K = rng.choice(others_N, size=n_drawn, replace=False)
    index_K = np.concatenate([certain_K, drawn_K])
    return Selection(index_K, chance_R[index_K], chance_R, pairs, gap_N)


def _n_pairs(k: int, level_share: float) -> int:
    if k == 2:
        return 1 if level_share < 1 else 0
    n_drawn = max(round(k * level_share), min(k, 1))
    return (k - n_drawn) // 2


def _pairs_first(pairs: tuple[tuple[int, int], ...], n: int) -> np.ndarray:
    return np.array(list(dict.fromkeys([place for pair in pairs for place in pair] + list(range(n)))), dtype=int)


def _clearest(value_R: np.ndarray, group_R: np.ndarray, most: int) -> tuple[tuple[tuple[int, int], ...], np.ndarray]:
    """Up to `most` pairs, each of one group and with a gap above 0: round by round, the widest first."""
    known_R = np.flatnonzero(np.isfinite(value_R))
    ordered = known_R[np.lexsort((known_R, value_R[known_R], group_R[known_R]))]
    groups = np.split(ordered, np.flatnonzero(np.diff(group_R[ordered])) + 1)
    spread = _spread_within([value_R[members] for members in groups])
    found: list[tuple[int, float, int, int]] = []
    for members in groups:
        for depth in range(members.size // 2):  # widest first: highest with lowest, then the next of both
            low, high = int(members[depth]), int(members[-1 - depth])
            gap = float(value_R[high] - value_R[low])
            if gap <= 0:
                break
            found.append((depth, -gap, high, low))
    best = heapq.nsmallest(most, found)
    gap_N = np.array([-gap for _, gap, _, _ in best], dtype=float) / (spread or 1.0)
    return tuple((high, low) for _, _, high, low in best), gap_N


def _spread_within(values: list[np.ndarray]) -> float:
    """Standard deviation within groups, pooled over those of two and more; 0 where nothing varies."""
    several = [value for value in values if value.size > 1]
    freedom = sum(value.size - 1 for value in several)
    squares = sum(float(np.sum((value - value.mean()) ** 2)) for value in several)
    return float(np.sqrt(squares / freedom)) if freedom else 0.0
