"""Frozen records of a run of RL that is watched: rollouts of a step, what was read off them, alarms, actions.

Readers of logs, live wrappers, simulated runs and the store make them; detectors, report and dashboard read them.
Nothing here computes; numpy is needed for the type checker only.  Axes: R rollouts of a step, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

NAN = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class RolloutBatch:
    """What is known of one step of a run, in columns. A step known by its logged means only has no rollouts (R = 0).

    Names in `numbers` that signals look for, each shape (R,), NaN missing: n_tokens, kl_k1, kl_k3 (nats a response),
    entropy (nats a token), head_spread (reward units), truncated, tampered, honeypot (0 or 1), energy_loss_of_norms,
    energy_loss_of_difference. Names in `notes`: finish, score_error, tamper (techniques).
    """

    step: int
    prompts: Sequence[str]
    """Plain text, one a rollout; a conversation as text. Empty strings where the source holds none."""
    responses: Sequence[str]
    group_R: np.ndarray
    """Integer, equal for the responses to one prompt in this step."""
    proxy_R: np.ndarray
    """What was optimised, float64; NaN where the score is missing."""
    gold_R: np.ndarray
    """The truth that the user named; NaN where it was not asked."""
    chance_R: np.ndarray
    """Probability with which the gold of a rollout was asked for, in (0, 1]; 1 where all were."""
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Every reward column by name, the parts of the proxy among them."""
    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the step, under the names that the trainer logged."""
    latent_RD: np.ndarray | None = None
    """Hidden states of the reward model at its last token, where they were kept."""
    time_s: float = NAN
    """Unix time at which the step was seen; NaN when not known. Order is by step, never by time."""

    @property
    def n_rollouts(self) -> int:
        return len(self.responses)


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of a signal at a step."""

    step: int
    signal: str
    value: float
    """NaN where it is undefined."""
    n_used: int = 0
    n_missing: int = 0


@dataclass(frozen=True, slots=True)
class EvidencePoint:
    """The state of a detector after a step: an alarm is due where evidence reaches the threshold."""

    step: int
    detector: str
    evidence: float
    """log of the e-detector, nats; for a chart of comparison its statistic."""
    threshold: float


@dataclass(frozen=True, slots=True)
class Witness:
    """A rollout that shows what an alarm says. Texts are untrusted."""

    step: int
    prompt: str
    response: str
    proxy: float
    gold: float = NAN
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Evidence crossed its threshold.

    level "alarm": the reward pays for what is not wanted, at the false-alarm rate that was set. "notice": a signal left
    the range of the healthy window, which may be learning; it says "look", and never pulls the brake by itself.
    """

    step: int
    level: Literal["alarm", "notice"]
    detector: str
    signal: str
    evidence: float
    threshold: float
    onset: int
    """Estimated first step of the change; [onset_low, onset_high] its interval, steps."""
    onset_low: int
    onset_high: int
    reason: str
    """One sentence with numbers."""
    gold: str = ""
    """Name of the gold that it rests on; empty when it rests on none."""
    probe: str = ""
    """What an audit of the reward predicted of this signal; empty when nothing did."""
    witnesses: tuple[Witness, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """What was done about an alarm, or was asked and failed."""

    step: int
    kind: str
    reason: str
    done: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A gold label of one stored rollout."""

    step: int
    index: int
    """Of the rollout in its step."""
    gold: float
    chance: float = 1.0
    by: str = ""
    """Who gave it: a person's name, a reward's name."""
