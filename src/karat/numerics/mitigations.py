"""Scores made from one or several proxies so that optimising them costs less truth.

Axes: R responses, M members (rewards that score the same responses), K reference responses of the same prompt.

Members are first brought to one scale: less a centre, over their pooled standard deviation within prompts. The centre
is the member's mean over the pool, or over reference responses to the prompt; only with the latter does a function of
the prompt, added to a member, change nothing for the rules that are not linear. A score is missing (NaN) where any
member is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logsumexp

from karat.errors import InputError
from karat.numerics.validation import as_vector, cluster_codes


def centred_by_prompt(score_R: ArrayLike, prompt_R: ArrayLike) -> np.ndarray:
    """Less the prompt's mean over the known scores, shape (R,); NaN stays."""
    score = as_vector("score_R", score_R)
    code, n_prompts = cluster_codes(prompt_R, score.size)
    is_known = ~np.isnan(score)
    total = np.bincount(code[is_known], weights=score[is_known], minlength=n_prompts)
    count = np.bincount(code[is_known], minlength=n_prompts)
    return np.asarray(score - (total / np.maximum(count, 1))[code])


def within_prompt_scale(score_R: ArrayLike, prompt_R: ArrayLike) -> float:
    """Pooled standard deviation around the prompts' means, one degree of freedom less for each prompt; NaN without
    any left."""
    centred = centred_by_prompt(score_R, prompt_R)
    is_known = ~np.isnan(centred)
    freedom = int(is_known.sum()) - len(np.unique(np.asarray(prompt_R)[is_known]))
    return float(np.sqrt(np.sum(centred[is_known] ** 2) / freedom)) if freedom > 0 else float("nan")


def member_scales(
    member_RM: np.ndarray, prompt_R: ArrayLike, names: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Each member's mean and its pooled standard deviation within prompts: centre_M, scale_M.

    Args:
        names: of the members, for the error.
    Raises: InputError: a member never varies within a prompt: it says nothing, and has no scale.
    """
    scale_M = np.array([within_prompt_scale(column, prompt_R) for column in member_RM.T])
    for index, column in enumerate(member_RM.T):
        # rounding leaves a constant with a deviation of the size of the last digit
        if not scale_M[index] > 1e-12 * max(float(np.nanmax(np.abs(column), initial=0.0)), 1e-300):
            name = repr(names[index]) if names else index
            raise InputError(f"member {name} is equal for all responses of every prompt. Leave it out.")
    return np.nanmean(member_RM, axis=0), scale_M


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


def robust_mean(member_RM: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """-b log mean exp(-R / b): the mean under the worst reweighting of the members that a KL penalty b allows.

    Between the mean (b to infinity) and the worst member (b to 0) (arXiv 2606.09073).
    """
    _check_temperature(temperature)
    return np.asarray(-temperature * (logsumexp(-member_RM / temperature, axis=1) - np.log(member_RM.shape[1])))


def robust_mean_of_normals(member_RM: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The same for members from a normal distribution: mean - variance / (2 b), which is uncertainty weighting with
    weight 1 / (2 b)."""
    _check_temperature(temperature)
    return uncertainty_weighted(member_RM, 1 / (2 * temperature))


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise InputError(f"temperature = {temperature}: must be above 0; the limit at 0 is the worst member.")


def shaped_by_references(proxy_R: np.ndarray, reference_RK: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Preference as reward: mean over references of sigmoid((r - r_ref) / scale) (Fu et al. 2025, arXiv 2502.18770).

    Rising in r for every set of references: within a prompt it orders responses as r does, and acts where the size of
    a reward counts, in reinforcement learning.

    Args:
        reference_RK: proxy of the references of each response's prompt.
        scale: of the proxy; 1 for a reward in nats, as Bradley-Terry training gives.
    """
    return np.asarray(expit((proxy_R[:, None] - reference_RK) / scale).mean(axis=1))
