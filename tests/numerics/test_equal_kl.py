"""Rules at equal KL: weights against their definitions, paths, letters, and what chance must not call a difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.best_of_n import PoolMatrix, pool_matrix, prompt_draws
from karat.numerics.divergence import best_of_n_kl_bound
from karat.numerics.equal_kl import (
    at_kl,
    best_of_n_path,
    chi_square_weights,
    clear_differences,
    cross_chosen,
    letters,
    path_n,
    reweighting_path,
    softmax,
)


def drawn(n_prompts: int = 200, size: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Proxy, gold and prompt: gold standard normal, proxy the same with as much noise."""
    rng = np.random.default_rng(seed)
    gold = rng.standard_normal(n_prompts * size)
    return gold + rng.standard_normal(gold.size), gold, np.repeat(np.arange(n_prompts), size)


def pool(seed: int = 0) -> PoolMatrix:
    return pool_matrix(*drawn(seed=seed))


# ------------------------------------------------------------------------------------------------------------- weights
def test_chi_square_hand_value() -> None:
    """r = 0, 1, 3 and temperature 1: with lambda = 1/2, (3 - 1/2) + (1 - 1/2) = 3 = G temperature."""
    assert chi_square_weights(np.array([[0.0, 1.0, 3.0]]), 1.0)[0] == pytest.approx([0, 0.5 / 3, 2.5 / 3])
    assert chi_square_weights(np.array([[0.0, 1.0, np.nan]]), 1.0)[0] == pytest.approx([0.25, 0.75, 0])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.floats(0.01, 20))
@settings(max_examples=80, deadline=None)
def test_chi_square_weights_are_the_best_for_their_penalty(score: list[float], temperature: float) -> None:
    """They maximise E[r] - temperature / 2 E[(w G)^2], so no other choice among the samples does better."""
    r = np.array(score)
    weight = chi_square_weights(r[None], temperature)[0]
    assert weight.sum() == pytest.approx(1)
    assert (weight >= 0).all()
    others = np.vstack([np.random.default_rng(0).dirichlet(np.ones(r.size), 50), np.eye(r.size)])

    def worth(w: np.ndarray) -> np.ndarray:
        return np.asarray(w @ r - temperature / 2 * r.size * (w**2).sum(axis=-1))

    assert worth(weight) >= worth(others).max() - 1e-9


def test_limits_of_the_weights() -> None:
    r = np.array([[0.0, 1.0, 3.0]])
    for weights in (chi_square_weights, softmax):
        assert weights(r, 1e-3)[0] == pytest.approx([0, 0, 1], abs=1e-6)
        assert weights(r, 1e5)[0] == pytest.approx([1 / 3] * 3, abs=1e-4)
        assert weights(r + 7, 0.8) == pytest.approx(weights(r, 0.8))
        with pytest.raises(InputError, match="temperature = 0"):
            weights(r, 0.0)
    assert softmax(np.array([[0.0, math.log(3), np.nan]]), 1.0)[0] == pytest.approx([0.25, 0.75, 0])


# --------------------------------------------------------------------------------------------------------------- paths
def test_path_n_holds_the_ends_and_every_small_n() -> None:
    assert path_n(1).tolist() == [1]
    assert path_n(20).tolist() == [*range(1, 13), 14, 16, 18, 20]
    assert path_n(1000)[-1] == 1000
    assert len(path_n(1000)) < 60


def test_best_of_n_path_without_ties_has_the_known_kl() -> None:
    path = best_of_n_path(pool(), 32)
    assert path.mean_kl == pytest.approx(best_of_n_kl_bound(path.strength_T))
    assert path.gold_PT[:, 0].mean() == pytest.approx(np.mean(drawn()[1]))
    assert path.gold_PT[:, -1].mean() == pytest.approx(2.07 / math.sqrt(2), abs=0.1)  # best of 32 normals: 2.07 SD


def test_equal_n_is_not_equal_kl_with_ties() -> None:
    proxy, gold, prompt = drawn()
    plain = best_of_n_path(pool_matrix(proxy, gold, prompt), 32)
    tied = best_of_n_path(pool_matrix(np.minimum(proxy, 1.41), gold, prompt), 32)  # the highest 16 % alike
    assert tied.reach < 0.75 * plain.reach
    draws = np.ones((1, 200))
    at_equal_n = tied.gold_PT[:, -1].mean() - plain.gold_PT[:, -1].mean()
    at_equal_kl = at_kl(tied, 1.5, draws).gold_P.mean() - at_kl(plain, 1.5, draws).gold_P.mean()
    assert at_equal_n < -0.35
    assert at_equal_kl == pytest.approx(-0.104, abs=0.03)  # 100 prompts x 4,096 responses of the same world


def test_softmax_buys_the_most_proxy_for_its_kl() -> None:
    """exp(r / t) is the best choice among the samples for its KL, so its own proxy lies above the other rules'."""
    matrix = pool()
    own = PoolMatrix(matrix.proxy_PG, matrix.proxy_PG, matrix.size_P, matrix.order_PG)
    temperature = np.geomspace(8, 0.01, 60)
    draws = np.ones((1, 200))
    best, chi, n = (
        reweighting_path(own, temperature, "softmax"),
        reweighting_path(own, temperature, "chi-square"),
        best_of_n_path(own, 32),
    )
    for kl in (0.5, 1.0, 2.0):
        value = [at_kl(path, kl, draws).gold_P.mean() for path in (best, chi)]
        assert value[0] > value[1]
    best_at_1 = at_kl(best, 1.0, draws).gold_P.mean()
    assert best.reach == pytest.approx(math.log(32), abs=0.05)
    assert np.all(np.diff(chi.mean_kl) > 0)
    # one temperature for all prompts spends its KL where the proxy varies most; best of n spends as much on each
    assert best_at_1 - 0.15 < at_kl(n, 1.0, draws).gold_P.mean() < best_at_1


def test_reading_a_path_between_its_points() -> None:
    path = best_of_n_path(pool(), 32)
    middle = (path.mean_kl[3] + path.mean_kl[4]) / 2
    count = prompt_draws(200, 50, np.random.default_rng(0))
    read = at_kl(path, float(middle), count)
    assert read.strength == pytest.approx(4.5)
    assert read.gold_P == pytest.approx(path.gold_PT[:, 3:5].mean(axis=1))
    assert read.draw_B == pytest.approx(count @ read.gold_P / 200)
    beyond = at_kl(path, 99.0, count)
    assert beyond.gold_P == pytest.approx(path.gold_PT[:, -1])
    assert at_kl(path, 0.0, count).gold_P == pytest.approx(path.gold_PT[:, 0])


# ---------------------------------------------------------------------------------------------------------- comparison
def test_letters_by_hand() -> None:
    """a > c clear, everything else not: two groups that overlap in b."""
    clear = np.zeros((3, 3), bool)
    clear[0, 2] = clear[2, 0] = True
    assert letters(clear) == ("a", "ab", "b")
    assert letters(np.zeros((3, 3), bool)) == ("a", "a", "a")
    assert letters(~np.eye(3, dtype=bool)) == ("a", "b", "c")
    assert letters(np.zeros((0, 0), bool)) == ()


@given(st.integers(2, 9), st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_two_rules_share_a_letter_exactly_if_they_are_not_clearly_different(n_rules: int, seed: int) -> None:
    upper = np.triu(np.random.default_rng(seed).random((n_rules, n_rules)) < 0.4, 1)
    clear = upper | upper.T
    shown = letters(clear)
    for one in range(n_rules):
        for two in range(n_rules):
            assert bool(set(shown[one]) & set(shown[two])) == (not clear[one, two])


def test_equal_rules_are_not_told_apart_and_unequal_ones_are() -> None:
    rng = np.random.default_rng(0)
    count = prompt_draws(100, 1000, rng)
    false = 0
    for _ in range(100):
        value_PR = rng.standard_normal((100, 6))
        clear, critical = clear_differences(value_PR.mean(axis=0), count @ value_PR / 100, 100)
        false += bool(clear.any())
        assert 2.3 < critical < 4.5  # one pair alone would have 2
    assert false <= 12  # 5 expected
    value_PR = rng.standard_normal((100, 3)) + np.array([0, 0, 1])
    clear, _ = clear_differences(value_PR.mean(axis=0), count @ value_PR / 100, 100)
    assert clear.tolist() == [[False, False, True], [False, False, True], [True, True, False]]


@pytest.mark.parametrize("n_prompts", [6, 24])
def test_the_level_holds_for_few_prompts(n_prompts: int) -> None:
    """Six equal rules; widened as for a single pair, 19 % of such tables are called different at 6 prompts."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(1500):
        value_PR = rng.standard_normal((n_prompts, 6))
        count = prompt_draws(n_prompts, 300, rng)
        false += clear_differences(value_PR.mean(axis=0), count @ value_PR / n_prompts, n_prompts)[0].sum() > 0
    assert 0.03 < false / 1500 < 0.065


def test_a_rule_and_its_copy_are_not_different() -> None:
    rng = np.random.default_rng(0)
    value = rng.standard_normal(50)
    count = prompt_draws(50, 200, rng)
    both = np.stack([value, value], axis=1)
    assert not clear_differences(both.mean(axis=0), count @ both / 50, 50)[0].any()
    assert clear_differences(np.array([1.0]), np.ones((5, 1)), 50)[0].tolist() == [[False]]


def test_the_best_is_chosen_on_the_other_half() -> None:
    gold = np.array([[0.0, 1.0], [5.0, 0.0], [0.0, 1.0], [5.0, 0.0]])  # even prompts say 1, odd ones say 0
    assert cross_chosen(gold, [0, 1]).tolist() == [0.0, 0.0, 0.0, 0.0]
    assert cross_chosen(gold, [1]).tolist() == [1.0, 0.0, 1.0, 0.0]
