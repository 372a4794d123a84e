"""The page on process and outcome holds the numbers of the results that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts_loaded import load_script

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_holds_the_results() -> None:
    made = load_script("make_process_tables")
    page = made.PAGE.read_text("utf-8")
    assert made.with_results(page) == page


def test_a_result_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = load_script("make_process_tables")
    monkeypatch.setattr(made, "RESULTS", tmp_path)
    empty = made.with_results(made.PAGE.read_text("utf-8"))
    (tmp_path / "prm_world.json").write_text(
        '{"train_tokens": 1200, "steps": 7, "rows": [{"labels": "clean", "F1": "0.912", "right kept": 0.951}]}'
    )
    full = made.with_results(empty)
    assert "| clean | 0.912 | 0.95 |" in full
    assert "1,200 tokens in 7 optimiser steps" in full
    (tmp_path / "prm_world.json").unlink()
    assert made.with_results(full) == empty
