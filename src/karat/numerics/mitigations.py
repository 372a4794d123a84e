"""Scores made from one or several proxies so that optimising them costs less truth.

Axes: R responses, M members (rewards that score the same responses).

Members are first brought to one scale: centred by prompt, over their pooled standard deviation within prompts. A score
is missing (NaN) where any member is. Adding a function of the prompt to a member changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.special import logsumexp

from karat.errors import InputError
from karat.numerics.validation import as_vector, cluster_codes, require_same_length, require_share


def centred_by_prompt(score_R: ArrayLike, prompt_R: ArrayLike) -> np.ndarray:
    """Less the prompt's mean over the known scores, shape (R,); NaN stays."""
    score = as_vector("score_R", score_R)
    code, n_prompts = cluster_codes(prompt_R, score.size)
    is_known = ~np.isnan(score)
    total = np.bincount(code[is_known], weights=score[is_known], minlength=n_prompts)
    count = np.bincount(code[is_known], minlength=n_prompts)
    return np.asarray(score - (total / np.maximum(count, 1))[code])


def standardised_members(member_RM: np.ndarray, prompt_R: ArrayLike, names: Sequence[str] = ()) -> np.ndarray:
    """Each member centred by prompt and over its pooled standard deviation within prompts, shape (R, M).

    Args:
        names: of the members, for the error.
    Raises: InputError: a member never varies within a prompt: it says nothing, and has no scale.
    """
    columns = []
    for index, column in enumerate(member_RM.T):
        centred = centred_by_prompt(column, prompt_R)
        scale = float(np.nanstd(centred))
        if not scale > 0:
            name = repr(names[index]) if names else index
            raise InputError(f"member {name} is equal for all responses of every prompt. Leave it out.")
        columns.append(centred / scale)
    return np.stack(columns, axis=1)


def mean_of_members(member_RM: np.ndarray) -> np.ndarray:
    """The mean ensemble."""
    return np.asarray(member_RM.mean(axis=1))


def worst_member(member_RM: np.ndarray) -> np.ndarray:
    """Worst-case optimisation: the least of the members (Coste et al. 2024, arXiv 2310.02743)."""
    return np.asarray(member_RM.min(axis=1))


def uncertainty_weighted(member_RM: np.ndarray, weight: float = 0.5) -> np.ndarray:
    """Mean less weight times variance over members (ddof 1; Coste et al. 2024); two members or more."""
    if member_RM.shape[1] < 2:
        raise InputError("one member has no variance: give two or more.")
    return np.asarray(member_RM.mean(axis=1) - weight * member_RM.var(axis=1, ddof=1))


def pessimistic_mean(member_RM: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """-b log mean exp(-R / b): between the mean (b to infinity) and the worst member (b to 0), robust in KL."""
    if not temperature > 0:
        raise InputError(f"temperature = {temperature}: must be above 0; the limit at 0 is the worst member.")
    return np.asarray(-temperature * (logsumexp(-member_RM / temperature, axis=1) - np.log(member_RM.shape[1])))


def length_calibrated(proxy_R: ArrayLike, length_R: ArrayLike, prompt_R: ArrayLike) -> np.ndarray:
    """The proxy less what length alone predicts of it, within prompts: isotonic regression of one on the other.

    Rising or falling, whichever way the correlation goes. It takes away all that goes with length, deserved or not.
    After Huang et al. 2024 (arXiv 2409.17407), who use a local regression.

    Returns: the calibrated score, centred by prompt, shape (R,).
    """
    proxy, length = centred_by_prompt(proxy_R, prompt_R), centred_by_prompt(length_R, prompt_R)
    require_same_length(proxy_R=proxy, length_R=length)
    out = np.full(proxy.shape, np.nan)
    known = np.flatnonzero(~np.isnan(proxy) & ~np.isnan(length))
    if known.size < 2:
        return out
    x, y = length[known], proxy[known]
    value, place, count = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(place, weights=y) / count
    rising = bool((x * y).sum() >= 0)
    fit = isotonic_regression(mean, weights=count.astype(float), increasing=rising).x if value.size > 1 else mean * 0
    out[known] = y - fit[place]
    return out


def clipped(proxy_R: ArrayLike, prompt_R: ArrayLike, share: float = 0.95) -> np.ndarray:
    """The proxy centred by prompt, cut at its pooled `share` quantile: beyond it all responses count alike."""
    require_share("share", share)
    centred = centred_by_prompt(proxy_R, prompt_R)
    return np.asarray(np.minimum(centred, np.nanquantile(centred, share)))
