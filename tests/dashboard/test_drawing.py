"""Figures for a page without inline styles: the same marks and texts, styles as attributes."""

from __future__ import annotations

import re

from karat.dashboard.drawing import inline
from karat.report.plots import Plot
from karat.report.watch_figures import curve
from karat.types import Table


def test_styles_become_attributes() -> None:
    style = "fill: none; stroke: var(--series, #1f5a94)"
    path = f'<path d="M 1.23456 2 L 33.98765 -0.5" style="{style}"/>'
    plot = Plot(f'<svg viewBox="0 0 9 9" style="max-width: 9pt">{path}</svg>', "", "")
    assert inline(plot) == (
        '<svg viewBox="0 0 9 9"><path d="M 1.2 2 L 33.9 -0.5" fill="none" stroke="var(--series, #1f5a94)"/></svg>'
    )


def test_a_real_figure_keeps_its_texts_and_has_no_style() -> None:
    rows = tuple((step, step / 7, f"<b>{step}") for step in range(50))
    plot = curve(Table("watch_curve", "t", ("step", "proxy", "alarm"), rows))
    assert plot is not None
    drawn = str(inline(plot))
    assert "style=" not in drawn
    assert "<style" not in drawn
    assert re.findall(r"<text[^>]*>([^<]*)", drawn) == re.findall(r"<text[^>]*>([^<]*)", plot.svg)
    assert drawn.count("<path") == plot.svg.count("<path")
    attributes = set(re.findall(r' ([\w-]+)="', drawn))
    # each of these is a presentation attribute of SVG, or one that the SVG had
    assert attributes <= {
        "viewBox", "role", "aria-label", "id", "d", "transform", "x", "y", "width", "height", "href", "clip-path",
        "fill", "fill-opacity", "stroke", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-dasharray",
        "stroke-dashoffset", "stroke-opacity", "opacity", "font-size", "text-anchor",
    }  # fmt: skip
