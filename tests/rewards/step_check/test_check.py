"""What is right, wrong and undefined: by hand, and by law over expressions drawn at random in every notation."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.rewards.step_check import check_solution, check_step

RIGHT = [
    "He drives 70 mph - 55 mph = 15 mph faster.",
    "48/2 = <<48/2=24>>24 clips",
    "\\[ \\frac{1}{2} \\times 3^2 = 4.5 \\]",
    "$\\sqrt{16} + \\sqrt[3]{27} = 7$",
    "5! = 120 and 2^{10} = 1,024",
    "5!=120",
    "20% of 1,200 is 240",
    "1/3 of 18 = 6",
    "half of 12 = 6",
    "5 divided by 2 equals 2.5",
    "10/3 = 3.33",
    "20/3 = 6.66",
    "10/3 ≈ 3",
    "7 − −7 · 4 ÷ 2 = 21",
    "1 1/2 + 2\\frac{1}{2} = 4",
    "24 feet / 2/3 = 36 feet",
    "(5/20) * 100% = 25%",
    "100 + 20% = 120",
    "3 boxes of apples * 4 apples per box = 12 apples",
    "The total is $1.50 x 3 = $4.50.",
    "4 (from Ann) + $2 (half of the rest) = $6",
    "3 + 4 < 8",
    "2 \\le 1 + 1",
    "194 ÷ 11 = 17 with a remainder of 7",
    "29 \\equiv 1 + 3 \\pmod{5}",
    "1050^\\circ - 2(360^\\circ) = 330^\\circ",
    "\\frac{120^\\circ}{360^\\circ} = \\frac{1}{3}",
    "\\cos 60^\\circ \\cos 60^\\circ = \\frac{1}{4}",
    "the average of 2, 4 and 9 is 5",
    "\\gcd(12, 18) = 6",
    "51 is divisible by 3, and 53 is prime.",
    "(x+1)(x-3) = x^2 - 2x - 3",
    "2x + 3 = 7\n2x = 4\nx = 2",
    "An increase from 50 to 60 is 20%",
    "\\sin 30^\\circ + \\cos(60^\\circ) = 1",
    "1011_2 + 1 = 12",
    "Total = 3 + 4. Total = 7.",
    "\\begin{align*} 2 \\cdot 3 &= 6 \\\\ &= 12/2 \\end{align*}",
    "**5 + 3 = 8**",
    "- 5 + 3 = 8",
    "5\u00a0+\u202f3 = 8",
]
WRONG = [
    ("He drives 70 mph - 55 mph = 16 mph faster.", "15 and not 16"),
    ("48/2 = <<48/2=25>>25 clips", "24 and not 25"),
    ("\\[ \\frac{1}{2} \\times 3^2 = 4.6 \\]", "9/2 (4.5) and not 23/5 (4.6)"),
    ("20% of 1,200 is 250", "240 and not 250"),
    ("10/3 = 3.43", "10/3 (3.33333) and not 343/100 (3.43)"),
    ("((3 * 4) * (7 - -7 * 4)) = ((3 * 4) * (7 - 28))", "420 and not -252"),
    ("(-9 + 1 + -1) = (-9 + -1) = -10", "-9 and not -10"),
    ("3 + 4 > 8", "7 and not 8"),
    ("194 ÷ 11 = 17 with a remainder of 9", "17 remainder 7"),
    ("17 \\equiv 4 \\pmod{5}", "2 (mod 5)"),
    ("the average of 2, 4 and 9 is 6", "5"),
    ("\\gcd(12, 18) = 3", "6"),
    ("51 is prime.", "divisible by 3"),
    ("2x + 3 = 7\n2x = 10", "an equation in x with a solution in common with one before it"),
    ("y = (x+1)^2 = x^2 + 1", "the same on both sides for all values"),
    ("Total = 3 + 4. Total = 8.", "7 and not 8"),
    ("An increase from 50 to 60 is 25%", "20 %"),
    ("2 +\u200b 2 = 5", "4 and not 5"),
    ("2 + 2 =\u00a0\u200e5", "4 and not 5"),
    ("\\cos(60^\\circ) = 0.6", "0.5 and not 3/5 (0.6)"),
    ("20% of 50% is 15%", "1/10 (0.1) and not 3/20 (0.15)"),
    ("5 - 8 = 3", "-3 and not 3"),
    ("4 hours + 30 minutes = 35 minutes", "34 and not 35"),
]
UNDEFINED = [
    "x = number of apples",
    "12 inches = 1 foot",
    "Let us think step by step.",
    "",
    "2x + 3 = 7",
    "5 + 3 = the number of eggs",
    "5 + 3 = 8 * 2 is what he did",
    "7/2 = 3",
    "1/2 inch = 20 miles",
    "60 + 60 minutes = 2 hours",
    "Is 2 + 2 = 5?",
    "It cannot be that 2 + 2 = 5.",
    "1 + 2 + ... + 10 = 55",
    "the product of 3 and 4 + 1 = 7 things",
    "|3 - 5| = 2",
    "\\sum_{n=1}^{5} 2 \\cdot n = 30",
    "Tom's age = Ann's age - 4 = 10 - 4",
    "Place: 1st - 5 = 6th",
    "92y = -1732 and y = -18.83",
    "25% of $80 = \\frac{x}{100} * 80",
    "x^2 - 5 = 2x + 3",
    "f(3) = 7 and f(4) = 9",
    "5 x 3",
    "\\begin{vmatrix} 1 & 2 \\\\ 3 & 4 \\end{vmatrix} = 4 - 7",
    "2^2^2^2^2^2 = 5",
    "9^{9^{9^9}} = 3 - 1",
    "= = = 5 + = (((( = 3",
    "3 + 4 ~= ",
    "3,14 * 2 = 6,28",
    "12,34,567 + 1 = 12,34,568",
    "2024-01-15 + 20 = 2024-02-04",
    "1/2/2024 + 3 = 4/2/2024",
    "1 hour + 30 minutes = 90 minutes",
    "1 hour + 30 minutes = 1.5 hours",
    "1 year - 3 months = 9 months",
    "1 gallon - 1 quart = 3 quarts",
    "$1 - 25 cents = 75 cents",
    "pages 10 - 20 = 11 pages",
    "In base 2, 1 + 1 = 10",
    "7 + 8 = 3 mod 12",
    "0x10 + 1 = 17",
    "2\u202e + 2 = 5",
    "²1e5π%>1⌊",
    "\\frac.0 = 1 + 1",
]


@pytest.mark.parametrize("text", RIGHT)
def test_right(text: str) -> None:
    found = check_step(text)
    assert found.verdict == "right", found.claims


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_wrong_says_what_it_should_be(text: str, expected: str) -> None:
    found = check_step(text)
    assert found.verdict == "wrong", found.claims
    assert expected in [claim.expected for claim in found.wrong]


@pytest.mark.parametrize("text", UNDEFINED)
def test_what_cannot_be_read_is_undefined(text: str) -> None:
    found = check_step(text)
    assert found.verdict == "undefined", found.claims


def test_a_claim_stands_where_it_says() -> None:
    text = "So, in all, 3 apples + 4 apples = 8 apples."
    (claim,) = check_step(text).claims
    assert text[claim.start : claim.end].startswith("3 apples + 4 apples = 8")
    assert claim.kind == "arithmetic"


def test_running_equals_is_no_error_but_its_result_is_checked() -> None:
    assert check_step("5 + 3 = 8 * 2 = 16").verdict == "right"
    assert check_step("5 + 3 = 8 * 2 = 17").verdict == "wrong"


def test_an_equation_is_held_against_the_steps_before() -> None:
    assert [c.verdict for c in check_solution("Solve 3x - 4 = 11.", ["Add 4: 3x = 15.", "Divide by 3: x = 5."])] == [
        "right",
        "right",
    ]
    assert check_solution("Solve 3x - 4 = 11.", ["Subtracting 4, we get 3x = 7."])[0].verdict == "wrong"


@pytest.mark.parametrize("words", ["Expanding gives", "So this yields", "The equation is", "Now we have"])
def test_an_equation_after_a_verb_is_no_identity(words: str) -> None:
    assert check_solution("Solve 4(x + 7) + 4 = x + 38.", [f"{words} 4x + 32 = x + 38."])[0].verdict == "right"
    assert check_step(f"{words} 4x + 32 = x + 38.").verdict == "undefined"


def test_another_value_of_a_name_is_no_error() -> None:
    assert [c.verdict for c in check_solution("", ["Left = 9 - 3 = 6.", "Left = 6 - 2 = 4."])] == ["right", "right"]
    steps = ["cost = 3 * 4.", "cost = 5 * 4 = 20.", "price = 10 + 5.", "price = 15 - 3."]
    assert "wrong" not in [c.verdict for c in check_solution("", steps)]


def test_names_are_replaced_by_their_values() -> None:
    steps = ["A = 2 * 3 = 6.", "B = 10 - 3 = 7.", "A - B = 6 - 7 = -1.", "A - B = 7 - 7."]
    assert [c.verdict for c in check_solution("", steps)] == ["right", "right", "right", "wrong"]


def test_solution_and_step_agree() -> None:
    steps = ["x + y = 7 and 2x = 6", "so x = 3", "y = 7 - 3 = 4", "x = 5"]
    alone = [check_step(step, ("p", *steps[:index])) for index, step in enumerate(steps)]
    assert list(check_solution("p", steps)) == alone


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="step: a int"):
        check_step(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="step 1 is a NoneType"):
        check_solution("p", ["a", None])  # type: ignore[list-item]


# ----------------------------------------------------------------------------------------------------------------- laws
Drawn = tuple[Callable[[str], str], Fraction]
"""An expression as a function of its notation, and its value."""

_SIGNS = {
    "plain": {"*": " * ", "/": " / ", "-": " - "},
    "unicode": {"*": " × ", "/": " ÷ ", "-": " − "},
    "latex": {"*": " \\times ", "/": "", "-": " - "},
    "tight": {"*": "*", "/": "/", "-": "-"},
}


def _join(op: str, left: Drawn, right: Drawn) -> Drawn:
    def text(notation: str) -> str:
        if op == "/" and notation == "latex":
            return f"\\frac{{{left[0](notation)}}}{{{right[0](notation)}}}"
        return f"({left[0](notation)}{_SIGNS[notation].get(op, f' {op} ')}{right[0](notation)})"

    a, b = left[1], right[1]
    value = a + b if op == "+" else a - b if op == "-" else a * b if op == "*" else a / b
    return text, value


def _leaf(n: int) -> Drawn:
    return (lambda notation: str(n)), Fraction(n)


_LEAVES = st.integers(1, 30).map(_leaf)


def _grow(children: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    pairs = st.tuples(st.sampled_from("+-*/"), children, children)
    return pairs.filter(lambda drawn: drawn[0] != "/" or drawn[2][1] != 0).map(lambda drawn: _join(*drawn))


EXPRESSIONS = st.recursive(_LEAVES, _grow, max_leaves=6).filter(
    lambda drawn: drawn[0]("plain").count("(") > 0 and drawn[1].denominator < 10**6
)


def _stated(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


@given(EXPRESSIONS, st.sampled_from(sorted(_SIGNS)))
@settings(max_examples=150, deadline=None)
def test_every_true_equality_is_right(drawn: Drawn, notation: str) -> None:
    text, value = drawn
    assert check_step(f"So we have {text(notation)} = {_stated(value)}.").verdict == "right"


@given(EXPRESSIONS, st.sampled_from(sorted(_SIGNS)), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_every_changed_result_is_wrong(drawn: Drawn, notation: str, change: int) -> None:
    text, value = drawn
    assert check_step(f"So we have {text(notation)} = {_stated(value + change)}.").verdict == "wrong"


@given(st.fractions(-500, 500, max_denominator=40), st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_rounding_to_the_digits_given_is_right(value: Fraction, digits: int) -> None:
    stated = f"{float(value):.{digits}f}"
    assert check_step(f"({value.numerator}) / {value.denominator} = {stated}").verdict == "right"


_PIECES = ["=", "≈", "<", "(", ")", "{", "}", "+", "-", "*", "/", "^", "!", "%", "$", "\\frac", "\\sqrt", "\\times",
           "3", "4.5", "1,000", "x", "apples", "of", "is", "half", "\n", " ", ",", ".", "<<", ">>", "\\pmod", "|", "_",
           "remainder", "and", "\\text{ m}", "\\begin{array}", "mod", "average of", "²", "7"]  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join))
@settings(max_examples=200, deadline=None)
def test_no_text_raises(text: str) -> None:
    check_step(text, (text,))
    assert check_step(text) == check_step(text)


@given(st.text(st.characters(exclude_categories=["Nd", "No", "Nl"]), max_size=80))
@settings(max_examples=100, deadline=None)
def test_text_without_numbers_is_never_wrong(text: str) -> None:
    assert check_step(text).verdict != "wrong"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000 + "1" + ")" * 20_000 + " = 2",
        "9" * 20_000 + " + 1 = 3",
        "2^1000^1000^1000 = 5",
        "170! * 170! * 170! = 3",
        "9999999967 is prime. " * 350,
        " ".join(f"x^{k % 12} + {k}x + 1 = {k}." for k in range(500)),
        " ".join("+".join(["0.01"] * 60) + "=0.55" for _ in range(30)),
        "1 + 1 = 2 = " * 3_000,
        "-" * 20_000 + "1 = 2 + 1",
        "a=b+1," * 4_000,
        "(x+1)^12 (x+2)^12 = (x+3)^12 (x+4)^12\n" * 40,
        "\\frac{" * 10_000 + "1 = 2",
        "1 and " * 4_000 + "= 3 + 4",
        "the sum of " + "1, " * 6_000 + "2 is 3",
        "9999999967 is prime",
        "word " * 4_000 + "3 + 4 = 7",
    ],
    ids=lambda text: text[:16],
)
def test_no_text_is_too_much(text: str) -> None:
    began = time.process_time()
    assert check_step(text).verdict in ("right", "wrong", "undefined")
    assert time.process_time() - began < 0.8  # 0.1 to 0.3 s measured: a bound for a busy machine
