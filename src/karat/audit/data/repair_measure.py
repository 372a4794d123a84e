"""What a repair is worth: rewards from cleaned and from raw training folds, judged on the same raw held-out folds.

The labels of a fold that is judged on stay as they are, and no pair of it has a part in finding the suspects of the
folds that are trained on. Wrong labels among those that are judged on hit both rewards alike: at a flip rate e, what
is seen is 1 - 2e of the gain against true labels.

Axes: P pairs, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from karat.audit.data.compare_heads import chosen_variance
from karat.audit.data.repair_rules import LABEL_STEPS, Changes
from karat.errors import DataError
from karat.numerics.accuracy import pair_outcome
from karat.numerics.intervals import Interval, clustered_mean, clustered_proportion, paired_difference
from karat.numerics.label_noise import fit_noise
from karat.numerics.linear_preference import column_scale, cross_fit, fit_head, prompt_folds, ridge_of
from karat.numerics.preference_likelihood import bradley_terry_loss

INNER_FOLDS = 3
"""In which the suspects of a training fold are found; fewer than in the audit itself, for the time it takes."""
LEAST_PROMPTS = 10

Rule = Callable[[np.ndarray, np.ndarray], Changes]
"""Pairs by index and the posteriors of their labels (NaN: not known), to what becomes of them."""


@dataclass(frozen=True, slots=True)
class Worth:
    """A repair's effect on held-out pairs.

    Attributes:
        gain: accuracy after less before, paired; loss_gain: nats before less after, so that more is better.
        raw, cleaned: accuracies; n_used: decided pairs that were judged.
        n_changed: training pairs changed, mean over the folds.
        before_P, after_P: held-out margins of every pair, nats.
    """

    gain: Interval
    loss_gain: Interval
    raw: Interval
    cleaned: Interval
    n_used: int
    n_changed: float
    before_P: np.ndarray
    after_P: np.ndarray


def worth_of(
    diff_PD: np.ndarray,
    label_P: np.ndarray,
    group_P: np.ndarray,
    rule: Rule,
    *,
    steps: tuple[str, ...],
    margin_P: np.ndarray | None,
    folds: int,
    rng: np.random.Generator,
    progress: Callable[..., None] | None = None,
) -> Worth:
    """Measure a repair by cross-fitting.

    Args:
        diff_PD: vectors of chosen less rejected, finite.
        label_P: in [0.5, 1].
        group_P: prompts, near duplicates of one another under one name: never on both sides.
        rule: what becomes of training pairs, given posteriors that were found among them alone.
        steps: of --fix; without one of LABEL_STEPS no posteriors are found.
        margin_P: of a given reward that was not trained on these pairs; None: by heads inside each training fold.
        folds: of the measurement; progress: called as progress(stage, done, total, note).
    Raises: DataError: too few prompts, or no decided pair.
    """
    n_groups = len(np.unique(group_P))
    if n_groups < LEAST_PROMPTS:
        raise DataError(f"{n_groups} prompts with hidden states: measuring a repair needs {LEAST_PROMPTS}.")
    fold_P = prompt_folds(group_P, min(folds, n_groups), rng)
    before_P, after_P = np.empty(label_P.size), np.empty(label_P.size)
    changed = []
    numbers = np.unique(fold_P)
    for fold in numbers:
        if progress:
            progress("measuring the repair", int(fold), numbers.size, "folds")
        inside, outside = np.flatnonzero(fold_P != fold), np.flatnonzero(fold_P == fold)
        posterior = posteriors_of(diff_PD, label_P, group_P, margin_P, inside, rng) if _reads_noise(steps) else None
        found = rule(inside, np.full(inside.size, np.nan) if posterior is None else posterior)
        changed.append(int(np.sum(found.what_P != "")))
        kept = inside[found.is_kept]
        if not kept.size:
            raise DataError("the repair leaves no training pair in a fold: it drops too much.")
        before_P[outside] = _margins(diff_PD, label_P[inside], group_P, inside, outside, rng)
        after_P[outside] = _margins(diff_PD, found.label_P[found.is_kept], group_P, kept, outside, rng)
    return _compared(before_P, after_P, label_P, group_P, float(np.mean(changed)), rng)


def _reads_noise(steps: tuple[str, ...]) -> bool:
    return any(step in LABEL_STEPS for step in steps)


def posteriors_of(
    diff_PD: np.ndarray,
    label_P: np.ndarray,
    group_P: np.ndarray,
    margin_P: np.ndarray | None,
    inside: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """P(flipped) of the training pairs, from themselves alone; NaN for ties and missing margins."""
    if margin_P is None:
        fitted = cross_fit(diff_PD[inside], label_P[inside], group_P[inside], folds=INNER_FOLDS, repeats=1, rng=rng)
        margin = fitted.margin_PM.mean(axis=1)
    else:
        margin = margin_P[inside]
    known = np.isfinite(margin) & (label_P[inside] != 0.5)
    posterior = np.full(inside.size, np.nan)
    if known.any():
        fit = fit_noise(margin[known], group_P[inside][known])
        posterior[known] = fit.posterior(margin[known])
    return posterior


def _margins(
    diff_PD: np.ndarray,
    label: np.ndarray,
    group_P: np.ndarray,
    inside: np.ndarray,
    outside: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Held-out margins of a head on the given training pairs and labels, its ridge chosen among them."""
    x_PD = diff_PD[inside].astype(np.float64)
    variance = chosen_variance(x_PD, label, group_P[inside], rng)
    scale_D = column_scale(x_PD)
    head_D = fit_head(x_PD / scale_D, label, l2=ridge_of(variance, x_PD / scale_D)) / scale_D
    return np.asarray(diff_PD[outside] @ head_D)


def _compared(
    before_P: np.ndarray,
    after_P: np.ndarray,
    label_P: np.ndarray,
    group_P: np.ndarray,
    n_changed: float,
    rng: np.random.Generator,
) -> Worth:
    is_decided = label_P != 0.5
    if not is_decided.any():
        raise DataError("no pair has a decided label to be judged on.")
    right = [pair_outcome(margin_P[is_decided]) for margin_P in (before_P, after_P)]
    group = group_P[is_decided]
    loss_P = bradley_terry_loss(before_P, label_P) - bradley_terry_loss(after_P, label_P)
    return Worth(
        gain=paired_difference(right[1], right[0], group, rng=rng),
        loss_gain=clustered_mean(loss_P, group_P, rng=rng),
        raw=clustered_proportion(right[0], group),
        cleaned=clustered_proportion(right[1], group),
        n_used=int(is_decided.sum()),
        n_changed=n_changed,
        before_P=before_P,
        after_P=after_P,
    )
