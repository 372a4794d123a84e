"""The same task under other names: the candidate that is run, and the prompt for a fresh sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from karat.grade.hardcoding.rename import (
    RENAMED_ENVIRONMENT,
    argument_names,
    renamed_program,
    renamed_source,
    renamed_task,
    split_arguments,
)
from karat.grade.kinds import Context, evaluate
from karat.grade.types import Task, Test
from karat.sandbox import open_sandbox
from karat.sandbox.types import Call, Limits, Program

PROMPT = '''def below(limit, items):
    """Which items are below the limit? below answers in order.

    >>> below(3, [1, 5, 2])
    [1, 2]
    >>> below(0, [])
    []
    """
'''
TESTS = (Test(test_id="a", input=(3, [1, 5, 2]), output=[1, 2]), Test(test_id="b", input=(9, [8]), output=[8]))
TASK = Task(
    task_id="below", kind="function", entry_point="below", prompt=PROMPT, tests=TESTS,
    reference=PROMPT + "    return [item for item in items if item < limit]\n", limits=Limits(wall_s=5.0),
)  # fmt: skip


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    with closing(open_sandbox()) as sandbox, closing(open_sandbox()) as trusted:
        yield Context(sandbox=sandbox, trusted=trusted)


def test_identifiers_are_exchanged_and_nothing_else() -> None:
    source = "def add(a):  # add\n    'add'\n    return add2(x.add, add(a))\n"
    assert renamed_source(source, {"add": "f"}) == "def f(a):  # add\n    'add'\n    return add2(x.add, f(a))\n"
    assert renamed_source(source, {"add": "a"}) is None  # a is in use
    assert renamed_source("def (", {"add": "f"}) in (None, "def (")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("__name__", "module"),
        ("__import__('sys')._getframe().f_code.co_filename", "file"),
        ("__import__('sys')._getframe().f_code.co_name", "function"),
        ("__import__('os').environ.get('PYTEST_CURRENT_TEST')", "environment"),
    ],
)
def test_a_renamed_program_sees_other_names(context: Context, body: str, name: str) -> None:
    source = f"def add(a, b):\n    return {body}\n"
    program, target = renamed_program(source, "add")
    limits = Limits(wall_s=5.0)
    before = context.sandbox.run(Program(source=source), [Call("add", (1, 2))], limits=limits).replies[0]
    after = context.sandbox.run(Program(source=program), [Call(target, (1, 2))], limits=limits).replies[0]
    assert before.status == after.status == "value"
    assert before.value != after.value
    assert name != "environment" or after.value == RENAMED_ENVIRONMENT["PYTEST_CURRENT_TEST"]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("def add(a, b):\n    return a + b if a < 3 else 1 + add(a - 1, b)\n", "add"),
        ("class Solution:\n    def add(self, a, b):\n        return a + b\n", "Solution.add"),
        (b"# coding: utf-8\ndef add(a, b):\n    return a + b\n", "add"),
        ("from __future__ import annotations\nadd = lambda a, b: a + b\n", "add"),
    ],
)
def test_a_renamed_program_answers_as_before(context: Context, source: str | bytes, path: str) -> None:
    program, target = renamed_program(source, path)
    run = context.sandbox.run(Program(source=program), [Call(target, (5, 2))], limits=Limits(wall_s=5.0))
    assert run.replies[0].value == 7


# ------------------------------------------------------------------------------------------------------------- prompts
def test_an_isomorphic_task_is_solved_by_its_reference_and_not_by_the_old_names(context: Context) -> None:
    orders = set()
    for seed in range(6):
        twin = renamed_task(TASK, np.random.default_rng(seed))
        orders.add(twin.order)
        assert [test.verdict for test in evaluate(twin.task, twin.task.reference, context).tests] == ["pass", "pass"]
        assert {test.verdict for test in evaluate(twin.task, TASK.reference, context).tests} <= {"fail", "not run"}
        assert "below(" not in twin.task.prompt
        assert f"def {twin.task.entry_point}(" in twin.task.prompt
        assert argument_names(twin.task.prompt, twin.task.entry_point) == tuple(
            twin.names[("limit", "items")[at]] for at in twin.order
        )
    assert orders == {(0, 1), (1, 0)}


def test_examples_follow_the_order_of_arguments() -> None:
    twin = next(
        found for seed in range(9) if (found := renamed_task(TASK, np.random.default_rng(seed))).order == (1, 0)
    )
    assert f">>> {twin.task.entry_point}([1, 5, 2], 3)\n    [1, 2]" in twin.task.prompt
    assert twin.task.tests[0].input == ([1, 5, 2], 3)


def test_the_same_seed_gives_the_same_twin() -> None:
    first, second, other = (renamed_task(TASK, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert first == second
    assert first.names != other.names


def test_output_words_are_exchanged_where_the_prompt_names_them(context: Context) -> None:
    prompt = 'def sign(n):\n    """Return \'plus\' or \'minus\'."""\n'
    tests = (Test(test_id="a", input=(3,), output="plus"), Test(test_id="b", input=(-3,), output="minus"))
    reference = prompt + "    return 'plus' if n > 0 else 'minus'\n"
    task = Task(task_id="s", kind="function", entry_point="sign", prompt=prompt, tests=tests, reference=reference)
    twin = renamed_task(task, np.random.default_rng(0))
    assert set(twin.words) == {"plus", "minus"}
    assert f"'{twin.words['plus']}'" in twin.task.prompt
    assert "'plus'" not in twin.task.prompt
    assert [test.output for test in twin.task.tests] == [twin.words["plus"], twin.words["minus"]]
    assert [test.verdict for test in evaluate(twin.task, twin.task.reference, context).tests] == ["pass", "pass"]


def test_test_code_follows(context: Context) -> None:
    code = "def check(candidate):\n    assert candidate(3, [1, 5, 2]) == [1, 2]\n    assert below(9, [8]) == [8]\n"
    task = Task(
        task_id="b", kind="asserts", entry_point="below", prompt=PROMPT, test_code=code, reference=TASK.reference
    )
    for seed in range(4):
        twin = renamed_task(task, np.random.default_rng(seed)).task
        assert {test.verdict for test in evaluate(twin, twin.reference, context).tests} == {"pass"}


def test_a_signature_that_cannot_be_permuted_keeps_its_order() -> None:
    task = Task(task_id="d", kind="function", entry_point="f", prompt='def f(a, b=2):\n    """Doc."""\n')
    assert renamed_task(task, np.random.default_rng(0)).order == ()
    assert argument_names("def f(a, *rest): pass", "f") == ()
    assert argument_names("class S:\n    def f(self, a, b): pass", "f") == ("a", "b")


def test_arguments_are_split_at_their_own_commas() -> None:
    text = "f(1, [2, 3], 'a,)', {'k': (4, 5)}) == 1"
    assert split_arguments(text, 2) == (["1", "[2, 3]", "'a,)'", "{'k': (4, 5)}"], 33)
    assert split_arguments("f(1, 2", 2) == ([], 2)
    assert split_arguments("f()", 2) == ([], 2)
