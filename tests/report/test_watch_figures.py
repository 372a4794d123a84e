"""Figures of a watched run: what is drawn, what is marked, what thinning keeps, what stands alone in small panels."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from karat.report.html import DRAWN
from karat.report.watch_figures import curve, evidence, evidence_panels, signal_panels, signals, thin
from karat.types import NAN, Table

CURVE = ("step", "proxy", "proxy_low", "proxy_high", "gold", "gold_low", "gold_high", "alarm", "onset")
EVIDENCE = ("step", "detector", "evidence", "threshold")
SIGNALS = ("step", "signal", "value", "low", "high")


def curve_table(steps: int = 30, *, gold: bool = True) -> Table:
    """The gold is highest at step 10; alarm at 20, onset 12 to 15, a notice at 5."""
    rows = []
    for step in range(steps):
        level = -abs(step - 10) / 10 if gold else NAN
        alarm = {20: "alarm", 5: "notice"}.get(step, "")
        rows.append(
            (step, step / 10, step / 10 - 1, step / 10 + 1, level, level - 1, level + 1, alarm, 12 <= step <= 15)
        )
    return Table("watch_curve", "Proxy and gold", CURVE, tuple(rows))


def paths(svg: str) -> int:
    return len(re.findall(r'<path d="[^"]*"[^>]*clip-path', svg))


# ---------------------------------------------------------------------------------------------------------------- curve
def test_curve_says_where_gold_is_highest_and_what_was_raised() -> None:
    plot = curve(curve_table())
    assert plot is not None
    assert "gold -1 to -1.90, highest 0 at step 10" in plot.alt
    assert "Alarm at step 20; onset between 12 and 15." in plot.alt
    for text in ("alarm, step 20", "onset, step 12 to 15", "notice"):
        assert text in plot.svg


def test_curve_without_gold_says_so_and_draws_one_panel() -> None:
    plot, both = curve(curve_table(gold=False)), curve(curve_table())
    assert plot is not None
    assert both is not None
    assert "No gold was named" in plot.caption
    assert "gold" not in plot.alt.replace("No alarm", "")
    assert plot.svg.count('id="watch_curve-axes_') == 1
    assert both.svg.count('id="watch_curve-axes_') == 2


def test_an_alarm_given_as_true_is_marked_and_a_table_without_marks_is_drawn() -> None:
    rows = tuple((step, float(step), step == 3) for step in range(5))
    marked = curve(Table("watch_curve", "t", ("step", "proxy", "alarm"), rows))
    plain = curve(Table("watch_curve", "t", ("step", "proxy"), tuple(row[:2] for row in rows)))
    assert marked is not None
    assert "Alarm at step 3." in marked.alt
    assert plain is not None
    assert "No alarm." in plain.alt


def test_a_gap_in_the_steps_breaks_the_line() -> None:
    whole = [(step, 1.0) for step in range(100)]
    broken = [row for row in whole if not 40 <= row[0] < 60]
    drawn = [curve(Table("watch_curve", "t", ("step", "proxy"), tuple(rows))) for rows in (whole, broken)]
    assert drawn[0] is not None
    assert drawn[1] is not None
    assert paths(drawn[1].svg) == paths(drawn[0].svg) + 1


@pytest.mark.parametrize(
    "table",
    [
        Table("watch_curve", "t", ("step", "proxy"), ()),
        Table("watch_curve", "t", ("step",), ((1,),)),
        Table("watch_curve", "t", ("step", "proxy"), ((1, NAN), (2, None), (NAN, 3.0))),
    ],
)
def test_nothing_to_draw_is_no_figure(table: Table) -> None:
    assert curve(table) is None
    assert evidence(table) is None
    assert signals(table) is None
    assert evidence_panels(table) == signal_panels(table) == []


# --------------------------------------------------------------------------------------------------------------- panels
def evidence_table() -> Table:
    """`calm` stays below, `far` crosses at 7; names hold markup."""
    rows = [(step, "calm <i>", 0.5, 6.9) for step in range(10)]
    rows += [(step, "far", float(step), 6.9) for step in range(10)]
    return Table("watch_evidence", "Evidence", EVIDENCE, tuple(rows))


def test_evidence_puts_what_is_nearest_its_line_first() -> None:
    panels = evidence_panels(evidence_table())
    assert [panel.caption for panel in panels] == ["far", "calm <i>"]
    assert panels[0].alt == "far: reached its line first at step 7, last 9 against 6.90 nats."
    assert panels[1].alt == "calm <i>: below its line, last 0.500 against 6.90 nats."
    assert "<i>" not in panels[1].svg


def test_panels_are_those_of_the_figure_and_their_ids_differ() -> None:
    rows = [(step, name, 1.0, 0.0, 2.0) for name in ("length", "entropy") for step in range(5)]
    table = Table("watch_signals", "Signals", SIGNALS, tuple(rows))
    whole, panels = signals(table), signal_panels(table)
    assert whole is not None
    assert [panel.caption for panel in panels] == ["length", "entropy"]
    assert panels[0].alt == "length: last 1, healthy range 0 to 2."
    ids = [set(re.findall(r'\bid="([^"]+)"', panel.svg)) for panel in panels]
    assert ids[0].isdisjoint(ids[1])
    assert "length" in whole.alt
    assert "entropy" in whole.alt


def test_a_signal_without_a_healthy_range_is_drawn_without_one() -> None:
    rows = tuple((step, "length", float(step), NAN, NAN) for step in range(5))
    (panel,) = signal_panels(Table("watch_signals", "Signals", SIGNALS, rows))
    assert panel.alt == "length: last 4."


def test_a_figure_of_many_signals_says_how_many_it_leaves_out() -> None:
    rows = tuple((step, f"s{number}", 0.0, NAN, NAN) for number in range(26) for step in (0, 1))
    plot = signals(Table("watch_signals", "Signals", SIGNALS, rows))
    assert plot is not None
    assert plot.caption.endswith("2 more are in the table.")


def test_they_are_drawn_beside_their_tables() -> None:
    assert (DRAWN["watch_curve"], DRAWN["watch_evidence"], DRAWN["watch_signals"]) == (curve, evidence, signals)


# ------------------------------------------------------------------------------------------------------------- thinning
@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=3000), st.integers(4, 400))
def test_thinning_keeps_both_ends_and_both_extremes_within_the_limit(values: list[float], limit: int) -> None:
    kept = thin(values, limit)
    assert len(kept) <= limit
    assert kept == sorted(set(kept))
    if values:
        assert {kept[0], kept[-1]} == {0, len(values) - 1}
    finite = [value for value in values if value == value]
    if finite:
        drawn = [values[index] for index in kept if values[index] == values[index]]
        assert (min(drawn), max(drawn)) == (min(finite), max(finite))


def test_a_spike_of_one_step_in_a_long_run_is_drawn() -> None:
    values = np.zeros(100_000)
    values[[777, 50_001]] = 9.0, -9.0
    rows = tuple(zip(range(len(values)), values.tolist(), strict=True))
    plot = curve(Table("watch_curve", "t", ("step", "proxy"), rows))
    assert plot is not None
    assert "highest 9 at step 777" in plot.alt
    assert len(plot.svg) < 60_000
