"""What a detector or an estimator did on worlds whose truth is known, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass

from karat.numerics.intervals import wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedRow:
    """One promise, kept or broken: how often something happened over the replications of a planted world.

    Attributes:
        code: of the row, and of its finding.
        title: what is promised; planted: the world, with its strength.
        hits, n: replications (or intervals) in which it happened, and how many there were.
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
        """Wilson's, 95 %. Replications are independent; several intervals of one replication are not, quite."""
        return wilson(self.hits, self.n)

    @property
    def is_kept(self) -> bool:
        """Whether the share is within the promise, as far as these replications can tell."""
        low, high = self.interval
        return low <= self.most and high >= self.least
