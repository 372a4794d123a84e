"""Pairs that repeat or contradict others, exactly (but for case and white space) or nearly.

Axes: P pairs, D distinct pairs of responses to a prompt ("documents"), C candidate pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from karat.audit.data.near import Check, jaccard, near_groups, parts_of
from karat.audit.data.scan import Scan
from karat.audit.data.shingles import mixed_pair
from karat.audit.data.table import PairTable, codes_of


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What repeats what.

    Attributes:
        exact_of_P: the earliest pair that this one repeats: same prompt, same responses, same preference, same
            annotator (where annotators are named); -1 where there is none.
        near_group_P: the earliest pair of its group of near duplicates; its own index where it has none. Exact
            repetitions are in the group of what they repeat.
        near_P: whether it nearly, and not exactly, repeats the earliest pair of its group or another one of it.
        opposite_P: whether another pair has the same responses with the other one preferred.
        own_opposite_P: whether that is by the same annotator, or no annotator is named.
        relabelled_P: whether another annotator judged the same responses.
        near_opposite_P: whether it nearly repeats the earliest pair of its group with the sides exchanged.
        identical_P: whether both sides are one text, but for case and white space.
        is_complete: False where there were too many candidates to compare them all.
    """

    exact_of_P: np.ndarray
    near_group_P: np.ndarray
    near_P: np.ndarray
    opposite_P: np.ndarray
    own_opposite_P: np.ndarray
    relabelled_P: np.ndarray
    near_opposite_P: np.ndarray
    identical_P: np.ndarray
    is_complete: bool


def find_duplicates(table: PairTable, scan: Scan, *, near: float) -> Duplicates:
    """Exact duplicates by keys, near ones by bands and exact comparison."""
    identical_P = scan.chosen_P == scan.rejected_P
    low_P, high_P = np.minimum(scan.chosen_P, scan.rejected_P), np.maximum(scan.chosen_P, scan.rejected_P)
    document_P = mixed_pair(scan.prompt_P, mixed_pair(low_P, high_P))
    # 0 or 1: which of the two is preferred; 2: neither
    state_P = np.where((table.label_P == 0.5) | identical_P, 2, (scan.chosen_P < scan.rejected_P).astype(np.int64))
    annotator_P = annotators(table)
    by_annotator_P = mixed_pair(document_P, annotator_P.astype(np.uint64))
    opposite_P = _has_both(document_P, state_P)
    first_P, first_D, of_P = _firsts(document_P)
    exact_of_P, _, _ = _firsts(mixed_pair(by_annotator_P, state_P.astype(np.uint64)))
    is_repeat_P = exact_of_P != np.arange(len(table))
    groups = near_groups(scan.band_PB[first_D], _pair_check(table, first_D, near))
    near_group_P = first_D[groups.first_D][of_P]
    return Duplicates(
        exact_of_P=np.where(is_repeat_P, exact_of_P, -1),
        near_group_P=near_group_P,
        near_P=(near_group_P != first_P) & ~is_repeat_P,
        opposite_P=opposite_P,
        own_opposite_P=_has_both(by_annotator_P, state_P),
        relabelled_P=_has_several(document_P, annotator_P),
        near_opposite_P=_exchanged(table, first_P, near_group_P, near),
        identical_P=identical_P,
        is_complete=groups.is_complete,
    )


def annotators(table: PairTable) -> np.ndarray:
    """Number of each pair's annotator, shape (P,); one for all where none is named."""
    return codes_of(table.annotator)


def _firsts(key_P: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first index with each pair's key; the first index of each distinct key, ascending; and which one it is."""
    _, index_D, of_P = np.unique(key_P, return_index=True, return_inverse=True)
    order_D = np.argsort(index_D)
    rank_D = np.empty_like(order_D)
    rank_D[order_D] = np.arange(order_D.size)
    return index_D[of_P], index_D[order_D], rank_D[of_P]


def _has_both(key_P: np.ndarray, state_P: np.ndarray) -> np.ndarray:
    """Whether pairs of state 0 and of state 1 share this key, for pairs of either."""
    one, other = (np.unique(key_P[state_P == state]) for state in (0, 1))
    both = np.intersect1d(one, other, assume_unique=True)
    return np.isin(key_P, both) & (state_P < 2)


def _has_several(key_P: np.ndarray, code_P: np.ndarray) -> np.ndarray:
    """Whether pairs of this key have different codes."""
    order = np.lexsort((code_P, key_P))
    differs = (key_P[order][1:] == key_P[order][:-1]) & (code_P[order][1:] != code_P[order][:-1])
    return np.isin(key_P, np.unique(key_P[order][1:][differs]))


def _pair_check(table: PairTable, first_D: np.ndarray, near: float) -> Check:
    """Prompts are near, and so are both responses, side by side or crossed."""

    def check(left_C: np.ndarray, right_C: np.ndarray) -> np.ndarray:
        is_near_C = np.zeros(left_C.size, np.bool_)
        for part in parts_of(left_C.size):
            left, right = first_D[left_C[part]], first_D[right_C[part]]
            open_C = np.flatnonzero(jaccard(table.prompt, left, table.prompt, right) >= near)
            for crossed in (False, True):
                found = open_C[_sides_near(table, left[open_C], right[open_C], near, crossed)]
                is_near_C[part.start + found] = True
                open_C = np.setdiff1d(open_C, found, assume_unique=True)
        return is_near_C

    return check


def _sides_near(table: PairTable, left: np.ndarray, right: np.ndarray, near: float, crossed: bool) -> np.ndarray:
    """Whether both responses of pairs left and right are near."""
    others = (table.rejected, table.chosen) if crossed else (table.chosen, table.rejected)
    is_near = np.ones(left.size, np.bool_)
    for mine, other in zip((table.chosen, table.rejected), others, strict=True):
        open_C = np.flatnonzero(is_near)
        if open_C.size:
            is_near[open_C] = jaccard(mine, left[open_C], other, right[open_C]) >= near
    return is_near


def _exchanged(table: PairTable, first_P: np.ndarray, near_group_P: np.ndarray, near: float) -> np.ndarray:
    """Pairs whose sides are near those of the group's earliest pair crossed, and not side by side; no ties."""
    exchanged_P = np.zeros(len(table), np.bool_)
    at = np.flatnonzero((near_group_P != first_P) & (table.label_P != 0.5) & (table.label_P[near_group_P] != 0.5))
    for part in parts_of(at.size):
        here, there = at[part], near_group_P[at[part]]
        straight = _sides_near(table, here, there, near, False)
        exchanged_P[here] = ~straight & _sides_near(table, here, there, near, True)
    return exchanged_P
