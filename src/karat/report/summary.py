"""What every form of the report says in the same words: the order of findings, the verdict sentence, the witnesses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from karat.report.text import escape_text, format_cell, format_effect, sentence
from karat.types import Finding, Result, Verdict

VERDICT_ORDER: tuple[Verdict, ...] = ("problem", "unclear", "ok", "not checked")

# Shown at the top of a report, in this order, where the provenance names them; all the rest follows at its end.
HEADER_KEYS = ("command", "reward", "model", "revision", "data", "pool", "gold", "fingerprint", "seed", "versions")


def checked_findings(result: Result) -> list[Finding]:
    """The findings that rest on a measurement, worst first; equals keep the order of the verb."""
    checked = [finding for finding in result.findings if finding.verdict != "not checked"]
    return sorted(checked, key=lambda finding: VERDICT_ORDER.index(finding.verdict))


def unchecked_findings(result: Result) -> list[Finding]:
    """The checks that did not run; their `action` names the input that would enable them."""
    return [finding for finding in result.findings if finding.verdict == "not checked"]


def lead_sentence(result: Result) -> str:
    """The verb's own sentence, or one that counts the verdicts."""
    if result.lead:
        return sentence(escape_text(result.lead))
    if not result.findings:
        return f"karat {result.command} finished; it checks nothing by itself."
    counts = dict.fromkeys(VERDICT_ORDER, 0)
    for finding in result.findings:
        counts[finding.verdict] += 1
    words = {"problem": "problem" if counts["problem"] == 1 else "problems"}
    parts = [f"{count} {words.get(verdict, verdict)}" for verdict, count in counts.items() if count]
    return f"{', '.join(parts)}."


def worst_witnesses(result: Result, limit: int) -> list[tuple[Finding, str]]:
    """At most `limit` witnesses of problems, then of unclear findings: the first of each, then the second of each."""
    found: list[tuple[Finding, str]] = []
    for verdict in ("problem", "unclear"):
        findings = [finding for finding in result.findings if finding.verdict == verdict]
        for position in range(max((len(finding.witnesses) for finding in findings), default=0)):
            found += [
                (finding, finding.witnesses[position]) for finding in findings if position < len(finding.witnesses)
            ]
    return found[:limit]


def scalar_values(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The values that are one number or one short text, ready to print; `x`, `x_low` and `x_high` become one row."""
    plain = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}
    bounds: dict[str, tuple[float, float]] = {}
    for name, value in plain.items():
        low, high = plain.get(f"{name}_low"), plain.get(f"{name}_high")
        if isinstance(value, float) and isinstance(low, float) and isinstance(high, float):
            bounds[name] = (low, high)
    skipped = {f"{name}_{end}" for name in bounds for end in ("low", "high")}
    rows = []
    for name, value in plain.items():
        if name in bounds:
            rows.append((escape_text(name), format_effect(value, *bounds[name])))
        elif name not in skipped and (value is None or isinstance(value, bool | int | float | str)):
            rows.append((escape_text(name), format_cell(value)))
    return rows


def provenance_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Provenance as flat (name, text) rows; nested mappings get dotted names."""
    rows: list[tuple[str, str]] = []
    for name, value in provenance.items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{escape_text(str(name))}.{inner}", text) for inner, text in provenance_rows(value)]
        elif isinstance(value, list | tuple):
            rows.append((escape_text(str(name)), ", ".join(_as_written(item) for item in value)))
        else:
            rows.append((escape_text(str(name)), _as_written(value)))
    return rows


def header_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of provenance that identify the run, for the top of the report."""
    rows = []
    for key in HEADER_KEYS:
        for name in (key, f"{key}_fingerprint"):
            value = provenance.get(name)
            if value is None or value == "":
                continue
            if isinstance(value, Mapping):
                text = ", ".join(f"{inner} {shown}" for inner, shown in provenance_rows(value))
            else:
                text = provenance_rows({name: value})[0][1]
            rows.append((name.replace("_", " "), text))
    return rows


def _as_written(value: object) -> str:
    """Provenance is evidence: numbers keep all their digits and no separators."""
    return escape_text(str(value.tolist() if hasattr(value, "tolist") else value))
