"""How much of the assertions of test code is decided outside the candidate's process, by format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from karat.grade.kinds.asserts import plan_of
from karat.grade.types import Task
from karat.sandbox.types import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Assertions of one format's tasks that call the candidate, by how they are decided."""

    source_format: str
    tasks: int = 0
    assertions: int = 0
    cases: int = 0
    """Converted: the candidate gets inputs only, the comparison is made here."""
    dialogue: int = 0
    """Run on the trusted side, with each call relayed."""
    isolated: int = 0
    """Can only run in the candidate's process, as far as the syntax shows."""
    constants: int = 0
    """Not counted above: assertions that call nothing of the candidate's."""
    unusable: int = 0
    """Tasks whose test code does not compile or asserts nothing."""

    def counts(self) -> dict[str, int]:
        return {
            name: getattr(self, name)
            for name in ("assertions", "cases", "dialogue", "isolated", "constants", "unusable")
        }


def coverage(tasks: Sequence[Task], trusted: Sandbox | None = None) -> tuple[Coverage, ...]:
    """One row for each format among the tasks of kind asserts.

    Args:
        trusted: learns values that are not literals; without it such assertions count as dialogue.
    """
    found: dict[str, dict[str, int]] = {}
    for task in tasks:
        if task.kind != "asserts":
            continue
        row = found.setdefault(task.source_format, dict.fromkeys(Coverage.__dataclass_fields__, 0))
        plan = plan_of(task, trusted)
        conversion = plan.conversion
        left = conversion.assertions - conversion.converted
        row["tasks"] += 1
        row["unusable"] += bool(conversion.problem)
        row["constants"] += conversion.constants
        row["assertions"] += conversion.assertions
        row["cases"] += conversion.converted
        row["isolated" if plan.dialogue is not None and plan.dialogue.isolated else "dialogue"] += left
    return tuple(
        Coverage(source_format=name, **{key: n for key, n in row.items() if key != "source_format"})
        for name, row in sorted(found.items())
    )
