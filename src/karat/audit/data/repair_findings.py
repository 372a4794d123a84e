"""What `karat audit data --fix` states: whether the cleaned copy trains a better reward, and what was changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from karat.audit.data.repair_measure import LEAST_PROMPTS, Worth
from karat.audit.data.repair_rules import Changes
from karat.audit.data.table import PairTable
from karat.numerics.intervals import UNDEFINED
from karat.types import Finding, Table, Verdict

GOLD = "preference labels"
HARM = 0.01
"""Accuracy: a repair that costs less than this for certain does no harm."""
FIRST_ROWS = 5

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "DA601": (
        "The repair trains a better reward",
        "Accuracy on held-out pairs of a Bradley-Terry head trained on the repaired training folds, less that of one "
        "trained on the same folds as they were. Suspects are found inside the training folds, and the labels that are "
        "judged on are not repaired: flipped labels among them shrink what is seen to 1 - 2e of it. Interval over "
        "prompts, paired.",
        f"ok: the whole interval is above 0, or it lies above -{HARM:g}, so that the repair does no harm. problem: the "
        f"whole interval is below 0. unclear: neither. not checked: fewer than {LEAST_PROMPTS} prompts, no hidden "
        "states, or no pair that is changed (resplit alone).",
        "problem: do not use the copy; leave out the step that costs most (--fix with fewer steps). unclear: more "
        "pairs (--embed-pairs), or an independent judge (--reward): heads fitted to the same pairs know little of "
        "their labels that training on them does not.",
    ),
    "DA602": (
        "Pairs that the repair changed",
        "The share of the pairs that were dropped, flipped or softened; changes.jsonl has a line for each, with the "
        "reason, its numbers and what was there before. Labels are judged on the sampled pairs only (--embed-pairs).",
        "ok: always; it is a count.",
        "Read some lines of changes.jsonl before you train on the copy.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was done.

    Attributes:
        worth: None where it could not be measured, for the reason why_not.
        n_test: pairs of test.jsonl; is_split: whether there is one; why_not_split: why not though asked for.
    """

    steps: tuple[str, ...]
    changes: Changes
    worth: Worth | None
    why_not: str
    n_test: int
    is_split: bool
    why_not_split: str


def findings_of(found: Repaired) -> tuple[Finding, ...]:
    """DA601 and DA602."""
    return (_better(found), _changed(found))


def _better(found: Repaired) -> Finding:
    title = EXPLANATIONS["DA601"][0]
    if found.worth is None or math.isnan(found.worth.gain.low):
        why = found.why_not or "needs prompts that differ in what they show"
        return Finding("DA601", title, "not checked", unit="accuracy", gold=GOLD, action=why)
    worth, gain = found.worth, found.worth.gain
    verdict: Verdict = "problem" if gain.high < 0 else "ok" if gain.low > -HARM else "unclear"
    actions = {
        "problem": f"Do not train on the copy: {', '.join(found.steps)} made it worse.",
        "unclear": "More judged pairs (--embed-pairs), or suspects from an independent judge (--reward), would tell.",
        "ok": ""
        if gain.low > 0
        else "No harm is done, and no gain is certain; suspects from an independent judge (--reward) bring more.",
    }
    return Finding(
        "DA601", title, verdict, effect=gain.estimate, low=gain.low, high=gain.high, unit="accuracy",
        n_used=worth.n_used, gold=GOLD,
        baseline=f"raw {worth.raw.estimate:.3f}, repaired {worth.cleaned.estimate:.3f}; labels judged on not repaired",
        action=actions[verdict],
    )  # fmt: skip


def _changed(found: Repaired) -> Finding:
    changes = found.changes
    n_pairs = changes.what_P.size
    share = float(np.mean(changes.what_P != ""))
    told = ", ".join(f"{changes.count(what)} {what}" for what in ("dropped", "flipped", "softened"))
    split = f"; {found.n_test} of the rest in test.jsonl" if found.is_split else ""
    action = EXPLANATIONS["DA602"][3] if share else "Nothing was there to be changed."
    if found.why_not_split:
        action += f" Not split: {found.why_not_split}"
    return Finding(
        "DA602", EXPLANATIONS["DA602"][0], "ok", effect=share, low=UNDEFINED.low, high=UNDEFINED.high,
        unit="share of pairs", n_used=n_pairs, n_missing=int(np.isnan(changes.posterior_P).sum()),
        baseline=f"{told}{split}; steps: {', '.join(found.steps)}", action=action,
    )  # fmt: skip


def changes_table(found: Repaired, table: PairTable) -> Table:
    """How many pairs were changed, by what and why."""
    changes = found.changes
    kinds = sorted({(str(what), str(why)) for what, why in zip(changes.what_P, changes.why_P, strict=True) if what})
    rows = []
    for what, why in kinds:
        at = np.flatnonzero((changes.what_P == what) & (changes.why_P == why))
        first = ", ".join(str(int(table.row_P[place])) for place in at[:FIRST_ROWS])
        rows.append((what, why, int(at.size), at.size / len(table), first))
    columns = ("what", "why", "pairs", "share", "first_rows")
    note = "One change for each pair, the first that applies. Each is a line of changes.jsonl."
    return Table("repair_changes", "What the repair changed", columns, tuple(rows), note)


def values_of(found: Repaired) -> dict[str, Any]:
    """Values with stable names; NaN where not measured."""
    changes, worth = found.changes, found.worth
    gain, loss = (worth.gain, worth.loss_gain) if worth else (UNDEFINED, UNDEFINED)
    return {
        "repair_kept": int(changes.is_kept.sum()),
        "repair_dropped": changes.count("dropped"),
        "repair_flipped": changes.count("flipped"),
        "repair_softened": changes.count("softened"),
        "repair_test": found.n_test,
        "repair_gain": gain.estimate,
        "repair_gain_low": gain.low,
        "repair_gain_high": gain.high,
        "repair_nll_gain": loss.estimate,
        "repair_nll_gain_low": loss.low,
        "repair_nll_gain_high": loss.high,
        "repair_accuracy_raw": worth.raw.estimate if worth else math.nan,
        "repair_accuracy_cleaned": worth.cleaned.estimate if worth else math.nan,
        "repair_training_changes": worth.n_changed if worth else math.nan,
    }
