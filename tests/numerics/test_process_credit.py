"""Credit of steps and tokens: hand values, the laws of the two forms, and the exploit that one of them closes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import lambertw

from karat.errors import InputError
from karat.numerics.process_credit import (
    credited_rewards,
    min_values,
    soft_min_rewards,
    sum_values,
    token_advantages,
)

rewards = st.lists(st.floats(-1, 1).map(lambda value: round(value, 3)), min_size=1, max_size=8).map(np.array)


def test_hand_values() -> None:
    assert sum_values([0.5, -0.25, 1.0]).tolist() == [1.25, 0.75, 1.0]
    assert min_values([0.5, -0.25, 1.0]).tolist() == [-0.25, -0.25, 1.0]
    # weights of 0 and ln 2 at temperature 1: 1 / (1 + 1/2) and 1/2 / (1 + 1/2)
    assert soft_min_rewards([0.0, np.log(2)], 1.0) == pytest.approx([0.0, np.log(2) / 3])


@given(rewards)
def test_sums_of_soft_min_rewards_are_the_minimum_in_the_limit(reward_S: np.ndarray) -> None:
    """Up to the lowest step; behind it nothing is left."""
    value_S = sum_values(soft_min_rewards(reward_S, 0))
    assert value_S[0] == pytest.approx(reward_S.min())
    last = np.flatnonzero(reward_S == reward_S.min())[-1]
    assert np.all(value_S[last + 1 :] == 0)
    if np.sum(reward_S == reward_S.min()) == 1:
        assert value_S[: last + 1] == pytest.approx(min_values(reward_S)[: last + 1])
    assert soft_min_rewards(reward_S, 1e-6) == pytest.approx(soft_min_rewards(reward_S, 0), abs=1e-9)


@given(rewards, st.floats(0.01, 10))
def test_soft_min_lies_between_the_minimum_and_the_mean(reward_S: np.ndarray, temperature: float) -> None:
    total = soft_min_rewards(reward_S, temperature).sum()
    assert reward_S.min() - 1e-12 <= total <= reward_S.mean() + 1e-12
    assert soft_min_rewards(reward_S + 0.5, temperature).sum() == pytest.approx(total + 0.5)


@pytest.mark.parametrize(("further", "excess"), [(1, 0.0278), (10, 0.1157), (100, 0.2636)])
def test_what_padding_earns_at_a_temperature_is_bounded_and_reached(further: int, excess: float) -> None:
    """T W(k / e) at T = 0.1, at k equal rewards of T (1 + W) above the lowest; other heights earn less."""
    lambert = float(lambertw(further / np.e).real)
    assert 0.1 * lambert == pytest.approx(excess, abs=5e-5)
    earned = [
        soft_min_rewards([-1.0, *[-1.0 + height] * further], 0.1).sum() + 1
        for height in (0.1 * (1 + lambert), *np.linspace(0, 2, 41))
    ]
    assert earned[0] == pytest.approx(0.1 * lambert)
    assert max(earned) == pytest.approx(earned[0])
    assert soft_min_rewards([-1.0, *[-0.8] * further], 0.0).sum() == -1.0


@given(rewards, st.floats(0.001, 1), st.data())
def test_one_more_step_raises_the_sum_and_never_the_minimum(
    reward_S: np.ndarray, extra: float, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(reward_S)))
    longer_S = np.insert(reward_S, at, extra)
    assert sum_values(longer_S)[0] > sum_values(reward_S)[0]
    assert min_values(longer_S)[0] <= min_values(reward_S)[0]
    repeated_S = np.insert(reward_S, at, reward_S[min(at, len(reward_S) - 1)])
    assert min_values(repeated_S)[0] == min_values(reward_S)[0]


@given(rewards)
def test_values_fall_back_to_the_reward_at_the_last_step(reward_S: np.ndarray) -> None:
    assert sum_values(reward_S)[-1] == min_values(reward_S)[-1] == reward_S[-1]
    assert np.all(np.diff(min_values(reward_S)) >= 0)


def test_hand_advantages() -> None:
    """Totals 1 and 4 (two others: 4 and 1), longest 10: baselines 0.4 and 0.1 a token."""
    first, second = token_advantages([[1.0], [1.0, 3.0]], [[1], [0, 2]], n_tokens_G=[2, 4], max_length=10)
    assert first == pytest.approx([1 - 0.8, 1 - 0.4])
    assert second == pytest.approx([4 - 0.4, 3 - 0.3, 3 - 0.2, -0.1])  # the last token belongs to no step


@given(st.lists(rewards, min_size=2, max_size=4), st.integers(0, 5))
def test_the_first_token_has_the_whole_return_less_its_tokens_baselines(group: list[np.ndarray], tail: int) -> None:
    ends = [np.arange(len(reward_S)) * 3 + 2 for reward_S in group]
    n_tokens = np.array([end_S[-1] + 1 + tail for end_S in ends])
    found = token_advantages(group, ends, n_tokens_G=n_tokens, max_length=40)
    totals = np.array([reward_S.sum() for reward_S in group])
    for index, advantage_T in enumerate(found):
        baseline = np.delete(totals, index).mean() / 40
        assert advantage_T[0] == pytest.approx(totals[index] - n_tokens[index] * baseline)


def test_merging_steps_changes_no_advantage_before_them() -> None:
    """The baseline is one per token: writing two steps as one, for the same reward in all, gains nothing."""
    two = token_advantages([[0.5, 0.5], [0.2]], [[3, 7], [7]], n_tokens_G=[8, 8], max_length=8)
    one = token_advantages([[1.0], [0.2]], [[7], [7]], n_tokens_G=[8, 8], max_length=8)
    assert two[0][0] == pytest.approx(one[0][0])
    assert two[1] == pytest.approx(one[1])


def test_missing_rewards_stay_missing_and_out_of_the_others() -> None:
    assert np.isnan(soft_min_rewards([0.1, np.nan], 0.1)).all()
    assert np.isnan(min_values([0.1, np.nan, 0.2])).tolist() == [True, True, False]
    options = {"n_tokens_G": [2, 2, 2], "max_length": 4}
    whole = token_advantages([[1.0], [2.0], [np.nan]], [[1]] * 3, **options)  # type: ignore[arg-type]
    assert whole[0] == pytest.approx([0.0, 0.5])
    assert np.isnan(whole[2]).all()
    alone = token_advantages([[1.0], [np.nan]], [[1]] * 2, n_tokens_G=[2, 2], max_length=4)
    assert np.isnan(alone[0]).all()  # nobody to be compared with


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="temperature = -1"):
        soft_min_rewards([0.1], -1)
    with pytest.raises(InputError, match="credit = 'max' is not one of min, sum"):
        credited_rewards([0.1], "max")
    with pytest.raises(InputError, match="at least one step"):
        sum_values([])
    with pytest.raises(InputError, match="give one each"):
        token_advantages([[1.0]], [], n_tokens_G=[1], max_length=1)
    with pytest.raises(InputError, match=r"ends \[4\] of 1 steps in 3 tokens"):
        token_advantages([[1.0]], [[4]], n_tokens_G=[3], max_length=5)
    with pytest.raises(InputError, match="max_length = 2, but a solution has 3 tokens"):
        token_advantages([[1.0]], [[2]], n_tokens_G=[3], max_length=2)
    assert credited_rewards([0.1, 0.4], "sum").tolist() == [0.1, 0.4]
    assert credited_rewards([0.1, 0.4], "min", temperature=0).tolist() == [0.1, 0.0]
