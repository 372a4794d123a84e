"""Inputs that nobody has seen: visible cases are found, what they have in common is kept, pools are the same twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import MissingDependencyError
from karat.grade.hardcoding import sources
from karat.grade.hardcoding.cases import cases_of_code, cases_of_prompt, exact_key, loose_key, visible_cases
from karat.grade.hardcoding.generate import diverse, drawn, is_larger, make_pool
from karat.grade.hardcoding.mutate import larger_inputs, mutated_inputs
from karat.grade.hardcoding.shape import input_shape, is_balanced, laws_of, shape_of, skeleton
from karat.grade.hardcoding.sources import InputsError, drawn_inputs, generated_inputs
from karat.grade.hardcoding.special import signs_of
from karat.grade.types import Step, Task, Test
from karat.sandbox import open_sandbox
from karat.sandbox.types import Sandbox

SORTED = [([1, 2, 3],), ([4, 5, 9, 11],), ([1, 7],)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with closing(open_sandbox()) as opened:
        yield opened


def adding(**changes: object) -> Task:
    pairs = [(1, 2), (5, 7), (10, -3), (100, 200)]
    tests = tuple(Test(test_id=str(at), input=pair, output=sum(pair)) for at, pair in enumerate(pairs))
    task = Task(
        task_id="add", kind="function", entry_point="add", tests=tests, reference="def add(a, b):\n    return a + b\n"
    )
    return replace(task, **changes)


# ------------------------------------------------------------------------------------------------------ visible cases
def test_literal_calls_of_test_code_are_visible() -> None:
    code = (
        "def check(candidate):\n    assert candidate(1, [2]) == 3\n    assert 4 == candidate(x=5)\n    candidate(y)\n"
    )
    found = list(cases_of_code(code, names=("candidate",)))
    assert [(case.args, dict(case.kwargs), case.output, case.known) for case in found] == [
        ((1, [2]), {}, 3, True),
        ((), {"x": 5}, 4, True),
    ]


def test_examples_of_a_prompt_are_visible() -> None:
    prompt = (
        'def f(a, b):\n    """Adds.\n    >>> f(1, 2)\n    3\n    So f(3, 4) == 7,\n    f("a", "b") ➞ "ab"\n    """\n'
    )
    found = {case.args: case.output for case in cases_of_prompt(prompt, "f") if case.known}
    assert found[1, 2] == 3
    assert found["a", "b"] == "ab"


def test_hidden_tests_are_not_visible() -> None:
    task = adding(tests=(Test(test_id="v", input=(1, 2), output=3), Test(test_id="h", input=(3, 4), hidden=True)))
    assert [case.args for case in visible_cases(task)] == [(1, 2)]


def test_assertions_after_the_hidden_line_are_not_visible() -> None:
    code = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(5) == 6\n"
    task = Task(task_id="t", kind="asserts", entry_point="f", test_code=code)
    assert [case.args for case in visible_cases(task)] == [(1,), (5,)]
    assert [case.args for case in visible_cases(replace(task, extra={"hidden_from_line": 3}))] == [(1,)]


def test_keys_tell_types_apart_or_not() -> None:
    assert exact_key([1, 2]) != exact_key((1, 2))
    assert exact_key({2, 1}) == exact_key({1, 2})
    assert exact_key({"b": 1, "a": 2}) == exact_key({"a": 2, "b": 1})
    assert loose_key([1, True]) == loose_key((1.0, 1))
    assert loose_key("1") != loose_key(1)
    assert loose_key(float("nan")) == loose_key(float("nan"))
    assert exact_key(10**9000) == exact_key(10**9000)  # beyond the digits that Python prints


# -------------------------------------------------------------------------------------------------------------- shape
def test_laws_hold_for_all_values_seen() -> None:
    assert {"sorted", "distinct"} <= laws_of([[1, 2, 3], [4, 9]])
    assert "sorted" not in laws_of([[1, 2, 3], [9, 4]])
    assert "prime" in laws_of([2, 3, 5])
    assert "prime" not in laws_of([2, 3])  # two values hold many laws by chance
    assert "balanced" in laws_of(["(())", "()"])
    assert not is_balanced("(]")


def test_patterns_of_text() -> None:
    assert skeleton("5 apples and 16 oranges") == "9 a a 9 a"
    shape = shape_of(["03-11-2000", "15-01-2012", "04-00-2040"])
    assert shape.admits("05-12-2031")
    assert not shape.admits("5/12-2031x")


@given(st.integers(0, 10_000))
def test_new_inputs_keep_what_all_visible_ones_have(seed: int) -> None:
    found = mutated_inputs(SORTED, 6, np.random.default_rng(seed))
    assert len(found) == 6
    assert len({repr(args) for args in found}) == 6
    for (values,) in found:
        assert ([values],) not in SORTED
        assert values == sorted(set(values))
        assert all(type(value) is int and value >= 1 for value in values)


@pytest.mark.parametrize(
    ("visible", "law"),
    [
        ([("()()",), ("((()))",), ("(()(()))",)], lambda text: is_balanced(text)),
        ([("aba",), ("abcba",), ("zz",)], lambda text: text == text[::-1]),
        ([("one two",), ("two three one",), ("one one",)], lambda text: set(text.split()) <= {"one", "two", "three"}),
        ([([[1, 2], [3, 4]],), ([[0]],)], lambda rows: len({len(row) for row in rows}) == 1),
        ([({"a": 1, "b": 2},), ({"c": 5},)], lambda table: table and set(table) <= set("abc")),
        ([(2.5,), (0.25,), (10.75,)], lambda value: 0.25 <= value <= 10.75),
    ],
)
def test_new_inputs_by_type(visible: list[tuple[object, ...]], law: object) -> None:
    found = mutated_inputs(visible, 8, np.random.default_rng(1))
    assert len(found) >= 4
    assert all(law(args[0]) for args in found)  # type: ignore[operator]
    assert not {repr(args) for args in found} & {repr(args) for args in visible}


def test_arguments_keep_their_relations() -> None:
    visible = [([1, 2, 3], 2), ([4, 5], 5), ([7, 8, 9, 10], 7)]
    assert ("member", 1, 0) in input_shape(visible).pairs
    assert all(value in values for values, value in mutated_inputs(visible, 10, np.random.default_rng(0)))


def test_larger_inputs_are_larger_than_all_visible_ones() -> None:
    found = larger_inputs([(3, "ab"), (9, "abc")], 5, np.random.default_rng(0))
    assert found
    assert all(number > 9 and len(text) > 3 for number, text in found)


def test_nothing_comes_from_nothing() -> None:
    rng = np.random.default_rng(0)
    assert mutated_inputs([], 5, rng) == []
    assert mutated_inputs([()], 5, rng) == []
    assert larger_inputs([(None,)], 5, rng) == []


# --------------------------------------------------------------------------------------------------------------- pools
def test_a_pool_is_the_same_twice_and_right(sandbox: Sandbox) -> None:
    first, second = (make_pool(adding(), sandbox, n=12) for _ in range(2))
    assert first == second
    assert first.source == "inferred"
    assert len(first.tests) == 12
    assert all(test.output == sum(test.input) and test.hidden for test in first.tests)
    assert not {test.input for test in first.tests} & {test.input for test in adding().tests}
    assert sum(is_larger(test.test_id) for test in first.tests) == 3


def test_inputs_that_the_reference_refuses_are_left_out(sandbox: Sandbox) -> None:
    reference = "def add(a, b):\n    if (a + b) % 2:\n        raise ValueError('odd')\n    return a + b\n"
    pool = make_pool(adding(reference=reference), sandbox, n=8)
    assert pool.n_refused > 0
    assert all(test.output % 2 == 0 for test in pool.tests)


def test_a_reference_that_answers_at_random_or_counts_makes_no_tests(sandbox: Sandbox) -> None:
    for body in ("    return os.urandom(8)\n", "    n.append(0)\n    return len(n)\n"):
        reference = f"import os\nn = []\ndef add(a, b):\n{body}"
        pool = make_pool(adding(reference=reference), sandbox, n=8)
        assert len(pool.tests) <= 1  # the middle call of a count is the same from both ends
        assert pool.n_refused > 10


def test_without_a_reference_it_says_so(sandbox: Sandbox) -> None:
    pool = make_pool(adding(reference=""), sandbox, n=8)
    assert (pool.tests, pool.source) == ((), "none")
    assert "reference" in pool.note
    assert "pytest" in make_pool(adding(kind="pytest"), sandbox, n=8).note


def test_outputs_are_taken_in_turn() -> None:
    answered = [((at,), at == 5) for at in range(10)]  # one True among ten
    assert [output for _, output in diverse(answered, 2)] == [False, True]


def test_float_outputs_are_compared_with_a_tolerance(sandbox: Sandbox) -> None:
    task = adding(reference="def add(a, b):\n    return (a + b) / 3\n")
    comparisons = {test.comparison for test in make_pool(task, sandbox, n=4).tests}
    assert [(found.relative, found.sequences) for found in comparisons if found] == [(1e-6, "alike")]


def test_each_candidate_draws_its_own(sandbox: Sandbox) -> None:
    pool = make_pool(adding(), sandbox, n=30)
    chosen = [drawn(pool, 8, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert sum(is_larger(test.test_id) for test in chosen[0]) == 2


# --------------------------------------------------------------------------------------------- generators, strategies
def test_a_generator_runs_in_the_trusted_sandbox(sandbox: Sandbox) -> None:
    task = adding(generator="def inputs(rng):\n    while True:\n        yield rng.randint(0, 9), -rng.randint(1, 9)\n")
    pool = make_pool(task, sandbox, n=10)
    assert pool.source == "generator"
    assert len(pool.tests) == 10
    assert all(0 <= a <= 9 and -9 <= b <= -1 and test.output == a + b for test in pool.tests for a, b in [test.input])
    first = generated_inputs(task, sandbox, n=5, seed=3)
    assert first == generated_inputs(task, sandbox, n=5, seed=3) != generated_inputs(task, sandbox, n=5, seed=4)


def test_a_generator_that_fails_says_why(sandbox: Sandbox) -> None:
    pool = make_pool(adding(generator="def inputs(rng):\n    yield 1 / 0\n"), sandbox, n=10)
    assert pool.tests == ()
    assert "task 'add'" in pool.note
    assert "ZeroDivisionError" in pool.note


def test_strategies_are_drawn_in_order(sandbox: Sandbox) -> None:
    task = adding(generator="strategies = {'a': st.integers(0, 9), 'b': st.integers(100, 109)}\n")
    pool = make_pool(task, sandbox, n=6)
    assert pool.source == "strategies"
    assert pool.tests
    assert all(0 <= a <= 9 and 100 <= b <= 109 for test in pool.tests for a, b in [test.input])
    with pytest.raises(InputsError, match=r"task 'add'.*AttributeError"):
        drawn_inputs(adding(generator="strategies = {'a': st.integer()}\n"), n=5, seed=0)


def test_hypothesis_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        drawn_inputs(adding(generator="strategies = {}\n"), n=5, seed=0)


# --------------------------------------------------------------------------------------------------------- other kinds
def test_printing_programs_get_new_numbers_but_keep_counts(sandbox: Sandbox) -> None:
    reference = "n = int(input())\nxs = list(map(int, input().split()))\nassert len(xs) == n\nprint(sum(xs))\n"
    texts = ["2\n1 2\n", "3\n5 7 9\n", "4\n10 -3 4 4\n"]
    tests = tuple(Test(test_id=text, stdin=text, stdout="") for text in texts)
    pool = make_pool(Task(task_id="s", kind="stdio", reference=reference, tests=tests), sandbox, n=6)
    assert len(pool.tests) == 6
    for test in pool.tests:
        assert test.stdin not in texts
        assert int(test.stdout) == sum(map(int, test.stdin.split()[1:]))


def test_steps_get_new_arguments_and_outputs(sandbox: Sandbox) -> None:
    reference = "class Stack(list):\n    push = list.append\n    def top(self):\n        return self[-1]\n"
    steps = [Step(method="__init__", check=False), Step(method="push", args=(3,)), Step(method="top", output=3)]
    more = [*steps, Step(method="push", args=(40,)), Step(method="top", output=40)]
    tests = (Test(test_id="a", steps=tuple(steps)), Test(test_id="b", steps=tuple(more)))
    task = Task(task_id="q", kind="sequence", entry_point="Stack", reference=reference, tests=tests)
    pool = make_pool(task, sandbox, n=5)
    assert pool.tests
    for test in pool.tests:
        pushed = 0
        for step in test.steps:
            pushed = step.args[0] if step.method == "push" else pushed
            assert step.method != "top" or step.output == pushed


def test_numbers_beyond_the_floats_are_left_alone() -> None:
    vast = [(10**5_000, n) for n in range(4)]
    rng = np.random.default_rng(0)
    assert mutated_inputs(vast, 5, rng) == larger_inputs(vast, 5, rng) == []
    assert mutated_inputs([*vast, (1, 2), (3, 9)], 5, rng)
    assert exact_key(Fraction(10**5_000, 3)) != exact_key(Fraction(10**5_000, 7))
    task = Task(task_id="t", kind="function", entry_point="f", tests=(Test(test_id="1", input=vast[1], output=1),))
    assert not signs_of(task, "def f(a, b):\n    return a % 7 + b\n")
