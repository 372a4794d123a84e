"""What the trainer makes of the rewards at the ends of steps: the loss, and exact counts for its log.

Axes: R read positions (steps).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from karat.train.process.losses import StepBatch, StepLoss
from karat.train.process.units import StepUnit, step_batch


class ProcessObjective:
    """Steps with targets: the loss of `losses.StepLoss`, how many steps are judged right, and of the wrong ones.

    Args:
        loss: of steps.
    """

    def __init__(self, loss: StepLoss) -> None:
        self.loss = loss

    def batch(self, units: Sequence[StepUnit], n_units: int) -> StepBatch:
        return step_batch(units, n_units)

    def counts(self, reward_R: Tensor, units: Sequence[StepUnit]) -> dict[str, float]:
        """Labelled steps; those whose label is not 0.5, the right judgements of them (a logit of 0 a half); the wrong
        steps among them and how many were found (a logit below 0)."""
        target_R = torch.from_numpy(np.concatenate([unit.target_R for unit in units])).to(reward_R.device)
        is_decided_R = ~target_R.isnan() & (target_R != 0.5)
        side = torch.where(target_R[is_decided_R] > 0.5, 1.0, -1.0) * reward_R[is_decided_R]
        is_wrong = target_R[is_decided_R] < 0.5
        return {
            "steps": float((~target_R.isnan()).sum()),
            "decided": float(is_decided_R.sum()),
            "right": float((side > 0).sum()) + 0.5 * float((side == 0).sum()),
            "wrong": float(is_wrong.sum()),
            "found": float((side[is_wrong] > 0).sum()),
        }

    def summary(self, sums: dict[str, float]) -> dict[str, float]:
        return {
            "accuracy": sums["right"] / sums["decided"] if sums["decided"] else math.nan,
            "wrong_found": sums["found"] / sums["wrong"] if sums["wrong"] else math.nan,
            "labelled_steps": sums["steps"],
        }
