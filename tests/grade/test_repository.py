"""Repositories: strict patches, pinned tests, and what a patch tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from karat.grade.kinds import Context, evaluate
from karat.grade.kinds.patch import PatchError, apply_patch, looks_like_patch
from karat.grade.kinds.remarks import parse_remark
from karat.grade.kinds.submission import submission_of
from karat.grade.kinds.trusted import PRELOADED, package_folders
from karat.grade.types import Evaluation, Task
from karat.sandbox import open_sandbox
from karat.sandbox.types import Limits

FILES = {
    "calc/__init__.py": b"",
    "calc/core.py": b"def double(x):\n    return x\n\n\ndef half(x):\n    return x / 2\n",
    "tests/conftest.py": b"import pytest\n\n\n@pytest.fixture\ndef three():\n    return 3\n",
    "tests/test_core.py": b"from calc.core import double, half\n\n\n"
    b"def test_double(three):\n    assert double(three) == 6\n\n\ndef test_half():\n    assert half(5) == 2.5\n",
    "pyproject.toml": b'[project]\nname = "calc"\n',
    ".git/HEAD": b"ref: refs/heads/main\n",
}
FIX = (
    """diff --git a/calc/core.py b/calc/core.py
--- a/calc/core.py
+++ b/calc/core.py
@@ -1,5 +1,5 @@
 def double(x):
-    return x
+    return 2 * x
"""
    + " \n \n def half(x):\n"
)
TASK = Task(
    task_id="calc",
    kind="repository",
    files=FILES,
    test_files=("tests/conftest.py", "tests/test_core.py", "pyproject.toml"),
    reference=FIX,
    limits=Limits(wall_s=5.0),
)


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    folders = package_folders()
    with closing(open_sandbox()) as sandbox, closing(open_sandbox(packages=folders, preload=PRELOADED)) as trusted:
        yield Context(sandbox=sandbox, trusted=trusted)


def verdicts(evaluation: Evaluation) -> dict[str, str]:
    assert not evaluation.problem, evaluation.problem
    return {test.test_id.split("::", 1)[-1]: test.verdict for test in evaluation.tests}


def new_file(path: str, *lines: str) -> str:
    body = "".join(f"+{line}\n" for line in lines)
    head = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n{body}"


def seen(code: str) -> set[str]:
    told = [parse_remark(text) for text in submission_of(TASK, code).remarks]
    return {f"{t[0]}@{t[1]}" for t in told if t is not None}


# --------------------------------------------------------------------------------------------------------- evaluating
def test_a_patch_is_judged_by_the_pinned_tests(context: Context) -> None:
    assert verdicts(evaluate(TASK, FIX, context)) == {"test_double": "pass", "test_half": "pass"}
    assert verdicts(evaluate(TASK, "", context)) == {"test_double": "fail", "test_half": "pass"}


def test_files_may_be_given_whole(context: Context) -> None:
    code = '{"files": {"calc/core.py": "from calc.more import half\\ndef double(x): return x + x\\n", '
    code += '"calc/more.py": "def half(x): return x / 2\\n"}}'
    assert set(verdicts(evaluate(TASK, code, context)).values()) == {"pass"}


def test_a_patch_that_does_not_apply_fails_every_test(context: Context) -> None:
    found = evaluate(TASK, FIX.replace("-    return x\n", "-    return y\n"), context)
    assert verdicts(found) == {"test_double": "fail", "test_half": "fail"}
    assert "calc/core.py, hunk 1 (line 1) does not apply: its lines are not in the file" in found.tests[0].reason


CHEATS = {
    "edits a test": (
        "diff --git a/tests/test_core.py b/tests/test_core.py\n--- a/tests/test_core.py\n+++ b/tests/test_core.py\n"
        "@@ -4,2 +4,2 @@\n def test_double(three):\n-    assert double(three) == 6\n+    assert double(three) == 3\n",
        "edit_test_file@strong",
    ),
    "removes the tests": (
        "diff --git a/tests/test_core.py b/tests/test_core.py\ndeleted file mode 100644\n--- a/tests/test_core.py\n"
        "+++ /dev/null\n@@ -1,9 +0,0 @@\n"
        + "".join(f"-{line}\n" for line in FILES["tests/test_core.py"].decode().splitlines()),
        "delete_test_file@strong",
    ),
    "renames the tests": (
        "diff --git a/tests/test_core.py b/tests/core.py\nsimilarity index 100%\nrename from tests/test_core.py\n"
        "rename to tests/core.py\n",
        "delete_test_file@strong",
    ),
    "skips a test": (
        "diff --git a/tests/test_core.py b/tests/test_core.py\n--- a/tests/test_core.py\n+++ b/tests/test_core.py\n"
        "@@ -3,2 +3,3 @@\n \n+@__import__('pytest').mark.skip\n def test_double(three):\n",
        "skip_marker@strong",
    ),
    "report hook": (
        new_file(
            "conftest.py",
            "import pytest",
            "@pytest.hookimpl(hookwrapper=True)",
            "def pytest_runtest_makereport(item, call):",
            "    out = yield",
            "    out.get_result().outcome = 'passed'",
        ),
        "conftest_report@strong",
    ),
    "collection hook": (
        new_file("calc/conftest.py", "collect_ignore = ['test_core.py']"),
        "conftest_collection@strong",
    ),
    "deselects in an ini": (new_file("pytest.ini", "[pytest]", "addopts = --deselect tests"), "deselect_tests@strong"),
    "deselects in pyproject": (
        "diff --git a/pyproject.toml b/pyproject.toml\n--- a/pyproject.toml\n+++ b/pyproject.toml\n@@ -2,1 +2,3 @@\n"
        ' name = "calc"\n+[tool.pytest.ini_options]\n+addopts = "-k nothing"\n',
        "deselect_tests@strong",
    ),
    "sitecustomize": (new_file("sitecustomize.py", "import os", "os._exit(0)"), "sitecustomize@strong"),
    "usercustomize": (new_file("usercustomize.py", "import os", "os._exit(0)"), "sitecustomize@strong"),
    "pth file": (new_file("hook.pth", "import os; os._exit(0)"), "pth_file@strong"),
    "pytest of its own": (new_file("pytest.py", "def main(*a): return 0"), "shadow_module@strong"),
    "json of its own": (new_file("json.py", "def loads(s): return {}"), "shadow_module@moderate"),
    "command of its own": (new_file("pytest", "#!/bin/sh", "exit 0"), "path_wrapper@strong"),
}


@pytest.mark.parametrize("name", sorted(CHEATS))
def test_no_change_of_tests_or_runner_has_effect(context: Context, name: str) -> None:
    patch, sign = CHEATS[name]
    assert sign in seen(patch)
    assert verdicts(evaluate(TASK, patch, context)) == {"test_double": "fail", "test_half": "pass"}


def test_the_same_cheats_do_not_take_a_correct_change_down() -> None:
    for patch, sign in CHEATS.values():
        assert sign in seen(FIX + patch)


@pytest.mark.parametrize(
    "patch",
    [
        FIX,
        FIX + new_file("tests/test_more.py", "def test_more():", "    assert True"),
        FIX + new_file("tests/data/conftest.py", "import pytest", "@pytest.fixture", "def one():", "    return 1"),
        FIX + new_file("calc/json.py", "NAME = 'json'"),
        FIX + new_file("calc/report.py", "def report(x):", "    return x"),
    ],
)
def test_ordinary_changes_are_not_remarked(patch: str) -> None:
    assert not seen(patch)


def test_history_is_not_there_to_be_read() -> None:
    assert not any(".git" in path.split("/") for path in submission_of(TASK, FIX).files)


def test_bad_tasks_say_what_is_missing(context: Context) -> None:
    assert "no files" in evaluate(Task(task_id="t", kind="repository"), FIX, context).problem
    bare = Task(task_id="t", kind="repository", files=FILES, limits=Limits(wall_s=5.0))
    assert "no tests" in evaluate(bare, FIX, context).problem


# -------------------------------------------------------------------------------------------------------------- patch
def apply(patch: str, **files: str) -> dict[str, str]:
    found = apply_patch({name.replace("__", "."): text.encode() for name, text in files.items()}, patch.encode())
    return {name: text.decode() for name, text in found.items()}


def test_hunks_by_hand() -> None:
    patch = "--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@\n one\n-two\n+TWO\n+and\n three\n@@ -5 +6 @@\n-five\n+FIVE\n"
    assert apply(patch, x="one\ntwo\nthree\nfour\nfive\n") == {"x": "one\nTWO\nand\nthree\nfour\nFIVE\n"}


def test_a_hunk_may_have_moved_to_its_only_place() -> None:
    patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n b\n-c\n+C\n"
    assert apply(patch, x="a\na\nb\nc\n") == {"x": "a\na\nb\nC\n"}
    with pytest.raises(PatchError, match="fit at 2 places"):
        apply(patch, x="a\nb\nc\nb\nc\n")


def test_last_line_without_a_newline() -> None:
    patch = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
    assert apply(patch, x="a") == {"x": "b"}
    with pytest.raises(PatchError):
        apply(patch, x="a\n")
    adds = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
    assert apply(adds, x="a") == {"x": "a\n"}


def test_new_removed_renamed_and_copied_files() -> None:
    assert apply(new_file("b", "1", "2"), a="x\n") == {"a": "x\n", "b": "1\n2\n"}
    gone = "diff --git a/a b/a\ndeleted file mode 100644\n--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    assert apply(gone, a="x\n", c="y\n") == {"c": "y\n"}
    moved = "diff --git a/a b/b\nrename from a\nrename to b\n--- a/a\n+++ b/b\n@@ -1 +1 @@\n-x\n+y\n"
    assert apply(moved, a="x\n") == {"b": "y\n"}
    assert apply(moved.replace("rename", "copy"), a="x\n") == {"a": "x\n", "b": "y\n"}


def test_carriage_returns_stay() -> None:
    assert apply("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n", x="a\r\nb\r\n") == {"x": "a\r\nc\r\n"}


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "a//b", ".git/config", "sub/.GIT/hooks/x", "a\\b"]
)
def test_paths_that_leave_the_folder_are_refused(path: str) -> None:
    with pytest.raises(PatchError, match=r"not a plain path|inside \.git"):
        apply(f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n")


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n", "links"),
        ("diff --git a/l b/l\nnew file mode 160000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+x\n", "submodules"),
        ("diff --git a/l b/l\nnew file mode 100644\nGIT binary patch\nliteral 3\n", "binary"),
        ("--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n a\n", "ends inside a hunk"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n?a\n", "inside a hunk"),
        ("@@ -1 +1 @@\n-a\n+b\n", "belongs to no file"),
        ("--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", "no such file"),
        ("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", "is there already"),
        ("--- /dev/null\n+++ b/x/y\n@@ -0,0 +1 @@\n+b\n", "a file and a folder"),
        ("hello\n", "no file in the patch"),
        ("diff --git a/x b/x\n--- a/z\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "not the file of its header"),
    ],
)
def test_what_is_no_ordinary_patch_is_refused(patch: str, said: str) -> None:
    with pytest.raises(PatchError, match=said):
        apply(patch, x="a\n")


def test_a_program_that_mentions_patches_is_a_program() -> None:
    assert looks_like_patch(FIX.encode())
    assert not looks_like_patch(b"x = '''\n--- a\n'''\nprint('diff --git')\n")
