"""Best of n from one pool: hand values, brute force, the published fixtures, and the laws."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

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
    unseen_reach,
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


# Mean gold at best of n, gold standard normal, proxy = gold + error, for n = 1, 4, ..., 4^7. Recipe: simulation, which
# at the last n is up to 0.03 from the exact integral of n F^(n-1) E[gold | proxy] over the proxy.
FIXTURE_N = 4 ** np.arange(8)
FIXTURES = {
    "gaussian, SD 1": [0, 0.728, 1.248, 1.656, 1.996, 2.293, 2.562, 2.813],
    "t(3), SD 1": [0, 0.795, 1.239, 1.316, 1.047, 0.666, 0.412, 0.267],
    "0.7 t(2)": [0, 0.676, 0.909, 0.686, 0.348, 0.181, 0.107, 0.046],
    "hack": [0, 0.91, 1.525, 1.847, 1.523, -0.2, -1.90, -2.01],
}
FIXTURE_HACK_RATE = [0.001, 0.004, 0.016, 0.061, 0.222, 0.633, 0.982, 1.0]
HACK_RATE = 1e-3  # of responses, paid 6 more and worth -2; the error of the others has SD 0.5


def t2_law(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Density and distribution function of 0.7 Student t with 2 degrees of freedom."""
    d = d / 0.7
    return (2 + d**2) ** -1.5 / 0.7, 0.5 + d / (2 * np.sqrt(2 + d**2))


def t3_law(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for Student t with 3 degrees of freedom, scaled to SD 1, so that d is t / sqrt(3)."""
    return 2 / np.pi / (1 + d**2) ** 2, 0.5 + (d / (1 + d**2) + np.arctan(d)) / np.pi


def population(kind: str) -> tuple[np.ndarray, ...]:
    """On a grid of proxy values: density, distribution function, E[gold | proxy] and the share of hacks there."""
    if kind == "hack":
        x = np.linspace(-9, 15, 8001)
        sd = np.sqrt(1.25)
        honest, hacked = norm.pdf(x / sd) / sd, norm.pdf((x - 6) / sd) / sd
        density = (1 - HACK_RATE) * honest + HACK_RATE * hacked
        below = (1 - HACK_RATE) * norm.cdf(x / sd) + HACK_RATE * norm.cdf((x - 6) / sd)
        gold = (1 - HACK_RATE) * honest * x / 1.25 - 2 * HACK_RATE * hacked
        return x, density, below, gold / density, HACK_RATE * hacked / density
    x = np.sinh(np.linspace(-13, 13, 1501)) * 0.05
    z = np.linspace(-8, 8, 321)
    weight = norm.pdf(z) * (z[1] - z[0])
    if kind == "gaussian, SD 1":
        return x, norm.pdf(x / np.sqrt(2)) / np.sqrt(2), norm.cdf(x / np.sqrt(2)), x / 2, 0 * x
    at, below = (t2_law if kind == "0.7 t(2)" else t3_law)(x[:, None] - z)
    return x, at @ weight, below @ weight, at @ (weight * z) / (at @ weight), 0 * x


@pytest.mark.parametrize("kind", FIXTURES)
def test_the_published_curves_to_two_decimals_up_to_16384(kind: str) -> None:
    """A pool of 2^19 responses at even quantiles, each with the gold that its proxy has on average: no chance in it."""
    x, density, below, gold, hacks = population(kind)
    size = 1 << 19
    rising = np.r_[True, np.diff(below) > 0]
    proxy = np.interp((np.arange(size) + 0.5) / size, below[rising], x[rising])
    pool = PoolMatrix(proxy[None], np.interp(proxy, x, gold)[None], np.array([size]), np.arange(size)[None])
    found = best_of_n_by_prompt(pool, pool.value_PG, FIXTURE_N)[0]
    exact = [np.trapezoid(n * below ** (n - 1.0) * density * gold, x) for n in FIXTURE_N]
    assert found == pytest.approx(exact, abs=0.005)  # two decimals
    assert found[:5] == pytest.approx(FIXTURES[kind][:5], abs=0.01)
    assert found == pytest.approx(FIXTURES[kind], abs=0.03)  # the published simulation's own error
    if kind == "hack":
        rate = best_of_n_by_prompt(pool, np.interp(proxy, x, hacks)[None], FIXTURE_N)[0]
        assert rate == pytest.approx(FIXTURE_HACK_RATE, abs=0.005)


def test_a_sampled_population_agrees_within_its_own_error() -> None:
    """Gold and proxy drawn, 64 prompts x 16,384; the error of the mean over prompts is below 0.007 to n = 64."""
    rng = np.random.default_rng(7)
    gold = rng.standard_normal((64, 16_384))
    proxy = gold + rng.standard_t(3, gold.shape) / np.sqrt(3)
    pool = pool_matrix(proxy.ravel(), gold.ravel(), np.repeat(np.arange(64), 16_384))
    found_PN = best_of_n_by_prompt(pool, pool.value_PG, FIXTURE_N[:5])
    error_N = found_PN.std(axis=0, ddof=1) / 8
    assert error_N[:4].max() < 0.007
    assert np.all(np.abs(found_PN.mean(axis=0) - FIXTURES["t(3), SD 1"][:5]) < 0.005 + 3 * error_N)


def test_agrees_with_brute_force_resampling() -> None:
    rng = np.random.default_rng(8)
    proxy, gold = rng.integers(0, 12, 40).astype(float), rng.standard_normal(40)
    pool = one_prompt(proxy.tolist(), gold.tolist())
    for n in (2, 7, 25):
        pick = rng.permuted(np.tile(np.arange(40), (40_000, 1)), axis=1)[:, :n]
        best = np.take_along_axis(pick, proxy[pick].argmax(axis=1)[:, None], 1)[:, 0]  # first of equals: random order
        error = gold[best].std() / 200
        assert best_of_n_by_prompt(pool, pool.value_PG, n)[0, 0] == pytest.approx(gold[best].mean(), abs=4 * error)


@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(-5, 5)), min_size=12, max_size=12), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_function_of_the_prompt_and_a_monotone_change_move_no_gain(rows: list[tuple[int, float]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    proxy, gold = (np.array(column, float) for column in zip(*rows, strict=True))
    prompt = np.repeat(np.arange(3), 4)
    shift_P, scale_P = 10 * rng.standard_normal(3), rng.uniform(0.1, 9, 3)
    moved = np.exp(proxy * scale_P[prompt]) + shift_P[prompt]  # another rising function for each prompt
    n, count = np.arange(1, 5), prompt_draws(3, 50, rng)
    before = best_of_n_curve(pool_matrix(proxy, gold, prompt), n, count)
    after = best_of_n_curve(pool_matrix(moved, gold + shift_P[prompt], prompt), n, count)
    assert after.mean_N - after.mean_N[0] == pytest.approx(before.mean_N - before.mean_N[0], abs=1e-9)
    assert before.mean_N[0] == pytest.approx(gold.mean())  # n = 1 is the mean
    assert win_rate_by_prompt(pool_matrix(moved, gold, prompt), n) == pytest.approx(
        win_rate_by_prompt(pool_matrix(proxy, gold, prompt), n), nan_ok=True
    )


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


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=7))
@settings(max_examples=60, deadline=None)
def test_win_rate_is_the_mean_over_all_subsets_and_further_samples(rows: list[tuple[int, int]]) -> None:
    proxy, gold = ([float(row[k]) for row in rows] for k in (0, 1))
    for n in range(1, len(rows)):
        wins = []
        for subset in combinations(range(len(rows)), n):
            top = max(proxy[i] for i in subset)
            picks = [i for i in subset if proxy[i] == top]
            others = [j for j in range(len(rows)) if j not in subset]
            wins.append(np.mean([(gold[i] > gold[j]) + 0.5 * (gold[i] == gold[j]) for i in picks for j in others]))
        assert win_rate_by_prompt(one_prompt(proxy, gold), [n])[0, 0] == pytest.approx(np.mean(wins), abs=1e-12)
    assert np.isnan(win_rate_by_prompt(one_prompt(proxy, gold), [len(rows)])[0, 0])


def test_win_rate_of_a_perfect_proxy_is_n_over_n_plus_one() -> None:
    rng = np.random.default_rng(3)
    gold = rng.standard_normal(3 * 200)  # blocks are merged beyond 16 responses
    pool = pool_matrix(gold, gold, np.repeat(np.arange(3), 200))
    n = np.array([1, 2, 5, 50, 199])
    assert win_rate_by_prompt(pool, n)[0] == pytest.approx(n / (n + 1))
    gold[7] = np.nan
    holey = win_rate_by_prompt(pool_matrix(np.nan_to_num(gold), gold, np.repeat(np.arange(3), 200)), n)
    assert np.isnan(holey[0]).all()
    assert np.isfinite(holey[1:]).all()


def test_win_rates_of_a_gold_and_its_negative_add_to_one() -> None:
    rng = np.random.default_rng(4)
    proxy, gold = rng.integers(0, 20, 200).astype(float), rng.integers(0, 5, 200).astype(float)
    prompt = np.repeat(np.arange(2), 100)
    n = np.array([1, 3, 20, 99])
    up, down = (win_rate_by_prompt(pool_matrix(proxy, sign * gold, prompt), n) for sign in (1, -1))
    assert up + down == pytest.approx(np.ones((2, 4)))
    assert up[:, 0] == pytest.approx(0.5)


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


def test_soft_choice_among_all_is_the_softmax_and_agrees_with_its_perturbation() -> None:
    rng = np.random.default_rng(6)
    proxy, gold = rng.normal(size=8), rng.normal(size=8)
    pool = one_prompt(proxy.tolist(), gold.tolist())
    weight = np.exp(proxy / 0.7)
    exact = soft_best_of_n_by_prompt(pool, pool.value_PG, 8, temperature=0.7, rng=rng, repeats=1)
    assert exact[0, 0] == pytest.approx(weight @ gold / weight.sum())
    ragged = pool_matrix(np.r_[proxy, proxy, 0.3], np.r_[gold, gold, 0.1], [0] * 8 + [1] * 9)
    both = soft_best_of_n_by_prompt(ragged, ragged.value_PG, 8, temperature=0.7, rng=rng, repeats=4000)
    by_draws = np.mean(
        [np.exp(p / 0.7) @ g / np.exp(p / 0.7).sum() for p, g in leave_one_out(np.r_[proxy, 0.3], np.r_[gold, 0.1])]
    )
    assert both[0, 0] == exact[0, 0]
    assert both[1, 0] == pytest.approx(by_draws, abs=0.05)


def leave_one_out(proxy: np.ndarray, gold: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.delete(proxy, k), np.delete(gold, k)) for k in range(proxy.size)]


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


def test_a_few_large_groups_do_not_stand_for_the_pool() -> None:
    assert largest_n([8] * 30 + [200] * 2) == 8
    assert largest_n([64] * 3 + [1] * 100) == 64  # no other prompt has two
    assert largest_n([3000, 250, 250, 250, 250]) == 250
    assert largest_n([64] * 10 + [2]) == 64
    assert largest_n([64] * 12 + [2] * 30) == 64
    assert largest_n([1, 1]) == 1


def rare(chance: float, n_prompts: int, seed: int) -> PoolMatrix:
    rng = np.random.default_rng(seed)
    gold = (rng.random((n_prompts, 32)) < chance).astype(float)
    return pool_matrix(rng.standard_normal(gold.size), gold.ravel(), np.repeat(np.arange(n_prompts), 32))


@pytest.mark.parametrize("chance", [0.02, 0.98])
def test_a_gold_that_no_choice_shows_is_not_said_to_be_surely_absent(chance: float) -> None:
    held = []
    for seed in range(100):
        pool, rng = rare(chance, 20, seed), np.random.default_rng(seed)
        curve = best_of_n_curve(pool, np.array([1, 16, 32]), prompt_draws(20, 200, rng))
        held.append((curve.low_N <= chance) & (chance <= curve.high_N))
    assert (np.mean(held, axis=0) > 0.9).all()  # 0.3 at the last n without it


def test_unseen_reach_by_hand() -> None:
    gold = np.zeros((10, 4))
    gold[:5, 0] = 1  # by chance never among the best
    proxy = np.tile([0.0, 1.0, 2.0, 3.0], (10, 1))
    pool = pool_matrix(proxy.ravel(), gold.ravel(), np.repeat(np.arange(10), 4))
    reach = unseen_reach(pool, best_of_n_by_prompt(pool, pool.value_PG, [1, 4]), [1, 4])
    assert reach[:, 0].tolist() == [0, 0]  # one in eight of 40: seen often enough
    assert reach[:, 1] == pytest.approx([0, 3.8415 / 13.8415], abs=1e-4)
