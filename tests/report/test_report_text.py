"""Escaping of untrusted text, and numbers for reading."""

from __future__ import annotations

import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.report.text import (
    escape_text,
    format_cell,
    format_column,
    format_count,
    format_effect,
    format_number,
    sentence,
    shorten,
)

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # lone surrogates too


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),  # CSI: colour
        ("\x1b]52;c;QUFB\x07", r"\x1b]52;c;QUFB\x07"),  # OSC 52: the clipboard
        ("\x1b]8;;http://x\x1b\\y", r"\x1b]8;;http://x\x1b" + "\\y"),  # OSC 8: a link
        ("\x9b2J\x9d0;t\x9c", r"\x9b2J\x9d0;t\x9c"),  # the same in 8-bit C1
        ("a\x00b\x7f\b", r"a\x00b\x7f\x08"),
        ("a\nb\rc\td", r"a\nb\rc\td"),
        ("\u202edrawer\u202c", r"\u202edrawer\u202c"),
        ("\u2066x\u2069\u061c\u200e\u200f", r"\u2066x\u2069\u061c\u200e\u200f"),
        ("a\u200bb\u200cc\u200dd\u2060e\ufefff\u00ad", r"a\u200bb\u200cc\u200dd\u2060e\ufefff\xad"),
        ("\u2028\u2029\x85", r"\u2028\u2029\x85"),
        ("tag\U000e0041\U000e0100", r"tag\U000e0041\U000e0100"),  # smuggled text
        ("\u3164\u115f\ufe0f", r"\u3164\u115f\ufe0f"),  # invisible letters and marks
        ("\ud800", r"\ud800"),
        ("\uffff", r"\uffff"),
        ("plain, ünïcode, 世界, 😀, \\n as typed", "plain, ünïcode, 世界, 😀, \\n as typed"),
    ],
)
def test_hidden_characters_are_shown_and_all_others_kept(raw: str, shown: str) -> None:
    assert escape_text(raw) == shown


def test_marks_stacked_without_end_are_cut() -> None:
    assert escape_text("e\u0301") == "e\u0301"
    assert escape_text("z" + "\u0300" * 6) == "z" + "\u0300" * 4 + r"\u0300\u0300"


def test_newlines_are_kept_on_request_and_nothing_else() -> None:
    assert escape_text("a\r\nb\n\tc\rd\x1b", keep_newlines=True) == "a\nb\n    c\\rd\\x1b"


@given(ANY_TEXT)
def test_the_result_holds_nothing_that_steers_or_hides(text: str) -> None:
    shown = escape_text(text)
    shown.encode("utf-8")
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"}
    assert len(shown.splitlines()) <= 1
    assert escape_text(shown) == shown


@given(ANY_TEXT)
def test_with_newlines_kept_each_line_is_as_clean(text: str) -> None:
    shown = escape_text(text, keep_newlines=True)
    assert all(escape_text(line) == line for line in shown.split("\n"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, "n/a"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (0.0, "0"),
        (0.5, "0.500"),
        (0.06123, "0.0612"),
        (12.345, "12.3"),
        (12345.0, "12,345"),
        (1234.5, "1,234"),  # half to even, as Python formats
        (0.00000123, "1.23e-06"),
        (-0.25, "-0.250"),
    ],
)
def test_numbers(value: float, shown: str) -> None:
    assert format_number(value) == shown


def test_an_interval_sets_the_digits() -> None:
    assert format_effect(0.73123, 0.70212, 0.76034) == "0.731 [0.702, 0.760]"  # width 0.058: two digits are 0.001
    assert format_effect(-0.0001, -0.2, 0.2) == "0.00 [-0.20, 0.20]"  # no "-0.00"
    assert format_effect(350.2, 150.0, 400.4) == "350 [150, 400]"  # a width of three digits leaves none after the point
    assert format_effect(1.5, math.nan, math.nan) == "1.50"
    assert format_effect(math.nan, math.nan, math.nan) == "n/a"
    assert format_effect(0.5, 0.5, 0.5) == "0.500 [0.500, 0.500]"
    assert format_effect(2.0, 1.5, math.inf) == "2 [1.50, inf]"


def test_cells_columns_and_counts() -> None:
    assert [
        format_cell(value) for value in (None, True, 1204, np.int64(7), np.float32(0.5), np.bool_(False), "a\x1b")
    ] == [
        "n/a",
        "yes",
        "1,204",
        "7",
        "0.500",
        "no",
        "a\\x1b",
    ]
    assert format_column([0.0, 0.52, 1.0]) == ["0.000", "0.520", "1.000"]
    assert format_column([0.5, math.nan]) == ["0.500", "n/a"]
    assert format_column([1, 2000]) == ["1", "2,000"]
    assert format_count(1204, 0, 0) == "1,204"
    assert format_count(1204, 12, 3) == "1,204 (12 failed, 3 missing)"


def test_short_and_whole() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"
    assert sentence("no stop ") == "no stop."
    assert sentence("stop?") == "stop?"
