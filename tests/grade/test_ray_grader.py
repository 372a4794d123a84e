"""Grading on a Ray cluster gives what grading here gives."""

from __future__ import annotations

from dataclasses import replace

from karat.grade.config import GradeConfig
from karat.grade.grader import Grader
from karat.grade.ray_grader import BATCH, RayGrader
from karat.grade.readers import read_tasks
from karat.grade.types import Candidate, Graded

ADD = {
    "task_id": "add",
    "entry_point": "add",
    "tests": [{"input": [1, 2], "output": 3}, {"input": [5, 7], "output": 12}],
}
CODES = ("def add(a, b): return a + b", "def add(a, b): return 3", "import os\ndef add(a, b): os._exit(0)")


def told(graded: Graded) -> tuple[str, str, str]:
    return graded.candidate_id, graded.verdict, graded.reason


def test_the_same_results_in_the_same_order() -> None:
    tasks, _ = read_tasks([ADD])
    config = GradeConfig(workers=2, reruns=0, wall_s=5.0, held_out=0)
    candidates = [
        Candidate(task_id="add", candidate_id=str(number), code=CODES[number % 3]) for number in range(2 * BATCH + 3)
    ]
    with Grader(tasks, config) as here:
        expected = [told(graded) for graded in here.grade(candidates)]
    with RayGrader(tasks, replace(config, ray=True)) as there:
        assert [told(graded) for graded in there.grade(candidates)] == expected
        assert there.task_problem(tasks[0]) == ""
