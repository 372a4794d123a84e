"""Figures of several panels for the HTML report, in the style of `karat.report.plots`; nothing is estimated here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from karat.report.plots import _BASELINE, _MUTED, _OK, _PROBLEM, _SERIES, _WIDE_IN, Plot, _render
from karat.report.text import escape_short, format_number
from karat.types import Table

_COLUMNS = ("labels", "noise", "rule", "kl", "proxy", "gold", "gold_low", "gold_high")
_DASHED = (0, (4, 2))
_RULE_LINES: tuple[tuple[str, str, Any], ...] = (
    ("single proxy", _PROBLEM, "-"),
    ("worst member", _SERIES, "-"),
    ("mean less variance / 2", _OK, (0, (1, 1))),
)
"""Rule of `karat stress synthetic` -> colour and line."""


def by_labels_and_noise(table: Table) -> Plot | None:
    """Gold at best of n by a single proxy and by ensembles, a panel for each number of labels and share of flips."""
    if any(name not in table.columns for name in _COLUMNS) or not table.rows:
        return None
    sizes, rates = (sorted({row[table.columns.index(name)] for row in table.rows}) for name in ("labels", "noise"))
    sizes = [sizes[0], sizes[len(sizes) // 2], sizes[-1]] if len(sizes) > 3 else sizes
    rates = [rates[0], rates[-1]] if len(rates) > 2 else rates
    panels = [(size, rate) for rate in rates for size in sizes]

    def draw(axes: Any) -> None:
        figure = axes.figure
        axes.remove()
        grid = figure.subplots(len(rates), len(sizes), sharex=True, sharey=True, squeeze=False)
        beside = [panel.twinx() for panel in grid.flat]
        for panel, right, (size, rate) in zip(grid.flat, beside, panels, strict=True):
            _draw_panel(panel, right, table, size, rate)
            panel.set_title(f"{size:,} labels, {rate:.0%} flipped")
        top = max(right.get_ylim()[1] for right in beside)
        for number, right in enumerate(beside):
            right.set_ylim(0, top)
            right.grid(visible=False)
            right.tick_params(length=0, labelright=number % len(sizes) == len(sizes) - 1)
        figure.supxlabel("distance of best of n from the reference policy, sqrt(KL in nats)", size=9)
        figure.supylabel("gain in gold over the reference, SD", size=9)
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)

    alt = f"Gold at the largest n, SD over the reference. {'; '.join(_spoken(table, *panel) for panel in panels)}."
    caption = (
        "Lines: the gold, left scale; bands: 95 %, over prompts and draws of the labels. Dashed: what is optimised, "
        "the single proxy in its own SD, right scale."
    )
    return _render(table.name, draw, alt, caption, height_in=1.1 + 2.1 * len(rates), width_in=_WIDE_IN)


def _draw_panel(panel: Any, right: Any, table: Table, size: int, rate: float) -> None:
    for rule, colour, line in _RULE_LINES:
        columns = _series(table, size, rate, rule)
        distance = [math.sqrt(max(kl, 0.0)) for kl in columns["kl"]]
        panel.plot(distance, columns["gold"], color=colour, ls=line, label=f"gold, {rule}")
        panel.fill_between(distance, columns["gold_low"], columns["gold_high"], color=colour, alpha=0.15, lw=0)
        if rule == _RULE_LINES[0][0]:
            right.plot(distance, columns["proxy"], color=_BASELINE, ls=_DASHED, lw=0.9)
            panel.plot([], [], color=_BASELINE, ls=_DASHED, lw=0.9, label="the single proxy itself, right scale")
    panel.axhline(0, color=_MUTED, lw=0.7, zorder=1)


def _series(table: Table, size: int, rate: float, rule: str) -> dict[str, list[float]]:
    """The columns of one rule in one panel; empty lists where the table has none."""
    at = {name: table.columns.index(name) for name in _COLUMNS}
    rows = [row for row in table.rows if (row[at["labels"]], row[at["noise"]], row[at["rule"]]) == (size, rate, rule)]
    return {name: [row[at[name]] for row in rows] for name in _COLUMNS}


def _spoken(table: Table, size: int, rate: float) -> str:
    ends = [(rule, _series(table, size, rate, rule)["gold"]) for rule, *_ in _RULE_LINES]
    told = ", ".join(f"{rule} {format_number(gold[-1])}" for rule, gold in ends if gold)
    return f"{size:,} labels, {rate:.0%} flipped: {told}"


_PROXY_LINES: tuple[tuple[str, Any], ...] = tuple(
    (colour, line) for line in ("-", _DASHED) for colour in (_SERIES, _PROBLEM, _OK, _BASELINE)
)
"""Colour and line of each proxy; of more than eight the first are drawn."""


def by_proxy(table: Table) -> Plot | None:
    """Gold at best of n by each of several proxies, over the distance from the reference."""
    columns = ("proxy", "kl", "gold", "gold_low", "gold_high")
    if any(name not in table.columns for name in columns) or not table.rows:
        return None
    at = {name: table.columns.index(name) for name in columns}
    names = list(dict.fromkeys(row[at["proxy"]] for row in table.rows))[: len(_PROXY_LINES)]
    series = {
        name: [[row[at[column]] for row in table.rows if row[at["proxy"]] == name] for column in columns[1:]]
        for name in names
    }

    def draw(axes: Any) -> None:
        for (colour, line), (name, (kl, gold, low, high)) in zip(_PROXY_LINES, series.items(), strict=False):
            distance = [math.sqrt(max(nats, 0.0)) for nats in kl]
            axes.plot(distance, gold, color=colour, ls=line, marker="o", ms=2.5, label=escape_short(str(name), 30))
            axes.fill_between(distance, low, high, color=colour, alpha=0.12, lw=0)
        axes.axhline(0, color=_MUTED, lw=0.7, zorder=1)
        axes.set_xlabel("distance of best of n from the reference policy, sqrt(KL in nats)")
        axes.set_ylabel("gain in gold, SD")
        axes.legend(loc="best", ncols=2 if len(names) > 4 else 1)

    spoken = "; ".join(
        f"{escape_short(str(name), 30)} {format_number(gold[-1])}" for name, (_, gold, *_) in series.items()
    )
    return _render(
        table.name, draw, f"Gold at the largest n by each proxy, SD over the reference: {spoken}.",
        "A line falls where its proxy is gamed. Bands: 95 %, pointwise, over prompts.", height_in=3.4, width_in=6.4,
    )  # fmt: skip


PANELS: Mapping[str, Callable[[Table], Plot | None]] = {
    "synthetic_curves": by_labels_and_noise,
    "proxy_curves": by_proxy,
}
"""Table name -> the figure drawn beside it."""
