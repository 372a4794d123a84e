"""Sanity of a reward in seconds: are its scores reproducible, independent of what is scored beside them, on a scale?

Axes: R responses, V variants of a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from karat.audit.parts import Progress
from karat.audit.reward.cases import chosen_pairs
from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.limited import LimitedReward
from karat.audit.reward.sanity_findings import Parity, Sanity, Scale, result_of
from karat.audit.reward.sanity_model import inspect_model
from karat.errors import InputError
from karat.rewards.groups import Group, group_pairs
from karat.rewards.protocol import Reward
from karat.types import NAN, PreferencePair, Result, Score

SANITY_PAIRS = 32
PARITY_PROMPTS = 4
"""Prompts that are scored again in other calls."""
RESOLUTION_BITS = {"float16": 10, "bfloat16": 7}
"""Bits after the leading one."""

Call = Callable[[Sequence[Group]], list[list[Score]]]


def audit_sanity(
    reward: Reward,
    pairs: Sequence[PreferencePair],
    *,
    config: AuditRewardConfig,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Result:
    """RW101 to RW107, on a few dozen pairs.

    Raises: InputError: no pairs.
    """
    if not pairs:
        raise InputError("sanity: there are no pairs to score. Give at least one.")
    drawn = chosen_pairs(pairs, SANITY_PAIRS, rng)
    used = list({(pair.prompt, pair.tools, pair.chosen, pair.rejected): pair for pair in drawn}.values())
    grouped = group_pairs(used)
    limited = LimitedReward(reward, config.timeout_s)
    _tell(progress, 0, "scores")
    scores = limited.score_one_by_one(grouped.groups)
    chosen_P, rejected_P = _sides(grouped.members, scores, len(used))
    scale = _scale(scores, chosen_P, rejected_P)
    few = [
        (group, row) for group, row in zip(grouped.groups, scores, strict=True)
        if not any(score.is_missing for score in row)
    ][:PARITY_PROMPTS]  # fmt: skip
    groups = [group for group, _ in few]
    base_R = _values(limited.score(groups)) if groups else np.empty(0)
    unit = scale.sd if scale.sd > 0 else 1.0
    single_R = _values([row for _, row in few])
    parities = [
        Parity(name, *_worst(base_R, variant(limited.score, groups), unit), base_R.size)
        for number, (name, variant) in enumerate(VARIANTS.items())
        if groups and _tell(progress, number + 1, name)
    ]
    if groups:
        parities.append(Parity("one prompt a call", *_worst(base_R, single_R, unit), base_R.size))
    _tell(progress, len(VARIANTS) + 1, "model")
    found = Sanity(
        n_pairs=len(used), n_responses=sum(map(len, scores)), reasons=_reasons(scores), scale=scale, unit=unit,
        parities=tuple(parities), n_raised=limited.n_raised, n_timeouts=limited.n_timeouts,
        model=inspect_model(reward, grouped.groups, groups, base_R, unit),
    )  # fmt: skip
    _tell(progress, len(VARIANTS) + 2, "done")
    return result_of(found)


# ------------------------------------------------------------------------------------------------------ other calls
def _again(call: Call, groups: Sequence[Group]) -> np.ndarray:
    return _values(call(groups))


def _other_order(call: Call, groups: Sequence[Group]) -> np.ndarray:
    return _values(call(groups[::-1])[::-1])


def _responses_turned(call: Call, groups: Sequence[Group]) -> np.ndarray:
    turned = [Group(group.prompt, group.responses[::-1], group.tools) for group in groups]
    return _values([row[::-1] for row in call(turned)])


def _alone(call: Call, groups: Sequence[Group]) -> np.ndarray:
    single = [Group(group.prompt, (response,), group.tools) for group in groups for response in group.responses]
    return _values(call(single))


VARIANTS: dict[str, Callable[[Call, Sequence[Group]], np.ndarray]] = {
    "the same call again": _again,
    "prompts in another order": _other_order,
    "responses in another order": _responses_turned,
    "each response alone": _alone,
}
"""What is done to the call -> the scores in the order of the first; the first tells what is noise."""


def _tell(progress: Progress | None, done: int, note: str) -> bool:
    if progress:
        progress("sanity", done, len(VARIANTS) + 2, note)
    return True


# ------------------------------------------------------------------------------------------------------------- numbers
def _values(scores: Sequence[Sequence[Score]]) -> np.ndarray:
    return np.array([score.value for row in scores for score in row], dtype=np.float64)


def _worst(base_R: np.ndarray, other_R: np.ndarray, unit: float) -> tuple[float, int]:
    """The largest difference, in units, and how many responses lost their score."""
    difference_R = np.abs(other_R - base_R)
    known = difference_R[np.isfinite(difference_R)]
    return (float(known.max()) / unit if known.size else NAN), int((~np.isfinite(difference_R)).sum())


def _sides(
    members: Sequence[Sequence[tuple[int, int, int]]], scores: Sequence[Sequence[Score]], n_pairs: int
) -> tuple[np.ndarray, np.ndarray]:
    chosen_P, rejected_P = np.full(n_pairs, NAN), np.full(n_pairs, NAN)
    for rows, score_B in zip(members, scores, strict=True):
        for pair, chosen, rejected in rows:
            chosen_P[pair], rejected_P[pair] = score_B[chosen].value, score_B[rejected].value
    return chosen_P, rejected_P


def _scale(scores: Sequence[Sequence[Score]], chosen_P: np.ndarray, rejected_P: np.ndarray) -> Scale:
    value_R = _values(scores)
    value_R = value_R[np.isfinite(value_R)]
    known = np.isfinite(chosen_P) & np.isfinite(rejected_P)
    chosen, rejected = chosen_P[known], rejected_P[known]
    most = max(Counter(value_R.tolist()).values(), default=0)
    return Scale(
        n_scores=value_R.size,
        mean=float(value_R.mean()) if value_R.size else NAN,
        sd=float(value_R.std(ddof=1)) if value_R.size > 1 else NAN,
        low=float(value_R.min()) if value_R.size else NAN,
        high=float(value_R.max()) if value_R.size else NAN,
        most_common_share=most / value_R.size if value_R.size else NAN,
        n_pairs=int(known.sum()),
        n_ties=int(np.sum(chosen == rejected)),
        n_ties_rounded={
            name: int(np.sum(_rounded(chosen, bits) == _rounded(rejected, bits)))
            for name, bits in RESOLUTION_BITS.items()
        },
    )


def _rounded(value_P: np.ndarray, bits: int) -> np.ndarray:
    """Values rounded to so many bits after the leading one, as a float type of that width stores them."""
    mantissa_P, exponent_P = np.frexp(value_P)
    return np.asarray(np.ldexp(np.round(mantissa_P * 2.0 ** (bits + 1)), exponent_P - bits - 1))


def _reasons(scores: Sequence[Sequence[Score]]) -> dict[str, int]:
    return dict(Counter(score.missing for row in scores for score in row if score.is_missing).most_common())
