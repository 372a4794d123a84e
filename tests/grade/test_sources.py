"""Sources as they come: with a mark of their byte order, an encoding, imports that must stand first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.calls import with_prelude
from karat.grade.types import Task, Test
from karat.sandbox import open_sandbox


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    with closing(open_sandbox()) as sandbox, closing(open_sandbox()) as trusted:
        yield Context(sandbox=sandbox, trusted=trusted)


def passes(context: Context, code: str | bytes, *, prelude: str = "") -> bool:
    tests = (Test(test_id="1", input=(3,), output=9), Test(test_id="2", input=(5,), output=25))
    task = Task(task_id="t", kind="function", entry_point="f", tests=tests, prelude=prelude)
    return {test.verdict for test in evaluate(task, code, context).tests} == {"pass"}


SQUARE = "def f(x): return x * x\n"
PRELUDE = "import math\n"


@pytest.mark.parametrize("prelude", ["", PRELUDE])
@pytest.mark.parametrize(
    "code",
    [
        f"\ufeff{SQUARE}",
        f"\ufeff{SQUARE}".encode(),
        f"# -*- coding: latin-1 -*-\ns = '\u00e9'\n{SQUARE}".encode("latin-1"),
        f"from __future__ import annotations\n{SQUARE}".encode(),
        f'"""One\u2028two\x0cthree."""\nfrom __future__ import annotations\n{SQUARE}',
        f"from __future__ import annotations\r\n{SQUARE}".replace("\n", "\r\n").replace("\r\r", "\r"),
    ],
    ids=["mark", "mark in bytes", "latin-1", "future in bytes", "odd line ends", "CR LF"],
)
def test_a_source_means_what_its_file_would(context: Context, code: str | bytes, prelude: str) -> None:
    assert passes(context, code, prelude=prelude)


def test_the_prelude_loses_nothing_of_the_code() -> None:
    for code in ("", "x", "x\n", "x\r\ny\x0bz", "\n\nx = 1\r"):
        assert with_prelude(PRELUDE, code) == f"{PRELUDE}\n{code}"


def test_the_locale_that_programs_are_given_is_there(context: Context) -> None:
    assert passes(context, f"import locale\nlocale.setlocale(locale.LC_ALL, '')\n{SQUARE}")


def test_a_program_may_change_the_encoding_of_its_output(context: Context) -> None:
    task = Task(task_id="t", kind="stdio", tests=(Test(test_id="1", stdin="2 3\n", stdout="5\n"),))
    code = (
        "import sys\nfor stream in (sys.stdin, sys.stdout):\n    stream.reconfigure(encoding='utf-8')\n"
        "assert not sys.stdout.seekable()\nprint(sum(map(int, input().split())))\n"
    )
    assert [test.verdict for test in evaluate(task, code, context).tests] == ["pass"]
