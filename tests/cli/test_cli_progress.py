"""Progress: what is printed when, with a clock that the test turns."""

from __future__ import annotations

import io
import re

import pytest

from karat.cli.progress import ProgressPrinter, format_duration


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def run(*, terminal: bool, step_s: float, steps: int, total: int | None, first: int = 0) -> str:
    stream, clock = Stream(terminal=terminal), Clock()
    with ProgressPrinter(stream, clock=clock) as progress:
        for done in range(first, steps + 1):
            progress("train", done, total, "loss 0.5")
            clock.now_s += step_s
    return stream.getvalue()


def test_plain_lines_come_every_ten_seconds_and_at_the_end() -> None:
    lines = run(terminal=False, step_s=1.0, steps=25, total=25).splitlines()
    assert lines == [
        "train: 0/25 (0 %), loss 0.5",
        "train: 10/25 (40 %), 1/s, 15 s left, loss 0.5",
        "train: 20/25 (80 %), 1/s, 5 s left, loss 0.5",
        "train: 25/25 (100 %), 1/s, 25 s, loss 0.5",
    ]


def test_the_rate_of_a_resumed_stage_counts_only_what_is_new() -> None:
    # 100 were done before: 10 more in 10 s are 1 a second, not 11
    lines = run(terminal=False, step_s=1.0, steps=110, total=200, first=100).splitlines()
    assert lines[1] == "train: 110/200 (55 %), 1/s, 1 min 30 s left, loss 0.5"


def test_without_a_total_there_is_no_share_and_no_time_left() -> None:
    lines = run(terminal=False, step_s=1.0, steps=12, total=None).splitlines()
    assert lines[1] == "train: 10, 1/s, loss 0.5"
    assert lines[-1].startswith("train: 12, ")


def test_a_terminal_line_renews_itself_and_stays_within_the_width() -> None:
    text = run(terminal=True, step_s=1.0, steps=5, total=5)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text.count("\r\x1b[2K") == 6
    assert all(len(line) < 80 for line in re.split("\r\x1b\\[2K", text))


def test_stages_follow_each_other_and_notes_are_escaped() -> None:
    stream, clock = Stream(terminal=False), Clock()
    with ProgressPrinter(stream, clock=clock) as progress:
        progress("read", 1, 9)
        progress("read", 4, 9)
        progress("train\x1b[2J", 1, 2, "\x1b]0;title\x07")
    assert stream.getvalue().splitlines() == [
        "read: 1/9 (11 %)",
        "read: 4/9 (44 %)",  # a stage that ends early shows where it stood
        r"train\x1b[2J: 1/2 (50 %), \x1b]0;title\x07",
    ]


def test_a_closed_standard_error_does_not_stop_the_work() -> None:
    stream = Stream(terminal=False)
    stream_isatty = stream.isatty()
    progress = ProgressPrinter(stream)
    stream.close()
    progress("train", 1, 2)
    assert stream_isatty is False


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (250, "4 min 10 s"), (11100, "3 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
