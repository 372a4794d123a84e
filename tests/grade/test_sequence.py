"""Classes driven by steps: objects by handles, plain results, exceptions, dead objects, the LeetCode form."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from karat.data.records import DropRowError
from karat.errors import InputError
from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.sequence import sequence_from_leetcode
from karat.grade.readers.contract import read_task
from karat.grade.types import Evaluation, Step, Task, Test
from karat.sandbox import open_sandbox
from karat.sandbox.types import Limits

QUEUE = """
class Queue:
    def __init__(self, start=()):
        self.items = list(start)
    def push(self, x):
        self.items.append(x)
    def pop(self):
        return self.items.pop(0)
    def peek(self):
        return self.items[0]
    def merge(self, other):
        self.items += other.items
        return self
    def size(self):
        return len(self.items)
"""


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    with closing(open_sandbox()) as sandbox, closing(open_sandbox()) as trusted:
        yield Context(sandbox=sandbox, trusted=trusted)


def step(method: str, *args: object, gives: object = None, check: bool = True) -> Step:
    return Step(method=method, args=args, output=gives, check=check)


def task_of(*tests: tuple[Step, ...], entry: str = "Queue", wall_s: float = 5.0) -> Task:
    made = tuple(Test(test_id=f"t{i}", steps=steps) for i, steps in enumerate(tests, 1))
    return Task(task_id="queue", kind="sequence", entry_point=entry, tests=made, limits=Limits(wall_s=wall_s))


ORDER = (step("Queue"), step("push", 3), step("push", [4, 5]), step("pop", gives=3), step("pop", gives=[4, 5]))


def verdicts(evaluation: Evaluation) -> list[str]:
    assert not evaluation.problem
    return [test.verdict for test in evaluation.tests]


def test_steps_are_compared_one_by_one(context: Context) -> None:
    wrong = (step("Queue"), step("push", 3), step("peek", gives=4), step("pop", gives=3))
    found = evaluate(task_of(ORDER, wrong), QUEUE, context)
    assert verdicts(found) == ["pass", "fail"]
    assert "step 3 of 4, peek" in found.tests[1].reason
    assert "1 later steps not run" in found.tests[1].reason


def test_objects_are_new_for_each_test(context: Context) -> None:
    once = (step("Queue"), step("push", 1), step("size", gives=1))
    assert verdicts(evaluate(task_of(once, once, once), QUEUE, context)) == ["pass"] * 3


def test_an_exception_can_be_what_a_step_asks_for(context: Context) -> None:
    asked = (step("Queue"), step("pop", gives={"raises": "IndexError"}), step("size", gives=0))
    other = (step("Queue"), step("pop", gives={"raises": "KeyError"}))
    unasked = (step("Queue"), step("pop", gives=1), step("size", gives=0))
    assert verdicts(evaluate(task_of(asked, other, unasked), QUEUE, context)) == ["pass", "fail", "fail"]


def test_several_objects_by_number(context: Context) -> None:
    two = (
        step("Queue", [1]),
        step("Queue", [2, 3]),
        step("0.merge", {"object": 1}, check=False),
        step("0.size", gives=3),
        step("1.size", gives=2),
    )
    absent = (step("Queue"), step("2.size", gives=0))
    found = evaluate(task_of(two, absent), QUEUE, context)
    assert verdicts(found) == ["pass", "fail"]
    assert "no object 2" in found.tests[1].reason


def test_a_class_may_derive_from_a_plain_type(context: Context) -> None:
    code = "class Queue(list):\n    def push(self, x): self.append(x)\n    def pop(self): return list.pop(self, 0)\n"
    assert verdicts(evaluate(task_of(ORDER), code, context)) == ["pass"]


@pytest.mark.parametrize(
    ("ends", "verdict", "said"),
    [
        ("import os; os._exit(0)", "fail", "left with status 0"),
        ("raise SystemExit(0)", "fail", "SystemExit"),
        ("while True: pass", "timeout", ""),
    ],
)
def test_a_dead_object_ends_the_sequence(context: Context, ends: str, verdict: str, said: str) -> None:
    code = QUEUE.replace("return self.items[0]", ends)
    found = evaluate(task_of((*ORDER[:2], step("peek", gives=3)), wall_s=0.6), code, context)
    assert verdicts(found) == [verdict]
    assert said in found.tests[0].reason


def test_after_a_hang_the_other_tests_are_not_run(context: Context) -> None:
    hangs = (step("Queue"), step("push", 1), step("peek", gives=1))
    code = QUEUE.replace("return self.items[0]", "while True: pass")
    found = evaluate(task_of(hangs, hangs, hangs, wall_s=0.6), code, context)
    assert sorted(verdicts(found)) == ["not run", "not run", "timeout"]


@pytest.mark.parametrize(
    "result",
    [
        "type('A', (), {'__eq__': lambda s, o: True})()",
        "type('A', (int,), {'__eq__': lambda s, o: True, '__hash__': int.__hash__})(7)",
        "type('A', (list,), {'__eq__': lambda s, o: True})()",
    ],
)
def test_no_object_makes_a_comparison_true(context: Context, result: str) -> None:
    code = QUEUE.replace("return self.items.pop(0)", f"return {result}")
    assert verdicts(evaluate(task_of(ORDER), code, context)) == ["fail"]


def test_class_that_is_not_there(context: Context) -> None:
    found = evaluate(task_of(ORDER), "class Other: pass", context)
    assert verdicts(found) == ["fail"]
    assert "Queue" in found.tests[0].reason


def test_state_of_the_class_does_not_pass_between_fresh_tests(context: Context) -> None:
    code = "class Queue:\n    n = 0\n    def push(self, x):\n        Queue.n += 1\n        return Queue.n\n"
    task = task_of(*[(step("Queue"), step("push", 1, gives=1))] * 3)
    assert sorted(verdicts(evaluate(task, code, context))) == ["fail", "fail", "pass"]
    assert verdicts(evaluate(replace(task, fresh=True), code, context)) == ["pass"] * 3


def test_leetcode_form(context: Context) -> None:
    steps = sequence_from_leetcode(["Queue", "push", "pop", "size"], [[], [1], [], []], [None, None, 1, 0])
    assert [s.check for s in steps] == [False, True, True, True]
    assert verdicts(evaluate(task_of(steps), QUEUE, context)) == ["pass"]


def test_leetcode_form_in_a_task_row() -> None:
    lists = [["Queue", "push", "pop"], [[], [1], []], [None, None, 1]]
    row = {"task_id": "q", "kind": "sequence", "entry_point": "Queue", "tests": [{"steps": lists}]}
    task = read_task(row, 0, [])
    assert task.tests[0].steps == sequence_from_leetcode(*lists)
    row["tests"] = [{"steps": [["Queue"], [[], [1]], [None]]}]
    with pytest.raises(DropRowError, match=r"test .*one length; they are 1, 2, 1"):
        read_task(row, 0, [])


def test_leetcode_lists_must_match() -> None:
    with pytest.raises(InputError, match=r"row 3: .*one length; they are 2, 2, 1"):
        sequence_from_leetcode(["Q", "pop"], [[], []], [None], where="row 3")
    with pytest.raises(InputError, match="step 1"):
        sequence_from_leetcode(["Q", 5], [[], []], [None, None])
