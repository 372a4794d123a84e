"""Steps judged one by one: right ones told from wrong ones, beside rules that read nothing, and calibration.

Axes: P solutions, S steps of one solution, N labelled steps, C additive columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karat.numerics.calibration import Calibration, assess_calibration
from karat.numerics.clustered_auroc import Z, auroc_difference, clustered_auroc
from karat.numerics.intervals import UNDEFINED, Interval, cluster_bootstrap, cluster_totals, clustered_proportion
from karat.numerics.process_accuracy import negative_f1
from karat.train.process.measures import (
    RULES,
    LabelledSteps,
    Thresholds,
    labelled_steps,
    rule_scores,
    wrong_counts,
)
from karat.types import NAN, StepSolution

LEAST_PROBABILITY = 1e-7
"""Probabilities are kept this far from 0 and 1 where their logit is taken; float32 gives no finer ones near 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLevel:
    """Steps with a label and a score; "decided" ones have another label than one half. NaN where undefined.

    Attributes:
        n_steps: labelled and scored; n_wrong of them labelled below one half, n_ties one half (in the calibration
            alone); n_missing: labelled without a score.
        missing_share: share of the labelled steps without a score.
        accuracy, f1: of the decided steps at the tuned threshold; f1: of the wrong ones; f1_half: the same at one half.
        auroc: P(a right step scores above a wrong one); auroc_gain: less that of the best rule.
        rule_auroc, rule_f1: of the rules that read nothing, by name; right_share: what "always right" gets right.
        best_rule: with the largest AUROC here, which favours it; empty where none is defined.
        outcome_auroc, outcome_gain: of an outcome reward read at each step, and the AUROC less that.
    """

    n_steps: int
    n_wrong: int
    n_ties: int
    n_missing: int
    missing_share: Interval
    accuracy: Interval
    f1: Interval
    f1_half: float
    auroc: Interval
    auroc_gain: Interval
    rule_auroc: Mapping[str, float]
    rule_f1: Mapping[str, float]
    right_share: float
    best_rule: str
    outcome_auroc: float
    outcome_gain: Interval
    calibration: Calibration

    @property
    def n_decided(self) -> int:
        return self.n_steps - self.n_ties


def assess_step_level(
    solutions: Sequence[StepSolution],
    score_PS: Sequence[np.ndarray],
    thresholds: Thresholds,
    *,
    rng: np.random.Generator,
    outcome_PS: Sequence[np.ndarray] | None = None,
) -> StepLevel:
    """Arguments and errors as `evaluate_steps`."""
    steps = labelled_steps(solutions, score_PS)
    prompt_P = np.array([solution.prompt_id for solution in solutions], dtype=str)
    decided = steps.is_decided
    score, is_right, prompt = steps.score_N[decided], steps.label_N[decided] > 0.5, prompt_P[steps.owner_N][decided]
    blind = {rule: steps.pick([rule_scores(one)[rule] for one in solutions])[decided] for rule in RULES}
    rule_auroc = {rule: clustered_auroc(value, is_right, prompt).estimate for rule, value in blind.items()}
    defined = {rule: value for rule, value in rule_auroc.items() if not math.isnan(value)}
    best = max(defined, key=lambda rule: defined[rule]) if defined else ""
    outcome_auroc, outcome_gain = NAN, UNDEFINED
    if outcome_PS is not None:
        other = steps.pick(outcome_PS)[decided]
        both = ~np.isnan(other)
        outcome_auroc = clustered_auroc(other[both], is_right[both], prompt[both]).estimate
        outcome_gain = with_both_kinds(
            auroc_difference(score[both], other[both], is_right[both], prompt[both]), is_right[both], prompt[both]
        )
    logit_N = _logit(steps.score_N)
    return StepLevel(
        n_steps=score.size + int((~decided).sum()),
        n_wrong=int((~is_right).sum()),
        n_ties=int((~decided).sum()),
        n_missing=steps.n_missing,
        missing_share=_missing_share(solutions, score_PS, prompt_P),
        accuracy=clustered_proportion((score >= thresholds.step) == is_right, prompt),
        f1=_f1_interval(solutions, score_PS, thresholds.step, rng),
        f1_half=_f1(solutions, score_PS, 0.5),
        auroc=with_both_kinds(clustered_auroc(score, is_right, prompt), is_right, prompt),
        auroc_gain=with_both_kinds(auroc_difference(score, blind[best], is_right, prompt), is_right, prompt)
        if best
        else UNDEFINED,
        rule_auroc=rule_auroc,
        rule_f1=_rule_f1(solutions, thresholds, steps),
        right_share=float(is_right.mean()) if is_right.size else NAN,
        best_rule=best,
        outcome_auroc=outcome_auroc,
        outcome_gain=outcome_gain,
        calibration=assess_calibration(logit_N, steps.label_N, prompt_P[steps.owner_N], rng=rng, flip_rate=0.0),
    )


def bounded_bootstrap(
    total_PC: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    prompt_P: np.ndarray,
    *,
    rng: np.random.Generator,
    n_rarest: int,
    low: float = 0.0,
) -> Interval:
    """`cluster_bootstrap` of a statistic that lies between `low` and 1, its ends kept there.

    Where no problem departs (every solution judged right, say), no resample does; the ends are then Wilson's bound on
    the share of problems that would, times the furthest that they can go, as `clustered_auroc` has it.

    Args:
        n_rarest: problems that hold the rarer of the two kinds that the statistic compares. With fewer than two there
            are no ends: resampling shows nothing of what one problem stands for.
    """
    found = cluster_bootstrap(cluster_totals(total_PC, prompt_P), statistic, rng=rng)
    if n_rarest < 2:
        return Interval(found.estimate, NAN, NAN, found.n_clusters, "undefined")
    bottom, top = found.low, found.high
    if found.method == "no variation":
        half = Z**2 / (n_rarest + Z**2) * (1.0 - low)
        bottom, top = found.estimate - half, found.estimate + half
    ends = np.clip((bottom, top), low, 1.0)  # few clusters have t quantiles that lead beyond; NaN stays NaN
    return Interval(found.estimate, float(ends[0]), float(ends[1]), found.n_clusters, found.method)


def with_both_kinds(found: Interval, is_positive_N: np.ndarray, cluster_N: np.ndarray) -> Interval:
    """An interval of AUROC without its ends where one problem alone holds the items of a kind: nothing tells how
    others would score."""
    n_rarest = min(len(set(cluster_N[kind].tolist())) for kind in (is_positive_N, ~is_positive_N))
    return found if n_rarest > 1 else Interval(found.estimate, NAN, NAN, found.n_clusters, "undefined")


def _counts(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """Confusion counts of each solution's steps at one threshold, shape (P, 4)."""
    at = np.array([threshold])
    counted = [wrong_counts(one, score_S, at) for one, score_S in zip(solutions, score_PS, strict=True)]
    return np.concatenate(counted) if counted else np.zeros((0, 4))


def _f1(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray], threshold: float) -> float:
    return float(negative_f1(_counts(solutions, score_PS, threshold).sum(axis=0)))


def _f1_interval(
    solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray], threshold: float, rng: np.random.Generator
) -> Interval:
    prompt_P = np.array([solution.prompt_id for solution in solutions], dtype=str)
    total_PC = _counts(solutions, score_PS, threshold)
    n_wrong = len(set(prompt_P[total_PC[:, 1] + total_PC[:, 2] > 0].tolist()))
    return bounded_bootstrap(total_PC, negative_f1, prompt_P, rng=rng, n_rarest=n_wrong)


def _rule_f1(solutions: Sequence[StepSolution], thresholds: Thresholds, steps: LabelledSteps) -> dict[str, float]:
    """F1 of the wrong steps under each rule at its tuned threshold, on the steps that have a score."""
    found = {}
    has_score = [np.zeros(len(one.steps), dtype=bool) for one in solutions]
    for owner, at in zip(steps.owner_N, steps.index_N, strict=True):
        has_score[owner][at] = True
    for rule, (threshold, _) in thresholds.rules.items():
        scored = [
            np.where(there, rule_scores(one)[rule], np.nan) for one, there in zip(solutions, has_score, strict=True)
        ]
        found[rule] = NAN if math.isnan(threshold) else _f1(solutions, scored, threshold)
    return found


def _missing_share(solutions: Sequence[StepSolution], score_PS: Sequence[np.ndarray], prompt_P: np.ndarray) -> Interval:
    label = [np.asarray(one.labels, dtype=np.float64) for one in solutions]
    gone = [np.isnan(score_S)[~np.isnan(label_S)] for score_S, label_S in zip(score_PS, label, strict=True)]
    if not gone:
        return UNDEFINED
    return clustered_proportion(np.concatenate(gone), np.repeat(prompt_P, [part.size for part in gone]))


def _logit(prob_N: np.ndarray) -> np.ndarray:
    prob = np.clip(prob_N, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(prob) - np.log1p(-prob))
