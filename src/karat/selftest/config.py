"""Options of `karat selftest`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestConfig:
    """How long to look."""

    full: bool = field(default=False, metadata={"help": "200 replications of each planted world instead of 40."})
    seed: int = field(default=0, metadata={"help": "Seed of the planted worlds."})
