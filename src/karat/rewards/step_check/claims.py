"""The claims of a step, and the verdict on each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from karat.rewards.step_check.chains import Pair, Side
from karat.rewards.step_check.compare import Verdict, compare, is_equal, values_of
from karat.rewards.step_check.tree import Node, Value

MOST_CLAIMS = 200
"""Of one step."""
_RANGES = re.compile(
    r"\b(?:pages?|ages?|from|between|numbers|chapters?|rows?|seats?|days|years|problems|questions|houses)\b",
    re.IGNORECASE,
)
"""Words of a sentence in which 10-20 may be a range."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a step that a program can check.

    Attributes:
        text: as the step has it; start, end: its place in the step.
        kind: "arithmetic", "order", "remainder", "congruence", "identity", "equation", "value", or a kind of task.
        verdict: "right", "wrong", or "undefined" where it may be either.
        expected: what it should be, as text, where the verdict is "wrong".
    """

    text: str
    start: int
    end: int
    kind: str
    verdict: Verdict
    expected: str = ""


def arithmetic_claims(step: str, pairs: Sequence[Pair]) -> Iterator[Claim]:
    """A claim for each pair that holds no unknown, and computes something."""
    for pair in pairs:
        sides = [(a, b) for a, b in pair.sides if not unknowns(a.node) and not unknowns(b.node)]
        sides = [(a, b) for a, b in sides if not (a.node.is_number and b.node.is_number)]
        if not sides or pair.relation == "==":
            continue
        if pair.relation == "is" and (sides[0][0].node.is_number or not sides[0][1].node.is_number):
            continue
        verdict = judge(pair, sides)
        expected = ""
        if verdict == "wrong":
            expected = f"{written(values_of(sides[0][0].node)[0])} and not {written(values_of(sides[0][1].node)[0])}"
        kind = "arithmetic" if pair.relation in ("=", "~", "is") else "order"
        yield Claim(step[pair.start : pair.end], pair.start, pair.end, kind, verdict, expected)


def judge(pair: Pair, sides: list[tuple[Side, Side]]) -> Verdict:
    """Right if right in one reading; wrong only if wrong in all, and nothing speaks for another meaning."""
    relation = "=" if pair.relation == "is" else pair.relation
    verdicts = [compare(a.node, b.node, relation, (a.words, b.words)) for a, b in sides]
    if "right" in verdicts:
        return "right"
    if "undefined" in verdicts or pair.is_hedged or any(a.guarded or b.guarded for a, b in sides):
        return "undefined"
    if any(_is_name(pair.position, a, b) for a, b in sides):
        return "undefined"
    if relation == "=" and any(_goes_on(a.node, b.node) or b.node.op == "mod" for a, b in sides):
        return "undefined"  # a mod at the right may be the whole equation's: 7 + 8 = 3 mod 12
    if _RANGES.search(pair.sentence) and any(_is_count(a.node, b.node) for a, b in sides):
        return "undefined"
    return "wrong"


def _is_name(position: int, left: Side, right: Side) -> bool:
    """Whether a number at the left belongs to a name, or to a measure: in 20 years = 20 * 500; 1/2 inch = 20 miles."""
    plain = [node.is_number or node.is_fraction for node in (left.node, right.node)]
    return (position == 0 and plain[0] and not plain[1]) or (all(plain) and set(left.words) != set(right.words))


def _is_count(left: Node, right: Node) -> bool:
    """Whether a difference may be a range, and the right side how many it holds: pages 10-20 = 11 pages."""
    if left.op != "-" or not all(arg.op == "num" and not arg.decimals for arg in left.args):
        return False
    first, last = (arg.value for arg in left.args)
    return right.op == "num" and first < last and right.value == last - first + 1


def _goes_on(left: Node, right: Node) -> bool:
    """Whether the right side takes the left one's result and computes on: 5 + 3 = 8 * 2 = 16."""
    values = values_of(left)
    numbers = [part.value for part in left.walk() if part.op == "num"]
    rest = [part.value for part in right.walk() if part.op == "num"][1:]
    if len(numbers) > 2 and all(rest.count(value) <= numbers.count(value) for value in rest):
        return False  # (-9 + 1 - 1) = (-9 - 1): what follows is taken from the left side, not new
    while right.op in "+-*/" and len(right.args) == 2:
        right = right.args[0]
        if any(is_equal(a, b) for a in values for b in values_of(right)):
            return True
    return False


def unknowns(node: Node) -> bool:
    """Whether an expression holds a name without a value, or a function that is not known."""
    return any((part.op == "var" and part.name != "pi") or part.op == "call" for part in node.walk())


def written(value: Value) -> str:
    """A value as text: whole, a fraction, or six digits."""
    if value == int(value) and -(10**15) < value < 10**15:
        return str(int(value))
    if not isinstance(value, float) and value.denominator <= 1000 and abs(value.numerator) < 10**9:
        return f"{value} ({float(value):.6g})"
    return f"{float(value):.6g}"
