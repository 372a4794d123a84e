"""Grades candidates: one trusted process, several workers, each with a sandbox for candidates and one for test code."""

from __future__ import annotations

import hashlib
import os
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from karat.errors import InputError, KaratError
from karat.grade.check_task import check_task, missing_tests
from karat.grade.config import GradeConfig
from karat.grade.hardcoding import hidden_results, relation_problem, special_casing
from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.trusted import PRELOADED, package_folders
from karat.grade.tamper.baits import make_baits
from karat.grade.tamper.observe import collect
from karat.grade.types import Attempt, Candidate, Evaluation, Graded, Task, TestResult
from karat.grade.verdict import counts, judge, judge_tests
from karat.sandbox.pool import SandboxPool, usable_processors
from karat.sandbox.types import Sandbox


@dataclass(frozen=True, slots=True)
class _Held:
    """What held-out inputs said of a candidate that passed."""

    attempts: tuple[Attempt, ...] = ()
    tests: tuple[TestResult, ...] = ()
    special_cased: bool | None = None


class Grader:
    """Holds tasks, sandboxes and options; grades candidates as they come. Use as a context manager.

    The tasks' tests stay in this process. Results come in the order of the candidates, whatever finishes first.
    """

    def __init__(self, tasks: Sequence[Task], config: GradeConfig | None = None) -> None:
        """Raises: InputError: two tasks of one id, or no sandbox with the walls that the policy asks for."""
        self.config = config or GradeConfig()
        self.tasks = {task.task_id: with_limits(task, self.config) for task in tasks}
        if len(self.tasks) != len(tasks):
            twice = next(task.task_id for i, task in enumerate(tasks) if task.task_id in {t.task_id for t in tasks[:i]})
            raise InputError(f"task_id {twice!r} is given twice: each task needs its own.")
        self.workers = self.config.workers or processors()
        self._lock = threading.Lock()
        self._problems: dict[str, Future[str]] = {}
        with ExitStack() as opened:
            self._candidates = opened.enter_context(self._pool(for_tests=False))
            self._tests = opened.enter_context(self._pool(for_tests=True))
            self._opened = opened.pop_all()

    # ------------------------------------------------------------------------------------------------------ sandboxes
    def _pool(self, *, for_tests: bool) -> SandboxPool:
        """Sandboxes for candidates, or for trusted test code; pytest is within reach of what runs it."""
        packages = [path for path in self.config.packages.split(":") if path]
        policy = None if self.config.policy == "auto" else self.config.policy
        suites = any(task.kind in ("pytest", "repository") for task in self.tasks.values())
        preload = PRELOADED if suites and (for_tests or self.config.isolated) else ()
        if preload:
            packages += [folder for folder in package_folders() if folder not in packages]
        return SandboxPool(self.config.backend, self.workers, policy=policy, packages=packages, preload=preload)

    @contextmanager
    def _context(self, sandbox: Sandbox) -> Iterator[Context]:
        with self._tests.sandbox() as trusted:
            yield Context(sandbox=sandbox, trusted=trusted, watch=self.config.watch, isolated=self.config.isolated)

    @property
    def backend(self) -> str:
        with self._candidates.sandbox() as sandbox:
            return sandbox.name

    def close(self) -> None:
        self._opened.close()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------------------------------- grading
    def grade(self, candidates: Iterable[Candidate]) -> Iterator[Graded]:
        """Results in the order given; at most a few candidates are held at once."""
        return self._candidates.map(self._grade_in, candidates)

    def grade_one(self, candidate: Candidate) -> Graded:
        """Grade in this thread; waits for a free sandbox."""
        with self._candidates.sandbox() as sandbox:
            return self._grade_in(sandbox, candidate)

    def _grade_in(self, sandbox: Sandbox, candidate: Candidate) -> Graded:
        """One candidate; an unforeseen fault of ours costs its verdict and no other's."""
        task = self.tasks.get(candidate.task_id)
        if task is None:
            return _unjudged(candidate, f"there is no task {candidate.task_id!r} among the {len(self.tasks)} tasks")
        try:
            with self._context(sandbox) as context:
                problem = self._problem(task, context)
                if problem:
                    return self._graded(candidate, task, Evaluation(tests=(), runs=()), (), context, problem=problem)
                return self._grade_candidate(candidate, task, context)
        except KaratError:
            raise
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"a fault of karat: {type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"
            return _unjudged(candidate, f"{reason}: {str(error)[:200]}")

    def _grade_candidate(self, candidate: Candidate, task: Task, context: Context) -> Graded:
        rng = self._rng(candidate)
        found: dict[str, Attempt] = {}
        evaluations: list[Evaluation] = []
        for _ in range(1 + self.config.reruns):
            baits = make_baits(task, rng) if self.config.watch else ()
            evaluation = evaluate(task, candidate.code, replace(context, baits=baits))
            evaluations.append(evaluation)
            if self.config.watch:
                merge_attempts(found, collect(task, candidate.code, evaluation, baits))
            if judge_tests(evaluation).verdict not in ("error", "timeout"):
                break
        evaluation = settled(evaluations)
        held = self._held_out(candidate, task, evaluation, context, rng)
        merge_attempts(found, held.attempts)
        graded = self._graded(candidate, task, evaluation, tuple(found.values()), context, held=held)
        return replace(graded, attempts=len(evaluations))

    def _held_out(
        self, candidate: Candidate, task: Task, evaluation: Evaluation, context: Context, rng: np.random.Generator
    ) -> _Held:
        """Generated inputs for a candidate that passes: the tests it saw may be all that it can do."""
        has_hidden = any(test.hidden for test in evaluation.tests)
        if judge_tests(replace(evaluation, tests=tuple(t for t in evaluation.tests if not t.hidden))).verdict != "pass":
            return _Held(special_casing(task, candidate.code, evaluation, None)[1] if self.config.watch else ())
        n = 0 if has_hidden else self.config.held_out
        held = hidden_results(task, candidate.code, context, n=n, rng=rng, evaluation=evaluation)
        special_cased, attempts = special_casing(task, candidate.code, evaluation, held)
        return _Held(attempts, held.results, special_cased)

    def _graded(
        self,
        candidate: Candidate,
        task: Task,
        evaluation: Evaluation,
        attempts: tuple[Attempt, ...],
        context: Context,
        *,
        held: _Held | None = None,
        problem: str = "",
    ) -> Graded:
        held = held or _Held()
        judgement = judge(task, evaluation, attempts, task_problem=problem)
        visible, hidden = counts(evaluation.tests, hidden=False), counts((*evaluation.tests, *held.tests), hidden=True)
        return Graded(
            task_id=task.task_id,
            candidate_id=candidate.candidate_id,
            verdict=judgement.verdict,
            passed=judgement.verdict == "pass",
            reason=judgement.reason,
            tests=(*evaluation.tests, *held.tests),
            tamper=attempts,
            step=candidate.step,
            special_cased=held.special_cased,
            visible_passed=visible[0],
            visible_total=visible[1],
            hidden_passed=hidden[0],
            hidden_total=hidden[1],
            wall_s=sum(run.wall_s for run in evaluation.runs),
            cpu_s=sum(run.cpu_s for run in evaluation.runs),
            backend=context.sandbox.name,
            trust="shared" if any(test.trust == "shared" for test in evaluation.tests) else "outside",
        )

    # ----------------------------------------------------------------------------------------------------------- tasks
    def task_problem(self, task: Task) -> str:
        """Why a task cannot be graded, found once by running its reference; empty when it can."""
        with self._candidates.sandbox() as sandbox, self._context(sandbox) as context:
            return self._problem(task, context)

    def _problem(self, task: Task, context: Context) -> str:
        """As `task_problem`; the first to ask runs the reference, the others wait for what it finds."""
        with self._lock:
            future = self._problems.get(task.task_id)
            mine = future is None
            if future is None:
                future = self._problems[task.task_id] = Future()
        if mine:
            try:
                future.set_result(self._check(task, context))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _check(self, task: Task, context: Context) -> str:
        is_run = self.config.check_tasks and task.reference
        problem = check_task(task, context) if is_run else missing_tests(task)
        return problem or (relation_problem(task, context) if task.relations else "")

    def _rng(self, candidate: Candidate) -> np.random.Generator:
        """Baits and inputs that depend on the candidate and the seed only, not on the order of grading."""
        name = f"{candidate.task_id}\0{candidate.candidate_id}".encode("utf-8", "surrogatepass")
        return np.random.default_rng([self.config.seed, int.from_bytes(hashlib.sha256(name).digest()[:8], "big")])


def _unjudged(candidate: Candidate, reason: str) -> Graded:
    return Graded(
        task_id=candidate.task_id,
        candidate_id=candidate.candidate_id,
        verdict="error",
        passed=False,
        reason=reason,
        tests=(),
        step=candidate.step,
    )


def with_limits(task: Task, config: GradeConfig) -> Task:
    """The task under the limits that the options override."""
    changed = {
        name: value
        for name in ("wall_s", "cpu_s", "memory_mb")
        if (value := getattr(config, name))  # 0: the task's own
    }
    return replace(task, limits=replace(task.limits, **changed)) if changed else task


def settled(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The evaluation that counts: the last that could be judged; of time-outs and errors, a time-out."""
    for wanted in (("pass", "fail"), ("timeout",)):
        for evaluation in reversed(evaluations):
            if judge_tests(evaluation).verdict in wanted:
                return evaluation
    return evaluations[-1]


def processors() -> int:
    """Processors that this process may use."""
    return len(usable_processors()) or os.cpu_count() or 1


LEVELS = ("weak", "moderate", "strong", "proven")


def merge_attempts(found: dict[str, Attempt], more: Iterable[Attempt]) -> None:
    """Keep one attempt of each technique, the surest."""
    for attempt in more:
        known = found.get(attempt.technique)
        if known is None or LEVELS.index(attempt.confidence) > LEVELS.index(known.confidence):
            found[attempt.technique] = attempt
