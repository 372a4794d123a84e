"""What optimisation will inflate first: the covariance of features with the reward, before any optimisation.

Of each surface feature: by how many of its standard deviations it moves, to first order, for a tilt of one over one
standard deviation of the reward; how much of that the preference labels ask for; and the excess
(`karat.numerics.feature_pay`). With a pool, its responses are the reference; without one, both sides of the pairs
stand for it, which are no samples of the policy that will be optimised: features that this policy varies and the pairs
do not are not seen, and the other way round.

Axes: P pairs, R responses, F features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.parts import Progress
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.limited import as_limited
from karat.audit.reward.predict_findings import Prediction, prediction_result
from karat.data.account import account_table
from karat.data.pools import stream_pool
from karat.data.text_features import FEATURES, features_of
from karat.errors import DataError, InputError
from karat.numerics.best_of_n import PoolMatrix, best_of_n_by_prompt, largest_n, pool_matrix
from karat.numerics.feature_pay import feature_pay, pair_moments, pool_moments
from karat.numerics.goodhart import within_prompt_sd
from karat.rewards.groups import Group, last_text, score_pairs
from karat.rewards.protocol import Reward
from karat.types import PoolRow, PreferencePair, Result, Table

GROUPS_PER_CALL = 32
MOST_N = 16
"""Best of n is shown for the largest n up to this that the samples allow."""


@dataclass(frozen=True, slots=True)
class _Samples:
    """Responses of the reference, in long form."""

    feature_RF: np.ndarray
    reward_R: np.ndarray
    prompt_R: np.ndarray
    n_missing: int


def predict_inflation(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """Finding RW501 and the table of features.

    Args:
        pairs: their labels say how much of a feature is asked for.
        config: `pool` names samples of the policy; `predict_responses` bounds what is scored, by whole prompts.
    Raises: InputError: fewer than two prompts with scores, tokenised data, or a reward that is constant within prompts.
        DataError: the pool cannot be read.
    """
    reward = as_limited(reward, config.timeout_s)
    share = 4 if config.pool else 2
    taken = _whole_prompts([pair.prompt_id for pair in pairs], config.predict_responses // share, rng)
    kept = [pairs[index] for index in taken]
    if progress:
        progress("scoring for the prediction", 0, config.predict_responses, "responses")
    scores = score_pairs(reward, kept, groups_per_call=GROUPS_PER_CALL)
    feature_P2F = _pair_features(kept)
    reward_P2 = np.stack([scores.chosen_P, scores.rejected_P], axis=1)
    known_P = np.isfinite(reward_P2).all(axis=1)
    label_P = np.array([pair.label for pair in kept])[known_P]
    prompt_P = np.array([pair.prompt_id for pair in kept], dtype=object)[known_P].astype(str)
    pair_GFM = pair_moments(
        feature_P2F[known_P, 0] - feature_P2F[known_P, 1],
        reward_P2[known_P, 0] - reward_P2[known_P, 1],
        label_P,
        prompt_P,
    )
    tables: tuple[Table, ...] = ()
    if config.pool:
        samples, table = _pool_samples(reward, config, rng, progress)
        tables = (table,)
    else:
        number_R = np.repeat(np.flatnonzero(known_P), 2)
        samples = _Samples(
            feature_P2F[known_P].reshape(-1, len(FEATURES)), reward_P2[known_P].ravel(), number_R, int((~known_P).sum())
        )
    _require_spread(samples, prompt_P, next(iter(scores.missing.values()), ""))
    pool_GFM = pool_moments(samples.feature_RF, samples.reward_R, samples.prompt_R) if config.pool else None
    grown_F, n = growth_at_best_of_n(samples.feature_RF, samples.reward_R, samples.prompt_R)
    found = Prediction(
        features=FEATURES,
        pay=tuple(feature_pay(pair_GFM, pool_GFM)),
        growth_F=grown_F,
        n=n,
        from_pool=bool(config.pool),
        n_responses=samples.reward_R.size,
        n_prompts=len(np.unique(samples.prompt_R if config.pool else prompt_P)),
        n_pairs=int(known_P.sum()),
        n_missing=samples.n_missing + (int((~known_P).sum()) if config.pool else 0),
    )
    return prediction_result(found, tables)


def _whole_prompts(prompt_ids: Sequence[str], count: int, rng: np.random.Generator) -> list[int]:
    """Indices of the rows of random prompts, about `count` of them, in their order; at least those of two prompts."""
    rows: dict[str, list[int]] = {}
    for index, name in enumerate(prompt_ids):
        rows.setdefault(name, []).append(index)
    names = list(rows)
    taken: list[int] = []
    for number, place in enumerate(rng.permutation(len(names))):
        mine = rows[names[int(place)]]
        if number >= 2 and len(taken) + len(mine) > count:
            continue
        taken += mine
    return sorted(taken)


def _pair_features(pairs: Sequence[PreferencePair]) -> np.ndarray:
    texts = [last_text(side) for pair in pairs for side in (pair.chosen, pair.rejected)]
    return features_of(texts).reshape(len(pairs), 2, len(FEATURES))


def _pool_samples(
    reward: Reward, config: AuditRewardConfig, rng: np.random.Generator, progress: Progress | None
) -> tuple[_Samples, Table]:
    """Whole prompts of the pool with at least two responses, scored."""
    stream = stream_pool(config.pool)
    by_prompt: dict[str, list[PoolRow]] = {}
    for item in stream:
        if item.record is not None:
            by_prompt.setdefault(item.record.prompt_id, []).append(item.record)
    names = [name for name, rows in by_prompt.items() if len(rows) >= 2]
    if not names:
        raise DataError(f"pool {config.pool}: no prompt has two responses, so nothing varies within a prompt.")
    ids = [name for name in names for _ in by_prompt[name]]
    chosen = dict.fromkeys(ids[index] for index in _whole_prompts(ids, config.predict_responses // 2, rng))
    rows = [by_prompt[name] for name in chosen]
    value: list[float] = []
    for start in range(0, len(rows), GROUPS_PER_CALL):
        part = rows[start : start + GROUPS_PER_CALL]
        groups = [Group(group[0].prompt, tuple(row.response for row in group)) for group in part]
        value += [score.value for scored in reward.score(groups) for score in scored]
        if progress:
            progress("scoring the pool for the prediction", len(value), sum(map(len, rows)), "responses")
    reward_R = np.array(value)
    feature_RF = features_of([last_text(row.response) for group in rows for row in group])
    prompt_R = np.repeat(np.arange(len(rows)), [len(group) for group in rows])
    known_R = np.isfinite(reward_R)
    samples = _Samples(feature_RF[known_R], reward_R[known_R], prompt_R[known_R], int((~known_R).sum()))
    return samples, account_table(stream.account())


def _require_spread(samples: _Samples, prompt_P: np.ndarray, reason: str) -> None:
    """Raises InputError or DataError where nothing can be said."""
    if len(np.unique(prompt_P)) < 2:
        raise InputError(
            f"{len(np.unique(prompt_P))} prompts have scores on both sides; an interval over prompts needs two or more"
            + (f" (missing: {reason})." if reason else ".")
        )
    if not samples.reward_R.size:
        raise DataError(f"the reward gives none of the pool's {samples.n_missing} responses a score.")
    matrix = pool_matrix(samples.reward_R, samples.reward_R, samples.prompt_R)
    sd = within_prompt_sd(matrix.proxy_PG)
    if not sd > 0:
        raise InputError("the reward gives all responses to a prompt the same score: it moves nothing.")


def growth_at_best_of_n(feature_RF: np.ndarray, reward_R: np.ndarray, prompt_R: np.ndarray) -> tuple[np.ndarray, int]:
    """Mean of each feature at best of n by the reward, less that of any response, in SDs within prompts; and n.

    NaN for features that do not vary.
    """
    size_P = np.bincount(np.unique(prompt_R, return_inverse=True)[1])
    n = min(largest_n(size_P), MOST_N)
    growth_F = np.full(feature_RF.shape[1], math.nan)
    if n < 2:
        return growth_F, n
    for number, feature_R in enumerate(feature_RF.T):
        matrix = pool_matrix(reward_R, feature_R, prompt_R)
        matrix = matrix.take(np.flatnonzero(matrix.size_P >= n))
        sd = within_prompt_sd(matrix.value_PG)
        if sd > 1e-9 * max(float(np.abs(feature_R).max()), 1e-300):
            growth_F[number] = _gain(matrix, n) / sd
    return growth_F, n


def _gain(matrix: PoolMatrix, n: int) -> float:
    gain_P2 = best_of_n_by_prompt(matrix, np.where(matrix.order_PG >= 0, matrix.value_PG, 0.0), np.array([1, n]))
    return float((gain_P2[:, 1] - gain_P2[:, 0]).mean())
