"""Test code with assertions: cases asked as of a function, a dialogue for the rest, isolation only where allowed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from karat.grade.code_of_tests import helpers_of
from karat.grade.convert import Case, Conversion, EvaluationError, convert
from karat.grade.kinds.calls import NOT_REACHED, Caller, judge_reply, no_value, wrong_exception
from karat.grade.kinds.context import Context
from karat.grade.kinds.dialogue import Dialogue, Marks, Relay, build
from karat.grade.kinds.function import asking_order
from karat.grade.relations import broken
from karat.grade.types import Evaluation, Task, TestResult
from karat.sandbox.types import Call, Limits, Program, Reply, Run, Sandbox

KEPT_PLANS = 4096
TRUSTED_LIMITS = Limits(wall_s=30.0, cpu_s=30.0)
"""Of the one run of trusted test code that learns the values of its assertions."""
ITERATING = ("set", "sorted", "list", "tuple", "sum", "max", "min")
"""Views that take any iterator."""
MOST_ITEMS = 100_000
EXTRA_S = 2.0
"""Seconds that test code may take beyond the candidate's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the test code of one task is run."""

    conversion: Conversion
    dialogue: Dialogue | None


_PLANS: OrderedDict[tuple[str, ...], Plan] = OrderedDict()
_LOCK = threading.Lock()


def plan_of(task: Task, trusted: Sandbox | None) -> Plan:
    """The task's test code, converted once; without a trusted sandbox only literals are."""
    key = (task.task_id, task.entry_point, task.prompt, task.prelude, task.test_code, "" if trusted is None else "run")
    with _LOCK:
        if key in _PLANS:
            _PLANS.move_to_end(key)
            return _PLANS[key]
    helpers = helpers_of(f"{task.prelude}\n{task.prompt}", task.entry_point) or task.prelude
    evaluate = None if trusted is None else lambda source: trusted_value(trusted, source)
    conversion = convert(task.test_code, task.entry_point, helpers=helpers, evaluate=evaluate)
    dialogue = build(task.test_code, task.entry_point, conversion, helpers) if conversion.left else None
    plan = Plan(conversion=conversion, dialogue=dialogue)
    with _LOCK:
        _PLANS[key] = plan
        while len(_PLANS) > KEPT_PLANS:
            _PLANS.popitem(last=False)
    return plan


def trusted_value(trusted: Sandbox, source: str) -> Any:
    """What `karat_run()` of trusted source returns. Raises: EvaluationError: it returns no plain value."""
    session = trusted.open(Program(source=source, watch=False), limits=TRUSTED_LIMITS)
    reply = session.call(Call("karat_run"))
    run = session.close()
    if reply.status == "value":
        return reply.value
    raise EvaluationError(run.message if reply.status == "missing" else no_value(reply))


def evaluate_asserts(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """A result for each assertion that the test code comes to, in its order.

    Converted assertions are asked first, shuffled alike for all candidates; then the dialogue, in the same process of
    the candidate. Assertions that could only run in that process are errors unless the context allows it.
    """
    plan = plan_of(task, context.trusted)
    if plan.conversion.problem:
        return Evaluation(tests=(), runs=())
    known = None if plan.dialogue is None else objects_of(plan.dialogue, task, context)
    caller = Caller(task, code, context, fresh=task.fresh)
    replies: dict[int, Reply] = {}
    cases = plan.conversion.cases
    for at in asking_order(task.task_id, len(cases)):
        replies[at] = caller.ask(call_of(cases[at]))
        if replies[at].status == "missing":
            break
    held = Held()
    if plan.dialogue is not None and all(reply.status != "missing" for reply in replies.values()):
        caller.fresh = False  # a dialogue is one conversation
        held = hold(plan.dialogue, task, caller, context, known=known)
    caller.close()
    tests = [judge_case(case, replies.get(at), caller) for at, case in enumerate(cases)]
    runs = caller.runs
    if plan.dialogue is not None and held.uncrossed:
        more, shared = isolate(plan.dialogue, task, code, context, held.uncrossed)
        tests, runs = [*tests, *more], (*runs, *shared)
    elif plan.dialogue is not None:
        tests += held.tests(plan.dialogue, caller)
    if not tests and not held.problem:
        tests.append(TestResult(test_id="all", verdict="fail", reason="no assertion was reached with these answers"))
    first_hidden = task.extra.get("hidden_from_line")
    first_hidden = first_hidden if type(first_hidden) is int else 1 << 31
    tests = [replace(test, hidden=_place(test) >= first_hidden) for test in sorted(tests, key=_place)]
    return Evaluation(tests=tuple(tests), runs=runs, problem=held.problem)


def call_of(case: Case) -> Call:
    """The call of a case. What the test makes a list of may be an iterator: its items are asked for."""
    items = MOST_ITEMS if case.views and case.views[0][0] in ITERATING else 0
    return Call(case.target, case.test.input, case.test.kwargs, materialise=items)


def _place(test: TestResult) -> int:
    number = test.test_id.removeprefix("line ").split(".")[0].split(" ")[0]
    return int(number) if number.isdigit() else 1 << 30


def judge_case(case: Case, reply: Reply | None, caller: Caller) -> TestResult:
    name = case.test.test_id
    if reply is None:
        return TestResult(test_id=name, verdict="not run", reason=NOT_REACHED)
    if reply.status == "missing":
        verdict, reason = caller.end()
        return TestResult(test_id=name, verdict=verdict, reason=reason)
    reason = _case_reason(case, reply)
    return TestResult(test_id=name, verdict="fail" if reason else "pass", reason=reason, wall_s=reply.wall_s)


def _case_reason(case: Case, reply: Reply) -> str:
    test = case.test
    if case.relation == "raises":
        return wrong_exception(test.raises, reply)
    if case.relation == "equal" and not case.views and test.comparison is not None:
        return judge_reply(test, reply, test.comparison)
    if reply.status == "value":
        return broken(case.relation, test.output, reply.value, views=case.views, settings=case.settings)
    if reply.status == "not plain" and not case.views and case.relation in ("true", "not identical"):
        # any object is true and is not None: whoever may return one may as well return True
        hostile = any("__bool__" in note or "__len__" in note for note in reply.notes)
        return no_value(reply) if hostile or type(test.output) not in (type(None), bool) else ""
    return no_value(reply)


# ------------------------------------------------------------------------------------------------------------ dialogue
@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What came of a dialogue."""

    marks: Sequence[Any] = ()
    ended: Sequence[Any] = ()
    broken_at: int = 0
    broken: str = ""
    problem: str = ""
    uncrossed: str = ""
    """Why it must run in the candidate's process; empty when it need not."""
    late: str = ""
    """Set when the test code itself took too long over the answers."""
    took_place: bool = False
    objects: frozenset[str] = frozenset()
    """Uses that gave an object of the candidate."""
    unsure: bool = False
    """Whether such an object may have taken a value's place."""

    def tests(self, dialogue: Dialogue, caller: Caller) -> tuple[TestResult, ...]:
        """Results of the lines that are the dialogue's."""
        if not self.took_place:
            names = [f"line {line}" for line in dialogue.lines] or ["to the end"]
            return tuple(TestResult(test_id=name, verdict="not run", reason=NOT_REACHED) for name in names)
        if self.late:
            names = [f"line {line}" for line in dialogue.lines] or ["to the end"]
            return tuple(TestResult(test_id=name, verdict="timeout", reason=self.late) for name in names)
        end = caller.end() if self.broken_at else ("fail", "")
        if self.broken_at and caller.runs[-1].ended == "done":
            end = ("fail", self.broken)
        marks = Marks(self.marks, self.ended, self.broken_at, end)
        return marks.tests(dialogue.lines, trust="shared" if self.unsure else "outside")


_OBJECTS: OrderedDict[tuple[str, ...], frozenset[str] | None] = OrderedDict()


def objects_of(dialogue: Dialogue, task: Task, context: Context) -> frozenset[str] | None:
    """Uses of the candidate's names that give an object with the reference, learned once; None: not known."""
    if not task.reference or dialogue.isolated:
        return None
    key = (dialogue.text, task.prelude, task.reference)
    with _LOCK:
        if key in _OBJECTS:
            _OBJECTS.move_to_end(key)
            return _OBJECTS[key]
    caller = Caller(task, task.reference, replace(context, baits=(), watch=False))
    held = hold(dialogue, task, caller, context)
    caller.close()
    if held.late or held.broken_at:  # the machine's doing, or a reference that its tests will show to be wrong
        return None
    found = None if held.problem or held.uncrossed else held.objects
    with _LOCK:
        _OBJECTS[key] = found
        while len(_OBJECTS) > KEPT_PLANS:
            _OBJECTS.popitem(last=False)
    return found


def hold(
    dialogue: Dialogue, task: Task, caller: Caller, context: Context, *, known: frozenset[str] | None = None
) -> Held:
    """Run the test code in the trusted sandbox and relay what it asks."""
    if dialogue.isolated:
        return Held(uncrossed=dialogue.isolated)
    program = Program(source=dialogue.source(), asks=tuple(sorted(set(dialogue.names.values()))), watch=False)
    relay = Relay(dialogue.names, caller.ask, known)
    limits = replace(task.limits, wall_s=max(0.0, caller.left_s()) + EXTRA_S)
    session = context.trusted.open(program, limits=limits)
    reply = session.call(Call("karat_run"), answer=relay)
    run = session.close()
    if reply.status != "value":
        if relay.broken_at:
            return Held(broken_at=relay.broken_at, broken=relay.broken, took_place=True)
        if run.ended in ("wall", "cpu"):
            return Held(late="the test code did not end in time with these answers", took_place=True)
        reason = run.message if reply.status == "missing" else no_value(reply)
        return Held(problem=f"the test code cannot be run: {reason}", took_place=True)
    marks, ended, uncrossed = reply.value
    if uncrossed and not relay.broken_at and known is None:  # what crosses with the reference is for all to bring over
        return Held(uncrossed=f"it passes a value that is not plain ({uncrossed[0]})")
    if ended and not ended[3] and not relay.broken_at:
        return Held(problem=f"the test code stops at line {ended[0]}: {ended[1]}: {ended[2]}", took_place=True)
    return Held(
        marks=marks,
        ended=ended,
        broken_at=relay.broken_at,
        broken=relay.broken,
        took_place=True,
        objects=frozenset(relay.seen),
        unsure=relay.unsure,
    )


# ------------------------------------------------------------------------------------------------------------ isolated
def isolate(
    dialogue: Dialogue, task: Task, code: str | bytes, context: Context, why: str
) -> tuple[list[TestResult], tuple[Run, ...]]:
    """The left assertions in the candidate's process: its word only, under a nonce that it is not told before."""
    names = [f"line {line}" for line in dialogue.lines] or ["to the end"]
    if not context.isolated:
        reason = f"it can only run in the candidate's process, which is not allowed here (--isolated): {why}"
        return [TestResult(test_id=name, verdict="error", reason=reason) for name in names], ()
    caller = Caller(task, code, context)
    expression, nonce = dialogue.shared_source()
    reply = caller.ask(Call("__builtins__.eval", (expression,)))
    caller.close()
    value = reply.value if reply.status == "value" else None
    if type(value) is list and len(value) == 4 and value[0] == nonce:
        try:
            return list(Marks(value[1], value[2]).tests(dialogue.lines, trust="shared")), caller.runs
        except (TypeError, ValueError, IndexError):
            value = None
    verdict, reason = caller.end() if reply.status == "missing" else ("fail", no_value(reply))
    if verdict == "fail" and reply.status == "value":
        reason = "what came back is not the result of the test code"
    return [TestResult(test_id=name, verdict=verdict, reason=reason, trust="shared") for name in names], caller.runs
