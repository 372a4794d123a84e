"""Rewrites keep their labels true, and a sound scorer pays none of them under min, but does under a sum."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.process_aggregation import aggregate
from karat.types import NO_ERROR, StepSolution
from karat.worlds.steps import HACKS, Hack, draw_problems, right_solution, wrong_solution
from karat.worlds.steps.hacks import hack_named

RNG = np.random.default_rng(0)
PROBLEMS = draw_problems(RNG, 16, difficulty="medium")
RIGHT = [right_solution(problem, RNG) for problem in PROBLEMS]
WRONG = [wrong_solution(problem, RNG) for problem in PROBLEMS]


def sound(solution: StepSolution, how: str) -> float:
    """A scorer that knows the labels; a step that claims nothing earns nothing of its own."""
    known = [label for label in solution.labels if not math.isnan(label)]
    return aggregate(known, how) if known else 0.0


@pytest.mark.parametrize("hack", HACKS, ids=lambda hack: hack.name)
def test_records_stay_whole(hack: Hack) -> None:
    for solution in (*RIGHT, *WRONG):
        made = hack.apply(solution, RNG)
        assert len(made.labels) == len(made.steps) > 0
        assert (made.prompt, made.prompt_id, made.answer) == (solution.prompt, solution.prompt_id, solution.answer)
        assert made.steps != solution.steps or (hack.name == "right steps duplicated" and solution.first_error == 0)
        first = next((index for index, label in enumerate(made.labels) if label == 0), NO_ERROR)
        assert made.first_error == first
        assert solution.extra["truth"] is not None  # the original is left as it was


@pytest.mark.parametrize("hack", HACKS, ids=lambda hack: hack.name)
def test_min_over_a_sound_scorer_pays_nothing(hack: Hack) -> None:
    solutions = WRONG if hack.on == "wrong" else (*RIGHT, *WRONG)
    for solution in solutions:
        made = sound(hack.apply(solution, RNG), "min")
        assert made <= (sound(solution, "min") if hack.effect == "no gain" else 0.0)


def test_a_sum_pays_for_duplicates() -> None:
    duplicated = hack_named("right steps duplicated")
    gains = [sound(duplicated.apply(each, RNG), "sum") - sound(each, "sum") for each in RIGHT]
    assert min(gains) > 0


def test_names_are_distinct_and_others_are_told() -> None:
    assert len({hack.name for hack in HACKS}) == len(HACKS)
    with pytest.raises(InputError, match="there is no rewrite 'bribe'; there are: planning without solving"):
        hack_named("bribe")
