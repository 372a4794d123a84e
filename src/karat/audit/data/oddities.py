"""What templates, exports and wrong encodings leave in responses, and endings that break off.

Axes: P pairs, K kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from karat.audit.data.scan import Piece, in_threads, pieces
from karat.audit.data.table import PairTable

UNFINISHED_CHARS = 100
"""Shorter responses may end as they like."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of leftover. `is_severe`: never part of a response; counts for the verdict of DA132."""

    name: str
    pattern: str
    """RE2; empty for the two kinds that are counted otherwise."""
    is_severe: bool


KINDS = (
    Kind(
        "chat markup",
        r"<\|[a-z_]{2,30}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<｜[^｜\n]{1,30}｜>",
        True,
    ),
    Kind("end-of-text token", r"<eos>|<\|end_?of_?text\|>|</s>\s*$", True),
    Kind(
        "turn label",
        r"(?:^\s*|\n\s*\n\s*)(?:Human|Assistant|User|### ?(?:Instruction|Response|Human|Assistant)):",
        True,
    ),
    Kind("mojibake", r"Ã[\x{80}-\x{BF}]|Â[\x{A0}-\x{BF}]|â€[^\s\w]|ï»¿|\x{FFFD}", True),
    Kind("control character", r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", True),
    Kind("HTML entity", r"&(?:amp|lt|gt|quot|nbsp|apos|#\d{2,5}|#x[0-9a-fA-F]{2,5});", False),
    Kind("invisible character", r"[\x{AD}\x{200B}\x{202A}-\x{202E}\x{2060}\x{2066}-\x{2069}\x{FEFF}]", False),
    Kind("open code fence", "", False),
    Kind("unfinished ending", "", False),
)
OPEN_FENCE, UNFINISHED = len(KINDS) - 2, len(KINDS) - 1


@dataclass(frozen=True, slots=True)
class Oddities:
    """Which kinds each response has, shape (P, K)."""

    chosen_PK: np.ndarray
    rejected_PK: np.ndarray


def find_oddities(table: PairTable, *, workers: int = 1, progress: Callable[..., None] | None = None) -> Oddities:
    """Kinds of leftovers in both responses of every pair."""

    def read(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        _, (chosen, rejected) = piece
        return kinds_of(chosen), kinds_of(rejected)

    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    done = 0
    for chosen, rejected in in_threads(read, pieces(table.chosen, table.rejected), workers):
        sides[0].append(chosen)
        sides[1].append(rejected)
        done += len(chosen)
        if progress:
            progress("leftovers of templates", done, len(table), "pairs")
    return Oddities(np.concatenate(sides[0]), np.concatenate(sides[1]))


def kinds_of(texts: pa.Array) -> np.ndarray:
    """Which kinds each text has, shape (R, K)."""
    texts = texts.fill_null("")
    columns = [pc.match_substring_regex(texts, kind.pattern) if kind.pattern else None for kind in KINDS]
    columns[OPEN_FENCE] = pc.equal(pc.bit_wise_and(pc.count_substring(texts, "```"), 1), 1)
    columns[UNFINISHED] = _is_unfinished(texts)
    return np.stack([column.to_numpy(zero_copy_only=False) for column in columns if column is not None], axis=1)


def _is_unfinished(texts: pa.Array) -> pa.Array:
    """Long texts whose last character is a letter, a digit or a comma."""
    end = pc.utf8_slice_codeunits(pc.utf8_rtrim_whitespace(texts), -1)
    is_open = pc.or_(pc.utf8_is_alnum(end), pc.equal(end, ","))
    return pc.and_(is_open, pc.greater_equal(pc.utf8_length(texts), UNFINISHED_CHARS))
