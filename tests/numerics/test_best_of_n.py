"""Best of n from one pool: hand values, brute force, the published fixtures, and the laws."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.best_of_n import (
    PoolMatrix,
    best_of_n_by_prompt,
    best_of_n_curve,
    best_of_n_weight,
    best_of_poisson_weight,
    largest_n,
    percentile_ends,
    pool_matrix,
    prompt_draws,
    soft_best_of_n_by_prompt,
    win_rate_by_prompt,
)

scores = st.lists(st.integers(-4, 4).map(float), min_size=6, max_size=6)


def one_prompt(proxy: list[float], gold: list[float]) -> PoolMatrix:
    return pool_matrix(proxy, gold, ["p"] * len(proxy))


def by_subsets(proxy: list[float], gold: list[float], n: int) -> float:
    """The mean over all subsets of n, ties in the proxy sharing."""
    means = []
    for subset in combinations(range(len(proxy)), n):
        top = max(proxy[i] for i in subset)
        means.append(np.mean([gold[i] for i in subset if proxy[i] == top]))
    return float(np.mean(means))


def test_hand_value() -> None:
    # best of 2 of (1, 2, 3): the top is 3 in two of three pairs, 2 in one
    pool = one_prompt([1, 2, 3], [10, 20, 60])
    assert best_of_n_by_prompt(pool, pool.value_PG, [1, 2, 3])[0] == pytest.approx([30, (2 * 60 + 20) / 3, 60])


@given(scores, scores, st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_equals_the_mean_over_all_subsets(proxy: list[float], gold: list[float], n: int) -> None:
    pool = one_prompt(proxy, gold)
    assert best_of_n_by_prompt(pool, pool.value_PG, n)[0, 0] == pytest.approx(by_subsets(proxy, gold, n), abs=1e-9)


@given(scores, scores)
@settings(max_examples=40, deadline=None)
def test_only_the_order_of_the_proxy_counts(proxy: list[float], gold: list[float]) -> None:
    before, after = one_prompt(proxy, gold), one_prompt([np.exp(x) - 7 for x in proxy], gold)
    n = np.arange(1, 7)
    assert best_of_n_by_prompt(before, before.value_PG, n) == pytest.approx(
        best_of_n_by_prompt(after, after.value_PG, n)
    )


def test_best_of_one_is_the_mean_and_weights_sum_to_one() -> None:
    weight = best_of_n_weight(1000, [1, 2, 500, 1000])
    assert weight[0] == pytest.approx(np.full(1000, 1e-3))
    assert weight.sum(axis=1) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("n", [0, 5])
def test_n_outside_the_pool_is_refused(n: int) -> None:
    with pytest.raises(InputError, match="with 4 responses"):
        best_of_n_weight(4, n)


# science: gold standard normal, proxy = gold + error, mean gold at best of n
FIXTURES = {
    "gaussian": [0.728, 1.248, 1.656, 1.996],
    "t3": [0.795, 1.239, 1.316, 1.047],
    "t2": [0.676, 0.909, 0.686, 0.348],
    "hack": [0.91, 1.525, 1.847, 1.523],
}


@pytest.mark.parametrize("kind", FIXTURES)
def test_fixture_curves_by_simulation(kind: str) -> None:
    rng = np.random.default_rng(7)
    shape = (60, 16_384)
    gold = rng.standard_normal(shape)
    if kind == "gaussian":
        proxy = gold + rng.standard_normal(shape)
    elif kind == "t3":
        proxy = gold + rng.standard_t(3, shape) / np.sqrt(3)
    elif kind == "t2":
        proxy = gold + 0.7 * rng.standard_t(2, shape)
    else:
        proxy = gold + 0.5 * rng.standard_normal(shape)
        hacked = rng.random(shape) < 1e-3
        proxy, gold = proxy + 6 * hacked, np.where(hacked, -2.0, gold)
    prompt = np.repeat(np.arange(shape[0]), shape[1])
    pool = pool_matrix(proxy.ravel(), gold.ravel(), prompt)
    found_PN = best_of_n_by_prompt(pool, pool.value_PG, [4, 16, 64, 256])
    error_N = found_PN.std(axis=0) / np.sqrt(shape[0])
    assert found_PN.mean(axis=0) == pytest.approx(FIXTURES[kind], abs=float(0.005 + 3 * error_N.max()))


def test_curve_with_all_gold_is_the_mean_over_prompts_and_draws_are_paired() -> None:
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=400)
    pool = pool_matrix(proxy, proxy, np.repeat(np.arange(40), 10))
    count = prompt_draws(40, 200, rng)
    gold = best_of_n_curve(pool, np.arange(1, 11), count)
    same = best_of_n_curve(pool, np.arange(1, 11), count, of_proxy=True)
    assert gold.mean_N[0] == pytest.approx(proxy.mean())
    assert np.array_equal(gold.draw_BN, same.draw_BN)
    assert np.all(np.diff(gold.mean_N) > 0)
    assert gold.effective_N[0] == pytest.approx(400)


def test_gold_missing_by_chance_leaves_the_estimate_unbiased_and_thin_points_undefined() -> None:
    rng = np.random.default_rng(1)
    n_prompts, size = 400, 16
    gold = rng.normal(size=n_prompts * size)
    proxy = gold + rng.normal(size=gold.size)
    prompt = np.repeat(np.arange(n_prompts), size)
    whole = best_of_n_curve(pool_matrix(proxy, gold, prompt), [1, 4, 16], prompt_draws(n_prompts, 100, rng))
    seen = np.where(rng.random(gold.size) < 0.3, gold, np.nan)
    part = best_of_n_curve(pool_matrix(proxy, seen, prompt), [1, 4, 16], prompt_draws(n_prompts, 100, rng))
    assert part.mean_N == pytest.approx(whole.mean_N, abs=0.25)
    assert np.all(part.low_N < part.mean_N)
    assert np.all(part.mean_N < part.high_N)
    few = np.full(gold.size, np.nan)
    few[:5] = gold[:5]
    thin = best_of_n_curve(pool_matrix(proxy, few, prompt), [1, 16], prompt_draws(n_prompts, 100, rng))
    assert np.isnan(thin.mean_N).all()


def test_missing_proxies_are_left_out_and_infinite_scores_named() -> None:
    pool = pool_matrix([1.0, np.nan, 0.5], [1.0, 2.0, 3.0], ["a", "a", "b"])
    assert pool.size_P.tolist() == [1, 1]
    assert pool.order_PG.tolist() == [[0], [2]]
    with pytest.raises(InputError, match=r"gold: 1 of 2 scores are infinite \(first: response 1\)"):
        pool_matrix([1.0, 2.0], [0.0, np.inf], ["a", "a"])


def test_largest_n_keeps_most_of_the_pool() -> None:
    assert largest_n([64] * 10) == 64
    assert largest_n([64] * 9 + [1]) == 64
    assert largest_n([2] * 100 + [64]) == 2
    assert largest_n([]) == 0


def test_win_rate_against_brute_force() -> None:
    rng = np.random.default_rng(3)
    proxy, gold = rng.normal(size=6).tolist(), rng.integers(0, 3, 6).astype(float).tolist()
    for n in (1, 2, 4):
        wins = []
        for subset in combinations(range(6), n):
            best = max(subset, key=lambda i: proxy[i])
            others = [j for j in range(6) if j not in subset]
            wins += [(gold[best] > gold[j]) + 0.5 * (gold[best] == gold[j]) for j in others]
        found = win_rate_by_prompt(one_prompt(proxy, gold), [n], rng)[0, 0]
        assert found == pytest.approx(np.mean(wins))
    assert np.isnan(win_rate_by_prompt(one_prompt(proxy, gold), [6], rng)[0, 0])


def test_soft_choice_lies_between_a_random_one_and_the_best() -> None:
    rng = np.random.default_rng(4)
    proxy = rng.normal(size=(1, 32))
    pool = one_prompt(proxy[0].tolist(), proxy[0].tolist())
    best = best_of_n_by_prompt(pool, pool.value_PG, 8)[0, 0]
    cold, warm, hot = (
        soft_best_of_n_by_prompt(pool, pool.value_PG, 8, temperature=t, rng=rng)[0, 0] for t in (1e-3, 0.5, 1e3)
    )
    assert cold == pytest.approx(best, abs=0.02)
    assert hot == pytest.approx(proxy.mean(), abs=0.15)
    assert hot < warm < cold


def test_soft_choice_of_two_is_the_logistic() -> None:
    pool = one_prompt([0.0, 1.0], [0.0, 1.0])
    rng = np.random.default_rng(5)
    found = soft_best_of_n_by_prompt(pool, pool.value_PG, 2, temperature=0.5, rng=rng, repeats=20_000)[0, 0]
    assert found == pytest.approx(1 / (1 + np.exp(-2)), abs=0.01)


def test_poisson_weights() -> None:
    weight = best_of_poisson_weight([0.0, 2.0, 50.0], 20)
    assert weight[0].tolist() == [1.0] + [0.0] * 19
    assert weight[1] @ np.arange(1, 21) == pytest.approx(3.0, abs=1e-6)
    assert np.isnan(weight[2]).all()  # most draws would need more than 20


def test_interval_of_a_mean_has_the_t_width_even_for_few_units() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(400):
        value = rng.normal(size=8)
        low, high = percentile_ends(prompt_draws(8, 400, rng) @ value / 8, 8)
        covered += low <= 0 <= high
    assert 0.92 <= covered / 400 <= 0.98
    assert np.isnan(percentile_ends(np.ones((5, 2)), 1)[0]).all()
