"""Labelled pairs: the gold says which of two responses is better, and noise turns some labels round.

Axes: Q pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from karat.errors import DataError
from karat.stress.synthetic.setting import PAIR_RESPONSES, Prompt

CHECK_PAIRS = 32
"""Held-out pairs of a prompt that accuracy is measured on."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of responses to one prompt each, Q of them: `better` has more gold than `worse`."""

    prompt_Q: np.ndarray
    better_Q: np.ndarray
    worse_Q: np.ndarray

    def __len__(self) -> int:
        return len(self.prompt_Q)

    def take(self, rows: np.ndarray) -> Pairs:
        return Pairs(self.prompt_Q[rows], self.better_Q[rows], self.worse_Q[rows])

    def flipped(self, is_flipped_Q: np.ndarray) -> Pairs:
        """With the labels of some turned round."""
        return Pairs(
            self.prompt_Q,
            np.where(is_flipped_Q, self.worse_Q, self.better_Q),
            np.where(is_flipped_Q, self.better_Q, self.worse_Q),
        )


def every_pair(prompts: Sequence[Prompt]) -> Pairs:
    """All pairs of different gold among the first PAIR_RESPONSES responses of each prompt."""
    parts = []
    for number, prompt in enumerate(prompts):
        gold_G = prompt.gold_G[:PAIR_RESPONSES]
        first, second = np.triu_indices(len(gold_G), 1)
        differs = gold_G[first] != gold_G[second]
        first, second = first[differs], second[differs]
        is_better = gold_G[first] > gold_G[second]
        prompt_Q = np.full(first.size, number)
        parts.append((prompt_Q, np.where(is_better, first, second), np.where(is_better, second, first)))
    return Pairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def check_pairs(prompts: Sequence[Prompt], rng: np.random.Generator) -> Pairs:
    """CHECK_PAIRS pairs of each prompt that has any, drawn with replacement: accuracy weighs prompts equally.

    Raises: DataError: fewer than two prompts have one, and an interval over prompts needs two.
    """
    pairs = every_pair(prompts)
    rows = [
        rng.choice(own, CHECK_PAIRS)
        for number in range(len(prompts))
        if (own := np.flatnonzero(pairs.prompt_Q == number)).size
    ]
    if len(rows) < 2:
        raise DataError(
            f"the gold differs among the first {PAIR_RESPONSES} responses of {len(rows)} of {len(prompts)} prompts of "
            "the curves; two are the least. Give more prompts, or a gold that differs more often."
        )
    return pairs.take(np.concatenate(rows))


@dataclass(frozen=True, slots=True)
class Draw:
    """The labels of one seed: pairs in the order in which they are handed out, and a number each for the flips.

    The first `size` pairs are the data of that size, and those whose number is below the noise are flipped: sizes are
    nested and noise rates paired, so that comparing them does not compare different draws.
    """

    pairs: Pairs
    chance_Q: np.ndarray

    def labelled(self, size: int, noise: float) -> Pairs:
        return self.pairs.take(np.arange(size)).flipped(self.chance_Q[:size] < noise)


def draw_labels(pairs: Pairs, size: int, rng: np.random.Generator) -> Draw:
    """`size` different pairs, as many as the largest size. Raises: DataError: there are not so many."""
    if len(pairs) < size:
        raise DataError(
            f"sizes: {size} labelled pairs are asked for, and the responses give {len(pairs)} pairs of different gold. "
            "Lower --sizes or --curve-share, or give more responses."
        )
    return Draw(pairs.take(rng.choice(len(pairs), size, replace=False)), rng.random(size))
