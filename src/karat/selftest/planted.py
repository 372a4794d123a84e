"""What a detector or an estimator did on worlds whose truth is known, and what it promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from karat.numerics.intervals import design_effect, wilson

LEAST_REPLICATIONS = 40
"""Fewer leave Wilson's interval so wide that hardly any promise could be seen broken."""


def costly(replications: int) -> int:
    """Replications of a world that takes long: a quarter of those asked for, and 40 at the least where so many are."""
    return max(min(LEAST_REPLICATIONS, replications), replications // 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedRow:
    """One promise, kept or broken: how often something happened over the replications of a planted world.

    Attributes:
        code: of the row, and of its finding.
        title: what is promised; planted: the world, with its strength.
        hits, n: replications in which it happened, and how many there were; or intervals, see `independent`.
        least, most: the share that is promised.
    """

    code: str
    title: str
    planted: str
    hits: int
    n: int
    least: float
    most: float

    @property
    def share(self) -> float:
        return self.hits / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %, of independent events."""
        return wilson(self.hits, self.n)

    @property
    def is_kept(self) -> bool:
        """Whether the share is within the promise, as far as these replications can tell."""
        low, high = self.interval
        return low <= self.most and high >= self.least


def rows_of(
    happened: Mapping[str, Sequence[bool]],
    titles: Mapping[str, str],
    planted: Mapping[str, str],
    promised: Mapping[str, tuple[float, float]],
) -> list[PlantedRow]:
    """A row for each code, from what happened in each replication; by code the title, the world and the promise."""
    return [
        PlantedRow(
            code=code,
            title=titles[code],
            planted=planted[code],
            hits=sum(happened_R),
            n=len(happened_R),
            least=promised[code][0],
            most=promised[code][1],
        )
        for code, happened_R in happened.items()
    ]


def independent(happened_RN: np.ndarray) -> dict[str, int]:
    """Hits and number of the independent events that N of each replication are worth, which go together.

    The number is divided by the design effect (Kish 1965), and the hits with it, so that Wilson's interval has the
    width that R replications justify.
    """
    n_replications, n_each = happened_RN.shape
    value = happened_RN.astype(float).ravel()
    effect = design_effect(value, np.repeat(np.arange(n_replications), n_each))
    n = round(value.size / max(1.0, effect)) if effect == effect else n_replications  # all alike: it cannot be seen
    return {"hits": round(float(value.mean()) * n), "n": n}
