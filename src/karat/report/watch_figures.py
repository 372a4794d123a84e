"""Figures of `karat watch`: proxy and gold over the steps, evidence against the alarm line, signals in their range.

They serve the report's page, one figure a table, and the dashboard, one small panel a detector or signal. They draw
what the tables hold, in the style of `karat.report.plots`; a long curve is thinned so that no spike vanishes.
Axes: S steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Any

from karat.report.plots import (
    _BASELINE,
    _MUTED,
    _PROBLEM,
    _SERIES,
    _UNCLEAR,
    _WIDE_IN,
    Plot,
    _number,
    _render,
)
from karat.report.text import escape_short, format_number
from karat.types import Table

CURVE_POINTS = 400
"""Most points of a curve that are drawn in a large figure."""
PANEL_POINTS = 160
"""In a small one: more than its pixels show apart."""
PANEL_LIMIT = 24
"""Most panels of one figure; the table has the others."""
_ACROSS = 3
_CURVE_IN = 5.2
_MARK_LIMIT = 8
_GAP = 5
"""A line is broken where steps lie further apart than so many times their usual distance."""
_FEW = 60
"""A curve of so many points or fewer shows each as a dot."""
_DASHED = (0, (4, 2))
_DOTTED = (0, (1, 2))


@dataclass(frozen=True, slots=True)
class Series:
    """One curve, sorted by step: at_S, value_S, and where there are any low_S and high_S, all of one length."""

    name: str
    at: list[float]
    value: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


def thin(value_S: Sequence[float], limit: int) -> list[int]:
    """Indices to draw, at most `limit`, increasing: both ends, and the lowest and the highest of each stretch.

    Args:
        value_S: numbers, NaN where there is none; a stretch of NaN alone keeps one of them, so that a gap stays one.
        limit: at least 4.
    """
    count = len(value_S)
    if count <= limit:
        return list(range(count))
    stretches = (limit - 2) // 2
    kept = {0, count - 1}
    for number in range(stretches):
        span = range(number * count // stretches, (number + 1) * count // stretches)
        finite = [index for index in span if math.isfinite(value_S[index])]
        kept |= {min(finite, key=value_S.__getitem__), max(finite, key=value_S.__getitem__)} if finite else {span[0]}
    return sorted(kept)


# -------------------------------------------------------------------------------------------------------- the figures
def curve(table: Table) -> Plot | None:
    """Proxy and gold over the steps with their bands, one above the other; alarms, notices and the onset marked.

    `alarm` holds true or "alarm" at the step of an alarm, "notice" at that of a notice; `onset`, where the table has
    it, is true at the steps in which the change may have begun.
    """
    proxy = _series(table, "proxy", "proxy", CURVE_POINTS)
    if proxy is None:
        return None
    gold = _series(table, "gold", "gold", CURVE_POINTS)
    marks = _marks(table)
    shown = [(proxy, _BASELINE), *([(gold, _SERIES)] if gold is not None else [])]

    def draw(axes: Any) -> None:
        figure = axes.figure
        axes.remove()
        panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for panel, (series, colour) in zip(panels, shown, strict=True):
            _draw_marks(panel, marks)
            _draw_line(panel, series, colour)
            panel.set_ylabel(series.name)
        _count_steps(panels[-1])
        panels[-1].set_xlabel("step")
        handles, labels = panels[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside upper center", ncols=3)

    told = "; ".join(_told(series) for series, *_ in shown)
    alt = f"Over steps {format_number(proxy.at[0])} to {format_number(proxy.at[-1])}: {told}. {_told_marks(marks)}"
    caption = "Above: the proxy, which is optimised. Below: the gold. Bands: their intervals."
    if gold is None:
        caption = "The proxy. No gold was named or asked, so nothing here says what it is worth."
    return _render(table.name, draw, alt, caption, height_in=0.8 + 1.35 * len(shown), width_in=_CURVE_IN)


def evidence(table: Table) -> Plot | None:
    """Evidence of each detector against the line at which it raises an alarm, a panel each."""
    return _grid(table, _evidence_groups(table), _draw_evidence, _EVIDENCE_CAPTION, _told_evidence)


def signals(table: Table) -> Plot | None:
    """Each signal over the steps with its range in the healthy window, a panel each."""
    return _grid(table, _signal_groups(table), _draw_signal, _SIGNALS_CAPTION, _told_signal)


def evidence_panels(table: Table) -> list[Plot]:
    """The panels of `evidence`, each a figure of its own; the caption is the detector's name."""
    return _panels(table, _evidence_groups(table), _draw_evidence, _told_evidence)


def signal_panels(table: Table) -> list[Plot]:
    """The panels of `signals`, each a figure of its own; the caption is the signal's name."""
    return _panels(table, _signal_groups(table), _draw_signal, _told_signal)


_EVIDENCE_CAPTION = (
    "log of the evidence, nats. Dashed: the alarm line. After an alarm a detector starts again from nothing."
)
_SIGNALS_CAPTION = "Shaded: the range of the healthy window, where one was declared. Dots: outside of it."

WATCH_FIGURES: Mapping[str, Callable[[Table], Plot | None]] = {
    "watch_curve": curve,
    "watch_evidence": evidence,
    "watch_signals": signals,
}
"""Table name -> the figure drawn beside it."""


# --------------------------------------------------------------------------------------------------- panels and grids
def _grid(
    table: Table,
    groups: Sequence[Series],
    draw_one: Callable[[Any, Series], None],
    caption: str,
    tell: Callable[[Series], str],
) -> Plot | None:
    drawn = groups[:PANEL_LIMIT]
    if not drawn:
        return None
    down = math.ceil(len(drawn) / _ACROSS)

    def draw(axes: Any) -> None:
        figure = axes.figure
        axes.remove()
        grid = figure.subplots(down, min(_ACROSS, len(drawn)), sharex=True, squeeze=False)
        for panel, series in zip(grid.flat, drawn, strict=False):
            draw_one(panel, series)
            panel.set_title(escape_short(series.name, 34), loc="left")
            panel.tick_params(labelbottom=True)
        for panel in list(grid.flat)[len(drawn) :]:
            panel.set_visible(False)
        figure.supxlabel("step", size=9)

    left_out = f" {len(groups) - len(drawn)} more are in the table." if len(groups) > len(drawn) else ""
    alt = f"{escape_short(table.title, 100)}. {'; '.join(tell(series) for series in drawn)}."
    width = _WIDE_IN if len(drawn) > 1 else _WIDE_IN / 2
    return _render(table.name, draw, alt, caption + left_out, height_in=0.5 + 1.45 * down, width_in=width)


def _panels(
    table: Table, groups: Sequence[Series], draw_one: Callable[[Any, Series], None], tell: Callable[[Series], str]
) -> list[Plot]:
    plots = []
    for number, series in enumerate(groups[:PANEL_LIMIT]):

        def draw(axes: Any, series: Series = series) -> None:
            draw_one(axes, series)

        name = f"{table.name}-{number}"
        plots.append(
            _render(name, draw, f"{tell(series)}.", escape_short(series.name, 60), height_in=1.45, width_in=2.9)
        )
    return plots


def _draw_evidence(panel: Any, series: Series) -> None:
    line = series.high  # the alarm line
    crossed = [value >= top for value, top in zip(series.value, line, strict=True)]
    panel.plot(series.at, line, color=_PROBLEM, ls=_DASHED, lw=0.9)
    panel.fill_between(series.at, line, series.value, where=crossed, color=_PROBLEM, alpha=0.25, lw=0)
    _draw_line(panel, replace(series, low=[], high=[]), _SERIES)
    over = [index for index, is_over in enumerate(crossed) if is_over]
    panel.plot([series.at[i] for i in over], [series.value[i] for i in over], marker="s", ms=3, color=_PROBLEM, ls="")
    _count_steps(panel)


def _draw_signal(panel: Any, series: Series) -> None:
    if any(map(math.isfinite, [*series.low, *series.high])):
        panel.fill_between(series.at, series.low, series.high, color=_MUTED, alpha=0.14, lw=0)
    _draw_line(panel, replace(series, low=[], high=[]), _SERIES)
    out = [index for index in range(len(series.at)) if _is_outside(series, index)]
    panel.plot([series.at[i] for i in out], [series.value[i] for i in out], marker="o", ms=1.8, color=_UNCLEAR, ls="")
    _count_steps(panel)


def _is_outside(series: Series, index: int) -> bool:
    value = series.value[index]
    return bool(series.low) and (value < series.low[index] or value > series.high[index])  # false beside a NaN


def _told_evidence(series: Series) -> str:
    over = [at for at, value, line in zip(series.at, series.value, series.high, strict=True) if value >= line]
    said = f"reached its line first at step {format_number(over[0])}" if over else "below its line"
    last = f"{format_number(series.value[-1])} against {format_number(series.high[-1])} nats"
    return f"{escape_short(series.name, 60)}: {said}, last {last}"


def _told_signal(series: Series) -> str:
    ends = (series.low[-1], series.high[-1]) if series.low else (math.nan, math.nan)
    healthy = f", healthy range {format_number(ends[0])} to {format_number(ends[1])}" if ends[0] == ends[0] else ""
    return f"{escape_short(series.name, 60)}: last {format_number(series.value[-1])}{healthy}"


# ------------------------------------------------------------------------------------------------ from tables to series
def _rows(table: Table, required: Sequence[str]) -> list[dict[str, Any]]:
    """The rows with a step, as dicts, in order of step; empty where a column is missing."""
    if any(name not in table.columns for name in ("step", *required)):
        return []
    at = table.columns.index("step")
    rows = [row for row in table.rows if math.isfinite(_number(row[at]))]
    return [dict(zip(table.columns, row, strict=True)) for row in sorted(rows, key=lambda row: _number(row[at]))]


def _series(table: Table, name: str, column: str, limit: int) -> Series | None:
    """A column with its band; None where it holds no number."""
    rows = [row for row in _rows(table, (column,)) if math.isfinite(_number(row[column]))]
    return _thinned(name, rows, (column, f"{column}_low", f"{column}_high"), limit) if rows else None


def _grouped(table: Table, by: str, columns: tuple[str, str, str]) -> list[Series]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(table, (by, columns[0])):
        if math.isfinite(_number(row[columns[0]])):
            groups.setdefault(str(row[by]), []).append(row)
    return [_thinned(name, rows, columns, PANEL_POINTS) for name, rows in groups.items()]


def _evidence_groups(table: Table) -> list[Series]:
    """Detectors, those nearest their line first: what is drawn is never less alarming than what is left out."""
    groups = [
        series
        for series in _grouped(table, "detector", ("evidence", "threshold", "threshold"))
        if all(map(math.isfinite, series.high))
    ]
    nearest = {id(series): min(map(float.__sub__, series.high, series.value)) for series in groups if series.high}
    return sorted((series for series in groups if series.high), key=lambda series: nearest[id(series)])


def _signal_groups(table: Table) -> list[Series]:
    return _grouped(table, "signal", ("value", "low", "high"))


def _thinned(name: str, rows: Sequence[Mapping[str, Any]], columns: tuple[str, str, str], limit: int) -> Series:
    value, low, high = columns
    kept = [rows[index] for index in thin([_number(row[value]) for row in rows], limit)]
    has_band = low in rows[0] and high in rows[0]
    return Series(
        name=name,
        at=[_number(row["step"]) for row in kept],
        value=[_number(row[value]) for row in kept],
        low=[_number(row[low]) for row in kept] if has_band else [],
        high=[_number(row[high]) for row in kept] if has_band else [],
    )


# -------------------------------------------------------------------------------------------------------------- drawing
def _draw_line(panel: Any, series: Series, colour: str) -> None:
    """A line with its band, both broken at every gap in the steps; a point that stands alone is a dot."""
    at = series.at
    usual = median(after - before for before, after in pairwise(at)) if len(at) > 1 else 1.0
    breaks = [0, *(i for i in range(1, len(at)) if at[i] - at[i - 1] > _GAP * usual), len(at)]
    for first, end in pairwise(breaks):
        marker = "o" if end - first == 1 or len(at) <= _FEW else ""
        panel.plot(at[first:end], series.value[first:end], color=colour, lw=1.1, marker=marker, ms=2.2)
        if any(map(math.isfinite, series.low[first:end])):
            band = (series.low[first:end], series.high[first:end])
            panel.fill_between(at[first:end], *band, color=colour, alpha=0.18, lw=0)


@dataclass(frozen=True, slots=True)
class _Marks:
    alarms: list[float]
    notices: list[float]
    onsets: list[tuple[float, float]]


def _marks(table: Table) -> _Marks:
    rows = _rows(table, ())
    level = {"alarm": [], "notice": []}  # type: dict[str, list[float]]
    onsets: list[tuple[float, float]] = []
    was_onset = False
    for row in rows:
        at, alarm, is_onset = _number(row["step"]), row.get("alarm"), _is_true(row.get("onset"))
        if alarm == "notice":
            level["notice"].append(at)
        elif alarm == "alarm" or _is_true(alarm):
            level["alarm"].append(at)
        if is_onset:
            onsets = [*onsets[:-1], (onsets[-1][0], at)] if was_onset else [*onsets, (at, at)]
        was_onset = is_onset
    return _Marks(level["alarm"], level["notice"], onsets)


def _is_true(value: object) -> bool:
    return not isinstance(value, str) and _number(value) > 0


def _draw_marks(panel: Any, marks: _Marks) -> None:
    for number, (first, last) in enumerate(marks.onsets[:_MARK_LIMIT]):
        label = f"onset, step {format_number(first)} to {format_number(last)}" if number == 0 else None
        panel.axvspan(first - 0.5, last + 0.5, color=_UNCLEAR, alpha=0.16, lw=0, label=label)
    for number, at in enumerate(marks.notices[:_MARK_LIMIT]):
        panel.axvline(at, color=_UNCLEAR, ls=_DOTTED, lw=1.0, label="notice" if number == 0 else None)
    for number, at in enumerate(marks.alarms[:_MARK_LIMIT]):
        label = f"alarm, step {format_number(at)}" if number == 0 else None
        panel.axvline(at, color=_PROBLEM, lw=1.4, label=label)


def _told(series: Series) -> str:
    top = max(range(len(series.at)), key=series.value.__getitem__)
    ends = f"{format_number(series.value[0])} to {format_number(series.value[-1])}"
    return f"{series.name} {ends}, highest {format_number(series.value[top])} at step {format_number(series.at[top])}"


def _told_marks(marks: _Marks) -> str:
    if not marks.alarms:
        return "No alarm."
    onset = f"; onset between {' and '.join(format_number(end) for end in marks.onsets[0])}" if marks.onsets else ""
    return f"Alarm at step {', '.join(format_number(at) for at in marks.alarms[:_MARK_LIMIT])}{onset}."


def _count_steps(panel: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(nbins=4))
