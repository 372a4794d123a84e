"""Means over redrawn training sets: derived numbers, laws, coverage of a new pool."""

from __future__ import annotations

import math

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.redrawn import by_prompt, joined, redrawn_mean


def test_hand_value() -> None:
    # two draws with means 0 and 2, nothing differs between prompts: s^2 = 2, share 1/2: 2 (1 + 1/2) = 3
    value_SPM = np.array([[[0.0], [0.0]], [[2.0], [2.0]]])
    found = redrawn_mean(value_SPM, 0.5)
    assert found.mean_M[0] == 1.0
    assert found.train_MM[0, 0] == pytest.approx(3.0)
    assert found.prompt_MM[0, 0] == 0.0


def test_prompts_alone_give_their_plain_error() -> None:
    row_P = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    found = redrawn_mean(np.stack([row_P, row_P])[:, :, None], 0.5)
    assert found.train_MM[0, 0] == pytest.approx(0.0, abs=1e-15)
    assert found.prompt_MM[0, 0] == pytest.approx(row_P.var(ddof=1) / 5)


def test_a_larger_share_of_the_pool_has_more_of_its_error() -> None:
    value_SPM = np.random.default_rng(0).standard_normal((6, 40, 1)) + np.arange(6)[:, None, None]
    widths = [
        redrawn_mean(value_SPM, share).interval().high - redrawn_mean(value_SPM, share).interval().low
        for share in (0.1, 0.5, 0.8)
    ]
    assert widths == sorted(widths)


def test_values_by_prompt_keep_the_mean_over_pairs() -> None:
    value_SN = np.random.default_rng(1).random((3, 50))
    prompt_N = np.random.default_rng(2).integers(0, 7, 50)
    assert by_prompt(value_SN, prompt_N).mean(axis=1) == pytest.approx(value_SN.mean(axis=1))


def test_each_joined_test_set_counts_once() -> None:
    small, large = np.full((2, 3), 1.0), np.full((2, 30), 0.0)
    value_SP = joined([small, large], [np.arange(3), np.arange(3, 33)])
    assert value_SP.shape == (2, 33)
    assert value_SP.mean(axis=1) == pytest.approx([0.5, 0.5])


def test_prompts_that_test_sets_share_count_once() -> None:
    """The same set twice says as much as once: no interval may shrink."""
    value_SP = np.random.default_rng(3).random((4, 20))
    twice = joined([value_SP, value_SP], [np.arange(20), np.arange(20)])
    assert twice == pytest.approx(value_SP)
    apart = joined([value_SP, value_SP], [np.arange(20), np.arange(20, 40)])
    once, double = (redrawn_mean(each[:, :, None], 0.5).prompt_MM[0, 0] for each in (twice, apart))
    assert double / once == pytest.approx(0.5, rel=0.1)
    part = joined([value_SP, value_SP[:, :5]], [np.arange(20), np.arange(15, 20)])
    assert part.shape == (4, 20)
    assert part.mean(axis=1) == pytest.approx((value_SP.mean(axis=1) + value_SP[:, :5].mean(axis=1)) / 2)


def test_intervals_hold_for_another_pool_and_other_prompts() -> None:
    """Means of parts of a pool of normal values, plus prompts: 95 % of intervals hold the mean of all pools."""
    rng, held, narrow = np.random.default_rng(5), 0, 0
    for _ in range(400):
        pool = rng.standard_normal(40)
        draw_S = np.array([rng.permutation(pool)[:20].mean() for _ in range(8)])
        value_SP = draw_S[:, None] + 0.5 * rng.standard_normal(30) + 0.3 * rng.standard_normal((8, 30))
        interval = redrawn_mean(value_SP[:, :, None], 0.5).interval()
        held += interval.low <= 0 <= interval.high
        small = redrawn_mean(value_SP[:, :, None], 0.01).interval()  # as if the draws were independent
        narrow += small.low <= 0 <= small.high
    assert 0.93 <= held / 400 <= 0.995
    assert narrow < held


def test_nothing_varies() -> None:
    found = redrawn_mean(np.ones((3, 5, 1)), 0.5)
    assert math.isnan(found.interval().low)
    assert found.interval().method == "no variation"
    assert math.isnan(found.p_value())


def test_p_value_and_interval_agree() -> None:
    value_SPM = np.random.default_rng(3).standard_normal((6, 20, 1)) + 0.4
    found = redrawn_mean(value_SPM, 0.4)
    ends = found.interval(level=1 - found.p_value())
    assert min(abs(ends.low), abs(ends.high)) == pytest.approx(0.0, abs=1e-9)


def test_draws_have_the_covariance() -> None:
    value_SPM = np.random.default_rng(4).standard_normal((10, 200, 3))
    found = redrawn_mean(value_SPM, 0.5)
    drawn_BM = found.draws(4000, np.random.default_rng(0))
    assert drawn_BM.mean(axis=0) == pytest.approx(found.mean_M, abs=0.02)
    freedom = float(found.freedom().min())
    wanted = found.covariance() * freedom / (freedom - 2)
    assert np.cov(drawn_BM.T) == pytest.approx(wanted, rel=0.35, abs=1e-3)


@pytest.mark.parametrize(("shape", "share"), [((1, 5, 1), 0.5), ((5, 1, 1), 0.5), ((5, 5, 1), 1.0)])
def test_too_little_to_say(shape: tuple[int, int, int], share: float) -> None:
    with pytest.raises(InputError, match=r"needs two of each|must leave out"):
        redrawn_mean(np.zeros(shape), share)
