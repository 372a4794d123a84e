"""Several rewards on the same items: who is better, on what, and who cannot be told apart.

Axes: P comparisons, G clusters (prompts), K rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from karat.audit.reward.benchmarks.items import Aggregate, StepBenchmark
from karat.audit.reward.benchmarks.scoring import Layout, Outcomes, difference_of, interval_of
from karat.audit.reward.benchmarks.steps import StepOutcomes, headline_statistic
from karat.numerics.intervals import Interval, cluster_bootstrap, cluster_totals
from karat.numerics.multiplicity import holm
from karat.numerics.paired_tests import rank_intervals, sign_flip_test, sign_flip_tests, swap_test

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class PairedNumber:
    """Two rewards on one aggregate.

    Attributes:
        gap: left less right, paired, on the comparisons that both scored.
        only_left, only_right: comparisons in which one does better than the other; None where the number is no mean.
        p_value: of the exact paired test (McNemar's where each prompt holds one comparison), prompts kept whole.
        p_adjusted: over all subsets (Holm); of an overall number, the p-value itself.
    """

    aggregate: Aggregate
    gap: Interval
    n: int
    only_left: int | None
    only_right: int | None
    p_value: float
    p_adjusted: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """One of several rewards.

    Attributes:
        rank_low, rank_high: simultaneous 95 % interval of its rank; rank_low 1: none is surely better.
    """

    name: str
    score: Interval
    n: int
    n_missing: int
    rank_low: int
    rank_high: int


def compare(
    aggregates: Sequence[Aggregate],
    layout: Layout,
    left: Outcomes,
    right: Outcomes,
    *,
    rng: np.random.Generator,
    resamples: int,
) -> list[PairedNumber]:
    """Two rewards on each of the aggregates; the subsets' p-values are adjusted together."""
    p_values, adjusted = paired_p_values(aggregates, layout, left, right, rng=rng)
    found = []
    for aggregate, p, p_adjusted in zip(aggregates, p_values, adjusted, strict=True):
        gap_P = left.value_P - right.value_P
        use = layout.members(aggregate) & np.isfinite(gap_P)
        differs = np.abs(gap_P[use]) > 1e-12
        gap = difference_of(aggregate, layout, left.value_P, right.value_P, rng=rng, resamples=resamples)
        better = int(np.sum(gap_P[use][differs] > 0))
        found.append(PairedNumber(aggregate, gap, int(use.sum()), better, int(differs.sum()) - better, p, p_adjusted))
    return found


def paired_p_values(
    aggregates: Sequence[Aggregate], layout: Layout, left: Outcomes, right: Outcomes, *, rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """p-values of each aggregate, and the same with those of the subsets adjusted together (Holm).

    NaN where fewer than two prompts were scored by both.
    """
    gap_P = left.value_P - right.value_P
    p_values = []
    for aggregate in aggregates:
        use = layout.members(aggregate) & np.isfinite(gap_P)
        is_testable = np.unique(layout.cluster_P[use]).size >= 2
        p_values.append(sign_flip_test(prompt_gaps(aggregate, layout, gap_P), rng=rng) if is_testable else float("nan"))
    adjusted = list(p_values)
    of_subsets = [number for number, aggregate in enumerate(aggregates) if aggregate.level == "subset"]
    for number, p in zip(of_subsets, holm(np.array([p_values[n] for n in of_subsets])).tolist(), strict=True):
        adjusted[number] = p
    return p_values, adjusted


def prompt_gaps(aggregate: Aggregate, layout: Layout, gap_P: np.ndarray) -> np.ndarray:
    """Each prompt's part in the difference of an aggregate, shape (G,).

    Of a mean over comparisons the plain sums, so that the test can be exact; of a weighted mean, each comparison by its
    cell's weight over the cell's number.
    """
    use = layout.members(aggregate) & np.isfinite(gap_P)
    value = gap_P[use].copy()
    if not aggregate.pooled:
        count_C = np.bincount(layout.cell_P[use], minlength=len(layout.cells))
        weight_C = np.array([aggregate.weights.get(cell, 0.0) for cell in layout.cells])
        value *= (weight_C / np.maximum(count_C, 1))[layout.cell_P[use]]
    n_clusters = int(layout.cluster_P.max()) + 1 if layout.cluster_P.size else 0
    return np.bincount(layout.cluster_P[use], weights=value, minlength=n_clusters)


def rank(
    names: Sequence[str],
    outcomes: Sequence[Outcomes],
    aggregate: Aggregate,
    layout: Layout,
    *,
    rng: np.random.Generator,
    resamples: int,
) -> list[Ranked]:
    """Rewards by their score on one aggregate, best first, with intervals of their ranks from tests of all pairs."""
    member = layout.members(aggregate)
    scores = [interval_of(aggregate, layout, each.value_P, rng=rng, resamples=resamples) for each in outcomes]
    pairs = list(combinations(range(len(names)), 2))
    gaps = [prompt_gaps(aggregate, layout, outcomes[i].value_P - outcomes[j].value_P) for i, j in pairs]
    p_K = sign_flip_tests(np.stack(gaps, axis=1), rng=rng) if pairs else np.zeros(0)
    counts = [(int(np.sum(member & each.is_scored)), int(np.sum(member & ~each.is_scored))) for each in outcomes]
    return _ranked(
        names, scores, counts, [(float(gap_G.sum()), p) for gap_G, p in zip(gaps, p_K.tolist(), strict=True)]
    )


def compare_steps(
    benchmark: StepBenchmark, left: StepOutcomes, right: StepOutcomes, *, rng: np.random.Generator, resamples: int
) -> PairedNumber:
    """Left less right in the headline of a step benchmark, with a p-value by swaps of whole problems."""
    statistic, columns = headline_statistic(benchmark)
    use = np.isfinite(left.total_PC).all(axis=1) & np.isfinite(right.total_PC).all(axis=1)
    cluster = np.array([item.cluster for item in benchmark.items])[use]
    sides = [cluster_totals(columns(side.total_PC)[use], cluster) for side in (left, right)]
    width = sides[0].shape[1]
    gap = cluster_bootstrap(
        np.concatenate(sides, axis=1),
        lambda total: statistic(total[..., :width]) - statistic(total[..., width:]),
        rng=rng,
        resamples=resamples,
    )
    p = swap_test(sides[0], sides[1], statistic, rng=rng) if gap.n_clusters >= 2 else float("nan")
    headline = Aggregate(name="score", level="overall", weights={})
    return PairedNumber(headline, gap, int(use.sum()), None, None, p, p)


def rank_steps(
    names: Sequence[str],
    outcomes: Sequence[StepOutcomes],
    scores: Sequence[Interval],
    benchmark: StepBenchmark,
    *,
    rng: np.random.Generator,
) -> list[Ranked]:
    """As `rank`, for step rewards; `scores` are their headline numbers."""
    statistic, columns = headline_statistic(benchmark)
    cluster = np.array([item.cluster for item in benchmark.items])
    tests = []
    for i, j in combinations(range(len(names)), 2):
        use = np.isfinite(outcomes[i].total_PC).all(axis=1) & np.isfinite(outcomes[j].total_PC).all(axis=1)
        sides = [cluster_totals(columns(outcomes[k].total_PC)[use], cluster[use]) for k in (i, j)]
        gap = float(np.subtract(*(statistic(side.sum(axis=0)) for side in sides)))
        tests.append((gap, swap_test(sides[0], sides[1], statistic, rng=rng) if use.any() else float("nan")))
    counts = [
        (int(scored.sum()), int((~scored).sum()))
        for scored in (np.isfinite(each.total_PC).all(axis=1) for each in outcomes)
    ]
    return _ranked(names, scores, counts, tests)


def _ranked(
    names: Sequence[str],
    scores: Sequence[Interval],
    counts: Sequence[tuple[int, int]],
    tests: Sequence[tuple[float, float]],
) -> list[Ranked]:
    """`tests`: of all pairs, the gap on the items that both scored and its p-value."""
    size = len(names)
    gap_KK, p_KK = np.full((2, size, size), np.nan)
    for (i, j), (gap, p) in zip(combinations(range(size), 2), tests, strict=True):
        gap_KK[i, j], p_KK[i, j] = gap, p
    estimate = np.array([score.estimate for score in scores])
    ranks = rank_intervals(gap_KK, p_KK, alpha=ALPHA)
    order = np.argsort(-np.nan_to_num(estimate, nan=-np.inf), kind="stable")
    return [
        Ranked(names[k], scores[k], counts[k][0], counts[k][1], int(ranks[k, 0]), int(ranks[k, 1]))
        for k in order.tolist()
    ]
