r"""Linear rewards on vectors: Bradley-Terry logistic regression on differences, and margins from the other folds.

Axes: P pairs, D dimensions, R ridges, K folds, M repeats.  x = vector(chosen) - vector(rejected), l the probability
that `chosen` is preferred, sigma the logistic function: P(chosen is preferred) = sigma(w . x). There is no intercept:
swapping the two responses must turn the sign of the margin and nothing else.

Cross-fitting: the margin of a pair comes from heads that have seen no pair of its prompt (with them, a head remembers
wrong labels and hides them). The ridge is chosen inside the training folds, by the loss on each of them in turn.

Sources: Bradley & Terry 1952; Chernozhukov et al. 2018 (cross-fitting); Liu & Nocedal 1989 (L-BFGS); Boehning & Lindsay
1988 (the bound on the Hessian that sets the coordinates).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from karat.errors import InputError
from karat.numerics.preference_likelihood import checked_pairs
from karat.numerics.validation import cluster_codes, require

MARGIN_VARIANCES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
"""Ridges that are tried, as the variance that the prior of the weights gives the margin of a typical pair."""
UNCHOSEN_VARIANCE = 0.03
"""With two folds, where nothing is left inside to choose on."""
_TOLERANCE = 1e-4
"""Of the gradient in coordinates where the Hessian is at most 1: the loss is then right to about 1e-8 nats in sum."""


def fit_head(diff_PD: np.ndarray, label_P: ArrayLike, *, l2: float, weight_P: ArrayLike | None = None) -> np.ndarray:
    """Weights w that minimise sum_i v_i CE(l_i, sigma(w . x_i)) + l2/2 |w|^2, shape (D,).

    Columns of very different size share one ridge: divide them by `column_scale` first.

    Args:
        diff_PD: x, chosen less rejected, shape (P, D).
        label_P: l in [0, 1], shape (P,) or one for all.
        l2: ridge > 0.
        weight_P: v >= 0, shape (P,); None: 1 each.
    Raises: InputError: a value is not finite, or out of its range, or shapes do not fit.
    """
    return np.asarray(fit_heads(diff_PD, label_P, l2s=(l2,), weight_P=weight_P)[0])


def fit_heads(
    diff_PD: np.ndarray, label_P: ArrayLike, *, l2s: Sequence[float], weight_P: ArrayLike | None = None
) -> np.ndarray:
    """`fit_head` for several ridges, shape (R, D); the costly part of the work is done once.

    L-BFGS in coordinates where v X'X / 4 + l2, which bounds the Hessian, is the unit matrix.
    """
    x_PD, label, weight = _checked(diff_PD, label_P, weight_P)
    for l2 in l2s:
        if not 0 < l2 < math.inf:
            raise InputError(f"l2 = {l2}: the ridge must be positive and finite.")
    size_D, axis_DD = eigh((x_PD * weight[:, None]).T @ x_PD)
    turned_PD = x_PD @ axis_DD
    out_RD, start_D = np.zeros((len(l2s), x_PD.shape[1])), np.zeros(x_PD.shape[1])
    for index in np.argsort(l2s)[::-1]:  # from the strongest: each fit starts at the one before
        unit_D = 1 / np.sqrt(np.maximum(size_D, 0) / 4 + l2s[index])
        start_D = _minimum(turned_PD, label, weight, l2s[index], unit_D, start_D)
        out_RD[index] = axis_DD @ start_D
    return out_RD


def _minimum(
    x_PD: np.ndarray, label_P: np.ndarray, weight_P: np.ndarray, l2: float, unit_D: np.ndarray, start_D: np.ndarray
) -> np.ndarray:
    """Weights at the minimum, in the coordinates of x; unit_D are the steps along them."""

    def loss(z_D: np.ndarray) -> tuple[float, np.ndarray]:
        w_D = z_D * unit_D
        margin_P = x_PD @ w_D
        entropy_P = label_P * log_expit(margin_P) + (1 - label_P) * log_expit(-margin_P)
        slope_D = x_PD.T @ (weight_P * (expit(margin_P) - label_P)) + l2 * w_D
        return float(l2 / 2 * w_D @ w_D - weight_P @ entropy_P), slope_D * unit_D

    found = minimize(
        loss,
        start_D / unit_D,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "gtol": _TOLERANCE, "ftol": 0.0, "maxcor": 20},
    )
    return np.asarray(found.x * unit_D)


def column_scale(diff_PD: np.ndarray) -> np.ndarray:
    """Root mean square of each column, shape (D,); 1 for a column of zeros. Divide by it before a ridge is applied.

    The mean is not taken off: a difference of zero must stay one.
    """
    scale_D = np.sqrt(np.mean(np.square(np.asarray(diff_PD, dtype=np.float64)), axis=0))
    return np.where(scale_D > 0, scale_D, 1.0)


def ridge_of(margin_variance: float, diff_PD: np.ndarray) -> float:
    """The l2 whose prior N(0, 1/l2) on the weights gives a pair of mean size that variance of its margin.

    mean |x|^2 / variance; the columns of diff_PD are already scaled. 1 for pairs that do not differ at all.
    """
    size = float(np.mean(np.sum(np.square(diff_PD), axis=1))) if len(diff_PD) else 0.0
    return size / margin_variance if size > 0 else 1.0


# ------------------------------------------------------------------------------------------------------- cross-fitting
@dataclass(frozen=True, slots=True)
class CrossFit:
    """Margins of pairs from heads that saw none of their prompt.

    Attributes:
        margin_PM: out-of-fold margins, nats, one column for each repeat (other folds).
        variance_MK: margin variance (see `MARGIN_VARIANCES`) that was chosen in each fold of each repeat.
        n_folds: folds; fewer than were asked for where there are fewer prompts.
    """

    margin_PM: np.ndarray
    variance_MK: np.ndarray
    n_folds: int

    def strength(self) -> np.ndarray:
        """Preference strength, shape (P,): the mean margin over the repeats."""
        return np.asarray(self.margin_PM.mean(axis=1))

    def spread(self) -> np.ndarray:
        """Standard deviation of the margin over the repeats, shape (P,); NaN for one."""
        n_repeats = self.margin_PM.shape[1]
        if n_repeats < 2:
            return np.full(len(self.margin_PM), math.nan)
        return np.asarray(self.margin_PM.std(axis=1, ddof=1))


def prompt_folds(cluster_P: ArrayLike, folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for each pair, shape (P,), 0 to folds - 1: whole clusters, in random order, as equal in pairs as they go.

    Raises: InputError: fewer clusters than folds, or folds < 2.
    """
    code_P, n_clusters = cluster_codes(cluster_P, len(np.asarray(cluster_P)))
    if not 2 <= folds <= n_clusters:
        raise InputError(f"folds = {folds} of {n_clusters} prompts: must be at least 2, and no more than the prompts.")
    size_G = np.bincount(code_P)
    # Largest first into the emptiest fold, ties in random order: near-equal folds whatever the sizes.
    order = rng.permutation(n_clusters)
    order = order[np.argsort(-size_G[order], kind="stable")]
    fold_G, held_K = np.empty(n_clusters, dtype=np.int64), np.zeros(folds)
    if size_G.max() == size_G.min():
        fold_G[order] = np.arange(n_clusters) % folds
        return np.asarray(fold_G[code_P])
    for cluster in order:
        emptiest = np.flatnonzero(held_K == held_K.min())
        fold_G[cluster] = emptiest[rng.integers(emptiest.size)]
        held_K[fold_G[cluster]] += size_G[cluster]
    return np.asarray(fold_G[code_P])


def cross_fit(
    diff_PD: np.ndarray,
    label_P: ArrayLike,
    cluster_P: ArrayLike,
    *,
    folds: int = 5,
    repeats: int = 3,
    rng: np.random.Generator,
    progress: Callable[..., None] | None = None,
) -> CrossFit:
    """Out-of-fold margins of every pair, `repeats` times with other folds.

    In each fold the columns are scaled by the training pairs, and the ridge is the one of `MARGIN_VARIANCES` with the
    least loss when each training fold is held out of the rest.

    Args:
        diff_PD: vectors of chosen less rejected, shape (P, D).
        label_P: probability that `chosen` is preferred, shape (P,) or one for all.
        cluster_P: prompt of each pair, shape (P,).
        folds, repeats: K and M; fewer prompts than K: as many folds as prompts.
        rng: source of the folds.
        progress: called as progress(stage, done, total, note).
    Raises: InputError: fewer than two prompts, or as `fit_head`.
    """
    x_PD, label, _ = _checked(diff_PD, label_P, None)
    code_P, n_clusters = cluster_codes(cluster_P, len(x_PD))
    if n_clusters < 2:
        raise InputError(
            f"{n_clusters} prompt: margins from other prompts need at least 2. Give pairs of several prompts."
        )
    n_folds = min(folds, n_clusters)
    margin_PM, variance_MK = np.empty((len(x_PD), repeats)), np.empty((repeats, n_folds))
    for repeat in range(repeats):
        if progress:
            progress("fitting heads", repeat, repeats, "cross-fits")
        fold_P = prompt_folds(code_P, n_folds, rng)
        margin_PM[:, repeat], variance_MK[repeat] = _one_cross_fit(x_PD, label, fold_P, n_folds)
    return CrossFit(margin_PM, variance_MK, n_folds)


def _one_cross_fit(
    x_PD: np.ndarray, label_P: np.ndarray, fold_P: np.ndarray, n_folds: int
) -> tuple[np.ndarray, np.ndarray]:
    """Margins, (P,), and the chosen margin variance of each fold, (K,)."""
    variance_K = np.full(n_folds, UNCHOSEN_VARIANCE)
    if n_folds > 2:
        variance_K = np.array(MARGIN_VARIANCES)[np.argmin(_inner_losses(x_PD, label_P, fold_P, n_folds), axis=1)]
    margin_P = np.empty(len(x_PD))
    for fold in range(n_folds):
        margin_P[fold_P == fold] = _held_margins(x_PD, label_P, fold_P != fold, fold_P == fold, (variance_K[fold],))[0]
    return margin_P, variance_K


def _inner_losses(x_PD: np.ndarray, label_P: np.ndarray, fold_P: np.ndarray, n_folds: int) -> np.ndarray:
    """Summed loss of each ridge inside the training folds of each fold, shape (K, R).

    Heads fitted without folds a and b serve two ends: they judge b for the training of a, and a for that of b.
    """
    loss_KR = np.zeros((n_folds, len(MARGIN_VARIANCES)))
    for one, other in combinations(range(n_folds), 2):
        is_in = (fold_P != one) & (fold_P != other)
        is_out = ~is_in
        margin_RP = _held_margins(x_PD, label_P, is_in, is_out, MARGIN_VARIANCES)
        held = label_P[is_out]
        loss_RP = -(held * log_expit(margin_RP) + (1 - held) * log_expit(-margin_RP))
        for outer, judged in ((one, other), (other, one)):
            loss_KR[outer] += loss_RP[:, fold_P[is_out] == judged].sum(axis=1)
    return loss_KR


def _held_margins(
    x_PD: np.ndarray, label_P: np.ndarray, is_in_P: np.ndarray, is_out_P: np.ndarray, variances: Sequence[float]
) -> np.ndarray:
    """Margins of the pairs outside by heads fitted inside, (R, pairs outside)."""
    scale_D = column_scale(x_PD[is_in_P])
    inside = x_PD[is_in_P] / scale_D
    head_RD = fit_heads(inside, label_P[is_in_P], l2s=[ridge_of(each, inside) for each in variances])
    return np.asarray(head_RD @ (x_PD[is_out_P] / scale_D).T)


def _checked(
    diff_PD: np.ndarray, label_P: ArrayLike, weight_P: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x_PD = np.asarray(diff_PD, dtype=np.float64)
    if x_PD.ndim != 2:
        raise InputError(f"diff_PD: shape {x_PD.shape}, must be (pairs, dimensions).")
    is_good = np.isfinite(x_PD).all(axis=1)
    if not is_good.all():
        raise InputError(
            f"diff_PD: {int(np.sum(~is_good))} of {len(x_PD)} pairs have values that are not finite (first: index "
            f"{int(np.argmin(is_good))}). Leave those pairs out and report the count."
        )
    _, label = checked_pairs(np.zeros(len(x_PD)), label_P)
    weight = np.ones(len(x_PD)) if weight_P is None else np.asarray(weight_P, dtype=np.float64)
    if weight.shape != (len(x_PD),):
        raise InputError(f"weight_P: shape {weight.shape}, must be ({len(x_PD)},): one weight per pair.")
    require("weight_P", weight, np.isfinite(weight) & (weight >= 0), "are negative or not finite. Use 0 to leave out.")
    return x_PD, label, weight
