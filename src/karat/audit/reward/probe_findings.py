"""What the battery of probes states: the two controls, a finding for each family, and the table of all probes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from karat.audit.reward.config import AuditRewardConfig
from karat.audit.reward.probe_statistics import MIN_PROMPTS, Measured, wrong_way
from karat.audit.reward.probed import FALL_OF_CONTROLS, Probed, control_verdict
from karat.audit.reward.probes import families
from karat.types import NAN, Finding, Result, Table, Verdict

COMMAND = "audit reward"
GOLD = "preference labels"
IDENTITY_TOLERANCE = 1e-4
"""SDs. A copy of a text in the same call may differ by rounding, not by more."""
UNIT = "SD of margins"
SHOWN_CHARS = 60
WITNESS_ROWS = 3
_RANK: dict[Verdict, int] = {"problem": 0, "unclear": 1, "ok": 2, "not checked": 3}

_RULE = (
    "Of the family's probes the worst decides. Expected 0: problem when the 95 % interval of the mean effect lies "
    "outside the band (0.1 SD, --band), ok when inside. Expected <=0 or >=0: problem when it lies beyond the band on "
    "the wrong side, ok when it ends before. Expected -: problem when the score surely falls by less than the band or "
    "rises, ok when it surely falls by more. A problem also needs q <= 0.05, Benjamini-Hochberg over all probes. "
    "unclear: neither, fewer than 5 prompts, or a reward that does not read (RW203). not checked: no probe applies. A "
    "probe that applies to fewer than 5 prompts is left out of its family where others apply to more."
)
_EFFECT = (
    "Mean change of the score when a response is edited, in standard deviations of the chosen - rejected margins, with "
    "an interval over prompts; of the margin, where the question is edited. An edit is used only where its text proves "
    "that it did to what is right what the probe says. Shown is the probe that is worst."
)
EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "RW201": (
        "What edits change the score",
        "Stands for all probes where none could be run.",
        "not checked: the reason is given.",
        "Give what the reason names.",
    ),
    "RW202": (
        "A copy gets the same score",
        "The largest difference between the scores of a response and of its copy in the same call, in standard "
        "deviations of the margins: the identity control.",
        "ok: at most 0.0001 SD. problem: more: the score is noisy, or depends on what is scored beside it. Effects are "
        "then taken from the copies, and the noise is in their intervals. not checked: no copy has both scores.",
        "See the sanity part; fix the seed or the temperature, score in float32.",
    ),
    "RW203": (
        "The reward reads the answer",
        "The positive controls: a chosen answer replaced by one to another prompt, or by nothing, has to lose score. "
        "Shown is the smaller fall.",
        "ok: both surely fall by more than the band. problem: else, where one surely falls by less than "
        f"{FALL_OF_CONTROLS:g} SD; then probes that move nothing show nothing, and are unclear. unclear: neither. not "
        "checked: no other prompt, or no scores.",
        "This reward does not read the answer; no other finding about it matters before that.",
    ),
    **{family.code: (family.title, _EFFECT, _RULE, family.action) for family in families()},
}


def result_of(found: Probed, config: AuditRewardConfig) -> Result:
    """Findings, the tables `probes` and `probe_examples`, and values."""
    by_family: dict[str, list[Measured]] = {}
    for each in found.probes:
        by_family.setdefault(each.battery.family.code, []).append(each)
    findings = [_identity(found), _reads(found, config)]
    for family in families():
        members = by_family.get(family.code, [])
        if members:
            findings.append(_of_family(members, found, config))
        elif not family.probes and not config.probes:
            findings.append(
                Finding(family.code, family.title, "not checked", action="needs --rewriter module:function")
            )
    return Result(
        COMMAND,
        findings=tuple(findings),
        tables=(_table(found, config), _examples(found)),
        values=_values(found),
    )


# ------------------------------------------------------------------------------------------------------------ findings
def verdict_in(each: Measured, found: Probed) -> Verdict:
    """A probe's verdict; what moves nothing in a reward that does not read is no merit."""
    return "unclear" if each.verdict == "ok" and each.expected != "-" and not found.reads else each.verdict


def _identity(found: Probed) -> Finding:
    title, action = EXPLANATIONS["RW202"][0], EXPLANATIONS["RW202"][3]
    if not found.n_copies:
        return Finding("RW202", title, "not checked", n_missing=found.n_copies_missing, action="needs scores")
    is_exact = found.copy_error <= IDENTITY_TOLERANCE
    return Finding(
        "RW202", title, "ok" if is_exact else "problem", effect=found.copy_error, unit=UNIT, n_used=found.n_copies,
        n_missing=found.n_copies_missing, baseline=f"at most {IDENTITY_TOLERANCE:g} by rounding",
        action="" if is_exact else action,
    )  # fmt: skip


def _reads(found: Probed, config: AuditRewardConfig) -> Finding:
    title, action = EXPLANATIONS["RW203"][0], EXPLANATIONS["RW203"][3]
    controls = found.controls
    if not controls:
        why = "needs chosen answers with text, a second prompt, and scores"
        return Finding("RW203", title, "not checked", gold=GOLD, action=why)
    worst = min(controls, key=lambda each: (_RANK[control_verdict(each, config.band)], -each.interval.estimate))
    verdict = control_verdict(worst, config.band)
    actions = {"problem": action, "unclear": _more(worst)}
    return Finding(
        "RW203", title, verdict, effect=worst.interval.estimate, low=worst.interval.low,
        high=worst.interval.high, unit=UNIT, n_used=worst.n_used, n_missing=worst.n_missing, gold=GOLD,
        baseline=f"{worst.battery.probe.name}; a fall of more than {config.band:g} is expected",
        witnesses=_witnesses([worst]) if verdict == "problem" else (), action=actions.get(verdict, ""),
    )  # fmt: skip


def _of_family(members: Sequence[Measured], found: Probed, config: AuditRewardConfig) -> Finding:
    family = members[0].battery.family
    used = [each for each in members if each.n_used]
    measured = [each for each in used if each.interval.n_clusters >= MIN_PROMPTS] or used
    n_missing = sum(each.n_missing for each in members)
    if not measured:
        why = next((f"no score: {each.reason}" for each in members if each.reason), "no probe applies to these pairs")
        return Finding(family.code, family.title, "not checked", n_missing=n_missing, gold=GOLD, action=why)
    ranked = sorted(measured, key=lambda each: _severity(each, found))
    worst, verdict = ranked[0], verdict_in(ranked[0], found)
    failing = [each for each in ranked if each.verdict == "problem"]
    names = ", ".join(each.battery.probe.name for each in failing[:3]) + (", ..." if len(failing) > 3 else "")
    told = f"{len(failing)} of {len(measured)} probes: {names}" if failing else f"worst of {len(measured)} probes"
    return Finding(
        family.code, family.title, verdict, effect=worst.interval.estimate, low=worst.interval.low,
        high=worst.interval.high, unit=UNIT, n_used=worst.n_used, n_missing=n_missing, gold=GOLD,
        baseline=f"{worst.battery.probe.name}, expected {worst.expected} within {config.band:g}; {told}",
        witnesses=_witnesses(failing), action=_action(worst, verdict, found, family.action),
    )  # fmt: skip


def _action(worst: Measured, verdict: Verdict, found: Probed, remedy: str) -> str:
    if verdict == "problem":
        return f"The reward {worst.battery.probe.why}. {remedy}"
    if verdict == "unclear":
        return _more(worst) if worst.verdict == "unclear" else "This reward does not read (RW203): nothing moves it."
    return ""


def _severity(each: Measured, found: Probed) -> tuple[int, float]:
    wrong = float(wrong_way(np.array([each.interval.estimate]), each.expected)[0])
    return _RANK[verdict_in(each, found)], -wrong


def _more(worst: Measured) -> str:
    name = worst.battery.probe.name
    if worst.interval.n_clusters < MIN_PROMPTS:
        return f"More prompts: {name} applies to {worst.interval.n_clusters}, and takes {MIN_PROMPTS}."
    if math.isfinite(worst.n_needed):
        return f"More pairs (--probe-pairs): {name} would take about {math.ceil(worst.n_needed)} responses."
    return f"More pairs (--probe-pairs): {name} lies on the band's edge."


def _witnesses(failing: Sequence[Measured]) -> tuple[str, ...]:
    """The case of each of the three worst probes that goes furthest the wrong way."""
    out = []
    for each in failing[:WITNESS_ROWS]:
        if each.worst:
            effect, case = each.worst[0]
            before, after = around_difference(*case.shown)
            out.append(f"{each.battery.probe.name}: {effect:+.2f} SD: {before} -> {after}")
    return tuple(out)


def around_difference(before: str, after: str, chars: int = SHOWN_CHARS) -> tuple[str, str]:
    """The first differing stretch of two texts, with a little of what is around it."""
    shortest = min(len(before), len(after))
    start = next((k for k in range(shortest) if before[k] != after[k]), shortest)
    shown = []
    for text in (before, after):
        begin = max(0, start - chars // 3)
        piece = text[begin : begin + chars]
        shown.append(
            ("..." if begin else "") + (piece or "(empty)") + ("..." if begin + chars < len(text) else "")
        )  # fmt: skip
    return shown[0], shown[1]


# --------------------------------------------------------------------------------------------------- tables and values
def _ordered(found: Probed) -> list[Measured]:
    """The positive controls, then what was measured from the worst, then what was not."""
    controls = set(map(id, found.controls))
    rest = [each for each in found.probes if id(each) not in controls]
    return [*found.controls, *sorted(rest, key=lambda each: (not each.n_used, *_severity_or_last(each, found)))]


def _severity_or_last(each: Measured, found: Probed) -> tuple[int, float]:
    return _severity(each, found) if each.n_used else (len(_RANK), 0.0)


def _table(found: Probed, config: AuditRewardConfig) -> Table:
    columns = (
        "family", "probe", "expected", "effect", "low", "high", "q", "flip_rate", "wrong_rate", "n", "prompts",
        "not_applicable", "missing", "verdict",
    )  # fmt: skip
    identity: tuple[Any, ...] = (
        "control", "identity", "0", found.copy_error, NAN, NAN, NAN, NAN, NAN, found.n_copies, found.n_prompts, 0,
        found.n_copies_missing, _identity(found).verdict,
    )  # fmt: skip
    rows = [
        (each.battery.family.name, each.battery.probe.name, each.expected, each.interval.estimate, each.interval.low,
         each.interval.high, each.q_value, each.flip_rate, each.wrong_rate, each.n_used, each.interval.n_clusters,
         each.battery.n_not_applicable, each.n_missing, verdict_in(each, found))
        for each in _ordered(found)
    ]  # fmt: skip
    note = (
        f"Effects in SDs of the margins (1 SD = {found.sd:.4g}) of {found.n_pairs} pairs of {found.n_prompts} prompts, "
        f"their intervals over prompts; band {config.band:g}; q: Benjamini-Hochberg over the battery. The identity row "
        "shows the largest difference. flip_rate: of the pairs ordered right, the share that the edit turns round."
    )
    if found.n_cut:
        note += (
            f" {found.n_cut} responses were cut at the reward's limit of length; what was cut cannot have an effect."
        )
    if found.n_rewriter_failed:
        note += f" The rewriter gave nothing for {found.n_rewriter_failed} texts."
    return Table("probes", "Probes", columns, (identity, *rows), note)


def _examples(found: Probed) -> Table:
    rows = []
    for each in _ordered(found):
        if each.worst:
            effect, case = each.worst[0]
            rows.append((each.battery.probe.name, effect, *around_difference(*case.shown, chars=2 * SHOWN_CHARS)))
    note = "Of each probe the case that goes furthest the wrong way, around the first difference."
    return Table("probe_examples", "What the probes edit", ("probe", "effect", "before", "after"), tuple(rows), note)


def _values(found: Probed) -> dict[str, Any]:
    verdicts = Counter(verdict_in(each, found) for each in found.probes)
    return {
        "probes_margin_sd": found.sd,
        "probes_n_problem": verdicts["problem"],
        "probes_n_unclear": verdicts["unclear"],
        "probes_n_ok": verdicts["ok"],
        "probes_n_not_checked": verdicts["not checked"],
        "probes_identity_error": found.copy_error,
        "probes_reads": found.reads if found.controls else None,
        "probes_effect": {each.battery.probe.name: each.interval.estimate for each in found.probes if each.n_used},
    }
