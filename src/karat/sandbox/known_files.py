"""Empties a folder that holds known files and nothing else: cheaper than to mount a new one, and as sure."""

from __future__ import annotations

import os
from collections.abc import Mapping

from karat.sandbox.inside import folder


def remove_known(work: int, known: Mapping[str, bytes]) -> bool:
    """Remove the files if they are all that the folder holds, and hold what is known; else remove nothing.

    Args:
        work: descriptor of the folder. Nothing runs any more that could change it meanwhile.
        known: contents by path; paths in at most one folder below.
    Returns: whether the folder is empty now.
    """
    below: dict[str, list[str]] = {}
    for path in known:
        parent, _, name = path.rpartition("/")
        below.setdefault(parent, []).append(name)
    ends = {"": work}
    try:
        for parent in below:
            if parent:
                ends[parent] = os.open(parent, folder.DIRECTORY, dir_fd=work)
        wanted = {"": {*below.get("", ()), *(parent for parent in below if parent)}}
        wanted |= {parent: set(names) for parent, names in below.items() if parent}
        if any(
            set(os.listdir(ends[parent])) != names or os.listxattr(ends[parent]) for parent, names in wanted.items()
        ):
            return False
        if not all(holds(ends[parent], name, known, parent) for parent in below for name in below[parent]):
            return False
        for parent, names in below.items():
            for name in names:
                os.unlink(name, dir_fd=ends[parent])
            if parent:
                os.rmdir(parent, dir_fd=work)
    except OSError:  # a file or folder that is not there, or something else in its place
        return False
    finally:
        for parent, end in ends.items():
            if parent:
                os.close(end)
    return True


def holds(end: int, name: str, known: Mapping[str, bytes], parent: str) -> bool:
    content = known[f"{parent}/{name}" if parent else name]
    entry = os.stat(name, dir_fd=end, follow_symlinks=False)
    return entry.st_nlink == 1 and entry.st_size == len(content) and folder.read(end, name, entry.st_size) == content
