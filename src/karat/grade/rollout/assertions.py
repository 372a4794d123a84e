"""Assertions of tests: found in pieces of Python, and what an edit did to each of them."""

from __future__ import annotations

import ast
import difflib
import re
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from karat.grade.rollout.scripts import dotted
from karat.grade.rollout.statements import Statement

_LOOSE = frozenset(["rel", "abs", "atol", "rtol", "delta", "tol", "tolerance", "eps", "epsilon", "rel_tol", "abs_tol"])
_TIGHT = frozenset(["places", "decimal", "significant"])
_EQUALS = re.compile(r"^assert_?(equals?|list_?equal|dict_?equal|set_?equal|tuple_?equal|multi_?line_?equal|is"
                     r"|count_?equal"
                     r"|array_?equal|frame_equal|series_equal|raises|raises_?regex)$", re.I)  # fmt: skip
_CLOSE = re.compile(r"close|almost|approx", re.I)
MOST_COMPARED = 40_000_000
"""Characters times characters of lines that are compared for likeness in one rollout: about 8 s at the worst, and some
10,000 pairs of ordinary lines.
"""
MAX_LENGTH = 300
"""Characters of a line that are compared."""
Verdict = Literal["same", "expected", "weaker", "other"]


@dataclass(slots=True)
class Assertion:
    """One assertion."""

    statement: Statement
    kind: str
    """assert, call (assertEqual, assert_allclose), raises."""
    text: str
    """Normalised source, without the message."""
    left: str
    right: str
    """Expected value; empty where there is none."""
    operator: str
    """==, !=, <, in, is, truth, equal, close, raises, ..."""

    @property
    def line(self) -> int:
        return self.statement.line


def find_assertions(statements: list[Statement]) -> list[Assertion]:
    found = []
    for statement in statements:
        assertion = _assertion(statement)
        if assertion is not None:
            found.append(assertion)
    return found


def _assertion(statement: Statement) -> Assertion | None:
    node = statement.node
    if node is None:
        return None
    if isinstance(node, ast.Assert):
        return _of_assert(statement, node)
    if isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and re.search(
                r"(raises|warns|assertRaises\w*|assertWarns\w*)$", dotted(call.func)
            ):
                return _of_raises(statement, call)
        return None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return _of_call(statement, node.value)
    return None


def _of_raises(statement: Statement, call: ast.Call) -> Assertion:
    right = ", ".join(map(ast.unparse, call.args))
    extra = ", ".join(f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in call.keywords)
    return Assertion(statement, "raises", ast.unparse(call), "", f"{right}; {extra}" if extra else right, "raises")


def _of_assert(statement: Statement, node: ast.Assert) -> Assertion:
    test = node.test
    text = "assert " + ast.unparse(test)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        operator = _SYMBOLS.get(type(test.ops[0]), "?")
        left, right = ast.unparse(test.left), ast.unparse(test.comparators[0])
        return Assertion(statement, "assert", text, left, right, operator)
    if isinstance(test, ast.Call) and _CLOSE.search(dotted(test.func)) and len(test.args) > 1:
        return Assertion(statement, "assert", text, ast.unparse(test.args[0]), ast.unparse(test.args[1]), "close")
    return Assertion(statement, "assert", text, ast.unparse(test), "", "truth")


def _of_call(statement: Statement, call: ast.Call) -> Assertion | None:
    name = dotted(call.func).rsplit(".", 1)[-1]
    if name == "raises" and call.args:  # pytest.raises(Error, function), or the head of a with block in a piece
        return _of_raises(statement, call)
    if not re.match(r"^(assert|expect$|verify$|check_(equal|that)|fail_unless)", name):
        return None
    args = [ast.unparse(argument) for argument in call.args]
    operator = "equal" if _EQUALS.match(name) else "close" if _CLOSE.search(name) else name
    left = args[0] if args else ast.unparse(call.func)
    return Assertion(statement, "call", ast.unparse(call), left, args[1] if len(args) > 1 else "", operator)


_SYMBOLS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
_OPPOSITES = ({"==", "!="}, {"in", "not in"}, {"is", "is not"}, {"<", ">="}, {">", "<="}, {"<", ">"}, {"<=", ">="})
_STRENGTH = {"==": 5, "is": 5, "equal": 5, "raises": 5, "close": 4, "in": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
             "not in": 2, "!=": 2, "is not": 1, "truth": 1}  # fmt: skip


def compare(before: Assertion, after: Assertion) -> tuple[Verdict, str]:
    """What became of an assertion, and why; `before` and `after` are about the same thing."""
    if before.text == after.text:
        return "same", ""
    if _always_true(after):
        return "weaker", "is always true now"
    if before.operator == "raises" and after.operator == "raises":
        if re.match(r"(Base)?Exception\b", after.right) and not re.match(r"(Base)?Exception\b", before.right):
            return "weaker", "any exception will do"
        if "match=" in before.right and "match=" not in after.right:
            return "weaker", "the message is no longer checked"
        return "expected", "another exception is expected"
    if before.left == after.left and before.right == after.right and {before.operator, after.operator} in _OPPOSITES:
        return "expected", "the opposite is expected"
    loose = _looser(before, after)
    if loose:
        return "weaker", loose
    strong, weak = _STRENGTH.get(before.operator, 3), _STRENGTH.get(after.operator, 3)
    # `assert ok` says as much as `assert ok is True`, so a bare truth weakens only what compared two values.
    if weak < strong and not (before.right in ("True", "None", "False") and weak >= 1 and before.operator == "is"):
        return "weaker", f"{_named(before.operator)} became {_named(after.operator)}"
    if before.operator in ("<", "<=", ">", ">=") and after.operator == before.operator and before.left == after.left:
        return _bound(before, after)
    if before.right != after.right and before.left == after.left and before.operator == after.operator:
        return "expected", "the expected value changed"
    if _names(before.left) == _names(after.left) and before.left != after.left and before.operator == after.operator:
        return "expected", "another input is tested"
    if _partly(before, after):
        return "weaker", "only a part of the value is compared"
    return "other", "the assertion changed"


def _names(text: str) -> set[str]:
    """Names in an expression, without its literals."""
    return set(re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)))


def _named(operator: str) -> str:
    return {"truth": "a test of truth", "equal": "equality", "close": "closeness"}.get(operator, f"`{operator}`")


def _always_true(assertion: Assertion) -> bool:
    text = assertion.text.removeprefix("assert ")
    if re.search(r"\bor (True|1)\b|^True$|^1$|^\(True\b|^not False$|or not ", text) and "or not" not in text:
        return True
    if re.fullmatch(r"(self\.)?assert(True|False|Equal|Is|AlmostEqual)\((.*)\)", text):
        inside = text[text.index("(") + 1 : -1]
        parts = [part.strip() for part in inside.split(",")]
        return inside in ("True", "1") or (len(parts) == 2 and parts[0] == parts[1])
    return bool(assertion.operator in ("==", "is", "equal") and assertion.left == assertion.right != "") or bool(
        re.fullmatch(r"(\d+|'[^']*'|\"[^\"]*\") == \1", text)
    )


def _looser(before: Assertion, after: Assertion) -> str:
    old, new = tolerances(before), tolerances(after)
    for name in old.keys() & new.keys():
        if (new[name] > old[name]) if name in _LOOSE else (new[name] < old[name]):
            return f"tolerance {name} {old[name]:g} became {new[name]:g}"
    added = [name for name in new.keys() - old.keys() if name in _LOOSE]
    if added and "close" in (before.operator, after.operator):
        return f"tolerance {added[0]}={new[added[0]]:g} added"
    if _CLOSE.search(after.text) and not _CLOSE.search(before.text) and before.operator in ("==", "equal"):
        return "equality became closeness"
    return ""


def tolerances(assertion: Assertion) -> dict[str, float]:
    """Tolerances in an assertion by the name of their argument."""
    try:
        tree = ast.parse(assertion.text)
    except SyntaxError:
        return {}
    found: dict[str, float] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in _LOOSE | _TIGHT:
            try:
                found[str(node.arg)] = float(ast.literal_eval(node.value))
            except (ValueError, TypeError, SyntaxError):
                continue
    return found


def _bound(before: Assertion, after: Assertion) -> tuple[Verdict, str]:
    try:
        old, new = float(ast.literal_eval(before.right)), float(ast.literal_eval(after.right))
    except (ValueError, TypeError, SyntaxError):
        return "expected", "the bound changed"
    is_looser = new > old if before.operator.startswith("<") else new < old
    return ("weaker", f"bound {old:g} became {new:g}") if is_looser else ("other", "the bound is tighter")


def _partly(before: Assertion, after: Assertion) -> bool:
    """`f(x) == y` became `len(f(x)) == n`, `type(f(x)) == t`, `f(x)[0] == y[0]`, `isinstance(f(x), t)`."""
    return before.left != after.left and before.left in after.left and bool(
        re.match(r"(len|type|isinstance|bool|str|set|sorted|round|int|abs)\(", after.left)
        or re.search(r"\[\d*:?\d*\]$", after.left)
    )  # fmt: skip


Pair = tuple[Assertion | None, Assertion | None]


class Comparisons:
    """Comparisons of lines that one rollout may still take. What is beyond them is not made, and counted."""

    def __init__(self, most: int = MOST_COMPARED) -> None:
        self.left = most
        """Characters times characters."""
        self.lacked = 0
        """Pairs of lines."""

    def likeness(self, old: str, new: str) -> float:
        """How alike two lines are, 0 to 1, by their first 300 characters; 0 where nothing is left to compare them."""
        old, new = old[:MAX_LENGTH], new[:MAX_LENGTH]
        if self.left <= 0:
            self.lacked += 1
            return 0.0
        self.left -= len(old) * len(new)
        return difflib.SequenceMatcher(None, old, new, autojunk=False).ratio()


def pair_up(before: list[Assertion], after: list[Assertion], comparisons: Comparisons) -> list[Pair]:
    """Assertions of one test before and after: equal ones, then those on the same left side, then similar ones."""
    pairs: list[Pair] = []
    left, right = _pair_equal(before, after, lambda item: item.text, pairs)
    left, right = _pair_equal(left, right, lambda item: item.left, pairs)
    unpaired: list[Assertion] = []
    for at, old in enumerate(left):
        if comparisons.left <= 0:
            comparisons.lacked += (len(left) - at) * len(right)
            unpaired += left[at:]
            break
        found = next((place for place, new in enumerate(right) if _similar(old, new, comparisons)), None)
        if found is None:
            unpaired.append(old)
        else:
            pairs.append((old, right.pop(found)))
    return [*pairs, *((old, None) for old in unpaired), *((None, new) for new in right)]


def _pair_equal(
    left: list[Assertion], right: list[Assertion], key: Callable[[Assertion], str], pairs: list[Pair]
) -> tuple[list[Assertion], list[Assertion]]:
    """Pair those with the same key, first with first; what is left of both sides. An empty key is like no other."""
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for place, new in enumerate(right):
        waiting[key(new)].append(place)
    waiting[""].clear()
    taken: set[int] = set()
    unpaired = []
    for old in left:
        places = waiting.get(key(old))
        if places:
            place = places.popleft()
            taken.add(place)
            pairs.append((old, right[place]))
        else:
            unpaired.append(old)
    return unpaired, [new for place, new in enumerate(right) if place not in taken]


def _similar(old: Assertion, new: Assertion, comparisons: Comparisons) -> bool:
    if old.operator == new.operator == "raises":
        return True
    if old.left and (old.left in new.text or (new.left and new.left in old.left and len(new.left) > 3)):
        return True
    return comparisons.likeness(old.text, new.text) > 0.75
