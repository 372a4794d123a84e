"""Clusters as normal distributions with one common covariance, as many as the data support.

Topics may differ in size and the space may be stretched, alike for all; k-means, which assumes equal sizes and round
clusters, splits a large topic before it sees a small one. Fitted with many components first, which are then merged two
by two (the pair whose merger moves the likelihood least) and refitted, down to one; the number with the lowest BIC
stays.

Axes: Q points, D dimensions, K components.

Sources: Dempster, Laird & Rubin 1977 (EM); Schwarz 1978 (BIC); Ward 1963 (cost of a merger).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import logsumexp

from karat.errors import InputError

_STEPS, _TOLERANCE = 30, 1e-3
"""Of EM: most steps, and the gain in log-likelihood for each point at which it stops; a component is worth far more."""
_FLOOR = 1e-4
"""Of the mean variance, added to each: points that coincide in a direction would make it infinitely likely."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """K normal distributions with a common covariance.

    Attributes:
        weight_K: shares, sum 1. mean_KD: means. covariance_DD: of each.
        bic: -2 log-likelihood + parameters log Q, of the points that it was fitted to.
    """

    weight_K: np.ndarray
    mean_KD: np.ndarray
    covariance_DD: np.ndarray
    bic: float

    def assign(self, point_QD: np.ndarray) -> np.ndarray:
        """The likeliest component of each point, shape (Q,)."""
        return np.asarray(np.argmax(_log_joint(point_QD, self.weight_K, self.mean_KD, self.covariance_DD), axis=1))


def fit_mixture(point_QD: np.ndarray, start_KD: np.ndarray) -> Mixture:
    """The mixture with the lowest BIC on the way from the given means to one component.

    Args:
        point_QD: points, shape (Q, D); more points than dimensions.
        start_KD: first means, as many components as are to be considered at most.
    Raises: InputError: a value is not finite, or too few points.
    """
    point = np.asarray(point_QD, np.float64)
    if point.ndim != 2 or not np.isfinite(point).all() or len(point) <= point.shape[1]:
        raise InputError(f"point_QD: shape {point.shape}, must be finite with more points than dimensions.")
    weight_K, mean_KD = np.full(len(start_KD), 1 / len(start_KD)), np.asarray(start_KD, np.float64)
    covariance = np.cov(point.T, bias=True).reshape(point.shape[1], -1)
    covariance = covariance + _floor(covariance)
    # the covariance within clusters, not of the whole: distances to the first means are judged by it
    nearest = np.argmin(((point[:, None, :] - mean_KD) ** 2).sum(axis=2), axis=1)
    within = point - mean_KD[nearest]
    covariance = within.T @ within / len(point) + _floor(covariance)
    best: Mixture | None = None
    while True:
        fitted = _fit(point, weight_K, mean_KD, covariance)
        if best is None or fitted.bic < best.bic:
            best = fitted
        if len(fitted.weight_K) == 1:
            return best
        weight_K, mean_KD = _merged(fitted)
        covariance = fitted.covariance_DD


def _floor(covariance_DD: np.ndarray) -> np.ndarray:
    size = float(np.trace(covariance_DD)) / len(covariance_DD)
    return np.asarray(np.eye(len(covariance_DD)) * (_FLOOR * size if size > 0 else 1.0))


def _log_joint(
    point_QD: np.ndarray, weight_K: np.ndarray, mean_KD: np.ndarray, covariance_DD: np.ndarray
) -> np.ndarray:
    """log of weight times density, shape (Q, K)."""
    root = cholesky(covariance_DD, lower=True)
    z_QD = solve_triangular(root, point_QD.T, lower=True).T
    z_KD = solve_triangular(root, mean_KD.T, lower=True).T
    square = np.sum(z_QD**2, axis=1)[:, None] + np.sum(z_KD**2, axis=1) - 2 * z_QD @ z_KD.T
    n_dimensions = point_QD.shape[1]
    constant = -0.5 * n_dimensions * math.log(2 * math.pi) - float(np.log(np.diag(root)).sum())
    return np.asarray(np.log(weight_K) + constant - 0.5 * square)


def _fit(point: np.ndarray, weight_K: np.ndarray, mean_KD: np.ndarray, covariance_DD: np.ndarray) -> Mixture:
    """EM from a start; a component that holds less than one point is dropped."""
    n, n_dimensions = point.shape
    scatter = point.T @ point
    floor = _floor(scatter / n - np.outer(point.mean(axis=0), point.mean(axis=0)))
    last = -math.inf
    for _ in range(_STEPS):
        joint_QK = _log_joint(point, weight_K, mean_KD, covariance_DD)
        top_Q = joint_QK.max(axis=1)
        share_QK = np.exp(joint_QK - top_Q[:, None])
        total_Q = share_QK.sum(axis=1)
        likelihood = float(top_Q.sum() + np.log(total_Q).sum())
        if likelihood - last < _TOLERANCE * n:
            break
        last = likelihood
        share_QK /= total_Q[:, None]
        held_K = share_QK.sum(axis=0)
        keep = held_K >= 1
        share_QK, held_K = share_QK[:, keep], held_K[keep]
        mean_KD = share_QK.T @ point / held_K[:, None]
        weight_K = held_K / held_K.sum()
        covariance_DD = (scatter - (mean_KD.T * held_K) @ mean_KD) / n + floor
    k = len(weight_K)
    n_parameters = k - 1 + k * n_dimensions + n_dimensions * (n_dimensions + 1) // 2
    likelihood = float(logsumexp(_log_joint(point, weight_K, mean_KD, covariance_DD), axis=1).sum())
    return Mixture(weight_K, mean_KD, covariance_DD, -2 * likelihood + n_parameters * math.log(n))


def _merged(fitted: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Weights and means after the cheapest merger: least w_i w_j / (w_i + w_j) times the squared distance."""
    root = cholesky(fitted.covariance_DD, lower=True)
    z_KD = solve_triangular(root, fitted.mean_KD.T, lower=True).T
    square_KK = ((z_KD[:, None] - z_KD) ** 2).sum(axis=2)
    weight = fitted.weight_K
    cost_KK = square_KK * weight[:, None] * weight / (weight[:, None] + weight)
    np.fill_diagonal(cost_KK, np.inf)
    i, j = np.unravel_index(np.argmin(cost_KK), cost_KK.shape)
    both = weight[i] + weight[j]
    mean = (weight[i] * fitted.mean_KD[i] + weight[j] * fitted.mean_KD[j]) / both
    rest = [k for k in range(len(weight)) if k not in (i, j)]
    return np.append(weight[rest], both), np.vstack([fitted.mean_KD[rest], mean])
