"""Near duplicates: candidates by MinHash and locality-sensitive hashing, each verified by its exact Jaccard index.

A band is a few slots of a signature; two documents whose hashes of any band agree are candidates. Two documents of
Jaccard index j agree in a band of r slots with probability j^r and in any of b bands with 1 - (1 - j^r)^b, which is the
recall; the verification leaves no false candidate. Where a document has two parts (a prompt, and its responses), a band
holds slots of both, and documents with a prompt in common but other responses are no candidates.

Sources: Broder 1997; Indyk & Motwani 1998; Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, chapter 3.

Axes: D documents, B bands, K slots, C candidate pairs, S shingles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from karat.audit.data.shingles import Shingles, mixed_pair, shingles_of, words_of
from karat.audit.data.table import take_texts

SLOTS = 64
LEAST_RECALL = 0.99
_PLANS_OF_ONE = ((4, 16), (8, 8), (16, 4), (32, 2), (64, 1))
_PLANS_OF_TWO = ((4, 16, 16), (8, 8, 8), (16, 2, 4), (16, 2, 2), (32, 1, 2), (64, 1, 1))
_LAGS = ((1, 2), (3, 8), (9, 32))
"""Within a bucket a document meets the 32 behind it; what is already in one group is not compared again."""
_CHECKED_AT_ONCE = 4096
_CHECKS_PER_DOCUMENT = 40

Check = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Whether documents i and j are near duplicates, for arrays of each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How signatures are cut into bands: `rows` slots of each part of a document in every band."""

    bands: int
    rows: tuple[int, ...]

    def recall(self, *jaccard: float) -> float:
        """Chance that two documents become candidates, by the Jaccard index of each of their parts."""
        agree = float(np.prod([index**rows for index, rows in zip(jaccard, self.rows, strict=True)]))
        return 1 - (1 - agree) ** self.bands


def plan_for(near: float, n_parts: int) -> Plan:
    """The most selective plan that finds documents, whose parts all are at the threshold, with LEAST_RECALL.

    Where none does, the one that finds most.
    """
    known = [Plan(bands, tuple(rows)) for bands, *rows in (_PLANS_OF_ONE if n_parts == 1 else _PLANS_OF_TWO)]
    return next((plan for plan in known if plan.recall(*[near] * n_parts) >= LEAST_RECALL), known[-1])


def band_hashes(signature_DK: Sequence[np.ndarray], plan: Plan) -> np.ndarray:
    """One hash for each band of each document, shape (D, B), from the signatures of each of its parts."""
    hash_DB = np.zeros((len(signature_DK[0]), plan.bands), np.uint64)
    for signature, rows in zip(signature_DK, plan.rows, strict=True):
        for row in range(rows):
            slot_DB = signature[:, row : rows * plan.bands : rows].astype(np.uint64)
            hash_DB = mixed_pair(hash_DB, slot_DB)
    return hash_DB


@dataclass(frozen=True, slots=True)
class Groups:
    """Documents that verified near duplicates connect.

    Attributes:
        first_D: smallest index of the group of each document; its own where it has no near duplicate.
        is_complete: False where the budget of comparisons ran out, so that more may be there.
    """

    first_D: np.ndarray
    is_complete: bool


def near_groups(band_DB: np.ndarray, check: Check) -> Groups:
    """Groups of near duplicates among documents.

    Args:
        band_DB: of `band_hashes`.
        check: exact comparison of candidates.
    """
    n = len(band_DB)
    first_D = np.arange(n)
    budget = _CHECKS_PER_DOCUMENT * n + 1000
    order_BD = [np.argsort(band_D, kind="stable").astype(np.int32) for band_D in band_DB.T]
    for lags in _LAGS:
        for band_D, order_D in zip(band_DB.T, order_BD, strict=True):
            left_C, right_C = _of_buckets(band_D[order_D], order_D, lags, first_D)
            if left_C.size > budget:
                return Groups(first_D, False)
            budget -= left_C.size
            is_near_C = check(left_C, right_C) if left_C.size else np.zeros(0, np.bool_)
            if is_near_C.any():
                first_D = _united(first_D, left_C[is_near_C], right_C[is_near_C])
    return Groups(first_D, True)


def near_matches(left_LB: np.ndarray, right_RB: np.ndarray, check: Check) -> np.ndarray:
    """For each left document one right document that nearly duplicates it, -1 where none was found, shape (L,).

    Of a bucket, the first 32 right documents are looked at.
    """
    match_L = np.full(len(left_LB), -1, np.int64)
    if not len(right_RB):
        return match_L
    for left_L, right_R in zip(left_LB.T, right_RB.T, strict=True):
        order_R = np.argsort(right_R, kind="stable")
        low_L, high_L = (np.searchsorted(right_R[order_R], left_L, side) for side in ("left", "right"))
        for lag in range(_LAGS[-1][1]):
            open_L = np.flatnonzero((match_L < 0) & (low_L + lag < high_L))
            if not open_L.size:
                break
            right_C = order_R[low_L[open_L] + lag]
            is_near_C = check(open_L, right_C)
            match_L[open_L[is_near_C]] = right_C[is_near_C]
    return match_L


def jaccard_check(columns: Sequence[tuple[pa.ChunkedArray, pa.ChunkedArray]], near: float) -> Check:
    """A check that every pair of columns (left's text, right's text) has a Jaccard index of at least `near`."""

    def check(left_C: np.ndarray, right_C: np.ndarray) -> np.ndarray:
        is_near_C = np.ones(left_C.size, np.bool_)
        for part in parts_of(left_C.size):
            for left, right in columns:
                index_C = jaccard(left, left_C[part], right, right_C[part])
                is_near_C[part] &= index_C >= near
        return is_near_C

    return check


def parts_of(n: int) -> Iterator[slice]:
    """Slices of as many candidates as are compared at once."""
    return (slice(begin, min(begin + _CHECKED_AT_ONCE, n)) for begin in range(0, n, _CHECKED_AT_ONCE))


def jaccard(left: pa.ChunkedArray, left_C: np.ndarray, right: pa.ChunkedArray, right_C: np.ndarray) -> np.ndarray:
    """Jaccard index of the sets of shingles of text left[left_C] and right[right_C], shape (C,).

    1 for two texts without words, 0 for one.
    """
    first, second = _sets(left, left_C), _sets(right, right_C)
    size_C = np.diff(first.start_R) + np.diff(second.start_R)
    pair_S = np.concatenate([np.repeat(np.arange(left_C.size), np.diff(part.start_R)) for part in (first, second)])
    key_S = mixed_pair(pair_S.astype(np.uint64), np.concatenate([first.hash_S, second.hash_S]))
    order = np.argsort(key_S)
    twice = order[1:][key_S[order[1:]] == key_S[order[:-1]]]
    shared_C = np.bincount(pair_S[twice], minlength=left_C.size)
    return np.divide(shared_C, size_C - shared_C, out=np.ones(left_C.size), where=size_C > 0)


def _sets(column: pa.ChunkedArray, row_C: np.ndarray) -> Shingles:
    """Shingles of the texts of some rows, each once in a text."""
    unique_U, place_C = np.unique(row_C, return_inverse=True)
    found = shingles_of(words_of(take_texts(column, unique_U)))
    text_S = np.repeat(np.arange(unique_U.size), np.diff(found.start_R))
    key_S = mixed_pair(text_S.astype(np.uint64), found.hash_S)
    is_first_S = np.zeros(key_S.size, np.bool_)
    is_first_S[np.unique(key_S, return_index=True)[1]] = True
    count_U = np.bincount(text_S[is_first_S], minlength=unique_U.size)
    hash_S, start_U = found.hash_S[is_first_S], np.concatenate([[0], np.cumsum(count_U)])
    start_C = np.concatenate([[0], np.cumsum(count_U[place_C])])
    at_S = np.arange(start_C[-1]) + np.repeat(start_U[place_C] - start_C[:-1], count_U[place_C])
    return Shingles(hash_S[at_S], start_C)


def _of_buckets(
    sorted_D: np.ndarray, order_D: np.ndarray, lags: tuple[int, int], first_D: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Candidates of one band that are not in one group yet: documents up to so many places apart in a bucket."""
    left, right = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for lag in range(lags[0], lags[1] + 1):
        at = np.flatnonzero(sorted_D[lag:] == sorted_D[:-lag]) if lag < sorted_D.size else np.empty(0, np.int64)
        if not at.size:
            break
        one, other = order_D[at], order_D[at + lag]
        is_new = first_D[one] != first_D[other]
        left.append(one[is_new])
        right.append(other[is_new])
    return np.concatenate(left), np.concatenate(right)


def _united(first_D: np.ndarray, left_C: np.ndarray, right_C: np.ndarray) -> np.ndarray:
    """Groups after the documents of each pair were put into one; a group is named by its smallest index."""
    n = first_D.size
    edges = (np.ones(left_C.size, np.int8), (first_D[left_C], first_D[right_C]))
    _, label_D = connected_components(coo_array(edges, shape=(n, n)), directed=False)
    smallest = np.full(label_D.max() + 1, n)
    np.minimum.at(smallest, label_D[first_D], np.arange(n))
    return np.asarray(smallest[label_D[first_D]])
