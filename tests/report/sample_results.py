"""Results for the report's tests: numbers by hand, text as hostile as text can be."""

from __future__ import annotations

import math

from karat.types import Finding, Result, Table

HOSTILE = (
    "He said \x1b[31mred\x1b]52;c;QUFBQQ==\x07 <script>alert(1)</script> <img src=x onerror=alert(2)> "
    "\u202eevil\u202c zero\u200bwidth \x9b2J \ud800 tag\U000e0041 世界 {{ 7*7 }} {% raw %} $x_1$ | `code` **b** "
    "[x](https://evil.example/a.js) @someone https://evil.example"
)


def finding(number: int, verdict: str = "ok", **changes: object) -> Finding:
    effect = 0.01 * number
    fields: dict[str, object] = {
        "code": f"RM{100 + number}",
        "title": f"Probe number {number}",
        "verdict": verdict,
        "effect": effect,
        "low": effect - 0.03,
        "high": effect + 0.04,
        "unit": "SD per 100 tokens",
        "n_used": 1204,
        "baseline": "0 (identity)",
    }
    if verdict == "not checked":
        fields |= {"effect": math.nan, "low": math.nan, "high": math.nan, "n_used": 0, "action": "needs --gold COLUMN"}
    return Finding(**{**fields, **changes})  # type: ignore[arg-type]


TABLES = (
    Table(
        "reliability",
        "Reliability",
        ("predicted", "observed", "low", "high", "n"),
        ((0.55, 0.5, 0.4, 0.6, 40), (0.75, 0.65, 0.55, 0.75, 44), (0.95, 0.8, 0.7, 0.9, 41)),
    ),
    Table(
        "accuracy_by_source",
        "Accuracy by source",
        ("source", "accuracy", "low", "high", "baseline", "n"),
        (("harmless", 0.63, 0.58, 0.68, 0.61, 300), (HOSTILE, 0.72, 0.66, 0.78, 0.57, 187)),
    ),
    Table(
        "accuracy_by_length_gap",
        "Accuracy by length gap",
        ("length gap", "accuracy", "low", "high", "baseline", "n"),
        (("-200 to -50", 0.41, 0.33, 0.49, 0.0, 140), ("50 to 200", 0.78, 0.7, 0.86, 1.0, 160)),
    ),
    Table("dropped", "Dropped rows", ("reason", "rows"), ((HOSTILE, 12), ("tie", math.nan)), note="Rows count from 0."),
)


def full_result() -> Result:
    """Twelve findings of all verdicts, hostile witnesses, every table that has a figure, and a loss curve."""
    findings = (
        finding(9, "ok"),
        finding(1, "problem", witnesses=(HOSTILE, "second", "third"), action="Train on more pairs.", n_missing=3),
        finding(2, "unclear", witnesses=("unclear witness",), action="Score 2,000 pairs."),
        *(finding(number) for number in range(10, 17)),
        finding(3, "not checked"),
        finding(4, "not checked", action="needs --pool"),
    )
    return Result(
        "check",
        findings,
        TABLES,
        {"accuracy": 0.612, "losses": [1.0, 0.9, math.nan, 0.7, 0.6], "top": math.inf},
        ("out/report.html", "out/result.json"),
        {"command": "karat check", "reward": HOSTILE, "seed": 0, "versions": {"karat": "0.1.0"}, "config": {"lr": 0.1}},
        lead="The reward pays for length",
    )
