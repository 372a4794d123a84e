r"""Likelihoods of preference pairs: what the observed labels cost under a margin.

Axes: P pairs.  With d = reward(chosen) - reward(rejected) in nats, l the probability that `chosen` is preferred (1 a
plain label, 0.5 a tie, between them a soft label) and sigma the logistic function, Bradley and Terry's model is
P(chosen is preferred) = sigma(d), and every loss here is the cross-entropy of l under a probability built from d.

Swapping the two responses of a pair (d -> -d, l -> 1-l) changes no loss; adding the same constant to both rewards
changes none but the centering penalty.

Ties.  A tie enters as two half-wins, l = 0.5. That is the numerator of Davidson's tie model exactly: his probability
of a tie is nu sqrt(p_i p_j) / (p_i + p_j + nu sqrt(p_i p_j)) with p = exp(reward), and its log has the same
(r_i + r_j)/2 on top; the half-wins lack the nu in the denominator, so they are Davidson's likelihood for rare ties
(nu -> 0) and pull d towards 0 slightly more than he would where ties are common. Rao and Kupper's threshold model has
no such form. Neither extra parameter changes which reward is higher, so karat estimates none.

Sources: Bradley & Terry 1952; Davidson 1970; Rao & Kupper 1967; Llama 2 (arXiv 2307.09288) for the margin;
HelpSteer2-Preference (2410.01257) for the scaled loss; Patrini et al. (1609.03683) for the forward correction of label
noise; Eisenstein et al. (2312.09244) for the centering penalty; reWordBench (2503.11751) for the consistency penalty;
InstructGPT (2203.02155) for the weight of prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_expit

from karat.errors import InputError
from karat.numerics.validation import cluster_codes, finite_vector, require, require_same_length

RESCORE = "Re-score those pairs, or drop them and report the count."
LABELS = "A label is the probability that `chosen` is preferred."

# Profile likelihood of one parameter, 95 %: half of chi-squared's 0.95 quantile with one degree of freedom.
PROFILE_DROP = 1.920729
# A flip rate lies in [0, 0.5]; an interval that covers half of that range tells nothing worth acting on.
WIDEST_USEFUL_INTERVAL = 0.25


def checked_pairs(margin_P: ArrayLike, label_P: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Margins and labels as float64, a single label spread over all pairs.

    Raises: InputError: a margin is not finite, a label is outside [0, 1], or the lengths differ.
    """
    margin = finite_vector("margin_P", margin_P, RESCORE)
    label = np.asarray(label_P, dtype=np.float64)
    label = np.full_like(margin, float(label)) if label.ndim == 0 else label
    require_same_length(margin_P=margin, label_P=label)
    require("label_P", label, (label >= 0) & (label <= 1), f"are outside [0, 1]. {LABELS}")
    return margin, label


def bradley_terry_loss(margin_P: ArrayLike, label_P: ArrayLike = 1.0) -> np.ndarray:
    """-l log sigma(d) - (1-l) log sigma(-d), per pair; softplus(-d) for a plain label.

    Args:
        margin_P: d, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
    Returns: losses in nats, shape (P,).
    Raises: InputError: a margin is not finite or a label is outside [0, 1].
    """
    margin, label = checked_pairs(margin_P, label_P)
    return _cross_entropy(label, log_expit(margin), log_expit(-margin))


def margin_loss(margin_P: ArrayLike, label_P: ArrayLike, strength_P: ArrayLike) -> np.ndarray:
    """-l log sigma(d-m) - (1-l) log sigma(-d-m): whoever wins must win by the strength m (Llama 2, eq. 2).

    Args:
        margin_P: d, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
        strength_P: m >= 0, nats, shape (P,); NaN (not given) counts as 0, which is plain Bradley-Terry.
    Returns: losses in nats, shape (P,).
    Raises: InputError: as `bradley_terry_loss`; or a strength is negative or infinite.
    """
    margin, label = checked_pairs(margin_P, label_P)
    target = _checked_strength(strength_P, missing=0.0)
    require_same_length(margin_P=margin, strength_P=target)
    return _cross_entropy(label, log_expit(margin - target), log_expit(-margin - target))


def scaled_loss(margin_P: ArrayLike, label_P: ArrayLike, strength_P: ArrayLike) -> np.ndarray:
    """m times the Bradley-Terry loss: a pair of strength 3 counts as three pairs (HelpSteer2-Preference).

    Not divided by the mean strength, as in the source; a strength of 0 removes the pair.

    Args:
        margin_P: d, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
        strength_P: m >= 0, shape (P,); NaN (not given) counts as 1, which is plain Bradley-Terry.
    Returns: losses in nats, shape (P,).
    Raises: InputError: as `bradley_terry_loss`; or a strength is negative or infinite.
    """
    weight = _checked_strength(strength_P, missing=1.0)
    loss = bradley_terry_loss(margin_P, label_P)
    require_same_length(margin_P=loss, strength_P=weight)
    return np.asarray(weight * loss)


def robust_loss(margin_P: ArrayLike, label_P: ArrayLike, *, flip_rate: float) -> np.ndarray:
    """Cross-entropy under labels of which a share e is flipped: P(label) = (1-2e) sigma(d) + e.

    This is the forward correction (Patrini et al.): d speaks of the preference before the flip, and the loss of a
    badly wrong pair ends at -log e, so that flipped labels stop pulling. It is not label smoothing
    (-(1-e) log sigma(d) - e log sigma(-d), "conservative" in DPO), whose pull never ends and which caps d instead.

    Args:
        margin_P: d, nats, shape (P,).
        label_P: l in [0, 1], shape (P,) or one for all.
        flip_rate: e in [0, 0.5); 0 gives `bradley_terry_loss`.
    Returns: losses in nats, shape (P,).
    Raises: InputError: as `bradley_terry_loss`; or the flip rate is out of range.
    """
    margin, label = checked_pairs(margin_P, label_P)
    _require_flip_rate(flip_rate)
    log_kept = math.log1p(-flip_rate)
    log_flip = math.log(flip_rate) if flip_rate else -math.inf
    log_won, log_lost = log_expit(margin), log_expit(-margin)
    return _cross_entropy(
        label,
        np.logaddexp(log_kept + log_won, log_flip + log_lost),
        np.logaddexp(log_kept + log_lost, log_flip + log_won),
    )


def centering_penalty(reward_chosen_P: ArrayLike, reward_rejected_P: ArrayLike) -> np.ndarray:
    """(r(chosen) + r(rejected))^2 per pair, shape (P,); fixes the constant that preferences leave free.

    Raises: InputError: a reward is not finite, or the lengths differ.
    """
    chosen = finite_vector("reward_chosen_P", reward_chosen_P, RESCORE)
    rejected = finite_vector("reward_rejected_P", reward_rejected_P, RESCORE)
    require_same_length(reward_chosen_P=chosen, reward_rejected_P=rejected)
    return np.asarray(np.square(chosen + rejected))


def consistency_penalty(reward_P: ArrayLike, reworded_P: ArrayLike) -> np.ndarray:
    """(r(y) - r(y reworded))^2 per response, shape (P,): what says the same is worth the same (2503.11751).

    Raises: InputError: a reward is not finite, or the lengths differ.
    """
    reward = finite_vector("reward_P", reward_P, RESCORE)
    reworded = finite_vector("reworded_P", reworded_P, RESCORE)
    require_same_length(reward_P=reward, reworded_P=reworded)
    return np.asarray(np.square(reward - reworded))


def prompt_weight(prompt_P: ArrayLike) -> np.ndarray:
    """1 / (number of pairs of the same prompt), shape (P,): the weights of a prompt sum to 1 (InstructGPT).

    The sum of weight * loss divided by the number of prompts is the mean over prompts of their mean loss.

    Args:
        prompt_P: prompt names, numbers or text, shape (P,).
    """
    code_P, n_prompts = cluster_codes(prompt_P, len(np.asarray(prompt_P)))
    return np.asarray(1.0 / np.bincount(code_P, minlength=n_prompts)[code_P])


def margin_cap(flip_rate: float) -> float:
    """log((1-e)/e), nats: the largest margin that labels can support of which a share e is flipped.

    The Bradley-Terry loss of a pair whose label reads 1 with probability 1-e is least at this d, whatever the size of
    the true preference. Infinite at e = 0.

    Args:
        flip_rate: e in [0, 0.5).
    Raises: InputError: the flip rate is out of range.
    """
    _require_flip_rate(flip_rate)
    return math.log((1 - flip_rate) / flip_rate) if flip_rate else math.inf


@dataclass(frozen=True, slots=True)
class FlipRate:
    """An estimated share of flipped labels, with its 95 % profile-likelihood interval.

    Attributes:
        rate: e in [0, 0.5); NaN where the data does not identify it.
        low, high: ends of the interval; NaN with the rate.
        scale: the factor a on the margins that goes with the rate; NaN with the rate.
        reason: why the rate is not identified; empty where it is.
    """

    rate: float
    low: float
    high: float
    scale: float
    reason: str = ""


def fit_flip_rate(margin_P: ArrayLike, label_P: ArrayLike = 1.0) -> FlipRate:
    """Maximum-likelihood flip rate e of the labels, from held-out margins: P(label) = (1-2e) sigma(a d) + e.

    The scale a of the margins is fitted with e, since an over-confident reward at the right scale and noisy labels
    look alike otherwise. What identifies e is a plateau: agreement that stays below 1 however large |d| grows. So e is
    not identified, and NaN with a reason, where all margins are small or equal in size, where the margins do not
    point towards the labels, or where the interval is wider than 0.25 (too few pairs, or none far out). The margins
    must be held out: a model that has fitted flipped labels hides them. The interval takes pairs as independent.

    Args:
        margin_P: d, nats, shape (P,), of pairs that the reward was not trained on.
        label_P: l in [0, 1], shape (P,) or one for all.
    Raises: InputError: a margin is not finite or a label is outside [0, 1].
    """
    margin, label = checked_pairs(margin_P, label_P)
    largest = float(np.max(np.abs(margin), initial=0.0))
    if largest == 0:
        return _unidentified("no pairs" if margin.size == 0 else "every margin is 0")
    unit = margin / largest
    if float(np.sum((2 * label - 1) * unit)) <= 0:
        return _unidentified("the margins do not point towards the labels")
    scale, rate, least = _fit_scale_and_rate(unit, label)
    low, high = _profile_interval(unit, label, fitted=(scale, rate), limit=least + PROFILE_DROP)
    if high - low > WIDEST_USEFUL_INTERVAL:
        return _unidentified(f"the margins allow any flip rate from {low:.2f} to {high:.2f}")
    return FlipRate(rate=rate, low=low, high=high, scale=scale / largest)


# The scale is bounded: at exp(8) on margins of size 1 the logistic function is a step, and larger changes nothing.
_LOG_SCALE_BOUNDS = (-8.0, 8.0)
_RATE_BOUNDS = (0.0, 0.4999)


def _sum_loss(log_scale: float, rate: float, unit_P: np.ndarray, label_P: np.ndarray) -> float:
    won_P = rate + (1 - 2 * rate) * expit(math.exp(log_scale) * unit_P)
    tiny = np.finfo(np.float64).tiny  # keeps log finite where a pair is impossible at rate 0
    log_won_P, log_lost_P = np.log(np.maximum(won_P, tiny)), np.log(np.maximum(1 - won_P, tiny))
    return float(np.sum(_cross_entropy(label_P, log_won_P, log_lost_P)))


def _fit_scale_and_rate(unit_P: np.ndarray, label_P: np.ndarray) -> tuple[float, float, float]:
    """Scale, rate and summed loss at the optimum; the surface has two valleys (noise, or a small scale), so both."""
    fits = [
        minimize(
            lambda at: _sum_loss(at[0], at[1], unit_P, label_P),
            x0=start,
            method="L-BFGS-B",
            bounds=(_LOG_SCALE_BOUNDS, _RATE_BOUNDS),
        )
        for start in ((0.0, 0.01), (1.5, 0.1), (3.0, 0.3))
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    return math.exp(best.x[0]), float(best.x[1]), float(best.fun)


def _profile_interval(
    unit_P: np.ndarray, label_P: np.ndarray, *, fitted: tuple[float, float], limit: float
) -> tuple[float, float]:
    """Ends of the set of rates whose best loss over the scale stays under the limit, on a grid of 0.005."""
    scale, rate = fitted
    grid = np.arange(0.0, 0.5, 0.005)
    inside = [rate]
    for side in (grid[grid < rate][::-1], grid[grid > rate]):
        for candidate in side:
            best = minimize_scalar(
                lambda log_scale, at=candidate: _sum_loss(log_scale, at, unit_P, label_P),
                bounds=(max(math.log(scale) - 4, _LOG_SCALE_BOUNDS[0]), _LOG_SCALE_BOUNDS[1]),
                method="bounded",
                options={"xatol": 1e-3},
            )
            if best.fun > limit:
                break
            inside.append(float(candidate))
    return min(inside), max(inside)


def _unidentified(reason: str) -> FlipRate:
    return FlipRate(rate=math.nan, low=math.nan, high=math.nan, scale=math.nan, reason=reason)


def _cross_entropy(label_P: np.ndarray, log_won_P: np.ndarray, log_lost_P: np.ndarray) -> np.ndarray:
    return np.asarray(-(label_P * log_won_P + (1 - label_P) * log_lost_P))


def _checked_strength(strength_P: ArrayLike, *, missing: float) -> np.ndarray:
    strength = np.asarray(strength_P, dtype=np.float64)
    is_good = np.isnan(strength) | ((strength >= 0) & np.isfinite(strength))
    require("strength_P", strength, is_good, "are negative or infinite. Give the size of the preference, or NaN.")
    return np.where(np.isnan(strength), missing, strength)


def _require_flip_rate(flip_rate: float) -> None:
    if not 0 <= flip_rate < 0.5:
        raise InputError(f"flip_rate = {flip_rate}: must be in [0, 0.5); at 0.5 the labels say nothing.")
