"""A calibrated reward beside the one that it was made of, on prompts that it was not fitted on.

Axes: P pairs, 2 sides of a pair (chosen first).

The excess of a kind: the share of pairs in which the reward predicts that the side which it pays more for its length
(or style) is preferred, less the share in which the labels prefer that side. Predictions are probabilities, sigma(scale
* margin) with the scale that fits the labels of the pairs fitted on: choices in their place would put the noise of the
labels down to the reward. 0 is what a reward without this bias has, whatever people like; a noisy one has less.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from karat.audit.reward.calibration import Calibration, Kind, Sides
from karat.numerics.accuracy import longer_outcome, pair_outcome
from karat.numerics.intervals import (
    Interval,
    cluster_bootstrap,
    cluster_totals,
    clustered_proportion,
    paired_difference,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Of one kind; n: pairs whose sides are paid differently.

    Attributes:
        before, after: excess over the labels; fall: of the one less the other, paired.
        share_before, share_after, share_labels: of the side that is paid more: predicted, predicted, and labelled.
        correlation_before, correlation_after, correlation_fall: of the margin with the pay's difference, through 0 (so
            that it does not matter which side is called chosen).
    """

    n: int
    before: Interval
    after: Interval
    fall: Interval
    share_before: float
    share_after: float
    share_labels: float
    correlation_before: float
    correlation_after: float
    correlation_fall: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Both rewards on the same held-out pairs; accuracy over pairs whose label is no tie, equal scores one half.

    Attributes:
        difference: accuracy after less before, paired.
        shorter_*, longer_*: accuracy where the shorter, or the longer, response is preferred.
        changed: pairs whose order changed, by index.
    """

    n_pairs: int
    n_prompts: int
    accuracy_before: Interval
    accuracy_after: Interval
    difference: Interval
    shorter_before: Interval
    shorter_after: Interval
    longer_before: Interval
    longer_after: Interval
    changed: tuple[int, ...]
    excess: dict[Kind, Excess] = field(default_factory=dict)


def measure(sides: Sides, calibration: Calibration, *, rng: np.random.Generator) -> Measured:
    """Before and after, on pairs that the calibration has not seen."""
    after = calibration.calibrated(sides)
    decided = np.flatnonzero(sides.label_P > 0.5)
    prompt_P = sides.prompt_P[decided]
    right_P, right_after_P = (pair_outcome(each.margins()[decided]) for each in (sides, after))
    longer_P = longer_outcome(*sides.length_P2[decided].T)
    shorter, longer = np.flatnonzero(longer_P == 0), np.flatnonzero(longer_P == 1)
    return Measured(
        n_pairs=decided.size,
        n_prompts=len(np.unique(prompt_P)),
        accuracy_before=clustered_proportion(right_P, prompt_P),
        accuracy_after=clustered_proportion(right_after_P, prompt_P),
        difference=paired_difference(right_after_P, right_P, prompt_P, rng=rng),
        shorter_before=clustered_proportion(right_P[shorter], prompt_P[shorter]),
        shorter_after=clustered_proportion(right_after_P[shorter], prompt_P[shorter]),
        longer_before=clustered_proportion(right_P[longer], prompt_P[longer]),
        longer_after=clustered_proportion(right_after_P[longer], prompt_P[longer]),
        changed=tuple(decided[np.flatnonzero(right_P != right_after_P)].tolist()),
        excess={kind: _excess(sides, after, calibration, kind, rng=rng) for kind in calibration.kinds},
    )


def _excess(before: Sides, after: Sides, calibration: Calibration, kind: Kind, *, rng: np.random.Generator) -> Excess:
    paid_P = calibration.pay_difference(before, kind)
    used = np.flatnonzero(paid_P != 0)
    more_P, prompt_P = np.sign(paid_P[used]), before.prompt_P[used]
    margin_P, margin_after_P = before.margins()[used] * more_P, after.margins()[used] * more_P
    picks_P = expit(calibration.pay.plain_scale * margin_P)
    picks_after_P = expit(calibration.pay.scale * margin_after_P)
    label_P = np.where(more_P > 0, before.label_P[used], 1 - before.label_P[used])
    size_P = np.abs(paid_P[used])
    column_PK = np.stack(
        [size_P * margin_P, margin_P**2, size_P * margin_after_P, margin_after_P**2, size_P**2], axis=1
    )
    total_GK = cluster_totals(column_PK, prompt_P)

    def fall(total_K: np.ndarray) -> np.ndarray:
        return np.asarray(_through_0(total_K, 0) - _through_0(total_K, 2))

    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = tuple(float(_through_0(total_GK.sum(axis=0), at)) for at in (0, 2))
    return Excess(
        n=used.size,
        before=paired_difference(picks_P, label_P, prompt_P, rng=rng),
        after=paired_difference(picks_after_P, label_P, prompt_P, rng=rng),
        fall=paired_difference(picks_P, picks_after_P, prompt_P, rng=rng),
        share_before=_mean(picks_P),
        share_after=_mean(picks_after_P),
        share_labels=_mean(label_P),
        correlation_before=correlations[0],
        correlation_after=correlations[1],
        correlation_fall=cluster_bootstrap(total_GK, fall, rng=rng),
    )


def _through_0(total_K: np.ndarray, at: int) -> np.ndarray:
    """sum xy / sqrt(sum x^2 sum y^2) of the totals (xy, yy) at `at`, xx being the last."""
    return np.asarray(total_K[..., at] / np.sqrt(total_K[..., at + 1] * total_K[..., 4]))


def _mean(value_P: np.ndarray) -> float:
    return float(value_P.mean()) if value_P.size else float("nan")
