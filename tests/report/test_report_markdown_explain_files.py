"""Markdown, explanations, and the report on disk."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import pytest

from karat.errors import InputError
from karat.report.explain import explain, explain_markdown, explain_result, list_codes
from karat.report.files import prepare_folder, write_report
from karat.report.markdown import render_markdown
from report.sample_results import full_result

REGISTRY = {
    "RM101": ("Held-out accuracy", "How often " * 30, "A Wilson interval.", "Train on more pairs."),
    "RM102": ("Length", "b", "c", "d"),
}


def test_markdown_says_the_same_and_hostile_text_stays_text() -> None:
    text = render_markdown(full_result())
    assert text.startswith("# karat check\n\n**problem**: The reward pays for length.\n")
    rows = [line for line in text.splitlines() if line.startswith("| `RM101`")]
    assert rows == [
        "| `RM101` Probe number 1 | 0.010 [-0.020, 0.050] | SD per 100 tokens "
        "| 1,204 (3 missing) | 0 (identity) | problem |"
    ]
    outside_code = "".join(text.replace("``", "`").split("`")[::2])
    for token in ("@someone", "https://evil", "**b**", "[x](", "\x1b", "\u202e"):
        assert token not in outside_code, token
    assert not re.findall(r"(?<!\\)<(?!!-- -->)", outside_code)  # no tag opens; the one comment is ours
    widths = {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("| `RM")}
    assert widths == {7}


def test_explain() -> None:
    text = explain("rm101", REGISTRY)
    assert text.startswith("RM101  Held-out accuracy\n\nWhat it measures\n  How often")
    assert max(len(line) for line in text.splitlines()) <= 80
    assert explain_markdown("RM102", REGISTRY).startswith("# `RM102` Length\n")
    assert explain_result("RM102", REGISTRY).values["action"] == "d"
    assert list_codes(REGISTRY) == "RM101  Held-out accuracy\nRM102  Length\n"


def test_explain_names_the_nearest_code() -> None:
    with pytest.raises(InputError, match=r"'RM110'. Did you mean RM10[12] or RM10[12]\?"):
        explain("RM110", REGISTRY)
    with pytest.raises(InputError, match=r"Run `karat explain`"):
        explain("zzz", REGISTRY)


def test_write_report_lists_its_files_once(tmp_path: Path) -> None:
    result = write_report(write_report(full_result(), tmp_path), tmp_path)
    own = [str(tmp_path / "report.html"), str(tmp_path / "result.json")]
    assert list(result.files) == [*own, "out/report.html", "out/result.json"]
    assert json.loads((tmp_path / "result.json").read_text())["files"] == list(result.files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "result.json"]


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("old")

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_report(full_result(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_a_folder_that_cannot_be_used_is_refused_first(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="a file of that name is in the way"):
            prepare_folder(wrong)
