"""The step world that ships: problems, program-made solutions of them, and real samples of the default model."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from karat.types import NO_ERROR, PoolRow, StepSolution
from karat.worlds.steps.checking import Follower, check_steps, first_error_of, read_step, stated_answer
from karat.worlds.steps.problems import KINDS, Problem, draw_problems
from karat.worlds.steps.solutions import MANNER, Manner, as_solution, numbered, solutions_of

POOL = Path(__file__).with_name("pool.jsonl.gz")
RECIPE = Path(__file__).with_name("recipe.json")
SEPARATOR = "\n"
"""What parts the steps of a response of the pool."""
GOLD_NAME = "program check of answer and steps"
PROGRAM_SEED, TEST_SHARE = 0, 0.4


@dataclass(frozen=True, slots=True)
class StepWorld:
    """Solutions whose steps have a known truth, made by program and sampled from a model.

    Both are of problems of their own; `extra["split"]` of a solution says "train" or "test", by problem.
    """

    problems: tuple[Problem, ...]
    """Those that `solutions` solve."""
    solutions: tuple[StepSolution, ...]
    """Made by program: right, wrong, right answers by a wrong process (`extra["process"]`)."""
    samples: tuple[StepSolution, ...]
    """Of the default model, steps checked by program where a program can tell; one for each row of `pool`."""
    pool: tuple[PoolRow, ...]
    """The samples with their scores: answer, process, gold (NaN where it is undefined)."""
    recipe: Mapping[str, Any]
    gold_name: str = GOLD_NAME

    def summary(self) -> dict[str, Any]:
        """Measured facts of the samples."""
        answer = np.array([row.scores["answer"] for row in self.pool])
        process = np.array([row.scores["process"] for row in self.pool])
        kinds = np.array([row.extra["kind"] for row in self.pool])
        truth = [right for sample in self.samples for right in sample.extra["truth"]]
        return {
            "problems": len({row.prompt_id for row in self.pool}),
            "samples": len(self.samples),
            "right_rate_by_kind": {str(kind): float(answer[kinds == kind].mean()) for kind in np.unique(kinds)},
            "right_rate": float(answer.mean()),
            "steps": len(truth),
            "steps_undefined": float(np.mean([right is None for right in truth])),
            "right_answer_wrong_step": float(np.mean(process[answer == 1] == 0)),
            "right_answer_undefined_process": float(np.mean(np.isnan(process[answer == 1]))),
        }


def load_step_world(*, right: int = 2, wrong: int = 3, wrong_process: int = 1, manner: Manner = MANNER) -> StepWorld:
    """The world that ships with the package.

    Args:
        right, wrong, wrong_process: program-made solutions of each problem; manner: how they are worded.
    """
    problems = program_problems()
    rng = np.random.default_rng([PROGRAM_SEED, 1])
    counts = {"right": right, "wrong": wrong, "wrong_process": wrong_process}
    made = [
        _in_split(solution, "test" if index >= (1 - TEST_SHARE) * len(problems) else "train")
        for index, problem in enumerate(problems)
        for solution in solutions_of(problem, rng, manner=manner, **counts)
    ]
    rows = read_step_pool()
    samples = [
        _in_split(sampled_solution(Problem(row["kind"], row["difficulty"], row["facts"]), response), row["split"])
        for row in rows
        for response in row["responses"]
    ]
    return StepWorld(
        problems=problems,
        solutions=numbered(made),
        samples=numbered(samples),
        pool=tuple(_pool_rows(rows)),
        recipe=json.loads(RECIPE.read_text(encoding="utf-8")),
    )


def program_problems() -> tuple[Problem, ...]:
    """Of every kind four, each easy and medium, in an order that mixes kinds."""
    rng = np.random.default_rng([PROGRAM_SEED, 0])
    easy, medium = (draw_problems(rng, 4 * len(KINDS), difficulty=name) for name in ("easy", "medium"))
    return tuple(problem for pair in zip(easy, medium, strict=True) for problem in pair)


def read_step_pool() -> list[dict[str, Any]]:
    """Rows of the pool's file: one a problem, with its responses and their scores."""
    with gzip.open(POOL, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _in_split(solution: StepSolution, split: str) -> StepSolution:
    return replace(solution, extra={**solution.extra, "split": split})


def split_response(response: str) -> tuple[str, ...]:
    """Steps of a response: its lines that hold something."""
    return tuple(line.strip() for line in response.split(SEPARATOR) if line.strip())


def sampled_solution(problem: Problem, response: str) -> StepSolution:
    """A model's response as a solution whose steps are checked by program."""
    steps = split_response(response)
    solution = as_solution(problem, steps, check_steps(problem, steps), process="sampled")
    no_answer = math.isnan(solution.final_right)
    return replace(solution, final_right=0.0) if no_answer else solution


def gold_of(problem: Problem, response: str) -> dict[str, float | None]:
    """Scores of a response.

    Returns: answer: 1 where the final answer is right, else 0 (so too where none is stated). process: 1 where every
    step is right or claims nothing, 0 where one is wrong, None where one cannot be read and none is wrong. gold: both
    are 1; None where the answer is right and the process undefined.
    """
    steps = split_response(response)
    answer = float(stated_answer(problem, steps) == problem.answer)
    process = _process(problem, steps)
    gold = process if answer else 0.0
    return {"answer": answer, "process": process, "gold": gold}


def _process(problem: Problem, steps: Sequence[str]) -> float | None:
    truth = check_steps(problem, steps)
    if first_error_of(truth) != NO_ERROR:
        return 0.0
    follower = Follower(problem)
    readings = [read_step(problem, step) for step in steps]
    for reading in readings:
        follower.take(reading)
    is_seen = not any(reading.is_unread for reading in readings) and follower.done == len(follower.plan)
    return 1.0 if is_seen and follower.is_on_track else None


def _pool_rows(rows: Sequence[Mapping[str, Any]]) -> list[PoolRow]:
    made: list[PoolRow] = []
    for row in rows:
        for number, response in enumerate(row["responses"]):
            scores = {name: row[name][number] for name in ("answer", "process", "gold")}
            made.append(
                PoolRow(
                    row["prompt_id"],
                    str(number),
                    row["prompt"],
                    response,
                    scores={name: math.nan if value is None else float(value) for name, value in scores.items()},
                    row=len(made),
                    extra={"kind": row["kind"], "split": row["split"]},
                )
            )
    return made
