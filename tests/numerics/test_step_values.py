"""Values of prefixes, probes and the search: derived numbers, laws against simulation, edges, messages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.step_values import (
    ProbeRule,
    cohen_kappa,
    first_wrong,
    hard_values,
    labels_of_first_wrong,
    no_hit_chance,
    no_hit_if_right,
    probe_odds,
    rollouts_for,
    search_odds,
    soft_values,
    value_bounds,
    value_intervals,
)
from karat.types import NO_ERROR


def test_labels_by_hand() -> None:
    np.testing.assert_array_equal(soft_values([2, 0, 0], [8, 4, 0]), [0.25, 0.0, math.nan])
    np.testing.assert_array_equal(hard_values([2, 0, 0], [8, 4, 0]), [1.0, 0.0, math.nan])
    np.testing.assert_array_equal(value_bounds([2, 0], [6, 0], [2, 0]), [[0.25, 0.5], [math.nan, math.nan]])
    low, high = value_intervals([0], [8])[0]
    assert low == 0.0
    assert high == pytest.approx(1.959964**2 / (8 + 1.959964**2), rel=1e-5)  # Wilson at no hits: z^2 / (n + z^2)
    assert np.isnan(value_intervals([0], [0])).all()


def test_first_wrong_needs_what_comes_before() -> None:
    assert first_wrong([1, 1, 0, 1]) == 2
    assert first_wrong([1, 1]) == NO_ERROR
    assert first_wrong([1, math.nan, 0]) is None
    assert first_wrong([1, 0, math.nan]) == 1


@given(n_steps=st.integers(1, 9), data=st.data())
def test_labels_of_a_first_wrong_step_name_it_again(n_steps: int, data: st.DataObject) -> None:
    first = data.draw(st.sampled_from([NO_ERROR, *range(n_steps)]))
    label_S = labels_of_first_wrong(n_steps, first)
    assert first_wrong(label_S) == first
    assert np.isnan(label_S).sum() == (0 if first == NO_ERROR else n_steps - first - 1)
    assert np.isnan(labels_of_first_wrong(n_steps, None)).all()


def test_chances_by_hand() -> None:
    assert no_hit_chance(0.5, 3) == 0.125
    assert rollouts_for(0.5, 0.125) == 3
    assert rollouts_for(0.5, 0.1) == 4
    assert rollouts_for(0.0, 0.05) == math.inf
    assert rollouts_for(1.0, 0.05) == 1
    assert no_hit_if_right(1, 1, 8) == pytest.approx(2 / (9 * 10))  # B(2, 9) / B(2, 1)


@given(value=st.floats(0.01, 0.99), error=st.floats(0.001, 0.4))
def test_as_many_rollouts_as_needed_and_no_more(value: float, error: float) -> None:
    n = int(rollouts_for(value, error))
    assert no_hit_chance(value, n) <= error * (1 + 1e-9)
    assert n == 1 or no_hit_chance(value, n - 1) > error * (1 - 1e-9)


def test_odds_of_a_fixed_probe_are_geometric() -> None:
    # one at a time, at most 3, ended by the first hit: 1 + 1/2 + 1/4 completions
    odds = probe_odds(0.5, ProbeRule(rollouts=3, at_once=1))
    assert (odds.right, odds.wrong, odds.undecided, odds.rollouts) == (0.875, 0.125, 0.0, 1.75)
    assert probe_odds(0.5, ProbeRule(rollouts=3, at_once=8)).rollouts == 3.0


@settings(max_examples=25, deadline=None)
@given(error=st.floats(0.02, 0.2), recovery=st.floats(0.0, 0.3), hits=st.integers(0, 6), at_once=st.integers(1, 4))
def test_the_sequential_probe_keeps_its_stated_errors(error: float, recovery: float, hits: int, at_once: int) -> None:
    rule = ProbeRule(error=error, recovery=recovery, most=24, at_once=at_once)
    before = (hits, 6)
    called_right = probe_odds(recovery, rule, before)
    assert called_right.right - called_right.undecided <= error + 1e-9  # Ville, under "wrong"
    # under "right" the value is the beta posterior of what came before, so the promise is kept on its average
    grid = (np.arange(200) + 0.5) / 200
    weight = grid**hits * (1 - grid) ** (6 - hits)
    found = [probe_odds(float(value), rule, before) for value in grid[::8]]
    called_wrong = np.average([odds.wrong - odds.undecided for odds in found], weights=weight[::8])
    assert called_wrong <= error + 0.02


@settings(max_examples=30, deadline=None)
@given(
    first=st.integers(0, 5),
    value=st.floats(0.2, 1.0),
    recovery=st.sampled_from([0.0, 0.2]),
    rule=st.builds(ProbeRule, rollouts=st.integers(1, 6), at_once=st.integers(1, 3)),
)
def test_odds_of_a_search_add_up(first: int, value: float, recovery: float, rule: ProbeRule) -> None:
    value_V = [value if index < first else recovery for index in range(6)]
    odds = search_odds(value_V, rule)
    assert sum(odds.chance.values()) == pytest.approx(1.0)
    assert odds.rollouts <= odds.probes * (rule.rollouts + rule.at_once)
    assert odds.probes <= 3  # six candidates
    if recovery == 0 and value == 1.0:
        assert odds.chance[first] == pytest.approx(1.0)


def test_odds_of_a_search_are_those_of_simulation() -> None:
    rng = np.random.default_rng(0)
    value_V, rule, results, spent = [0.8, 0.6, 0.1, 0.1, 0.1], ProbeRule(rollouts=3, at_once=1), [], 0
    for _ in range(4000):
        low, high = 0, 5
        while low < high:
            middle, hits, done = (low + high) // 2, 0, 0
            while not (decision := rule.decide(hits, done)):
                hits, done = hits + int(rng.random() < value_V[middle]), done + 1
            spent += done
            low, high = (middle + 1, high) if decision == "right" else (low, middle)
        results.append(NO_ERROR if low == 5 else low)
    odds = search_odds(value_V, rule, is_final_wrong=False)
    assert spent / 4000 == pytest.approx(odds.rollouts, rel=0.03)
    for result, chance in odds.chance.items():
        assert np.mean(np.array(results) == result) == pytest.approx(chance, abs=0.03)


def test_kappa_by_hand() -> None:
    # 20 problems: agree on 8 + 8, differ on 2 + 2; o = 0.8, e = 0.5
    left = np.array([0] * 10 + [1] * 10)
    right = np.array([0] * 8 + [1] * 2 + [1] * 8 + [0] * 2)
    found = cohen_kappa(left, right, np.arange(20), rng=np.random.default_rng(0))
    assert found.estimate == pytest.approx(0.6)
    assert found.low < 0.6 < found.high
    whole = cohen_kappa(left, left, np.arange(20), rng=np.random.default_rng(0))
    assert (whole.estimate, whole.high) == (1.0, 1.0)
    assert 0 < whole.low < 1
    assert math.isnan(cohen_kappa([1, 1], [1, 1], [0, 1], rng=np.random.default_rng(0)).estimate)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match=r"hits_S: 1 of 1 values .* more than the completions"):
        soft_values([3], [2])
    with pytest.raises(InputError, match=r"error = 0\.6 is out of range"):
        ProbeRule(error=0.6)
    with pytest.raises(InputError, match="there are no steps"):
        search_odds([], ProbeRule())
    with pytest.raises(InputError, match="Give error=0"):
        search_odds([0.5], ProbeRule(error=0.1))
    with pytest.raises(InputError, match="a chance lies in"):
        no_hit_chance(1.5, 2)
