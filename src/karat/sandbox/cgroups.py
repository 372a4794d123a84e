"""Control groups: a limit on memory and on processes that all processes of a worker share, where we may set one.

Where they cannot be set, each process still has its own limits; several processes together then have none, and the
wall is said not to stand. Version 2 and version 1 of the kernel's interface.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_numbers = itertools.count()
REMOVAL_TRIES = 50
MEMORY, PIDS = "memory", "pids"
FILES = {1: {MEMORY: "memory.limit_in_bytes", PIDS: "pids.max"}, 2: {MEMORY: "memory.max", PIDS: "pids.max"}}


@dataclass(frozen=True, slots=True)
class Group:
    """One group: a folder for each controller (version 1), or one for both (version 2)."""

    version: int
    folders: dict[str, Path]

    def limit(self, *, memory_bytes: int, processes: int) -> str:
        """Set both limits. Returns: empty, or why they are not set."""
        try:
            for name, value in ((MEMORY, memory_bytes), (PIDS, processes)):
                (self.folders[name] / FILES[self.version][name]).write_text(str(value))
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return ""

    def add(self, pid: int) -> None:
        """Move a process here; those that it forks follow. Raises: OSError: not allowed, or it is gone."""
        for folder in set(self.folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def ended_for_memory(self) -> int:
        """How many processes the kernel has ended here because memory was used up."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with contextlib.suppress(OSError, ValueError):
            for line in (self.folders[MEMORY] / name).read_text().splitlines():
                word, count = line.split()
                if word == "oom_kill":
                    return int(count)
        return 0

    def remove(self) -> None:
        """Remove the group; waits a little for processes that are still ending, and leaves it where one is alive."""
        for folder in set(self.folders.values()):
            for _ in range(REMOVAL_TRIES):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)  # version 1 of the interface has nothing to wait on
                else:
                    break


def mounted() -> list[tuple[int, set[str], Path]]:
    """Hierarchies that hold one of our controllers: version, controllers, where they are mounted."""
    found: list[tuple[int, set[str], Path]] = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, place, kind, options, *_ = line.split()
            if kind == "cgroup2":
                controllers = set((Path(place) / "cgroup.controllers").read_text().split())
                found.append((2, controllers & {MEMORY, PIDS}, Path(place)))
            elif kind == "cgroup":
                found.append((1, set(options.split(",")) & {MEMORY, PIDS}, Path(place)))
    return found


def own_paths() -> dict[str, str]:
    """Our place in each hierarchy, by controller; version 2 under the empty name."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            found |= dict.fromkeys(names.split(","), path)
    return found


def remove_stale(folders: Mapping[str, Path]) -> None:
    """Remove groups of processes of karat that were killed before they could."""
    for folder in {folder.parent for folder in folders.values()}:
        for left in folder.glob("karat-*-*"):
            if not Path("/proc", left.name.split("-")[1]).exists():
                with contextlib.suppress(OSError):
                    left.rmdir()


def create() -> tuple[Group | None, str]:
    """A new group below our own. Returns: it, or None and why not."""
    own, name = own_paths(), f"karat-{os.getpid()}-{next(_numbers)}"
    reason = "no control group with memory and processes is mounted"
    for version in (2, 1):
        places = [(names, place) for number, names, place in mounted() if number == version]
        folders: dict[str, Path] = {}
        for controller in (MEMORY, PIDS):
            for names, place in places:
                if controller in names:
                    inside = own.get("" if version == 2 else controller, "/").lstrip("/")
                    folders[controller] = place / inside / name
        if len(folders) < 2:
            continue
        group = Group(version, folders)
        remove_stale(folders)
        try:
            for folder in set(folders.values()):
                folder.mkdir()
        except OSError as error:
            group.remove()
            reason = f"{error.filename}: {error.strerror}"
            continue
        reason = group.limit(memory_bytes=1 << 40, processes=1 << 15)  # whether the controllers act below our own group
        if not reason:
            return group, ""
        group.remove()
    return None, reason
