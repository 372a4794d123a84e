"""Grading on a Ray cluster gives what grading here gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from karat.errors import InputError, ResourceError
from karat.grade.config import GradeConfig
from karat.grade.grader import Grader
from karat.grade.ray_grader import BATCH, RayGrader
from karat.grade.readers import read_tasks
from karat.grade.reward import GradeReward
from karat.grade.run import grade
from karat.grade.types import Candidate, Graded

ADD = {
    "task_id": "add",
    "entry_point": "add",
    "tests": [{"input": [1, 2], "output": 3}, {"input": [5, 7], "output": 12}],
}
CODES = ("def add(a, b): return a + b", "def add(a, b): return 3", "import os\ndef add(a, b): os._exit(0)")


def told(graded: Graded) -> tuple[str, str, str]:
    return graded.candidate_id, graded.verdict, graded.reason


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One for all tests of this file: a start takes seconds."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


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


def test_the_command_and_the_reward_use_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is graded in this process then."""
    monkeypatch.setattr(Grader, "grade", None)
    rows = [{"task_id": "add", "candidate_id": str(number), "code": code} for number, code in enumerate(CODES)]
    grade([ADD], rows, out=tmp_path / "r.jsonl", ray=True, workers=1, reruns=0, held_out=0)
    graded = [json.loads(line)["verdict"] for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert graded == ["pass", "fail", "tampered"]
    with GradeReward([ADD], ray=True, workers=1, reruns=0, held_out=0) as reward:
        assert [score.value for score in reward.score_answers([("add", code) for code in CODES])] == [1.0, 0.0, 0.0]


def test_more_workers_than_processors_are_refused() -> None:
    """They would wait for a processor for ever, and what was given to them too."""
    with pytest.raises(InputError, match="workers = 3, but the Ray cluster has 2 processors"):
        RayGrader(read_tasks([ADD])[0], GradeConfig(workers=3))


def test_a_worker_that_cannot_start_says_why() -> None:
    config = GradeConfig(workers=1, backend="subprocess", policy="strict")
    with pytest.raises(ResourceError, match=r"a Ray worker failed: .*subprocess"):
        RayGrader(read_tasks([ADD])[0], config)
