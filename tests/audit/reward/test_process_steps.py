"""What the scores of steps tell: by hand, against rules that read nothing, and where the lowest one sits."""

from __future__ import annotations

import numpy as np
import pytest

from karat.audit.reward.process.cases import Flip, Honest, Place, Scores
from karat.audit.reward.process.steps import (
    Thresholds,
    as_benchmark,
    detect,
    false_alarms,
    first_error_number,
    lowest_places,
    step_labels,
    tell_apart,
    thresholds_of,
)
from karat.types import NAN, NO_ERROR, StepSolution


def honest(rows: list[tuple[int | None, list[float]]]) -> tuple[list[Honest], Scores]:
    """Solutions with a first wrong step and step scores, each of a problem of its own."""
    found = [
        Honest(Place(k, 0), StepSolution(f"q{k}", tuple(f"step {i}" for i in range(len(score))), (), error, f"q{k}"))
        for k, (error, score) in enumerate(rows)
    ]
    return found, [[np.array(score)] for _, score in rows]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_labels_follow_from_the_first_wrong_step() -> None:
    steps = ("a", "b", "c")
    assert step_labels(StepSolution("p", steps, (), NO_ERROR)) == (1.0, 1.0, 1.0)
    assert step_labels(StepSolution("p", steps, (), 1))[:2] == (1.0, 0.0)
    assert np.isnan(step_labels(StepSolution("p", steps, (), 1))[2])
    assert np.isnan(step_labels(StepSolution("p", steps, ()))).all()
    assert step_labels(StepSolution("p", steps, (0.2, 1.0, NAN), 0))[0] == 0.2


def test_auroc_beside_the_place_of_a_step() -> None:
    rows = [(1, [0.9, 0.2]), (NO_ERROR, [0.8, 0.7]), (1, [0.6, 0.65]), (NO_ERROR, [0.9, 0.9])]
    told = tell_apart(*honest(rows))
    # right: .9 .8 .7 .6 .9 .9; wrong: .2 .65: of 12 pairs one (.6 against .65) is wrong
    assert told.auroc.estimate == pytest.approx(11 / 12)
    # the wrong steps are second ones, as two of the six right ones are: ties of 4 pairs, 8 won
    assert told.blind["earlier"] == pytest.approx(10 / 12)
    assert told.best_blind == "earlier"
    assert told.gain.estimate == pytest.approx(1 / 12)


def test_unknown_and_neutral_labels_and_missing_scores_are_left_out() -> None:
    solution = StepSolution("p", ("a", "b", "c", "d"), (1.0, 0.5, NAN, 0.0), 3, "p")
    told = tell_apart([Honest(Place(0, 0), solution)], [[np.array([0.9, 0.0, 0.0, NAN])]])
    assert (told.n_right, told.n_wrong, told.n_missing) == (1, 0, 1)
    assert np.isnan(told.auroc.estimate)


def test_f1_has_an_interval_where_all_are_found() -> None:
    rows = [(1, [0.9, 0.1, 0.9]), (NO_ERROR, [0.9, 0.9, 0.9])] * 15
    found, scores = honest(rows)
    number = first_error_number(
        as_benchmark(found, "x"), [row[0] for row in scores], threshold="0.5", seed=0, rng=rng(), resamples=100
    )
    assert number.interval.estimate == 1.0
    # Wilson at 15 of 15 both ways: 15 / (15 + z^2)
    assert number.interval.low == pytest.approx(15 / (15 + 1.959964**2), abs=1e-6)


def test_a_threshold_is_of_other_problems() -> None:
    """Two problems whose own scores would each call for a threshold that suits no other."""
    found, scores = honest([(0, [0.4, 0.9]), (NO_ERROR, [0.6, 0.9])] * 10)
    given = thresholds_of(as_benchmark(found, "x"), [row[0] for row in scores], given=0.7, origin="here", seed=0)
    assert given.tuning == "here"
    assert set(given.of_problem.values()) == {0.7}
    tuned = thresholds_of(as_benchmark(found, "x"), [row[0] for row in scores], given=NAN, origin="", seed=0)
    assert all(0.4 < value <= 0.6 for value in tuned.of_problem.values())
    assert tuned.mean == pytest.approx(0.5)


def test_right_answers_by_wrong_steps_are_found_at_their_step() -> None:
    scores = [[np.array(score)] for score in ([0.9, 0.1, 0.9], [0.1, 0.1, 0.9], [0.9, 0.9, 0.9], [0.9, NAN, 0.1])]
    flips = [Flip(Place(k, 0), 1, f"q{k}", "flipped") for k in range(4)]
    (found,) = detect(flips, scores, Thresholds({f"q{k}": 0.5 for k in range(4)}, "given"))
    assert found.exact.estimate == pytest.approx(1 / 3)
    assert found.any_flag.estimate == pytest.approx(2 / 3)
    assert (found.n, found.n_missing) == (3, 1)


def test_right_solutions_that_are_flagged() -> None:
    found, scores = honest([(NO_ERROR, [0.9, 0.4]), (NO_ERROR, [0.9, 0.9]), (0, [0.1, 0.1])])
    alarms = false_alarms(found, scores, Thresholds({f"q{k}": 0.5 for k in range(3)}, "given"))
    assert alarms.estimate == 0.5


def test_where_the_lowest_score_sits() -> None:
    rows = [
        (0, [0.1, 0.9, 0.9]),  # on the wrong step
        (0, [0.9, 0.9, 0.1]),  # drifted: 1 - 1/3
        (2, [0.9, 0.9, 0.1]),  # the last is the wrong one: says nothing
        (NO_ERROR, [0.5, 0.5, 0.5]),  # one third each
        (NO_ERROR, [0.3]),  # one step: left out
    ]
    lowest = lowest_places(*honest(rows), rng=rng(), resamples=100)
    assert lowest.at_last.estimate == pytest.approx((0 + 1 + 1 + 1 / 3) / 4)
    assert lowest.excess.estimate == pytest.approx((-1 / 3 + 2 / 3) / 2)
    assert (lowest.n, lowest.n_wrong) == (4, 2)
    assert lowest.by_label == pytest.approx(1 / 3)
