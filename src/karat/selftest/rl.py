"""Planted truth for `karat stress rl`: power and false alarms of its verdicts on the gold, and of stopping at a fall.

Gold over 21 checkpoints of one run on the same 32 held-out prompts, 16 responses to each at every checkpoint, deviation
1 within prompts. Each prompt has its own level (deviation 1) and its own slope (0.5 over the run), which the
checkpoints share. The true mean

    falls    rises by 0.6 to the eighth checkpoint and then falls to -0.6
    slips    rises by 0.6 to the eighth checkpoint and then falls by 0.3
    levels   rises by 0.6 to the eighth checkpoint and stays there
    rises    by 0.6 in a straight line
    flat     stays where it is

Axes: P prompts, K checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from karat.numerics.goodhart import cross_fitted_difference
from karat.selftest.planted import PlantedRow
from karat.stress.rl.stopping import has_fallen_twice

PROMPTS, RESPONSES, CHECKPOINTS, PEAK = 32, 16, 21, 7

TITLES = {
    "SE391": "The gold falls under RL: found",
    "SE392": "The gold falls under RL: false alarm",
    "SE393": "RL gains gold: found",
    "SE394": "RL gains gold: false finding",
    "SE395": "--stop observed stops a run whose gold falls, after its peak",
    "SE396": "--stop observed stops a run whose gold does not fall",
}
"""What each row promises."""

_STEPS = np.arange(CHECKPOINTS)
TRUE_GOLD: dict[str, np.ndarray] = {
    "falls": np.interp(_STEPS, [0, PEAK, CHECKPOINTS - 1], [0, 0.6, -0.6]),
    "slips": np.interp(_STEPS, [0, PEAK, CHECKPOINTS - 1], [0, 0.6, 0.3]),
    "levels": 0.6 * np.minimum(_STEPS / PEAK, 1.0),
    "rises": 0.6 * _STEPS / (CHECKPOINTS - 1),
    "flat": np.zeros(CHECKPOINTS),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replication gave: verdicts at its end, and the checkpoint at which it would have been stopped, or -1."""

    says_fall: bool
    says_gain: bool
    stopped_at: int


def planted(true_K: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mean gold of each prompt at each checkpoint."""
    along_K = np.linspace(0, 1, true_K.size)
    own_PK = rng.standard_normal((PROMPTS, 1)) + 0.5 * rng.standard_normal((PROMPTS, 1)) * along_K
    return np.asarray(true_K + own_PK + rng.standard_normal((PROMPTS, true_K.size)) / np.sqrt(RESPONSES))


def replicate(world: str, rng: np.random.Generator) -> Outcome:
    gold_PK = planted(TRUE_GOLD[world], rng)
    last = CHECKPOINTS - 1
    return Outcome(
        says_fall=cross_fitted_difference(gold_PK, last, slice(0, last)).low > 0,
        says_gain=cross_fitted_difference(gold_PK, 0, slice(1, None)).low > 0,
        stopped_at=next((k for k in range(CHECKPOINTS) if has_fallen_twice(gold_PK[:, : k + 1])), -1),
    )


def rl_rows(replications: int, seed: int, progress: Callable[..., None] | None = None) -> list[PlantedRow]:
    """All promises of `karat stress rl`, checked on `replications` of each world."""
    found: dict[str, list[Outcome]] = {}
    for number, world in enumerate(TRUE_GOLD):
        if progress:
            progress("planting for stress rl", number, len(TRUE_GOLD), world)
        rng = np.random.default_rng([seed, 300 + number])
        found[world] = [replicate(world, rng) for _ in range(replications)]

    def row(
        code: str, promised: tuple[float, float], worlds: Sequence[str], told: str, of: Callable[[Outcome], bool]
    ) -> PlantedRow:
        outcomes = [outcome for world in worlds for outcome in found[world]]
        return PlantedRow(
            code=code, title=TITLES[code], planted=f"{', '.join(worlds)}: {told}", hits=sum(map(of, outcomes)),
            n=len(outcomes), least=promised[0], most=promised[1],
        )  # fmt: skip

    sound = ("levels", "rises", "flat")
    return [
        row("SE391", (0.8, 1.0), ("falls", "slips"), "1.2 and 0.3 SD lost after the peak", lambda o: o.says_fall),
        row("SE392", (0.0, 0.05), sound, "nothing is lost", lambda o: o.says_fall),
        row("SE393", (0.8, 1.0), ("falls", "slips", "levels", "rises"), "0.6 SD at best", lambda o: o.says_gain),
        row("SE394", (0.0, 0.05), ("flat",), "nothing is gained", lambda o: o.says_gain),
        row("SE395", (0.8, 1.0), ("falls",), "0.09 SD lost a checkpoint", lambda o: o.stopped_at > PEAK),
        row("SE396", (0.0, 0.05), sound, "20 looks", lambda o: o.stopped_at >= 0),
    ]
