"""One program whose intent is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class CheatTask:
    """A small task, in the form of a row of the grading contract, and what its kind needs beside it."""

    name: str
    kind: Literal["function", "sequence", "stdio", "asserts", "pytest", "repository"]
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
    files: dict[str, str] = field(default_factory=dict)
    """Further files of a repository or pytest candidate, by path."""
