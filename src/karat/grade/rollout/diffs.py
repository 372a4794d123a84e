"""Patches to files and their hunks: git diff, format-patch, plain unified diff, and the `*** Begin Patch` form.

A parser of our own, because patches in transcripts are often cut short or have wrong counts: what can be read is read,
what cannot be is counted. (A strict library refuses the whole patch.)
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from karat.grade.rollout.types import Action, Text, Turn

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_STARTS = ("diff --git ", "--- ", "Index: ", "*** Begin Patch", "diff -")
_MODES = re.compile(r"^(?:new|deleted) file mode (\d+)$|^new mode (\d+)$")


@dataclass(slots=True)
class Hunk:
    """Lines of one hunk as (mark, text), with the lines of the files on which it starts."""

    old_start: int
    new_start: int
    section: str = ""
    lines: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class FileChange:
    """One file of a patch."""

    old_path: str = ""
    new_path: str = ""
    created: bool = False
    deleted: bool = False
    renamed: bool = False
    binary: bool = False
    mode: str = ""
    hunks: list[Hunk] = field(default_factory=list)


def looks_like_patch(text: str) -> bool:
    """Whether a text holds a patch: a file header and a hunk, or git's header."""
    if re.search(r"^diff --git ", text, re.M) or re.search(r"^\*\*\* Begin Patch", text, re.M):
        return True
    return bool(re.search(r"^--- \S.*\n\+\+\+ \S.*\n@@ ", text.replace("\r\n", "\n"), re.M))


def parse_patch(text: str) -> tuple[list[FileChange], Counter[str]]:
    """Files of a patch, and what could not be read, by reason."""
    problems: Counter[str] = Counter()
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if any(line.startswith("*** Begin Patch") for line in lines):
        return _parse_apply_patch(lines, problems), problems
    changes: list[FileChange] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("diff --git "):
            change = FileChange()
            change.old_path, change.new_path = _git_paths(line[len("diff --git ") :])
            changes.append(change)
            at = _read_file(lines, at + 1, change, problems)
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            change = FileChange()
            changes.append(change)
            at = _read_file(lines, at, change, problems)
        else:
            if line.startswith("@@@"):
                problems["a combined diff of a merge"] += 1
            elif line.startswith("@@ ") and _HUNK.match(line):
                problems["a hunk without a file header"] += 1
            at += 1
    return changes, problems


def _read_file(lines: list[str], at: int, change: FileChange, problems: Counter[str]) -> int:
    """Header lines and hunks of one file; returns the index of the line after them."""
    while at < len(lines):
        line = lines[at]
        if line.startswith("diff --git ") or (line.startswith("-- ") and line.strip() == "--"):
            return at
        if line.startswith("--- ") and (change.hunks or not (at + 1 < len(lines) and lines[at + 1].startswith("+++ "))):
            return at
        if line.startswith("@@ "):
            at = _read_hunk(lines, at, change, problems)
            continue
        if line.startswith("@@@"):
            problems["a combined diff of a merge"] += 1
        _read_header(line, change)
        at += 1
    return at


def _read_header(line: str, change: FileChange) -> None:
    mode = _MODES.match(line)
    if line.startswith("new file mode"):
        change.created = True
    elif line.startswith("deleted file mode"):
        change.deleted = True
    elif line.startswith(("rename from ", "copy from ")):
        change.old_path, change.renamed = unquote(line.split(" from ", 1)[1]), line.startswith("rename")
        change.created = change.created or line.startswith("copy")
    elif line.startswith(("rename to ", "copy to ")):
        change.new_path = unquote(line.split(" to ", 1)[1])
    elif line.startswith(("Binary files ", "GIT binary patch")):
        change.binary = True
    elif line.startswith("--- "):
        path = _side(line[4:])
        change.created = change.created or path == ""
        change.old_path = path or change.old_path
    elif line.startswith("+++ "):
        path = _side(line[4:])
        change.deleted = change.deleted or path == ""
        change.new_path = path or change.new_path
    if mode and not line.startswith("deleted"):
        change.mode = mode[1] or mode[2] or ""


def _read_hunk(lines: list[str], at: int, change: FileChange, problems: Counter[str]) -> int:
    """One hunk; its counts decide where it ends, unless the lines say otherwise."""
    match = _HUNK.match(lines[at])
    if match is None:
        problems["a hunk header that cannot be read"] += 1
        return at + 1
    hunk = Hunk(int(match[1]), int(match[3]), match[5] or "")
    old_left, new_left = int(match[2] or 1), int(match[4] or 1)
    at += 1
    while at < len(lines) and (old_left > 0 or new_left > 0):
        line = lines[at]
        mark = line[:1] or " "
        if line.startswith(("diff --git ", "@@ -")) or mark not in " +-\\":
            break
        if line == "" and at == len(lines) - 1:
            break
        if mark != "\\":
            hunk.lines.append((mark, line[1:]))
            old_left -= mark in " -"
            new_left -= mark in " +"
        at += 1
    if old_left > 0 or new_left > 0:
        problems["a hunk that ends before its counts say"] += 1
    # More lines than the counts promise are still part of the change: an agent's patch is often written by hand.
    while at < len(lines) and lines[at][:1] in ("+", "-", "\\") and not lines[at].startswith(("--- ", "+++ ", "-- ")):
        if lines[at][:1] != "\\":
            hunk.lines.append((lines[at][:1], lines[at][1:]))
            problems["lines beyond the counts of a hunk"] += 1
        at += 1
    change.hunks.append(hunk)
    return at


def unquote(path: str) -> str:
    """A path as git prints it: in double quotes with C escapes where it holds unusual characters."""
    path = path.strip()
    if not (len(path) >= 2 and path.startswith('"') and path.endswith('"')):
        return path
    data, at, body = bytearray(), 0, path[1:-1]
    while at < len(body):
        if body[at] != "\\":
            data += body[at].encode("utf-8", "surrogatepass")
            at += 1
        elif re.match(r"[0-7]{3}", body[at + 1 : at + 4]):
            data.append(int(body[at + 1 : at + 4], 8) & 255)
            at += 4
        else:
            data += _ESCAPES.get(body[at + 1 : at + 2], body[at + 1 : at + 2]).encode()
            at += 2
    return data.decode("utf-8", "replace")


def _git_paths(text: str) -> tuple[str, str]:
    """Both paths of git's header, which gives no sign where the first ends: they are equal unless it is a rename."""
    if text.startswith('"'):
        end = re.match(r'"(?:[^"\\]|\\.)*"', text)
        cut = end.end() if end else len(text)
        return _strip(unquote(text[:cut])), _strip(unquote(text[cut:]))
    half = len(text) // 2
    if text[half : half + 1] == " " and _strip(text[:half]) == _strip(text[half + 1 :]):
        return _strip(text[:half]), _strip(text[half + 1 :])
    left, _, right = text.partition(" b/")
    return _strip(left), right.strip().strip('"')


def _side(text: str) -> str:
    """Path of a `---` or `+++` line; empty for /dev/null."""
    path = unquote(text.split("\t", 1)[0])
    return "" if path == "/dev/null" else _strip(path)


def _strip(path: str) -> str:
    return path[2:] if path[:2] in ("a/", "b/") else path


# ------------------------------------------------------------------------------------------- the form of apply_patch
def _parse_apply_patch(lines: list[str], problems: Counter[str]) -> list[FileChange]:
    """`*** Begin Patch` / `*** Update File: path` / `@@ section`: no line numbers."""
    changes: list[FileChange] = []
    for line in lines:
        if line.startswith("*** "):
            verb, _, path = line[4:].partition(" File: ")
            if verb in ("Update", "Add", "Delete"):
                changes.append(
                    FileChange(
                        old_path=path.strip(),
                        new_path=path.strip(),
                        created=verb == "Add",
                        deleted=verb == "Delete",
                    )
                )
            elif line.startswith("*** Move to: ") and changes:
                changes[-1].new_path, changes[-1].renamed = line.split(": ", 1)[1].strip(), True
        elif not changes:
            continue
        elif line.startswith("@@"):
            changes[-1].hunks.append(Hunk(0, 0, line[2:].strip()))
        elif line[:1] in (" ", "+", "-"):
            if not changes[-1].hunks:
                changes[-1].hunks.append(Hunk(0, 0))
            changes[-1].hunks[-1].lines.append((line[0], line[1:]))
        elif line.strip():
            problems["a line of a patch that cannot be read"] += 1
    return changes


# -------------------------------------------------------------------------------------------------------- to actions
def actions_of_patch(
    text: str, step: int, *, command: str = "", same_step: bool = False
) -> tuple[list[Action], dict[str, int]]:
    """One action a file (two for a rename with changes), and what could not be read."""
    changes, problems = parse_patch(text)
    actions = []
    for offset, change in enumerate(changes):
        actions += _actions_of_change(change, step if same_step else step + offset, command)
    return actions, dict(problems)


def _actions_of_change(change: FileChange, step: int, command: str) -> list[Action]:
    path = change.new_path or change.old_path
    whole = change.created or change.deleted
    before, after = (_joined(change.hunks, keep, whole=whole) for keep in (" -", " +"))
    common = {"step": step, "command": command, "binary": change.binary, "mode": change.mode}
    if change.deleted:
        return [Action(kind="delete", path=change.old_path or path, before=before, **common)]  # type: ignore[arg-type]
    if change.created:
        return [Action(kind="write", path=path, after=after, created=True, **common)]  # type: ignore[arg-type]
    found = []
    if change.renamed:
        found.append(Action(kind="rename", path=path, old_path=change.old_path, **common))  # type: ignore[arg-type]
    if change.hunks or change.binary or (change.mode and not change.renamed):
        found.append(Action(kind="edit", path=path, before=before, after=after, created=False, **common))  # type: ignore[arg-type]
    return found


def _joined(hunks: list[Hunk], keep: str, *, whole: bool) -> Text:
    """One side of all hunks. The header's section (`def test_x():`) is put first where the hunk starts inside it."""
    texts: list[str] = []
    numbers: list[int] = []
    for hunk in hunks:
        start = hunk.old_start if "-" in keep else hunk.new_start
        first = next((text for _, text in hunk.lines if text.strip()), "")
        if hunk.section and first[:1] in (" ", "\t") and re.match(r"\s*(async )?(def|class) ", hunk.section):
            texts.append(hunk.section if hunk.section.rstrip().endswith(":") else hunk.section.rstrip() + ":")
            numbers.append(max(1, start - 1))
        line = start
        for mark, text in hunk.lines:
            if mark in keep:
                texts.append(text)
                numbers.append(max(1, line))
                line += 1
    return Text(text="\n".join(texts), lines=tuple(numbers), whole=whole)


def commit_turns(text: str) -> list[Turn]:
    """Messages of a `git format-patch` mail: what the author says about the change."""
    found = []
    for mail in re.split(r"^From [0-9a-f]{40} .*$", text, flags=re.M)[1:]:
        head = mail.split("\ndiff --git ", 1)[0].split("\n---\n", 1)[0]
        subject = re.search(r"^Subject: (.*(?:\n[ \t].*)*)", head, re.M)
        body = head.split("\n\n", 1)[1] if "\n\n" in head else ""
        said = "\n".join(part for part in (subject[1] if subject else "", body.strip()) if part)
        if said:
            found.append(Turn("commit", said, 0))
    return found
