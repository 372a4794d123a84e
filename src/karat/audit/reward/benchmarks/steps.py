"""Benchmarks of step rewards: F1 of the first wrong step (ProcessBench), PRMScore of all steps (PRMBench).

Axes: P solutions, G clusters (problems), T thresholds, C the four counts of `numerics.process_accuracy`, S subsets.

The threshold below which a step is called wrong is never tuned on the solutions that it is judged on: it is a number
that the user gives, or tuned on one named subset and used on the others, or on the other folds of problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from karat.audit.reward.benchmarks.items import StepBenchmark, StepItem, subsets_of
from karat.audit.reward.benchmarks.prmbench import RIGHT_ONLY
from karat.data.records import as_number
from karat.errors import InputError
from karat.numerics.intervals import Interval, cluster_bootstrap, cluster_totals
from karat.numerics.process_accuracy import (
    NO_ERROR,
    best_threshold,
    candidate_thresholds,
    chance_f1,
    first_below,
    first_error_totals,
    positive_f1,
    prm_score,
    process_f1,
    step_totals,
)

FOLDS = 5
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class StepNumber:
    """One number of a step benchmark; fields as `scoring.Number` has them, n in solutions."""

    name: str
    level: str
    interval: Interval
    n: int
    n_missing: int
    worst: float
    best: float
    blind: dict[str, float]


@dataclass(frozen=True, slots=True)
class TunedThreshold:
    """A threshold, the subset that it was tuned on, and how many solutions with scores that has."""

    value: float
    subset: str
    n_solutions: int


@dataclass(frozen=True, slots=True)
class StepOutcomes:
    """Counts of every solution, shape (P, 4), NaN where not scored, and the thresholds that were used."""

    total_PC: np.ndarray
    thresholds: dict[str, float]
    """By subset: the threshold, or the mean over folds."""
    tuning: str
    tuned: TunedThreshold | None = None
    """The threshold that was tuned on one named subset."""


def statistic_of(benchmark: StepBenchmark, subset: str = "") -> Statistic:
    """What the benchmark makes of the counts of a subset; empty: of all."""
    if benchmark.labels == "first":
        return process_f1
    return positive_f1 if subset == RIGHT_ONLY else prm_score


def step_outcomes(
    benchmark: StepBenchmark, scores: Sequence[np.ndarray], *, threshold: str, seed: int, tuned_on: str | None = None
) -> StepOutcomes:
    """Counts of every solution under thresholds that were not tuned on it.

    Args:
        scores: of each solution's steps; all NaN where missing.
        threshold: a number; the name of the subset to tune on (itself cross-fitted); empty: cross-fitted by problem
            within each subset.
        seed: of the folds; the same folds for every reward of one seed.
        tuned_on: the subset that a number was tuned on, which is cross-fitted instead.
    Raises: InputError: the threshold is neither a number nor a subset.
    """
    is_scored = np.array([bool(np.isfinite(score).all()) and score.size > 0 for score in scores])
    total_PC = np.full((len(scores), 4), np.nan)
    given = as_number(threshold) if threshold else float("nan")
    names = subsets_of(benchmark.items)
    if threshold and not np.isfinite(given) and threshold not in names:
        raise InputError(f"step_threshold: {threshold!r} is no number and no subset; subsets: {', '.join(names)}.")
    by_subset = {name: np.flatnonzero([item.subset == name for item in benchmark.items] & is_scored) for name in names}
    used: dict[str, float] = {}
    shared = _tuned(benchmark, scores, by_subset[threshold]) if threshold in by_subset else given
    for name, at in by_subset.items():
        if at.size == 0:
            continue
        if np.isfinite(shared) and name not in (threshold, tuned_on):
            total_PC[at] = _totals_at(benchmark, scores, at, np.array([shared]))[0]
            used[name] = shared
        else:
            used[name] = _cross_fit(benchmark, scores, at, total_PC, np.random.default_rng(seed))
    tuning, tuned = "cross-fitted by problem within each subset", None
    if np.isfinite(given):
        tuning = f"given: {given:g}"
    elif threshold:
        n_solutions = by_subset[threshold].size
        tuning = f"tuned on {n_solutions} solutions of {threshold}, which is itself cross-fitted"
        tuned = TunedThreshold(shared, threshold, n_solutions) if np.isfinite(shared) else None
    return StepOutcomes(total_PC, used, tuning, tuned)


def step_numbers(
    benchmark: StepBenchmark,
    outcomes: StepOutcomes,
    blind: dict[str, StepOutcomes],
    *,
    rng: np.random.Generator,
    resamples: int,
) -> list[StepNumber]:
    """The benchmark's score first, then the other way to join the subsets, groups and subsets."""
    names = subsets_of(benchmark.items)
    micro, macro = ("overall (micro)", "overall", names, False), ("overall (macro)", "overall", names, True)
    plan = [micro] if len(names) == 1 else [macro, micro] if benchmark.labels == "first" else [micro, macro]
    for group, members in benchmark.groups.items():
        present = tuple(name for name in members if name in names)
        if len(present) > 1:
            plan.append((group, "section", present, True))
    if len(names) > 1:
        plan += [(name, "subset", (name,), False) for name in names]
    return [_number(benchmark, outcomes, blind, entry, rng=rng, resamples=resamples) for entry in plan]


def blind_step_outcomes(benchmark: StepBenchmark, *, threshold: str, seed: int) -> dict[str, StepOutcomes]:
    """Rules that read nothing: long steps are wrong, short steps are wrong; their thresholds tuned as the reward's."""
    lengths = [np.array([float(len(step)) for step in item.steps]) for item in benchmark.items]
    tune = "" if np.isfinite(as_number(threshold) if threshold else np.nan) else threshold
    return {
        "longest": step_outcomes(benchmark, [-length for length in lengths], threshold=tune, seed=seed),
        "shortest": step_outcomes(benchmark, lengths, threshold=tune, seed=seed),
    }


def headline_statistic(benchmark: StepBenchmark) -> tuple[Statistic, Callable[[np.ndarray], np.ndarray]]:
    """The first number's statistic, and what turns counts (P, 4) into the columns that it takes."""
    names = subsets_of(benchmark.items)
    is_macro = benchmark.labels == "first" and len(names) > 1
    codes = np.array([names.index(item.subset) for item in benchmark.items])
    if not is_macro:
        return statistic_of(benchmark), lambda total_PC: total_PC

    def columns(total_PC: np.ndarray) -> np.ndarray:
        wide = np.zeros((len(total_PC), 4 * len(names)))
        for place in range(len(names)):
            mine = codes == place
            wide[mine, 4 * place : 4 * place + 4] = total_PC[mine]
        return wide

    return _mean_statistic(benchmark, names), columns


def _mean_statistic(benchmark: StepBenchmark, names: Sequence[str]) -> Statistic:
    """Mean over subsets of each one's statistic, of totals (..., 4 S)."""

    def statistic(total: np.ndarray) -> np.ndarray:
        each = [statistic_of(benchmark, name)(total[..., 4 * i : 4 * i + 4]) for i, name in enumerate(names)]
        return np.asarray(np.mean(each, axis=0))

    return statistic


def _number(
    benchmark: StepBenchmark,
    outcomes: StepOutcomes,
    blind: dict[str, StepOutcomes],
    entry: tuple[str, str, Sequence[str], bool],
    *,
    rng: np.random.Generator,
    resamples: int,
) -> StepNumber:
    name, level, members, is_mean = entry
    in_PS = np.array([[item.subset == member for member in members] for item in benchmark.items])
    statistic = (
        _mean_statistic(benchmark, members)
        if is_mean
        else statistic_of(benchmark, members[0] if len(members) == 1 else "")
    )

    def columns(total_PC: np.ndarray) -> np.ndarray:
        if not is_mean:
            return total_PC
        return np.concatenate([total_PC * in_PS[:, [i]] for i in range(len(members))], axis=1)

    member_P = in_PS.any(axis=1)
    scored_P = np.isfinite(outcomes.total_PC).all(axis=1)
    use = member_P & scored_P
    cluster_P = np.array([item.cluster for item in benchmark.items])
    totals = cluster_totals(columns(outcomes.total_PC)[use], cluster_P[use])
    interval = cluster_bootstrap(totals, statistic, rng=rng, resamples=resamples)
    low, high = np.clip((interval.low, interval.high), 0.0, 1.0)
    ends = [interval.estimate] * 2
    if np.any(member_P & ~scored_P):
        ends = [
            _value(statistic, columns(np.where(scored_P[:, None], outcomes.total_PC, extreme))[member_P])
            for extreme in (_extreme(benchmark, is_best=is_best) for is_best in (False, True))
        ]
    told = {rule: _value(statistic, columns(each.total_PC)[use]) for rule, each in blind.items()}
    told["chance"] = _chance(benchmark, np.flatnonzero(use), members, is_mean)
    return StepNumber(
        name,
        level,
        Interval(interval.estimate, float(low), float(high), interval.n_clusters, interval.method),
        n=int(use.sum()),
        n_missing=int(np.sum(member_P & ~scored_P)),
        worst=ends[0],
        best=ends[1],
        blind=told,
    )


def _value(statistic: Statistic, column_PC: np.ndarray) -> float:
    return float(statistic(np.nansum(column_PC, axis=0))) if len(column_PC) else float("nan")


def _extreme(benchmark: StepBenchmark, *, is_best: bool) -> np.ndarray:
    """Counts of every solution if it were judged entirely right, or entirely wrong."""
    rows = []
    for item in benchmark.items:
        wrong = np.array(item.wrong)
        if benchmark.labels == "first":
            label = first_error(item)
            missed = NO_ERROR if label != NO_ERROR else 0
            rows.append(first_error_totals(np.array([label if is_best else missed]), np.array([label]))[0])
        else:
            score = np.where(wrong, 0.0, 1.0) if is_best else np.where(wrong, 1.0, 0.0)
            rows.append(step_totals(score, wrong, [0.5])[0])
    return np.array(rows)


def _chance(benchmark: StepBenchmark, at: np.ndarray, members: Sequence[str], is_mean: bool) -> float:
    """The best that a rule gets which reads nothing: ProcessBench `chance_f1`; PRMBench: flag each step with chance q,
    at the q that is best, of the expected counts."""
    if is_mean:
        each = [
            _chance(benchmark, np.array([i for i in at if benchmark.items[i].subset == name], dtype=int), [name], False)
            for name in members
        ]
        return float(np.mean(each)) if each else float("nan")
    items = [benchmark.items[index] for index in at]
    if not items:
        return float("nan")
    if benchmark.labels == "first":
        return chance_f1([len(item.steps) for item in items], [first_error(item) for item in items])
    wrong = float(sum(sum(item.wrong) for item in items))
    right = float(sum(len(item.wrong) for item in items)) - wrong
    flag_T = np.linspace(0, 1, 201)
    total = np.stack([right * (1 - flag_T), wrong * (1 - flag_T), wrong * flag_T, right * flag_T], axis=-1)
    statistic = statistic_of(benchmark, members[0] if len(members) == 1 else "")
    value_T = statistic(total)
    return float(np.nanmax(value_T)) if np.isfinite(value_T).any() else float("nan")


def first_error(item: StepItem) -> int:
    """Index of the first wrong step, or NO_ERROR."""
    return item.wrong.index(True) if any(item.wrong) else NO_ERROR


def _totals_at(
    benchmark: StepBenchmark, scores: Sequence[np.ndarray], at: np.ndarray, threshold_T: np.ndarray
) -> np.ndarray:
    """Counts of some solutions under each threshold, shape (T, len(at), 4)."""
    items = [benchmark.items[index] for index in at]
    if benchmark.labels == "first":
        predicted_TP = np.stack([first_below(scores[index], threshold_T) for index in at], axis=1)
        label_P = np.array([first_error(item) for item in items])
        return first_error_totals(predicted_TP, np.broadcast_to(label_P, predicted_TP.shape))
    each = [step_totals(scores[index], item.wrong, threshold_T) for index, item in zip(at, items, strict=True)]
    return np.stack(each, axis=1)


def _tuned(benchmark: StepBenchmark, scores: Sequence[np.ndarray], at: np.ndarray) -> float:
    """The threshold that is best on some solutions; NaN for none, or where the statistic is undefined on them."""
    if at.size == 0:
        return float("nan")
    threshold_T = candidate_thresholds([scores[index] for index in at])
    total_TPC = _totals_at(benchmark, scores, at, threshold_T)
    subset = benchmark.items[at[0]].subset
    return best_threshold(total_TPC, threshold_T, statistic_of(benchmark, subset))


def _cross_fit(
    benchmark: StepBenchmark,
    scores: Sequence[np.ndarray],
    at: np.ndarray,
    total_PC: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """Fill in the counts of some solutions, fold by fold of problems; returns the mean threshold.

    A fold whose other folds do not hold solutions of both kinds has no threshold, and is left NaN.
    """
    used = []
    for threshold, mine in _folds(benchmark, scores, at, rng):
        if np.isfinite(threshold):
            total_PC[mine] = _totals_at(benchmark, scores, mine, np.array([threshold]))[0]
            used.append(threshold)
    return float(np.mean(used)) if used else float("nan")


def _folds(
    benchmark: StepBenchmark, scores: Sequence[np.ndarray], at: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[float, np.ndarray]]:
    """Of each fold of problems the threshold that is best on the other folds, and the fold's solutions."""
    clusters = sorted({benchmark.items[index].cluster for index in at})
    order = rng.permutation(len(clusters))
    fold_of = {clusters[place]: number % FOLDS for number, place in enumerate(order)}
    fold = np.array([fold_of[benchmark.items[index].cluster] for index in at])
    for number in range(min(FOLDS, len(clusters))):
        yield _tuned(benchmark, scores, at[fold != number]), at[fold == number]


def fold_thresholds(benchmark: StepBenchmark, scores: Sequence[np.ndarray], *, seed: int) -> dict[str, float]:
    """By problem (cluster): the threshold tuned on the other folds of problems; NaN where it is undefined there."""
    is_scored = np.array([bool(np.isfinite(score).all()) and score.size > 0 for score in scores])
    folds = _folds(benchmark, scores, np.flatnonzero(is_scored), np.random.default_rng(seed))
    return {benchmark.items[index].cluster: threshold for threshold, mine in folds for index in mine}
