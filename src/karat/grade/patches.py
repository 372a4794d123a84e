"""What a repository candidate's patch does to tests, harness, configuration and reward code: the rules of rollouts."""

from __future__ import annotations

from karat.grade.rollout.read import RolloutReader
from karat.grade.rollout.run import inspect_rollout
from karat.grade.types import Attempt, Task


def patch_attempts(task: Task, code: str | bytes) -> tuple[Attempt, ...]:
    """Signs in the patch of a repository; empty for other kinds of task, and for files that are not a patch."""
    text = code.decode("utf-8", "replace") if isinstance(code, bytes) else code
    if task.kind != "repository" or "\n" not in text:
        return ()
    found = [sign for rollout in RolloutReader().read([text]) for sign in inspect_rollout(rollout)]
    return tuple(
        Attempt(
            technique=sign.technique,
            family=sign.family,
            line=sign.line,
            confidence=sign.confidence,
            layer="files",
            evidence=f"{sign.path}: {sign.evidence}",
            benign=sign.benign,
        )
        for sign in found
    )
