"""The loss that trains a process reward, in torch.

All likelihoods of `karat.numerics.process_likelihood`, which is the reference and held equal by the tests, are weighted
sums of one cross-entropy over steps; they differ in the targets and the weights of the steps (`units`).

Axes: R read positions (steps), H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from karat.errors import InputError


@dataclass(frozen=True, slots=True)
class StepBatch:
    """The steps of one pack, in the order of its read positions.

    Attributes:
        target: probability that the step is right, shape (R,); NaN: not known, and without any gradient.
        weight: weight of each step in the loss of the optimiser step, shape (R,).
    Raises: InputError: shapes that do not fit, or (on the CPU) a value out of range.
    """

    target: Tensor
    weight: Tensor

    def __post_init__(self) -> None:
        if self.target.ndim != 1 or self.target.shape != self.weight.shape:
            raise InputError(
                f"target has the shape {tuple(self.target.shape)}, weight {tuple(self.weight.shape)}; give one of each "
                "a step."
            )
        if self.target.device.type == "cpu":
            known = self.target[~self.target.isnan()]
            if bool(((known < 0) | (known > 1)).any()):
                raise InputError("target: a label is outside [0, 1]; it is the probability that the step is right.")

    def to(self, device: torch.device | str) -> StepBatch:
        """The same batch on another device."""
        return StepBatch(self.target.to(device), self.weight.to(device))


class StepLoss(nn.Module):
    """Weighted cross-entropy of the steps whose target is known; losses of the packs of a step add up to the step's.

    Args:
        combine: how the heads make the logit of a step: (1,) for one head, (1, -1) for two classes, whose softmax is
            the logistic function of the difference.
    """

    combine_H: Tensor

    def __init__(self, combine: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("combine_H", torch.tensor(list(combine), dtype=torch.float32), persistent=False)

    def forward(self, reward_RH: Tensor, batch: StepBatch) -> Tensor:
        """sum over steps of weight * (-l log sigma(z) - (1-l) log sigma(-z)), z the heads combined; a scalar.

        Raises: InputError: other heads, or another number of steps, than the loss and the batch were made for.
        """
        if reward_RH.shape != (len(batch.target), len(self.combine_H)):
            raise InputError(
                f"reward_RH: shape {tuple(reward_RH.shape)}, must be ({len(batch.target)}, {len(self.combine_H)}): one "
                "row a step, one column a head."
            )
        if reward_RH.dtype in (torch.float16, torch.bfloat16):
            reward_RH = reward_RH.float()
        logit_R = reward_RH @ self.combine_H.to(reward_RH)
        is_known_R = ~batch.target.isnan()
        target_R = batch.target.nan_to_num(nan=0.0).to(logit_R.dtype)
        loss_R = -(target_R * F.logsigmoid(logit_R) + (1 - target_R) * F.logsigmoid(-logit_R))
        weight_R = torch.where(is_known_R, batch.weight, torch.zeros_like(batch.weight)).to(logit_R.dtype)
        return (weight_R * loss_R).sum()
