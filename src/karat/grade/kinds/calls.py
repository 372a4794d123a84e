"""Calls of one candidate, one at a time, under one total limit; and what each reply means for a test."""

from __future__ import annotations

import ast
import builtins
import re
import time
from dataclasses import replace
from importlib.util import decode_source

from karat.grade.compare import agree, short
from karat.grade.kinds.context import Context
from karat.grade.types import Comparison, Task, Test, TestVerdict
from karat.sandbox.types import Call, Ended, Program, Reply, Run, Session

VERDICT_OF_END: dict[Ended, TestVerdict] = {
    "done": "fail",
    "exit": "fail",
    "signal": "fail",
    "memory": "fail",
    "output": "fail",
    "load": "fail",
    "wall": "timeout",
    "cpu": "timeout",
    "fault": "error",
}
"""What a test becomes whose call was not answered. done: an answer came that was none."""

BYTE_ORDER_MARK = "\ufeff"
"""Python skips it in a file, and not in a text."""
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
"""A line as Python counts them: `str.splitlines` ends some earlier."""

NOT_REACHED = "not asked: the run had ended before"


def program_of(task: Task, code: str | bytes, context: Context) -> Program:
    """The candidate's code, with what the task promises to have imported, under watch."""
    source = with_prelude(task.prelude, code)
    return Program(source=source, files=task.files, baits=context.baits, watch=context.watch)


def with_prelude(prelude: str, code: str | bytes) -> str | bytes:
    """The prelude before the code, but behind its `from __future__` imports, which must come first."""
    if isinstance(code, str):
        code = code.removeprefix(BYTE_ORDER_MARK)
    if not prelude:
        return code
    if isinstance(code, bytes):
        try:
            return with_prelude(prelude, decode_source(code))  # by its own encoding cookie
        except (SyntaxError, UnicodeDecodeError):
            return prelude.encode("utf-8", "surrogatepass") + b"\n" + code
    end = _end_of_future_imports(code) if "__future__" in code else 0
    lines = LINE.findall(code)
    return "".join(
        [*lines[:end], "" if not end or lines[end - 1].endswith("\n") else "\n", prelude, "\n", *lines[end:]]
    )


def _end_of_future_imports(code: str) -> int:
    """Last line of them; 0 where there are none or the code does not compile."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0
    ends = [s.end_lineno or 0 for s in body if isinstance(s, ast.ImportFrom) and s.module == "__future__"]
    return max(ends, default=0)


class Caller:
    """A candidate that is called; under `fresh` in a new process for each call. Close it, then read `runs`."""

    def __init__(self, task: Task, code: str | bytes, context: Context, *, fresh: bool = False) -> None:
        self._program, self._limits, self._context = program_of(task, code, context), task.limits, context
        self._started = time.monotonic()
        self.fresh = fresh
        self._session: Session | None = None
        self._runs: list[Run] = []

    def left_s(self) -> float:
        """Seconds left of the total."""
        return self._limits.wall_s - (time.monotonic() - self._started)

    def ask(self, call: Call) -> Reply:
        """The reply; `missing` says that no further call will be answered."""
        if self.fresh:
            self.close()
        if self._session is None:
            limits = replace(self._limits, wall_s=max(0.001, self.left_s()))
            self._session = self._context.sandbox.open(self._program, limits=limits)
        return self._session.call(call)

    def close(self) -> None:
        if self._session is not None:
            self._runs.append(self._session.close())
            self._session = None

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(self._runs)

    def end(self) -> tuple[TestVerdict, str]:
        """What the last run's end means for a call that it did not answer, with the reason."""
        run = self._runs[-1]
        reason = run.message or run.ended
        if run.ended == "load":
            reason = f"does not load: {reason}"
        if run.ended == "done":
            reason = next((r.message for r in reversed(run.replies) if r.status == "missing"), "no usable answer")
        return VERDICT_OF_END[run.ended], reason


def judge_reply(test: Test, reply: Reply, comparison: Comparison) -> str:
    """Empty when the reply is what the test asks for, else the reason. For a reply that is not missing."""
    if test.raises:
        return wrong_exception(test.raises, reply)
    if reply.status == "value":
        return agree(test.output, reply.value, comparison)
    return no_value(reply)


def no_value(reply: Reply) -> str:
    """Why a reply holds no value."""
    where = f" (line {reply.line})" if reply.line is not None else ""
    if reply.status == "raised":
        return f"raised {reply.type_name}: {reply.message[:120]}{where}"
    return f"returned a {reply.type_name or 'value'}, which is no plain value ({reply.message[:120]})"


def wrong_exception(expected: str, reply: Reply) -> str:
    if reply.status != "raised":
        got = short(reply.value) if reply.status == "value" else f"a {reply.type_name}"
        return f"expected {expected} to be raised, got {got}"
    base = next((note.removeprefix("kind of ") for note in reply.notes if note.startswith("kind of ")), "")
    wanted, raised = getattr(builtins, expected, None), getattr(builtins, base or reply.type_name, None)
    if isinstance(wanted, type):  # one of Python's own: the exception must be one of its kind
        fits = isinstance(raised, type) and issubclass(raised, wanted)
        leaves = isinstance(raised, type) and not issubclass(raised, Exception)
        return (
            "" if fits and not (leaves and wanted is BaseException) else f"expected {expected}, but {no_value(reply)}"
        )
    return "" if reply.type_name == expected else f"expected {expected}, but {no_value(reply)}"
