"""How candidates of each kind of task are run and compared, one file a kind."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from karat.grade.kinds.context import Context
from karat.grade.types import Evaluation, Task, TaskKind

Evaluator = Callable[[Task, str | bytes, Context], Evaluation]

HOMES: dict[TaskKind, str] = {
    "function": "function",
    "sequence": "sequence",
    "stdio": "stdio",
    "asserts": "asserts",
    "pytest": "pytest_suite",
    "repository": "repository",
}
"""Kind -> module of this folder; a kind is `evaluate_<kind>` there."""


def evaluate(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """Run a candidate's code on the tests of its task.

    Returns: one result for each test, and the runs they rest on. Nothing that the candidate does raises.
    """
    evaluator: Evaluator = getattr(import_module(f"{__name__}.{HOMES[task.kind]}"), f"evaluate_{task.kind}")
    return evaluator(task, code, context)


__all__ = ["Context", "evaluate"]
