"""A result as one self-contained HTML page: no network, no script, light, dark and print.

The page is a frame and a list of sections. A section is a function of the result that returns what its template shows,
or None where there is nothing to show; a new kind of section is one more function in SECTIONS and one more template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from karat import __version__
from karat.report.grade_figures import GRADE_FIGURES
from karat.report.panels import PANELS
from karat.report.plots import FIGURES, Plot, forest, losses
from karat.report.process_figures import PROCESS_FIGURES
from karat.report.summary import (
    checked_findings,
    header_rows,
    lead_sentence,
    provenance_rows,
    scalar_values,
    unchecked_findings,
)
from karat.report.text import (
    escape_short,
    escape_text,
    format_count,
    format_effect,
    format_rows,
    shorten,
)
from karat.report.watch_figures import WATCH_FIGURES
from karat.types import Finding, Result, Table

if TYPE_CHECKING:
    import jinja2

SIZE_LIMIT_BYTES = 1_500_000
"""A page that is mailed and opened in a browser stays below this; all the data is in result.json."""
WITNESS_LIMIT = 3
_LOSSES = "losses"
"""Name of the series in the values, and of the table that may go with it."""
_NAMED_LOSSES = 8
_TALL_ROWS = 16
"""A longer table beside a figure scrolls on the screen; printed, it is whole."""


DRAWN = {**FIGURES, **PANELS, **GRADE_FIGURES, **PROCESS_FIGURES, **WATCH_FIGURES}
"""Table name -> the figure drawn beside it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the data one page shows. What is cut is said where it is cut."""

    rows: int
    cell: int
    witness: int
    items: int
    """Findings, tables or entries of provenance."""


# Tried in turn until the page is small enough.
_LIMITS = (
    Limits(rows=200, cell=300, witness=2000, items=200),
    Limits(rows=50, cell=120, witness=500, items=100),
    Limits(rows=12, cell=60, witness=120, items=40),
)


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page: its anchor, its heading, its template and what the template shows."""

    anchor: str
    title: str
    template: str
    data: Mapping[str, Any]


def render_html(result: Result) -> str:
    """The page, below SIZE_LIMIT_BYTES. The same result gives the same bytes.

    Long tables and long witnesses are cut, and the page says so; hopelessly long data is cut harder.
    """
    page = ""
    for limits in _LIMITS:
        page = _render(result, limits)
        if len(page.encode()) < SIZE_LIMIT_BYTES:
            break
    return page


def _render(result: Result, limits: Limits) -> str:
    sections = [section for build in SECTIONS if (section := build(result, limits)) is not None]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            command=escape_text(result.command),
            verdict=result.verdict,
            lead=shorten(lead_sentence(result), 1000),
            judged=bool(result.findings),
            header=_cut_rows(header_rows(result.provenance), limits),
            sections=sections,
            version=__version__,
        )
    )


# ------------------------------------------------------------------------------------------------------------ sections
def findings_section(result: Result, limits: Limits) -> Section | None:
    """The table of all findings that rest on a measurement, worst first, and the plots of those that share a unit."""
    findings = checked_findings(result)[: limits.items]
    if not findings:
        return None
    plots = [forest(f"effects-{number}", group) for number, group in enumerate(_by_unit(findings), start=1)]
    data = {
        "rows": [_finding_row(finding, limits) for finding in findings],
        "anchors": _finding_anchors(result),
        "plots": [plot for plot in plots if plot is not None],
    }
    return Section("findings", "Findings", "findings.html.j2", data)


def details_section(result: Result, limits: Limits) -> Section | None:
    """What to do and the witnesses, for each finding that has any."""
    findings = [finding for finding in checked_findings(result)[: limits.items] if finding.action or finding.witnesses]
    if not findings:
        return None
    data = {"rows": [_finding_row(finding, limits) for finding in findings], "anchors": _finding_anchors(result)}
    return Section("details", "What was seen, and what to do", "details.html.j2", data)


def measures_section(result: Result, limits: Limits) -> Section | None:
    """The plain numbers, the loss curve, and every table with the figure that belongs to it."""
    curve = _loss_series(result)
    tables = list(result.tables)
    if curve and all(table.name != _LOSSES for table in tables):
        tables.insert(0, _losses_table(curve))
    blocks = []
    for number, table in enumerate(tables[: limits.items], start=1):
        draw = DRAWN.get(table.name)
        plot = draw(table) if draw else None
        if table.name == _LOSSES and curve:
            plot = losses(_LOSSES, curve)
        blocks.append(_table_block(f"table-{number}-{_slug(table.name)}", table, plot, limits))
    values = scalar_values(result.values)
    if not blocks and not values:
        return None
    data = {"blocks": blocks, "scalars": _cut_rows(values, limits)}
    return Section("measures", "Measurements", "measures.html.j2", data)


def unchecked_section(result: Result, limits: Limits) -> Section | None:
    """What was not checked, and which input would enable it."""
    findings = unchecked_findings(result)
    if not result.findings:
        return None
    data = {
        "rows": [_finding_row(finding, limits) for finding in findings[: limits.items]],
        "anchors": _finding_anchors(result),
    }
    return Section("not-checked", "What was not checked", "unchecked.html.j2", data)


def provenance_section(result: Result, limits: Limits) -> Section | None:
    """Configuration, seed, versions, fingerprints and files: what is needed to repeat the run."""
    rows = [*provenance_rows(result.provenance), *(("file written", escape_text(path)) for path in result.files)]
    if not rows:
        return None
    return Section("provenance", "Provenance", "provenance.html.j2", {"rows": _cut_rows(rows, limits)})


SECTIONS: tuple[Callable[[Result, Limits], Section | None], ...] = (
    findings_section,
    details_section,
    unchecked_section,
    measures_section,
    provenance_section,
)


# ----------------------------------------------------------------------------------------------------------- their data
def _finding_row(finding: Finding, limits: Limits) -> dict[str, Any]:
    """A finding as text that is escaped for controls and cut; the template escapes it for HTML."""

    return {
        "key": id(finding),
        "code": escape_short(finding.code, 40),
        "title": escape_short(finding.title, limits.cell),
        "verdict": finding.verdict,
        "effect": format_effect(finding.effect, finding.low, finding.high),
        "unit": escape_short(finding.unit, 60),
        "count": format_count(finding.n_used, finding.n_failed, finding.n_missing),
        "baseline": escape_short(finding.baseline, limits.cell),
        "gold": escape_short(finding.gold, 60),
        "action": escape_short(finding.action, 2 * limits.cell),
        "witnesses": [
            shorten(escape_text(witness[: limits.witness + 1], keep_newlines=True), limits.witness)
            for witness in finding.witnesses[:WITNESS_LIMIT]
        ],
    }


def _finding_anchors(result: Result) -> dict[int, str]:
    """The anchor of each finding: its code, numbered where a code comes twice."""
    anchors: dict[int, str] = {}
    seen: dict[str, int] = {}
    for finding in result.findings:
        stem = _slug(finding.code) or "finding"
        seen[stem] = seen.get(stem, 0) + 1
        anchors[id(finding)] = stem if seen[stem] == 1 else f"{stem}-{seen[stem]}"
    return anchors


def _by_unit(findings: list[Finding]) -> list[list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.unit, []).append(finding)
    return [group for unit, group in groups.items() if unit]


def _table_block(anchor: str, table: Table, plot: Plot | None, limits: Limits) -> dict[str, Any]:
    kept = table.rows[: limits.rows]
    notes = [escape_text(table.note)] if table.note else []
    if len(kept) < len(table.rows):
        notes.append(f"First {len(kept):,} of {len(table.rows):,} rows; result.json has all.")
    return {
        "anchor": anchor,
        "title": escape_short(table.title, limits.cell),
        "columns": [escape_short(column, limits.cell) for column in table.columns],
        "numeric": [all(_is_number(row[index]) for row in kept) for index in range(len(table.columns))],
        "rows": format_rows(kept, limit=limits.cell),
        "note": " ".join(notes),
        "plot": plot,
        "tall": plot is not None and len(kept) > _TALL_ROWS,
    }


def _loss_series(result: Result) -> list[float]:
    series = result.values.get(_LOSSES)
    return [float(loss) for loss in series] if isinstance(series, list | tuple) else []


def _losses_table(loss_S: list[float]) -> Table:
    """A few numbers to stand beside the curve, evenly spaced, both ends among them, where the verb gave no table."""
    last = len(loss_S) - 1
    picked = sorted({round(last * part / (_NAMED_LOSSES - 1)) for part in range(_NAMED_LOSSES)})
    note = f"{len(picked)} of {len(loss_S):,} entries; result.json has all." if len(picked) < len(loss_S) else ""
    rows = tuple((index + 1, loss_S[index]) for index in picked)
    return Table(_LOSSES, "Training loss", ("log entry", "loss (nats)"), rows, note)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) or hasattr(value, "tolist"))


def _cut_rows(rows: list[tuple[str, str]], limits: Limits) -> list[tuple[str, str]]:
    kept = [(shorten(name, 80), shorten(text, limits.cell)) for name, text in rows[: limits.items]]
    return kept if len(kept) == len(rows) else [*kept, ("...", f"{len(rows) - len(kept):,} more in result.json")]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:60]


# ------------------------------------------------------------------------------------------------------------- template
@cache
def _environment() -> jinja2.Environment:
    import jinja2  # not needed by the terminal or the JSON output

    return jinja2.Environment(
        loader=jinja2.PackageLoader("karat.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
