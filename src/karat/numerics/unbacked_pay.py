r"""How much of what a reward pays for a feature the labels do not back.

Axes: P pairs, K payments, F folds.

A payment g_k is what the reward pays for a feature, in its own units, as a function of one response (a trend over the
length, a weight times a count). With d the reward's margin and g the difference of the payments, the labels follow

    P(chosen is preferred) = sigma(a (d - sum_k share_k g_k)),        0 <= share_k <= 1,

and share_k is the part of payment k that they do not back: 0 where taking it away would predict them worse, 1 where
they know nothing of it. At the maximum the reward's preferences go with the feature as much as the labels do, no more:
the score equation of share_k is sum over pairs of (predicted - label) g_k = 0. So what is taken away is the reward's
slope less the labels'; where longer is really preferred, paying for length stays (uniform correction took accuracy
there, ALBM). A share is never below 0 or above 1: a payment is neither raised nor turned round.

Noise in the reward makes g a better guess of what people like than d alone, which lowers the shares: less is taken.

A penalty draws shares to 0. It is in nats: penalty / 2 times the sum of squares of a_0 share_k times the deviation of
g_k, where a_0 is the scale without any share. Which one is best is found on pairs that were not fitted; it must predict
them better than shares of 0 by a standard error. Payments come in groups (length, style), each with its own penalty,
found in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit

from karat.errors import DataError, InputError
from karat.numerics.preference_likelihood import checked_pairs
from karat.numerics.validation import require_same_length

PENALTIES = (1.0, 10.0, 100.0)
"""Tried besides infinity; in pairs, as the likelihood is a sum over pairs."""
CLEAR = 1.0
"""Standard errors over pairs by which a penalty must predict better than shares of 0 do."""
_LOG_SCALE = (-8.0, 8.0)
"""Bounds of log a, margins in units of their root mean square."""


@dataclass(frozen=True, slots=True)
class UnbackedPay:
    """What the labels say of payments.

    Attributes:
        share_K: the part of each that they do not back, in [0, 1].
        scale: a, nats per unit of the reward less those parts; plain_scale: of the reward as it is.
        penalty_K: the ones that predicted other pairs best; infinite where no share did.
    """

    share_K: np.ndarray
    scale: float
    plain_scale: float
    penalty_K: np.ndarray


def fit_unbacked_pay(
    margin_P: ArrayLike, label_P: ArrayLike, payment_PK: np.ndarray, fold_P: ArrayLike, *, group_K: Sequence[int]
) -> UnbackedPay:
    """Shares of payments that the labels do not back, with the penalty that does best out of fold.

    Args:
        margin_P: the reward's, of chosen less rejected, shape (P,).
        label_P: probability that chosen is preferred, in [0, 1].
        payment_PK: differences of the payments, of chosen less rejected, reward units; fitted on other pairs than
            those they are given for, or they explain their own noise.
        fold_P: fold of each pair; pairs of one prompt in one fold.
        group_K: group of each payment, 0, 1, ..., whose penalties are found in this order.
    Raises: InputError: shapes do not fit. DataError: the margins do not point towards the labels.
    """
    margin, label = checked_pairs(margin_P, label_P)
    payment = np.asarray(payment_PK, np.float64)
    if payment.ndim != 2 or len(payment) != margin.size or not np.isfinite(payment).all():
        raise InputError(f"payment_PK: shape {payment.shape}, must be ({margin.size}, payments), all finite.")
    fold = np.asarray(fold_P)
    require_same_length(margin_P=margin, fold_P=fold)
    if not float(np.sum((2 * label - 1) * margin)) > 0:
        raise DataError(
            f"the reward's margins do not point towards the labels of these {margin.size} pairs, so nothing can be "
            "learnt of what the labels back. Look at its accuracy first (karat train's evaluation, karat check)."
        )
    unit = float(np.sqrt(np.mean(margin**2)))
    fit = _Fit(margin / unit, label, payment / unit)
    penalty_K, group = np.full(payment.shape[1], np.inf), np.asarray(group_K, int)
    for number in range(int(group.max(initial=-1)) + 1):
        penalty_K = _best_penalty(fit, fold, penalty_K, group == number)
    every_P = np.ones(margin.size, bool)
    share_K, log_scale = fit.solve(every_P, penalty_K)
    _, plain_log_scale = fit.solve(every_P, np.full(payment.shape[1], np.inf))
    return UnbackedPay(share_K, float(np.exp(log_scale)) / unit, float(np.exp(plain_log_scale)) / unit, penalty_K)


@dataclass(frozen=True, slots=True)
class _Fit:
    """Pairs in units of the margin's root mean square."""

    margin_P: np.ndarray
    label_P: np.ndarray
    payment_PK: np.ndarray

    def solve(self, used_P: np.ndarray, penalty_K: np.ndarray) -> tuple[np.ndarray, float]:
        """Shares and log a from some of the pairs."""
        free = np.flatnonzero(np.isfinite(penalty_K))
        margin, label, payment = self.margin_P[used_P], self.label_P[used_P], self.payment_PK[used_P][:, free]
        plain = minimize_scalar(
            lambda at: float(_loss(np.exp(at) * margin, label).sum()), bounds=_LOG_SCALE, method="bounded"
        ).x
        share_K = np.zeros(penalty_K.size)
        if not free.size:
            return share_K, float(plain)
        weight_K = penalty_K[free] * np.exp(2 * plain) * (payment**2).mean(axis=0)

        def cost(at: np.ndarray) -> tuple[float, np.ndarray]:
            scale, share = np.exp(at[0]), at[1:]
            nats_P = scale * (margin - payment @ share)
            slope_P = expit(nats_P) - label
            value = float(_loss(nats_P, label).sum() + 0.5 * np.sum(weight_K * share**2))
            return value, np.r_[slope_P @ nats_P, -scale * (slope_P @ payment) + weight_K * share]

        bounds = [_LOG_SCALE, *[(0.0, 1.0)] * free.size]
        found = minimize(cost, np.r_[plain, np.full(free.size, 0.1)], jac=True, method="L-BFGS-B", bounds=bounds)
        share_K[free] = found.x[1:]
        return share_K, float(found.x[0])


def _best_penalty(fit: _Fit, fold_P: np.ndarray, penalty_K: np.ndarray, in_group_K: np.ndarray) -> np.ndarray:
    """The penalties, those of one group by what predicts other folds best; left infinite where that is not clear."""
    without_P = _out_of_fold(fit, fold_P, penalty_K)
    tried = [np.where(in_group_K, penalty, penalty_K) for penalty in PENALTIES]
    gain_P = [_out_of_fold(fit, fold_P, each_K) - without_P for each_K in tried]
    best = int(np.argmax([gain.sum() for gain in gain_P]))
    is_clear = gain_P[best].sum() > CLEAR * np.sqrt(without_P.size) * gain_P[best].std()
    return tried[best] if is_clear else penalty_K


def _out_of_fold(fit: _Fit, fold_P: np.ndarray, penalty_K: np.ndarray) -> np.ndarray:
    """Log-likelihood of each pair by the numbers of the other folds."""
    found_P = np.zeros(fold_P.size)
    for fold in np.unique(fold_P):
        here = fold_P == fold
        share_K, log_scale = fit.solve(~here, penalty_K)
        nats_P = np.exp(log_scale) * (fit.margin_P[here] - fit.payment_PK[here] @ share_K)
        found_P[here] = -_loss(nats_P, fit.label_P[here])
    return found_P


def _loss(nats_P: np.ndarray, label_P: np.ndarray) -> np.ndarray:
    return np.asarray(-(label_P * log_expit(nats_P) + (1 - label_P) * log_expit(-nats_P)))
