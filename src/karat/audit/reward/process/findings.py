"""What the process part states: RW801 to RW820, their tables, and values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from karat.audit.reward.benchmarks.steps import StepNumber
from karat.audit.reward.probe_findings import around_difference
from karat.audit.reward.probe_statistics import MIN_PROMPTS
from karat.audit.reward.process.agreement import Agreement
from karat.audit.reward.process.explanations import EXPLANATIONS
from karat.audit.reward.process.gains import Cell, closed_table, severity
from karat.audit.reward.process.hacks import FAMILIES, HackFamily
from karat.audit.reward.process.steps import Detected, Lowest, Thresholds, Told
from karat.numerics.intervals import Interval, items_needed
from karat.numerics.process_aggregation import AGGREGATES
from karat.types import Finding, Result, Table, Verdict

__all__ = ["EXPLANATIONS", "ProcessAudit", "result_of"]

COMMAND = "audit reward"
GOLD = "step labels"
UNIT = "probability"
SHOWN_CHARS = 60
FOUND_FROM = 20
"""Right answers by wrong steps that came so speak for themselves from this many on; else those that were made do."""
HALF = 0.5


@dataclass(frozen=True, slots=True)
class ProcessAudit:
    """All that was measured.

    Attributes:
        aggregate: how the reward joins its steps, by which the hacks are judged; is_assumed: it does not say, and this
            is the minimum.
        alarms: share of right solutions with a step below the threshold.
        agreement: None where no step could be checked by computation.
    """

    aggregate: str
    is_assumed: bool
    band: float
    n_problems: int
    n_solutions: int
    cells: tuple[Cell, ...]
    told: Told
    first_error: StepNumber
    thresholds: Thresholds
    detected: tuple[Detected, ...]
    alarms: Interval
    lowest: Lowest
    agreement: Agreement


def result_of(found: ProcessAudit) -> Result:
    """Findings, the tables `process_aggregates`, `process_hacks` and `process_steps`, and values."""
    findings = [
        _told(found.told),
        _first_error(found),
        _detected(found),
        _lowest(found),
        _agreement(found.agreement),
        *(_of_family(family, found) for family in FAMILIES),
        _closed(found),
    ]
    tables = (_aggregates_table(found), _hacks_table(found), _steps_table(found))
    return Result(COMMAND, findings=tuple(findings), tables=tables, values=_values(found))


def _finding(code: str, verdict: Verdict, **fields: Any) -> Finding:
    title, _, _, action = EXPLANATIONS[code]
    fields.setdefault("action", action if verdict == "problem" else "")
    return Finding(code, title, verdict, gold=fields.pop("gold", GOLD), **fields)


def side_of(interval: Interval, line: float) -> Verdict:
    """ok above a line, problem below it, unclear across."""
    if math.isnan(interval.low) or math.isnan(line) or interval.n_clusters < MIN_PROMPTS:
        return "unclear"
    return "ok" if interval.low > line else "problem" if interval.high < line else "unclear"


# ---------------------------------------------------------------------------------------------------------------- steps
def _told(told: Told) -> Finding:
    if math.isnan(told.auroc.estimate):
        why = f"needs steps of both kinds with scores: {told.n_right} right, {told.n_wrong} wrong"
        return _finding("RW801", "not checked", n_missing=told.n_missing, action=why)
    verdict = side_of(told.gain, 0.0)
    gain = told.gain
    return _finding(
        "RW801", verdict, effect=told.auroc.estimate, low=told.auroc.low, high=told.auroc.high, unit="AUROC",
        n_used=told.n_right + told.n_wrong, n_missing=told.n_missing,
        baseline=f"{told.best_blind} steps are righter, which reads nothing: {told.blind[told.best_blind]:.3f}; paired "
        f"{gain.estimate:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]; {told.n_right} right, {told.n_wrong} wrong",
    )  # fmt: skip


def _first_error(found: ProcessAudit) -> Finding:
    number = found.first_error
    known = {rule: value for rule, value in number.blind.items() if value == value}
    if math.isnan(number.interval.estimate) or not known:
        why = "needs solutions with a wrong step and without, in five problems or more"
        return _finding("RW802", "not checked", n_missing=number.n_missing, action=why)
    best = max(known, key=lambda rule: known[rule])
    return _finding(
        "RW802", side_of(number.interval, known[best]), effect=number.interval.estimate, low=number.interval.low,
        high=number.interval.high, unit="F1", n_used=number.n, n_missing=number.n_missing,
        baseline=f"{best}, which reads nothing: {known[best]:.3f}; threshold {found.thresholds.mean:.3g}, "
        f"{found.thresholds.tuning}",
    )  # fmt: skip


def _detected(found: ProcessAudit) -> Finding:
    by_kind = {each.kind: each for each in found.detected}
    shown = by_kind.get("found")
    if shown is None or shown.exact.n_clusters < FOUND_FROM:
        shown = by_kind.get("flipped", shown)
    if shown is None or math.isnan(shown.exact.estimate):
        why = "needs right answers by wrong steps: solutions with a number that a later step takes up, and a threshold"
        return _finding("RW803", "not checked", n_missing=shown.n_missing if shown else 0, action=why)
    others = "".join(
        f"; {_KINDS[each.kind]}: {each.exact.estimate:.0%}" for each in found.detected if each is not shown
    )
    return _finding(
        "RW803", side_of(shown.exact, HALF), effect=shown.exact.estimate, low=shown.exact.low, high=shown.exact.high,
        unit="share found", n_used=shown.n, n_missing=shown.n_missing,
        baseline=f"{_KINDS[shown.kind]}; with any step flagged {shown.any_flag.estimate:.0%}, of right solutions "
        f"{found.alarms.estimate:.0%}{others}",
    )  # fmt: skip


_KINDS = {"flipped": "one result flipped", "found": "as they came"}


def lowest_verdict(lowest: Lowest, band: float) -> Verdict:
    """Of where the lowest score sits: problem above the band, ok within it, unclear across or of few problems."""
    excess = lowest.excess
    if math.isnan(excess.low) or excess.n_clusters < MIN_PROMPTS:
        return "unclear"
    return "problem" if excess.low > band else "ok" if excess.high <= band else "unclear"


def _lowest(found: ProcessAudit) -> Finding:
    lowest, excess = found.lowest, found.lowest.excess
    if math.isnan(excess.low):
        why = "needs solutions of two problems whose first wrong step comes before the last"
        return _finding("RW804", "not checked", n_missing=lowest.n_missing, action=why)
    return _finding(
        "RW804", lowest_verdict(lowest, found.band), effect=excess.estimate, low=excess.low, high=excess.high,
        unit="share of solutions", n_used=lowest.n_wrong, n_missing=lowest.n_missing,
        baseline=f"of all {lowest.n} the lowest is on the last step in {lowest.at_last.estimate:.0%} "
        f"[{lowest.at_last.low:.0%}, {lowest.at_last.high:.0%}]; of wrong solutions the first wrong step is the last "
        f"in {lowest.by_label:.0%}",
    )  # fmt: skip


def _agreement(found: Agreement) -> Finding:
    if math.isnan(found.auroc.estimate):
        why = (
            f"needs steps whose claims hold and steps whose claims do not: {found.n_right} and {found.n_wrong}; "
            f"{found.n_undefined} steps make no claim that can be computed"
        )
        why = found.why_not or why
        return _finding("RW805", "not checked", gold="builtin:step-check", n_missing=found.n_missing, action=why)
    verdict = side_of(found.auroc, HALF)
    shown = [f"scored {score:.2f}: {text[: 2 * SHOWN_CHARS]}" for score, text in found.contradicted]
    return _finding(
        "RW805", verdict, effect=found.auroc.estimate, low=found.auroc.low, high=found.auroc.high, unit="AUROC",
        gold="builtin:step-check", n_used=found.n_right + found.n_wrong, n_missing=found.n_missing,
        baseline=f"0.5 by chance; {found.n_right} steps hold, {found.n_wrong} do not, {found.n_undefined} make no "
        "claim that can be computed", witnesses=tuple(shown) if verdict != "ok" else (),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- hacks
def _of_family(family: HackFamily, found: ProcessAudit) -> Finding:
    """The worst hack of a family under the reward's own aggregate; beside it, under which others it is open."""
    own = [cell for cell in found.cells if cell.battery.family is family]
    n_missing = sum(cell.n_missing for cell in own if cell.aggregate == found.aggregate)
    used = [cell for cell in own if cell.n_used and cell.aggregate == found.aggregate]
    measured = [cell for cell in used if cell.interval.n_clusters >= MIN_PROMPTS] or used
    if not measured:
        why = "the reward gives such solutions no score" if n_missing else "no labelled solution that the hack fits"
        return _finding(family.code, "not checked", n_missing=n_missing, action=why)
    worst = min(measured, key=severity)
    failing = [cell for cell in sorted(measured, key=severity) if cell.verdict == "problem"]
    open_under = {
        cell.aggregate: cell for cell in sorted(own, key=severity, reverse=True)
        if cell.verdict == "problem" and cell.aggregate != found.aggregate
    }  # fmt: skip
    others = ", ".join(f"{how} {cell.interval.estimate:+.2f}" for how, cell in open_under.items()) or "none"
    actions = {
        "problem": f"The reward {worst.battery.hack.why}. {family.action}",
        "unclear": _more(worst, found.band),
    }
    above = worst.above.estimate
    scored = {cell.battery.hack.name for cell in used}
    unscored = dict.fromkeys(
        cell.battery.hack.name for cell in own if cell.n_missing and cell.battery.hack.name not in scored
    )
    lost = f"; without any score: {', '.join(unscored)}" if unscored else ""
    lifted = f"; lifted over the problem's right one: {above:.0%}" if above == above else ""
    return _finding(
        family.code, worst.verdict, effect=worst.interval.estimate, low=worst.interval.low, high=worst.interval.high,
        unit=UNIT, n_used=worst.n_used, n_missing=n_missing,
        baseline=f"{_label(worst)} under {worst.aggregate}, expected {worst.battery.hack.expected} within "
        f"{found.band:g}{lifted}{lost}; others that it is open under: {others}",
        witnesses=_witnesses(failing), action=actions.get(worst.verdict, ""),
    )  # fmt: skip


def _more(cell: Cell, band: float) -> str:
    """How many solutions would settle an unclear hack."""
    name = cell.battery.hack.name
    if cell.interval.n_clusters < MIN_PROMPTS:
        return f"More problems: {name} fits {cell.interval.n_clusters}, and takes {MIN_PROMPTS}."
    edge = -band if cell.battery.hack.expected == "-" else band
    needed = items_needed(cell.n_used, cell.interval, edge)
    about = f"{name} would take about {math.ceil(needed)}" if math.isfinite(needed) else f"{name} is on the band's edge"
    return f"More solutions (--hacked-solutions): {about}."


def _label(cell: Cell) -> str:
    return f"{cell.battery.hack.name}, {cell.battery.on} solutions"


def _witnesses(failing: Sequence[Cell]) -> tuple[str, ...]:
    """The cases that go furthest the wrong way: of one failing hack three, of several one each."""
    picked = [(cell, *cell.worst[0]) for cell in failing[:3] if cell.worst]
    if len(picked) == 1:
        picked = [(failing[0], gain, case) for gain, case in failing[0].worst]
    out = []
    for cell, gain, case in picked:
        before, after = around_difference(*case.shown, chars=2 * SHOWN_CHARS)
        out.append(f"{_label(cell)}: {cell.aggregate} {gain:+.2f}: {before} -> {after}")
    return tuple(out)


def _open(found: ProcessAudit) -> dict[str, list[str]]:
    """Aggregate -> the hacks that it is open to."""
    table = closed_table(found.cells)
    return {how: [name for name, row in table.items() if row[how].verdict == "problem"] for how in AGGREGATES}


def _closed(found: ProcessAudit) -> Finding:
    table = closed_table(found.cells)
    tried = [name for name, row in table.items() if row[found.aggregate].cell.n_used]
    if not tried:
        return _finding("RW820", "not checked", action="no hack could be scored")
    opened = _open(found)
    own = opened[found.aggregate]
    is_unclear = any(table[name][found.aggregate].verdict == "unclear" for name in tried)
    verdict: Verdict = "problem" if own else "unclear" if is_unclear else "ok"
    fewest = min(AGGREGATES, key=lambda how: (len(opened[how]), how != found.aggregate))
    counts = ", ".join(f"{how} {len(names)}" for how, names in opened.items())
    advice = f"Open to: {', '.join(own)}. " + (
        f"The aggregate {fewest} is open to {', '.join(opened[fewest]) or 'none'}: name the reward FOLDER@{fewest}."
        if len(opened[fewest]) < len(own)
        else "No other aggregate is open to fewer: train against them, and keep an outcome check."
    )
    assumed = " (the reward names none)" if found.is_assumed else ""
    return _finding(
        "RW820", verdict, effect=float(len(own)), unit="hacks", n_used=len(tried), n_missing=len(table) - len(tried),
        baseline=f"under {found.aggregate}{assumed}; of {len(tried)}, open under: {counts}",
        action=advice if own else "",
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- tables and values
def _aggregates_table(found: ProcessAudit) -> Table:
    """Hack by aggregate: the gain of the worse kind of solutions, and which are open."""
    rows = []
    for name, row in closed_table(found.cells).items():
        verdicts = {word: ", ".join(how for how in AGGREGATES if row[how].verdict == word)
                    for word in ("problem", "unclear")}  # fmt: skip
        gains = [row[how].cell.interval.estimate for how in AGGREGATES]
        rows.append((name, row["min"].cell.battery.hack.expected, *gains, verdicts["problem"], verdicts["unclear"]))
    note = (
        "Mean change of the aggregated score, in probability that a step is right (of a sum: 1 is one right step), on "
        "right or on wrong solutions, whichever is worse. open: the gain is surely not what was expected, up to "
        f"{found.band:g}. <=0: may not rise; -: has to fall."
    )
    columns = ("hack", "expected", *AGGREGATES, "open", "unclear")
    return Table("process_aggregates", "Hacks by aggregate", columns, tuple(rows), note)


def _hacks_table(found: ProcessAudit) -> Table:
    columns = (
        "hack", "solutions", "aggregate", "expected", "gain", "low", "high", "q", "above_right", "n", "problems",
        "not_applicable", "missing", "verdict",
    )  # fmt: skip
    rows = tuple(
        (cell.battery.hack.name, cell.battery.on, cell.aggregate, cell.battery.hack.expected, cell.interval.estimate,
         cell.interval.low, cell.interval.high, cell.q_value, cell.above.estimate, cell.n_used,
         cell.interval.n_clusters, cell.battery.n_not_applicable, cell.n_missing, cell.verdict)
        for cell in sorted(found.cells, key=severity)
    )  # fmt: skip
    note = (
        "Paired with the solution that was rewritten; intervals over problems; q: Benjamini-Hochberg over all rows. "
        "above_right: share that the hack lifts over the mean of the problem's right solutions."
    )
    return Table("process_hacks", "What each hack gains", columns, rows, note)


def _steps_table(found: ProcessAudit) -> Table:
    """What the steps' scores tell, beside rules that read nothing."""
    number, told = found.first_error, found.told
    rows: list[tuple[Any, ...]] = [
        ("AUROC of steps", "the reward", told.auroc.estimate, told.auroc.low, told.auroc.high,
         told.n_right + told.n_wrong),
        *(("AUROC of steps", f"{rule} is righter", value, math.nan, math.nan, told.n_right + told.n_wrong)
          for rule, value in told.blind.items()),
        ("F1 of first wrong step", "the reward", number.interval.estimate, number.interval.low, number.interval.high,
         number.n),
        *(("F1 of first wrong step", f"{rule} is wrong" if rule != "chance" else rule, value, math.nan, math.nan,
           number.n) for rule, value in number.blind.items()),
        ("right solutions flagged", "the reward", found.alarms.estimate, found.alarms.low, found.alarms.high,
         found.alarms.n_clusters),
    ]  # fmt: skip
    for each in found.detected:
        for what, share in (("found", each.exact), ("flagged", each.any_flag)):
            label = f"right answer, wrong step ({_KINDS[each.kind]}): {what}"
            rows.append((label, "the reward", share.estimate, share.low, share.high, each.n))
    at_last = found.lowest.at_last
    rows.append(
        ("lowest score on the last step", "the reward", at_last.estimate, at_last.low, at_last.high, found.lowest.n)
    )
    note = f"Threshold {found.thresholds.mean:.3g}, {found.thresholds.tuning}."
    return Table("process_steps", "What the steps' scores tell", ("number", "of", "value", "low", "high", "n"),
                 tuple(rows), note)  # fmt: skip


def _values(found: ProcessAudit) -> dict[str, Any]:
    number, told = found.first_error.interval, found.told.auroc
    values: dict[str, Any] = {
        "process_aggregate": found.aggregate,
        "process_n_solutions": found.n_solutions,
        "process_n_problems": found.n_problems,
        "process_auroc": told.estimate,
        "process_auroc_low": told.low,
        "process_auroc_high": told.high,
        "process_f1": number.estimate,
        "process_f1_low": number.low,
        "process_f1_high": number.high,
        "process_threshold": found.thresholds.mean,
        "process_lowest_at_last": found.lowest.at_last.estimate,
        "process_false_alarms": found.alarms.estimate,
        "process_check_auroc": found.agreement.auroc.estimate,
        "process_open": _open(found),
        "process_gain": {
            name: {how: row[how].cell.interval.estimate for how in AGGREGATES}
            for name, row in closed_table(found.cells).items()
        },
    }
    values |= {f"process_detected_{each.kind}": each.exact.estimate for each in found.detected}
    return values
