"""What a calibration finds: RW701 to RW703, its tables and its values; and their explanations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from karat.audit.reward.calibration import STYLE, Calibration, Kind, Sides
from karat.audit.reward.calibration_measured import Excess, Measured
from karat.numerics.intervals import Interval
from karat.rewards.groups import last_text
from karat.types import Finding, PreferencePair, Table, Verdict

if TYPE_CHECKING:
    from karat.audit.reward.calibrate import EditEffect

ACCURACY_LOSS = 0.03
"""A loss of accuracy that would matter."""
GOLD = "preference labels"
CODES: dict[Kind, str] = {"length": "RW702", "style": "RW703"}

_EXCESS = (
    "On prompts that the calibration has not seen: of the pairs whose sides the reward pays differently for their "
    "{kind}, the share in which it predicts that the side paid more is preferred, before less after. Predictions are "
    "probabilities with the scale that fits the labels. The baseline states both shares and that of the labels, which "
    "is what a reward without this bias has. The interval is a paired bootstrap over prompts.",
    "ok: the excess over the labels was above 0 and fell (both whole intervals); or nothing is taken away and there "
    "was no clear excess. problem: too much was taken: it is clearly below 0 now, and further from 0 than it was. "
    "unclear: neither.",
    "ok: use OUT/calibrated as the REWARD (the labels are the measure: what people like too much, it still pays). "
    "problem or unclear: keep the reward as it is, or fit on more pairs.",
)
EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RW701": (
        "The calibrated reward is as accurate",
        "Accuracy of the calibrated reward less that of the reward as it is, on prompts that the calibration has not "
        "seen, paired; equal scores count one half. The calibration takes away the part of what the reward pays for "
        "length or style that the labels do not back, found by a Bradley-Terry regression of the labels on the margin "
        "and the payments.",
        "ok: the interval begins above -0.03. problem: it ends below 0. unclear: neither. not checked: fewer than 20 "
        "prompts to fit or to judge, a reward without a name, or margins that do not point towards the labels.",
        "problem: do not use the calibrated reward; the labels of the two halves differ in what they back. unclear: "
        "give more pairs.",
    ),
    "RW702": (
        "The excess for length fell",
        *(text.format(kind="length") for text in _EXCESS),
    ),  # type: ignore[dict-item]
    "RW703": (
        "The excess for style fell",
        *(text.format(kind="style") for text in _EXCESS),
    ),  # type: ignore[dict-item]
}


def calibration_findings(
    measured: Measured,
    calibration: Calibration,
    pairs: Sequence[PreferencePair],
    *,
    n_missing: int,
    files: Sequence[str],
) -> tuple[Finding, ...]:
    """RW701, and RW702 or RW703 for what was asked; `pairs` are those that were judged."""
    accuracy = _accuracy(measured, calibration, n_missing, is_written=bool(files))
    return (accuracy, *(_kind(kind, measured, calibration, pairs, n_missing) for kind in calibration.kinds))


def _accuracy(measured: Measured, calibration: Calibration, n_missing: int, *, is_written: bool) -> Finding:
    found = measured.difference
    verdict: Verdict = "problem" if found.high < 0 else "ok" if found.low > -ACCURACY_LOSS else "unclear"
    action = {
        "ok": "Use OUT/calibrated as the REWARD.",
        "problem": "Do not use the calibrated reward: what it takes away, these labels back.",
        "unclear": "Too few pairs to tell; give more.",
    }[verdict]
    if not is_written:
        verdict, action = "ok", "Nothing to take away: labels back all of it. No reward was written."
    return Finding(
        code="RW701", title=EXPLANATIONS["RW701"][0], verdict=verdict if measured.n_pairs else "not checked",
        effect=found.estimate, low=found.low, high=found.high, unit="accuracy", n_used=measured.n_pairs,
        n_missing=n_missing, gold=GOLD,
        baseline=f"{_change(measured.accuracy_before, measured.accuracy_after)}; where the shorter is preferred "
        f"{_change(measured.shorter_before, measured.shorter_after)}, the longer "
        f"{_change(measured.longer_before, measured.longer_after)}",
        action=action if measured.n_pairs else "Give pairs whose label is no tie.",
    )  # fmt: skip


def _kind(
    kind: Kind, measured: Measured, calibration: Calibration, pairs: Sequence[PreferencePair], n_missing: int
) -> Finding:
    found = measured.excess[kind]
    verdict, action = _verdict(found, takes=calibration.takes(kind), kind=kind)
    return Finding(
        code=CODES[kind], title=EXPLANATIONS[CODES[kind]][0], verdict=verdict if found.n else "not checked",
        effect=found.fall.estimate, low=found.fall.low, high=found.fall.high, unit="share of pairs", n_used=found.n,
        n_missing=n_missing, gold=GOLD,
        baseline=f"the side paid more for {kind}: predicted {found.share_before:.3f}, then {found.share_after:.3f}; "
        f"labelled {found.share_labels:.3f}",
        witnesses=_witnesses(measured, pairs) if calibration.takes(kind) else (),
        action=action if found.n else f"No held-out pair differs in {kind}.",
    )  # fmt: skip


def _verdict(found: Excess, *, takes: bool, kind: Kind) -> tuple[Verdict, str]:
    if not takes:
        if found.before.low > 0:
            return "unclear", f"The pairs fitted on show no excess for {kind}, these do: give more pairs."
        return "ok", f"Nothing taken away for {kind}: the labels back what the reward pays."
    if found.after.high < 0 and abs(found.after.estimate) > abs(found.before.estimate):
        return "problem", "Too much was taken: keep the reward as it is, or fit on more pairs."
    if found.before.low > 0 and found.fall.low > 0:
        return "ok", ""
    return "unclear", "The held-out pairs do not show the excess that the others did: give more pairs."


def _witnesses(measured: Measured, pairs: Sequence[PreferencePair]) -> tuple[str, ...]:
    """Pairs that are now ordered otherwise."""
    told = []
    for index in measured.changed[:3]:
        pair = pairs[index]
        sizes = f"{len(last_text(pair.chosen))} against {len(last_text(pair.rejected))} characters"
        told.append(f"row {pair.row}, order changed, preferred {sizes}: {last_text(pair.chosen)[:80]}")
    return tuple(told)


def _change(before: Interval, after: Interval) -> str:
    return f"{before.estimate:.3f} [{before.low:.3f}, {before.high:.3f}] to {after.estimate:.3f}"


# ---------------------------------------------------------------------------------------------------- tables and values
def calibration_tables(
    measured: Measured, calibration: Calibration, fit: Sides, effects: Sequence[EditEffect]
) -> tuple[Table, ...]:
    """What was taken, and what changed."""
    return (_taken_table(calibration, fit), _measured_table(measured, effects))


def _taken_table(calibration: Calibration, fit: Sides) -> Table:
    """Deviation of each payment within pairs, in SDs of the margin, and the part that labels do not back."""
    spread = float(np.sqrt(np.mean(fit.margins() ** 2)))
    length_P2 = calibration.trend(fit.length_P2.ravel()).reshape(-1, 2)
    rows: list[tuple[Any, ...]] = []
    if "length" in calibration.kinds:
        paid = float(np.sqrt(np.mean((length_P2[:, 0] - length_P2[:, 1]) ** 2))) / spread
        rows.append(("length", paid, calibration.length_share, paid * calibration.length_share))
    if "style" in calibration.kinds:
        part_P2F = calibration.style.parts(fit.style_P2F.reshape(-1, len(STYLE))).reshape(-1, 2, len(STYLE))
        sign_F = np.sign(calibration.style.weight_F)
        paid_F = np.sqrt(np.mean((part_P2F[:, 0] - part_P2F[:, 1]) ** 2, axis=0)) / spread * sign_F
        rows += [
            (name, float(paid), float(share), float(paid * share))
            for name, paid, share in zip(STYLE, paid_F, calibration.style_share_F, strict=True)
            if paid
        ]
    note = "Root mean square over pairs, in units of the margin's; below 0: the reward pays for less of it."
    columns = ("feature", "paid", "share_not_backed", "taken")
    return Table("calibration_taken", "What the reward pays, and what was taken away", columns, tuple(rows), note)


def _measured_table(measured: Measured, effects: Sequence[EditEffect]) -> Table:
    rows: list[tuple[Any, ...]] = [
        _row("accuracy", measured.accuracy_before, measured.accuracy_after, measured.n_pairs),
        _row("accuracy, shorter preferred", measured.shorter_before, measured.shorter_after, 0),
        _row("accuracy, longer preferred", measured.longer_before, measured.longer_after, 0),
    ]
    rows = [(*row[:7], row[7] or "") for row in rows]
    for kind, found in measured.excess.items():
        rows.append(_row(f"excess for {kind}", found.before, found.after, found.n))
        nothing = float("nan")
        rows.append(
            (f"correlation with {kind} pay", found.correlation_before, nothing, nothing, found.correlation_after,
             nothing, nothing, found.n)
        )  # fmt: skip
    rows += [_row(f"edit: {effect.edit}", effect.before, effect.after, effect.n) for effect in effects]
    columns = ("measure", "before", "low", "high", "after", "after_low", "after_high", "n")
    note = "Held-out prompts. Edits: change of the score of chosen responses, in SDs of the same reward's margin."
    return Table("calibration_measured", "Before and after the calibration", columns, tuple(rows), note)


def _row(name: str, before: Interval, after: Interval, n: int) -> tuple[Any, ...]:
    return (name, before.estimate, before.low, before.high, after.estimate, after.low, after.high, n)


def calibration_values(
    measured: Measured, calibration: Calibration, effects: Sequence[EditEffect], *, n_missing: int
) -> dict[str, Any]:
    """The numbers by stable names; NaN where undefined."""
    intervals = {
        "accuracy_before": measured.accuracy_before, "accuracy_after": measured.accuracy_after,
        "accuracy_gain": measured.difference,
        "shorter_right_before": measured.shorter_before, "shorter_right_after": measured.shorter_after,
        "longer_right_before": measured.longer_before, "longer_right_after": measured.longer_after,
    }  # fmt: skip
    values: dict[str, Any] = {
        "n_pairs": measured.n_pairs, "n_prompts": measured.n_prompts, "n_missing": n_missing,
    }  # fmt: skip
    for kind, found in measured.excess.items():
        intervals |= {
            f"{kind}_excess_before": found.before,
            f"{kind}_excess_after": found.after,
            f"{kind}_excess_fall": found.fall,
        }
        values[f"{kind}_correlation_before"] = found.correlation_before
        values[f"{kind}_correlation_after"] = found.correlation_after
    if "length" in calibration.kinds:
        values["length_share"] = calibration.length_share
    if "style" in calibration.kinds:
        values["style_shares"] = dict(zip(STYLE, calibration.style_share_F.tolist(), strict=True))
    for effect in effects:
        intervals |= {f"{effect.edit}_before": effect.before, f"{effect.edit}_after": effect.after}
    for name, interval in intervals.items():
        values |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {f"calibration_{name}": value for name, value in values.items()}
