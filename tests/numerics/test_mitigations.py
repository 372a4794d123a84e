"""Scores made from proxies: hand values, limits, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.mitigations import (
    centred_by_prompt,
    clipped,
    length_calibrated,
    mean_of_members,
    pessimistic_mean,
    standardised_members,
    uncertainty_weighted,
    worst_member,
)

HAND = np.array([[0.0, 2.0], [1.0, 1.0], [3.0, -1.0]])
PROMPT = np.array(["a", "a", "b", "b"])
members = st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=2, max_size=8).map(np.array)


def test_hand_values() -> None:
    assert mean_of_members(HAND).tolist() == [1.0, 1.0, 1.0]
    assert worst_member(HAND).tolist() == [0.0, 1.0, -1.0]
    assert uncertainty_weighted(HAND, 0.5).tolist() == [0.0, 1.0, -3.0]  # variances 2, 0, 8
    assert pessimistic_mean(HAND[:1], 1.0)[0] == pytest.approx(-np.log((1 + np.exp(-2)) / 2))


@given(members)
@settings(max_examples=50, deadline=None)
def test_pessimism_lies_between_the_worst_and_the_mean(member: np.ndarray) -> None:
    between = pessimistic_mean(member, 0.7)
    assert np.all(worst_member(member) - 1e-9 <= between)
    assert np.all(between <= mean_of_members(member) + 1e-9)
    assert pessimistic_mean(member, 1e-3) == pytest.approx(worst_member(member), abs=0.01)
    assert pessimistic_mean(member, 1e5) == pytest.approx(mean_of_members(member), abs=0.01)


def test_members_come_to_one_scale_whatever_the_prompt_adds() -> None:
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(20), 10)
    member = rng.standard_normal((200, 2)) * [1.0, 50.0] + prompt[:, None] * [3.0, -7.0]
    found = standardised_members(member, prompt)
    assert found.std(axis=0) == pytest.approx([1.0, 1.0])
    assert standardised_members(member * 9 + 100 * prompt[:, None], prompt) == pytest.approx(found)


def test_missing_stays_missing() -> None:
    assert np.isnan(centred_by_prompt([1.0, np.nan, 2.0, 4.0], PROMPT)).tolist() == [False, True, False, False]
    assert np.isnan(mean_of_members(np.array([[1.0, np.nan]])))[0]
    assert np.isnan(worst_member(np.array([[1.0, np.nan]])))[0]
    assert np.isnan(length_calibrated([np.nan, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], PROMPT))[0]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_monotone_length_trend_is_taken_away_and_the_rest_stays(sign: float) -> None:
    rng = np.random.default_rng(1)
    prompt = np.repeat(np.arange(200), 20)
    length = rng.integers(1, 100, prompt.size).astype(float)
    quality = rng.standard_normal(prompt.size)
    found = length_calibrated(quality + sign * np.tanh(length / 30) * 3 + prompt, length, prompt)
    assert abs(np.corrcoef(found, centred_by_prompt(length, prompt))[0, 1]) < 0.02
    assert np.corrcoef(found, centred_by_prompt(quality, prompt))[0, 1] > 0.97


def test_clipping_ties_the_top_only() -> None:
    score = np.arange(100.0)
    found = clipped(score, np.zeros(100), 0.9)
    assert np.unique(found[90:]).size == 1
    assert np.unique(found[:90]).size == 90


def test_what_cannot_be_computed_is_refused() -> None:
    with pytest.raises(InputError, match="member 1 is equal for all responses"):
        standardised_members(np.array([[1.0, 2.0], [2.0, 2.0]]), ["a", "a"])
    with pytest.raises(InputError, match="one member has no variance"):
        uncertainty_weighted(np.ones((3, 1)))
    with pytest.raises(InputError, match="temperature = 0"):
        pessimistic_mean(HAND, 0.0)
