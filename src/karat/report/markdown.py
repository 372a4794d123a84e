"""A result as Markdown, to paste into a pull request or a lab notebook.

Text from data goes into code spans, where Markdown, HTML and @mentions mean nothing, or is escaped character by
character.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from karat.report.summary import (
    checked_findings,
    header_rows,
    lead_sentence,
    scalar_values,
    unchecked_findings,
    worst_witnesses,
)
from karat.report.text import escape_text, format_count, format_effect, format_rows, shorten
from karat.types import Result, Table

_ROW_LIMIT = 50
_CELL_LIMIT = 300
_WITNESS_LIMIT = 3


def render_markdown(result: Result) -> str:
    """The result as GitHub-flavoured Markdown, ending in a newline."""
    head = f"**{result.verdict}**: " if result.findings else ""
    blocks = [f"# karat {_plain(result.command)}", head + _plain(lead_sentence(result))]
    checked = checked_findings(result)
    if checked:
        header = ("check", "effect [low, high]", "unit", "n", "baseline", "verdict")
        rows = [
            (
                f"{_code(finding.code)} {_plain(finding.title)}",
                format_effect(finding.effect, finding.low, finding.high),
                _plain(finding.unit),
                format_count(finding.n_used, finding.n_failed, finding.n_missing),
                _plain(finding.baseline),
                finding.verdict,
            )
            for finding in checked
        ]
        blocks.append(_table(header, rows))
    witnesses = [
        f"- {_code(finding.code)}: {_code(shorten(witness, _CELL_LIMIT))}"
        for finding, witness in worst_witnesses(result, _WITNESS_LIMIT)
    ]
    actions = [
        f"- {_code(finding.code)}: {_plain(finding.action)}"
        for finding in checked
        if finding.action and finding.verdict != "ok"
    ]
    unchecked = [
        f"- {_code(finding.code)} {_plain(finding.title)}" + (f": {_plain(finding.action)}" if finding.action else "")
        for finding in unchecked_findings(result)
    ]
    values = [f"- {_plain(name)}: {_plain(text)}" for name, text in scalar_values(result.values)]
    provenance = [f"- {_plain(name)}: {_code(text)}" for name, text in header_rows(result.provenance)]
    files = [f"- {_code(path)}" for path in result.files]
    blocks += _section("Worst examples", witnesses)
    blocks += _section("What to do", actions)
    blocks += _section("What was not checked", unchecked)
    blocks += _section("Values", values)
    for table in result.tables:
        blocks += _section(_plain(table.title), [_data_table(table)])
    blocks += _section("Provenance", provenance)
    blocks += _section("Files written", files)
    return "\n\n".join(blocks) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(lines)] if lines else []


def _data_table(table: Table) -> str:
    kept = format_rows(table.rows[:_ROW_LIMIT], limit=_CELL_LIMIT)
    rows = [tuple(_plain(cell) for cell in row) for row in kept]
    text = _table([_plain(column) for column in table.columns], rows)
    notes = [_plain(table.note)] if table.note else []
    if len(kept) < len(table.rows):
        notes.append(f"First {len(kept):,} of {len(table.rows):,} rows.")
    return f"{text}\n\n{' '.join(notes)}" if notes else text


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text with every character that Markdown, HTML or GitHub would act on escaped; no @ mentions, no links."""
    text = re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", escape_text(text))
    return text.replace("://", r"\://").replace("@", "@<!-- -->")


def _code(text: str) -> str:
    """A code span around text that may hold backticks; a pipe would end a table cell even there."""
    text = escape_text(text).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if longest or not text.strip() else ""
    return f"{fence}{padding}{text}{padding}{fence}"
