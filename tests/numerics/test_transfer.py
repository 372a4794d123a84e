"""Hack rates, their excess over a base, and mean transfer: by hand, by law, and against drawing prompts anew."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import t as student

from karat.errors import InputError
from karat.numerics.intervals import wilson
from karat.numerics.transfer import (
    NO_RATE,
    HackRate,
    excess,
    excess_p_value,
    hack_rate,
    half_width,
    mean_transfer,
)


def drawn(rate: float, rng: np.random.Generator, runs: int = 3, prompts: int = 40, size: int = 8) -> HackRate:
    hack = rng.binomial(size, rate, (runs, prompts))
    return hack_rate(hack, np.full_like(hack, size))


# ---------------------------------------------------------------------------------------------------------------- rate
def test_variances_by_hand() -> None:
    one = hack_rate([[4, 0]], [[4, 4]])  # pulls +-2/8: V = 2 / 1 * (1/16 + 1/16)
    assert (one.rate, one.prompt_variance, one.run_variance) == (0.5, 0.25, 0.0)
    two = hack_rate([[4, 4, 0, 2], [6, 6, 6, 6]], [[5, 5, 5, 5], [10, 10, 10, 10]])
    assert two.run_rate_S == pytest.approx([0.5, 0.6])
    assert two.rate == pytest.approx(0.55)
    assert two.run_variance == pytest.approx(0.005 / 2)
    # the second run pulls nowhere; the first by (hack - 0.5 * 5) / 20, halved by averaging two runs
    assert two.pull_P == pytest.approx(np.array([1.5, 1.5, -2.5, -0.5]) / 40)
    assert (two.n_runs, two.n_prompts, two.n_responses) == (2, 4, 60)


def test_half_width_is_students_for_one_source_and_adds_squares() -> None:
    assert half_width([(4.0, 7)]) == pytest.approx(2 * student.ppf(0.975, 7))
    both = half_width([(4.0, 7), (1.0, 2)])
    assert both == pytest.approx(math.hypot(2 * student.ppf(0.975, 7), student.ppf(0.975, 2)))


def test_a_rate_in_the_middle_has_about_students_interval() -> None:
    found = drawn(0.5, np.random.default_rng(0), prompts=400)
    half = half_width(found.parts)
    interval = found.interval()
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.03)


@pytest.mark.parametrize("hacks", [0, 8])
def test_at_0_and_1_each_prompt_counts_once(hacks: int) -> None:
    for runs in (1, 4):
        found = hack_rate(np.full((runs, 40), hacks), np.full((runs, 40), 8)).interval()
        ends = wilson(hacks / 8 * 40, 40, level=2 * float(ndtr(student.ppf(0.975, 39))) - 1)
        assert (found.low, found.high) == pytest.approx(ends, abs=0.002)
        assert found.high - found.low > 0.08


def test_runs_that_differ_widen_the_interval_and_two_of_them_most() -> None:
    widths = []
    for runs in (12, 4, 2):
        hack = np.full((runs, 40), 4) + np.resize([1, -1], runs)[:, None]
        found = hack_rate(hack, np.full((runs, 40), 8)).interval()
        widths.append(found.high - found.low)
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] > 0.8


@given(st.integers(0, 2**31), st.floats(0.02, 0.98), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_calling_hacks_honest_mirrors_the_interval(seed: int, rate: float, runs: int) -> None:
    hack = np.random.default_rng(seed).binomial(6, rate, (runs, 12))
    total = np.full_like(hack, 6)
    one, other = hack_rate(hack, total).interval(), hack_rate(total - hack, total).interval()
    assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low))
    assert one.low <= one.estimate <= one.high


def test_runs_that_were_not_evaluated_and_prompts_without_responses_do_not_count() -> None:
    found = hack_rate([[1, 2, 0], [0, 0, 0]], [[4, 4, 0], [0, 0, 0]])
    assert (found.n_runs, found.n_prompts, found.n_responses, found.run_variance) == (1, 2, 8, 0.0)
    assert found.rate == 3 / 8
    assert math.isnan(found.run_rate_S[1])


def test_one_prompt_says_nothing_of_others_and_no_response_says_nothing() -> None:
    one = hack_rate([[3], [1]], [[4], [4]]).interval()
    assert (one.estimate, one.method) == (0.5, "undefined")
    assert math.isnan(one.low)
    assert hack_rate(np.zeros((2, 3)), np.zeros((2, 3))) is NO_RATE
    assert math.isnan(NO_RATE.interval().low)


@pytest.mark.parametrize(
    ("hack", "total", "message"),
    [
        ([[1, 2]], [[1, 1]], r"2 hacks of 1 responses \(run 0, prompt 1\)"),
        ([[-1.0]], [[1]], "-1 hacks of 1 responses"),
        ([[math.nan]], [[1]], "nan hacks of 1 responses"),
        ([1, 2], [1, 2], "must be"),
    ],
)
def test_impossible_counts_are_told(hack: list, total: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hack_rate(hack, total)


# -------------------------------------------------------------------------------------------------------------- excess
def test_prompts_that_both_share_cancel() -> None:
    rng = np.random.default_rng(1)
    level_P = rng.beta(0.5, 0.5, 60)  # prompts that differ much
    hack = rng.binomial(50, np.stack([level_P * 0.6, level_P * 0.4])[:, None, :])
    total = np.full((1, 60), 50)
    high, low = hack_rate(hack[0], total), hack_rate(hack[1], total)
    paired = excess(high, low)
    shuffled = excess(high, hack_rate(rng.permutation(hack[1], axis=1), total))
    assert paired.high - paired.low < 0.7 * (shuffled.high - shuffled.low)
    assert paired.estimate == pytest.approx(shuffled.estimate)


@given(st.integers(0, 2**31), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_swapping_the_two_mirrors_the_excess_and_p_agrees_with_it(seed: int, rate: float, base_rate: float) -> None:
    rng = np.random.default_rng(seed)
    cell, base = drawn(rate, rng), drawn(base_rate, rng, runs=1)
    one, other = excess(cell, base), excess(base, cell)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.low < one.high
    assert (excess_p_value(cell, base) < 0.05) == (one.low > 0 or one.high < 0)


def test_the_same_responses_leave_a_difference_of_0_uncertain() -> None:
    hack, total = np.array([[3, 0, 5, 1] * 10]), np.full((1, 40), 6)
    cell = hack_rate(hack, total)
    found = excess(cell, cell)
    assert found.method == "no variation"
    assert found.low < -0.05
    assert found.high > 0.05
    assert excess_p_value(cell, cell) == 1


def test_a_base_that_never_hacks_and_a_policy_that_always_does() -> None:
    never, always = (hack_rate(np.full((4, 64), hacks), np.full((4, 64), 8)) for hacks in (0, 8))
    found = excess(always, never)
    assert (found.estimate, found.high) == (1, 1)
    assert 0.5 < found.low < 0.95
    assert 0 < excess_p_value(always, never) < 1e-6


def test_without_responses_there_is_no_difference_to_test() -> None:
    cell = drawn(0.5, np.random.default_rng(0))
    assert math.isnan(excess(cell, NO_RATE).low)
    assert math.isnan(excess_p_value(cell, NO_RATE))


# ------------------------------------------------------------------------------------------------------- mean transfer
def matrix(rates: dict[tuple[str, str], float], rng: np.random.Generator, runs: int = 1) -> dict:
    return {key: drawn(rate, rng, runs=runs, prompts=100, size=10) for key, rate in rates.items()}


def exact(rate: float) -> HackRate:
    hack = np.round(np.full((1, 10), rate * 10)) + np.tile([1, -1], 5)
    return hack_rate(hack, np.full((1, 10), 10))


def test_mean_transfer_by_hand() -> None:
    cells = {("a", "a"): 0.8, ("a", "b"): 0.4, ("b", "b"): 0.6, ("b", "a"): 0.2, ("c", "b"): 0.9}
    found = mean_transfer({key: exact(rate) for key, rate in cells.items()}, {"a": exact(0.1), "b": exact(0.1)})
    assert found.own == pytest.approx(0.6)  # (0.7 + 0.5) / 2; c has no own cell
    assert found.elsewhere == pytest.approx(0.2)  # (0.3 + 0.1) / 2
    assert found.share.estimate == pytest.approx(1 / 3)


def test_its_interval_is_that_of_prompts_drawn_anew() -> None:
    rng = np.random.default_rng(2)
    rates = {("a", "a"): 0.8, ("a", "b"): 0.4, ("b", "b"): 0.6, ("b", "a"): 0.2, ("0", "a"): 0.1, ("0", "b"): 0.1}
    level_P = rng.beta(4, 4, 100) * 2
    hack = {key: rng.binomial(10, np.clip(rate * level_P, 0, 1)) for key, rate in rates.items()}

    def share(weight_P: np.ndarray) -> float:
        mean = {key: float(weight_P @ count) / (10 * weight_P.sum()) for key, count in hack.items()}
        own = mean["a", "a"] - mean["0", "a"] + mean["b", "b"] - mean["0", "b"]
        return (mean["a", "b"] - mean["0", "b"] + mean["b", "a"] - mean["0", "a"]) / own

    draws = [share(rng.multinomial(100, np.full(100, 0.01))) for _ in range(2000)]
    cells = {key: hack_rate(count[None], np.full((1, 100), 10)) for key, count in hack.items()}
    found = mean_transfer(cells, {"a": cells.pop(("0", "a")), "b": cells.pop(("0", "b"))}).share
    assert found.estimate == pytest.approx(share(np.ones(100)))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.12)


def test_runs_that_differ_widen_it() -> None:
    rng = np.random.default_rng(3)
    base = matrix({("0", "a"): 0.1, ("0", "b"): 0.1}, rng)
    alike = {key: hack_rate(np.tile(np.full(100, rate), (3, 1)) + rng.integers(-1, 2, (3, 100)), np.full((3, 100), 10))
             for key, rate in {("a", "a"): 8, ("a", "b"): 4}.items()}  # fmt: skip
    shift = np.array([[-2], [0], [2]])
    apart = dict(alike)
    apart["a", "b"] = hack_rate(np.full((3, 100), 4) + shift, np.full((3, 100), 10))
    of_base = {"a": base["0", "a"], "b": base["0", "b"]}
    narrow, wide = (mean_transfer(cells, of_base).share for cells in (alike, apart))
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_a_full_matrix_still_has_an_interval() -> None:
    full, empty = (hack_rate(np.full((2, 50), hacks), np.full((2, 50), 4)) for hacks in (4, 0))
    found = mean_transfer({("a", "a"): full, ("a", "b"): full}, {"a": empty, "b": empty}).share
    assert found.estimate == 1
    assert found.low < 0.95 < 1.05 < found.high


def test_nothing_learned_has_no_share() -> None:
    found = mean_transfer({("a", "a"): exact(0.2), ("a", "b"): exact(0.4)}, {"a": exact(0.3), "b": exact(0.3)})
    assert math.isnan(found.share.estimate)
    assert found.own == pytest.approx(-0.1)
    assert math.isnan(mean_transfer({("a", "a"): exact(0.5)}, {"a": exact(0.1)}).share.estimate)
