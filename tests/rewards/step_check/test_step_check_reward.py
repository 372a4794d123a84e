"""The step check as a reward, as a scorer of steps, and as labels."""

from __future__ import annotations

import math

import numpy as np

from karat.rewards import Group, Reward, load_reward
from karat.rewards.process import StepProblem, StepScorer, as_step_scorer
from karat.rewards.step_check import StepCheckReward, check_solution, label_steps_by_check
from karat.types import StepSolution
from karat.worlds.steps import draw_problems, solutions_of

STEPS = ("2 + 2 = 4", "So it is.", "4 * 2 = 9", "9 - 1 = 8")


def test_it_is_a_reward_and_a_step_scorer() -> None:
    reward = load_reward("builtin:step-check")
    assert isinstance(reward, Reward)
    assert isinstance(reward, StepScorer)
    assert as_step_scorer(reward) is reward


def test_a_step_that_cannot_be_checked_is_missing_and_not_wrong() -> None:
    np.testing.assert_array_equal(StepCheckReward().score_steps("p", STEPS), [1, math.nan, 0, 1])
    ((scores,),) = StepCheckReward().score_problems([StepProblem("p", (STEPS,))])
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, [1, math.nan, 0, 1])


def test_one_wrong_claim_decides_and_true_ones_do_not_help() -> None:
    answers = ("2 + 2 = 4\n\nfine", "2 + 2 = 5\n1 + 1 = 2\n1 + 2 = 3", "nothing to see", "")
    scores = StepCheckReward().score([Group("p", answers)])[0]
    assert [score.value for score in scores[:2]] == [1, 0]
    assert [score.missing for score in scores[2:]] == ["no step makes a claim that can be checked"] * 2


def test_labels_end_at_the_first_wrong_step() -> None:
    solutions = [StepSolution("p", STEPS, (1.0,) * 4, -1, "id"), StepSolution("p", STEPS[:2], prompt_id="id")]
    wrong, right = label_steps_by_check(solutions)
    np.testing.assert_array_equal(wrong.labels, [1, math.nan, 0, math.nan])
    assert wrong.first_error == 2
    assert right.first_error is None  # that nothing wrong was found does not show that nothing is wrong
    assert wrong.prompt_id == "id"


def test_no_right_step_of_the_step_world_is_called_wrong() -> None:
    rng = np.random.default_rng(4)
    problems = [each for level in ("easy", "medium", "hard") for each in draw_problems(rng, 40, difficulty=level)]
    for solution in (each for problem in problems for each in solutions_of(problem, rng, right=1, wrong=1)):
        checks = check_solution(str(solution.prompt), solution.steps)
        wrong = [step for step, label, check in zip(solution.steps, solution.labels, checks, strict=True)
                 if label == 1.0 and check.verdict == "wrong"]  # fmt: skip
        assert not wrong, solution.prompt
