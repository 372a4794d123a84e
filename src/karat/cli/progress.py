"""Progress on standard error: a line that renews itself on a terminal, a plain line now and then elsewhere.

The verbs know only a callable, `progress(stage, done, total, note="")`; `total` is None while it is not known.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TextIO

from karat.report.text import escape_text, format_number, shorten

PLAIN_EVERY_S = 10.0
RENEW_EVERY_S = 0.1


class ProgressCallback(Protocol):
    """What a verb calls: the stage's name, how much of it is done, of how much, and a short note."""

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None: ...


class ProgressPrinter:
    """A ProgressCallback that prints rate and time left, and remembers when each stage began.

    Used as a context manager: leaving it ends the line.
    """

    def __init__(
        self, stream: TextIO | None = None, *, width: int = 80, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._renews = self._stream.isatty()
        self._width = width
        self._clock = clock
        self._stage = ""
        self._began_s = 0.0
        self._first_done = 0
        self._shown_s = -PLAIN_EVERY_S
        self._last = ""
        self._pending = False  # the last call was not printed

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        now_s = self._clock()
        if stage != self._stage:
            self._end_stage()
            # a resumed stage begins at its first `done`: only what happens from here on counts for the rate
            self._stage, self._began_s, self._first_done = stage, now_s, done
            self._shown_s = -PLAIN_EVERY_S
        self._last = self._line(done, total, note, now_s - self._began_s)
        self._pending = True
        every_s = RENEW_EVERY_S if self._renews else PLAIN_EVERY_S
        if now_s - self._shown_s >= every_s or done == total:
            self._show(now_s)

    def __enter__(self) -> ProgressPrinter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_stage()

    def _show(self, now_s: float) -> None:
        self._shown_s, self._pending = now_s, False
        if self._renews:
            self._write(f"\r\x1b[2K{shorten(self._last, self._width - 1)}")
        else:
            self._write(self._last + "\n")

    def _end_stage(self) -> None:
        """The last line of a stage stays on the screen, with its last numbers."""
        if not self._stage:
            return
        if self._pending:
            self._show(self._clock())
        if self._renews:
            self._write("\n")
        self._stage = ""

    def _line(self, done: int, total: int | None, note: str, elapsed_s: float) -> str:
        text = f"{escape_text(self._stage)}: {done:,}" + (f"/{total:,}" if total is not None else "")
        parts = [text]
        if total:
            parts[0] += f" ({100 * done / total:.0f} %)"
        fresh = done - self._first_done
        if fresh > 0 and elapsed_s > 0:
            rate = fresh / elapsed_s
            parts.append(f"{format_number(float(f'{rate:.3g}'))}/s")
            if total is not None and done < total:
                parts.append(f"{format_duration((total - done) / rate)} left")
        if total is not None and done >= total:
            parts.append(format_duration(elapsed_s))
        if note:
            parts.append(escape_text(note))
        return ", ".join(parts)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # standard error is closed: the work goes on without an audience
            self._renews = False


def format_duration(seconds: float) -> str:
    """ "8 s", "4 min 10 s", "3 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
