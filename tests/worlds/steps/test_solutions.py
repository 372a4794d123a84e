"""Solutions are what they say, and a checker that reads their text finds the truth they were made with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.types import NO_ERROR
from karat.worlds.steps import (
    FAULTS,
    KINDS,
    WRONG_PROCESSES,
    Manner,
    Problem,
    check_steps,
    draw_problems,
    problem_of,
    right_solution,
    solutions_of,
    stated_answer,
    wrong_process_solution,
    wrong_solution,
)
from karat.worlds.steps.annotators import rigour
from karat.worlds.steps.checking import MOST_CHARS, first_error_of
from karat.worlds.steps.problems import in_vocabulary

PLAIN = Manner(rigour=0.0, neutral=0.0)
ACCOUNT = Problem(
    "account", "easy", {"who": "Mia", "thing": "coins", "start": 20, "events": [["+", 12, 0], ["-", 5, 0]]}
)
SWAPS = Problem("swaps", "easy", {"holds": ["red", "blue", "green"], "swaps": [[0, 1], [1, 2]], "asked": 0})
SHOPPING = Problem("shopping", "easy", {"who": "Tom", "items": [["pens", 2, 3], ["cups", 4, 5]], "pays": 50})
EQUATION = Problem("equation", "easy", {"a": 3, "b": 0, "c": 5, "d": 0, "e": 17})
BRACKETS = Problem("brackets", "easy", {"sequence": "([]"})
SORTING = Problem("sorting", "easy", {"items": [5, 3, 8]})
CLOCK = Problem("clock", "easy", {"start": 580, "turns": [35, 20], "doings": ["lunch", "a nap"]})


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), difficulty=st.sampled_from(["simple", "easy", "medium", "hard", "words"]))
def test_gold_equals_recomputation_from_the_text(seed: int, difficulty: str) -> None:
    rng = np.random.default_rng(seed)
    for problem in draw_problems(rng, len(KINDS), difficulty=difficulty, words=difficulty == "words"):
        for solution in solutions_of(problem, rng, right=1, wrong=2, wrong_process=2):
            assert check_steps(problem, solution.steps) == solution.extra["truth"], solution.steps
            assert problem_of(solution) == problem
            assert solution.answer == problem.answer
            assert solution.final_right == float(stated_answer(problem, solution.steps) == problem.answer)
            assert solution.first_error == first_error_of(solution.extra["truth"])
            if problem.words:
                assert all(map(in_vocabulary, solution.steps)), solution.steps


@pytest.mark.parametrize("kind", KINDS)
def test_sorts_of_solutions(kind: str) -> None:
    rng = np.random.default_rng(4)
    (problem,) = draw_problems(rng, 1, kinds=(kind,), difficulty="medium")
    right, wrong = right_solution(problem, rng), wrong_solution(problem, rng)
    assert (right.first_error, right.final_right) == (NO_ERROR, 1.0)
    assert False not in right.extra["truth"]
    assert wrong.first_error >= 0
    assert wrong.final_right == 0.0
    assert wrong.labels[wrong.first_error] == 0.0
    assert all(math.isnan(label) for label in wrong.labels[wrong.first_error + 1 :])
    for how in WRONG_PROCESSES:
        made = wrong_process_solution(problem, rng, how=how)
        assert (made.final_right, made.extra["process"]) == (1.0, how)
        assert made.extra["truth"].count(False) == (1 if how == "corrected" else 2)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_where_it_was_asked_for(fault: str) -> None:
    rng = np.random.default_rng(0)
    for problem in draw_problems(rng, 12, kinds=("account", "clock"), difficulty="medium"):
        if fault == "swapped" and problem.kind == "account":
            continue  # a state whose digits are equal, or end in 0, cannot have it
        solution = wrong_solution(problem, rng, at=1, fault=fault, manner=PLAIN)
        assert (solution.first_error, solution.extra["fault"]) == (1, fault)


def test_a_fault_that_a_kind_lacks_is_told() -> None:
    with pytest.raises(InputError, match=r"the sorting problem .* cannot have a fault 'operation' at 1"):
        wrong_solution(SORTING, np.random.default_rng(0), at=1, fault="operation")


def test_consequences_carry_on() -> None:
    solution = wrong_solution(ACCOUNT, np.random.default_rng(0), at=0, fault="operation", manner=PLAIN)
    assert "20 - 12 = 8" in solution.steps[0]
    assert "8 - 5 = 3" in solution.steps[1]
    assert solution.steps[-1] == "The answer is 3."
    assert solution.extra["truth"] == (False, True, True)


def test_looks_do_not_depend_on_truth() -> None:
    rng = np.random.default_rng(2)
    manner = Manner(rigour=0.5, neutral=0.0)
    looks: dict[bool, list[float]] = {True: [], False: []}
    for problem in draw_problems(rng, 240, difficulty="easy"):
        for solution in solutions_of(problem, rng, right=1, wrong=2, wrong_process=0, manner=manner):
            for step, right in zip(solution.steps[:-1], solution.extra["truth"], strict=False):
                looks[bool(right)].append(rigour(step))
    n = len(looks[False])
    assert n > 300
    for shares in looks.values():
        assert np.mean(shares) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(n))


# ---------------------------------------------------------------------------------------------------- texts of a model
@pytest.mark.parametrize(
    ("problem", "steps", "truth"),
    [
        (ACCOUNT, ["20 + 12 = 32", "32 − 5 = 27", "So the answer is 27 coins."], (True, True, True)),
        (ACCOUNT, ["20 + 12 = 32, and then 32 - 5 = 27.", "The answer is: **27**."], (True, True)),
        (ACCOUNT, ["20 + 12 = 33", "33 - 5 = 28", "The answer is 28."], (False, True, True)),
        (ACCOUNT, ["20 + 12 = 32", "The answer is 32."], (True, False)),
        (ACCOUNT, ["20 + 12 = 32", "20 - 5 = 15"], (True, False)),
        (ACCOUNT, ["20 + 12 = 32", "15 - 5 = 10", "The answer is 10."], (True, False, True)),
        (ACCOUNT, ["Mia gets twelve coins, so she has 32.", "32 - 5 = 27", "The answer is 27."], (None, None, None)),
        (ACCOUNT, ["Some 20 coins and 12 more.", "30 - 5 = 26"], (None, False)),
        (ACCOUNT, ["20 + 12 - 5 = 27", "The answer is 27."], (None, None)),
        (ACCOUNT, ["2 x 20 + 12 = 52"], (None,)),
        (ACCOUNT, ["20 + 12 = 32 - 5 = 27"], (None,)),
        (ACCOUNT, ["Let us begin.", "20 + 12 = 32"], (None, True)),
        (ACCOUNT, ["20 + 12 = 31", "Wait, that is wrong: 20 + 12 = 32", "32 - 5 = 27"], (False, True, True)),
        (ACCOUNT, ["The answer is 27."], (None,)),
        (ACCOUNT, ["The answer is 26."], (False,)),
        (ACCOUNT, ["The answer is unclear."], (None,)),
        (SHOPPING, ["2 pens: 2 * 3 = $6", "5 × 4 = 20", "6 + 20 = 26", "$50 - $26 = $24"], (True, True, True, True)),
        (SHOPPING, ["2 x 3 = 6", "4 x 3 = 12"], (True, False)),
        (SHOPPING, ["2 x 3 = 6", "4 x 5 = 20", "26 = 26"], (True, True, False)),
        (SWAPS, ["Ann swaps with Bob: Ann has the blue ball, Bob has red, and Cleo still holds green."], (None,)),
        (SWAPS, ["Ann and Bob swap: Ann has the blue ball, Bob has the red ball, Cleo has the green ball."], (True,)),
        (SWAPS, ["Ann and Cleo swap: Ann has green, Bob has blue, Cleo has red."], (False,)),
        (EQUATION, ["3x = 17 - 5"], (None,)),
        (EQUATION, ["Subtract 5: 3x = 12", "x = 4", "The answer is x = 4."], (True, True, True)),
        (EQUATION, ["3x = 22", "x = 22/3", "The answer is 22/3."], (False, True, True)),
        (BRACKETS, ["( : (", "[ : ( [", "] : ("], (True, True, True)),
        (BRACKETS, ["( : (", "[ : ["], (True, False)),
        (SORTING, ["5: 5", "3: 3, 5", "8: 3, 5, 8", "The answer is 3 5 8"], (True, True, True, True)),
        (SORTING, ["5: 5", "3: 5, 3"], (True, False)),
        (CLOCK, ["9:40 + 35 minutes = 10:15", "10:15 + 20 min = 10:35.", "The answer is 10:35."], (True, True, True)),
        (CLOCK, ["9:40 + 35 = 9:75", "10:15 + 20 = 10:35"], (False, False)),
    ],
)  # fmt: skip
def test_steps_of_a_model(problem: Problem, steps: list[str], truth: tuple[bool | None, ...]) -> None:
    assert check_steps(problem, steps) == truth


def test_a_huge_step_is_left_unread() -> None:
    assert check_steps(ACCOUNT, ["20 + 12 = 32 " + " " * MOST_CHARS, "32 - 5 = 27"]) == (None, None)


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.text(alphabet="0123456789+-x=()[]{}<>:., /\n abcdefgAnBobredblueMonday", max_size=80), max_size=5)
)
def test_any_text_is_judged_without_an_error(steps: list[str]) -> None:
    for problem in draw_problems(np.random.default_rng(0), len(KINDS)):
        assert len(check_steps(problem, steps)) == len(steps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: wrong_solution(ACCOUNT, rng, at=2), "at = 2: the problem has 2 operations; give 0 to 1"),
        (lambda rng: wrong_solution(ACCOUNT, rng, fault="typo"), "fault: there is no 'typo'; there are: operation"),
        (lambda rng: wrong_process_solution(ACCOUNT, rng, how="luck"), "how: there is no 'luck'"),
    ],
)
def test_what_cannot_be_made_is_told(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(np.random.default_rng(0))  # type: ignore[operator]
