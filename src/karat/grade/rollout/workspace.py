"""The agent's working folder as far as a transcript shows it: which files there were, what they hold, who made them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from karat.grade.rollout.commands import join
from karat.grade.rollout.places import place_of
from karat.grade.rollout.types import Action, Place, Text

_ROOTS = re.compile(
    r"^(/testbed|/repo|/app|/code|/project|/mnt/repo|/workspace/(?!tests?/|src/)[\w.-]+(?=/)|/workspace|/work)/"
)
_TOKENS = re.compile(r"[\w./-]{3,300}")
_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,6}$")
MAX_SEEN = 50_000


@dataclass(slots=True, kw_only=True)
class Change:
    """One change of a file, with what is known about it."""

    action: Action
    path: str
    """In the workspace where it lies there, else absolute."""
    place: Place
    before: Text | None
    after: Text | None
    own: bool
    """The agent made this file itself, earlier or now."""
    existed: bool | None
    old_path: str = ""

    @property
    def step(self) -> int:
        return self.action.step


@dataclass(slots=True)
class Workspace:
    """Follows the actions; paths are relative to the workspace."""

    root: str = ""
    contents: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    """Whole content of files before the agent first changed them."""
    own: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)

    def path(self, path: str) -> str:
        """A path as this workspace names it."""
        path = "".join(char for char in join("", path) if char.isprintable())
        if self.root and path.startswith(self.root + "/"):
            return path[len(self.root) + 1 :]
        if path == self.root:
            return ""
        shorter = _ROOTS.sub("", path)
        return re.sub(r"^\./", "", shorter)

    def look(self, result: str) -> None:
        """File names in an output: those files exist."""
        if len(self.seen) < MAX_SEEN:
            for name in file_names(result[:200_000]):
                self.seen.add(self.path(name))

    def existed(self, path: str) -> bool:
        """Whether something showed that a file is there."""
        if path in self.contents or path in self.seen:
            return path not in self.removed
        return any(name.endswith("/" + path) for name in self.seen) if "/" in path else False

    def lookup(self, path: str) -> str | None:
        return self.contents.get(self.path(path))

    def apply(self, action: Action) -> Change | None:
        """Take one file action in; None for a reading."""
        path = self.path(action.path)
        if action.kind == "read":
            if action.before is not None and action.before.whole and path not in self.own:
                self.contents.setdefault(path, action.before.text)
                self.first.setdefault(path, action.before.text)
            self.seen.add(path)
            return None
        known = self.contents.get(path)
        existed = (not action.created) if action.created is not None else (True if self.existed(path) else None)
        before, after = action.before, action.after
        if action.kind in ("edit", "delete") and existed is None and path not in self.own:
            existed = True
        if action.kind == "write" and before is None and known is not None:
            before = Text(text=known, whole=True)
        if action.kind == "delete" and before is None and known is not None:
            before = Text(text=known, whole=True)
        if action.kind == "edit" and known is not None and before is not None and after is not None:
            before, after = _whole(known, before, after)
        if path not in self.first and before is not None and before.whole and path not in self.own:
            self.first[path] = before.text
        if action.kind == "rename" and self.existed(path) and path not in self.own:
            return self._replaced(action, path)
        own = path in self.own or (action.kind == "write" and not existed)
        change = Change(
            action=action, path=path, place=place_of(path), before=before, after=after, own=own, existed=existed
        )
        if action.kind == "rename":
            self._rename(change)
        self._record(change)
        return change

    def _replaced(self, action: Action, path: str) -> Change:
        """A file moved over one that was there: that one is overwritten."""
        old = self.path(action.old_path)
        text = self.contents.pop(old, None)
        self.removed.add(old)
        before = Text(text=self.contents[path], whole=True) if path in self.contents else None
        after = Text(text=text, whole=True) if text is not None else None
        write = replace(action, kind="write")
        change = Change(
            action=write, path=path, place=place_of(path), before=before, after=after, own=False, existed=True
        )
        self._record(change)
        return change

    def _rename(self, change: Change) -> None:
        change.old_path = old = self.path(change.action.old_path)
        change.own = old in self.own
        if old in self.contents:
            change.before = Text(text=self.contents[old], whole=True)
            self.contents[change.path] = self.contents.pop(old)
        if change.own:
            self.own.add(change.path)
        self.removed.add(old)

    def _record(self, change: Change) -> None:
        path = change.path
        self.changed.add(path)
        if change.action.kind == "delete":
            self.contents.pop(path, None)
            self.removed.add(path)
            return
        if change.own and change.action.kind == "write":
            self.own.add(path)
        self.removed.discard(path)
        if change.after is not None and change.after.whole:
            self.contents[path] = change.after.text
        else:
            self.contents.pop(path, None)

    def restored(self, path: str) -> bool:
        """Whether a file ended as it began."""
        return (
            path in self.changed
            and path in self.first
            and self.contents.get(path) == self.first[path]
            and path not in self.removed
        )


def file_names(text: str) -> set[str]:
    """Words of a text that look like names of files: they end in a suffix."""
    words = (word.rstrip(".") for word in _TOKENS.findall(text))
    return {word for word in words if _SUFFIX.search(word)}


def _whole(known: str, before: Text, after: Text) -> tuple[Text, Text]:
    """The whole file before and after a replacement of a part that occurs in it; else the parts as they are."""
    if before.whole and after.whole:
        return before, after
    if before.text == "" and not before.lines and not after.lines:  # appended
        joint = known if known.endswith("\n") or not known else known + "\n"
        return Text(text=known, whole=True), Text(text=joint + after.text, whole=True)
    if before.text and before.text in known:
        return Text(text=known, whole=True), Text(text=known.replace(before.text, after.text, 1), whole=True)
    return before, after
