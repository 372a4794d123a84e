"""Where the truth peaks and falls under optimisation: the peak, its drop, fitted curves, and limits without a curve.

Axes: N values of n (or policies), B bootstrap draws, P prompts, K points of a fit.

Gold curves are relative: only differences from the reference policy (n = 1) mean anything. d = sqrt(KL) in sqrt(nats).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import fdtrc, ndtri, stdtrit, xlogy

from karat.numerics.best_of_n import Curve, PoolMatrix, percentile_ends
from karat.numerics.intervals import Interval, cluster_bootstrap
from karat.numerics.validation import require_share

LARGEST_D = 100.0
"""sqrt(nats): an optimum beyond 10,000 nats, which no policy reaches, is called infinite."""
LARGEST_CORRELATION = 1 - 1e-12
"""Beyond it Fisher's z is rounding alone."""
MAX_FIT_POINTS = 8
"""Points of a curve that a fit uses: neighbouring n carry the same information, and their covariance is estimated."""


# --------------------------------------------------------------------------------------------------------- the peak
@dataclass(frozen=True, slots=True)
class Peak:
    """Where a gold curve is highest.

    Attributes:
        n: the n of the largest estimate, the least where several are equal (a curve that has reached all there is);
            low_n, high_n: ends of its interval, an n of the grid each.
        gold: the estimate there, which is too high by having been selected.
        is_last: the peak is the last n: the curve says nothing of where the truth falls.
        drop: gold at the best n of the first half of the range, less gold at the last n. Each half of the prompts is
            judged at the best n of the other half, so that selection does not favour it. The truth falls where its
            interval is above 0; negative where it rises to the end.
        gain: gold at the best n above 1, less gold at n = 1, cross-fitted in the same way.
        drop_height: the drop over what the same n gains on n = 1, (peak - last) / (peak - first) of Karwowski et al.
            2024 (arXiv 2310.09144), cross-fitted likewise: 0 nothing lost, 1 all that was gained is lost again, above
            1 worse than the reference, below 0 still rising. Fieller's interval; NaN where no gain is sure.
    """

    n: int
    low_n: int
    high_n: int
    gold: float
    is_last: bool
    drop: Interval
    gain: Interval
    drop_height: Interval


def locate_peak(curve: Curve, gold_PN: np.ndarray, *, level: float = 0.95) -> Peak:
    """The peak of a gold curve, with an interval on its location.

    Args:
        curve: the gold curve.
        gold_PN: the curve of each prompt, of which `curve` is the mean.
    """
    last = len(curve.n_N) - 1
    at = int(_first_top(curve.mean_N, curve))
    low, high = peak_interval(curve, level=level)
    half = slice(0, (last + 1) // 2)
    return Peak(
        n=int(curve.n_N[at]),
        low_n=int(curve.n_N[low]),
        high_n=int(curve.n_N[high]),
        gold=float(curve.mean_N[at]),
        is_last=at == last,
        drop=cross_fitted_difference(gold_PN, last, half, level=level, unseen_2N=curve.unseen_2N),
        gain=cross_fitted_difference(gold_PN, 0, slice(1, None), level=level, unseen_2N=curve.unseen_2N),
        drop_height=drop_height(gold_PN, half, level=level),
    )


def peak_interval(curve: Curve, *, level: float = 0.95) -> tuple[int, int]:
    """Indices between which the peak lies: the percentile interval of the bootstrap draws' own peaks.

    Simulated coverage at 95 %: 0.945 to 0.99 for heavy-tailed errors and hack modes (docs/stress.md).
    """
    low, high = percentile_ends(_first_top(curve.draw_BN, curve).astype(float), curve.n_prompts, level=level)
    return int(low), int(high)


def _first_top(value_BN: np.ndarray, curve: Curve) -> np.ndarray:
    """Index of the first value that is as high as any of its row, to within rounding of the curve's range."""
    rounding = 1e-9 * np.ptp(curve.mean_N[np.isfinite(curve.mean_N)])
    return np.asarray(np.argmax(value_BN >= np.nanmax(value_BN, axis=-1, keepdims=True) - rounding, axis=-1))


def cross_fitted_difference(
    gold_PN: np.ndarray,
    against: int,
    candidates: slice,
    *,
    level: float = 0.95,
    unseen_2N: np.ndarray | None = None,
) -> Interval:
    """Gold at the best candidate less gold at one n, the best of each half of the prompts taken from the other half.

    Halves are the even and the odd prompts; the interval is Student's t over prompts. NaN with fewer than four prompts,
    and ends NaN where no prompt differs from another.

    Args:
        against: index of the n to compare with; not among the candidates, or there may be no difference to see.
        candidates: indices of the n that may be the best.
        unseen_2N: of `unseen_reach`, in the unit of gold_PN: the interval is longer by what may have gone unseen at
            either n.
    """
    n_prompts = len(gold_PN)
    if n_prompts < 4:
        return Interval(math.nan, math.nan, math.nan, n_prompts, "undefined")
    difference_P = at_best_of_other_half(gold_PN, candidates) - gold_PN[:, against]
    mean, error = float(difference_P.mean()), float(difference_P.std(ddof=1)) / math.sqrt(n_prompts)
    down = up = 0.0
    if unseen_2N is not None:
        best_2 = unseen_2N[:, candidates][:, best_of_halves(gold_PN, candidates)].mean(axis=1)
        down, up = (float(best_2[side] + unseen_2N[1 - side, against]) for side in (0, 1))
    if error <= 1e-12 * max(1.0, abs(mean)):
        ends = (mean - down, mean + up) if down + up > 0 else (math.nan, math.nan)
        return Interval(mean, *ends, n_prompts, "no variation")
    half = float(stdtrit(n_prompts - 1, 0.5 + level / 2)) * error
    return Interval(mean, mean - half - down, mean + half + up, n_prompts, "jackknife t")


def at_best_of_other_half(gold_PN: np.ndarray, candidates: slice) -> np.ndarray:
    """Gold of each prompt at the candidate that is best for the other half of the prompts (even, odd), shape (P,)."""
    gold_P = np.empty(len(gold_PN))
    of_even, of_odd = best_of_halves(gold_PN, candidates)
    gold_P[::2], gold_P[1::2] = gold_PN[::2, candidates][:, of_odd], gold_PN[1::2, candidates][:, of_even]
    return gold_P


def best_of_halves(gold_PN: np.ndarray, candidates: slice) -> tuple[int, int]:
    """Which candidate is best for the even prompts, and for the odd ones."""
    even, odd = (int(np.argmax(gold_PN[first::2, candidates].mean(axis=0))) for first in (0, 1))
    return even, odd


def drop_height(gold_PN: np.ndarray, candidates: slice, *, level: float = 0.95) -> Interval:
    """(best - last) / (best - first) of a gold curve, the best of each half of the prompts taken from the other half.

    The interval is Fieller's (1954) for a ratio of means, Student's t over prompts. All NaN with fewer than four
    prompts, or where best - first is not surely different from 0: no share of nothing.

    Args:
        gold_PN: the curve of each prompt, from n = 1 to the last n.
        candidates: indices of the n that may be the best.
    """
    n_prompts = len(gold_PN)
    undefined = Interval(math.nan, math.nan, math.nan, n_prompts, "undefined")
    if n_prompts < 4:
        return undefined
    best_P = at_best_of_other_half(gold_PN, candidates)
    lost_P, gained_P = best_P - gold_PN[:, -1], best_P - gold_PN[:, 0]
    lost, gained = float(lost_P.mean()), float(gained_P.mean())
    squares = float(stdtrit(n_prompts - 1, 0.5 + level / 2)) ** 2 * np.cov(lost_P, gained_P) / n_prompts
    bounded = gained**2 - squares[1, 1]
    if not (bounded > 0 and gained > 0):
        return undefined
    middle = (lost * gained - squares[0, 1]) / bounded
    half = math.sqrt(max(middle**2 - (lost**2 - squares[0, 0]) / bounded, 0.0))
    if half <= 1e-12 * max(1.0, abs(middle)):
        return Interval(lost / gained, math.nan, math.nan, n_prompts, "no variation")
    return Interval(lost / gained, middle - half, middle + half, n_prompts, "jackknife t")


# ----------------------------------------------------------------------------------------------------- fitted curves
Form = Literal["best-of-n", "RL"]


@dataclass(frozen=True, slots=True)
class CurveFit:
    """R(d) = d (a - b d) ("best-of-n") or d (a - b log d) ("RL"), Gao et al. 2022.

    Attributes:
        a, b: estimates, each with its interval; gold per sqrt(nat) and per nat.
        best_d: d of the largest R, with its interval: a / (2 b), or exp(a/b - 1); infinite where b <= 0.
        best_gold: R there.
        p_value: of the fit's residuals, by their bootstrap covariance (Hotelling); small: the form does not hold.
        n_points: points used, K.
    """

    form: Form
    a: Interval
    b: Interval
    best_d: Interval
    best_gold: float
    p_value: float
    n_points: int

    def __call__(self, d: np.ndarray) -> np.ndarray:
        """R at d > 0."""
        return np.asarray(_design(d, self.form) @ np.array([self.a.estimate, self.b.estimate]))


def fit_curve(curve: Curve, kl_N: np.ndarray, form: Form, *, level: float = 0.95) -> CurveFit | None:
    """Generalised least squares on the gold relative to n = 1, weighted by the bootstrap covariance of the points.

    The weights are estimated from as few prompts as the curve, so that a and b vary by more than their draws at these
    weights do. As in the analysis of covariance that the fit amounts to (Rao 1967), with q contrasts left over and
    nu = P - 1 degrees of freedom, their variance is (1 + T^2 / nu) nu / (nu - q) times as large, and Student's t has
    nu - q degrees. The draws are spread out by that before the ends of an interval are taken.

    Args:
        curve: gold, its first n being 1.
        kl_N: KL of each n, in nats.
    Returns: None with fewer than three points of n > 1, too few prompts for their covariance, or no distance at all.
    """
    points = fit_points(curve)
    if len(points) < 3 or curve.n_prompts <= len(points) + 2 or not kl_N[points].min() > 0:
        return None
    gold_K = curve.mean_N[points] - curve.mean_N[0]
    draw_BK = curve.draw_BN[:, points] - curve.draw_BN[:, [0]]
    design = _design(np.sqrt(kl_N[points]), form)
    values, vectors = np.linalg.eigh(np.cov(draw_BK, rowvar=False))
    keep = values > 1e-10 * values[-1]
    whiten = vectors[:, keep] / np.sqrt(values[keep])  # K x rank
    solve = np.linalg.pinv(whiten.T @ design) @ whiten.T  # 2 x K
    ab = solve @ gold_K
    residual = whiten.T @ (gold_K - design @ ab)
    freedom, prompts = int(keep.sum()) - 2, curve.n_prompts
    if freedom < 1:
        return None
    # the inverse of a covariance that comes from B draws is too large on average (Hartlap et al. 2007)
    draws, nu = len(draw_BK), prompts - 1
    squared = float(residual @ residual) * nu / prompts * max(draws - freedom - 2, 1) / (draws - 1)
    statistic = squared * (prompts - freedom) / (freedom * nu)
    wider = math.sqrt((1 + squared / nu) * nu / (nu - freedom))
    wider *= float(stdtrit(nu - freedom, 0.5 + level / 2) / stdtrit(nu, 0.5 + level / 2))
    drawn = ab + wider * (draw_BK @ solve.T - ab)
    ends = [percentile_ends(column, prompts, level=level) for column in (*drawn.T, _best_d(drawn, form))]
    estimates = (*ab, float(_best_d(ab, form)))
    a, b, best = (
        Interval(float(value), float(low), float(high), prompts, "bootstrap")
        for value, (low, high) in zip(estimates, ends, strict=True)
    )
    best_gold = float((_design(np.array([best.estimate]), form) @ ab)[0]) if math.isfinite(best.estimate) else math.nan
    return CurveFit(form, a, b, best, best_gold, float(fdtrc(freedom, prompts - freedom, statistic)), len(points))


def fit_points(curve: Curve) -> np.ndarray:
    """Indices of at most MAX_FIT_POINTS values of n above 1, evenly spaced in log n."""
    usable = np.flatnonzero((curve.n_N > 1) & np.isfinite(curve.mean_N))
    if not usable.size:
        return usable
    wanted = np.geomspace(curve.n_N[usable[0]], curve.n_N[usable[-1]], MAX_FIT_POINTS)
    return np.unique(usable[[int(np.argmin(np.abs(curve.n_N[usable] - n))) for n in wanted]])


def _design(d: np.ndarray, form: Form) -> np.ndarray:
    return np.stack([d, -(d**2) if form == "best-of-n" else -xlogy(d, d)], axis=-1)


def _best_d(ab: np.ndarray, form: Form) -> np.ndarray:
    a, b = ab[..., 0], ab[..., 1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        best = a / (2 * b) if form == "best-of-n" else np.exp(a / b - 1)
        best = np.where(best > LARGEST_D, np.inf, best)
        return np.where(b > 0, np.maximum(best, 0.0), np.where(a > 0, np.inf, 0.0))


# ------------------------------------------------------------------------------------------- limits without a curve
def reference_correlation(pool: PoolMatrix, *, rng: np.random.Generator, level: float = 0.95) -> Interval:
    """Correlation of proxy and gold within prompts, over the responses that have both; bootstrap over prompts.

    Both are centred by prompt first, so that a function of the prompt changes nothing. NaN without two labelled
    responses in at least two prompts, or where either score never varies. The interval is that of Fisher's z (1921),
    turned back: with few prompts the correlation itself is far from Student's t.
    """
    is_known_PG = ~np.isnan(pool.value_PG) & ~np.isnan(pool.proxy_PG)
    used = is_known_PG.sum(axis=1) >= 2
    x, y = (_centred(score[used], is_known_PG[used]) for score in (pool.proxy_PG, pool.value_PG))
    total_P3 = np.stack([(x * y).sum(axis=1), (x * x).sum(axis=1), (y * y).sum(axis=1)], axis=1)

    def fisher_z(total: np.ndarray) -> np.ndarray:
        r = total[..., 0] / np.sqrt(total[..., 1] * total[..., 2])
        return np.asarray(np.arctanh(np.clip(r, -LARGEST_CORRELATION, LARGEST_CORRELATION)))

    z = cluster_bootstrap(total_P3, fisher_z, rng=rng, level=level)
    return replace(z, estimate=math.tanh(z.estimate), low=math.tanh(z.low), high=math.tanh(z.high))


def _centred(score_PG: np.ndarray, is_known_PG: np.ndarray) -> np.ndarray:
    """Less the prompt's mean over the known; 0 elsewhere."""
    filled = np.where(is_known_PG, score_PG, 0.0)
    mean_P = filled.sum(axis=1) / np.maximum(is_known_PG.sum(axis=1), 1)
    return np.where(is_known_PG, score_PG - mean_P[:, None], 0.0)


def within_prompt_sd(score_PG: np.ndarray) -> float:
    """Pooled standard deviation around the prompts' means, NaN entries left out: the unit of gains."""
    is_known_PG = ~np.isnan(score_PG)
    freedom = int(np.maximum(is_known_PG.sum(axis=1) - 1, 0).sum())
    return math.sqrt(float((_centred(score_PG, is_known_PG) ** 2).sum()) / freedom) if freedom else math.nan


def certified_gain(proxy_gain_N: np.ndarray, chi2_N: np.ndarray, correlation: float) -> np.ndarray:
    """Least gain in gold, in its reference standard deviations, of any gold that correlates so with the proxy.

    Under the reference, gold = r proxy + sqrt(1 - r^2) rest (all standardised, within prompts), and a policy can lose
    at most sqrt(chi2) of the rest: gain >= r g - sqrt((1 - r^2) chi2), and >= (g - sqrt((1 - r^2) chi2)) / r; the
    larger holds. After Laidlaw et al. 2025 (arXiv 2403.03185).

    Args:
        proxy_gain_N: g, gain in the proxy in its own reference standard deviations; at most sqrt(chi2) by
            Cauchy-Schwarz, and cut there.
        chi2_N: chi-square divergence of each policy.
        correlation: r, or a lower bound on it; with r <= 0 nothing is certified (-inf).
    """
    if not correlation > 0:
        return np.full(np.shape(proxy_gain_N), math.nan if math.isnan(correlation) else -math.inf)
    gain_N = np.minimum(proxy_gain_N, np.sqrt(chi2_N))
    rest_N = np.sqrt((1 - min(correlation, 1.0) ** 2) * chi2_N)
    return np.asarray(np.maximum(correlation * gain_N - rest_N, (gain_N - rest_N) / correlation))


def labels_for(
    correlation: float, n_labels: np.ndarray, *, design: float = 1.0, confidence: float = 0.95
) -> np.ndarray:
    """Lower confidence bound on a correlation that so many labelled responses are expected to give.

    tanh(atanh r - z / sqrt(m - 3)), with m the labels over the design effect (Fisher 1921).
    """
    require_share("confidence", confidence)
    effective = np.asarray(n_labels, float) / design - 3
    reach = float(ndtri(confidence))
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.tanh(np.arctanh(min(correlation, 1 - 1e-12)) - reach / np.sqrt(effective))
    return np.where(effective > 0, low, np.nan)


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best setting of a selection rule.

    Attributes:
        setting: the setting with the largest gold, with its interval.
        gold: there, with its pointwise interval; too high by having been selected.
        is_edge: it is the first or the last of those tried, so that the best may lie beyond.
        kl_nats: how far the rule is from the reference at this setting; NaN where it was not worked out.
    """

    setting: Interval
    gold: Interval
    is_edge: bool
    kl_nats: float = math.nan


def best_setting(setting_T: np.ndarray, gold_T: np.ndarray, draw_BT: np.ndarray, n_units: int) -> Optimum:
    """Where gold is largest over the settings of a rule, and the interval of where.

    The gold of best of n, soft best of n and best of Poisson is monotone or has one interior extremum in its setting
    when the proxy's quantile decides (HedgeTune, Khalaf et al. 2025, arXiv 2506.19248). A grid of settings finds it,
    and the parabola through the three settings around the largest gives it between them; at the edge, the edge itself.
    Each gold is an unbiased estimate of the rule's own value, so no root is shifted by taking the pool for the
    population.

    Args:
        setting_T: settings, ascending, shape (T,).
        gold_T: estimate at each; draw_BT: its bootstrap draws.
        n_units: prompts.
    """
    at = int(np.argmax(gold_T))
    low, high = percentile_ends(_vertex(setting_T, draw_BT), n_units)
    gold_low, gold_high = percentile_ends(draw_BT[:, at], n_units)
    return Optimum(
        Interval(float(_vertex(setting_T, gold_T[None])[0]), float(low), float(high), n_units, "bootstrap"),
        Interval(float(gold_T[at]), float(gold_low), float(gold_high), n_units, "bootstrap"),
        at in (0, len(setting_T) - 1),
    )


def _vertex(setting_T: np.ndarray, gold_BT: np.ndarray) -> np.ndarray:
    """Setting at the top of the parabola through the largest value of each row and its two neighbours, shape (B,).

    The parabola is one in the settings' index; the setting there is interpolated.
    """
    at_B = np.argmax(gold_BT, axis=1)
    inner_B = np.clip(at_B, 1, max(len(setting_T) - 2, 1))
    if len(setting_T) < 3:
        return np.asarray(setting_T[at_B])
    rows = np.arange(len(gold_BT))
    left, top, right = (gold_BT[rows, inner_B + step] for step in (-1, 0, 1))
    bend = left - 2 * top + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift_B = np.where((bend < 0) & (inner_B == at_B), 0.5 * (left - right) / bend, 0.0)
    return np.asarray(np.interp(at_B + shift_B, np.arange(len(setting_T)), setting_T))
