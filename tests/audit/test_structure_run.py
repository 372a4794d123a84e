"""The structure part as `karat.audit_data` runs it: a file, options that name nothing, values and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import karat
from karat.audit.data.config import AuditDataConfig
from karat.audit.data.run import _structure_of_all
from karat.errors import DataError

ROWS = [
    {"prompt": f"What is {n} and {n + 7}?", "chosen": f"It is {2 * n + 7}.", "rejected": f"It is {n}."}
    for n in range(30)
]


def test_the_part_runs_on_a_file_and_gives_values_and_the_account(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, [*ROWS, ROWS[3]])), encoding="utf-8")
    result = karat.audit_data(str(path), parts="structure", workers=1)
    assert (result.verdict, result.values["structure_exact"]) == ("problem", pytest.approx(1 / 31))
    assert result.values["structure_prompts"] == 30
    assert {"repeats", "leftovers", "account"} <= {table.name for table in result.tables}


def test_a_held_out_file_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file"):
        karat.audit_data(ROWS, parts="structure", test="nowhere.jsonl")
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file"):
        karat.audit_data(ROWS, parts="structure", benchmark="nowhere.jsonl")


def test_several_sources_are_looked_at_together() -> None:
    result = _structure_of_all((ROWS[:20], ROWS[15:]), AuditDataConfig(workers=1), None)
    found = {finding.code: finding for finding in result.findings}
    assert found["DA101"].effect == pytest.approx(5 / 35)
    assert found["DA112"].effect == pytest.approx(5 / 15)
    once = _structure_of_all((ROWS[:20], iter(ROWS)), AuditDataConfig(workers=1), None)
    assert once.verdict == "problem"
