"""Which pair is dropped, turned or softened by `--fix`, and why.

Axes: P pairs of the table; the same rules serve the training folds on which a repair is measured.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from karat.audit.data.table import PairTable
from karat.errors import DataError

if TYPE_CHECKING:
    from karat.audit.data.structure import StructureFlags

What = Literal["dropped", "flipped", "softened"]

SUSPECT_ABOVE = 0.5
"""Posterior from which a label is more likely flipped than not."""
LEAST_SOFTENING = 0.01
"""Change of a label below which it is left as it is."""
LABEL_STEPS = ("drop", "flip", "soften")
"""Steps that read posteriors of label noise."""

EXACT, NEAR = "repeats another pair exactly", "nearly repeats another pair"
SUSPECT, DOUBTED = "label is probably wrong", "label may be wrong"
STRUCTURE_DROPS = (
    ("identical_P", "both sides are one text"),
    ("empty_P", "a side without text"),
    ("opposite_P", "the same responses are preferred the other way round elsewhere"),
    ("leaked_P", "prompt is in the held-out pairs"),
    ("contaminated_P", "prompt is in a benchmark"),
)
"""Flags whose pairs the step `drop` takes out, in the order in which a reason is given."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What becomes of each pair.

    Attributes:
        what_P, why_P: text, both empty for a pair that stays as it is.
        label_P: probability, after the change, that the side that was `chosen` is preferred; NaN for a dropped pair.
        like_P: the pair that is repeated, -1 for none.
        posterior_P: that the label is flipped; NaN where not known.
    """

    what_P: np.ndarray
    why_P: np.ndarray
    label_P: np.ndarray
    like_P: np.ndarray
    posterior_P: np.ndarray

    @property
    def is_kept(self) -> np.ndarray:
        return np.asarray(self.what_P != "dropped")

    def count(self, what: What) -> int:
        return int(np.sum(self.what_P == what))


def decide(
    label_P: np.ndarray,
    posterior_P: np.ndarray,
    flags: StructureFlags | None,
    *,
    steps: Sequence[str],
    flip_above: float,
) -> Changes:
    """One change for each pair at most, the first that applies: dedupe, drop for its structure, flip, drop as a
    suspect, soften.

    Args:
        label_P: in [0.5, 1].
        posterior_P: P(flipped); NaN where not known, and then no step that rests on it touches the pair.
        flags: of the same pairs; None: no step that rests on structure.
        steps: of --fix.
        flip_above: posterior from which a label is turned.
    """
    n_pairs = label_P.size
    what_P, why_P = np.full(n_pairs, "", dtype=object), np.full(n_pairs, "", dtype=object)
    like_P, new_P = np.full(n_pairs, -1, dtype=np.int64), label_P.astype(np.float64).copy()

    def mark(is_it_P: np.ndarray, what: What, why: str) -> np.ndarray:
        open_P = is_it_P & (what_P == "")
        what_P[open_P], why_P[open_P] = what, why
        return np.asarray(open_P)

    if flags is not None and "dedupe" in steps:
        is_repeat = mark(flags.exact_of_P >= 0, "dropped", EXACT)
        like_P[is_repeat] = flags.exact_of_P[is_repeat]
        is_near = mark(flags.near_P, "dropped", NEAR)
        like_P[is_near] = flags.near_group_P[is_near]
    if flags is not None and "drop" in steps:
        for name, why in STRUCTURE_DROPS:
            mark(getattr(flags, name), "dropped", why)
    turned_P = label_P * (1 - posterior_P) + (1 - label_P) * posterior_P
    if "flip" in steps:
        is_turned = mark(posterior_P >= flip_above, "flipped", SUSPECT)
        new_P[is_turned] = 1 - label_P[is_turned]
    if "drop" in steps:
        mark(posterior_P > SUSPECT_ABOVE, "dropped", SUSPECT)
    if "soften" in steps:
        is_soft = mark(np.abs(turned_P - label_P) >= LEAST_SOFTENING, "softened", DOUBTED)
        new_P[is_soft] = turned_P[is_soft]
    new_P[what_P == "dropped"] = math.nan
    return Changes(what_P, why_P, new_P, like_P, posterior_P)


def held_out_groups(
    table: PairTable, group_P: np.ndarray, is_kept_P: np.ndarray, *, share: float, seed: int
) -> np.ndarray:
    """Whether each pair goes to the test file: prompts that are nearly the same stay together, shape (P,).

    The groups with the smallest hashes of their first prompt and the seed, as many as `share` of them, at least one and
    never all.
    Raises: DataError: the kept pairs have one group.
    """
    heads = np.unique(group_P[is_kept_P])
    if heads.size < 2:
        raise DataError(f"resplit needs prompts that differ; the {int(is_kept_P.sum())} pairs that are kept share one.")
    hashes = [_hash(table.prompt[int(head)].as_py(), int(head), seed) for head in heads]
    n_held = min(heads.size - 1, max(1, round(share * heads.size)))
    held = heads[np.argsort(np.array(hashes), kind="stable")[:n_held]]
    return np.asarray(np.isin(group_P, held) & is_kept_P)


def _hash(prompt: str, place: int, seed: int) -> bytes:
    text = prompt or f"place {place}"
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8, key=str(seed).encode()).digest()
