"""New inputs from visible ones: changed by type, kept to what all visible inputs have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from karat.grade.hardcoding.cases import exact_key, loose_key
from karat.grade.hardcoding.shape import GROUPS, InputShape, Shape, input_shape, is_vast
from karat.sandbox.types import Plain

TRIES_PER_INPUT = 40
LARGER = 3.0
"""Times the range seen, that inputs meant to be large may reach beyond it."""
ROOM = 0.5
"""Share of the range by which new numbers and lengths may exceed those seen, once there are none left within."""


def mutated_inputs(inputs: Sequence[tuple[Plain, ...]], n: int, rng: np.random.Generator) -> list[tuple[Plain, ...]]:
    """At most n inputs, distinct, none of them visible, each with what the visible ones have in common.

    Inputs of the commonest number of arguments are changed. First within the ranges seen; where these are nearly used
    up, beyond them by half. Inputs that hold numbers beyond the floats are left alone.
    """
    inputs = [args for args in inputs if not is_vast(args)]
    if not inputs or n <= 0:
        return []
    lengths = [len(args) for args in inputs]
    width = max(sorted(set(lengths)), key=lengths.count)
    alike = [args for args in inputs if len(args) == width]
    if not width:
        return []
    shape = input_shape(alike)
    seen = {loose_key(args) for args in inputs}
    found: list[tuple[Plain, ...]] = []
    for room, wanted in ((0.0, n), (ROOM, n)):
        for _ in range(TRIES_PER_INPUT * n):
            if len(found) >= wanted:
                return found
            args = _changed_arguments(alike, shape, room, rng)
            key = loose_key(args)
            if key not in seen and shape.admits(args, room=room):
                seen.add(key)
                found.append(args)
    return found


def larger_inputs(inputs: Sequence[tuple[Plain, ...]], n: int, rng: np.random.Generator) -> list[tuple[Plain, ...]]:
    """At most n inputs like the visible ones with larger numbers and longer lists and texts than any of these.

    They lie outside what was seen, so an honest program may fail on one; who gives up on large inputs fails on all.
    """
    inputs = [args for args in inputs if not is_vast(args)]
    alike = [args for args in inputs if len(args) == max(map(len, inputs))]
    if not alike or not alike[0] or n <= 0:
        return []
    shape = input_shape(alike)
    seen, found = {loose_key(args) for args in inputs}, []
    for _ in range(TRIES_PER_INPUT * n):
        args = tuple(
            _larger(value, argument, rng) for value, argument in zip(_pick(alike, rng), shape.arguments, strict=True)
        )
        key = loose_key(args)
        if key not in seen and shape.admits(args, room=LARGER):
            seen.add(key)
            found.append(args)
        if len(found) == n:
            break
    return found


def _larger(value: Plain, shape: Shape, rng: np.random.Generator) -> Plain:
    kind = type(value)
    if kind is int and shape.high > 0:
        return int(shape.high) + 1 + int(rng.random() * ((LARGER - 1) * (shape.high - shape.low) + 1))
    if shape.fixed_length or shape.places or kind not in (str, list, tuple):
        return value
    same: list[Any] = [other for other in shape.values if type(other) is kind]
    joint: Any = " " if kind is str and any(" " in text for text in same) else kind()
    while len(value) <= shape.longest and any(same):
        value = value + joint + _pick(same, rng)
    return value if kind is str else kind(_mended(list(value), shape, rng))


def _changed_arguments(
    inputs: Sequence[tuple[Plain, ...]], shape: InputShape, room: float, rng: np.random.Generator
) -> tuple[Plain, ...]:
    """One case, each argument kept, taken from another case, or changed; at least one of them changed."""
    args = list(_pick(inputs, rng))
    must_change = int(rng.integers(len(args)))
    for place, argument in enumerate(shape.arguments):
        act = rng.random()
        if place == must_change or act < 0.5:
            args[place] = changed(args[place], argument, room, rng)
        elif act < 0.75:
            args[place] = _pick(argument.values, rng)
    for law, first, second in shape.pairs:  # mend what chance alone would seldom meet
        if law == "same length" and type(args[first]) in (list, tuple, str):
            size = min(len(args[first]), len(args[second]))
            args[first], args[second] = args[first][:size], args[second][:size]
        elif law == "member" and type(args[second]) in GROUPS and args[second]:
            args[first] = _pick(sorted(args[second], key=exact_key), rng)
        elif law in ("<=", "<") and type(args[first]) is type(args[second]) and args[first] > args[second]:
            args[first], args[second] = args[second], args[first]
        elif law == "its length":
            args[first] = len(args[second])
        elif law in ("index", "count") and args[second]:
            args[first] = int(rng.integers(len(args[second])))
    return tuple(args)


def changed(value: Plain, shape: Shape, room: float, rng: np.random.Generator) -> Plain:
    """Another value of the same type; sometimes the same, where there is no other."""
    change = CHANGES.get(type(value))
    if change is None:
        return _pick(shape.values, rng)
    for _ in range(6):
        new = change(value, shape, room, rng)
        if shape.admits(new, room=room) and exact_key(new) != exact_key(value):
            return new
    return _pick(shape.values, rng)


def _pick(values: Sequence[Any], rng: np.random.Generator) -> Any:
    return values[int(rng.integers(len(values)))]


# ------------------------------------------------------------------------------------------------------------ numbers
def _change_bool(value: bool, shape: Shape, room: float, rng: np.random.Generator) -> bool:
    return not value


def _change_int(value: int, shape: Shape, room: float, rng: np.random.Generator) -> int:
    low, high = int(shape.low), int(shape.high)
    low, high = (
        (low if low >= 0 else low - int((high - low) * room)),
        high + (int((high - low) * room) + 2) * (room > 0),
    )
    act = rng.random()
    if act < 0.35:
        return value + int(rng.choice([-3, -2, -1, 1, 2, 3]))
    if act < 0.45 and low < 0:
        return -value
    if high - low < 1 << 60:
        return int(rng.integers(low, high + 1))
    return low + int(rng.random() * (high - low))


def _change_float(value: float, shape: Shape, room: float, rng: np.random.Generator) -> float:
    spread = max(shape.high - shape.low, 1e-3)
    if "whole" in shape.laws:
        return float(_change_int(int(value), shape, room, rng))
    if rng.random() < 0.5:
        new = value + spread * float(rng.normal(0, 0.1))
    else:
        new = shape.low + (spread * (1 + room)) * float(rng.random())
    return round(new, max(1, min(shape.decimals, 6)))


# --------------------------------------------------------------------------------------------------------------- text
def _change_text(value: str, shape: Shape, room: float, rng: np.random.Generator) -> str:
    if len(value.split()) > 1 and rng.random() < 0.8:
        return _change_words(value, shape, rng)
    letters = sorted(shape.letters)
    chars = list(value)
    for _ in range(1 + int(rng.integers(3))):
        act, place = rng.random(), int(rng.integers(len(chars) + 1))
        if act < 0.45 and place < len(chars):
            chars[place] = _like(chars[place], letters, rng)
        elif act < 0.6 and place < len(chars):
            del chars[place]
        elif act < 0.75 and letters:
            chars.insert(place, _like(_pick(chars, rng) if chars else letters[0], letters, rng))
        elif act < 0.85:
            chars = [chars[index] for index in rng.permutation(len(chars))]
        else:
            other = _pick([text for text in shape.values if type(text) is str], rng)
            chars = chars + list(other) if rng.random() < 0.5 else list(other)[: max(1, len(chars))]
    if "palindrome" in shape.laws:
        half = chars[: (len(chars) + 1) // 2]
        chars = half + half[: len(chars) // 2][::-1]
    return "".join(chars)


def _like(char: str, letters: Sequence[str], rng: np.random.Generator) -> str:
    """Another character of the same kind, so that a pattern stays."""
    kinds: tuple[Callable[[str], bool], ...] = (str.isdigit, str.islower, str.isupper, str.isspace)
    is_kind = next((kind for kind in kinds if kind(char)), lambda other: not other.isalnum())
    alike = [letter for letter in letters if is_kind(letter)]
    return str(_pick(alike, rng)) if alike else char


def _change_words(value: str, shape: Shape, rng: np.random.Generator) -> str:
    """Words exchanged, left out, repeated or taken from other texts; numbers among them changed."""
    words = value.split(" ")
    for _ in range(1 + int(rng.integers(3))):
        act, place = rng.random(), int(rng.integers(len(words)))
        if words[place].isdigit():
            words[place] = str(int(rng.integers(1, max(12, 2 * int(words[place][:6])))))
        elif act < 0.35 and shape.words:
            words[place] = str(_pick(shape.words, rng))
        elif act < 0.55:
            other = int(rng.integers(len(words)))
            words[place], words[other] = words[other], words[place]
        elif act < 0.75 and len(words) > 1:
            del words[place]
        elif shape.words:
            words.insert(place, str(_pick(shape.words, rng)))
    return " ".join(words)


# ------------------------------------------------------------------------------------------------------------- groups
def _change_sequence(value: Any, shape: Shape, room: float, rng: np.random.Generator) -> Any:
    items = list(value)
    if shape.places:
        for place in {int(rng.integers(len(items))) for _ in range(1 + len(items) // 2)} if items else ():
            items[place] = changed(items[place], shape.places[place], room, rng)
        return tuple(items)
    inner = shape.inner
    for _ in range(1 + int(rng.integers(4))):
        act, place = rng.random(), int(rng.integers(len(items) + 1))
        if act < 0.4 and place < len(items) and inner:
            items[place] = changed(items[place], inner, room, rng)
        elif act < 0.55 and place < len(items) and len(items) > 1 and not shape.fixed_length:
            del items[place]
        elif act < 0.7 and inner and not shape.fixed_length:
            items.insert(place, changed(_pick(inner.values, rng), inner, room, rng))
        elif act < 0.8 and len(items) > 1:
            items = [items[index] for index in rng.permutation(len(items))]
        elif act < 0.88 and items:
            items[int(rng.integers(len(items)))] = _pick(items, rng)
        elif inner:
            items = [changed(_pick(inner.values, rng), inner, room, rng) for _ in items]
    return type(value)(_mended(items, shape, rng))


def _mended(items: list[Any], shape: Shape, rng: np.random.Generator) -> list[Any]:
    """Laws met that chance alone would seldom meet."""
    laws = shape.laws
    if "run" in laws and items and all(type(item) is int for item in items):
        items = [min(items) + int(index) for index in rng.permutation(len(items))]
    if "distinct" in laws:
        items = list({exact_key(item): item for item in items}.values())
    if "repeats" in laws and items and not shape.fixed_length:
        items.append(_pick(items, rng))
    if "rectangular" in laws and items and all(type(item) in (list, tuple) for item in items):
        width = min(map(len, items))
        items = [item[:width] for item in items[: width if "square" in laws else None]]
    try:
        if "sorted" in laws:
            items = sorted(items)
        elif "reverse sorted" in laws:
            items = sorted(items, reverse=True)
    except TypeError:
        pass
    return items + items[::-1] if "palindrome" in laws else items


def _change_set(value: Any, shape: Shape, room: float, rng: np.random.Generator) -> Any:
    return type(value)(_change_sequence(sorted(value, key=exact_key), shape, room, rng))


def _change_dict(value: dict[Any, Any], shape: Shape, room: float, rng: np.random.Generator) -> dict[Any, Any]:
    items = dict(value)
    for key in list(items):
        act = rng.random()
        if act < 0.4 and shape.inner:
            items[key] = changed(items[key], shape.inner, room, rng)
        elif act < 0.5 and len(items) > 1:
            del items[key]
    if shape.keys and shape.inner and rng.random() < 0.4:
        items[_pick(shape.keys.values, rng)] = changed(_pick(shape.inner.values, rng), shape.inner, room, rng)
    return items


CHANGES: dict[type, Callable[[Any, Shape, float, np.random.Generator], Any]] = {
    bool: _change_bool,
    int: _change_int,
    float: _change_float,
    str: _change_text,
    list: _change_sequence,
    tuple: _change_sequence,
    set: _change_set,
    frozenset: _change_set,
    dict: _change_dict,
}
"""By exact type; a value of another type is only exchanged for a visible one."""
