"""Asking one program a list of questions, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from karat.grade.compare import agree
from karat.grade.kinds.calls import VERDICT_OF_END
from karat.grade.types import Task, Test, TestResult, TestVerdict
from karat.sandbox.types import Call, Ended, Limits, Plain, Program, Reply, Run, Sandbox

MATERIALISE = 10_000
"""Items of an iterator that count as its answer, for a reference and for candidates alike."""
RESTARTS = 3
"""New processes after one that ended early: a program that ends or hangs on what it does not know shows it thrice."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Replies to questions, in their order, and the runs that gave them."""

    replies: tuple[Reply, ...]
    runs: tuple[Run, ...]
    ends: Mapping[int, Ended] = field(default_factory=dict)
    """Index of a missing reply -> how the run ended that should have given it."""


def ask_function(
    source: str | bytes,
    target: str,
    inputs: Sequence[Test],
    *,
    sandbox: Sandbox,
    limits: Limits,
    watch: bool = False,
) -> Answers:
    """Call a function on the inputs of tests, one process for all; up to RESTARTS more where one ends early.

    All runs together take at most the limits' wall time: each may take a quarter of it.
    """
    program = Program(source=source, watch=watch)
    limits = replace(limits, wall_s=limits.wall_s / (1 + RESTARTS))
    replies: list[Reply] = []
    runs: list[Run] = []
    ends: dict[int, Ended] = {}
    while len(replies) < len(inputs) and len(runs) <= RESTARTS:
        session = sandbox.open(program, limits=limits)
        for test in inputs[len(replies) :]:
            call = Call(target, tuple(test.input), dict(test.kwargs), materialise=MATERIALISE)
            replies.append(session.call(call))
            if replies[-1].status == "missing":
                break
        runs.append(session.close())
        if replies and replies[-1].status == "missing":
            ends[len(replies) - 1] = runs[-1].ended
        if runs[-1].ended in ("load", "fault"):
            break
    return Answers(tuple(replies), tuple(runs), ends)


def results_of(tests: Sequence[Test], answers: Answers, task: Task) -> tuple[TestResult, ...]:
    """A verdict for each test; `not run` for those that were not reached."""
    results = []
    verdict: TestVerdict
    for index, test in enumerate(tests):
        if index >= len(answers.replies):
            results.append(
                TestResult(test_id=test.test_id, verdict="not run", reason="not reached", hidden=True, generated=True)
            )
            continue
        reply = answers.replies[index]
        if reply.status == "value":
            reason = agree(test.output, reply.value, test.comparison or task.comparison)
            verdict = "fail" if reason else "pass"
        elif reply.status == "raised":
            verdict, reason = "fail", f"raised {reply.type_name}: {reply.message}"[:200]
        elif reply.status == "missing":
            verdict = VERDICT_OF_END[answers.ends.get(index, "fault")]
            reason = reply.message[:200]
        else:
            verdict, reason = "fail", f"{reply.type_name} is not a plain value"
        results.append(
            TestResult(
                test_id=test.test_id, verdict=verdict, reason=reason, hidden=True, generated=True, wall_s=reply.wall_s
            )
        )
    return tuple(results)


def has_float(value: Plain, depth: int = 0) -> bool:
    """Whether a float stands anywhere in a value."""
    if isinstance(value, (float, complex)):
        return True
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return (
        depth < 20 and isinstance(value, (list, tuple, set, frozenset)) and any(has_float(x, depth + 1) for x in value)
    )
