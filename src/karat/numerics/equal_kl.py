"""Rules for choosing responses, compared at equal KL: each rule's gold along its own path, paired over prompts.

Axes: P prompts, G responses, T strengths of a rule, B bootstrap draws, R rules.

A path is a rule at growing strength: best of n over n, or weights on the samples over a temperature. Equal n is equal
KL only without ties; here each path is read at one KL, between its own points along a straight line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import logsumexp, ndtr, stdtrit, xlogy

from karat.errors import InputError
from karat.numerics.best_of_n import PoolMatrix, best_of_n_by_prompt
from karat.numerics.divergence import best_of_n_divergence, best_of_n_kl_bound
from karat.numerics.intervals import MIN_BOOTSTRAP_CLUSTERS
from karat.numerics.validation import require_share

Reweighting = Literal["chi-square", "softmax"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A rule at growing strength, no pressure first.

    Attributes:
        strength_T: n, or a temperature in the unit of the proxy (infinite: no pressure).
        kl_PT: nats from the reference policy, by prompt; their mean grows along the path.
        gold_PT: expected gold, by prompt.
    """

    strength_T: np.ndarray
    kl_PT: np.ndarray
    gold_PT: np.ndarray

    @property
    def mean_kl(self) -> np.ndarray:
        """Mean over prompts."""
        return np.asarray(self.kl_PT.mean(axis=0))

    @property
    def reach(self) -> float:
        """Largest KL of the path, nats."""
        return float(self.mean_kl.max())


# --------------------------------------------------------------------------------------------------------------- paths
def path_n(max_n: int) -> np.ndarray:
    """The n at which a path is computed: all up to 12, then an eighth more each time, and the last."""
    steps = [1]
    while steps[-1] < max_n:
        steps.append(min(max_n, max(steps[-1] + 1, round(steps[-1] * 1.125))))
    return np.array(steps)


def best_of_n_path(pool: PoolMatrix, max_n: int) -> Path:
    """Best of n by the pool's proxy, n up to max_n; KL exact for the ties that the pool shows.

    Args:
        pool: every prompt has max_n responses or more, all with gold.
    """
    n_T = path_n(max_n)
    kl_PT = np.tile(best_of_n_kl_bound(n_T), (pool.n_prompts, 1))
    has_ties_P = (np.diff(pool.proxy_PG, axis=1) == 0).any(axis=1)  # rows are sorted; NaN equals nothing
    for prompt in np.flatnonzero(has_ties_P):
        kl_PT[prompt] = best_of_n_divergence(pool.proxy_PG[prompt, : pool.size_P[prompt]], n_T)[0]
    return Path(strength_T=n_T, kl_PT=kl_PT, gold_PT=best_of_n_by_prompt(pool, pool.value_PG, n_T))


def reweighting_path(pool: PoolMatrix, temperature_T: np.ndarray, kind: Reweighting) -> Path:
    """A choice among all samples of a prompt with weights that grow with the proxy; gold by exact expectation.

    KL is that of the weights from equal ones. In expectation it is no less than the policy's, because KL is convex in
    both its arguments; and at most log G.

    Args:
        temperature_T: descending, above 0, in the unit of the proxy; the path begins with no pressure at all.
    """
    temperature = np.asarray(temperature_T, np.float64)
    kl, gold = [np.zeros(pool.n_prompts)], [np.nanmean(pool.value_PG, axis=1)]
    value_PG = np.nan_to_num(pool.value_PG)
    for each in temperature:
        weight_PG = chi_square_weights(pool.proxy_PG, each) if kind == "chi-square" else softmax(pool.proxy_PG, each)
        kl.append(xlogy(weight_PG, weight_PG * pool.size_P[:, None]).sum(axis=1))
        gold.append((weight_PG * value_PG).sum(axis=1))
    return Path(strength_T=np.r_[math.inf, temperature], kl_PT=np.stack(kl, axis=1), gold_PT=np.stack(gold, axis=1))


def chi_square_weights(proxy_PG: np.ndarray, temperature: float) -> np.ndarray:
    """relu((r - lambda) / temperature) / G, with the lambda of each prompt that makes the sum 1, shape (P, G).

    The choice that maximises E[r] - temperature / 2 E[(w G)^2], a penalty on the chi-square divergence: responses far
    below the best get nothing, and none gets more than its lead pays for. Inference-time pessimism of Huang et al. 2025
    (arXiv 2503.21878), with the sum over all samples in place of rejection sampling.

    Args:
        proxy_PG: NaN where there is no response (weight 0).
        temperature: above 0, in the unit of the proxy; to 0 it is the best of all, to infinity all alike.
    """
    _check(temperature)
    is_there = ~np.isnan(proxy_PG)
    n_P = is_there.sum(axis=1)
    # lambda lies where the k highest give k lambda = their sum - G temperature, and the k-th is the last above it
    high_PG = -np.sort(np.where(is_there, -proxy_PG, np.inf), axis=1)
    finite_PG = np.where(np.isfinite(high_PG), high_PG, 0.0)
    k_G = np.arange(1, proxy_PG.shape[1] + 1)
    level_PG = (np.cumsum(finite_PG, axis=1) - (n_P * temperature)[:, None]) / k_G
    last_P = (np.isfinite(high_PG) & (high_PG > level_PG)).sum(axis=1) - 1
    lambda_P = np.take_along_axis(level_PG, last_P[:, None], axis=1)
    weight_PG = np.where(is_there, np.maximum(np.nan_to_num(proxy_PG) - lambda_P, 0.0), 0.0)
    return np.asarray(weight_PG / weight_PG.sum(axis=1, keepdims=True))


def softmax(proxy_PG: np.ndarray, temperature: float) -> np.ndarray:
    """exp(r / temperature) over its sum, shape (P, G), 0 where there is no response: the best there is for its KL."""
    _check(temperature)
    scaled_PG = np.where(np.isnan(proxy_PG), -np.inf, proxy_PG / temperature)
    return np.asarray(np.exp(scaled_PG - logsumexp(scaled_PG, axis=1, keepdims=True)))


def _check(temperature: float) -> None:
    if not temperature > 0:
        raise InputError(f"temperature = {temperature}: must be above 0; the limit at 0 is the best of all samples.")


# ---------------------------------------------------------------------------------------------------------- comparison
@dataclass(frozen=True, slots=True)
class AtKl:
    """A path read at one KL.

    Attributes:
        strength: there, between the path's points.
        gold_P: gold by prompt; draw_B: its mean over each draw of prompts, read at the draw's own path.
    """

    strength: float
    gold_P: np.ndarray
    draw_B: np.ndarray


def at_kl(path: Path, kl_nats: float, count_BP: np.ndarray) -> AtKl:
    """The rule at the strength where its mean KL is kl_nats (at most its reach; the last point beyond).

    Args:
        count_BP: draws of the prompts (`best_of_n.prompt_draws`), shared between rules to pair them.
    """
    kl_T, n_prompts = _growing(path.mean_kl), len(path.kl_PT)
    share_T = np.array([np.interp(kl_nats, kl_T, unit) for unit in np.eye(kl_T.size)])
    with np.errstate(invalid="ignore"):  # an infinite temperature has no middle
        strength = float(np.nansum(np.where(share_T > 0, path.strength_T * share_T, 0.0)))
    draw_BT = count_BP @ path.gold_PT / n_prompts
    if np.ptp(path.kl_PT, axis=0).max() == 0:
        return AtKl(strength, path.gold_PT @ share_T, draw_BT @ share_T)
    kl_BT = np.maximum.accumulate(count_BP @ path.kl_PT / n_prompts, axis=1)
    draw_B = np.array([np.interp(kl_nats, kl, gold) for kl, gold in zip(kl_BT, draw_BT, strict=True)])
    return AtKl(strength, path.gold_PT @ share_T, draw_B)


def _growing(kl_T: np.ndarray) -> np.ndarray:
    """Without falls, which rounding makes."""
    return np.asarray(np.maximum.accumulate(kl_T))


def clear_differences(
    value_R: np.ndarray, draw_BR: np.ndarray, n_units: int, *, level: float = 0.95
) -> tuple[np.ndarray, float]:
    """Which pairs of means differ clearly, at one level for all pairs together (single-step max-t by bootstrap).

    A pair is clearly different where |difference| exceeds c standard errors, with c the `level` quantile, over the
    draws, of the largest of all pairs' |difference - its estimate| / standard error, brought from the normal's to
    Student's t at its own level, which lies further out than that of one pair. Below MIN_BOOTSTRAP_CLUSTERS units, of
    which draws have too short tails, c is Bonferroni's. So the chance that any pair of equal means is called
    different is about 1 - level, however many rules there are and however alike they are.

    Args:
        draw_BR: the means in each draw; paired.
        n_units: prompts that were drawn.
    Returns: is_clear_RR, symmetric; and c.
    """
    require_share("level", level)
    n_rules = value_R.size
    if n_rules < 2 or n_units < 2:
        return np.zeros((n_rules, n_rules), bool), math.nan
    one, two = np.triu_indices(n_rules, 1)
    difference, draw = value_R[one] - value_R[two], draw_BR[:, one] - draw_BR[:, two]
    error = draw.std(axis=0, ddof=1)
    scale = max(float(np.abs(value_R).max()), 1e-300)
    varies = error > 1e-12 * scale
    if not varies.any():
        return np.zeros((n_rules, n_rules), bool), math.nan
    beyond = (1 - level) / (2 * int(varies.sum()))
    if n_units >= MIN_BOOTSTRAP_CLUSTERS:
        largest_B = (np.abs(draw[:, varies] - difference[varies]) / error[varies]).max(axis=1)
        # the draw with 1 - level or less above it, where the data count as one draw more
        rank = min(math.ceil(level * (largest_B.size + 1)), largest_B.size)
        beyond = float(ndtr(-np.sort(largest_B)[rank - 1]))
    critical = math.sqrt(n_units / (n_units - 1)) * -float(stdtrit(n_units - 1, beyond))
    is_clear_RR = np.zeros((n_rules, n_rules), bool)
    is_clear_RR[one[varies], two[varies]] = np.abs(difference[varies]) > critical * error[varies]
    return is_clear_RR | is_clear_RR.T, critical


def letters(is_clear_RR: np.ndarray) -> tuple[str, ...]:
    """Compact letter display: two rules share a letter exactly if they are not clearly different (Piepho 2004).

    Args:
        is_clear_RR: rules in the order of the table, best first; symmetric, its diagonal false.
    """
    n_rules = len(is_clear_RR)
    groups: list[frozenset[int]] = [frozenset(range(n_rules))] if n_rules else []
    for one, two in zip(*np.nonzero(np.triu(is_clear_RR)), strict=True):
        split: list[frozenset[int]] = []
        for group in groups:
            split += [group - {int(one)}, group - {int(two)}] if {int(one), int(two)} <= group else [group]
        unique = list(dict.fromkeys(split))
        groups = [group for group in unique if not any(group < other for other in unique)]
    ordered = sorted(groups, key=sorted)
    return tuple("".join(_letter(k) for k, group in enumerate(ordered) if rule in group) for rule in range(n_rules))


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else f"({index + 1})"


def cross_chosen(gold_PR: np.ndarray, candidates: Sequence[int]) -> np.ndarray:
    """Gold by prompt of the best candidate, chosen on the other half of the prompts (even and odd), shape (P,).

    Free of the optimism of choosing the best and judging it on the same prompts.
    """
    chosen_P = np.full(len(gold_PR), math.nan)
    index = list(candidates)
    for here, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        if gold_PR[other].size:
            chosen_P[here] = gold_PR[here, index[int(np.argmax(gold_PR[other][:, index].mean(axis=0)))]]
    return chosen_P
