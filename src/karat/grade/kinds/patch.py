"""A strict applier of unified diffs, on files held in memory: no path of a patch ever reaches a file system.

Accepted: what `git diff` and `diff -u` write (changes, new and removed files, renames and copies, modes without
effect). A hunk must match its lines exactly; it may have moved, as `patch` allows, but only to a place that is its only
match. Refused: paths that leave the folder, links, submodules and binary patches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
HEADERS = (b"index ", b"similarity index ", b"dissimilarity index ", b"old mode ", b"new file mode ", b"new mode ")
MAX_BYTES = 16 << 20


class PatchError(ValueError):
    """The patch is not a unified diff, or does not fit the files; the message says where."""


@dataclass(slots=True, kw_only=True)
class Hunk:
    start: int
    """First line in the old file, counted from 1; 0 for an empty one."""
    old: list[bytes] = field(default_factory=list)
    new: list[bytes] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class FilePatch:
    old: str | None
    """None: the file is new."""
    new: str | None
    """None: the file is removed."""
    hunks: list[Hunk] = field(default_factory=list)
    copies: bool = False
    line: int = 0


def looks_like_patch(text: bytes) -> bool:
    """Whether a candidate's code is a unified diff: a header of it, then a hunk or one of git's extended headers."""
    git = re.search(rb"^diff --git \S+ \S+$", text, re.M)
    plain = re.search(rb"^--- \S.*\n\+\+\+ \S.*\n@@ -\d", text, re.M)
    return bool(git or plain)


def safe_path(path: str) -> str:
    """A path below the folder.

    Raises: PatchError: absolute, with `..`, with a NUL or a backslash, inside .git, or empty.
    """
    parts = path.split("/")
    if not path or path.startswith("/") or "\\" in path or "\0" in path or any(p in ("", ".", "..") for p in parts):
        raise PatchError(f"path {path[:200]!r} is not a plain path below the folder")
    if ".git" in (part.lower() for part in parts):
        raise PatchError(f"path {path[:200]!r} is inside .git")
    return path


def apply_patch(files: Mapping[str, bytes], patch: bytes) -> dict[str, bytes]:
    """The files after the patch.

    Raises: PatchError: it does not apply; nothing is changed then.
    """
    if len(patch) > MAX_BYTES:
        raise PatchError(f"the patch has {len(patch):,} bytes; at most {MAX_BYTES:,} are accepted")
    found = dict(files)
    changes = parse_patch(patch)
    if not changes:
        raise PatchError("there is no file in the patch")
    for change in changes:
        apply_one(found, change)
    return found


def apply_one(found: dict[str, bytes], change: FilePatch) -> None:
    name = change.new or change.old
    if change.old is None:
        if found.get(change.new or ""):
            raise PatchError(f"{name}: the patch makes this file, and it is there already")
        before = b""
    elif change.old not in found:
        raise PatchError(f"{change.old}: there is no such file to change")
    else:
        before = found[change.old]
    after = apply_hunks(before, change)
    if change.new is None:
        if after:
            raise PatchError(f"{name}: the patch removes this file and leaves {len(after)} bytes of it")
        del found[change.old or ""]
        return
    if change.old is not None and change.old != change.new and not change.copies:
        del found[change.old]
    if any(change.new.startswith(other + "/") or other.startswith(change.new + "/") for other in found):
        raise PatchError(f"{name}: a file and a folder of one name")
    found[change.new] = after


def apply_hunks(before: bytes, change: FilePatch) -> bytes:
    lines = split_lines(before)
    shift = done = 0
    for number, hunk in enumerate(change.hunks, 1):
        expected = max(0, hunk.start - (1 if hunk.old else 0)) + shift
        at = expected
        if at < done or at > len(lines) or lines[at : at + len(hunk.old)] != hunk.old:
            at = only_place(lines, hunk, done, f"{change.old or change.new}, hunk {number} (line {hunk.start})")
        lines[at : at + len(hunk.old)] = hunk.new
        shift += at - expected + len(hunk.new) - len(hunk.old)
        done = at + len(hunk.new)
    return b"".join(lines)


def only_place(lines: list[bytes], hunk: Hunk, done: int, where: str) -> int:
    """Where the lines of a hunk are that has moved."""
    size = len(hunk.old)
    places = [i for i in range(done, len(lines) - size + 1) if lines[i : i + size] == hunk.old] if size else []
    if len(places) != 1:
        why = f"its lines fit at {len(places)} places" if places else "its lines are not in the file"
        raise PatchError(f"{where} does not apply: {why}")
    return places[0]


def split_lines(data: bytes) -> list[bytes]:
    """Lines that end at a newline only, so that every byte comes back."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


# -------------------------------------------------------------------------------------------------------------- parse
def parse_patch(patch: bytes) -> list[FilePatch]:
    lines = split_lines(patch)
    changes: list[FilePatch] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith(b"diff --git "):
            change, at = parse_git_header(lines, at)
            changes.append(change)
        elif line.startswith(b"--- ") and at + 1 < len(lines) and lines[at + 1].startswith(b"+++ "):
            change = FilePatch(old=header_path(line, "a/"), new=header_path(lines[at + 1], "b/"), line=at + 1)
            changes.append(change)
            at = parse_hunks(lines, at + 2, change)
        else:
            if HUNK.match(line):
                raise PatchError(f"line {at + 1}: a hunk that belongs to no file")
            at += 1  # mail headers, commit messages, `Only in`
    for change in changes:
        if change.old is None and change.new is None:
            raise PatchError(f"line {change.line}: a change of no file")
    return changes


def parse_git_header(lines: list[bytes], at: int) -> tuple[FilePatch, int]:
    start = at
    words = lines[at][len(b"diff --git ") :].strip().split(b" ")
    if len(words) != 2:
        raise PatchError(f"line {at + 1}: paths with spaces or quotes are not accepted")
    old: str | None = named_path(words[0], "a/")
    new: str | None = named_path(words[1], "b/")
    change = FilePatch(old=old, new=new, line=at + 1)
    at += 1
    while at < len(lines) and not lines[at].startswith((b"diff --git ", b"@@ ")):
        line = lines[at]
        if line.startswith((b"new file mode ", b"old mode ", b"new mode ")) and line.split()[-1] in (
            b"120000",
            b"160000",
        ):
            raise PatchError(f"line {at + 1}: links and submodules are not accepted ({new})")
        if line.startswith((b"Binary files ", b"GIT binary patch")):
            raise PatchError(f"line {at + 1}: a binary patch ({new}) is not accepted")
        if line.startswith(b"new file mode "):
            change.old = None
        elif line.startswith(b"deleted file mode "):
            change.new = None
        elif line.startswith((b"rename from ", b"copy from ")):
            change.old = safe_path(text_of(line.split(b" ", 2)[2]))
            change.copies = line.startswith(b"copy")
        elif line.startswith((b"rename to ", b"copy to ")):
            change.new = safe_path(text_of(line.split(b" ", 2)[2]))
        elif line.startswith(b"--- "):
            check_same(header_path(line, "a/"), change.old, at)
        elif line.startswith(b"+++ "):
            check_same(header_path(line, "b/"), change.new, at)
        elif not line.startswith(HEADERS):
            break
        at += 1
    if at == start + 1 and change.old == change.new:
        raise PatchError(f"line {at}: a header without a change")
    return change, parse_hunks(lines, at, change)


def check_same(path: str | None, expected: str | None, at: int) -> None:
    if path != expected:
        raise PatchError(
            f"line {at + 1}: {path or '/dev/null'} is not the file of its header ({expected or '/dev/null'})"
        )


def parse_hunks(lines: list[bytes], at: int, change: FilePatch) -> int:
    while at < len(lines) and (found := HUNK.match(lines[at])):
        hunk = Hunk(start=int(found[1]))
        left = [int(found[2] or 1), int(found[4] or 1)]
        at += 1
        while left[0] > 0 or left[1] > 0:
            if at >= len(lines):
                raise PatchError(f"line {at}: the patch ends inside a hunk")
            if lines[at].startswith(b"\\"):
                drop_newline(lines[at - 1], hunk)
            else:
                take_line(lines[at], hunk, left, at)
            at += 1
        while at < len(lines) and lines[at].startswith(b"\\"):
            drop_newline(lines[at - 1], hunk)
            at += 1
        change.hunks.append(hunk)
    return at


def take_line(line: bytes, hunk: Hunk, left: list[int], at: int) -> None:
    kind, rest = line[:1], line[1:]
    if line in (b"\n", b"\r\n"):  # editors strip the blank of an empty context line
        kind, rest = b" ", line
    if kind not in (b" ", b"-", b"+"):
        raise PatchError(f"line {at + 1}: {line[:40]!r} inside a hunk")
    if kind in b" -":
        hunk.old.append(rest)
        left[0] -= 1
    if kind in b" +":
        hunk.new.append(rest)
        left[1] -= 1
    if min(left) < 0:
        raise PatchError(f"line {at + 1}: more lines than the hunk announces")


def drop_newline(last: bytes, hunk: Hunk) -> None:
    for side, marks in ((hunk.old, b" -"), (hunk.new, b" +")):
        if last[:1] in marks and side:
            side[-1] = side[-1].removesuffix(b"\n")


def header_path(line: bytes, prefix: str) -> str | None:
    name = line[4:].split(b"\t")[0].rstrip(b"\r\n")
    return None if name == b"/dev/null" else named_path(name, prefix)


def named_path(name: bytes, prefix: str) -> str:
    text = text_of(name)
    if text.startswith('"'):
        raise PatchError(f"quoted paths are not accepted: {text[:200]}")
    return safe_path(text.removeprefix(prefix))


def text_of(name: bytes) -> str:
    try:
        return name.rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError:
        raise PatchError(f"a path that is not UTF-8: {name[:100]!r}") from None
