"""A candidate on held-out inputs, and what else running it shows: state from call to call, branches on names."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from karat.grade.compare import short
from karat.grade.hardcoding.asking import Answers, ask_function, results_of
from karat.grade.hardcoding.cases import loose_key, target_of, visible_cases
from karat.grade.hardcoding.generate import FUNCTION_KINDS, Pool, drawn, held_out_pool
from karat.grade.hardcoding.relations import check_relations
from karat.grade.hardcoding.rename import renamed_program
from karat.grade.hardcoding.sources import Source
from karat.grade.hardcoding.special import signs_of
from karat.grade.kinds import evaluate
from karat.grade.kinds.calls import with_prelude
from karat.grade.kinds.context import Context
from karat.grade.types import Evaluation, Task, Test, TestResult
from karat.sandbox.types import Reply, Run
from karat.types import NAN

MOST_PROBED = 30
"""Visible inputs that are asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """The visible inputs asked again in other ways. Counts are of inputs; 0 asked: nothing was probed."""

    n_asked: int = 0
    n_changed_by_order: int = 0
    """Answered otherwise when asked in reverse, each twice; the same way each time."""
    n_changed_by_name: int = 0
    """Answered otherwise under another function, module and file name, with the marks of a test runner about."""
    n_random: int = 0
    """Answered otherwise when asked the same again."""
    example: str = ""
    visible_s: float = NAN
    """Median seconds of an answer to a visible input, by the clock outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What held-out inputs say of one candidate."""

    tests: tuple[Test, ...] = ()
    results: tuple[TestResult, ...] = ()
    contested: frozenset[str] = frozenset()
    """Ids of tests that do not count: outside what the visible tests promise."""
    source: Source = "none"
    note: str = ""
    """Why nothing was asked."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Test id -> key of the answer, for answers that are wrong."""
    broken_relations: tuple[str, ...] = ()
    probes: Probes = field(default_factory=Probes)
    runs: tuple[Run, ...] = ()


def hidden_results(
    task: Task,
    code: str | bytes,
    context: Context,
    *,
    n: int,
    rng: np.random.Generator,
    evaluation: Evaluation | None = None,
) -> HeldOut:
    """Run a candidate on n held-out inputs of its task; where it fails one, ask the visible ones again as well.

    Args:
        task: with a reference, and perhaps a generator; of others no inputs are made, and the note says so.
        code: the candidate, as it was graded.
        context: its sandbox runs the candidate, its trusted one the reference and generators.
        n: held-out inputs; 0 for a task that has hidden tests of its own.
        rng: which tests of the task's pool are asked.
        evaluation: of the task's own tests; failed hidden ones are a reason to ask the visible ones again.
    Raises: MissingDependencyError: the task names strategies and Hypothesis is not installed. InputError: it names a
        relation that is none.
    """
    if task.kind not in FUNCTION_KINDS or not task.entry_point:
        return _of_other_kind(task, code, context, n=n, rng=rng)
    source = with_prelude(task.prelude, code)
    held = HeldOut()
    if n:
        held = _asked(task, source, context, n=n, rng=rng)
    own = evaluation.tests if evaluation else ()
    fails = any(result.verdict != "pass" for result in (*held.results, *(test for test in own if test.hidden)))
    hangs = any(result.verdict == "timeout" for result in held.results)
    broken = check_relations(task, source, context, rng=rng) if task.relations and not hangs else ()
    if fails or broken or signs_of(task, code):
        probes, runs = probe(task, source, context)
        held = replace(held, probes=probes, runs=(*held.runs, *runs))
    return replace(held, broken_relations=broken)


def _asked(task: Task, source: str | bytes, context: Context, *, n: int, rng: np.random.Generator) -> HeldOut:
    pool = held_out_pool(task, context.trusted, n=n)
    tests = drawn(pool, n, rng)
    if not tests:
        return HeldOut(source=pool.source, note=pool.note)
    answers = ask_function(
        source, target_of(task), tests, sandbox=context.sandbox, limits=task.limits, watch=context.watch
    )
    results = results_of(tests, answers, task)
    return HeldOut(
        tests=tests,
        results=results,
        source=pool.source,
        note=pool.note,
        answers=wrong_answers(results, answers),
        runs=answers.runs,
    )


def _of_other_kind(task: Task, code: str | bytes, context: Context, *, n: int, rng: np.random.Generator) -> HeldOut:
    """Printing programs and classes, graded on held-out tests as on their own; no probes."""
    pool = held_out_pool(task, context.trusted, n=n) if n else Pool(tests=(), source="none")
    tests = drawn(pool, n, rng)
    if not tests:
        return HeldOut(source=pool.source, note=pool.note)
    evaluation = evaluate(replace(task, tests=tests), code, context)
    results = tuple(replace(result, hidden=True, generated=True) for result in evaluation.tests)
    return HeldOut(tests=tests, results=results, source=pool.source, note=evaluation.problem, runs=evaluation.runs)


def wrong_answers(results: Sequence[TestResult], answers: Answers) -> dict[str, str]:
    return {
        result.test_id: reply_key(reply)
        for result, reply in zip(results, answers.replies, strict=False)
        if result.verdict == "fail"
    }


def reply_key(reply: Reply) -> str:
    """What a program answered, as a key: the value's, or the kind of failure."""
    return loose_key(reply.value) if reply.status == "value" else f"{reply.status} {reply.type_name}"


def median_seconds(replies: Sequence[Reply]) -> float:
    """Of those that came; NaN where none did."""
    known = [reply.wall_s for reply in replies if reply.wall_s == reply.wall_s]
    return statistics.median(known) if known else NAN


# ------------------------------------------------------------------------------------------------------------- probes
def probe(task: Task, source: str | bytes, context: Context) -> tuple[Probes, tuple[Run, ...]]:
    """Ask the visible inputs in order, in reverse twice, and under other names; each in a fresh process."""
    cases = visible_cases(task)[:MOST_PROBED]
    tests = [Test(test_id=str(at), input=case.args, kwargs=case.kwargs) for at, case in enumerate(cases)]
    if not tests:
        return Probes(), ()
    backwards = [test for test in tests[::-1] for _ in range(2)]

    def keys(program: str | bytes, target: str, asked: Sequence[Test]) -> tuple[list[tuple[str, str]], Answers]:
        answers = ask_function(program, target, asked, sandbox=context.sandbox, limits=task.limits)
        pairs = zip(asked, answers.replies, strict=False)
        return [(test.test_id, reply_key(reply)) for test, reply in pairs], answers

    target = target_of(task)
    base, first = keys(source, target, tests)
    turned, second = keys(source, target, backwards)
    again, third = keys(source, target, backwards)
    renamed, fourth = keys(*renamed_program(source, target), tests)
    of_base = dict(base)
    random = {test_id for (test_id, key), (_, other) in zip(turned, again, strict=False) if key != other}
    by_order = {test_id for test_id, key in turned if key != of_base.get(test_id, key)} - random
    by_name = {test_id for test_id, key in renamed if key != of_base.get(test_id, key)} - random
    example = next(iter(sorted(by_order | by_name, key=int)), "")
    probes = Probes(
        n_asked=len(tests), n_changed_by_order=len(by_order), n_changed_by_name=len(by_name), n_random=len(random),
        example=short(tests[int(example)].input, 120) if example else "",
        visible_s=median_seconds(first.replies),
    )  # fmt: skip
    return probes, (*first.runs, *second.runs, *third.runs, *fourth.runs)
