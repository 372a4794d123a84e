"""Expressions that karat built itself from text, and their values: exact fractions where possible, floats elsewhere.

Nothing here reads text. Size, exponents and factorials are bounded, so that no expression takes long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

Value = Fraction | float

MOST_BITS = 1023
"""Of the numerator and of the denominator: 300 digits, within a float's range."""
MOST_FACTORIAL = 170
MOST_EXPONENT = 1024


@dataclass(frozen=True, slots=True)
class Node:
    """A number (`op` "num"), a name ("var"), or an operation on `args`.

    Operations: "+", "-", "*", "/", "^", "neg", "!", "%" (percent), "deg" (degrees), "sqrt" (radicand, or radicand
    and degree), "abs", "binom", "mod", "floor", "ceil", and the functions of FUNCTIONS.
    """

    op: str
    args: tuple[Node, ...] = ()
    value: Fraction = Fraction(0)
    name: str = ""
    decimals: int = 0
    """Digits after the point, of a number as it was written."""
    is_money: bool = False

    def walk(self) -> Iterator[Node]:
        yield self
        for arg in self.args:
            yield from arg.walk()

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(node.name for node in self.walk() if node.op == "var")

    @property
    def is_number(self) -> bool:
        """A number as it stands, perhaps with a sign or a percent sign: nothing is computed."""
        return self.op == "num" or (self.op in ("neg", "%", "deg") and self.args[0].is_number)

    @property
    def is_fraction(self) -> bool:
        """One whole number over another: a number to some, a division to others."""
        if self.op == "neg":
            return self.args[0].is_fraction
        return self.op == "/" and all(arg.is_number for arg in self.args)

    @property
    def written(self) -> Node:
        """The number itself, without sign or percent."""
        return self.args[0].written if self.args else self


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to take what is ambiguous.

    Attributes:
        percent: "hundredth": 5 % is 0.05; "plain": 5; "change": a + 5 % is a * 1.05.
        mixed: a whole number before a fraction is added to it (1 1/2 is 3/2); otherwise they are multiplied.
    """

    percent: str = "hundredth"
    mixed: bool = True


class Undefined(Exception):  # noqa: N818 - no error of the caller: the expression has no value that can be told
    """The expression has no value, or none that can be computed within the limits."""


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "ln": math.log,
}
CONSTANTS = {"pi": math.pi}


def evaluate(node: Node, reading: Reading | None = None, env: Mapping[str, Value] | None = None) -> Value:
    """Value of an expression; the names in `env` are replaced.

    Raises: Undefined: a name without a value, a division by zero, a limit exceeded.
    """
    try:
        return _evaluate(node, reading or Reading(), env or {})
    except (ZeroDivisionError, OverflowError, ValueError):
        raise Undefined from None


def _evaluate(node: Node, reading: Reading, env: Mapping[str, Value]) -> Value:
    if node.op == "num":
        return node.value
    if node.op == "var":
        if node.name in env:
            return env[node.name]
        if node.name in CONSTANTS:
            return CONSTANTS[node.name]
        raise Undefined
    if node.op in "+-" and reading.percent == "change" and node.args[1].op == "%":
        base = _evaluate(node.args[0], reading, env)
        share = _evaluate(node.args[1], reading, env)
        return _bounded(base * (1 + share) if node.op == "+" else base * (1 - share))
    if node.op in FUNCTIONS and any(part.op == "deg" for part in node.walk()):
        return FUNCTIONS[node.op](math.radians(_evaluate(node.args[0], reading, env)))
    args = [_evaluate(arg, reading, env) for arg in node.args]
    return _bounded(_apply(node.op, args, reading))


def _apply(op: str, args: list[Value], reading: Reading) -> Value:
    first = args[0]
    if op == "neg":
        return -first
    if op == "deg":
        return first
    if op == "%":
        return first if reading.percent == "plain" else first / 100
    if op == "!":
        return Fraction(math.factorial(_whole(first, MOST_FACTORIAL)))
    if op == "abs":
        return -first if first < 0 else first
    if op == "floor":
        return Fraction(math.floor(first))
    if op == "ceil":
        return Fraction(math.ceil(first))
    if op == "sqrt":
        return root(first, _whole(args[1], 64) if len(args) > 1 else 2)
    if op in FUNCTIONS:
        return FUNCTIONS[op](float(first))
    second = args[1]
    if op == "mixed":
        if reading.mixed:
            return first + second if first >= 0 else first - second
        return first * second
    if op == "+":
        return first + second
    if op == "-":
        return first - second
    if op == "*":
        return first * second
    if op == "/":
        return first / second
    if op == "^":
        return power(first, second)
    if op == "mod":
        return Fraction(_whole(first, 10**30, signed=True) % _whole(second, 10**30))
    if op == "binom":
        return Fraction(math.comb(_whole(first, 400), _whole(second, 400)))
    if op == "log":  # of the second to the base of the first
        return math.log(float(second)) / math.log(float(first))
    raise Undefined


def _whole(value: Value, most: int, *, signed: bool = False) -> int:
    if value != int(value) or not -most <= value <= most or (value < 0 and not signed):
        raise Undefined
    return int(value)


def _bounded(value: Value) -> Value:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
            raise Undefined
    elif not math.isfinite(value):
        raise Undefined
    return value


def power(base: Value, exponent: Value) -> Value:
    """base ** exponent, exact where both are rational and the result is; real powers only."""
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        n = exponent.numerator
        if abs(n) > MOST_EXPONENT:
            raise Undefined
        if isinstance(base, Fraction):
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if bits * abs(n) > MOST_BITS:
                raise Undefined
            result: Value = base**n  # 0 ** -1 raises ZeroDivisionError, which evaluate turns into Undefined
        else:
            result = base**n
        return result
    if base < 0:
        raise Undefined  # complex, or one of several roots
    if isinstance(exponent, Fraction) and exponent.denominator <= 64:
        return root(power(base, Fraction(exponent.numerator)), exponent.denominator)
    return math.pow(float(base), float(exponent))


def root(value: Value, degree: int) -> Value:
    """The real root: exact where the value is a perfect power."""
    if degree < 1:
        raise Undefined
    if value < 0:
        if degree % 2 == 0:
            raise Undefined
        return -root(-value, degree)
    if isinstance(value, Fraction):
        top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
        if top is not None and bottom is not None:
            return Fraction(top, bottom)
    return math.pow(float(value), 1 / degree)


def _whole_root(n: int, degree: int) -> int | None:
    if degree == 2:
        guess = math.isqrt(n)
    else:
        guess = round(n ** (1 / degree))
    return next((k for k in (guess - 1, guess, guess + 1) if k >= 0 and k**degree == n), None)
