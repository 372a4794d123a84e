"""Planted truth for the tasks of `karat grade`: wrong answers in tasks, references that vary, assertions, noise.

Tasks: the small function tasks of the known programs. Planted: one expected output changed; a reference that answers
None every second time; assertions of eight forms over a task's tests, answered by the reference or by a program that is
wrong on one input; numbers moved by half and by twice the tolerance; lists in another order, with or without one item
changed; rows of a tasks file damaged in one of six ways.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from karat.grade.check_task import check_task
from karat.grade.compare import agree
from karat.grade.kinds import Context, evaluate
from karat.grade.readers import read_tasks
from karat.grade.types import Comparison, Task
from karat.sandbox import open_sandbox
from karat.selftest.planted import PlantedRow, costly
from karat.worlds.cheats.tasks import FUNCTION_TASKS

TITLES = {
    "SE631": "One expected output is wrong: the task is called invalid, and that test named",
    "SE632": "A reference that varies: the task is called invalid",
    "SE633": "A sound task: called invalid",
    "SE634": "Assertions on a program wrong on one input: exactly that assertion fails",
    "SE635": "Assertions on a right program: one fails",
    "SE636": "A number off by twice the tolerance, deep in a value: seen",
    "SE637": "Numbers off by half the tolerance: called different",
    "SE638": "Free order, one item changed: seen; none changed: not seen",
    "SE639": "Damaged rows of a tasks file: dropped and counted, the others read",
}
"""What each row promises."""
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Checked:
    """What was said of one replication's tasks."""

    wrong_named: bool
    varying_refused: bool
    sound_refused: bool
    wrong_assertion_found: bool
    right_assertion_failed: bool


@contextmanager
def both_sandboxes() -> Iterator[Context]:
    sandbox, trusted = open_sandbox(), open_sandbox()
    try:
        yield Context(sandbox=sandbox, trusted=trusted, watch=False)
    finally:
        sandbox.close()
        trusted.close()


def changed(value: Any, rng: np.random.Generator) -> Any:
    """Another value of the same shape."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + int(rng.integers(1, 4))
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list) and value:
        at = int(rng.integers(len(value)))
        return [changed(item, rng) if index == at else item for index, item in enumerate(value)]
    if isinstance(value, dict) and value:
        key = sorted(value)[int(rng.integers(len(value)))]
        return {**value, key: changed(value[key], rng)}
    return 0 if value is None else None


# ---------------------------------------------------------------------------------------------------------------- tasks
def replicate(task: Task, rng: np.random.Generator, context: Context) -> Checked:
    at = int(rng.integers(len(task.tests)))
    bad = replace(task.tests[at], output=changed(task.tests[at].output, rng))
    wrong = replace(task, tests=(*task.tests[:at], bad, *task.tests[at + 1 :]))
    varying = (
        f"{task.reference}\nsteady, calls = {task.entry_point}, []\n"
        f"def {task.entry_point}(*args):\n"
        "    import os\n    return steady(*args) if os.urandom(1)[0] % 2 else ()\n"
    )
    asked = assertions(task, rng)
    mistaken = (
        f"{task.reference}\nright = {task.entry_point}\n"
        f"def {task.entry_point}(*args):\n"
        f"    return (None,) if list(args) == {list(task.tests[at].input)!r} else right(*args)\n"
    )
    failed = [test.test_id for test in evaluate(asked, mistaken, context).tests if test.verdict != "pass"]
    return Checked(
        wrong_named=check_task(wrong, context, runs=2).startswith(f"the reference fails test {bad.test_id}:"),
        varying_refused=bool(check_task(replace(task, reference=varying), context, runs=2)),
        sound_refused=bool(check_task(task, context, runs=2)),
        wrong_assertion_found=failed == [f"line {at + 1}"],
        right_assertion_failed=any(test.verdict != "pass" for test in evaluate(asked, task.reference, context).tests),
    )


def assertions(task: Task, rng: np.random.Generator) -> Task:
    """The task's tests as assertions, one a line, each in a form drawn by lot: some become cases, some a dialogue."""
    lines = []
    for test in task.tests:
        call = f"{task.entry_point}({', '.join(map(repr, test.input))})"
        forms = [
            f"assert {call} == {test.output!r}",
            f"assert {test.output!r} == {call}, 'told'",
            f"assert not {call} != {test.output!r}",
            f"assert {call} in ({test.output!r},)",
            f"assert [{call}] == [{test.output!r}]",
            f"for wanted in [{test.output!r}]: assert {call} == wanted",
            f"got = {call}; assert got == {test.output!r}",
            f"assert {call} == {test.output!r} and True",
        ]
        lines.append(forms[int(rng.integers(len(forms)))])
    return replace(
        task, kind="asserts", tests=(), test_code="\n".join(lines), task_id=f"{task.task_id}/{rng.integers(1 << 40)}"
    )


# ----------------------------------------------------------------------------------------------------------- comparison
def nested(numbers: list[float], rng: np.random.Generator) -> Any:
    """The numbers inside lists, tuples and dicts by lot."""
    value: Any = list(numbers)
    for _ in range(int(rng.integers(1, 5))):
        value = [[value, 1], (value, "a"), {"k": value}][int(rng.integers(3))]
    return value


def noise_seen(rng: np.random.Generator, size: float) -> bool:
    numbers = [float(x) for x in rng.normal(size=6)]
    shape = int(rng.integers(1 << 30))
    moved = list(numbers)
    moved[int(rng.integers(6))] += size * (1 if rng.random() < 0.5 else -1)
    left, right = (nested(items, np.random.default_rng(shape)) for items in (numbers, moved))
    return bool(agree(left, right, Comparison(absolute=TOLERANCE)))


def order_told(rng: np.random.Generator) -> bool:
    """Whether a shuffled list agrees, and does not with one item changed."""
    items = [nested([float(rng.integers(5))], rng) for _ in range(8)]
    mixed = [copy.deepcopy(items[at]) for at in rng.permutation(8)]
    other = [[*mixed[:-1], [mixed[-1]]], [*mixed[:-1], "another"]][int(rng.integers(2))]
    free = Comparison(order="free")
    return agree(items, mixed, free) == "" and agree(items, other, free) != ""


# ----------------------------------------------------------------------------------------------------------------- rows
DAMAGES: tuple[Callable[[dict[str, Any]], Any], ...] = (
    lambda row: {key: value for key, value in row.items() if key != "task_id"},
    lambda row: {**row, "tests": "none"},
    lambda row: {**row, "tests": [7]},
    lambda row: {**row, "kind": "riddle"},
    lambda row: {**row, "comparison": {"relative": "much"}},
    lambda row: "no object",
)


def rows_counted(rng: np.random.Generator) -> bool:
    rows: list[Any] = []
    damaged = []
    for number in range(12):
        row = json.loads(json.dumps(FUNCTION_TASKS[number % len(FUNCTION_TASKS)].row)) | {"task_id": f"task {number}"}
        if rng.random() < 0.3:
            damaged.append(number)
            row = DAMAGES[int(rng.integers(len(DAMAGES)))](row)
        rows.append(row)
    if len(damaged) == len(rows):
        return True
    tasks, account = read_tasks(rows)
    dropped = Counter({number: 1 for entry in account if entry.action == "dropped" for number in entry.first_rows})
    return (
        sorted(dropped) == damaged and len(tasks) == len(rows) - len(damaged) and account.rows_dropped == len(damaged)
    )


def task_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises on tasks and comparison, checked on `replications` of each world."""
    n = costly(replications)
    tasks, _ = read_tasks([dict(task.row) for task in FUNCTION_TASKS])
    said = []
    with both_sandboxes() as context:
        for number in range(n):
            task = tasks[number % len(tasks)]
            if progress:
                progress("planting for grade: tasks", number, n, task.task_id)
            said.append(replicate(task, np.random.default_rng([seed, 631, number]), context))
    rng = np.random.default_rng([seed, 636])
    off = sum(noise_seen(rng, 2 * TOLERANCE) for _ in range(replications))
    within = sum(noise_seen(rng, TOLERANCE / 2) for _ in range(replications))
    orders = sum(order_told(rng) for _ in range(replications))
    counted = sum(rows_counted(rng) for _ in range(replications))

    def row(code: str, least: float, most: float, told: str, hits: int, size: int = n) -> PlantedRow:
        return PlantedRow(code=code, title=TITLES[code], planted=told, hits=hits, n=size, least=least, most=most)

    forms = "eight forms of assertion by lot"
    return [
        row("SE631", 0.99, 1.0, "one expected output changed", sum(each.wrong_named for each in said)),
        row("SE632", 0.99, 1.0, "every second answer is another", sum(each.varying_refused for each in said)),
        row("SE633", 0.0, 0.01, "tasks as they are", sum(each.sound_refused for each in said)),
        row("SE634", 0.99, 1.0, forms, sum(each.wrong_assertion_found for each in said)),
        row("SE635", 0.0, 0.01, forms, sum(each.right_assertion_failed for each in said)),
        row("SE636", 1.0, 1.0, "1 of 6 numbers, up to four containers deep", off, replications),
        row("SE637", 0.0, 0.0, "1 of 6 numbers, up to four containers deep", within, replications),
        row("SE638", 1.0, 1.0, "8 items that are containers", orders, replications),
        row("SE639", 1.0, 1.0, "12 rows, 30 % damaged in one of six ways", counted, replications),
    ]
