"""The losses that train a reward model from preference pairs, in torch.

The formulas are those of `karat.numerics.preference_likelihood` and `karat.numerics.attributes`, which are their
reference in numpy; the tests hold the two equal.

Axes: P pairs, R responses, T twins (a response and its rewording), H reward heads, A attributes (one head each, so
H = A where attributes are trained).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from karat.errors import InputError
from karat.train.config import LossName, TrainConfig
from karat.types import PreferencePair

# Where an estimated flip rate starts: in the middle of the 5 to 20 % that careful preference sets are thought to have.
FLIP_RATE_START = 0.1


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs of one pack, as indices into the responses whose rewards the forward pass gives.

    Values are checked when the batch is built on the CPU; on a device a check would wait for it.

    Attributes:
        chosen: index of the preferred response, int64, shape (P,).
        rejected: index of the other response, int64, shape (P,).
        label: probability that `chosen` is preferred, in [0, 1], shape (P,); 0.5 is a tie.
        strength: strength of the preference, the source's units, shape (P,); NaN where the data gives none. Below 0
            (sources whose scores contradict their labels have that) is refused by the losses that use it, not here.
        weight: weight of each pair in the step's loss, shape (P,); a step whose weights sum to 1 takes a mean.
        head_weight: bootstrap weight of each pair under each head, shape (P, H); ones for a single head and for
            attribute heads, which are not replicas of one another.
        ratings: attribute ratings of the responses in the units of the heads (see `numerics.attributes.RatingScale`),
            shape (R, A), NaN where missing; None where no attributes are trained.
        twins: responses that say the same, as indices, int64, shape (T, 2); None without any.
        twin_weight: weight of each two in the step's loss times its bootstrap weight under each head, shape (T, H).

    Raises: InputError: shapes that do not fit, or (on the CPU) a value out of range.
    """

    chosen: Tensor
    rejected: Tensor
    label: Tensor
    strength: Tensor
    weight: Tensor
    head_weight: Tensor
    ratings: Tensor | None = None
    twins: Tensor | None = None
    twin_weight: Tensor | None = None

    def __post_init__(self) -> None:
        n_pairs = len(self.chosen)
        for name in ("chosen", "rejected", "label", "strength", "weight"):
            shape = tuple(getattr(self, name).shape)
            if shape != (n_pairs,):
                raise InputError(f"{name}: shape {shape}, but chosen has {n_pairs} pairs. Give one value a pair.")
        if self.head_weight.ndim != 2 or len(self.head_weight) != n_pairs:
            raise InputError(
                f"head_weight: shape {tuple(self.head_weight.shape)}, must be ({n_pairs}, heads). "
                "Give ones where the heads are not bootstrapped."
            )
        if self.chosen.device.type == "cpu":
            _require("chosen", self.chosen, self.chosen >= 0, "an index of a response, 0 or more")
            _require("rejected", self.rejected, self.rejected >= 0, "an index of a response, 0 or more")
            _require("label", self.label, (self.label >= 0) & (self.label <= 1), "a probability in [0, 1]")
            _require("weight", self.weight, (self.weight >= 0) & self.weight.isfinite(), "finite, 0 or more")
            _require("strength", self.strength, ~self.strength.isinf(), "finite (NaN: not given)")

    def __len__(self) -> int:
        return len(self.chosen)

    def to(self, device: torch.device | str) -> PairBatch:
        """The same batch on another device."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)


class PairLoss(nn.Module):
    """Loss of preference pairs, summed with the pairs' weights and averaged over heads.

    With d = r(chosen) - r(rejected), label l, strength m and log sigma the log of the logistic function, a pair costs

        bt        -l log sigma(d) - (1-l) log sigma(-d)                           Bradley & Terry 1952
        margin    -l log sigma(d-m) - (1-l) log sigma(-d-m)                       Llama 2, 2307.09288, eq. 2
        strength  m times bt ("scaled Bradley-Terry")                             HelpSteer2-Preference, 2410.01257
        robust    -l log q(d) - (1-l) log q(-d),  q = (1-2e) sigma + e            forward correction, 1609.03683

    plus center * (r(chosen) + r(rejected))^2 (2312.09244; the numbers are arXiv's), plus, for responses that have a
    rewording, consistency * (r(y) - r(y reworded))^2 (2503.11751). A missing strength (NaN) is a margin of 0 or a
    weight of 1, that is plain bt; `count_missing_strength` counts them before training.

    Where attributes are trained the heads are the attributes: d is taken of the reward sum_a w_a r_a, and each pair
    adds, for each of its two responses, 1/(2A) times the squared errors of the heads against the ratings present.

    Args:
        loss: one of the four above.
        flip_rate: e in [0, 0.5) for robust; -1 makes it a trainable parameter, e = sigma(flip_logit) / 2.
        center: weight of the centering penalty, >= 0; consistency: of the difference between twins, >= 0.
        attribute_weight_A: w, shape (A,); empty where no attributes are trained.
    """

    attribute_weight_A: Tensor

    def __init__(
        self,
        loss: LossName,
        *,
        flip_rate: float = -1.0,
        center: float = 0.0,
        consistency: float = 0.0,
        attribute_weight_A: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.loss = loss
        self.center = center
        self.consistency = consistency
        self.fixed_flip_rate = flip_rate
        self.flip_logit: nn.Parameter | None = None
        if loss == "robust" and flip_rate < 0:
            start = math.log(2 * FLIP_RATE_START / (1 - 2 * FLIP_RATE_START))
            self.flip_logit = nn.Parameter(torch.tensor(start))
        weight_A = torch.tensor(list(attribute_weight_A), dtype=torch.float64)
        self.register_buffer("attribute_weight_A", weight_A, persistent=False)

    @property
    def flip_rate(self) -> float:
        """The rate of flipped labels now in use; NaN for a loss without one."""
        if self.loss != "robust":
            return math.nan
        if self.flip_logit is None:
            return self.fixed_flip_rate
        return float(torch.sigmoid(self.flip_logit.detach()) / 2)

    def forward(self, reward_RH: Tensor, batch: PairBatch) -> Tensor:
        """Sum over pairs of weight * loss, averaged over heads; losses of the packs of a step add up to the step's.

        Args:
            reward_RH: rewards of the responses, shape (R, H). Half precision is widened to float32 first: bfloat16
                has 8 bits, too few for the difference of two rewards.
            batch: the pairs.
        Returns: a scalar tensor.
        Raises: InputError: the heads of rewards, weights, ratings and attributes do not agree.
        """
        self._check_heads(reward_RH, batch)
        if reward_RH.dtype in (torch.float16, torch.bfloat16):
            reward_RH = reward_RH.float()
        kind = reward_RH.dtype
        weight_P = batch.weight.to(kind)
        weight_PH = weight_P[:, None] * batch.head_weight.to(kind)
        score_RH = reward_RH
        if len(self.attribute_weight_A):
            score_RH = reward_RH @ self.attribute_weight_A.to(kind)[:, None]
            weight_PH = weight_P[:, None]
        chosen_PH, rejected_PH = score_RH[batch.chosen], score_RH[batch.rejected]
        loss_PH = self._preference_loss(chosen_PH - rejected_PH, batch)
        if self.center:
            loss_PH = loss_PH + self.center * (chosen_PH + rejected_PH).square()
        total = (weight_PH * loss_PH).mean(dim=1).sum()
        if self.consistency and batch.twins is not None and batch.twin_weight is not None:
            apart_TH = (score_RH[batch.twins[:, 0]] - score_RH[batch.twins[:, 1]]).square()
            weight_TH = batch.twin_weight.to(kind)
            if len(self.attribute_weight_A):
                weight_TH = weight_TH[:, :1]  # one score, of all heads
            total = total + self.consistency * (weight_TH * apart_TH).mean(dim=1).sum()
        if batch.ratings is not None:
            total = total + (weight_P * _rating_loss(reward_RH, batch)).sum()
        return total

    def _preference_loss(self, margin_PH: Tensor, batch: PairBatch) -> Tensor:
        if self.loss in ("margin", "strength") and batch.strength.device.type == "cpu":
            _require("strength", batch.strength, ~(batch.strength < 0), "0 or more (NaN: not given)")
        label_P1 = batch.label.to(margin_PH.dtype)[:, None]
        strength_P1 = batch.strength.to(margin_PH.dtype)[:, None]
        won_PH, lost_PH = margin_PH, -margin_PH
        if self.loss == "margin":
            target_P1 = strength_P1.nan_to_num(nan=0.0)
            won_PH, lost_PH = margin_PH - target_P1, -margin_PH - target_P1
        log_won_PH, log_lost_PH = F.logsigmoid(won_PH), F.logsigmoid(lost_PH)
        if self.loss == "robust":
            log_won_PH, log_lost_PH = self._mix_flips(log_won_PH, log_lost_PH)
        loss_PH = -(label_P1 * log_won_PH + (1 - label_P1) * log_lost_PH)
        return loss_PH * strength_P1.nan_to_num(nan=1.0) if self.loss == "strength" else loss_PH

    def _mix_flips(self, log_won_PH: Tensor, log_lost_PH: Tensor) -> tuple[Tensor, Tensor]:
        """log of (1-e) sigma(d) + e sigma(-d), and of the same with d turned round; no probability is formed."""
        if self.flip_logit is None:
            log_kept = log_won_PH.new_tensor(math.log1p(-self.fixed_flip_rate))
            log_flip = log_won_PH.new_tensor(math.log(self.fixed_flip_rate) if self.fixed_flip_rate else -math.inf)
        else:
            rate = torch.sigmoid(self.flip_logit).to(log_won_PH.dtype) / 2
            log_kept, log_flip = torch.log1p(-rate), torch.log(rate)
        return (
            torch.logaddexp(log_kept + log_won_PH, log_flip + log_lost_PH),
            torch.logaddexp(log_kept + log_lost_PH, log_flip + log_won_PH),
        )

    def _check_heads(self, reward_RH: Tensor, batch: PairBatch) -> None:
        n_attributes = len(self.attribute_weight_A)
        if reward_RH.ndim != 2:
            raise InputError(f"reward_RH: shape {tuple(reward_RH.shape)}, must be (responses, heads).")
        n_responses, n_heads = reward_RH.shape
        if batch.head_weight.shape[1] != n_heads:
            raise InputError(
                f"head_weight: {batch.head_weight.shape[1]} heads, but the rewards have {n_heads}. Give one each."
            )
        if n_attributes and n_heads != n_attributes:
            raise InputError(f"reward_RH: {n_heads} heads for {n_attributes} attributes. Give one head an attribute.")
        if batch.ratings is not None and tuple(batch.ratings.shape) != (n_responses, n_attributes):
            raise InputError(
                f"ratings: shape {tuple(batch.ratings.shape)}, must be ({n_responses}, {n_attributes}): "
                "one row a response, one column an attribute named to make_loss."
            )


def make_loss(
    config: TrainConfig, attribute_names: Sequence[str] = (), attribute_weights: Sequence[float] = ()
) -> PairLoss:
    """The loss that a training configuration asks for.

    Args:
        config: `loss`, `flip_rate`, `center` and `consistency` are read.
        attribute_names: the attributes, in the order of the heads; empty where none are trained.
        attribute_weights: weight of each attribute in the reward; reward units per unit of the head.
    Raises: InputError: names and weights do not agree, a weight is not finite, or all are 0.
    """
    if len(attribute_names) != len(attribute_weights):
        raise InputError(
            f"attributes: {len(attribute_names)} names and {len(attribute_weights)} weights. Give one weight a name."
        )
    for name, weight in zip(attribute_names, attribute_weights, strict=True):
        if not math.isfinite(weight):
            raise InputError(f"attributes: the weight of {name!r} is {weight}. Give a finite number.")
    if attribute_names and not any(attribute_weights):
        raise InputError("attributes: every weight is 0, so that every reward would be 0. Give one a weight.")
    return PairLoss(
        config.loss, flip_rate=config.flip_rate, center=config.center, consistency=config.consistency,
        attribute_weight_A=attribute_weights,
    )  # fmt: skip


def count_missing_strength(pairs: Sequence[PreferencePair]) -> int:
    """How many pairs lack the strength that --loss margin and --loss strength need; to be asked before training.

    Only the whole data can be judged: one pack of a healthy set may well hold no strength.

    Returns: the number of pairs that train with a margin of 0 (margin) or a weight of 1 (strength).
    Raises: InputError: a strength is negative or infinite; or every strength is missing.
    """
    strength_P = np.array([pair.strength for pair in pairs], dtype=np.float64)
    bad = np.flatnonzero((strength_P < 0) | np.isinf(strength_P))
    if bad.size:
        raise InputError(
            f"strength: {bad.size} of {strength_P.size} are negative or infinite (first: pair {bad[0]}, row "
            f"{pairs[bad[0]].row}, {strength_P[bad[0]]}). Give the size of the preference, or use --loss bt."
        )
    n_missing = int(np.isnan(strength_P).sum())
    if n_missing == strength_P.size:
        raise InputError(
            f"none of the {strength_P.size} pairs has a strength (a `margin` column or the like), which --loss margin "
            "and --loss strength need. Add it to the data, or use --loss bt."
        )
    return n_missing


def _rating_loss(reward_RH: Tensor, batch: PairBatch) -> Tensor:
    """Per pair: squared errors of the ratings present, over both responses and all attributes, times 1/(2A)."""
    assert batch.ratings is not None
    rating_RA = batch.ratings.to(reward_RH.dtype)
    # The target of a missing rating is the prediction itself: an error of exactly 0 that sends back no gradient.
    target_RA = torch.where(rating_RA.isnan(), reward_RH.detach(), rating_RA)
    error_R = (reward_RH - target_RA).square().mean(dim=1)
    return (error_R[batch.chosen] + error_R[batch.rejected]) / 2


def _require(name: str, value_P: Tensor, is_good_P: Tensor, wanted: str) -> None:
    if not bool(is_good_P.all()):
        bad = int((~is_good_P).nonzero()[0])
        raise InputError(f"{name}: pair {bad} has {value_P[bad].item()}; it must be {wanted}.")
