"""The first wrong step of each solution, by ProcessBench's protocol (Zheng et al., arXiv 2412.06559).

The prediction is the first step whose score is below the tuned threshold, or "no error"; F1 is the harmonic mean of
the accuracy on solutions with a wrong step and on those without.

Axes: P solutions, S steps of one solution, C additive columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karat.numerics.intervals import UNDEFINED, Interval, clustered_proportion
from karat.numerics.process_accuracy import NO_ERROR, chance_f1, first_error_totals, process_f1
from karat.train.process.measures import Thresholds, judged_solutions, predicted_first_errors, rule_scores
from karat.train.process.step_level import bounded_bootstrap
from karat.types import StepSolution

CHANCE = "chance"


@dataclass(frozen=True, slots=True)
class LuckyAnswers:
    """Solutions with the right answer: are those with a wrong step told from those without?

    Attributes:
        n, n_sound: solutions with a wrong step, and without.
        caught, false_alarm: share of the first, and of the second, in which a step is flagged.
        gain: the first share less the second.
    """

    n: int
    n_sound: int
    caught: Interval
    false_alarm: Interval
    gain: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstErrors:
    """Solutions whose first wrong step is known and all of whose steps have a score; NaN where undefined.

    Attributes:
        n_judged: of them; n_wrong have a wrong step. n_missing: others whose first wrong step is known.
        f1: ProcessBench's; f1_gain: less that of the best rule, paired, or of chance.
        found: share of the wrong solutions whose first wrong step is named; kept: of the right ones that pass.
        rule_f1: of rules that read nothing at their tuned thresholds; best_rule: the largest, which favours it.
        lucky: right answers that a wrong step led to.
    """

    n_judged: int
    n_wrong: int
    n_missing: int
    f1: Interval
    f1_gain: Interval
    found: Interval
    kept: Interval
    rule_f1: Mapping[str, float]
    best_rule: str
    lucky: LuckyAnswers


def assess_first_errors(
    solutions: Sequence[StepSolution],
    score_PS: Sequence[np.ndarray],
    thresholds: Thresholds,
    *,
    rng: np.random.Generator,
) -> FirstErrors:
    """Arguments and errors as `evaluate_steps`."""
    at = judged_solutions(solutions, score_PS)
    judged = [solutions[index] for index in at]
    prompt_P = np.array([solution.prompt_id for solution in judged], dtype=str)
    label_P = np.array([solution.first_error for solution in judged], dtype=np.int64)
    predicted_P = predicted_first_errors([score_PS[index] for index in at], thresholds.first_error)
    total_PC = first_error_totals(predicted_P, label_P)
    rule_PC = _rule_totals(judged, label_P, thresholds)
    rule_f1 = {rule: float(process_f1(totals.sum(axis=0))) for rule, totals in rule_PC.items()}
    rule_f1[CHANCE] = chance_f1([len(solution.steps) for solution in judged], label_P)
    defined = {rule: value for rule, value in rule_f1.items() if not math.isnan(value)}
    best = max(defined, key=lambda rule: defined[rule]) if defined else CHANCE
    n_rarest = min(_n_problems(prompt_P, kind) for kind in (label_P != NO_ERROR, label_P == NO_ERROR))
    f1 = bounded_bootstrap(total_PC, process_f1, prompt_P, rng=rng, n_rarest=n_rarest)
    gain = Interval(
        f1.estimate - rule_f1[best], f1.low - rule_f1[best], f1.high - rule_f1[best], f1.n_clusters, f1.method
    )
    if best in rule_PC:  # chance has no counts: its F1 is a number
        gain = bounded_bootstrap(
            np.concatenate([total_PC, rule_PC[best]], axis=1),
            lambda total: process_f1(total[..., :4]) - process_f1(total[..., 4:]),
            prompt_P,
            rng=rng,
            n_rarest=n_rarest,
            low=-1.0,
        )
    return FirstErrors(
        n_judged=at.size,
        n_wrong=int((label_P != NO_ERROR).sum()),
        n_missing=sum(solution.first_error is not None for solution in solutions) - at.size,
        f1=f1,
        f1_gain=gain,
        found=_share(total_PC[:, 0], total_PC[:, 1], prompt_P),
        kept=_share(total_PC[:, 2], total_PC[:, 3], prompt_P),
        rule_f1=rule_f1,
        best_rule=best,
        lucky=_lucky(judged, predicted_P, label_P, prompt_P),
    )


def _rule_totals(judged: Sequence[StepSolution], label_P: np.ndarray, thresholds: Thresholds) -> dict[str, np.ndarray]:
    """Counts of each rule whose threshold is defined, shape (P, 4)."""
    found = {}
    for rule, (_, threshold) in thresholds.rules.items():
        if not math.isnan(threshold):
            predicted_P = predicted_first_errors([rule_scores(one)[rule] for one in judged], threshold)
            found[rule] = first_error_totals(predicted_P, label_P)
    return found


def _n_problems(prompt_P: np.ndarray, is_in_P: np.ndarray) -> int:
    return len(set(prompt_P[is_in_P].tolist()))


def _share(hit_P: np.ndarray, there_P: np.ndarray, prompt_P: np.ndarray) -> Interval:
    used = there_P > 0
    return clustered_proportion(hit_P[used], prompt_P[used]) if used.any() else UNDEFINED


def _lucky(
    judged: Sequence[StepSolution], predicted_P: np.ndarray, label_P: np.ndarray, prompt_P: np.ndarray
) -> LuckyAnswers:
    """Among right answers: how often a solution with a wrong step is flagged, and one without."""
    is_right_P = np.array([solution.final_right == 1 for solution in judged], dtype=bool)
    is_lucky_P, is_sound_P = is_right_P & (label_P != NO_ERROR), is_right_P & (label_P == NO_ERROR)
    flagged_P = (predicted_P != NO_ERROR).astype(np.float64)
    caught, alarm = (_share(flagged_P, kind.astype(np.float64), prompt_P) for kind in (is_lucky_P, is_sound_P))
    return LuckyAnswers(int(is_lucky_P.sum()), int(is_sound_P.sum()), caught, alarm, _difference(caught, alarm))


def _difference(left: Interval, right: Interval) -> Interval:
    """Left less right, of two proportions of different solutions: the ends of Newcombe's hybrid score interval (1998).

    It takes the two as independent; solutions of one problem that are flagged together make it too wide, not too
    narrow. Without ends of either there are none.
    """
    estimate = left.estimate - right.estimate
    down = math.hypot(left.estimate - left.low, right.high - right.estimate)
    up = math.hypot(left.high - left.estimate, right.estimate - right.low)
    return Interval(estimate, estimate - down, estimate + up, min(left.n_clusters, right.n_clusters), left.method)
