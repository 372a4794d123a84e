"""Task files of every format to tasks, and candidates to candidates, with an account of what was dropped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from karat.data.account import AccountBuilder
from karat.data.files import open_source
from karat.data.records import DropRowError
from karat.errors import DataError, InputError
from karat.grade.known import NAME as KNOWN
from karat.grade.known import known_rows
from karat.grade.readers import benchmarks, candidates, contests, contract
from karat.grade.types import Candidate, Task
from karat.sandbox.inside.wire import MAX_DEPTH
from karat.types import Account

AROUND = 8
"""Levels of a row around a value: tests, test, input; with a margin."""
Notes = list[tuple[str, str]]
ReadTask = Callable[[Mapping[str, Any], int, Notes], Task]

FORMATS: dict[str, tuple[Callable[[Mapping[str, Any]], bool], ReadTask]] = {
    "evalplus": (benchmarks.is_evalplus, benchmarks.read_evalplus),
    "humaneval": (benchmarks.is_humaneval, benchmarks.read_humaneval),
    "mbpp": (benchmarks.is_mbpp, benchmarks.read_mbpp),
    "livecodebench": (contests.is_livecodebench, contests.read_livecodebench),
    "apps": (contests.is_apps, contests.read_apps),
    "karat": (contract.recognises, contract.read_task),
}
"""Format -> (whether a row is of it, how it is read); the first that knows a row has it."""


def load_tasks(source: Any, format: str = "") -> tuple[tuple[Task, ...], Account | None]:
    """As `read_tasks`, of whatever names tasks: also the built-in ones, and Task records, which have no account.

    Raises: DataError: not one task could be read, and why.
    """
    if _are_all(source, Task):
        return tuple(source), None
    records, account = read_tasks(known_rows()[0] if _is_known(source) else source, format)
    if not records:
        raise DataError(f"{account.source}: no task could be read; {_reasons(account)}")
    return records, account


def load_candidates(source: Any, tasks: Sequence[Task]) -> tuple[tuple[Candidate, ...], Account | None]:
    """As `read_candidates`, of whatever names candidates: also the built-in ones, and Candidate records.

    Raises: DataError: not one candidate could be read, and why.
    """
    if _are_all(source, Candidate):
        return tuple(source), None
    records, account = read_candidates(known_rows()[1] if _is_known(source) else source, tasks)
    if not records:
        raise DataError(f"{account.source}: no candidate could be read; {_reasons(account)}")
    return records, account


def _is_known(source: Any) -> bool:
    return isinstance(source, str) and source == KNOWN


def _are_all(source: Any, kind: type) -> bool:
    return isinstance(source, list | tuple) and bool(source) and all(isinstance(item, kind) for item in source)


def _reasons(account: Account) -> str:
    return "; ".join(f"{entry.count} rows: {entry.reason}" for entry in account)


def read_tasks(source: Any, format: str = "") -> tuple[tuple[Task, ...], Account]:
    """Tasks of a file, folder, hub data set or rows in memory.

    Args:
        source: what `karat.data` opens: .jsonl, .json, .csv (also .gz, .zst), .parquet, a folder, a hub name, rows.
        format: one of FORMATS; empty: recognised row by row.
    Returns: the tasks, and what was dropped or changed with row numbers. A task without tests is kept: it grades as an
        invalid task.
    Raises: InputError: no such format. DataError: nothing there, or no row of any format.
    """
    if format and format not in FORMATS:
        raise InputError(f"tasks format {format!r} is unknown. It is one of: {', '.join(FORMATS)}.")
    account = AccountBuilder(str(source) if isinstance(source, str | Path) else "rows in memory", format)
    tasks: dict[str, Task] = {}
    formats: dict[str, int] = {}
    for number, raw in _rows(source, account):
        notes: Notes = []
        try:
            name = format or recognise(raw)
            task = FORMATS[name][1](raw, number, notes)
            if not _is_flat(raw):
                raise DropRowError(f"nested deeper than {MAX_DEPTH} levels, which no answer of a candidate can be")
        except DropRowError as error:
            account.drop(str(error), number)
            continue
        if task.task_id in tasks:
            account.drop(f"task_id of an earlier row (the first: {task.task_id!r})", number)
            continue
        tasks[task.task_id] = task
        formats[name] = formats.get(name, 0) + 1
        for action, reason in notes:
            account.change(reason, number) if action == "changed" else account.note(reason, number)
        if not task.tests and not task.test_code.strip() and not task.test_files:
            account.note("the task has no tests: whatever answers it, the verdict is 'invalid task'", number)
    account.format = ", ".join(sorted(formats)) or format
    return tuple(tasks.values()), _close(account, tasks.values())


def recognise(raw: Mapping[str, Any]) -> str:
    """The format of a row. Raises DropRowError when it is of none."""
    for name, (knows, _) in FORMATS.items():
        if knows(raw):
            return name
    columns = ", ".join(sorted(map(str, raw))[:8]) or "none"
    raise DropRowError(f"no known task format has these columns: {columns}")


def read_candidates(source: Any, tasks: Sequence[Task]) -> tuple[tuple[Candidate, ...], Account]:
    """Candidates of a samples file or of rows in memory.

    Args:
        tasks: whose prompts completions go on from; a candidate of no task among them is kept, and noted.
    Returns: the candidates in the file's order, and what was dropped with row numbers.
    Raises: DataError: nothing there to read.
    """
    account = AccountBuilder(str(source) if isinstance(source, str | Path) else "rows in memory", "candidates")
    by_id = {task.task_id: task for task in tasks}
    by_prompt = ids_by_prompt(tasks)
    found: list[Candidate] = []
    ids: set[tuple[str, str]] = set()
    seen: dict[str, int] = {}
    for number, raw in _rows(source, account):
        try:
            made = list(candidates.read_rows(raw, number, by_id, by_prompt, seen))
        except DropRowError as error:
            account.drop(str(error), number)
            continue
        for candidate in made:
            key = (candidate.task_id, candidate.candidate_id)
            if key in ids:
                account.note("candidate_id given twice for one task", number)
            ids.add(key)
            if candidate.step is None and candidates.given_step(raw) is not None:
                account.note("step is no whole number: the candidate counts for no training step", number)
            if candidate.task_id not in by_id:
                account.note(f"there is no task {candidate.task_id!r}: the verdict is 'error'", number)
            found.append(candidate)
    return tuple(found), _close(account, found)


def ids_by_prompt(tasks: Sequence[Task]) -> dict[str, str]:
    """Prompt -> task_id; the empty id where two tasks have the prompt, so that it names none."""
    found: dict[str, str] = {}
    for task in tasks:
        if task.prompt:
            found[task.prompt] = "" if task.prompt in found else task.task_id
    return found


def _rows(source: Any, account: AccountBuilder) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Readable rows with their numbers; the others are counted.

    Raises: DataError: none can be read.
    """
    problem = ""
    for number, row in enumerate(open_source(source).rows(account)):
        account.rows_read += 1
        if row.problem:
            account.rows_unreadable += 1
            account.drop(row.problem, number)
            problem = problem or row.problem
            continue
        yield number, row.raw
    if account.rows_read and account.rows_unreadable == account.rows_read:
        raise DataError(
            f"{account.source}: none of {account.rows_read} rows can be read ({problem}). Check the file's kind."
        )
    if not account.rows_read:
        raise DataError(f"{account.source}: there are no rows in it. Check that it was written to its end.")


def _is_flat(raw: Mapping[str, Any]) -> bool:
    """Whether a row has no more levels than a value that can cross from a candidate, and what is around it."""
    level: list[Any] = [raw]
    for _ in range(MAX_DEPTH * (2 if raw.get("values") == "tagged" else 1) + AROUND):
        inner = (value if isinstance(value, list | tuple) else value.values() for value in level)
        level = [item for items in inner for item in items if type(item) in (list, tuple, dict)]
        if not level:
            return True
    return False


def _close(account: AccountBuilder, records: Any) -> Account:
    """The account with the number and the fingerprint of the records."""
    hasher = hashlib.sha256()
    count = 0
    for record in records:
        hasher.update(_text_of(record).encode("utf-8", "surrogatepass"))
        count += 1
    return replace(account.build(), records=count, fingerprint=hasher.hexdigest()[:16])


def _text_of(record: Task | Candidate) -> str:
    try:
        return repr(record)
    except ValueError:  # an int of more digits than Python prints: the row's place and name must do
        return f"{record.row} {record.task_id}"


__all__ = ["FORMATS", "ids_by_prompt", "load_candidates", "load_tasks", "read_candidates", "read_tasks", "recognise"]
