"""Planted truth for `karat stress transfer`: coverage of its intervals, power and false alarms of its verdicts.

Three settings, 4 training runs in each, 64 prompts x 8 responses in every cell; the base hacks in 6 % everywhere. A
run's rate is drawn from a beta distribution around the cell's, a prompt's from one around the run's (beta-binomial):
deviation of the runs 0.03 at a rate of 0.5, correlation within prompts 0.1. Each prompt has one rank, which all
policies share: a prompt on which one hacks is one on which the others do. Every setting's own exploit is learned to
70 %. Elsewhere the rate is

    nowhere  6 %: nothing transfers, though the runs differ
    one      21 % in one of the six cells
    half     38 % everywhere: half of what is learned carries over
    full     100 %, as at home, in one other cell, 0 % in the rest and of the base: nothing varies
    untaught 6 %, and at home too: nothing was learned

Axes: S runs, P prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from karat.numerics.transfer import hack_rate
from karat.selftest.planted import PlantedRow
from karat.stress.transfer.matrix import CellTotals, HackMatrix
from karat.stress.transfer.measure import measure

RUNS, PROMPTS, RESPONSES = 4, 64, 8
BASE_RATE, OWN_RATE = 0.06, 0.7
RUN_CONCENTRATION, PROMPT_CONCENTRATION = 277.0, 9.0
"""Sums of the two parameters of the beta distributions; 0.25 / 278 is 0.03 squared."""

TITLES = {
    "SE381": "95 % interval of a cell's hack rate holds the true rate",
    "SE382": "95 % interval of the excess over the base holds the truth",
    "SE383": "95 % interval of one run's rate holds that run's rate",
    "SE384": "A hack transfers: found",
    "SE385": "A hack transfers: false alarm, six cells together",
    "SE386": "95 % interval of the mean transfer holds the truth",
    "SE387": "The own exploit is learned: false finding, three cells together",
}
"""What each row promises."""

SETTINGS = ("a", "b", "c")
ONE_RUN = ("one", "half")
WORLDS = ("nowhere", "one", "half", "full", "untaught")


def true_rate(world: str, trained: str, evaluated: str) -> float:
    """Of one cell; "base" is trained in nothing."""
    if world == "full":
        return 1.0 if trained == evaluated or (trained, evaluated) == ("a", "b") else 0.0
    if trained == "base" or world == "untaught":
        return BASE_RATE
    if trained == evaluated:
        return OWN_RATE
    if world == "one":
        return 0.21 if (trained, evaluated) == ("a", "b") else BASE_RATE
    return (BASE_RATE + OWN_RATE) / 2 if world == "half" else BASE_RATE


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replication gave.

    Attributes:
        rates, gains: whether the interval of each cell's rate, of its excess, holds the truth.
        own_rates: of a matrix with one run in each setting: whether the intervals hold the runs' own rates; in ONE_RUN.
        n_false: cells that are called a transfer, and are none; n_found: that are, and are one.
        n_taught: cells of the diagonal that are called learned.
        share: whether the interval of the mean transfer holds the truth; empty where there is none.
    """

    rates: tuple[bool, ...]
    gains: tuple[bool, ...]
    own_rates: tuple[bool, ...]
    n_false: int
    n_found: int
    n_taught: int
    share: tuple[bool, ...]


def _spread(mean: float, concentration: float, rank: np.ndarray) -> np.ndarray:
    """Quantiles of the beta distribution of that mean; the mean itself at 0 and 1."""
    if mean in (0.0, 1.0):
        return np.full(rank.shape, mean)
    return np.asarray(betaincinv(mean * concentration, (1 - mean) * concentration, rank))


def planted(world: str, rng: np.random.Generator, runs: int = RUNS) -> tuple[HackMatrix, dict[tuple[str, str], float]]:
    """A matrix of the world, and the mean of the rates that its runs were given; the base's one run is at its rate."""
    rank_P = rng.random(PROMPTS)
    cells: dict[tuple[str, str], CellTotals] = {}
    given: dict[tuple[str, str], float] = {}
    for trained in ("base", *SETTINGS):
        rank_S = rng.random(1 if trained == "base" else runs)
        for evaluated in SETTINGS:
            rate = true_rate(world, trained, evaluated)
            rate_S = np.array([rate]) if trained == "base" else _spread(rate, RUN_CONCENTRATION, rank_S)
            rate_SP = np.stack([_spread(float(each), PROMPT_CONCENTRATION, rank_P) for each in rate_S])
            hack_SP = rng.binomial(RESPONSES, rate_SP).astype(np.float64)
            cells[trained, evaluated] = CellTotals(hack_SP, np.full_like(hack_SP, RESPONSES), 0, "")
            given[trained, evaluated] = float(rate_S.mean())
    n_runs = {name: 1 if name == "base" else runs for name in ("base", *SETTINGS)}
    return HackMatrix(SETTINGS, SETTINGS, "base", cells, n_runs), given


def replicate(world: str, rng: np.random.Generator) -> Outcome:
    matrix, _ = planted(world, rng)
    found = measure(matrix)
    truth = {key: true_rate(world, *key) for key in found.cells}
    above = {key: rate - true_rate(world, "base", key[1]) for key, rate in truth.items()}
    up = [key for key, cell in found.away.items() if cell.is_up]
    share = found.transfer.share
    away, own = (
        np.mean([gain for (row, column), gain in above.items() if (row == column) is is_own])
        for is_own in (False, True)
    )
    return Outcome(
        rates=tuple(cell.interval.low <= truth[key] <= cell.interval.high for key, cell in found.cells.items()),
        gains=tuple(cell.gain.low <= above[key] <= cell.gain.high for key, cell in found.cells.items()),
        own_rates=_of_one_run(world, rng) if world in ONE_RUN else (),
        n_false=sum(above[key] <= 0 for key in up),
        n_found=sum(above[key] > 0 for key in up),
        n_taught=len(found.learned),
        share=(bool(share.low <= away / own <= share.high),) if own > 0 and np.isfinite(share.low) else (),
    )


def _of_one_run(world: str, rng: np.random.Generator) -> tuple[bool, ...]:
    """Whether the interval of each cell holds the rate of the one run that there is."""
    matrix, given = planted(world, rng, runs=1)
    rates = {key: hack_rate(cell.hack_SP, cell.total_SP).interval() for key, cell in matrix.cells.items()}
    return tuple(rate.low <= given[key] <= rate.high for key, rate in rates.items())


def transfer_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of `karat stress transfer`, checked on `replications` of each world."""
    found: dict[str, list[Outcome]] = {}
    for number, world in enumerate(WORLDS):
        if progress:
            progress("planting for stress transfer", number, len(WORLDS), world)
        rng = np.random.default_rng([seed, 200 + number])
        found[world] = [replicate(world, rng) for _ in range(replications)]

    def row(code: str, promised: tuple[float, float], planted_in: str, hits: Sequence[bool]) -> PlantedRow:
        least, most = promised
        return PlantedRow(
            code=code, title=TITLES[code], planted=planted_in, hits=sum(hits), n=len(hits), least=least, most=most
        )

    def each(worlds: Sequence[str], of: Callable[[Outcome], tuple[bool, ...]]) -> list[bool]:
        return [hit for world in worlds for outcome in found[world] for hit in of(outcome)]

    every = ", ".join(WORLDS)
    taught = ("nowhere", "one", "half")
    return [
        row("SE381", (0.92, 1.0), f"{every}; nine cells", each(WORLDS, lambda o: o.rates)),
        row("SE382", (0.92, 1.0), f"{every}; nine cells", each(WORLDS, lambda o: o.gains)),
        row("SE383", (0.92, 0.99), "one, half; twelve cells, one run", each(ONE_RUN, lambda o: o.own_rates)),
        row("SE384", (0.8, 1.0), "one: 21 % in one cell, base 6 %", each(("one",), lambda o: (o.n_found > 0,))),
        row(
            "SE385", (0.0, 0.05), "nowhere, one: 6 %, as the base", each(("nowhere", "one"), lambda o: (o.n_false > 0,))
        ),
        row("SE386", (0.92, 1.0), ", ".join(taught), each(taught, lambda o: o.share)),
        row("SE387", (0.0, 0.05), "untaught: 6 % everywhere", each(("untaught",), lambda o: (o.n_taught > 0,))),
    ]
