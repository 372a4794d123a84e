"""Whether a relation of an assertion holds for a plain result: decided in the trusted process."""

from __future__ import annotations

import builtins
import math
import operator
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karat.grade.assertions import Relation
from karat.grade.compare import agree, distinct, short
from karat.grade.types import Comparison

PYTHON = Comparison(nan_equal=False)
"""As == decides."""
ORDERS: dict[Relation, tuple[Callable[[Any, Any], Any], str]] = {
    "less": (operator.lt, "<"),
    "at most": (operator.le, "<="),
    "greater": (operator.gt, ">"),
    "at least": (operator.ge, ">="),
}
CONTAINERS = (list, tuple, set, frozenset, dict, deque, range, str, bytes)


class ViewError(Exception):
    """A view that this result does not have, as the test's own expression would have raised."""


def broken(
    relation: Relation, expected: Any, got: Any, *, views: Sequence[tuple[str, Any]], settings: Mapping[str, Any]
) -> str:
    """Empty when the relation holds, else the reason.

    Args:
        expected: the right-hand side of the assertion.
        got: what the candidate returned, of plain types.
        views: (name, digits) of the functions around the call, innermost first.
        settings: bounds of near, close and equal.
    """
    try:
        is_set = bool(views) and views[-1][0] == "set"
        for name, digits in views:
            got = _view(name, digits, got)
        return _broken(relation, expected, got, settings, is_set)
    except ViewError as error:
        return str(error)
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        return f"the result {short(got)} does not fit the assertion: {type(error).__name__}: {str(error)[:80]}"


def _broken(relation: Relation, expected: Any, got: Any, settings: Mapping[str, Any], is_set: bool) -> str:
    if relation in ("equal", "different"):
        how = Comparison(
            nan_equal=False, relative=settings.get("relative", 0.0), absolute=settings.get("absolute", 0.0)
        )
        reason = _sets_differ(expected, got) if is_set else agree(expected, got, how)
        if relation == "equal":
            return reason
        return "" if reason else f"expected anything but {short(expected)}"
    if relation in ("true", "false"):
        return "" if bool(got) == (relation == "true") else f"expected a {relation} value, got {short(got)}"
    if relation in ("identical", "not identical"):
        same = type(got) is type(expected) and got == expected
        if relation == "identical":
            return "" if same else f"expected {short(expected)} itself, got {short(got)}"
        return "" if not same else f"expected anything but {short(expected)}"
    if relation in ("near", "close"):
        return _far(relation, expected, got, settings)
    if relation in ORDERS:
        compare, sign = ORDERS[relation]
        return "" if compare(got, expected) else f"expected a result {sign} {short(expected)}, got {short(got)}"
    return _outside(relation, expected, got)


def _sets_differ(expected: Any, got: tuple[Any, ...]) -> str:
    """`set(f(x)) == expected`: the distinct items against those of a set."""
    if type(expected) not in (set, frozenset):
        return f"expected {short(expected)}, got a set"
    return agree(list(expected), list(got), Comparison(order="free", nan_equal=False))


def _far(relation: Relation, expected: Any, got: Any, settings: Mapping[str, Any]) -> str:
    numbers = (int, float, bool) if relation == "close" else (int, float, bool, complex)
    if type(got) not in numbers:
        return f"expected a number near {short(expected)}, got {short(got)} ({type(got).__name__})"
    if relation == "close":
        is_near = math.isclose(got, expected, rel_tol=settings["relative"], abs_tol=settings["absolute"])
    else:
        distance, bound = abs(got - expected), settings["within"]
        is_near = distance <= bound if settings["inclusive"] else distance < bound
    return "" if is_near else f"expected a number near {short(expected)}, got {short(got)}"


def _outside(relation: Relation, expected: Any, got: Any) -> str:
    if relation == "instance":
        names = expected if isinstance(expected, (list, tuple)) else [expected]
        kinds = tuple(getattr(builtins, name) for name in names)
        return "" if isinstance(got, kinds) else f"expected {' or '.join(names)}, got {type(got).__name__}"
    inside, container = (got, expected) if relation in ("one of", "none of") else (expected, got)
    is_in = _contains(container, inside)
    if relation in ("one of", "contains"):
        return "" if is_in else f"{short(inside)} is not in {short(container)}"
    return "" if not is_in else f"{short(inside)} is in {short(container)}"


def _contains(container: Any, item: Any) -> bool:
    if type(container) not in CONTAINERS:
        raise TypeError(f"{type(container).__name__} has no items")
    if type(container) in (str, bytes, range):
        return item in container
    return any(not agree(found, item, PYTHON) for found in container)


# --------------------------------------------------------------------------------------------------------------- views
def _view(name: str, digits: Any, got: Any) -> Any:
    if name in ("len", "set", "sorted", "list", "tuple", "sum", "max", "min"):
        if type(got) not in CONTAINERS:
            raise ViewError(f"{name}() of {short(got)} ({type(got).__name__})")
        if name == "len":
            return len(got)
        if name == "set":
            return distinct(_hashable(got))
        return {"sorted": sorted, "list": list, "tuple": tuple, "sum": sum, "max": max, "min": min}[name](got)  # type: ignore[operator]
    if name == "str":
        if type(got) is int and got.bit_length() > 10_000:
            raise ViewError(f"str() of {short(got)}")
        return str(got)
    if name == "round":
        return round(got) if digits is None else round(got, digits)
    return abs(got)


def _hashable(items: Any) -> list[Any]:
    """Raises ViewError for an item that Python's set would not take."""
    stack = list(items)
    while stack:
        item = stack.pop()
        if type(item) in (list, set, dict, deque):
            raise ViewError(f"set() of items of type {type(item).__name__}")
        if type(item) is tuple:
            stack.extend(item)
    return list(items)
