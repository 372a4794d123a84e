"""What `karat audit reward` says about what optimisation will inflate first.  Axes: F features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.numerics.feature_pay import LEAST_PROMPTS, RELIABILITY, FeaturePay
from karat.numerics.intervals import UNDEFINED
from karat.types import Finding, Result, Table, Verdict

EXCESS, TOLERATED = 0.1, 0.3
"""Excess correlation: surely above EXCESS is a problem, surely below TOLERATED none."""

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RW501": (
        "Inflates what the labels do not ask for",
        "Tilting a policy by exp(lambda reward) moves each feature at the rate of its covariance with the reward under "
        "that policy: in standard deviations, by their correlation within prompts. What the labels ask for is the same "
        "for what they measure: the feature's correlation with them over theirs with the reward (at least 0.35). "
        "Effect: how far the feature moves beyond that, or, where the labels ask for the other direction, how far it "
        "moves. Shown is the surest; its interval, by prompt, holds for all features together.",
        "problem: a feature's interval lies above 0.1. ok: all end below 0.3. unclear: neither. Features that differ "
        "within fewer than 10 prompts are not judged.",
        "problem: this is what optimisation will change first without being asked to. Balance the feature in the "
        "pairs, or calibrate the reward for it (--fix style), before optimising. unclear: more pairs, or --pool with "
        "samples of the policy.",
    ),
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of each feature, what moves it.

    Attributes:
        growth_F: SDs gained at best of n by the reward; NaN for features that do not vary.
        from_pool: whether the reference is a pool, or both sides of the pairs.
        n_responses, n_prompts: of the reference.
        n_pairs: that say what the labels ask for.
    """

    features: tuple[str, ...]
    pay: tuple[FeaturePay, ...]
    growth_F: np.ndarray
    n: int
    from_pool: bool
    n_responses: int
    n_prompts: int
    n_pairs: int
    n_missing: int

    @property
    def varied(self) -> list[int]:
        """Features with a first order, the largest first."""
        known = [f for f, pay in enumerate(self.pay) if math.isfinite(pay.first_order.estimate)]
        return sorted(known, key=lambda f: -abs(self.pay[f].first_order.estimate))


def prediction_result(found: Prediction, tables: tuple[Table, ...] = ()) -> Result:
    """The finding, the table, values."""
    over = [f for f in found.varied if _is_judged(found.pay[f]) and found.pay[f].unasked.low > EXCESS]
    values: dict[str, Any] = {
        "predict_features": [found.features[f] for f in found.varied],
        "predict_first_order": [found.pay[f].first_order.estimate for f in found.varied],
        "predict_asked": [found.pay[f].asked.estimate for f in found.varied],
        "predict_excess": [found.pay[f].excess.estimate for f in found.varied],
        "predict_overpaid": [found.features[f] for f in over],
        "predict_n": found.n,
    }
    return Result("audit reward", findings=(_finding(found, over),), tables=(_table(found), *tables), values=values)


def _is_judged(pay: FeaturePay) -> bool:
    return pay.n_prompts >= LEAST_PROMPTS and math.isfinite(pay.excess.low)


def _finding(found: Prediction, over: list[int]) -> Finding:
    judged = [f for f in found.varied if _is_judged(found.pay[f])]
    verdict: Verdict = "unclear"
    if not judged:
        verdict = "not checked"
    elif over:
        verdict = "problem"
    elif max(found.pay[f].unasked.high for f in judged) < TOLERATED:
        verdict = "ok"
    surest = max(judged, key=lambda f: found.pay[f].unasked.low) if judged else -1
    pay = found.pay[surest] if judged else FeaturePay(UNDEFINED, UNDEFINED, UNDEFINED, UNDEFINED, 0)
    effect = pay.unasked
    baseline = ""
    if judged:
        baseline = (
            f"{found.features[surest]}: moves by {pay.first_order.estimate:+.2f} SD, {pay.asked.estimate:+.2f} asked "
            f"for; {len(over)} of {len(judged)} features"
        )
    actions = {
        "ok": "",
        "problem": "Balance the feature in the pairs, or calibrate the reward for it (--fix style).",
        "unclear": "More pairs, --predict-responses, or --pool with samples of the policy.",
        "not checked": f"needs features that differ within {LEAST_PROMPTS} prompts",
    }
    return Finding(
        code="RW501", title=EXPLANATIONS["RW501"][0], verdict=verdict, effect=effect.estimate, low=effect.low,
        high=effect.high, unit="SD per SD", n_used=found.n_responses, n_missing=found.n_missing,
        gold="preference labels", baseline=baseline, witnesses=tuple(found.features[f] for f in over[:3]),
        action=actions[verdict],
    )  # fmt: skip


def _table(found: Prediction) -> Table:
    columns = (
        "feature", "first_order", "low", "high", "asked", "asked_low", "asked_high", "excess", "excess_low",
        "excess_high", f"at_best_of_{found.n}", "prompts",
    )  # fmt: skip
    rows = []
    for f in found.varied:
        pay = found.pay[f]
        cells = [
            value for each in (pay.first_order, pay.asked, pay.excess) for value in (each.estimate, each.low, each.high)
        ]
        rows.append((found.features[f], *cells, float(found.growth_F[f]), pay.n_prompts))
    where = (
        f"{found.n_responses:,} samples of {found.n_prompts} prompts (--pool)"
        if found.from_pool
        else f"both sides of {found.n_pairs:,} pairs, which are no samples of the policy to be optimised (give --pool)"
    )
    note = (
        "SDs within prompts that a feature moves, to first order, for a tilt of one over one SD of the reward. "
        f"Reference: {where}. asked: what the labels of {found.n_pairs:,} pairs ask for, at a correlation of labels "
        f"and reward of at least {RELIABILITY}; excess: the difference, its interval for all features together."
    )
    return Table("prediction", "What optimisation will inflate first", columns, tuple(rows), note)
