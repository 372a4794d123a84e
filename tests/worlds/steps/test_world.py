"""The world that ships: stored gold is what the checker says today, and its recipe and splits are whole."""

from __future__ import annotations

import math

import numpy as np
import pytest

import karat
from karat.types import NO_ERROR
from karat.worlds.pool import POOLS, pool_source
from karat.worlds.steps import Problem, StepWorld, check_steps, load_step_world, problem_of, stated_answer
from karat.worlds.steps.world import POOL, RECIPE, gold_of, read_step_pool, split_response


@pytest.fixture(scope="module")
def world() -> StepWorld:
    return load_step_world()


def test_stored_gold_is_recomputed() -> None:
    rows = read_step_pool()
    for row in rows:
        problem = Problem(row["kind"], row["difficulty"], row["facts"])
        assert (row["prompt"], row["prompt_id"]) == (problem.prompt, problem.problem_id)
        for number, response in enumerate(row["responses"]):
            assert {name: row[name][number] for name in ("answer", "process", "gold")} == gold_of(problem, response)
    assert len({row["prompt_id"] for row in rows}) == len(rows) == 48
    assert {len(row["responses"]) for row in rows} == {12}


def test_the_model_is_right_at_times_and_by_wrong_processes_too(world: StepWorld) -> None:
    measured = world.summary()
    assert 0.2 <= measured["right_rate"] <= 0.6
    assert measured["right_answer_wrong_step"] > 0.05
    assert measured["steps_undefined"] < 0.2


def test_samples_stand_for_the_rows_of_the_pool(world: StepWorld) -> None:
    assert len(world.samples) == len(world.pool) == 576
    for sample, row in zip(world.samples, world.pool, strict=True):
        assert (sample.prompt_id, sample.prompt, sample.row) == (row.prompt_id, row.prompt, row.row)
        assert sample.steps == split_response(str(row.response))
        assert sample.final_right == row.scores["answer"]
        assert sample.extra["split"] == row.extra["split"]
        if sample.first_error != NO_ERROR:
            assert row.scores["process"] == 0


def test_gold_needs_answer_and_process(world: StepWorld) -> None:
    for row in world.pool:
        answer, process, gold = (row.scores[name] for name in ("answer", "process", "gold"))
        assert answer in (0.0, 1.0)
        expected = 0.0 if not answer else process
        assert gold == expected or (math.isnan(gold) and math.isnan(expected))


def test_program_made_solutions_are_what_they_say(world: StepWorld) -> None:
    assert len(world.solutions) == 6 * len(world.problems)
    assert len({each.solution_id for each in world.solutions}) == len(world.solutions)
    for each in world.solutions:
        assert check_steps(problem_of(each), each.steps) == each.extra["truth"]
        assert each.final_right == (each.extra["process"] != "wrong")
        assert (each.first_error == NO_ERROR) == (each.extra["process"] == "right")


@pytest.mark.parametrize("part", ["solutions", "samples"])
def test_no_problem_is_on_both_sides_of_the_split(world: StepWorld, part: str) -> None:
    sides: dict[str, set[str]] = {"train": set(), "test": set()}
    for each in getattr(world, part):
        sides[each.extra["split"]].add(each.prompt_id)
    assert not sides["train"] & sides["test"]
    assert 0.3 < len(sides["test"]) / sum(map(len, sides.values())) < 0.5
    kinds = {each.source for each in getattr(world, part)}
    assert {each.source for each in getattr(world, part) if each.extra["split"] == "test"} == kinds


def test_the_same_world_every_time(world: StepWorld) -> None:
    again = load_step_world()
    assert again.problems == world.problems
    assert [each.steps for each in again.solutions] == [each.steps for each in world.solutions]


def test_the_recipe_tells_how_samples_were_made(world: StepWorld) -> None:
    assert {"model", "seed", "samples", "temperature", "example_turns"} <= world.recipe.keys()
    asked = {row["prompt"] for row in read_step_pool()}
    for turns in world.recipe["example_turns"].values():
        for prompt, solved in turns:
            assert prompt not in asked
            assert solved.splitlines()[-1].startswith("The answer is")
    assert POOL.stat().st_size + RECIPE.stat().st_size < 400_000


def test_the_pool_has_a_name(world: StepWorld) -> None:
    assert pool_source("builtin:steps") == str(POOLS["builtin:steps"]) == str(POOL)
    result = karat.stress("builtin:steps", proxy="answer", gold="gold", resamples=200)
    assert np.isfinite(result.values["gold"]).any()


def test_gold_of_responses_by_hand() -> None:
    problem = Problem("sorting", "simple", {"items": [9, 4]})
    golds = {
        "Insert 9: 9.\nInsert 4: 4, 9.\nThe answer is 4, 9.": (1.0, 1.0, 1.0),
        "Insert 9: 4, 9.\nThe answer is 4, 9.": (1.0, 0.0, 0.0),
        "The answer is 4, 9.": (1.0, None, None),
        "Put them right.\nThe answer is 4, 9.": (1.0, None, None),
        "Insert 9: 9.\nInsert 4: 4, 9.\nThe answer is 9, 4.": (0.0, 0.0, 0.0),
        "Insert 9: 9.\nInsert 4: 4, 9.": (0.0, 1.0, 0.0),
        "": (0.0, None, 0.0),
    }
    for response, expected in golds.items():
        assert tuple(gold_of(problem, response).values()) == expected, response
        assert (stated_answer(problem, split_response(response)) == problem.answer) == bool(expected[0])
