"""DA101 to DA107: repeated and contradictory pairs, and rows whose two sides are no comparison.

Axes: P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow.compute as pc

from karat.audit.data.duplicates import Duplicates
from karat.audit.data.near import plan_for
from karat.audit.data.structure_findings import (
    REPEATS_THAT_MATTER,
    finding,
    first_three,
    not_checked,
    share,
    shown,
    verdict_of,
)
from karat.audit.data.table import PairTable
from karat.data.pairs import BOTH_EMPTY, SAME
from karat.numerics.intervals import Interval, wilson
from karat.types import Finding, Table

DIFFER = "prompts differ"
_ROWS = "share of rows and pairs read"
ALIKE = "Read those that differ in case or white space alone: right where that is judged (code), else an export error."


@dataclass(frozen=True, slots=True)
class Sides:
    """Which sides have no text, by pair, and which are equal but for white space after the end."""

    chosen_empty_P: np.ndarray
    rejected_empty_P: np.ndarray
    same_P: np.ndarray


def find_sides(table: PairTable) -> Sides:
    """White space counts as no text."""
    chosen, rejected = (pc.utf8_rtrim_whitespace(column).fill_null("") for column in (table.chosen, table.rejected))
    return Sides(
        *(
            np.asarray(equal.to_numpy(), np.bool_)
            for equal in (pc.equal(chosen, ""), pc.equal(rejected, ""), pc.equal(chosen, rejected))
        )
    )


def repeat_findings(table: PairTable, found: Duplicates, *, near: float) -> tuple[Finding, ...]:
    """DA101 to DA103."""
    if len(table) < 2:
        return tuple(
            not_checked(code, "one pair repeats and contradicts nothing: give more")
            for code in ("DA101", "DA102", "DA103")
        )
    return (_exact(table, found), _near(table, found, near), _opposite(table, found))


def side_findings(table: PairTable, found: Duplicates, sides: Sides) -> tuple[Finding, ...]:
    """DA104 to DA107, from the pairs that are there and the accounts of what the reader dropped."""
    lost = _lost_by_reason(table)
    n = len(table) + sum(count for count, _ in lost.values())
    no_tie_P = table.label_P != 0.5
    alike_P = found.identical_P & ~sides.same_P & no_tie_P
    others = sum(count for reason, (count, _) in lost.items() if reason not in (SAME, BOTH_EMPTY, DIFFER))
    reasons = sorted(
        ((count, reason) for reason, (count, _) in lost.items() if reason not in (SAME, BOTH_EMPTY, DIFFER)),
        reverse=True,
    )
    differ, differ_rows = lost.get(DIFFER, (0, ()))
    nothing = np.empty(0, np.int64)
    return (
        _same(table, np.flatnonzero(sides.same_P & no_tie_P), np.flatnonzero(alike_P), lost.get(SAME, (0, ())), n),
        _empty(table, sides, lost.get(BOTH_EMPTY, (0, ()))[0], n),
        _of_rows("DA106", differ, n, nothing, table, dropped=differ_rows),
        _of_rows("DA107", others, n, nothing, table, baseline="; ".join(f"{why} ({k})" for k, why in reasons[:3])),
    )


def repeat_table(found: Duplicates, table: PairTable) -> Table:
    """Counts behind the findings."""
    _, size_G = np.unique(found.near_group_P, return_counts=True)
    rows = (
        ("pairs", len(table)),
        ("exact repetitions of an earlier pair", int((found.exact_of_P >= 0).sum())),
        ("near repetitions", int(found.near_P.sum())),
        ("groups of two or more", int((size_G > 1).sum())),
        ("largest group", int(size_G.max())),
        ("same responses, other preference", int(found.opposite_P.sum())),
        ("the same by one annotator, or none named", int(found.own_opposite_P.sum())),
        ("near repetitions with the sides exchanged", int(found.near_opposite_P.sum())),
        ("labelled by several annotators", int(found.relabelled_P.sum())),
    )
    return Table("repeats", "Repeated pairs", ("what", "pairs"), rows, "Groups: exact and near repetitions together.")


def _exact(table: PairTable, found: Duplicates) -> Finding:
    repeat_P = found.exact_of_P >= 0
    interval = share(repeat_P, table.prompt_codes)
    at = np.flatnonzero(repeat_P)
    return finding(
        "DA101", verdict_of(interval, REPEATS_THAT_MATTER), interval, n_used=len(table),
        baseline=f"{at.size} of {len(table)} pairs",
        witnesses=tuple(
            f"{table.where(i)} repeats {table.where(int(found.exact_of_P[i]))}: {_prompt(table, i)}"
            for i in first_three(at)
        ),
    )  # fmt: skip


def _near(table: PairTable, found: Duplicates, near: float) -> Finding:
    interval = share(found.near_P, table.prompt_codes)
    plan, at = plan_for(near, 2), np.flatnonzero(found.near_P)
    verdict = verdict_of(interval, REPEATS_THAT_MATTER)
    action = {}
    if not found.is_complete:
        action = {"action": "Too many candidates to compare them all (templates?): a higher --near has fewer."}
        verdict = "unclear" if verdict == "ok" else verdict
    return finding(
        "DA102", verdict, interval, n_used=len(table),
        baseline=f"{at.size} of {len(table)} pairs; recall at an index of {near:g} in all parts "
        f"{plan.recall(near, near):.1%}, with equal prompts {plan.recall(1.0, near):.2%}",
        witnesses=tuple(
            f"{table.where(i)} is near {table.where(int(found.near_group_P[i]))}: {_prompt(table, i)}"
            for i in first_three(at)
        ),
        **action,
    )  # fmt: skip


def _opposite(table: PairTable, found: Duplicates) -> Finding:
    interval = share(found.own_opposite_P, table.prompt_codes)
    at = np.flatnonzero(found.own_opposite_P)
    between = int((found.opposite_P & ~found.own_opposite_P).sum())
    baseline = f"{at.size} of {len(table)} pairs"
    if between:
        baseline += f"; {between} more between different annotators"
    if found.near_opposite_P.any():
        baseline += f"; {int(found.near_opposite_P.sum())} near repetitions with the sides exchanged"
    group, first = np.unique(found.near_group_P[at], return_index=True)
    shown_pairs = []
    for number in np.sort(first)[:3]:
        here = int(at[number])
        other = int(at[np.flatnonzero(found.near_group_P[at] == found.near_group_P[here])[-1]])
        shown_pairs.append(f"{table.where(here)} and {table.where(other)}: {_prompt(table, here)}")
    return finding(
        "DA103", "problem" if group.size else "ok", interval, n_used=len(table), baseline=baseline,
        witnesses=tuple(shown_pairs),
    )  # fmt: skip


def _empty(table: PairTable, sides: Sides, n_dropped: int, n: int) -> Finding:
    empty_P = sides.chosen_empty_P | sides.rejected_empty_P
    won = int((sides.chosen_empty_P & (table.label_P > 0.5)).sum())
    count = int(empty_P.sum()) + n_dropped
    interval = Interval(count / n, *wilson(count, n), n, "wilson")
    verdict = "problem" if won else verdict_of(interval, REPEATS_THAT_MATTER)
    return finding(
        "DA105", verdict, interval, _ROWS, n_used=n,
        baseline=f"both empty {n_dropped} (dropped), chosen empty {won}, rejected empty "
        f"{int(sides.rejected_empty_P.sum())}",
        witnesses=tuple(f"{table.where(i)}: {_prompt(table, i)}" for i in first_three(np.flatnonzero(empty_P))),
    )  # fmt: skip


def _same(
    table: PairTable, same: np.ndarray, alike: np.ndarray, dropped: tuple[int, tuple[int, ...]], n: int
) -> Finding:
    """DA104. Sides that differ in case or in other white space may differ in what is judged (code, capitals)."""
    told = f"{dropped[0]} byte by byte (dropped), {same.size} but for white space at the end (kept)"
    found = _of_rows("DA104", dropped[0] + same.size, n, same, table, baseline=told, dropped=dropped[1])
    if not alike.size:
        return found
    found = replace(found, baseline=f"{found.baseline}; {alike.size} more but for case or other white space (kept)")
    if found.verdict == "problem" or alike.size <= REPEATS_THAT_MATTER * n:
        return found
    read = tuple(f"{table.where(i)}: {_prompt(table, i)}" for i in first_three(alike))
    return replace(found, verdict="unclear", witnesses=read, action=ALIKE)


def _of_rows(
    code: str,
    count: int,
    n: int,
    at: np.ndarray,
    table: PairTable,
    *,
    baseline: str = "",
    dropped: tuple[int, ...] = (),
) -> Finding:
    """A share of all rows; witnesses are kept pairs, then dropped rows."""
    interval = Interval(count / n, *wilson(count, n), n, "wilson")
    witnesses = [f"{table.where(i)}: {_prompt(table, i)}" for i in first_three(at)]
    witnesses += [f"row {row} (dropped)" for row in dropped]
    return finding(
        code, verdict_of(interval, REPEATS_THAT_MATTER), interval, _ROWS, n_used=n,
        baseline=f"{count} of {n}" + (f": {baseline}" if baseline and count else ""), witnesses=tuple(witnesses[:3]),
    )  # fmt: skip


def _lost_by_reason(table: PairTable) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Rows dropped, and pairs left out of rows with several, by reason: count and first rows."""
    lost: dict[str, tuple[int, tuple[int, ...]]] = {}
    left_out = "a pair of several in the row left out: "
    for account in table.accounts:
        for entry in account:
            if entry.action != "dropped" and not entry.reason.startswith(left_out):
                continue
            reason = entry.reason.removeprefix(left_out)
            reason = SAME if reason.startswith(SAME) else reason
            count, rows = lost.get(reason, (0, ()))
            lost[reason] = (count + entry.count, (*rows, *entry.first_rows))
    return lost


def _prompt(table: PairTable, index: int) -> str:
    return shown(table.prompt[index].as_py() or "")
