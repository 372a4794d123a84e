"""The odd tasks of HumanEval and MBPP, where the real data is there: their own solutions pass, wrong ones do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from karat.grade.coverage import coverage
from karat.grade.kinds import Context, evaluate
from karat.grade.readers import read_tasks
from karat.grade.types import Task
from karat.sandbox import open_sandbox

DATA = Path(os.environ.get("KARAT_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FILES = {
    "HumanEval": DATA / "humaneval" / "data__HumanEval.jsonl.gz",
    "MbppEval": DATA / "codet" / "CodeT__data__dataset__mbpp_sanitized_for_code_generation.jsonl.zst",
}
ODD = (32, 33, 38, 44, 50, 53, 151)
"""Polynomials judged by their value, both sides called, random strings, loops, variables."""
ODD_MBPP = (56, 82, 392, 596)
"""A function called check, isclose without its import, a name with a blank, sys.getsizeof."""

pytestmark = pytest.mark.skipif(not all(f.exists() for f in FILES.values()), reason=f"no real data in {DATA}")


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    sandbox, trusted = open_sandbox(), open_sandbox()
    yield Context(sandbox=sandbox, trusted=trusted)
    sandbox.close()
    trusted.close()


def tasks_of(name: str, numbers: tuple[int, ...]) -> list[Task]:
    by_id = {task.task_id: task for task in read_tasks(FILES[name])[0]}
    return [by_id[f"{name}/{number}"] for number in numbers]


def test_their_solutions_pass_and_constants_do_not(context: Context) -> None:
    for task in tasks_of("HumanEval", ODD) + tasks_of("MbppEval", ODD_MBPP):
        told = evaluate(task, task.reference, context)
        assert {test.verdict for test in told.tests} == {"pass"}, (task.task_id, told)
        constant = f"{task.prompt}\n    return 7\n"
        assert "fail" in {test.verdict for test in evaluate(task, constant, context).tests}, task.task_id


def test_nearly_all_assertions_become_cases(context: Context) -> None:
    """Counted once by hand for HumanEval: 1,133 assertions, of which three call the candidate on both sides and one
    evaluates a polynomial at the answer."""
    (humaneval,) = coverage(read_tasks(FILES["HumanEval"])[0], context.trusted)
    assert (humaneval.assertions, humaneval.cases, humaneval.dialogue, humaneval.isolated) == (1133, 1129, 4, 0)
