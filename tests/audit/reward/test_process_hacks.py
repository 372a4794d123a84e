"""Rewrites of solutions: what they keep, what they change, and which of them apply."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.audit.reward.process.cases import make_plan
from karat.audit.reward.process.hacks import FAMILIES, FLIP, Hack, flipped_step, halves, right_steps
from karat.errors import DataError
from karat.types import NO_ERROR, StepSolution

RIGHT = StepSolution(
    "Ann has 3 bags of 4 eggs and eats 2. How many are left?",
    ("3 bags of 4 are 3 * 4 = 12 eggs.", "She eats 2, so 12 - 2 = 10.", "The answer is 10."),
    (1.0, 1.0, 1.0), NO_ERROR, "p", final_right=1.0,
)  # fmt: skip
WRONG = StepSolution(
    RIGHT.prompt, ("3 * 4 = 12.", "12 - 2 = 9.", "The answer is 9."), (1.0, 0.0, float("nan")), 1, "p", final_right=0.0
)


def hack(name: str) -> Hack:
    return next(each for family in FAMILIES for each in family.hacks if each.name == name)


def rewritten(name: str, solution: StepSolution, seed: int = 0) -> tuple[str, ...]:
    steps = hack(name).rewrite(solution, np.random.default_rng(seed))
    assert steps is not None
    return steps


def test_names_and_codes_are_unique_and_all_hacks_of_the_literature_are_there() -> None:
    names = [each.name for family in FAMILIES for each in family.hacks]
    assert len(set(names)) == len(names)
    assert [family.code for family in FAMILIES] == [f"RW8{number}" for number in range(11, 20)]


def test_duplicates_are_of_right_steps_only() -> None:
    assert right_steps(WRONG) == [0]
    assert rewritten("duplicate right steps", WRONG) == (WRONG.steps[0], *WRONG.steps)
    assert len(rewritten("duplicate right steps", RIGHT)) == 6


def test_a_right_step_is_repeated_at_the_end() -> None:
    steps = rewritten("repeat a step", WRONG)
    assert steps[:3] == WRONG.steps
    assert set(steps[3:]) == {WRONG.steps[0]}
    first_wrong = StepSolution("p", ("1 + 1 = 3", "so 3"), (0.0, float("nan")), 0, "p")
    assert hack("repeat a step").rewrite(first_wrong, np.random.default_rng(0)) is None


def test_the_error_stays_in_where_a_wrong_solution_is_dressed() -> None:
    """Each hack that may not raise a wrong solution keeps its wrong claim, or says nothing."""
    for family in FAMILIES:
        for each in family.hacks:
            if "wrong" in each.on and each.name not in ("repeat and end", "tiny steps"):
                text = " ".join(rewritten(each.name, WRONG))
                assert "12 - 2 = 9" in text.replace("12 - 2 =  9", "12 - 2 = 9"), each.name


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\x1c\x1d\x1e\x1f"), max_size=12), max_size=8))
def test_halves_lose_nothing_but_blanks(words: list[str]) -> None:
    step = " ".join(words)
    parts = halves(step)
    assert "".join("".join(parts).split()) == "".join(step.split())
    assert len(parts) == 1 or all(part.strip() for part in parts)


def test_halves_prefer_sentences_to_words() -> None:
    assert halves("We add. Then 1 + 1 = 2, which is even.") == ("We add.", "Then 1 + 1 = 2, which is even.")
    assert halves("one two three four") == ("one two", "three four")
    assert halves("word") == ("word",)


@pytest.mark.parametrize("seed", range(6))
def test_a_flip_changes_one_result_that_later_steps_use(seed: int) -> None:
    at, text = flipped_step(RIGHT, np.random.default_rng(seed)) or (-1, "")
    assert at in (0, 1)  # 12 is used by the second step, 10 by the third
    assert text != RIGHT.steps[at]
    assert re.sub(r"\d+", "n", text) == re.sub(r"\d+", "n", RIGHT.steps[at])


def test_no_flip_where_no_later_step_needs_the_number_or_the_prompt_states_it() -> None:
    rng = np.random.default_rng(0)
    assert flipped_step(StepSolution("p", ("It is 7.", "Done.")), rng) is None
    assert flipped_step(StepSolution("There are 7.", ("So 7.", "7 it is.")), rng) is None


def test_flips_of_the_plan_are_those_of_the_hack() -> None:
    plan = make_plan([RIGHT, WRONG], most_scored=10, most_hacked=10, rng=np.random.default_rng(3))
    (flip,) = plan.flips
    battery = next(each for each in plan.batteries if each.hack.name == FLIP)
    assert flip.place == battery.cases[0].after
    steps = plan.problems[flip.place.problem].solutions[flip.place.solution]
    assert [index for index, step in enumerate(steps) if step != RIGHT.steps[index]] == [flip.first_error]


def test_right_answers_by_wrong_steps_are_no_wrong_solutions_to_dress() -> None:
    lucky = StepSolution(RIGHT.prompt, ("3 * 4 = 13.", "So 10."), (0.0, float("nan")), 0, "p", final_right=1.0)
    plan = make_plan([RIGHT, lucky], most_scored=10, most_hacked=10, rng=np.random.default_rng(0))
    assert {flip.kind for flip in plan.flips} == {"flipped", "found"}
    assert all(not each.cases for each in plan.batteries if each.on == "wrong")


def test_whole_problems_up_to_the_limit_and_each_text_once() -> None:
    many = [StepSolution(f"q{k}", ("1 + 1 = 2", "so 2"), (1.0, 1.0), NO_ERROR, f"q{k}") for k in range(9)]
    plan = make_plan(many * 2, most_scored=5, most_hacked=4, rng=np.random.default_rng(0))
    assert len(plan.honest) == 6  # three problems of two equal solutions
    assert all(len(set(problem.solutions)) == len(problem.solutions) for problem in plan.problems)
    assert max(len(battery.cases) for battery in plan.batteries) == 2


def test_without_labels_there_is_nothing_to_audit() -> None:
    with pytest.raises(DataError, match="of none of 1 solutions"):
        make_plan([StepSolution("p", ("a",))], most_scored=5, most_hacked=4, rng=np.random.default_rng(0))
