"""What a format is: how a row is known to be of it, and how the row becomes pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from karat.data.records import Row
from karat.types import PreferencePair


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


def typed(row: Mapping[str, Any], kind: Callable[[Any], bool], *names: str) -> bool:
    """Whether all columns are there and of a kind."""
    return all(kind(row.get(name)) for name in names)


def absent(row: Mapping[str, Any], *names: str) -> bool:
    return all(row.get(name) is None for name in names)
