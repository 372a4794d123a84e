"""The figure of hacks by aggregate."""

from __future__ import annotations

from karat.report.html import DRAWN
from karat.report.process_figures import by_aggregate
from karat.types import NAN, Table

COLUMNS = ("hack", "expected", "min", "product", "last", "mean", "sum", "open", "unclear")
TABLE = Table(
    "process_aggregates", "Hacks by aggregate", COLUMNS,
    (("pad <b>", "<=0", 0.0, -0.004, 0.31, 0.2, 4.0, "last, sum", "mean"),
     ("plan only", "-", NAN, NAN, NAN, NAN, NAN, "", "")),
)  # fmt: skip


def test_gains_are_written_and_what_is_open_is_counted_in_words() -> None:
    plot = by_aggregate(TABLE)
    assert plot is not None
    assert "Of 2 hacks, open under: min 0, product 0, last 1, mean 0, sum 1." in plot.alt
    for text in ("+0.31", "+4.00", "0.00", "pad &lt;b&gt;"):
        assert text in plot.svg
    assert "nan" not in plot.svg
    assert "<b>" not in plot.svg


def test_open_gains_are_told_apart_without_colour() -> None:
    plot = by_aggregate(TABLE)
    assert plot is not None
    bold = [part.partition(">")[2].partition("<")[0] for part in plot.svg.split("<text") if "weight: 700" in part]
    assert bold == ["+0.31", "+4.00"]


def test_it_is_drawn_beside_its_table_and_not_of_others() -> None:
    assert DRAWN["process_aggregates"] is by_aggregate
    assert by_aggregate(Table("process_aggregates", "t", ("hack",), (("a",),))) is None
    assert by_aggregate(Table("process_aggregates", "t", COLUMNS, ())) is None
