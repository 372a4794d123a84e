"""Best of n from one pool of samples: what the response with the highest proxy is worth, for every n at once.

Axes: P prompts, G responses of a prompt (NaN in the proxy: no response there), N values of n, B bootstrap draws.

The mean gold of the best of n of G samples, over all C(G, n) subsets, is a weighted mean over the responses sorted by
the proxy: the i-th lowest has weight C(i-1, n-1) / C(G, n) (Nakano et al. 2021, arXiv 2112.09332; Gao et al. 2022,
arXiv 2210.10760). It is unbiased for every n <= G; equal proxies share their weights, which is the mean over random tie
breaking. Prompts are the units of the bootstrap: responses to one prompt are not independent statements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, ndtr, ndtri, stdtrit
from scipy.stats import poisson, rankdata

from karat.errors import InputError
from karat.numerics.validation import cluster_codes, require_share

MIN_EFFECTIVE = 10.0
"""Responses with gold, in effective number over all prompts, below which a point of the gold curve is undefined."""
MIN_PROMPTS = 8
"""Prompts that the largest n keeps, or half of those with two responses: no interval over fewer is to be relied on."""
POISSON_TAIL = 1e-3
"""Largest share of a Poisson's draws that may exceed the pool."""
CELLS_AT_ONCE = 1 << 18
"""Responses whose wins are counted at once, and BLOCK, the columns that are compared each with each."""
BLOCK = 16


@dataclass(frozen=True, slots=True)
class PoolMatrix:
    """Scores by prompt: rows of responses, sorted by the proxy, NaN at the end where a prompt has fewer.

    Attributes:
        proxy_PG: ascending in each row; no infinite value.
        value_PG: the other score (gold) of the same responses; NaN where it is missing.
        size_P: responses of each prompt.
        order_PG: index into the arrays that were given, -1 where there is no response.
    """

    proxy_PG: np.ndarray
    value_PG: np.ndarray
    size_P: np.ndarray
    order_PG: np.ndarray

    @property
    def n_prompts(self) -> int:
        return len(self.size_P)

    def take(self, prompts: np.ndarray) -> PoolMatrix:
        """Some of the prompts, without the columns that none of them fills."""
        width = int(self.size_P[prompts].max(initial=0))
        return PoolMatrix(
            self.proxy_PG[prompts, :width],
            self.value_PG[prompts, :width],
            self.size_P[prompts],
            self.order_PG[prompts, :width],
        )


def pool_matrix(proxy_R: ArrayLike, value_R: ArrayLike, prompt_R: ArrayLike) -> PoolMatrix:
    """Responses in long form to rows by prompt; responses without a proxy are left out.

    Args:
        proxy_R: the score that selects, shape (R,); NaN: missing.
        value_R: the score that is averaged, shape (R,); NaN: missing.
        prompt_R: prompt of each response, any sortable names.
    Raises: InputError: an infinite score, or lengths that differ.
    """
    proxy, value = np.asarray(proxy_R, np.float64), np.asarray(value_R, np.float64)
    if proxy.ndim != 1 or proxy.shape != value.shape:
        raise InputError(f"proxy {proxy.shape} and value {value.shape}: give one of each per response.")
    for name, score in (("proxy", proxy), ("gold", value)):
        if np.isinf(score).any():
            first = int(np.flatnonzero(np.isinf(score))[0])
            raise InputError(
                f"{name}: {int(np.isinf(score).sum())} of {score.size} scores are infinite (first: response {first}). "
                "Mark failed scores as missing (NaN), and score in float32."
            )
    kept = np.flatnonzero(~np.isnan(proxy))
    code, n_prompts = cluster_codes(np.asarray(prompt_R)[kept], kept.size)
    by_prompt = kept[np.lexsort((kept, proxy[kept], code))]
    size = np.bincount(code, minlength=n_prompts)
    row = np.repeat(np.arange(n_prompts), size)
    column = np.arange(kept.size) - np.repeat(np.cumsum(size) - size, size)
    shape = (n_prompts, int(size.max(initial=0)))
    order = np.full(shape, -1)
    order[row, column] = by_prompt
    is_there = order >= 0
    return PoolMatrix(np.where(is_there, proxy[order], np.nan), np.where(is_there, value[order], np.nan), size, order)


def best_of_n_weight(n_responses: int, n_N: ArrayLike) -> np.ndarray:
    """Chance that the i-th lowest of G is the best of n of them: C(i-1, n-1) / C(G, n), shape (N, G).

    Raises: InputError: an n below 1 or above G.
    """
    n = np.atleast_1d(np.asarray(n_N, dtype=np.float64))
    if n.size and not (n.min() >= 1 and n.max() <= n_responses):
        raise InputError(f"n from {n.min():g} to {n.max():g}, with {n_responses} responses: n is 1 to the pool's size.")
    rank, column = np.arange(1.0, n_responses + 1), n[:, None]
    with np.errstate(invalid="ignore"):
        log_weight = (
            gammaln(rank) - gammaln(column) - gammaln(rank - column + 1)
            - (gammaln(n_responses + 1) - gammaln(column + 1) - gammaln(n_responses - column + 1))
        )  # fmt: skip
        return np.where(rank >= column, np.exp(log_weight), 0.0)


def share_ties(proxy_PG: np.ndarray, value_PG: np.ndarray) -> np.ndarray:
    """Values with those of equal proxies replaced by their mean; rows sorted by the proxy, NaN proxies last."""
    starts_PG = np.ones(proxy_PG.shape, bool)
    starts_PG[:, 1:] = proxy_PG[:, 1:] != proxy_PG[:, :-1]  # NaN differs from NaN: each its own class
    if starts_PG.all():
        return value_PG
    label = np.cumsum(starts_PG.ravel()) - 1
    mean = np.bincount(label, weights=value_PG.ravel()) / np.bincount(label)
    return np.asarray(mean[label].reshape(value_PG.shape))


def best_of_n_by_prompt(pool: PoolMatrix, value_PG: np.ndarray, n_N: ArrayLike) -> np.ndarray:
    """Unbiased mean of `value_PG` at the best of n by the proxy, for each prompt and n, shape (P, N).

    Args:
        pool: sorted by the proxy; every prompt has at least max(n) responses.
        value_PG: aligned with the pool, finite wherever there is a response.
    Raises: InputError: a prompt has fewer responses than the largest n.
    """
    n = np.atleast_1d(np.asarray(n_N))
    out_PN = np.empty((pool.n_prompts, n.size))
    shared_PG = share_ties(pool.proxy_PG, value_PG)
    for size in np.unique(pool.size_P):
        rows = np.flatnonzero(pool.size_P == size)
        out_PN[rows] = shared_PG[rows, :size] @ best_of_n_weight(int(size), n).T
    return out_PN


def largest_n(size_P: ArrayLike) -> int:
    """The n for which n times the prompts that have n responses is largest: how far a pool of unequal groups goes.

    A curve over n must rest on the same prompts throughout, or it would show the change of prompts; a large n drops
    the prompts with fewer responses. MIN_PROMPTS of them are kept, or half of those with two responses, so that one or
    two with very many do not stand for the pool. For equal groups this is their size; 0 for no prompts.
    """
    size = np.sort(np.asarray(size_P))[::-1]
    if not size.size:
        return 0
    kept = np.arange(1, size.size + 1)
    is_enough = kept >= min(MIN_PROMPTS, math.ceil((size >= 2).sum() / 2))
    return int(size[np.argmax(np.where(is_enough, size * kept, -1))])


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A mean over prompts for each n, with its bootstrap draws.

    Attributes:
        n_N: values of n, ascending.
        mean_N: the estimate; NaN where it is undefined.
        low_N, high_N: ends of the pointwise interval.
        draw_BN: the same statistic of each bootstrap draw of prompts; a paired draw for curves of one call.
        effective_N: effective number of responses that the estimate rests on (Kish), over all prompts.
        n_prompts: prompts used.
        unseen_2N: how far below and above the estimate the truth may be for want of variation, see `unseen_reach`; the
            ends have it, the draws cannot.
    """

    n_N: np.ndarray
    mean_N: np.ndarray
    low_N: np.ndarray
    high_N: np.ndarray
    draw_BN: np.ndarray
    effective_N: np.ndarray
    n_prompts: int
    unseen_2N: np.ndarray | None = None


def prompt_draws(n_prompts: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each prompt occurs in each bootstrap draw, shape (B, P). Share it between curves to pair them."""
    return rng.multinomial(n_prompts, np.full(n_prompts, 1 / n_prompts), size=resamples).astype(np.float64)


def best_of_n_curve(
    pool: PoolMatrix, n_N: ArrayLike, count_BP: np.ndarray, *, of_proxy: bool = False, level: float = 0.95
) -> Curve:
    """The mean gold (or proxy) of the best of n by the proxy, over prompts, with bootstrap intervals.

    Where gold is missing for some responses, the estimate is sum(weight * gold) / sum(weight) over those that have it:
    right where gold is missing without regard to its value. A point that rests on fewer than MIN_EFFECTIVE effective
    responses with gold is NaN.

    Args:
        pool: every prompt has at least max(n) responses.
        count_BP: from `prompt_draws`.
        of_proxy: average the proxy itself.
        level: of the pointwise intervals, in (0, 1).
    """
    value_PG = pool.proxy_PG if of_proxy else pool.value_PG
    is_known_PG = ~np.isnan(value_PG)
    filled_PG = np.where(is_known_PG, value_PG, 0.0)
    n = np.atleast_1d(np.asarray(n_N))
    total_PN = best_of_n_by_prompt(pool, filled_PG, n)
    is_whole = bool(np.all(is_known_PG.sum(axis=1) == pool.size_P))
    weight_PN = np.ones_like(total_PN) if is_whole else best_of_n_by_prompt(pool, is_known_PG.astype(np.float64), n)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_N = total_PN.sum(axis=0) / weight_PN.sum(axis=0)
        draw_BN = (count_BP @ total_PN) / (len(total_PN) if is_whole else count_BP @ weight_PN)
        effective_N = weight_PN.sum(axis=0) ** 2 / _squared_weight(pool, is_known_PG, n)
    if not is_whole:
        undefined = ~(effective_N >= MIN_EFFECTIVE)
        mean_N[undefined], draw_BN[:, undefined] = np.nan, np.nan
    low_N, high_N = percentile_ends(draw_BN, pool.n_prompts, level=level)
    unseen_2N = np.zeros((2, n.size))
    if is_whole and not of_proxy:
        unseen_2N = unseen_reach(pool, total_PN, n, level=level)
        low_N, high_N = np.minimum(low_N, mean_N - unseen_2N[0]), np.maximum(high_N, mean_N + unseen_2N[1])
    return Curve(
        n_N=n, mean_N=mean_N, low_N=low_N, high_N=high_N, draw_BN=draw_BN, effective_N=effective_N,
        n_prompts=pool.n_prompts, unseen_2N=unseen_2N,
    )  # fmt: skip


def unseen_reach(pool: PoolMatrix, by_prompt_PN: np.ndarray, n_N: ArrayLike, *, level: float = 0.95) -> np.ndarray:
    """How far below and above its mean the gold of an n may lie though hardly a choice says so, shape (2, N); else 0.

    A gold of 0 or 1 that is right for one in a hundred is often 0 in the single best response of all prompts, and no
    resample or spread then knows of a 1. Where the mean is less than one effective response's part from the least or
    the largest gold of the pool, the way from there is Wilson's (1927) for that share of as many responses, which holds
    for any values between the ends; where all prompts have one value, it is z^2 / (U + z^2) of the way to either end.

    Args:
        pool: every response has a gold.
        by_prompt_PN: its gold at each n, from `best_of_n_by_prompt`.
    """
    n = np.atleast_1d(np.asarray(n_N))
    least, largest = float(np.nanmin(pool.value_PG)), float(np.nanmax(pool.value_PG))
    if not (largest > least and pool.n_prompts > 1):
        return np.zeros((2, n.size))
    units_N = pool.n_prompts**2 / _squared_weight(pool, ~np.isnan(pool.value_PG), n)
    z2_N = float(ndtri(0.5 + level / 2)) ** 2 / units_N
    mean_N = by_prompt_PN.mean(axis=0)
    share_2N = np.clip(np.stack([mean_N - least, largest - mean_N]) / (largest - least), 0.0, 1.0)  # from either end
    root_2N = np.sqrt(z2_N * (share_2N * (1 - share_2N) + z2_N / 4))
    top_2N = (share_2N + z2_N / 2 + root_2N) / (1 + z2_N)
    near_2N = np.where(share_2N * units_N < 1, top_2N - share_2N, 0.0)[::-1]
    is_one_N = np.ptp(by_prompt_PN, axis=0) <= 1e-12 * max(abs(least), abs(largest))
    return (largest - least) * np.where(is_one_N, z2_N / (1 + z2_N) * share_2N, near_2N)


def _squared_weight(pool: PoolMatrix, is_known_PG: np.ndarray, n_N: np.ndarray) -> np.ndarray:
    """Sum over prompts and known responses of the squared weight, shape (N,)."""
    total_N = np.zeros(n_N.size)
    for size in np.unique(pool.size_P):
        rows = np.flatnonzero(pool.size_P == size)
        total_N += best_of_n_weight(int(size), n_N) ** 2 @ is_known_PG[rows, :size].sum(axis=0)
    return total_N


def percentile_ends(draw_BN: np.ndarray, n_units: int, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the bootstrap percentile interval, expanded for few units (Hesterberg 2015, arXiv 1411.5279).

    The plain interval is too narrow by sqrt((U-1)/U) and by the normal's quantile in place of Student's; the quantiles
    ndtr(-+ sqrt(U/(U-1)) t_{U-1}) repair both. NaN where a draw is undefined, without any draw, or with
    fewer than two units.
    """
    require_share("level", level)
    if n_units < 2 or not len(draw_BN):
        nothing = np.full(draw_BN.shape[1:], np.nan)
        return nothing, nothing.copy()
    reach = math.sqrt(n_units / (n_units - 1)) * float(stdtrit(n_units - 1, 0.5 + level / 2))
    # a drawn value at each end, never between two: an optimum may be infinite in some draws
    low, high = np.quantile(draw_BN, [ndtr(-reach), ndtr(reach)], axis=0, method="inverted_cdf")
    return low, high


# ------------------------------------------------------------------------------------------------ win rate, variants
def win_rate_by_prompt(pool: PoolMatrix, n_N: ArrayLike) -> np.ndarray:
    """Chance that the best of n by the proxy has more gold than one further sample; ties one half. Shape (P, N).

    Exact over all choices of n + 1 of the G responses. With the pick at rank i, every higher rank is outside its n, and
    a lower one is outside with chance 1 - (n-1)/(i-1); the further sample is any of the G - n outside. Equal proxies
    are averaged over all their orders: at each rank of their class stands the class's mean, and two of its members
    beat each other one half of the time. NaN for n = G, and for prompts with a missing gold.
    """
    n = np.atleast_1d(np.asarray(n_N, dtype=np.float64))
    out_PN = np.full((pool.n_prompts, n.size), np.nan)
    for size in np.unique(pool.size_P):
        rows = np.flatnonzero((pool.size_P == size) & ~np.isnan(pool.value_PG[:, :size]).any(axis=1))
        if size < 2 or not rows.size:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            share_N = best_of_n_weight(int(size), n) / (size - n[:, None])
            outside_NG = 1 - (n[:, None] - 1) / np.maximum(np.arange(size), 1)
            for part in np.array_split(rows, math.ceil(rows.size * size / CELLS_AT_ONCE)):
                higher_PG, lower_PG = _wins(pool.proxy_PG[part, :size], pool.value_PG[part, :size])
                out_PN[part] = higher_PG @ share_N.T + lower_PG @ (share_N * outside_NG).T
    return np.where(np.isfinite(out_PN), out_PN, np.nan)


def _wins(proxy_PG: np.ndarray, gold_PG: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the response at each rank of the proxy: how many of higher, and of lower rank have less gold, equal ones one
    half, averaged over the orders of equal proxies. Rows sorted by the proxy, without NaN."""
    size = proxy_PG.shape[1]
    # within a class of equal proxies gold descends, so that of its own class only equal gold comes before a response
    order = np.lexsort((-gold_PG, proxy_PG), axis=1)
    gold_PG = np.take_along_axis(gold_PG, order, axis=1)
    rank_PG = rankdata(gold_PG, method="average", axis=1)
    less_PG = rank_PG - 1  # of all others; average ranks count an equal one half, the response itself (a half) left out
    column_PG = np.broadcast_to(np.arange(size), gold_PG.shape)
    starts = np.ones(proxy_PG.shape, bool)
    starts[:, 1:] = proxy_PG[:, 1:] != proxy_PG[:, :-1]
    begin_PG = np.maximum.accumulate(np.where(starts, column_PG, 0), axis=1)
    before_PG = _less_before(rank_PG)
    if starts.all():
        return less_PG - before_PG, before_PG
    equal_starts = starts.copy()
    equal_starts[:, 1:] |= gold_PG[:, 1:] != gold_PG[:, :-1]
    own_PG = 0.5 * (column_PG - np.maximum.accumulate(np.where(equal_starts, column_PG, 0), axis=1))
    lower_PG = share_ties(proxy_PG, before_PG - own_PG)  # of lower classes
    ends = np.ones(proxy_PG.shape, bool)
    ends[:, :-1] = starts[:, 1:]
    end_PG = np.minimum.accumulate(np.where(ends, column_PG, size)[:, ::-1], axis=1)[:, ::-1]
    within_PG = 0.5 * (end_PG - begin_PG)  # a member of a class beats half of the others, on average
    higher_PG = share_ties(proxy_PG, less_PG) - lower_PG - within_PG
    return higher_PG + 0.5 * (end_PG - column_PG), lower_PG + 0.5 * (column_PG - begin_PG)


def _less_before(rank_PG: np.ndarray) -> np.ndarray:
    """Earlier columns of the row with a smaller value, equal ones one half; by merging blocks, O(G log^2 G)."""
    n_rows, size = rank_PG.shape
    block = BLOCK
    width = max(block, 1 << (size - 1).bit_length())
    padded = np.full((n_rows, width), np.inf)
    padded[:, :size] = rank_PG
    cell = padded.reshape(n_rows, -1, block)
    earlier = np.tri(block, k=-1, dtype=bool)
    here, other = cell[..., :, None], cell[..., None, :]
    twice = ((other < here) & earlier).sum(axis=-1) + ((other <= here) & earlier).sum(axis=-1)
    count = 0.5 * twice.reshape(n_rows, width)
    is_tied = bool((np.diff(np.sort(rank_PG, axis=1), axis=1) == 0).any())
    while block < width:
        cell = padded.reshape(n_rows, -1, 2 * block)
        is_left = np.broadcast_to(np.arange(2 * block) < block, cell.shape)
        added = np.zeros(cell.shape)
        for shift in (-0.25, 0.25) if is_tied else (-0.25,):  # an equal value on the left comes before, then after
            order = np.argsort(np.where(is_left, cell + shift, cell), axis=-1)
            seen = np.cumsum(np.take_along_axis(is_left, order, axis=-1), axis=-1, dtype=np.float64)
            np.put_along_axis(added, order, np.take_along_axis(added, order, axis=-1) + seen, axis=-1)
        count += np.where(is_left, 0.0, added / (2 if is_tied else 1)).reshape(n_rows, width)
        block *= 2
    return np.asarray(count[:, :size])


def soft_best_of_n_by_prompt(
    pool: PoolMatrix, value_PG: np.ndarray, n_N: ArrayLike, *, temperature: float, rng: np.random.Generator,
    repeats: int = 64,
) -> np.ndarray:  # fmt: skip
    """Mean of a value at soft best of n: one of n samples, with chance proportional to exp(proxy / temperature).

    Choosing by softmax is taking the largest of proxy + temperature * Gumbel noise, so the exact estimator serves on
    the perturbed proxy; unbiased, averaged over `repeats` perturbations. (Verdun et al. 2025, arXiv 2505.03156.) For
    n = G there is one subset, and its softmax weights are used: exact, without any perturbation.

    Args:
        temperature: above 0, in the unit of the proxy. Near 0 it is best of n; large, a random one of the n.
    Returns: shape (P, N).
    """
    if not temperature > 0:
        raise InputError(f"temperature = {temperature}: must be above 0; best of n itself is the limit at 0.")
    n = np.atleast_1d(np.asarray(n_N))
    is_whole_PN = pool.size_P[:, None] == n
    whole_P = _softmax_mean(pool, value_PG, temperature) if is_whole_PN.any() else np.zeros(pool.n_prompts)
    if is_whole_PN.all():
        return np.repeat(whole_P[:, None], n.size, axis=1)
    total_PN = np.zeros((pool.n_prompts, n.size))
    for _ in range(repeats):
        noisy_PG = pool.proxy_PG + temperature * rng.gumbel(size=pool.proxy_PG.shape)
        order_PG = np.argsort(noisy_PG, axis=1)  # NaN stays last
        moved = PoolMatrix(np.take_along_axis(noisy_PG, order_PG, axis=1), value_PG, pool.size_P, pool.order_PG)
        total_PN += best_of_n_by_prompt(moved, np.take_along_axis(value_PG, order_PG, axis=1), n)
    return np.where(is_whole_PN, whole_P[:, None], total_PN / repeats)


def _softmax_mean(pool: PoolMatrix, value_PG: np.ndarray, temperature: float) -> np.ndarray:
    """Mean of a value under softmax weights over all of a prompt's responses, shape (P,)."""
    top_P1 = np.fmax.reduce(pool.proxy_PG, axis=1, keepdims=True)
    weight_PG = np.nan_to_num(np.exp((pool.proxy_PG - top_P1) / temperature))
    filled_PG = np.where(pool.order_PG >= 0, value_PG, 0.0)
    return np.asarray((weight_PG * filled_PG).sum(axis=1) / weight_PG.sum(axis=1))


def best_of_poisson_weight(mu_T: ArrayLike, max_n: int) -> np.ndarray:
    """Chance of each n = 1 .. max_n at best of 1 + Poisson(mu) samples, shape (T, N) (Khalaf et al. 2025).

    The value of the rule is this times the values at best of n. Rows are scaled to 1, and NaN where more than
    POISSON_TAIL of the draws need more than max_n.
    """
    mu = np.atleast_1d(np.asarray(mu_T, np.float64))
    if not (mu >= 0).all():
        raise InputError(f"mu = {mu.min():g}: the mean number of further samples is 0 or more.")
    chance_TN = poisson.pmf(np.arange(max_n), mu[:, None])
    total_T = chance_TN.sum(axis=1, keepdims=True)
    return np.where(1 - total_T <= POISSON_TAIL, chance_TN / total_T, np.nan)
