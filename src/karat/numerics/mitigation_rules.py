"""The rules that make one score of several rewards, by name: fitted once on a pool, then a function of one response.

Axes: R responses, P prompts, M members (the proxy first), K reference responses of a prompt.

What a rule needs besides the members' scores (scales, a trend, a level) is fitted on some prompts and stored in
numbers, so that the score of a response depends on it, its prompt and those numbers alone: never on what it is scored
together with. All scores are in the proxy's standard deviations within prompts, or the members' own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from karat.errors import InputError
from karat.numerics import mitigations as formulas
from karat.numerics.length_trend import LengthTrend, fit_length_trend
from karat.numerics.rule_names import CENTRED, FROM_LABELS, OF_SEVERAL, RULES, Centre, RuleSettings
from karat.numerics.style_trend import StyleTrend


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInputs:
    """What rules see of responses.

    Attributes:
        member_RM: scores, the proxy first; NaN where missing.
        length_R: characters.
        place_R: prompt of each response, 0 .. P-1.
        reference_PMK: members' scores of each prompt's references; None where no rule asks for them.
        similarity_R: mean similarity to the references; None likewise.
        style_RF: counts of the features of the rule's style trend; None where it has none.
    """

    member_RM: np.ndarray
    length_R: np.ndarray
    place_R: np.ndarray
    reference_PMK: np.ndarray | None = None
    similarity_R: np.ndarray | None = None
    style_RF: np.ndarray | None = None

    def take(self, index: np.ndarray) -> RuleInputs:
        """Some of the responses."""
        return RuleInputs(
            member_RM=self.member_RM[index],
            length_R=self.length_R[index],
            place_R=self.place_R[index],
            reference_PMK=self.reference_PMK,
            similarity_R=None if self.similarity_R is None else self.similarity_R[index],
            style_RF=None if self.style_RF is None else self.style_RF[index],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRule:
    """A rule with its numbers: all that scoring needs.

    Attributes:
        rule: its name in RULES or FROM_LABELS.
        centre: "prompt" where the members are less the mean of the prompt's references; else less centre_M.
        centre_M, scale_M: means and standard deviations within prompts of the members that the rule uses.
        temperature: of variance and kl-dro.
        cap: of clip, proxy SDs above the centre; trend: of the length rules and of calibrated; style: of calibrated;
            similarity_weight: proxy SDs for a similarity of 1.
    """

    rule: str
    centre: Centre
    centre_M: tuple[float, ...]
    scale_M: tuple[float, ...]
    temperature: float = 1.0
    cap: float = float("inf")
    trend: LengthTrend | None = None
    similarity_weight: float = 0.0
    style: StyleTrend | None = None

    @property
    def needs_references(self) -> bool:
        """Whether scoring a response needs other responses to its prompt."""
        return self.rule in ("par", "mbr") or (self.rule in CENTRED and self.centre == "prompt")


def members_of(rule: str, n_members: int) -> int:
    """How many of the members, the proxy first, the rule uses.

    Raises: InputError: no such rule, or too few members for it.
    """
    if rule not in RULES and rule not in FROM_LABELS:
        raise InputError(f"no rule {rule!r}; there are: {', '.join(RULES)}.")
    if rule in OF_SEVERAL and n_members < 2:
        raise InputError(f"rule {rule!r} needs two rewards or more: name further columns (--members b,c).")
    return n_members if rule in OF_SEVERAL else 1


def fit_rule(rule: str, inputs: RuleInputs, *, settings: RuleSettings, names: Sequence[str] = ()) -> FittedRule:
    """The numbers of a rule, from responses whose members are all known.

    Args:
        names: of the members, for errors.
    Raises: InputError: no such rule, one that is fitted to labels, too few members, or a member that never varies
        within a prompt.
    """
    if rule in FROM_LABELS:
        raise InputError(f"rule {rule!r} is fitted to preference labels: karat audit reward --fix. Name another rule.")
    used = members_of(rule, inputs.member_RM.shape[1])
    member_RM = inputs.member_RM[:, :used]
    centre_M, scale_M = formulas.member_scales(member_RM, inputs.place_R, names)
    centre: Centre = settings.centre if rule in CENTRED else "pool"
    fitted = FittedRule(
        rule=rule, centre=centre, centre_M=tuple(centre_M.tolist()), scale_M=tuple(scale_M.tolist()),
        temperature=settings.temperature,
    )  # fmt: skip
    if rule in ("length-lowess", "length-isotonic"):
        kind: Literal["lowess", "isotonic"] = "lowess" if rule == "length-lowess" else "isotonic"
        score_R = standardised(fitted, inputs)[:, 0]
        return replace(fitted, trend=fit_length_trend(score_R, inputs.length_R, inputs.place_R, kind))
    if rule == "clip":
        return replace(fitted, cap=float(np.quantile(standardised(fitted, inputs)[:, 0], settings.clip_share)))
    if rule == "mbr":
        assert inputs.similarity_R is not None
        spread = formulas.within_prompt_scale(inputs.similarity_R, inputs.place_R)
        return replace(fitted, similarity_weight=settings.similarity_weight / spread if spread > 0 else 0.0)
    return fitted


def standardised(fitted: FittedRule, inputs: RuleInputs) -> np.ndarray:
    """The members that the rule uses, less their centres, over their scales, (R, M)."""
    used = len(fitted.scale_M)
    centre: np.ndarray = np.array(fitted.centre_M)
    if fitted.centre == "prompt":
        assert inputs.reference_PMK is not None
        centre = inputs.reference_PMK[:, :used].mean(axis=2)[inputs.place_R]
    return np.asarray((inputs.member_RM[:, :used] - centre) / np.array(fitted.scale_M))


def rule_scores(fitted: FittedRule, inputs: RuleInputs) -> np.ndarray:
    """The rule's score of each response, shape (R,); NaN where a member that it uses is missing."""
    member_RM = standardised(fitted, inputs)
    proxy_R = member_RM[:, 0]
    match fitted.rule:
        case "proxy":
            return np.asarray(inputs.member_RM[:, 0])
        case "mean":
            return formulas.mean_of_members(member_RM)
        case "worst":
            return formulas.worst_member(member_RM)
        case "variance":
            return formulas.robust_mean_of_normals(member_RM, fitted.temperature)
        case "kl-dro":
            return formulas.robust_mean(member_RM, fitted.temperature)
        case "length-lowess" | "length-isotonic":
            assert fitted.trend is not None
            return np.asarray(proxy_R - fitted.trend(inputs.length_R))
        case "calibrated":
            return np.asarray(proxy_R - excess_pay(fitted, inputs))
        case "clip":
            return np.asarray(np.minimum(proxy_R, fitted.cap))
        case "mbr":
            assert inputs.similarity_R is not None
            return np.asarray(proxy_R + fitted.similarity_weight * inputs.similarity_R)
    assert inputs.reference_PMK is not None
    reference_RK = inputs.reference_PMK[:, 0][inputs.place_R]
    return formulas.shaped_by_references(inputs.member_RM[:, 0], reference_RK, fitted.scale_M[0])


def excess_pay(fitted: FittedRule, inputs: RuleInputs) -> np.ndarray:
    """What the rule "calibrated" takes from each response's score, shape (R,), in the unit of the scaled proxy."""
    taken_R = np.zeros(len(inputs.length_R))
    if fitted.trend is not None:
        taken_R = taken_R + fitted.trend(inputs.length_R)
    if fitted.style is not None:
        assert inputs.style_RF is not None
        taken_R = taken_R + fitted.style(inputs.style_RF)
    return taken_R
