from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.clustered_auroc import auroc_difference, clustered_auroc
from karat.numerics.label_noise import auroc


def test_hand_value_and_error() -> None:
    # positives 3, 1; negatives 2, 0: V_p = 1, 1/2; A = 3/4; V_m: 2 -> 1/2, 0 -> 1. Four clusters of one:
    # influences +-1/8 each; var = 4/3 * 4 / 64 = 1/12
    found = clustered_auroc([3, 1, 2, 0], [True, True, False, False], [0, 1, 2, 3], level=0.5)
    assert found.estimate == 0.75
    half = 0.764892 * (1 / 12) ** 0.5  # Student's t of 3 degrees of freedom at 75 %
    assert (found.low, found.high) == pytest.approx((0.75 - half, 0.75 + half), abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_agrees_with_the_plain_statistic_and_mirrors(rows: list[tuple[int, bool]]) -> None:
    score = np.array([row[0] for row in rows], dtype=float)
    positive = np.array([row[1] for row in rows])
    found = clustered_auroc(score, positive, np.arange(len(rows)))
    assert found.estimate == pytest.approx(auroc(score, positive), nan_ok=True)
    assert found.estimate == pytest.approx(1 - clustered_auroc(-score, positive, np.arange(len(rows))).estimate,
                                           nan_ok=True)  # fmt: skip


def test_copies_within_clusters_add_nothing() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(40) < 0.5
    score = rng.standard_normal(40) + positive
    once = clustered_auroc(score, positive, np.arange(40))
    twice = clustered_auroc(np.tile(score, 2), np.tile(positive, 2), np.tile(np.arange(40), 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Normal scores one SD apart: AUROC = Phi(1 / sqrt 2) = 0.7602; problems of four steps with a shared shift."""
    rng, held, n = np.random.default_rng(1), 0, 300
    cluster = np.repeat(np.arange(40), 4)
    for _ in range(n):
        positive = rng.random(160) < 0.6
        shift = np.repeat(rng.standard_normal(40), 4) * 0.6
        found = clustered_auroc(0.8 * rng.standard_normal(160) + shift + positive, positive, cluster)
        held += found.low <= 0.7602 <= found.high
    assert 0.91 <= held / n <= 0.985


def test_difference_with_itself_is_nothing_and_perfect_has_a_bound() -> None:
    score, positive = np.arange(20.0), np.arange(20) >= 10
    same = auroc_difference(score, score, positive, np.arange(20))
    assert (same.estimate, same.method) == (0.0, "no variation")
    perfect = clustered_auroc(score, positive, np.arange(20))
    assert perfect.estimate == perfect.high == 1.0
    assert perfect.low < 0.9


def test_one_kind_is_undefined_and_bad_input_is_said() -> None:
    assert np.isnan(clustered_auroc([1.0, 2.0], [True, True], [0, 1]).estimate)
    with pytest.raises(InputError, match="score_N"):
        clustered_auroc([1.0, np.nan], [True, False], [0, 1])
