"""Single rules on differences: hand values, the exact test against enumeration, laws, edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from karat.errors import InputError
from karat.numerics import surface_rules
from karat.numerics.surface_rules import best_rule_outcomes, rule_outcomes, rule_scores, sign_flip_p


def test_p_value_is_that_of_all_signs_written_out() -> None:
    total = np.array([3, -1, 2, 2, 1])
    sums = [abs(np.dot(signs, total)) for signs in itertools.product((-1, 1), repeat=total.size)]
    assert sign_flip_p(total) == pytest.approx(np.mean(np.array(sums) >= abs(total.sum())), abs=1e-12)


@pytest.mark.parametrize(("up", "down"), [(8, 0), (60, 41), (5000, 4800), (7, 7)])
def test_clusters_of_one_give_the_binomial_test(up: int, down: int) -> None:
    total = np.repeat([1, -1], [up, down])
    assert sign_flip_p(total) == pytest.approx(binomtest(up, up + down).pvalue, abs=1e-10)


def test_the_normal_form_continues_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    total = rng.choice([-3, -1, 1, 2, 3], 4000)
    exact = sign_flip_p(total)
    monkeypatch.setattr(surface_rules, "EXACT_UP_TO", 10)
    assert sign_flip_p(total) == pytest.approx(exact, rel=0.02)


def test_a_prompt_counts_once_however_many_pairs_it_has() -> None:
    assert sign_flip_p([500]) == pytest.approx(1.0)
    assert sign_flip_p([500, 500]) == pytest.approx(0.5)


def test_no_difference_has_no_p_value_and_half_a_pair_is_refused() -> None:
    assert np.isnan(sign_flip_p([0, 0]))
    assert np.isnan(sign_flip_p([]))
    with pytest.raises(InputError, match=r"total_G: 1 of 2 values \(first: index 1, 0.5\) are no whole numbers"):
        sign_flip_p([1, 0.5])


def test_the_direction_comes_from_the_other_folds() -> None:
    difference = np.array([[1.0], [1.0], [1.0], [-1.0], [-1.0], [0.0]])
    fold = np.array([0, 0, 0, 1, 1, 1])
    # fold 0 is told by fold 1, where less is preferred, and the other way round: all wrong, the tie one half
    assert rule_outcomes(difference, fold)[:, 0].tolist() == [0, 0, 0, 0, 0, 0.5]
    assert best_rule_outcomes(difference, fold)[0].tolist() == [0, 0, 0, 0, 0, 0.5]


def test_scores_by_hand() -> None:
    column = np.array([2.0, 1.0, 3.0, -1.0, 0.0, 1.0, 1.0, 0.0])
    other = np.zeros(8)
    score, blank = rule_scores(np.stack([column, other], axis=1), np.arange(8), np.arange(8) % 2)
    assert (score.n_differ, score.more) == (6, 5 / 6)
    assert score.accuracy.estimate == (5 + 2 * 0.5) / 8
    assert score.agreement.estimate == 5 / 6
    assert score.p_value == pytest.approx(binomtest(5, 6).pvalue)
    assert blank.n_differ == 0
    assert blank.accuracy.estimate == 0.5
    assert np.isnan([blank.more, blank.agreement.estimate, blank.p_value]).all()


def test_turning_a_feature_changes_nothing_but_more() -> None:
    rng = np.random.default_rng(1)
    difference = rng.integers(-2, 3, (60, 1)).astype(float)
    prompt, fold = np.arange(60) // 2, (np.arange(60) // 2) % 5
    one, other = rule_scores(difference, prompt, fold)[0], rule_scores(-difference, prompt, fold)[0]
    assert (one.accuracy, one.agreement, one.p_value) == (other.accuracy, other.agreement, other.p_value)
    assert one.more + other.more == pytest.approx(1.0)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match=r"difference_PF: shape \(1, 1\), must be"):
        rule_scores(np.array([[np.nan]]), np.zeros(1), np.zeros(1, np.int64))


def test_noise_scores_no_more_than_one_half() -> None:
    rng = np.random.default_rng(2)
    found = [
        rule_scores(rng.normal(size=(50, 4)), np.arange(50), np.arange(50) % 5)[f].accuracy.estimate
        for _ in range(40)
        for f in range(4)
    ]
    assert np.mean(found) < 0.5
