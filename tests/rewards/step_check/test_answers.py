"""When two final answers are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.rewards.step_check import same_answer

SAME = [
    ("0.5", "1/2"),
    ("50%", "0.5"),
    ("\\frac{1}{2}", "1/2"),
    ("$18", "18 dollars"),
    ("(B)", "B."),
    ("\\text{(C)}", "C"),
    ("1,000", "1000"),
    ("(1,2)", "(1, 2)"),
    ("1,2", "1, 2"),
    ("} }", "}}"),
    ("\\{1,2\\}", "2, 1"),
    ("\\boxed{x^2-1}", "(x-1)(x+1)"),
    ("The answer is 42.", "#### 42"),
    ("The Eiffel Tower", "eiffel tower"),
    ("x = 5", "5"),
    ("2\\sqrt{3}", "\\sqrt{12}"),
    ("1\\frac12", "1.5"),
]
DIFFERENT = [
    ("(A)", "(B)"),
    ("(1,2)", "(2,1)"),
    ("[0,1)", "(0,1)"),
    ("3", "4"),
    ("0.33", "1/3"),
    ("yes", "no"),
    ("x^2", "x^3"),
    ("3", "yes"),
    ("1,2,3", "1,2"),
    ("} } >", "} }"),
    ("[ ]", "( )"),
    ("> >", ">"),
    ("x > 3", "x < 3"),
    ("3 hours", "3 minutes"),
    ("6, 11", "11, 7"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_same(a: str, b: str) -> None:
    assert same_answer(a, b) is True
    assert same_answer(b, a) is True


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different(a: str, b: str) -> None:
    assert same_answer(a, b) is False
    assert same_answer(b, a) is False


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("", "3"),
        ("  ", ""),
        ("6, 11", "11, 6"),
        ("1 hour", "60 minutes"),
        ("-\\infty", "3"),
        ("9^{9^{9^9}}", "\\frac{2}{0}"),
    ],
)
def test_what_cannot_be_told(a: str, b: str) -> None:
    assert same_answer(a, b) is None


@given(st.integers(-(10**9), 10**9), st.integers(1, 500), st.integers(2, 50))
def test_a_fraction_is_itself_with_another_denominator(top: int, bottom: int, k: int) -> None:
    assert same_answer(f"\\frac{{{top * k}}}{{{bottom * k}}}", f"{top}/{bottom}") is True
    assert same_answer(f"\\frac{{{top * k + 1}}}{{{bottom * k}}}", f"{top}/{bottom}") is False


@given(st.text(max_size=60), st.text(max_size=60))
def test_it_is_symmetric_and_never_raises(a: str, b: str) -> None:
    assert same_answer(a, b) == same_answer(b, a)
