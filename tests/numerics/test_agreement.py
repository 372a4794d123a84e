"""Agreement: Krippendorff's own example, laws of alpha, and the reliability of annotators that were planted."""

from __future__ import annotations

import numpy as np
import pytest

from karat.errors import InputError
from karat.numerics.agreement import annotator_reliability, krippendorff_alpha

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: four observers, twelve units.
EXAMPLE = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def example() -> tuple[np.ndarray, np.ndarray]:
    votes = [
        (float(value), unit)
        for line in EXAMPLE.strip().splitlines()
        for unit, value in enumerate(line.split())
        if value != "."
    ]
    return np.array([value for value, _ in votes]), np.array([unit for _, unit in votes])


@pytest.mark.parametrize(("metric", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_example(metric: str, alpha: float) -> None:
    value_V, unit_V = example()
    found = krippendorff_alpha(value_V, unit_V, metric=metric, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert found.estimate == pytest.approx(alpha, abs=5e-4)
    assert found.low < alpha < found.high
    assert found.n_clusters == 11  # one unit has a single vote


def test_two_sides_by_hand() -> None:
    """3 of 4 units agree, 5 votes for one side and 3 for the other: alpha = 1 - (2 / 8) / (2 * 5 * 3 / (8 * 7))."""
    value = [1, 1, 1, 1, 0, 0, 1, 0]
    found = krippendorff_alpha(value, [0, 0, 1, 1, 2, 2, 3, 3], metric="nominal", rng=np.random.default_rng(0))
    assert found.estimate == pytest.approx(1 - (2 / 8) / (30 / 56))


def test_alpha_is_zero_by_chance_and_one_for_all_alike() -> None:
    rng = np.random.default_rng(0)
    unit_V = np.repeat(np.arange(2000), 3)
    chance = krippendorff_alpha(rng.integers(-1, 2, 6000), unit_V, metric="ordinal", rng=rng)
    assert chance.low < 0 < chance.high
    same = krippendorff_alpha(unit_V % 2, unit_V, metric="nominal", rng=rng)
    assert (same.estimate, same.high) == (1, 1)
    assert same.low == pytest.approx(1 - 1.96**2 / (2000 + 1.96**2) * 2, abs=1e-4)  # De = 1/2 of two equal sides
    assert np.isnan(krippendorff_alpha(np.ones(6), [0, 0, 1, 1, 2, 2], metric="nominal", rng=rng).estimate)
    assert np.isnan(krippendorff_alpha([1, 0], [0, 1], metric="nominal", rng=rng).estimate)  # no unit has two


def test_turning_the_sides_changes_nothing() -> None:
    value_V, unit_V = example()
    rng = np.random.default_rng(0)
    there = krippendorff_alpha(value_V, unit_V, metric="ordinal", rng=rng).estimate
    assert krippendorff_alpha(-value_V, unit_V, metric="ordinal", rng=rng).estimate == pytest.approx(there)


def test_no_such_metric() -> None:
    with pytest.raises(InputError, match="metric = 'ratio': there are nominal, ordinal and interval"):
        krippendorff_alpha([1, 2, 1, 1], [0, 0, 1, 1], metric="ratio", rng=np.random.default_rng(0))  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------------- reliability
def planted(rates: list[float], n_units: int, seed: int, votes: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sides, units and annotators of votes by annotators with these rates; three at random for each unit."""
    rng = np.random.default_rng(seed)
    truth_U = rng.integers(0, 2, n_units)
    who_UJ = np.array([rng.permutation(len(rates))[:votes] for _ in range(n_units)])
    right_UJ = rng.random(who_UJ.shape) < np.array(rates)[who_UJ]
    side = np.where(right_UJ, truth_U[:, None], 1 - truth_U[:, None])
    return side.ravel(), np.repeat(np.arange(n_units), votes), np.array([f"a{who}" for who in who_UJ.ravel()])


def test_a_careless_annotator_is_found_among_good_ones() -> None:
    found = annotator_reliability(*planted([0.85] * 9 + [0.5], 400, 0))
    assert found.names[9] == "a9"
    assert found.q_value_A[9] < 0.001
    assert (found.q_value_A[:9] > 0.05).all()
    assert found.low_A[9] < 0.5 < found.high_A[9]
    assert found.typical == pytest.approx(0.815, abs=0.03)


def test_intervals_hold_the_rates() -> None:
    rates = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6]
    hits = [
        bool(low <= rate <= high)
        for seed in range(12)
        for found in [annotator_reliability(*planted(rates, 300, seed))]
        for low, rate, high in zip(found.low_A, rates, found.high_A, strict=True)
    ]
    assert np.mean(hits) > 0.88  # 95 % less what holding the others fixed costs


def test_few_votes_are_drawn_to_the_mean_and_not_tested() -> None:
    side_V, unit_V, who_V = planted([0.85] * 6, 200, 1)
    side_V = np.concatenate([side_V, 1 - side_V[:9:3]])  # a newcomer who contradicts three first votes
    unit_V, who_V = np.concatenate([unit_V, unit_V[:9:3]]), np.concatenate([who_V, ["new"] * 3])
    found = annotator_reliability(side_V, unit_V, who_V)
    assert found.names[-1] == "new"
    assert found.rate_A[-1] > 0.6
    assert np.isnan(found.p_value_A[-1])
    assert np.isfinite(found.q_value_A[:-1]).all()


def test_swapping_the_sides_of_units_changes_nothing() -> None:
    side_V, unit_V, who_V = planted([0.9, 0.8, 0.7, 0.6], 100, 2)
    turned = np.random.default_rng(0).random(100)[unit_V] < 0.5
    there, here = (
        annotator_reliability(side, unit_V, who_V) for side in (side_V, np.where(turned, 1 - side_V, side_V))
    )
    assert here.rate_A == pytest.approx(there.rate_A)
    assert here.p_value_A == pytest.approx(there.p_value_A)


def test_wrong_votes_are_named() -> None:
    with pytest.raises(InputError, match=r"votes must be 1 .* or 0"):
        annotator_reliability([0.5, 1], [0, 0], ["a", "b"])
    with pytest.raises(InputError, match="no unit has two votes"):
        annotator_reliability([0, 1], [0, 1], ["a", "b"])
