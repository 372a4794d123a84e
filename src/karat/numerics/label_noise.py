r"""How many labels are flipped, and which, from margins that were held out.

Axes: P pairs, E flip rates of a grid, T scales of a grid, G prompts.  d = held-out margin of the side that the label
prefers, nats times an unknown factor; sigma the logistic function.

The model: a share e of labels is turned at random, whatever the pair, and with t > 0 P(label | d) = (1-2e) sigma(t d) +
e. Scale and rate are fitted together, so how confident the margins sound does not matter, only how they order.

What is identified.  A pair whose responses are about equally good is labelled this way or that without anybody being
careless: it disagrees as a flipped one does. The two are told apart by one thing alone, that agreement stops rising
before 1 however large |d| grows. So

    ceiling   holds without the logistic form: P(label agrees | d) <= 1 - e for any d, so one minus the agreement of
              the pairs with the largest margins bounds e from above, and margins that order poorly bound it loosely;
    interval  needs the logistic form, and is wide where |d| never gets large. Its low end is what the labels show
              of noise that closeness does not explain, if the judge is right where it is confident: one that knows
              half of the pairs and is as sure of the other half gives the same margins as flips do. Nothing in the
              margins can tell the two apart, so a low end above 0 is never proof. Where it lies above the ceiling
              the form itself is refuted, and 0 to the ceiling is all that is left.

A rate is given as a number only where its interval is narrower than WIDEST_USEFUL. Everything else (the posterior of
each pair, what share of the worst suspects is expected to be wrong) is averaged over the rates that the labels allow.

Sources: Patrini et al. (arXiv 1609.03683) for the likelihood of noisy labels; Angluin & Laird 1988 for random flips;
Rotnitzky & Jewell 1990 for the likelihood ratio of clustered data; Bonferroni for the best of several cuts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit, ndtri, stdtrit
from scipy.stats import rankdata

from karat.numerics.intervals import Interval, clustered_proportion
from karat.numerics.preference_likelihood import RESCORE
from karat.numerics.validation import cluster_codes, finite_vector, require_share

WIDEST_USEFUL = 0.25
"""A flip rate lies in [0, 0.5]; an interval that covers half of that range tells nothing worth acting on."""
RATES = np.concatenate([[0.0, 0.0025, 0.005, 0.01, 0.015], np.arange(0.02, 0.495, 0.01)])
"""Flip rates that are looked at; what lies between is interpolated."""
_WIDTHS = np.diff(np.concatenate([[0.0], (RATES[1:] + RATES[:-1]) / 2, [0.5]]))
"""Of the cells around them: beforehand, any rate in [0, 0.5] is as likely as another."""
_SCALES = np.geomspace(0.02, 100.0, 52)
"""Of margins divided by their root mean square; at 100 the logistic function is a step."""
CUTS = (1.0, 0.5, 0.25, 0.1)
"""Shares of pairs, largest margins first, whose agreement may set the ceiling."""


@dataclass(frozen=True, slots=True)
class NoiseFit:
    """Flip rates that held-out margins allow.

    Attributes:
        rate: maximum-likelihood flip rate e; NaN where it is not identified.
        low, high: profile-likelihood interval; 0 and the ceiling where these contradict it; NaN with fewer than two
            prompts or without informative margins.
        ceiling: upper limit without the logistic form, see the module's docstring; NaN with fewer than two prompts.
        agreement: share of labels that the margins agree with (a margin of 0 is one half).
        scale_E, weight_E: over RATES, the best scale t and the relative likelihood; empty without a fit.
        n_pairs: margins that it rests on.
        design: factor by which prompts make the evidence weaker than as many independent pairs, at least 1.
        reason: why the rate is not identified; empty where it is.
    """

    rate: float
    low: float
    high: float
    ceiling: float
    agreement: Interval
    scale_E: np.ndarray
    weight_E: np.ndarray
    n_pairs: int
    design: float
    reason: str

    @property
    def has_fit(self) -> bool:
        """Whether pairs have a posterior: the margins point towards the labels, and there are two prompts."""
        return self.weight_E.size > 0

    def posterior(self, margin_P: ArrayLike) -> np.ndarray:
        """P(the label was flipped | its margin d), averaged over the rates that the labels allow, shape (P,).

        e sigma(-t d) / (e sigma(-t d) + (1-e) sigma(t d)) at each rate. NaN without a fit.
        """
        margin = finite_vector("margin_P", margin_P, RESCORE)
        if not self.has_fit:
            return np.full(margin.size, math.nan)
        used = self.weight_E > 1e-6
        return np.asarray(self.weight_E[used] @ self._posterior_by_rate(margin, used) / self.weight_E[used].sum())

    def expected_precision(self, margin_P: ArrayLike, *, level: float = 0.95) -> Interval:
        """Share of these pairs (the k that a rule picks) whose labels are expected to be flipped: their mean posterior.

        The interval takes in that the rate is not known and that k pairs are not many: quantiles, over the rates, of a
        normal distribution around the mean posterior m with variance m (1 - m) / k, inside [0, 1].

        Returns: undefined for no pairs, or without a fit.
        """
        require_share("level", level)
        margin = finite_vector("margin_P", margin_P, RESCORE)
        if not self.has_fit or margin.size == 0:
            return Interval(math.nan, math.nan, math.nan, 0, "undefined")
        used = self.weight_E > 1e-6
        weight_E = self.weight_E[used] / self.weight_E[used].sum()
        mean_E = self._posterior_by_rate(margin, used).mean(axis=1)
        spread_E = np.sqrt(mean_E * (1 - mean_E) / margin.size)
        step_N = (np.arange(200) + 0.5) / 200
        z_N = ndtri(step_N)
        drawn = np.clip(mean_E[:, None] + spread_E[:, None] * z_N, 0, 1).ravel()
        order = np.argsort(drawn)
        mass = np.cumsum(np.repeat(weight_E, z_N.size)[order]) / z_N.size
        low, high = (float(drawn[order][np.searchsorted(mass, p)]) for p in (0.5 - level / 2, 0.5 + level / 2))
        return Interval(float(weight_E @ mean_E), low, high, margin.size, "bootstrap")

    def _posterior_by_rate(self, margin_P: np.ndarray, used_E: np.ndarray) -> np.ndarray:
        rate_E = RATES[used_E][:, None]
        with np.errstate(divide="ignore"):  # at rate 0 nothing was flipped
            odds = np.log(rate_E) - np.log1p(-rate_E)
        return np.asarray(expit(odds - self.scale_E[used_E][:, None] * margin_P))


def fit_noise(margin_P: ArrayLike, cluster_P: ArrayLike, *, level: float = 0.95) -> NoiseFit:
    """Flip rate of labels from held-out margins, with what bounds it.

    The interval holds the rates whose best log-likelihood over the scale is less than t_{G-1}^2 / 2 times the design
    factor below the best of all: the ratio of the prompts' squared sums of efficient scores to the pairs' own.

    Args:
        margin_P: d, shape (P,): positive where the margin agrees with the label. Held out: a reward that was fitted to
            a flipped label agrees with it and hides it.
        cluster_P: prompt of each pair, shape (P,).
        level: confidence level in (0, 1).
    Raises: InputError: a margin is not finite, or the lengths differ.
    """
    require_share("level", level)
    margin = finite_vector("margin_P", margin_P, RESCORE)
    code_P, n_clusters = cluster_codes(cluster_P, margin.size)
    right_P = np.where(margin > 0, 1.0, np.where(margin < 0, 0.0, 0.5))
    agreement = clustered_proportion(right_P, code_P, level=level)
    ceiling = _ceiling(margin, right_P, code_P, level)
    reason = ""
    size = math.sqrt(float(np.mean(margin**2))) if margin.size else 0.0
    if size == 0:
        reason = "no pairs" if margin.size == 0 else "every margin is 0"
    elif float(np.sum(margin)) <= 0 or agreement.estimate <= 0.5:
        reason = "the margins do not point towards the labels"
    elif n_clusters < 2:
        reason = "one prompt says nothing about others"
    if reason:
        empty = np.empty(0)
        return NoiseFit(math.nan, math.nan, math.nan, ceiling, agreement, empty, empty, margin.size, 1.0, reason)
    loss_E, scale_E = _profile(margin / size)
    best = int(np.argmin(loss_E))
    design = _design(margin / size, code_P, float(RATES[best]), float(scale_E[best]))
    limit = float(loss_E[best]) + design * float(stdtrit(n_clusters - 1, 0.5 + level / 2)) ** 2 / 2
    low, high = _crossings(loss_E, best, limit)
    weight_E = _WIDTHS * np.exp(-(loss_E - loss_E[best]) / design)
    if low > ceiling:
        reason = (
            f"the logistic form asks for {low:.1%} of flips or more, and the most confident pairs allow {ceiling:.1%}"
        )
        low, high = 0.0, ceiling
        weight_E = np.where(ceiling >= RATES, _WIDTHS, 0.0)
    elif high - low > WIDEST_USEFUL:
        reason = f"the margins allow any flip rate from {low:.2f} to {high:.2f}"
    rate = math.nan if reason else _lowest(loss_E, best)
    weight_E /= weight_E.sum()
    return NoiseFit(rate, low, high, ceiling, agreement, scale_E / size, weight_E, margin.size, design, reason)


def _ceiling(margin_P: np.ndarray, right_P: np.ndarray, code_P: np.ndarray, level: float) -> float:
    """1 - the agreement of the most confident pairs, at its lower limit; the best of CUTS, at 1/4 of the error each."""
    if margin_P.size == 0:
        return math.nan
    order = np.argsort(-np.abs(margin_P), kind="stable")
    limits = []
    for share in CUTS:
        top = order[: math.ceil(share * margin_P.size)]
        # One-sided: both tails of 1 - 2 * error / 4 hold error / 4 each.
        found = clustered_proportion(right_P[top], code_P[top], level=1 - 2 * (1 - level) / len(CUTS))
        limits.append(1 - found.low)
    defined = [limit for limit in limits if math.isfinite(limit)]
    return min(0.5, *defined, 0.5) if defined else math.nan


def _profile(unit_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Loss (nats in sum) at the best scale for each rate, and that scale; parabola through the best three of a grid."""
    won_TP = expit(_SCALES[:, None] * unit_P)
    loss_ET = np.empty((RATES.size, _SCALES.size))
    loss_ET[0] = -log_expit(_SCALES[:, None] * unit_P).sum(axis=1)
    for index, rate in enumerate(RATES[1:], 1):
        loss_ET[index] = -np.log((1 - 2 * rate) * won_TP + rate).sum(axis=1)
    best_E = np.clip(np.argmin(loss_ET, axis=1), 1, _SCALES.size - 2)
    row = np.arange(RATES.size)
    left, middle, right = (loss_ET[row, best_E + step] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend > 0, (left - right) / (2 * bend), 0.0)
    shift = np.clip(np.where(np.isfinite(shift), shift, 0.0), -1, 1)
    loss_E = np.minimum(middle - (left - right) * shift / 4, loss_ET.min(axis=1))
    step = math.log(_SCALES[1] / _SCALES[0])
    return loss_E, _SCALES[best_E] * np.exp(shift * step)


def _lowest(loss_E: np.ndarray, best: int) -> float:
    """The rate at the minimum of the parabola through the best three."""
    if not 0 < best < RATES.size - 1:
        return float(RATES[best])
    square, slope, _ = np.polyfit(RATES[best - 1 : best + 2], loss_E[best - 1 : best + 2], 2)
    if not square > 0:
        return float(RATES[best])
    return float(np.clip(-slope / (2 * square), RATES[best - 1], RATES[best + 1]))


def _crossings(loss_E: np.ndarray, best: int, limit: float) -> tuple[float, float]:
    """Outermost rates at which the loss meets the limit, between grid points; 0 and 0.5 where it never does."""
    inside = np.flatnonzero(loss_E <= limit)
    first, last = int(inside.min(initial=best)), int(inside.max(initial=best))

    def between(low: int, high: int) -> float:
        share = (limit - loss_E[low]) / (loss_E[high] - loss_E[low])
        return float(RATES[low] + share * (RATES[high] - RATES[low]))

    low = 0.0 if first == 0 else between(first, first - 1)
    return low, 0.5 if last == RATES.size - 1 else between(last, last + 1)


def _design(unit_P: np.ndarray, code_P: np.ndarray, rate: float, scale: float) -> float:
    """How much more the prompts' scores for e vary than independent pairs' would, the scale's part taken out."""
    won = expit(scale * unit_P)
    chance = (1 - 2 * rate) * won + rate
    score_P = (1 - 2 * won) / chance
    other_P = (1 - 2 * rate) * won * (1 - won) * unit_P / chance
    own = float(other_P @ other_P)
    score_P = score_P - (other_P * float(score_P @ other_P) / own if own > 0 else 0.0)
    sum_G = np.bincount(code_P, weights=score_P)
    base = float(score_P @ score_P)
    return max(1.0, sum_G.size / (sum_G.size - 1) * float(sum_G @ sum_G) / base) if base > 0 else 1.0


# ------------------------------------------------------------------------------------------------------------ suspects
def suspect_order(posterior_P: np.ndarray) -> np.ndarray:
    """Indices of pairs from the likeliest to be flipped; pairs without a posterior are left out."""
    known = np.flatnonzero(np.isfinite(posterior_P))
    return known[np.argsort(-posterior_P[known], kind="stable")]


def auroc(score_P: ArrayLike, is_positive_P: ArrayLike) -> float:
    """P(a positive scores above a negative), ties one half; NaN without one of either.

    The Mann-Whitney statistic over the number of pairs of them.
    """

    score, positive = np.asarray(score_P, dtype=np.float64), np.asarray(is_positive_P, dtype=bool)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return math.nan
    rank_P = rankdata(score)
    return float((rank_P[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
