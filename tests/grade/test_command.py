"""`karat grade` as a user calls it: statuses, messages, the page, and a run that is killed and called again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from karat.cli.main import app

ADD = {
    "task_id": "add",
    "entry_point": "add",
    "tests": [{"input": [1, 2], "output": 3}, {"input": [5, 7], "output": 12}],
    "reference": "def add(a, b):\n    return a + b\n",
}
NAN = '{"task_id": "nan", "entry_point": "f", "tests": [{"input": [NaN, Infinity], "output": NaN}]}\n'
ROWS = (
    {"task_id": "add", "candidate_id": 1, "code": "def add(a, b): return a + b", "step": 1},
    {"task_id": "add", "candidate_id": 1, "code": "def add(a, b): return a - b", "step": 1},
    {"task_id": "add", "candidate_id": None, "code": "import os\ndef add(a, b): os._exit(0)", "step": 2},
    {"task_id": "nan", "code": "def f(a, b): return a * b", "step": 2},
    {"task_id": ["add"], "code": "def add(a, b): return a + b"},
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("tasks.jsonl").write_text(json.dumps(ADD) + "\n" + NAN)
    Path("candidates.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    Path("empty.jsonl").touch()
    Path("wrong.jsonl").write_text('{"name": "add", "source": "x = 1"}\n')
    Path("file").touch()
    return tmp_path


def karat(line: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, line.split())
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


GRADE = "grade tasks.jsonl candidates.jsonl --workers 1 --reruns 0"


def test_verdicts_a_page_and_a_log_that_verifies(folder: Path) -> None:
    status, out, err = karat(f"{GRADE} --out graded.jsonl --report page --json")
    document = json.loads(out)
    assert status == 1, err  # somebody tampered
    assert (document["values"]["n_pass"], document["values"]["n_fail"], document["values"]["n_tampered"]) == (2, 1, 1)
    rows = [json.loads(line) for line in Path("graded.jsonl").read_text().splitlines()]
    assert [(row["candidate_id"], row["verdict"]) for row in rows] == [
        ("1", "pass"),
        ("1", "fail"),
        ("2", "tampered"),
        ("0", "pass"),
    ]
    page = Path("page/report.html").read_text()
    assert "Share of candidates that tampered, over training steps: step 1: 0 %; step 2: 50 %." in page
    assert "Candidates by technique of tampering. os exit: 1." in page
    assert "column &#39;task_id&#39; is no text" in page
    assert karat("grade --verify graded.jsonl tasks.jsonl candidates.jsonl")[0] == 0
    assert karat("grade --verify graded.jsonl wrong.jsonl")[0] == 2
    Path("graded.jsonl.log").unlink()
    assert "graded.jsonl.log: there is no such log" in karat("grade --verify graded.jsonl")[2]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("grade empty.jsonl candidates.jsonl --out r", "empty.jsonl: the file is empty"),
        ("grade tasks.jsonl empty.jsonl --out r", "empty.jsonl: the file is empty"),
        ("grade wrong.jsonl candidates.jsonl --out r", "no known task format has these columns: name, source"),
        ("grade tasks.jsonl wrong.jsonl --out r", "no candidate could be read; 1 rows: column 'task_id' is missing"),
        ("grade none.jsonl candidates.jsonl --out r", "none.jsonl: no such file"),
        ("grade tasks.jsonl --out r", "grading needs two files, and 1 was given"),
        ("grade tasks.jsonl candidates.jsonl", "--out FILE is missing"),
        ("grade tasks.jsonl candidates.jsonl --out .", "is a folder. --out names a file"),
        ("grade tasks.jsonl candidates.jsonl --out file", "file is there already"),
        ("grade tasks.jsonl candidates.jsonl --out r --report file", "a file of that name is in the way"),
        ("grade tasks.jsonl candidates.jsonl --out r --key-file none", "key file none: No such file"),
        (
            "grade tasks.jsonl candidates.jsonl --out r --packages none",
            "none is not a folder. Name folders that hold importable packages",
        ),
        ("grade tasks.jsonl candidates.jsonl --out r --wall-s nan", "wall_s = nan is out of range"),
        ("grade --doctor tasks.jsonl", "--doctor takes no files"),
        ("grade --verify --doctor", "exclude each other"),
        ("grade --verify", "--verify needs a results file"),
        ("grade --verify .", "there is no such log"),
        ("grade --rollout", "--rollout needs transcripts or patches"),
        ("grade --rollout candidates.jsonl --out r", "--rollout writes no results file"),
    ],
)
def test_wrong_use_is_told_and_writes_no_results(folder: Path, line: str, told: str) -> None:
    status, out, err = karat(line)
    assert (status, out) == (2, "")
    assert told in " ".join(err.split())
    assert not Path("r").exists()


def test_a_run_that_is_killed_goes_on_when_it_is_called_again(folder: Path) -> None:
    """By SIGKILL, which nobody can catch: what is written is whole, and no candidate is left running."""
    row = {"task_id": "add", "code": "import time\ndef add(a, b):\n    time.sleep(0.05)\n    return a + b"}
    Path("candidates.jsonl").write_text(
        "".join(json.dumps({**row, "candidate_id": str(number)}) + "\n" for number in range(12))
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "karat", *GRADE.split(), "--out", "r.jsonl", "--held-out", "0", "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    part = Path("r.jsonl.part")
    give_up = time.monotonic() + 60
    while not (part.exists() and part.read_bytes().count(b"\n") >= 2):
        assert run.poll() is None, "it ended by itself"
        assert time.monotonic() < give_up
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    kept = part.read_bytes()
    whole = kept[: kept.rindex(b"\n") + 1]
    assert karat(f"{GRADE} --out r.jsonl --held-out 0")[0] == 0
    lines = Path("r.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 12
    assert b"".join(lines).startswith(b"".join(whole.splitlines(keepends=True)[:-1]))  # the last may lack its log line
    assert karat("grade --verify r.jsonl tasks.jsonl candidates.jsonl")[0] == 0
