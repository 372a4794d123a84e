"""What all visible inputs of a task have in common, so that new inputs keep it.

A task's contract is seldom written down: that a list is sorted, that brackets match, that n is positive. What holds for
every visible input is taken for part of the contract. That narrows what is asked; the alternative asks honest programs
what nobody promised to answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any

from karat.grade.hardcoding.cases import exact_key
from karat.sandbox.types import Plain

ENOUGH_FOR_A_LAW = 3
"""Values on which a law that holds by chance half the time (even, odd length, fixed length) must hold."""
SEQUENCES = (list, tuple)
GROUPS = (list, tuple, set, frozenset)
NUMBERS = (int, float)
VAST_BITS = 900
LARGEST_PRIME_LOOK = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The common shape of the values at one place of the inputs."""

    types: frozenset[type]
    values: tuple[Plain, ...]
    """The visible values themselves: material for new ones."""
    low: float = math.nan
    high: float = math.nan
    """Ends of the numbers seen."""
    decimals: int = 0
    """Most digits after the point of a float."""
    shortest: int = 0
    longest: int = 0
    fixed_length: bool = False
    letters: frozenset[str] = frozenset()
    skeletons: frozenset[str] | None = None
    """Where strings have a few patterns (`9 a a 9 a`): these; None where they are free."""
    words: tuple[str, ...] = ()
    closed_words: bool = False
    """Whether words come from a small stock, so that new ones would be of another language."""
    laws: frozenset[str] = frozenset()
    """Names of the laws in LAWS that hold for every value."""
    inner: Shape | None = None
    """Of the items, all together; of a dict, of its values."""
    keys: Shape | None = None
    places: tuple[Shape, ...] = ()
    """Of a tuple of fixed length: item by item."""

    def admits(self, value: Plain, *, room: float = 0.0) -> bool:
        """Whether a value fits; `room` widens the range of numbers and lengths by that share of it."""
        if type(value) not in self.types or not all(holds(law, value) for law in self.laws if applies(law, value)):
            return False
        if type(value) in NUMBERS:
            return self._admits_number(value, room)
        if type(value) is str:
            return self._admits_text(value, room)
        if type(value) in GROUPS:
            if not self._admits_length(len(value), room):
                return False
            if self.places and type(value) is tuple:
                return all(place.admits(item, room=room) for place, item in zip(self.places, value, strict=True))
            return self.inner is None or all(self.inner.admits(item, room=room) for item in value)
        if type(value) is dict:
            fits = self.keys is None or all(self.keys.admits(key, room=room) for key in value)
            return fits and (self.inner is None or all(self.inner.admits(item, room=room) for item in value.values()))
        return True

    def _admits_number(self, value: float, room: float) -> bool:
        if not math.isfinite(value):
            return value in self.values
        spread = (self.high - self.low) * room + (2 if room else 0)
        low = self.low if self.low >= 0 else self.low - spread
        return low <= value <= self.high + (spread if self.high > 0 else 0)

    def _admits_length(self, length: int, room: float) -> bool:
        if self.fixed_length:
            return length == self.shortest
        return self.shortest <= length <= self.longest + math.ceil(room * self.longest)

    def _admits_text(self, text: str, room: float) -> bool:
        if not self._admits_length(len(text), room) or not set(text) <= self.letters:
            return False
        if self.closed_words:
            return set(text.split()) <= set(self.words)
        return self.skeletons is None or skeleton(text) in self.skeletons


# --------------------------------------------------------------------------------------------------------------- laws
def is_prime(value: int) -> bool:
    return value > 1 and all(value % divisor for divisor in range(2, math.isqrt(value) + 1))


def is_balanced(text: str) -> bool:
    """Whether brackets match, kind by kind."""
    stack: list[str] = []
    for char in text:
        if char in "([{<":
            stack.append(")]}>"["([{<".index(char)])
        elif char in ")]}>" and (not stack or stack.pop() != char):
            return False
    return not stack


def is_sorted(values: Sequence[Any]) -> bool:
    return all(first <= second for first, second in pairwise(values))


def is_run(values: Sequence[Any]) -> bool:
    """Whether these are consecutive ints in some order."""
    return all(type(v) is int for v in values) and sorted(values) == list(range(min(values), min(values) + len(values)))


def inner_lengths(value: Sequence[Any]) -> set[int]:
    return {len(item) for item in value}


def is_nested(value: Sequence[Any]) -> bool:
    return len(value) > 0 and all(type(item) in SEQUENCES for item in value)


LAWS: Mapping[str, tuple[tuple[type, ...], int, Callable[[Any], bool]]] = {
    "even": ((int,), ENOUGH_FOR_A_LAW + 1, lambda v: v % 2 == 0),
    "odd": ((int,), ENOUGH_FOR_A_LAW + 1, lambda v: v % 2 == 1),
    "prime": ((int,), ENOUGH_FOR_A_LAW, lambda v: 0 <= v < LARGEST_PRIME_LOOK and is_prime(v)),
    "not prime": ((int,), ENOUGH_FOR_A_LAW + 1, lambda v: v >= LARGEST_PRIME_LOOK or not is_prime(v)),
    "not zero": (NUMBERS, ENOUGH_FOR_A_LAW, lambda v: v != 0),
    "whole": ((float,), 2, lambda v: math.isfinite(v) and v == int(v)),
    "sorted": (SEQUENCES, 2, is_sorted),
    "reverse sorted": (SEQUENCES, 2, lambda v: is_sorted(v[::-1])),
    "distinct": (SEQUENCES, 2, lambda v: len({exact_key(item) for item in v}) == len(v)),
    "repeats": (SEQUENCES, 2, lambda v: len({exact_key(item) for item in v}) < len(v)),
    "run": (SEQUENCES, 2, lambda v: len(v) > 1 and is_run(v)),
    "rectangular": (SEQUENCES, 1, lambda v: is_nested(v) and len(inner_lengths(v)) == 1),
    "square": (SEQUENCES, 2, lambda v: is_nested(v) and inner_lengths(v) == {len(v)}),
    "rows sorted": (SEQUENCES, 2, lambda v: is_nested(v) and all(map(is_sorted, v))),
    "mixed signs": (SEQUENCES, ENOUGH_FOR_A_LAW, lambda v: min(v) < 0 < max(v)),
    "even length": ((*SEQUENCES, str), ENOUGH_FOR_A_LAW + 1, lambda v: len(v) % 2 == 0),
    "odd length": ((*SEQUENCES, str), ENOUGH_FOR_A_LAW + 1, lambda v: len(v) % 2 == 1),
    "balanced": ((str,), 1, is_balanced),
    "palindrome": ((str, *SEQUENCES), 2, lambda v: v == v[::-1]),
    "not palindrome": ((str,), ENOUGH_FOR_A_LAW + 1, lambda v: v != v[::-1]),
    "stripped": ((str,), 1, lambda v: v == v.strip()),
    "single spaces": ((str,), 1, lambda v: "  " not in v),
    "no space": ((str,), 1, lambda v: not any(char.isspace() for char in v)),
    "digits": ((str,), 1, lambda v: v.isdigit()),
    "no leading zero": ((str,), 2, lambda v: not (len(v) > 1 and v[0] == "0")),
    "starts with a letter": ((str,), 2, lambda v: v[:1].isalpha()),
    "starts as it does": ((str,), ENOUGH_FOR_A_LAW, lambda v: v[:1].isupper()),
    "one letter case": ((str,), 2, lambda v: v == v.lower() or v == v.upper()),
}
"""Name -> types it is about, values of which it must hold to be taken for one, and what it says. A law whose test
raises does not hold."""


def applies(law: str, value: Plain) -> bool:
    return type(value) in LAWS[law][0]


def holds(law: str, value: Plain) -> bool:
    try:
        return bool(LAWS[law][2](value))
    except (TypeError, ValueError, IndexError, OverflowError):
        return False


def laws_of(values: Sequence[Plain]) -> frozenset[str]:
    """Laws that hold for every value of their types, of which there are enough."""
    found = set()
    for law, (types, least, _) in LAWS.items():
        about = [value for value in values if type(value) in types]
        if len(about) >= least and all(holds(law, value) for value in about):
            found.add(law)
    return frozenset(found)


# -------------------------------------------------------------------------------------------------------------- shape
def shape_of(values: Sequence[Plain], depth: int = 0) -> Shape:
    """The shape of the values seen at one place."""
    numbers = [value for value in values if type(value) in NUMBERS and math.isfinite(value)]
    texts = [value for value in values if type(value) is str]
    groups = [value for value in values if type(value) in GROUPS]
    tables = [value for value in values if type(value) is dict]
    sized = [len(value) for value in (*texts, *groups)]
    facts: dict[str, Any] = {}
    if numbers:
        facts |= {"low": min(numbers), "high": max(numbers), "decimals": max(map(decimals_of, numbers))}
    if sized:
        fixed = len(set(sized)) == 1 and len(sized) >= ENOUGH_FOR_A_LAW
        facts |= {"shortest": min(sized), "longest": max(sized), "fixed_length": fixed}
    if texts:
        facts |= {"letters": letters_of(texts), "skeletons": skeletons_of(texts)}
        words = [word for text in texts for word in text.split()]
        facts |= {"words": tuple(dict.fromkeys(words)), "closed_words": 2 * len(set(words)) <= len(words)}
    items = [item for value in groups for item in value] + [item for table in tables for item in table.values()]
    if items and depth < 5:
        facts["inner"] = shape_of(items, depth + 1)
    if any(tables) and depth < 5:
        facts["keys"] = shape_of([key for table in tables for key in table], depth + 1)
    tuples = [value for value in groups if type(value) is tuple]
    if tuples and len({len(value) for value in tuples}) == 1 and len(tuples) == len(groups) and depth < 5:
        places = zip(*tuples, strict=True)
        facts |= {"places": tuple(shape_of(place, depth + 1) for place in places), "fixed_length": True}
    return Shape(types=frozenset(map(type, values)), values=tuple(values), laws=laws_of(values), **facts)


def is_vast(value: Plain) -> bool:
    """Whether it holds an int beyond the floats, of which no range can be drawn from."""
    if type(value) is int:
        return value.bit_length() > VAST_BITS
    if type(value) is dict:
        return any(is_vast(key) or is_vast(item) for key, item in value.items())
    return type(value) in GROUPS and any(map(is_vast, value))


def decimals_of(value: float) -> int:
    text = repr(value) if isinstance(value, float) else ""
    return (
        len(text.partition(".")[2]) if isinstance(value, float) and "e" not in text and not text.endswith(".0") else 0
    )


def letters_of(texts: Iterable[str]) -> frozenset[str]:
    """Characters that may occur: those seen; whole alphabets where many letters of one were."""
    seen = set("".join(texts))
    for alphabet in ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"):
        if len(seen & set(alphabet)) >= (6 if len(alphabet) > 10 else 4):
            seen |= set(alphabet)
    return frozenset(seen)


def skeleton(text: str) -> str:
    """The pattern of a text: runs of letters `a`, of digits `9`, of blanks one; other characters as they are."""
    kinds = ("a" if char.isalpha() else "9" if char.isdigit() else " " if char.isspace() else char for char in text)
    return "".join(kind if kind in "a9 " else "".join(run) for kind, run in groupby(kinds))


def skeletons_of(texts: Sequence[str]) -> frozenset[str] | None:
    """The patterns, where texts have more to them than words and share patterns; None where they are free."""
    found = {skeleton(text) for text in texts}
    is_plain = all(set(pattern) <= set("a ") for pattern in found) or all(set(pattern) <= {"9"} for pattern in found)
    is_only_signs = all("a" not in pattern and "9" not in pattern for pattern in found)
    return None if is_plain or is_only_signs else frozenset(found)


# ------------------------------------------------------------------------------------------------ between arguments
PAIR_LAWS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": lambda a, b: _are_numbers(a, b) and a <= b,
    ">=": lambda a, b: _are_numbers(a, b) and a >= b,
    "<": lambda a, b: _are_numbers(a, b) and a < b,
    ">": lambda a, b: _are_numbers(a, b) and a > b,
    "!=": lambda a, b: type(a) is type(b) and a != b,
    "same length": lambda a, b: len(a) == len(b),
    "not longer": lambda a, b: len(a) <= len(b),
    "not shorter": lambda a, b: len(a) >= len(b),
    "member": lambda a, b: type(b) is not str and a in b,
    "no member": lambda a, b: type(b) in GROUPS and a not in b,
    "part": lambda a, b: type(a) is type(b) is str and a in b,
    "index": lambda a, b: type(a) is int and 0 <= a < len(b),
    "count": lambda a, b: type(a) is int and 0 <= a <= len(b),
    "its length": lambda a, b: type(a) is int and a == len(b),
}
"""Laws of two arguments, tried in both orders."""


def _are_numbers(a: Any, b: Any) -> bool:
    return type(a) in NUMBERS and type(b) in NUMBERS


def pair_holds(law: str, first: Plain, second: Plain) -> bool:
    try:
        return bool(PAIR_LAWS[law](first, second))
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShape:
    """What all visible argument tuples of a task have in common."""

    arguments: tuple[Shape, ...]
    pairs: tuple[tuple[str, int, int], ...] = field(default=())
    """(law, i, j): holds between arguments i and j of every case."""

    def admits(self, args: Sequence[Plain], *, room: float = 0.0) -> bool:
        if len(args) != len(self.arguments):
            return False
        if not all(shape.admits(arg, room=room) for shape, arg in zip(self.arguments, args, strict=True)):
            return False
        return all(pair_holds(law, args[first], args[second]) for law, first, second in self.pairs)


def input_shape(inputs: Sequence[tuple[Plain, ...]]) -> InputShape:
    """The shape of argument tuples of one length; at least one."""
    count = len(inputs[0])
    arguments = tuple(shape_of([args[place] for args in inputs]) for place in range(count))
    pairs = []
    if len(inputs) >= 2:
        for law in PAIR_LAWS:
            for first in range(count):
                for second in range(count):
                    if first != second and all(pair_holds(law, args[first], args[second]) for args in inputs):
                        pairs.append((law, first, second))
    return InputShape(arguments=arguments, pairs=tuple(pairs))
