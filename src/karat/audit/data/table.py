"""All pairs of a source, compactly: text in Arrow columns, numbers in arrays, and a sample of whole pairs.

A million pairs fit into memory as text and little else; the parts that look at every pair read this table, the parts
that need hidden states read the sample.  Axes: P pairs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from karat.data import stream_pairs
from karat.data.pairs import PairOptions
from karat.data.records import POSITION
from karat.errors import DataError
from karat.rewards.groups import last_text
from karat.types import Account, Message, PreferencePair, Text, TokenIds

ROWS_PER_CHUNK = 10_000
REPORT_EVERY = 5_000
SPLIT = "split"
"""Column that may name the split of a row."""
_TEXTS = ("prompt", "chosen", "rejected")
_CODED = ("prompt_id", "annotator", "part", "split")


@dataclass(frozen=True, slots=True)
class PairTable:
    """Pairs in the order of their sources.

    Attributes:
        prompt: whole prompt as text, turns of a conversation as "role: content" lines (Arrow large_string, chunked).
        chosen, rejected: text of each response; of a conversation its last message.
        prompt_id, annotator, part, split: dictionary-encoded text; `part` is the data's own source, subset or domain
            column, `split` its split column.
        label_P: probability that `chosen` is preferred, [0.5, 1].
        first_chosen_P: 1 where the first of two responses in the data's order was chosen, 0 the second, NaN unknown.
        row_P, source_P: row number in the file, and which of `sources` it is.
        accounts: of the readings, one for each source.
        n_tokenised: pairs that are token ids; their texts here are the numbers.
    """

    prompt: pa.ChunkedArray
    chosen: pa.ChunkedArray
    rejected: pa.ChunkedArray
    prompt_id: pa.ChunkedArray
    annotator: pa.ChunkedArray
    part: pa.ChunkedArray
    split: pa.ChunkedArray
    label_P: np.ndarray
    first_chosen_P: np.ndarray
    row_P: np.ndarray
    source_P: np.ndarray
    sources: tuple[str, ...]
    accounts: tuple[Account, ...]
    n_tokenised: int = 0

    def __len__(self) -> int:
        return int(self.label_P.size)

    @property
    def prompt_codes(self) -> np.ndarray:
        """Number of each pair's prompt_id, shape (P,): what intervals are clustered by."""
        return codes_of(self.prompt_id)

    def where(self, index: int) -> str:
        """The place of a pair, for messages: "row 17", or with its file where there are several."""
        place = f"row {self.row_P[index]}"
        return place if len(self.sources) == 1 else f"{self.sources[self.source_P[index]]} {place}"


def read_table(
    sources: Sequence[Any],
    reading: PairOptions,
    *,
    sample_pairs: int,
    seed: int = 0,
    progress: Callable[..., None] | None = None,
) -> tuple[PairTable, tuple[PreferencePair, ...]]:
    """Read sources once: every pair into the table, and a sample of whole prompts.

    The prompts of the sample have the smallest hashes of prompt and seed, so that it depends neither on the order of
    the rows nor on which other prompts are there.

    Args:
        sample_pairs: most pairs in the sample, as many whole prompts as fit (at least one).
    Returns: the table and the sample, in the order of the rows.
    Raises: DataError: nothing to read, or no pair that can be used.
    """
    builder, sample = _Columns(), _PromptSample(sample_pairs, seed)
    accounts, names = [], []
    for number, source in enumerate(sources):
        stream = stream_pairs(source, **reading)
        for row in stream:
            for pair in row.pairs:
                builder.add(pair, number)
                sample.add(pair, len(builder))
                if progress and len(builder) % REPORT_EVERY == 0:
                    progress("reading", len(builder), None, "pairs")
        accounts.append(stream.account())
        names.append(accounts[-1].source)
    if not len(builder):
        why = "; ".join(f"{entry.reason} ({entry.count})" for account in accounts for entry in account)
        raise DataError(f"{', '.join(names)}: no row gives a usable pair: {why or 'there are no rows'}.")
    return builder.build(tuple(names), tuple(accounts)), sample.pairs()


def table_of(pairs: Sequence[PreferencePair]) -> PairTable:
    """The table of pairs in memory, at least one."""
    columns = _Columns()
    for pair in pairs:
        columns.add(pair, 0)
    return columns.build(("pairs",), ())


def codes_of(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers of the distinct values of a dictionary-encoded column, shape (P,)."""
    chunks = column.unify_dictionaries().chunks
    return np.concatenate([chunk.indices.to_numpy(zero_copy_only=False) for chunk in chunks]).astype(np.int64)


def names_in(column: pa.ChunkedArray) -> list[str]:
    """The distinct values of a dictionary-encoded column; `codes_of` are places in it."""
    return [str(name) for name in column.unify_dictionaries().chunk(0).dictionary.to_pylist()]


def take_texts(column: pa.ChunkedArray, row_N: np.ndarray) -> pa.Array:
    """The texts of some rows, ascending. Chunk by chunk: Arrow would join all chunks into one first."""
    edge = np.concatenate([[0], np.cumsum([len(chunk) for chunk in column.chunks])])
    at = np.searchsorted(row_N, edge)
    taken = [
        chunk.take(pa.array(row_N[low:high] - begin))
        for chunk, begin, low, high in zip(column.chunks, edge, at, at[1:], strict=False)
        if high > low
    ]
    return pa.concat_arrays(taken) if taken else column.chunk(0).slice(0, 0)


def whole_text(text: Text) -> str:
    """A prompt as one string in which the turns can be told apart."""
    if isinstance(text, tuple):
        return "\n".join(f"{turn.role}: {turn.content}" for turn in text if isinstance(turn, Message))
    return last_text(text)


class _Columns:
    """Rows collected into Arrow chunks as they come."""

    def __init__(self) -> None:
        self._chunks: list[pa.RecordBatch] = []
        self._rows: list[tuple[Any, ...]] = []
        self._numbers: list[tuple[float, float, int, int]] = []
        self._number_blocks: list[np.ndarray] = []
        self._n = self._n_tokenised = 0

    def __len__(self) -> int:
        return self._n

    def add(self, pair: PreferencePair, source: int) -> None:
        self._rows.append(
            (
                whole_text(pair.prompt), last_text(pair.chosen), last_text(pair.rejected),
                pair.prompt_id, pair.annotator, pair.source, str(pair.extra.get(SPLIT, "")),
            )
        )  # fmt: skip
        first = {"first": 1.0, "second": 0.0}.get(str(pair.extra.get(POSITION, "")), np.nan)
        self._numbers.append((pair.label, first, pair.row, source))
        self._n += 1
        self._n_tokenised += isinstance(pair.chosen, TokenIds)
        if len(self._rows) >= ROWS_PER_CHUNK:
            self._close()

    def build(self, sources: tuple[str, ...], accounts: tuple[Account, ...]) -> PairTable:
        self._close()
        text = pa.Table.from_batches(self._chunks)
        number_P4 = np.concatenate(self._number_blocks)
        texts = {name: text.column(name) for name in _TEXTS}
        coded = {name: text.column(name).dictionary_encode() for name in _CODED}
        return PairTable(
            **texts,
            **coded,
            label_P=number_P4[:, 0],
            first_chosen_P=number_P4[:, 1],
            row_P=number_P4[:, 2].astype(np.int64),
            source_P=number_P4[:, 3].astype(np.int32),
            sources=sources,
            accounts=accounts,
            n_tokenised=self._n_tokenised,
        )

    def _close(self) -> None:
        if self._rows:
            columns = [pa.array(column, pa.large_string()) for column in zip(*self._rows, strict=True)]
            self._chunks.append(pa.RecordBatch.from_arrays(columns, [*_TEXTS, *_CODED]))
            self._number_blocks.append(np.array(self._numbers, np.float64))
            self._rows, self._numbers = [], []


class _PromptSample:
    """Pairs of the prompts with the smallest hashes; memory is bounded by twice the wanted number."""

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._seed = most, seed
        self._kept: dict[bytes, list[tuple[int, PreferencePair]]] = {}
        self._n, self._limit = 0, b"\xff" * 9

    def add(self, pair: PreferencePair, place: int) -> None:
        if not self._most:
            return
        key = hashlib.blake2b(
            pair.prompt_id.encode(errors="surrogatepass"), digest_size=8, key=str(self._seed).encode()
        ).digest()
        if key >= self._limit:
            return
        self._kept.setdefault(key, []).append((place, pair))
        self._n += 1
        if self._n >= 2 * self._most + 1000:
            self._shrink()

    def pairs(self) -> tuple[PreferencePair, ...]:
        self._shrink()
        return tuple(pair for _, pair in sorted((item for kept in self._kept.values() for item in kept), key=_place))

    def _shrink(self) -> None:
        kept: dict[bytes, list[tuple[int, PreferencePair]]] = {}
        n = 0
        for key in sorted(self._kept):
            if kept and n + len(self._kept[key]) > self._most:
                self._limit = key
                break
            kept[key] = self._kept[key]
            n += len(kept[key])
        self._kept, self._n = kept, n


def _place(item: tuple[int, PreferencePair]) -> int:
    return item[0]
