"""Figures of `karat grade`, in the style of `karat.report.plots`: attempts by technique, and over training steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from karat.report.plots import _BASELINE, _MUTED, _PROBLEM, _UNCLEAR, Plot, _label_rows, _numbers, _render
from karat.report.text import escape_text, format_number
from karat.types import Table

_LEVELS = (("proven", _PROBLEM, 1.0), ("strong", _PROBLEM, 0.55), ("moderate", _UNCLEAR, 0.6), ("weak", _MUTED, 0.35))
"""Confidence -> colour and opacity; proven and strong condemn, so they share a colour."""
_TECHNIQUES = 20


def over_steps(table: Table) -> Plot | None:
    """Share of candidates that tampered and that passed, over training steps."""
    columns = _numbers(table, ("step", "passed %", "tampered %"), ("low", "high"))
    if columns is None or len(columns["step"]) < 2:
        return None
    step, tampered = columns["step"], columns["tampered %"]

    def draw(axes: Any) -> None:
        axes.plot(step, columns["passed %"], color=_BASELINE, ls=(0, (4, 2)), marker="o", ms=3, label="passed")
        axes.plot(step, tampered, color=_PROBLEM, marker="o", ms=3, label="tampered")
        axes.fill_between(step, columns["low"], columns["high"], color=_PROBLEM, alpha=0.18, lw=0)
        axes.set_ylim(0, max(5.0, 1.08 * max(*columns["passed %"], *columns["high"], *tampered)))
        axes.set_xlabel("training step")
        axes.set_ylabel("candidates, %")
        axes.legend(loc="upper left")

    spoken = [f"step {at:g}: {format_number(share)} %" for at, share in zip(step, tampered, strict=True)]
    alt = f"Share of candidates that tampered, over training steps: {'; '.join(spoken)}."
    caption = "Line: candidates with proven or strong evidence of tampering; band: 95 %, over tasks. Dashed: passed."
    return _render(table.name, draw, alt, caption, height_in=3.0)


def by_technique(table: Table) -> Plot | None:
    """Candidates by technique, by the confidence of the surest sign."""
    if any(name not in table.columns for name in ("technique", *(level for level, *_ in _LEVELS))) or not table.rows:
        return None
    at = {name: table.columns.index(name) for name in table.columns}
    rows = table.rows[:_TECHNIQUES]
    names = [str(row[at["technique"]]).replace("_", " ") for row in rows]

    def draw(axes: Any) -> None:
        left = [0.0] * len(rows)
        for level, colour, opacity in _LEVELS:
            width = [float(row[at[level]]) for row in rows]
            axes.barh(range(len(rows)), width, left=left, height=0.62, color=colour, alpha=opacity, label=level)
            left = [start + more for start, more in zip(left, width, strict=True)]
        _label_rows(axes, names)
        axes.set_xlabel("candidates")
        axes.figure.legend(loc="outside upper center", ncols=len(_LEVELS))

    spoken = [
        f"{name}: {sum(int(row[at[level]]) for level, *_ in _LEVELS)}" for name, row in zip(names, rows, strict=True)
    ]
    alt = f"Candidates by technique of tampering. {escape_text('; '.join(spoken))}."
    caption = "Each candidate counts once for each technique, by its surest sign. Proven and strong make it tampered."
    return _render(table.name, draw, alt, caption, height_in=0.9 + 0.26 * len(rows))


GRADE_FIGURES: Mapping[str, Callable[[Table], Plot | None]] = {
    "grade_steps": over_steps,
    "grade_attempts": by_technique,
}
"""Table name -> the figure drawn beside it."""
