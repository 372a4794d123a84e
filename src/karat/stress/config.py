"""Options of `karat stress`."""

from __future__ import annotations

from dataclasses import dataclass, field

from karat.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class StressConfig:
    """Which columns of the pool are the proxy and the gold, and how far and how finely to look."""

    proxy: str = field(default="", metadata={"help": "Column with the reward that would be optimised."})
    gold: str = field(
        default="", metadata={"help": "Column with what counts as true; without it the truth is not checked."}
    )
    members: str = field(
        default="",
        metadata={"help": "Columns of further rewards, by comma: ensembles of them and the proxy are compared."},
    )
    max_n: int = field(
        default=0, metadata={"help": "Largest best-of-n; 0: as far as most of the pool's responses reach."}
    )
    resamples: int = field(default=2000, metadata={"help": "Bootstrap draws of prompts."})
    seed: int = field(default=0, metadata={"help": "Seed of the bootstrap and of random tie breaking."})

    def __post_init__(self) -> None:
        if not self.proxy:
            raise InputError(
                "No proxy is named: give the column of the reward that would be optimised (--proxy COLUMN)."
            )
        if self.proxy == self.gold:
            raise InputError(
                f"proxy and gold are both {self.proxy!r}: a reward cannot be its own truth. Name another gold, or none."
            )
        for name in self.member_names:
            if name in (self.proxy, self.gold) or self.member_names.count(name) > 1:
                raise InputError(
                    f"members: {name!r} is the proxy, the gold or named twice. Name each other reward once."
                )
        for name, least in (("max_n", 0), ("resamples", 100)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)} is out of range: it must be at least {least}.")
        if self.max_n == 1:
            raise InputError("max_n = 1: best of 1 is no choice at all. Give 2 or more, or 0.")

    @property
    def member_names(self) -> tuple[str, ...]:
        """The columns of `members`."""
        return tuple(name.strip() for name in self.members.split(",") if name.strip())
