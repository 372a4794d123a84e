"""Repositories: a folder, a patch (or files), and pinned tests.

The patch is applied in memory, by a strict applier: no path of it reaches a file system outside a sandbox. Test files
are those of the task whatever the patch did to them, and what it did is said. There is no git history to read: files
below `.git` are left out. The tests run as those of a pytest task do: beside the candidate's own sandbox, with
stand-ins for his modules, or in shared mode where the task cannot do without.
"""

from __future__ import annotations

from karat.grade.kinds.context import Context
from karat.grade.kinds.pytest_suite import evaluate_suite
from karat.grade.types import Evaluation, Task


def evaluate_repository(task: Task, code: str | bytes, context: Context) -> Evaluation:
    """Run the pinned tests on the task's folder with a candidate's patch.

    Args:
        code: a unified diff, or `{"files": {path: text, or null to remove}}`; empty leaves the folder as it is.
    Returns: one result for each test. A patch that does not apply fails them all, with the place where it does not.
    """
    if not task.files:
        return Evaluation(tests=(), runs=(), problem="the task has no files: a repository task starts from a folder")
    if not code.strip():
        code = '{"files": {}}'
    return evaluate_suite(task, code, context)
