"""How heavy a score's upper tail is: Hill's estimator and peaks over a threshold, with intervals.

Axes: R responses, P prompts, B bootstrap draws.

The shape xi of the tail decides what optimisation does (Kwa et al. 2024, arXiv 2407.14503): with xi <= 0 (bounded) or
= 0 (exponential, Gaussian) an independent error averages out of the best; with xi > 0 the tail is polynomial, of index
1 / xi, and the best of many samples is the largest error rather than the best response.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from karat.errors import InputError
from karat.numerics.best_of_n import percentile_ends, prompt_draws
from karat.numerics.validation import cluster_codes

MIN_EXCEEDANCES = 40
"""Values above the threshold below which no shape is given."""
MIN_LEVELS = 10
"""Different values above the threshold below which none is given: a score with few values has no tail to fit."""
GRID = 120
"""Values of theta above 0 that are tried, and as many below."""
TAIL_SHARE = 0.05
"""Share of the values that counts as the tail; between 40 and 1,000 values."""
HEAVY_SHAPE = 0.1
"""A shape whose interval begins above 0 and whose estimate exceeds this is called heavy: index below 10."""

LIGHT_SHAPE = 0.25
"""A shape whose interval ends below this has index above 4 at the least: called light unless it is surely above 0."""

TailVerdict = Literal["heavy", "light", "unclear"]


@dataclass(frozen=True, slots=True)
class Tail:
    """The upper tail of a score.

    Attributes:
        shape, low, high: xi of the generalised Pareto law of the excesses, with its interval; NaN where undefined.
        hill, hill_low, hill_high: Hill's estimate of 1/index, with its interval: meaningful for xi > 0 only, and above
            0 for any sample, so that it confirms a heavy tail and never finds one.
        threshold: in the score's unit, and n_over, the values above it.
        verdict: "heavy": the interval of xi lies above 0, and xi above HEAVY_SHAPE. "light": the interval ends below
            LIGHT_SHAPE and does not lie above 0. "unclear": neither.
    """

    shape: float
    low: float
    high: float
    hill: float
    hill_low: float
    hill_high: float
    threshold: float
    n_over: int
    verdict: TailVerdict


def fit_tail(
    value_R: ArrayLike,
    prompt_R: ArrayLike,
    *,
    rng: np.random.Generator,
    share: float = TAIL_SHARE,
    level: float = 0.95,
    resamples: int = 500,
) -> Tail:
    """The tail above the (1 - share) quantile, with bootstrap intervals over prompts.

    Args:
        value_R: scores, or residuals of a score; NaN left out.
        prompt_R: prompt of each value.
        share: of the values, in the tail.
    Raises: InputError: the share is not in (0, 0.5].
    """
    if not 0 < share <= 0.5:
        raise InputError(f"share = {share}: the tail is a share of the values in (0, 0.5].")
    value = np.asarray(value_R, np.float64)
    kept = ~np.isnan(value)
    value = value[kept]
    code, n_prompts = cluster_codes(np.asarray(prompt_R)[kept], value.size)
    n_over = min(max(math.ceil(share * value.size), MIN_EXCEEDANCES), 1000)
    if n_prompts < 2 or value.size < 4 * MIN_EXCEEDANCES or np.ptp(value) == 0:
        return Tail(*(math.nan,) * 7, 0, "unclear")
    threshold = float(np.partition(value, -n_over - 1)[-n_over - 1])
    above = value > threshold
    excess, code, n_over = value[above] - threshold, code[above], int(above.sum())
    if np.unique(excess).size < MIN_LEVELS:
        return Tail(*(math.nan,) * 6, threshold, n_over, "unclear")
    weight_BK = np.vstack([np.ones(n_over), prompt_draws(n_prompts, resamples, rng)[:, code]])
    shape_B, hill_B = _shapes(excess, weight_BK), _hills(excess, threshold, weight_BK)
    shape, hill = float(shape_B[0]), float(hill_B[0])
    low, high = _shape_ends(shape, shape_B[1:], n_over, n_prompts=n_prompts, level=level)
    hill_low, hill_high = percentile_ends(hill_B[1:][np.isfinite(hill_B[1:])], n_prompts, level=level)
    verdict: TailVerdict = "unclear"
    if low > 0 and shape > HEAVY_SHAPE:
        verdict = "heavy"
    elif high < LIGHT_SHAPE and low <= 0:
        verdict = "light"
    return Tail(shape, float(low), float(high), hill, float(hill_low), float(hill_high), threshold, n_over, verdict)


def _shape_ends(shape: float, drawn_B: np.ndarray, n_over: int, *, n_prompts: int, level: float) -> tuple[float, float]:
    """Student's t interval around the estimate less its bootstrap bias, with the larger of two standard errors.

    The draws' own, which knows that responses of a prompt go together, and (1 + xi) / sqrt(k) of k independent values
    (Smith 1987), below which a bootstrap of few excesses falls. Simulated coverage: 94 to 96 % for xi from 0 to 1/2.
    """
    drawn_B = drawn_B[np.isfinite(drawn_B)]
    if len(drawn_B) < 2:
        return math.nan, math.nan
    middle = 2 * shape - float(drawn_B.mean())
    error = max(float(drawn_B.std(ddof=1)), (1 + shape) / math.sqrt(n_over))
    half = float(stdtrit(n_prompts - 1, 0.5 + level / 2)) * error
    return middle - half, middle + half


def _shapes(excess_K: np.ndarray, weight_BK: np.ndarray) -> np.ndarray:
    """Shape of the generalised Pareto law by maximum likelihood, for each weighting of the excesses, shape (B,).

    With theta = xi / scale, the best xi for a theta is the mean of log(1 + theta excess), and the likelihood per value
    is -log(xi / theta) - xi - 1 (Grimshaw 1993): one grid of theta serves all draws, refined by a parabola. Its error
    is regular for xi above -1/2, where moments need xi below 1/2; xi is kept at -1 or above, where the likelihood has
    no maximum. The threshold is the same in all draws.
    """
    mean, top = float(excess_K.mean()), float(excess_K.max())
    near_end = 1 - np.geomspace(1e-6, 0.5, GRID // 2)  # of the largest excess, which is the end of a bounded law
    down, up = np.r_[near_end, np.geomspace(0.49, 1e-4, GRID // 2)], np.geomspace(1e-4, 1e3, GRID)
    theta_J = np.r_[-down / top, up / mean]
    total_B1 = weight_BK.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        shape_BJ = weight_BK @ np.log1p(excess_K[:, None] * theta_J) / total_B1
        fit_BJ = np.where(shape_BJ >= -1, -np.log(shape_BJ / theta_J) - shape_BJ, -np.inf)
        at_B = np.clip(np.argmax(fit_BJ, axis=1), 1, theta_J.size - 2)
        rows = np.arange(len(at_B))
        left, best, right = (fit_BJ[rows, at_B + step] for step in (-1, 0, 1))
        step_B = 0.5 * (left - right) / (left - 2 * best + right)
        step_B = np.where(np.isfinite(step_B), np.clip(step_B, -1, 1), 0.0)
    toward_B = np.where(step_B < 0, -1, 1)
    here_B, there_B = shape_BJ[rows, at_B], shape_BJ[rows, at_B + toward_B]
    return np.asarray(here_B + np.abs(step_B) * (there_B - here_B))


def _hills(excess_K: np.ndarray, threshold: float, weight_BK: np.ndarray) -> np.ndarray:
    """Hill's estimate (1975), the mean of log(value / threshold), for each weighting; NaN for a threshold below 0."""
    if threshold <= 0:
        return np.full(len(weight_BK), math.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray(weight_BK @ np.log1p(excess_K / threshold) / weight_BK.sum(axis=1))
