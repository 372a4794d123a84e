"""Planted truth for the step check: calculations drawn at random, right, or with one result changed.

In each replication four chains a = b = c are drawn from trees of two to five numbers, and written in one of four
notations, in words. The fault is a result moved by 1 to 9. The unreadable text is made of the pieces of mathematics in
any order, with no equality in it that is a calculation: names, words and symbols stand for the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from karat.rewards.step_check import check_step, same_answer
from karat.selftest.planted import PlantedRow, independent

CHAINS = 4
NOTATIONS = ("plain", "unicode", "latex", "calculator")
_SIGNS = {
    "plain": {"*": " * ", "/": " / ", "-": " - ", "+": " + "},
    "unicode": {"*": " × ", "/": " ÷ ", "-": " − ", "+": " + "},
    "latex": {"*": " \\times ", "-": " - ", "+": " + "},
    "calculator": {"*": "*", "/": "/", "-": "-", "+": "+"},
}
_PIECES = ("x", "the rest", "apples", "\\alpha", "=", "≈", "(", ")", "{", "}", "+", "*", "/", "^", "\\frac", "%", "$",
           "so", "is", "of", "half", ",", ".", "\n", "<<", ">>", "|", "\\sum", "_", "?")  # fmt: skip

TITLES = {
    "SE641": "Step check: a right chain is flagged",
    "SE642": "Step check: a right chain is called right",
    "SE643": "Step check: a changed result is found",
    "SE644": "Step check: text without a calculation is called wrong",
    "SE645": "Step check: one number in two notations is the same answer, and a changed one is not",
}
"""What each row promises."""

Drawn = tuple[Callable[[str], str], Fraction]


def draw(rng: np.random.Generator, n: int) -> Drawn:
    """A calculation on n numbers: its text in a notation, and its value."""
    if n == 1:
        number = int(rng.integers(1, 40))
        return (lambda notation: str(number)), Fraction(number)
    left_size = int(rng.integers(1, n))
    (left, a), (right, b) = draw(rng, left_size), draw(rng, n - left_size)
    op = str(rng.choice(list("+-*/") if b else list("+-*")))
    value = {"+": a + b, "-": a - b, "*": a * b}.get(op) if op != "/" else a / b
    assert value is not None

    def text(notation: str) -> str:
        if op == "/" and notation == "latex":
            return f"\\frac{{{left(notation)}}}{{{right(notation)}}}"
        return f"({left(notation)}{_SIGNS[notation][op]}{right(notation)})"

    return text, value


def written(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def chain(rng: np.random.Generator, *, change: int = 0) -> str:
    """A step of one chain; its last result is moved by `change`."""
    text, value = draw(rng, int(rng.integers(2, 6)))
    notation = str(rng.choice(NOTATIONS))
    result = written(value + change)
    if notation == "calculator":
        return f"They have {text(notation)} = <<{text(notation)}={result}>>{result} apples."
    return f"So the total is {text(notation)} = {result} apples."


def _noise(rng: np.random.Generator) -> str:
    return " ".join(rng.choice(_PIECES, size=int(rng.integers(5, 40))).tolist())


def _answers(rng: np.random.Generator) -> bool:
    """Whether a number is itself in LaTeX, with another denominator, and no other number."""
    top, bottom, k = (int(n) for n in rng.integers(1, 30, 3))
    latex = f"\\boxed{{\\frac{{{top * k}}}{{{bottom * k}}}}}"
    plain, other = written(Fraction(top, bottom)), written(Fraction(top + 1, bottom))
    return same_answer(latex, plain) is True and same_answer(latex, other) is False


def replicate(rng: np.random.Generator) -> dict[str, list[bool]]:
    """What happened to each of the chains of one replication, by row."""
    right = [check_step(chain(rng)).verdict for _ in range(CHAINS)]
    changed = [check_step(chain(rng, change=int(rng.integers(1, 10)))).verdict for _ in range(CHAINS)]
    noise = [check_step(_noise(rng)).verdict for _ in range(CHAINS)]
    return {
        "SE641": [verdict == "wrong" for verdict in right],
        "SE642": [verdict == "right" for verdict in right],
        "SE643": [verdict == "wrong" for verdict in changed],
        "SE644": [verdict == "wrong" for verdict in noise],
        "SE645": [_answers(rng) for _ in range(CHAINS)],
    }


def step_check_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of the step check."""
    if progress:
        progress("planting for the step check", 0, 1, "")
    rng = np.random.default_rng([seed, 641])
    found = [replicate(rng) for _ in range(replications)]
    promises: Sequence[tuple[str, str, float, float]] = (
        ("SE641", "chains of 2 to 5 numbers, four notations", 0.0, 0.0),
        ("SE642", "chains of 2 to 5 numbers, four notations", 1.0, 1.0),
        ("SE643", "a result moved by 1 to 9", 0.99, 1.0),
        ("SE644", "symbols and words in any order", 0.0, 0.0),
        ("SE645", "fractions, reduced and not", 1.0, 1.0),
    )
    return [
        PlantedRow(
            code=code,
            title=TITLES[code],
            planted=planted_in,
            least=least,
            most=most,
            **independent(np.array([replication[code] for replication in found])),
        )
        for code, planted_in, least, most in promises
    ]
