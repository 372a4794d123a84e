"""The commands in this process: what they call, what they print, which status they end with."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import fake_verbs
from karat import __version__
from karat.check.config import CheckConfig
from karat.cli.main import app
from karat.score.config import ScoreConfig
from karat.train.config import TrainConfig


@pytest.fixture(autouse=True)
def verbs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, module in fake_verbs.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("karat.cli.explain.every_explanation", lambda: fake_verbs.EXPLANATIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAKE_MODE", raising=False)
    fake_verbs.CALLS.clear()


def invoke(line: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, line.split())
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


LINES = ["check", "train prefs.jsonl --out rm", "score ./rm prefs.jsonl --out scored.jsonl"]


def test_each_command_makes_its_one_call() -> None:
    invoke("check --data prefs.jsonl --gold human --out here --minutes 1.5")
    invoke("train prefs.jsonl --model default --out rm --pairs-per-step 4 --loss margin")
    invoke("score ./rm prefs.jsonl --out scored.jsonl --name reward --no-per-head")
    assert [
        ("check", Path("here"), CheckConfig(data="prefs.jsonl", gold="human", minutes=1.5)),
        ("train", "prefs.jsonl", Path("rm"), TrainConfig(pairs_per_step=4, loss="margin")),
        ("score", "./rm", "prefs.jsonl", Path("scored.jsonl"), ScoreConfig(name="reward", per_head=False)),
    ] == fake_verbs.CALLS


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("train x --out y --process --heads 2", "error: --heads is for preference pairs; drop it, or --process.\n"),
        ("train x --out y --process --loss bt", "error: --loss is for preference pairs; drop it, or --process.\n"),
        ("train x --out y --likelihood hard", "error: --likelihood is for steps; add --process.\n"),
        ("train x --out y --outcome", "error: --outcome is for steps; add --process.\n"),
        (
            "train x --out y --process --rollouts 4",
            "error: --rollouts is for labelling steps; add --process and --label mc or binary.\n",
        ),
        (
            "train x --out y --label mc",
            "error: --label is for labelling steps; add --process and --label mc or binary.\n",
        ),
    ],
)
def test_an_option_of_the_other_kind_of_training_is_refused(line: str, wanted: str) -> None:
    """Its default too, where it was given: an option is heeded or refused, never ignored."""
    status, out, err = invoke(line)
    assert (status, out, err) == (2, "", wanted)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    ("verdict", "strict", "status"),
    [
        ("ok", True, 0),
        ("problem", False, 1),
        ("problem", True, 1),
        ("unclear", False, 0),
        ("unclear", True, 3),
        ("not checked", True, 0),
    ],
)
def test_exit_status(
    line: str, verdict: str, strict: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("FAKE_MODE", verdict)
    assert invoke(line + (" --strict" if strict else ""))[0] == status


@pytest.mark.parametrize("line", LINES)
def test_json_is_one_document_and_nothing_else(line: str) -> None:
    status, out, _ = invoke(line + " --json")
    document = json.loads(out)
    assert status == 0
    assert document["command"] == line.split()[0]
    assert document["values"]["undefined"] is None
    assert document["values"]["report"]["provenance"]["command"] == f"karat {line} --json"


@pytest.mark.parametrize("line", LINES)
def test_text_and_markdown(line: str) -> None:
    assert invoke(line)[1].startswith("ok: 1 ok.")
    assert invoke(line + " --md")[1].startswith(f"# karat {line.split()[0]}\n")


def test_check_writes_its_report_and_lists_it() -> None:
    _, out, _ = invoke("check --json")
    assert json.loads(out)["files"] == ["karat-report/report.html", "karat-report/result.json"]
    assert Path("karat-report/result.json").read_text() == out
    assert Path("karat-report/report.html").read_text().startswith("<!doctype html>")


def test_check_refuses_a_folder_that_is_a_file_before_it_works() -> None:
    Path("here").write_text("")
    status, out, err = invoke("check --out here")
    assert (status, out, fake_verbs.CALLS) == (2, "", [])
    assert err == "error: --out here: a file of that name is in the way; name a folder.\n"


def test_passwords_in_urls_do_not_reach_the_report() -> None:
    _, out, _ = invoke("score https://user:secret@host/rm prefs.jsonl --out s --json")
    assert "secret" not in out
    assert "https://***@host/rm" in out


def test_progress_is_on_standard_error_and_quiet_silences_it() -> None:
    assert "reading: 3/3 (100 %)" in invoke("check")[2]
    assert "reading" not in invoke("check")[1]
    assert invoke("check --quiet")[2] == ""


@pytest.mark.parametrize(
    ("mode", "status", "lines"),
    [
        (
            "data error",
            2,
            [
                r"error: prefs.jsonl row 17: chosen is empty \x1b[31m.",
                "  where: line 18",
                "  drop it or not or so",
            ],
        ),
        ("bug", 2, ["error: unexpected ZeroDivisionError: division by zero; run again with --debug for the traceback"]),
        (
            "full disk",
            2,
            [
                "error: the disk is full while writing out/model.safetensors; what is written is kept",
                "free some space, or name another --out, and run the same command again",
            ],
        ),
        ("no file", 2, ["error: /nowhere/prefs.jsonl: No such file or directory"]),
        ("interrupt", 130, ["interrupted; what is written is kept"]),
    ],
)
def test_failures_are_at_most_three_lines(
    mode: str, status: int, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MODE", mode)
    for line in LINES:
        assert invoke(line + " --quiet --json") == (status, "", "\n".join(lines) + "\n")


def test_debug_adds_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MODE", "bug")
    status, out, err = invoke("check --debug")
    assert (status, out) == (2, "")
    assert "Traceback (most recent call last)" in err
    assert "raise ZeroDivisionError" in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian", "error: no such command 'trian'. Did you mean 'train'?\nusage: see `karat --help`\n"),
        ("train prefs", "error: missing option '--out'\nusage: see `karat train --help`\n"),
        ("score rm", "error: missing argument 'FILE'\nusage: see `karat score --help`\n"),
        ("check extra", None),
        ("check --dtaa x", None),
        ("train prefs --out rm --lr abc", None),
        ("train prefs --out rm --loss zz", None),
        ("check --json --md", None),
        (
            "train prefs --out rm --lr -3",
            "error: lr = -3.0 is out of range: it must be 0 (automatic) or more.\n",
        ),
        ("explain RM103", "error: no finding has the code 'RM103'. Did you mean RM102 or RM101?\n"),
        ("--unknown", None),
    ],
)
def test_wrong_use(line: str, message: str | None) -> None:
    status, out, err = invoke(line)
    assert (status, out) == (2, "")
    assert 1 <= len(err.splitlines()) <= 3
    assert err.startswith("error: ")
    if message is not None:
        assert err == message


def test_explain() -> None:
    assert invoke("explain rm101")[1].startswith("RM101  Held-out accuracy\n")
    assert invoke("explain")[1] == "RM101  Held-out accuracy\nRM102  Length\n"
    assert json.loads(invoke("explain RM101 --json")[1])["values"]["action"] == "Train on more pairs."
    assert json.loads(invoke("explain --json")[1])["values"]["codes"]["RM102"] == "Length"
    assert invoke("explain RM101 --md")[1].startswith("# `RM101` Held-out accuracy\n")
    assert invoke("explain --md")[1] == "- `RM101` Held-out accuracy\n- `RM102` Length\n"


def test_version_and_no_arguments() -> None:
    assert invoke("--version") == (0, f"karat {__version__}\n", "")
    status, out, err = invoke("")
    assert (status, out) == (2, "")
    assert err.startswith("Usage: karat [OPTIONS] COMMAND")
