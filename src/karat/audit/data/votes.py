"""Several votes on the same two responses, wherever the data holds them.

Two places: rows that compare the same responses to the same prompt again, in either order (the row's annotator voted);
and columns annotator1, annotator2, ... of one row, each with 1, 2 or 0 for a tie in the data's own order.

Axes: V votes, U units (a prompt with two responses), N responses.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from karat.data.records import POSITION, as_number
from karat.types import PreferencePair, Text

_COLUMN = re.compile(r"annotator_?\d+")


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes in the order of the pairs.

    Attributes:
        unit_V: unit of each vote; annotator_V: who voted, "" where the data does not say.
        value_V: 1: the unit's first response is preferred, -1: its second, 0: a tie.
        first_U, second_U: responses of each unit, numbered over all prompts; prompt_U: number of its prompt.
        prompt_N: number of the prompt of each response.
        text_N: the responses; prompts: the prompts' names.
        n_again: votes left out because the same annotator had voted on that unit before.
    """

    unit_V: np.ndarray
    annotator_V: np.ndarray
    value_V: np.ndarray
    first_U: np.ndarray
    second_U: np.ndarray
    prompt_U: np.ndarray
    prompt_N: np.ndarray
    text_N: tuple[Text, ...]
    prompts: tuple[str, ...]
    n_again: int

    @property
    def n_units(self) -> int:
        return int(self.first_U.size)

    def repeated(self) -> np.ndarray:
        """Which votes are on units that have two or more, shape (V,)."""
        return np.asarray(np.bincount(self.unit_V, minlength=self.n_units)[self.unit_V] >= 2)


def read_votes(pairs: Sequence[PreferencePair]) -> Votes:
    """Every vote of the pairs.

    Which response of a unit is its first is decided by their texts, as if by lot: the one that is met first would be
    the one that the first vote prefers, and agreement on it would look like agreement by chance.
    """
    prompts: dict[str, int] = {}
    responses: dict[tuple[int, Text], int] = {}
    units: dict[tuple[int, int], int] = {}
    seen: set[tuple[int, str]] = set()
    rows: list[tuple[int, str, int]] = []
    n_again = 0
    for pair in pairs:
        prompt = prompts.setdefault(pair.prompt_id, len(prompts))
        chosen = responses.setdefault((prompt, pair.chosen), len(responses))
        rejected = responses.setdefault((prompt, pair.rejected), len(responses))
        if chosen == rejected:
            continue
        sign = 1 if _place(pair.chosen) < _place(pair.rejected) else -1
        sides = (chosen, rejected) if sign > 0 else (rejected, chosen)
        unit = units.setdefault(sides, len(units))
        for annotator, value in votes_of(pair):
            if annotator and (unit, annotator) in seen:
                n_again += 1
                continue
            seen.add((unit, annotator))
            rows.append((unit, annotator, sign * value))
    side_U2 = np.array(list(units), dtype=np.int64).reshape(-1, 2)
    prompt_N = np.array([prompt for prompt, _ in responses], dtype=np.int64)
    return Votes(
        unit_V=np.array([unit for unit, _, _ in rows], dtype=np.int64),
        annotator_V=np.array([annotator for _, annotator, _ in rows], dtype=object),
        value_V=np.array([value for _, _, value in rows], dtype=np.float64),
        first_U=side_U2[:, 0],
        second_U=side_U2[:, 1],
        prompt_U=prompt_N[side_U2[:, 0]] if len(units) else np.empty(0, dtype=np.int64),
        prompt_N=prompt_N,
        text_N=tuple(text for _, text in responses),
        prompts=tuple(prompts),
        n_again=n_again,
    )


def _place(text: Text) -> bytes:
    return hashlib.blake2b(repr(text).encode(), digest_size=8).digest()


def votes_of(pair: PreferencePair) -> Iterator[tuple[str, int]]:
    """(annotator, value) of each vote in a row; value 1: for `chosen`, -1: for `rejected`, 0: a tie."""
    columns = sorted(name for name in pair.extra if isinstance(name, str) and _COLUMN.fullmatch(name))
    sign = {"first": 1, "second": -1}.get(str(pair.extra.get(POSITION, "")), 0)
    held = [(name, as_number(pair.extra[name])) for name in columns]
    if held and sign and all(math.isnan(value) or value in (0, 1, 2) for _, value in held):
        for name, value in held:
            if not math.isnan(value):
                yield name, sign * {0: 0, 1: 1, 2: -1}[int(value)]
        return
    yield pair.annotator, 0 if pair.is_tie else 1
