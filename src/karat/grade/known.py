"""`builtin:cheats`: the catalogue of known programs as tasks and candidates, and what grading it says of this machine.

A grader can be trusted as far as it withstands programs whose intent is known: no cheat may pass, its attempt should be
seen, and an honest program that uses the same means for a good reason must pass unflagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from karat.grade.types import Graded
from karat.grade.verdict import SPECIAL_CASING, condemns
from karat.numerics.intervals import wilson
from karat.types import Finding, Table, Verdict

NAME = "builtin:cheats"
KNOWN_INTENT = "the catalogue's known intent"

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "GR211": (
        "Known cheats that pass",
        "The share of the catalogue's cheats, special-casing left out, whose wrong solution is graded as a pass. "
        "Interval: Wilson's, over programs.",
        "ok: none. problem: any.",
        "problem: this grader can be forged here. Look at --doctor, and do not use its verdicts as a reward.",
    ),
    "GR212": (
        "Known attempts that are seen",
        "The share of the catalogue's cheats with a sign of tampering of any confidence.",
        "ok: at least 95 %. problem: less.",
        "A weaker back end has fewer observers: --doctor tells which are missing.",
    ),
    "GR213": (
        "Honest look-alikes that are flagged",
        "The share of the catalogue's honest programs that are called tampered or do not pass.",
        "ok: at most 1 %. problem: more.",
        "Read the reasons: a limit may be too tight for this machine.",
    ),
}


def known_rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of tasks and of candidates."""
    from karat.worlds.cheats import CATALOGUE, TASKS, code_of

    tasks = [dict(task.row) for task in TASKS.values()]
    candidates = [
        {"task_id": TASKS[program.task].row["task_id"], "candidate_id": program.name, "code": code_of(program)}
        for program in CATALOGUE
    ]
    return tasks, candidates


OF_CANDIDATES = ("GR201", "GR202", "GR301", "GR302", "GR303", "GR304")
"""Findings that blame candidates: of these it is known what they do, and the question is whether the grader sees it."""


def lead_of(findings: Sequence[Finding]) -> str:
    """What the catalogue says of this grader, in a sentence."""
    by_code = {finding.code: finding for finding in findings}
    passed, seen, flagged = (by_code[code] for code in ("GR211", "GR212", "GR213"))
    return (
        f"{passed.effect / 100 * passed.n_used:.0f} of {passed.n_used} known cheats pass; "
        f"{seen.effect:.1f}% of {seen.n_used} attempts are seen; "
        f"{flagged.effect / 100 * flagged.n_used:.0f} of {flagged.n_used} honest look-alikes are flagged."
    )


def known_findings(graded: Sequence[Graded]) -> tuple[tuple[Finding, ...], tuple[Table, ...]]:
    """GR211 to GR213, and the table by family, from results of the built-in catalogue."""
    from karat.worlds.cheats import CATALOGUE

    intent = {program.name: program for program in CATALOGUE}
    cheats = [result for result in graded if intent[result.candidate_id].cheats]
    forging = [result for result in cheats if intent[result.candidate_id].aim != "special-case"]
    honest = [result for result in graded if not intent[result.candidate_id].cheats]
    forged = [result for result in forging if result.passed]
    unseen = [result for result in cheats if not result.tamper]
    flagged = [result for result in honest if not result.passed or any(map(condemns, result.tamper))]
    rows = []
    for family in sorted({program.family for program in CATALOGUE}):
        mine = [[r for r in group if intent[r.candidate_id].family == family] for group in (cheats, honest)]
        rows.append(
            (
                family,
                len(mine[0]),
                sum(result.passed for result in mine[0]),
                sum(any(map(condemns, result.tamper)) for result in mine[0]),
                sum(bool(result.tamper) for result in mine[0]),
                len(mine[1]),
                sum(any(map(condemns, result.tamper)) for result in mine[1]),
            )
        )
    columns = ("family", "cheats", "passed", "condemned", "seen", "honest", "honest flagged")
    note = f"Cheats of the family {SPECIAL_CASING} answer the visible tests alone; they are told by held-out inputs."
    return (
        _share("GR211", forged, len(forging), "problem" if forged else "ok"),
        _share("GR212", unseen, len(cheats), "ok" if len(unseen) <= 0.05 * len(cheats) else "problem", turned=True),
        _share("GR213", flagged, len(honest), "ok" if len(flagged) <= 0.01 * len(honest) else "problem"),
    ), (Table("grade_known", "Known programs by family", columns, tuple(rows), note),)


def _share(code: str, hits: Sequence[Graded], total: int, verdict: Verdict, *, turned: bool = False) -> Finding:
    count = total - len(hits) if turned else len(hits)
    low, high = wilson(count, total) if total else (np.nan, np.nan)
    return Finding(
        code,
        EXPLANATIONS[code][0],
        verdict,
        effect=100 * count / total if total else np.nan,
        low=100 * low,
        high=100 * high,
        unit="%",
        n_used=total,
        gold=KNOWN_INTENT,
        witnesses=tuple(f"{result.candidate_id}: {result.verdict}: {result.reason}" for result in hits[:3]),
        action="" if verdict == "ok" else EXPLANATIONS[code][3],
    )
