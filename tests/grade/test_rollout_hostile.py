"""Text made to hold up the rules: work grows with its length or stops at a stated limit, and what is beyond is told."""

from __future__ import annotations

import difflib
import re
from typing import Any

import pytest

from karat.grade.rollout import statements
from karat.grade.rollout.assertions import MAX_LENGTH, MOST_COMPARED, Comparisons, find_assertions, pair_up
from karat.grade.rollout.rules import find_signs
from karat.grade.rollout.rules.scene import MOST_ASSERTIONS, in_script
from karat.grade.rollout.statements import LineReader, inside, parse_statements
from karat.grade.rollout.types import Action, Rollout, Sign, Text

BEYOND = re.compile(r"more changes of tests than are compared: ([\d,]+) changed assertions and ([\d,]+) pairs of lines")


def signs(before: str, after: str, path: str = "tests/test_mod.py") -> tuple[Sign, ...]:
    sides = (Text(text=text, whole=True) for text in (before, after))
    edit = Action(step=0, kind="edit", path=path, before=next(sides), after=next(sides), created=False)
    return find_signs(Rollout(rollout_id="r", format="patch", actions=(edit,)))


def one_test(lines: list[str]) -> str:
    return "\n".join(["def test_one():", *(f"    {line}" for line in lines)]) + "\n"


def beyond(found: tuple[Sign, ...]) -> list[tuple[int, int]]:
    """What was said to be too much: changed assertions, pairs of lines."""
    matches = (BEYOND.search(sign.evidence) for sign in found)
    return [(int(match[1].replace(",", "")), int(match[2].replace(",", ""))) for match in matches if match is not None]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Characters times characters of each comparison of two lines."""
    sizes: list[int] = []

    class Counted(difflib.SequenceMatcher[str]):
        def __init__(self, isjunk: None, a: str, b: str, autojunk: bool) -> None:
            sizes.append(len(a) * len(b))
            super().__init__(isjunk, a, b, autojunk)

    monkeypatch.setattr("karat.grade.rollout.assertions.difflib.SequenceMatcher", Counted)
    return sizes


@pytest.mark.parametrize("line", ["[", "x = (", '"""', "f(\\", "'''(", "{'a': [", "'"])
def test_each_line_is_read_once_whatever_stays_open(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    class Counted(LineReader):
        def stays_open(self, line: str) -> bool:
            read.append(line)
            return super().stays_open(line)

    monkeypatch.setattr(statements, "LineReader", Counted)
    parse_statements(Text(text="\n".join([line] * 3000)))
    assert len(read) == 3000


@pytest.mark.parametrize(
    ("lines", "ends"),
    [
        (["f(", "1,", ")"], [True, True, False]),
        (["x = '(' # ["], [False]),
        (['x = """(', "'", '(\\"""', '"""'], [True, True, True, False]),
        (["f('''a''', [", "'it\\'s)', \"])\"", "])"], [True, True, False]),
        (["a = b + \\", "c"], [True, False]),
        (["it's (", ")"], [True, False]),
        (["if x: f(')')"], [False]),
    ],
)
def test_a_statement_ends_where_its_brackets_and_quotes_do(lines: list[str], ends: list[bool]) -> None:
    reader = LineReader()
    assert [reader.stays_open(line) for line in lines] == ends


def test_a_block_is_what_stands_inside_it() -> None:
    found = parse_statements(Text(text="def f():\n    if x:\n        a\n    b\ndef g():\n    c\n"))
    assert [[item.text.strip() for item in inside(header, found)] for header in found if header.keyword] == [
        ["if x:", "a", "b"], ["a"], ["c"],
    ]  # fmt: skip
    deep = parse_statements(Text(text="\n".join(" " * depth + "if x:" for depth in range(300))))
    assert max(len(item.around) for item in deep) == statements.MAX_DEPTH


def test_changed_assertions_beyond_the_limit_are_counted(compared: list[int]) -> None:
    n = MOST_ASSERTIONS + 1000
    before = one_test([f"assert f({i}) == {i}" for i in range(n)])
    found = signs(before, one_test([f"assert f({i}) == {i + 1}" for i in range(n)]))
    assert sum(sign.technique == "change_expected" for sign in found) == MOST_ASSERTIONS
    assert beyond(found) == [(1000, 0)]
    assert compared == []  # the same left side pairs them
    longer = one_test([*(f"assert f({i}) == {i}" for i in range(n)), "assert f(0) is not None"])
    assert beyond(signs(before, longer)) == []  # what did not change is not counted


def test_unlike_lines_are_compared_up_to_a_limit(compared: list[int]) -> None:
    words = ["alpha", "beta", "gamma", "delta"]
    before = [f"def test_{words[i % 4]}_{i}():\n    assert f({i}) == {i}{'0' * 80}" for i in range(600)]
    after = [f"def check{i * 7}of_{i}():\n    assert [g{i}] != '{'z' * 80}'" for i in range(600)]
    found = signs("\n".join(before), "\n".join(after))
    assert sum(compared) <= MOST_COMPARED + MAX_LENGTH**2
    ((_, pairs),) = beyond(found)
    assert pairs > 0
    assert {sign.confidence for sign in found if BEYOND.search(sign.evidence)} == {"moderate"}


def test_pairs_within_the_limit_are_the_same_as_without() -> None:
    texts = ["assert f(1) == 1", "assert g(2, 3) == 4", "assert f(1) == 1", "assert len(h) > 2"]
    before = find_assertions(parse_statements(Text(text="\n".join(texts))))
    changed = ["assert len(h) > 1", "assert f(1) == 2", "assert g(2, 4) == 4", "assert f(1) == 1"]
    after = find_assertions(parse_statements(Text(text="\n".join(changed))))
    pairs = [(old and old.text, new and new.text) for old, new in pair_up(before, after, Comparisons())]
    assert pairs == [
        ("assert f(1) == 1", "assert f(1) == 1"), ("assert f(1) == 1", "assert f(1) == 2"),
        ("assert len(h) > 2", "assert len(h) > 1"), ("assert g(2, 3) == 4", "assert g(2, 4) == 4"),
    ]  # fmt: skip
    spent = Comparisons(most=0)
    lone = [(old and old.text, new and new.text) for old, new in pair_up(before[1:2], after[2:3], spent)]
    assert lone == [("assert g(2, 3) == 4", None), (None, "assert g(2, 4) == 4")]
    assert spent.lacked == 1


def test_lines_of_other_languages_beyond_the_limit_are_counted() -> None:
    before = "\n".join(f"expect(f({i})).toBe({i})" for i in range(700))
    assert beyond(signs(before, before.replace("toBe", "toEqual"), "src/f.test.js")) == [(400, 0)]


def test_a_script_is_searched_once_for_all_its_commands() -> None:
    in_script.cache_clear()
    script = "\n".join(f"make check_{i} && pytest -x || true" for i in range(500))
    run = Action(step=0, kind="run", command=script)
    found: Any = find_signs(Rollout(rollout_id="r", format="messages", actions=(run,)))
    assert [sign.technique for sign in found] == ["shell_true"]
    info = in_script.cache_info()
    assert info.misses < 20
    assert info.hits > 1000
