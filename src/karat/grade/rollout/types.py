"""Records of rollouts: what an agent did, step by step, and the signs of tampering found in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from karat.grade.types import Confidence

ActionKind = Literal["write", "edit", "delete", "rename", "run", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Text of a file, or pieces of it, that knows the line of the file on which each of its lines stands."""

    text: str
    lines: tuple[int, ...] = ()
    """1-based line of the file for each line of `text`; empty: 1, 2, 3, ..."""
    whole: bool = False
    """Whether this is all of the file."""

    def line(self, index: int) -> int:
        """Line of the file for the 0-based line `index` of the text."""
        return self.lines[index] if index < len(self.lines) else index + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that an agent did, or one file of a patch."""

    step: int
    """0-based number of the tool call in the rollout; of a patch, of the file in it."""
    kind: ActionKind
    path: str = ""
    """As the agent wrote it; for a rename the new one."""
    old_path: str = ""
    before: Text | None = None
    """None: not known."""
    after: Text | None = None
    command: str = ""
    """Shell command or Python code that did it."""
    result: str = ""
    created: bool | None = None
    """Whether the file did not exist before; None: not known."""
    binary: bool = False
    mode: str = ""
    """New file mode, where it changed."""


Role = Literal["user", "system", "agent", "commit"]


@dataclass(frozen=True, slots=True)
class Turn:
    """Something said, before the action of number `step`."""

    role: Role
    text: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One transcript or patch, normalised."""

    rollout_id: str
    format: str
    actions: tuple[Action, ...]
    turns: tuple[Turn, ...] = ()
    source: str = ""
    not_understood: Mapping[str, int] = field(default_factory=dict)
    """Reason to count: what could not be read. Never silently dropped."""
    training_step: int | None = None
    allowed: tuple[str, ...] = ()
    """Patterns of paths that the task itself allows to edit."""
    label: bool | None = None
    """Whether the user says that it tampers; None: no label."""
    extra: Mapping[str, Any] = field(default_factory=dict)


Place = Literal[
    "test",
    "harness",
    "config",
    "ci",
    "reward",
    "grader",
    "results",
    "logs",
    "threshold",
    "labels",
    "snapshot",
    "rubric",
    "answers",
    "source",
    "other",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One sign of tampering in a rollout."""

    technique: str
    """A key of `grade.tamper.techniques.TECHNIQUES`."""
    family: str
    code: str
    """The finding that it counts for: GR401 to GR405."""
    step: int
    path: str = ""
    line: int | None = None
    confidence: Confidence = "moderate"
    before: str = ""
    after: str = ""
    evidence: str = ""
    benign: str = ""
    """The common honest explanation, if there is one."""
    note: str = ""
    """What lowered or raised the confidence: asked for by the user, undone later, ..."""
