"""Whether what came back agrees with what was expected: decided in the trusted process, on rebuilt plain values.

A candidate chooses `got`, so its shape may be hostile. Every comparison ends at the first difference or takes time
linear in the size of the values (n log n where order is free): no method of a candidate's class runs, no container
is looked up by Python's hashes (numbers that collide are easy to find), no large number is printed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import count, zip_longest
from typing import Any

from karat.grade.types import Comparison

MATCHED_ITEMS = 64
"""Up to so many items, free order under a tolerance is decided by a matching; beyond, by pairing sorted items, which
is exact for numbers and may miss a pairing of composite items that nearly tie."""
TEXT = 60
"""Characters of each value in a reason."""
MAX_EXPONENT = 400
"""Decimals beyond it are compared with other Decimals only, so that none is written out digit by digit."""

NUMBERS = (bool, int, float, complex, Decimal, Fraction)
LISTS = (list, tuple)
SETS = (set, frozenset)


def agree(expected: Any, got: Any, comparison: Comparison) -> str:
    """Empty when the values agree under the task's comparison, else a short reason that shows both.

    Args:
        expected: what the task's author wrote; under a relative tolerance its size counts.
        got: what the candidate returned, of plain types only.
    """
    if comparison.text != "exact" and type(expected) is str and type(got) is str:
        return agree_text(expected, got, comparison)
    try:
        if comparison.order == "free" and _same_kind(expected, got, comparison) and type(expected) in LISTS:
            return _multiset(expected, got, comparison, "")
        return _differ(expected, got, comparison, "")
    except RecursionError:
        return "nested too deeply to be compared"


def _differ(expected: Any, got: Any, how: Comparison, path: str) -> str:
    kind, other = type(expected), type(got)
    if kind is other and kind in (str, bytes, type(None), bool):
        return "" if expected == got else _unequal(expected, got, path)
    if kind in NUMBERS and other in NUMBERS:
        if how.types == "strict" and kind is not other:
            return _types(expected, got, path)
        return "" if _numbers_agree(expected, got, how) else _unequal(expected, got, path)
    if not _same_kind(expected, got, how):
        return _types(expected, got, path)
    if kind in LISTS or kind is deque:
        return _sequence(expected, got, how, path)
    if kind in SETS:
        return _multiset(tuple(expected), tuple(got), how, path)
    if kind is dict:
        return _dictionary(expected, got, how, path)
    return "" if expected == got else _unequal(expected, got, path)  # range and the datetime types: constant time


def _same_kind(expected: Any, got: Any, how: Comparison) -> bool:
    """Whether the types of two values that are no numbers may agree at all."""
    kind, other = type(expected), type(got)
    if kind is other or (how.sequences == "alike" and kind in LISTS and other in LISTS):
        return True
    return how.types == "python" and kind in SETS and other in SETS


def _sequence(expected: Sequence[Any], got: Sequence[Any], how: Comparison, path: str) -> str:
    if len(expected) != len(got):
        return _lengths(expected, got, path)
    for at, (wanted, found) in enumerate(zip(expected, got, strict=True)):
        if wanted is found and type(wanted) in (int, str):
            continue
        reason = _differ(wanted, found, how, f"{path}[{at}]" if len(path) < TEXT else path)
        if reason:
            return reason
    return ""


def _dictionary(expected: dict[Any, Any], got: dict[Any, Any], how: Comparison, path: str) -> str:
    """Keys are equal or not, without tolerance; values are compared as elsewhere."""
    if len(expected) != len(got):
        return _lengths(expected, got, path)
    found = {_digest(key, how): value for key, value in got.items()}
    for key, value in expected.items():
        digest = _digest(key, how)
        if digest not in found:
            return f"{_at(path)}no key {short(key)} among {len(got)}"
        reason = _differ(value, found[digest], how, f"{path}[{short(key, 20)}]" if len(path) < TEXT else path)
        if reason:
            return reason
    return ""


# ------------------------------------------------------------------------------------------------------------- numbers
def _numbers_agree(expected: Any, got: Any, how: Comparison) -> bool:
    if _is_nan(expected) or _is_nan(got):
        return how.nan_equal and _is_nan(expected) and _is_nan(got)
    if (type(expected) is Decimal) != (type(got) is Decimal) and (_is_vast(expected) or _is_vast(got)):
        return False
    if expected == got:
        return True
    if not (how.relative or how.absolute) or not {type(expected), type(got)} & {float, complex, Decimal, Fraction}:
        return False
    try:
        wanted, found = _as_float(expected), _as_float(got)
        if not (_is_finite(wanted) and _is_finite(found)):
            return False
        return bool(abs(wanted - found) <= max(how.absolute, how.relative * abs(wanted)))
    except OverflowError:  # an int beyond the floats: only == can say
        return False


def _is_vast(value: Any) -> bool:
    """Beyond what a Decimal is compared with: Python would write one of the two in the other's base, in square time."""
    if type(value) is Decimal:
        return bool(value) and not value.is_infinite() and abs(value.adjusted()) > MAX_EXPONENT
    if type(value) in (int, Fraction):
        return bool(max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * MAX_EXPONENT)
    return False


def _as_float(value: Any) -> Any:
    return value if type(value) in (float, complex) else float(value)


def _is_finite(value: Any) -> bool:
    return math.isfinite(value.real) and math.isfinite(value.imag)


def _is_nan(value: Any) -> bool:
    if type(value) is Decimal:
        return value.is_nan()
    return type(value) in (float, complex) and value != value


# ---------------------------------------------------------------------------------------------------------- free order
def _multiset(expected: Sequence[Any], got: Sequence[Any], how: Comparison, path: str) -> str:
    if len(expected) != len(got):
        return _lengths(expected, got, path)
    if how.relative or how.absolute:
        if all(type(item) in (int, float, bool) for item in (*expected, *got)):
            return _paired(sorted(expected, key=_order), sorted(got, key=_order), how, path)
        if len(expected) <= MATCHED_ITEMS:
            return _matched(expected, got, how, path)
    left, extra = _unmatched(expected, got, how)
    if left and (how.relative or how.absolute):
        return _paired(sorted(left, key=_order), sorted(extra, key=_order), how, path)
    return f"{_at(path)}{short(left[0])} is missing, {short(extra[0])} is there instead" if left else ""


def _unmatched(expected: Sequence[Any], got: Sequence[Any], how: Comparison) -> tuple[list[Any], list[Any]]:
    """Items of each side that have no exact equal on the other."""
    digests = [_digest(item, how) for item in got]
    unused = Counter(digests)
    left = []
    for item in expected:
        digest = _digest(item, how)
        if unused[digest]:
            unused[digest] -= 1
        else:
            left.append(item)
    extra = []
    for item, digest in zip(got, digests, strict=True):
        if unused[digest]:
            unused[digest] -= 1
            extra.append(item)
    return left, extra


def distinct(items: Iterable[Any]) -> tuple[Any, ...]:
    """Each item once, the first of those that are ==: what `set` would keep, whatever their hashes are."""
    how = Comparison(nan_equal=False)
    kept: dict[bytes, Any] = {}
    for item in items:
        kept.setdefault(_digest(item, how), item)
    return tuple(kept.values())


def _paired(expected: Sequence[Any], got: Sequence[Any], how: Comparison, path: str) -> str:
    for wanted, found in zip(expected, got, strict=True):
        reason = _differ(wanted, found, how, path)
        if reason:
            return f"in any order: {reason}"
    return ""


def _matched(expected: Sequence[Any], got: Sequence[Any], how: Comparison, path: str) -> str:
    """A perfect matching of items that agree (Kuhn's augmenting paths, breadth first)."""
    edges = [[at for at, found in enumerate(got) if not _differ(wanted, found, how, "")] for wanted in expected]
    owner: dict[int, int] = {}
    for start, wanted in enumerate(expected):
        came_from: dict[int, int] = {}
        queue, free = deque([start]), -1
        while queue and free < 0:
            node = queue.popleft()
            for at in edges[node]:
                if at in came_from:
                    continue
                came_from[at] = node
                if at not in owner:
                    free = at
                    break
                queue.append(owner[at])
        if free < 0:
            return f"{_at(path)}{short(wanted)} has no item of its own among {short(list(got))}"
        taken = {node: at for at, node in owner.items()}
        while free >= 0:
            node = came_from[free]
            owner[free], free = node, taken.get(node, -1)
    return ""


def _order(value: Any) -> Any:
    """A total order over plain values in which numbers go by size."""
    kind = type(value)
    if value is None:
        return (0,)
    if kind in (bool, int, float):
        return (1, 1, 0) if value != value else (1, 0, value)
    if kind is str:
        return (2, value)
    if kind is bytes:
        return (3, value)
    if kind in LISTS or kind is deque:
        return (4, [_order(item) for item in value])
    if kind in SETS:
        return (5, sorted(_order(item) for item in value))
    if kind is dict:
        return (6, sorted([_order(key), _order(item)] for key, item in value.items()))
    return (7, short(value, 1000))


_UNEQUAL = count()
"""Numbers the NaNs that equal nothing, where the task says so."""


def _digest(value: Any, how: Comparison) -> bytes:
    """Equal for values that are equal under `how` without its tolerance, different (but for chance) for others."""
    kind = type(value)
    tag = kind.__name__ if how.types == "strict" else ""
    if kind in NUMBERS:
        if _is_nan(value) and not how.nan_equal:
            return f"nan {next(_UNEQUAL)}".encode()
        return f"n{tag}{_number_name(value)}".encode()
    if kind is str:
        return b"s" + _hash(value.encode("utf-8", "surrogatepass"))
    if kind is bytes:
        return b"b" + _hash(value)
    if kind in LISTS or kind is deque:
        name = "list" if kind in LISTS and how.sequences == "alike" else kind.__name__
        hasher = hashlib.blake2b(name.encode(), digest_size=16)
        for item in value:
            hasher.update(_hash(_digest(item, how)))
        return hasher.digest()
    if kind in SETS or kind is dict:
        parts = value if kind in SETS else value.items()
        name = "set" if kind in SETS and not tag else kind.__name__
        hasher = hashlib.blake2b(name.encode(), digest_size=16)
        for part in sorted(_digest(part, how) for part in parts):
            hasher.update(_hash(part))
        return hasher.digest()
    if kind is range:
        step = hex(value.step) if value and value[0] != value[-1] else ""
        return f"range {hex(value[0])} {hex(value[-1])} {step}".encode() if value else b"range"
    return f"{kind.__qualname__} {value!r}".encode()  # None and the datetime types


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _number_name(value: Any) -> str:
    """One name for all numbers that are == to each other."""
    if _is_nan(value):
        return "nan"
    if type(value) is complex:
        if value.imag:
            return f"{_number_name(value.real)} {_number_name(value.imag)}j"
        value = value.real
    if type(value) is float:
        if math.isinf(value):
            return "-inf" if value < 0 else "inf"
        top, bottom = value.as_integer_ratio()
    elif type(value) is Decimal:
        if value.is_infinite():
            return "-inf" if value < 0 else "inf"
        if value and abs(value.adjusted()) > MAX_EXPONENT:
            sign, digits, exponent = value.as_tuple()
            text = "".join(map(str, digits)).lstrip("0")
            return f"D{sign} {text.rstrip('0')} {int(exponent) + len(text)}"
        top, bottom = value.as_integer_ratio()
    else:
        top, bottom = (int(value), 1) if type(value) is bool else (value.numerator, value.denominator)
    return hex(top) if bottom == 1 else f"{hex(top)}/{hex(bottom)}"


# -------------------------------------------------------------------------------------------------------- printed text
def agree_text(expected: str, got: str, comparison: Comparison) -> str:
    """Empty when printed texts agree under `comparison.text`.

    lines: trailing blanks of lines and blank lines at the end do not count. tokens: texts are split at white space;
    two tokens agree when they are the same text, or numbers within the tolerance.
    """
    if comparison.text == "exact":
        return "" if expected == got else _unequal(expected, got, _first_line_of(expected, got))
    if comparison.text == "lines":
        wanted, found = _lines(expected), _lines(got)
        for number, (line, other) in enumerate(zip_longest(wanted, found), start=1):
            if line != other:
                return f"line {number}: expected {_or_none(line, 'no line')}, got {_or_none(other, 'no line')}"
        return ""
    tokens, others = expected.split(), got.split()
    for number, (token, other) in enumerate(zip_longest(tokens, others), start=1):
        if token != other and (token is None or other is None or not _tokens_agree(token, other, comparison)):
            return f"token {number}: expected {_or_none(token, 'no more')}, got {_or_none(other, 'no more')}"
    return ""


def _first_line_of(expected: str, got: str) -> str:
    """Where two texts begin to differ, when that is not their first line."""
    for number, (line, other) in enumerate(zip(expected.split("\n"), got.split("\n"), strict=False), start=1):
        if line != other:
            return f"line {number}" if number > 1 else ""
    return ""


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _or_none(text: str | None, otherwise: str) -> str:
    return otherwise if text is None else short(text)


NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?(?:inf|infinity|nan)", re.IGNORECASE
)
"""A printed number. 0011 is none, it may be a code or a binary text; nor is 1_000, which only Python reads so."""


def _tokens_agree(expected: str, got: str, comparison: Comparison) -> bool:
    """Whether two different tokens are the same number. Whole numbers are compared digit by digit, of any length."""
    if not (NUMBER.fullmatch(expected) and NUMBER.fullmatch(got)):
        return False
    wanted, found = _digits(expected), _digits(got)
    if wanted and found:
        return wanted == found
    try:
        return _numbers_agree(float(expected[:1000]), float(got[:1000]), comparison)
    except ValueError:
        return False


def _digits(token: str) -> str:
    """A whole number in one spelling; empty for anything else."""
    body = token[1:] if token[:1] in "+-" else token
    if not (body.isascii() and body.isdigit()):
        return ""
    value = body.lstrip("0") or "0"
    return f"-{value}" if token[0] == "-" and value != "0" else value


# ------------------------------------------------------------------------------------------------------------- reasons
def _at(path: str) -> str:
    return f"at {path}: " if path else ""


def _unequal(expected: Any, got: Any, path: str) -> str:
    return f"{_at(path)}expected {short(expected)}, got {short(got)}"


def _types(expected: Any, got: Any, path: str) -> str:
    return f"{_at(path)}expected {short(expected)} ({type(expected).__name__}), got {short(got)} ({type(got).__name__})"


def _lengths(expected: Any, got: Any, path: str) -> str:
    return f"{_at(path)}expected {len(expected)} items, got {len(got)}: expected {short(expected)}, got {short(got)}"


def short(value: Any, limit: int = TEXT) -> str:
    """A value in at most about `limit` characters, in time that does not depend on its size."""
    text = _write(value, limit, 0)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}"), set: ("{", "}")}


def _write(value: Any, limit: int, depth: int) -> str:
    kind = type(value)
    if kind is int and value.bit_length() > 256:
        return f"<int of {value.bit_length()} bits>"
    if kind in (str, bytes):
        return repr(value[: limit + 1])
    if kind in LISTS or kind in SETS or kind in (deque, dict):
        if depth > 3:
            return "..."
        parts: list[str] = []
        size = 0
        for item in value.items() if kind is dict else value:
            both = item if kind is dict else (item,)
            parts.append(": ".join(_write(part, limit, depth + 1) for part in both))
            size += len(parts[-1])
            if size > limit:
                break
        opened, closed = BRACKETS.get(kind) or (f"{kind.__name__}(", ")")
        comma = "," if kind is tuple and len(value) == 1 else ""
        return "set()" if kind is set and not value else f"{opened}{', '.join(parts)}{comma}{closed}"
    if kind is range:
        return f"range({', '.join(_write(part, limit, depth) for part in (value.start, value.stop, value.step))})"
    if kind is Fraction and max(value.numerator.bit_length(), value.denominator.bit_length()) > 256:
        return "<Fraction of many digits>"
    return repr(value)
