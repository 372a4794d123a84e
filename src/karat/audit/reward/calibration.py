"""What a reward pays for length and style, how much of it labels do not back, and the reward without that part.

Axes: P pairs, 2 sides of a pair (chosen first), F features of style, K payments.

The payments are fitted within pairs: a smooth curve over the length (`numerics.length_trend`), then a sum over counted
features of what is left (`numerics.style_trend`). Which part of each the labels do not back comes from a Bradley-Terry
regression of the labels on the margin and the payments (`numerics.unbacked_pay`), where each pair has payments that
were fitted without its prompt. That part is taken away, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from karat.numerics.length_trend import LengthTrend, fit_length_trend
from karat.numerics.mitigation_rules import FittedRule, RuleInputs, excess_pay
from karat.numerics.style_trend import StyleTrend, fit_style_trend
from karat.numerics.unbacked_pay import UnbackedPay, fit_unbacked_pay
from karat.numerics.validation import cluster_codes

Kind = Literal["length", "style"]
KINDS: tuple[Kind, ...] = ("length", "style")
FOLDS = 5
STYLE: tuple[str, ...] = (
    "lines", "list items", "headers", "bold spans", "code fences", "links", "exclamation marks", "question marks",
    "praise at the start", '"as an AI"', "first person words", "apology words", "hedging words", "confidence words",
    "politeness words",
)  # fmt: skip
"""Features of `karat.data.text_features` that are form rather than content; the length has its own curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Scored pairs, chosen first.

    Attributes:
        score_P2: the reward's, all known; length_P2: characters; style_P2F: counts of STYLE.
        label_P: probability that chosen is preferred, in [0.5, 1]; prompt_P: names of the prompts.
    """

    score_P2: np.ndarray
    length_P2: np.ndarray
    style_P2F: np.ndarray
    label_P: np.ndarray
    prompt_P: np.ndarray

    def take(self, index: np.ndarray) -> Sides:
        """Some of the pairs."""
        return Sides(
            score_P2=self.score_P2[index], length_P2=self.length_P2[index], style_P2F=self.style_P2F[index],
            label_P=self.label_P[index], prompt_P=self.prompt_P[index],
        )  # fmt: skip

    def margins(self) -> np.ndarray:
        """Of chosen less rejected, shape (P,)."""
        return np.asarray(self.score_P2[:, 0] - self.score_P2[:, 1])

    @property
    def n_prompts(self) -> int:
        return len(np.unique(self.prompt_P))

    def __len__(self) -> int:
        return len(self.label_P)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Payments, the part of each that labels do not back, and the rule that takes that part away.

    Attributes:
        kinds: what was asked for.
        trend, style: all that the reward pays, over the length, and over the features of what the length leaves.
        length_share, style_share_F: the parts that labels do not back, in [0, 1].
        pay: the regression that they come from; fitted: the rule "calibrated".
    """

    kinds: tuple[Kind, ...]
    trend: LengthTrend
    style: StyleTrend
    length_share: float
    style_share_F: np.ndarray
    pay: UnbackedPay
    fitted: FittedRule

    def takes(self, kind: Kind) -> bool:
        """Whether anything is taken away."""
        return (self.fitted.trend if kind == "length" else self.fitted.style) is not None

    def calibrated(self, sides: Sides) -> Sides:
        """The same pairs with the scores of the calibrated reward."""
        taken_R = excess_pay(self.fitted, rule_inputs(sides))
        return Sides(
            score_P2=sides.score_P2 - taken_R.reshape(-1, 2), length_P2=sides.length_P2, style_P2F=sides.style_P2F,
            label_P=sides.label_P, prompt_P=sides.prompt_P,
        )  # fmt: skip

    def pay_difference(self, sides: Sides, kind: Kind) -> np.ndarray:
        """How much more the chosen side is paid for its length or style, shape (P,): the part that is taken, or all if
        none is."""
        if kind == "length":
            trend = self.fitted.trend or self.trend
            paid_P2 = trend(sides.length_P2.ravel()).reshape(-1, 2)
        else:
            paid_P2 = (self.fitted.style or self.style)(sides.style_P2F.reshape(-1, len(STYLE))).reshape(-1, 2)
        return np.asarray(paid_P2[:, 0] - paid_P2[:, 1])


def rule_inputs(sides: Sides) -> RuleInputs:
    """Both sides of every pair as responses, for the rule."""
    return RuleInputs(
        member_RM=sides.score_P2.reshape(-1, 1), length_R=sides.length_P2.ravel(),
        place_R=np.repeat(np.arange(len(sides)), 2), style_RF=sides.style_P2F.reshape(-1, len(STYLE)),
    )  # fmt: skip


def fit_calibration(sides: Sides, kinds: Sequence[Kind], *, rng: np.random.Generator) -> Calibration:
    """Fit payments and the unbacked parts on pairs.

    Asked for style alone, the length is in the regression all the same, so that style does not answer for it.

    Args:
        rng: draws the folds, by prompt.
    Raises: DataError: the reward's margins do not point towards the labels.
    """
    code_P, n_prompts = cluster_codes(sides.prompt_P, len(sides))
    fold_P = (rng.permutation(n_prompts) % FOLDS)[code_P]
    with_style = "style" in kinds
    payment_PK = np.zeros((len(sides), 1 + (len(STYLE) if with_style else 0)))
    for fold in np.unique(fold_P):
        here = fold_P == fold
        trend, style = _payments(sides.take(np.flatnonzero(~here)), with_style=with_style)
        payment_PK[here] = _differences(sides.take(np.flatnonzero(here)), trend, style if with_style else None)
    group_K = [0] + [1] * (payment_PK.shape[1] - 1)
    pay = fit_unbacked_pay(sides.margins(), sides.label_P, payment_PK, fold_P, group_K=group_K)
    trend, style = _payments(sides, with_style=with_style)
    length_share = float(pay.share_K[0]) if "length" in kinds else 0.0
    style_share_F = pay.share_K[1:] if with_style else np.zeros(len(STYLE))
    taken_K = tuple(length_share * value for value in trend.value_K)
    taken_style = style.scaled(style_share_F, sides.style_P2F.reshape(-1, len(STYLE)))
    return Calibration(
        kinds=tuple(kinds), trend=trend, style=style, length_share=length_share, style_share_F=style_share_F, pay=pay,
        fitted=FittedRule(
            rule="calibrated", centre="pool", centre_M=(0.0,), scale_M=(1.0,),
            trend=LengthTrend(trend.length_K, taken_K) if any(taken_K) else None,
            style=taken_style if any(taken_style.weight_F) else None,
        ),
    )  # fmt: skip


def _payments(sides: Sides, *, with_style: bool) -> tuple[LengthTrend, StyleTrend]:
    """What the reward pays within pairs for the length, and for the style of what that leaves."""
    pair_R, score_R, length_R = np.repeat(np.arange(len(sides)), 2), sides.score_P2.ravel(), sides.length_P2.ravel()
    trend = fit_length_trend(score_R, length_R, pair_R, "lowess")
    if not with_style:
        return trend, StyleTrend(STYLE, (0.0,) * len(STYLE))
    return trend, fit_style_trend(score_R - trend(length_R), sides.style_P2F.reshape(-1, len(STYLE)), pair_R, STYLE)


def _differences(sides: Sides, trend: LengthTrend, style: StyleTrend | None) -> np.ndarray:
    """Payments of chosen less rejected, shape (P, K)."""
    length_P2 = trend(sides.length_P2.ravel()).reshape(-1, 2)
    columns = [(length_P2[:, 0] - length_P2[:, 1])[:, None]]
    if style is not None:
        part_P2F = style.parts(sides.style_P2F.reshape(-1, len(STYLE))).reshape(-1, 2, len(STYLE))
        columns.append(part_P2F[:, 0] - part_P2F[:, 1])
    return np.concatenate(columns, axis=1)
