"""Whether margins mean what they say: proper scores, calibration, temperature, and the cap that label noise sets.

Axes: P pairs, K bins.  d = reward(chosen) - reward(rejected) in nats; l the label in [0, 1].

Since `chosen` is the preferred response by construction, sigma(d) has nothing to be calibrated against: the outcome
would always be 1. Every pair is therefore read from the side that the reward prefers: its confidence is sigma(|d|),
in [0.5, 1], and its agreement is l where d > 0, 1 - l where d < 0, and one half where d = 0. Soft labels are averaged
as they are.

Sources: Good 1952 (log loss); Brier 1950; Naeini et al. 2015 (equal-mass bins); Guo et al. 2017 (arXiv 1706.04599,
temperature); Broecker & Smith 2007 (what calibration error sampling alone gives).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, stdtrit

from karat.errors import InputError
from karat.numerics.intervals import (
    UNDEFINED,
    Interval,
    cluster_bootstrap,
    cluster_totals,
    clustered_mean,
    clustered_proportion,
)
from karat.numerics.preference_likelihood import (
    FlipRate,
    bradley_terry_loss,
    checked_pairs,
    fit_flip_rate,
    margin_cap,
)
from karat.numerics.validation import cluster_codes, require_share

# Ten bins are the field's habit; with fewer than about 50 pairs in each, sampling noise is all that they show.
MOST_BINS, PAIRS_PER_BIN = 10, 50
# A larger factor makes a step of the logistic function, whatever the margins; a fit that runs to it has no optimum.
_LARGEST_SCALE = 1e6


def confidence_and_agreement(margin_P: ArrayLike, label_P: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """sigma(|d|) and how far the label agrees with the side that the reward prefers, each of shape (P,).

    Raises: InputError: a margin is not finite or a label is outside [0, 1].
    """
    margin, label = checked_pairs(margin_P, label_P)
    agreement_P = np.where(margin > 0, label, np.where(margin < 0, 1 - label, 0.5))
    return expit(np.abs(margin)), agreement_P


def log_loss(margin_P: ArrayLike, label_P: ArrayLike = 1.0) -> float:
    """Mean cross-entropy of the labels under sigma(d), nats a pair; log 2 for a reward that tells nothing.

    Returns: NaN for no pairs.
    Raises: InputError: a margin is not finite or a label is outside [0, 1].
    """
    return _mean(bradley_terry_loss(margin_P, label_P))


def brier_terms(margin_P: ArrayLike, label_P: ArrayLike = 1.0) -> np.ndarray:
    """(sigma(d) - l)^2 per pair, shape (P,). Raises: as `log_loss`."""
    margin, label = checked_pairs(margin_P, label_P)
    return np.asarray(np.square(expit(margin) - label))


def brier_loss(margin_P: ArrayLike, label_P: ArrayLike = 1.0) -> float:
    """Mean of (sigma(d) - l)^2, in [0, 1]; 0.25 for a reward that tells nothing and plain labels.

    Returns: NaN for no pairs.
    Raises: as `log_loss`.
    """
    return _mean(brier_terms(margin_P, label_P))


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against agreement in bins of equal mass, lowest confidence first.

    Attributes:
        bin_P: bin of each pair.
        gap_P: confidence - agreement of each pair; the errors of the bins are sums of it.
        count_K: pairs in each bin.
        confidence_K, agreement_K: means over the pairs of each bin.
    """

    bin_P: np.ndarray
    gap_P: np.ndarray
    count_K: np.ndarray
    confidence_K: np.ndarray
    agreement_K: np.ndarray


def reliability(margin_P: ArrayLike, label_P: ArrayLike = 1.0, *, bins: int | None = None) -> Reliability:
    """The reliability table, over bins of confidence with as equal numbers of pairs as ties allow.

    By default 10 bins, or as many as give each 50 pairs, at least one. Pairs of equal confidence share a bin (that of
    the first of them in order), and empty bins are left out.

    Args:
        margin_P: d, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
        bins: most bins, >= 1; None for the default.
    Raises: InputError: as `log_loss`, or bins < 1.
    """
    confidence_P, agreement_P = confidence_and_agreement(margin_P, label_P)
    if bins is None:
        bins = min(MOST_BINS, max(1, confidence_P.size // PAIRS_PER_BIN))
    if bins < 1:
        raise InputError(f"bins = {bins}: must be at least 1.")
    rank_P = np.searchsorted(np.sort(confidence_P), confidence_P, side="left")
    _, bin_P = np.unique(rank_P * bins // max(1, confidence_P.size), return_inverse=True)
    count_K = np.bincount(bin_P)
    return Reliability(
        bin_P=bin_P,
        gap_P=confidence_P - agreement_P,
        count_K=count_K,
        confidence_K=np.bincount(bin_P, weights=confidence_P) / count_K,
        agreement_K=np.bincount(bin_P, weights=agreement_P) / count_K,
    )


def expected_calibration_error(margin_P: ArrayLike, label_P: ArrayLike = 1.0, *, bins: int | None = None) -> float:
    """Mean over pairs of |confidence - agreement| of their bin: sum_k n_k/n |confidence_k - agreement_k|.

    Biased upwards: sampling alone makes it positive (`calibration_noise` says by how much).

    Returns: in [0, 1]; NaN for no pairs.
    Raises: as `reliability`.
    """
    table = reliability(margin_P, label_P, bins=bins)
    if table.gap_P.size == 0:
        return math.nan
    return float(np.sum(table.count_K * np.abs(table.confidence_K - table.agreement_K)) / table.gap_P.size)


def calibration_noise(margin_P: ArrayLike, *, bins: int | None = None) -> float:
    """The calibration error that sampling alone would give a perfectly calibrated reward, plain labels, on average.

    sum_k sqrt(2/pi v_k) / n with v_k the sum of c (1-c) over the bin: the mean absolute value of a normal error.

    Returns: in [0, 1]; NaN for no pairs.
    Raises: InputError: a margin is not finite, or bins < 1.
    """
    table = reliability(margin_P, 1.0, bins=bins)
    if table.gap_P.size == 0:
        return math.nan
    confidence_P, _ = confidence_and_agreement(margin_P, 1.0)
    variance_K = np.bincount(table.bin_P, weights=confidence_P * (1 - confidence_P))
    return float(np.sum(np.sqrt(2 / math.pi * variance_K)) / confidence_P.size)


@dataclass(frozen=True, slots=True)
class Temperature:
    """The T that makes sigma(d / T) fit the labels best; above 1: the margins claim too much.

    Attributes:
        value: T > 0; NaN where there is none.
        low, high: its interval; NaN with fewer than two clusters.
        reason: why there is none; empty where there is one.
    """

    value: float
    low: float
    high: float
    reason: str = ""


def fit_temperature(
    margin_P: ArrayLike, label_P: ArrayLike, cluster_P: ArrayLike, *, level: float = 0.95
) -> Temperature:
    """Temperature by maximum likelihood, with a cluster-robust interval.

    The loss is convex in a = 1/T, so its one root of sum_i (sigma(a d_i) - l_i) d_i is found by bisection (Brent). The
    interval is a exp(+- t_{G-1} se / a) with the sandwich error se = sqrt(G/(G-1) sum_g s_g^2) / h over the score sums
    s_g of the clusters and the curvature h.

    Undefined (NaN, with the reason) where every pair is ordered as labelled (a runs to infinity), where the margins do
    not point towards the labels (a <= 0), where every margin is 0, and for no pairs.

    Args:
        margin_P: d of held-out pairs, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
        cluster_P: prompt of each pair, shape (P,).
        level: confidence level in (0, 1).
    Raises: InputError: as `log_loss`.
    """
    require_share("level", level)
    margin, label = checked_pairs(margin_P, label_P)
    code_P, n_clusters = cluster_codes(cluster_P, margin.size)
    largest = float(np.max(np.abs(margin), initial=0.0))
    if largest == 0:
        return Temperature(math.nan, math.nan, math.nan, "no pairs" if margin.size == 0 else "every margin is 0")
    unit = margin / largest  # the scale is found in units of the largest margin, so that the bracket fits any reward

    def slope(scale: float) -> float:
        return float(np.sum((expit(scale * unit) - label) * unit))

    if slope(0.0) >= 0:
        return Temperature(math.nan, math.nan, math.nan, "the margins do not point towards the labels")
    if slope(_LARGEST_SCALE) <= 0:
        return Temperature(math.nan, math.nan, math.nan, "every pair is ordered as labelled (separable)")
    scale = float(brentq(slope, 0.0, _LARGEST_SCALE, xtol=1e-10, rtol=1e-12))
    value = largest / scale
    if n_clusters < 2:
        return Temperature(value, math.nan, math.nan)
    won_P = expit(scale * unit)
    score_G = np.bincount(code_P, weights=(won_P - label) * unit)
    curvature = float(np.sum(won_P * (1 - won_P) * unit**2))
    error = math.sqrt(n_clusters / (n_clusters - 1) * float(np.sum(score_G**2))) / curvature
    spread = math.exp(min(700.0, float(stdtrit(n_clusters - 1, 0.5 + level / 2)) * error / scale))
    return Temperature(value, value / spread, value * spread)


@dataclass(frozen=True, slots=True)
class MarginCapCheck:
    """Held-out margins against the largest that noisy labels can support.

    Attributes:
        flip_rate: share of flipped labels, e.
        cap: log((1-e)/e), nats.
        is_over_P: whether the calibrated margin |d| / T exceeds the cap.
        claimed: mean confidence sigma(|d| / T) of the pairs over it; NaN for none.
        agreement: mean agreement of their labels; NaN for none.
        agreement_P: agreement of every pair, for an interval.
    """

    flip_rate: float
    cap: float
    is_over_P: np.ndarray
    claimed: float
    agreement: float
    agreement_P: np.ndarray


def check_margin_cap(
    margin_P: ArrayLike, label_P: ArrayLike = 1.0, *, flip_rate: float, temperature: float = 1.0
) -> MarginCapCheck:
    """Which margins claim more than labels can support of which a share e is flipped, and whether the labels bear it.

    A pair over the cap claims that its label agrees more often than 1 - e. If the labels of those pairs agree less
    often than claimed, the reward has fitted noise; if they agree as claimed, e is smaller there than was said.

    Args:
        margin_P: d of held-out pairs, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
        flip_rate: e in [0, 0.5).
        temperature: T > 0 by which margins are divided first (see `fit_temperature`).
    Raises: InputError: as `log_loss`; or the flip rate or the temperature is out of range.
    """
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature = {temperature}: must be positive. Use 1 for margins as they are.")
    margin, label = checked_pairs(margin_P, label_P)
    cap = margin_cap(flip_rate)
    confidence_P, agreement_P = confidence_and_agreement(margin / temperature, label)
    is_over_P = np.abs(margin) / temperature > cap
    return MarginCapCheck(
        flip_rate=flip_rate,
        cap=cap,
        is_over_P=is_over_P,
        claimed=_mean(confidence_P[is_over_P]),
        agreement=_mean(agreement_P[is_over_P]),
        agreement_P=agreement_P,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All of the above for one set of held-out pairs, with 95 % intervals clustered by prompt.

    Attributes:
        nll, brier, ece: means with bootstrap intervals; the bins of the error are those of the whole set.
        ece_noise: see `calibration_noise`.
        table, agreement_K: the reliability table and the agreement of each bin with its interval.
        flip_rate: the stated rate (as its own interval) or the estimated one.
        cap: the check of the margins; None where there is no flip rate or no temperature.
        share_over_cap: pairs beyond the cap; NaN where there is none to check.
        excess: claimed less agreement beyond the cap; NaN where no pair is beyond it.
    """

    nll: Interval
    brier: Interval
    ece: Interval
    ece_noise: float
    temperature: Temperature
    table: Reliability
    agreement_K: tuple[Interval, ...]
    flip_rate: FlipRate
    cap: MarginCapCheck | None
    share_over_cap: Interval
    excess: Interval


def assess_calibration(
    margin_P: ArrayLike,
    label_P: ArrayLike,
    cluster_P: ArrayLike,
    *,
    rng: np.random.Generator,
    flip_rate: float = math.nan,
) -> Calibration:
    """Proper scores, calibration error, temperature and margin cap of held-out pairs.

    Args:
        margin_P: d, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
        cluster_P: prompt of each pair, shape (P,).
        rng: source of the bootstrap over prompts.
        flip_rate: known share of flipped labels in [0, 0.5); NaN: estimated (see `fit_flip_rate`), and the margin cap
            is then that of the low end of its interval, which blames a reward for no more noise than is shown.
    Raises: InputError: as `log_loss`; or the flip rate is out of range.
    """
    margin, label = checked_pairs(margin_P, label_P)
    cluster = np.asarray(cluster_P)
    table = reliability(margin, label)
    temperature = fit_temperature(margin, label, cluster)
    _, agreement_P = confidence_and_agreement(margin, label)
    stated = FlipRate(rate=flip_rate, low=flip_rate, high=flip_rate, scale=math.nan)
    found = fit_flip_rate(margin, label) if math.isnan(flip_rate) else stated
    cap, share, excess = None, UNDEFINED, UNDEFINED
    if not math.isnan(found.rate) and not math.isnan(temperature.value):
        cap = check_margin_cap(margin, label, flip_rate=found.low, temperature=temperature.value)
        share = clustered_proportion(cap.is_over_P, cluster)
        excess = _excess(cap, cluster)
    return Calibration(
        nll=clustered_mean(bradley_terry_loss(margin, label), cluster, rng=rng),
        brier=clustered_mean(brier_terms(margin, label), cluster, rng=rng),
        ece=_clustered_ece(table, cluster, rng),
        ece_noise=calibration_noise(margin),
        temperature=temperature,
        table=table,
        agreement_K=tuple(
            clustered_proportion(agreement_P[table.bin_P == k], cluster[table.bin_P == k])
            for k in range(table.count_K.size)
        ),
        flip_rate=found,
        cap=cap,
        share_over_cap=share,
        excess=excess,
    )


def _clustered_ece(table: Reliability, cluster_P: np.ndarray, rng: np.random.Generator) -> Interval:
    """The calibration error with a bootstrap interval: sums of the gaps in fixed bins add up over clusters."""
    n_pairs, n_bins = table.gap_P.size, table.count_K.size
    column_PK = np.zeros((n_pairs, n_bins + 1))
    column_PK[np.arange(n_pairs), table.bin_P] = table.gap_P
    column_PK[:, n_bins] = 1.0
    return cluster_bootstrap(
        cluster_totals(column_PK, cluster_P),
        lambda total: np.asarray(np.abs(total[..., :-1]).sum(axis=-1) / total[..., -1]),
        rng=rng,
        is_error=True,
    )


def _excess(cap: MarginCapCheck, cluster_P: np.ndarray) -> Interval:
    """Claimed less agreement beyond the cap. The claim hardly varies there, so the interval is the agreement's."""
    agreement = clustered_proportion(cap.agreement_P[cap.is_over_P], cluster_P[cap.is_over_P])
    return Interval(
        estimate=cap.claimed - agreement.estimate,
        low=cap.claimed - agreement.high,
        high=cap.claimed - agreement.low,
        n_clusters=agreement.n_clusters,
        method=agreement.method,
    )


def _mean(value_P: np.ndarray) -> float:
    return float(value_P.mean()) if value_P.size else math.nan
