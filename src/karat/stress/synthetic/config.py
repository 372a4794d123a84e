"""Options of `karat stress synthetic`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from karat.errors import InputError
from karat.options import require_least

MemberLabels = Literal["same", "own"]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticConfig:
    """What labels the pairs, how many and how noisy the labels are, and what learns from them."""

    gold: str = field(
        default="",
        metadata={"help": "What labels the pairs and counts as true: a column of POOL, or a REWARD that scores it."},
    )
    sizes: str = field(default="100,400,1600", metadata={"help": "Labelled pairs that a proxy learns from, by comma."})
    noise: str = field(
        default="0,0.25", metadata={"help": "Shares of the labels that are flipped, by comma, each in [0, 0.5)."}
    )
    members: int = field(default=5, metadata={"help": "Proxies of an ensemble; Coste et al. use 5."})
    seeds: int = field(default=10, metadata={"help": "Draws of the labels, each with proxies of its own."})
    member_labels: MemberLabels = field(
        default="same",
        metadata={"help": "same: an ensemble has the labels of the single proxy; own: each member draws as many."},
    )
    model: str = field(
        default="",
        metadata={"help": "Backbone whose hidden states linear heads read; the default model, or the world's own."},
    )
    ridge: float = field(
        default=1.0, metadata={"help": "Weight of |w|^2 / 2 on the summed loss of a head on standardised states."}
    )
    train: bool = field(
        default=False, metadata={"help": "Train whole reward models (karat train) instead of linear heads."}
    )
    epochs: float = field(default=1.0, metadata={"help": "With --train: passes over the labelled pairs."})
    lr: float = field(default=0.0, metadata={"help": "With --train: peak learning rate; 0: that of karat train."})
    freeze_below: int = field(
        default=0, metadata={"help": "With --train: freeze the embedding and the layers below this one."}
    )
    curve_share: float = field(
        default=0.5, metadata={"help": "Share of POOL's prompts that curves are measured on; pairs use the others."}
    )
    max_n: int = field(default=0, metadata={"help": "Largest best-of-n; 0: as far as most of the responses reach."})
    samples: int = field(
        default=512, metadata={"help": "Without POOL: responses that are sampled to each prompt of the curves."}
    )
    resamples: int = field(default=2000, metadata={"help": "Bootstrap draws of seeds and prompts."})
    seed: int = field(default=0, metadata={"help": "Seed of the labels, of the split and of the bootstrap."})

    def __post_init__(self) -> None:
        require_least(
            self, {"members": 2, "seeds": 2, "freeze_below": 0, "max_n": 0, "samples": 8, "resamples": 100, "seed": 0}
        )
        for name in ("ridge", "epochs"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} = {getattr(self, name):g} is out of range: it must be above 0 and finite.")
        if not 0 <= self.lr < math.inf:
            raise InputError(f"lr = {self.lr:g} is out of range: it must be at least 0 and finite.")
        if not 0 < self.curve_share < 1:
            raise InputError(f"curve_share = {self.curve_share:g} is out of range: it must lie between 0 and 1.")
        if self.max_n == 1:
            raise InputError("max_n = 1: best of 1 is no choice at all. Give 2 or more, or 0.")
        if self.member_labels not in ("same", "own"):
            raise InputError(f"member_labels = {self.member_labels!r}: there are same and own.")
        if min(self.size_list) < 2:
            raise InputError(f"sizes = {self.sizes!r}: a proxy learns from 2 pairs or more.")
        for rate in self.noise_list:
            if not 0 <= rate < 0.5:
                raise InputError(
                    f"noise = {rate:g} is out of range: it must lie in [0, 0.5); at 0.5 the labels say nothing."
                )

    @property
    def size_list(self) -> tuple[int, ...]:
        """Numbers of pairs, ascending."""
        return _numbers("sizes", self.sizes, int)

    @property
    def noise_list(self) -> tuple[float, ...]:
        """Flip rates, ascending."""
        return _numbers("noise", self.noise, float)


def _numbers(name: str, text: str, kind: Callable[[str], Number]) -> tuple[Number, ...]:
    try:
        found = [kind(part.strip()) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name} = {text!r}: give numbers by comma, such as 100,400.") from None
    if len(set(found)) < len(found):
        raise InputError(f"{name} = {text!r} names a value twice. Give each once.")
    return tuple(sorted(found))
