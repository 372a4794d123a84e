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

from karat.errors import InputError
from karat.numerics.best_of_n import percentile_ends, prompt_draws
from karat.numerics.validation import cluster_codes

MIN_EXCEEDANCES = 40
"""Values above the threshold below which no shape is given."""
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
    order = np.argsort(value)[-4 * n_over :]  # a resample's tail reaches little lower than the tail itself
    value, code = value[order], code[order]
    shape, hill, threshold = _shape(value, np.ones(value.size), n_over)
    count_BP = prompt_draws(n_prompts, resamples, rng)
    drawn_BK = np.array([_shape(value, count_P[code], n_over)[:2] for count_P in count_BP])
    drawn_BK = drawn_BK[np.isfinite(drawn_BK[:, 0])]
    (low, hill_low), (high, hill_high) = percentile_ends(drawn_BK, n_prompts, level=level)
    verdict: TailVerdict = "unclear"
    if low > 0 and shape > HEAVY_SHAPE:
        verdict = "heavy"
    elif high < LIGHT_SHAPE and low <= 0:
        verdict = "light"
    return Tail(shape, float(low), float(high), hill, float(hill_low), float(hill_high), threshold, n_over, verdict)


def _shape(value: np.ndarray, weight: np.ndarray, n_over: int) -> tuple[float, float, float]:
    """Shape by probability-weighted moments, Hill's estimate, and the threshold that leaves n_over of the weight above.

    With a0 the mean excess and a1 the mean of excess times (1 - F), xi = 2 - a0 / (a0 - 2 a1), for xi < 1 (Hosking &
    Wallis 1987); Hill 1975. Values ascend; NaN where the tail has no excess, or for Hill where the threshold is not
    positive.
    """
    above = np.cumsum(weight[::-1])[::-1]
    at = min(max(int(np.sum(above > n_over)), 1), value.size - 2)
    threshold, mass = float(value[at - 1]), weight[at:]
    excess, total = value[at:] - threshold, float(mass.sum())
    if total <= 0 or excess[-1] <= 0:
        return math.nan, math.nan, threshold
    beyond = 1 - (np.cumsum(mass) - 0.5 * mass) / total
    a0, a1 = float(mass @ excess) / total, float(mass @ (excess * beyond)) / total
    shape = 2 - a0 / (a0 - 2 * a1) if a0 > 2 * a1 else math.nan
    hill = float(mass @ np.log(value[at:] / threshold)) / total if threshold > 0 else math.nan
    return shape, hill, threshold
