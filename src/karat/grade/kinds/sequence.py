"""Classes driven step by step: each test makes its objects anew, calls their methods, and compares each result here.

Objects live in the candidate's process and are named by handles; a step may pass one on, or make a second. What a step
returns is compared as plain data. A step that gets no answer ends the test: what would follow is "not run".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from karat.errors import InputError
from karat.grade.compare import agree, short
from karat.grade.kinds.calls import NOT_REACHED, Caller, no_value, wrong_exception
from karat.grade.kinds.context import Context
from karat.grade.kinds.function import asking_order
from karat.grade.types import Evaluation, Step, Task, Test, TestResult, TestVerdict
from karat.sandbox.inside.wire import NotPlainError
from karat.sandbox.types import Call, Handle, Reply, Run
from karat.types import NAN

RAISES = "raises"
"""An output `{"raises": "ValueError"}` asks that the step raises it."""
OBJECT = "object"
"""An argument `{"object": 1}` stands for the second object that the test made."""


class _NoAnswerError(Exception):
    """The candidate's process gave no answer to a step."""


class _WrongError(Exception):
    """A step did not give what it should."""


def evaluate_sequence(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """Run the steps of each test on new objects, all tests in one process unless the task asks for fresh ones.

    Returns: a result for each test in the task's order, with the first step that went wrong as the reason.
    """
    if not task.tests:
        return Evaluation(tests=(), runs=())
    results: dict[int, TestResult] = {}
    caller = Caller(task, code, context)
    runs: list[Run] = []
    problem = ""
    for at in asking_order(task.task_id, len(task.tests)):
        test = task.tests[at]
        try:
            results[at] = run_test(task, test, caller)
        except _NoAnswerError as error:
            caller.close()
            verdict, reason = caller.end()
            results[at] = _result(test, verdict, f"{error}: {reason}")
            break
        except NotPlainError as error:
            problem = f"an argument of test {test.test_id} is no plain value: {error}. Write it as one."
            break
        if task.fresh:
            caller.close()
            runs += caller.runs
            caller = Caller(task, code, context)
    caller.close()
    missing = [_result(test, "not run", NOT_REACHED) for test in task.tests]
    tests = tuple(results.get(at, missing[at]) for at in range(len(task.tests)))
    return Evaluation(tests=() if problem else tests, runs=(*runs, *caller.runs), problem=problem)


def run_test(task: Task, test: Test, caller: Caller) -> TestResult:
    objects: list[Handle] = []
    wall_s = 0.0
    for number, step in enumerate(test.steps, 1):
        where = f"step {number} of {len(test.steps)}, {step.method}{short(step.args, 40)}"
        try:
            call = call_of(task, step, objects)
            reply = caller.ask(call)
            wall_s += reply.wall_s if reply.wall_s == reply.wall_s else 0.0
            if reply.status == "missing":
                raise _NoAnswerError(where)
            judge_step(task, test, step, reply, objects)
        except _WrongError as error:
            later = len(test.steps) - number
            return _result(
                test, "fail", f"{where}: {error}" + (f"; {later} later steps not run" if later else ""), wall_s
            )
    return _result(test, "pass" if test.steps else "fail", "" if test.steps else "the test has no steps", wall_s)


def makes_object(task: Task, step: Step) -> bool:
    return step.method in ("__init__", task.entry_point)


def call_of(task: Task, step: Step, objects: Sequence[Handle]) -> Call:
    """A step as a call: of the class, of a method of the newest object, or (`1.method`) of the one with that number."""
    args = tuple(with_objects(arg, objects) for arg in step.args)
    if makes_object(task, step):
        return Call(task.entry_point, args, hold=True)
    number, dot, method = step.method.partition(".")
    at = int(number) if dot and number.isdigit() else len(objects) - 1
    if not 0 <= at < len(objects):
        raise _WrongError(f"there is no object {max(at, 0)}: {len(objects)} were made")
    return Call(method if dot and number.isdigit() else step.method, args, handle=objects[at].number, keep=True)


def with_objects(value: Any, objects: Sequence[Handle]) -> Any:
    """`{"object": n}` replaced by the handle of the test's n-th object, also inside lists."""
    if type(value) is dict and set(value) == {OBJECT} and type(value[OBJECT]) is int:
        if not 0 <= value[OBJECT] < len(objects):
            raise _WrongError(f"there is no object {value[OBJECT]}: {len(objects)} were made")
        return objects[value[OBJECT]]
    if type(value) in (list, tuple):
        return type(value)(with_objects(item, objects) for item in value)
    return value


def judge_step(task: Task, test: Test, step: Step, reply: Reply, objects: list[Handle]) -> None:
    """Raises: _WrongError: the reply is not what the step asks for."""
    wanted = step.output
    if step.check and type(wanted) is dict and set(wanted) == {RAISES} and type(wanted[RAISES]) is str:
        reason = wrong_exception(wanted[RAISES], reply)
    elif makes_object(task, step):
        reason = "" if reply.status == "handle" else f"made no object: {no_value(reply)}"
        if isinstance(reply.value, Handle):
            objects.append(reply.value)
    elif reply.status == "value":
        reason = agree(wanted, reply.value, test.comparison or task.comparison) if step.check else ""
    elif not step.check and reply.status in ("handle", "not plain"):
        reason = ""
    else:
        reason = no_value(reply)
    if reason:
        raise _WrongError(reason)


def _result(test: Test, verdict: TestVerdict, reason: str = "", wall_s: float = NAN) -> TestResult:
    return TestResult(test_id=test.test_id, verdict=verdict, reason=reason, hidden=test.hidden, wall_s=wall_s)


# ----------------------------------------------------------------------------------------------------------- LeetCode
def sequence_from_leetcode(methods: Any, arguments: Any, outputs: Any, *, where: str = "") -> tuple[Step, ...]:
    """Steps of the form `["MyQueue", "push", ...], [[], [1], ...], [null, null, ...]`; the first makes the object.

    Raises: InputError: not three lists of one length, or names and arguments of other types.
    """
    at = f"{where}: " if where else ""
    lists = (methods, arguments, outputs)
    if not all(isinstance(part, (list, tuple)) for part in lists) or len({len(part) for part in lists}) != 1:
        sizes = ", ".join(str(len(part)) if isinstance(part, (list, tuple)) else type(part).__name__ for part in lists)
        raise InputError(f"{at}methods, arguments and outputs must be three lists of one length; they are {sizes}.")
    steps = []
    for number, (method, args, output) in enumerate(zip(*lists, strict=True)):
        if not isinstance(method, str) or not isinstance(args, (list, tuple)):
            raise InputError(
                f"{at}step {number}: {method!r} with {args!r} is not a method name and a list of arguments."
            )
        steps.append(Step(method=method if number else "__init__", args=tuple(args), output=output, check=number > 0))
    return tuple(steps)
