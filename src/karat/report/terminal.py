"""A result on a terminal: the answer in at most 25 lines, worst first.

Each line but the sentences is cut to the width, never wrapped, so that a line of this text is a line of the screen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from karat.report.summary import checked_findings, lead_sentence, scalar_values, unchecked_findings, worst_witnesses
from karat.report.text import escape_text, format_effect
from karat.types import Finding, Result, Table, Verdict

LINE_LIMIT = 25
WITNESS_LIMIT = 3
_LABEL = 13  # columns taken by "not checked  ", the longest label of a line

_COLOURS: dict[Verdict, str] = {"problem": "31", "unclear": "33", "ok": "32", "not checked": "2"}
_GAP = "  "
_ACCOUNTS = {"account": ("rows", 2), "account_test": ("test rows", 1)}
"""Tables of what happened to the rows of a source: label and most lines of each."""


def render_terminal(result: Result, *, width: int = 80, colour: bool = False) -> str:
    """The result as text of at most 25 lines, ending in a newline.

    Args:
        result: what a verb returned.
        width: columns of the terminal; below 40 it is taken as 40.
        colour: mark the verdicts with ANSI colours.
    """
    width = max(width, 40)
    head = _head(result, width, colour)
    tail = [
        line
        for block in (
            _witness_lines(result, width),
            _unchecked_lines(result, width),
            _account_lines(result, width),
            _closing_lines(result, width),
        )
        if block
        for line in ("", *block)
    ]
    room = LINE_LIMIT - len(head) - len(tail) - 1  # 1: the blank line above the table
    body = _table(checked_findings(result), width, room, colour) if result.findings else _values(result, width, room)
    lines = [*head, *(["", *body] if body else []), *tail]
    assert len(lines) <= LINE_LIMIT, f"{len(lines)} lines"
    return "\n".join(line.rstrip() for line in lines) + "\n"


# -------------------------------------------------------------------------------------------------------------- blocks
def _head(result: Result, width: int, colour: bool) -> list[str]:
    """The verdict and the sentence that gives it, at most three lines."""
    verdict = result.verdict
    sentence = lead_sentence(result)
    if not result.findings:  # nothing was there to be judged: no verdict to shout about
        return _wrap(sentence, width, 3)
    first, *rest = _wrap(f"{verdict}: {sentence}", width, 3)
    return [_paint(verdict, verdict, colour) + first[len(verdict) :], *rest]


def _table(findings: Sequence[Finding], width: int, room: int, colour: bool) -> list[str]:
    """check | effect [low, high] | n | baseline | verdict; the mildest rows are only counted where room ends."""
    if not findings:
        return []
    header, rows = _cells(findings, units=True)
    natural = _natural_widths([header, *rows])
    if sum(natural) + len(_GAP) * (len(natural) - 1) > width:  # the unit goes before any digit of an interval does
        header, rows = _cells(findings, units=False)
        natural = _natural_widths([header, *rows])
    widths = _fit(natural, width)
    shown = len(rows) if len(rows) + 1 <= room else room - 2
    left_over = findings[shown:]
    lines = [_join(header, widths)]
    for finding, row in zip(findings[:shown], rows, strict=False):
        line = _join(row[:-1], widths[:-1])
        lines.append(line + _GAP + _paint(row[-1], finding.verdict, colour))
    if left_over:
        counts = {finding.verdict: 0 for finding in left_over}
        for finding in left_over:
            counts[finding.verdict] += 1
        summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        summary = f"all {left_over[0].verdict}" if len(counts) == 1 else summary
        lines.append(_cut(f"... and {len(left_over)} more: {summary}", width))
    return lines


def _cells(findings: Sequence[Finding], *, units: bool) -> tuple[list[str], list[list[str]]]:
    """Header and rows as text; the count shows the rows lost (failed or missing) where any finding has such."""
    incomplete = any(finding.n_failed or finding.n_missing for finding in findings)
    header = ["check", "effect [low, high]", "n (lost)" if incomplete else "n", "baseline", "verdict"]
    rows = []
    for finding in findings:
        effect = format_effect(finding.effect, finding.low, finding.high)
        count = f"{finding.n_used:,}"
        if finding.n_failed or finding.n_missing:
            count += f" ({finding.n_failed + finding.n_missing:,})"
        rows.append(
            [
                f"{escape_text(finding.code)} {escape_text(finding.title)}",
                f"{effect} {escape_text(finding.unit)}".rstrip() if units else effect,
                count,
                escape_text(finding.baseline) or "-",
                finding.verdict,
            ]
        )
    return header, rows


def _values(result: Result, width: int, room: int) -> list[str]:
    """What a verb without findings has to say: its plain numbers."""
    rows = scalar_values(result.values)
    if not rows:
        return []
    shown = rows if len(rows) <= room else rows[: room - 1]
    stem = max(cell_len(name) for name, _ in shown)
    lines = [_cut(f"{_pad(name, stem)}{_GAP}{text}", width) for name, text in shown]
    left_over = len(rows) - len(shown)
    return [*lines, _cut(f"... and {left_over} more (--json has all)", width)] if left_over else lines


def _witness_lines(result: Result, width: int) -> list[str]:
    found = worst_witnesses(result, WITNESS_LIMIT)
    stem = max((cell_len(escape_text(finding.code)) for finding, _ in found), default=0)
    lines = []
    for position, (finding, witness) in enumerate(found):
        label = "worst" if position == 0 else ""
        code = _pad(escape_text(finding.code), stem)
        lines.append(_cut(f"{_pad(label, _LABEL)}{code}{_GAP}{escape_text(witness)}", width))
    return lines


def _unchecked_lines(result: Result, width: int) -> list[str]:
    """What was not checked and which input would enable it, as one paragraph of at most three lines."""
    parts = []
    for finding in unchecked_findings(result):
        needs = escape_text(finding.action).rstrip(".")
        parts.append(f"{escape_text(finding.code)} {escape_text(finding.title)}" + (f" ({needs})" if needs else ""))
    return _labelled("not checked", "; ".join(parts), width, 3) if parts else []


def _account_lines(result: Result, width: int) -> list[str]:
    """What became of rows that gave no record, or another than they said, and what was noted on the way."""
    lines = []
    for table in result.tables:
        if table.name in _ACCOUNTS:
            label, limit = _ACCOUNTS[table.name]
            parts = [_account_part(table, action) for action in ("dropped", "changed", "noted")]
            text = "; ".join(filter(None, parts))
            lines += _labelled(label, text, width, limit) if text else []
    return lines


def _account_part(table: Table, action: str) -> str:
    action_at, reason_at, count_at = (table.columns.index(name) for name in ("action", "reason", "count"))
    found = [(row[count_at], escape_text(str(row[reason_at]))) for row in table.rows if row[action_at] == action]
    if not found:
        return ""
    if len(found) == 1:
        return f"{found[0][0]:,} {action}: {found[0][1]}"
    reasons = ", ".join(f"{reason} ({count:,})" for count, reason in found)
    # A row is dropped once; it may be changed in several ways, so that those counts add up to nothing.
    return (
        f"{sum(count for count, _ in found):,} {action}: {reasons}" if action == "dropped" else f"{action}: {reasons}"
    )


def _closing_lines(result: Result, width: int) -> list[str]:
    """What to do about the worst finding, and the files; paths are not cut, they are there to be copied."""
    lines: list[str] = []
    worst = next((finding for finding in checked_findings(result) if finding.verdict != "ok"), None)
    if worst is not None:
        explain = f"karat explain {escape_text(worst.code)}"
        action = escape_text(worst.action).rstrip(".")
        text = f"{action}. See: {explain}" if action else explain
        if len(textwrap.wrap(text, width - _LABEL, break_on_hyphens=False)) > 2:
            text = action
        lines += _labelled("do this", text, width, 2)
    paths = [escape_text(path) for path in result.files]
    label = "written"
    if paths and len(", ".join(paths)) <= width - _LABEL:
        return [*lines, _pad(label, _LABEL) + ", ".join(paths)]
    if len(paths) > 3:
        paths = [*paths[:2], f"and {len(paths) - 2} more files"]
    return lines + [_pad(label if position == 0 else "", _LABEL) + path for position, path in enumerate(paths)]


# --------------------------------------------------------------------------------------------------------------- lines
def _natural_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]


def _fit(natural: Sequence[int], width: int) -> list[int]:
    """Column widths that fill at most `width`, 0 for a column that is left out.

    The baseline and the check give way first, then the baseline goes, then the count; the effect is cut at the very
    last and the verdict never: "problem" is the one word that must arrive.
    """
    check, effect, count, baseline, _ = range(5)
    widths: list[int] = []
    for left_out in ((), (baseline,), (baseline, count)):
        widths = [0 if column in left_out else size for column, size in enumerate(natural)]
        room = width - len(_GAP) * (len(widths) - len(left_out) - 1)
        for column, least in ((baseline, 12), (check, 16 if len(left_out) < 2 else 8)):
            widths[column] -= max(0, min(sum(widths) - room, widths[column] - least))
        if sum(widths) <= room:
            return widths
    widths[effect] -= sum(widths) - room
    return widths


def _join(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(_pad(_cut(cell, width), width) for cell, width in zip(cells, widths, strict=True) if width)


def _pad(text: str, width: int) -> str:
    """`text` with blanks up to `width` columns of the screen (a CJK character takes two)."""
    return text + " " * (width - cell_len(text))


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def _wrap(text: str, width: int, limit: int) -> list[str]:
    """At most `limit` lines; what does not fit is cut with an ellipsis."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    lines = lines if len(lines) <= limit else [*lines[: limit - 1], " ".join(lines[limit - 1 :])]
    return [_cut(line, width) for line in lines]


def _labelled(label: str, text: str, width: int, limit: int) -> list[str]:
    lines = _wrap(text, width - _LABEL, limit)
    return [_pad(label if position == 0 else "", _LABEL) + line for position, line in enumerate(lines)]


def _paint(text: str, verdict: Verdict, colour: bool) -> str:
    return f"\x1b[{_COLOURS[verdict]}m{text}\x1b[0m" if colour else text
