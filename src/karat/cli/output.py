"""From a result to standard output and the exit status."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

import typer

from karat.cli.failures import PROBLEM, UNCLEAR
from karat.cli.progress import ProgressCallback, ProgressPrinter
from karat.cli.shared import Shared, SharedVerb
from karat.cli.streams import quiet_libraries, stdout_to_stderr, terminal_width, wants_colour
from karat.types import Result, Verdict


@contextlib.contextmanager
def verb_at_work(shared: Shared) -> Iterator[ProgressCallback | None]:
    """Surroundings of the one call of a command: quiet libraries, a clean standard output, progress."""
    if not shared.debug:
        quiet_libraries()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stdout_to_stderr())
        silent = shared.quiet or sys.stderr is None
        yield None if silent else stack.enter_context(ProgressPrinter(width=terminal_width()))


def with_command_line(result: Result, arguments: Sequence[str]) -> Result:
    """The result with the command line in its provenance, unless the verb gave one. Passwords in URLs are masked."""
    line = shlex.join(["karat", *arguments])
    line = re.sub(r"(://)[^/@\s]+@", r"\1***@", line)
    return replace(result, provenance={"command": line, **result.provenance})


def finish(result: Result, shared: SharedVerb) -> NoReturn:
    """Print the result in the form asked for, and end the command with the exit status of its verdict."""
    write_out(render(result, shared))
    raise typer.Exit(exit_status(result.verdict, strict=shared.strict))


def render(result: Result, shared: Shared) -> str:
    """The result in the form asked for. Each form is imported only when it is used."""
    if shared.json:
        from karat.report.json import render_json

        return render_json(result)
    if shared.md:
        from karat.report.markdown import render_markdown

        return render_markdown(result)
    from karat.report.terminal import render_terminal

    return render_terminal(result, width=terminal_width(), colour=wants_colour())


def exit_status(verdict: Verdict, *, strict: bool) -> int:
    """0 for ok and for "not checked", which claims nothing; 1 for a problem; 3 for unclear where `strict`."""
    if verdict == "problem":
        return PROBLEM
    return UNCLEAR if verdict == "unclear" and strict else 0


def write_out(text: str) -> None:
    """Write to standard output and flush, so that a closed pipe is met here and not while Python exits."""
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # a terminal that cannot show a character shows its escape
        reconfigure(errors="backslashreplace")
    sys.stdout.write(text)
    sys.stdout.flush()
