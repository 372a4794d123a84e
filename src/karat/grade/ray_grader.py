"""The same grading on the machines of a Ray cluster: one actor with a grader of its own for each place."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

from karat.errors import InputError, MissingDependencyError, ResourceError
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

    def __init__(self, tasks: Sequence[Task], config: GradeConfig | None = None) -> None:
        """
        Args:
            config: `workers` is the number of actors; 0: one for each processor of the cluster, which is the one that
                this process is in, that RAY_ADDRESS names, or a new one on this machine.
        Raises: InputError: more workers than processors, which would wait for ever. ResourceError: no cluster answers.
        """
        try:
            import ray
        except ModuleNotFoundError:
            raise MissingDependencyError("ray", "ray") from None
        self._ray: Any = ray
        self.config = config or GradeConfig()
        self.tasks = {task.task_id: task for task in tasks}
        self._actors: list[Any] = []
        self._owned = not ray.is_initialized()
        try:
            if self._owned:
                ray.init(include_dashboard=False, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ResourceError(f"no Ray cluster answers: {_first_line(error)} Look at RAY_ADDRESS.") from error
        try:
            self._start(tasks)
        except BaseException:
            self.close()
            raise

    def _start(self, tasks: Sequence[Task]) -> None:
        processors = int(self._ray.cluster_resources().get("CPU", 0))
        count = self.config.workers or max(1, processors)
        if count > processors:
            raise InputError(
                f"workers = {count}, but the Ray cluster has {processors} processors, and each worker holds one. "
                "Ask for fewer, or join more machines to it."
            )
        actor: Any = self._ray.remote(num_cpus=1)(_Actor)
        shared = self._ray.put(list(tasks))
        one = replace(self.config, workers=1)
        self._actors = [actor.remote(shared, one) for _ in range(count)]
        self._turns = cycle(self._actors)  # goes on from call to call: small calls do not all meet the first actor
        self.backend = str(self._get(self._actors[0].backend.remote()))  # an actor that cannot be made says so here

    def _get(self, reference: Any) -> Any:
        """A result. Raises: what the actor raised of karat's own; ResourceError: it or its machine died."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise ResourceError(f"a Ray worker failed: {_last_line(error)}") from error

    def grade(self, candidates: Iterable[Candidate]) -> Iterator[Graded]:
        """Results in the order given."""
        begun: deque[Any] = deque()
        batch: list[Candidate] = []
        for candidate in candidates:
            batch.append(candidate)
            if len(batch) == BATCH:
                begun.append(next(self._turns).grade.remote(batch))
                batch = []
            if len(begun) >= 4 * len(self._actors):
                yield from self._get(begun.popleft())
        if batch:
            begun.append(next(self._turns).grade.remote(batch))
        while begun:
            yield from self._get(begun.popleft())

    def task_problem(self, task: Task) -> str:
        """As `Grader.task_problem`, found on the first machine."""
        return str(self._get(self._actors[0].task_problem.remote(task.task_id)))

    def close(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if self._owned:
            self._ray.shutdown()

    def __enter__(self) -> RayGrader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def grader_of(tasks: Sequence[Task], config: GradeConfig) -> Grader | RayGrader:
    """What grades under these options: on this machine, or on a Ray cluster."""
    return RayGrader(tasks, config) if config.ray else Grader(tasks, config)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]


def _last_line(error: BaseException) -> str:
    """Ray puts the worker's traceback before what was raised."""
    return str(error).strip().rpartition("\n")[2][:300]
