"""What a trainer makes of rewards: the loss of a step, and counts for its log.

Axes: R read positions, P pairs, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from karat.train.losses import PairBatch, PairLoss
from karat.train.units import Unit, pair_batch

UnitType = TypeVar("UnitType", contravariant=True)


class Objective(Protocol[UnitType]):
    """The loss of units, and what the log says of them."""

    @property
    def loss(self) -> nn.Module:
        """Called as loss(reward_RH, batch) with a batch of `batch`; losses of the packs of a step add up."""
        ...

    def batch(self, units: Sequence[UnitType], n_units: int) -> Any:
        """What the loss needs of some of a step's units, read by read as their trees are packed; has `to(device)`.

        Args:
            units: those of one pack; n_units: of the whole step, each of which weighs the same.
        """
        ...

    def counts(self, reward_R: Tensor, units: Sequence[UnitType]) -> dict[str, float]:
        """Sums over a step's units, which add up over steps; reward_R: combined over heads, at each read."""
        ...

    def summary(self, sums: dict[str, float]) -> dict[str, float]:
        """Entries of the log, of sums of `counts`."""
        ...


class PairObjective:
    """Preference pairs: the loss of `losses.PairLoss`, the share of pairs in the right order, the mean margin.

    Args:
        loss: of pairs.
        head_weight: bootstrap weights by prompt id, (H,) each.
    """

    def __init__(self, loss: PairLoss, head_weight: dict[str, np.ndarray]) -> None:
        self.loss = loss
        self.head_weight = head_weight

    def batch(self, units: Sequence[Unit], n_units: int) -> PairBatch:
        return pair_batch(units, n_units, self.head_weight)

    def counts(self, reward_R: Tensor, units: Sequence[Unit]) -> dict[str, float]:
        """Pairs, those whose label is no tie and the right ones among them (equal rewards a half), margins."""
        offset, margins = 0, []
        for unit in units:
            chosen, rejected = torch.tensor(unit.chosen) + offset, torch.tensor(unit.rejected) + offset
            margins.append(reward_R[chosen] - reward_R[rejected])
            offset += len(unit.tree.branches)
        margin_P = torch.cat(margins)
        is_decided_P = torch.tensor([label > 0.5 for unit in units for label in unit.label], device=margin_P.device)
        decided = margin_P[is_decided_P]
        right = float((decided > 0).sum()) + 0.5 * float((decided == 0).sum())
        return {
            "pairs": float(len(margin_P)),
            "decided": float(len(decided)),
            "right": right,
            "margin": float(margin_P.sum()),
        }

    def summary(self, sums: dict[str, float]) -> dict[str, float]:
        return {
            "accuracy": sums["right"] / sums["decided"] if sums["decided"] else math.nan,
            "margin": sums["margin"] / sums["pairs"],
            "pairs": sums["pairs"],
        }
