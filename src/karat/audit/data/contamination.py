"""Benchmark prompts in preference data: equal, near, or word sequence by word sequence.

Axes: P pairs, N benchmark rows, G sequences of words ("grams"), M matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from karat.audit.data.leakage import PromptSet, shared_prompts
from karat.audit.data.scan import in_threads, pieces, scan_prompts
from karat.audit.data.shingles import mixed_pair, shingles_of, words_of
from karat.audit.data.table import PairTable, whole_text
from karat.data import stream_pairs
from karat.data.account import AccountBuilder
from karat.data.files import open_source
from karat.data.records import DropRowError, Row
from karat.errors import DataError
from karat.types import Text

TEXT_COLUMNS = ("prompt", "question", "instruction", "problem", "query", "input", "text", "messages", "turns")
"""Columns that hold a benchmark's prompt; the first that a row has is taken."""
LONG, SHORT = 13, 8
"""Words of a sequence, for prompts with at least so many."""
LEAST_SHARE = 0.5
TEMPLATE_ROWS = 3
_BITS = 22
FIELDS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Prompts of a benchmark file that are not empty, and the rows they came from."""

    name: str
    texts: pa.ChunkedArray
    row_N: np.ndarray
    rows_read: int


@dataclass(frozen=True, slots=True)
class Match:
    """A benchmark row found in a pair: where, how, and the share of its word sequences (NaN where not by these)."""

    row: int
    pair: int
    field: str
    how: str
    share: float


@dataclass(frozen=True, slots=True)
class Contamination:
    """What of one benchmark was found.

    Attributes:
        matches: one for each benchmark row and pair, the strongest.
        touched_rows: benchmark rows of which any sequence is in the data, found or not.
        short_rows: rows that can only be found as a whole prompt.
    """

    benchmark: Benchmark
    matches: tuple[Match, ...]
    touched_rows: int
    short_rows: int


def read_benchmark(path: str) -> Benchmark:
    """Prompts of any file that karat reads: rows with a prompt column, or preference pairs.

    Raises: DataError: there is no prompt in it.
    """
    source = open_source(path)
    rows, texts, n_rows = [], [], 0
    for number, item in enumerate(source.rows(AccountBuilder(source.name))):
        n_rows += 1
        text = "" if item.problem else _prompt_of(Row(item.raw, number))
        if text.strip():
            rows.append(number)
            texts.append(text)
    if not rows:
        with suppress(DataError):  # no pairs either: said below
            for number, prompt in _prompts_of_pairs(path):
                if prompt.strip():
                    rows.append(number)
                    texts.append(prompt)
    if not rows:
        raise DataError(
            f"{path}: no prompt in {n_rows} rows. A benchmark row needs one of the columns {', '.join(TEXT_COLUMNS)}, "
            "or the columns of a pair format."
        )
    return Benchmark(Path(path).name, pa.chunked_array([pa.array(texts, pa.large_string())]), np.array(rows), n_rows)


def find_contamination(
    table: PairTable,
    prompts: PromptSet,
    benchmark: Benchmark,
    *,
    near: float,
    workers: int = 1,
    progress: Callable[..., None] | None = None,
) -> Contamination:
    """Where the rows of a benchmark are in the data.

    Args:
        prompts: distinct prompts of the table.
        near: Jaccard index from which a prompt is the benchmark's.
    """
    matches: dict[tuple[int, int], Match] = {}
    for match in _whole_prompts(table, prompts, benchmark, near):
        matches[match.row, match.pair] = match
    touched: set[int] = set()
    words = words_of(benchmark.texts.chunk(0))
    for size, is_asked_N in (
        (LONG, words.counts >= LONG),
        (SHORT, (words.counts >= SHORT) & (words.counts < LONG)),
    ):
        grams = _Grams(benchmark, np.flatnonzero(is_asked_N), size)
        for number, begin, counts in grams.search(table, workers, progress):
            for (text, row), share in counts.items():
                touched.add(row)
                key = (int(benchmark.row_N[row]), begin + text)
                if share >= LEAST_SHARE and key not in matches:
                    matches[key] = Match(*key, FIELDS[number], f"{size}-word sequences", share)
    return Contamination(
        benchmark, tuple(matches[key] for key in sorted(matches)), len(touched), int((words.counts < SHORT).sum())
    )


def _prompt_of(row: Row) -> str:
    """The text of the first prompt column that a row has; empty where there is none."""
    for name in TEXT_COLUMNS:
        if row.has(name):
            try:
                return _text(row, name)
            except DropRowError:
                continue
    return ""


def _text(row: Row, name: str) -> str:
    value: Any = row.raw[name]
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    turns = row.messages(name)
    asked = next((at for at in range(len(turns), 0, -1) if turns[at - 1].role != "assistant"), 0)
    prompt: Text = turns[:asked]
    return whole_text(prompt)


def _prompts_of_pairs(path: str) -> Iterator[tuple[int, str]]:
    for row in stream_pairs(path):
        for pair in row.pairs:
            yield row.row, whole_text(pair.prompt)


def _whole_prompts(table: PairTable, prompts: PromptSet, benchmark: Benchmark, near: float) -> Iterator[Match]:
    """Prompts of the data that are a benchmark row's, exactly or nearly."""
    asked = PromptSet(scan_prompts(benchmark.texts, near=near), benchmark.texts)
    if not len(asked) or not len(prompts):
        return
    shared = shared_prompts(asked, prompts, near=near)
    exact_U = np.zeros(len(prompts), np.bool_)
    exact_U[shared.left_L[shared.exact_L]] = True
    rows_of = [np.flatnonzero(asked.prompts.of_P == index) for index in range(len(asked))]
    seen = set()
    for pair in np.flatnonzero(np.isin(prompts.prompts.of_P, np.flatnonzero(shared.right_R >= 0))):
        mine = prompts.prompts.of_P[pair]
        for row in rows_of[shared.right_R[mine]]:
            seen.add(int(row))
            how = "equal prompt" if exact_U[mine] else "near prompt"
            yield Match(int(benchmark.row_N[row]), int(pair), "prompt", how, np.nan)
    for index in np.flatnonzero(shared.left_L >= 0).tolist():  # rows whose match in the data is nearer to another row
        for row in rows_of[index]:
            if int(row) not in seen:
                nearest = int(prompts.prompts.first_U[shared.left_L[index]])
                yield Match(int(benchmark.row_N[row]), nearest, "prompt", "near prompt", np.nan)


class _Grams:
    """The word sequences of some benchmark rows, for searching."""

    def __init__(self, benchmark: Benchmark, rows: np.ndarray, size: int) -> None:
        texts = benchmark.texts.chunk(0).take(pa.array(rows))
        found = shingles_of(words_of(texts), size)
        row_G = np.repeat(rows, np.diff(found.start_R))
        once = np.unique(mixed_pair(row_G.astype(np.uint64), found.hash_S), return_index=True)[1]
        hash_G, row_G = found.hash_S[once], row_G[once]
        order = np.argsort(hash_G, kind="stable")
        hash_G, row_G = hash_G[order], row_G[order]
        _, of_G, rows_G = np.unique(hash_G, return_inverse=True, return_counts=True)
        kept = rows_G[of_G] <= TEMPLATE_ROWS
        self.hash_G, self.row_G, self.size = hash_G[kept], row_G[kept], size
        self.count_N = np.bincount(self.row_G, minlength=len(benchmark.row_N))
        self._is_there = np.zeros(1 << _BITS, np.bool_)
        self._is_there[self._low_bits(self.hash_G)] = True

    def search(
        self, table: PairTable, workers: int, progress: Callable[..., None] | None
    ) -> Iterator[tuple[int, int, dict[tuple[int, int], float]]]:
        """Column, first pair of a stretch, and the share of each row's sequences that a text of it holds."""
        if not self.hash_G.size:
            return
        for number, name in enumerate(FIELDS):
            done = 0
            for begin, n, counts in in_threads(self._of_piece, pieces(getattr(table, name)), workers):
                done += n
                if progress:
                    progress("looking for benchmark rows", done, len(table), f"{name} texts")
                if counts:
                    yield number, begin, counts

    def _of_piece(self, piece: tuple[int, tuple[pa.Array, ...]]) -> tuple[int, int, dict[tuple[int, int], float]]:
        begin, (texts,) = piece
        found = shingles_of(words_of(texts), self.size)
        at_M = np.flatnonzero(self._is_there[self._low_bits(found.hash_S)])  # a few false ones, told apart below
        hash_M = found.hash_S[at_M]
        low_M, high_M = (np.searchsorted(self.hash_G, hash_M, side) for side in ("left", "right"))
        text_M = np.searchsorted(found.start_R, at_M, "right") - 1
        hits = {
            (int(text), gram, int(self.row_G[gram]))
            for text, low, high in zip(text_M, low_M, high_M, strict=True)
            for gram in range(low, high)
        }
        counts: dict[tuple[int, int], int] = {}
        for text, _, row in hits:
            counts[text, row] = counts.get((text, row), 0) + 1
        return begin, len(texts), {(text, row): n / int(self.count_N[row]) for (text, row), n in counts.items()}

    @staticmethod
    def _low_bits(hash_G: np.ndarray) -> np.ndarray:
        return (hash_G & np.uint64((1 << _BITS) - 1)).astype(np.int64)
