"""`karat grade --verify`: whether results are those that were logged, by a grader that nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from karat.errors import DataError
from karat.grade.log import read_key, read_log
from karat.grade.readers import load_candidates, load_tasks
from karat.grade.results_file import hash_candidates, hash_row, log_path
from karat.grade.seal import hash_grader, hash_tasks
from karat.types import Finding, Result, Verdict

EXPLANATIONS: dict[str, tuple[str, str, str, str]] = {
    "GR602": (
        "The results are those that were logged",
        "Whether the log's chain of hashes is whole, from the seal of the start to that of the end, whether each row "
        "of the results is the one that was logged, and whether the grader's code, the tasks and the candidates are "
        "still those of the run.",
        "ok: all fit. problem: something does not; the witnesses say what.",
        "Grade again. Without a key the chain shows changes, but not a log that was written anew as a whole: give "
        "--key-file when grading, and keep the key away from what is graded.",
    ),
}


def verify(
    out: str | Path, *, tasks: Any = None, candidates: Any = None, key_file: str = "", tasks_format: str = ""
) -> Result:
    """Check a results file against its log, and against tasks and candidates where they are given.

    Returns: finding GR602; its witnesses name each thing that does not fit.
    Raises: DataError: there is no log.
    """
    path = Path(out)
    faults = list(_faults(path, read_key(key_file), tasks, candidates, tasks_format))
    verdict: Verdict = "problem" if faults else "ok"
    finding = Finding(
        "GR602",
        EXPLANATIONS["GR602"][0],
        verdict,
        n_failed=len(faults),
        witnesses=tuple(faults[:3]),
        action="" if verdict == "ok" else EXPLANATIONS["GR602"][3],
    )
    return Result("grade --verify", findings=(finding,), values={"n_faults": len(faults), "faults": faults})


def _faults(path: Path, key: bytes, tasks: Any, candidates: Any, tasks_format: str) -> Iterator[str]:
    if not log_path(path).exists():
        raise DataError(f"{log_path(path)}: there is no such log. Name the results file that karat grade wrote.")
    records: list[Mapping[str, Any]] = []
    try:
        for line in read_log(log_path(path), key):
            records.append(line.record)
    except DataError as error:
        yield str(error)
    if not records or records[0].get("kind") != "start":
        yield "the log does not begin with the seal of the start"
        return
    if records[-1].get("kind") != "end":
        yield "the log has no end: the run was cut off, or its last lines were removed"
    elif records[-1].get("changed"):
        yield f"changed while the run went on: {', '.join(map(str, records[-1]['changed']))}"
    yield from _row_faults(path, [record for record in records if record.get("kind") == "verdict"])
    start = records[0]
    if start.get("grader") != hash_grader():
        yield "karat's grader is not the one of the run (another version, or changed)"
    if tasks is None:
        return
    task_records, _ = load_tasks(tasks, tasks_format)
    if start.get("tasks") != hash_tasks(task_records):
        yield "the tasks are not those of the run"
    if candidates is not None and start.get("candidates") != hash_candidates(
        load_candidates(candidates, task_records)[0]
    ):
        yield "the candidates are not those of the run"


def _row_faults(path: Path, logged: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    try:
        rows = path.read_bytes().splitlines()
    except OSError as error:
        yield f"{path}: {error.strerror}"
        return
    if len(rows) != len(logged):
        yield f"{path} has {len(rows)} rows, the log {len(logged)} verdicts"
    for number, (text, record) in enumerate(zip(rows, logged, strict=False), start=1):
        try:
            fits = hash_row(json.loads(text, object_pairs_hook=_each_key_once)) == record.get("row")
        except (ValueError, RecursionError):
            fits = False
        if not fits:
            yield f"{path}, row {number} ({record.get('task_id')}): not the row that was logged"


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two values under one key another reader may take the other. Raises: ValueError: a key is there twice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row
