"""Prompts on both sides of a split, in several sources, or nearly twice in one set.

Axes: P pairs, U distinct prompts, L and R the distinct prompts of two sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from karat.audit.data.near import Check, Groups, jaccard_check, near_groups, near_matches
from karat.audit.data.scan import Prompts
from karat.data.files import HELD_OUT_SPLITS


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Distinct prompts with the column that holds their texts."""

    prompts: Prompts
    texts: pa.ChunkedArray

    def __len__(self) -> int:
        return int(self.prompts.key_U.size)


@dataclass(frozen=True, slots=True)
class Shared:
    """What two sets of prompts have in common; each match is an index into the other's distinct prompts, or -1.

    Attributes:
        left_L, right_R: match of each prompt of the left and of the right set.
        exact_L: whether the left prompt's match is exact.
    """

    left_L: np.ndarray
    right_R: np.ndarray
    exact_L: np.ndarray


def shared_prompts(left: PromptSet, right: PromptSet, *, near: float) -> Shared:
    """Prompts of two sets that are equal, or nearly so."""
    left_L, right_R = _exact(left.prompts, right.prompts), _exact(right.prompts, left.prompts)
    exact_L = left_L >= 0
    for match, mine, other in ((left_L, left, right), (right_R, right, left)):
        open_U = np.flatnonzero(match < 0)
        check = _check(mine, open_U, other, near)
        match[open_U] = near_matches(mine.prompts.band_UB[open_U], other.prompts.band_UB, check)
    return Shared(left_L, right_R, exact_L)


def near_prompts(prompts: PromptSet, *, near: float) -> Groups:
    """Groups of prompts that are near duplicates, named by the one that comes first in the data."""
    order_U = np.argsort(prompts.prompts.first_U)
    found = near_groups(prompts.prompts.band_UB[order_U], _check(prompts, order_U, subset(prompts, order_U), near))
    first_U = np.empty_like(found.first_D)
    first_U[order_U] = order_U[found.first_D]
    return Groups(first_U, found.is_complete)


def subset(prompts: PromptSet, index_U: np.ndarray) -> PromptSet:
    """Some of the prompts, in the order of the indices; `of_P` is left out."""
    kept = prompts.prompts
    chosen = Prompts(kept.key_U[index_U], kept.first_U[index_U], kept.band_UB[index_U], np.empty(0, np.int64))
    return PromptSet(chosen, prompts.texts)


def held_out_names(names: list[str]) -> tuple[list[str], list[str]]:
    """Values of a column that name held-out splits, and the others; both empty unless there are some of each."""
    held = [name for name in names if name.lower() in HELD_OUT_SPLITS]
    rest = [name for name in names if name and name not in held]
    return (held, rest) if held and rest else ([], [])


def _exact(left: Prompts, right: Prompts) -> np.ndarray:
    """Place of each left key among the right ones; -1 where it is not there."""
    if not right.key_U.size:
        return np.full(left.key_U.size, -1, np.int64)
    order_R = np.argsort(right.key_U)
    sorted_R = right.key_U[order_R]
    place_L = np.minimum(np.searchsorted(sorted_R, left.key_U), sorted_R.size - 1)
    return np.where(sorted_R[place_L] == left.key_U, order_R[place_L], -1)


def _check(left: PromptSet, index_U: np.ndarray, right: PromptSet, near: float) -> Check:
    """Comparison of left prompts, numbered within `index_U`, with right ones, by their texts."""
    compare = jaccard_check([(left.texts, right.texts)], near)
    row_L, row_R = left.prompts.first_U[index_U], right.prompts.first_U

    def check(left_C: np.ndarray, right_C: np.ndarray) -> np.ndarray:
        return compare(row_L[left_C], row_R[right_C])

    return check
