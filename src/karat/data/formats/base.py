"""What a format is: how a row is known to be of it, and how the row becomes pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from karat.data.records import Row
from karat.errors import InputError
from karat.types import NAN, PreferencePair


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may choose about the reading of some formats."""

    hh_as: str = "text"
    """hh-rlhf as plain "text", or as "messages"."""
    attribute_weights: Mapping[str, float] = field(default_factory=dict)
    """Where responses carry ratings, prefer by the weighted sum of these; empty: by the format's own rule."""

    def __post_init__(self) -> None:
        if self.hh_as not in ("text", "messages"):
            raise InputError(f"hh_as is {self.hh_as!r}; hh-rlhf is read as 'text' or as 'messages'.")


@dataclass(frozen=True, slots=True)
class Format:
    """One format of preference pairs.

    `matches` looks at names and types of columns only, never at how good the values are: a row of the format with a bad
    value still matches, so that it is dropped with its reason and not taken for something else.
    """

    name: str
    columns: str
    description: str
    matches: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Row], list[PreferencePair]]
    """Pairs of a row; raises DropRowError with the reason when there are none."""
    join: Callable[[Row, Row], list[PreferencePair] | None] | None = None
    """For formats with one response a row: the pairs of two rows in succession, None when they do not belong together.
    `read` then only checks that a row can take part."""
    configure: Callable[[Options], Format] | None = None
    """The format as the options ask for it."""
    attributes: tuple[str, ...] = ()
    """Names of the ratings that `attribute_weights` may weigh."""


def typed(row: Mapping[str, Any], kind: Callable[[Any], bool], *names: str) -> bool:
    """Whether all columns are there and of a kind."""
    return all(kind(row.get(name)) for name in names)


def weighted_sum(ratings: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Sum of weight * rating, NaN when a rating is missing.

    Rounded to 9 digits, so that sums which differ by the rounding of floats alone are ties.
    """
    return round(math.fsum(weight * ratings.get(name, NAN) for name, weight in weights.items()), 9)


def absent(row: Mapping[str, Any], *names: str) -> bool:
    return all(row.get(name) is None for name in names)
