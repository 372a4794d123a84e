"""Adjusted p-values: by hand, their laws, how often a family of true nulls rejects, messages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.errors import InputError
from karat.numerics.multiplicity import benjamini_hochberg, holm


def test_adjusted_p_values_by_hand() -> None:
    p = [0.01, 0.04, 0.03, math.nan]
    assert benjamini_hochberg(p) == pytest.approx([0.03, 0.04, 0.04, math.nan], nan_ok=True)
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, math.nan], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusting_keeps_the_order_and_holm_is_the_stricter(p: list[float]) -> None:
    found, strict = benjamini_hochberg(p), holm(p)
    assert np.all(found >= np.array(p) - 1e-12)
    assert np.all(strict >= found - 1e-12)
    assert np.all(strict <= np.minimum(1, np.array(p) * len(p)) + 1e-12)
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(found[order]) >= -1e-12)
    assert np.all(np.diff(strict[order]) >= -1e-12)


def test_a_family_of_true_nulls_rejects_as_seldom_as_promised() -> None:
    p_RK = np.random.default_rng(0).random((2000, 23))
    assert np.mean([np.any(p_K <= 0.05) for p_K in p_RK]) > 0.6  # what is looked at without adjusting
    for adjust in (benjamini_hochberg, holm):
        assert np.mean([np.any(adjust(p_K) <= 0.05) for p_K in p_RK]) == pytest.approx(0.05, abs=0.015)


def test_nothing_tested() -> None:
    assert holm([]).size == 0
    assert np.isnan(benjamini_hochberg([math.nan])).all()


def test_messages() -> None:
    with pytest.raises(InputError, match=r"p_value_K: 1 of 1 values \(first: index 0, 1.2\)"):
        holm([1.2])
