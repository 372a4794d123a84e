"""Training sets of equal size drawn from each source and from mixtures, by whole prompts as far as they go.

Axes: P training pairs of one source, S draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from karat.errors import DataError, InputError
from karat.numerics.validation import cluster_codes

LEAST_PROMPTS = 4
"""Of a source, to train on: half of them are drawn, twice differently at least."""
LEAST_PAIRS = 16
"""In a training set: fewer say nothing about the data."""
LARGEST_SHARE = 0.8
"""Of a source's pairs that a size named by the user may take."""
RUNGS = 5
"""Of a learning curve, each half of the one above."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One training set.

    Attributes:
        index: pairs of each source that it takes from, by the source's number.
        share: largest share of a source's prompts that it holds.
    """

    index: Mapping[int, np.ndarray]
    share: float


class PoolOrder:
    """One source's training pairs in random orders, so that a small draw is part of a larger one."""

    def __init__(self, prompt_P: np.ndarray, rng: np.random.Generator) -> None:
        code_P, n_prompts = cluster_codes(prompt_P, len(prompt_P))
        self.n_prompts = n_prompts
        place_G = np.empty(n_prompts, np.int64)
        place_G[rng.permutation(n_prompts)] = np.arange(n_prompts)
        self._place_P = place_G[code_P]
        shuffled = rng.permutation(code_P.size)
        by_place = shuffled[np.argsort(self._place_P[shuffled], kind="stable")]
        size_G = np.bincount(self._place_P, minlength=n_prompts)
        start_G = np.cumsum(size_G) - size_G
        self._rank_P = np.empty(code_P.size, np.int64)
        self._rank_P[by_place] = np.arange(code_P.size) - np.repeat(start_G, size_G)
        self._pairs_G = np.cumsum(size_G)

    def take(self, size: int) -> tuple[np.ndarray, float]:
        """Indices of `size` pairs, and the share of the prompts that they are from.

        From the first half of the prompts in this order at most (more only where those hold too few pairs), from each
        in turn, so that pairs of one prompt come last.
        """
        enough = int(np.searchsorted(self._pairs_G, size)) + 1
        n_used = max(min(size, self.n_prompts // 2), enough)
        inside = np.flatnonzero(self._place_P < n_used)
        order = np.lexsort((self._place_P[inside], self._rank_P[inside]))
        return inside[order[:size]], n_used / self.n_prompts


@dataclass(frozen=True, slots=True)
class Mix:
    """What a reward is trained on: one source, or several in equal parts.

    Attributes:
        name: as it is shown; parts: numbers of the sources.
    """

    name: str
    parts: tuple[int, ...]


def mixes_of(names: Sequence[str]) -> tuple[Mix, ...]:
    """Each source, each two half and half, and all together."""
    numbers = range(len(names))
    sets: list[tuple[int, ...]] = [(number,) for number in numbers]
    sets += combinations(numbers, 2)
    if len(names) > 2:
        sets.append(tuple(numbers))
    return tuple(Mix(" + ".join(names[number] for number in parts), parts) for parts in sets)


def draw_mix(mix: Mix, size: int, orders: Sequence[PoolOrder]) -> Draw:
    """`size` pairs, from each part as many; the first parts give the odd ones."""
    whole, odd = divmod(size, len(mix.parts))
    index, share = {}, 0.0
    for place, number in enumerate(mix.parts):
        index[number], held = orders[number].take(whole + (place < odd))
        share = max(share, held)
    return Draw(index, share)


def common_size(sizes: Sequence[int]) -> int:
    """Pairs of each training set: half of what the smallest source has."""
    return min(sizes) // 2


def ladder(n_pairs: int, asked: Sequence[int]) -> tuple[int, ...]:
    """Sizes of a source's learning curve, rising.

    Raises: InputError: a size that was asked for is too large for the source, or too small.
    """
    if asked:
        most = int(LARGEST_SHARE * n_pairs)
        for size in asked:
            if not LEAST_PAIRS <= size <= most:
                raise InputError(
                    f"sizes: {size} pairs of {n_pairs} to train on: must be {LEAST_PAIRS} to {most}, so that training "
                    "sets can differ."
                )
        return tuple(sorted(set(asked)))
    sizes = [n_pairs // 2 >> rung for rung in range(RUNGS)]
    return tuple(sorted(size for size in sizes if size >= LEAST_PAIRS))


def check_pool(name: str, prompt_P: np.ndarray) -> None:
    """Raises DataError where a source has too little to train on."""
    n_prompts = len(np.unique(prompt_P))
    if n_prompts < LEAST_PROMPTS or len(prompt_P) < 2 * LEAST_PAIRS:
        raise DataError(
            f"{name}: {len(prompt_P)} pairs of {n_prompts} prompts are left to train on; comparing needs "
            f"{2 * LEAST_PAIRS} pairs of {LEAST_PROMPTS} prompts in each source. Give more pairs."
        )
