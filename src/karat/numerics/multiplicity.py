"""Several tests at once: p-values adjusted for how many were looked at.

Axes: K tests.

Sources: Benjamini & Hochberg 1995 (false discovery rate); Holm 1979 (family-wise error).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from karat.numerics.validation import require


def benjamini_hochberg(p_value_K: ArrayLike) -> np.ndarray:
    """p-values adjusted so that rejecting those <= q bounds the expected share of false ones among them by q.

    For tables that look for leads. Valid for independent or positively dependent tests.

    Args:
        p_value_K: p-values, shape (K,); NaN (not tested) stays NaN and does not count.
    Raises: InputError: a p-value outside [0, 1].
    """
    return _adjusted(p_value_K, lambda p_K: _running(np.minimum, (p_K * p_K.size / _ranks(p_K))[::-1])[::-1])


def holm(p_value_K: ArrayLike) -> np.ndarray:
    """p-values adjusted so that rejecting those <= q bounds the chance of any false one by q.

    For statements that will be acted on. Valid under any dependence.

    Args:
        p_value_K: p-values, shape (K,); NaN (not tested) stays NaN and does not count.
    Raises: InputError: a p-value outside [0, 1].
    """
    return _adjusted(p_value_K, lambda p_K: _running(np.maximum, p_K * (p_K.size + 1 - _ranks(p_K))))


def _ranks(p_K: np.ndarray) -> np.ndarray:
    return np.arange(1, p_K.size + 1)


def _running(extreme: np.ufunc, value_K: np.ndarray) -> np.ndarray:
    return np.asarray(extreme.accumulate(value_K))


def _adjusted(p_value_K: ArrayLike, adjust: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a step-up or step-down rule to the sorted p-values that are given, and put them back in place."""
    p_K = np.asarray(p_value_K, dtype=np.float64)
    is_given = ~np.isnan(p_K)
    require("p_value_K", p_K, ~is_given | ((p_K >= 0) & (p_K <= 1)), "are outside [0, 1]. Give NaN for not tested.")
    adjusted_K = np.full(p_K.shape, np.nan)
    order = np.flatnonzero(is_given)[np.argsort(p_K[is_given], kind="stable")]
    if order.size:
        adjusted_K[order] = np.minimum(adjust(p_K[order]), 1.0)
    return adjusted_K
