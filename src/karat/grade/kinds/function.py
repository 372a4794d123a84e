"""Functions with inputs and outputs: the candidate is called with inputs only, and its answers are compared here."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from karat.grade.compare import agree, distinct
from karat.grade.kinds.calls import NOT_REACHED, Caller, judge_reply, no_value
from karat.grade.kinds.context import Context
from karat.grade.relations import broken
from karat.grade.types import Evaluation, Task, Test, TestResult
from karat.sandbox.inside.wire import NotPlainError
from karat.sandbox.types import Call, Reply

ITEMS = (list, tuple, set, frozenset)
KEPT_OUTPUTS = 1024
_OUTPUTS: OrderedDict[tuple[str, str], tuple[tuple[Test, ...], str]] = OrderedDict()
_LOCK = threading.Lock()


def evaluate_function(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """Call the entry point once for each test, in an order that is the same for all candidates of the task.

    Returns: a result for each test in the task's order. Where a call was not answered it takes the blame (time-out,
    exit, a signal), and the calls after it are "not run".
    """
    tests, problem = tests_of(task, context)
    if problem or not tests:
        return Evaluation(tests=(), runs=(), problem=problem)
    caller = Caller(task, code, context, fresh=task.fresh)
    replies: dict[int, Reply] = {}
    for at in asking_order(task.task_id, len(tests)):
        try:
            replies[at] = caller.ask(Call(task.entry_point, tests[at].input, tests[at].kwargs))
        except NotPlainError as error:
            problem = f"the input of test {tests[at].test_id} is no plain value: {error}. Write it as one."
            break
        if replies[at].status == "missing":
            break
    caller.close()
    results = tuple(_result(task, test, replies.get(at), caller) for at, test in enumerate(tests))
    return Evaluation(tests=() if problem else results, runs=caller.runs, problem=problem)


def asking_order(task_id: str, size: int) -> list[int]:
    """Tests in an order that does not follow the file: which input belongs to which test is not to be learned."""
    return list(_order(task_id, size))


@lru_cache(maxsize=KEPT_OUTPUTS)
def _order(task_id: str, size: int) -> tuple[int, ...]:
    order = list(range(size))
    random.Random(hashlib.sha256(task_id.encode("utf-8", "surrogatepass")).digest()).shuffle(order)
    return tuple(order)


def _result(task: Task, test: Test, reply: Reply | None, caller: Caller) -> TestResult:
    if reply is None:
        return TestResult(test_id=test.test_id, verdict="not run", reason=NOT_REACHED, hidden=test.hidden)
    if reply.status == "missing":
        verdict, reason = caller.end()
        return TestResult(test_id=test.test_id, verdict=verdict, reason=reason, hidden=test.hidden)
    reason = _reason(task, test, reply)
    return TestResult(
        test_id=test.test_id,
        verdict="fail" if reason else "pass",
        reason=reason,
        hidden=test.hidden,
        wall_s=reply.wall_s,
    )


def _reason(task: Task, test: Test, reply: Reply) -> str:
    how = task.extra.get("compare_as", "")
    if not how or test.raises:
        return judge_reply(test, reply, test.comparison or task.comparison)
    if reply.status != "value":
        return no_value(reply)
    if how == "set":
        if type(test.output) not in ITEMS or type(reply.value) not in ITEMS:
            return judge_reply(test, reply, test.comparison or task.comparison)
        free = replace(test.comparison or task.comparison, order="free", sequences="alike")
        return agree(distinct(test.output), distinct(reply.value), free)
    return broken("true" if test.output else "false", None, reply.value, views=(), settings={})


# ---------------------------------------------------------------------------------------- outputs that a reference says
def tests_of(task: Task, context: Context) -> tuple[Sequence[Test], str]:
    """The task's tests with their outputs, and why there are none.

    Where the task gives inputs only (EvalPlus), its reference says the outputs, once, in the trusted sandbox.
    """
    if task.extra.get("outputs") != "reference":
        return task.tests, ""
    key = (task.task_id, hashlib.sha256(repr((task.reference, task.prelude, task.tests)).encode()).hexdigest())
    with _LOCK:
        if key in _OUTPUTS:
            return _OUTPUTS[key]
    found = _answered(task, context)
    with _LOCK:
        _OUTPUTS[key] = found
        while len(_OUTPUTS) > KEPT_OUTPUTS:
            _OUTPUTS.popitem(last=False)
    return found


def _answered(task: Task, context: Context) -> tuple[tuple[Test, ...], str]:
    trusted = replace(context, sandbox=context.trusted, baits=(), watch=False)
    patient = replace(task, limits=replace(task.limits, wall_s=10 * task.limits.wall_s, cpu_s=10 * task.limits.cpu_s))
    caller = Caller(patient, task.reference, trusted, fresh=task.fresh)
    tests = []
    problem = ""
    for test in task.tests:
        reply = caller.ask(Call(task.entry_point, test.input, test.kwargs))
        if reply.status == "value":
            tests.append(replace(test, output=reply.value))
        elif reply.status == "raised" and not reply.notes:
            tests.append(replace(test, raises=reply.type_name))
        else:
            problem = f"the reference gives no output for test {test.test_id}: {reply.message or reply.status}"
            break
    caller.close()
    return (() if problem else tuple(tests)), problem
