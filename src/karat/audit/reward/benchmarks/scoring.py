"""From scores to what a benchmark reports: outcomes of comparisons, means with intervals, blind rules beside them.

Axes: P comparisons, R responses of an item, G clusters (prompts), C cells.

A comparison's value lies in [0, 1] (Ties' margin term in [-1, 1]); a tie counts its share, a missing score is left out
and bounded. Means, intervals and baselines rest on the comparisons that are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.audit.reward.benchmarks.items import Aggregate, Benchmark, Item
from karat.audit.reward.benchmarks.rm_bench import cell_name
from karat.numerics.intervals import (
    UNDEFINED,
    Interval,
    cluster_bootstrap,
    cluster_totals,
    clustered_proportion,
    paired_difference,
)
from karat.numerics.validation import cluster_codes
from karat.rewards.groups import last_text

MARGIN_CELL = "margin"
CHANCE_DRAWS = 200
"""Draws of uniform scores behind the chance of RewardBench 2's Ties, whose formula has no simple expectation."""
BLIND_RULES = ("longest", "shortest", "chance")


@dataclass(frozen=True, slots=True)
class Event:
    """One comparison: the items that it needs (two for Ties), its cell and cluster, and how it is decided."""

    items: tuple[int, ...]
    cell: str
    cluster: str
    how: tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """The comparisons of a benchmark, the same for every reward."""

    events: tuple[Event, ...]
    cells: tuple[str, ...]
    cell_P: np.ndarray
    cluster_P: np.ndarray
    """Numbers of the clusters."""
    floor_P: np.ndarray
    """The least that a comparison can give; the most is 1."""

    def members(self, aggregate: Aggregate) -> np.ndarray:
        """Which comparisons an aggregate is about, shape (P,), bool."""
        wanted = [index for index, cell in enumerate(self.cells) if cell in aggregate.weights]
        return np.isin(self.cell_P, wanted)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a reward gets in each comparison, shape (P,); NaN where a score is missing.

    Attributes:
        value_P: a tie counts its share.
        lost_P, won_P: the same with every tie lost, or won.
    """

    value_P: np.ndarray
    lost_P: np.ndarray
    won_P: np.ndarray

    @property
    def is_scored(self) -> np.ndarray:
        return np.asarray(np.isfinite(self.value_P))


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a benchmark.

    Attributes:
        n, n_clusters: comparisons that are scored, and their prompts.
        n_ties: comparisons that a tie decides; ties_lost, ties_won: the number with all of them lost, or won.
        worst, best: the number if every missing comparison were lost, or won.
        blind: what each blind rule gets in the same comparisons; NaN where the file has no texts.
    """

    aggregate: Aggregate
    interval: Interval
    n: int
    n_clusters: int
    n_ties: int
    n_missing: int
    ties_lost: float
    ties_won: float
    worst: float
    best: float
    blind: dict[str, float]


# --------------------------------------------------------------------------------------------------------- comparisons
def layout_of(benchmark: Benchmark) -> Layout:
    """All comparisons of a benchmark, item by item."""
    events: list[Event] = []
    joined: dict[str, dict[str, int]] = {}
    for index, item in enumerate(benchmark.items):
        if item.rule == "top":
            events.append(Event((index,), item.subset, item.cluster, ("top", 0, 0)))
        elif item.rule == "grid":
            wrong = item.size - item.n_right
            events += [
                Event((index,), cell_name(item.subset, i, j), item.cluster, ("pair", i, item.n_right + j))
                for i in range(item.n_right)
                for j in range(wrong)
            ]
        else:
            kind, join = item.key
            joined.setdefault(join, {})[kind] = index
            events.append(Event((index,), f"{kind} accuracy", item.cluster, ("accuracy", 0, 0)))
    for both in joined.values():
        if {"ref", "tied"} <= both.keys() and benchmark.items[both["tied"]].n_right > 1:
            pair, cluster = (both["ref"], both["tied"]), benchmark.items[both["tied"]].cluster
            events += [
                Event(pair, cell, cluster, (cell, 0, 0)) for cell in ("preferred", "preferred hard", MARGIN_CELL)
            ]
    cells = tuple(dict.fromkeys(event.cell for event in events))
    code = {cell: number for number, cell in enumerate(cells)}
    return Layout(
        tuple(events),
        cells,
        np.array([code[event.cell] for event in events], dtype=int),
        cluster_codes([event.cluster for event in events], len(events))[0],
        np.array([-1.0 if event.how[0] == MARGIN_CELL else 0.0 for event in events]),
    )


def outcomes_of(
    layout: Layout, items: Sequence[Item], scores: Sequence[np.ndarray], *, tie_tol: float = 0.0
) -> Outcomes:
    """What the scores give in every comparison.

    Args:
        layout: of the benchmark.
        items: the benchmark's.
        scores: of each item's responses, right ones first; NaN where missing.
        tie_tol: scores this close count as equal, reward units.
    """
    found = np.full((len(layout.events), 3), np.nan)
    for number, event in enumerate(layout.events):
        given = [np.asarray(scores[index], dtype=float) for index in event.items]
        needed = given[0][[event.how[1], event.how[2]]] if event.how[0] == "pair" else np.concatenate(given)
        if not np.isfinite(needed).all():
            continue
        n_right = [items[index].n_right for index in event.items]
        if event.how[0] == "top":
            found[number] = top_outcome(given[0], n_right[0], tie_tol)
        elif event.how[0] == "pair":
            found[number] = top_outcome(needed, 1, tie_tol)
        else:
            found[number] = _ties_outcome(event.how[0], given, n_right)
    return Outcomes(found[:, 0], found[:, 1], found[:, 2])


def top_outcome(score_R: np.ndarray, n_right: int, tie_tol: float = 0.0) -> tuple[float, float, float]:
    """1 where only right responses are at the top, 0 where none is, else their share; and with ties lost, and won."""
    is_top = score_R >= score_R.max() - tie_tol
    share = float(is_top[:n_right].sum() / is_top.sum())
    return share, float(share == 1.0), float(share > 0.0)


def _ties_outcome(how: str, given: Sequence[np.ndarray], n_right: Sequence[int]) -> tuple[float, float, float]:
    """RewardBench 2's Ties terms, strict as in its own code; a tie is where both sides of the comparison are equal."""
    gaps = [float(score[:right].min() - score[right:].max()) for score, right in zip(given, n_right, strict=True)]
    if how == "accuracy":
        return _strict(gaps[0], 0.0)
    spread = float(np.ptp(given[1][: n_right[1]]))
    if how == "preferred":
        return _strict(gaps[1], spread)
    if how == "preferred hard":
        return _strict(min(gaps), spread)
    if spread == 0.0:  # tanh of an infinite ratio; 0 / 0 counts 0
        value = float(np.sign(min(gaps)))
    else:
        value = float(np.tanh(min(gaps) / spread - 1))
    return value, value, value


def _strict(left: float, right: float) -> tuple[float, float, float]:
    return float(left > right), float(left > right), float(left >= right)


# --------------------------------------------------------------------------------------------------------- blind rules
def blind_outcomes(benchmark: Benchmark, layout: Layout, rng: np.random.Generator) -> dict[str, Outcomes]:
    """What rules that read nothing get: the longest, the shortest (characters of the last message), and chance."""
    found = {"chance": _chance(benchmark, layout, rng)}
    if all(item.responses for item in benchmark.items):
        lengths = [np.array([float(len(last_text(text))) for text in item.responses]) for item in benchmark.items]
        found["longest"] = outcomes_of(layout, benchmark.items, lengths)
        found["shortest"] = outcomes_of(layout, benchmark.items, [-length for length in lengths])
    return found


def _chance(benchmark: Benchmark, layout: Layout, rng: np.random.Generator) -> Outcomes:
    items = benchmark.items
    value_P = np.array(
        [
            0.5 if event.how[0] == "pair" else items[event.items[0]].n_right / items[event.items[0]].size
            for event in layout.events
        ]
    )
    of_ties = [number for number, event in enumerate(layout.events) if event.how[0] not in ("top", "pair")]
    if of_ties:
        events = tuple(layout.events[number] for number in of_ties)
        part = replace(layout, events=events)
        total = np.zeros(len(of_ties))
        for _ in range(CHANCE_DRAWS):
            total += outcomes_of(part, items, [rng.random(item.size) for item in items]).value_P
        value_P[of_ties] = total / CHANCE_DRAWS
    return Outcomes(value_P, value_P, value_P)


# ---------------------------------------------------------------------------------------------------------------- means
def mean_of(aggregate: Aggregate, layout: Layout, value_P: np.ndarray) -> float:
    """The aggregate of the finite values; NaN where a cell that it weighs has none."""
    use = layout.members(aggregate) & np.isfinite(value_P)
    if not use.any():
        return float("nan")
    if aggregate.pooled:
        return float(value_P[use].mean())
    means = _cell_means(aggregate, layout, value_P, use)
    return float(sum(weight * means.get(cell, np.nan) for cell, weight in aggregate.weights.items()))


def _cell_means(aggregate: Aggregate, layout: Layout, value_P: np.ndarray, use: np.ndarray) -> dict[str, float]:
    total_C = np.bincount(layout.cell_P[use], weights=value_P[use], minlength=len(layout.cells))
    count_C = np.bincount(layout.cell_P[use], minlength=len(layout.cells))
    return {cell: total_C[c] / count_C[c] for c, cell in enumerate(layout.cells) if count_C[c]}


def weighted_statistic(aggregate: Aggregate, layout: Layout) -> Callable[[np.ndarray], np.ndarray]:
    """From totals (..., 2C), sums of values and counts of each cell, to the weighted mean (...)."""
    known = [(layout.cells.index(cell), weight) for cell, weight in aggregate.weights.items() if cell in layout.cells]
    at, weight_C = np.array([index for index, _ in known]), np.array([weight for _, weight in known])
    n_cells = len(layout.cells)

    def statistic(total: np.ndarray) -> np.ndarray:
        return np.asarray((total[..., at] / total[..., n_cells + at]) @ weight_C)

    return statistic


def interval_of(
    aggregate: Aggregate,
    layout: Layout,
    value_P: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int,
    level: float = 0.95,
) -> Interval:
    """The aggregate with an interval clustered by prompt: Wilson's at the effective number of items for a mean of
    values in [0, 1], else a bootstrap over prompts; where nothing varies, the weighted ends of the cells' Wilson."""
    use = layout.members(aggregate) & np.isfinite(value_P)
    if not use.any():
        return UNDEFINED
    is_share = not np.any(layout.floor_P[use] < 0)
    if aggregate.pooled and is_share:
        return clustered_proportion(value_P[use], layout.cluster_P[use], level=level)
    estimate = mean_of(aggregate, layout, value_P)
    if not np.isfinite(estimate):
        return UNDEFINED
    found = _bootstrap(aggregate, layout, value_P, rng=rng, resamples=resamples, level=level)
    low, high = found.low, found.high
    if found.method == "no variation" and is_share:
        ends = [
            (weight, interval_of(_alone(cell), layout, value_P, rng=rng, resamples=resamples, level=level))
            for cell, weight in aggregate.weights.items()
        ]
        low, high = (sum(weight * getattr(end, side) for weight, end in ends) for side in ("low", "high"))
    floor = float(min(0.0, layout.floor_P[use].min())) * sum(aggregate.weights.values())
    most = 1.0 if aggregate.pooled else sum(aggregate.weights.values())
    low, high = np.clip((low, high), floor, most)
    return Interval(estimate, float(low), float(high), found.n_clusters, found.method)


def difference_of(
    aggregate: Aggregate,
    layout: Layout,
    left_P: np.ndarray,
    right_P: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int,
) -> Interval:
    """Left less right on the comparisons that both have, paired, with a bootstrap interval over prompts.

    Weights may be negative: the difference of two aggregates.
    """
    gap_P = left_P - right_P
    use = layout.members(aggregate) & np.isfinite(gap_P)
    if not use.any():
        return UNDEFINED
    if aggregate.pooled and not np.any(layout.floor_P[use] < 0):
        return paired_difference(left_P[use], right_P[use], layout.cluster_P[use], rng=rng)
    if not np.isfinite(mean_of(aggregate, layout, gap_P)):
        return UNDEFINED
    found = _bootstrap(aggregate, layout, gap_P, rng=rng, resamples=resamples, level=0.95)
    low, high = found.low, found.high
    if found.method == "no variation":
        low, high = _bounds_of_cells(aggregate, layout, left_P, right_P, rng)
    most = sum(weight * (1 - _floor(cell, layout)) for cell, weight in aggregate.weights.items() if weight > 0)
    low, high = np.clip((low, high), -most, most)
    return replace(found, low=float(low), high=float(high))


def _bounds_of_cells(
    aggregate: Aggregate, layout: Layout, left_P: np.ndarray, right_P: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """Where no resample differs: the weighted ends of the cells' own differences, as `paired_difference` has them."""
    low = high = 0.0
    for cell, weight in aggregate.weights.items():
        use = layout.members(_alone(cell)) & np.isfinite(left_P - right_P)
        span = 1 - _floor(cell, layout)
        left, right = (1 - (1 - side_P[use]) / span for side_P in (left_P, right_P))  # into [0, 1]
        found = paired_difference(left, right, layout.cluster_P[use], rng=rng)
        ends = sorted((weight * span * found.low, weight * span * found.high))
        low, high = low + ends[0], high + ends[1]
    return low, high


def _floor(cell: str, layout: Layout) -> float:
    """The least that a comparison of a cell can give."""
    return float(min(layout.floor_P[layout.members(_alone(cell))], default=0.0))


def _bootstrap(
    aggregate: Aggregate,
    layout: Layout,
    value_P: np.ndarray,
    *,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> Interval:
    n_cells, use = len(layout.cells), layout.members(aggregate) & np.isfinite(value_P)
    if not aggregate.pooled and _fewest_prompts(aggregate, layout, use) < 2:
        estimate = mean_of(aggregate, layout, value_P)
        return Interval(estimate, float("nan"), float("nan"), np.unique(layout.cluster_P[use]).size, "undefined")
    columns = np.zeros((int(use.sum()), 2 * n_cells))
    rows = np.arange(len(columns))
    columns[rows, layout.cell_P[use]] = value_P[use]
    columns[rows, n_cells + layout.cell_P[use]] = 1.0
    if aggregate.pooled:
        columns = np.stack([columns[:, :n_cells].sum(axis=1), columns[:, n_cells:].sum(axis=1)], axis=1)
    totals = cluster_totals(columns, layout.cluster_P[use])
    statistic = (lambda t: t[..., 0] / t[..., 1]) if aggregate.pooled else weighted_statistic(aggregate, layout)
    return cluster_bootstrap(totals, statistic, rng=rng, resamples=resamples, level=level)


def _fewest_prompts(aggregate: Aggregate, layout: Layout, use: np.ndarray) -> int:
    """Prompts of the weighed cell that has fewest: one prompt says nothing about the other prompts of its cell."""
    used = np.unique(np.stack([layout.cell_P[use], layout.cluster_P[use]]), axis=1)[0]
    count_C = np.bincount(used, minlength=len(layout.cells))
    return min((int(count_C[c]) for c, cell in enumerate(layout.cells) if cell in aggregate.weights), default=0)


def _alone(cell: str) -> Aggregate:
    return Aggregate(name=cell, level="cell", weights={cell: 1.0}, pooled=True)


def number_of(
    aggregate: Aggregate,
    layout: Layout,
    outcomes: Outcomes,
    blind: dict[str, Outcomes],
    *,
    rng: np.random.Generator,
    resamples: int,
) -> Number:
    """The aggregate with everything that belongs beside it."""
    member, scored = layout.members(aggregate), outcomes.is_scored
    use = member & scored
    lost_P = np.where(scored, outcomes.value_P, layout.floor_P)
    won_P = np.where(scored, outcomes.value_P, 1.0)
    return Number(
        aggregate=aggregate,
        interval=interval_of(aggregate, layout, outcomes.value_P, rng=rng, resamples=resamples),
        n=int(use.sum()),
        n_clusters=np.unique(layout.cluster_P[use]).size,
        n_ties=int(np.sum(outcomes.lost_P[use] != outcomes.won_P[use])),
        n_missing=int(np.sum(member & ~scored)),
        ties_lost=mean_of(aggregate, layout, outcomes.lost_P),
        ties_won=mean_of(aggregate, layout, outcomes.won_P),
        worst=mean_of(aggregate, layout, lost_P),
        best=mean_of(aggregate, layout, won_P),
        blind={
            rule: mean_of(aggregate, layout, np.where(scored, blind[rule].value_P, np.nan)) if rule in blind else np.nan
            for rule in BLIND_RULES
        },
    )
