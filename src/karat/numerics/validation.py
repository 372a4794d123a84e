"""Checks that the numerics share.  Axes: P pairs (or any items), G clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from karat.errors import InputError


def as_vector(name: str, value: ArrayLike) -> np.ndarray:
    """The values as a float64 vector. Raises: InputError: more than one axis."""
    vector = np.asarray(value, dtype=np.float64)
    if vector.ndim != 1:
        raise InputError(f"{name}: shape {vector.shape}, must be one-dimensional. Give one value per item.")
    return vector


def finite_vector(name: str, value: ArrayLike, remedy: str) -> np.ndarray:
    """The values as a float64 vector, all finite.

    Raises: InputError: a value is not finite; the message names how many, the first index, its value and the remedy.
    """
    vector = as_vector(name, value)
    require(name, vector, np.isfinite(vector), f"are not finite. {remedy}")
    return vector


def require(name: str, value_P: np.ndarray, is_good_P: np.ndarray, complaint: str) -> None:
    """Raise an InputError that counts the bad values and shows the first, unless all are good."""
    bad = np.flatnonzero(~is_good_P)
    if bad.size:
        raise InputError(
            f"{name}: {bad.size} of {value_P.size} values (first: index {bad[0]}, {value_P[bad[0]]}) {complaint}"
        )


def require_same_length(**arrays: np.ndarray) -> None:
    """Raises: InputError: the named arrays do not have one length."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"Arrays of different lengths: {told}. Give one value per item in each.")


def require_share(name: str, value: float, *, low: float = 0.0, high: float = 1.0) -> None:
    """Raises: InputError: the value is not strictly between low and high."""
    if not low < value < high:
        raise InputError(f"{name} = {value}: must lie strictly between {low:g} and {high:g}.")


def cluster_codes(cluster_P: ArrayLike, n_items: int) -> tuple[np.ndarray, int]:
    """Clusters numbered 0..G-1 in order of their sorted names, and G.

    Args:
        cluster_P: any sortable names (numbers or text), shape (P,).
        n_items: the P that is expected.
    Raises: InputError: not one name per item.
    """
    names = np.asarray(cluster_P)
    if names.shape != (n_items,):
        raise InputError(f"cluster_P: shape {names.shape}, must be ({n_items},): the cluster of every item.")
    unique, code_P = np.unique(names, return_inverse=True)
    return code_P, len(unique)
