"""Figure of the process part of `karat audit reward`, in the style of `karat.report.plots`: hacks by aggregate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from karat.report.plots import _MUTED, _OK, _PROBLEM, _UNCLEAR, Plot, _label_rows, _render
from karat.types import Table

_AGGREGATES = ("min", "product", "last", "mean", "sum")
_MARKS = {"open": (_PROBLEM, 0.45), "unclear": (_UNCLEAR, 0.25), "closed": (_OK, 0.12), "not tried": (_MUTED, 0.06)}
"""Verdict of a cell -> colour and opacity; its gain is written in it."""
_HACKS = 30


def by_aggregate(table: Table) -> Plot | None:
    """What each hack gains under each aggregate; coloured where the aggregate is open to it."""
    if any(name not in table.columns for name in ("hack", "open", "unclear", *_AGGREGATES)) or not table.rows:
        return None
    at = {name: table.columns.index(name) for name in table.columns}
    rows = table.rows[:_HACKS]

    def verdict(row: tuple[Any, ...], aggregate: str) -> str:
        for name in ("open", "unclear"):
            if aggregate in str(row[at[name]]).split(", "):
                return name
        gain = row[at[aggregate]]
        return "closed" if gain is not None and gain == gain else "not tried"

    def draw(axes: Any) -> None:
        from matplotlib.patches import Rectangle

        for number, row in enumerate(rows):
            for place, aggregate in enumerate(_AGGREGATES):
                word = verdict(row, aggregate)
                colour, opacity = _MARKS[word]
                axes.add_patch(
                    Rectangle((place - 0.48, number - 0.45), 0.96, 0.9, facecolor=colour, alpha=opacity, lw=0)
                )
                weight = "bold" if word == "open" else "normal"  # told apart without colour too
                axes.text(place, number, _gain(row[at[aggregate]]), ha="center", va="center", size=8.5, weight=weight)
        _label_rows(axes, [f"{row[at['hack']]} ({row[at['expected']]})" for row in rows])
        axes.set_xticks(range(len(_AGGREGATES)), _AGGREGATES)
        axes.set_xlim(-0.5, len(_AGGREGATES) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines["bottom"].set_visible(False)
        handles = [Rectangle((0, 0), 1, 1, facecolor=colour, alpha=opacity) for colour, opacity in _MARKS.values()]
        axes.figure.legend(handles, list(_MARKS), loc="outside upper center", ncols=len(_MARKS))

    counts = {how: sum(verdict(row, how) == "open" for row in rows) for how in _AGGREGATES}
    spoken = ", ".join(f"{how} {count}" for how, count in counts.items())
    alt = f"Known hacks by aggregate of the steps' scores. Of {len(rows)} hacks, open under: {spoken}."
    caption = (
        "Mean change of a solution's score when it is rewritten so; <=0: it may not rise, -: it has to fall. Open: the "
        "aggregate surely pays for the hack."
    )
    return _render(table.name, draw, alt, caption, height_in=0.9 + 0.27 * len(rows))


def _gain(value: Any) -> str:
    if value is None or value != value:
        return ""
    text = f"{float(value):+.2f}"
    return text if text.strip("+-0.") else "0.00"


PROCESS_FIGURES: Mapping[str, Callable[[Table], Plot | None]] = {"process_aggregates": by_aggregate}
"""Table name -> the figure drawn beside it."""
