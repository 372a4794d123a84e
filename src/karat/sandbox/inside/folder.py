"""The working folder: what is put into it before a program starts, and what is found in it when nothing runs any more.

No path of the program is followed: each step goes through a descriptor of the folder above, links are reported and not
read, and neither are other names of one file, pipes, sockets and devices. What is read is bounded.
"""

from __future__ import annotations

import base64
import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_CHANGES = 1000
MAX_DEPTH = 40
MAX_ENTRIES = 20_000
"""Names looked at in all, so that a folder of a million files costs no more than one of this many."""
MAX_CONTENT = 1 << 20
MAX_CONTENT_IN_ALL = 8 << 20
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write(
    root: str, files: Mapping[str, bytes], read_only: Sequence[str], *, mounted: Sequence[str] = (), owner: int = 0
) -> None:
    """Put files into the folder; those named in `mounted` are there already.

    Args:
        read_only: paths that are made unwritable for their owner.
        owner: user id that folders and writable files are given to; 0 leaves them ours. The folder itself, and each
            folder that holds a read-only file, then stays ours with the sticky bit: the user may add to it and may
            not remove or rename what is not his.
    """
    fixed = {parent for path in read_only for parent in parents(path)}
    for path, content in files.items():
        for parent in parents(path)[1:]:
            if not os.path.isdir(os.path.join(root, parent)):
                os.mkdir(os.path.join(root, parent))
                if owner:
                    give(os.path.join(root, parent), owner, fixed=parent in fixed)
        place = os.path.join(root, path)
        if path in mounted:
            continue
        with open(place, "wb") as file:
            file.write(content)
        if path in read_only:
            os.chmod(place, 0o444)
        elif owner:
            os.chown(place, owner, owner)
    if owner:
        give(root, owner, fixed=True)


def give(place: str, owner: int, *, fixed: bool) -> None:
    if fixed:
        os.chmod(place, 0o1777)
    else:
        os.chown(place, owner, owner)


def parents(path: str) -> list[str]:
    """`a/b/c.txt` to `["", "a", "a/b"]`."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts) + 1)]


def changes(root: str, given: Mapping[str, bytes], *, keep: bool) -> list[list[Any]]:
    """What differs from `given`: `[path, change, size, content as base64]`; content only with `keep`, bounded.

    Paths that are no UTF-8 come with their bytes escaped. The last entry tells where the list was cut:
    `["", "cut", n, ""]`.
    """
    try:
        top = os.open(root, DIRECTORY)
    except OSError:  # the folder itself is gone
        return [[path, "removed", 0, ""] for path in sorted(given)][:MAX_CHANGES]
    found: list[list[Any]] = []
    seen: set[str] = set()
    left = MAX_CONTENT_IN_ALL
    cut = False
    try:
        for path, parent, name, mode, size, links in walk(top):
            seen.add(path)
            if len(found) >= MAX_CHANGES or len(seen) >= MAX_ENTRIES:
                cut = True
                break
            if not stat.S_ISREG(mode) or links > 1:
                if not stat.S_ISDIR(mode):
                    found.append([path, "link", size, ""])
                continue
            before = given.get(path)
            content = b"" if size > max(MAX_CONTENT, len(before or b"")) else read(parent, name, size)
            if before is None or size != len(before) or content != before:
                kept = content if keep and len(content) <= min(left, MAX_CONTENT) else b""
                left -= len(kept)
                change = "added" if before is None else "changed"
                found.append([path, change, size, base64.b64encode(kept).decode("ascii")])
    finally:
        os.close(top)
    if cut:
        return [*found, ["", "cut", len(seen), ""]]
    return found + [[path, "removed", 0, ""] for path in sorted(given) if path not in seen]


def walk(here: int, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, int, str, int, int, int]]:
    """Path, descriptor of the folder above, name, mode, size and number of names of each entry; links not followed."""
    for name in listing(here):
        try:
            entry = os.stat(name, dir_fd=here, follow_symlinks=False)
        except OSError:
            continue
        path = prefix + printable(name)
        yield path, here, name, entry.st_mode, entry.st_size, entry.st_nlink
        if not stat.S_ISDIR(entry.st_mode) or depth >= MAX_DEPTH:
            continue
        with contextlib.suppress(OSError):
            if entry.st_mode & 0o500 != 0o500:  # made unreadable for its owner
                os.chmod(name, 0o700, dir_fd=here)
            below = os.open(name, DIRECTORY, dir_fd=here)
            try:
                yield from walk(below, f"{path}/", depth + 1)
            finally:
                os.close(below)


def listing(here: int) -> list[str]:
    """Names in a folder, sorted; at most MAX_ENTRIES are read."""
    names: list[str] = []
    with contextlib.suppress(OSError), os.scandir(here) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) >= MAX_ENTRIES:
                break
    return sorted(names)


def read(parent: int, name: str, size: int) -> bytes:
    """The content of a regular file, at most `size` bytes; empty where it cannot be read."""
    try:
        end = os.open(name, FILE, dir_fd=parent)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(end).st_mode):
            return b""
        parts = []
        while size > 0 and (part := os.read(end, min(size, 1 << 20))):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(end)


def remove(root: str) -> None:
    """Remove a folder with all that is in it, however deep, whatever its modes; what cannot be removed stays.

    Each folder's own folders are moved up beside it first: a tree may be deeper than recursion and paths can go.
    """
    moved = 0
    removed = True
    while removed:
        removed = False
        for name in listing_of(root):
            place = os.path.join(root, name)
            with contextlib.suppress(OSError):
                if not stat.S_ISDIR(os.lstat(place).st_mode):
                    os.unlink(place)
                else:
                    os.chmod(place, 0o700)
                    for inner in os.listdir(place):
                        below = os.path.join(place, inner)
                        if stat.S_ISDIR(os.lstat(below).st_mode):
                            os.chmod(below, 0o700)
                            moved += 1
                            os.rename(below, os.path.join(root, f"karat-removed-{moved}"))
                        else:
                            os.unlink(below)
                    os.rmdir(place)
                removed = True
    with contextlib.suppress(OSError):
        os.rmdir(root)


def listing_of(root: str) -> list[str]:
    with contextlib.suppress(OSError):
        os.chmod(root, 0o700)
        return os.listdir(root)
    return []


def printable(name: str) -> str:
    """A name that is safe to print: bytes that are no UTF-8 and control characters are escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)[:255]
