"""What is said about preferences that can be told without reading: DA201 to DA204, tables and values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from karat.audit.data.surface import RULES
from karat.numerics.intervals import Interval, items_needed
from karat.types import Finding, Table, Verdict

if TYPE_CHECKING:
    from karat.audit.data.content_blind import ContentBlind, Modelled

BLIND_OK, BLIND_PROBLEM = 0.55, 0.60
"""Accuracy without reading: below the first a reward has to read to be right; from the second one pair in five
(2 x 0.60 - 1) is told by the surface alone, if the others are told by chance."""
PLACE_LIMIT = 0.05
GOLD = "preference labels"
CALLED_AT = 0.05

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "DA201": (
        "What can be told without reading",
        "The share of held-out pairs whose preferred side is named by counts of the surface alone (length, lists, bold "
        "text, praise, hedging and others, 23 in all): by the single feature that is best on the other prompts, by a "
        "logistic regression and by boosted trees on all of them. Pairs in which nothing differs count one half. The "
        "effect is the highest of the three; its interval holds for all three together, over prompts.",
        "problem: the interval of one lies above 0.60. ok: the intervals of all end below 0.55. unclear: neither. not "
        "checked: fewer than 20 prompts.",
        "problem: a reward trained on these pairs can be that accurate without reading, and what is optimised against "
        "it will find that first. People may want longer answers; a reward that pays for nothing else is no use. "
        "Compare every accuracy with this number, add pairs in which the surface goes the other way (both responses of "
        "one length and layout), or calibrate the reward (karat audit reward --fix).",
    ),
    "DA202": (
        "Single surface features",
        "For each feature, the share of the pairs whose sides differ in it that prefer more of it (or less, where that "
        "is commoner). A feature is called when a test that turns whole prompts by random signs "
        "rejects chance at a false discovery rate of 5 % over all features. Intervals hold for all features together.",
        "problem: a called feature's interval, where the sides differ, lies above 0.60. ok: no problem, and over all "
        "pairs every feature's interval ends below 0.55. unclear: neither. not checked: one prompt, or no pair differs "
        "in anything.",
        "problem: read the witnesses: is it what people meant to prefer? If not, balance it in the data, or calibrate "
        "the reward. A feature that differs in few pairs is no less dangerous: optimisation makes it common.",
    ),
    "DA203": (
        "Place of the preferred response",
        "The share of pairs whose preferred response stood first of the two, where the data tells.",
        "problem: the interval lies outside 0.45 to 0.55. ok: it lies inside. unclear: neither. not checked: the data "
        "does not tell places.",
        "problem: annotators (or a judge) took the place for a reason, or the rows were sorted so that the preferred "
        "one comes first. Ask in both orders and keep what agrees; shuffle sorted rows before a judge sees them.",
    ),
    "DA204": (
        "Sources that can be told without reading",
        "The accuracy of the better of the two models of DA201 within each source that the data names; the intervals "
        "hold for all sources together.",
        "problem: the interval of a source lies above 0.60. ok: all end below 0.55. unclear: neither. not checked: "
        "fewer than two sources, or fewer than 20 prompts.",
        "problem: that source teaches the surface; look at how its pairs were made before mixing it with others.",
    ),
}


def findings_of(found: ContentBlind, witnesses: Mapping[str, tuple[str, ...]]) -> tuple[Finding, ...]:
    """DA201 to DA204.

    Args:
        witnesses: pairs to show, by feature.
    """
    return (_all_features(found), _single_features(found, witnesses), _place(found), _sources(found))


def called(found: ContentBlind) -> list[int]:
    """Features that are called, the least doubtful first."""
    names = [f for f, q in enumerate(found.q_F) if q <= CALLED_AT]
    return sorted(names, key=lambda f: (found.rules[f].p_value, -abs(found.rules[f].more - 0.5)))


def phrase(found: ContentBlind, f: int) -> str:
    """A feature and the direction in which it is preferred: "more list items"."""
    return f"{'more' if found.rules[f].more >= 0.5 else 'less'} {RULES[f]}"


def _finding(code: str, verdict: Verdict, interval: Interval, unit: str, **rest: Any) -> Finding:
    return Finding(
        code=code, title=EXPLANATIONS[code][0], verdict=verdict, effect=interval.estimate, low=interval.low,
        high=interval.high, unit=unit, gold=GOLD, **rest,
    )  # fmt: skip


def _ties(found: ContentBlind) -> str:
    return f"; {found.n_ties:,} pairs labelled as ties are left out" if found.n_ties else ""


def _all_features(found: ContentBlind) -> Finding:
    modelled = found.modelled
    if modelled is None:
        return Finding(
            "DA201", EXPLANATIONS["DA201"][0], "not checked", gold=GOLD, n_used=0,
            action=f"Models are fitted from 20 prompts; there are {found.n_prompts}, of which --model-pairs may leave "
            "some out. Give pairs of more prompts, or raise it.",
        )  # fmt: skip
    accuracy = modelled.accuracy
    # The best of several estimates is high by chance; a verdict therefore rests on ends that hold for all of them.
    best = accuracy[modelled.best]
    is_problem = any(each.low > BLIND_PROBLEM for each in accuracy.values())
    is_ok = all(each.high < BLIND_OK for each in accuracy.values())
    verdict: Verdict = "problem" if is_problem else "ok" if is_ok else "unclear"
    told = ", ".join(f"{name} {each.estimate:.3f}" for name, each in accuracy.items())
    actions = {
        "problem": f"{_share(best)} Compare every accuracy with this number; add pairs whose sides are of one "
        "length and layout, or calibrate the reward.",
        "unclear": f"{_share(best)} {_needed(modelled.n_pairs, best, BLIND_PROBLEM)}",
    }
    return _finding(
        "DA201", verdict, best, "accuracy", n_used=modelled.n_pairs, action=actions.get(verdict, ""),
        baseline=f"0.5 is chance; {told}; most from {_families(modelled)}{_ties(found)}",
    )  # fmt: skip


def _share(best: Interval) -> str:
    share = max(0.0, 2 * best.estimate - 1)
    return f"{share:.0%} of these preferences are told without reading, beyond chance."


def _families(modelled: Modelled) -> str:
    """The families that a model surely uses, the weightiest first."""
    sure = [(each.estimate, name) for name, each in modelled.families.items() if each.low > 0]
    return ", ".join(name for _, name in sorted(sure, reverse=True)[:3]) or "no family surely"


def _single_features(found: ContentBlind, witnesses: Mapping[str, tuple[str, ...]]) -> Finding:
    tested = [f for f, rule in enumerate(found.rules) if math.isfinite(rule.agreement.low)]
    if not tested:
        why = "no pair differs in any feature" if found.n_prompts > 1 else "an interval needs pairs of two prompts"
        return Finding("DA202", EXPLANATIONS["DA202"][0], "not checked", gold=GOLD, action=f"Not told: {why}.")
    sure = called(found)
    bad = [f for f in sure if found.rules[f].agreement.low > BLIND_PROBLEM]
    is_ok = all(rule.accuracy.high < BLIND_OK for rule in found.rules if rule.n_differ)
    verdict: Verdict = "problem" if bad else "ok" if is_ok else "unclear"
    shown = bad or sure or [max(tested, key=lambda f: found.rules[f].accuracy.estimate)]
    rule = found.rules[shown[0]]
    names = ", ".join(phrase(found, f) for f in sure[:5]) or "none is called"
    actions = {
        "problem": f"Preferred where the sides differ: {'; '.join(_told(found, f) for f in bad[:4])}. Read the "
        "witnesses; balance what was not meant.",
        "unclear": "Too few pairs to say that no feature tells more than 0.55 of them."
        if not sure
        else f"Preferred where the sides differ: {'; '.join(_told(found, f) for f in sure[:4])}.",
    }
    return _finding(
        "DA202", verdict, rule.agreement, f"agreement, {phrase(found, shown[0])}", n_used=rule.n_differ,
        baseline=f"0.5 is chance; called: {names} ({len(sure)} of {len(RULES)}){_ties(found)}",
        witnesses=witnesses.get(RULES[shown[0]], ()) if sure else (), action=actions.get(verdict, ""),
    )  # fmt: skip


def _told(found: ContentBlind, f: int) -> str:
    rule = found.rules[f]
    return f"{phrase(found, f)} in {rule.agreement.estimate:.0%} of {rule.n_differ:,}"


def _place(found: ContentBlind) -> Finding:
    first, unit = found.first, "share preferred first"
    if not found.n_placed:
        action = "Needs data that says which response stood first (two responses in order, and a preference)."
        return Finding("DA203", EXPLANATIONS["DA203"][0], "not checked", gold=GOLD, unit=unit, action=action)
    is_out = first.low > 0.5 + PLACE_LIMIT or first.high < 0.5 - PLACE_LIMIT
    is_in = first.low >= 0.5 - PLACE_LIMIT and first.high <= 0.5 + PLACE_LIMIT
    verdict: Verdict = "problem" if is_out else "ok" if is_in else "unclear"
    side = 0.5 + math.copysign(PLACE_LIMIT, first.estimate - 0.5)
    actions = {
        "problem": EXPLANATIONS["DA203"][3].removeprefix("problem: ").capitalize(),
        "unclear": _needed(found.n_placed, first, side),
    }
    return _finding(
        "DA203", verdict, first, unit, n_used=found.n_placed, n_missing=found.n_pairs - found.n_placed,
        baseline="0.5: the place does not matter" + _ties(found), action=actions.get(verdict, ""),
    )  # fmt: skip


def _sources(found: ContentBlind) -> Finding:
    rows = found.modelled.by_source if found.modelled else ()
    if not rows:
        why = "Needs a column that names sources (source, subset, domain), two of them, and 20 prompts."
        return Finding("DA204", EXPLANATIONS["DA204"][0], "not checked", gold=GOLD, action=why)
    known = [row for row in rows if math.isfinite(row[2].low)]
    worst = max(known or rows, key=lambda row: row[2].estimate)
    bad = [name for name, _, each, _ in known if each.low > BLIND_PROBLEM]
    is_ok = len(known) == len(rows) and all(each.high < BLIND_OK for _, _, each, _ in known)
    verdict: Verdict = "problem" if bad else "ok" if is_ok else "unclear"
    actions = {
        "problem": f"Look at how these were made: {', '.join(bad[:5])}.",
        "unclear": _needed(worst[1], worst[2], BLIND_PROBLEM),
    }
    return _finding(
        "DA204", verdict, worst[2], "accuracy", n_used=worst[1], action=actions.get(verdict, ""),
        baseline=f"of {worst[0]}, the highest of {len(rows)} sources; 0.5 is chance",
    )  # fmt: skip


def _needed(n: int, interval: Interval, threshold: float) -> str:
    needed = items_needed(n, interval, threshold)
    if math.isnan(needed):
        return "Pairs of at least two prompts are needed for an interval."
    if needed > 1e7:
        return "No number of pairs within reach would settle it: the value is too close to the line."
    digits = 10 ** max(0, math.floor(math.log10(max(needed, 1.0))) - 1)
    return (
        f"About {math.ceil(needed / digits) * digits:,} pairs would tell whether it is above {threshold:g} or below, "
        "if it stays where it is."
    )


# --------------------------------------------------------------------------------------------------- tables and values
def tables_of(found: ContentBlind) -> tuple[Table, ...]:
    tables = [_rule_table(found)]
    if found.modelled:
        tables += [_model_table(found.modelled), _family_table(found.modelled)]
        tables += [_source_table(found.modelled)] if found.modelled.by_source else []
    return tuple(tables)


def _rule_table(found: ContentBlind) -> Table:
    order = sorted(range(len(RULES)), key=lambda f: -found.rules[f].accuracy.estimate)
    rows = []
    for f in order:
        rule = found.rules[f]
        whole, part = rule.accuracy, rule.agreement
        rows.append(
            (
                RULES[f], "more" if rule.more >= 0.5 else "less", whole.estimate, whole.low, whole.high, rule.n_differ,
                part.estimate, part.low, part.high, float(found.q_F[f]), bool(found.q_F[f] <= CALLED_AT),
            )
        )  # fmt: skip
    columns = (
        "feature", "preferred", "accuracy", "low", "high", "differ", "agreement", "agreement_low", "agreement_high",
        "q", "called",
    )  # fmt: skip
    note = (
        f"{found.n_pairs:,} pairs of {found.n_prompts:,} prompts. accuracy: over all pairs, no difference one half; "
        "direction from the other folds; agreement: where the sides differ. Intervals are clustered by prompt "
        f"and hold for all {len(RULES)} features together; q: Benjamini-Hochberg of an exact test by signs."
    )
    return Table("content_rules", "What single surface features tell", columns, tuple(rows), note)


def _model_table(modelled: Modelled) -> Table:
    rows = []
    for name, each in modelled.accuracy.items():
        loss = modelled.nll.get(name)
        ends = (loss.estimate, loss.low, loss.high) if loss else (math.nan,) * 3
        rows.append((name, each.estimate, each.low, each.high, *ends))
    note = (
        f"Out of fold, {modelled.n_pairs:,} pairs of {modelled.n_prompts:,} prompts. Chance: accuracy 0.5, loss 0.693 "
        f"nats. The best single feature was {', '.join(modelled.single[:3])}. Intervals of accuracy hold for all rows "
        f"together. {modelled.better.capitalize()} less the best single feature: {modelled.gain.estimate:+.3f} "
        f"[{modelled.gain.low:+.3f}, {modelled.gain.high:+.3f}]."
    )
    columns = ("model", "accuracy", "low", "high", "nll", "nll_low", "nll_high")
    return Table("content_models", "What all surface features tell", columns, tuple(rows), note)


def _family_table(modelled: Modelled) -> Table:
    order = sorted(modelled.families.items(), key=lambda item: -item[1].estimate)
    rows = tuple((name, each.estimate, each.low, each.high) for name, each in order)
    note = (
        f"How much the loss of the {modelled.better} model grows out of fold, nats a pair, when the features of a "
        "family no longer say which side they belong to."
    )
    return Table("content_families", "What the surface tells it by", ("family", "loss", "low", "high"), rows, note)


def _source_table(modelled: Modelled) -> Table:
    rows = tuple((name, n, each.estimate, each.low, each.high, longer) for name, n, each, longer in modelled.by_source)
    note = (
        f"Accuracy of the {modelled.better} model out of fold, fitted to all sources; intervals hold for all together. "
        "longer: share of pairs whose longer side is preferred."
    )
    columns = ("source", "pairs", "accuracy", "low", "high", "longer")
    return Table("content_sources", "What can be told without reading, by source", columns, rows, note)


def values_of(found: ContentBlind) -> dict[str, Any]:
    """The numbers by stable names."""
    values: dict[str, Any] = {
        "content_n_pairs": found.n_pairs,
        "content_n_ties": found.n_ties,
        "content_called": [phrase(found, f) for f in called(found)],
        "content_position_first": found.first.estimate,
        "content_position_first_low": found.first.low,
        "content_position_first_high": found.first.high,
    }
    longer = found.rules[RULES.index("length, characters")]
    values["content_longer"] = 0.5 + (longer.more - 0.5) * longer.n_differ / found.n_pairs if longer.n_differ else 0.5
    modelled = found.modelled
    best = modelled.accuracy[modelled.best] if modelled else None
    values |= {
        "content_accuracy": best.estimate if best else math.nan,
        "content_accuracy_low": best.low if best else math.nan,
        "content_accuracy_high": best.high if best else math.nan,
        "content_told_share": max(0.0, 2 * best.estimate - 1) if best else math.nan,
        "content_model": modelled.best if modelled else "",
        "content_nll": modelled.nll[modelled.better].estimate if modelled else math.nan,
        "content_gain_over_single": modelled.gain.estimate if modelled else math.nan,
    }
    return values
