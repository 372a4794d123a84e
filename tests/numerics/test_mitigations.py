"""Scores made from proxies: hand values, limits, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.mitigations import (
    centred_by_prompt,
    mean_of_members,
    member_scales,
    robust_mean,
    robust_mean_of_normals,
    shaped_by_references,
    uncertainty_weighted,
    within_prompt_scale,
    worst_member,
)

HAND = np.array([[0.0, 2.0], [1.0, 1.0], [3.0, -1.0]])
PROMPT = np.array(["a", "a", "b", "b"])
members = st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=2, max_size=8).map(np.array)


def test_hand_values() -> None:
    assert mean_of_members(HAND).tolist() == [1.0, 1.0, 1.0]
    assert worst_member(HAND).tolist() == [0.0, 1.0, -1.0]
    assert uncertainty_weighted(HAND, 0.5).tolist() == [0.0, 1.0, -3.0]  # variances 2, 0, 8
    assert robust_mean(HAND[:1], 1.0)[0] == pytest.approx(-np.log((1 + np.exp(-2)) / 2))
    # sigmoid(0) and sigmoid(ln 3) are 1/2 and 3/4
    assert shaped_by_references(np.array([1.0]), np.array([[1.0, 1.0 - 2 * np.log(3)]]), 2.0) == pytest.approx([0.625])


def test_the_robust_mean_of_normals_is_uncertainty_weighting() -> None:
    assert robust_mean_of_normals(HAND, 2.0).tolist() == uncertainty_weighted(HAND, 0.25).tolist()
    many = np.random.default_rng(0).normal(3.0, 0.5, (1, 200_000))
    assert robust_mean(many, 1.0)[0] == pytest.approx(robust_mean_of_normals(many, 1.0)[0], abs=0.01)  # 3 - 1/8
    assert robust_mean_of_normals(many, 1.0)[0] == pytest.approx(2.875, abs=0.01)


@given(members)
@settings(max_examples=50, deadline=None)
def test_pessimism_lies_between_the_worst_and_the_mean(member: np.ndarray) -> None:
    between = robust_mean(member, 0.7)
    assert np.all(worst_member(member) - 1e-9 <= between)
    assert np.all(between <= mean_of_members(member) + 1e-9)
    assert robust_mean(member, 1e-3) == pytest.approx(worst_member(member), abs=0.01)
    assert robust_mean(member, 1e5) == pytest.approx(mean_of_members(member), abs=0.01)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=5), st.floats(0.5, 5))
@settings(max_examples=50, deadline=None)
def test_shaping_keeps_the_order_whatever_the_references(references: list[float], scale: float) -> None:
    """So PAR chooses the same response of a prompt as the plain reward, with one reference or several."""
    proxy = np.linspace(-4, 4, 40)
    shaped = shaped_by_references(proxy, np.tile(references, (40, 1)), scale)
    assert np.all(np.diff(shaped) > 0)
    assert np.all((shaped > 0) & (shaped < 1))


def test_scales_are_within_prompts() -> None:
    score = [1.0, 3.0, 100.0, 104.0]
    assert centred_by_prompt(score, PROMPT).tolist() == [-1.0, 1.0, -2.0, 2.0]
    assert within_prompt_scale(score, PROMPT) == pytest.approx(np.sqrt(10 / 2))  # four values, two means
    centre, scale = member_scales(np.array([score, [0.0, 2.0, 0.0, 2.0]]).T, PROMPT)
    assert centre.tolist() == [52.0, 1.0]
    assert scale == pytest.approx([np.sqrt(5), np.sqrt(2)])
    assert np.isnan(within_prompt_scale([1.0, 2.0], ["a", "b"]))


def test_missing_stays_missing() -> None:
    assert np.isnan(centred_by_prompt([1.0, np.nan, 2.0, 4.0], PROMPT)).tolist() == [False, True, False, False]
    assert within_prompt_scale([1.0, np.nan, 2.0, 4.0], PROMPT) == pytest.approx(np.sqrt(2))
    assert np.isnan(mean_of_members(np.array([[1.0, np.nan]])))[0]
    assert np.isnan(worst_member(np.array([[1.0, np.nan]])))[0]
    assert np.isnan(robust_mean(np.array([[1.0, np.nan]])))[0]


@pytest.mark.parametrize("constant", [2.0, 0.1 + 0.2, 1e9])
def test_what_cannot_be_computed_is_refused(constant: float) -> None:
    with pytest.raises(InputError, match="member 1 is equal for all responses"):
        member_scales(np.array([[1.0, constant], [2.0, constant], [4.0, constant]]), ["a"] * 3)
    with pytest.raises(InputError, match="member 'b' is equal"):
        member_scales(np.array([[1.0, constant], [2.0, constant]]), ["a", "a"], ("a", "b"))
    with pytest.raises(InputError, match="one member has no variance"):
        uncertainty_weighted(np.ones((3, 1)))
    with pytest.raises(InputError, match="temperature = 0"):
        robust_mean(HAND, 0.0)
    with pytest.raises(InputError, match="temperature = -1"):
        robust_mean_of_normals(HAND, -1.0)
