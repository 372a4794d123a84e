from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.level_estimate import level_estimate
from karat.watch.audit_budget import Selection, select
from made_batches import batch


def chosen(k: int, *, seed: int = 0, level_share: float = 0.25, n: int = 8, **columns: object) -> Selection:
    return select(batch(1, n=n, **columns), k, rng=np.random.default_rng(seed), level_share=level_share)


def test_pairs_by_hand() -> None:
    # Gaps 9, 2, 3 in three prompts; within-prompt squares 40.5 + 2 + 4.5 over 3 degrees of freedom.
    columns = {"n": 6, "group_R": np.array([0, 0, 1, 1, 2, 2]), "proxy_R": np.array([0, 9, 5, 3, 1, 4.0])}
    found = chosen(5, level_share=0.2, **columns)
    assert found.pairs == ((1, 0), (5, 4))
    np.testing.assert_allclose(found.gap_N, np.array([9, 3]) / np.sqrt(47 / 3))
    assert list(found.index_K[:4]) == [1, 0, 5, 4]
    np.testing.assert_array_equal(found.chance_R, [1, 1, 0.5, 0.5, 1, 1])


def test_every_prompt_has_its_turn_before_any_has_a_second() -> None:
    # The second pair of prompt 0 (gap 80) is wider than the first of prompt 1 (gap 1).
    columns = {"group_R": np.repeat([0, 1], 4), "proxy_R": np.array([0, 10, 90, 100, 0, 0, 0, 1.0])}
    assert chosen(6, level_share=0.0, **columns).pairs[:2] == ((3, 0), (7, 4))
    # From three labels on one is drawn, and an odd one goes to it: two pairs of six.
    assert len(chosen(6, level_share=0.0, **columns).pairs) == 2
    assert chosen(7, level_share=0.0, **columns).pairs == ((3, 0), (7, 4), (2, 1))


@pytest.mark.parametrize(
    ("k", "pairs"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (7, 2), (8, 3), (9, 3), (16, 6), (33, 12)]
)
def test_what_a_budget_is_spent_on(k: int, pairs: int) -> None:
    found = chosen(k, n=64, group_R=np.repeat(np.arange(16), 4))
    assert (len(found.index_K), len(found.pairs)) == (k, pairs)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from([np.nan, -np.inf, 0.0, 0.0, 1.0, 1.5, 7.0]), min_size=1, max_size=20),
    groups=st.integers(1, 8),
    k=st.integers(0, 25),
    share=st.floats(0, 1),
)
def test_laws_of_any_selection(values: list[float], groups: int, k: int, share: float) -> None:
    n = len(values)
    group_R = np.random.default_rng(n).integers(groups, size=n)
    proxy_R = np.array(values)
    found = chosen(k, n=n, group_R=group_R, proxy_R=proxy_R, level_share=share)
    assert sorted(set(found.index_K)) == sorted(found.index_K)
    assert len(found.index_K) == min(k, n)
    np.testing.assert_array_equal(found.chance_K, found.chance_R[found.index_K])
    assert ((found.chance_R >= 0) & (found.chance_R <= 1)).all()
    assert found.chance_R.sum() == pytest.approx(min(k, n))  # chances of a design of fixed size add up to it
    if k >= 3 or (k >= 1 and not found.pairs):
        assert (found.chance_R >= 1 / n).all()  # so that no weight exceeds n
    places = [place for pair in found.pairs for place in pair]
    assert len(set(places)) == len(places)
    assert set(places) <= set(found.index_K)
    for high, low in found.pairs:
        assert group_R[high] == group_R[low]
        assert proxy_R[high] > proxy_R[low]
    assert (found.gap_N > 0).all()


def test_the_choice_does_not_see_golds_and_follows_no_scale() -> None:
    ours = batch(1, n=32, groups=8)
    gold = batch(1, n=32, groups=8, gold_R=np.arange(32.0), proxy_R=ours.proxy_R * 1000 + 5)
    first, second = (select(b, 8, rng=np.random.default_rng(3)) for b in (ours, gold))
    np.testing.assert_array_equal(first.index_K, second.index_K)
    np.testing.assert_allclose(first.gap_N, second.gap_N)


def test_chances_are_what_the_draws_do() -> None:
    rng = np.random.default_rng(0)
    step = batch(1, n=24, groups=6)
    times = np.zeros(24)
    for _ in range(4000):
        found = select(step, 9, rng=rng)
        times[found.index_K] += 1
    # Standard error of a share of 4000 draws is below 0.008.
    np.testing.assert_allclose(times / 4000, found.chance_R, atol=0.03)


def test_the_level_is_unbiased_though_pairs_are_not_drawn() -> None:
    rng = np.random.default_rng(1)
    step = batch(1, n=24, groups=6)
    gold_R = np.exp(step.proxy_R)  # the pairs have the extremes of it
    found_T, naive_T = [], []
    for _ in range(3000):
        found = select(step, 9, rng=rng)
        seen_R = np.full(24, np.nan)
        seen_R[found.index_K] = gold_R[found.index_K]
        found_T.append(level_estimate(seen_R, found.chance_R).mean)
        naive_T.append(np.nanmean(seen_R))
    error = np.std(found_T) / np.sqrt(3000)
    assert abs(np.mean(found_T) - gold_R.mean()) < 4 * error
    assert abs(np.mean(naive_T) - gold_R.mean()) > 20 * error


def test_without_anything_to_tell_apart_all_labels_are_drawn() -> None:
    for columns in (
        {"proxy_R": np.zeros(8)},
        {"proxy_R": np.full(8, np.nan)},
        {"group_R": np.arange(8)},
    ):
        found = chosen(4, **columns)
        assert found.pairs == ()
        np.testing.assert_array_equal(found.chance_R, np.full(8, 0.5))


def test_one_missing_proxy_is_in_no_pair_and_may_still_be_drawn() -> None:
    proxy_R = np.array([np.nan, 1, 2, 3, 4, 5, 6, 7.0])
    drawn = [0 in chosen(4, seed=seed, group_R=np.zeros(8, int), proxy_R=proxy_R).index_K for seed in range(50)]
    assert 0 < sum(drawn) < 50


def test_more_labels_than_rollouts_are_all_of_them() -> None:
    found = chosen(99)
    assert sorted(found.index_K) == list(range(8))
    np.testing.assert_array_equal(found.chance_R, np.ones(8))
    assert chosen(3, n=0).index_K.size == 0


def test_pairs_by_a_feature_that_an_audit_named() -> None:
    step = batch(1, group_R=np.repeat([0, 1], 4))
    feature_R = np.array([5, 1, 1, 0, 2, 2, 2, 2.0])
    found = select(step, 4, rng=np.random.default_rng(0), feature_R=feature_R)
    assert found.pairs == ((0, 3),)


@pytest.mark.parametrize(
    ("bad", "words"),
    [({"k": -1}, "k must be at least 0"), ({"level_share": 1.5}, r"share in \[0, 1\]"),
     ({"feature_R": np.zeros(3)}, "one value for each")],
)  # fmt: skip
def test_arguments_that_cannot_be(bad: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        select(batch(1), **{"k": 4, "rng": np.random.default_rng(0), **bad})  # type: ignore[arg-type]
