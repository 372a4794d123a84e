"""The seal changes with what it covers, and with nothing else."""

from __future__ import annotations

from dataclasses import replace

from karat.grade.seal import canonical, changes, take_seal
from karat.grade.types import Task, Test

TASK = Task(task_id="t", kind="function", entry_point="f", tests=(Test(test_id="1", input=(1,), output=2),))


def test_the_same_twice() -> None:
    assert changes(take_seal([TASK]), take_seal([TASK])) == ()


def test_an_expected_output_changed() -> None:
    edited = replace(TASK, tests=(replace(TASK.tests[0], output=3),))
    assert changes(take_seal([TASK]), take_seal([edited])) == ("tasks",)


def test_equal_values_of_other_types_are_told_apart() -> None:
    values = [1, 1.0, True, "1", "1.0", "b'1'", (1,), [1], {1}, {1.0}, b"1", {1: 1}, {"1": 1}, 10**5000, 10**5000 + 1]
    assert len({canonical(value) for value in values}) == len(values)


def test_the_order_of_a_set_or_dict_does_not_count() -> None:
    assert canonical({"a": 1, "b": {3, 1, 2}}) == canonical({"b": {2, 3, 1}, "a": 1})
