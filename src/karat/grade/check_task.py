"""Whether a task can judge anybody: its tests exist, and its own reference passes them, every time."""

from __future__ import annotations

from karat.grade.convert import convert
from karat.grade.kinds import Context, evaluate
from karat.grade.types import Evaluation, Task, TestVerdict

RUNS = 3
"""Runs of the reference; it must pass all of them."""


def missing_tests(task: Task) -> str:
    """Why a task has nothing to run; empty when it has."""
    if task.kind == "asserts" and task.test_code.strip():
        return convert(task.test_code, task.entry_point).problem
    if task.kind in ("asserts", "pytest"):
        return "" if task.test_code.strip() or task.test_files else "it has no test code"
    if task.kind == "repository":
        return "" if task.test_files or task.command else "it names no test files and no command"
    if not task.tests:
        return "it has no tests"
    if task.kind in ("function", "sequence") and not task.entry_point:
        return "it names no entry point"
    return ""


def check_task(task: Task, context: Context, *, runs: int = RUNS) -> str:
    """Why a task is invalid: no tests, or a reference that does not pass them each time. Empty when it is valid.

    A task without a reference cannot be checked beyond its form.
    """
    problem = missing_tests(task)
    if problem or not task.reference:
        return problem
    first: dict[str, TestVerdict] = {}
    for number in range(runs):
        evaluation = evaluate(task, task.reference, context)
        problem = _failure(evaluation)
        verdicts = {test.test_id: test.verdict for test in evaluation.tests}
        if number == 0:
            first = verdicts
        elif verdicts != first:
            changed = next(name for name in verdicts | first if verdicts.get(name) != first.get(name))
            then, now = first.get(changed, "nothing"), verdicts.get(changed, "nothing")
            return f"the reference is not deterministic: test {changed} gave {then!r} and then {now!r}"
        if problem and (number or evaluation.problem):  # a second look tells a wrong test from a reference that varies
            return problem
    return problem


def _failure(evaluation: Evaluation) -> str:
    if evaluation.problem:
        return f"the reference cannot be judged: {evaluation.problem}"
    if not evaluation.tests:
        return "it has no tests that run"
    bad = next((test for test in evaluation.tests if test.verdict not in ("pass", "not run")), None)
    if bad is not None:
        return f"the reference fails test {bad.test_id}: {bad.reason}"
    idle = sum(test.verdict == "not run" for test in evaluation.tests)
    return f"{idle} of {len(evaluation.tests)} tests of the reference were not run" if idle else ""
