"""The terminal report: at most 25 lines, whatever the result and the width."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from karat.report.terminal import LINE_LIMIT, render_terminal
from karat.types import Finding, Result, Table
from report.sample_results import HOSTILE, finding, full_result

TEXTS = st.text(max_size=200)


def test_the_order_of_the_blocks_at_80_columns() -> None:
    text = render_terminal(full_result())
    lines = text.splitlines()
    assert len(lines) <= LINE_LIMIT
    assert all(cell_len(line) <= 80 for line in lines)
    assert lines[0] == "problem: The reward pays for length."
    assert lines[2].split() == ["check", "effect", "[low,", "high]", "n", "(lost)", "baseline", "verdict"]
    assert lines[3].startswith("RM101 Probe number 1")
    assert lines[3].endswith("problem")
    assert "1,204 (3)" in lines[3]  # three missing are not hidden in n
    starts = [
        text.index(label) for label in ("problem:", "check  ", "worst  ", "not checked  ", "do this  ", "written  ")
    ]
    assert starts == sorted(starts)
    assert "RM103 Probe number 3 (needs --gold COLUMN)" in " ".join(text.split())
    assert "karat explain RM101" in text
    assert "out/report.html, out/result.json" in text


def test_rows_that_do_not_fit_are_counted() -> None:
    findings = (*(finding(number) for number in range(60)), finding(77, "problem"))
    lines = render_terminal(Result("check", findings)).splitlines()
    assert len(lines) <= LINE_LIMIT
    shown = [line for line in lines if line.startswith("RM")]
    assert shown[0].startswith("RM177")
    assert f"... and {61 - len(shown)} more: all ok" in lines


def test_witnesses_are_escaped_and_the_worst_three() -> None:
    text = render_terminal(full_result(), width=200)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\x1b[31mred\x1b]52;c;QUFBQQ==\x07" in text
    assert text.count("second") == 1
    assert "unclear witness" not in text  # three of the problem come first


def test_colour_only_marks_verdicts() -> None:
    plain = render_terminal(full_result())
    coloured = render_terminal(full_result(), colour=True)
    assert "\x1b" not in plain
    for code in ("31", "32", "33", "2", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain


def test_no_digit_of_an_interval_is_lost_at_80_columns() -> None:
    row = Finding("DATA402", "A long title that has to give way", "ok", 0.0041, 0.0012, 0.0093, "share of all pairs",
                  n_used=123456, n_failed=12, baseline="0.0500 is where trouble starts")  # fmt: skip
    assert "0.0041 [0.0012, 0.0093]" in render_terminal(Result("check", (row,)))


def test_without_findings_the_plain_values_are_shown() -> None:
    result = Result(
        "score",
        values={"n_scored": 500, "losses": [1.0], "rate": 0.25, "rate_low": 0.2, "rate_high": 0.3},
        files=("out.jsonl",),
    )
    assert render_terminal(result) == (
        "karat score finished; it checks nothing by itself.\n\nn_scored  500\nrate      0.25 [0.20, 0.30]\n\n"
        "written      out.jsonl\n"
    )


def account(*rows: tuple[str, str, int], name: str = "account") -> Table:
    return Table(name, "What happened to the rows", ("action", "reason", "count"), rows)


def test_rows_that_gave_no_pair_are_named_on_the_terminal() -> None:
    """A dropped row must not wait for someone to open the report."""
    rows = (("dropped", "prompts differ", 1200), ("dropped", HOSTILE, 3), ("changed", "cut", 2), ("noted", "tie", 9))
    changed = render_terminal(Result("train", (finding(1),), (account(("changed", "a", 2), ("changed", "b", 2)),)))
    assert "rows         changed: a (2), b (2)" in changed  # perhaps the same rows, so there is no sum
    result = Result("train", (finding(1),), (account(*rows), account(("dropped", "no text", 4), name="account_test")))
    lines = [line.rstrip() for line in render_terminal(result, width=200).splitlines()]
    assert any(line.startswith("rows         1,203 dropped: prompts differ (1,200), He said") for line in lines)
    assert "test rows    4 dropped: no text" in lines
    noted = Result("train", (finding(1),), (account(("noted", "file ends early", 1)),))
    assert "rows         1 noted: file ends early" in render_terminal(noted)
    assert "rows  " not in render_terminal(Result("train", (finding(1),), (account(),)))


def test_nothing_checked_is_never_called_passed() -> None:
    text = render_terminal(Result("check", (finding(1, "not checked"),)))
    assert text.startswith("not checked: 1 not checked.")
    assert "ok" not in text


@given(
    verdicts=st.lists(st.sampled_from(["ok", "problem", "unclear", "not checked"]), max_size=40),
    text=TEXTS,
    width=st.integers(1, 200),
    n_files=st.integers(0, 9),
    n_values=st.integers(0, 60),
    n_rows=st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_25_lines_within_the_width_whatever_comes(
    verdicts: list[str], text: str, width: int, n_files: int, n_values: int, n_rows: int
) -> None:
    findings = tuple(
        finding(number, verdict, title=text, unit=text, baseline=text, action=text, witnesses=(text, HOSTILE))
        for number, verdict in enumerate(verdicts)
    )
    files = tuple(f"f{number}" for number in range(n_files))
    values = {f"v{number}": number for number in range(n_values)}
    tables = tuple(account(*((("dropped", text, 1),) * n_rows), name=name) for name in ("account", "account_test"))
    lines = render_terminal(Result("check", findings, tables, values, files, lead=text), width=width).splitlines()
    assert len(lines) <= LINE_LIMIT
    assert all(cell_len(line) <= max(width, 40) for line in lines)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_verdict_is_never_cut(width: int) -> None:
    lines = render_terminal(full_result(), width=width).splitlines()
    assert any(line.startswith("RM101") and line.endswith("problem") for line in lines)
