"""The installed command on real files with a tiny model: train, score with it, check it; and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from karat.data import write_pairs
from rewards.tiny import save_tiny
from train.toy import toy_pairs


def karat(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "KARAT_CACHE": str(cwd / "cache")}
    command = [sys.executable, "-m", "karat", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("user")
    save_tiny(made / "lm")
    write_pairs(made / "pairs.jsonl", toy_pairs(60))
    return made


def test_train_score_and_check(folder: Path) -> None:
    options = ["--model", "lm", "--out", "rm", "--lr", "3e-3", "--epochs", "2", "--max-length", "64", "--json"]
    options += ["--test-fraction", "0.3"]
    status, out, err = karat("train", "pairs.jsonl", *options, cwd=folder)
    document: dict[str, Any] = json.loads(out)
    assert status in (0, 1), err
    assert document["command"] == "train"
    names = {"accuracy", "accuracy_low", "accuracy_high", "pairs_per_s", "unique_tokens_per_s", "losses"}
    assert names <= document["values"].keys()

    status, out, err = karat("score", "rm", "pairs.jsonl", "--out", "scored.jsonl", cwd=folder)
    assert status == 0, err
    rows = [json.loads(line) for line in (folder / "scored.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    assert sum(row["score_margin"] > 0 for row in rows) >= 50

    arguments = ["--data", "pairs.jsonl", "--reward", "rm", "--out", "report"]
    status, out, err = karat("check", *arguments, cwd=folder)
    assert status in (0, 1), err
    assert len(out.splitlines()) <= 25
    assert (folder / "report" / "report.html").stat().st_size < 1_500_000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "pairs.jsonl"),
        (b'{"question": "a", "answer": "b"}\n', "question"),
        (b'{"prompt": "a", "chosen": "b", "rejected": "b"}\n', "pairs.jsonl"),
        (b"\xff\xfe\x00not text\n" * 3, "UTF-8"),
    ],
    ids=["empty", "missing column", "nothing valid", "not UTF-8"],
)
def test_bad_files_are_three_lines_and_status_2(content: bytes, expected: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_bytes(content)
    status, out, err = karat("train", "pairs.jsonl", "--model", str(folder / "lm"), "--out", "rm", cwd=tmp_path)
    assert status == 2
    assert out == ""
    assert expected in err
    assert 1 <= len(err.strip().splitlines()) <= 3
    assert "Traceback" not in err


def test_missing_model_and_missing_file(folder: Path, tmp_path: Path) -> None:
    pairs = str(folder / "pairs.jsonl")
    status, _, err = karat("train", pairs, "--model", "no/such-model", "--out", "rm", cwd=tmp_path)
    assert (status, "no/such-model" in err) == (2, True)
    status, _, err = karat("train", "nowhere.jsonl", "--out", "rm", cwd=tmp_path)
    assert (status, "nowhere.jsonl" in err) == (2, True)
