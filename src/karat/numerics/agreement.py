r"""Agreement of annotators who vote on the same units, and how reliable each of them is.

Axes: V votes, U units, A annotators, C categories, G clusters of units.

Krippendorff's alpha.  With o_ck = sum over units of the ordered pairs of votes (c, k) by different annotators, each
unit's divided by its votes - 1, and n_c = sum_k o_ck: alpha = 1 - (n - 1) sum o_ck delta_ck / sum n_c n_k delta_ck,
delta the squared difference of two categories. 1: all agree; 0: as if votes were drawn from one urn. Votes may be
missing; a unit with a single vote has no say.

Reliability: the one-coin model.  Each unit has one right side, either equally likely beforehand; annotator a names it
with probability p_a, whatever the unit. Hard units are not in it: where votes differ because a choice is close, every
annotator looks less reliable, all alike. p_a has a beta prior around the mean of all, worth PRIOR_VOTES votes, so that
three votes make nobody perfect.

Sources: Krippendorff 2011 (computing alpha); Dawid & Skene 1979, with one parameter each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit, ndtr

from karat.errors import InputError
from karat.numerics.intervals import UNDEFINED, Interval, cluster_bootstrap, wilson
from karat.numerics.multiplicity import benjamini_hochberg
from karat.numerics.validation import cluster_codes, finite_vector, require_same_length

Metric = Literal["nominal", "ordinal", "interval"]
PRIOR_VOTES = 10.0
FEW_VOTES = 10
"""Fewer votes are not tested: they could not tell, and would weaken the test of the others."""
_GRID = (np.arange(400) + 0.5) / 400
_ROUNDS, _SETTLED = 200, 1e-6


def krippendorff_alpha(
    value_V: ArrayLike,
    unit_V: ArrayLike,
    *,
    metric: Metric,
    rng: np.random.Generator,
    cluster_V: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """Alpha of votes with a bootstrap interval over units, or over clusters of units.

    Args:
        value_V: what was voted, numbers, shape (V,).
        unit_V: what was voted on, shape (V,).
        metric: nominal: categories differ or do not; interval: squared difference of the values; ordinal: of their
            ranks among all votes.
        rng: source of the resamples.
        cluster_V: what units of one kind share (the prompt), shape (V,); None: each unit for itself.
        level: confidence level in (0, 1).
    Returns: NaN where no unit has two votes, or all votes are of one category (nothing could have differed).
    Raises: InputError: a value is not finite, or lengths differ, or there is no such metric.
    """
    value = finite_vector("value_V", value_V, "Leave missing votes out.")
    unit_code_V, _ = cluster_codes(unit_V, value.size)
    group_V = unit_code_V if cluster_V is None else cluster_codes(cluster_V, value.size)[0]
    used_V = np.bincount(unit_code_V)[unit_code_V] >= 2
    if not used_V.any():
        return UNDEFINED
    category_C, value_code_V = np.unique(value[used_V], return_inverse=True)
    total_GK = _coincidences(value_code_V, unit_code_V[used_V], group_V[used_V])
    found = cluster_bootstrap(
        total_GK, lambda total: _alpha(total, category_C, metric), rng=rng, level=level, resamples=1000
    )
    if found.method == "no variation" and found.estimate == 1:
        # Nobody disagrees: as many clusters as Wilson allows might, as far apart as two votes can be.
        _, expected, furthest = _disagreement(total_GK.sum(axis=0), category_C, metric)
        low = 1 - wilson(0, len(total_GK), level=level)[1] * float(furthest / expected)
        return Interval(1.0, low, 1.0, found.n_clusters, found.method)
    return found


def _coincidences(value_V: np.ndarray, unit_V: np.ndarray, group_V: np.ndarray) -> np.ndarray:
    """o_ck of each cluster, shape (G, C * C), of votes that all have another on their unit."""
    _, first, unit_V = np.unique(unit_V, return_index=True, return_inverse=True)
    _, group_U = np.unique(group_V[first], return_inverse=True)
    n_categories = int(value_V.max()) + 1
    count_UC = np.zeros((first.size, n_categories))
    np.add.at(count_UC, (unit_V, value_V), 1.0)
    pair_UCC = count_UC[:, :, None] * count_UC[:, None, :]
    index = np.arange(n_categories)
    pair_UCC[:, index, index] -= count_UC
    pair_UCC /= count_UC.sum(axis=1)[:, None, None] - 1
    total_GK = np.zeros((int(group_U.max()) + 1, n_categories**2))
    np.add.at(total_GK, group_U, pair_UCC.reshape(first.size, -1))
    return total_GK


def _alpha(total_K: np.ndarray, category_C: np.ndarray, metric: Metric) -> np.ndarray:
    """Alpha of coincidence totals (..., C * C)."""
    observed, expected, _ = _disagreement(total_K, category_C, metric)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(expected > 0, 1 - observed / expected, math.nan))


def _disagreement(
    total_K: np.ndarray, category_C: np.ndarray, metric: Metric
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean delta of two votes on a unit, of any two votes, and the largest delta, of totals (..., C * C)."""
    pair = total_K.reshape(*total_K.shape[:-1], category_C.size, category_C.size)
    n_C = pair.sum(axis=-1)
    if metric == "nominal":
        delta = np.asarray(category_C[:, None] != category_C[None], dtype=np.float64)
    elif metric == "interval":
        delta = np.square(category_C[:, None] - category_C[None])
    elif metric == "ordinal":
        middle_C = np.cumsum(n_C, axis=-1) - n_C / 2  # mean rank of a category; ties of ranks fall out
        delta = np.square(middle_C[..., :, None] - middle_C[..., None, :])
    else:
        raise InputError(f"metric = {metric!r}: there are nominal, ordinal and interval.")
    n = n_C.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = (pair * delta).sum(axis=(-2, -1)) / n
        expected = (n_C[..., :, None] * n_C[..., None, :] * delta).sum(axis=(-2, -1)) / (n * (n - 1))
    return observed, expected, delta.max(axis=(-2, -1))


# --------------------------------------------------------------------------------------------------------- reliability
@dataclass(frozen=True, slots=True)
class Reliability:
    """How often each annotator names the right side, by the one-coin model.

    Attributes:
        names: A annotators, sorted.
        votes_A: votes for a side on units that others voted on too.
        agree_A: how many of them agree with what the others' votes make likelier; a tie of the others is one half.
        rate_A, low_A, high_A: posterior mean of p_a and its 95 % interval, the other annotators held fixed.
        typical: mean of p over annotators, by votes.
        p_value_A: chance of so little agreement if p_a were `margin` below typical; NaN for fewer than FEW_VOTES votes.
        q_value_A: the same by Benjamini and Hochberg over the annotators.
        coin_p_A: p-value that an annotator who tosses a coin on the same votes would get, agreeing with half of them.
        right_U: P(the first side is right) of each unit, in the order of sorted units.
    """

    names: tuple[str, ...]
    votes_A: np.ndarray
    agree_A: np.ndarray
    rate_A: np.ndarray
    low_A: np.ndarray
    high_A: np.ndarray
    typical: float
    p_value_A: np.ndarray
    q_value_A: np.ndarray
    coin_p_A: np.ndarray
    right_U: np.ndarray


def annotator_reliability(
    side_V: ArrayLike, unit_V: ArrayLike, annotator_V: ArrayLike, *, margin: float = 0.1
) -> Reliability:
    """Reliability of annotators from votes for one of two sides, by expectation-maximisation.

    Args:
        side_V: 1 for the unit's first side, 0 for its second, shape (V,); ties are left out beforehand.
        unit_V: what was voted on, shape (V,); units with one vote are ignored.
        annotator_V: who voted, text, shape (V,).
        margin: an annotator is tested against being this much less reliable than is typical.
    Raises: InputError: a side is neither 0 nor 1, lengths differ, or no unit has two votes.
    """
    side = finite_vector("side_V", side_V, "Leave missing votes out.")
    require_same_length(side_V=side, unit_V=np.asarray(unit_V), annotator_V=np.asarray(annotator_V))
    if not np.isin(side, (0.0, 1.0)).all():
        raise InputError("side_V: votes must be 1 (first side) or 0 (second). Leave ties out.")
    unit_V, n_units = cluster_codes(unit_V, side.size)
    keep = np.bincount(unit_V, minlength=n_units)[unit_V] >= 2
    if not keep.any():
        raise InputError("no unit has two votes: reliability needs several votes on the same pair.")
    names, who_V = np.unique(np.asarray(annotator_V)[keep], return_inverse=True)
    unit_V, n_units = cluster_codes(unit_V[keep], int(keep.sum()))
    sign_V = 2 * side[keep] - 1
    rate_A, typical, base_U = _expectation_maximisation(sign_V, unit_V, who_V, len(names))
    odds_V = sign_V * (base_U[unit_V] - sign_V * logit(rate_A)[who_V])  # what the others say of this vote's side
    votes_A = np.bincount(who_V, minlength=len(names))
    agree_A = np.bincount(who_V, weights=np.where(odds_V > 0, 1.0, np.where(odds_V < 0, 0.0, 0.5)))
    posts = [_posterior(odds_V[who_V == a], typical) for a in range(len(names))]
    lowest = max(typical - margin, 0.5)
    p_value_A, coin_p_A = np.full((2, len(names)), math.nan)
    for a in np.flatnonzero(votes_A >= FEW_VOTES):
        told = odds_V[who_V == a]
        p_value_A[a], coin_p_A[a] = _too_low(told, lowest), _too_low(told, lowest, agrees=0.5)
    return Reliability(
        names=tuple(map(str, names)),
        votes_A=votes_A,
        agree_A=agree_A,
        rate_A=np.array([post[0] for post in posts]),
        low_A=np.array([post[1] for post in posts]),
        high_A=np.array([post[2] for post in posts]),
        typical=typical,
        p_value_A=p_value_A,
        q_value_A=benjamini_hochberg(p_value_A),
        coin_p_A=coin_p_A,
        right_U=expit(base_U),
    )


def _expectation_maximisation(
    sign_V: np.ndarray, unit_V: np.ndarray, who_V: np.ndarray, n_annotators: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """p by annotator, their mean, and the log-odds of the first side by unit; from the majority of each unit."""
    rate_A = np.full(n_annotators, 0.75)
    votes_A = np.bincount(who_V, minlength=n_annotators)
    typical = 0.75
    for _ in range(_ROUNDS):
        base_U = np.bincount(unit_V, weights=sign_V * logit(rate_A)[who_V])
        right_V = expit(sign_V * base_U[unit_V])
        right_A = np.bincount(who_V, weights=right_V, minlength=n_annotators)
        typical = float(np.clip(right_V.mean(), 0.5, 0.999))
        new_A = np.clip((right_A + PRIOR_VOTES * typical) / (votes_A + PRIOR_VOTES), 0.01, 0.999)
        change = float(np.max(np.abs(new_A - rate_A)))
        rate_A = new_A
        if change < _SETTLED:
            break
    return rate_A, typical, np.bincount(unit_V, weights=sign_V * logit(rate_A)[who_V])


def _posterior(odds_V: np.ndarray, typical: float) -> tuple[float, float, float]:
    """Mean and 95 % interval of p for one annotator's votes, of which the others give these log-odds of being right."""
    right_V = expit(odds_V)[:, None]
    log_E = np.log(_GRID * right_V + (1 - _GRID) * (1 - right_V)).sum(axis=0)
    log_E += (PRIOR_VOTES * typical - 1) * np.log(_GRID) + (PRIOR_VOTES * (1 - typical) - 1) * np.log1p(-_GRID)
    mass_E = np.exp(log_E - log_E.max())
    mass_E /= mass_E.sum()
    total_E = np.cumsum(mass_E)
    low, high = np.interp((0.025, 0.975), total_E, _GRID)
    return float(mass_E @ _GRID), float(low), float(high)


def _too_low(odds_V: np.ndarray, rate: float, *, agrees: float = math.nan) -> float:
    """P(as few agreements with the others' side, or fewer) of an annotator with that rate: Poisson-binomial, exact.

    `agrees`: the share of agreements to judge; NaN: as it was.

    A vote agrees with probability rate * q + (1 - rate) (1 - q), q the others' confidence; where they are split there
    is nothing to agree with.
    """
    told = odds_V[np.abs(odds_V) > 1e-9]
    if told.size == 0:
        return math.nan
    confidence = expit(np.abs(told))
    chance = rate * confidence + (1 - rate) * (1 - confidence)
    n_agree = int(np.sum(told > 0)) if math.isnan(agrees) else int(agrees * told.size)
    if told.size > 2000:  # the normal limit; the exact sum grows with the square
        return float(ndtr((n_agree + 0.5 - chance.sum()) / math.sqrt(float(np.sum(chance * (1 - chance))))))
    mass = np.zeros(told.size + 1)
    mass[0] = 1.0
    for each in chance:
        mass[1:] = mass[1:] * (1 - each) + mass[:-1] * each
        mass[0] *= 1 - each
    return float(min(1.0, mass[: n_agree + 1].sum()))
