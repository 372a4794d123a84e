"""Errors as the user meets them: at most three lines on standard error, and an exit status that tells.

    0 ok   1 problem found   2 wrong use, unreadable input, or an error   3 unclear, with --strict
    130 interrupted   141 the reader of standard output went away

Standard output stays as it is: with --json it is empty after an error, and the exit status says so.
"""

from __future__ import annotations

import errno
import os
import sys
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from karat.errors import KaratError
from karat.report.text import escape_text, shorten

PROBLEM, WRONG_USE, UNCLEAR, INTERRUPTED, BROKEN_PIPE = 1, 2, 3, 130, 141

_LINE_LIMIT = 3
_MESSAGE_LIMIT = 1200


@contextmanager
def reported(*, debug: bool) -> Iterator[None]:
    """Turn whatever goes wrong inside into its message and a `typer.Exit`."""
    try:
        yield
    except (typer.Exit, typer.TyperException):
        raise
    except (KeyboardInterrupt, Exception) as error:
        if debug and not isinstance(error, BrokenPipeError):
            traceback.print_exc()
        lines, status = explain_failure(error)
        print_lines(lines)
        raise typer.Exit(status) from error


def explain_failure(error: BaseException) -> tuple[list[str], int]:
    """The lines to print, and the exit status."""
    if isinstance(error, KeyboardInterrupt):
        return ["interrupted; what is written is kept"], INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return [], BROKEN_PIPE
    if isinstance(error, KaratError):
        return message_lines(str(error)), WRONG_USE
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return [
            f"error: the disk is full{where}; what is written is kept",
            "free some space, or name another --out, and run the same command again",
        ], WRONG_USE
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return message_lines(f"{error.filename}: {error.strerror}"), WRONG_USE
    if isinstance(error, MemoryError):
        return ["error: out of memory", "lower --tokens-per-pack or --max-length where the command has them"], WRONG_USE
    text = " ".join(str(error).split())
    name = type(error).__name__ + (f": {shorten(text, 300)}" if text else "")
    return [f"error: unexpected {name}; run again with --debug for the traceback"], WRONG_USE


def usage_lines(error: typer.TyperException) -> list[str]:
    """Wrong use of the command line: what, where, what to do."""
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else "karat"
    what = error.format_message().strip().rstrip(".")
    return [*message_lines(what[:1].lower() + what[1:], limit=1), f"usage: see `{where} --help`"]


def message_lines(message: str, *, limit: int = _LINE_LIMIT) -> list[str]:
    """A message as at most `limit` lines, the first led by "error: ". It may quote data, so controls are escaped."""
    message = shorten(message.strip(), _MESSAGE_LIMIT)
    lines = [escape_text(line.strip()) for line in message.split("\n") if line.strip()] or ["(no message)"]
    lines = [*lines[: limit - 1], " ".join(lines[limit - 1 :])] if len(lines) > limit else lines
    return [f"error: {lines[0]}", *textwrap.indent("\n".join(lines[1:]), "  ").splitlines()]


def print_lines(lines: list[str]) -> None:
    """Print on standard error, which may be gone too: a full pipe, or None after `2>&-`."""
    if sys.stderr is None:  # print(file=None) would mean standard output
        return
    with suppress(OSError):
        for line in lines:
            print(escape_text(line), file=sys.stderr)


def drop_stdout() -> None:
    """After a broken pipe: let the flush at exit go nowhere, or Python would print an error of its own."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
