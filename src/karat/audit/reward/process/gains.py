"""What each hack gains under each aggregate: mean changes with intervals over problems, and verdicts.

A gain is aggregate(hacked steps) - aggregate(the steps it was made of), in probability that a step is right; for a sum
1 is the pay of one right step. All hacks and aggregates are one battery of tests.

Axes: N cases, G problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from karat.audit.reward.probe_statistics import mean_effect, p_value, verdict_of, wrong_way
from karat.audit.reward.process.cases import Battery, Case, Place, Scores
from karat.numerics.intervals import UNDEFINED, Interval, clustered_proportion
from karat.numerics.multiplicity import benjamini_hochberg
from karat.numerics.process_aggregation import AGGREGATES
from karat.types import NAN, Verdict

WORST_CASES = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """One hack, on right or on wrong solutions, under one aggregate.

    Attributes:
        interval: of the mean gain.
        above: share of cases that the hack lifts over the problem's honest right solutions (their mean) from below, or
            from as high; all NaN where no case has one.
        p_value, q_value: that the gain is what was expected, up to the band; q over the battery.
        worst: the cases that go furthest the wrong way, with their gains.
    """

    battery: Battery
    aggregate: str
    interval: Interval
    above: Interval
    p_value: float
    n_used: int
    n_missing: int
    worst: tuple[tuple[float, Case], ...]
    q_value: float = NAN
    verdict: Verdict = "not checked"


def measure_gains(
    batteries: Sequence[Battery],
    scores: Scores,
    *,
    band: float,
    rng: np.random.Generator,
    resamples: int,
    aggregates: Sequence[str] = AGGREGATES,
    skips: bool = False,
) -> tuple[Cell, ...]:
    """Every hack under every aggregate, judged together.

    Args:
        scores: of all problems of the plan that the batteries are of.
        band: a gain within it counts as none, in probability.
        skips: the steps without a score are left out of the aggregate; else a solution with one has none.
    """
    if skips:
        scores = [[score[np.isfinite(score)] for score in of_problem] for of_problem in scores]
    value = {how: aggregated(scores, how) for how in aggregates}
    found = [
        _measure(battery, how, value[how], band, rng, resamples) for how in aggregates for battery in batteries
    ]  # fmt: skip
    q_K = benjamini_hochberg([cell.p_value for cell in found])
    return tuple(
        replace(cell, q_value=float(q), verdict=verdict_of(cell.interval, float(q), cell.battery.hack.expected, band))
        if cell.n_used else cell
        for cell, q in zip(found, q_K, strict=True)
    )  # fmt: skip


def aggregated(scores: Scores, how: str) -> list[np.ndarray]:
    """What `numerics.process_aggregation.aggregate` gives, of all at once: by problem, one value a solution; NaN of no
    step."""
    all_sizes = np.array([len(score) for of_problem in scores for score in of_problem], dtype=np.int64)
    flat = np.concatenate([score for of_problem in scores for score in of_problem])
    value = np.full(all_sizes.size, NAN)
    sizes = all_sizes[all_sizes > 0]
    ends = np.cumsum(sizes)
    starts = ends - sizes
    if how == "last":
        value[all_sizes > 0] = flat[ends - 1]
    elif how == "mean":
        value[all_sizes > 0] = np.add.reduceat(flat, starts) / sizes
    else:
        reduce = {"min": np.minimum, "product": np.multiply, "sum": np.add}[how]
        value[all_sizes > 0] = reduce.reduceat(flat, starts)
    return np.split(value, np.cumsum([len(of_problem) for of_problem in scores])[:-1])


def _measure(
    battery: Battery,
    how: str,
    value: Sequence[np.ndarray],
    band: float,
    rng: np.random.Generator,
    resamples: int,
) -> Cell:
    def at(place: Place) -> float:
        return float(value[place.problem][place.solution])

    before_N, after_N = (
        np.array([at(case.before) for case in battery.cases]),
        np.array([at(case.after) for case in battery.cases]),
    )
    is_known = np.isfinite(before_N) & np.isfinite(after_N)
    known = [case for case, good in zip(battery.cases, is_known, strict=True) if good]
    before, after = before_N[is_known], after_N[is_known]
    gain = after - before
    cluster = np.array([case.before.problem for case in known])
    interval, error, freedom = mean_effect(gain, cluster, rng=rng, resamples=resamples)
    expected = battery.hack.expected
    order = np.argsort(-wrong_way(gain, expected), kind="stable")[:WORST_CASES]
    right = np.array([_mean([at(place) for place in case.right]) for case in known])
    return Cell(
        battery=battery,
        aggregate=how,
        interval=interval,
        above=_above(before, after, right, cluster),
        p_value=p_value(interval.estimate, error, freedom, expected, band),
        n_used=len(known),
        n_missing=len(battery.cases) - len(known),
        worst=tuple((float(gain[k]), known[k]) for k in order),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else NAN


def _above(before_N: np.ndarray, after_N: np.ndarray, right_N: np.ndarray, cluster_N: np.ndarray) -> Interval:
    use = np.isfinite(right_N)
    if not use.any():
        return UNDEFINED
    is_lifted = (before_N <= right_N + 1e-9) & (after_N > right_N + 1e-9)
    return clustered_proportion(is_lifted[use].astype(float), cluster_N[use])


# ------------------------------------------------------------------------------------------------ hacks and aggregates
_RANK: dict[Verdict, int] = {"problem": 0, "unclear": 1, "ok": 2, "not checked": 3}


@dataclass(frozen=True, slots=True)
class Closed:
    """Whether an aggregate is closed against a hack: the worse of the two kinds of solutions that it is tried on."""

    name: str
    aggregate: str
    cell: Cell

    @property
    def verdict(self) -> Verdict:
        return self.cell.verdict


def severity(cell: Cell) -> tuple[int, float]:
    """Sorts the worst first: by verdict, then by how far the mean goes the wrong way."""
    wrong = float(wrong_way(np.array([cell.interval.estimate]), cell.battery.hack.expected)[0])
    return _RANK[cell.verdict], -wrong if wrong == wrong else np.inf


def closed_table(cells: Sequence[Cell]) -> dict[str, dict[str, Closed]]:
    """Hack -> aggregate -> the worse of its cells."""
    found: dict[str, dict[str, Closed]] = {}
    for cell in sorted(cells, key=severity):
        by_aggregate = found.setdefault(cell.battery.hack.name, {})
        by_aggregate.setdefault(cell.aggregate, Closed(cell.battery.hack.name, cell.aggregate, cell))
    names = dict.fromkeys(cell.battery.hack.name for cell in cells)
    return {name: {how: found[name][how] for how in AGGREGATES} for name in names}
