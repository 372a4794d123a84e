"""Planted faults of annotators: strength 0 is the truth, and each fault happens as often as it was set."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.types import NO_ERROR, StepSolution
from karat.worlds.steps import StepFaults, annotate, draw_problems, rigour, solutions_of
from karat.worlds.steps.annotators import LETTERS

Labels = tuple[float, ...]


@cache
def some() -> tuple[StepSolution, ...]:
    rng = np.random.default_rng(11)
    return tuple(
        each for problem in draw_problems(rng, 160, difficulty="medium") for each in solutions_of(problem, rng)
    )


def annotated(seed: int = 0, **strengths: float) -> tuple[StepSolution, ...]:
    return annotate(some(), StepFaults(**strengths), np.random.default_rng(seed))


def labels_where(made: tuple[StepSolution, ...], chosen: Callable[[StepSolution, int], bool]) -> np.ndarray:
    """Labels of steps up to the first that the annotator calls wrong."""
    found = []
    for each in made:
        end = len(each.steps) if each.first_error == NO_ERROR else each.first_error + 1
        found += [each.labels[index] for index in range(end) if chosen(each, index)]
    return np.array(found)


def truth_is(wanted: bool | None) -> Callable[[StepSolution, int], bool]:
    return lambda solution, index: solution.extra["truth"][index] is wanted


def near(share: float, n: int) -> object:
    return pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / n))


def test_without_a_fault_labels_are_the_truth() -> None:
    for made, true in zip(annotated(), some(), strict=True):
        assert np.array_equal(made.labels, true.labels, equal_nan=True)
        assert made.first_error == true.first_error
        assert made.extra["annotator_faults"] == {}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), strengths=st.lists(st.sampled_from([0.0, 0.2, 1.0]), min_size=7, max_size=7))
def test_records_stay_whole(seed: int, strengths: list[float]) -> None:
    faults = dict(zip(LETTERS.values(), strengths, strict=True))
    for made, true in zip(annotated(seed, **faults), some(), strict=True):
        assert len(made.labels) == len(made.steps)
        assert made.extra["true_first_error"] == true.first_error
        assert np.array_equal(made.extra["true_labels"], true.labels, equal_nan=True)
        assert made.extra["truth"] == true.extra["truth"]
        assert {*made.labels} - {0.0, 1.0} <= {label for label in made.labels if math.isnan(label)}
        if made.first_error != NO_ERROR:
            assert made.labels[made.first_error] == 0
            assert 0 not in made.labels[: made.first_error]


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_false_positives_and_negatives_have_their_rates(strength: float) -> None:
    wrong = labels_where(annotated(false_positive=strength), truth_is(False))
    assert np.mean(wrong == 1) == near(strength, wrong.size)
    right = labels_where(annotated(false_negative=strength), truth_is(True))
    assert np.mean(right == 0) == near(strength, right.size)
    assert not (labels_where(annotated(false_positive=strength), truth_is(True)) == 0).any()
    assert not (labels_where(annotated(false_negative=strength), truth_is(False)) == 1).any()


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_style_pays_for_words_of_rigour(strength: float) -> None:
    made = annotated(style=strength)

    def looking(wanted: bool, truth: bool) -> np.ndarray:
        return labels_where(
            made, lambda each, index: each.extra["truth"][index] is truth and bool(rigour(each.steps[index])) is wanted
        )

    assert np.mean(looking(True, False)) == near(strength, looking(True, False).size)
    assert np.mean(looking(False, True)) == near(1 - strength, looking(False, True).size)
    assert looking(True, True).all()
    assert not looking(False, False).any()


def test_labels_behind_the_error_are_coins() -> None:
    behind = np.array([label for each in annotated(after_error=0.4) for label in each.labels[each.first_error + 1 :]
                       if each.first_error != NO_ERROR])  # fmt: skip
    n = behind.size
    assert n > 500
    assert np.mean(~np.isnan(behind)) == near(0.4, n)
    assert np.mean(behind[~np.isnan(behind)]) == near(0.5, int((~np.isnan(behind)).sum()))
    assert [each.first_error for each in annotated(after_error=1.0)] == [each.first_error for each in some()]


def test_granularity_moves_labels_by_one() -> None:
    solution = StepSolution(
        "p", tuple("abcd"), (1.0, 1.0, 0.0, math.nan), 2, extra={"truth": (True, True, False, None)}
    )
    made = [annotate([solution], StepFaults(granularity=1.0), np.random.default_rng(seed))[0] for seed in range(60)]
    assert {each.first_error for each in made} == {1, 2, 3}
    kept = [
        np.array_equal(m.labels, t.labels, equal_nan=True)
        for m, t in zip(annotated(granularity=1.0), some(), strict=True)
    ]
    assert np.mean(kept) < 0.6


def test_neutral_steps_are_called_wrong() -> None:
    neutral = labels_where(annotated(neutral=0.6), truth_is(None))
    assert np.mean(neutral == 0) == near(0.6, neutral.size)
    assert np.isnan(labels_where(annotated(), truth_is(None))).all()


def test_blind_spots_are_shared_and_other_errors_are_not() -> None:
    first, second = (annotated(seed, blind_spot=0.4) for seed in (1, 2))
    assert [each.labels for each in first] != [each.labels for each in some()]
    assert all(np.array_equal(a.labels, b.labels, equal_nan=True) for a, b in zip(first, second, strict=True))
    wrong = labels_where(first, truth_is(False))
    assert np.mean(wrong == 1) == near(0.4, wrong.size)
    one, two = (annotated(seed, false_positive=0.4) for seed in (1, 2))
    assert any(a.first_error != b.first_error for a, b in zip(one, two, strict=True))


def test_what_cannot_be_annotated_is_told() -> None:
    with pytest.raises(InputError, match=r"style = 1.5 is out of range: it must lie in \[0, 1\]"):
        StepFaults(style=1.5)
    with pytest.raises(InputError, match="solution 'x' has no truth of each step"):
        annotate([StepSolution("p", ("a",), solution_id="x")], StepFaults(), np.random.default_rng(0))
