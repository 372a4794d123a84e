"""One pass over the text of a table: a key for each text, and the bands by which near duplicates are found.

Axes: P pairs, U distinct prompts, B bands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from karat.audit.data.near import SLOTS, band_hashes, plan_for
from karat.audit.data.shingles import joined, keys_of, shingles_of, signatures, words_of
from karat.audit.data.table import PairTable

BYTES_AT_ONCE = 4_000_000
ROWS_AT_ONCE = 4096
SEED = 7
"""Of the signatures. Fixed, so that which near duplicates are missed does not depend on the seed of the audit."""

T = TypeVar("T")
R = TypeVar("R")

Piece = tuple[int, tuple[pa.Array, ...]]
"""Where it begins, and the columns of that stretch."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The distinct prompts of a table that are not empty; texts that differ in case or white space are one.

    Attributes:
        key_U: of `keys_of`, ascending.
        first_U: first pair with that prompt.
        band_UB: for near duplicates.
        of_P: which prompt each pair has; -1 for an empty one.
    """

    key_U: np.ndarray
    first_U: np.ndarray
    band_UB: np.ndarray
    of_P: np.ndarray


@dataclass(frozen=True, slots=True)
class Scan:
    """Keys of the three texts of each pair, its bands, and the distinct prompts."""

    prompt_P: np.ndarray
    chosen_P: np.ndarray
    rejected_P: np.ndarray
    band_PB: np.ndarray
    prompts: Prompts


@dataclass(frozen=True, slots=True)
class _Found:
    key_P3: np.ndarray
    band_PB: np.ndarray
    prompt_key_U: np.ndarray
    prompt_first_U: np.ndarray
    prompt_band_UB: np.ndarray


def scan_table(table: PairTable, *, near: float, workers: int = 1, progress: Callable[..., None] | None = None) -> Scan:
    """Keys and bands of every pair.

    Args:
        near: Jaccard index from which texts are near duplicates.
        workers: threads; the work is done in numpy, Arrow and rensa, which run beside each other.
    """

    def read(piece: Piece) -> _Found:
        return _scan_piece(piece, near)

    found = []
    for done in in_threads(read, pieces(table.prompt, table.chosen, table.rejected), workers):
        found.append(done)
        if progress:
            progress("fingerprints of texts", sum(len(item.key_P3) for item in found), len(table), "pairs")
    key_P3 = np.concatenate([item.key_P3 for item in found])
    prompts = _distinct(
        np.concatenate([item.prompt_key_U for item in found]),
        np.concatenate([item.prompt_first_U for item in found]),
        np.concatenate([item.prompt_band_UB for item in found]),
        key_P3[:, 0],
    )
    return Scan(key_P3[:, 0], key_P3[:, 1], key_P3[:, 2], np.concatenate([item.band_PB for item in found]), prompts)


def scan_prompts(texts: pa.ChunkedArray, *, near: float) -> Prompts:
    """The distinct prompts of a column of texts."""
    keys, firsts, bands = [], [], []
    for begin, (prompt,) in pieces(texts):
        _, key_U, first_U, band_UB, _ = _prompt_part(begin, prompt, near)
        keys.append(key_U)
        firsts.append(first_U)
        bands.append(band_UB)
    if not keys:
        empty = np.empty(0, np.int64)
        return Prompts(empty.astype(np.uint64), empty, np.empty((0, plan_for(near, 1).bands), np.uint64), empty)
    all_keys = np.concatenate([keys_of(words_of(piece)) for _, (piece,) in pieces(texts)])
    return _distinct(np.concatenate(keys), np.concatenate(firsts), np.concatenate(bands), all_keys)


def pieces(*columns: pa.ChunkedArray) -> Iterator[Piece]:
    """Stretches of rows, of a few megabytes of text each, of columns that are cut into the same chunks."""
    begin = 0
    for number in range(columns[0].num_chunks):
        chunks = [column.chunk(number) for column in columns]
        size_R = np.sum([pc.binary_length(chunk).fill_null(0).to_numpy(zero_copy_only=False) for chunk in chunks], 0)
        total_R = np.concatenate([[0], np.cumsum(size_R)])
        low = 0
        while low < len(size_R):
            high = int(np.searchsorted(total_R, total_R[low] + BYTES_AT_ONCE, "right")) - 1
            high = min(max(high, low + 1), low + ROWS_AT_ONCE, len(size_R))
            yield begin + low, tuple(chunk.slice(low, high - low) for chunk in chunks)
            low = high
        begin += len(size_R)


def in_threads(work: Callable[[T], R], items: Iterator[T], workers: int) -> Iterator[R]:
    """Results in order; never more pieces in the air than twice the threads."""
    if workers < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = []
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 2 * workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _scan_piece(piece: Piece, near: float) -> _Found:
    begin, (prompt, chosen, rejected) = piece
    prompt_key_R, key_U, first_U, prompt_band_UB, signature_RK = _prompt_part(begin, prompt, near)
    chosen_words, rejected_words = words_of(chosen), words_of(rejected)
    sides = joined(shingles_of(chosen_words), shingles_of(rejected_words))
    band_PB = band_hashes([signature_RK, signatures(sides, SLOTS, seed=SEED)], plan_for(near, 2))
    key_P3 = np.stack([prompt_key_R, keys_of(chosen_words), keys_of(rejected_words)], axis=1)
    return _Found(key_P3, band_PB, key_U, first_U, prompt_band_UB)


def _prompt_part(
    begin: int, prompt: pa.Array, near: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Key of each prompt of a piece; of its distinct ones key, place and bands; and the signature of each prompt."""
    key_R = keys_of(words_of(prompt))
    key_U, first_U, of_R = np.unique(key_R, return_index=True, return_inverse=True)
    signature_UK = signatures(shingles_of(words_of(prompt.take(pa.array(first_U)))), SLOTS, seed=SEED)
    band_UB = band_hashes([signature_UK], plan_for(near, 1))
    is_text = key_U != 0
    return key_R, key_U[is_text], first_U[is_text] + begin, band_UB[is_text], signature_UK[of_R]


def _distinct(key: np.ndarray, first: np.ndarray, band: np.ndarray, key_P: np.ndarray) -> Prompts:
    """Pieces in their order, so that the first place of a key is the first pair that has it."""
    key_U, at_U = np.unique(key, return_index=True)
    of_P = np.full(key_P.size, -1, np.int64)
    if key_U.size:
        place_P = np.minimum(np.searchsorted(key_U, key_P), key_U.size - 1)
        of_P = np.where(key_U[place_P] == key_P, place_P, -1)
    return Prompts(key_U, first[at_U], band[at_U], of_P)
