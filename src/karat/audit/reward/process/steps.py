"""How well the steps' scores tell right steps from wrong ones, and where the lowest one sits.

Axes: N steps of all solutions, P solutions, S steps of one solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.audit.reward.benchmarks.items import StepBenchmark, StepItem
from karat.audit.reward.benchmarks.steps import StepNumber, blind_step_outcomes, fold_thresholds, step_numbers
from karat.audit.reward.benchmarks.steps import step_outcomes as benchmark_outcomes
from karat.audit.reward.probe_statistics import mean_effect
from karat.audit.reward.process.cases import Flip, Honest, Scores
from karat.numerics.clustered_auroc import auroc_difference, clustered_auroc
from karat.numerics.intervals import UNDEFINED, Interval, clustered_proportion, wilson
from karat.numerics.process_accuracy import NO_ERROR, first_below, process_f1
from karat.types import NAN, StepSolution

RIGHT_FROM = 0.5
"""A label above it says that the step is right, below it that it is wrong; on it, neither."""
TIE = 1e-6
"""Scores this close to the lowest one share its place."""


@dataclass(frozen=True, slots=True)
class Told:
    """How well steps are told apart.

    Attributes:
        auroc: that a right step scores above a wrong one.
        blind: the same of rules that read nothing: earlier is righter, shorter is righter, and their mirrors.
        gain: the AUROC less that of the best blind rule, paired.
    """

    auroc: Interval
    blind: dict[str, float]
    best_blind: str
    gain: Interval
    n_right: int
    n_wrong: int
    n_missing: int


def step_labels(solution: StepSolution) -> tuple[float, ...]:
    """The labels; where there are none, what the first wrong step says: right before it, unknown after it."""
    if solution.labels:
        return solution.labels
    n_steps, error = len(solution.steps), solution.first_error
    if error is None:
        return (NAN,) * n_steps
    if error == NO_ERROR:
        return (1.0,) * n_steps
    return (*(1.0,) * error, 0.0, *(NAN,) * (n_steps - error - 1))


def tell_apart(honest: Sequence[Honest], scores: Scores) -> Told:
    """AUROC over all steps with a label and a score, clustered by problem."""
    rows, n_missing = [], 0
    for each in honest:
        score_S = scores[each.place.problem][each.place.solution]
        for index, (label, score) in enumerate(zip(step_labels(each.solution), score_S, strict=True)):
            if label != label or label == RIGHT_FROM:
                continue
            if score != score:
                n_missing += 1
                continue
            length = len(each.solution.steps[index])
            rows.append((score, label > RIGHT_FROM, each.solution.prompt_id, -index, -length))
    score_N = np.array([row[0] for row in rows], dtype=float)
    right_N = np.array([row[1] for row in rows], dtype=bool)
    cluster_N = np.array([row[2] for row in rows])
    if not right_N.any() or right_N.all():
        return Told(UNDEFINED, {}, "", UNDEFINED, int(right_N.sum()), int((~right_N).sum()), n_missing)
    early, short = (np.array([row[k] for row in rows], dtype=float) for k in (3, 4))
    rules = {"earlier": early, "later": -early, "shorter": short, "longer": -short}
    blind = {name: clustered_auroc(rule, right_N, cluster_N).estimate for name, rule in rules.items()}
    best = max(blind, key=lambda name: blind[name])
    return Told(
        clustered_auroc(score_N, right_N, cluster_N),
        blind,
        best,
        auroc_difference(score_N, rules[best], right_N, cluster_N),
        int(right_N.sum()),
        int((~right_N).sum()),
        n_missing,
    )


# ---------------------------------------------------------------------------------------------- the first wrong step
def as_benchmark(honest: Sequence[Honest], name: str) -> StepBenchmark:
    """The solutions as ProcessBench has them: the first wrong step alone is labelled."""
    items = tuple(
        StepItem(
            name=each.solution.solution_id or str(index),
            cluster=each.solution.prompt_id,
            subset="",
            prompt=str(each.solution.prompt),
            steps=each.solution.steps,
            wrong=tuple(at == each.solution.first_error for at in range(len(each.solution.steps))),
        )
        for index, each in enumerate(honest)
    )
    return StepBenchmark(kind="processbench", name=name, items=items, labels="first", formula="")


def first_error_number(
    benchmark: StepBenchmark,
    scores: Sequence[np.ndarray],
    *,
    threshold: str,
    seed: int,
    rng: np.random.Generator,
    resamples: int,
) -> StepNumber:
    """F1 of the first wrong step, beside rules that read nothing: by length, by place, and chance."""
    outcomes = benchmark_outcomes(benchmark, scores, threshold=threshold, seed=seed)
    place = [-np.arange(len(item.steps), dtype=float) for item in benchmark.items]
    blind = blind_step_outcomes(benchmark, threshold=threshold, seed=seed)
    blind["latest"] = benchmark_outcomes(benchmark, place, threshold="", seed=seed)
    number = step_numbers(benchmark, outcomes, blind, rng=rng, resamples=resamples)[0]
    if number.interval.method != "no variation":
        return number
    low, high = _bounds_without_variation(outcomes.total_PC)
    return replace(number, interval=replace(number.interval, low=low, high=high))


def _bounds_without_variation(total_PC: np.ndarray) -> tuple[float, float]:
    """F1 of the ends of Wilson's intervals of its two accuracies: all solutions are judged right, or all wrong, and no
    resample differs."""
    found_wrong, wrong, found_right, right = np.nansum(total_PC, axis=0)
    if not wrong or not right:
        return NAN, NAN
    ends = zip(wilson(found_wrong, wrong), wilson(found_right, right), strict=True)
    low, high = (float(process_f1(np.array([first, 1.0, second, 1.0]))) for first, second in ends)
    return low, high


@dataclass(frozen=True, slots=True)
class Detected:
    """Of right answers by wrong steps: how many are seen through.

    Attributes:
        exact: share whose first step below the threshold is the wrong one.
        any_flag: share with any step below it.
    """

    kind: str
    exact: Interval
    any_flag: Interval
    n: int
    n_missing: int


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The threshold of each problem, tuned on others (or given), and how it came about."""

    of_problem: dict[str, float]
    tuning: str

    @property
    def mean(self) -> float:
        values = [value for value in self.of_problem.values() if value == value]
        return float(np.mean(values)) if values else NAN


def thresholds_of(
    benchmark: StepBenchmark, scores: Sequence[np.ndarray], *, given: float, origin: str, seed: int
) -> Thresholds:
    """The given threshold for all (origin: how it came about), or one a fold of problems, tuned on the other folds."""
    if given == given:
        return Thresholds({item.cluster: given for item in benchmark.items}, origin or "given")
    return Thresholds(fold_thresholds(benchmark, scores, seed=seed), "cross-fitted by problem")


def detect(flips: Sequence[Flip], scores: Scores, thresholds: Thresholds) -> tuple[Detected, ...]:
    """How many right answers by wrong steps are found, those made and those met apart."""
    found = []
    for kind in ("flipped", "found"):
        exact, flagged, cluster, n_missing = [], [], [], 0
        for flip in (each for each in flips if each.kind == kind):
            score_S = scores[flip.place.problem][flip.place.solution]
            threshold = thresholds.of_problem.get(flip.prompt_id, NAN)
            if threshold != threshold or not np.isfinite(score_S).all():
                n_missing += 1
                continue
            at = int(first_below(score_S, [threshold])[0])
            exact.append(float(at == flip.first_error))
            flagged.append(float(at != NO_ERROR))
            cluster.append(flip.prompt_id)
        if exact or n_missing:
            found.append(Detected(kind, _share(exact, cluster), _share(flagged, cluster), len(exact), n_missing))
    return tuple(found)


def false_alarms(honest: Sequence[Honest], scores: Scores, thresholds: Thresholds) -> Interval:
    """Share of right solutions with a step below the threshold."""
    flagged, cluster = [], []
    for each in honest:
        score_S = scores[each.place.problem][each.place.solution]
        threshold = thresholds.of_problem.get(each.solution.prompt_id, NAN)
        if each.solution.first_error == NO_ERROR and np.isfinite(score_S).all() and threshold == threshold:
            flagged.append(float(bool((score_S < threshold).any())))
            cluster.append(each.solution.prompt_id)
    return _share(flagged, cluster)


def _share(values: Sequence[float], cluster: Sequence[str]) -> Interval:
    return clustered_proportion(np.array(values), np.array(cluster)) if values else UNDEFINED


# -------------------------------------------------------------------------------------------------- where the lowest is
@dataclass(frozen=True, slots=True)
class Lowest:
    """Where the lowest score of a solution sits.

    Attributes:
        at_last: share of solutions with it on the last step; of equal lowest ones each counts its part.
        excess: of solutions whose first wrong step comes before the last, that share less the one of a place at random
            from the first wrong step on: what scores that follow the labels have at most.
        by_label: share of wrong solutions whose first wrong step is the last.
        n: solutions of two steps or more that are scored; n_wrong: those behind `excess`.
    """

    at_last: Interval
    excess: Interval
    by_label: float
    n: int
    n_wrong: int
    n_missing: int


def lowest_places(honest: Sequence[Honest], scores: Scores, *, rng: np.random.Generator, resamples: int) -> Lowest:
    """Of solutions of two steps or more. A reward that drifted to outcomes puts its lowest score on the last step."""
    share, cluster, ends, n_missing = [], [], [], 0
    excess, wrong_cluster = [], []
    for each in honest:
        score_S = scores[each.place.problem][each.place.solution]
        if score_S.size < 2:
            continue
        if not np.isfinite(score_S).all():
            n_missing += 1
            continue
        is_lowest = score_S <= score_S.min() + TIE
        share.append(float(is_lowest[-1]) / float(is_lowest.sum()))
        cluster.append(each.solution.prompt_id)
        error, last = each.solution.first_error, score_S.size - 1
        if error is not None and error != NO_ERROR:
            ends.append(error == last)
            if error < last:
                excess.append(share[-1] - 1 / (score_S.size - error))
                wrong_cluster.append(each.solution.prompt_id)
    interval, *_ = mean_effect(np.array(excess), np.array(wrong_cluster), rng=rng, resamples=resamples)
    by_label = float(np.mean(ends)) if ends else NAN
    return Lowest(_share(share, cluster), interval, by_label, len(share), len(excess), n_missing)
