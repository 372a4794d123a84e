"""Whether two values that a step sets equal, or in order, are so: exactly, to the digits given, or not at all.

A verdict "wrong" is given only where no way to read the numbers makes it right: rounding, truncation, numbers rounded
earlier, percent as a share or as a number, and units that differ all make a mismatch "undefined".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from karat.rewards.step_check.measures import FACTORS, measure
from karat.rewards.step_check.tree import Node, Reading, Undefined, Value, evaluate

Verdict = Literal["right", "wrong", "undefined"]

Units = tuple[Sequence[str], Sequence[str]]

CLOSE = 1e-9
"""Relative; two floats nearer than this are equal: they come from a few operations in double precision."""
LOOSE = 0.05
"""Relative error beyond which an approximation is wrong; people write "about 20" for 20.4."""
MOST_MOVED = 8
"""Numbers of an expression that are moved to see what their rounding does; the others are taken to do as much."""
READINGS = (Reading(), Reading(percent="plain"), Reading(percent="change"), Reading(mixed=False))


def values_of(node: Node) -> list[Value]:
    """The values of an expression in all its readings, the plainest first; empty where it has none."""
    values: list[Value] = []
    ops = {part.op for part in node.walk()}
    readings = [READINGS[0]]
    if "%" in ops:
        readings += READINGS[1:3] if not _has_share(node) else READINGS[2:3]
    if "mixed" in ops:
        readings.append(READINGS[3])
    for reading in readings:
        try:
            value = evaluate(node, reading)
        except Undefined:
            continue
        if value not in values:
            values.append(value)
    return values


def _has_share(node: Node) -> bool:
    """Whether a percentage is multiplied, so that it can be no plain number: 20 % of 50 is not 1000."""
    return any(
        part.op in "*/" and any(arg.op == "%" and arg.written.value != 100 for arg in part.args) for part in node.walk()
    )


def compare(left: Node, right: Node, relation: str, words: Units = ((), ())) -> Verdict:
    """Verdict on "left relation right".

    Args:
        relation: "=", "~" (about), "<", ">", "<=", ">=", "!=".
        words: the units that stand beside the numbers, left and right.
    """
    try:
        verdicts = [
            _compare(left, a, right, b, relation=relation, words=words)
            for a in values_of(left)
            for b in values_of(right)
        ]
    except OverflowError:  # beyond a float's range: no step computes with such numbers
        return "undefined"
    if not verdicts:
        return "undefined"
    return "right" if "right" in verdicts else "undefined" if "undefined" in verdicts else "wrong"


def is_equal(a: Value, b: Value) -> bool:
    """Equal exactly, or as floats."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12)


def _compare(left: Node, a: Value, right: Node, b: Value, *, relation: str, words: Units) -> Verdict:
    same = is_equal(a, b)
    if relation in ("<", ">", "<=", ">=", "!="):
        holds = {"<": a < b and not same, ">": a > b and not same, "<=": a < b or same, ">=": a > b or same,
                 "!=": not same}[relation]  # fmt: skip
        return "right" if holds else "undefined" if _may_differ_by_units(a, b, left, right, words) else "wrong"
    if same:
        return "right"
    about = relation == "~"
    verdicts = [_rounded(a, right, b, about=about), _rounded(b, left, a, about=about)]
    if "right" in verdicts:
        return "right"
    if "undefined" in verdicts or _may_differ_by_units(a, b, left, right, words):
        return "undefined"
    return "undefined" if abs(float(a - b)) <= _carried_error(left) + _carried_error(right) else "wrong"


def _rounded(value: Value, stated: Node, number: Value, *, about: bool) -> Verdict:
    """Whether `number`, a plain number as it is written in `stated`, is `value` to the digits given."""
    error = abs(float(value - number))
    if about and error <= LOOSE * abs(float(value)):
        return "right" if not stated.is_number or error <= _last_digit(stated, number) else "undefined"
    if not stated.is_number:
        return "wrong"
    unit = _last_digit(stated, number, plain=not about)
    if stated.written.decimals:
        # half a unit of the last digit is rounded, a whole one cut off; both are how people write 20/3
        return "right" if error < unit * (1 - CLOSE) else "wrong"
    whole = _last_digit(stated, number)  # 1, or 0.01 of a percentage
    if error < whole and not _is_whole(value / Fraction(whole).limit_denominator(100)):
        return "right" if about else "undefined"  # 7/2 = 3: a whole number of things, or a mistake
    return "right" if about and error <= unit else "wrong"


def _last_digit(stated: Node, number: Value, *, plain: bool = True) -> float:
    """Worth of the last digit that counts; with `plain` false the noughts at the end of a whole number do not."""
    written = stated.written
    scale = abs(float(number) / float(written.value)) if written.value else 1.0
    if written.decimals or plain or not written.value:
        return scale * 10.0**-written.decimals
    digits = str(written.value.numerator)
    return scale * 10.0 ** (len(digits) - len(digits.rstrip("0")))


def _is_whole(value: Value) -> bool:
    return is_equal(value, Fraction(round(value)))


def _may_differ_by_units(a: Value, b: Value, left: Node, right: Node, words: Units) -> bool:
    """Whether the two are apart by a factor that a change of units, or a percent sign left out, explains."""
    if _is_mixed_sum(left, b, words[0]) or _is_mixed_sum(right, a, words[1]):
        return True
    if not a or not b:
        return False
    ratio = abs(float(a / b))
    units_left, units_right = ({measure(word) for word in side} for side in words)
    if units_left != units_right and any(
        math.isclose(max(ratio, 1 / ratio), factor, rel_tol=0.02) for factor in FACTORS
    ):
        return True
    nodes = (*left.walk(), *right.walk())
    if any(node.op == "%" or node.is_money for node in nodes):
        return math.isclose(max(ratio, 1 / ratio), 100, rel_tol=1e-6)
    return False


def _is_mixed_sum(node: Node, stated: Value, words: Sequence[str]) -> bool:
    """Whether a sum of two units gives what is stated once a term is converted: 1 hour + 30 minutes = 90 minutes."""
    units = {measure(word) for word in words} | {"$" for part in node.walk() if part.is_money}
    terms: list[Value] = []
    sign = 1
    while node.op in "+-" and len(node.args) == 2 and len(terms) < MOST_MOVED:
        terms.append((sign if node.op == "+" else -sign) * evaluate(node.args[1]))
        node = node.args[0]
    if len(units) < 2 or not terms:
        return False
    terms.append(evaluate(node))
    total = sum(terms)
    return any(
        is_equal(total + term * (factor - 1), Fraction(stated) * scale)
        for term in terms for factor in FACTORS for scale in (1, factor)
    )  # fmt: skip


def _carried_error(node: Node) -> float:
    """How far an expression's value may be off because decimals in it were rounded before: half a unit of each.

    A whole number, a sum of money, and one with a single decimal count as exact.
    """
    leaves = [part for part in node.walk() if part.op == "num" and part.decimals >= 2 and not part.is_money]
    if node.is_number or not leaves:
        return 0.0
    few = leaves[:MOST_MOVED]
    try:
        here = float(evaluate(node))
        moved = sum(abs(float(evaluate(_moved(node, leaf))) - here) for leaf in few)
        return moved * 1.001 * len(leaves) / len(few)
    except (Undefined, OverflowError):
        return 0.0


def _moved(node: Node, leaf: Node) -> Node:
    """The expression with half a unit of its last digit added to one number."""
    if node is leaf:
        return Node("num", value=leaf.value + Fraction(1, 2) / 10**leaf.decimals)
    return Node(node.op, tuple(_moved(arg, leaf) for arg in node.args), node.value, node.name, node.decimals)
