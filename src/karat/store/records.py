"""What the store gives back: a step in numbers, and a rollout whose text was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """The numbers of a step, over all ranks. Intervals are 95 %, of the policy's mean, clustered on prompts."""

    step: int
    attempt: int
    """1, and one more after each restart that came back to a step already stored."""
    n_ranks: int
    n_rollouts: int
    n_kept: int
    """Rollouts whose text is still in the store."""
    n_missing: int
    """Rollouts without a proxy score."""
    proxy_mean: float
    proxy_low: float
    proxy_high: float
    n_gold: int
    gold_mean: float
    """Weighted by the chances with which golds were asked for; NaN where none was given."""
    gold_low: float
    gold_high: float
    time_s: float
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRollout:
    """A rollout whose text was kept. Texts are untrusted, and may hold any character."""

    step: int
    index: int
    """Of the rollout in its step; rank times `RANK_STRIDE` plus its place in the batch of that rank."""
    attempt: int
    group: int
    prompt: str
    response: str
    prompt_chars: int
    response_chars: int
    """Lengths as they came; longer than the text where the store cut it."""
    proxy: float
    gold: float
    """The label where there is one, else the gold that came with the batch; NaN where neither is known."""
    chance: float
    labelled_by: str = ""
    waits: bool = False
    """Chosen for a label that nobody has given yet."""
    scores: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
