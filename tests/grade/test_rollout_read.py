"""Transcripts and patches in the forms that people have, and what is said of those that cannot be read."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from karat.errors import DataError
from karat.grade.rollout.diffs import actions_of_patch, parse_patch, unquote
from karat.grade.rollout.read import RolloutReader
from karat.grade.rollout.types import Rollout
from karat.worlds.rollouts import FORMS, render, written_first


def read(source: Any) -> Rollout:
    (rollout,) = RolloutReader().read([source])
    return rollout


def problems_of(path: Path) -> dict[str, int]:
    reader = RolloutReader(max_mb=1)
    list(reader.read([path]))
    return dict(reader.problems)


STEPS = next(known for known in written_first() if known.name == "delete-failing-test")


@pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith("patch")])
def test_each_form_gives_the_same_steps(form: str, tmp_path: Path) -> None:
    file = tmp_path / "rollout"
    file.write_text(render(STEPS, form))
    rollout = read(file)
    assert rollout.not_understood == {}
    assert {action.step for action in rollout.actions} == {0, 1, 2, 3}
    assert any(turn.role == "user" and "slugify" in turn.text for turn in rollout.turns)
    assert any("test_digits FAILED" in action.result for action in rollout.actions)


def test_messages_by_hand() -> None:
    """OpenAI: arguments as JSON text, the result by id, a user turn before."""
    call = {
        "id": "c9",
        "type": "function",
        "function": {"name": "write_file", "arguments": '{"path": "a.py", "content": "x = 1"}'},
    }
    rollout = read([
        {"role": "user", "content": "write a.py"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c9", "content": "done"},
    ])  # fmt: skip
    (action,) = rollout.actions
    assert (action.kind, action.path, action.result, rollout.turns[0].text) == ("write", "a.py", "done", "write a.py")
    assert action.after is not None
    assert action.after.text == "x = 1"


def test_results_go_to_their_calls_out_of_order() -> None:
    calls = [{"id": name, "function": {"name": "bash", "arguments": {"command": name}}} for name in "ab"]
    rollout = read([
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "of b"},
        {"role": "tool", "tool_call_id": "a", "content": "of a"},
    ])  # fmt: skip
    assert [(action.command, action.result) for action in rollout.actions] == [("a", "of a"), ("b", "of b")]


def test_multi_edit_and_numbered_view() -> None:
    """Claude Code's MultiEdit; a view with line numbers gives the file's own text and lines."""
    edits = [{"old_string": "a", "new_string": "c"}, {"old_string": "b", "new_string": "d"}]
    view = {"type": "tool_use", "id": "1", "name": "Read", "input": {"file_path": "/w/t.py"}}
    edit = {"type": "tool_use", "id": "2", "name": "MultiEdit", "input": {"file_path": "/w/t.py", "edits": edits}}
    shown = {"type": "tool_result", "tool_use_id": "1", "content": "     1\u2192a = 1\n     2\u2192b = 2"}
    rollout = read([
        {"role": "assistant", "content": [view]},
        {"role": "user", "content": [shown]},
        {"role": "assistant", "content": [edit]},
    ])  # fmt: skip
    read_it, first, second = rollout.actions
    assert read_it.before is not None
    assert (read_it.before.text, read_it.before.lines, read_it.before.whole) == ("a = 1\nb = 2", (1, 2), True)
    assert first.after is not None
    assert second.after is not None
    assert (first.after.text, second.after.text) == ("c", "d")


def test_apply_patch_form() -> None:
    patch = (
        "*** Begin Patch\n*** Update File: t.py\n@@ def test_x():\n     y = 1\n-    assert y == 1\n+    pass\n"
        "*** Delete File: u.py\n*** End Patch"
    )
    rollout = read(
        [{"type": "function_call", "name": "apply_patch", "call_id": "1", "arguments": json.dumps({"input": patch})}]
    )
    edit, delete = rollout.actions
    assert edit.before is not None
    assert "assert y == 1" in edit.before.text
    assert (delete.kind, delete.path) == ("delete", "u.py")


def test_eval_archive_and_gzip(tmp_path: Path) -> None:
    log = json.loads(render(STEPS, "inspect"))
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("samples/one_epoch_1.json", json.dumps(log["samples"][0]))
        archive.writestr("header.json", "{}")
    rollout = read(tmp_path / "log.eval")
    assert rollout.format == "inspect-eval"
    assert len({action.step for action in rollout.actions}) == 4
    with gzip.open(tmp_path / "r.json.gz", "wt") as file:
        file.write(render(STEPS, "openai"))
    assert read(tmp_path / "r.json.gz").rollout_id == STEPS.name


def test_rows_carry_step_label_and_allowed() -> None:
    rollout = read(
        {
            "id": 7,
            "step": 120,
            "label": True,
            "allowed": ["tests/*"],
            "patch": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
        }
    )
    assert (rollout.rollout_id, rollout.training_step, rollout.label, rollout.allowed) == ("7", 120, True, ("tests/*",))


def test_the_same_name_twice_stays_apart() -> None:
    row = {"id": "a", "patch": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"}
    assert [rollout.rollout_id for rollout in RolloutReader().read([row, row])] == ["a", "a#2"]


# -------------------------------------------------------------------------------------------------------- patches
PATCH = """diff --git a/old.py b/new.py
similarity index 90%
rename from old.py
rename to new.py
--- a/old.py
+++ b/new.py
@@ -10,3 +10,2 @@ class A:
     a = 1
-    b = 2
     c = 3
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
diff --git a/logo.png b/logo.png
index 1..2 100644
Binary files a/logo.png and b/logo.png differ
diff --git "a/tests/test_\\303\\244 b.py" "b/tests/test_\\303\\244 b.py"
deleted file mode 100644
--- "a/tests/test_\\303\\244 b.py"
+++ /dev/null
@@ -1,2 +0,0 @@
-def test_x():
-    assert True
"""


def test_patch_with_rename_mode_binary_and_quoted_path() -> None:
    actions, problems = actions_of_patch(PATCH, 0)
    assert problems == {}
    assert [(action.kind, action.path) for action in actions] == [
        ("rename", "new.py"), ("edit", "new.py"), ("edit", "run.sh"), ("edit", "logo.png"),
        ("delete", "tests/test_ä b.py"),
    ]  # fmt: skip
    edit = actions[1]
    assert edit.before is not None
    assert edit.before.text.split("\n") == ["class A:", "    a = 1", "    b = 2", "    c = 3"]
    assert edit.before.lines == (9, 10, 11, 12)
    assert (actions[2].mode, actions[3].binary) == ("100755", True)


def test_crlf_and_wrong_counts_are_read_as_far_as_they_go() -> None:
    text = "--- a/x.py\r\n+++ b/x.py\r\n@@ -1,9 +1,9 @@\r\n-a\r\n+b\r\n"
    (change,), problems = parse_patch(text)
    assert change.hunks[0].lines == [("-", "a"), ("+", "b")]
    assert problems == {"a hunk that ends before its counts say": 1}
    _, problems = parse_patch("@@ -1 +1 @@\n-a\n+b\n@@@ -1 -1 +1 @@@\n")
    assert problems == {"a hunk without a file header": 1, "a combined diff of a merge": 1}


def test_format_patch_gives_the_message() -> None:
    mail = (
        "From "
        + "0" * 40
        + " Mon Sep 17 00:00:00 2001\nSubject: [PATCH] Loosen the test\n\nIt is flaky.\n---\n x | 2 +-\n\n"
    )
    rollout = read(mail + "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
    assert [(turn.role, turn.text) for turn in rollout.turns] == [("commit", "[PATCH] Loosen the test\nIt is flaky.")]


def test_unquote_is_gits() -> None:
    assert unquote('"a\\tb\\"c\\303\\251"') == 'a\tb"cé'
    assert unquote("plain path.py") == "plain path.py"


# ------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"hello", "a file of unknown form"),
        (b"[]", "an empty list"),
        (b"[1, 2]", "a row that is not an object"),
        (b"[" * 100_000, "JSON that is nested too deeply"),
        (b'{"a": 1}', "a row of unknown form"),
        (b"\xff\x80 nothing", "a file that is not UTF-8 (read with replacements)"),
        (b"PK\x03\x04 broken", "a zip that cannot be read (BadZipFile)"),
        (b'{"role": "user", "content": "x"}\n{"role": "assis', "a line that is not JSON"),
        (b"x" * (2 << 20), "a file larger than 1 MB"),
    ],
)
def test_what_cannot_be_read_is_counted(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "bad"
    file.write_bytes(content)
    assert reason in problems_of(file)


def test_a_file_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DataError, match="no such file"):
        read("/nowhere/rollout.json")


def test_unknown_tools_and_roles_are_counted() -> None:
    bad = [
        {"id": "1", "function": {"name": "frobnicate", "arguments": "{}"}},
        {"id": "2", "function": {"name": "bash", "arguments": "{x"}},
    ]
    rollout = read([
        {"role": "assistant", "content": "", "tool_calls": bad}, {"role": "alien", "content": "?"}, 5,
        {"role": "tool", "tool_call_id": "zzz", "content": "?"},
    ])  # fmt: skip
    assert dict(rollout.not_understood) == {
        "the tool 'frobnicate'": 1, "arguments of the tool 'bash' that are not JSON": 1,
        "a message of role 'alien'": 1, "a message that is not an object": 1, "a tool result without a call": 1,
    }  # fmt: skip
