"""Code out of answers."""

from __future__ import annotations

import pytest

from karat.grade.extract import code_of

ANSWER = "First:\n```python\na = 1\n```\nbetter:\n```py\na = 2\n```\nrun it:\n```bash\npython a.py\n```\n"


@pytest.mark.parametrize(
    ("how", "expected"), [("auto", "a = 2\n"), ("last block", "a = 2\n"), ("first block", "a = 1\n"), ("whole", ANSWER)]
)
def test_blocks(how: str, expected: str) -> None:
    assert code_of(ANSWER, how=how) == expected  # type: ignore[arg-type]


def test_without_a_fence() -> None:
    assert code_of("x = 1") == "x = 1"
    assert code_of("x = 1", how="last block") == ""


def test_an_unclosed_fence_runs_to_the_end() -> None:
    assert code_of("```python\nx = 1\ny = 2") == "x = 1\ny = 2"


def test_a_fence_inside_a_longer_fence() -> None:
    assert code_of('````python\ns = """\n```\n"""\n````') == 's = """\n```\n"""\n'


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Here:\r\n```python\r\nx = 1\r\n```\r\nDone.\r\n", "x = 1\r\n"),
        ("1. So:\n\n   ```python\n   def f():\n       return 1\n   ```\n2. End", "def f():\n    return 1\n"),
        ("Answer: ```python\nx = 1\n```\n", "x = 1\n"),
        ("```python\ndef f(): return 1```", "def f(): return 1\n"),
        ("Use ``` to fence.\n```python\nx = 1\n```\n", "x = 1\n"),
        ("a ```bash\nls\n```\nb\n```python\nx = 1\n```", "x = 1\n"),
    ],
    ids=["carriage returns", "in a list", "behind a sentence", "closed on a line of code", "fence in words", "bash"],
)
def test_fences_as_models_write_them(answer: str, code: str) -> None:
    assert code_of(answer) == code


def test_completion() -> None:
    assert code_of("    return 1", how="completion", prompt="def f():\n") == "def f():\n    return 1"
