"""How many gold labels buy which certainty: for a certified n, and for the place of the peak.

Axes: N values of n, R correlations tried.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from karat.numerics.goodhart import certified_gain
from karat.numerics.intervals import Interval
from karat.numerics.validation import require_share

CORRELATIONS = np.linspace(0.005, 0.9995, 1990)
"""Tried for the least that certifies an n."""


def correlation_needed(proxy_gain_N: np.ndarray, chi2_N: np.ndarray, n_N: np.ndarray, least_n: int) -> float:
    """The least correlation whose certificate reaches an n of `least_n` or more; NaN if none below 1 does.

    Args:
        proxy_gain_N, chi2_N: as `certified_gain` has them, for each of n_N.
        least_n: wanted: the n of the largest certified gain, and that gain above 0.
    """
    for correlation in CORRELATIONS:
        gain_N = certified_gain(proxy_gain_N, chi2_N, float(correlation))
        best = int(np.argmax(gain_N))
        if gain_N[best] > 0 and n_N[best] >= least_n:
            return float(correlation)
    return math.nan


def labels_needed(
    correlation: float, needed: float, *, design: float = 1.0, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Labelled responses with which a correlation's lower bound exceeds `needed`, with the given power.

    Fisher's z (1921) has standard error 1 / sqrt(m / design - 3), so that
    m = design (3 + ((z_confidence + z_power) / (atanh r - atanh needed))^2).

    Args:
        correlation: what the correlation is taken to be.
        design: labelled responses that count as one independent response; see `design_of`.
    Returns: infinite where the correlation does not exceed what is needed; NaN where either is NaN.
    """
    require_share("confidence", confidence)
    require_share("power", power)
    if math.isnan(correlation) or math.isnan(needed):
        return math.nan
    if correlation <= needed:
        return math.inf
    apart = math.atanh(min(correlation, 1 - 1e-12)) - math.atanh(needed)
    return design * (3 + ((float(ndtri(confidence)) + float(ndtri(power))) / apart) ** 2)


def design_of(correlation: Interval, n_labels: int, *, confidence: float = 0.95) -> float:
    """How many labelled responses stand for one independent pair of normals, from an interval that has been seen.

    The squared standard error of Fisher's z in the interval's lower arm, over 1 / (n_labels - 3): above 1 where
    prompts differ or tails are heavy. NaN where the interval is undefined.

    Args:
        correlation: with `low` its one-sided bound of `confidence`.
        n_labels: labelled responses that it rests on.
    """
    if not (-1 < correlation.low < correlation.estimate < 1 and n_labels > 3):
        return math.nan
    error = (math.atanh(correlation.estimate) - math.atanh(correlation.low)) / float(ndtri(confidence))
    return error**2 * (n_labels - 3)


def prompts_for_peak(low_n: float, high_n: float, n_prompts: int, *, factor: float = 2.0) -> float:
    """Prompts with which a peak's interval reaches no further than a factor from its middle: high / low = factor^2.

    The curve is smooth in n, so that the error of the place of its top falls with the root of the number of prompts:
    prompts times the squared ratio of the present reach to the wanted one, in logarithms. Simulated from 40 to 640
    prompts of a hack mode this holds within a tenth; where the interval is cut by the last n, as with few prompts of a
    heavy-tailed proxy, the true need is up to 1.6 times as much. It is not used downwards, where it does not hold.

    Args:
        low_n, high_n: ends of the interval now, with n_prompts prompts of as many responses.
    Returns: n_prompts where the interval is that short already; NaN for undefined ends.
    """
    if not (math.isfinite(low_n) and math.isfinite(high_n) and 0 < low_n <= high_n):
        return math.nan
    return n_prompts * max(1.0, math.log(high_n / low_n) / (2 * math.log(factor))) ** 2
