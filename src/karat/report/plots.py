"""Figures as SVG for the HTML report: one quiet style, text kept as text, the same bytes for the same numbers.

matplotlib draws in placeholder colours that CSS variables replace, so that one SVG serves light, dark and print.
A figure draws what a table holds; nothing is estimated here.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karat.report.text import escape_short, escape_text, format_effect, format_number
from karat.types import Finding, Table, Verdict

# placeholder drawn by matplotlib -> what the page uses; the fallback is for an SVG that is copied out of the page
_INK, _MUTED, _RULE, _SERIES, _BASELINE = "#010101", "#020202", "#030303", "#040404", "#050505"
_PROBLEM, _UNCLEAR, _OK = "#060606", "#070707", "#080808"
_THEME = {
    _INK: "currentColor",
    _MUTED: "var(--muted, #57606a)",
    _RULE: "var(--rule, #d0d4d9)",
    _SERIES: "var(--series, #1f5a94)",
    _BASELINE: "var(--baseline, #a8560f)",
    _PROBLEM: "var(--problem, #a3201b)",
    _UNCLEAR: "var(--unclear, #7a5200)",
    _OK: "var(--ok, #1d6b3a)",
}
_STYLE = {
    "svg.fonttype": "none",  # text stays text: searchable, and set in the page's own font
    "svg.hashsalt": "karat",  # ids from the drawing and not from chance
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same layout on every machine
    "font.size": 9.0,
    "text.parse_math": False,  # labels come from data: a "$" is a dollar
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _RULE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "path.simplify": True,
}
_WIDTH_IN = 5.2
_WIDE_IN = 8.0
_ROW_IN = 0.27
_LABEL_LIMIT = 30
_ROW_LIMIT = 40
"""Most rows that one figure draws; the table beside it has the others."""
_POINT_LIMIT = 1500
_FAINTEST, _DARKEST = 0.04, 0.6
"""Of a cell's colour, at 0 and at 1: the number in it stays legible in light and in dark."""
_TICK_LIMIT = 8
"""Most values that an axis of given points names."""

# A verdict differs by shape as well as by colour: (colour, marker, filled).
_MARKS: dict[Verdict, tuple[str, str, bool]] = {
    "problem": (_PROBLEM, "s", True),
    "unclear": (_UNCLEAR, "o", False),
    "ok": (_OK, "o", True),
    "not checked": (_MUTED, "o", False),
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn figure: SVG markup that is safe to place in HTML, the text that stands in for it, and its caption."""

    svg: str
    alt: str
    caption: str


# -------------------------------------------------------------------------------------------------------- the figures
def forest(name: str, findings: Sequence[Finding]) -> Plot | None:
    """Effects with their intervals, one row a finding, for findings that share a unit."""
    drawn = [finding for finding in findings if math.isfinite(finding.effect)][:_ROW_LIMIT]
    if len(drawn) < 2:
        return None
    unit = drawn[0].unit

    def draw(axes: Any) -> None:
        for row, finding in enumerate(drawn):
            colour, marker, filled = _MARKS[finding.verdict]
            if math.isfinite(finding.low) and math.isfinite(finding.high):
                axes.plot([finding.low, finding.high], [row, row], color=colour, solid_capstyle="butt")
            axes.plot([finding.effect], [row], marker=marker, color=colour, mfc=colour if filled else "none", ls="none")
        _label_rows(axes, [f"{finding.code} {finding.title}" for finding in drawn])
        _mark_zero(axes)
        axes.set_xlabel(_label(unit))
        numbers = axes.secondary_yaxis("right")
        numbers.set_yticks(range(len(drawn)), [format_effect(f.effect, f.low, f.high) for f in drawn])
        numbers.tick_params(length=0)
        numbers.spines["right"].set_visible(False)

    spoken = [f"{f.code} {format_effect(f.effect, f.low, f.high)} ({f.verdict})" for f in drawn]
    alt = f"Effects with intervals in {unit}: " + "; ".join(spoken) + "."
    caption = f"Effects and their intervals, in {_label(unit)}. Square: problem; open circle: unclear; dot: ok."
    return _render(name, draw, alt, caption, height_in=0.75 + _ROW_IN * len(drawn), width_in=_WIDE_IN)


def reliability(table: Table) -> Plot | None:
    """Observed share of preferred responses against the predicted probability; the diagonal is perfect calibration."""
    columns = _numbers(table, ("predicted", "observed"), ("low", "high"))
    if columns is None:
        return None
    predicted, observed = columns["predicted"], columns["observed"]

    def draw(axes: Any) -> None:
        start = max(0.0, min([*predicted, *observed, 0.5]) - 0.05)
        axes.plot([start, 1], [start, 1], color=_MUTED, ls=(0, (4, 3)), lw=0.9, label="perfect calibration")
        _whiskers(axes, predicted, columns, horizontal=False)
        axes.plot(predicted, observed, marker="o", color=_SERIES, lw=1.0, label="observed")
        axes.set_xlim(start, 1.01)
        axes.set_xlabel("predicted probability")
        axes.set_ylabel("observed share")
        axes.legend(loc="upper left")

    points = "; ".join(f"{format_number(x)}: {format_number(y)}" for x, y in zip(predicted, observed, strict=True))
    alt = f"Reliability diagram, predicted to observed: {points}."
    caption = "Below the dashed line the reward is more certain than it is right. Bars: the intervals of the table."
    return _render(table.name, draw, alt, caption, height_in=3.3, width_in=4.6)


def accuracy_by_slice(table: Table) -> Plot | None:
    """Accuracy of each slice with its interval, and beside it what a content-blind baseline reaches."""
    columns = _numbers(table, ("accuracy",), ("low", "high", "baseline"))
    if columns is None:
        return None
    names = [str(row[0]) for row in _drawable_rows(table, ("accuracy",))]
    accuracy, baseline = columns["accuracy"], columns.get("baseline")

    def draw(axes: Any) -> None:
        rows = list(range(len(names)))
        _whiskers(axes, rows, columns, horizontal=True)
        axes.plot(accuracy, rows, marker="o", color=_SERIES, ls="none", label="reward")
        if baseline is not None:
            axes.plot(
                baseline, rows, marker="D", color=_BASELINE, mfc="none", ls="none", label="content-blind baseline"
            )
        axes.axvline(0.5, color=_MUTED, ls=(0, (4, 3)), lw=0.9, label="chance")
        _label_rows(axes, names)
        axes.set_xlabel("share of pairs ordered as people did")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, borderaxespad=0.2)

    pieces = []
    for row, name in enumerate(names):
        versus = f" against {format_number(baseline[row])}" if baseline is not None else ""
        pieces.append(f"{_label(name)} {format_number(accuracy[row])}{versus}")
    alt = f"{escape_text(table.title)}, accuracy against the content-blind baseline: {'; '.join(pieces)}."
    caption = "Dot and bar: the reward and its interval. Diamond: what a baseline reaches that reads no content."
    return _render(table.name, draw, alt, caption, height_in=1.05 + _ROW_IN * len(names))


def losses(name: str, loss_S: Sequence[float]) -> Plot | None:
    """The training loss over the log entries (S). A long series is thinned for drawing, its ends are kept."""
    if sum(math.isfinite(loss) for loss in loss_S) < 2:
        return None
    stride = max(1, math.ceil(len(loss_S) / _POINT_LIMIT))
    kept = sorted({*range(0, len(loss_S), stride), len(loss_S) - 1})

    def draw(axes: Any) -> None:
        axes.plot([index + 1 for index in kept], [loss_S[index] for index in kept], color=_SERIES)
        axes.set_xlabel("log entry")
        axes.set_ylabel("training loss, nats")

    alt = (
        f"Training loss over {len(loss_S):,} log entries, from {format_number(loss_S[0])} "
        f"to {format_number(loss_S[-1])} nats."
    )
    caption = "Loss of each log entry, as it was logged: not smoothed."
    return _render(name, draw, alt, caption, height_in=2.5)


def along_capability(table: Table) -> Plot | None:
    """Proxy and gold gained over the first point of a capability axis, with their bands."""
    columns = _numbers(
        table, ("axis", "position", "proxy"), ("proxy_low", "proxy_high", "gold", "gold_low", "gold_high")
    )
    if columns is None or len(columns["axis"]) < 2:
        return None
    position, has_gold = columns["position"], any(map(math.isfinite, columns.get("gold", [])))

    def draw(axes: Any) -> None:
        _draw_gains(axes, position, columns)
        axes.axhline(0, color=_MUTED, lw=0.9, zorder=1)
        stride = math.ceil(len(position) / _TICK_LIMIT)
        axes.set_xticks(position[::stride], [format_number(value) for value in columns["axis"][::stride]])
        axes.set_xlabel(_label(table.title.removeprefix("Proxy and gold along ")))
        axes.set_ylabel("gain over the first point, SD")
        axes.legend(loc="upper left")

    spoken = [
        f"{format_number(value)}: proxy {format_number(proxy)}"
        + (f", gold {format_number(columns['gold'][row])}" if has_gold else "")
        for row, (value, proxy) in enumerate(zip(columns["axis"], columns["proxy"], strict=True))
    ]
    alt = f"{escape_text(table.title)}, gain over the first point: {'; '.join(spoken)}."
    caption = "Dashed: the proxy. Line: the gold. Bands: 95 %, over prompts, of the gain over the first point."
    return _render(table.name, draw, alt, caption if has_gold else "The proxy; no gold was named.", height_in=3.3)


def _draw_gains(axes: Any, at: Sequence[float], columns: Mapping[str, Sequence[float]]) -> None:
    """Proxy and, where there is one, gold against `at`, each with its band."""
    for name, colour, line in (("proxy", _BASELINE, (0, (4, 2))), ("gold", _SERIES, "-")):
        if name not in columns or not any(map(math.isfinite, columns[name])):
            continue
        axes.plot(at, columns[name], color=colour, ls=line, marker="o", ms=3, label=name)
        axes.fill_between(at, columns[f"{name}_low"], columns[f"{name}_high"], color=colour, alpha=0.18, lw=0)


def best_of_n(table: Table) -> Plot | None:
    """Proxy and gold gained by best of n."""
    shown = [1 << power for power in range(24)]
    return _over_optimisation(table, ("n", "best of n"), lambda ns, _: [row for row, n in enumerate(ns) if n in shown])


def under_rl(table: Table) -> Plot | None:
    """Proxy and gold gained by a policy in training."""
    return _over_optimisation(table, ("step", "training step"), _apart)


def _apart(_: Sequence[float], distance: Sequence[float]) -> list[int]:
    """Rows whose distance is far enough from the one before for a label: a policy can move back."""
    rows, room = [0], (max(distance) - min(distance)) / _TICK_LIMIT
    for row, at in enumerate(distance):
        if all(abs(at - distance[other]) >= room for other in rows):
            rows.append(row)
    return rows


def _over_optimisation(
    table: Table, by: tuple[str, str], labelled: Callable[[Sequence[float], Sequence[float]], list[int]]
) -> Plot | None:
    """Proxy and gold gained against the distance from the reference policy, with their bands.

    by: the column that says how hard was optimised, and its label; labelled: the rows that the upper axis names.
    """
    column, label = by
    bands = ("proxy_low", "proxy_high", "gold", "gold_low", "gold_high")
    columns = _numbers(table, (column, "kl", "proxy"), bands, limit=_POINT_LIMIT)
    if columns is None or len(columns["kl"]) < 2:
        return None
    distance = [math.sqrt(max(kl, 0.0)) for kl in columns["kl"]]
    gold = [value for value in columns.get("gold", []) if math.isfinite(value)]

    def draw(axes: Any) -> None:
        _draw_gains(axes, distance, columns)
        if gold:
            top = max(range(len(distance)), key=lambda row: _or_least(columns["gold"][row]))
            axes.axvline(distance[top], color=_MUTED, ls=(0, (2, 3)), lw=0.9)
        axes.set_xlabel("distance from the reference policy, sqrt(KL in nats)")
        axes.set_ylabel("gain over the reference, SD")
        axes.legend(loc="upper left")
        above = axes.secondary_xaxis("top")
        shown = labelled(columns[column], distance)
        above.set_xticks([distance[row] for row in shown], [f"{columns[column][row]:.0f}" for row in shown])
        above.set_xlabel(label)

    spoken = [
        f"{value:.0f}: proxy {format_number(proxy)}" + (f", gold {format_number(columns['gold'][row])}" if gold else "")
        for row, (value, proxy) in enumerate(zip(columns[column], columns["proxy"], strict=True))
    ]
    alt = f"Gain of proxy and gold by {label}: {'; '.join(spoken)}."
    caption = (
        "Dashed: the proxy that is optimised. Line: the gold. Bands: 95 %, over prompts. Dotted: where the gold is "
        "highest."
    )
    return _render(table.name, draw, alt, caption if gold else "The proxy; no gold was named.", height_in=3.5)


def hack_rates(table: Table) -> Plot | None:
    """Hack rates by setting trained in (rows, the base first) and evaluated in, the darker the more."""
    columns = _numbers(table, ("rate",), ("low", "high"), limit=_POINT_LIMIT)
    if columns is None:
        return None
    drawn = _drawable_rows(table, ("rate",), _POINT_LIMIT)
    keys = [(str(row[table.columns.index("trained")]), str(row[table.columns.index("evaluated")])) for row in drawn]
    rows, places = (list(dict.fromkeys(key[side] for key in keys))[:_TICK_LIMIT] for side in (0, 1))
    texts = [format_effect(*ends) for ends in zip(columns["rate"], columns["low"], columns["high"], strict=True)]

    def draw(axes: Any) -> None:
        for (row, place), rate, text in zip(keys, columns["rate"], texts, strict=True):
            if row in rows and place in places:
                at = (places.index(place), rows.index(row))
                corner = (at[0] - 0.5, at[1] - 0.5)
                axes.add_patch(_square(corner, alpha=_FAINTEST + (_DARKEST - _FAINTEST) * min(max(rate, 0.0), 1.0)))
                rates, _, ends = text.partition(" ")
                axes.text(*at, f"{rates}\n{ends}".strip(), ha="center", va="center", fontsize=8.5)
        _label_rows(axes, rows)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(-0.5, len(places) - 0.5)
        axes.set_xticks(range(len(places)), [_label(place) for place in places])
        axes.grid(visible=False)
        axes.tick_params(length=0)
        axes.spines["bottom"].set_visible(False)
        axes.set_ylabel("trained in")
        axes.set_xlabel("evaluated in")

    spoken = [f"{_label(row)} in {_label(place)} {text}" for (row, place), text in zip(keys, texts, strict=True)]
    alt = f"{escape_text(table.title)}: {'; '.join(spoken)}."
    caption = "Share of responses that hack, with 95 % intervals; the first row is the policy before training."
    return _render(table.name, draw, alt, caption, height_in=0.8 + 0.5 * len(rows), width_in=1.2 + 1.3 * len(places))


def probe_effects(table: Table) -> Plot | None:
    """Effect of each probe with its interval and its verdict, in the order of the table: controls, then the worst."""
    columns = _numbers(table, ("effect",), ("low", "high"))
    if columns is None:
        return None
    drawn = _drawable_rows(table, ("effect",))
    names = [f"{row[table.columns.index('probe')]} ({row[table.columns.index('expected')]})" for row in drawn]
    verdicts = [str(row[table.columns.index("verdict")]) for row in drawn]
    ends = [(_number(row[table.columns.index("low")]), _number(row[table.columns.index("high")])) for row in drawn]

    def draw(axes: Any) -> None:
        for row, (effect, (low, high), verdict) in enumerate(zip(columns["effect"], ends, verdicts, strict=True)):
            colour, marker, filled = _MARKS[verdict]  # type: ignore[index]  # a table holds verdicts as plain text
            if math.isfinite(low) and math.isfinite(high):
                axes.plot([low, high], [row, row], color=colour, solid_capstyle="butt")
            axes.plot([effect], [row], marker=marker, color=colour, mfc=colour if filled else "none", ls="none")
        _label_rows(axes, names)
        _mark_zero(axes)
        axes.set_xlabel("change of the score, SD of margins")

    spoken = [
        f"{_label(name)} {format_effect(effect, *end)} ({verdict})"
        for name, effect, end, verdict in zip(names, columns["effect"], ends, verdicts, strict=True)
    ]
    alt = f"Effects of probes in SD of margins: {'; '.join(spoken)}."
    caption = (
        "What each edit does to the score, and in brackets what it may do; controls first, then the worst. Square: "
        "problem; open circle: unclear; dot: ok."
    )
    return _render(table.name, draw, alt, caption, height_in=0.75 + _ROW_IN * len(drawn), width_in=_WIDE_IN)


def _square(corner: tuple[float, float], *, alpha: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, facecolor=_SERIES, alpha=alpha, edgecolor="none")


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


FIGURES: Mapping[str, Callable[[Table], Plot | None]] = {
    "reliability": reliability,
    "accuracy_by_source": accuracy_by_slice,
    "accuracy_by_length_gap": accuracy_by_slice,
    "best_of_n": best_of_n,
    "rl_curve": under_rl,
    "capability": along_capability,
    "transfer": hack_rates,
    "probes": probe_effects,
}
"""Table name -> the figure drawn beside it."""


# -------------------------------------------------------------------------------------------------- from tables to axes
def _drawable_rows(table: Table, required: Sequence[str], limit: int = _ROW_LIMIT) -> list[tuple[Any, ...]]:
    indices = [table.columns.index(name) for name in required]
    rows = [row for row in table.rows if all(math.isfinite(_number(row[index])) for index in indices)]
    return rows[:limit]


def _numbers(
    table: Table, required: Sequence[str], optional: Sequence[str], limit: int = _ROW_LIMIT
) -> dict[str, list[float]] | None:
    """The named columns as floats over the rows that can be drawn; None where there is nothing to draw."""
    if any(name not in table.columns for name in required):
        return None
    rows = _drawable_rows(table, required, limit)
    if not rows:
        return None
    names = [*required, *(name for name in optional if name in table.columns)]
    return {name: [_number(row[table.columns.index(name)]) for row in rows] for name in names}


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # anything else than a number is what the except is for
    except (TypeError, ValueError):
        return math.nan


def _whiskers(axes: Any, at: Sequence[float], columns: Mapping[str, Sequence[float]], *, horizontal: bool) -> None:
    if "low" not in columns or "high" not in columns:
        return
    for place, low, high in zip(at, columns["low"], columns["high"], strict=True):
        if math.isfinite(low) and math.isfinite(high):
            ends, places = [low, high], [place, place]
            axes.plot(*((ends, places) if horizontal else (places, ends)), color=_SERIES, solid_capstyle="butt")


def _label(text: str) -> str:
    return escape_short(text, _LABEL_LIMIT)


def _label_rows(axes: Any, names: Sequence[str]) -> None:
    """One row a name, the first on top, with no axis line where the rows are names and not amounts."""
    axes.set_yticks(range(len(names)), [_label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _mark_zero(axes: Any) -> None:
    low, high = axes.get_xlim()
    if low <= 0 <= high:
        axes.axvline(0, color=_MUTED, lw=0.9, zorder=1)


# ------------------------------------------------------------------------------------------------------- drawing to SVG
def _render(
    name: str, draw: Callable[[Any], None], alt: str, caption: str, *, height_in: float, width_in: float = _WIDTH_IN
) -> Plot:
    # imported here: matplotlib takes longer to load than all the rest of the report to write
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "glyph missing": the page's font has it, only the layout uses ours
        matplotlib.rcdefaults()  # a user's own matplotlibrc must not change the report
        parameters: Any = matplotlib.rcParams
        parameters.update(_STYLE)
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return Plot(svg=_embed(buffer.getvalue(), name, alt), alt=alt, caption=caption)


def _embed(svg: str, name: str, alt: str) -> str:
    """Turn matplotlib's SVG file into markup for a page: themed, sized by CSS, named, with ids of its own."""
    from markupsafe import escape

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)  # it would style the whole page
    svg = re.sub(r'\s*xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r">\s+<", "><", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(?<=\bid=")', f"{name}-", svg)  # several figures share a page, and ids must not repeat
    svg = re.sub(r'(?<=href="#)|(?<=url\(#)', f"{name}-", svg)
    for placeholder, themed in _THEME.items():
        svg = svg.replace(placeholder, themed)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)  # the family comes from the page
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    head = re.match(r"<svg[^>]*>", svg)
    assert head is not None, "matplotlib wrote no svg element"
    box = re.search(r'viewBox="[^"]*"', head.group())
    assert box is not None, "matplotlib wrote no viewBox"
    label = escape(alt)
    width = box.group().split()[2]
    opening = f'<svg {box.group()} style="max-width: {width}pt" role="img" aria-label="{label}"><title>{label}</title>'
    return opening + svg[head.end() :].strip()
