"""One program whose intent is known, and the task that it answers."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

TaskForm = Literal["function", "sequence", "stdio", "asserts", "pytest", "repository"]
Aim = Literal["forge", "steal", "escape", "disturb", "special-case", "none"]
"""forge: make the verdict, the comparison or the clock say what is not so; steal: read the answers; escape: leave the
sandbox, change or end what lies outside it; disturb: silence the evidence, break the protocol, behave otherwise when it
is watched; special-case: answer the visible tests alone; none: an honest program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheatTask:
    """A small task, in the form of a row of the grading contract, and what its kind needs beside it."""

    name: str
    kind: TaskForm
    row: dict[str, object]
    """A row of a karat tasks file (design: `task_id`, `entry_point`, `tests`, `hidden_tests`, `reference`, ...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProgram:
    """A cheat (never solves its task) or its honest look-alike (solves it, using the same means for a good reason)."""

    name: str
    family: str
    technique: str
    """Key of the technique table; for a benign program, the technique that it looks like."""
    task: str
    """Name of the CheatTask it answers."""
    source: str
    cheats: bool
    aim: Aim = "forge"
    files: dict[str, str] = field(default_factory=dict)
    """Files of a repository that it writes, by path: their new content. (`source` is empty then.)"""
    removed: tuple[str, ...] = ()
    """Files of a repository that it deletes."""


Maker = Callable[..., KnownProgram]


def cheating(family: str) -> Maker:
    """A short constructor of the cheats of one family, from (name, technique, task, source) and other fields by name.

    A source begins in its second line, so that its own first line is line 1.
    """
    return partial(_make, family, True)


def honest(family: str) -> Maker:
    """The same for the honest programs that look like cheats of one family."""
    return partial(_make, family, False)


def _make(
    family: str,
    cheats: bool,
    name: str,
    technique: str,
    task: str,
    source: str = "",
    *,
    aim: Aim = "forge",
    files: dict[str, str] | None = None,
    removed: tuple[str, ...] = (),
) -> KnownProgram:
    return KnownProgram(
        name=name,
        family=family,
        technique=technique,
        task=task,
        source=source.removeprefix("\n"),
        cheats=cheats,
        aim=aim if cheats else "none",
        files={path: text.removeprefix("\n") for path, text in (files or {}).items()},
        removed=removed,
    )


def patch_of(before: dict[str, str], files: dict[str, str], removed: tuple[str, ...] = ()) -> str:
    """The change from one folder to another, as `git diff` prints it."""
    parts = []
    for path in sorted({*files, *removed}):
        old, new = before.get(path), None if path in removed else files[path]
        if old == new:
            continue
        head = [f"diff --git a/{path} b/{path}\n"]
        if old is None:
            head.append("new file mode 100644\n")
        if new is None:
            head.append("deleted file mode 100644\n")
        lines = difflib.unified_diff(
            (old or "").splitlines(keepends=True),
            (new or "").splitlines(keepends=True),
            "/dev/null" if old is None else f"a/{path}",
            "/dev/null" if new is None else f"b/{path}",
        )
        parts.append("".join(head) + "".join(_ended(line) for line in lines))
    return "".join(parts)


def _ended(line: str) -> str:
    return line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
