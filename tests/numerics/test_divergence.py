"""Divergences of selection rules: hand values, integrals, and the bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.divergence import (
    best_of_n_chi2_bound,
    best_of_n_divergence,
    best_of_n_kl_bound,
    best_of_poisson_kl,
    cautious_chi2,
    n_for_kl,
    selection_kl,
    soft_best_of_n_kl,
)


def test_atoms_hand_value() -> None:
    # reference (.5, .3, .2), ordered by the proxy: 1.069 and 1.603 nats where the formula says 1.204 and 2.497
    kl, _ = best_of_n_divergence(np.repeat([0, 1, 2], [50, 30, 20]), [8, 32])
    assert kl == pytest.approx([1.0685, 1.6027], abs=1e-4)
    assert best_of_n_kl_bound([8, 32]) == pytest.approx([1.2044, 2.4970], abs=1e-4)


def test_one_atom_on_top_of_a_continuum() -> None:
    eps, n = 0.2, 8
    kl, chi2 = best_of_n_divergence(np.r_[np.arange(80) / 100, np.full(20, 9.0)], [n])
    stay = (1 - eps) ** n
    expected = stay * (np.log(n) + (n - 1) * np.log(1 - eps) - (n - 1) / n) + (1 - stay) * np.log((1 - stay) / eps)
    assert kl[0] == pytest.approx(expected)
    squared = n**2 / (2 * n - 1) * (1 - eps) ** (2 * n - 1) + (1 - stay) ** 2 / eps - 1
    assert chi2[0] == pytest.approx(squared)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_repeats_only_bring_the_policy_closer(proxy: list[int], n: int) -> None:
    kl, chi2 = best_of_n_divergence(proxy, [n])
    assert 0 <= kl[0] <= best_of_n_kl_bound([n])[0] + 1e-9
    assert 0 <= chi2[0] <= best_of_n_chi2_bound([n])[0] + 1e-9


def test_nothing_to_choose_is_no_distance() -> None:
    kl, chi2 = best_of_n_divergence(np.ones(10), [1, 4, 64])
    assert kl == pytest.approx(0)
    assert chi2 == pytest.approx(0)
    assert best_of_n_divergence(np.arange(5.0), [1])[0][0] == 0


@pytest.mark.parametrize("mu", [1e-5, 1e-4, 0.5, 5.0, 63.0, 599.0, 601.0])
def test_poisson_kl_is_the_integral(mu: float) -> None:
    u = 1 - np.geomspace(1e-9, 1, 400_001)[::-1]
    density = (1 + mu * u) * np.exp(-mu * (1 - u))
    integral = np.trapezoid(np.where(density > 0, density * np.log(np.maximum(density, 1e-300)), 0), u)
    assert best_of_poisson_kl(mu) == pytest.approx(integral, abs=2e-5, rel=2e-5)


def test_n_for_a_kl_budget() -> None:
    assert n_for_kl([0.5, 1, 2, 3, 4, 5, 6]) == pytest.approx([3.3, 6.3, 19, 54, 147, 402, 1096], rel=0.01)
    assert n_for_kl([0.0]) == 1
    assert best_of_n_kl_bound(n_for_kl(np.linspace(0.01, 9, 50))) == pytest.approx(np.linspace(0.01, 9, 50))
    with pytest.raises(InputError, match="KL budget -1"):
        n_for_kl([-1])


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_with_every_value_repeated_both_divergences_are_those_of_the_mass_function(values: list[int], n: int) -> None:
    proxy = np.repeat(values, 2)
    level, count = np.unique(proxy, return_counts=True)
    below = np.cumsum(count) / proxy.size
    reference, chosen = count / proxy.size, np.diff(below**n, prepend=0.0)
    kl, chi2 = best_of_n_divergence(proxy, [n])
    assert level.size == 1 or kl[0] >= 0
    assert kl[0] == pytest.approx(np.sum(chosen * np.log(chosen / reference)), abs=1e-9)
    assert chi2[0] == pytest.approx(np.sum(chosen**2 / reference) - 1, abs=1e-9)


def test_soft_kl_by_hand_for_two_draws() -> None:
    """n = 2 of the atoms 0 and 1, a half each: response 1 is chosen in 1/4 + 1/2 sigma(1 / T) of the draws."""
    share = 0.25 + 0.5 / (1 + np.exp(-1 / 0.7))
    expected = share * np.log(2 * share) + (1 - share) * np.log(2 * (1 - share))
    assert soft_best_of_n_kl([0.0, 1.0], 2, temperature=0.7) == pytest.approx(expected, abs=1e-7)


def test_soft_kl_falls_from_best_of_n_to_nothing() -> None:
    proxy = np.random.default_rng(0).standard_normal(200)
    kl = [soft_best_of_n_kl(proxy, 16, temperature=t) for t in (1e-3, 0.05, 0.3, 1.0, 1e3)]
    assert kl[0] == pytest.approx(best_of_n_kl_bound([16])[0], abs=0.01)
    assert np.all(np.diff(kl) < 0)
    assert kl[-1] == pytest.approx(0, abs=1e-5)
    assert soft_best_of_n_kl(proxy, 200, temperature=1e-3) == pytest.approx(best_of_n_kl_bound([200])[0], abs=0.05)
    with pytest.raises(InputError, match="temperature = 0"):
        soft_best_of_n_kl(proxy, 4, temperature=0)


def test_selection_kl() -> None:
    assert selection_kl([0.25] * 4) == pytest.approx(0)
    assert selection_kl([1.0, 0, 0, 0]) == pytest.approx(np.log(4))
    with pytest.raises(InputError, match=r"sum 0\.5 over 1"):
        selection_kl([0.5])


def test_wrong_input_is_named() -> None:
    with pytest.raises(InputError, match="n = 0: must be 1 or more"):
        best_of_n_kl_bound([0])
    with pytest.raises(InputError, match="1 missing"):
        best_of_n_divergence([1.0, np.nan], [2])


@pytest.mark.parametrize("chance", [[0.95, 0.05], [0.99, 0.01], [0.7, 0.3], [0.5, 0.3, 0.1, 0.07, 0.03]])
@pytest.mark.parametrize("n_samples", [8, 16])
def test_a_cautious_chi2_is_not_too_small_on_average(chance: list[float], n_samples: int) -> None:
    rng, p = np.random.default_rng(0), np.array(chance)
    n = np.array([k for k in (2, 4, 8, 16) if k <= n_samples])
    edge = np.r_[0.0, np.cumsum(p)]
    truth_N = ((edge[1:, None] ** n - edge[:-1, None] ** n) ** 2 / p[:, None]).sum(axis=0) - 1
    seen = np.array([best_of_n_divergence(rng.choice(p.size, n_samples, p=p), n)[1] for _ in range(4000)])
    cautious_N = cautious_chi2(seen, n, [n_samples] * len(seen))
    assert (seen.mean(axis=0) < 0.99 * truth_N).any()
    error_N = seen.std(axis=0) / math.sqrt(len(seen))
    assert (cautious_N >= truth_N - 4 * error_N).all()
    assert (cautious_N <= best_of_n_chi2_bound(n)).all()


def test_a_cautious_chi2_changes_nothing_without_ties() -> None:
    bound_N = best_of_n_chi2_bound(np.arange(1, 9))
    assert cautious_chi2([bound_N, bound_N], np.arange(1, 9), [8, 12]) == pytest.approx(bound_N)
    assert cautious_chi2([[0.0]], [1], [1]) == 0
