"""What each step, and each token, of a solution is paid in reinforcement learning.

Axes: S steps of one solution, T tokens of one solution, G solutions of one problem.

Two forms of credit. In the sum form the value of a step is the sum of the rewards from it on: every further step that
is rewarded pays, so that steps are multiplied. In the min form it is their minimum: no step that is added, repeated or
split off can raise it. Cheng et al. (2025, arXiv 2504.15275, "PURE") train with it by ordinary sums of changed rewards,
each times its soft-min weight, r_t exp(-r_t / T) / sum_u exp(-r_u / T): at T -> 0 the lowest step alone keeps its
reward, so that the value of every step up to it is the minimum, and of those behind it 0. At T > 0 the value of k + 1
steps lies above their minimum by at most T W(k / e), W Lambert's function, which k equal rewards of T (1 + W) above the
lowest reach: at PURE's T = 0.1 by 0.03 for one further step, 0.12 for ten, 0.26 for a hundred. Padding can earn that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from karat.errors import InputError

Credit = Literal["min", "sum"]
CREDITS: tuple[str, ...] = get_args(Credit)


def sum_values(reward_S: ArrayLike) -> np.ndarray:
    """Sum of the rewards from each step on, shape (S,); NaN before a missing reward."""
    return np.cumsum(_rewards(reward_S)[::-1])[::-1]


def min_values(reward_S: ArrayLike) -> np.ndarray:
    """Lowest reward from each step on, shape (S,); NaN before a missing reward."""
    return np.minimum.accumulate(_rewards(reward_S)[::-1])[::-1]


def soft_min_rewards(reward_S: ArrayLike, temperature: float) -> np.ndarray:
    """Rewards times their soft-min weights, shape (S,): their plain sums are the values of the min form (PURE).

    Args:
        reward_S: of each step; PURE takes 2 p - 1 of the probability p that it is right.
        temperature: reward units; PURE takes 0.1. 0 is the limit: the lowest step keeps its reward, of several equal
            ones each its share, and the others have 0.
    Returns: NaN for all steps where one is missing, which may have been the lowest.
    Raises: InputError: a temperature below 0, or no steps.
    """
    reward = _rewards(reward_S)
    if not temperature >= 0:
        raise InputError(f"temperature = {temperature:g}: give 0 (the limit) or more.")
    if np.isnan(reward).any():
        return np.full(reward.shape, np.nan)
    if temperature == 0:
        is_lowest = reward == reward.min()
        return np.where(is_lowest, reward / is_lowest.sum(), 0.0)
    weight = np.exp((reward.min() - reward) / temperature)
    paid: np.ndarray = reward * weight / weight.sum()
    return paid


def credited_rewards(reward_S: ArrayLike, credit: str, *, temperature: float = 0.1) -> np.ndarray:
    """Rewards whose sum from a step on is the step's value in that form of credit, shape (S,).

    Args:
        credit: one of CREDITS; "sum" leaves the rewards as they are.
        temperature: for "min" (`soft_min_rewards`).
    """
    if credit not in CREDITS:
        raise InputError(f"credit = {credit!r} is not one of {', '.join(CREDITS)}.")
    return soft_min_rewards(reward_S, temperature) if credit == "min" else _rewards(reward_S).copy()


def token_advantages(
    rewards: Sequence[ArrayLike], ends: Sequence[ArrayLike], *, n_tokens_G: ArrayLike, max_length: int
) -> list[np.ndarray]:
    """Advantage of every token of the solutions of one problem.

    A step's reward is paid at its last token. From every token's reward goes the baseline of its solution: what the
    other solutions were paid in all, on average, over `max_length`. A baseline per token and not per step, since one
    per step pays for writing fewer, longer steps (PURE); over one length for all, so that it does not depend on how
    long the others are. A token's advantage is the sum of what is left from it on.

    Args:
        rewards: credited rewards of each solution, (S,) each.
        ends: position of the last token of each step, ascending, (S,) each.
        n_tokens_G: tokens of each solution.
        max_length: tokens; the longest that a solution may be.
    Returns: (T,) each; NaN for a solution with a missing reward, which is in no other's baseline, and for one that has
        no other to be compared with.
    Raises: InputError: lengths that do not match, or a step that ends beyond its solution.
    """
    n_tokens = np.asarray(n_tokens_G, dtype=np.int64)
    if not len(rewards) == len(ends) == len(n_tokens):
        raise InputError(f"{len(rewards)} rewards, {len(ends)} ends and {len(n_tokens)} lengths: give one each.")
    if n_tokens.size and max_length < n_tokens.max():
        raise InputError(f"max_length = {max_length}, but a solution has {n_tokens.max()} tokens. Give the limit.")
    total_G = np.array([np.sum(_rewards(reward_S)) for reward_S in rewards])
    is_there_G = np.isfinite(total_G)
    out = []
    for index, (reward_S, end_S) in enumerate(zip(rewards, ends, strict=True)):
        others = is_there_G & (np.arange(len(total_G)) != index)
        baseline = total_G[others].mean() / max_length if others.any() else np.nan
        paid_T = np.full(n_tokens[index], -baseline)
        np.add.at(paid_T, _positions(end_S, reward_S, n_tokens[index]), _rewards(reward_S))
        out.append(np.cumsum(paid_T[::-1])[::-1] if is_there_G[index] else np.full(n_tokens[index], np.nan))
    return out


def _positions(end_S: ArrayLike, reward_S: ArrayLike, n_tokens: int) -> np.ndarray:
    end = np.asarray(end_S, dtype=np.int64)
    if end.shape != _rewards(reward_S).shape or np.any(np.diff(end) < 0) or end[0] < 0 or end[-1] >= n_tokens:
        raise InputError(
            f"ends {end.tolist()} of {_rewards(reward_S).size} steps in {n_tokens} tokens: give the position of each "
            "step's last token, ascending, within the solution."
        )
    return end


def _rewards(reward_S: ArrayLike) -> np.ndarray:
    reward = np.asarray(reward_S, dtype=np.float64)
    if reward.ndim != 1 or reward.size == 0 or np.isinf(reward).any():
        raise InputError(f"reward_S: shape {reward.shape}; give finite rewards of one solution, at least one step.")
    return reward
