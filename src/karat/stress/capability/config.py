"""Options of `karat stress capability`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from karat.errors import InputError
from karat.options import require_least

BUDGET = "n"
"""The axis that is no column: best of n of one pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityConfig:
    """Which columns are the proxy, the gold and the axis, and how the axis is read."""

    proxy: str = field(default="", metadata={"help": "Column with the reward that is optimised."})
    gold: str = field(
        default="", metadata={"help": "Column with what counts as true; without it the truth is not checked."}
    )
    axis: str = field(
        default="",
        metadata={"help": "Of one pool: column with each response's value on the axis; n: best of n of the pool."},
    )
    axis_name: str = field(default="", metadata={"help": "What the axis is, with its unit: 'parameters, M'."})
    scale: Literal["auto", "linear", "log"] = field(
        default="auto", metadata={"help": "Slopes per unit or per doubling; auto: doubling from a tenfold range on."}
    )
    at_n: int = field(default=1, metadata={"help": "Compare the points at best of this n by the proxy; 1: as sampled."})
    max_points: int = field(
        default=24, metadata={"help": "More values of the axis are joined with their neighbours to so many points."}
    )
    resamples: int = field(default=2000, metadata={"help": "Bootstrap draws of prompts."})
    seed: int = field(default=0, metadata={"help": "Seed of the bootstrap and of the sign flips."})

    def __post_init__(self) -> None:
        if not self.proxy:
            raise InputError("No proxy is named: give the column of the reward that is optimised (--proxy COLUMN).")
        if self.proxy == self.gold:
            raise InputError(
                f"proxy and gold are both {self.proxy!r}: a reward cannot be its own truth. Name another gold, or none."
            )
        if self.axis and self.axis in (self.proxy, self.gold):
            raise InputError(f"axis: {self.axis!r} is the proxy or the gold. Name the column of the capability.")
        require_least(self, {"at_n": 1, "max_points": 4, "resamples": 100})
        if self.scale not in ("auto", "linear", "log"):
            raise InputError(f"scale = {self.scale!r}: give auto, linear or log.")
        if self.is_budget and self.at_n != 1:
            raise InputError("--at-n with --axis n: there n is the axis itself. Leave --at-n out.")

    @property
    def is_budget(self) -> bool:
        """Whether the axis is the n of best of n."""
        return self.axis == BUDGET

    @property
    def label(self) -> str:
        """What the axis is called."""
        return self.axis_name or ("best of n" if self.is_budget else self.axis) or "axis"
