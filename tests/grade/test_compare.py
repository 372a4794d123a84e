"""When values agree: hand-made cases, laws over random plain values, and shapes that a candidate could choose."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.grade.compare import agree, agree_text, distinct, short
from karat.grade.types import Comparison
from karat.sandbox.inside import wire

PYTHON = Comparison()
FREE = Comparison(order="free")
NEAR = Comparison(absolute=0.1)

numbers = st.one_of(
    st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, width=16), st.fractions(max_denominator=4)
)
atoms = st.one_of(st.none(), numbers, st.text(max_size=3), st.binary(max_size=2))
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.frozensets(atoms, max_size=4),
        st.dictionaries(atoms, inner, max_size=3),
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("expected", "got", "how"),
    [
        (1, True, PYTHON),
        (1, 1.0, PYTHON),
        (0.0, -0.0, PYTHON),
        (Fraction(1, 2), 0.5, PYTHON),
        (Decimal("2.50"), Fraction(5, 2), PYTHON),
        ({1: "a", 2: [3]}, {2.0: [3.0], True: "a"}, PYTHON),
        ({1, 2}, frozenset((2, 1)), PYTHON),
        ([1, (2, 3)], ([1, [2, 3]][0], [2, 3]), Comparison(sequences="alike")),
        ([[1], [2], [1]], [[2], [1], [1]], FREE),
        ([{"a": 1}, {}], [{}, {"a": 1}], FREE),
        (float("nan"), float("nan"), PYTHON),
        ([{"x": 1.0}], [{"x": 1.05}], NEAR),
        ({0.5, 2.0}, {0.55, 2.05}, NEAR),
        (1e6, 1e6 + 1, Comparison(relative=1e-6)),
        (float("inf"), float("inf"), NEAR),
        (deque([1, 2]), deque([1, 2]), PYTHON),
        (range(0), range(3, 3), PYTHON),
    ],
)
def test_these_agree(expected: Any, got: Any, how: Comparison) -> None:
    assert agree(expected, got, how) == ""


@pytest.mark.parametrize(
    ("expected", "got", "how"),
    [
        ([1, 2], (1, 2), PYTHON),
        ((1, 2), [1, 2], Comparison(types="strict")),
        (1, True, Comparison(types="strict")),
        (1, 1.0, Comparison(types="strict")),
        ({1}, frozenset({1}), Comparison(types="strict")),
        ("1", 1, PYTHON),
        (b"a", "a", PYTHON),
        (None, 0, PYTHON),
        (None, False, PYTHON),
        ([1, 1, 2], [1, 2, 2], FREE),
        (float("nan"), float("nan"), Comparison(nan_equal=False)),
        ([float("nan")], [float("nan")], Comparison(nan_equal=False, order="free")),
        (float("nan"), 0.0, Comparison(absolute=1e9)),
        (1.0, float("inf"), Comparison(relative=1e9)),
        (1.0, 1.2, NEAR),
        (3, 4, Comparison(absolute=2.0)),
        (10**400, 1.0, NEAR),
        ({1: 2}, {1: 2, 3: 4}, PYTHON),
        ({1: 2}, {3: 2}, PYTHON),
        ("a b", "a  b", PYTHON),
        (deque([1]), [1], PYTHON),
        (range(3), [0, 1, 2], PYTHON),
        (Decimal("sNaN"), 1, PYTHON),
    ],
)
def test_these_do_not(expected: Any, got: Any, how: Comparison) -> None:
    assert agree(expected, got, how) != ""


@given(values)
@settings(max_examples=60, deadline=None)
def test_every_value_agrees_with_itself(value: Any) -> None:
    for how in (PYTHON, FREE, NEAR, Comparison(types="strict"), Comparison(sequences="alike", order="free")):
        assert agree(value, value, how) == ""


@given(values, values)
@settings(max_examples=60, deadline=None)
def test_without_tolerance_agreement_is_equality_and_symmetric(left: Any, right: Any) -> None:
    assert (agree(left, right, PYTHON) == "") == (left == right)
    for how in (FREE, Comparison(types="strict"), Comparison(sequences="alike")):
        assert (agree(left, right, how) == "") == (agree(right, left, how) == "")


@given(st.lists(values, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_free_order_is_blind_to_order_and_to_nothing_else(items: list[Any], rng: Any) -> None:
    mixed = list(items)
    rng.shuffle(mixed)
    assert agree(items, mixed, FREE) == ""
    assert agree(items, [*mixed, None], FREE) != ""


@given(
    st.lists(st.tuples(st.floats(0, 4), st.floats(0, 4)), min_size=1, max_size=5),
    st.lists(st.tuples(st.floats(0, 4), st.floats(0, 4)), min_size=1, max_size=5),
    st.floats(0, 2),
    st.floats(0, 2),
)
@settings(max_examples=60, deadline=None)
def test_a_wider_tolerance_never_parts_what_a_narrower_one_joined(
    left: list[Any], right: list[Any], tolerance: float, more: float
) -> None:
    for order in ("kept", "free"):
        narrow = Comparison(absolute=tolerance, order=order)  # type: ignore[arg-type]
        if agree(left, right, narrow) == "":
            assert agree(left, right, replace(narrow, absolute=tolerance + more)) == ""


def test_free_order_under_a_tolerance_finds_the_pairing_that_exact_matches_hide() -> None:
    """0 and 1 against 0 and -1 within 1: only 0 to -1 and 1 to 0 works, though 0 is there exactly."""
    how = Comparison(order="free", absolute=1.0)
    assert agree([0.0, 1.0], [0.0, -1.0], how) == ""
    assert agree([(0.0,), (1.0,)], [(0.0,), (-1.0,)], how) == ""
    assert agree([(0.0,), (1.0,)], [(0.0,), (-1.5,)], how) != ""


def test_hostile_shapes_take_little_time() -> None:
    """Ints of one hash, long lists, large numbers: each would take minutes by sets, by squares, by digits."""
    modulus = 2**61 - 1
    colliding = [at * modulus for at in range(20_000)]
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    began = time.thread_time()
    assert agree(list(range(20_000)), colliding, FREE) != ""
    assert agree(colliding, colliding[::-1], FREE) == ""
    assert agree(
        [float(at) for at in range(5000)], [at + 0.5 for at in range(5000)], Comparison(order="free", absolute=0.4)
    )
    assert len(distinct(colliding * 2)) == 20_000
    assert "bits" in agree(1, 1 << 400_000, PYTHON)
    assert "digits" in agree(Fraction(1, 3), Fraction(1 << 100_000, 3), NEAR)
    assert agree(deep, [deep], PYTHON) == "nested too deeply to be compared"
    assert agree(Decimal("1e999999"), Decimal("1e999998"), FREE) != ""
    assert agree([Decimal("1e999999")], [10**9], FREE) != ""
    assert time.thread_time() - began < 5.0


HOSTILE = [
    range(1 << 400_000),
    range(0, -(1 << 300_000), -3),
    range(0),
    Decimal("9" * 9000),
    Decimal("1e-999999"),
    Decimal("-Infinity"),
    Decimal("sNaN"),
    Fraction(1 << 15_000, 3),
    1 << 400_000,
    complex("nan+infj"),
    1e308 + 1e308j,
    {frozenset({(1 << 300_000, None)}): deque([b"x"])},
    "\ud800",
    object(),
]


@pytest.mark.parametrize(
    "how", [PYTHON, FREE, NEAR, Comparison(order="free", relative=0.1), Comparison(types="strict")]
)
def test_no_value_raises(how: Comparison) -> None:
    for left in HOSTILE:
        for right in (*HOSTILE, 0, 0.5, "x", [1.5]):
            assert isinstance(agree(left, right, how), str)
            assert isinstance(agree([left, [right]], [right, [left]], how), str)
            assert isinstance(agree({1: left}, {1: right}, how), str)
        assert len(short([left, (left,)], 50)) <= 50


def test_ranges_and_large_decimals_go_by_value_in_free_order_too() -> None:
    assert agree([range(0, 3, 2)], [range(0, 4, 2)], FREE) == ""
    assert agree([range(3)], [range(0, 3, 2)], FREE) != ""
    assert agree([Decimal("1.50e500")], [Decimal("15e499")], FREE) == ""
    assert agree([Decimal("1.5e500")], [Decimal("1.5e501")], FREE) != ""


def test_reasons_show_where_and_both_values() -> None:
    assert agree({"a": [1, 2, 3]}, {"a": [1, 5, 3]}, PYTHON) == "at ['a'][1]: expected 2, got 5"
    assert agree([1], (1,), PYTHON) == "expected [1] (list), got (1,) (tuple)"
    assert agree([1, 2], [1], PYTHON) == "expected 2 items, got 1: expected [1, 2], got [1]"
    assert agree([1, 2], [2, 3], FREE) == "1 is missing, 3 is there instead"
    assert agree({1: 2}, {3: 2}, PYTHON) == "no key 1 among 1"


@given(values)
@settings(max_examples=40, deadline=None)
def test_a_shortened_value_is_short(value: Any) -> None:
    assert len(short(value, 40)) <= 40


def test_distinct_keeps_what_a_set_would() -> None:
    assert distinct([1, True, 1.0, (1,), (1.0,), "1"]) == (1, (1,), "1")


@pytest.mark.parametrize(
    ("expected", "got", "text", "agrees"),
    [
        ("a\nb\n", "a\nb\n", "exact", True),
        ("a\nb\n", "a\nb", "exact", False),
        ("a\nb\n", "a  \r\nb\n\n", "lines", True),
        ("a\n\nb", "a\nb", "lines", False),
        (" a", "a", "lines", False),
        ("1 2\n3", "1\n2 3\n", "tokens", True),
        ("1 2", "1 2 3", "tokens", False),
        ("1.0", "1", "tokens", True),
        ("007", "7", "tokens", False),
        ("yes", "YES", "tokens", False),
        ("9" * 5000, "9" * 4999 + "8", "tokens", False),
        ("1", "nan", "tokens", False),
    ],
)
def test_printed_text(expected: str, got: str, text: Any, agrees: bool) -> None:
    assert (agree_text(expected, got, Comparison(text=text)) == "") == agrees
    assert (agree(expected, got, Comparison(text=text)) == "") == agrees


def test_printed_numbers_take_the_tolerance_and_the_reason_names_the_token() -> None:
    how = Comparison(text="tokens", absolute=0.01)
    assert agree_text("x 1.000", "x 1.005", how) == ""
    assert agree_text("x 1.000", "x 1.5", how) == "token 2: expected '1.000', got '1.5'"
    assert agree_text("a\nb", "a", Comparison(text="lines")) == "line 2: expected 'b', got no line"


@pytest.mark.parametrize("tag", ["s", "z", "d"])
def test_a_reply_of_colliding_numbers_is_refused_before_it_costs_minutes(tag: str) -> None:
    numbers = [{"i": hex(at * (2**61 - 1))} for at in range(1, 20_000)]
    began = time.thread_time()
    with pytest.raises(wire.WireError, match="of one hash"):
        wire.decode({tag: [[number, 1] for number in numbers] if tag == "d" else numbers})
    assert time.thread_time() - began < 2.0
    assert wire.decode({"s": list(range(5000))}) == set(range(5000))


def test_many_composite_items_in_free_order_are_paired_after_sorting() -> None:
    """More than are matched one by one: exact ones go first, the rest is sorted and paired."""
    left = [(float(at), "a") for at in range(300)]
    right = [(at + 0.05 * (at % 2), "a") for at in reversed(range(300))]
    how = Comparison(order="free", absolute=0.1)
    assert agree(left, right, how) == ""
    assert agree(left, [*right[1:], (1000.0, "a")], how) != ""


@pytest.mark.parametrize(
    ("expected", "got", "agrees"),
    [
        ("11", "0011", False),  # a binary text or a code, not the number eleven
        ("1000", "1_000", False),  # only Python reads it as a number
        ("5", "5.0", True),
        ("0.5", ".5", True),
        ("1e3", "1000.0", True),
        ("-0", "0", True),
        ("+7", "7", True),
        ("0x10", "16", False),
    ],
)
def test_tokens_that_are_the_same_number(expected: str, got: str, agrees: bool) -> None:
    assert (agree_text(expected, got, Comparison(text="tokens")) == "") is agrees
    assert (agree_text(got, expected, Comparison(text="tokens")) == "") is agrees
