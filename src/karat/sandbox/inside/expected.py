"""What the reference's objects are, so that a candidate gives objects only where the reference does.

An object of the candidate has methods that are his: `abs(f(2) - 4.0) < 1e-6` hands him the expected value to subtract.
So the reference's run notes, for each use that the tests make of the module, what kind of thing came back. In a
candidate's run a thing of another kind is no value: what can be iterated becomes a list or iterator of what it yields,
what can be called stays a function, and all else is an `Opaque` that has no methods and equals nothing.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from karat.sandbox.inside.standin import (
    ARITHMETIC,
    FunctionStandin,
    ModuleStandin,
    Standin,
    internal,
    is_plain_standin,
    iterate,
    number_of,
    suspect,
)

LABEL_LENGTH = 200
MAX_ITEMS = 100_000
UNLABELLED = ("describe", "dir", "names", "str", "repr", "format", "bool", "setattr", "delattr", "iter")
"""Operations whose results are data of fixed types, or iterators that no test sees."""


class Opaque:
    """An object of the candidate where the reference gives a value."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name} of the candidate, where the reference gives a plain value>"


def label_of(operation: str, args: tuple[Any, ...]) -> str:
    """The use that a test makes, by the path on which it came there: `solution.Stack().pop()`. Never by a name that
    the candidate gives. Empty where nothing but data can come back."""
    if operation in UNLABELLED:
        return ""
    if operation == "import":
        return str(args[0])
    owner = internal(args[0], "_karat_label", "?")
    if operation == "getattr":
        label = f"{owner}.{args[1]}"
    elif operation == "call":
        label = f"{owner}()"
    elif operation == "special":
        label = f"{owner}.{operator_of(args[1])}()"
    else:
        label = f"{owner}.{operation}()"
    return label if len(label) <= LABEL_LENGTH else f"{label[:100]}...{label[-60:]}"


def operator_of(name: str) -> str:
    """One name for `__add__`, `__radd__` and `__iadd__`: which of them a class has is its author's choice."""
    bare = name.strip("_")
    return f"__{bare[1:]}__" if bare in ARITHMETIC and bare[1:] in ARITHMETIC else name


def kind_of(value: Any) -> str:
    """plain, function, class, module, coroutine or instance."""
    if number_of(value) is None and not isinstance(value, types.CoroutineType):
        return "plain"
    if type(value) is FunctionStandin:
        return "function"
    if isinstance(value, types.CoroutineType):
        return "coroutine"
    if type(value) is ModuleStandin:
        return "module"
    return "class" if isinstance(value, type) else "instance"


class Expected:
    """Kinds by use: noted in the reference's run, kept in a candidate's."""

    def __init__(self, known: Mapping[str, Any] | None) -> None:
        self.known = None if known is None else {label: frozenset(kinds) for label, kinds in known.items()}
        self.seen: dict[str, set[str]] = {}

    def label(self, value: Any, name: str) -> str:
        """The use of a special method."""
        return label_of("special", (value, name))

    def note_plain(self, value: Any, label: str) -> None:
        """In the reference's run: that a use gives a value, perhaps beside objects."""
        if label and self.known is None and kind_of(value) == "plain":
            self.seen.setdefault(label, set()).add("plain")

    def may_operate(self, value: Any, name: str) -> bool:
        """Whether an operator of an object is to be asked, which hands it the other side: perhaps the expected value.

        Where a use gives now an object and now a value with the reference, only an operator that the reference's run
        came to is the object's; those of the value are Python's own.
        """
        label = self.label(value, name)
        if self.known is None:
            self.seen.setdefault(label, set())
            return True
        return label in self.known or "plain" not in self.known.get(internal(value, "_karat_label", "?"), ())

    def admit(self, value: Any, label: str) -> Any:
        """The value as the tests may have it."""
        kind = kind_of(value)
        if not label or kind == "plain":
            return value
        self.seen.setdefault(label, set()).add(kind)
        allowed = self.known.get(label, frozenset()) if self.known is not None else frozenset([kind])
        if kind == "class" and kind in allowed and "(" not in label:
            type.__setattr__(value, "_karat_label", label)  # by the name under which the tests know it
        if kind in allowed or is_plain_standin(value):
            return value.labelled(label) if kind == "function" else value
        if kind in ("function", "class", "instance") and allowed & {"function", "class", "instance"}:
            return FunctionStandin(value._karat_link, number_of(value) or 0, "function", None).labelled(label)
        if isinstance(value, Standin):
            suspect(value)
        if isinstance(value, Standin) and "iter" in type(value)._karat_specials:
            items = iterate(value._karat_link, value)
            return [item for item, _ in zip(items, range(MAX_ITEMS), strict=False)] if sized(value) else items
        return Opaque(kind)


def sized(value: Any) -> bool:
    return "len" in type(value)._karat_specials
