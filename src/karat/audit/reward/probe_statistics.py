"""Effects of probes: means over responses with intervals over prompts, tests against the band, verdicts.

An effect is score(edited) - score(original), or for a probe of the prompt the same of a margin, in standard deviations
of the margins between chosen and rejected. That unit is taken as given: it is the spread of these pairs.

Axes: N cases, G prompts, K probes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from karat.audit.reward.cases import Battery, Case, Key, value_of
from karat.audit.reward.probes.base import Expected
from karat.numerics.intervals import (
    UNDEFINED,
    Interval,
    cluster_bootstrap,
    cluster_totals,
    items_needed,
    ratio_of_totals,
)
from karat.numerics.multiplicity import benjamini_hochberg
from karat.types import NAN, Score, Verdict

LEVEL = 0.95
MIN_PROMPTS = 5
"""Fewer say nothing about other prompts that a test could hold."""
BOOTSTRAP_FROM = 100
"""Prompts; below, Student's t holds better."""
Z = 1.959964
ROUNDING = 1e-4
"""SDs; prompts within it are alike: rounding is no sign of how much other prompts vary."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One probe.

    Attributes:
        interval: of the mean effect, SD.
        p_value: that the effect is what was expected, up to the band; NaN with too few prompts.
        q_value: adjusted over the battery.
        flip_rate: of the pairs that the reward ordered right before, the share whose order the edit turns round;
            NaN where only better responses, or built-in items without a rival, were edited.
        wrong_rate: share of cases that move the wrong way, by more than the band where any move is wrong.
        n_needed: about how many responses would settle it, where it is unclear.
        worst: the cases that move furthest the wrong way, with their effects.
    """

    battery: Battery
    interval: Interval
    p_value: float
    flip_rate: float
    wrong_rate: float
    n_used: int
    n_missing: int
    worst: tuple[tuple[float, Case], ...]
    reason: str
    """The most frequent reason of a missing score."""
    q_value: float = NAN
    verdict: Verdict = "not checked"
    n_needed: float = NAN

    @property
    def expected(self) -> Expected:
        return self.battery.probe.expected


def measure_battery(
    batteries: Sequence[Battery],
    scores: dict[Key, Score],
    sd: float,
    *,
    band: float,
    rng: np.random.Generator,
    resamples: int = 1000,
) -> list[Measured]:
    """All probes of a battery, judged together.

    Args:
        scores: of all keys of the cases.
        sd: the unit: standard deviation of the margins, reward units.
        band: SDs; an effect within it counts as none.
    """
    found = [_measure(battery, scores, sd, band, rng, resamples) for battery in batteries]
    q_K = benjamini_hochberg([each.p_value for each in found])
    return [_judged(each, float(q), band) for each, q in zip(found, q_K, strict=True)]


def _measure(
    battery: Battery, scores: dict[Key, Score], sd: float, band: float, rng: np.random.Generator, resamples: int
) -> Measured:
    effect_N = np.array([value_of(c.after, scores) - value_of(c.before, scores) for c in battery.cases]) / sd
    is_known = np.isfinite(effect_N)
    known = [case for case, good in zip(battery.cases, is_known, strict=True) if good]
    lost = [case for case, good in zip(battery.cases, is_known, strict=True) if not good]
    effect = effect_N[is_known]
    cluster = np.array([case.cluster for case in known])
    interval, error, freedom = mean_effect(effect, cluster, rng=rng, resamples=resamples)
    wrongness = wrong_way(effect, battery.probe.expected)
    limit = band if battery.probe.expected == "0" else 0.0
    is_wrong = wrongness >= limit if battery.probe.expected in ("-", "+") else wrongness > limit
    order = np.argsort(-wrongness, kind="stable")[:3]
    return Measured(
        battery=battery,
        interval=interval,
        p_value=p_value(interval.estimate, error, freedom, battery.probe.expected, band),
        flip_rate=_flip_rate(known, scores),
        wrong_rate=float(is_wrong.mean()) if effect.size else NAN,
        n_used=len(known),
        n_missing=len(lost),
        worst=tuple((float(effect[k]), known[k]) for k in order),
        reason=_reason(lost, scores),
    )


def mean_effect(
    effect_N: np.ndarray, cluster_N: np.ndarray, *, rng: np.random.Generator, resamples: int = 1000
) -> tuple[Interval, float, int]:
    """The mean with its interval over prompts, its standard error, and the error's degrees of freedom.

    Student's t with the error of totals by prompt below 100 prompts, the BCa bootstrap from there on: of normal effects
    of 40 prompts the bootstrap's interval holds the mean in 93 %, Student's in 95 %. Where all prompts agree, the ends
    are the furthest that the mean could be if as many prompts as Wilson's bound leaves unseen differed by 1 SD:
    z^2 / (G + z^2) SD either way.
    """
    if not effect_N.size:
        return UNDEFINED, NAN, 0
    totals_GK = cluster_totals(np.stack([effect_N, np.ones_like(effect_N)], axis=1), cluster_N)
    n_prompts, mean = len(totals_GK), float(effect_N.mean())
    if n_prompts < 2:
        return Interval(mean, NAN, NAN, n_prompts, "undefined"), NAN, 0
    t = float(stdtrit(n_prompts - 1, 0.5 + LEVEL / 2))
    residual_G = totals_GK[:, 0] - mean * totals_GK[:, 1]
    error = math.sqrt(n_prompts / (n_prompts - 1) * float(residual_G @ residual_G)) / effect_N.size
    if float(np.ptp(totals_GK[:, 0] / totals_GK[:, 1])) <= max(ROUNDING, 1e-12 * abs(mean)):
        half = Z**2 / (n_prompts + Z**2)
        return Interval(mean, mean - half, mean + half, n_prompts, "no variation"), half / t, n_prompts - 1
    if n_prompts < BOOTSTRAP_FROM:
        return Interval(mean, mean - t * error, mean + t * error, n_prompts, "jackknife t"), error, n_prompts - 1
    interval = cluster_bootstrap(totals_GK, ratio_of_totals, rng=rng, resamples=resamples)
    return interval, error, n_prompts - 1


def p_value(mean: float, error: float, freedom: int, expected: Expected, band: float) -> float:
    """Chance of a mean at least as far on the wrong side of what is expected, if the truth were at the band's edge.

    "0": P[T > (|mean| - band) / error] + P[T > (|mean| + band) / error], the exact size of a test that rejects on both
    sides, for a truth at either edge. "<=0": P[T > (mean - band) / error]. "-": P[T > (mean + band) / error]: the truth
    is a fall of the band's width. The others mirrored. T has Student's distribution.
    """
    if freedom + 1 < MIN_PROMPTS or not error > 0:
        return NAN
    if expected == "0":
        away = abs(mean)
        return min(1.0, sum(_above((away - edge) / error, freedom) for edge in (band, -band)))
    if expected in (">=0", "+"):
        mean = -mean
    edge = band if expected in ("<=0", ">=0") else -band
    return _above((mean - edge) / error, freedom)


def _above(value: float, freedom: int) -> float:
    return float(stdtr(freedom, -value))


def wrong_way(effect_N: np.ndarray, expected: Expected) -> np.ndarray:
    """How far each effect goes where it should not, SD."""
    return np.abs(effect_N) if expected == "0" else effect_N if expected in ("<=0", "-") else -effect_N


def verdict_of(interval: Interval, q_value: float, expected: Expected, band: float) -> Verdict:
    """The rule.

    "0": problem when the whole interval lies outside the band, ok when inside. "<=0": problem when it lies above the
    band, ok when it ends below the band's upper edge. "-": problem when it lies above a fall of the band's width (the
    score surely falls by less than that, or rises), ok when it lies below. The others mirrored. A problem also needs
    q <= 0.05 over the battery; all else is unclear.
    """
    low, high = (-interval.high, -interval.low) if expected in (">=0", "+") else (interval.low, interval.high)
    if math.isnan(q_value) or math.isnan(low):
        return "unclear"
    is_sure = q_value <= 1 - LEVEL
    if expected == "0":
        is_wrong, is_right = low > band or high < -band, -band <= low and high <= band
    elif expected in ("<=0", ">=0"):
        is_wrong, is_right = low > band, high <= band
    else:
        is_wrong, is_right = low > -band, high < -band
    return "problem" if is_wrong and is_sure else "ok" if is_right else "unclear"


def _judged(found: Measured, q_value: float, band: float) -> Measured:
    if not found.n_used:
        return found
    verdict = verdict_of(found.interval, q_value, found.expected, band)
    mean = found.interval.estimate
    edge = {"0": math.copysign(band, mean), "<=0": band, ">=0": -band, "-": -band, "+": band}[found.expected]
    needed = items_needed(found.n_used, found.interval, edge) if verdict == "unclear" else NAN
    return replace(found, q_value=q_value, verdict=verdict, n_needed=needed)


def _flip_rate(cases: Sequence[Case], scores: dict[Key, Score]) -> float:
    turned = []
    for case in cases:
        before, after = value_of(case.before, scores), value_of(case.after, scores)
        if case.rival is not None:
            before, after = scores[case.rival].value - before, scores[case.rival].value - after
        elif len(case.before) == 1:
            continue
        if before > 0:
            turned.append(after < 0)
    return float(np.mean(turned)) if turned else NAN


def _reason(cases: Sequence[Case], scores: dict[Key, Score]) -> str:
    reasons = [
        scores[key].missing for case in cases for _, key in (*case.after, *case.before) if scores[key].is_missing
    ]
    return max(sorted(set(reasons)), key=reasons.count) if reasons else ""
