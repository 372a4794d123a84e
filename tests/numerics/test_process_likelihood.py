"""Likelihoods of step labels: hand values, and that the chances of a first wrong step sum to 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.process_accuracy import NO_ERROR
from karat.numerics.process_likelihood import (
    first_error_labels,
    first_error_loss,
    hard_labels,
    outcome_loss,
    step_loss,
)

NAN = float("nan")
LOGITS = st.lists(st.floats(-20, 20), min_size=1, max_size=6).map(np.array)


def test_step_loss_by_hand() -> None:
    """p = 3/4 at log 3: -log 3/4, -log 1/4, and halfway between."""
    logit = math.log(3.0)
    found = step_loss([logit] * 4, [1.0, 0.0, 0.5, NAN])
    assert found[:3] == pytest.approx([math.log(4 / 3), math.log(4), (math.log(4 / 3) + math.log(4)) / 2])
    assert np.isnan(found[3])


def test_hard_labels_round_up_from_one_half() -> None:
    found = hard_labels([0.0, 0.49, 0.5, 1.0, NAN])
    assert found[:4].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert np.isnan(found[4])


def test_first_error_by_hand() -> None:
    """p = 3/4, 1/2, 9/10: right, then wrong; what follows does not count."""
    logit = np.log([3.0, 1.0, 9.0])
    assert first_error_loss(logit, 1) == pytest.approx(-math.log(3 / 4 * 1 / 2))
    assert first_error_loss(logit, 0) == pytest.approx(-math.log(1 / 4))
    assert first_error_loss(logit, NO_ERROR) == pytest.approx(-math.log(3 / 4 * 1 / 2 * 9 / 10))
    labels = first_error_labels(3, 1)
    assert labels[:2].tolist() == [1.0, 0.0]
    assert np.isnan(labels[2])


@given(LOGITS)
def test_chances_of_every_first_error_and_of_none_sum_to_one(logit_S: np.ndarray) -> None:
    losses = [first_error_loss(logit_S, at) for at in (*range(logit_S.size), NO_ERROR)]
    assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1.0)


@given(LOGITS)
def test_first_error_is_the_sum_over_steps_with_its_labels(logit_S: np.ndarray) -> None:
    for at in (0, logit_S.size - 1, NO_ERROR):
        assert first_error_loss(logit_S, at) == pytest.approx(
            float(np.nansum(step_loss(logit_S, first_error_labels(logit_S.size, at))))
        )


@given(LOGITS, st.floats(0, 1))
def test_the_outcome_reads_the_last_step_alone(logit_S: np.ndarray, right: float) -> None:
    other = np.concatenate([logit_S[:-1] + 1.0, logit_S[-1:]])
    assert outcome_loss(logit_S, right) == outcome_loss(other, right) == step_loss(logit_S[-1:], [right])[0]


def test_bad_input_says_what_is_wrong() -> None:
    with pytest.raises(InputError, match=r"label_S: 1 of 2 values \(first: index 1, 1.5\) are outside \[0, 1\]"):
        step_loss([0.0, 0.0], [1.0, 1.5])
    with pytest.raises(InputError, match="lengths"):
        step_loss([0.0], [1.0, 1.0])
    with pytest.raises(InputError, match="first_error = 3 of 3 steps: give 0 to 2, or -1"):
        first_error_labels(3, 3)
    with pytest.raises(InputError, match="final_right = nan of 1 steps"):
        outcome_loss([0.0], NAN)
    with pytest.raises(InputError, match="not finite"):
        first_error_loss([math.inf], 0)
