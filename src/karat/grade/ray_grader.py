"""The same grading on the machines of a Ray cluster: one actor with a grader of its own for each place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from karat.errors import MissingDependencyError
from karat.grade.config import GradeConfig
from karat.grade.grader import Grader
from karat.grade.types import Candidate, Graded, Task

BATCH = 16
"""Candidates in one message to an actor: the message costs about a millisecond, as much as a third of a candidate."""


class _Actor:
    """A grader on one machine; created by Ray."""

    def __init__(self, tasks: Sequence[Task], config: GradeConfig) -> None:
        self.grader = Grader(tasks, config)

    def grade(self, candidates: Sequence[Candidate]) -> list[Graded]:
        return list(self.grader.grade(candidates))

    def task_problem(self, task_id: str) -> str:
        return self.grader.task_problem(self.grader.tasks[task_id])

    def backend(self) -> str:
        return self.grader.backend


class RayGrader:
    """As `Grader`, with the work on a Ray cluster. Use as a context manager.

    Each actor holds one processor and, beside its tasks, nothing of the candidates of the others.
    """

    def __init__(self, tasks: Sequence[Task], config: GradeConfig | None = None, *, address: str = "") -> None:
        """
        Args:
            config: `workers` is the number of actors; 0: one for each processor of the cluster.
            address: of the cluster; empty: the one that RAY_ADDRESS names, or a new one on this machine.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise MissingDependencyError("ray", "ray") from None
        self._ray: Any = ray
        self._owned = not ray.is_initialized()
        if self._owned:
            ray.init(address=address or None, include_dashboard=False, log_to_driver=False)
        self.config = config or GradeConfig()
        self.tasks = {task.task_id: task for task in tasks}
        count = self.config.workers or int(self._ray.cluster_resources().get("CPU", 1))
        one = replace(self.config, workers=1)
        actor: Any = ray.remote(num_cpus=1)(_Actor)
        shared = ray.put(list(tasks))
        self._actors = [actor.remote(shared, one) for _ in range(count)]

    def grade(self, candidates: Iterable[Candidate]) -> Iterator[Graded]:
        """Results in the order given."""
        begun: deque[Any] = deque()
        turn = 0
        batch: list[Candidate] = []
        for candidate in candidates:
            batch.append(candidate)
            if len(batch) == BATCH:
                begun.append(self._actors[turn % len(self._actors)].grade.remote(batch))
                turn, batch = turn + 1, []
            if len(begun) >= 4 * len(self._actors):
                yield from self._ray.get(begun.popleft())
        if batch:
            begun.append(self._actors[turn % len(self._actors)].grade.remote(batch))
        while begun:
            yield from self._ray.get(begun.popleft())

    def task_problem(self, task: Task) -> str:
        """As `Grader.task_problem`, found on the first machine."""
        problem: str = self._ray.get(self._actors[0].task_problem.remote(task.task_id))
        return problem

    @property
    def backend(self) -> str:
        name: str = self._ray.get(self._actors[0].backend.remote())
        return name

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if self._owned:
            self._ray.shutdown()

    def __enter__(self) -> RayGrader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
