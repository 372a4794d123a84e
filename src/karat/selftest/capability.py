"""Planted truth for `karat stress capability`: coverage of slopes, false alarms and power of its verdicts.

Six points (or four) of one axis over the same 100 prompts, 4 responses to a prompt at each point. Scores have
deviation 1 within prompts; each prompt has its own level (deviation 1) and its own slope (0.5 over the axis), which
all points share, so that the points' errors are correlated. The proxy rises by 1 over the axis. The gold

    falls    by 0.3 in a straight line
    flat     not at all
    breaks   rises by 0.5 but for a fall of 0.5 between the fourth and the fifth point
    levels   rises by 0.5 to the fourth point and stays there
    agrees   rises by 1

Axes: P prompts, K points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from karat.numerics.best_of_n import prompt_draws
from karat.numerics.capability import PointTotals, find_change, slope, slope_weight
from karat.numerics.hackability import hackability
from karat.selftest.planted import PlantedRow

PROMPTS, RESPONSES, RESAMPLES, FLIPS = 100, 4, 400, 499
BREAK_AT = 3.5

TITLES = {
    "SE341": "95 % interval of the slope holds the true slope",
    "SE342": "The gold falls while the proxy rises: found",
    "SE343": "The gold falls while the proxy rises: false alarm",
    "SE344": "The gold breaks from its line and falls: found",
    "SE345": "The gold breaks from its line: false alarm, 6 points",
    "SE346": "The gold breaks from its line: false alarm, 4 points",
    "SE347": "Interval of the place holds the true place",
    "SE348": "The gold bends but does not fall: called a fall",
    "SE349": "Interval of the hackability index holds the true index",
    "SE350": "Some pair is surely ordered oppositely: false alarm",
}
"""What each row promises."""

TRUE_GOLD: dict[str, np.ndarray] = {
    "falls": np.linspace(0, -0.3, 6),
    "falls at 4 points": np.linspace(0, -0.3, 4),
    "flat": np.zeros(6),
    "breaks": np.linspace(0, 0.5, 6) - 0.5 * (np.arange(6) > BREAK_AT),
    "levels": 0.5 * np.minimum(np.arange(6) / 3, 1.0),
    "agrees": np.linspace(0, 1, 6),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replication gave."""

    covered: tuple[bool, bool]
    """Whether the intervals hold the slopes of proxy and gold."""
    says_worse: bool
    says_break: bool
    says_fall: bool
    """A break, and the movement from it to the last point lies below 0: the finding's "problem"."""
    has_place: bool
    """Whether the interval of the change holds BREAK_AT."""
    has_index: bool
    """Whether the interval of the hackability index holds the index of the true means."""
    says_opposite: bool


def planted(true_K: np.ndarray, rng: np.random.Generator) -> PointTotals:
    """Means of each prompt at each point."""
    position_K = np.linspace(-0.5, 0.5, true_K.size)
    own_PK = rng.standard_normal((PROMPTS, 1)) + 0.5 * rng.standard_normal((PROMPTS, 1)) * position_K
    noise_PK = rng.standard_normal((PROMPTS, true_K.size)) / np.sqrt(RESPONSES)
    return PointTotals(true_K + own_PK + noise_PK, np.ones((PROMPTS, true_K.size)))


def true_index(proxy_K: np.ndarray, gold_K: np.ndarray) -> float:
    """Share of pairs that the true means order oppositely."""
    first, second = np.triu_indices(proxy_K.size, 1)
    return float(np.mean((proxy_K[second] - proxy_K[first]) * (gold_K[second] - gold_K[first]) < 0))


def replicate(world: str, rng: np.random.Generator) -> Outcome:
    gold_K = TRUE_GOLD[world]
    position_K, proxy_K = np.arange(gold_K.size, dtype=np.float64), np.linspace(0, 1, gold_K.size)
    proxy, gold = planted(proxy_K, rng), planted(gold_K, rng)
    count_BP = prompt_draws(PROMPTS, RESAMPLES, rng)
    draw_BK = gold.draws(count_BP)
    slopes = slope(proxy, position_K, proxy.draws(count_BP)), slope(gold, position_K, draw_BK)
    truth = [float(slope_weight(position_K) @ true_K) for true_K in (proxy_K, gold_K)]
    change = find_change(gold, position_K, draw_BK, rng=rng, flips=FLIPS)
    assert change is not None
    index = hackability(proxy, gold, count_BP).index
    covers_proxy, covers_gold = (found.low <= true <= found.high for found, true in zip(slopes, truth, strict=True))
    return Outcome(
        covered=(covers_proxy, covers_gold),
        says_worse=slopes[0].low > 0 and slopes[1].high < 0,
        says_break=change.p_value < 0.05,
        says_fall=change.p_value < 0.05 and change.movement.high < 0,
        has_place=change.low <= BREAK_AT <= change.high,
        has_index=index.low <= true_index(proxy_K, gold_K) <= index.high,
        says_opposite=index.low > 0,
    )


def capability_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of `karat stress capability`, checked on `replications` of each world."""
    found: dict[str, list[Outcome]] = {}
    for number, world in enumerate(TRUE_GOLD):
        if progress:
            progress("planting for stress capability", number, len(TRUE_GOLD), world)
        rng = np.random.default_rng([seed, 100 + number])
        found[world] = [replicate(world, rng) for _ in range(replications)]

    def row(
        code: str, least: float, most: float, worlds: tuple[str, ...], told: str, of: Callable[[Outcome], bool]
    ) -> PlantedRow:
        outcomes = [outcome for world in worlds for outcome in found[world]]
        return PlantedRow(
            code=code, title=TITLES[code], planted=told, hits=sum(map(of, outcomes)), n=len(outcomes), least=least,
            most=most,
        )  # fmt: skip

    every = tuple(TRUE_GOLD)
    covered = np.array([outcome.covered for world in every for outcome in found[world]])
    coverage = PlantedRow(
        code="SE341", title=TITLES["SE341"], planted=f"{', '.join(every)}; proxy and gold", hits=int(covered.sum()),
        n=covered.size, least=0.92, most=0.98,
    )  # fmt: skip
    return [
        coverage,
        row("SE342", 0.8, 1.0, ("falls",), "falls: gold 0.3 SD down, proxy 1 up", lambda o: o.says_worse),
        row("SE343", 0.0, 0.05, ("flat",), "flat: gold stays, proxy 1 SD up", lambda o: o.says_worse),
        row(
            "SE344",
            0.8,
            1.0,
            ("breaks",),
            "breaks: 0.5 SD lost in the fourth gap of six points",
            lambda o: o.says_fall,
        ),
        row("SE345", 0.0, 0.05, ("falls", "flat"), "falls, flat: straight lines", lambda o: o.says_break),
        row("SE346", 0.0, 0.05, ("falls at 4 points",), "a straight line of 4 points", lambda o: o.says_break),
        row("SE347", 0.92, 1.0, ("breaks",), "breaks: between the fourth and the fifth point", lambda o: o.has_place),
        row("SE348", 0.0, 0.05, ("levels",), "levels: flat from the fourth of six points on", lambda o: o.says_fall),
        row("SE349", 0.92, 1.0, every, ", ".join(every), lambda o: o.has_index),
        row("SE350", 0.0, 0.05, ("flat", "agrees"), "flat, agrees: no pair is opposite", lambda o: o.says_opposite),
    ]
