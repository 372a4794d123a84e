"""Divergences of selection rules: hand values, integrals, and the bound."""

from __future__ import annotations

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
    selection_kl,
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
