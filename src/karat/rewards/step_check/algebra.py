"""Claims with unknowns: identities, by values at a few points; equations of one unknown, by exact polynomials.

An equation is a condition, and no claim by itself. What can be checked is that it follows: an equation that has no
solution in common with any equation before it, in the same unknown, does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import count

from karat.rewards.step_check.compare import is_equal
from karat.rewards.step_check.tree import Node, Undefined, Value, evaluate

MOST_DEGREE = 12
_POINTS = 5
"""Two different polynomials agree at a point taken blindly with a chance near 0 (Schwartz 1980)."""
_SPREAD = (Fraction(31, 17), Fraction(53, 23), Fraction(19, 29), Fraction(71, 37), Fraction(13, 7))
"""Positive and uneven, so that roots are real and no denominator vanishes."""

Poly = tuple[Fraction, ...]
"""Coefficients from the constant up; the last is not 0. Empty: the polynomial 0."""


def is_identity(left: Node, right: Node) -> bool | None:
    """Whether two expressions are equal for all (positive) values of their names; None where that cannot be told."""
    names = sorted(left.variables | right.variables - {"pi"})
    same = 0
    for point in range(_POINTS):
        env: dict[str, Value] = {
            name: _SPREAD[point] * (k + 2) / (point + 2) + Fraction(k * k, 3) for k, name in zip(count(), names)
        }
        env.pop("pi", None)
        try:
            a, b = evaluate(left, None, env), evaluate(right, None, env)
        except Undefined:
            continue
        if not is_equal(a, b):
            return False
        same += 1
    return True if same >= 3 else None


# -------------------------------------------------------------------------------------------------------- polynomials
def polynomial(left: Node, right: Node, name: str) -> Poly | None:
    """The polynomial in `name` whose roots solve left = right; None where there is none, or it is too large.

    Denominators are multiplied out: a root of theirs is taken as a solution too.
    """
    one, two = _ratio(left, name), _ratio(right, name)
    if one is None or two is None:
        return None
    product = _subtract(_multiply(one[0], two[1]), _multiply(two[0], one[1]))
    return product if len(product) <= MOST_DEGREE + 1 else None


def _ratio(node: Node, name: str) -> tuple[Poly, Poly] | None:
    """Numerator and denominator of an expression in one name."""
    one: Poly = (Fraction(1),)
    if node.op == "num":
        return _trim((node.value,)), one
    if node.op == "var":
        return ((Fraction(0), Fraction(1)), one) if node.name == name else None
    if node.op in ("neg", "deg"):
        inner = _ratio(node.args[0], name)
        return None if inner is None else (_multiply((Fraction(1 if node.op == "deg" else -1),), inner[0]), inner[1])
    if node.op == "%":
        inner = _ratio(node.args[0], name)
        return None if inner is None else (_multiply((Fraction(1, 100),), inner[0]), inner[1])
    if node.op == "^":
        return _power(node, name)
    if node.op not in ("+", "-", "*", "/", "mixed"):
        return None
    left, right = _ratio(node.args[0], name), _ratio(node.args[1], name)
    if left is None or right is None:
        return None
    return _joined(node.op, left, right)


def _joined(op: str, left: tuple[Poly, Poly], right: tuple[Poly, Poly]) -> tuple[Poly, Poly] | None:
    (a, b), (c, d) = left, right
    if op == "*":
        result = _multiply(a, c), _multiply(b, d)
    elif op == "/":
        if not c:
            return None
        result = _multiply(a, d), _multiply(b, c)
    else:
        top = _multiply(c, b)
        sign = Fraction(-1 if op == "-" else 1)
        result = _subtract(_multiply(a, d), _multiply((-sign,), top)), _multiply(b, d)
    return result if max(map(len, result)) <= MOST_DEGREE + 1 else None


def _power(node: Node, name: str) -> tuple[Poly, Poly] | None:
    base = _ratio(node.args[0], name)
    exponent = node.args[1]
    if base is None or exponent.op != "num" or exponent.value.denominator != 1 or exponent.value > MOST_DEGREE:
        return None
    result: tuple[Poly, Poly] | None = ((Fraction(1),), (Fraction(1),))
    for _ in range(int(exponent.value)):
        result = None if result is None else _joined("*", result, base)
    return result


def _trim(poly: Sequence[Fraction]) -> Poly:
    end = len(poly)
    while end and not poly[end - 1]:
        end -= 1
    return tuple(poly[:end])


def _multiply(a: Poly, b: Poly) -> Poly:
    if not a or not b:
        return ()
    out = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return _trim(out)


def _subtract(a: Poly, b: Poly) -> Poly:
    size = max(len(a), len(b))
    zero = Fraction(0)
    return _trim([(a[k] if k < len(a) else zero) - (b[k] if k < len(b) else zero) for k in range(size)])


def _remainder(a: Poly, b: Poly) -> Poly:
    while len(a) >= len(b):
        factor = a[-1] / b[-1]
        shift = len(a) - len(b)
        a = _subtract(a, (*(Fraction(0),) * shift, *(factor * value for value in b)))
    return a


def share_a_root(a: Poly, b: Poly) -> bool:
    """Whether two polynomials have a root in common, complex ones included: whether their divisor is no constant."""
    if not a or not b:
        return True  # 0 = 0 holds everywhere
    while b:
        a, b = b, _remainder(a, b)
        if any(max(value.numerator.bit_length(), value.denominator.bit_length()) > 4096 for value in b):
            return True  # too large to go on: nothing is said against it
    return len(a) > 1
