"""Values of task files: JSON as it stands, or in the tagged form that has tuples, sets and the other plain types."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from karat.data.records import DropRowError, kind_of
from karat.errors import InputError
from karat.grade.types import Comparison
from karat.sandbox.inside import wire
from karat.sandbox.types import Limits

Reader = Callable[[Any], Any]


def value_reader(form: str) -> Reader:
    """`json`: objects are dicts with text keys, lists are lists. `tagged`: `{"t": [1, 2]}` is the tuple (1, 2), and so
    on for every tag of `karat.sandbox.inside.wire`; a dict is `{"d": [[key, value], ...]}`.

    Raises: DropRowError: no such form, or (when it is called) a value that is not of it.
    """
    if form == "json":
        return lambda value: value
    if form != "tagged":
        raise DropRowError(f"values {form!r} is neither 'json' nor 'tagged'")
    return _tagged


def _tagged(value: Any) -> Any:
    try:
        return wire.decode(value)
    except (wire.WireError, RecursionError) as error:
        raise DropRowError(f"a tagged value cannot be read: {error}") from None


def read_files(value: Any) -> dict[str, bytes]:
    """Files by path: text, or `{"base64": ...}`."""
    if not isinstance(value, Mapping):
        raise DropRowError(f"files holds {kind_of(value)}, not an object of paths and texts")
    found = {}
    for path, content in value.items():
        if isinstance(content, str):
            found[str(path)] = content.encode("utf-8", "surrogatepass")
        elif isinstance(content, bytes):
            found[str(path)] = content
        elif isinstance(content, Mapping) and isinstance(content.get("base64"), str):
            try:
                found[str(path)] = base64.b64decode(content["base64"], validate=True)
            except binascii.Error as error:
                raise DropRowError(f"files: {path!r} is not base64: {error}") from None
        else:
            raise DropRowError(f"files: {path!r} holds {kind_of(content)}, not a text")
    return found


COMPARISON_CHOICES = {
    "order": ("kept", "free"),
    "types": ("python", "strict"),
    "sequences": ("distinct", "alike"),
    "text": ("exact", "lines", "tokens"),
}


def read_comparison(value: Any, **defaults: Any) -> Comparison:
    """A comparison from its fields by name; `defaults` stand where the row says nothing."""
    given = {} if value is None else value
    if not isinstance(given, Mapping):
        raise DropRowError(f"comparison holds {kind_of(value)}, not an object")
    _known("comparison", given, Comparison)
    for name, allowed in COMPARISON_CHOICES.items():
        if name in given and given[name] not in allowed:
            raise DropRowError(f"comparison: {name} is {given[name]!r}; it is one of {', '.join(allowed)}")
    for name in ("relative", "absolute"):
        number = given.get(name, 0.0)
        if not isinstance(number, int | float) or isinstance(number, bool) or not number >= 0:
            raise DropRowError(f"comparison: {name} is {number!r}; it is a number of at least 0")
    if not isinstance(given.get("nan_equal", True), bool):
        raise DropRowError("comparison: nan_equal is neither true nor false")
    return Comparison(**{**defaults, **given})


def read_limits(value: Any) -> Limits:
    given = {} if value is None else value
    if not isinstance(given, Mapping):
        raise DropRowError(f"limits holds {kind_of(value)}, not an object")
    _known("limits", given, Limits)
    for name, number in given.items():
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number < math.inf:
            raise DropRowError(f"limits: {name} is {number!r}; it is a finite number above 0")
    whole = {name: number if name.endswith("_s") else math.ceil(number) for name, number in given.items()}
    try:
        return Limits(**whole)
    except InputError as error:
        raise DropRowError(str(error)) from None


def _known(what: str, given: Mapping[str, Any], kind: type) -> None:
    names = [item.name for item in fields(kind)]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise DropRowError(f"{what}: no such field {unknown[0]!r}; it has {', '.join(names)}")


def texts(value: Any, name: str) -> tuple[str, ...]:
    """A list of texts; a single text counts as one."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise DropRowError(f"{name} holds {kind_of(value)}, not a list of texts")
