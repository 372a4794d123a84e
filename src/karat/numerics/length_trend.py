"""What length alone predicts of a score, within prompts: a smooth or a monotone curve over the length.

Axes: R responses, U distinct lengths, K knots.

score = effect of the prompt + trend(length) + rest, fitted by turns (backfitting). So the trend is a function of the
length itself, not of how a response compares with others of its prompt, and applies to a single response. It is a
straight line between knots and constant beyond the first and the last: outside the lengths that were seen nothing is
known. Taking it away takes away all that goes with length, deserved or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from karat.errors import InputError
from karat.numerics.validation import cluster_codes, finite_vector, require_same_length

Kind = Literal["lowess", "isotonic"]
SPAN = 0.4
"""Share of the responses that a local line is fitted to."""
KNOTS = 41
ROBUST_ROUNDS = 3
SWEEPS, TOLERANCE = 300, 1e-4
"""Most turns of the backfitting; it ends where the trend moves by less than this share of the score's deviation."""

Smoother = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(mean by length, weight by length) -> trend by length, all of shape (U,)."""


@dataclass(frozen=True, slots=True)
class LengthTrend:
    """A curve over the length.

    Attributes:
        length_K: ascending, in the unit that was given; value_K: the trend there, in that of the score, with mean 0
            over the responses that it was fitted to.
    """

    length_K: tuple[float, ...]
    value_K: tuple[float, ...]

    def __call__(self, length_R: ArrayLike) -> np.ndarray:
        """The trend at each length, shape (R,)."""
        return np.asarray(np.interp(_scale(np.asarray(length_R, np.float64)), _scale(self.length_K), self.value_K))


def fit_length_trend(score_R: ArrayLike, length_R: ArrayLike, prompt_R: ArrayLike, kind: Kind) -> LengthTrend:
    """The trend of a score over the length, within prompts.

    lowess: local straight lines with tricube weights over log(1 + length), made robust by bisquare weights (Cleveland
    1979), as Huang et al. 2024 (arXiv 2409.17407) calibrate rewards. isotonic: rising or falling throughout, whichever
    way the correlation within prompts goes.

    Args:
        score_R, length_R: finite, shape (R,); lengths 0 or more.
    Raises: InputError: a value is missing or negative, lengths differ, or the kind is unknown.
    """
    y = finite_vector("score_R", score_R, "Leave out responses without a score.")
    length = finite_vector("length_R", length_R, "Give the length of every response.")
    require_same_length(score_R=y, length_R=length)
    if kind not in ("lowess", "isotonic"):
        raise InputError(f"kind = {kind!r}: there are lowess and isotonic.")
    if (length < 0).any():
        raise InputError(f"length_R: {int((length < 0).sum())} lengths are negative (least: {length.min():g}).")
    code, _ = cluster_codes(prompt_R, y.size)
    value_U, place = np.unique(length, return_inverse=True)
    if value_U.size < 2:
        return LengthTrend(tuple(value_U.tolist()) or (0.0,), (0.0,))
    x_U, count_U = _scale(value_U), np.bincount(place).astype(np.float64)
    if kind == "lowess":
        trend_U = _fit(y, place, code, _local_lines(x_U, count_U), rounds=ROBUST_ROUNDS)
        return LengthTrend(*_thinned(value_U, trend_U, _knots(count_U)))
    x = x_U[place]
    rising = bool(_within(x, code) @ y >= 0)

    def smooth(mean_U: np.ndarray, weight_U: np.ndarray) -> np.ndarray:
        return np.asarray(isotonic_regression(mean_U, weights=weight_U, increasing=rising).x)

    trend_U = _fit(y, place, code, smooth, rounds=1)
    step = np.flatnonzero(np.diff(trend_U) != 0)
    return LengthTrend(*_thinned(value_U, trend_U, np.unique(np.r_[0, step, step + 1, value_U.size - 1])))


def _fit(y: np.ndarray, place: np.ndarray, code: np.ndarray, smooth: Smoother, *, rounds: int) -> np.ndarray:
    """The trend by length, (U,): backfitting, repeated with weights that spare outliers."""
    weight_R = np.ones(y.size)
    trend_U = np.zeros(int(place.max()) + 1)
    close = TOLERANCE * float(np.std(_within(y, code)))
    for _ in range(rounds):
        weight_U = np.bincount(place, weights=weight_R)
        weight_P = np.maximum(np.bincount(code, weights=weight_R), 1e-300)
        for _ in range(SWEEPS):
            effect_P = np.bincount(code, weights=weight_R * (y - trend_U[place])) / weight_P
            rest = weight_R * (y - effect_P[code])
            mean_U = np.bincount(place, weights=rest) / np.maximum(weight_U, 1e-300)
            moved_U = smooth(mean_U, np.maximum(weight_U, 1e-12))
            moved_U = moved_U - (moved_U * weight_U).sum() / weight_U.sum()
            step = float(np.abs(moved_U - trend_U).max())
            trend_U = moved_U
            if step <= close:
                break
        rest = y - effect_P[code] - trend_U[place]
        reach = 6 * float(np.median(np.abs(rest)))
        if not reach > 0:
            break
        weight_R = np.clip(1 - (rest / reach) ** 2, 0, None) ** 2
    return np.asarray(trend_U - np.average(trend_U, weights=np.bincount(place)))


def _local_lines(x_U: np.ndarray, count_U: np.ndarray) -> Smoother:
    """Local linear regression at the knots, straight lines between them."""
    knot = x_U[_knots(count_U)]
    distance_KU = np.abs(x_U - knot[:, None])
    order_KU = np.argsort(distance_KU, axis=1, kind="stable")
    reached_KU = np.cumsum(count_U[order_KU], axis=1) >= SPAN * count_U.sum()
    last_K = np.argmax(reached_KU, axis=1)
    width_K = np.take_along_axis(distance_KU, np.take_along_axis(order_KU, last_K[:, None], axis=1), axis=1)
    # the nearest SPAN lies within the width; a little more keeps its edge, and a second length, in
    width_K = np.maximum(width_K, np.sort(distance_KU, axis=1)[:, [1]]) * 1.001
    kernel_KU = np.clip(1 - (distance_KU / width_K) ** 3, 0, None) ** 3
    offset_KU = x_U - knot[:, None]

    def smooth(mean_U: np.ndarray, weight_U: np.ndarray) -> np.ndarray:
        weight_KU = kernel_KU * weight_U
        total, first = weight_KU.sum(axis=1), (weight_KU * offset_KU).sum(axis=1)
        second = (weight_KU * offset_KU**2).sum(axis=1)
        level, slope = weight_KU @ mean_U, (weight_KU * offset_KU) @ mean_U
        spread = total * second - first**2
        is_line = spread > 1e-9 * np.maximum(total * second, 1e-300)
        flat_K = level / np.maximum(total, 1e-300)
        line_K = (second * level - first * slope) / np.where(is_line, spread, 1.0)
        return np.asarray(np.interp(x_U, knot, np.where(is_line, line_K, flat_K)))

    return smooth


def _knots(count_U: np.ndarray) -> np.ndarray:
    """Indices of lengths at equal shares of the responses, the ends among them."""
    share = (np.cumsum(count_U) - count_U / 2) / count_U.sum()
    inner = np.searchsorted(share, np.linspace(0, 1, KNOTS)[1:-1])
    return np.unique(np.r_[0, np.minimum(inner, count_U.size - 1), count_U.size - 1])


def _thinned(value_U: np.ndarray, trend_U: np.ndarray, kept: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(value_U[kept].tolist()), tuple(trend_U[kept].tolist())


def _within(score_R: np.ndarray, code_R: np.ndarray) -> np.ndarray:
    """Less the mean of the prompt."""
    return np.asarray(score_R - (np.bincount(code_R, weights=score_R) / np.bincount(code_R))[code_R])


def _scale(length: ArrayLike) -> np.ndarray:
    return np.log1p(np.asarray(length, np.float64))
