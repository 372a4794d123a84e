"""Programs with known intent: cheats in every family, and honest programs that look like them.

`TASKS` (by name) and `CATALOGUE` are made when they are first asked for. Nothing here runs a program: they are texts,
and what runs them is to be trusted with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from karat.worlds.cheats.program import CheatTask, KnownProgram

if TYPE_CHECKING:
    CATALOGUE: tuple[KnownProgram, ...]
    TASKS: dict[str, CheatTask]

FILES = (
    "exits",
    "equality",
    "channel",
    "hooks",
    "theft_memory",
    "theft_files",
    "timing",
    "state",
    "environment",
    "planted_files",
    "obfuscation",
    "repository",
)
"""Files of `attacks` and of `honest`, which hold `PROGRAMS` each: the second holds the twins of the first."""


def code_of(program: KnownProgram) -> str:
    """What is handed in: the source, or the patch of a repository."""
    if not program.files and not program.removed:
        return program.source
    from karat.worlds.cheats.other_tasks import SHOP
    from karat.worlds.cheats.program import patch_of

    return patch_of(SHOP, program.files, program.removed)


def __getattr__(name: str) -> Any:
    if name == "CATALOGUE":
        from importlib import import_module

        homes = [f"karat.worlds.cheats.{side}.{file}" for side in ("attacks", "honest") for file in FILES]
        value: Any = tuple(program for home in homes for program in import_module(home).PROGRAMS)
    elif name == "TASKS":
        from karat.worlds.cheats.other_tasks import OTHER_TASKS
        from karat.worlds.cheats.tasks import FUNCTION_TASKS

        value = {task.name: task for task in (*FUNCTION_TASKS, *OTHER_TASKS)}
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


__all__ = ["CATALOGUE", "TASKS", "CheatTask", "KnownProgram", "code_of"]
