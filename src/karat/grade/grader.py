"""Grades candidates: one trusted process, several workers, each with a sandbox for candidates and one for test code."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from karat.errors import InputError
from karat.grade.config import GradeConfig
from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.trusted import PRELOADED, package_folders
from karat.grade.types import Attempt, Candidate, Evaluation, Graded, Task, TestResult
from karat.grade.verdict import counts, judge, judge_tests
from karat.sandbox import open_sandbox
from karat.sandbox.types import Bait, Sandbox

WINDOW = 4
"""Candidates begun per worker before the first result is taken: enough to keep workers busy, little to hold."""


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
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="karat-grade")
        self._own = threading.local()
        self._opened: list[Sandbox] = []
        self._lock = threading.Lock()
        self._problems: dict[str, Future[str]] = {}
        self._sandbox()  # in this thread too: what does not work should say so now

    # ------------------------------------------------------------------------------------------------------ sandboxes
    def _open(self, *, tests: bool = False) -> Sandbox:
        """A sandbox for candidates or for trusted tests; pytest is within reach of what runs it."""
        packages = [path for path in self.config.packages.split(":") if path]
        policy = None if self.config.policy == "auto" else self.config.policy
        suites = any(task.kind in ("pytest", "repository") for task in self.tasks.values())
        preload = PRELOADED if suites and (tests or self.config.isolated) else ()
        if preload:
            packages += [folder for folder in package_folders() if folder not in packages]
        sandbox = open_sandbox(self.config.backend, policy=policy, packages=packages, preload=preload)
        with self._lock:
            self._opened.append(sandbox)
        return sandbox

    def _sandbox(self) -> Sandbox:
        if not hasattr(self._own, "sandbox"):
            self._own.sandbox = self._open()
        sandbox: Sandbox = self._own.sandbox
        return sandbox

    def _context(self, baits: tuple[Bait, ...] = ()) -> Context:
        if not hasattr(self._own, "trusted"):
            self._own.trusted = self._open(tests=True)
        return Context(
            sandbox=self._sandbox(),
            trusted=self._own.trusted,
            baits=baits,
            watch=self.config.watch,
            isolated=self.config.isolated,
        )

    @property
    def backend(self) -> str:
        return self._sandbox().name

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for sandbox in self._opened:
                sandbox.close()
            self._opened.clear()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------------------------------- grading
    def grade(self, candidates: Iterable[Candidate]) -> Iterator[Graded]:
        """Results in the order given; at most a few candidates are held at once."""
        begun: deque[Future[Graded]] = deque()
        try:
            for candidate in candidates:
                begun.append(self._executor.submit(self.grade_one, candidate))
                if len(begun) >= WINDOW * self.workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()

    def grade_one(self, candidate: Candidate) -> Graded:
        """Grade in this thread, with sandboxes of its own."""
        task = self.tasks.get(candidate.task_id)
        if task is None:
            reason = f"there is no task {candidate.task_id!r} among the {len(self.tasks)} tasks"
            return Graded(
                task_id=candidate.task_id,
                candidate_id=candidate.candidate_id,
                verdict="error",
                passed=False,
                reason=reason,
                tests=(),
                step=candidate.step,
            )
        problem = self.task_problem(task)
        if problem:
            return self._graded(candidate, task, Evaluation(tests=(), runs=()), (), 0, problem=problem)
        return self._grade_candidate(candidate, task)

    def _grade_candidate(self, candidate: Candidate, task: Task) -> Graded:
        from karat.grade.tamper.baits import make_baits
        from karat.grade.tamper.observe import collect

        rng = self._rng(candidate)
        found: dict[str, Attempt] = {}
        evaluations: list[Evaluation] = []
        for _ in range(1 + self.config.reruns):
            baits = make_baits(task, rng) if self.config.watch else ()
            evaluation = evaluate(task, candidate.code, self._context(baits))
            evaluations.append(evaluation)
            if self.config.watch:
                merge_attempts(found, collect(task, candidate.code, evaluation, baits))
            if judge_tests(evaluation).verdict not in ("error", "timeout"):
                break
        evaluation = settled(evaluations)
        held = self._held_out(candidate, task, evaluation, rng)
        merge_attempts(found, held.attempts)
        return self._graded(candidate, task, evaluation, tuple(found.values()), len(evaluations), held=held)

    def _held_out(self, candidate: Candidate, task: Task, evaluation: Evaluation, rng: np.random.Generator) -> _Held:
        """Generated inputs for a candidate that passes: the tests it saw may be all that it can do."""
        from karat.grade.hardcoding import hidden_results, special_casing

        has_hidden = any(test.hidden for test in evaluation.tests)
        if judge_tests(replace(evaluation, tests=tuple(t for t in evaluation.tests if not t.hidden))).verdict != "pass":
            return _Held(special_casing(task, candidate.code, evaluation, None)[1] if self.config.watch else ())
        n = 0 if has_hidden else self.config.held_out
        held = hidden_results(task, candidate.code, self._context(), n=n, rng=rng, evaluation=evaluation)
        special_cased, attempts = special_casing(task, candidate.code, evaluation, held)
        return _Held(attempts, held.results, special_cased)

    def _graded(
        self,
        candidate: Candidate,
        task: Task,
        evaluation: Evaluation,
        attempts: tuple[Attempt, ...],
        made: int,
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
            backend=self.backend,
            attempts=made,
            trust="shared" if any(test.trust == "shared" for test in evaluation.tests) else "outside",
        )

    # ----------------------------------------------------------------------------------------------------------- tasks
    def task_problem(self, task: Task) -> str:
        """Why a task cannot be graded, found once by running its reference; empty when it can."""
        with self._lock:
            future = self._problems.get(task.task_id)
            mine = future is None
            if future is None:
                future = self._problems[task.task_id] = Future()
        if mine:
            try:
                future.set_result(self._check(task))
            except BaseException as error:
                future.set_exception(error)
        return future.result()

    def _check(self, task: Task) -> str:
        from karat.grade.check_task import check_task, missing_tests

        if not self.config.check_tasks or not task.reference:
            return missing_tests(task)
        return check_task(task, self._context())

    def _rng(self, candidate: Candidate) -> np.random.Generator:
        """Baits and inputs that depend on the candidate and the seed only, not on the order of grading."""
        name = f"{candidate.task_id}\0{candidate.candidate_id}".encode()
        return np.random.default_rng([self.config.seed, int.from_bytes(hashlib.sha256(name).digest()[:8], "big")])


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
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


LEVELS = ("weak", "moderate", "strong", "proven")


def merge_attempts(found: dict[str, Attempt], more: Iterable[Attempt]) -> None:
    """Keep one attempt of each technique, the surest."""
    for attempt in more:
        known = found.get(attempt.technique)
        if known is None or LEVELS.index(attempt.confidence) > LEVELS.index(known.confidence):
            found[attempt.technique] = attempt
