"""The evaluation of step scores: counts by hand, laws, edges, what its findings say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics import process_aggregation
from karat.rewards.process import StepProblem
from karat.train.process.config import AGGREGATES, LABEL_SOURCES
from karat.train.process.evaluation import StepEvaluation, evaluate_steps, score_solutions
from karat.train.process.evaluation_findings import EXPLANATIONS
from karat.train.process.measures import RULES, UNTUNED, Thresholds, rule_scores, tune_thresholds
from karat.types import NO_ERROR, StepSolution
from train.process.toy import toy_solutions

NAN = float("nan")


def solution(problem: str, labels: tuple[float, ...], **other: Any) -> StepSolution:
    wrong = [index for index, label in enumerate(labels) if label < 0.5]
    stated = {"first_error": wrong[0] if wrong else NO_ERROR, "prompt_id": problem, **other}
    return StepSolution(problem, tuple(f"step {i}" for i in range(len(labels))), labels, **stated)


SOLUTIONS = [
    solution("p", (1.0, 0.0, NAN), row=0, final_right=0.0),
    solution("p", (1.0, 1.0), row=1, final_right=1.0),
    solution("q", (0.0,), row=2, final_right=1.0),
    solution("q", (1.0, 1.0, 1.0), row=3, final_right=1.0),
    solution("r", (1.0, 0.5), row=4, final_right=0.0),
]
SCORES = [np.array(score) for score in ([0.9, 0.2, 0.1], [0.8, 0.4], [0.7], [0.9, 0.9, 0.6], [0.6, 0.5])]


def evaluate(solutions: list[StepSolution], scores: list[np.ndarray], **options: Any) -> StepEvaluation:
    return evaluate_steps(solutions, scores, rng=np.random.default_rng(0), **options)


def test_counts_by_hand() -> None:
    """Ten labelled steps, one of them a tie. At one half: of 2 wrong steps one is flagged, one right one too."""
    found = evaluate(SOLUTIONS, SCORES)
    steps, first = found.steps, found.first_errors
    assert (steps.n_steps, steps.n_wrong, steps.n_ties, steps.n_missing) == (10, 2, 1, 0)
    assert steps.accuracy.estimate == pytest.approx(7 / 9)
    assert steps.f1.estimate == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    # pairs of a right step (0.9 0.8 0.4 0.9 0.9 0.6 0.6) and a wrong one (0.2, 0.7): 7 and 4 of 7
    assert steps.auroc.estimate == pytest.approx((7 + 4) / 14)
    # first errors: p0 at 1 found; p1 right, flagged at 1; q0 missed; q1 passes; r has none and passes
    assert (first.n_judged, first.n_wrong) == (5, 2)
    assert (first.found.estimate, first.kept.estimate) == (1 / 2, pytest.approx(2 / 3))
    assert first.f1.estimate == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))


def test_right_answers_by_a_wrong_process_by_hand() -> None:
    """Of right answers, q0 has a wrong step and is not flagged; p1 has none and is, q1 is not."""
    lucky = evaluate(SOLUTIONS, SCORES).first_errors.lucky
    assert (lucky.n, lucky.n_sound) == (1, 2)
    assert (lucky.caught.estimate, lucky.false_alarm.estimate, lucky.gain.estimate) == (0.0, 0.5, -0.5)


def test_solutions_and_best_of_n_by_hand() -> None:
    """By min: p 0.1 (wrong) and 0.4 (right); q two right ones; r alone, so no choice."""
    found = evaluate(SOLUTIONS, SCORES).solutions
    assert found.auroc["min"].estimate == pytest.approx((3 + 2) / 6)  # right 0.4 0.7 0.6 over wrong 0.1, 0.5
    assert found.n_choices == 2
    assert found.best_of_n["min"].estimate == 1.0
    assert found.best_of_n["random"].estimate == 0.75
    assert found.choice_gain.estimate == 0.25
    assert found.best_of_n["any right"].estimate == 1.0


def test_majority_follows_the_answers_that_are_stated() -> None:
    def answering(problem: str, answer: str, right: float) -> StepSolution:
        return StepSolution(problem, (f"The answer is {answer}",), (NAN,), prompt_id=problem, final_right=right)

    solutions = [answering("p", "4", 1.0), answering("p", "4.0", 1.0), answering("p", "5", 0.0)]
    solutions += [answering("q", "1", 0.0), answering("q", "1", 0.0), answering("q", "2", 1.0)]
    found = evaluate(solutions, [np.array([0.5])] * 6).solutions
    assert found.best_of_n["majority of answers"].estimate == 0.5
    assert found.best_of_n["min"].estimate == pytest.approx((2 / 3 + 1 / 3) / 2)  # equal scores share the choice


def test_missing_scores_are_counted_and_left_out() -> None:
    scores = [np.array([NAN, 0.2, 0.1]), *SCORES[1:]]
    found = evaluate(SOLUTIONS, scores)
    assert (found.steps.n_missing, found.steps.n_steps) == (1, 9)
    assert found.steps.missing_share.estimate == pytest.approx(0.1)
    assert (found.first_errors.n_judged, found.first_errors.n_missing) == (4, 1)
    assert (found.solutions.n_solutions, found.solutions.n_missing) == (4, 1)
    by_code = {finding.code: finding for finding in found.findings()}
    assert by_code["RM306"].verdict == "problem"
    assert by_code["RM306"].n_missing == 1


def test_thresholds_are_tuned_apart_and_named() -> None:
    tuned = tune_thresholds(SOLUTIONS, SCORES, split="some problems")
    assert tuned.where == "tuned on some problems: 5 solutions of 3 problems"
    assert evaluate(SOLUTIONS, SCORES, thresholds=tuned).steps.f1.estimate >= evaluate(SOLUTIONS, SCORES).steps.f1_half
    assert set(tuned.rules) == set(RULES)
    one_kind = tune_thresholds(SOLUTIONS[1:2], SCORES[1:2], split="some problems")
    assert (one_kind.step, one_kind.first_error, one_kind.where) == (UNTUNED, UNTUNED, "not tuned, one half")


def test_a_threshold_that_its_part_does_not_define_is_not_called_tuned() -> None:
    """Solutions with a wrong step and none without: F1 of the steps is defined, ProcessBench's is not."""
    wrong = [(one, score_S) for one, score_S in zip(SOLUTIONS, SCORES, strict=True) if 0.0 in one.labels]
    solutions, scores = zip(*wrong, strict=True)
    tuned = tune_thresholds(solutions, scores, split="some")
    assert tuned.step != UNTUNED
    assert (tuned.first_error, tuned.untuned) == (UNTUNED, ("first_error",))
    assert tuned.where.endswith("; that of first_error not, one half")
    all_wrong = [solution("p", (0.0,)), solution("q", (0.0,))]
    assert tune_thresholds(all_wrong, [np.array([0.2]), np.array([0.3])], split="some") == Thresholds()


def test_steps_whose_label_is_a_tie_are_in_no_auroc() -> None:
    found = evaluate(SOLUTIONS, SCORES)
    assert (found.steps.n_steps, found.steps.n_ties) == (10, 1)
    n_used = {finding.code: finding.n_used for finding in found.findings()}
    assert (n_used["RM301"], n_used["RM303"]) == (9, 10)


def test_rules_read_nothing() -> None:
    scores = rule_scores(StepSolution("p", ("abc", "d", "ef"), (1.0, 0.0, NAN)))
    assert scores["late steps wrong"].tolist() == [0, -1, -2]
    assert scores["last steps wrong"].tolist() == [2, 1, 0]
    assert scores["short steps wrong"].tolist() == [3, 1, 2]
    assert scores["long steps wrong"].tolist() == [-3, -1, -2]


def test_a_perfect_reward_is_ok_and_one_that_reads_positions_is_not() -> None:
    """Errors stand late: a reward that scores by position alone has a high AUROC, and gains nothing on the rule."""
    solutions = [solution(f"q{i}", (1.0,) * (i % 3 + 1) + (0.0,), row=i) for i in range(60)]
    solutions += [solution(f"q{i}", (1.0,) * (i % 3 + 2), row=i) for i in range(60, 120)]
    perfect = [np.where(np.isnan(one.labels), 0.5, one.labels).clip(0.1, 0.9) for one in solutions]
    verdicts = {f.code: f.verdict for f in evaluate(solutions, perfect).findings()}
    assert (verdicts["RM301"], verdicts["RM302"], verdicts["RM307"]) == ("ok", "ok", "not checked")
    by_position = [0.9 / (1 + np.arange(len(one.steps))) for one in solutions]
    found = evaluate(solutions, by_position)
    assert found.steps.auroc.estimate > 0.6
    assert {f.code: f.verdict for f in found.findings()}["RM301"] == "problem"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_labels_turned_round_mirror_the_auroc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    solutions = [replace(one, labels=tuple(rng.choice([0.0, 1.0, NAN], len(one.steps)))) for one in toy_solutions(12)]
    turned = [replace(one, labels=tuple(1 - np.array(one.labels))) for one in solutions]
    scores = [rng.random(len(one.steps)).round(1) for one in solutions]
    ahead, behind = (evaluate(which, scores).steps.auroc.estimate for which in (solutions, turned))
    assert np.isnan(ahead) or ahead + behind == pytest.approx(1.0)


def test_an_outcome_reward_is_compared_step_by_step() -> None:
    flat = [np.full(len(one.steps), 0.5) for one in SOLUTIONS]
    found = evaluate(SOLUTIONS, SCORES, outcome_PS=flat)
    assert found.steps.outcome_auroc == 0.5
    assert found.steps.outcome_gain.estimate == pytest.approx(found.steps.auroc.estimate - 0.5)
    assert found.solutions.auroc["outcome reward"].estimate == 0.5
    assert found.solutions.outcome_choice_gain.estimate == pytest.approx(1.0 - 0.75)


def test_one_problem_of_a_kind_has_no_interval() -> None:
    """A single wrong solution says nothing of others, however many right ones there are: no verdict rests on it."""
    solutions = [solution(f"q{i}", (1.0, 1.0), row=i, final_right=1.0) for i in range(40)]
    solutions.append(solution("w", (1.0, 0.0), row=40, final_right=1.0))
    found = evaluate(solutions, [np.array([0.9, 0.9])] * 40 + [np.array([0.9, 0.1])])
    steps, first = found.steps, found.first_errors
    assert (steps.auroc.estimate, steps.f1.estimate, first.f1.estimate, first.lucky.gain.estimate) == (1, 1, 1, 1)
    for interval in (steps.auroc, steps.auroc_gain, steps.f1, first.f1, first.f1_gain, first.lucky.gain):
        assert np.isnan(interval.low)
        assert np.isnan(interval.high)
    verdicts = {finding.code: finding.verdict for finding in found.findings()}
    assert (verdicts["RM301"], verdicts["RM302"], verdicts["RM305"]) == ("unclear",) * 3


def test_where_no_problem_departs_the_rarer_kind_bounds() -> None:
    solutions = [solution(f"q{i}", (1.0, 1.0), row=i) for i in range(96)]
    solutions += [solution(f"w{i}", (1.0, 0.0), row=i) for i in range(4)]
    found = evaluate(solutions, [np.array([0.9, 0.9])] * 96 + [np.array([0.9, 0.1])] * 4)
    assert found.first_errors.f1.low == pytest.approx(1 - 1.96**2 / (4 + 1.96**2), abs=1e-3)
    assert found.steps.f1.low == pytest.approx(1 - 1.96**2 / (4 + 1.96**2), abs=1e-3)


def test_nothing_to_judge_is_not_checked_and_no_number() -> None:
    unlabelled = [replace(one, labels=(NAN,) * len(one.steps), first_error=None, final_right=NAN) for one in SOLUTIONS]
    found = evaluate(unlabelled, SCORES)
    assert {finding.verdict for finding in found.findings()} == {"not checked"}
    assert all(np.isnan(found.values()[name]) for name in ("accuracy", "step_f1", "auroc", "process_f1", "best_of_n"))
    assert evaluate([], []).values()["n_solutions"] == 0


def test_every_finding_is_explained() -> None:
    assert [finding.code for finding in evaluate(SOLUTIONS, SCORES).findings()] == sorted(EXPLANATIONS)
    assert len(evaluate(SOLUTIONS, SCORES).tables()) == 3


def test_scores_come_back_in_the_order_of_the_solutions() -> None:
    class Counting:
        name = "counting"

        def score_problems(self, problems: list[StepProblem]) -> list[list[np.ndarray]]:
            assert [len(problem.solutions) for problem in problems] == [2, 2]
            return [[np.full(len(steps), len(steps) / 10) for steps in problem.solutions] for problem in problems]

    mixed = [SOLUTIONS[0], SOLUTIONS[2], SOLUTIONS[1], SOLUTIONS[3]]
    assert [score[0] for score in score_solutions(Counting(), mixed)] == [0.3, 0.1, 0.2, 0.3]


def test_bad_scores_say_what_is_wrong() -> None:
    with pytest.raises(InputError, match=r"solution 0 \(row 0\) has 3 steps and scores of shape \(1,\)"):
        evaluate(SOLUTIONS, [np.array([0.5]), *SCORES[1:]])
    with pytest.raises(InputError, match=r"solution 2 \(row 2\) has a score outside \[0, 1\]"):
        evaluate(SOLUTIONS, [*SCORES[:2], np.array([1.5]), *SCORES[3:]])
    with pytest.raises(InputError, match="4 solutions have scores, and there are 5"):
        evaluate(SOLUTIONS, SCORES[:4])


def test_the_options_name_what_there_is() -> None:
    assert AGGREGATES == process_aggregation.AGGREGATES
    assert LABEL_SOURCES == process_aggregation.LABELS
    assert Thresholds().where == "not tuned, one half"
