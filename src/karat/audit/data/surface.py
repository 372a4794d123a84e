"""How the two sides of every pair differ in what can be counted without reading.

Counts are compared as log(1 + count), shares as they are: a difference keeps its sign, and ten more words on a hundred
are as much as a hundred on a thousand. A share that one side does not have (no words) is no difference.

Axes: P pairs, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from karat.data.text_features import FEATURES, count_features

MARKDOWN = "markdown marks"
_MARKDOWN_OF = tuple(FEATURES.index(name) for name in ("list items", "headers", "bold spans", "code fences"))
RULES: tuple[str, ...] = (*FEATURES, MARKDOWN)
"""What is compared: each feature, and lists, headers, bold and code fences together."""
FAMILIES: dict[str, tuple[str, ...]] = {
    "length": ("length, characters", "length, words", "lines", "distinct words, share", "repeated triples, share"),
    "format": ("list items", "headers", "bold spans", "code fences", "links", MARKDOWN),
    "tone": (
        "exclamation marks", "question marks", "praise at the start", "politeness words", "apology words",
    ),
    "certainty": ("hedging words", "confidence words"),
    "self and refusal": ("first person words", '"as an AI"', "refusal phrases"),
    "characters": ("digits", "non-ASCII, share"),
}  # fmt: skip
"""Features that stand for much the same are judged together: each alone can be replaced by its neighbours."""
_IS_SHARE = np.array(["share" in name for name in RULES])
PAIRS_AT_ONCE = 5_000
PARALLEL_FROM = 40_000
"""Pairs from which a second process is worth its start."""


def feature_differences(
    chosen: pa.ChunkedArray,
    rejected: pa.ChunkedArray,
    *,
    workers: int = 1,
    progress: Callable[..., None] | None = None,
) -> np.ndarray:
    """chosen - rejected in each of RULES, shape (P, F), float32.

    Each distinct text of a block of pairs is counted once.

    Args:
        chosen, rejected: texts of P pairs (Arrow text).
        workers: processes.
        progress: called as progress(stage, done, total, note).
    """
    n_pairs = len(chosen)
    out_PF = np.empty((n_pairs, len(RULES)), np.float32)
    done = 0
    for block_PF in _counted(_blocks(chosen, rejected), workers if n_pairs >= PARALLEL_FROM else 1):
        out_PF[done : done + len(block_PF)] = block_PF
        done += len(block_PF)
        if progress:
            progress("counting surface features", done, n_pairs, "pairs")
    return out_PF


def block_differences(chosen: Sequence[str | None], rejected: Sequence[str | None]) -> np.ndarray:
    """`feature_differences` of one block of pairs, in this process."""
    place = {text: index for index, text in enumerate(dict.fromkeys([*chosen, *rejected]))}
    count_RF = np.array([count_features(text or "") for text in place], np.float64).reshape(len(place), len(FEATURES))
    count_RF = np.column_stack([count_RF, count_RF[:, _MARKDOWN_OF].sum(axis=1)])
    count_RF[:, ~_IS_SHARE] = np.log1p(count_RF[:, ~_IS_SHARE])
    at_chosen, at_rejected = ([place[text] for text in side] for side in (chosen, rejected))
    return np.nan_to_num(count_RF[at_chosen] - count_RF[at_rejected]).astype(np.float32)


def _blocks(chosen: pa.ChunkedArray, rejected: pa.ChunkedArray) -> Iterator[tuple[list[str], list[str]]]:
    for start in range(0, len(chosen), PAIRS_AT_ONCE):
        yield (
            chosen.slice(start, PAIRS_AT_ONCE).to_pylist(),
            rejected.slice(start, PAIRS_AT_ONCE).to_pylist(),
        )


def _counted(blocks: Iterator[tuple[list[str], list[str]]], workers: int) -> Iterator[np.ndarray]:
    if workers == 1:
        yield from (block_differences(*block) for block in blocks)
        return
    # joblib comes with scikit-learn; its processes do not run the user's script again
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    yield from Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs", max_nbytes=None)(
        delayed(block_differences)(*block) for block in blocks
    )
